//! Changing the key-encryption key, on a real store and a real log: refusals first, then who goes on how.

use std::sync::Arc;
use std::time::Duration;

use super::*;
use crate::audit::AuditLog;
use crate::clock::{Clock, ManualClock};
use crate::custody::stand_in::{KEY, ORIGIN, OTHER_KEY, Says, StandIn, kms, value};
use crate::custody::{Custody, KekSource};
use crate::entropy::{Entropy, SystemEntropy};
use crate::keys::service::{KeyServiceError, Settings};
use crate::keys::{Kek, Schedule, SigningAlgorithm, open_or_create_log_signer};
use crate::store::{KeyPurpose, Store};

const AHEAD: Duration = Duration::from_mins(10);

/// One store and log, and as many brokers on them as a test wants.
struct House {
    _dir: tempfile::TempDir,
    store: Arc<dyn Store>,
    audit: AuditLog,
    kms: StandIn,
    clock: Arc<ManualClock>,
    entropy: Arc<dyn Entropy>,
}

impl House {
    /// Begun with that key-encryption key.
    async fn begun_with(wanted: KekSource) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let url = format!("sqlite:{}", dir.path().join("tidegate.db").display());
        let store = crate::store::open(&url).await.unwrap();
        let clock = Arc::new(ManualClock::at(Moment::from_unix_seconds(1_800_000_000)));
        let entropy: Arc<dyn Entropy> = Arc::new(SystemEntropy::new());
        let kms = StandIn::start().await;
        let sources = kms.sources(wanted, None);
        let custody = Custody::open(Arc::clone(&store), &sources, Arc::clone(&entropy)).await.unwrap();
        let signer = open_or_create_log_signer(&*store, &custody, ORIGIN, &*clock, &*entropy).await.unwrap();
        let shared: Arc<dyn Clock> = Arc::clone(&clock) as Arc<dyn Clock>;
        let audit = AuditLog::start(Arc::clone(&store), signer, shared, Arc::clone(&entropy)).await.unwrap();
        Self { _dir: dir, store, audit, kms, clock, entropy }
    }

    async fn try_broker(&self, wanted: KekSource, previous: Option<KekSource>) -> Result<KeyService, String> {
        let sources = self.kms.sources(wanted, previous);
        let custody = Custody::open(Arc::clone(&self.store), &sources, Arc::clone(&self.entropy)).await;
        let custody = Arc::new(custody.map_err(|error| error.to_string())?);
        let schedule = Schedule::new(Duration::from_hours(1), Some(AHEAD), Duration::from_mins(16)).unwrap();
        let settings = Settings { algorithm: SigningAlgorithm::Es256, schedule, rsa_key: None };
        let (store, audit) = (Arc::clone(&self.store), self.audit.clone());
        KeyService::start(store, audit, custody, settings, &*self.clock, Arc::clone(&self.entropy))
            .await
            .map_err(|error| error.to_string())
    }

    async fn broker(&self, wanted: KekSource, previous: Option<KekSource>) -> KeyService {
        self.try_broker(wanted, previous).await.unwrap()
    }

    async fn rows(&self) -> Vec<KeyRow> {
        self.store.keys().await.unwrap()
    }

    async fn sealed_under(&self) -> Vec<KekId> {
        let mut ids: Vec<_> = self.rows().await.iter().filter_map(KeyRow::sealed_under).collect();
        ids.sort_unstable();
        ids.dedup();
        ids
    }

    async fn in_force(&self) -> KekId {
        kek_in_force(&self.rows().await).unwrap()
    }

    async fn rotate_kek(&self, broker: &KeyService) -> Result<KekRotation, KekRotationError> {
        broker.rotate_kek(self.in_force().await, self.clock.now()).await
    }

    /// Refused with these words, and not a byte was changed.
    async fn refuses(&self, broker: &KeyService, words: &str) {
        let before = (self.rows().await, self.store.wrapped_keks().await.unwrap(), self.audit.size());
        let refusal = self.rotate_kek(broker).await.unwrap_err().to_string();
        assert!(refusal.contains(words), "{refusal}");
        let after = (self.rows().await, self.store.wrapped_keks().await.unwrap(), self.audit.size());
        assert_eq!(before, after);
    }

    async fn last_entry(&self) -> serde_json::Value {
        let entries = self.store.entries(self.audit.size() - 1, 1).await.unwrap();
        serde_json::from_slice(&entries[0].bytes).unwrap()
    }

    fn signer(&self, broker: &KeyService) -> Kid {
        broker.ring().signer(self.clock.now()).unwrap().kid().clone()
    }
}

