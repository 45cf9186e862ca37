//! A broker's break-glass in a folder of its own: two companies, three grants, a clock that stands still.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use crate::audit::AuditLog;
use crate::audit::tests::Bench;
use crate::breakglass::service::{
    Approve, BreakGlass, BreakGlassError, NewRequest, OpenWindow, Outcome, Services, WindowAsk, WindowError,
};
use crate::breakglass::{Elevation, Narrowing, Settings, StateName};
use crate::claims::Profile;
use crate::clock::{Clock as _, HighWater, Moment};
use crate::entropy::SystemEntropy;
use crate::federation::{Algorithm, Federation, IssuerSettings, KeySource, ReplayMode};
use crate::grants::{self, Catalog, Grant, GrantKind, JwtGrant, Lifetime, LifetimeCaps};
use crate::ids::{Audience, ElevationId, GrantName, IssuerName, IssuerUrl, RequestId, Scope, Subject};
use crate::issuance::aws::SessionEnder;
use crate::locks::service::LockBook;
use crate::notify::HookId;
use crate::people::{Caller, People, TokenFacts};
use crate::policy::{self, PolicyEngine};
use crate::principal::{Authentication, Person, PrincipalId};
use crate::secret::Fingerprint;
use crate::store::Store;

/// Engineers of both companies may request, up to two hours. Approvers of the customer approve, and so would those of the
/// vendor, were their issuer not barred. Two are needed.
pub(in crate::breakglass::service) const POLICY: &str = r#"
@id("request") permit(principal, action == Tidegate::Action::"request", resource)
    when { context.duration <= duration("2h") && (principal in Tidegate::Group::"vendor/engineers" || principal in Tidegate::Group::"customer/engineers") };
@id("approve") permit(principal, action == Tidegate::Action::"approve", resource)
    when { principal in Tidegate::Group::"customer/approvers" || principal in Tidegate::Group::"vendor/approvers" };
@id("two") permit(principal, action == Tidegate::Action::"activate", resource) when { context.approvals.count >= 2 };
@id("revoke") permit(principal, action == Tidegate::Action::"revoke", resource) when { principal in Tidegate::Group::"customer/approvers" };
@id("view") permit(principal, action == Tidegate::Action::"view", resource)
    when { principal in Tidegate::Group::"customer/approvers" || principal in Tidegate::Group::"vendor/approvers" || principal in Tidegate::Group::"customer/auditors" };
@id("audit") permit(principal, action == Tidegate::Action::"audit", resource) when { principal in Tidegate::Group::"customer/auditors" };
@id("lock") permit(principal, action == Tidegate::Action::"lock", resource) when { principal.subject == "olga" };
"#;

pub(in crate::breakglass::service) const GRANT: &str = "prod-admin";
pub(in crate::breakglass::service) const OTHER: &str = "prod-read";
pub(in crate::breakglass::service) const OPEN: &str = "ledger";

pub(in crate::breakglass::service) const MINUTE: Duration = Duration::from_mins(1);
pub(in crate::breakglass::service) const HOUR: Duration = Duration::from_hours(1);

pub(in crate::breakglass::service) struct World {
    pub(in crate::breakglass::service) bench: Bench,
    pub(in crate::breakglass::service) store: Arc<dyn Store>,
    pub(in crate::breakglass::service) log: AuditLog,
    pub(in crate::breakglass::service) policy: Arc<PolicyEngine>,
    pub(in crate::breakglass::service) catalog: Arc<Catalog>,
    people: Arc<People>,
    pub(in crate::breakglass::service) locks: Arc<LockBook>,
    pub(in crate::breakglass::service) glass: Arc<BreakGlass>,
}

/// What a broker knows from its files.
struct Configured {
    policy: Arc<PolicyEngine>,
    catalog: Arc<Catalog>,
    people: Arc<People>,
    settings: Settings,
}

/// What a broker is started with.
pub(in crate::breakglass::service) struct Start {
    pub(in crate::breakglass::service) grants: Vec<Grant>,
    pub(in crate::breakglass::service) settings: Settings,
    /// `customer` may approve, `vendor` may not, unless this says otherwise.
    pub(in crate::breakglass::service) customer_may_approve: bool,
    pub(in crate::breakglass::service) sessions: Option<SessionEnder>,
}

impl Default for Start {
    fn default() -> Self {
        let grants = vec![
            grant(GRANT, true, &["read", "write"]),
            grant(OTHER, true, &["read"]),
            grant(OPEN, false, &["read"]),
        ];
        Self { grants, settings: Settings::default(), customer_may_approve: true, sessions: None }
    }
}

