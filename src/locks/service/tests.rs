//! The lock book over a real log on a real SQLite file, and real policies.

mod refusals;
mod repeat;
mod replicas;
mod sick;
mod time;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use serde_json::Value;

use super::*;
use crate::audit::tests::Bench;
use crate::entropy::SystemEntropy;
use crate::grants::{Grant, GrantKind, JwtGrant, Lifetime, LifetimeCaps};
use crate::ids::{Audience, GrantName, IssuerName, RequestId, Subject};
use crate::people::TokenFacts;
use crate::policy;
use crate::principal::{Authentication, Person, PrincipalId};
use crate::secret::Fingerprint;

/// Olga may lock everything, Gina grant `a`, nobody else anything.
const POLICY: &str = r#"
    @id("everything") permit(principal is Tidegate::Person, action == Tidegate::Action::"lock", resource) when { principal.subject == "olga" };
    @id("only-a") permit(principal is Tidegate::Person, action == Tidegate::Action::"lock", resource == Tidegate::Grant::"a")
        when { principal.subject == "gina" };
"#;

struct Room {
    bench: Arc<Bench>,
    store: Arc<dyn Store>,
    log: AuditLog,
    book: Arc<LockBook>,
}

impl Room {
    async fn new() -> Self {
        Self::on(Arc::new(Bench::new())).await
    }

    /// As after a restart, when the bench had a room before.
    async fn on(bench: Arc<Bench>) -> Self {
        let store = bench.store().await;
        Self::with(bench, store).await
    }

    /// Another replica on the same store.
    async fn beside(&self) -> Self {
        Self::with(Arc::clone(&self.bench), Arc::clone(&self.store)).await
    }

    async fn with(bench: Arc<Bench>, store: Arc<dyn Store>) -> Self {
        let log = bench.log_on(Arc::clone(&store)).await;
        let catalog = Arc::new(Catalog::new(vec![grant("a"), grant("b")]).unwrap());
        let dir = bench.folder.path().join("policies");
        fs::create_dir_all(dir.join("customer")).unwrap();
        fs::write(dir.join("customer/locks.cedar"), POLICY).unwrap();
        let policy = Arc::new(PolicyEngine::load(&policy::Settings::of_folder(dir), &catalog).unwrap());
        let (clock, entropy) = (Arc::clone(&bench.clock) as _, Arc::new(SystemEntropy::new()));
        let book = LockBook::open(Arc::clone(&store), log.clone(), policy, catalog, clock, entropy);
        let book = Arc::new(book.await.unwrap());
        Self { bench, store, log, book }
    }

    /// The process ends and another one starts.
    async fn restart(self) -> Self {
        let Self { bench, store, log, book } = self;
        log.drain().await;
        drop((store, log, book));
        Self::on(bench).await
    }

    fn now(&self) -> Moment {
        self.bench.clock.now()
    }

    fn caller(&self, subject: &str) -> Caller {
        let at = self.now();
        let authentication =
            Authentication { issued_at: at, acr: None, amr: BTreeSet::new(), auth_time: None };
        let (tags, groups) = (BTreeMap::new(), BTreeSet::new());
        let token = TokenFacts { fingerprint: Fingerprint::of(b"token"), issued_at: at, expires_at: at };
        Caller {
            person: Person { id: id(subject), email: None, name: None, groups, tags },
            authentication,
            may_approve: false,
            token,
            request_id: request(at),
            source_ip: None,
            at,
        }
    }

    async fn set(&self, subject: &str, target: &str) -> Result<LockView, LockError> {
        self.book.set(&self.caller(subject), new(target), None).await
    }

    async fn lift(&self, subject: &str, lock: &Lock) -> Result<Lock, LockError> {
        self.book.lift(&self.caller(subject), lock.id).await
    }

    /// Is a request of Ann's for grant `a` stopped?
    fn stops(&self) -> bool {
        let (ann, a) = (id("ann"), GrantName::new("a").unwrap());
        let about = Subjects { principals: &[&ann], grant: Some(&a), elevation: None };
        self.book.blocking(&about, self.now()).is_some()
    }

