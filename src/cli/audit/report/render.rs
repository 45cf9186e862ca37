//! A report as text, JSON and Markdown. Other people's words cannot become markup or drive a terminal.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Value, json};

use super::story::text as at;
use super::{Proven, Report};
use crate::cli::terminal::{Facts, Table, cut, escaped};

/// Enough of a hash to find the entry in a table; the JSON has all of it.
const SHORT_HASH: usize = 16;

/// For programs: everything that is needed to verify it again.
pub(super) fn json(report: &Report) -> Value {
    let entries: Vec<Value> = report.entries.iter().map(entry_json).collect();
    json!({
        "elevation": report.elevation,
        "ok": report.is_ok(),
        "verified": verified(report),
        "faults": report.faults,
        "log": {
            "origin": report.checkpoint.origin,
            "size": report.checkpoint.size,
            "root": BASE64.encode(report.checkpoint.root),
            "checkpoint": report.note,
            "verifier_key": report.key,
        },
        "last": report.last,
        "entries": entries,
    })
}

fn entry_json(entry: &Proven) -> Value {
    json!({
        "index": entry.told.index,
        "leaf_hash": BASE64.encode(entry.leaf_hash),
        "at": at(&entry.told.json, "/at"),
        "type": at(&entry.told.json, "/type"),
        "who": who(&entry.told.json),
        "what": what(&entry.told.json),
        "policy_digest": at(&entry.told.json, "/policy/digest"),
        "entry": entry.body,
        "tlog_proof": entry.receipt,
    })
}

/// What was verified, said plainly: each line was computed here, from nothing but the log's files and the key.
fn verified(report: &Report) -> Vec<String> {
    let (size, count) = (report.checkpoint.size, report.entries.len());
    let mut lines = vec![
        format!("the checkpoint of {size} entries is signed by `{}`", report.key),
        format!(
            "all {size} entries were read and give the signed root, so that none is missing, changed or moved"
        ),
        format!(
            "an inclusion proof of each of the {count} entries of this report was verified against that checkpoint"
        ),
    ];
    if report.is_ok() {
        lines.push(
            "the elevation's versions follow one another without a gap, and nothing changed it after its end"
                .to_owned(),
        );
        lines.push(
            "every credential was issued while it was active, and ends no later than its window".to_owned(),
        );
    }
    lines
}

/// For a terminal.
pub(super) fn text(report: &Report) -> String {
    let mut text = format!("{}\n\n", facts(report).render());
    let mut table = Table::new(&["ENTRY", "LEAF HASH", "WHEN", "EVENT", "WHO", "WHAT", "POLICIES"]);
    for entry in &report.entries {
        let [index, hash, when, event, who, what, digest] = cells(entry);
        table.row([&index, &hash, &when, &event, &who, &cut(&what, 80), &digest]);
    }
    let _ = write!(text, "{}\n\n", table.render());
    for line in verified(report) {
        let _ = writeln!(text, "ok     {}", escaped(&line));
    }
    for fault in &report.faults {
        let _ = writeln!(text, "FAULT  {}", escaped(fault));
    }
    text.push_str(verdict(report));
    text
}

/// For a compliance file.
pub(super) fn markdown(report: &Report) -> String {
    let mut text = format!("# Break-glass elevation `{}`\n\n", report.elevation);
    for (name, value) in summary(report) {
        let _ = writeln!(text, "- **{name}:** {}", plain_markdown(&value));
    }
    text.push_str("\n## What happened\n\n| entry | when | event | who | what | policies | leaf hash |\n|--:|---|---|---|---|---|---|\n");
    for entry in &report.entries {
        let [index, hash, when, event, who, what, digest] = cells(entry).map(|cell| plain_markdown(&cell));
        let _ = writeln!(text, "| {index} | {when} | {event} | {who} | {what} | {digest} | {hash} |");
    }
    text.push_str("\n## What was verified\n\n");
    for line in verified(report) {
        let _ = writeln!(text, "- {}", plain_markdown(&line));
    }
    for fault in &report.faults {
        let _ = writeln!(text, "- **FAULT:** {}", plain_markdown(fault));
    }
    let _ = write!(text, "\n{}\n\n## Checkpoint\n\n```\n{}```\n", verdict(report), report.note);
    text
}

const fn verdict(report: &Report) -> &'static str {
    if report.faults.is_empty() {
        "This is its whole story."
    } else {
        "FAILED: this story must not be believed."
    }
}

fn facts(report: &Report) -> Facts {
    let mut facts = Facts::new();
    for (name, value) in summary(report) {
        facts.fact(name, &value);
    }
    facts
}

/// The elevation after its last change.
fn summary(report: &Report) -> Vec<(&'static str, String)> {
    let last = &report.last;
    let mut facts = vec![("elevation", report.elevation.to_string())];
    let mut fact = |name, value: Option<&str>| facts.extend(value.map(|value| (name, value.to_owned())));
    fact("state", at(last, "/state"));
    fact("grant", at(last, "/grant"));
    fact("requester", last.get("requester").and_then(person).as_deref());
    fact("reason", at(last, "/reason"));
    fact("ticket", at(last, "/ticket"));
    fact("asked for", at(last, "/requested_duration"));
    fact("approved for", at(last, "/duration"));
    fact("window", window(last).as_deref());
    fact("approvals", Some(&approvals(last)));
    let issued = report
        .entries
        .iter()
        .filter(|entry| at(&entry.told.json, "/type") == Some("credential.issued"))
        .count();
    fact("credentials", Some(&issued.to_string()));
    fact("log", Some(&format!("{}, {} entries", report.checkpoint.origin, report.checkpoint.size)));
    facts
}

