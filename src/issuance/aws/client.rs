//! The one place that talks to STS.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use aws_sdk_sts::config::{BehaviorVersion, Region, retry::RetryConfig, timeout::TimeoutConfig};
use aws_sdk_sts::error::{ProvideErrorMetadata as _, SdkError};
use aws_sdk_sts::operation::assume_role::{AssumeRoleError, AssumeRoleOutput};
use aws_sdk_sts::types::Tag;
use tokio::time::Instant;

use super::cache::Session;
use super::limits::{LONGEST_CHAINED_SESSION_SECONDS, LONGEST_SESSION_SECONDS};
use super::plan::Plan;
use super::sdk::{ConnectError, causes, cut, http_client, is_about_the_broker, is_throttling};
use crate::clock::Moment;
use crate::entropy::{Entropy, bytes};
use crate::issuance::IssueError;
use crate::secret::SecretText;

/// More attempts than fit into a sensible deadline: a bound for the case that chance gives no pauses.
const MOST_ATTEMPTS: u32 = 8;

/// How STS is reached. The broker's own identity comes from AWS's default chain: environment, profile, web identity,
/// container, instance.
#[derive(Clone, Debug)]
pub struct Settings {
    /// `aws.region`; without it the default chain's.
    pub region: Option<String>,
    /// `aws.sts_endpoint`: for tests and private endpoints.
    pub sts_endpoint: Option<String>,
    /// PEM that is trusted instead of the system's roots, for private endpoints.
    pub ca_file: Option<PathBuf>,
    /// `aws.external_id`: what role trust policies of other accounts may ask for.
    pub external_id: Option<String>,
    /// The broker's own identity is an assumed role: STS then gives at most one hour (role chaining).
    pub chained: bool,
    /// How long one request may wait for STS, all attempts together.
    pub deadline: Duration,
    /// How long one attempt may take.
    pub attempt_timeout: Duration,
    /// The pause after the first throttled attempt is anything up to this; it doubles with each.
    pub first_backoff: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            region: None,
            sts_endpoint: None,
            ca_file: None,
            external_id: None,
            chained: false,
            deadline: Duration::from_secs(8),
            attempt_timeout: Duration::from_secs(3),
            first_backoff: Duration::from_millis(100),
        }
    }
}

/// Calls `AssumeRole`.
#[derive(Clone)]
pub struct StsClient {
    sts: aws_sdk_sts::Client,
    settings: Settings,
    entropy: Arc<dyn Entropy>,
}

impl std::fmt::Debug for StsClient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StsClient").field("settings", &self.settings).finish_non_exhaustive()
    }
}

/// One attempt's end, apart from success.
enum Failure {
    Throttled,
    Final(IssueError),
}

impl StsClient {
    /// With the broker's own identity from AWS's default chain. Nothing is called yet.
    pub async fn connect(settings: Settings, entropy: Arc<dyn Entropy>) -> Result<Self, ConnectError> {
        let mut loader = aws_config::defaults(BehaviorVersion::latest())
            .http_client(http_client(settings.ca_file.as_deref())?);
        if let Some(region) = &settings.region {
            loader = loader.region(Region::new(region.clone()));
        }
        let shared = loader.load().await;
        if shared.region().is_none() {
            return Err(ConnectError::NoRegion);
        }
        Ok(Self::with_config(aws_sdk_sts::config::Builder::from(&shared), settings, entropy))
    }

