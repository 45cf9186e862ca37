//! Does what the schedule says, each change in one commit with its audit entry, and keeps the live [`KeyRing`].

use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::Mutex;
use zeroize::Zeroizing;

use super::key_ring::LiveKey;
use super::schedule::Step;
use super::{KeyError, KeyRing, KeyTimes, Schedule, SigningAlgorithm, SigningKey};
use crate::audit::{AuditLog, Effect, Event, RecordError, Submission};
use crate::clock::{Clock, Moment};
use crate::custody::{Custody, CustodyError};
use crate::entropy::{Entropy, EntropyError};
use crate::ids::{Kid, RequestId};
use crate::secret::SecretText;
use crate::store::{KeyPurpose, KeyRow, Store, StoreError};

mod list;
mod log_key;
mod rekey;

pub use list::{ListedKey, list};
pub use log_key::{LogKeyError, open_or_create_log_signer};
pub use rekey::{KekRotation, KekRotationError};

/// More steps than any state of the keys can need at one moment: a fault in the schedule ends here and not in a loop
/// that fills the log.
const MOST_STEPS_AT_ONCE: usize = 32;

/// How token keys are made and follow one another.
#[derive(Clone, Debug)]
pub struct Settings {
    /// What new keys sign with. Another value than before rotates on the next start, published ahead as always.
    pub algorithm: SigningAlgorithm,
    /// When keys follow one another.
    pub schedule: Schedule,
    /// The RSA key, for [`SigningAlgorithm::Rs256`] only.
    pub rsa_key: Option<RsaKey>,
}

/// Where the RSA key is, as PEM (PKCS#8).
#[derive(Clone, Debug)]
pub enum RsaKey {
    /// It rotates when the file holds another key by the time a rotation is due.
    File(PathBuf),
    /// In the configuration itself: it never rotates.
    Value(SecretText),
}

