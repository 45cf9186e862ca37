//! The service on a real store and a real log.

use super::*;
use crate::clock::ManualClock;
use crate::entropy::SystemEntropy;
use crate::keys::Kek;
use crate::keys::PublicJwk;

const ORIGIN: &str = "broker.example.com/tidegate";
const HOUR: Duration = Duration::from_hours(1);
const AHEAD: Duration = Duration::from_mins(10);
const KEEP: Duration = Duration::from_mins(16);

struct House {
    dir: tempfile::TempDir,
    store: Arc<dyn Store>,
    audit: AuditLog,
    custody: Arc<Custody>,
    clock: Arc<ManualClock>,
    entropy: Arc<dyn Entropy>,
}

impl House {
    async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let url = format!("sqlite:{}", dir.path().join("tidegate.db").display());
        let store = crate::store::open(&url).await.unwrap();
        let clock = Arc::new(ManualClock::at(Moment::from_unix_seconds(1_800_000_000)));
        let entropy: Arc<dyn Entropy> = Arc::new(SystemEntropy::new());
        let kek = Kek::from_bytes(&[9; 32]).unwrap();
        let custody = Arc::new(Custody::of(Arc::clone(&store), kek, Arc::clone(&entropy)).await);
        let signer = open_or_create_log_signer(&*store, &custody, ORIGIN, &*clock, &*entropy).await.unwrap();
        let shared: Arc<dyn Clock> = Arc::clone(&clock) as Arc<dyn Clock>;
        let audit = AuditLog::start(Arc::clone(&store), signer, shared, Arc::clone(&entropy)).await.unwrap();
        Self { dir, store, audit, custody, clock, entropy }
    }

    fn settings(algorithm: SigningAlgorithm) -> Settings {
        let schedule = Schedule::new(HOUR, Some(AHEAD), KEEP).unwrap();
        Settings { algorithm, schedule, rsa_key: None }
    }

    async fn start_with(&self, settings: Settings) -> Result<KeyService, KeyServiceError> {
        let (store, audit, custody) =
            (Arc::clone(&self.store), self.audit.clone(), Arc::clone(&self.custody));
        KeyService::start(store, audit, custody, settings, &*self.clock, Arc::clone(&self.entropy)).await
    }

    async fn start(&self) -> KeyService {
        self.start_with(Self::settings(SigningAlgorithm::Es256)).await.unwrap()
    }

    async fn pass(&self, keys: &KeyService, span: Duration) {
        self.clock.advance(span);
        keys.tick(self.clock.now()).await.unwrap();
    }

    fn signer(&self, keys: &KeyService) -> Kid {
        keys.ring().signer(self.clock.now()).unwrap().kid().clone()
    }

    fn published(&self, keys: &KeyService) -> Vec<Kid> {
        keys.ring().published(self.clock.now()).iter().map(PublicJwk::kid).cloned().collect()
    }

    /// `type` of every entry.
    async fn entries(&self) -> Vec<String> {
        let rows = self.store.entries(0, 1000).await.unwrap();
        let kind = |bytes: &[u8]| serde_json::from_slice::<serde_json::Value>(bytes).unwrap()["type"].clone();
        rows.iter().map(|row| kind(&row.bytes).as_str().unwrap().to_owned()).collect()
    }
}

#[tokio::test]
async fn a_log_keeps_its_key_and_refuses_another_origin() {
    let house = House::new().await;
    let open = async |origin| {
        open_or_create_log_signer(&*house.store, &house.custody, origin, &*house.clock, &*house.entropy).await
    };
    assert_eq!(open(ORIGIN).await.unwrap().verifier_key(), open(ORIGIN).await.unwrap().verifier_key());
    let refusal = open("elsewhere.example.com").await.unwrap_err();
    assert!(matches!(refusal, LogKeyError::OriginChanged { .. }), "{refusal}");
    assert!(refusal.to_string().contains(ORIGIN));
}

#[tokio::test]
async fn a_log_whose_key_is_gone_gets_no_new_one() {
    let house = House::new().await;
    house.start().await;
    let row =
        house.store.keys().await.unwrap().into_iter().find(|row| row.purpose == KeyPurpose::Log).unwrap();
    let mut work = house.store.begin().await.unwrap();
    work.delete_key(&row.kid).await.unwrap();
    work.commit().await.unwrap();
    let signer =
        open_or_create_log_signer(&*house.store, &house.custody, ORIGIN, &*house.clock, &*house.entropy)
            .await;
    assert!(matches!(signer, Err(LogKeyError::KeyLost(_))));
}

