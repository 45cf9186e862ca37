//! The one place that talks to STS: a client for each region and endpoint, and how often it tries.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use aws_sdk_sts::Client;
use aws_sdk_sts::config::{
    BehaviorVersion, Builder, Region, SharedHttpClient, retry::RetryConfig, timeout::TimeoutConfig,
};
use tokio::time::Instant;

use super::ask::{self, Failure};
use super::cache::Session;
use super::limits::{LONGEST_CHAINED_SESSION_SECONDS, LONGEST_SESSION_SECONDS};
use super::plan::{Mode, Plan};
use super::sdk::{ConnectError, http_client};
use super::web_identity::WebIdentity;
use crate::clock::Moment;
use crate::entropy::{Entropy, bytes};
use crate::grants::StsRoute;
use crate::issuance::IssueError;
use crate::secret::SecretText;

/// More attempts than fit into a sensible deadline: a bound for the case that chance gives no pauses.
const MOST_ATTEMPTS: u32 = 8;
/// For what AWS says may pass but must not be asked often.
const MOST_PASSING_ATTEMPTS: u32 = 3;

/// How STS is reached, whichever.
#[derive(Clone, Debug)]
pub struct Settings {
    /// PEM that is trusted instead of the system's roots, for private endpoints.
    pub ca_file: Option<PathBuf>,
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
            ca_file: None,
            chained: false,
            deadline: Duration::from_secs(8),
            attempt_timeout: Duration::from_secs(3),
            first_backoff: Duration::from_millis(100),
        }
    }
}

/// As whom STS is asked.
#[derive(Debug)]
pub struct Identity(Kind);

enum Kind {
    Chain(Box<aws_config::SdkConfig>),
    Fixed(aws_credential_types::Credentials),
    WebIdentity(Arc<WebIdentity>),
}

impl std::fmt::Debug for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Chain(_) => "Chain",
            Self::Fixed(_) => "Fixed",
            Self::WebIdentity(_) => "WebIdentity",
        })
    }
}

impl Identity {
    /// The broker's own identity from AWS's default chain: environment, profile, web identity, container, instance.
    /// `region` is where the chain's own calls go. Nothing is called yet.
    pub async fn default_chain(
        region: &crate::grants::Region,
        ca_file: Option<&std::path::Path>,
    ) -> Result<Self, ConnectError> {
        let loader = aws_config::defaults(BehaviorVersion::latest())
            .http_client(http_client(ca_file)?)
            .region(Region::new(region.as_str().to_owned()));
        Ok(Self(Kind::Chain(Box::new(loader.load().await))))
    }

    /// These credentials, and nothing from the environment: for tests and the demo's stand-in.
    pub fn fixed(credentials: aws_credential_types::Credentials) -> Self {
        Self(Kind::Fixed(credentials))
    }

    /// None: calls are not signed, and nothing is looked for in the environment. Tokens of `signer` speak for us.
    pub fn web_identity(signer: WebIdentity) -> Self {
        Self(Kind::WebIdentity(Arc::new(signer)))
    }

    fn base(&self) -> Builder {
        match &self.0 {
            Kind::Chain(shared) => Builder::from(&**shared),
            Kind::Fixed(credentials) => Builder::new()
                .behavior_version(BehaviorVersion::latest())
                .credentials_provider(credentials.clone()),
            Kind::WebIdentity(_) => Builder::new().behavior_version(BehaviorVersion::latest()),
        }
    }

    fn client(&self, route: &StsRoute, http: &SharedHttpClient, settings: &Settings) -> Client {
        let mut config = self.base().http_client(http.clone());
        config.set_region(Some(Region::new(route.region.as_str().to_owned())));
        config.set_endpoint_url(route.endpoint.clone());
        // The SDK's own retries know no deadline of ours and retry what we remember as refused.
        config.set_retry_config(Some(RetryConfig::disabled()));
        config.set_timeout_config(Some(
            TimeoutConfig::builder()
                .connect_timeout(settings.attempt_timeout)
                .operation_timeout(settings.attempt_timeout)
                .build(),
        ));
        Client::from_conf(config.build())
    }
}

/// Every STS that some grant needs.
pub struct StsClients {
    by_route: BTreeMap<StsRoute, Client>,
    identity: Identity,
    settings: Settings,
    entropy: Arc<dyn Entropy>,
}

impl std::fmt::Debug for StsClients {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StsClients").field("identity", &self.identity).finish_non_exhaustive()
    }
}

/// One call that is ready to be made: whatever has to be signed is.
pub(super) struct Call<'a> {
    clients: &'a StsClients,
    sts: &'a Client,
    plan: &'a Plan,
    token: Option<SecretText>,
}

