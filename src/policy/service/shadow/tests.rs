//! A live set, a candidate set, and a log that shows what becomes of their differences.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

use super::*;
use crate::audit::tests::Bench;
use crate::clock::Moment;
use crate::entropy::SystemEntropy;
use crate::grants::Lifetime;
use crate::ids::{GrantName, IssuerName, Subject};
use crate::policy::PolicyRef;
use crate::policy::question::IssueQuestion;
use crate::policy::tests::grant;
use crate::principal::{Authentication, Person, Principal, PrincipalId};

const EVERYBODY: &str = "@id(\"all\") permit(principal, action, resource);";
const NOT_EVE: &str =
    "@id(\"all\") permit(principal, action, resource) unless { principal.subject == \"eve\" };";

struct Scene {
    bench: Bench,
    catalog: Arc<Catalog>,
    engine: Arc<PolicyEngine>,
    log: AuditLog,
    shadow: Arc<Shadow>,
}

fn write(folder: &Path, text: &str) {
    fs::create_dir_all(folder.join("customer")).unwrap();
    fs::write(folder.join("customer/a.cedar"), text).unwrap();
}

fn person(subject: &str) -> Principal {
    let id =
        PrincipalId { issuer: IssuerName::new("staff").unwrap(), subject: Subject::new(subject).unwrap() };
    Principal::Person(Person {
        id,
        email: None,
        name: None,
        groups: BTreeSet::new(),
        tags: std::collections::BTreeMap::new(),
    })
}

/// Who permitted it, or why not.
fn answer(
    engine: &PolicyEngine,
    catalog: &Catalog,
    at: Moment,
    subject: &str,
) -> Result<Vec<String>, (String, Vec<String>)> {
    let (principal, scopes) = (person(subject), BTreeSet::new());
    let authentication = Authentication { issued_at: at, acr: None, amr: BTreeSet::new(), auth_time: None };
    let question = IssueQuestion {
        principal: &principal,
        authentication: &authentication,
        grant: catalog.resolve(&GrantName::new("a").unwrap()).unwrap(),
        ttl: Lifetime::from_seconds(60).unwrap(),
        scopes: &scopes,
        source_ip: None,
        client_cert: None,
        actor: None,
        at,
        elevation: None,
    };
    let names = |policies: &[PolicyRef]| policies.iter().map(ToString::to_string).collect();
    match engine.decide_issue(&question) {
        Ok(permit) => Ok(names(permit.decided_by())),
        Err(denial) => Err((denial.reason.to_string(), names(&denial.decided_by))),
    }
}

impl Scene {
    /// Everybody may; a candidate is there when it has a text.
    async fn new(candidate: Option<&str>, log_per_hour: u32) -> Self {
        let bench = Bench::new();
        let (live, next) = (bench.folder.path().join("live"), bench.folder.path().join("next"));
        write(&live, EVERYBODY);
        if let Some(text) = candidate {
            write(&next, text);
        }
        let catalog = Arc::new(Catalog::new(vec![grant("a", &[], &[], false)]).unwrap());
        let engine = Arc::new(PolicyEngine::load(&Settings::of_folder(live), &catalog).unwrap());
        let log = bench.log().await;
        let services = ShadowServices {
            catalog: Arc::clone(&catalog),
            audit: log.clone(),
            clock: Arc::clone(&bench.clock) as _,
            entropy: Arc::new(SystemEntropy::new()),
        };
        let settings = ShadowSettings { dir: next, log_per_hour };
        let shadow = Arc::new(Shadow::beside(&engine, &settings, services));
        Self { bench, catalog, engine, log, shadow }
    }

    fn decide(&self, subject: &str) -> bool {
        answer(&self.engine, &self.catalog, self.bench.clock.now(), subject).is_ok()
    }

    /// Everything that waits is compared, as the task does it.
    async fn settle(&self) -> usize {
        let mut batch = Vec::new();
        {
            let mut seen = lock(&self.shadow.seen);
            let queue = seen.as_mut().unwrap();
            while let Ok(one) = queue.try_recv() {
                batch.push(one);
            }
        }
        let count = batch.len();
        self.shadow.compare(batch).await;
        count
    }

    async fn told(&self) -> Vec<Value> {
        let entries = self.log.entries(0, 1_000).await.unwrap();
        entries.iter().map(|(_, bytes)| serde_json::from_slice(bytes).unwrap()).collect()
    }
}

#[tokio::test]
async fn a_broken_candidate_is_said_once_and_touches_nothing() {
    let scene = Scene::new(Some("permit(principal"), 4).await;
    assert!(matches!(scene.shadow.look().await, Candidate::Faulty(_)));
    assert_eq!(scene.shadow.look().await, Candidate::Same, "the same fault is no news");
    assert!(scene.decide("ann"));
    assert_eq!((scene.settle().await, scene.log.size()), (1, 0));
    write(&scene.bench.folder.path().join("next"), NOT_EVE);
    assert!(matches!(scene.shadow.look().await, Candidate::Loaded(_)));
    write(&scene.bench.folder.path().join("next"), "permit(principal");
    assert!(matches!(scene.shadow.look().await, Candidate::Faulty(_)));
    assert!(scene.decide("eve"), "the live policies decide");
    scene.settle().await;
    assert_eq!(scene.told().await.len(), 1, "the last valid candidate is still asked");
}