    async fn entries(&self, kind: &str) -> Vec<Value> {
        let all = self.log.entries(0, 10_000).await.unwrap();
        let read = all.iter().map(|(_, bytes)| serde_json::from_slice::<Value>(bytes).unwrap());
        read.filter(|entry| entry["type"] == kind).collect()
    }

    /// Where the store's file is, and where it is while the store is sick.
    fn files(&self) -> (std::path::PathBuf, std::path::PathBuf) {
        let folder = self.bench.folder.path();
        (folder.join("t.db"), folder.join("away.db"))
    }

    fn make_sick(&self) {
        let (here, away) = self.files();
        fs::rename(here, away).unwrap();
    }

    fn heal(&self) {
        let (here, away) = self.files();
        fs::rename(away, here).unwrap();
    }
}

fn grant(name: &str) -> Grant {
    let minute = Lifetime::from_seconds(60).unwrap();
    let kind =
        GrantKind::Jwt(JwtGrant { audience: Audience::new("https://x").unwrap(), scopes: BTreeSet::new() });
    let caps = LifetimeCaps::new(minute, minute).unwrap();
    Grant::new(GrantName::new(name).unwrap(), kind, caps, None, BTreeSet::new(), BTreeSet::new())
}

fn id(subject: &str) -> PrincipalId {
    PrincipalId { issuer: IssuerName::new("staff").unwrap(), subject: Subject::new(subject).unwrap() }
}

fn request(at: Moment) -> RequestId {
    RequestId::new(at, &SystemEntropy::new()).unwrap()
}

fn new(target: &str) -> NewLock {
    NewLock { target: target.parse().unwrap(), reason: "INC-7".to_owned(), ttl: None }
}

fn forbidden(code: &str) -> impl Fn(&LockError) -> bool {
    move |error| matches!(error, LockError::Forbidden { code: found, .. } if *found == code)
}

#[tokio::test]
async fn a_lock_is_in_force_recorded_and_told_with_who_why_and_by_which_policy() {
    let room = Room::new().await;
    assert!(!room.stops());
    let view = room.set("gina", "grant:a").await.unwrap();
    assert!(view.recorded && room.stops());
    let entries = room.entries("lock.set").await;
    assert_eq!(entries.len(), 1);
    assert_eq!(entries[0]["lock"], view.lock.id.to_string());
    assert_eq!(entries[0]["target"], "grant:a");
    assert_eq!(entries[0]["reason"], "INC-7");
    assert_eq!(entries[0]["by"]["subject"], "gina");
    assert_eq!(entries[0]["policy"]["decided_by"], serde_json::json!(["customer/locks.cedar#only-a"]));
    assert_eq!(entries[0]["in_force_since"], view.lock.at.to_string());
    assert_eq!(room.store.locks().await.unwrap(), [view.lock]);
}

#[tokio::test]
async fn every_target_stops_what_it_names_and_nothing_else() {
    let room = Room::new().await;
    let elevation = crate::ids::ElevationId::new(room.now(), &SystemEntropy::new()).unwrap();
    let (ann, a) = (id("ann"), GrantName::new("a").unwrap());
    let (bob, b) = (id("bob"), GrantName::new("b").unwrap());
    let elsewhere = PrincipalId { issuer: IssuerName::new("prod").unwrap(), ..ann.clone() };
    let stopped = |principals: &[&PrincipalId], grant, under| {
        let about = Subjects { principals, grant: Some(grant), elevation: under };
        room.book.blocking(&about, room.now()).is_some()
    };
    let rows = [
        ("principal:staff|ann", [true, true, true, false, false]),
        ("issuer:staff", [true, true, true, true, false]),
        ("grant:a", [true, true, false, false, true]),
        ("all", [true, true, true, true, true]),
        (&*format!("elevation:{elevation}"), [false, true, false, false, false]),
    ];
    for (target, expected) in rows {
        let lock = Lock {
            id: LockId::new(room.now(), &SystemEntropy::new()).unwrap(),
            target: target.parse().unwrap(),
            reason: String::new(),
            by: id("olga"),
            at: room.now(),
            until: None,
        };
        room.book.freeze(lock.clone());
        let found = [
            stopped(&[&elsewhere, &ann], &a, None),
            stopped(&[&ann], &a, Some(&elevation)),
            stopped(&[&ann], &b, None),
            stopped(&[&bob], &b, None),
            stopped(&[&elsewhere], &a, None),
        ];
        assert_eq!(found, expected, "{target}");
        room.book.thaw(&lock.id);
    }
    assert!(!stopped(&[&ann], &a, Some(&elevation)));
}

