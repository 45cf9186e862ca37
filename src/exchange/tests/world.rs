//! A vendor's engineer, a customer's leads, and a grant that breaks glass; workloads of a cluster, and a grant for AWS.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};

use crate::audit::AuditLog;
use crate::breakglass::service::{Approve, BreakGlass, NewRequest, Services as BreakGlassServices};
use crate::breakglass::{self, Elevation};
use crate::claims::Profile;
use crate::clock::{Clock, Heard, HighWater, ManualClock, Moment};
use crate::custody::Custody;
use crate::entropy::{Entropy, SystemEntropy};
use crate::exchange::{
    Arc, BTreeSet, Exchange, ExchangeError, ExchangeRequest, Issued, JwtIssuer, OpenCredential,
    PrincipalRate, Services, WantedType,
};
use crate::federation::tests::tokens::{TestKey, jwks};
use crate::federation::{Algorithm, Federation, IssuerSettings, KeySource, ReplayMode, UnverifiedToken};
use crate::grants::{
    BreakGlass as Caps, Catalog, Grant, GrantKind, JwtGrant, Lifetime, LifetimeCaps, RoleArn,
};
use crate::ids::{Audience, ElevationId, GrantName, IssuerName, IssuerUrl, RequestId, Scope, Subject};
use crate::issuance::AwsIssuer;
use crate::issuance::aws::fixtures;
use crate::keys::{Kek, KeyRing, SigningAlgorithm, SigningKey, open_or_create_log_signer};
use crate::locks::service::{LockBook, NewLock};
use crate::people::{Caller, People, TokenFacts};
use crate::policy::{self, PolicyEngine};
use crate::principal::{Authentication, Person, PrincipalId};
use crate::secret::Fingerprint;
use crate::store::{self, Store};

pub(super) const NOW: i64 = 1_795_363_392;

const POLICIES: &str = r#"
permit(principal, action in [Tidegate::Action::"request", Tidegate::Action::"issue", Tidegate::Action::"activate"], resource)
unless { principal.subject == "eve" };
@id("leads") permit(principal in Tidegate::Group::"staff/leads",
  action in [Tidegate::Action::"approve", Tidegate::Action::"view", Tidegate::Action::"revoke", Tidegate::Action::"lock"], resource);
"#;

/// The broker's rooms, a clock that stands still, and everybody's key.
pub(super) struct World {
    pub(super) clock: Arc<ManualClock>,
    pub(super) exchange: Exchange,
    pub(super) break_glass: Arc<BreakGlass>,
    pub(super) policy: Arc<PolicyEngine>,
    pub(super) locks: Arc<LockBook>,
    pub(super) heard: Arc<Heard>,
    store: Arc<dyn Store>,
    audit: AuditLog,
    key: TestKey,
    folder: tempfile::TempDir,
}

impl World {
    pub(super) async fn start() -> Self {
        Self::over(Arc::new(ManualClock::at(Moment::from_unix_seconds(NOW))), None).await
    }

    /// With an issuer of AWS credentials that goes by the same clock.
    pub(super) async fn over(manual: Arc<ManualClock>, aws: Option<AwsIssuer>) -> Self {
        let heard = Heard::alone(Arc::clone(&manual) as _);
        Self::hearing(manual, aws, heard).await
    }

