//! Our tokens over a real store, log, lock book and break-glass. Each way in which a token stops to count, then the happy path.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use serde_json::json;

use super::*;
use crate::audit::tests::Bench;
use crate::breakglass::{self, Ask, CloudEnd, Elevation, Participant, PersonRef, State, Window};
use crate::clock::Clock as _;
use crate::entropy::SystemEntropy;
use crate::grants::{Catalog, Grant, GrantKind, JwtGrant, Lifetime, LifetimeCaps};
use crate::ids::{Audience, ElevationId, GrantName, IssuerName, LockId, Scope, Subject};
use crate::issuance::{JwtIssuer, JwtOrder, OpenCredential};
use crate::keys::{SigningAlgorithm, SigningKey};
use crate::locks::Lock;
use crate::people::People;
use crate::policy::{self, ElevationUse, Permit, PolicyEngine};
use crate::principal::{Authentication, Person};
use crate::store::{ElevationChange, Swap};

const ISSUER: &str = "https://broker.example.com";
const MINUTE: Duration = Duration::from_mins(1);
const POLICY: &str = "permit(principal, action, resource);";

struct Room {
    bench: Bench,
    tokens: Tokens,
    grant: Arc<Grant>,
}

impl Room {
    async fn new() -> Self {
        Self::signing_with(SigningKey::generate(SigningAlgorithm::Es256).unwrap()).await
    }

    async fn signing_with(key: SigningKey) -> Self {
        let bench = Bench::new();
        let store = bench.store().await;
        let audit = bench.log_on(Arc::clone(&store)).await;
        let catalog = Arc::new(Catalog::new(vec![grant()]).unwrap());
        let dir = bench.folder.path().join("policies");
        fs::create_dir_all(dir.join("customer")).unwrap();
        fs::write(dir.join("customer/all.cedar"), POLICY).unwrap();
        let policy = Arc::new(PolicyEngine::load(&policy::Settings::of_folder(dir), &catalog).unwrap());
        let (clock, entropy) = (Arc::clone(&bench.clock), Arc::new(SystemEntropy::new()));
        let federation = Arc::new(
            Federation::new(Vec::new(), Arc::clone(&clock) as _, Arc::clone(&entropy) as _).unwrap(),
        );
        let locks = LockBook::open(
            Arc::clone(&store),
            audit.clone(),
            Arc::clone(&policy),
            Arc::clone(&catalog),
            Arc::clone(&clock) as _,
            Arc::clone(&entropy) as _,
        );
        let locks = Arc::new(locks.await.unwrap());
        let high_water = Arc::new(HighWater::new(None, MINUTE));
        let break_glass = Arc::new(BreakGlass::new(breakglass::service::Services {
            store: Arc::clone(&store),
            audit: audit.clone(),
            policy,
            catalog: Arc::clone(&catalog),
            people: Arc::new(People::new(Arc::clone(&federation))),
            locks: Arc::clone(&locks),
            high_water: Arc::clone(&high_water),
            entropy,
            clock,
            settings: breakglass::Settings::default(),
            hooks: Vec::new(),
            sessions: None,
        }));
        let grant = Arc::clone(catalog.resolve(&GrantName::new("ledger").unwrap()).unwrap());
        let issuer = ISSUER.to_owned();
        let ring = Arc::new(KeyRing::with_one_key(key));
        let heard = Arc::new(Heard::alone(Arc::clone(&bench.clock) as _));
        let services =
            Services { issuer, ring, federation, store, break_glass, audit, locks, high_water, heard };
        Self { bench, tokens: Tokens::new(services), grant }
    }

    fn now(&self) -> Moment {
        self.bench.clock.now()
    }

    /// A token for Ann that lives ten minutes.
    fn token(&self) -> String {
        self.token_of(ISSUER, None, None)
    }

    fn token_of(&self, issuer: &str, actor: Option<&str>, under: Option<ElevationUse>) -> String {
        let ttl = Lifetime::from_seconds(600).unwrap();
        let permit = Permit::for_test("staff", "ann", &self.grant, ttl, &["read"]);
        let permit = under.map_or(permit.clone(), |under| permit.under(under));
        let ring = Arc::clone(&self.tokens.services.ring);
        let (request_id, at) = (request(self.now()), self.now());
        let order = JwtOrder { request_id, permit: &permit, actor, at };
        let sealed = JwtIssuer::new(issuer, ring, Arc::new(SystemEntropy::new())).issue(order).unwrap();
        match sealed.open(&crate::audit::Receipt::for_test(request_id)).unwrap() {
            OpenCredential::Jwt { token, .. } => token.expose().to_owned(),
            OpenCredential::Aws { .. } => panic!("not a JWT"),
        }
    }

    fn arrival(&self) -> Arrival {
        Arrival { request_id: request(self.now()), source_ip: None, at: self.now() }
    }

