//! The log's own key. It is needed before there is a log, so its making has no entry: the verifier key that the
//! operator publishes is its record.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::clock::Clock;
use crate::custody::{Custody, CustodyError};
use crate::entropy::Entropy;
use crate::ids::Kid;
use crate::keys::{Kek, KekRing, KeyError, NoteSigner};
use crate::store::{KeyPurpose, KeyRow, Store, StoreError};

/// The log's key could not be opened or made.
#[derive(Debug, thiserror::Error)]
pub enum LogKeyError {
    /// Storage.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// What it is sealed under is not at hand.
    #[error(transparent)]
    Custody(#[from] CustodyError),
    /// The key does not open or cannot be made.
    #[error("the log's key: {0}")]
    Key(#[from] KeyError),
    /// A log signs under one name for its whole life: auditors know it by name and key.
    #[error(
        "`audit.origin` is `{configured}`, but the log in this store belongs to `{kept}`: set it back, or start a new store"
    )]
    OriginChanged {
        /// What the log was begun with.
        kept: String,
        /// What the configuration says now.
        configured: String,
    },
    /// Making a new key for an old log would let whoever deleted the key rewrite the log.
    #[error("the log has {0} entries but its key is missing from the store: restore the store from a backup")]
    KeyLost(u64),
    /// More than one.
    #[error("the store holds {0} keys for one log")]
    Ambiguous(usize),
}

/// Opens the log's key, or makes it when the log is empty. Its name is `origin` for ever.
pub async fn open_or_create_log_signer(
    store: &dyn Store,
    custody: &Custody,
    origin: &str,
    clock: &dyn Clock,
    entropy: &dyn Entropy,
) -> Result<NoteSigner, LogKeyError> {
    if let Some(row) = kept(store).await? {
        return open(&row, &custody.ring(), origin);
    }
    let size = store.head().await?.size;
    if size > 0 {
        return Err(LogKeyError::KeyLost(size));
    }
    // Before the unit of work: AWS KMS may be asked, and nobody shall wait for that.
    let kek = custody.first(clock.now()).await?;
    make(store, custody, &kek, origin, clock, entropy).await
}

async fn make(
    store: &dyn Store,
    custody: &Custody,
    kek: &Kek,
    origin: &str,
    clock: &dyn Clock,
    entropy: &dyn Entropy,
) -> Result<NoteSigner, LogKeyError> {
    let mut work = store.begin().await?;
    let size = work.head().await?.size;
    // Another replica may have begun the same empty store: under the head's lock one of them makes the key.
    if let Some(row) = log_key(work.keys().await?)? {
        drop(work);
        custody.look(std::slice::from_ref(&row)).await?;
        return open(&row, &custody.ring(), origin);
    }
    if size > 0 {
        return Err(LogKeyError::KeyLost(size));
    }
    // Nor is it ours any longer when a broker with another KMS key has begun the store meanwhile, and taken ours for a
    // leftover: sealed under it, the log's key would be lost at the next start.
    if !custody.is_kept(kek, &work.wrapped_keks().await?) {
        return Err(CustodyError::Overtaken.into());
    }
    let private = NoteSigner::generate_pkcs8()?;
    let signer = NoteSigner::from_pkcs8(origin, &private)?;
    let row = row(&signer, &private, kek, clock, entropy)?;
    work.put_key(&row).await?;
    work.commit().await?;
    Ok(signer)
}

async fn kept(store: &dyn Store) -> Result<Option<KeyRow>, LogKeyError> {
    log_key(store.keys().await?)
}

fn log_key(mut rows: Vec<KeyRow>) -> Result<Option<KeyRow>, LogKeyError> {
    rows.retain(|row| row.purpose == KeyPurpose::Log);
    match (rows.len(), rows.pop()) {
        (0 | 1, row) => Ok(row),
        (many, _) => Err(LogKeyError::Ambiguous(many)),
    }
}

fn open(row: &KeyRow, keks: &KekRing, origin: &str) -> Result<NoteSigner, LogKeyError> {
    // The row is named `origin+key id`, and the seal holds the row to its name.
    let kept = row.kid.as_str().rsplit_once('+').map_or("", |(name, _)| name);
    if kept != origin {
        return Err(LogKeyError::OriginChanged { kept: kept.to_owned(), configured: origin.to_owned() });
    }
    let private = keks.open(KeyPurpose::Log.as_str(), &row.kid, &row.sealed_private)?;
    let signer = NoteSigner::from_pkcs8(origin, &private)?;
    if signer.identity() == row.kid.as_str() { Ok(signer) } else { Err(KeyError::Sealed.into()) }
}

fn row(
    signer: &NoteSigner,
    private: &[u8],
    kek: &Kek,
    clock: &dyn Clock,
    entropy: &dyn Entropy,
) -> Result<KeyRow, KeyError> {
    let kid = Kid::new(&signer.identity()).map_err(|_| KeyError::Invalid("the log's origin is too long"))?;
    let at = clock.now();
    Ok(KeyRow {
        sealed_private: kek.seal(KeyPurpose::Log.as_str(), &kid, private, entropy)?,
        kid,
        purpose: KeyPurpose::Log,
        algorithm: "Ed25519".to_owned(),
        public: STANDARD.encode(signer.public()),
        created_at: at,
        active_from: at,
        retired_at: None,
        published_until: None,
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::clock::{ManualClock, Moment};
    use crate::custody::stand_in::{KEY, ORIGIN, OTHER_KEY, StandIn, kms};
    use crate::entropy::SystemEntropy;

    #[tokio::test]
    async fn a_log_is_not_begun_under_a_key_encryption_key_that_another_broker_has_thrown_away() {
        let folder = tempfile::tempdir().unwrap();
        let store =
            crate::store::open(&format!("sqlite:{}", folder.path().join("t.db").display())).await.unwrap();
        let (stand_in, entropy) = (StandIn::start().await, Arc::new(SystemEntropy::new()));
        let clock = ManualClock::at(Moment::from_unix_seconds(1_800_000_000));
        let custody = async |arn| {
            let sources = stand_in.sources(kms(arn), None);
            Custody::open(Arc::clone(&store), &sources, Arc::clone(&entropy) as _).await.unwrap()
        };
        let (a, b) = (custody(KEY).await, custody(OTHER_KEY).await);
        let kek = a.first(clock.now()).await.unwrap();
        // Between the two commits of `a`.
        b.first(clock.now()).await.unwrap();
        let begun = make(&*store, &a, &kek, ORIGIN, &clock, &*entropy).await;
        assert!(matches!(begun, Err(LogKeyError::Custody(CustodyError::Overtaken))), "{begun:?}");
        assert!(store.keys().await.unwrap().is_empty(), "nothing that nobody could open");
        open_or_create_log_signer(&*store, &b, ORIGIN, &clock, &*entropy).await.unwrap();
    }
}
