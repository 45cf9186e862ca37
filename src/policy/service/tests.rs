//! Replicas with folders of their own on one store.

use std::fs;

use tempfile::TempDir;

use super::*;
use crate::audit::tests::Bench;
use crate::entropy::SystemEntropy;
use crate::grants::Catalog;
use crate::policy::tests::grant;
use crate::policy::{Origin, PolicyDigests, Settings};

const ONE: &str = "@id(\"one\") permit(principal, action, resource);";
const TWO: &str = "@id(\"two\") permit(principal, action, resource);";
const THREE: &str = "@id(\"three\") permit(principal, action, resource);";

struct Replica {
    folder: TempDir,
    policies: Policies,
}

struct Cluster {
    bench: Bench,
    store: Arc<dyn Store>,
}

impl Cluster {
    async fn new() -> Self {
        let bench = Bench::new();
        let store = bench.store().await;
        Self { bench, store }
    }

    /// Not started yet.
    async fn replica(&self, text: &str, shared: bool) -> Replica {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join("customer")).unwrap();
        write(&folder, text);
        let catalog = Catalog::new(vec![grant("a", &[], &[], false)]).unwrap();
        let settings = Settings::of_folder(folder.path().to_owned());
        let services = Services {
            engine: Arc::new(PolicyEngine::load(&settings, &catalog).unwrap()),
            store: Arc::clone(&self.store),
            audit: self.bench.log_on(Arc::clone(&self.store)).await,
            clock: Arc::clone(&self.bench.clock) as _,
            entropy: Arc::new(SystemEntropy::new()),
        };
        Replica { folder, policies: Policies::new(services, shared) }
    }

    async fn started(&self, text: &str) -> Replica {
        let replica = self.replica(text, true).await;
        replica.policies.start().await.unwrap();
        replica
    }

    async fn in_force(&self) -> Option<PolicyDigest> {
        self.store.pulse().await.unwrap().marks.policy
    }

    async fn hear(&self, replica: &Replica) -> Result<(), PoliciesError> {
        replica.policies.catch_up(self.in_force().await).await
    }

    /// How many `policy.loaded` there are.
    async fn told(&self) -> usize {
        let rows = self.store.entries(0, 1_000).await.unwrap();
        rows.iter().filter(|row| String::from_utf8_lossy(&row.bytes).contains("\"policy.loaded\"")).count()
    }
}

impl Replica {
    fn digest(&self) -> PolicyDigest {
        self.policies.services.engine.digest()
    }

    async fn edit(&self, text: &str, on_purpose: bool) -> Result<Folder, PoliciesError> {
        write(&self.folder, text);
        self.policies.look(on_purpose).await
    }
}

fn write(folder: &TempDir, text: &str) {
    fs::write(folder.path().join("customer/a.cedar"), text).unwrap();
}

fn loaded(both: PolicyDigest) -> Event {
    let digests = PolicyDigests { both, customer: both, vendor: None };
    record::loaded_event(&Origin { digests, entities: None, bundle: None })
}

/// Its engine has the policies of a moment ago; what lies in the folder by now is half of the next.
#[tokio::test]
async fn a_folder_that_is_being_written_while_a_broker_starts_comes_into_force_nowhere() {
    let cluster = Cluster::new().await;
    let one = cluster.started(ONE).await;
    let other = cluster.replica(TWO, true).await;
    write(&other.folder, "@id(\"half\") permit(principal, act");
    assert!(matches!(other.policies.start().await, Err(PoliciesError::Invalid(_))));
    assert_eq!(cluster.in_force().await, Some(one.digest()));
}

#[tokio::test]
async fn a_machine_that_comes_back_with_an_old_folder_does_not_roll_policies_back() {
    let cluster = Cluster::new().await;
    let one = cluster.started(ONE).await;
    let Folder::Loaded(newest) = one.edit(TWO, false).await.unwrap() else { panic!() };
    let back = cluster.replica(ONE, true).await;
    let old = back.digest();
    assert_eq!(back.policies.start().await.unwrap(), Folder::Superseded(old));
    assert_eq!((back.digest(), cluster.in_force().await), (newest, Some(newest)));
    // Nor does a folder that is a version behind when it changes.
    one.edit(THREE, false).await.unwrap();
    cluster.hear(&back).await.unwrap();
    assert_eq!(back.edit(TWO, false).await.unwrap(), Folder::Superseded(newest));
    assert_eq!(back.digest(), one.digest());
    assert_eq!(back.edit(THREE, false).await.unwrap(), Folder::Same);
}

#[tokio::test]
async fn policies_that_are_not_valid_are_not_published() {
    let cluster = Cluster::new().await;
    let one = cluster.started(ONE).await;
    let before = cluster.in_force().await;
    assert!(matches!(one.edit("permit(", false).await, Err(PoliciesError::Invalid(_))));
    assert!(matches!(one.edit("permit(", true).await, Err(PoliciesError::Invalid(_))));
    assert_eq!((cluster.in_force().await, cluster.told().await), (before, 1));
}

