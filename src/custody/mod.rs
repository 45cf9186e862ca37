//! Where key-encryption keys come from: a file, the configuration, or AWS KMS, which wraps a random one that the store
//! keeps. Knows which of them a store needs; promises that one which has sealed something is never replaced by a new one;
//! refuses to know what they seal.
//!
//! `kms` is the one place that calls AWS KMS. Everything that is opened stays in memory, so that KMS is called at start
//! and when the key-encryption key is changed, and never for a token.

mod error;
mod kms;
mod kms_error;
mod kms_key;
#[cfg(test)]
pub(crate) mod stand_in;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwapOption;
use zeroize::Zeroizing;

pub use self::error::CustodyError;
pub use self::kms::KmsSettings;
pub use self::kms_error::KmsError;
pub use self::kms_key::KmsKey;

use self::kms::Kms;
use crate::clock::Moment;
use crate::entropy::{Entropy, bytes};
use crate::ids::Kid;
use crate::keys::{Kek, KekFileError, KekId, KekRing, KeyError};
use crate::secret::SecretText;
use crate::store::{KeyRow, Store, WrappedKek, kek_in_force};

/// Where one key-encryption key is.
#[derive(Clone, Debug)]
pub enum KekSource {
    /// In a file of its own.
    File(PathBuf),
    /// In the configuration itself.
    Value(SecretText),
    /// In the store, wrapped by this key of AWS KMS.
    Kms(KmsKey),
}

impl KekSource {
    /// The key itself, unless KMS has it.
    pub fn read(&self) -> Result<Option<Kek>, KekFileError> {
        match self {
            Self::File(path) => Kek::read(path).map(Some),
            Self::Value(text) => Kek::from_text(text).map(Some),
            Self::Kms(_) => Ok(None),
        }
    }

    /// `file`, `value` or `kms`.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::File(_) => "file",
            Self::Value(_) => "value",
            Self::Kms(_) => "kms",
        }
    }
}

/// Which key-encryption keys a broker may use.
#[derive(Clone, Debug)]
pub struct Sources {
    /// What everything is to be sealed under.
    pub wanted: KekSource,
    /// What it was sealed under before, while that is being changed.
    pub previous: Option<KekSource>,
    /// For those that KMS has wrapped.
    pub kms: KmsSettings,
}

/// The key-encryption key that everything shall be sealed under next.
#[derive(Debug)]
pub struct NextKek {
    /// The key.
    pub kek: Arc<Kek>,
    /// What the store must keep of it.
    pub wrapped: Option<WrappedKek>,
    /// `file`, `value` or `kms`.
    pub custody: &'static str,
}

/// The key-encryption keys of one broker.
#[derive(Debug)]
pub struct Custody {
    store: Arc<dyn Store>,
    entropy: Arc<dyn Entropy>,
    ring: Arc<KekRing>,
    wanted: Wanted,
    /// Those that are configured, the wanted one first.
    kms: Vec<Kms>,
    in_force: ArcSwapOption<Kek>,
    /// Ids of those in memory that are where the configuration wants them.
    wanted_ids: Mutex<BTreeSet<KekId>>,
}

/// What is to be sealed under.
#[derive(Debug)]
enum Wanted {
    Given {
        kek: Arc<Kek>,
        custody: &'static str,
    },
    /// One that the first of [`Custody::kms`] has wrapped.
    Wrapped,
}

impl Custody {
    /// Reads what is in files, and has KMS open what kept keys are sealed under. Makes nothing.
    pub async fn open(
        store: Arc<dyn Store>,
        sources: &Sources,
        entropy: Arc<dyn Entropy>,
    ) -> Result<Self, CustodyError> {
        let given = sources.wanted.read()?.map(Arc::new);
        let previous = sources.previous.as_ref().map(KekSource::read).transpose()?.flatten().map(Arc::new);
        if let Some(twice) =
            given.as_ref().filter(|kek| previous.as_ref().map(|old| old.id()) == Some(kek.id()))
        {
            return Err(CustodyError::SameTwice(twice.id()));
        }
        let mut kms = Vec::new();
        for source in std::iter::once(&sources.wanted).chain(&sources.previous) {
            if let KekSource::Kms(key) = source {
                kms.push(Kms::connect(key.clone(), &sources.kms).await?);
            }
        }
        let ring = Arc::new(KekRing::new(given.iter().chain(&previous).cloned()));
        let custody = sources.wanted.as_str();
        let wanted = given.map_or(Wanted::Wrapped, |kek| Wanted::Given { kek, custody });
        let this = Self::new(store, entropy, ring, wanted, kms);
        this.look(&this.store.keys().await?).await?;
        Ok(this)
    }

