//! Errors in STS's dialect: an `ErrorResponse` whose code decides whether an SDK comes again.
//!
//! SDKs repeat 5xx, `Throttling` and `IDPCommunicationError`; Go repeats `InvalidIdentityToken` too, so that a token which
//! only needs to be newer has a code of its own.

use std::time::Duration;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;

use super::answer::xml_answer;
use super::xml::Xml;
use crate::exchange::{ExchangeError, Fault, NarrowingFault, Refusal, SignatureRefusal};
use crate::http::desk::{CANNOT_ISSUE, TOO_MANY_FAILURES};
use crate::http::form::FormError;
use crate::ids::RequestId;

/// An answer that is none of what was asked for.
#[derive(Debug, thiserror::Error)]
pub(super) enum StsError {
    #[error("the request has no `Action`: AssumeRoleWithWebIdentity or GetCallerIdentity")]
    MissingAction,
    #[error(
        "`{0}` is not served here: this is a Tidegate broker, which knows AssumeRoleWithWebIdentity and GetCallerIdentity"
    )]
    InvalidAction(String),
    #[error("{0}")]
    Validation(String),
    #[error(transparent)]
    Form(FormError),
    #[error("{TOO_MANY_FAILURES}")]
    Blocked(Duration),
    #[error(transparent)]
    Exchange(ExchangeError),
    #[error(transparent)]
    Signature(#[from] SignatureRefusal),
    /// The exchange was asked for AWS credentials and gave others: a fault of ours.
    #[error("{CANNOT_ISSUE}")]
    NoAwsCredential,
}

impl StsError {
    pub(super) fn invalid_action(action: &str) -> Self {
        let shown = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
        Self::InvalidAction(action.chars().take(64).filter(shown).collect())
    }

    fn status_and_code(&self) -> (StatusCode, &'static str) {
        match self {
            Self::MissingAction => (StatusCode::BAD_REQUEST, "MissingAction"),
            Self::InvalidAction(_) => (StatusCode::BAD_REQUEST, "InvalidAction"),
            Self::Validation(_) => (StatusCode::BAD_REQUEST, "ValidationError"),
            Self::Form(error) => (error.status(), "ValidationError"),
            Self::Blocked(_) => (StatusCode::TOO_MANY_REQUESTS, "Throttling"),
            Self::Exchange(ExchangeError::Refused(refusal)) => of_refusal(refusal),
            // An issuer whose keys cannot be had is the one fault for which STS has a word that SDKs wait for.
            Self::Exchange(ExchangeError::Failed(Fault::IssuerKeys(_))) => {
                (StatusCode::BAD_REQUEST, "IDPCommunicationError")
            }
            Self::Exchange(ExchangeError::Failed(_)) | Self::NoAwsCredential => {
                (StatusCode::SERVICE_UNAVAILABLE, "ServiceUnavailable")
            }
            Self::Signature(refusal) => of_signature(*refusal),
        }
    }

    fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Blocked(wait)
            | Self::Exchange(ExchangeError::Refused(Refusal::Throttled(wait) | Refusal::StsBudget(wait))) => {
                Some(*wait)
            }
            Self::Exchange(ExchangeError::Refused(Refusal::PrincipalRate) | ExchangeError::Failed(_))
            | Self::NoAwsCredential => Some(Duration::from_secs(1)),
            _ => None,
        }
    }

    /// Of a fault the caller sees only whose keys are away, or that we are unavailable.
    fn told(&self) -> String {
        match self {
            Self::Exchange(ExchangeError::Failed(Fault::IssuerKeys(_))) => {
                "the keys of the token's issuer cannot be had now; nothing was issued; try again".to_owned()
            }
            Self::Exchange(ExchangeError::Failed(_)) => CANNOT_ISSUE.to_owned(),
            Self::Exchange(ExchangeError::Refused(Refusal::ElevationAmbiguous)) => {
                "more than one elevation of yours for this grant is open, and STS has no way to name one: use the \
                 token endpoint or the container-credentials door"
                    .to_owned()
            }
            other => other.to_string(),
        }
    }
}