fn window(last: &Value) -> Option<String> {
    Some(format!("{} to {}", at(last, "/starts_at")?, at(last, "/ends_at")?))
}

fn approvals(last: &Value) -> String {
    let given = last.get("approvals").and_then(Value::as_array);
    let names: Vec<String> =
        given.into_iter().flatten().filter_map(|approval| person(approval.get("by")?)).collect();
    let needed = last.get("approvals_needed").and_then(Value::as_u64).unwrap_or(0);
    format!("{} of {needed}{}{}", names.len(), if names.is_empty() { "" } else { ": " }, names.join(", "))
}

fn cells(entry: &Proven) -> [String; 7] {
    let json = &entry.told.json;
    let short = |text: &str| text.chars().take(SHORT_HASH).collect::<String>();
    [
        entry.told.index.to_string(),
        short(&BASE64.encode(entry.leaf_hash)),
        at(json, "/at").unwrap_or_default().to_owned(),
        at(json, "/type").unwrap_or_default().to_owned(),
        who(json).unwrap_or_else(|| "the clock".to_owned()),
        what(json),
        at(json, "/policy/digest").map(short).unwrap_or_default(),
    ]
}

/// Who did it; nobody when it was the clock.
fn who(entry: &Value) -> Option<String> {
    entry.get("by").or_else(|| entry.get("principal")).and_then(person)
}

fn person(value: &Value) -> Option<String> {
    Some(format!("{}|{}", at(value, "/issuer")?, at(value, "/subject")?))
}

/// What an entry says, in a few words.
fn what(entry: &Value) -> String {
    let said = |parts: &[(&str, &str)]| {
        let parts = parts.iter().filter_map(|(word, pointer)| Some(format!("{word}{}", at(entry, pointer)?)));
        parts.collect::<Vec<_>>().join(", ")
    };
    match at(entry, "/type").unwrap_or_default() {
        "elevation.requested" => {
            said(&[("for ", "/elevation/requested_duration"), ("because: ", "/elevation/reason")])
        }
        "elevation.approved" => {
            let standing = approvals(entry.get("elevation").unwrap_or(&Value::Null));
            let words = said(&[("for ", "/elevation/duration"), ("saying: ", "/note")]);
            format!("{standing}, {words}")
        }
        "elevation.activated" => {
            said(&[("until ", "/elevation/ends_at"), ("became true at ", "/became_true_at")])
        }
        "elevation.refused" => {
            said(&[("tried to ", "/attempted"), ("refused: ", "/reason"), ("", "/detail")])
        }
        "credential.issued" => said(&[
            ("", "/credential/kind"),
            ("key ", "/credential/access_key_id"),
            ("jti ", "/credential/jti"),
            ("until ", "/credential/expires_at"),
        ]),
        "credential.delivered" => {
            let count = entry.get("count").and_then(Value::as_u64).unwrap_or(0);
            let words = said(&[("key ", "/credential/access_key_id"), ("until ", "/last_at")]);
            format!("{count} times, {words}")
        }
        "credential.refused" => said(&[("refused: ", "/reason"), ("", "/detail")]),
        "aws.assume_role.requested" => said(&[("", "/role_arn"), ("until ", "/ends_at")]),
        "lock.set" => said(&[("", "/target"), ("because: ", "/reason"), ("until ", "/until")]),
        "lock.lifted" => said(&[("", "/target")]),
        "token.revoked" => said(&[("jti ", "/jti")]),
        _ => said(&[("", "/note"), ("became true at ", "/became_true_at")]),
    }
}

/// As text and nothing else, in a paragraph and in a table's cell.
fn plain_markdown(text: &str) -> String {
    let mut plain = String::new();
    for character in escaped(text).chars() {
        match character {
            '<' => plain.push_str("&lt;"),
            '>' => plain.push_str("&gt;"),
            '&' => plain.push_str("&amp;"),
            '|' => plain.push_str("&#124;"),
            '\\' | '`' | '*' | '_' | '[' | ']' | '(' | ')' | '#' | '!' | '~' | '@' | '$' => {
                plain.push('\\');
                plain.push(character);
            }
            other => plain.push(other),
        }
    }
    // A bare address becomes a link in some dialects.
    plain.replace("://", "&#58;//").replace("www.", "www&#46;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_cannot_become_markup() {
        assert_eq!(
            plain_markdown("<img src=x> [a](http://b) at 12:00 `c` | d\n# e \u{1b}[1m"),
            r"&lt;img src=x&gt; \[a\]\(http&#58;//b\) at 12:00 \`c\` &#124; d\\n\# e \\u{1b}\[1m"
        );
    }
}