fn id(byte: u8) -> KekId {
    Kek::from_bytes(&[byte; 32]).unwrap().id()
}

#[tokio::test]
async fn a_key_that_seals_already_is_no_new_one() {
    let house = House::begun_with(value(1)).await;
    let broker = house.broker(value(1), None).await;
    house.refuses(&broker, "seals everything already").await;
}

#[tokio::test]
async fn one_kept_key_that_was_tampered_with_refuses_the_whole_change() {
    let house = House::begun_with(value(1)).await;
    let broker = house.broker(value(2), Some(value(1))).await;
    let token = house.rows().await.into_iter().find(|row| row.purpose == KeyPurpose::Token).unwrap();
    let mut changed = token.sealed_private;
    *changed.last_mut().unwrap() ^= 1;
    let mut unit = house.store.begin().await.unwrap();
    unit.reseal_key(&token.kid, &changed).await.unwrap();
    unit.commit().await.unwrap();
    house.refuses(&broker, token.kid.as_str()).await;
}

#[tokio::test]
async fn a_kms_that_says_no_changes_nothing() {
    let house = House::begun_with(value(1)).await;
    let broker = house.broker(kms(KEY), Some(value(1))).await;
    house.kms.say(&[Says::Code(400, "AccessDeniedException")]);
    house.refuses(&broker, "denies kms:Encrypt").await;
    house.kms.say(&[Says::Fine, Says::Code(400, "AccessDeniedException")]);
    house.refuses(&broker, "denies kms:Decrypt").await;
    house.kms.say(&[Says::Fine, Says::Lie]);
    house.refuses(&broker, "is not the key-encryption key").await;
    house.rotate_kek(&broker).await.unwrap();
}

#[tokio::test]
async fn a_request_that_was_recorded_changes_nothing_when_it_is_sent_again() {
    let house = House::begun_with(kms(KEY)).await;
    let broker = house.broker(kms(KEY), None).await;
    let (signed, at) = (house.in_force().await, house.clock.now());
    let first = broker.rotate_kek(signed, at).await.unwrap();
    let again = broker.rotate_kek(signed, at).await.unwrap_err();
    assert!(
        matches!(again, KekRotationError::NotInForce { in_force, .. } if in_force == first.kek),
        "{again}"
    );
    assert_eq!(house.sealed_under().await, [first.kek]);
}

#[tokio::test]
async fn what_was_read_before_another_change_is_not_written_over_it() {
    let house = House::begun_with(value(1)).await;
    let late = house.broker(value(2), Some(value(1))).await;
    let (rows, next) = (house.rows().await, late.custody.next(house.clock.now()).await.unwrap());
    let resealing = late.resealing(&rows, &next).await.unwrap();
    let (kid, key) = (Kid::new("late").unwrap(), rows[0].clone());
    let (sealed_private, kek) = late.custody.seal("token", &kid, b"private").unwrap();

    let other = house.broker(value(3), Some(value(1))).await;
    house.rotate_kek(&other).await.unwrap();
    let (after, size) = (house.rows().await, house.audit.size());
    let outcome = late.commit(&resealing, &rows, &next, house.clock.now()).await;
    assert_eq!(outcome, Err(RecordError::Overtaken(Overtaken::Change)));
    // A new key of a replica that has not noticed either: nobody would open it once the old key-encryption key is gone.
    let row = KeyRow { kid, sealed_private, purpose: KeyPurpose::Token, ..key };
    let effects = vec![Effect::RequireKek(kek), Effect::PutKey(row)];
    let event = Event::KeyActivated { kid: "late".to_owned() };
    let request_id = RequestId::new(house.clock.now(), &*house.entropy).unwrap();
    let outcome = house.audit.record(Submission::new(request_id, event).with(effects)).await;
    assert_eq!(outcome.unwrap_err(), RecordError::Overtaken(Overtaken::Change));
    assert_eq!((house.rows().await, house.audit.size()), (after, size));
}

impl House {
    async fn hear(&self, broker: &KeyService) -> Result<(), KeyServiceError> {
        broker.catch_up(self.store.pulse().await.unwrap().marks.keys).await
    }

    /// Whoever can write into the store makes it what it was.
    async fn put_back(&self, rows: &[KeyRow], wrapped: &[WrappedKek]) {
        let mut unit = self.store.begin().await.unwrap();
        for row in rows {
            unit.reseal_key(&row.kid, &row.sealed_private).await.unwrap();
        }
        for kek in wrapped {
            unit.put_wrapped_kek(kek).await.unwrap();
        }
        unit.commit().await.unwrap();
    }
}

