//! Everything that a decision depended on beside the policies, as data: what the log keeps, what cases and callers of tools
//! describe, and what a solver's example becomes. Holds no token and no secret.

mod asked;
mod grant;
mod principal;

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

pub(super) use asked::lifetime;
pub use asked::{ApprovalFacts, Asked, ElevationSeen, ElevationWindow};
pub use grant::GrantFacts;
pub use principal::{PrincipalFacts, PrincipalKind};

use super::question::{IssueQuestion, PersonQuestion};
use crate::clock::Moment;
use crate::principal::{Authentication, Principal};

/// One request, as policy could see it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Facts {
    /// When it was decided: `context.now`.
    pub at: Moment,
    /// Who asked.
    pub principal: PrincipalFacts,
    /// About which grant, in the end.
    pub grant: GrantFacts,
    /// From where: `context.source_ip`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_ip: Option<IpAddr>,
    /// How they signed in: `context.auth`.
    pub auth: AuthFacts,
    /// What for, with what only such a question has.
    pub asked: Asked,
}

/// `context.auth`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AuthFacts {
    /// The token's `iat`.
    pub issued_at: Moment,
    /// `acr`
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub acr: Option<String>,
    /// `amr`
    #[serde(default, skip_serializing_if = "std::collections::BTreeSet::is_empty")]
    pub amr: std::collections::BTreeSet<String>,
    /// `auth_time`
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth_time: Option<Moment>,
}

/// Facts that no request can have.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct FactsError(pub(super) String);

impl FactsError {
    pub(in crate::policy) fn of(error: impl std::fmt::Display) -> Self {
        Self(error.to_string())
    }
}

impl Facts {
    /// Of a question about a credential.
    pub fn of_issue(question: &IssueQuestion<'_>) -> Self {
        Self {
            at: question.at,
            principal: PrincipalFacts::of(question.principal),
            grant: GrantFacts::of(question.grant),
            source_ip: question.source_ip,
            auth: AuthFacts::of(question.authentication),
            asked: Asked::of_issue(question),
        }
    }

    /// Of a question about what a person may do.
    pub fn of_person(question: &PersonQuestion<'_>) -> Self {
        Self {
            at: question.at,
            principal: PrincipalFacts::of_person(question.person),
            grant: GrantFacts::of(question.wish.grant()),
            source_ip: question.source_ip,
            auth: AuthFacts::of(question.authentication),
            asked: Asked::of_wish(&question.wish),
        }
    }

    /// The caller.
    ///
    /// # Errors
    /// No caller is like that: two records of attributes, say.
    pub fn caller(&self) -> Result<Principal, FactsError> {
        self.principal.to_principal()
    }
}

impl AuthFacts {
    /// Of a sign-in.
    pub fn of(auth: &Authentication) -> Self {
        let Authentication { issued_at, acr, amr, auth_time } = auth.clone();
        Self { issued_at, acr, amr, auth_time }
    }

    /// The sign-in.
    pub fn to_authentication(&self) -> Authentication {
        let Self { issued_at, acr, amr, auth_time } = self.clone();
        Authentication { issued_at, acr, amr, auth_time }
    }
}
