//! The one place that talks to AWS KMS. It is called at start, when the key-encryption key is changed, and when another
//! replica has changed it: never for a token.

use std::path::PathBuf;
use std::time::Duration;

use aws_credential_types::Credentials;
use aws_sdk_kms::Client;
use aws_sdk_kms::config::{BehaviorVersion, Builder, Region, retry::RetryConfig, timeout::TimeoutConfig};
use aws_sdk_kms::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_kms::primitives::Blob;
use tokio::time::Instant;
use zeroize::Zeroizing;

use super::KmsKey;
use super::kms_error::{Failure, KmsError, Reason};
use crate::entropy::{Entropy, bytes};
use crate::network::aws::{ConnectError, causes, cut, http_client};

/// Binds what KMS wraps to one broker: whoever may use the KMS key for another one cannot open this one's. It stands in
/// CloudTrail with every call, and a key's policy can ask for it (`kms:EncryptionContext:tidegate:origin`).
pub(super) const CONTEXT: &str = "tidegate:origin";

/// How long one attempt may take.
const ATTEMPT: Duration = Duration::from_secs(5);
/// The pause after the first failed attempt is anything up to this; it doubles with each.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
/// Four seconds at the most between two attempts.
const MOST_DOUBLINGS: u32 = 4;

/// How KMS is reached, whichever of its keys is used.
#[derive(Clone, Debug)]
pub struct KmsSettings {
    /// `keys.kms_endpoint`: instead of the region's own.
    pub endpoint: Option<String>,
    /// `aws.ca_file`: PEM that is trusted instead of the system's roots.
    pub ca_file: Option<PathBuf>,
    /// These instead of AWS's default chain: for tests and stand-ins.
    pub credentials: Option<Credentials>,
    /// `audit.origin`, which never changes in the life of a log.
    pub origin: String,
    /// How long one call may take, all attempts together.
    pub deadline: Duration,
}

/// One key of AWS KMS, ready to be called.
pub(super) struct Kms {
    key: KmsKey,
    client: Client,
    origin: String,
    deadline: Duration,
}

impl std::fmt::Debug for Kms {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Kms").field("key", &self.key).field("origin", &self.origin).finish_non_exhaustive()
    }
}

impl Kms {
    /// Nothing is called yet.
    pub(super) async fn connect(key: KmsKey, settings: &KmsSettings) -> Result<Self, ConnectError> {
        let region = Region::new(key.region().as_str().to_owned());
        let mut config = base(settings, region.clone()).await?.region(region);
        config.set_endpoint_url(settings.endpoint.clone());
        // The SDK's own retries know no deadline of ours.
        config.set_retry_config(Some(RetryConfig::disabled()));
        config.set_timeout_config(Some(
            TimeoutConfig::builder().connect_timeout(ATTEMPT).operation_timeout(ATTEMPT).build(),
        ));
        let (client, origin) = (Client::from_conf(config.build()), settings.origin.clone());
        Ok(Self { key, client, origin, deadline: settings.deadline })
    }

    pub(super) fn key(&self) -> &KmsKey {
        &self.key
    }

    /// Has KMS wrap 32 bytes.
    pub(super) async fn wrap(&self, secret: &[u8; 32], entropy: &dyn Entropy) -> Result<Vec<u8>, KmsError> {
        self.patiently("kms:Encrypt", entropy, || async {
            let asked = self.client.encrypt().key_id(self.key.as_str());
            let asked = asked.encryption_context(CONTEXT, &self.origin).plaintext(Blob::new(secret));
            let answer = Box::pin(asked.send()).await.map_err(|error| failure(&error))?;
            answer.ciphertext_blob.map(Blob::into_inner).ok_or_else(nothing_in_it)
        })
        .await
    }