    /// With this key alone, from nowhere in particular.
    #[cfg(test)]
    pub(crate) async fn of(store: Arc<dyn Store>, kek: Kek, entropy: Arc<dyn Entropy>) -> Self {
        let kek = Arc::new(kek);
        let ring = Arc::new(KekRing::new([Arc::clone(&kek)]));
        let this = Self::new(store, entropy, ring, Wanted::Given { kek, custody: "value" }, Vec::new());
        this.look(&this.store.keys().await.unwrap()).await.unwrap();
        this
    }

    fn new(
        store: Arc<dyn Store>,
        entropy: Arc<dyn Entropy>,
        ring: Arc<KekRing>,
        wanted: Wanted,
        kms: Vec<Kms>,
    ) -> Self {
        let ids = match &wanted {
            Wanted::Given { kek, .. } => BTreeSet::from([kek.id()]),
            Wanted::Wrapped => BTreeSet::new(),
        };
        let (in_force, wanted_ids) = (ArcSwapOption::empty(), Mutex::new(ids));
        Self { store, entropy, ring, wanted, kms, in_force, wanted_ids }
    }

    /// Learns from the kept keys which key-encryption key is in force, and opens it where it is not in memory yet: after
    /// another replica has changed over to one that KMS wrapped. The one before is retired.
    ///
    /// # Errors
    /// Also when the store holds what no broker has put there: a key under another one than is in force, or under one that
    /// was replaced. Whoever has an old key-encryption key and can write into the store could have us sign with theirs.
    pub async fn look(&self, rows: &[KeyRow]) -> Result<(), CustodyError> {
        let in_force = kek_in_force(rows);
        for id in rows.iter().filter_map(KeyRow::sealed_under) {
            if self.ring.is_retired(id) {
                return Err(CustodyError::Retired(id));
            }
            if let Some(in_force) = in_force.filter(|in_force| *in_force != id) {
                return Err(CustodyError::Mixed { id, in_force });
            }
            if self.ring.get(id).is_none() {
                self.unwrap_kept(id).await?;
            }
        }
        self.take_over(in_force.and_then(|id| self.ring.get(id)));
        Ok(())
    }

    fn take_over(&self, next: Option<Arc<Kek>>) {
        let before = self.in_force.swap(next.clone());
        if let (Some(before), Some(next)) = (before, next)
            && before.id() != next.id()
        {
            tracing::info!(kek.id = %before.id(), "a key-encryption key was replaced and counts no more");
            self.ring.retire(before.id());
        }
    }

    /// Everything that is in memory, for opening.
    pub fn ring(&self) -> Arc<KekRing> {
        Arc::clone(&self.ring)
    }

    /// The one that new keys are sealed under; `None` in a store that has no key yet.
    pub fn in_force(&self) -> Option<Arc<Kek>> {
        self.in_force.load_full()
    }

    /// Is the one in force where the configuration wants it? If not, the change is still to be asked for.
    pub fn is_where_wanted(&self) -> bool {
        self.in_force().is_none_or(|kek| self.wanted_ids().contains(&kek.id()))
    }

    /// Seals under the one in force.
    pub fn seal(&self, purpose: &str, kid: &Kid, private: &[u8]) -> Result<(Vec<u8>, KekId), KeyError> {
        let kek = self.in_force().ok_or(KeyError::Invalid("no key-encryption key is in force"))?;
        Ok((kek.seal(purpose, kid, private, &*self.entropy)?, kek.id()))
    }

    /// For a store that has no key yet: the wanted one. One that KMS shall wrap is made here, once; whoever is killed
    /// before anything is sealed under it finds it again.
    pub async fn first(&self, at: Moment) -> Result<Arc<Kek>, CustodyError> {
        let kek = match &self.wanted {
            Wanted::Given { kek, .. } => Arc::clone(kek),
            Wanted::Wrapped => self.first_wrapped(at).await?,
        };
        self.put_in_force(&kek);
        Ok(kek)
    }

    /// The one to change over to. One that KMS shall wrap is made anew, and nothing is kept of it yet.
    pub async fn next(&self, at: Moment) -> Result<NextKek, CustodyError> {
        match &self.wanted {
            Wanted::Given { kek, custody } => match self.in_force() {
                Some(in_force) if in_force.id() == kek.id() => Err(CustodyError::NothingNew(kek.id())),
                _ => Ok(NextKek { kek: Arc::clone(kek), wrapped: None, custody }),
            },
            Wanted::Wrapped => {
                let (kek, wrapped) = self.make(at).await?;
                Ok(NextKek { kek, wrapped: Some(wrapped), custody: "kms" })
            }
        }
    }

    /// After the store has changed over to it, or has got its first key.
    pub fn put_in_force(&self, kek: &Arc<Kek>) {
        self.ring.add(kek);
        self.wanted_ids().insert(kek.id());
        self.take_over(Some(Arc::clone(kek)));
    }