#[tokio::test]
async fn the_first_key_is_made_recorded_and_kept_over_a_restart() {
    let house = House::new().await;
    let first = house.signer(&house.start().await);
    assert_eq!(house.entries().await, ["key.created", "key.activated"]);
    assert_eq!(house.signer(&house.start().await), first);
    assert_eq!(house.entries().await.len(), 2);
}

#[tokio::test]
async fn the_life_of_a_key_is_announced_taken_over_retired_and_gone() {
    let house = House::new().await;
    let keys = house.start().await;
    let first = house.signer(&keys);
    house.pass(&keys, HOUR.saturating_sub(AHEAD)).await;
    let [_, second] = &house.published(&keys)[..] else { panic!("the next key is not published") };
    assert_eq!(house.signer(&keys), first);
    house.pass(&keys, AHEAD).await;
    assert_eq!(house.signer(&keys), *second);
    assert_eq!(house.published(&keys), [first.clone(), second.clone()]);
    house.pass(&keys, KEEP).await;
    assert_eq!(&house.published(&keys)[..], std::slice::from_ref(second));
    let told = ["key.created", "key.activated", "key.created", "key.activated", "key.retired"];
    assert_eq!(house.entries().await, told);
    assert!(
        house.store.keys().await.unwrap().iter().all(|row| row.kid != first),
        "its private half is deleted"
    );
}

#[tokio::test]
async fn asking_twice_to_rotate_makes_one_key() {
    let house = House::new().await;
    let keys = house.start().await;
    let at = house.clock.now();
    assert_eq!(keys.rotate_now(at).await.unwrap(), Rotation::Announced(at.plus(AHEAD)));
    assert_eq!(keys.rotate_now(at).await.unwrap(), Rotation::OnItsWay);
    assert_eq!(house.published(&keys).len(), 2);
}

#[tokio::test]
async fn a_stolen_key_is_unpublished_at_once() {
    let house = House::new().await;
    let keys = house.start().await;
    keys.rotate_now(house.clock.now()).await.unwrap();
    house.clock.advance(Duration::from_secs(1));
    let fresh = keys.replace_compromised(house.clock.now()).await.unwrap();
    assert_eq!(&house.published(&keys)[..], std::slice::from_ref(&fresh));
    assert_eq!(house.signer(&keys), fresh);
}

#[tokio::test]
async fn another_algorithm_is_announced_and_not_sprung_on_verifiers() {
    let house = House::new().await;
    let first = house.signer(&house.start().await);
    let keys = house.start_with(House::settings(SigningAlgorithm::EdDsa)).await.unwrap();
    assert_eq!(house.signer(&keys), first);
    house.pass(&keys, AHEAD).await;
    let signer = keys.ring().signer(house.clock.now()).unwrap();
    assert_eq!(signer.algorithm(), SigningAlgorithm::EdDsa);
}

#[tokio::test]
async fn an_imported_key_signs_until_the_file_holds_another() {
    let pem = |der: &[u8]| {
        let text = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, der);
        format!("-----BEGIN PRIVATE KEY-----\n{text}\n-----END PRIVATE KEY-----\n")
    };
    let house = House::new().await;
    let path = house.dir.path().join("rsa.pem");
    let settings =
        Settings { rsa_key: Some(RsaKey::File(path.clone())), ..House::settings(SigningAlgorithm::Rs256) };
    std::fs::write(&path, pem(include_bytes!("../testdata/throwaway-rsa-2048.p8"))).unwrap();
    let keys = house.start_with(settings).await.unwrap();
    let first = house.signer(&keys);
    house.pass(&keys, HOUR * 3).await;
    assert_eq!(house.signer(&keys), first);
    assert!(matches!(keys.rotate_now(house.clock.now()).await, Err(KeyServiceError::NothingNew(_))));
    std::fs::write(&path, pem(include_bytes!("../testdata/throwaway-rsa-2048-next.p8"))).unwrap();
    house.pass(&keys, Duration::from_secs(1)).await;
    house.pass(&keys, AHEAD).await;
    assert_ne!(house.signer(&keys), first);
}

#[tokio::test]
async fn listing_needs_no_key_encryption_key() {
    let house = House::new().await;
    let keys = house.start().await;
    keys.rotate_now(house.clock.now()).await.unwrap();
    let listed = list(&*house.store, house.clock.now()).await.unwrap();
    let mut states: Vec<_> = listed.iter().map(|key| (key.purpose, key.state)).collect();
    states.sort_unstable();
    assert_eq!(states, [("log", "signing"), ("token", "next"), ("token", "signing")]);
}

mod replicas;