#[tokio::test]
async fn a_replaced_key_encryption_key_that_somebody_puts_back_is_refused_by_every_broker_that_runs() {
    let house = House::begun_with(kms(KEY)).await;
    let (a, b) = (house.broker(kms(KEY), None).await, house.broker(kms(KEY), None).await);
    let (rows, wrapped) = (house.rows().await, house.store.wrapped_keks().await.unwrap());
    let leaked = house.in_force().await;
    let now = house.rotate_kek(&a).await.unwrap().kek;
    house.hear(&b).await.unwrap();
    for broker in [&a, &b] {
        assert!(broker.custody.ring().get(leaked).is_none(), "it proves nothing to the ops listener");
    }
    house.put_back(&rows, &wrapped).await;
    for broker in [&a, &b] {
        let refusal = broker.tick(house.clock.now()).await.unwrap_err();
        assert!(
            matches!(refusal, KeyServiceError::Custody(CustodyError::Retired(id)) if id == leaked),
            "{refusal}"
        );
        assert_eq!(broker.custody.in_force().unwrap().id(), now);
        assert!(!broker.ring().is_current());
        assert!(broker.rotate_now(house.clock.now()).await.is_err(), "nothing is sealed under it again");
    }
}

#[tokio::test]
async fn a_key_under_another_key_encryption_key_than_is_in_force_is_nobodys() {
    let house = House::begun_with(kms(KEY)).await;
    let broker = house.broker(kms(KEY), None).await;
    let wrapped = house.store.wrapped_keks().await.unwrap();
    let tokens: Vec<KeyRow> =
        house.rows().await.into_iter().filter(|row| row.purpose == KeyPurpose::Token).collect();
    house.rotate_kek(&broker).await.unwrap();
    house.put_back(&tokens, &wrapped).await;
    // Also by one that has just been started, and could have it opened.
    let refusal = house.try_broker(kms(KEY), None).await.unwrap_err();
    assert!(refusal.contains("somebody has put a key into the store"), "{refusal}");
}

#[tokio::test]
async fn aws_kms_is_asked_once_for_each_change_and_then_by_the_schedule_alone() {
    let house = House::begun_with(kms(KEY)).await;
    let (a, b) = (house.broker(kms(KEY), None).await, house.broker(kms(KEY), None).await);
    house.rotate_kek(&a).await.unwrap();
    let calls = house.kms.calls().len();
    house.kms.say(&[Says::Code(400, "AccessDeniedException"); 2]);
    assert!(house.hear(&b).await.is_err() && !b.ring().is_current());
    for _ in 0..9 {
        house.hear(&b).await.unwrap();
    }
    assert_eq!(house.kms.calls().len(), calls + 1);
    assert!(b.tick(house.clock.now()).await.is_err());
    house.hear(&b).await.unwrap();
    b.tick(house.clock.now()).await.unwrap();
    assert!(b.ring().is_current());
    assert_eq!(house.kms.calls().len(), calls + 3);
}

#[tokio::test]
async fn a_stolen_key_is_gone_also_where_the_one_in_its_place_cannot_be_opened() {
    let house = House::begun_with(value(1)).await;
    let (a, behind) = (house.broker(value(2), Some(value(1))).await, house.broker(value(1), None).await);
    let stolen = house.signer(&behind);
    house.rotate_kek(&a).await.unwrap();
    house.clock.advance(Duration::from_secs(1));
    let at = house.clock.now();
    a.replace_compromised(at).await.unwrap();
    assert!(house.hear(&behind).await.is_err());
    assert!(behind.ring().signer(at).is_none() && behind.ring().published(at).is_empty());
    assert!(behind.ring().verifier(stolen.as_str(), at).is_none());
}

