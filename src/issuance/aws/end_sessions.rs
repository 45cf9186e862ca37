//! Ends sessions that an elevation has already got: a Deny in a policy of its own on the grant's role, and away again when
//! no such session can be left.
//!
//! A policy for each elevation, by its name: IAM replaces whole documents, so two elevations that wrote into one would
//! lose each other's Deny.

use std::path::PathBuf;
use std::time::Duration;

use aws_sdk_iam::config::{BehaviorVersion, Region, retry::RetryConfig, timeout::TimeoutConfig};
use aws_sdk_iam::error::{ProvideErrorMetadata, SdkError};

use super::sdk::{ConnectError, causes, cut, http_client};
use crate::clock::Moment;
use crate::grants::{Grant, GrantKind, RoleArn};
use crate::ids::ElevationId;

/// AWS stamps a session with its own clock, and `since` comes from ours. `SigV4` lets them be five minutes apart. Nothing that
/// should live is hit: an elevation that has ended never gets a session again.
const CLOCKS_APART: Duration = Duration::from_mins(5);
/// Inside one deadline. Whoever asked tries again anyway, with growing pauses.
const ATTEMPTS: u32 = 2;

/// How IAM is reached.
#[derive(Clone, Debug)]
pub struct EndSettings {
    /// `aws.region`: picks the partition's IAM; without it the default chain's.
    pub region: Option<String>,
    /// `aws.iam_endpoint`: for tests and private endpoints.
    pub iam_endpoint: Option<String>,
    /// PEM that is trusted instead of the system's roots, for private endpoints.
    pub ca_file: Option<PathBuf>,
    /// How long one call may take, all attempts together.
    pub deadline: Duration,
    /// How long one attempt may take.
    pub attempt_timeout: Duration,
}

impl Default for EndSettings {
    fn default() -> Self {
        Self {
            region: None,
            iam_endpoint: None,
            ca_file: None,
            deadline: Duration::from_secs(8),
            attempt_timeout: Duration::from_secs(3),
        }
    }
}

/// Whose sessions end.
#[derive(Clone, Copy, Debug)]
pub struct EndOrder<'a> {
    /// Whose role they are sessions of.
    pub grant: &'a Grant,
    /// Their `SourceIdentity`.
    pub elevation: ElevationId,
    /// The elevation ended then.
    pub since: Moment,
    /// The last of them has ended by itself then.
    pub until: Moment,
}

/// Sessions were not ended, or the Deny not taken away. The texts are for the operator.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EndError {
    /// A JWT grant has no role.
    #[error("the grant is not of kind `aws`")]
    NotAws,
    /// A role of the same name in the broker's account would be changed instead.
    #[error(
        "IAM knows that role's name as `{found}`: the broker's identity must be in the account of the grant's role"
    )]
    OtherRole {
        /// What IAM answered.
        found: String,
    },
    /// AWS said no; it needs somebody to act.
    #[error("IAM refused ({code}): {message}")]
    Refused {
        /// AWS's code.
        code: String,
        /// AWS's words.
        message: String,
    },
    /// No usable answer.
    #[error("IAM is unavailable: {0}")]
    Unavailable(String),
}

/// Calls IAM.
#[derive(Clone)]
pub struct SessionEnder {
    iam: aws_sdk_iam::Client,
    settings: EndSettings,
}

