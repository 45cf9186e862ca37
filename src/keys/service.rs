//! Does what the schedule says, each change in one commit with its audit entry, and keeps the live [`KeyRing`].
//!
//! Replicas look at the same keys at the same moment. Each change demands of its commit that the keys are still those that
//! it was made for, so that one replica makes it and the others look again.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::Mutex;
use zeroize::Zeroizing;

use super::key_ring::LiveKey;
use super::schedule::Step;
use super::{KeyError, KeyRing, KeyTimes, Schedule, SigningAlgorithm, SigningKey};
use crate::audit::{AuditLog, Effect, Event, Overtaken, RecordError, Submission};
use crate::clock::{Clock, Moment};
use crate::custody::{Custody, CustodyError};
use crate::entropy::{Entropy, EntropyError};
use crate::ids::{Kid, RequestId};
use crate::secret::{Fingerprint, SecretText};
use crate::store::{AnswerRow, KeyPurpose, KeyRow, Store, StoreError};

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

/// How often a change that another replica overtook is thought through anew. Each time somebody else got something done.
const MOST_TRIES: usize = 16;
/// How long the store remembers that an activation was written down. A crash before its key's `retired` repeats it.
const REMEMBERED: Duration = Duration::from_hours(24);

/// The kept token keys, and the mark that they had.
struct Kept {
    rows: Vec<KeyRow>,
    mark: u64,
}

