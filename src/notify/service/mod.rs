//! Delivers what waits in the outbox. Knows receivers and their turns; refuses to wait for one on behalf of another, or to
//! let anybody else wait for any of them.

mod client;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{BoxFuture, join_all};
use futures_util::stream;
use futures_util::{FutureExt as _, StreamExt as _};

use self::client::Client;
use super::patience::{is_given_up, next_try};
use super::{Hook, HookId};
use crate::clock::Clock;
use crate::entropy::{Entropy, EntropyError, bytes};
use crate::ids::UniqueId;
use crate::network::SystemRoots;
use crate::store::{Lease, Store, StoreError, WaitingMessage};

/// How long a receiver may take for one message.
const TIMEOUT: Duration = Duration::from_secs(10);
/// How often [`Notifier::run`] looks for messages.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Messages that are read at once.
const AT_ONCE: u32 = 64;
/// Requests to one receiver at the same time, each for another elevation.
const SIDE_BY_SIDE: usize = 8;
/// One replica sends to a receiver. Another goes on when it has not been heard of for so long: longer than one message takes.
const LEASE: Duration = TIMEOUT.saturating_mul(2);

/// A receiver cannot be reached in the configured way.
#[derive(Debug, thiserror::Error)]
pub enum NotifierError {
    /// Others could read and answer.
    #[error("the receiver at `{0}` is not https (http is for this machine only)")]
    NotHttps(String),
    /// Nothing unguessable to be had.
    #[error(transparent)]
    Entropy(#[from] EntropyError),
    /// Certificates.
    #[error("no TLS for a receiver: {0}")]
    Tls(String),
}

/// Sends messages to every configured receiver.
#[derive(Debug)]
pub struct Notifier {
    store: Arc<dyn Store>,
    receivers: Vec<Receiver>,
}

#[derive(Debug)]
struct Receiver {
    id: HookId,
    /// Under which this process takes leases.
    holder: UniqueId,
    hook: Hook,
    client: Client,
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    /// Two passes at once would send a message while the one ahead of it is still on its way.
    turn: tokio::sync::Mutex<()>,
}

impl Notifier {
    /// For these receivers. Nothing is sent yet.
    pub fn new(
        store: Arc<dyn Store>,
        hooks: Vec<Hook>,
        clock: &Arc<dyn Clock>,
        entropy: &Arc<dyn Entropy>,
    ) -> Result<Self, NotifierError> {
        Self::with_timeout(store, hooks, clock, entropy, TIMEOUT)
    }

    fn with_timeout(
        store: Arc<dyn Store>,
        hooks: Vec<Hook>,
        clock: &Arc<dyn Clock>,
        entropy: &Arc<dyn Entropy>,
        timeout: Duration,
    ) -> Result<Self, NotifierError> {
        let roots = SystemRoots::default();
        let holder = UniqueId::new(clock.now(), entropy.as_ref())?;
        let receiver = |hook: Hook| -> Result<Receiver, NotifierError> {
            Ok(Receiver {
                id: hook.id(),
                holder,
                client: Client::new(&hook, &roots, timeout)?,
                hook,
                store: Arc::clone(&store),
                clock: Arc::clone(clock),
                entropy: Arc::clone(entropy),
                turn: tokio::sync::Mutex::default(),
            })
        };
        let receivers = hooks.into_iter().map(receiver).collect::<Result<_, NotifierError>>()?;
        Ok(Self { store, receivers })
    }

    /// For whom messages are put into the outbox.
    pub fn hooks(&self) -> Vec<HookId> {
        self.receivers.iter().map(|receiver| receiver.id).collect()
    }

    /// Delivers for ever. Each receiver has its own loop: a slow one never holds up another.
    pub async fn run(&self) {
        let count = async {
            loop {
                self.count_waiting().await;
                tokio::time::sleep(LOOK_EVERY).await;
            }
        };
        let loops: Vec<BoxFuture<'_, ()>> = self.receivers.iter().map(|one| one.run().boxed()).collect();
        tokio::join!(count, join_all(loops));
    }

    /// One round of [`run`](Self::run): sends everything that is due, to all receivers at once. A receiver that is still
    /// busy with an earlier round is left alone.
    pub async fn deliver_due(&self) {
        join_all(self.receivers.iter().map(Receiver::deliver_due)).await;
        self.count_waiting().await;
    }

