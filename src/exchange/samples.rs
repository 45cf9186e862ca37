//! One of everything that an exchange can end with, so that each door's tests show what it makes of it.

use std::time::Duration;

use super::{ExchangeError, Fault, NarrowingFault, Refusal, TargetRefusal};
use crate::clock::{Moment, RolledBack};
use crate::federation::TokenRefusal;
use crate::grants::AskError;
use crate::ids::IssuerName;

/// Is for the operator alone.
pub(crate) const SECRET: &str = "a secret of the operator";

/// Every way in which nothing is issued, apart from claims of a wrong shape, which only `principal` can make. What a caller
/// must not see holds the words of [`SECRET`].
pub(crate) fn every_error() -> Vec<ExchangeError> {
    let target = [
        TargetRefusal::Unknown,
        TargetRefusal::Denied(SECRET.to_owned()),
        TargetRefusal::NoElevation,
        TargetRefusal::GrantChanged,
        TargetRefusal::QuorumLost,
        TargetRefusal::Locked(SECRET.to_owned()),
    ];
    let (told, cause) = ("a limit".to_owned(), SECRET.to_owned());
    let refusals = [
        Refusal::SubjectToken(TokenRefusal::BadSignature),
        Refusal::SubjectToken(TokenRefusal::Expired),
        Refusal::SubjectToken(TokenRefusal::TooOld),
        Refusal::ActorToken(TokenRefusal::Expired),
        Refusal::ActorIsPerson,
        Refusal::Replayed,
        Refusal::ElevationNotApplicable,
        Refusal::ElevationAmbiguous,
        Refusal::ElevationOver,
        Refusal::Scope,
        Refusal::TokenType,
        Refusal::Lifetime(AskError::NothingLeft),
        Refusal::Scoping { told, cause },
        Refusal::PrincipalRate,
        Refusal::Throttled(Duration::from_secs(7)),
        Refusal::StsBudget(Duration::from_secs(8)),
    ];
    let narrowing = [
        NarrowingFault::Malformed,
        NarrowingFault::TooLarge,
        NarrowingFault::Inexpressible,
        NarrowingFault::NotApplicable,
    ];
    let narrowing = narrowing.map(|fault| {
        let (told, cause) = ("your own words".to_owned(), SECRET.to_owned());
        Refusal::Narrowing { fault, told, cause }
    });
    let secret = || SECRET.to_owned();
    let faults = [
        Fault::Audit,
        Fault::IssuerKeys(IssuerName::new("prod-cluster").unwrap()),
        Fault::Sts(secret()),
        Fault::Signing(secret()),
        Fault::Elevations(secret()),
        Fault::Clock(RolledBack { at: Moment::EPOCH, highest: Moment::from_unix_seconds(60) }),
    ];
    let refusals = target.into_iter().map(Refusal::Target).chain(refusals).chain(narrowing);
    refusals.map(Into::into).chain(faults.map(Into::into)).collect()
}
