//! What AWS KMS's refusals mean, and what to do about each.

use std::fmt;
use std::time::Duration;

use super::kms::CONTEXT;
use crate::network::aws::{cut, is_throttling};

/// KMS did not do what it was asked to. The text is for the operator and says what to mend.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KmsError {
    /// As in policies: `kms:Encrypt`, `kms:Decrypt`.
    pub(super) action: &'static str,
    /// The ARN of the key.
    pub(super) key: String,
    /// For which broker.
    pub(super) origin: String,
    pub(super) reason: Reason,
}

/// Why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Reason {
    /// A policy does not allow it.
    Denied(String),
    /// AWS does not take the broker's identity.
    Identity(String),
    /// No such key, there.
    NotFound,
    /// It was switched off.
    Disabled,
    /// About to be deleted, or without its material.
    State(String),
    /// Not a symmetric key for encryption.
    OtherUse,
    /// It did not wrap this, or not for this broker.
    NotOurs,
    /// Anything else.
    Refused {
        /// AWS's code.
        code: String,
        /// AWS's words.
        message: String,
    },
    /// No usable answer for so long.
    Away {
        /// The last attempt's failure.
        why: String,
        /// How long it was tried.
        within: Duration,
    },
}

impl std::error::Error for KmsError {}

impl fmt::Display for KmsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { action, key, origin, reason } = self;
        match reason {
            Reason::Denied(words) => write!(
                f,
                "AWS KMS denies {action} on `{key}`: allow it in the key's policy and to the broker's identity, with the encryption context `{CONTEXT}` = `{origin}` ({words})"
            ),
            Reason::Identity(words) => {
                write!(f, "AWS does not take the broker's identity for {action} on `{key}`: {words}")
            }
            Reason::NotFound => write!(
                f,
                "AWS KMS knows no key `{key}`: check region, account and id, and that `keys.kms_endpoint` is the right one"
            ),
            Reason::Disabled => write!(
                f,
                "the KMS key `{key}` is disabled: enable it (`aws kms enable-key`), nothing that it wrapped can be opened meanwhile"
            ),
            Reason::State(words) => write!(
                f,
                "the KMS key `{key}` cannot be used now: {words}; when it is waiting for deletion, cancel that at once (`aws kms cancel-key-deletion`, then `enable-key`)"
            ),
            Reason::OtherUse => write!(
                f,
                "the KMS key `{key}` cannot encrypt: it must be of the spec SYMMETRIC_DEFAULT and for ENCRYPT_DECRYPT"
            ),
            Reason::NotOurs => write!(
                f,
                "the KMS key `{key}` does not open the kept key-encryption key: it was wrapped by another key, or for another `audit.origin` than `{origin}`, or was changed"
            ),
            Reason::Refused { code, message } => {
                write!(f, "AWS KMS refuses {action} on `{key}` ({code}): {message}")
            }
            Reason::Away { why, within } => write!(
                f,
                "AWS KMS gave no answer to {action} on `{key}` within {} s: {why}; check the network, `keys.kms_endpoint` and the broker's AWS identity",
                within.as_secs()
            ),
        }
    }
}

/// One attempt's end, apart from success.
#[derive(Debug)]
pub(super) enum Failure {
    /// Worth another attempt.
    Passing(String),
    Final(Reason),
}

impl Failure {
    /// What a code of KMS (API reference, "Common errors" and those of `Encrypt` and `Decrypt`) means.
    pub(super) fn of(status: u16, code: Option<&str>, message: String) -> Self {
        let code = code.unwrap_or("no code");
        let reason = match code {
            "AccessDeniedException" | "AccessDenied" => Reason::Denied(message),
            "NotFoundException" => Reason::NotFound,
            "DisabledException" => Reason::Disabled,
            "KMSInvalidStateException" => Reason::State(message),
            "InvalidKeyUsageException" | "UnsupportedOperationException" => Reason::OtherUse,
            "IncorrectKeyException" | "InvalidCiphertextException" => Reason::NotOurs,
            "UnrecognizedClientException"
            | "InvalidClientTokenId"
            | "ExpiredTokenException"
            | "InvalidSignatureException"
            | "SignatureDoesNotMatch"
            | "IncompleteSignature"
            | "MissingAuthenticationToken"
            | "NotAuthorized"
            | "OptInRequired" => Reason::Identity(cut(&format!("{code}: {message}"))),
            passing if status == 429 || status >= 500 || may_pass(passing) => {
                return Self::Passing(cut(&format!("status {status}, {passing}: {message}")));
            }
            code => Reason::Refused { code: cut(code), message },
        };
        Self::Final(reason)
    }
}

fn may_pass(code: &str) -> bool {
    is_throttling(code)
        || matches!(
            code,
            "KMSInternalException"
                | "KeyUnavailableException"
                | "DependencyTimeoutException"
                | "ServiceUnavailable"
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(status: u16, code: &str) -> String {
        let reason = match Failure::of(status, Some(code), "their words".to_owned()) {
            Failure::Final(reason) => reason,
            Failure::Passing(why) => Reason::Away { why, within: Duration::from_secs(30) },
        };
        let (key, origin) = ("arn:aws:kms:x".to_owned(), "broker.example.com/tidegate".to_owned());
        KmsError { action: "kms:Decrypt", key, origin, reason }.to_string()
    }

    #[test]
    fn every_refusal_names_the_key_and_says_what_to_do() {
        for (status, code, told) in [
            (400, "AccessDeniedException", "`tidegate:origin` = `broker.example.com/tidegate` (their words)"),
            (400, "UnrecognizedClientException", "identity for kms:Decrypt"),
            (400, "NotFoundException", "check region, account and id"),
            (400, "DisabledException", "enable it"),
            (400, "KMSInvalidStateException", "cancel that at once"),
            (400, "InvalidKeyUsageException", "SYMMETRIC_DEFAULT"),
            (400, "IncorrectKeyException", "wrapped by another key"),
            (400, "InvalidCiphertextException", "another `audit.origin`"),
            (400, "SomethingNew", "(SomethingNew): their words"),
        ] {
            let text = text(status, code);
            assert!(text.contains(told) && text.contains("`arn:aws:kms:x`"), "{code}: {text}");
            assert!(!text.ends_with('.'), "{text}");
        }
    }

    #[test]
    fn what_may_pass_is_asked_again() {
        for (status, code) in [
            (400, "ThrottlingException"),
            (400, "LimitExceededException"),
            (500, "KMSInternalException"),
            (400, "KeyUnavailableException"),
            (400, "DependencyTimeoutException"),
            (503, "no code"),
            (429, "no code"),
        ] {
            assert!(text(status, code).contains("within 30 s"), "{code}");
        }
    }
}