    async fn introspect(&self, token: &str) -> Introspection {
        self.tokens.introspect(&somebody("zoe"), token, self.arrival()).await.unwrap()
    }

    async fn is_active(&self, token: &str) -> bool {
        let answer = self.introspect(token).await;
        assert_eq!(answer.active, answer.token.is_some(), "an inactive token tells nothing");
        answer.active
    }

    async fn revoke(&self, who: &str, token: &str) -> Result<(), RevokeError> {
        self.tokens.revoke(&somebody(who), token, self.arrival()).await
    }

    fn lock(&self, target: &str) -> LockId {
        let id = LockId::new(self.now(), &SystemEntropy::new()).unwrap();
        let (target, by, at) = (target.parse().unwrap(), id_of("olga"), self.now());
        let lock = Lock { id, target, reason: "INC-7".to_owned(), by, at, until: None };
        self.tokens.services.locks.freeze(lock);
        id
    }

    /// Keeps an elevation of Ann's that is open for an hour.
    async fn open_elevation(&self) -> Elevation {
        let at = self.now();
        let window = Window { starts_at: at, ends_at: at.plus(MINUTE * 60) };
        let elevation = Elevation {
            id: ElevationId::new(at, &SystemEntropy::new()).unwrap(),
            version: 1,
            ask: ask(at),
            approvals: Vec::new(),
            approvals_needed: 1,
            decided_policies: Vec::new(),
            state: State::Active { window, quorum: 1 },
            warned: BTreeSet::new(),
            cloud: CloudEnd::default(),
            history: Vec::new(),
        };
        self.keep(elevation.clone(), None).await;
        elevation
    }

    async fn keep(&self, next: Elevation, from: Option<u64>) {
        let mut unit = self.tokens.services.store.begin().await.unwrap();
        let change = ElevationChange { next, from, before: None, room: None };
        assert_eq!(unit.swap_elevation(&change, self.now()).await.unwrap(), Swap::Done);
        unit.commit().await.unwrap();
    }

    async fn revocations(&self) -> Vec<Value> {
        let all = self.tokens.services.audit.entries(0, 1_000).await.unwrap();
        let read = all.iter().map(|(_, bytes)| serde_json::from_slice::<Value>(bytes).unwrap());
        read.filter(|entry| entry["type"] == "token.revoked").collect()
    }
}

fn grant() -> Grant {
    let minutes = Lifetime::from_seconds(900).unwrap();
    let scopes = BTreeSet::from([Scope::new("read").unwrap()]);
    let kind = GrantKind::Jwt(JwtGrant { audience: Audience::new("https://ledger").unwrap(), scopes });
    let caps = LifetimeCaps::new(minutes, minutes).unwrap();
    Grant::new(GrantName::new("ledger").unwrap(), kind, caps, None, BTreeSet::new(), BTreeSet::new())
}

fn id_of(subject: &str) -> PrincipalId {
    PrincipalId { issuer: IssuerName::new("staff").unwrap(), subject: Subject::new(subject).unwrap() }
}

fn somebody(subject: &str) -> Authenticated {
    Authenticated { id: id_of(subject) }
}

fn request(at: Moment) -> RequestId {
    RequestId::new(at, &SystemEntropy::new()).unwrap()
}

fn ann() -> Person {
    Person { id: id_of("ann"), email: None, name: None, groups: BTreeSet::new(), tags: BTreeMap::new() }
}

fn ask(at: Moment) -> Ask {
    let authentication = Authentication { issued_at: at, acr: None, amr: BTreeSet::new(), auth_time: None };
    Ask {
        grant: GrantName::new("ledger").unwrap(),
        grant_version: Fingerprint::of(b"version"),
        requester: Participant { person: ann(), authentication },
        duration: MINUTE * 60,
        reason: "INC-7".to_owned(),
        ticket: None,
        not_before: None,
        scope: None,
        created_at: at,
        expires_at: at.plus(MINUTE * 60),
    }
}

fn used(elevation: &Elevation) -> ElevationUse {
    let window = elevation.window().unwrap();
    let (starts_at, ends_at) = (window.starts_at, window.ends_at);
    ElevationUse { id: elevation.id, version: elevation.version, approvals: 1, starts_at, ends_at }
}

#[tokio::test]
async fn a_replica_that_has_not_heard_lately_does_not_say_that_a_token_is_out_of_use() {
    let mut room = Room::new().await;
    let token = room.token();
    let heard = Arc::new(Heard::among_others(Arc::clone(&room.bench.clock) as _));
    room.tokens.services.heard = Arc::clone(&heard);
    for token in [token.as_str(), "no token of ours"] {
        let refused = room.revoke("ann", token).await;
        assert!(matches!(refused, Err(RevokeError::Unavailable(_))), "{refused:?}");
    }
    assert!(room.revocations().await.is_empty());
    heard.mark(room.bench.clock.uptime());
    room.revoke("ann", &token).await.unwrap();
    assert_eq!(room.revocations().await.len(), 1);
}