impl StsClients {
    /// One client for each of `routes`. Nothing is called yet.
    pub fn new(
        routes: impl IntoIterator<Item = StsRoute>,
        identity: Identity,
        settings: Settings,
        entropy: Arc<dyn Entropy>,
    ) -> Result<Self, ConnectError> {
        let http = http_client(settings.ca_file.as_deref())?;
        let with_client = |route: StsRoute| {
            let client = identity.client(&route, &http, &settings);
            (route, client)
        };
        let by_route = routes.into_iter().map(with_client).collect();
        Ok(Self { by_route, identity, settings, entropy })
    }

    /// One client under another name: grants of tests cannot know the port of a stand-in.
    #[cfg(test)]
    pub(super) fn also_for(mut self, known: &StsRoute, route: StsRoute) -> Self {
        let client = self.by_route.get(known).cloned();
        self.by_route.extend(client.map(|client| (route, client)));
        self
    }

    /// How STS is asked.
    pub(super) fn mode(&self) -> Mode {
        match &self.identity.0 {
            Kind::Chain(_) | Kind::Fixed(_) => Mode::AssumeRole,
            Kind::WebIdentity(_) => Mode::WebIdentity,
        }
    }

    /// How long a [`Call`] takes at most.
    pub(super) fn deadline(&self) -> Duration {
        self.settings.deadline
    }

    /// The longest `DurationSeconds` for this broker.
    pub(super) fn longest_session(&self) -> u32 {
        if self.settings.chained { LONGEST_CHAINED_SESSION_SECONDS } else { LONGEST_SESSION_SECONDS }
    }

    /// Everything but the call itself: what cannot be signed or is too long is found before anything is recorded.
    pub(super) fn prepare<'a>(&'a self, plan: &'a Plan, at: Moment) -> Result<Call<'a>, IssueError> {
        let no_client = || {
            let region = plan.sts().region.as_str();
            IssueError::Unavailable(format!("there is no client for the STS of `{region}`"))
        };
        let sts = self.by_route.get(plan.sts()).ok_or_else(no_client)?;
        let token = match &self.identity.0 {
            Kind::WebIdentity(signer) => Some(signer.token(plan, at)?),
            Kind::Chain(_) | Kind::Fixed(_) => None,
        };
        Ok(Call { clients: self, sts, plan, token })
    }

    /// "Full jitter": anything from nothing to the first pause, doubled with each attempt.
    fn pause(&self, attempt: u32) -> Result<Duration, IssueError> {
        let ceiling = self.settings.first_backoff.saturating_mul(1 << attempt.min(5));
        let chance = f64::from(u32::from_be_bytes(bytes(&*self.entropy)?)) / f64::from(u32::MAX);
        Ok(ceiling.mul_f64(chance))
    }
}

impl Call<'_> {
    /// Assumes the plan's role. Throttling is retried inside the deadline, after pauses of random length, so that
    /// brokers that were throttled together do not come back together. Little else is retried.
    pub(super) async fn make(&self) -> Result<Session, IssueError> {
        let outcome = self.attempts().await;
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

    async fn attempts(&self) -> Result<Session, IssueError> {
        let end = Instant::now() + self.clients.settings.deadline;
        let mut last = None;
        for attempt in 0..MOST_ATTEMPTS {
            // Boxed: the SDK's future has 15 KB, which every exchange would carry although most meet the cache.
            let failure = match tokio::time::timeout_at(end, Box::pin(self.attempt())).await {
                Ok(Ok(session)) => return Ok(session),
                Ok(Err(failure)) => failure,
                Err(_) => return Err(IssueError::Unavailable("no answer before the deadline".to_owned())),
            };
            last = match failure {
                Failure::Final(error) => return Err(error),
                Failure::Passing(error) if attempt + 1 >= MOST_PASSING_ATTEMPTS => return Err(error),
                Failure::Passing(error) => Some(error),
                Failure::Throttled => None,
            };
            let pause = self.clients.pause(attempt)?;
            if Instant::now() + pause >= end {
                break;
            }
            tokio::time::sleep(pause).await;
        }
        let retry_after = Duration::from_secs(1) + self.clients.pause(3)?;
        Err(last.unwrap_or(IssueError::SlowDown { retry_after }))
    }

    async fn attempt(&self) -> Result<Session, Failure> {
        match &self.token {
            None => ask::assume_role(self.sts, self.plan).await,
            Some(token) => ask::assume_role_with_web_identity(self.sts, self.plan, token).await,
        }
    }
}
