//! The composition root: the one place that knows every concrete type. Builds the rooms from their validated
//! settings, opens the doors last, and closes them first.

mod aws;
mod background;
mod build;
mod certificates;
mod clock_watch;
pub(crate) mod custody;
pub(crate) mod listen;
mod patient;
mod replica;
mod tls;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum_server::tls_rustls::RustlsConfig;
use tokio::task::JoinSet;

pub use tls::{TlsError, install_provider as install_crypto_provider, server_config};

use crate::audit::{Event, RecordError, Submission};
use crate::clock::{Clock, SystemClock};
use crate::config::Settings;
use crate::entropy::{Entropy, EntropyError, SystemEntropy};
use crate::http;
use crate::ids::RequestId;
use crate::policy::service::Folder;
use build::Rooms;
use listen::Listener;
use replica::Replica;

/// Requests in flight get this long when the broker stops.
const DRAIN: Duration = Duration::from_secs(10);

/// Why the broker did not start. The text says what to mend.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The database.
    #[error("the store cannot be opened: {0}")]
    Store(#[from] crate::store::StoreError),
    /// The key-encryption key.
    #[error("the key-encryption key cannot be used: {0}")]
    Kek(#[from] crate::custody::CustodyError),
    /// The log's key.
    #[error("the log's key cannot be opened: {0}")]
    LogKey(crate::keys::LogKeyError),
    /// The token keys.
    #[error("the token keys cannot be opened: {0}")]
    Keys(#[from] crate::keys::KeyServiceError),
    /// A trusted issuer.
    #[error(transparent)]
    Federation(#[from] crate::federation::FederationError),
    /// The policies.
    #[error("{0}")]
    Policy(#[from] crate::policy::LoadError),
    /// The policies of all replicas.
    #[error("the policies cannot be put in force: {0}")]
    Policies(#[from] crate::policy::service::PoliciesError),
    /// Settings that only make sense together.
    #[error("{0}")]
    Settings(String),
    /// AWS.
    #[error("AWS cannot be used: {0}")]
    Aws(#[from] crate::issuance::aws::ConnectError),
    /// A receiver of notifications.
    #[error(transparent)]
    Notify(#[from] crate::notify::service::NotifierError),
    /// The certificate.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// A socket.
    #[error("cannot listen on {0}: {1}")]
    Listen(SocketAddr, std::io::Error),
    /// The first entries.
    #[error("the start cannot be recorded: {0}")]
    Record(#[from] RecordError),
    /// No randomness.
    #[error(transparent)]
    Entropy(#[from] EntropyError),
}

impl From<crate::keys::LogKeyError> for StartError {
    fn from(error: crate::keys::LogKeyError) -> Self {
        match error {
            crate::keys::LogKeyError::Custody(error) => Self::Kek(error),
            other => Self::LogKey(other),
        }
    }
}

/// A broker that serves.
#[derive(Debug)]
pub struct Running {
    rooms: Arc<Rooms>,
    api: Arc<http::ApiDoor>,
    public: Listener,
    ops: Listener,
    tasks: JoinSet<()>,
}

/// What the broker takes from its surroundings.
#[derive(Debug)]
pub struct Ports {
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Chance.
    pub entropy: Arc<dyn Entropy>,
    /// As whom the broker calls AWS.
    pub aws_identity: AwsIdentity,
}

/// As whom the broker calls AWS.
#[derive(Debug)]
pub enum AwsIdentity {
    /// AWS's default chain: environment, profile, web identity, container, instance.
    DefaultChain,
    /// These credentials: for the demo's stand-in and for tests. The configuration has no way to say this on purpose.
    Fixed(Box<aws_credential_types::Credentials>),
}

impl Ports {
    /// The operating system's clock and generator, AWS's default chain.
    pub fn system() -> Self {
        Self {
            clock: Arc::new(SystemClock::start()),
            entropy: Arc::new(SystemEntropy::new()),
            aws_identity: AwsIdentity::DefaultChain,
        }
    }
}

/// Builds everything and serves. Returns when both listeners accept.
pub async fn start(settings: Settings, ports: Ports) -> Result<Running, StartError> {
    let server = settings.server.clone();
    let tls = server.tls.as_ref().map(server_config).transpose()?.map(RustlsConfig::from_config);
    let metrics = build::metrics_recorder();
    let rooms = Arc::new(Box::pin(Rooms::build(settings, tls.clone(), ports)).await?);
    rooms.record_start().await?;
    rooms.break_glass.remember_open().await?;
    let doors = rooms.doors();
    let api = Arc::clone(&doors.api);
    let max_connections = server.limits.max_connections;
    let public = Listener::start(server.listen, tls, max_connections, http::public(&doors, &rooms.edge()))
        .map_err(|cause| StartError::Listen(server.listen, cause))?;
    let ops_router = http::ops(&rooms.ops_door(metrics.clone()), &rooms.edge());
    let ops = Listener::start(server.ops_listen, None, max_connections, ops_router)
        .map_err(|cause| StartError::Listen(server.ops_listen, cause))?;
    let tasks = background::start(&rooms, metrics);
    Ok(Running { rooms, api, public, ops, tasks })
}

impl Running {
    /// Where the public listener accepts.
    pub fn public_address(&self) -> SocketAddr {
        self.public.address
    }

    /// Where the ops listener accepts.
    pub fn ops_address(&self) -> SocketAddr {
        self.ops.address
    }

    /// What verifies our checkpoints.
    pub fn verifier_key(&self) -> String {
        self.rooms.audit.verifier_key()
    }

    /// Reads policies and certificates again; what is not valid leaves the old ones in force.
    pub async fn reload(&self) {
        background::look_at_policies(&self.rooms, true).await;
        if let Some(shadow) = &self.rooms.shadow {
            shadow.look().await;
        }
        self.rooms.reload_certificates();
    }

    /// Stops taking requests, finishes those in flight, writes the stop down and closes the log.
    pub async fn stop(mut self, reason: &str) {
        self.api.stop_streams();
        tokio::join!(self.public.drain(DRAIN), self.ops.drain(DRAIN));
        self.tasks.shutdown().await;
        self.rooms.exchange.record_all_deliveries().await;
        if let Err(cause) = self.rooms.record(Event::BrokerStopped { reason: reason.to_owned() }).await {
            tracing::warn!(%cause, "the stop was not recorded");
        }
        self.rooms.audit.drain().await;
    }
}

impl Rooms {
    async fn record_start(&self) -> Result<(), StartError> {
        self.record(Event::BrokerStarted { version: env!("CARGO_PKG_VERSION") }).await?;
        self.record(Event::ConfigLoaded { digest: self.config_digest }).await?;
        if let Folder::Superseded(folder) = self.policies.start().await? {
            background::say_superseded(folder);
        }
        // Before the doors open it knows what the others know.
        Replica::of(self).hear().await;
        Ok(())
    }

    async fn record(&self, event: Event) -> Result<(), StartError> {
        let request_id = RequestId::new(self.clock.now(), self.entropy.as_ref())?;
        self.audit.record(Submission::new(request_id, event)).await?;
        Ok(())
    }
}
