//! An elevation as the API shows it, and as a person reads it.

use std::time::Duration;

use anyhow::Context as _;
use serde::Deserialize;
use serde_json::Value;

use crate::breakglass::StateName;
use crate::cli::terminal::{Facts, Table, cut};
use crate::clock::Moment;
use crate::span::format_duration;

/// A reason in a list is a hint; `show` has all of it.
const REASON_COLUMNS: usize = 40;

/// A person. The name is for display.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(in crate::cli) struct Who {
    pub(in crate::cli) issuer: String,
    pub(in crate::cli) subject: String,
    #[serde(default)]
    name: Option<String>,
}

/// One yes.
#[derive(Clone, Debug, Deserialize)]
struct ApprovalView {
    #[serde(flatten)]
    by: Who,
    at: Moment,
    comment: Option<String>,
    duration: Option<String>,
    scope: Option<String>,
}

/// One line of history.
#[derive(Clone, Debug, Deserialize)]
struct HappeningView {
    at: Moment,
    event: String,
    by: Option<Who>,
    note: Option<String>,
}

/// What the broker says about an elevation; what it says beyond this is left to `--output json`.
#[derive(Clone, Debug, Deserialize)]
pub(in crate::cli) struct View {
    pub(in crate::cli) id: String,
    pub(in crate::cli) version: u64,
    pub(in crate::cli) state: StateName,
    grant: String,
    requester: Who,
    reason: String,
    ticket: Option<String>,
    requested_duration: String,
    duration: String,
    scope: Option<String>,
    created_at: Moment,
    request_expires_at: Moment,
    not_before: Option<Moment>,
    starts_at: Option<Moment>,
    ends_at: Option<Moment>,
    #[serde(default)]
    approvals: Vec<ApprovalView>,
    #[serde(default)]
    approvals_needed: u32,
    #[serde(default)]
    decided_policies: Vec<String>,
    #[serde(default)]
    history: Vec<HappeningView>,
    sessions_end: Option<String>,
    #[serde(default = "yes")]
    pub(in crate::cli) recorded: bool,
}

const fn yes() -> bool {
    true
}

impl Who {
    /// `Ann (customer|00u1)`: the part that decides is always there.
    pub(in crate::cli) fn text(&self) -> String {
        let id = format!("{}|{}", self.issuer, self.subject);
        self.name.as_ref().map_or_else(|| id.clone(), |name| format!("{name} ({id})"))
    }
}

impl View {
    /// From an answer or an event.
    pub(in crate::cli) fn read(value: &Value) -> anyhow::Result<Self> {
        Self::deserialize(value).context("the broker's answer is no elevation: is this its address?")
    }

    /// Is nothing to come?
    pub(in crate::cli) const fn is_over(&self) -> bool {
        !matches!(self.state, StateName::Requested | StateName::Approved | StateName::Active)
    }

    /// Where it stands, on one line: `1 of 2 approvals`, `42m10s left`, …
    pub(in crate::cli) fn standing(&self, at: Moment) -> String {
        match self.state {
            StateName::Requested => format!(
                "{} of {} approvals, waits {}",
                self.approvals.len(),
                self.approvals_needed,
                span(at, self.request_expires_at)
            ),
            StateName::Approved => match self.starts_at.filter(|start| at < *start) {
                Some(start) => format!("opens in {}", span(at, start)),
                None => "opens now".to_owned(),
            },
            StateName::Active => self.ends_at.map_or_else(String::new, |end| remaining(at, end)),
            StateName::Expired | StateName::Ended | StateName::Revoked => {
                self.last_change().map_or_else(String::new, |end| format!("ended at {end}"))
            }
            StateName::Denied | StateName::Withdrawn | StateName::Lapsed => {
                self.last_change().map_or_else(String::new, |end| format!("at {end}"))
            }
        }
    }

