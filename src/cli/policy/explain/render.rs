//! An explanation for people.

use std::fmt::Write as _;

use crate::cli::terminal::escaped;
use crate::explain::Answer;
use crate::policy::explain::{
    ApprovalsNeeded, AuthorSaid, Explanation, NearestMiss, Part, PolicySaid, Verdict, as_wanted,
};

/// Colours, where there is a terminal.
#[derive(Clone, Copy)]
struct Paint {
    on: bool,
}

impl Paint {
    fn dress(self, code: &str, text: &str) -> String {
        if self.on { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }

    fn good(self, text: &str) -> String {
        self.dress("32", text)
    }

    fn bad(self, text: &str) -> String {
        self.dress("31", text)
    }

    fn strong(self, text: &str) -> String {
        self.dress("1", text)
    }
}

/// All of it. Whatever a token or a caller wrote is made harmless on its way to a terminal.
pub(super) fn text(answer: &Answer, colour: bool) -> String {
    let paint = Paint { on: colour };
    let mut text = String::new();
    let explanation = &answer.explanation;
    let verdict = match explanation.decision {
        Verdict::Permit => paint.good("permit"),
        Verdict::Deny => paint.bad("deny"),
    };
    let reason = explanation.reason.as_deref().map(|reason| format!(": {}", escaped(reason)));
    let _ = writeln!(text, "{verdict}{}", reason.unwrap_or_default());
    let Explanation { principal, action, grant, at, digest, .. } = explanation;
    let digest: String = digest.to_string().chars().take(16).collect();
    let _ = writeln!(
        text,
        "  {} asks for `{action}` on `{grant}` at {at}; policies {digest}…",
        escaped(principal)
    );
    for author in &explanation.authors {
        let _ = writeln!(text);
        said(&mut text, author, paint);
    }
    if explanation.decision == Verdict::Deny {
        let _ = writeln!(text);
        nearest(&mut text, explanation.nearest.as_ref(), paint);
    }
    match explanation.approvals_needed {
        Some(ApprovalsNeeded::AtLeast(count)) => {
            let _ = writeln!(text, "\nAn elevation of this grant needs {count} approval{}.", plural(count));
        }
        Some(ApprovalsNeeded::NoNumber) => {
            let _ = writeln!(text, "\nNo number of approvals opens an elevation of this grant for them.");
        }
        None => {}
    }
    beside(&mut text, answer, paint);
    text
}

/// What refuses it beside the policies.
fn beside(text: &mut String, answer: &Answer, paint: Paint) {
    if !answer.also_refused_by.is_empty() {
        let lead = match answer.explanation.decision {
            Verdict::Permit => "It is refused all the same:",
            Verdict::Deny => "It is also refused by this:",
        };
        let _ = writeln!(text, "\n{}", paint.bad(lead));
        for finding in &answer.also_refused_by {
            let _ = writeln!(text, "  - {}", escaped(&finding.told));
        }
    }
    if !answer.not_looked_at.is_empty() {
        let _ = writeln!(text, "\nNot looked at: {}.", escaped(&answer.not_looked_at.join("; ")));
    }
}

fn said(text: &mut String, said: &AuthorSaid, paint: Paint) {
    let verdict = match (&said.permits[..], said.forbids.is_empty() && said.failed.is_empty()) {
        ([], true) => "does not permit it".to_owned(),
        ([], false) => "refuses it".to_owned(),
        (permits, true) => format!("permits it, by {}", permits.join(", ")),
        (permits, false) => format!("refuses it, although {} would permit it", permits.join(", ")),
    };
    let _ = writeln!(text, "{} {verdict}", paint.strong(&format!("The {}", said.author)));
    for policy in &said.failed {
        of_policy(text, "could not be evaluated, which denies", policy);
    }
    for policy in &said.forbids {
        of_policy(text, "forbids it, because", policy);
    }
    for policy in &said.missed {
        let what = if policy.out_of_scope { "is about others" } else { "almost permits it" };
        of_policy(text, what, policy);
    }
    if said.missed_more > 0 {
        let _ = writeln!(text, "  … and {} more that do not permit it", said.missed_more);
    }
    if said.permits.is_empty() && said.missed.is_empty() && said.forbids.is_empty() {
        let _ = writeln!(text, "  no permit of theirs is about this action and grant");
    }
}

fn of_policy(text: &mut String, what: &str, policy: &PolicySaid) {
    let name = policy.policy.split_once('#').map_or("", |(_, name)| name);
    let _ = writeln!(text, "  {}:{} #{name} {what}", policy.file, policy.line);
    for part in &policy.parts {
        of_part(text, &policy.file, part);
    }
}

fn of_part(text: &mut String, file: &str, part: &Part) {
    let _ = writeln!(text, "    {}", escaped(&as_wanted(&part.source, part.hold)));
    for found in &part.found {
        let value = found.value.as_deref().map_or_else(|| "nothing there".to_owned(), escaped);
        let _ = writeln!(text, "      {} = {value}   ({file}:{})", escaped(&found.place), part.line);
    }
}

fn nearest(text: &mut String, nearest: Option<&NearestMiss>, paint: Paint) {
    let Some(nearest) = nearest else {
        let _ = writeln!(text, "No change of the request was found that would be permitted.");
        return;
    };
    let _ = writeln!(text, "{}", paint.strong("It would be permitted, were this different:"));
    for change in &nearest.changes {
        let whose = change.policy.as_deref().map(|policy| format!("   ({policy})"));
        let _ = writeln!(text, "  - {}{}", escaped(&change.say), whose.unwrap_or_default());
    }
    let tried = if nearest.verified {
        "Tried: with these changes the same policies permit it."
    } else {
        "Not tried: not every one of these can be."
    };
    let _ = writeln!(text, "{tried}");
}

const fn plural(count: u32) -> &'static str {
    if count == 1 { "" } else { "s" }
}
