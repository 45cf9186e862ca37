//! A connection that only listens: the server says when another replica has moved a mark. Nothing rests on it. It can be cut
//! or fall silent, and replicas ask by themselves all the time.

use std::sync::Arc;
use std::time::Duration;

use sqlx::postgres::{PgListener, PgPoolOptions};
use tokio::sync::Notify;
use tokio::task::JoinSet;

use super::StoreError;
use super::connect::Dialer;
use super::rows::broken;
use super::statements::CHANNEL;

/// After a connection that was lost or could not be made.
const PAUSE: Duration = Duration::from_secs(1);

/// Ends with the store.
#[derive(Debug, Default)]
pub(super) struct Listener {
    news: Arc<Notify>,
    _task: JoinSet<()>,
}

impl Listener {
    pub(super) fn start(dialer: Dialer) -> Self {
        let (news, mut task) = (Arc::new(Notify::new()), JoinSet::new());
        task.spawn(keep_listening(dialer, Arc::clone(&news)));
        Self { news, _task: task }
    }

    /// Something was said since the last time.
    pub(super) async fn hint(&self) {
        self.news.notified().await;
    }
}

async fn keep_listening(dialer: Dialer, news: Arc<Notify>) {
    loop {
        if let Err(cause) = listen(&dialer, &news).await {
            tracing::debug!(%cause, "PostgreSQL is not listened to for a moment; replicas ask it");
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Until the connection is lost. The password is asked for anew each time.
async fn listen(dialer: &Dialer, news: &Notify) -> Result<(), StoreError> {
    let pool = PgPoolOptions::new()
        .max_connections(1)
        .acquire_timeout(dialer.limits().connect)
        .connect_lazy_with(dialer.options().await?);
    let mut listener = PgListener::connect_with(&pool).await.map_err(broken)?;
    listener.eager_reconnect(false);
    listener.listen(CHANNEL).await.map_err(broken)?;
    // What was said while nobody listened.
    news.notify_one();
    while listener.try_recv().await.map_err(broken)?.is_some() {
        news.notify_one();
    }
    Ok(())
}