impl World {
    pub(in crate::breakglass::service) async fn new() -> Self {
        Self::with(Bench::new(), Start::default()).await
    }

    /// As after a restart, when the bench had a broker before.
    pub(in crate::breakglass::service) async fn with(bench: Bench, start: Start) -> Self {
        let catalog = Arc::new(Catalog::new(start.grants).unwrap());
        if !policy_file(&bench).exists() {
            write_policy(&bench, POLICY);
        }
        let dir = bench.folder.path().join("policies");
        let policy = Arc::new(PolicyEngine::load(&policy::Settings::of_folder(dir), &catalog).unwrap());
        let issuers = vec![issuer("customer", start.customer_may_approve), issuer("vendor", false)];
        let entropy = Arc::new(SystemEntropy::new());
        let federation = Federation::new(issuers, Arc::clone(&bench.clock) as _, entropy).unwrap();
        let people = Arc::new(People::new(Arc::new(federation)));
        let configured = Configured { policy, catalog, people, settings: start.settings };
        Self::on(bench, configured, start.sessions).await
    }

    async fn on(bench: Bench, configured: Configured, sessions: Option<SessionEnder>) -> Self {
        let Configured { policy, catalog, people, settings } = configured;
        let store = bench.store().await;
        let log = bench.log_on(Arc::clone(&store)).await;
        let entropy = Arc::new(SystemEntropy::new());
        let locks = LockBook::open(
            Arc::clone(&store),
            log.clone(),
            Arc::clone(&policy),
            Arc::clone(&catalog),
            Arc::clone(&bench.clock) as _,
            Arc::clone(&entropy) as _,
        );
        let locks = Arc::new(locks.await.unwrap());
        let glass = BreakGlass::new(Services {
            store: Arc::clone(&store),
            audit: log.clone(),
            policy: Arc::clone(&policy),
            catalog: Arc::clone(&catalog),
            people: Arc::clone(&people),
            locks: Arc::clone(&locks),
            high_water: Arc::new(HighWater::new(log.last_at(), Duration::from_secs(30))),
            entropy,
            clock: Arc::clone(&bench.clock) as _,
            settings,
            hooks: vec![HookId(Fingerprint::of(b"hook"))],
            sessions,
        });
        Self { bench, store, log, policy, catalog, people, locks, glass: Arc::new(glass) }
    }

    /// Another replica's service on the same store, which has heard of nothing since it started.
    pub(in crate::breakglass::service) async fn beside(&self, sessions: Option<SessionEnder>) -> BreakGlass {
        let log = self.bench.log_on(Arc::clone(&self.store)).await;
        let (clock, entropy) = (Arc::clone(&self.bench.clock), Arc::new(SystemEntropy::new()));
        let locks = LockBook::open(
            Arc::clone(&self.store),
            log.clone(),
            Arc::clone(&self.policy),
            Arc::clone(&self.catalog),
            Arc::clone(&clock) as _,
            Arc::clone(&entropy) as _,
        );
        BreakGlass::new(Services {
            store: Arc::clone(&self.store),
            locks: Arc::new(locks.await.unwrap()),
            policy: Arc::clone(&self.policy),
            catalog: Arc::clone(&self.catalog),
            people: Arc::clone(&self.people),
            high_water: Arc::new(HighWater::new(log.last_at(), Duration::from_secs(30))),
            audit: log,
            entropy,
            clock,
            settings: Settings::default(),
            hooks: vec![HookId(Fingerprint::of(b"hook"))],
            sessions,
        })
    }

    /// The process ends and another one starts on the same file.
    pub(in crate::breakglass::service) async fn restart(self) -> Self {
        self.restart_with(Start::default()).await
    }

    pub(in crate::breakglass::service) async fn restart_with(self, start: Start) -> Self {
        let Self { bench, store, log, policy, catalog, people, locks, glass } = self;
        log.drain().await;
        drop((store, log, policy, catalog, people, locks, glass));
        Self::with(bench, start).await
    }

    /// The same, and what is only read from files (policies, grants, issuers) is not read again: that is what takes time.
    pub(in crate::breakglass::service) async fn restart_quickly(self) -> Self {
        let Self { bench, store, log, policy, catalog, people, locks, glass } = self;
        log.drain().await;
        drop((store, log, locks, glass));
        let configured = Configured { policy, catalog, people, settings: Settings::default() };
        Self::on(bench, configured, None).await
    }