#[tokio::test]
async fn what_is_no_token_of_ours_is_inactive() {
    let room = Room::new().await;
    let other = Room::new().await;
    let token = room.token();
    let (signed, signature) = token.rsplit_once('.').unwrap();
    let (header, payload) = signed.split_once('.').unwrap();
    let last = if signature.ends_with('A') { 'B' } else { 'A' };
    let cut = signature.get(..signature.len() - 1).unwrap();
    for wrong in [
        String::new(),
        "..".to_owned(),
        "FwoGZXIvYXdzEBYaD".to_owned(),
        other.token(),
        room.token_of("https://another.example.com", None, None),
        format!("{signed}."),
        format!("{signed}.{cut}"),
        format!("{signed}.{cut}{last}"),
        format!("{header}.{payload}A.{signature}"),
        format!("{token} "),
        format!("{token}="),
        "x".repeat(20_000),
    ] {
        assert!(!room.is_active(&wrong).await, "{wrong}");
        room.revoke("ann", &wrong).await.unwrap();
    }
    assert!(room.is_active(&token).await);
    assert!(room.revocations().await.is_empty());
}

#[tokio::test]
async fn a_header_of_another_kind_is_inactive_although_our_key_signed_it() {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
    let room = Room::new().await;
    let token = room.token();
    let payload = token.split('.').nth(1).unwrap();
    let key = room.tokens.services.ring.signer(room.now()).unwrap();
    let sign = |header: Value| {
        let signed = format!("{}.{payload}", BASE64.encode(header.to_string()));
        format!("{signed}.{}", BASE64.encode(key.sign(signed.as_bytes()).unwrap()))
    };
    let kid = key.kid().as_str();
    assert!(room.is_active(&sign(json!({ "alg": "ES256", "typ": "at+jwt", "kid": kid }))).await);
    for header in [
        json!({ "alg": "ES256", "typ": "JWT", "kid": kid }),
        json!({ "alg": "ES256", "kid": kid }),
        json!({ "alg": "none", "typ": "at+jwt", "kid": kid }),
        json!({ "alg": "HS256", "typ": "at+jwt", "kid": kid }),
        json!({ "alg": "ES256", "typ": "at+jwt", "kid": "another" }),
        json!({ "alg": "ES256", "typ": "at+jwt" }),
    ] {
        assert!(!room.is_active(&sign(header.clone())).await, "{header}");
    }
}

#[tokio::test]
async fn a_token_ends_to_the_second_and_stays_ended_when_the_clock_steps_back() {
    let room = Room::new().await;
    let (token, start) = (room.token(), room.now());
    room.bench.clock.set(start.plus(MINUTE * 10).minus(Duration::from_millis(1)));
    assert!(room.is_active(&token).await);
    room.bench.clock.set(start.plus(MINUTE * 10));
    assert!(!room.is_active(&token).await);
    room.revoke("ann", &token).await.unwrap();
    assert!(room.revocations().await.is_empty(), "an ended token is not revoked");
    room.tokens.services.high_water.check(room.now()).unwrap();
    room.bench.clock.set(start);
    assert!(!room.is_active(&token).await);
}

#[tokio::test]
async fn a_revoked_token_is_inactive_for_ever_and_one_entry_says_so() {
    let room = Room::new().await;
    let (token, other) = (room.token(), room.token());
    let (first, second) = tokio::join!(room.revoke("ann", &token), room.revoke("ann", &token));
    assert!(first.is_ok() && second.is_ok());
    room.revoke("ann", &token).await.unwrap();
    assert!(!room.is_active(&token).await);
    assert!(room.is_active(&other).await);
    let entries = room.revocations().await;
    assert_eq!(entries.len(), 1);
    assert_eq!(entries[0]["subject"], "staff|ann");
    assert_eq!(entries[0]["expires_at"], room.now().plus(MINUTE * 10).to_string());
    let at_its_end = room.now().plus(MINUTE * 10);
    room.tokens.services.store.purge_breakglass(at_its_end, 100).await.unwrap();
    assert!(!room.is_active(&token).await);
}

#[tokio::test]
async fn nobody_revokes_the_token_of_another_not_even_its_actor() {
    let room = Room::new().await;
    let token = room.token_of(ISSUER, Some("staff|gateway"), None);
    for other in ["bob", "gateway"] {
        assert!(matches!(room.revoke(other, &token).await, Err(RevokeError::NotYours)));
    }
    let elsewhere = PrincipalId { issuer: IssuerName::new("prod").unwrap(), ..id_of("ann") };
    let refusal = room.tokens.revoke(&Authenticated { id: elsewhere }, &token, room.arrival()).await;
    assert!(matches!(refusal, Err(RevokeError::NotYours)));
    assert!(room.is_active(&token).await && room.revocations().await.is_empty());
}