    /// Can what `kek` seals be opened again after a restart? `kept` are the wrapped ones as the unit that seals sees them.
    pub fn is_kept(&self, kek: &Kek, kept: &[WrappedKek]) -> bool {
        match &self.wanted {
            Wanted::Given { .. } => true,
            Wanted::Wrapped => kept.iter().any(|wrapped| wrapped.id == kek.id()),
        }
    }

    fn wanted_ids(&self) -> MutexGuard<'_, BTreeSet<KekId>> {
        self.wanted_ids.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn first_wrapped(&self, at: Moment) -> Result<Arc<Kek>, CustodyError> {
        if let Some(kek) = self.find_wrapped(&self.store.wrapped_keks().await?).await? {
            return Ok(kek);
        }
        let (kek, wrapped) = self.make(at).await?;
        let mut unit = self.store.begin().await?;
        // The head's lock: of replicas that start together, one makes it and the others find it.
        unit.head().await?;
        let kept = unit.wrapped_keks().await?;
        if !unit.keys().await?.is_empty() || kept.iter().any(|kept| self.is_wanted(kept)) {
            drop(unit);
            return self.find_wrapped(&kept).await?.ok_or(CustodyError::Overtaken);
        }
        // Nothing is sealed in this store: what another KMS key wrapped was made by a start that ended early.
        for orphan in &kept {
            unit.delete_wrapped_kek(orphan.id).await?;
        }
        unit.put_wrapped_kek(&wrapped).await?;
        unit.commit().await?;
        Ok(kek)
    }

    async fn find_wrapped(&self, kept: &[WrappedKek]) -> Result<Option<Arc<Kek>>, CustodyError> {
        match kept.iter().find(|kept| self.is_wanted(kept)) {
            Some(kept) => self.open_wrapped(kept).await.map(Some),
            None => Ok(None),
        }
    }

    fn is_wanted(&self, kept: &WrappedKek) -> bool {
        matches!(self.wanted, Wanted::Wrapped)
            && self.kms.first().is_some_and(|kms| kms.key().opens(&kept.kms_key))
    }

    /// A random key that KMS has wrapped, and has opened again: what it would not open at the next start seals nothing.
    async fn make(&self, at: Moment) -> Result<(Arc<Kek>, WrappedKek), CustodyError> {
        let kms = self.kms.first().ok_or(CustodyError::Overtaken)?;
        let secret = Zeroizing::new(bytes::<32>(&*self.entropy)?);
        let id = Kek::from_bytes(&secret)?.id();
        let wrapped = kms.wrap(&secret, &*self.entropy).await?;
        let wrapped = WrappedKek { id, kms_key: kms.key().as_str().to_owned(), wrapped, created_at: at };
        let kek = self.open_with(kms, &wrapped).await?;
        tracing::info!(kek.id = %id, kms.key = %kms.key(), "a key-encryption key was made and wrapped");
        Ok((kek, wrapped))
    }

    async fn unwrap_kept(&self, id: KekId) -> Result<(), CustodyError> {
        let kept = self.store.wrapped_keks().await?;
        let Some(kept) = kept.iter().find(|kept| kept.id == id) else {
            return Err(CustodyError::Unknown { id, held: self.held() });
        };
        let kek = self.open_wrapped(kept).await?;
        self.ring.add(&kek);
        if self.is_wanted(kept) {
            self.wanted_ids().insert(id);
        }
        Ok(())
    }

    async fn open_wrapped(&self, kept: &WrappedKek) -> Result<Arc<Kek>, CustodyError> {
        match self.kms.iter().find(|kms| kms.key().opens(&kept.kms_key)) {
            Some(kms) => self.open_with(kms, kept).await,
            None => Err(CustodyError::OtherKmsKey {
                id: kept.id,
                wrapped_by: kept.kms_key.clone(),
                held: self.held(),
            }),
        }
    }

    /// Whatever KMS says, and whoever wrote the row: only the key that the seals name is taken.
    async fn open_with(&self, kms: &Kms, kept: &WrappedKek) -> Result<Arc<Kek>, CustodyError> {
        let opened = kms.unwrap(&kept.wrapped, &*self.entropy).await?;
        let other = || CustodyError::NotTheKey { id: kept.id, key: kms.key().as_str().to_owned() };
        let secret: &[u8; 32] = opened.as_slice().try_into().map_err(|_| other())?;
        let kek = Kek::from_bytes(secret)?;
        if kek.id() == kept.id { Ok(Arc::new(kek)) } else { Err(other()) }
    }

    /// In words, for an error.
    fn held(&self) -> String {
        let ids = self.ring.all().into_iter().map(|kek| kek.id().to_string());
        let keys = self.kms.iter().map(|kms| format!("what `{}` wrapped", kms.key()));
        ids.chain(keys).collect::<Vec<_>>().join(" and ")
    }
}
