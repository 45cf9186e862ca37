//! How a message looks on its way.

use std::fmt::Write as _;

use super::message::Message;

/// How notifications look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// The [`Message`] itself.
    Json,
    /// What incoming webhooks of Slack and its likes take.
    Slack,
}

impl Format {
    /// The body of the request, as JSON.
    pub fn body(self, message: &Message) -> Result<Vec<u8>, serde_json::Error> {
        match self {
            Self::Json => serde_json::to_vec(message),
            // Nothing in it is markup, and no address in it is visited by the receiver. Only some receivers obey these
            // switches, so the text holds nothing that could be markup either.
            Self::Slack => serde_json::to_vec(&serde_json::json!({
                "text": slack_text(message),
                "mrkdwn": false,
                "unfurl_links": false,
                "unfurl_media": false,
            })),
        }
    }
}

/// One line for the event, then one for each fact. Only these lines' beginnings are ours: what a person wrote never begins
/// a line, where markup could be a quotation or a list.
fn slack_text(message: &Message) -> String {
    let mut text = format!("Break-glass: {} ({})", headline(message), plain(&message.grant));
    let mut line = |name: &str, value: &str| {
        // Writing into a String cannot fail.
        let _ = write!(text, "\n{name}: {}", plain(value));
    };
    match &message.requester_name {
        Some(name) => line("requester", &format!("{name} ({})", message.requester)),
        None => line("requester", &message.requester),
    }
    line("reason", &message.reason);
    if let Some(ticket) = &message.ticket {
        line("ticket", ticket);
    }
    if let Some(by) = &message.by {
        line("by", by);
    }
    line("approvals", &format!("{} of {}", message.approvals, message.approvals_needed));
    line("state", message.state.as_str());
    line("at", &message.at.to_string());
    if let Some(ends_at) = message.ends_at {
        line("ends", &ends_at.to_string());
    }
    line("elevation", &message.elevation.to_string());
    text
}

fn headline(message: &Message) -> String {
    let words = match message.event.as_str() {
        "elevation.requested" => "access is requested",
        "elevation.approved" => "an approver said yes",
        "elevation.activated" => "access is open",
        "elevation.ending" => "access ends soon",
        "elevation.denied" => "denied",
        "elevation.withdrawn" => "withdrawn",
        "elevation.lapsed" => "lapsed",
        "elevation.expired" => "access has ended",
        "elevation.revoked" => "revoked",
        "elevation.ended" => "given back",
        "elevation.sessions_end.asked" => "its AWS sessions are being ended",
        "elevation.sessions_end.failed" => "its AWS sessions are NOT ended yet",
        "elevation.sessions_end.confirmed" => "its AWS sessions are ended",
        "elevation.sessions_end.lifted" => "the Deny of its AWS sessions is taken away",
        other => return plain(other),
    };
    words.to_owned()
}

/// Somebody's words as words: `&`, `<` and `>` escaped as Slack wants it, signs that are markup somewhere in their
/// full-width form, and what cannot be seen shown as its code. A reason such as `<!channel>` or one that turns the reading
/// direction must not speak for us.
fn plain(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for sign in text.chars() {
        match sign {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '*' | '_' | '~' | '`' | '[' | ']' | '|' | '@' | '#' => safe.push(full_width(sign)),
            _ if is_unseen(sign) => safe.extend(sign.escape_unicode()),
            _ => safe.push(sign),
        }
    }
    safe
}

/// U+FF01 to U+FF5E are the printable ASCII characters once more, and markup nowhere.
fn full_width(sign: char) -> char {
    char::from_u32(u32::from(sign) + 0xFEE0).unwrap_or(char::REPLACEMENT_CHARACTER)
}

/// Controls, line and paragraph separators, characters without width, and those that turn the reading direction.
fn is_unseen(sign: char) -> bool {
    sign.is_control()
        || matches!(
            sign,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}'
        )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::notify::fixtures::message;

    fn slack(message: &Message) -> String {
        let body: serde_json::Value = serde_json::from_slice(&Format::Slack.body(message).unwrap()).unwrap();
        body["text"].as_str().unwrap().to_owned()
    }

    #[test]
    fn nobody_calls_the_channel_or_draws_a_link_with_a_reason() {
        let hostile = Message {
            reason: "<!channel> <https://evil.example|approve here> *now* _x_ `y` ~z~ @here [a](b)".into(),
            requester_name: Some("Ann\n> approved by Bob".into()),
            ticket: Some("OPS-1\u{202e}\u{0}".into()),
            ..message("elevation.requested", 1)
        };
        insta::assert_snapshot!(slack(&hostile), @r"
        Break-glass: access is requested (prod-admin)
        requester: Ann\u{a}&gt; approved by Bob (vendor｜ann)
        reason: &lt;!channel&gt; &lt;https://evil.example｜approve here&gt; ＊now＊ ＿x＿ ｀y｀ ～z～ ＠here ［a］(b)
        ticket: OPS-1\u{202e}\u{0}
        approvals: 0 of 2
        state: requested
        at: 2026-11-22T16:03:12Z
        elevation: elv-01900000-0000-7000-8000-000000000001
        ");
    }

    #[test]
    fn every_event_has_its_words_and_an_unknown_one_its_name() {
        for event in ["requested", "approved", "activated", "ending", "denied", "withdrawn", "lapsed"] {
            let text = slack(&message(&format!("elevation.{event}"), 1));
            assert!(!text.lines().next().unwrap().contains("elevation."), "{text}");
        }
        assert!(slack(&message("elevation.new*", 1)).contains("elevation.new＊"));
    }

    #[test]
    fn json_is_the_message_itself() {
        let said = message("elevation.approved", 2);
        let read: Message = serde_json::from_slice(&Format::Json.body(&said).unwrap()).unwrap();
        assert_eq!(read, said);
    }

    proptest! {
        #[test]
        fn no_text_makes_a_line_or_markup(text in any::<String>()) {
            let safe = plain(&text);
            prop_assert!(!safe.contains(['\n', '\r', '<', '>', '*', '_', '~', '`', '@', '|', '[']));
            prop_assert!(!safe.chars().any(is_unseen));
        }
    }
}