    async fn count_waiting(&self) {
        match self.store.waiting_messages().await {
            #[expect(clippy::cast_precision_loss, reason = "a gauge")]
            Ok(waiting) => metrics::gauge!("tidegate_notifications_waiting").set(waiting as f64),
            Err(cause) => tracing::warn!(%cause, "the waiting notifications were not counted"),
        }
    }
}

impl Receiver {
    async fn run(&self) {
        loop {
            self.deliver_due().await;
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    async fn deliver_due(&self) {
        let Ok(_turn) = self.turn.try_lock() else { return };
        loop {
            match self.round().await {
                // What arrived makes the next message of its elevation due.
                Ok(arrived) if arrived > 0 => {}
                Ok(_) => return,
                Err(cause) => {
                    tracing::warn!(%cause, "the outbox could not be read; it is tried again");
                    return;
                }
            }
        }
    }

    /// Sends the oldest message of each elevation that has one due; returns how many arrived and are done with.
    async fn round(&self) -> Result<usize, StoreError> {
        if !self.has_the_lease().await? {
            return Ok(0);
        }
        let due = self.store.due_messages(self.id, self.clock.now(), AT_ONCE).await?;
        let sending: Vec<BoxFuture<'_, bool>> =
            due.iter().map(|waiting| self.deliver(waiting).boxed()).collect();
        let sent = stream::iter(sending).buffer_unordered(SIDE_BY_SIDE);
        Ok(sent.filter(|done| std::future::ready(*done)).count().await)
    }

    /// So that a message arrives once. Where clocks differ, or this process stood still, it may arrive twice, under one
    /// `Tidegate-Delivery`.
    async fn has_the_lease(&self) -> Result<bool, StoreError> {
        let name = format!("notify {}", self.id.0);
        let lease = Lease { name: &name, holder: self.holder, at: self.clock.now(), span: LEASE };
        self.store.lease(lease).await
    }

    /// Is the message done with?
    async fn deliver(&self, waiting: &WaitingMessage) -> bool {
        // Those before this one may have taken long.
        if !self.has_the_lease().await.unwrap_or(false) {
            return false;
        }
        match self.client.send(&self.hook, waiting, self.clock.now()).await {
            Ok(()) => {
                count("arrived");
                self.forget(waiting).await
            }
            Err(cause) => self.postpone(waiting, &cause.to_string()).await,
        }
    }

    async fn postpone(&self, waiting: &WaitingMessage, cause: &str) -> bool {
        let (at, failures) = (self.clock.now(), waiting.attempts.saturating_add(1));
        let WaitingMessage { sequence, message, .. } = waiting;
        let (host, elevation) = (self.hook.host(), message.elevation);
        if is_given_up(failures, message.at, at) {
            count("dropped");
            tracing::error!(
                notify.host = host, notify.delivery = sequence, notify.event = message.event, %elevation, failures, cause,
                "a notification was dropped: it is a week old, and the receiver never took it"
            );
            return self.forget(waiting).await;
        }
        count("failed");
        tracing::warn!(
            notify.host = host, notify.delivery = sequence, %elevation, failures, cause,
            "a notification did not arrive; it is tried again"
        );
        let next = next_try(failures, at, self.chance());
        if let Err(cause) = self.store.message_failed(*sequence, next).await {
            tracing::warn!(%cause, notify.delivery = sequence, "a failed notification was not put off; it is due again at once");
        }
        false
    }

    /// A message that is not forgotten comes again: receivers know it by its `Tidegate-Delivery`.
    async fn forget(&self, waiting: &WaitingMessage) -> bool {
        let forgotten = self.store.message_arrived(waiting.sequence).await;
        if let Err(cause) = &forgotten {
            tracing::warn!(%cause, notify.delivery = waiting.sequence, "a sent notification was not forgotten; it comes again");
        }
        forgotten.is_ok()
    }

    /// Between 0 and 1. Without chance the pause is at its longest.
    fn chance(&self) -> f64 {
        bytes(&*self.entropy)
            .map_or(1.0, |chance| f64::from(u32::from_be_bytes(chance)) / f64::from(u32::MAX))
    }
}

fn count(outcome: &'static str) {
    metrics::counter!("tidegate_notifications_total", "outcome" => outcome).increment(1);
}