    pub(in crate::breakglass::service) fn now(&self) -> Moment {
        self.bench.clock.now()
    }

    pub(in crate::breakglass::service) fn advance(&self, span: Duration) {
        self.bench.clock.advance(span);
    }

    /// Another policy text takes effect.
    pub(in crate::breakglass::service) fn set_policy(&self, text: &str) {
        write_policy(&self.bench, text);
        self.policy.reload().unwrap().expect("a new text");
    }

    /// Writes fail until [`heal`](Self::heal); what is open can still be read.
    pub(in crate::breakglass::service) fn make_sick(&self) {
        let (here, away) = self.files();
        fs::rename(here, away).unwrap();
    }

    pub(in crate::breakglass::service) fn heal(&self) {
        let (here, away) = self.files();
        fs::rename(away, here).unwrap();
    }

    fn files(&self) -> (PathBuf, PathBuf) {
        let folder = self.bench.folder.path();
        (folder.join("t.db"), folder.join("away.db"))
    }

    /// `who` is `issuer|subject`, signed in now. Groups go with the subject.
    pub(in crate::breakglass::service) fn caller(&self, who: &str) -> Caller {
        let (issuer, subject) = who.split_once('|').unwrap();
        let at = self.now();
        Caller {
            person: Person {
                id: id(issuer, subject),
                email: None,
                name: Some(subject.to_uppercase()),
                groups: groups(subject),
                tags: BTreeMap::new(),
            },
            authentication: Authentication {
                issued_at: at,
                acr: None,
                amr: BTreeSet::new(),
                auth_time: None,
            },
            may_approve: issuer == "customer",
            token: TokenFacts {
                fingerprint: Fingerprint::of(who.as_bytes()),
                issued_at: at,
                expires_at: at.plus(HOUR),
            },
            request_id: RequestId::new(at, &SystemEntropy::new()).unwrap(),
            source_ip: None,
            at,
        }
    }

    pub(in crate::breakglass::service) fn ann(&self) -> Caller {
        self.caller("vendor|ann")
    }

    pub(in crate::breakglass::service) fn bob(&self) -> Caller {
        self.caller("customer|bob")
    }

    pub(in crate::breakglass::service) fn cyd(&self) -> Caller {
        self.caller("customer|cyd")
    }

    pub(in crate::breakglass::service) async fn request(&self) -> Elevation {
        self.ask(new()).await.unwrap()
    }

    pub(in crate::breakglass::service) async fn ask(
        &self,
        new: NewRequest,
    ) -> Result<Elevation, BreakGlassError> {
        self.glass.request(&self.ann(), new, None).await.map(|outcome| outcome.elevation)
    }

    pub(in crate::breakglass::service) async fn approve(
        &self,
        who: &Caller,
        id: ElevationId,
    ) -> Result<Outcome, BreakGlassError> {
        self.glass.approve(who, id, Approve::default(), None).await
    }

    /// Both approvers say yes.
    pub(in crate::breakglass::service) async fn approved(&self, new: NewRequest) -> Elevation {
        let id = self.ask(new).await.unwrap().id;
        self.approve(&self.bob(), id).await.unwrap();
        self.approve(&self.cyd(), id).await.unwrap().elevation
    }

    pub(in crate::breakglass::service) async fn active(&self) -> Elevation {
        let elevation = self.approved(new()).await;
        assert_eq!(elevation.state_name(), StateName::Active);
        elevation
    }

    pub(in crate::breakglass::service) async fn stored(&self, id: ElevationId) -> Elevation {
        self.store.elevation(id).await.unwrap().unwrap()
    }

    pub(in crate::breakglass::service) async fn state(&self, id: ElevationId) -> StateName {
        self.stored(id).await.state_name()
    }

    /// What a mint of Ann's for `grant` would stand on.
    pub(in crate::breakglass::service) async fn window(
        &self,
        named: Option<ElevationId>,
    ) -> Result<OpenWindow, WindowError> {
        self.window_of(&self.ann(), GRANT, named).await
    }

    pub(in crate::breakglass::service) async fn window_of(
        &self,
        caller: &Caller,
        grant: &str,
        named: Option<ElevationId>,
    ) -> Result<OpenWindow, WindowError> {
        let grant = self.catalog.resolve(&GrantName::new(grant).unwrap()).unwrap();
        let ask = WindowAsk {
            person: &caller.person,
            authentication: &caller.authentication,
            source_ip: None,
            grant,
            named,
            at: caller.at,
        };
        self.glass.open_window(ask).await
    }

