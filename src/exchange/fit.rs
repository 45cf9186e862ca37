//! Does what was asked for fit the grant? A misfit is kept beside what would fit, so that policy decides first.

use std::borrow::Cow;
use std::collections::BTreeSet;

use super::elevation::Target;
use super::{Attempt, Refusal};
use crate::clock::Moment;
use crate::grants::{Grant, GrantKind, Lifetime, effective};
use crate::ids::Scope;
use crate::issuance::aws::NarrowingFault;

/// Which type of token the caller wants (RFC 8693 §2.1 `requested_token_type`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WantedType {
    /// Whatever the grant makes.
    #[default]
    Any,
    /// `urn:ietf:params:oauth:token-type:jwt` or `…:access_token`.
    Jwt,
    /// `urn:tidegate:params:oauth:token-type:aws-credentials`.
    Aws,
}

/// What policy is asked about, and what is wrong with the request if policy would permit it.
#[derive(Debug)]
pub(super) struct Fit {
    pub(super) ttl: Lifetime,
    pub(super) scopes: BTreeSet<Scope>,
    pub(super) misfit: Option<Refusal>,
}

pub(super) fn fit(attempt: Attempt<'_>, target: &Target) -> Fit {
    let (scopes, scope_fault) = scopes(attempt.request.scopes.as_ref(), target.scopes());
    let (ttl, ttl_fault) = lifetime(attempt, target);
    let type_fault = type_misfit(attempt.request.wanted, &target.grant).then_some(Refusal::TokenType);
    let named_fault = target.misfit(attempt.request.elevation);
    let policy_fault = attempt.request.narrowing.as_ref().and_then(|_| policy_misfit(&target.grant));
    let misfit = named_fault.or(type_fault).or(policy_fault).or(scope_fault).or(ttl_fault);
    Fit { ttl, scopes, misfit }
}

/// The subject token's end, where the profile says that a credential must not pass it.
pub(super) fn end_of_token(attempt: Attempt<'_>) -> Option<Moment> {
    let token = &attempt.caller.token;
    token.profile().credential_ends_with_token().then(|| token.expires_at())
}

fn scopes(
    asked: Option<&BTreeSet<Scope>>,
    granted: Cow<'_, BTreeSet<Scope>>,
) -> (BTreeSet<Scope>, Option<Refusal>) {
    match asked {
        None => (granted.into_owned(), None),
        Some(asked) if asked.is_subset(&granted) => (asked.clone(), None),
        Some(_) => (granted.into_owned(), Some(Refusal::Scope)),
    }
}

/// More than what is left of the window is cut to it: who asks near its end gets the rest.
fn lifetime(attempt: Attempt<'_>, target: &Target) -> (Lifetime, Option<Refusal>) {
    let token_left = end_of_token(attempt).map(|end| end.since(attempt.at.floor_second()));
    let bounds: Vec<_> = token_left.into_iter().chain(target.left(attempt.at)).collect();
    let caps = target.grant.caps;
    match effective(attempt.request.lifetime, caps, &bounds) {
        Ok(ttl) => (ttl, None),
        Err(error) => (caps.default, Some(Refusal::Lifetime(error))),
    }
}

fn type_misfit(wanted: WantedType, grant: &Grant) -> bool {
    match (wanted, &grant.kind) {
        (WantedType::Any, _)
        | (WantedType::Jwt, GrantKind::Jwt(_))
        | (WantedType::Aws, GrantKind::Aws(_)) => false,
        (WantedType::Jwt, GrantKind::Aws(_)) | (WantedType::Aws, GrantKind::Jwt(_)) => true,
    }
}

/// A session policy narrows an AWS session, and nothing else.
fn policy_misfit(grant: &Grant) -> Option<Refusal> {
    let told = "the grant makes no AWS credentials that a session policy could narrow; leave the policy out";
    match &grant.kind {
        GrantKind::Aws(_) => None,
        GrantKind::Jwt(_) => Some(Refusal::Narrowing {
            fault: NarrowingFault::NotApplicable,
            told: told.to_owned(),
            cause: told.to_owned(),
        }),
    }
}
