//! Against a stand-in KMS and a real store. Refusals first: each of them must leave the store as it was.

use std::time::Duration;

use super::stand_in::{KEY, ORIGIN, OTHER_KEY, Says, StandIn, kms, value};
use super::*;
use crate::clock::{Clock, ManualClock};
use crate::entropy::SystemEntropy;
use crate::keys::open_or_create_log_signer;

struct House {
    _dir: tempfile::TempDir,
    store: Arc<dyn Store>,
    kms: StandIn,
    clock: ManualClock,
    entropy: Arc<dyn Entropy>,
}

impl House {
    async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let url = format!("sqlite:{}", dir.path().join("tidegate.db").display());
        let store = crate::store::open(&url).await.unwrap();
        let clock = ManualClock::at(Moment::from_unix_seconds(1_800_000_000));
        let entropy: Arc<dyn Entropy> = Arc::new(SystemEntropy::new());
        Self { _dir: dir, store, kms: StandIn::start().await, clock, entropy }
    }

    async fn open_with(&self, sources: &Sources) -> Result<Custody, CustodyError> {
        Custody::open(Arc::clone(&self.store), sources, Arc::clone(&self.entropy)).await
    }

    async fn open(&self, wanted: KekSource, previous: Option<KekSource>) -> Result<Custody, CustodyError> {
        self.open_with(&self.kms.sources(wanted, previous)).await
    }

    /// As a broker does at its first start.
    async fn begin(&self, wanted: KekSource) -> KekId {
        let custody = self.open(wanted, None).await.unwrap();
        let (store, entropy) = (&*self.store, &*self.entropy);
        open_or_create_log_signer(store, &custody, ORIGIN, &self.clock, entropy).await.unwrap();
        custody.in_force().unwrap().id()
    }

    async fn kept(&self) -> (Vec<KeyRow>, Vec<WrappedKek>) {
        (self.store.keys().await.unwrap(), self.store.wrapped_keks().await.unwrap())
    }

    /// Refused with these words, and nothing is lost or made.
    async fn refuses(&self, sources: &Sources, words: &str) {
        let before = self.kept().await;
        let refusal = self.open_with(sources).await.unwrap_err().to_string();
        assert!(refusal.contains(words), "{refusal}");
        assert_eq!(self.kept().await, before);
        assert!(!self.kms.calls().iter().skip(1).any(|call| call == "Encrypt"), "no other key is made");
    }
}

#[tokio::test]
async fn a_kms_that_is_away_ends_the_start_within_its_bound_and_no_other_key_is_made() {
    let house = House::new().await;
    house.begin(kms(KEY)).await;
    house.kms.say(&[Says::Silence; 9]);
    let mut sources = house.kms.sources(kms(KEY), None);
    sources.kms.deadline = Duration::from_millis(200);
    house.refuses(&sources, "AWS KMS gave no answer to kms:Decrypt").await;
    // Nobody listens there: privileged, and never ours.
    sources.kms.endpoint = Some("http://127.0.0.1:1".to_owned());
    house.refuses(&sources, "keys.kms_endpoint").await;
}

#[tokio::test]
async fn a_first_start_without_kms_makes_nothing() {
    let house = House::new().await;
    house.kms.say(&[Says::Code(400, "AccessDeniedException")]);
    let custody = house.open(kms(KEY), None).await.unwrap();
    let refusal = custody.first(house.clock.now()).await.unwrap_err().to_string();
    assert!(refusal.contains("denies kms:Encrypt") && refusal.contains(ORIGIN), "{refusal}");
    assert_eq!(house.kept().await, (vec![], vec![]));
    // It may encrypt but not decrypt: the next start would fail, so this one does.
    house.kms.say(&[Says::Fine, Says::Code(400, "AccessDeniedException")]);
    let refusal = custody.first(house.clock.now()).await.unwrap_err().to_string();
    assert!(refusal.contains("denies kms:Decrypt"), "{refusal}");
    assert_eq!(house.kept().await, (vec![], vec![]));
}

#[tokio::test]
async fn another_kms_key_another_file_or_another_origin_starts_nothing() {
    let house = House::new().await;
    let id = house.begin(kms(KEY)).await.to_string();
    let sources = |wanted, previous| house.kms.sources(wanted, previous);
    house.refuses(&sources(kms(OTHER_KEY), None), &format!("`{KEY}` wrapped")).await;
    house.refuses(&sources(value(1), None), &id).await;
    let mut elsewhere = sources(kms(KEY), None);
    elsewhere.kms.origin = "other.example.com/tidegate".to_owned();
    house.refuses(&elsewhere, "for another `audit.origin`").await;
    house.open(value(1), Some(kms(KEY))).await.unwrap();
}