/// The token keys of one broker.
pub struct KeyService {
    store: Arc<dyn Store>,
    audit: AuditLog,
    custody: Arc<Custody>,
    settings: Settings,
    entropy: Arc<dyn Entropy>,
    ring: Arc<KeyRing>,
    /// What the store's mark was when the live keys were read.
    mark: AtomicU64,
    /// What it was when keys were read that cannot be opened here.
    stuck: AtomicU64,
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
        let (mark, stuck, turn) = (AtomicU64::new(0), AtomicU64::new(0), Mutex::new(()));
        let service = Self { store, audit, custody, settings, entropy, ring, mark, stuck, turn };
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
            let kept = self.reload().await?;
            let times: Vec<KeyTimes> = kept.rows.iter().map(times_of).collect();
            let Some(step) = self.settings.schedule.next_step(&times, at, can_make) else { return Ok(()) };
            match self.perform(step, &kept, at).await {
                // Another replica was faster.
                Err(error) if error.is_overtaken() => {}
                // The key in use goes on until the operator has put the next one there.
                Err(KeyServiceError::NothingNew(_)) if self.ring.signer(at).is_some() => can_make = false,
                done => done?,
            }
        }
        Ok(())
    }

    /// Has the keys that the store had when its mark was `mark`, or newer: what another replica made is published here, what
    /// it took away signs no more. What could not be opened is not tried again before the keys change once more or
    /// [`tick`](Self::tick) comes: each try may be a call of AWS KMS. [`KeyRing::is_current`] tells.
    pub async fn catch_up(&self, mark: u64) -> Result<(), KeyServiceError> {
        if self.mark.load(Ordering::Acquire).max(self.stuck.load(Ordering::Acquire)) >= mark {
            return Ok(());
        }
        let _turn = self.turn.lock().await;
        self.reload().await.map(drop)
    }

    /// Rotates out of turn: publishes the next key now; it signs after the schedule's publish-ahead, so that no
    /// verifier meets a key it cannot know. Asking again while one is on its way makes no second one.
    pub async fn rotate_now(&self, at: Moment) -> Result<Rotation, KeyServiceError> {
        let _turn = self.turn.lock().await;
        for _ in 0..MOST_TRIES {
            let kept = self.reload().await?;
            let times: Vec<KeyTimes> = kept.rows.iter().map(times_of).collect();
            let Some(active_from) = self.settings.schedule.early_successor(&times, at) else {
                return Ok(Rotation::OnItsWay);
            };
            match self.create(active_from, &kept, at).await {
                Err(error) if error.is_overtaken() => {}
                done => {
                    done?;
                    self.reload().await?;
                    return Ok(Rotation::Announced(active_from));
                }
            }
        }
        Err(RecordError::Overtaken(Overtaken::Keys).into())
    }

    /// Answers a stolen key: a new one signs at once and every other is unpublished at once. Verifiers that keep an old
    /// key set refuse our tokens until they fetch it again, and every token issued so far becomes worthless.
    pub async fn replace_compromised(&self, at: Moment) -> Result<Kid, KeyServiceError> {
        let _turn = self.turn.lock().await;
        let mut fresh = None;
        for _ in 0..MOST_TRIES.saturating_add(MOST_STEPS_AT_ONCE) {
            let kept = self.reload().await?;
            let done = match &fresh {
                None => self.create(at, &kept, at).await.map(|kid| fresh = Some(kid)),
                Some(kid) => {
                    match kept.rows.iter().find(|row| row.kid != *kid && times_of(row).is_published(at)) {
                        None => return Ok(kid.clone()),
                        Some(old) => {
                            let retired_at = old.retired_at.map_or(at, |before| before.min(at));
                            self.retire(old, &kept, (retired_at, at), at).await
                        }
                    }
                }
            };
            match done {
                Err(error) if error.is_overtaken() => {}
                done => done?,
            }
        }
        Err(RecordError::Overtaken(Overtaken::Keys).into())
    }

    /// Every kept key, the log's too, in the order of creation.
    pub async fn list(&self, at: Moment) -> Result<Vec<ListedKey>, StoreError> {
        list(&*self.store, at).await
    }

    async fn perform(&self, step: Step, kept: &Kept, at: Moment) -> Result<(), KeyServiceError> {
        match step {
            Step::Create { active_from } => self.create(active_from, kept, at).await.map(drop),
            Step::Promote { kid } => match kept.find(&kid) {
                Some(row) => self.promote(KeyRow { active_from: at, ..row.clone() }, kept, at).await,
                None => Ok(()),
            },
            Step::Retire { kid, successor, retired_at, published_until } => match kept.find(&kid) {
                Some(row) => {
                    // First: a crash in between repeats this entry, and never leaves it out.
                    self.activated(&successor, at).await?;
                    self.retire(row, kept, (retired_at, published_until), at).await
                }
                None => Ok(()),
            },
            Step::Delete { kid } => self.forget(&kid).await,
        }
    }

    async fn create(&self, active_from: Moment, kept: &Kept, at: Moment) -> Result<Kid, KeyServiceError> {
        let (key, private) = self.make(kept).await?;
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
        let mut effects = kept.change(row);
        effects.push(Effect::RequireKek(kek));
        self.record(event, effects, at).await?;
        if active_from <= at {
            self.activated(&kid, at).await?;
        }
        Ok(kid)
    }

    async fn make(&self, kept: &Kept) -> Result<(SigningKey, Zeroizing<Vec<u8>>), KeyServiceError> {
        let algorithm = self.settings.algorithm;
        let private = match algorithm {
            SigningAlgorithm::Rs256 => self.import().await?,
            SigningAlgorithm::Es256 | SigningAlgorithm::EdDsa => SigningKey::generate_pkcs8(algorithm)?,
        };
        let key = SigningKey::from_pkcs8(algorithm, &private)?;
        if kept.find(key.kid()).is_some() {
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

    async fn promote(&self, row: KeyRow, kept: &Kept, at: Moment) -> Result<(), KeyServiceError> {
        let event = || Event::KeyActivated { kid: row.kid.to_string() };
        let mut effects = kept.change(row.clone());
        effects.push(activation(&row.kid, at));
        match self.record(event(), effects, at).await {
            // It has signed before, and the clock has stepped back behind its start.
            Err(KeyServiceError::Record(RecordError::Answered)) => {
                self.record(event(), kept.change(row.clone()), at).await
            }
            done => done,
        }
    }

    /// Writes down that it signs; once, whoever notices.
    async fn activated(&self, kid: &Kid, at: Moment) -> Result<(), KeyServiceError> {
        self.once(Event::KeyActivated { kid: kid.to_string() }, vec![activation(kid, at)], at).await
    }

    async fn once(&self, event: Event, effects: Vec<Effect>, at: Moment) -> Result<(), KeyServiceError> {
        match self.record(event, effects, at).await {
            Err(KeyServiceError::Record(RecordError::Answered)) => Ok(()),
            done => done,
        }
    }

    /// `ends`: since when it signs no more, and until when it stays published.
    async fn retire(
        &self,
        row: &KeyRow,
        kept: &Kept,
        ends: (Moment, Moment),
        at: Moment,
    ) -> Result<(), KeyServiceError> {
        let (retired_at, published_until) = ends;
        let event = Event::KeyRetired { kid: row.kid.to_string(), published_until };
        let row =
            KeyRow { retired_at: Some(retired_at), published_until: Some(published_until), ..row.clone() };
        self.record(event, kept.change(row), at).await
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

    /// Reads the token keys and makes them the live ones: only what is durable is ever published or signs. When one cannot be
    /// opened, what the store says of the others holds all the same: a stolen key goes, whatever stands in its place.
    async fn reload(&self) -> Result<Kept, KeyServiceError> {
        // First the mark: what is read after it is as new or newer, and what is newer fails the commit.
        let mark = self.store.pulse().await?.marks.keys;
        let mut rows = self.store.keys().await?;
        // Before AWS KMS is asked, which may take its time.
        self.ring.swap(rows.iter().filter_map(|row| self.known(row)).collect());
        let live = self.open_all(&mut rows).await;
        self.ring.set_current(live.is_ok());
        if !matches!(live, Err(KeyServiceError::Custody(CustodyError::Store(_)))) {
            self.stuck.store(mark, Ordering::Release);
        }
        self.ring.swap(live?);
        self.mark.store(mark, Ordering::Release);
        Ok(Kept { rows, mark })
    }

    fn known(&self, row: &KeyRow) -> Option<LiveKey> {
        Some(LiveKey { key: self.ring.parsed(&row.kid)?, times: times_of(row) })
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

/// Of a replica that notices and one that noticed before, one writes it down.
fn activation(kid: &Kid, at: Moment) -> Effect {
    let key = Fingerprint::of_fields(&[b"key.activated", kid.as_str().as_bytes()]);
    Effect::KeepAnswer(AnswerRow { key, request: key, outcome: kid.to_string(), until: at.plus(REMEMBERED) })
}

impl Kept {
    fn find(&self, kid: &Kid) -> Option<&KeyRow> {
        self.rows.iter().find(|row| row.kid == *kid)
    }

    /// Puts `row`, if the keys are still these.
    fn change(&self, row: KeyRow) -> Vec<Effect> {
        vec![Effect::RequireKeys(self.mark), Effect::PutKey(row)]
    }
}

impl KeyServiceError {
    /// Another replica changed the keys first; nothing was written.
    const fn is_overtaken(&self) -> bool {
        matches!(self, Self::Record(RecordError::Overtaken(Overtaken::Keys)))
    }
}

#[cfg(test)]
mod tests;