#[tokio::test]
async fn a_folder_that_is_not_there_yet_is_tried_out_when_it_comes() {
    let scene = Scene::new(None, 4).await;
    assert!(matches!(scene.shadow.look().await, Candidate::Faulty(_)));
    write(&scene.bench.folder.path().join("next"), EVERYBODY);
    assert!(matches!(scene.shadow.look().await, Candidate::Loaded(_)));
    assert_eq!(scene.shadow.look().await, Candidate::Same);
}

#[tokio::test]
async fn a_difference_is_recorded_with_both_answers_and_their_facts() {
    let scene = Scene::new(Some(NOT_EVE), 4).await;
    scene.shadow.look().await;
    assert!(scene.decide("ann") && scene.decide("eve"));
    assert_eq!(scene.settle().await, 2);
    let [entry] = &scene.told().await[..] else { panic!("not one entry") };
    assert_eq!(entry["type"], "policy.shadow.difference");
    assert_eq!((&entry["kind"], &entry["action"]), (&json!("newly_denied"), &json!("issue")));
    assert_eq!(entry["principal"]["subject"], "eve");
    assert_eq!((&entry["live"]["allowed"], &entry["shadow"]["allowed"]), (&json!(true), &json!(false)));
    assert_eq!(entry["live"]["decided_by"], json!(["customer/a.cedar#all"]));
    assert_eq!(entry["shadow"]["reason"], "no customer policy permits it");
    assert_eq!(entry["live"]["digest"], scene.engine.digest().to_string());
    assert_ne!(entry["live"]["digest"], entry["shadow"]["digest"]);
    assert!(entry.get("policy").is_none(), "nothing rests on it, so no replay decides it again");
    let facts: Facts = serde_json::from_value(entry["facts"].clone()).unwrap();
    assert!(scene.engine.sets().decide(&facts).is_ok());
}

#[tokio::test]
async fn a_difference_that_comes_often_is_recorded_once_an_hour() {
    let scene = Scene::new(Some(NOT_EVE), 1).await;
    scene.shadow.look().await;
    for _ in 0..10 {
        scene.decide("eve");
    }
    scene.settle().await;
    assert_eq!(scene.told().await.len(), 1);
    scene.bench.clock.set(scene.bench.clock.now().plus(Duration::from_hours(1)));
    scene.decide("eve");
    scene.settle().await;
    let told: Vec<_> = scene.told().await.iter().map(|entry| entry["passed_over"].clone()).collect();
    assert_eq!(told, [json!(0), json!(9)]);
}

#[tokio::test]
async fn what_comes_too_fast_is_dropped_and_never_waited_for() {
    let scene = Scene::new(Some(NOT_EVE), 1).await;
    scene.shadow.look().await;
    for _ in 0..3_000 {
        assert!(scene.decide("eve"));
    }
    assert_eq!(scene.settle().await, 1_024);
}

#[tokio::test]
async fn a_log_that_cannot_be_written_keeps_no_decision_waiting() {
    let scene = Scene::new(Some(NOT_EVE), 4).await;
    scene.shadow.look().await;
    scene.log.drain().await;
    assert!(scene.decide("eve"));
    assert_eq!(scene.settle().await, 1);
    assert!(scene.decide("eve"));
}

#[tokio::test]
async fn the_task_compares_what_comes_until_the_engine_is_gone() {
    let scene = Scene::new(Some(NOT_EVE), 4).await;
    scene.shadow.look().await;
    scene.decide("eve");
    let (shadow, log) = (Arc::clone(&scene.shadow), scene.log.clone());
    drop(scene.engine);
    shadow.run().await;
    assert_eq!(log.size(), 1);
    shadow.run().await;
}

mod properties {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

        /// Whatever the candidate is, and whether or not anybody takes what it is shown.
        #[test]
        fn decisions_with_and_without_a_shadow_are_the_same(
            live in 0..4_usize, candidate in 0..5_usize, subjects in proptest::collection::vec(0..3_usize, 1..20),
            settles in any::<bool>(),
        ) {
            let texts = [
                EVERYBODY,
                NOT_EVE,
                "permit(principal, action, resource) when { context.now > context.auth.issued_at };",
                "permit(principal, action, resource); forbid(principal, action == Tidegate::Action::\"issue\", resource) \
                 when { context.ttl.toSeconds() * 9223372036854775807 > 3600 };",
                "permit(principal",
            ];
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let with = Scene::new(Some(texts[candidate]), 4).await;
                let dir = with.bench.folder.path().join("live");
                write(&dir, texts[live]);
                with.engine.reload().unwrap();
                with.shadow.look().await;
                let (without, at) = (PolicyEngine::load(&Settings::of_folder(dir), &with.catalog).unwrap(), with.bench.clock.now());
                for subject in subjects.iter().map(|number| ["ann", "bob", "eve"][*number]) {
                    let both = [&*with.engine, &without].map(|engine| answer(engine, &with.catalog, at, subject));
                    assert_eq!(both[0], both[1]);
                    if settles {
                        with.settle().await;
                    }
                }
            });
        }
    }
}