#[tokio::test]
async fn what_kms_opens_must_be_the_key_that_the_seals_name() {
    let house = House::new().await;
    house.begin(kms(KEY)).await;
    house.kms.say(&[Says::Lie]);
    house.refuses(&house.kms.sources(kms(KEY), None), "is not the key-encryption key").await;
    let mut unit = house.store.begin().await.unwrap();
    let kept = house.store.wrapped_keks().await.unwrap().remove(0);
    unit.delete_wrapped_kek(kept.id).await.unwrap();
    unit.put_wrapped_kek(&WrappedKek { wrapped: b"changed".to_vec(), ..kept }).await.unwrap();
    unit.commit().await.unwrap();
    house.refuses(&house.kms.sources(kms(KEY), None), "or was changed").await;
}

#[tokio::test]
async fn a_file_in_which_another_key_stands_starts_nothing_and_says_which_it_should_be() {
    let house = House::new().await;
    let id = house.begin(value(1)).await;
    house.refuses(&house.kms.sources(value(2), None), &id.to_string()).await;
    house.refuses(&house.kms.sources(kms(KEY), None), "previous_kek_file").await;
    let same = house.open(value(1), Some(value(1))).await.unwrap_err();
    assert!(matches!(same, CustodyError::SameTwice(twice) if twice == id), "{same}");
    assert_eq!(house.kms.calls(), [""; 0]);
}

#[tokio::test]
async fn a_refusal_is_final_and_what_may_pass_is_asked_again() {
    let house = House::new().await;
    house.begin(kms(KEY)).await;
    house.kms.say(&[Says::Code(400, "DisabledException")]);
    house.refuses(&house.kms.sources(kms(KEY), None), "enable it").await;
    assert_eq!(house.kms.calls().len(), 3);
    house.kms.say(&[Says::Code(400, "ThrottlingException"), Says::Code(500, "KMSInternalException")]);
    house.open(kms(KEY), None).await.unwrap();
    assert_eq!(house.kms.calls().len(), 6);
}

#[tokio::test]
async fn a_key_is_wrapped_once_opened_once_for_each_start_and_never_kept_bare() {
    let house = House::new().await;
    let id = house.begin(kms(KEY)).await;
    assert_eq!(house.kms.calls(), ["Encrypt", "Decrypt"]);
    let custody = house.open(kms(KEY), None).await.unwrap();
    assert_eq!(custody.in_force().unwrap().id(), id);
    assert!(custody.is_where_wanted());
    let kid = Kid::new("k1").unwrap();
    for _ in 0..9 {
        let (blob, under) = custody.seal("token", &kid, b"private").unwrap();
        assert_eq!((under, &**custody.ring().open("token", &kid, &blob).unwrap()), (id, &b"private"[..]));
        custody.look(&house.store.keys().await.unwrap()).await.unwrap();
    }
    assert_eq!(house.kms.calls(), ["Encrypt", "Decrypt", "Decrypt"]);
}

#[tokio::test]
async fn a_start_that_was_killed_before_it_sealed_anything_finds_its_key_again() {
    let house = House::new().await;
    let first = async |arn| {
        let custody = house.open(kms(arn), None).await.unwrap();
        custody.first(house.clock.now()).await.unwrap().id()
    };
    let (once, again) = (first(KEY).await, first(KEY).await);
    assert_eq!(once, again);
    // Under another KMS key it begins anew, and what was never used goes.
    let other = first(OTHER_KEY).await;
    assert_ne!(other, once);
    let kept: Vec<KekId> = house.store.wrapped_keks().await.unwrap().iter().map(|kept| kept.id).collect();
    assert_eq!(kept, [other]);
}

#[tokio::test]
async fn replicas_that_start_together_make_one_key() {
    let house = House::new().await;
    let (a, b) = (house.open(kms(KEY), None).await.unwrap(), house.open(kms(KEY), None).await.unwrap());
    let at = house.clock.now();
    let (a, b) = tokio::join!(a.first(at), b.first(at));
    assert_eq!(a.unwrap().id(), b.unwrap().id());
    assert_eq!(house.store.wrapped_keks().await.unwrap().len(), 1);
}
