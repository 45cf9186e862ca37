//! What the clients of AWS share: the way there, and what AWS's errors mean.

use std::path::{Path, PathBuf};

use aws_sdk_sts::config::SharedHttpClient;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_http_client::tls::{Provider, TlsContext, TrustStore};

/// AWS's words are for the operator: enough to understand, not enough to flood a log.
const LONGEST_MESSAGE: usize = 400;

/// No client could be made.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// `ca_file`
    #[error("`aws.ca_file` `{}` cannot be read: {source}", path.display())]
    CaFile {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// TLS.
    #[error("no TLS context for AWS: {0}")]
    Tls(String),
    /// Neither configured nor in the environment.
    #[error("no AWS region: set `aws.region`")]
    NoRegion,
}

/// Over TLS with ring; `ca_file` (PEM) is trusted instead of the system's roots.
pub(crate) fn http_client(ca_file: Option<&Path>) -> Result<SharedHttpClient, ConnectError> {
    let mut trust = TrustStore::default();
    if let Some(path) = ca_file {
        let pem =
            std::fs::read(path).map_err(|source| ConnectError::CaFile { path: path.to_owned(), source })?;
        trust = TrustStore::empty().with_native_roots(false).with_pem_certificate(pem);
    }
    let context = TlsContext::builder()
        .with_trust_store(trust)
        .build()
        .map_err(|error| ConnectError::Tls(error.to_string()))?;
    Ok(aws_smithy_http_client::Builder::new()
        .tls_provider(Provider::Rustls(CryptoMode::Ring))
        .tls_context(context)
        .build_https())
}

/// The chain of causes in words. Not the SDK's `DisplayErrorContext`: that adds the `Debug` form, which prints bodies.
pub(crate) fn causes(error: &(dyn std::error::Error + 'static)) -> String {
    let words: Vec<String> =
        std::iter::successors(Some(error), |cause| cause.source()).map(ToString::to_string).collect();
    words.join(": ")
}

/// Every code that AWS's own SDKs take for throttling.
pub(crate) fn is_throttling(code: &str) -> bool {
    matches!(
        code,
        "Throttling"
            | "ThrottlingException"
            | "ThrottledException"
            | "RequestThrottled"
            | "RequestThrottledException"
            | "RequestLimitExceeded"
            | "TooManyRequestsException"
            | "LimitExceededException"
            | "BandwidthLimitExceeded"
            | "SlowDown"
            | "PriorRequestNotComplete"
    )
}

/// AWS's words, fit for a log.
pub(crate) fn cut(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(LONGEST_MESSAGE).collect()
}