    /// The same, one of several on a store.
    pub(super) async fn hearing(manual: Arc<ManualClock>, aws: Option<AwsIssuer>, heard: Heard) -> Self {
        let heard = Arc::new(heard);
        let folder = tempfile::tempdir().unwrap();
        let key = TestKey::p256("k");
        std::fs::write(folder.path().join("keys.json"), jwks(&[&key])).unwrap();
        write_policies(&folder, POLICIES);
        let (clock, entropy) = (Arc::clone(&manual) as Arc<dyn Clock>, entropy());
        let store = store::open(&format!("sqlite:{}", folder.path().join("t.db").display())).await.unwrap();
        let audit = log(&store, &clock, &entropy).await;
        let grants =
            vec![grant("repair", true), grant("ledger", false), aws_grant("orders"), aws_grant("parcels")];
        let catalog = Arc::new(Catalog::new(grants).unwrap());
        let dir = folder.path().join("policies");
        let policy = Arc::new(PolicyEngine::load(&policy::Settings::of_folder(dir), &catalog).unwrap());
        let people = ["vendor", "staff"].map(|name| issuer(name, &folder));
        let workloads = [
            cluster("cluster", ReplayMode::Reusable, &folder),
            cluster("ci", ReplayMode::SingleUse, &folder),
        ];
        let issuers = people.into_iter().chain(workloads).collect();
        let federation =
            Arc::new(Federation::new(issuers, Arc::clone(&clock), Arc::clone(&entropy)).unwrap());
        let (held, rules) = (Arc::clone(&store), Arc::clone(&policy));
        let locks = LockBook::open(
            held,
            audit.clone(),
            rules,
            Arc::clone(&catalog),
            Arc::clone(&clock),
            Arc::clone(&entropy),
        );
        let locks = Arc::new(locks.await.unwrap());
        let high_water = Arc::new(HighWater::new(None, Duration::from_secs(30)));
        let break_glass = Arc::new(BreakGlass::new(BreakGlassServices {
            store: Arc::clone(&store),
            audit: audit.clone(),
            policy: Arc::clone(&policy),
            catalog: Arc::clone(&catalog),
            people: Arc::new(People::new(Arc::clone(&federation))),
            locks: Arc::clone(&locks),
            high_water: Arc::clone(&high_water),
            entropy: Arc::clone(&entropy),
            clock: Arc::clone(&clock),
            settings: breakglass::Settings::default(),
            hooks: Vec::new(),
            sessions: None,
        }));
        let exchange = Exchange::new(Services {
            federation,
            catalog,
            policy: Arc::clone(&policy),
            jwt: JwtIssuer::new("https://broker.example", Arc::new(ring()), Arc::clone(&entropy)),
            aws,
            audit: audit.clone(),
            clock,
            rate: PrincipalRate::new(None),
            locks: Arc::clone(&locks),
            high_water,
            heard: Arc::clone(&heard),
            break_glass: Arc::clone(&break_glass),
        });
        Self { heard, clock: manual, exchange, break_glass, policy, locks, store, audit, key, folder }
    }

    pub(super) fn now(&self) -> Moment {
        self.clock.now()
    }

    pub(super) fn pass(&self, span: Duration) {
        self.clock.set(self.now().plus(span));
    }

    pub(super) fn new_policies(&self, text: &str) {
        write_policies(&self.folder, text);
        self.policy.reload().unwrap().unwrap();
    }

    /// A request by this person of the vendor, with a fresh token.
    pub(super) fn asks(&self, subject: &str, grant: &str) -> ExchangeRequest {
        self.asks_with(subject, grant, |_| {})
    }

    /// The same with other claims.
    pub(super) fn asks_with(
        &self,
        subject: &str,
        grant: &str,
        change: impl FnOnce(&mut Value),
    ) -> ExchangeRequest {
        let (at, request_id) = (self.now().unix_seconds(), request_id(self.now()));
        let mut claims = json!({
            "iss": "https://vendor.example", "sub": subject, "aud": "tidegate", "iat": at, "exp": at + 300,
            "jti": request_id.to_string(), "groups": ["oncall"],
        });
        change(&mut claims);
        exchange_of(request_id, self.key.token(&claims), grant)
    }

    /// A request by this service account of `billing` in the cluster of that issuer, with a fresh token.
    pub(super) fn workload_asks(&self, issuer: &str, account: &str, grant: &str) -> ExchangeRequest {
        let request_id = request_id(self.now());
        exchange_of(request_id, self.workload_token(issuer, account, request_id), grant)
    }

    pub(super) fn workload_token(&self, issuer: &str, account: &str, request_id: RequestId) -> String {
        let at = self.now().unix_seconds();
        self.key.token(&json!({
            "iss": format!("https://{issuer}.example"), "sub": format!("system:serviceaccount:billing:{account}"),
            "aud": "tidegate", "iat": at, "exp": at + 86_400, "jti": request_id.to_string(),
            "kubernetes.io": { "namespace": "billing", "serviceaccount": { "name": account, "uid": "u" } },
        }))
    }

    /// The service account `app` exchanges for the AWS grant.
    pub(super) async fn app(&self) -> Result<Issued, ExchangeError> {
        self.exchange.exchange(&self.workload_asks("cluster", "app", "orders")).await
    }

    /// Ann exchanges for the break-glass grant.
    pub(super) async fn ann(
        &self,
        change: impl FnOnce(&mut ExchangeRequest),
    ) -> Result<Issued, ExchangeError> {
        let mut request = self.asks("ann", "repair");
        change(&mut request);
        self.exchange.exchange(&request).await
    }