#[tokio::test]
async fn a_replica_that_cannot_validate_what_others_published_keeps_the_old_and_says_so() {
    let cluster = Cluster::new().await;
    let (one, log) = (cluster.started(ONE).await, cluster.bench.log_on(Arc::clone(&cluster.store)).await);
    // A newer version of the broker knows a word that this one does not.
    let text = r#"{"authors":["customer"],"files":[{"author":"customer","name":"a.cedar","text":"permit(principal, action == Tidegate::Action::\"teleport\", resource);"}]}"#;
    let foreign = serde_json::from_str::<serde_json::Value>(text).unwrap();
    let file = foreign["files"][0]["text"].as_str().unwrap();
    let digest = crate::secret::Fingerprint::of_fields(&[
        b"tidegate policy v2",
        b"customer",
        b"customer",
        b"a.cedar",
        file.as_bytes(),
    ]);
    let set = NewPolicySet { from: cluster.in_force().await, digest, text: text.to_owned() };
    let request_id = RequestId::new(cluster.bench.clock.now(), &SystemEntropy::new()).unwrap();
    let submission = Submission::new(request_id, loaded(digest));
    log.record(submission.with(vec![Effect::PublishPolicy(Box::new(set))])).await.unwrap();
    let before = one.digest();
    for _ in 0..2 {
        assert!(matches!(cluster.hear(&one).await, Err(PoliciesError::Invalid(_))));
    }
    assert_eq!(one.digest(), before);
    // What the old ones permit is not recorded any more.
    let under = Submission::new(request_id, loaded(before));
    let refused = log.record(under.with(vec![Effect::RequirePolicy(before)])).await.unwrap_err();
    assert_eq!(refused, RecordError::Overtaken(Overtaken::Policy));
    // It recovers by itself when others go back.
    let other = cluster.replica(TWO, true).await;
    other.policies.start().await.unwrap();
    cluster.hear(&one).await.unwrap();
    assert_eq!(one.digest(), other.digest());
}

#[tokio::test]
async fn texts_that_are_not_what_their_digest_says_are_not_followed() {
    let cluster = Cluster::new().await;
    let one = cluster.started(ONE).await;
    let texts = one.policies.services.engine.folder().unwrap();
    let other = crate::secret::Fingerprint::of(b"other");
    assert!(PolicyTexts::read(other, texts.text().to_owned()).is_err());
    assert!(PolicyTexts::read(texts.digest(), texts.text().replace("one", "two")).is_err());
    assert!(PolicyTexts::read(texts.digest(), "{".to_owned()).is_err());
    assert_eq!(PolicyTexts::read(texts.digest(), texts.text().to_owned()), Ok(texts));
}

#[tokio::test]
async fn a_change_at_one_replica_is_in_force_at_the_others_when_they_hear_of_it() {
    let cluster = Cluster::new().await;
    let (one, other) = (cluster.started(ONE).await, cluster.started(ONE).await);
    assert_eq!(cluster.told().await, 2, "each says what it started with");
    let changed = one.edit(TWO, false).await.unwrap();
    assert_eq!(changed, Folder::Loaded(one.digest()));
    assert_ne!(other.digest(), one.digest());
    cluster.hear(&other).await.unwrap();
    assert_eq!(other.digest(), one.digest());
    assert_eq!(other.policies.look(false).await.unwrap(), Folder::Same, "its own folder did not change");
    assert_eq!(cluster.told().await, 3, "a publication is one entry");
    // Its folder follows later, and that changes nothing.
    assert_eq!(other.edit(TWO, false).await.unwrap(), Folder::Same);
    assert_eq!(cluster.told().await, 3);
}

#[tokio::test]
async fn a_signal_publishes_the_folder_as_it_is() {
    let cluster = Cluster::new().await;
    let (one, other) = (cluster.started(ONE).await, cluster.started(ONE).await);
    one.edit(TWO, false).await.unwrap();
    cluster.hear(&other).await.unwrap();
    let back = other.policies.look(true).await.unwrap();
    let Folder::Loaded(rolled_back) = back else { panic!("{back:?}") };
    assert_eq!(cluster.in_force().await, Some(rolled_back));
    cluster.hear(&one).await.unwrap();
    assert_eq!(one.digest(), rolled_back);
    assert_eq!(other.policies.look(true).await.unwrap(), Folder::Same);
}

#[tokio::test]
async fn of_two_changes_at_once_both_are_told_and_all_end_with_the_later() {
    let cluster = Cluster::new().await;
    let (one, other) = (cluster.started(ONE).await, cluster.started(ONE).await);
    let (first, second) = tokio::join!(one.edit(TWO, false), other.edit(THREE, false));
    assert!(matches!((first.unwrap(), second.unwrap()), (Folder::Loaded(_), Folder::Loaded(_))));
    assert_eq!(cluster.told().await, 4);
    cluster.hear(&one).await.unwrap();
    cluster.hear(&other).await.unwrap();
    assert_eq!(one.digest(), other.digest());
    assert_eq!(Some(one.digest()), cluster.in_force().await);
}

#[tokio::test]
async fn who_is_alone_decides_by_the_folder_and_publishes_nothing() {
    let cluster = Cluster::new().await;
    let alone = cluster.replica(ONE, false).await;
    alone.policies.start().await.unwrap();
    assert!(matches!(alone.edit(TWO, false).await.unwrap(), Folder::Loaded(_)));
    assert_eq!(alone.edit(TWO, true).await.unwrap(), Folder::Same);
    assert!(matches!(alone.edit(ONE, false).await.unwrap(), Folder::Loaded(_)), "back is as good as forth");
    assert_eq!((cluster.in_force().await, cluster.told().await), (None, 3));
}