/// Keys could not be read, made or changed. The live keys stay as they were.
#[derive(Debug, thiserror::Error)]
pub enum KeyServiceError {
    /// Storage.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The change could not be recorded, so it was not made.
    #[error("the change of keys was not recorded: {0}")]
    Record(#[from] RecordError),
    /// What a kept key is sealed under is not at hand.
    #[error(transparent)]
    Custody(#[from] CustodyError),
    /// A kept key does not open, or a new one is none.
    #[error("token key `{kid}`: {source}")]
    Kept {
        /// Which.
        kid: Kid,
        /// Why.
        source: KeyError,
    },
    /// A key could not be made.
    #[error("no key could be made: {0}")]
    Make(#[from] KeyError),
    /// Nothing unguessable to be had.
    #[error(transparent)]
    Entropy(#[from] EntropyError),
    /// RS256 without its file.
    #[error("RS256 needs `keys.rsa_key_file`")]
    NoRsaKeyFile,
    /// The file cannot be read.
    #[error("`keys.rsa_key_file` `{}` cannot be read: {source}", path.display())]
    RsaKeyFile {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Its key is the one that signs already, or one that signed before.
    #[error("`keys.rsa_key_file` holds the key `{0}`, which is in use already: put a new key there first")]
    NothingNew(Kid),
}

/// The answer to a request to rotate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Rotation {
    /// A new key is published and signs from then on.
    Announced(Moment),
    /// One was on its way already.
    OnItsWay,
}

/// The token keys of one broker.
pub struct KeyService {
    store: Arc<dyn Store>,
    audit: AuditLog,
    custody: Arc<Custody>,
    settings: Settings,
    entropy: Arc<dyn Entropy>,
    ring: Arc<KeyRing>,
    /// One change at a time: a tick and a request to rotate must not both make the next key.
    turn: Mutex<()>,
}

impl std::fmt::Debug for KeyService {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KeyService").field("ring", &self.ring).finish_non_exhaustive()
    }
}

impl KeyService {
    /// Opens the kept keys, and makes the first one when there is none.
    pub async fn start(
        store: Arc<dyn Store>,
        audit: AuditLog,
        custody: Arc<Custody>,
        settings: Settings,
        clock: &dyn Clock,
        entropy: Arc<dyn Entropy>,
    ) -> Result<Self, KeyServiceError> {
        let ring = Arc::new(KeyRing::default());
        let service = Self { store, audit, custody, settings, entropy, ring, turn: Mutex::new(()) };
        let at = clock.now();
        service.tick(at).await?;
        let signer = service.ring.signer(at);
        if signer.is_some_and(|key| key.algorithm() != service.settings.algorithm) {
            service.rotate_now(at).await?;
        }
        Ok(service)
    }

    /// The live keys.
    pub fn ring(&self) -> Arc<KeyRing> {
        Arc::clone(&self.ring)
    }

    /// Does what the schedule says for `at`. Call it every few seconds; it is cheap when there is nothing to do. It
    /// reads the store each time, so that replicas learn of each other's keys. When it fails, the live keys go on
    /// signing and stay published.
    pub async fn tick(&self, at: Moment) -> Result<(), KeyServiceError> {
        let _turn = self.turn.lock().await;
        let mut can_make = true;
        for _ in 0..MOST_STEPS_AT_ONCE {
            let rows = self.reload().await?;
            let times: Vec<KeyTimes> = rows.iter().map(times_of).collect();
            let Some(step) = self.settings.schedule.next_step(&times, at, can_make) else { return Ok(()) };
            match self.perform(step, &rows, at).await {
                // The key in use goes on until the operator has put the next one there.
                Err(KeyServiceError::NothingNew(_)) if self.ring.signer(at).is_some() => can_make = false,
                done => done?,
            }
        }
        Ok(())
    }

    /// Rotates out of turn: publishes the next key now; it signs after the schedule's publish-ahead, so that no
    /// verifier meets a key it cannot know. Asking again while one is on its way makes no second one.
    pub async fn rotate_now(&self, at: Moment) -> Result<Rotation, KeyServiceError> {
        let _turn = self.turn.lock().await;
        let rows = self.reload().await?;
        let times: Vec<KeyTimes> = rows.iter().map(times_of).collect();
        let Some(active_from) = self.settings.schedule.early_successor(&times, at) else {
            return Ok(Rotation::OnItsWay);
        };
        self.create(active_from, &rows, at).await?;
        self.reload().await?;
        Ok(Rotation::Announced(active_from))
    }

    /// Answers a stolen key: a new one signs at once and every other is unpublished at once. Verifiers that keep an old
    /// key set refuse our tokens until they fetch it again, and every token issued so far becomes worthless.
    pub async fn replace_compromised(&self, at: Moment) -> Result<Kid, KeyServiceError> {
        let _turn = self.turn.lock().await;
        let rows = self.reload().await?;
        let kid = self.create(at, &rows, at).await?;
        for row in rows {
            let retired_at = row.retired_at.map_or(at, |before| before.min(at));
            self.retire(row, retired_at, at, at).await?;
        }
        self.reload().await?;
        Ok(kid)
    }

    /// Every kept key, the log's too, in the order of creation.
    pub async fn list(&self, at: Moment) -> Result<Vec<ListedKey>, StoreError> {
        list(&*self.store, at).await
    }

    async fn perform(&self, step: Step, rows: &[KeyRow], at: Moment) -> Result<(), KeyServiceError> {
        match step {
            Step::Create { active_from } => self.create(active_from, rows, at).await.map(drop),
            Step::Promote { kid } => match row_of(rows, &kid) {
                Some(row) => self.activate(&kid, Some(KeyRow { active_from: at, ..row }), at).await,
                None => Ok(()),
            },
            Step::Retire { kid, successor, retired_at, published_until } => match row_of(rows, &kid) {
                Some(row) => {
                    // First: a crash in between repeats this entry, and never leaves it out.
                    self.activate(&successor, None, at).await?;
                    self.retire(row, retired_at, published_until, at).await
                }
                None => Ok(()),
            },
            Step::Delete { kid } => self.forget(&kid).await,
        }
    }

    async fn create(&self, active_from: Moment, rows: &[KeyRow], at: Moment) -> Result<Kid, KeyServiceError> {
        let (key, private) = self.make(rows).await?;
        let kid = key.kid().clone();
        let (sealed_private, kek) = self.custody.seal(KeyPurpose::Token.as_str(), &kid, &private)?;
        let row = KeyRow {
            kid: kid.clone(),
            purpose: KeyPurpose::Token,
            algorithm: key.algorithm().to_string(),
            sealed_private,
            public: serde_json::to_string(key.public()).map_err(|_| KeyError::Invalid("not a public key"))?,
            created_at: at,
            active_from,
            retired_at: None,
            published_until: None,
        };
        let event = Event::KeyCreated {
            kid: kid.to_string(),
            purpose: KeyPurpose::Token.as_str(),
            algorithm: row.algorithm.clone(),
            active_from,
        };
        self.record(event, vec![Effect::RequireKek(kek), Effect::PutKey(row)], at).await?;
        if active_from <= at {
            self.activate(&kid, None, at).await?;
        }
        Ok(kid)
    }

    async fn make(&self, rows: &[KeyRow]) -> Result<(SigningKey, Zeroizing<Vec<u8>>), KeyServiceError> {
        let algorithm = self.settings.algorithm;
        let private = match algorithm {
            SigningAlgorithm::Rs256 => self.import().await?,
            SigningAlgorithm::Es256 | SigningAlgorithm::EdDsa => SigningKey::generate_pkcs8(algorithm)?,
        };
        let key = SigningKey::from_pkcs8(algorithm, &private)?;
        if row_of(rows, key.kid()).is_some() {
            return Err(KeyServiceError::NothingNew(key.kid().clone()));
        }
        Ok((key, private))
    }

    async fn import(&self) -> Result<Zeroizing<Vec<u8>>, KeyServiceError> {
        let path = match self.settings.rsa_key.clone().ok_or(KeyServiceError::NoRsaKeyFile)? {
            RsaKey::File(path) => path,
            RsaKey::Value(pem) => return Ok(SigningKey::pkcs8_from_pem(pem.expose().as_bytes())?),
        };
        match tokio::fs::read(&path).await {
            Ok(pem) => Ok(SigningKey::pkcs8_from_pem(&Zeroizing::new(pem))?),
            Err(source) => Err(KeyServiceError::RsaKeyFile { path, source }),
        }
    }

    async fn activate(&self, kid: &Kid, row: Option<KeyRow>, at: Moment) -> Result<(), KeyServiceError> {
        let effects = row.map(Effect::PutKey).into_iter().collect();
        self.record(Event::KeyActivated { kid: kid.to_string() }, effects, at).await
    }

    async fn retire(
        &self,
        row: KeyRow,
        retired_at: Moment,
        published_until: Moment,
        at: Moment,
    ) -> Result<(), KeyServiceError> {
        let event = Event::KeyRetired { kid: row.kid.to_string(), published_until };
        let row = KeyRow { retired_at: Some(retired_at), published_until: Some(published_until), ..row };
        self.record(event, vec![Effect::PutKey(row)], at).await
    }

    /// No entry of its own: when the key ends stands in its `key.retired`.
    async fn forget(&self, kid: &Kid) -> Result<(), KeyServiceError> {
        let mut work = self.store.begin().await?;
        work.delete_key(kid).await?;
        Ok(work.commit().await?)
    }

    async fn record(&self, event: Event, effects: Vec<Effect>, at: Moment) -> Result<(), KeyServiceError> {
        let request_id = RequestId::new(at, &*self.entropy)?;
        self.audit.record(Submission::new(request_id, event).with(effects)).await?;
        Ok(())
    }

    /// Reads the token keys and makes them the live ones: only what is durable is ever published or signs.
    async fn reload(&self) -> Result<Vec<KeyRow>, KeyServiceError> {
        let mut rows = self.store.keys().await?;
        let live = self.open_all(&mut rows).await;
        self.ring.set_current(live.is_ok());
        self.ring.swap(live?);
        Ok(rows)
    }

    /// Those of `rows` that are token keys, opened; the others leave `rows`.
    async fn open_all(&self, rows: &mut Vec<KeyRow>) -> Result<Vec<LiveKey>, KeyServiceError> {
        self.custody.look(rows).await?;
        rows.retain(|row| row.purpose == KeyPurpose::Token);
        rows.iter().map(|row| self.live(row)).collect()
    }

    fn live(&self, row: &KeyRow) -> Result<LiveKey, KeyServiceError> {
        let key = match self.ring.parsed(&row.kid) {
            Some(parsed) => parsed,
            None => Arc::new(
                self.open(row).map_err(|source| KeyServiceError::Kept { kid: row.kid.clone(), source })?,
            ),
        };
        Ok(LiveKey { key, times: times_of(row) })
    }

    fn open(&self, row: &KeyRow) -> Result<SigningKey, KeyError> {
        let private = self.custody.ring().open(row.purpose.as_str(), &row.kid, &row.sealed_private)?;
        let key = SigningKey::from_pkcs8(row.algorithm.parse()?, &private)?;
        if *key.kid() == row.kid {
            Ok(key)
        } else {
            Err(KeyError::Invalid("it is another key than its row says"))
        }
    }
}

fn times_of(row: &KeyRow) -> KeyTimes {
    KeyTimes {
        kid: row.kid.clone(),
        created_at: row.created_at,
        active_from: row.active_from,
        retired_at: row.retired_at,
        published_until: row.published_until,
    }
}

fn row_of(rows: &[KeyRow], kid: &Kid) -> Option<KeyRow> {
    rows.iter().find(|row| row.kid == *kid).cloned()
}

#[cfg(test)]
mod tests;