#[tokio::test]
async fn while_the_log_is_sick_a_revocation_is_not_claimed() {
    let room = Room::new().await;
    let (token, folder) = (room.token(), room.bench.folder.path());
    fs::rename(folder.join("t.db"), folder.join("away.db")).unwrap();
    assert!(matches!(room.revoke("ann", &token).await, Err(RevokeError::Unavailable(_))));
    fs::rename(folder.join("away.db"), folder.join("t.db")).unwrap();
    room.revoke("ann", &token).await.unwrap();
    assert!(!room.is_active(&token).await);
}

#[tokio::test]
async fn a_lock_on_anything_about_a_token_stops_it_and_lets_it_go_again() {
    let room = Room::new().await;
    let elevation = room.open_elevation().await;
    let token = room.token_of(ISSUER, Some("prod|gateway"), Some(used(&elevation)));
    let on_the_elevation = format!("elevation:{}", elevation.id);
    for target in [
        "principal:staff|ann",
        "principal:prod|gateway",
        "issuer:prod",
        "grant:ledger",
        "all",
        &on_the_elevation,
    ] {
        let lock = room.lock(target);
        assert!(!room.is_active(&token).await, "{target}");
        room.tokens.services.locks.thaw(&lock);
        assert!(room.is_active(&token).await, "{target}");
    }
    room.lock("principal:staff|bob");
    assert!(room.is_active(&token).await);
}

#[tokio::test]
async fn a_token_counts_only_while_its_elevation_is_live() {
    let room = Room::new().await;
    let elevation = room.open_elevation().await;
    let token = room.token_of(ISSUER, None, Some(used(&elevation)));
    assert!(room.is_active(&token).await);
    let (window, at) = (elevation.window().unwrap(), room.now());
    let by = PersonRef::from(&ann());
    let state = State::Revoked { at, by, reason: "INC-7".to_owned(), window };
    room.keep(Elevation { version: 2, state, ..elevation.clone() }, Some(1)).await;
    assert!(!room.is_active(&token).await);
    // One that nobody ever had.
    let id = ElevationId::new(at, &SystemEntropy::new()).unwrap();
    assert!(
        !room.is_active(&room.token_of(ISSUER, None, Some(ElevationUse { id, ..used(&elevation) }))).await
    );
}

#[tokio::test]
async fn an_active_token_is_told_in_the_words_of_rfc_7662() {
    let rsa = include_bytes!("../keys/testdata/throwaway-rsa-2048.p8");
    for key in [
        SigningKey::generate(SigningAlgorithm::Es256).unwrap(),
        SigningKey::generate(SigningAlgorithm::EdDsa).unwrap(),
        SigningKey::from_pkcs8(SigningAlgorithm::Rs256, rsa).unwrap(),
    ] {
        let room = Room::signing_with(key).await;
        let answer = room.introspect(&room.token_of(ISSUER, Some("prod|gateway"), None)).await;
        let mut answer = serde_json::to_value(answer).unwrap();
        assert_eq!(answer["jti"].take().as_str().unwrap().len(), 36);
        assert_eq!(answer["tidegate"]["policy"].take().as_str().unwrap().len(), 64);
        let at = room.now().unix_seconds();
        let expected = json!({
            "active": true, "scope": "read", "client_id": "staff|ann", "token_type": "Bearer", "exp": at + 600,
            "iat": at, "nbf": at, "sub": "staff|ann", "aud": "https://ledger", "iss": ISSUER, "jti": null,
            "act": { "sub": "prod|gateway" },
            "tidegate": { "grant": "ledger", "principal_issuer": "staff", "policy": null },
        });
        assert_eq!(answer, expected);
    }
    let room = Room::new().await;
    let inactive = serde_json::to_value(room.introspect("x").await).unwrap();
    assert_eq!(inactive, json!({ "active": false }));
}

#[tokio::test]
async fn a_replica_that_has_not_heard_of_the_others_says_neither_yes_nor_no() {
    let mut room = Room::new().await;
    let (token, heard) = (room.token(), Heard::among_others(Arc::clone(&room.bench.clock) as _));
    let heard = Arc::new(heard);
    room.tokens.services.heard = Arc::clone(&heard);
    let answer = room.tokens.introspect(&somebody("zoe"), &token, room.arrival()).await;
    assert!(matches!(answer, Err(IntrospectError::Unavailable(_))), "{answer:?}");
    heard.mark(room.bench.clock.uptime());
    assert!(room.is_active(&token).await);
}
