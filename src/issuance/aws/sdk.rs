//! What STS's errors mean beside those that every service of AWS has.

pub use crate::network::aws::ConnectError;
pub(super) use crate::network::aws::{causes, cut, http_client, is_throttling};

/// AWS does not accept the broker's own credentials, token or clock: no caller can do anything about that.
pub(super) fn is_about_the_broker(code: &str) -> bool {
    matches!(
        code,
        "ExpiredToken"
            | "ExpiredTokenException"
            | "RequestExpired"
            | "InvalidClientTokenId"
            | "UnrecognizedClientException"
            | "IncompleteSignature"
            | "SignatureDoesNotMatch"
            | "MissingAuthenticationToken"
            | "RegionDisabledException"
            | "InvalidIdentityToken"
            | "IDPRejectedClaim"
            | "IDPCommunicationError"
    )
}

/// AWS itself says that these pass, and asks for few repetitions.
pub(super) fn is_passing(code: &str) -> bool {
    code == "IDPCommunicationError"
}