    /// Everything, for `show`.
    pub(in crate::cli) fn render(&self, at: Moment) -> String {
        let mut facts = Facts::new();
        facts.fact("elevation", &self.id);
        facts.fact("state", &format!("{}: {}", self.state, self.standing(at)));
        facts.fact("grant", &self.grant);
        facts.fact("requester", &self.requester.text());
        facts.fact("reason", &self.reason);
        facts.maybe("ticket", self.ticket.as_deref());
        facts.fact("duration", &self.duration_text());
        facts.maybe("scope", self.scope.as_deref());
        facts.fact("asked at", &self.created_at.to_string());
        facts.maybe("not before", self.not_before.map(|at| at.to_string()).as_deref());
        facts.maybe("starts at", self.starts_at.map(|at| at.to_string()).as_deref());
        facts.maybe("ends at", self.ends_at.map(|at| at.to_string()).as_deref());
        self.approval_facts(&mut facts);
        facts.maybe("aws sessions", self.sessions_end.as_deref());
        for (index, policy) in self.decided_policies.iter().enumerate() {
            facts.fact(if index == 0 { "decided by" } else { "" }, policy);
        }
        format!("{}\n\n{}", facts.render(), self.history_table().render())
    }

    fn duration_text(&self) -> String {
        if self.duration == self.requested_duration {
            return self.duration.clone();
        }
        format!("{} ({} was asked for)", self.duration, self.requested_duration)
    }

    fn approval_facts(&self, facts: &mut Facts) {
        facts.fact("approvals", &format!("{} of {}", self.approvals.len(), self.approvals_needed));
        for approval in &self.approvals {
            let mut text = format!("{} at {}", approval.by.text(), approval.at);
            for (word, part) in
                [("for at most", &approval.duration), ("for", &approval.scope), ("saying", &approval.comment)]
            {
                if let Some(part) = part {
                    text = format!("{text}, {word} {part}");
                }
            }
            facts.fact("", &text);
        }
    }

    fn history_table(&self) -> Table {
        let mut table = Table::new(&["WHEN", "WHAT", "WHO", "NOTE"]);
        for happening in &self.history {
            let who = happening.by.as_ref().map_or_else(|| "the clock".to_owned(), Who::text);
            let note = happening.note.as_deref().unwrap_or_default();
            table.row([&happening.at.to_string(), &happening.event, &who, note]);
        }
        table
    }

    fn last_change(&self) -> Option<Moment> {
        self.history.last().map(|happening| happening.at)
    }

    /// What happened last, on one line.
    pub(in crate::cli) fn news(&self) -> String {
        let Some(last) = self.history.last() else { return self.state.to_string() };
        let who = last.by.as_ref().map_or_else(String::new, |who| format!(" by {}", who.text()));
        format!("{}  {}{who}", last.at, last.event)
    }
}

/// Many of them, a line for each.
pub(in crate::cli) fn list(views: &[View], at: Moment) -> String {
    let mut table = Table::new(&["ID", "STATE", "GRANT", "REQUESTER", "DURATION", "STANDING", "REASON"]);
    for view in views {
        table.row([
            &view.id,
            view.state.as_str(),
            &view.grant,
            &view.requester.text(),
            &view.duration,
            &view.standing(at),
            &cut(&view.reason, REASON_COLUMNS),
        ]);
    }
    if table.is_empty() { "no elevation that you may see".to_owned() } else { table.render() }
}

/// The countdown's text. Rounded up, so that `0s` is said only when it is true.
pub(in crate::cli) fn remaining(at: Moment, end: Moment) -> String {
    if at >= end { "the window is over".to_owned() } else { format!("{} left", span(at, end)) }
}

fn span(from: Moment, to: Moment) -> String {
    let millis = to.since(from).as_millis();
    format_duration(Duration::from_secs(u64::try_from(millis.div_ceil(1000)).unwrap_or(u64::MAX)))
}

#[cfg(test)]
pub(in crate::cli) mod tests {
    use serde_json::json;

    use super::*;

    /// 2026-11-22T16:03:12Z
    pub(in crate::cli) const NOW: Moment = Moment::from_unix_seconds(1_795_363_392);

