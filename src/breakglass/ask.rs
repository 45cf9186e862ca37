//! What an engineer asks for, checked before anybody is asked to decide.

use std::collections::BTreeSet;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::elevation::Participant;
use crate::clock::Moment;
use crate::grants::{Grant, GrantKind};
use crate::ids::{GrantName, Scope};
use crate::secret::Fingerprint;

/// Longer is no reason but a document.
const MOST_REASON_BYTES: usize = 2_000;
/// Longer is no ticket.
const MOST_TICKET_BYTES: usize = 200;

/// What was asked for. Never changes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ask {
    /// For which grant.
    pub grant: GrantName,
    /// Digest of the grant's configuration: what was approved is what is issued, or nothing is.
    pub grant_version: Fingerprint,
    /// By whom.
    pub requester: Participant,
    /// How long access should last.
    #[serde(with = "crate::span::seconds")]
    pub duration: Duration,
    /// Why, in the requester's words.
    pub reason: String,
    /// Where the work is tracked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ticket: Option<String>,
    /// Not earlier than this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_before: Option<Moment>,
    /// Only these scopes: always there for a `jwt` grant, with all of its scopes when the caller named none; never for AWS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<BTreeSet<Scope>>,
    /// When it was asked.
    pub created_at: Moment,
    /// The first moment at which it waits no longer for approvals.
    pub expires_at: Moment,
}

/// What a ticket looks like: a regular expression for all of it, with or without `^` and `$`.
#[derive(Clone, Debug)]
pub struct TicketPattern {
    text: String,
    whole: regex::Regex,
}

impl TicketPattern {
    /// From the operator's text.
    pub fn parse(text: &str) -> Result<Self, regex::Error> {
        Ok(Self { text: text.to_owned(), whole: regex::Regex::new(&format!(r"\A(?:{text})\z"))? })
    }

    /// Is all of `ticket` of that shape?
    pub fn matches(&self, ticket: &str) -> bool {
        self.whole.is_match(ticket)
    }
}

/// What the operator demands of a request.
#[derive(Clone, Debug)]
pub struct AskRules {
    /// How long a request may wait.
    pub request_ttl: Duration,
    /// The fewest characters of a reason.
    pub min_reason: usize,
    /// What a ticket must look like, all of it. A pattern makes the ticket obligatory.
    pub ticket: Option<TicketPattern>,
    /// How far ahead `not_before` may lie.
    pub horizon: Duration,
}

/// A request that nobody is asked to decide. Each text says what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "each variant's message says it")]
pub enum AskRefusal {
    #[error("`reason` must have at least {least} characters: say what you will do and why")]
    ReasonShort { least: usize },
    #[error("`reason` must have at most {MOST_REASON_BYTES} bytes")]
    ReasonLong,
    #[error("`ticket` is missing: a request for access names where the work is tracked")]
    TicketMissing,
    #[error("`ticket` does not look like a ticket here; the operator's pattern is `{pattern}`")]
    TicketShape { pattern: String },
    #[error("`ticket` must have 1 to {MOST_TICKET_BYTES} bytes")]
    TicketSize,
    #[error("`duration` must be at least one second")]
    NoDuration,
    #[error("`duration` must be at most {}: that is the grant's longest", crate::span::format_duration(*.most))]
    TooLong { most: Duration },
    #[error("`not_before` must lie in the future, at most {} ahead", crate::span::format_duration(*.horizon))]
    NotBefore { horizon: Duration },
    #[error("`scope` must name at least one of the grant's scopes and none that it does not have")]
    Scope,
    #[error("the grant is no break-glass grant: ask for it at the token endpoint, without an elevation")]
    NotBreakGlass,
}

impl AskRules {
    /// Checks `ask` against the rules and the grant's caps at the moment it was asked.
    pub fn check(&self, ask: &Ask, grant: &Grant) -> Result<(), AskRefusal> {
        let caps = grant.break_glass.ok_or(AskRefusal::NotBreakGlass)?;
        self.check_words(ask)?;
        match ask.duration {
            none if none < Duration::from_secs(1) => return Err(AskRefusal::NoDuration),
            long if long > caps.max_duration => return Err(AskRefusal::TooLong { most: caps.max_duration }),
            _ => {}
        }
        let horizon = self.horizon;
        if ask.not_before.is_some_and(|at| at <= ask.created_at || at > ask.created_at.plus(horizon)) {
            return Err(AskRefusal::NotBefore { horizon });
        }
        if ask.scope.as_ref().is_some_and(|scope| !fits(scope, grant)) {
            return Err(AskRefusal::Scope);
        }
        Ok(())
    }

    /// Until when a request made at `at` waits: no longer than its window could last.
    pub fn expires_at(&self, at: Moment, not_before: Option<Moment>, duration: Duration) -> Moment {
        let by_ttl = at.plus(self.request_ttl);
        not_before.map_or(by_ttl, |start| by_ttl.min(start.plus(duration)))
    }

    fn check_words(&self, ask: &Ask) -> Result<(), AskRefusal> {
        if ask.reason.trim().chars().count() < self.min_reason.max(1) {
            return Err(AskRefusal::ReasonShort { least: self.min_reason.max(1) });
        }
        if ask.reason.len() > MOST_REASON_BYTES {
            return Err(AskRefusal::ReasonLong);
        }
        match (&ask.ticket, &self.ticket) {
            (None, Some(_)) => Err(AskRefusal::TicketMissing),
            (Some(ticket), _) if !(1..=MOST_TICKET_BYTES).contains(&ticket.len()) => {
                Err(AskRefusal::TicketSize)
            }
            (Some(ticket), Some(pattern)) if !pattern.matches(ticket) => {
                Err(AskRefusal::TicketShape { pattern: pattern.text.clone() })
            }
            _ => Ok(()),
        }
    }
}

fn fits(scope: &BTreeSet<Scope>, grant: &Grant) -> bool {
    match &grant.kind {
        GrantKind::Jwt(jwt) => !scope.is_empty() && scope.is_subset(&jwt.scopes),
        GrantKind::Aws(_) => false,
    }
}