    /// Every entry of the log about elevations: `type`, in order, without the `elevation.` in front.
    pub(in crate::breakglass::service) async fn told(&self) -> Vec<String> {
        let types = self.entries().await.into_iter().map(|entry| entry["type"].as_str().unwrap().to_owned());
        types.filter_map(|kind| kind.strip_prefix("elevation.").map(str::to_owned)).collect()
    }

    pub(in crate::breakglass::service) async fn entries(&self) -> Vec<Value> {
        let all = self.log.entries(0, 100_000).await.unwrap();
        all.iter().map(|(_, bytes)| serde_json::from_slice(bytes).unwrap()).collect()
    }

    pub(in crate::breakglass::service) async fn last_entry(&self) -> Value {
        self.entries().await.pop().unwrap()
    }

    /// The last refusal that was written down: `(attempted, reason)`.
    pub(in crate::breakglass::service) async fn last_refusal(&self) -> (String, String) {
        let entry = self.last_entry().await;
        assert_eq!(entry["type"], "elevation.refused", "{entry}");
        let text = |key: &str| entry[key].as_str().unwrap().to_owned();
        (text("attempted"), text("reason"))
    }
}

pub(in crate::breakglass::service) fn new() -> NewRequest {
    NewRequest {
        grant: GrantName::new(GRANT).unwrap(),
        duration: HOUR,
        reason: "restart the stuck importer".to_owned(),
        ticket: None,
        not_before: None,
        scope: None,
    }
}

pub(in crate::breakglass::service) fn narrow(duration: Option<Duration>, scopes: Option<&[&str]>) -> Approve {
    Approve { comment: None, narrowing: Narrowing { duration, scope: scopes.map(scope) } }
}

pub(in crate::breakglass::service) fn scope(names: &[&str]) -> BTreeSet<Scope> {
    names.iter().map(|name| Scope::new(name).unwrap()).collect()
}

/// Ann, Eve and Dan are engineers, Bob, Cyd and Eve approvers of whichever company, Audrey audits.
fn groups(subject: &str) -> BTreeSet<String> {
    let groups: &[&str] = match subject {
        "ann" | "dan" => &["engineers"],
        "bob" | "cyd" | "fay" => &["approvers"],
        "eve" => &["engineers", "approvers"],
        "audrey" => &["auditors"],
        _ => &[],
    };
    groups.iter().map(|group| (*group).to_owned()).collect()
}

pub(in crate::breakglass::service) fn id(issuer: &str, subject: &str) -> PrincipalId {
    PrincipalId { issuer: IssuerName::new(issuer).unwrap(), subject: Subject::new(subject).unwrap() }
}

pub(in crate::breakglass::service) fn grant(name: &str, break_glass: bool, scopes: &[&str]) -> Grant {
    let audience = Audience::new("https://x").unwrap();
    grant_of(name, break_glass, GrantKind::Jwt(JwtGrant { audience, scopes: scope(scopes) }))
}

pub(in crate::breakglass::service) fn grant_of(name: &str, break_glass: bool, kind: GrantKind) -> Grant {
    let five = Lifetime::from_seconds(300).unwrap();
    Grant::new(
        GrantName::new(name).unwrap(),
        kind,
        LifetimeCaps::new(five, five).unwrap(),
        break_glass.then_some(grants::BreakGlass { max_duration: 4 * HOUR }),
        BTreeSet::new(),
        BTreeSet::new(),
    )
}

fn issuer(name: &str, may_approve: bool) -> IssuerSettings {
    IssuerSettings {
        name: IssuerName::new(name).unwrap(),
        url: IssuerUrl::new(&format!("https://{name}.example")).unwrap(),
        profile: Profile::Person,
        audiences: BTreeSet::from([Audience::new("tidegate").unwrap()]),
        algorithms: BTreeSet::from(Algorithm::ALL),
        keys: KeySource::Discovery,
        ca_file: None,
        allow_private_network: false,
        replay: ReplayMode::Reusable,
        max_token_age: HOUR,
        max_token_lifetime: HOUR,
        require: BTreeMap::new(),
        shared: false,
        may_approve,
    }
}

fn policy_file(bench: &Bench) -> PathBuf {
    bench.folder.path().join("policies/customer/people.cedar")
}

fn write_policy(bench: &Bench, text: &str) {
    let path = policy_file(bench);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}