    /// Ann's elevation for so long, approved by a lead and open.
    pub(super) async fn elevation(&self, length: Duration, scope: Option<&[&str]>) -> Elevation {
        let new = NewRequest {
            grant: GrantName::new("repair").unwrap(),
            duration: length,
            reason: "the ledger stands still".to_owned(),
            ticket: None,
            not_before: None,
            scope: scope.map(scopes),
        };
        let asked = self.break_glass.request(&self.caller("vendor", "ann"), new, None).await.unwrap();
        let lead = self.caller("staff", "lead");
        let id = asked.elevation.id;
        self.break_glass.approve(&lead, id, Approve::default(), None).await.unwrap().elevation
    }

    /// Another replica freezes `target`; this one has not heard of it.
    pub(super) async fn lock_elsewhere(&self, target: &str) {
        let (clock, entropy) = (Arc::clone(&self.clock) as Arc<dyn Clock>, entropy());
        let audit = log(&self.store, &clock, &entropy).await;
        let (policy, catalog) = (Arc::clone(&self.policy), Arc::clone(&self.exchange.services.catalog));
        let there = LockBook::open(Arc::clone(&self.store), audit, policy, catalog, clock, entropy);
        let new = NewLock { target: target.parse().unwrap(), reason: "an incident".to_owned(), ttl: None };
        there.await.unwrap().set(&self.caller("staff", "chief"), new, None).await.unwrap();
    }

    pub(super) async fn revoke(&self, id: ElevationId) {
        let lead = self.caller("staff", "lead");
        self.break_glass.revoke(&lead, id, "enough".to_owned(), None).await.unwrap();
    }

    pub(super) fn caller(&self, issuer: &str, subject: &str) -> Caller {
        let at = self.now();
        let group = if issuer == "staff" { "leads" } else { "oncall" };
        Caller {
            person: Person {
                id: PrincipalId {
                    issuer: IssuerName::new(issuer).unwrap(),
                    subject: Subject::new(subject).unwrap(),
                },
                email: None,
                name: None,
                groups: BTreeSet::from([group.to_owned()]),
                tags: BTreeMap::new(),
            },
            authentication: Authentication {
                issued_at: at,
                acr: None,
                amr: BTreeSet::new(),
                auth_time: None,
            },
            may_approve: issuer == "staff",
            token: TokenFacts { fingerprint: Fingerprint::of(b"token"), issued_at: at, expires_at: at },
            request_id: request_id(at),
            source_ip: None,
            at,
        }
    }

    /// The log can be written no more.
    pub(super) fn make_sick(&self) {
        std::fs::rename(self.folder.path().join("t.db"), self.folder.path().join("away.db")).unwrap();
    }

    pub(super) fn heal(&self) {
        std::fs::rename(self.folder.path().join("away.db"), self.folder.path().join("t.db")).unwrap();
    }

    /// Every entry of this type, oldest first, each with its index.
    pub(super) async fn entries_of(&self, kind: &str) -> Vec<(u64, Value)> {
        let entries = self.audit.entries(0, 10_000).await.unwrap();
        let read = entries.iter().map(|(index, bytes)| (*index, serde_json::from_slice(bytes).unwrap()));
        read.filter(|(_, entry): &(u64, Value)| entry["type"] == kind).collect()
    }

    pub(super) fn log_size(&self) -> u64 {
        self.audit.size()
    }

    /// Every entry, oldest first.
    pub(super) async fn entries(&self) -> Vec<Value> {
        let entries = self.audit.entries(0, 10_000).await.unwrap();
        entries.iter().map(|(_, bytes)| serde_json::from_slice(bytes).unwrap()).collect()
    }

    /// The newest entry of the log.
    pub(super) async fn last_entry(&self) -> Value {
        let bytes = self.audit.entry(self.audit.size() - 1).await.unwrap().unwrap();
        serde_json::from_slice(&bytes).unwrap()
    }
}

fn exchange_of(request_id: RequestId, token: String, grant: &str) -> ExchangeRequest {
    ExchangeRequest {
        request_id,
        subject_token: UnverifiedToken::new(token),
        actor_token: None,
        grant: GrantName::new(grant).unwrap().into(),
        scopes: None,
        lifetime: None,
        wanted: WantedType::Any,
        elevation: None,
        narrowing: None,
        source_ip: None,
        client_cert: None,
    }
}

/// The access key of what was issued.
pub(super) fn access_key(issued: &Issued) -> &str {
    let OpenCredential::Aws { access_key_id, .. } = &issued.credential else { panic!("not AWS") };
    access_key_id
}