    /// Has KMS open what it wrapped for the same broker.
    pub(super) async fn unwrap(
        &self,
        wrapped: &[u8],
        entropy: &dyn Entropy,
    ) -> Result<Zeroizing<Vec<u8>>, KmsError> {
        self.patiently("kms:Decrypt", entropy, || async {
            let asked = self.client.decrypt().key_id(self.key.as_str());
            let asked = asked.encryption_context(CONTEXT, &self.origin).ciphertext_blob(Blob::new(wrapped));
            let answer = Box::pin(asked.send()).await.map_err(|error| failure(&error))?;
            answer.plaintext.map(|secret| Zeroizing::new(secret.into_inner())).ok_or_else(nothing_in_it)
        })
        .await
    }

    /// Tries until the deadline what may pass: throttling, an outage, a network or an identity that is not there yet.
    async fn patiently<T, F>(
        &self,
        action: &'static str,
        entropy: &dyn Entropy,
        once: impl Fn() -> F,
    ) -> Result<T, KmsError>
    where
        F: Future<Output = Result<T, Failure>>,
    {
        let end = Instant::now() + self.deadline;
        let mut attempt = 0;
        loop {
            let outcome = tokio::time::timeout_at(end, once()).await;
            let reason = match outcome {
                Ok(Ok(value)) => {
                    count(action, "ok");
                    return Ok(value);
                }
                Ok(Err(Failure::Final(reason))) => {
                    count(action, "refused");
                    return Err(self.error(action, reason));
                }
                Ok(Err(Failure::Passing(why))) => why,
                Err(_) => "no answer".to_owned(),
            };
            count(action, "unavailable");
            let pause = pause(attempt, entropy);
            attempt += 1;
            if Instant::now() + pause >= end {
                return Err(self.error(action, Reason::Away { why: reason, within: self.deadline }));
            }
            tracing::warn!(action, key = %self.key, why = %reason, "AWS KMS does not answer; it is asked again");
            tokio::time::sleep(pause).await;
        }
    }

    fn error(&self, action: &'static str, reason: Reason) -> KmsError {
        KmsError { action, key: self.key.as_str().to_owned(), origin: self.origin.clone(), reason }
    }
}

async fn base(settings: &KmsSettings, region: Region) -> Result<Builder, ConnectError> {
    let http = http_client(settings.ca_file.as_deref())?;
    if let Some(credentials) = &settings.credentials {
        let fixed = Builder::new().credentials_provider(credentials.clone()).http_client(http);
        return Ok(fixed.behavior_version(BehaviorVersion::latest()));
    }
    let loader = aws_config::defaults(BehaviorVersion::latest()).http_client(http).region(region);
    Ok(Builder::from(&loader.load().await))
}

/// "Full jitter", so that replicas that start together do not come back together. Without chance, the whole pause.
fn pause(attempt: u32, entropy: &dyn Entropy) -> Duration {
    let ceiling = FIRST_PAUSE.saturating_mul(1 << attempt.min(MOST_DOUBLINGS));
    let chance = bytes(entropy).map_or(1.0, |dice| f64::from(u32::from_be_bytes(dice)) / f64::from(u32::MAX));
    ceiling.mul_f64(chance)
}

fn count(action: &'static str, outcome: &'static str) {
    metrics::counter!("tidegate_kms_calls_total", "action" => action, "outcome" => outcome).increment(1);
}

fn nothing_in_it() -> Failure {
    Failure::Final(Reason::Refused { code: "no code".to_owned(), message: "the answer is empty".to_owned() })
}

fn failure<E>(error: &SdkError<E>) -> Failure
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
{
    match error {
        SdkError::ServiceError(service) => {
            let status = service.raw().status().as_u16();
            let message = cut(service.err().message().unwrap_or("no message"));
            Failure::of(status, service.err().code(), message)
        }
        // Nothing of this error is shown: it carries the answer, and half an answer may be a whole secret.
        SdkError::ResponseError(_) => Failure::Passing("the answer cannot be understood".to_owned()),
        other => Failure::Passing(cut(&causes(other))),
    }
}