impl From<FormError> for StsError {
    fn from(error: FormError) -> Self {
        match error {
            FormError::Unknown(name) if name.starts_with("PolicyArns.") => {
                Self::Validation("parameter `PolicyArns` is not supported: narrow with `Policy`".to_owned())
            }
            other => Self::Form(other),
        }
    }
}

fn of_refusal(refusal: &Refusal) -> (StatusCode, &'static str) {
    if refusal.wants_a_new_token() {
        return (StatusCode::BAD_REQUEST, "ExpiredTokenException");
    }
    match refusal {
        Refusal::SubjectToken(_)
        | Refusal::ActorToken(_)
        | Refusal::ActorIsPerson
        | Refusal::Claims(_)
        | Refusal::Replayed
        | Refusal::Lifetime(_) => (StatusCode::BAD_REQUEST, "InvalidIdentityToken"),
        Refusal::Target(_) | Refusal::Scoping { .. } | Refusal::ElevationOver => {
            (StatusCode::FORBIDDEN, "AccessDenied")
        }
        Refusal::ElevationNotApplicable
        | Refusal::ElevationAmbiguous
        | Refusal::Scope
        | Refusal::TokenType => (StatusCode::BAD_REQUEST, "ValidationError"),
        // AWS has a word for what is no policy and for what is too large. That a policy cannot be put together with another one
        // happens only here.
        Refusal::Narrowing { fault, .. } => {
            let code = match fault {
                NarrowingFault::Malformed => "MalformedPolicyDocument",
                NarrowingFault::TooLarge => "PackedPolicyTooLarge",
                NarrowingFault::Inexpressible | NarrowingFault::NotApplicable => "ValidationError",
            };
            (StatusCode::BAD_REQUEST, code)
        }
        Refusal::PrincipalRate | Refusal::Throttled(_) | Refusal::StsBudget(_) => {
            (StatusCode::TOO_MANY_REQUESTS, "Throttling")
        }
    }
}

const fn of_signature(refusal: SignatureRefusal) -> (StatusCode, &'static str) {
    match refusal {
        SignatureRefusal::Missing => (StatusCode::FORBIDDEN, "MissingAuthenticationToken"),
        SignatureRefusal::Incomplete => (StatusCode::BAD_REQUEST, "IncompleteSignature"),
        SignatureRefusal::UnknownKey => (StatusCode::FORBIDDEN, "InvalidClientTokenId"),
        SignatureRefusal::Mismatch | SignatureRefusal::Skewed => {
            (StatusCode::FORBIDDEN, "SignatureDoesNotMatch")
        }
        SignatureRefusal::Expired => (StatusCode::FORBIDDEN, "ExpiredToken"),
    }
}

pub(super) fn error_answer(error: &StsError, request_id: RequestId) -> Response {
    let (status, code) = error.status_and_code();
    let blame = if status.is_server_error() { "Receiver" } else { "Sender" };
    let mut response = xml_answer(Xml::document("ErrorResponse", |xml| {
        xml.element("Error", |xml| {
            xml.text("Type", blame);
            xml.text("Code", code);
            xml.text("Message", &error.told());
        });
        xml.text("RequestId", &request_id.to_string());
    }));
    *response.status_mut() = status;
    if let Some(wait) = error.retry_after() {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(wait.as_secs().max(1)));
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exchange::samples::{SECRET, every_error};

    #[test]
    fn every_end_of_an_exchange_has_a_status_and_a_code_and_tells_nothing_of_the_operators() {
        let mut lines = String::new();
        for error in every_error() {
            let reason = match &error {
                ExchangeError::Refused(refusal) => refusal.code(),
                ExchangeError::Failed(fault) => fault.code(),
            };
            let error = StsError::Exchange(error);
            let (status, code) = error.status_and_code();
            let (status, wait, told) = (status.as_u16(), error.retry_after(), error.told());
            assert!(!told.contains(SECRET), "{told}");
            lines.extend([format!("{reason}: {status} {code:?} {wait:?} {told}\n")]);
        }
        insta::assert_snapshot!(lines);
    }
}