    /// With the given credentials and nothing from the environment: for tests and the demo's stand-in.
    pub fn with_credentials(
        settings: Settings,
        credentials: aws_credential_types::Credentials,
        entropy: Arc<dyn Entropy>,
    ) -> Result<Self, ConnectError> {
        let region = settings.region.clone().ok_or(ConnectError::NoRegion)?;
        let config = aws_sdk_sts::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new(region))
            .http_client(http_client(settings.ca_file.as_deref())?)
            .credentials_provider(credentials);
        Ok(Self::with_config(config, settings, entropy))
    }

    fn with_config(
        mut config: aws_sdk_sts::config::Builder,
        settings: Settings,
        entropy: Arc<dyn Entropy>,
    ) -> Self {
        // The SDK's own retries know no deadline of ours and retry what we remember as refused.
        config.set_retry_config(Some(RetryConfig::disabled()));
        config.set_timeout_config(Some(
            TimeoutConfig::builder()
                .connect_timeout(settings.attempt_timeout)
                .operation_timeout(settings.attempt_timeout)
                .build(),
        ));
        config.set_endpoint_url(settings.sts_endpoint.clone());
        Self { sts: aws_sdk_sts::Client::from_conf(config.build()), settings, entropy }
    }

    /// How long [`assume_role`](Self::assume_role) takes at most.
    pub(super) fn deadline(&self) -> Duration {
        self.settings.deadline
    }

    /// The longest `DurationSeconds` for this broker.
    pub(super) fn longest_session(&self) -> u32 {
        if self.settings.chained { LONGEST_CHAINED_SESSION_SECONDS } else { LONGEST_SESSION_SECONDS }
    }

    /// Assumes the plan's role. Throttling is retried inside the deadline, after pauses of random length, so that
    /// brokers that were throttled together do not come back together; nothing else is retried.
    pub(super) async fn assume_role(&self, plan: &Plan) -> Result<Session, IssueError> {
        let outcome = self.attempts(plan).await;
        let label = match &outcome {
            Ok(_) => "ok",
            Err(IssueError::SlowDown { .. }) => "throttled",
            Err(IssueError::Refused { .. }) => "refused",
            Err(_) => "unavailable",
        };
        metrics::counter!("tidegate_sts_calls_total", "outcome" => label).increment(1);
        if let Ok(Session { packed_policy_percent: Some(percent), .. }) = outcome {
            metrics::histogram!("tidegate_sts_packed_policy_percent").record(f64::from(percent));
        }
        outcome
    }

    async fn attempts(&self, plan: &Plan) -> Result<Session, IssueError> {
        let end = Instant::now() + self.settings.deadline;
        for attempt in 0..MOST_ATTEMPTS {
            // Boxed: the SDK's future has 15 KB, which every exchange would carry although most meet the cache.
            match tokio::time::timeout_at(end, Box::pin(self.attempt(plan))).await {
                Ok(Ok(session)) => return Ok(session),
                Ok(Err(Failure::Final(error))) => return Err(error),
                Ok(Err(Failure::Throttled)) => {}
                Err(_) => return Err(IssueError::Unavailable("no answer before the deadline".to_owned())),
            }
            let pause = self.pause(attempt)?;
            if Instant::now() + pause >= end {
                break;
            }
            tokio::time::sleep(pause).await;
        }
        Err(IssueError::SlowDown { retry_after: Duration::from_secs(1) + self.pause(3)? })
    }

    /// "Full jitter": anything from nothing to the first pause, doubled with each attempt.
    fn pause(&self, attempt: u32) -> Result<Duration, IssueError> {
        let ceiling = self.settings.first_backoff.saturating_mul(1 << attempt.min(5));
        let chance = f64::from(u32::from_be_bytes(bytes(&*self.entropy)?)) / f64::from(u32::MAX);
        Ok(ceiling.mul_f64(chance))
    }

    async fn attempt(&self, plan: &Plan) -> Result<Session, Failure> {
        let duration = i32::try_from(plan.duration_seconds()).unwrap_or(i32::MAX);
        let answer = self
            .sts
            .assume_role()
            .role_arn(plan.role_arn())
            .role_session_name(plan.session_name())
            .source_identity(plan.source_identity())
            .set_external_id(self.settings.external_id.clone())
            .policy(plan.policy())
            .duration_seconds(duration)
            .set_tags(tags(plan)?)
            .set_transitive_tag_keys(some_if_any(plan.transitive_tags().to_vec()))
            .send()
            .await;
        match answer {
            Ok(output) => session(plan, &output).map_err(Failure::Final),
            Err(error) => Err(failure(&error)),
        }
    }
}

fn tags(plan: &Plan) -> Result<Option<Vec<Tag>>, Failure> {
    let unbuilt = |_| Failure::Final(IssueError::Unavailable("a session tag could not be built".to_owned()));
    let tags: Result<Vec<Tag>, _> =
        plan.tags().iter().map(|(key, value)| Tag::builder().key(key).value(value).build()).collect();
    tags.map(some_if_any).map_err(unbuilt)
}

fn some_if_any<T>(items: Vec<T>) -> Option<Vec<T>> {
    if items.is_empty() { None } else { Some(items) }
}

fn session(plan: &Plan, output: &AssumeRoleOutput) -> Result<Session, IssueError> {
    let nothing = || IssueError::Unavailable("the answer holds no usable credentials".to_owned());
    let credentials = output.credentials().ok_or_else(nothing)?;
    let texts = [credentials.access_key_id(), credentials.secret_access_key(), credentials.session_token()];
    // AWS's end may come before ours when its clock is ahead: whoever is told a later end would be cut off by surprise.
    let aws_end = Moment::from_unix_seconds(credentials.expiration().secs());
    let ends_at = plan.ends_at().min(aws_end);
    if texts.iter().any(|text| text.is_empty()) || ends_at <= plan.at() {
        return Err(nothing());
    }
    Ok(Session {
        access_key_id: credentials.access_key_id().to_owned(),
        secret_access_key: SecretText::new(credentials.secret_access_key().to_owned()),
        session_token: SecretText::new(credentials.session_token().to_owned()),
        packed_policy_percent: packed_percent(output),
        assumed_role_id: output.assumed_role_user().map(|user| user.assumed_role_id().to_owned()),
        began_at: plan.at(),
        ends_at,
    })
}

/// How much of STS's packed limit policy and tags take. AWS is renaming it; other endpoints know the old name only.
#[expect(deprecated, reason = "the old name is what most endpoints answer with")]
fn packed_percent(output: &AssumeRoleOutput) -> Option<i32> {
    output.session_token_utilization().or_else(|| output.packed_policy_size())
}

fn failure(error: &SdkError<AssumeRoleError>) -> Failure {
    let service = match error {
        SdkError::ServiceError(service) => service,
        // Nothing of this error is shown: it carries the answer, and half an answer may be a whole secret.
        SdkError::ResponseError(_) => {
            return Failure::Final(IssueError::Unavailable("the answer cannot be understood".to_owned()));
        }
        other => return Failure::Final(IssueError::Unavailable(cut(&causes(other)))),
    };
    let status = service.raw().status().as_u16();
    match (service.err().code(), service.err().message()) {
        (code, _) if status == 429 || code.is_some_and(is_throttling) => Failure::Throttled,
        (Some(code), message) if (400..500).contains(&status) && !is_about_the_broker(code) => {
            Failure::Final(IssueError::Refused { code: cut(code), message: cut(message.unwrap_or_default()) })
        }
        (code, message) => Failure::Final(IssueError::Unavailable(cut(&format!(
            "status {status}, {}: {}",
            code.unwrap_or("no code"),
            message.unwrap_or("no message")
        )))),
    }
}