impl std::fmt::Debug for SessionEnder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SessionEnder").field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl SessionEnder {
    /// With the broker's own identity from AWS's default chain. Nothing is called yet.
    pub async fn connect(settings: EndSettings) -> Result<Self, ConnectError> {
        let client = http_client(settings.ca_file.as_deref())?;
        let mut loader = aws_config::defaults(BehaviorVersion::latest()).http_client(client);
        if let Some(region) = &settings.region {
            loader = loader.region(Region::new(region.clone()));
        }
        let shared = loader.load().await;
        if shared.region().is_none() {
            return Err(ConnectError::NoRegion);
        }
        Ok(Self::with_config(aws_sdk_iam::config::Builder::from(&shared), settings))
    }

    /// With the given credentials and nothing from the environment: for tests and stand-ins.
    pub fn with_credentials(
        settings: EndSettings,
        credentials: aws_credential_types::Credentials,
    ) -> Result<Self, ConnectError> {
        let region = settings.region.clone().ok_or(ConnectError::NoRegion)?;
        let config = aws_sdk_iam::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new(region))
            .http_client(http_client(settings.ca_file.as_deref())?)
            .credentials_provider(credentials);
        Ok(Self::with_config(config, settings))
    }

    fn with_config(mut config: aws_sdk_iam::config::Builder, settings: EndSettings) -> Self {
        config.set_retry_config(Some(RetryConfig::standard().with_max_attempts(ATTEMPTS)));
        config.set_timeout_config(Some(
            TimeoutConfig::builder()
                .connect_timeout(settings.attempt_timeout)
                .operation_attempt_timeout(settings.attempt_timeout)
                .operation_timeout(settings.deadline)
                .build(),
        ));
        config.set_endpoint_url(settings.iam_endpoint.clone());
        Self { iam: aws_sdk_iam::Client::from_conf(config.build()), settings }
    }

    /// Puts the Deny on the role. Again is no error: the document is the same.
    pub async fn deny(&self, order: &EndOrder<'_>) -> Result<(), EndError> {
        let outcome = self.put(order).await;
        note("deny", &outcome);
        if outcome.is_ok() {
            let EndOrder { grant, elevation, until, .. } = order;
            tracing::info!(grant.name = %grant.name, %elevation, %until, "AWS took a Deny of the elevation's sessions");
        }
        outcome
    }

    /// Takes the Deny away. One that is gone, with its role or without, is no error.
    pub async fn lift(&self, order: &EndOrder<'_>) -> Result<(), EndError> {
        let outcome = self.delete(order).await;
        note("lift", &outcome);
        outcome
    }

    async fn put(&self, order: &EndOrder<'_>) -> Result<(), EndError> {
        let role = role(order.grant)?;
        self.check_account(role).await?;
        let call = self
            .iam
            .put_role_policy()
            .role_name(role.name())
            .policy_name(policy_name(order.elevation))
            .policy_document(document(order));
        // Boxed, here and below: the SDK's futures are large, and callers carry them.
        Box::pin(call.send()).await.map(|_| ()).map_err(|error| failure(&error))
    }

    /// IAM's calls take a name and mean the caller's own account. A role of another account must not make us change one of
    /// ours that happens to be called the same, and believe that sessions have ended.
    async fn check_account(&self, role: &RoleArn) -> Result<(), EndError> {
        let answer = Box::pin(self.iam.get_role().role_name(role.name()).send()).await;
        let answer = answer.map_err(|error| failure(&error))?;
        match answer.role().map(aws_sdk_iam::types::Role::arn) {
            Some(found) if found == role.as_str() => Ok(()),
            Some(found) => Err(EndError::OtherRole { found: cut(found) }),
            None => Err(EndError::Unavailable("the answer holds no role".to_owned())),
        }
    }

    async fn delete(&self, order: &EndOrder<'_>) -> Result<(), EndError> {
        let call = self.iam.delete_role_policy().role_name(role(order.grant)?.name());
        match Box::pin(call.policy_name(policy_name(order.elevation)).send()).await {
            Ok(_) => Ok(()),
            Err(error) if error.code() == Some("NoSuchEntity") => Ok(()),
            Err(error) => Err(failure(&error)),
        }
    }
}

fn role(grant: &Grant) -> Result<&RoleArn, EndError> {
    match &grant.kind {
        GrantKind::Aws(aws) => Ok(&aws.role_arn),
        GrantKind::Jwt(_) => Err(EndError::NotAws),
    }
}

/// `tidegate-end-<uuid>`: at most 128 of `[\w+=,.@-]` (IAM `PutRolePolicy`).
fn policy_name(elevation: ElevationId) -> String {
    let id = elevation.to_string();
    format!("tidegate-end-{}", id.strip_prefix("elv-").unwrap_or(&id))
}

/// Short: all inline policies of a role together have 10,240 characters.
fn document(order: &EndOrder<'_>) -> String {
    let issued_before = order.since.plus(CLOCKS_APART).floor_second();
    serde_json::json!({
        "Version": "2012-10-17",
        "Statement": [{
            "Effect": "Deny",
            "Action": "*",
            "Resource": "*",
            "Condition": {
                "DateLessThan": { "aws:TokenIssueTime": issued_before },
                "StringEquals": { "aws:SourceIdentity": order.elevation },
            },
        }],
    })
    .to_string()
}

fn note(step: &'static str, outcome: &Result<(), EndError>) {
    let label = match outcome {
        Ok(()) => "ok",
        Err(EndError::Unavailable(_)) => "unavailable",
        Err(_) => "refused",
    };
    metrics::counter!("tidegate_session_ends_total", "step" => step, "outcome" => label).increment(1);
}

fn failure<E>(error: &SdkError<E>) -> EndError
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
{
    let service = match error {
        SdkError::ServiceError(service) => service,
        SdkError::ResponseError(_) => {
            return EndError::Unavailable("the answer cannot be understood".to_owned());
        }
        other => return EndError::Unavailable(cut(&causes(other))),
    };
    let status = service.raw().status().as_u16();
    let message = service.err().message().unwrap_or("no message");
    match service.err().code() {
        // Being too fast or at the same time as somebody else passes by itself.
        Some(code)
            if (400..500).contains(&status)
                && !super::sdk::is_throttling(code)
                && code != "ConcurrentModification" =>
        {
            EndError::Refused { code: cut(code), message: cut(message) }
        }
        code => {
            EndError::Unavailable(cut(&format!("status {status}, {}: {message}", code.unwrap_or("no code"))))
        }
    }
}