    /// As the API gives it.
    pub(in crate::cli) fn elevation(state: &str, version: u64) -> Value {
        json!({
            "id": "elv-01", "version": version, "state": state, "grant": "prod-admin",
            "requester": { "issuer": "vendor", "subject": "v7", "name": "Vera" },
            "reason": "disk full\u{1b}[2J", "requested_duration": "2h", "duration": "1h",
            "created_at": "2026-11-22T16:00:00Z", "request_expires_at": "2026-11-22T17:00:00Z",
            "starts_at": "2026-11-22T16:02:00Z", "ends_at": "2026-11-22T17:02:00Z",
            "approvals": [{ "issuer": "customer", "subject": "a1", "name": "Ann", "at": "2026-11-22T16:02:00Z",
                            "comment": "go", "duration": "1h" }],
            "approvals_needed": 2, "decided_policies": ["customer/people.cedar#two", "vendor/needs.cedar#ours"],
            "history": [
                { "at": "2026-11-22T16:00:00Z", "event": "requested",
                  "by": { "issuer": "vendor", "subject": "v7", "name": "Vera" } },
                { "at": "2026-11-22T16:02:00Z", "event": "activated" },
            ],
        })
    }

    fn view(state: &str) -> View {
        View::read(&elevation(state, 3)).unwrap()
    }

    #[test]
    fn an_answer_that_is_no_elevation_is_refused_without_showing_it() {
        let refusal = format!("{:#}", View::read(&json!({ "id": "x", "secret": "hunter2" })).unwrap_err());
        assert!(!refusal.contains("hunter2"), "{refusal}");
    }

    #[test]
    fn the_countdown_never_says_zero_before_the_end() {
        let end = NOW.plus(Duration::from_secs(90));
        assert_eq!(remaining(NOW, end), "1m30s left");
        assert_eq!(remaining(end.minus(Duration::from_millis(1)), end), "1s left");
        assert_eq!(remaining(end, end), "the window is over");
        assert_eq!(remaining(end.plus(Duration::from_secs(5)), end), "the window is over");
    }

    #[test]
    fn the_standing_fits_the_state() {
        assert_eq!(view("requested").standing(NOW), "1 of 2 approvals, waits 56m48s");
        assert_eq!(view("active").standing(NOW), "58m48s left");
        assert_eq!(view("approved").standing(NOW.minus(Duration::from_mins(2))), "opens in 48s");
        assert_eq!(view("approved").standing(NOW), "opens now");
        assert_eq!(view("revoked").standing(NOW), "ended at 2026-11-22T16:02:00Z");
        assert!(view("lapsed").is_over() && !view("active").is_over());
    }

    #[test]
    fn an_elevation_is_shown_with_everything_that_an_approver_needs() {
        insta::assert_snapshot!(view("active").render(NOW), @r"
        elevation   elv-01
        state       active: 58m48s left
        grant       prod-admin
        requester   Vera (vendor|v7)
        reason      disk full\u{1b}[2J
        duration    1h (2h was asked for)
        asked at    2026-11-22T16:00:00Z
        starts at   2026-11-22T16:02:00Z
        ends at     2026-11-22T17:02:00Z
        approvals   1 of 2
                    Ann (customer|a1) at 2026-11-22T16:02:00Z, for at most 1h, saying go
        decided by  customer/people.cedar#two
                    vendor/needs.cedar#ours

        WHEN                  WHAT       WHO               NOTE
        2026-11-22T16:00:00Z  requested  Vera (vendor|v7)  -
        2026-11-22T16:02:00Z  activated  the clock         -
        ");
    }

    #[test]
    fn a_list_has_a_line_for_each() {
        insta::assert_snapshot!(list(&[view("active"), view("requested")], NOW), @r"
        ID      STATE      GRANT       REQUESTER         DURATION  STANDING                        REASON
        elv-01  active     prod-admin  Vera (vendor|v7)  1h        58m48s left                     disk full\u{1b}[2J
        elv-01  requested  prod-admin  Vera (vendor|v7)  1h        1 of 2 approvals, waits 56m48s  disk full\u{1b}[2J
        ");
        assert_eq!(list(&[], NOW), "no elevation that you may see");
    }
}