/// The claims of what was issued, and when it ends.
pub(super) fn claims(issued: &Issued) -> (Value, Moment) {
    use base64::Engine as _;
    let OpenCredential::Jwt { token, expires_at } = &issued.credential else { panic!("not a JWT") };
    let part = token.expose().split('.').nth(1).unwrap();
    let bytes = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(part).unwrap();
    (serde_json::from_slice(&bytes).unwrap(), *expires_at)
}

pub(super) fn code(outcome: Result<Issued, ExchangeError>) -> &'static str {
    match outcome.map(|issued| claims(&issued)) {
        Err(ExchangeError::Refused(refusal)) => refusal.code(),
        other => panic!("not refused: {other:?}"),
    }
}

pub(super) fn scopes(names: &[&str]) -> BTreeSet<Scope> {
    names.iter().map(|name| Scope::new(name).unwrap()).collect()
}

fn request_id(at: Moment) -> RequestId {
    RequestId::new(at, &SystemEntropy::new()).unwrap()
}

fn entropy() -> Arc<dyn Entropy> {
    Arc::new(SystemEntropy::new())
}

async fn log(store: &Arc<dyn Store>, clock: &Arc<dyn Clock>, entropy: &Arc<dyn Entropy>) -> AuditLog {
    let kek = Kek::from_bytes(&[7; 32]).unwrap();
    let custody = Custody::of(Arc::clone(store), kek, Arc::clone(entropy)).await;
    let signer =
        open_or_create_log_signer(&**store, &custody, "t.example/log", &**clock, &**entropy).await.unwrap();
    AuditLog::start(Arc::clone(store), signer, Arc::clone(clock), Arc::clone(entropy)).await.unwrap()
}

fn ring() -> KeyRing {
    let der = SigningKey::generate_pkcs8(SigningAlgorithm::Es256).unwrap();
    KeyRing::with_one_key(SigningKey::from_pkcs8(SigningAlgorithm::Es256, &der).unwrap())
}

fn write_policies(folder: &tempfile::TempDir, text: &str) {
    let customer = folder.path().join("policies/customer");
    std::fs::create_dir_all(&customer).unwrap();
    std::fs::write(customer.join("a.cedar"), text).unwrap();
}

fn grant(name: &str, break_glass: bool) -> Grant {
    let minutes = |count: i64| Lifetime::from_seconds(count * 60).unwrap();
    Grant::new(
        GrantName::new(name).unwrap(),
        GrantKind::Jwt(JwtGrant {
            audience: Audience::new("https://ledger.internal").unwrap(),
            scopes: scopes(&["read", "write"]),
        }),
        LifetimeCaps::new(minutes(5), minutes(60)).unwrap(),
        break_glass.then_some(Caps { max_duration: Duration::from_hours(4) }),
        BTreeSet::new(),
        BTreeSet::new(),
    )
}

/// A grant of AWS credentials for ten minutes, or for twelve hours when asked.
fn aws_grant(name: &str) -> Grant {
    let lifetime = |seconds| Lifetime::from_seconds(seconds).unwrap();
    let mut aws = fixtures::aws_grant();
    aws.sts_role_arn_alias = RoleArn::new(&format!("arn:aws:iam::123456789012:role/{name}")).ok();
    Grant::new(
        GrantName::new(name).unwrap(),
        GrantKind::Aws(Arc::new(aws)),
        LifetimeCaps::new(lifetime(600), lifetime(43_200)).unwrap(),
        None,
        BTreeSet::new(),
        BTreeSet::new(),
    )
}

/// An issuer of workloads.
fn cluster(name: &str, replay: ReplayMode, folder: &tempfile::TempDir) -> IssuerSettings {
    let max_token_lifetime = Duration::from_hours(48);
    IssuerSettings { profile: Profile::Kubernetes, replay, max_token_lifetime, ..issuer(name, folder) }
}

/// An issuer of people. Its tokens are good once.
fn issuer(name: &str, folder: &tempfile::TempDir) -> IssuerSettings {
    IssuerSettings {
        name: IssuerName::new(name).unwrap(),
        url: IssuerUrl::new(&format!("https://{name}.example")).unwrap(),
        profile: Profile::Person,
        audiences: BTreeSet::from([Audience::new("tidegate").unwrap()]),
        algorithms: BTreeSet::from([Algorithm::Es256]),
        keys: KeySource::JwksFile(folder.path().join("keys.json")),
        ca_file: None,
        allow_private_network: false,
        replay: ReplayMode::SingleUse,
        max_token_age: Duration::from_mins(10),
        max_token_lifetime: Duration::from_hours(1),
        require: BTreeMap::new(),
        shared: false,
        may_approve: name == "staff",
    }
}
