//! Which lines of the file nobody should see in a message.

/// Keys whose value may be a secret. A line that sets one is never shown.
const SECRET_KEYS: &[&str] = &["kek", "rsa_key", "secret", "password", "url"];

/// May the line with that number (from 1) hold a secret?
pub(super) fn hides(text: &str, line: usize) -> bool {
    let shown = text.lines().nth(line.saturating_sub(1)).unwrap_or_default();
    may_hold_secret(shown) || (shown.contains("url") && is_in_notify(text, line))
}

/// Does the line belong to `[[notify]]`? The URL of a chat's webhook is all that it takes to write into that chat.
fn is_in_notify(text: &str, line: usize) -> bool {
    let lines: Vec<&str> = text.lines().take(line).collect();
    let begins = |line: &&&str| line.trim_start().starts_with('[') || line.contains("notify");
    lines.iter().rev().find(begins).is_some_and(|line| line.contains("notify"))
}

/// `url` counts because a database URL can hold a password; one without `@` cannot.
fn may_hold_secret(line: &str) -> bool {
    line.match_indices('=').any(|(at, _)| {
        let key = line.get(..at).unwrap_or_default().trim_end();
        SECRET_KEYS.iter().any(|secret| {
            let named = key.trim_end_matches(['"', '\'']).ends_with(secret);
            named && (*secret != "url" || line.contains('@'))
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_with_a_secret_is_never_shown() {
        for line in [
            "kek = \"c2VjcmV0\"",
            "keys = { algorithm = \"HS256\", kek=\"c2VjcmV0\" }",
            "\"secret\" = \"hunter2\"",
            "url = \"postgres://me:hunter2@db/x\"",
            "notify = [{ url = \"https://hooks.example/T0KEN\" }]",
        ] {
            assert!(hides(line, 1), "{line}");
        }
        for line in ["kek_file = \"kek\"", "url = \"https://idp.example\"", "secret_file = \"s\""] {
            assert!(!hides(line, 1), "{line}");
        }
    }

    #[test]
    fn the_url_of_a_receiver_is_never_shown_and_an_issuers_is() {
        let text = "[[notify]]\n# a chat\nurl = \"https://hooks.example/T0KEN\n[[issuers]]\nurl = \"https://idp.example\"";
        assert!(hides(text, 3));
        assert!(!hides(text, 5));
    }
}