#[tokio::test]
async fn a_lifted_lock_stops_nothing_and_stays_lifted_after_a_restart() {
    let room = Room::new().await;
    let lock = room.set("olga", "all").await.unwrap().lock;
    assert_eq!(room.lift("olga", &lock).await.unwrap(), lock);
    assert!(!room.stops());
    let entries = room.entries("lock.lifted").await;
    assert_eq!(entries.len(), 1);
    assert_eq!(entries[0]["by"]["subject"], "olga");
    let room = room.restart().await;
    assert!(!room.stops());
    assert_eq!(room.lift("olga", &lock).await.unwrap_err(), LockError::NotFound);
}

#[tokio::test]
async fn a_lock_survives_a_restart() {
    let room = Room::new().await;
    let view = room.set("olga", "principal:staff|ann").await.unwrap();
    let room = room.restart().await;
    assert!(room.stops());
    assert_eq!(room.book.list(&room.caller("olga")).unwrap(), [view]);
}

#[tokio::test]
async fn who_may_lock_one_grant_sees_every_lock_and_others_none() {
    let room = Room::new().await;
    let first = room.set("olga", "all").await.unwrap();
    room.bench.clock.advance(Duration::from_secs(1));
    let second = room.set("gina", "grant:a").await.unwrap();
    assert_eq!(room.book.list(&room.caller("gina")).unwrap(), [first, second]);
    assert_eq!(room.book.list(&room.caller("ann")).unwrap(), []);
}

/// What the guard is for: no entry that leads to a credential stands behind the entry of the lock that stops it.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nothing_that_was_in_flight_is_recorded_after_the_lock() {
    let room = Room::new().await;
    let about = OwnedSubjects {
        principals: vec![id("ann")],
        grant: Some(GrantName::new("a").unwrap()),
        elevation: None,
    };
    let mints = 400;
    let minting: Vec<_> = (0..mints)
        .map(|_| {
            let (log, guard, at) = (room.log.clone(), room.book.guard(about.clone()), room.now());
            tokio::spawn(async move {
                tokio::task::yield_now().await;
                let event = Event::BrokerStopped { reason: "stands for a credential".to_owned() };
                log.record(Submission::new(request(at), event).only_if(guard)).await
            })
        })
        .collect();
    tokio::task::yield_now().await;
    assert!(room.set("gina", "grant:a").await.unwrap().recorded);
    let mut refused = 0;
    for mint in minting {
        match mint.await.unwrap() {
            // Committed before the lock; no receipt when the lock came before it was given.
            Ok(_) | Err(RecordError::Unavailable) => {}
            Err(RecordError::Overtaken(crate::audit::Overtaken::Lock)) => refused += 1,
            Err(other) => panic!("{other}"),
        }
    }
    let entries = room.log.entries(0, 10_000).await.unwrap();
    let kinds: Vec<Value> =
        entries.iter().map(|(_, bytes)| serde_json::from_slice::<Value>(bytes).unwrap()).collect();
    let place = kinds.iter().position(|entry| entry["type"] == "lock.set").unwrap();
    assert_eq!(kinds.len(), place + 1, "an entry stands behind the lock");
    assert_eq!(kinds.len() + refused, mints + 1);
    // And from now on.
    let event = Event::BrokerStopped { reason: "late".to_owned() };
    let late = Submission::new(request(room.now()), event).only_if(room.book.guard(about));
    assert_eq!(
        room.log.record(late).await.unwrap_err(),
        RecordError::Overtaken(crate::audit::Overtaken::Lock)
    );
}