#[tokio::test]
async fn everything_is_sealed_anew_in_one_entry_and_the_old_key_opens_nothing() {
    let house = House::begun_with(value(1)).await;
    let first = house.broker(value(1), None).await;
    first.rotate_now(house.clock.now()).await.unwrap();
    let signer = house.signer(&first);
    assert_eq!(house.sealed_under().await, [id(1)]);

    let broker = house.broker(value(2), Some(value(1))).await;
    assert_eq!(house.sealed_under().await, [id(1)], "a start changes nothing");
    let size = house.audit.size();
    let rotation = house.rotate_kek(&broker).await.unwrap();
    assert_eq!((rotation.kek, &rotation.previous[..], rotation.resealed.len()), (id(2), &[id(1)][..], 3));
    assert_eq!(house.audit.size(), size + 1);
    let entry = house.last_entry().await;
    assert_eq!(entry["type"], "key.resealed");
    assert_eq!((&entry["kek"], &entry["custody"]), (&id(2).to_string().into(), &"value".into()));
    assert_eq!(entry["kids"].as_array().unwrap().len(), 3);
    assert_eq!(house.sealed_under().await, [id(2)]);
    assert_eq!(house.signer(&broker), signer);
    assert_eq!(house.signer(&house.broker(value(2), None).await), signer, "the new one alone is enough");
    let refusal = house.try_broker(value(1), None).await.unwrap_err();
    assert!(refusal.contains(&id(2).to_string()), "{refusal}");
}

#[tokio::test]
async fn a_replica_that_has_both_keys_goes_on_and_seals_under_the_new_one() {
    let house = House::begun_with(value(1)).await;
    let (a, b) = (house.broker(value(2), Some(value(1))).await, house.broker(value(2), Some(value(1))).await);
    b.rotate_now(house.clock.now()).await.unwrap();
    assert_eq!(house.sealed_under().await, [id(1)], "before the change all of them seal under the old one");
    house.rotate_kek(&a).await.unwrap();
    house.clock.advance(AHEAD);
    b.tick(house.clock.now()).await.unwrap();
    b.rotate_now(house.clock.now()).await.unwrap();
    assert_eq!(house.sealed_under().await, [id(2)]);
    a.tick(house.clock.now()).await.unwrap();
    assert_eq!(house.signer(&a), house.signer(&b));
}

#[tokio::test]
async fn a_replica_that_was_left_behind_goes_on_signing_and_says_so() {
    let house = House::begun_with(value(1)).await;
    let (a, behind) = (house.broker(value(2), Some(value(1))).await, house.broker(value(1), None).await);
    let signer = house.signer(&behind);
    assert!(behind.ring().is_current());
    house.rotate_kek(&a).await.unwrap();
    let refusal = behind.tick(house.clock.now()).await.unwrap_err();
    assert!(matches!(refusal, KeyServiceError::Custody(CustodyError::Unknown { .. })), "{refusal}");
    assert_eq!(house.signer(&behind), signer);
    assert!(!behind.ring().is_current(), "it does not publish what others will sign with");
    assert!(behind.rotate_now(house.clock.now()).await.is_err());
}

#[tokio::test]
async fn under_the_same_kms_key_a_new_one_is_made_and_replicas_open_it_by_themselves() {
    let house = House::begun_with(kms(KEY)).await;
    let (a, b) = (house.broker(kms(KEY), None).await, house.broker(kms(KEY), None).await);
    let old = house.in_force().await;
    let rotation = house.rotate_kek(&a).await.unwrap();
    assert_eq!((rotation.custody, &rotation.previous[..]), ("kms", &[old][..]));
    assert_ne!(rotation.kek, old);
    let kept: Vec<KekId> = house.store.wrapped_keks().await.unwrap().iter().map(|kept| kept.id).collect();
    assert_eq!(kept, [rotation.kek], "the old one is not kept");
    b.rotate_now(house.clock.now()).await.unwrap();
    assert_eq!(house.sealed_under().await, [rotation.kek]);
    assert_eq!(house.last_entry().await["type"], "key.created");
    house.broker(kms(KEY), None).await;
}

#[tokio::test]
async fn a_key_moves_from_a_file_to_kms_to_another_kms_key_and_back() {
    let house = House::begun_with(value(1)).await;
    let signer = house.signer(&house.broker(value(1), None).await);
    let places = [kms(KEY), kms(OTHER_KEY), value(3)];
    let mut before = value(1);
    for place in places {
        let broker = house.broker(place.clone(), Some(before)).await;
        assert!(!broker.custody.is_where_wanted());
        let rotation = house.rotate_kek(&broker).await.unwrap();
        assert!(broker.custody.is_where_wanted());
        assert_eq!(house.sealed_under().await, [rotation.kek]);
        let alone = house.broker(place.clone(), None).await;
        assert!(alone.custody.is_where_wanted());
        assert_eq!(house.signer(&alone), signer);
        before = place;
    }
    assert!(house.store.wrapped_keks().await.unwrap().is_empty(), "nothing needs KMS any more");
    assert_eq!(house.last_entry().await["custody"], "value");
}
