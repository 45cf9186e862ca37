//! Refusals in words: what the broker said, and what to do next.

use std::fmt;

use reqwest::StatusCode;
use serde::Deserialize;
use serde_json::Value;

use crate::cli::terminal::{cut, escaped};

/// Longer explains nothing.
const MOST_COLUMNS: usize = 400;

/// What the person was doing, for the advice; the text is an id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::cli) enum Doing<'a> {
    Request,
    Look,
    Approve(&'a str),
    Deny(&'a str),
    Withdraw(&'a str),
    End(&'a str),
    Revoke(&'a str),
    Watch,
    Lock,
    Lift,
    Explain,
}

/// `application/problem+json` (RFC 9457) with our members.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Problem {
    title: String,
    detail: String,
    code: String,
    request_id: String,
    current: Option<Value>,
}

/// The broker said no. A peer's words are escaped where they are shown.
#[derive(Debug)]
pub(in crate::cli) struct Refusal {
    status: StatusCode,
    /// `None` when it was no problem document: something else answered.
    problem: Option<Problem>,
    advice: Option<String>,
}

impl std::error::Error for Refusal {}

impl Refusal {
    /// From an answer.
    pub(super) fn read(status: StatusCode, body: &[u8]) -> Self {
        let problem =
            serde_json::from_slice::<Problem>(body).ok().filter(|problem| !problem.title.is_empty());
        Self { status, problem, advice: None }
    }

    /// May the same request come again later?
    pub(super) const fn is_passing(&self) -> bool {
        super::passes(self.status)
    }

    /// With what to do next.
    pub(super) fn on(mut self, doing: Doing<'_>) -> Self {
        self.advice = self.advice(doing);
        self
    }

    fn code(&self) -> &str {
        self.problem.as_ref().map_or("", |problem| &problem.code)
    }

    /// The state that a change came too late for.
    fn current_state(&self) -> Option<&str> {
        self.problem.as_ref()?.current.as_ref()?.get("state")?.as_str()
    }

    fn advice(&self, doing: Doing<'_>) -> Option<String> {
        self.problem.as_ref()?;
        let text = match self.status {
            StatusCode::UNAUTHORIZED => {
                "sign in again with your identity provider and renew the token file".to_owned()
            }
            StatusCode::NOT_FOUND if doing == Doing::Explain => {
                "policy decides who may `explain` a grant, and who may not cannot tell it from one that does not exist; \
                 `tidegate whoami` shows who you are"
                    .to_owned()
            }
            StatusCode::NOT_FOUND => {
                "check the id with `tidegate elevation list --all`; what you may not see is not there for you"
                    .to_owned()
            }
            StatusCode::TOO_MANY_REQUESTS => "wait a little before the next request".to_owned(),
            StatusCode::FORBIDDEN => return self.forbidden(doing),
            StatusCode::CONFLICT => return self.conflict(doing),
            StatusCode::BAD_REQUEST if doing == Doing::Request => {
                "see what you may ask for and for how long: `tidegate grants`".to_owned()
            }
            _ => return None,
        };
        Some(text)
    }

    fn forbidden(&self, doing: Doing<'_>) -> Option<String> {
        let own = self.code() == "requester_cannot_decide";
        let text = match doing {
            _ if self.code() == "locked" => "see what is frozen and why: `tidegate lock list`".to_owned(),
            Doing::Approve(id) if own => {
                format!("ask somebody else to approve: `tidegate elevation approve {id}`")
            }
            Doing::Approve(id) | Doing::Deny(id) => format!(
                "ask somebody whom policy lets decide, or the operator why you are not one: `tidegate whoami` shows who \
                 you are, `tidegate elevation show {id}` what is asked"
            ),
            Doing::Withdraw(id) | Doing::End(id) => {
                format!("only who asked can do that; an approver takes access away with `tidegate elevation revoke {id}`")
            }
            Doing::Revoke(_) => "ask an approver or the operator, or freeze it with `tidegate lock set`".to_owned(),
            Doing::Request => "see what you may ask for: `tidegate grants`".to_owned(),
            Doing::Lock | Doing::Lift => {
                "ask the operator: policy decides about the action `lock`; `tidegate whoami` shows who you are".to_owned()
            }
            Doing::Look | Doing::Watch | Doing::Explain => return None,
        };
        Some(text)
    }

    fn conflict(&self, doing: Doing<'_>) -> Option<String> {
        let text = match (doing, self.current_state()) {
            (Doing::Request, _) => {
                "see what is open: `tidegate elevation list`; take back what is not needed with \
                                    `tidegate elevation withdraw ID`"
                    .to_owned()
            }
            (Doing::Approve(id), Some("requested")) => {
                format!("somebody was faster; look at it and approve again: `tidegate elevation show {id}`")
            }
            (Doing::Deny(id), Some("active" | "approved")) => {
                format!("it is approved already: `tidegate elevation revoke {id} --reason …` takes it away")
            }
            (Doing::Withdraw(id), Some("active")) => {
                format!("it is open: give it back with `tidegate elevation end {id}`")
            }
            (Doing::End(id), Some("requested" | "approved")) => {
                format!("it is not open yet: take it back with `tidegate elevation withdraw {id}`")
            }
            (Doing::Revoke(id), Some("requested")) => {
                format!("nobody has access yet: `tidegate elevation deny {id} --reason …`")
            }
            (_, Some(state)) => format!("it is {}; that is final unless it says otherwise", escaped(state)),
            (_, None) => return None,
        };
        Some(text)
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let status = self.status.as_u16();
        let Some(problem) = &self.problem else {
            return write!(f, "the broker answered HTTP {status} without a reason: is this its address?");
        };
        let said = if problem.detail.is_empty() { &problem.title } else { &problem.detail };
        f.write_str("refused: ")?;
        if !problem.code.is_empty() {
            write!(f, "{}: ", cut(&problem.code, 64))?;
        }
        f.write_str(&cut(said, MOST_COLUMNS))?;
        if !problem.request_id.is_empty() {
            write!(f, " (request {})", cut(&problem.request_id, 64))?;
        }
        match &self.advice {
            Some(advice) => write!(f, "\n  hint: {advice}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn told(status: u16, problem: &Value, doing: Doing<'_>) -> String {
        let status = StatusCode::from_u16(status).unwrap();
        Refusal::read(status, &serde_json::to_vec(problem).unwrap()).on(doing).to_string()
    }

    #[test]
    fn what_is_no_problem_document_is_not_shown() {
        for body in [&b"<html>\x1b[2J</html>"[..], b"{}", b"[]", br#"{"error":"x"}"#] {
            let shown = Refusal::read(StatusCode::FORBIDDEN, body).on(Doing::Request).to_string();
            assert_eq!(shown, "the broker answered HTTP 403 without a reason: is this its address?");
        }
    }

    #[test]
    fn a_peers_words_cannot_drive_the_terminal() {
        let problem = json!({ "title": "t", "code": "\u{1b}[2J", "detail": "a\n  hint: run `rm`\u{202e}", "request_id": "\u{7}" });
        let shown = told(400, &problem, Doing::Look);
        assert_eq!(shown, r"refused: \u{1b}[2J: a\n  hint: run `rm`\u{202e} (request \u{7})");
    }

    #[test]
    fn who_asks_cannot_approve_and_is_told_who_can() {
        let problem = json!({ "title": "Forbidden", "status": 403, "code": "requester_cannot_decide", "request_id": "r-1",
            "detail": "the requester cannot decide about their own request" });
        insta::assert_snapshot!(told(403, &problem, Doing::Approve("elv-1")), @r"
        refused: requester_cannot_decide: the requester cannot decide about their own request (request r-1)
          hint: ask somebody else to approve: `tidegate elevation approve elv-1`
        ");
    }

    #[test]
    fn every_conflict_says_which_command_fits_the_state() {
        let conflict =
            |state: &str| json!({ "title": "Conflict", "detail": "no", "current": { "state": state } });
        for (doing, state, fits) in [
            (Doing::Withdraw("e"), "active", "tidegate elevation end e"),
            (Doing::End("e"), "requested", "tidegate elevation withdraw e"),
            (Doing::Deny("e"), "active", "tidegate elevation revoke e"),
            (Doing::Revoke("e"), "requested", "tidegate elevation deny e"),
            (Doing::Approve("e"), "expired", "it is expired"),
        ] {
            let shown = told(409, &conflict(state), doing);
            assert!(shown.contains(fits), "{doing:?} {state}: {shown}");
        }
        assert!(!told(409, &json!({ "title": "Conflict" }), Doing::End("e")).contains("hint"));
    }
}
