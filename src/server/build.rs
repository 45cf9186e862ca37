//! Each room from its own settings, in the order in which they need each other.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use axum_server::tls_rustls::RustlsConfig;
use metrics_exporter_prometheus::{
    BuildError, Matcher, PrometheusBuilder, PrometheusHandle, PrometheusRecorder,
};

use super::aws;
use super::certificates::Certificates;
use super::clock_watch::{self, ClockWatch};
use super::{Ports, StartError};
use crate::audit::AuditLog;
use crate::breakglass::service::{self as break_glass, BreakGlass};
use crate::clock::{Clock, Heard, HighWater};
use crate::config::{AuditSettings, KeySettings, Rate, SecretSource, ServerSettings, Settings};
use crate::custody::Custody;
use crate::entropy::Entropy;
use crate::exchange::{Exchange, PrincipalRate, RateSettings, Services};
use crate::explain::Explainer;
use crate::federation::Federation;
use crate::grants::{Catalog, GrantKind};
use crate::http::{
    AbuseLimit, ApiDoor, ApiServices, ContainerDoor, Desk, Edge, EdgeSettings, LogDoor, Metadata,
    MetadataDoor, OauthDoor, Operators, OpsDoor, PublicDoors, Readiness, StsDoor, TokensDoor,
};
use crate::issuance::JwtIssuer;
use crate::keys::{self, KeyService, RsaKey, Schedule};
use crate::locks::service::LockBook;
use crate::notify::service::Notifier;
use crate::people::People;
use crate::policy::service::{self as policy_service, Policies, Shadow, ShadowServices};
use crate::policy::{PolicyEngine, ShadowSettings};
use crate::secret::Fingerprint;
use crate::store::{self, Store};
use crate::telemetry;
use crate::tokens::{self, Tokens};

/// How long after its end some verifiers still take a token: a retired key stays published that much longer.
const VERIFIERS_LEEWAY: Duration = Duration::from_mins(5);

/// Every room, built.
#[derive(Debug)]
pub(super) struct Rooms {
    pub(super) clock: Arc<dyn Clock>,
    pub(super) entropy: Arc<dyn Entropy>,
    pub(super) store: Arc<dyn Store>,
    pub(super) audit: AuditLog,
    pub(super) keys: Arc<KeyService>,
    pub(super) federation: Arc<Federation>,
    pub(super) policies: Arc<Policies>,
    pub(super) shadow: Option<Arc<Shadow>>,
    pub(super) heard: Arc<Heard>,
    pub(super) high_water: Arc<HighWater>,
    pub(super) exchange: Arc<Exchange>,
    people: Arc<People>,
    pub(super) break_glass: Arc<BreakGlass>,
    explainer: Arc<Explainer>,
    pub(super) notifier: Arc<Notifier>,
    pub(super) locks: Arc<LockBook>,
    pub(super) tokens: Arc<Tokens>,
    pub(super) clock_watch: ClockWatch,
    pub(super) abuse: Arc<AbuseLimit>,
    pub(super) rate: PrincipalRate,
    certificates: Option<Certificates>,
    policy_fault: Mutex<String>,
    pub(super) config_digest: Fingerprint,
    operators: Operators,
    server: ServerSettings,
    metadata: Metadata,
}

impl Rooms {
    pub(super) async fn build(
        settings: Settings,
        tls: Option<RustlsConfig>,
        ports: Ports,
    ) -> Result<Self, StartError> {
        let (clock, entropy) = (ports.clock, ports.entropy);
        let store = store::open_with(&settings.store).await?;
        let custody =
            super::custody::open(&settings, &ports.aws_identity, Arc::clone(&store), Arc::clone(&entropy));
        let custody = Arc::new(custody.await?);
        let audit = audit_log(&settings.audit, &store, &custody, &clock, &entropy).await?;
        super::custody::tell(&custody, &settings);
        let operators = Operators::new(custody.ring());
        let keys = Arc::new(key_service(&settings, &store, &audit, custody, &clock, &entropy).await?);
        let catalog = Arc::new(settings.grants);
        let policy = Arc::new(PolicyEngine::load(&settings.policy, &catalog)?);
        let policies = policies(&store, &audit, &policy, &clock, &entropy);
        let shadow = shadow(settings.shadow, &policy, &catalog, &audit, &clock, &entropy);
        let federation =
            Arc::new(Federation::new(settings.issuers, Arc::clone(&clock), Arc::clone(&entropy))?);
        let rate = PrincipalRate::new(settings.server.limits.per_principal.map(rate_settings));
        let metadata = metadata(&settings.server, &settings.keys, &catalog);
        let issuer = settings.server.issuer.as_str();
        let caller = aws::Caller { identity: &ports.aws_identity, issuer, ring: keys.ring() };
        let aws = aws::issuer(settings.aws.as_ref(), caller, &catalog, &clock, &entropy).await?;
        let locks = lock_book(&store, &audit, &policy, &catalog, &clock, &entropy).await?;
        let high_water = clock_watch::high_water(&*store, &audit, settings.clock.max_step_back).await?;
        let people = Arc::new(People::new(Arc::clone(&federation)));
        let notifier = Notifier::new(Arc::clone(&store), settings.notify, &clock, &entropy)?;
        let break_glass = Arc::new(BreakGlass::new(break_glass::Services {
            store: Arc::clone(&store),
            audit: audit.clone(),
            policy: Arc::clone(&policy),
            catalog: Arc::clone(&catalog),
            people: Arc::clone(&people),
            locks: Arc::clone(&locks),
            high_water: Arc::clone(&high_water),
            entropy: Arc::clone(&entropy),
            clock: Arc::clone(&clock),
            settings: settings.breakglass,
            hooks: notifier.hooks(),
            sessions: aws::session_ender(settings.aws.as_ref(), &ports.aws_identity, &catalog).await?,
        }));
        let explainer = explainer(&break_glass, &policy, &federation, &catalog);
        let heard = Arc::new(heard(&*store, &clock));
        let exchange = Exchange::new(Services {
            federation: Arc::clone(&federation),
            catalog,
            policy: Arc::clone(&policy),
            jwt: JwtIssuer::new(settings.server.issuer.as_str(), keys.ring(), Arc::clone(&entropy)),
            aws,
            audit: audit.clone(),
            clock: Arc::clone(&clock),
            rate: rate.clone(),
            locks: Arc::clone(&locks),
            high_water: Arc::clone(&high_water),
            heard: Arc::clone(&heard),
            break_glass: Arc::clone(&break_glass),
        });
        let tokens = Tokens::new(tokens::Services {
            issuer: settings.server.issuer.as_str().to_owned(),
            ring: keys.ring(),
            federation: Arc::clone(&federation),
            store: Arc::clone(&store),
            break_glass: Arc::clone(&break_glass),
            audit: audit.clone(),
            locks: Arc::clone(&locks),
            high_water: Arc::clone(&high_water),
            heard: Arc::clone(&heard),
        });
        let clock_watch = watch_clock(&high_water, &store, &audit, &clock, &entropy);
        Ok(Self {
            clock,
            entropy,
            store,
            audit,
            keys,
            federation,
            policies,
            shadow,
            heard,
            high_water,
            exchange: Arc::new(exchange),
            people,
            break_glass,
            explainer,
            notifier: Arc::new(notifier),
            locks,
            tokens: Arc::new(tokens),
            clock_watch,
            abuse: Arc::new(AbuseLimit::new(settings.server.limits.per_ip.map(rate_settings))),
            rate,
            certificates: certificates(&settings.server, tls),
            policy_fault: Mutex::default(),
            config_digest: settings.digest,
            operators,
            server: settings.server,
            metadata,
        })
    }

    /// Is this another fault of the policies than at the last look? The folder is looked at every few seconds; a fault is
    /// said once.
    pub(super) fn is_news(&self, fault: &str) -> bool {
        let mut last = self.policy_fault.lock().unwrap_or_else(PoisonError::into_inner);
        let news = *last != fault;
        fault.clone_into(&mut last);
        news
    }

    /// Replaces the certificate when its files changed.
    pub(super) fn reload_certificates(&self) {
        if let Some(certificates) = &self.certificates {
            certificates.reload();
        }
    }

    /// One edge for each listener: a flood at one door leaves the other open.
    pub(super) fn edge(&self) -> Arc<Edge> {
        let settings = EdgeSettings {
            concurrency: usize::try_from(self.server.limits.max_concurrent_requests).unwrap_or(usize::MAX),
            deadline: self.server.limits.request_timeout,
            trusted_proxies: self.server.trusted_proxies.clone(),
        };
        Arc::new(Edge::new(settings, Arc::clone(&self.clock), Arc::clone(&self.entropy)))
    }

    pub(super) fn doors(&self) -> PublicDoors {
        let limits = self.server.limits;
        let (max_body, patience) = (limits.max_body_bytes, limits.request_timeout / 2);
        let desk = Desk::new(Arc::clone(&self.exchange), Arc::clone(&self.abuse));
        PublicDoors {
            oauth: Arc::new(OauthDoor::new(desk.clone(), max_body, patience)),
            container: Arc::new(ContainerDoor::new(desk.clone())),
            sts: Arc::new(StsDoor::new(desk, max_body, patience)),
            tokens: Arc::new(TokensDoor::new(
                Arc::clone(&self.tokens),
                Arc::clone(&self.abuse),
                Arc::clone(&self.clock),
                max_body,
                patience,
            )),
            metadata: Arc::new(MetadataDoor::new(
                self.metadata.clone(),
                self.keys.ring(),
                Arc::clone(&self.clock),
            )),
            log: Arc::new(LogDoor::new(self.audit.clone())),
            api: Arc::new(ApiDoor::new(self.api(), max_body, patience)),
        }
    }

    fn api(&self) -> ApiServices {
        ApiServices {
            explainer: Arc::clone(&self.explainer),
            people: Arc::clone(&self.people),
            breakglass: Arc::clone(&self.break_glass),
            locks: Arc::clone(&self.locks),
            audit: self.audit.clone(),
            abuse: Arc::clone(&self.abuse),
            rate: self.rate.clone(),
            clock: Arc::clone(&self.clock),
        }
    }

    pub(super) fn ops_door(&self, metrics: PrometheusHandle) -> Arc<OpsDoor> {
        let readiness = Readiness::new(
            self.audit.clone(),
            self.keys.ring(),
            Arc::clone(&self.federation),
            Arc::clone(&self.heard),
        );
        let (keys, operators, clock) =
            (Arc::clone(&self.keys), self.operators.clone(), Arc::clone(&self.clock));
        Arc::new(OpsDoor::new(readiness, metrics, keys, operators, clock))
    }
}

fn watch_clock(
    high_water: &Arc<HighWater>,
    store: &Arc<dyn Store>,
    audit: &AuditLog,
    clock: &Arc<dyn Clock>,
    entropy: &Arc<dyn Entropy>,
) -> ClockWatch {
    let (high_water, store) = (Arc::clone(high_water), Arc::clone(store));
    ClockWatch::new(high_water, store, audit.clone(), Arc::clone(clock), Arc::clone(entropy))
}

fn explainer(
    break_glass: &Arc<BreakGlass>,
    policy: &Arc<PolicyEngine>,
    federation: &Arc<Federation>,
    catalog: &Catalog,
) -> Arc<Explainer> {
    let (break_glass, policy) = (Arc::clone(break_glass), Arc::clone(policy));
    Arc::new(Explainer::new(break_glass, policy, Arc::clone(federation), catalog))
}

/// One recorder for the process: several brokers in one process (tests, the demo) share it.
pub(super) fn metrics_recorder() -> PrometheusHandle {
    static HANDLE: OnceLock<PrometheusHandle> = OnceLock::new();
    HANDLE
        .get_or_init(|| {
            let recorder = recorder().unwrap_or_else(|_| PrometheusBuilder::new().build_recorder());
            let handle = recorder.handle();
            if metrics::set_global_recorder(recorder).is_err() {
                tracing::warn!("another metrics recorder is installed; /metrics stays empty");
            }
            telemetry::describe();
            handle
        })
        .clone()
}

fn recorder() -> Result<PrometheusRecorder, BuildError> {
    let named = |name: &str| Matcher::Full(name.to_owned());
    let builder = PrometheusBuilder::new()
        .set_buckets(&telemetry::SECONDS_BUCKETS)?
        .set_buckets_for_metric(named("tidegate_audit_group_entries"), &telemetry::COUNT_BUCKETS)?
        .set_buckets_for_metric(named("tidegate_sts_packed_policy_percent"), &telemetry::PERCENT_BUCKETS)?;
    Ok(builder.build_recorder())
}

fn rsa_key(source: SecretSource) -> RsaKey {
    match source {
        SecretSource::File(path) => RsaKey::File(path),
        SecretSource::Value(text) => RsaKey::Value(text),
    }
}

async fn audit_log(
    settings: &AuditSettings,
    store: &Arc<dyn Store>,
    custody: &Custody,
    clock: &Arc<dyn Clock>,
    entropy: &Arc<dyn Entropy>,
) -> Result<AuditLog, StartError> {
    let signer =
        keys::open_or_create_log_signer(&**store, custody, &settings.origin, &**clock, &**entropy).await?;
    let log = AuditLog::start(Arc::clone(store), signer, Arc::clone(clock), Arc::clone(entropy)).await?;
    log.keep_facts(settings.facts);
    Ok(log)
}

async fn key_service(
    settings: &Settings,
    store: &Arc<dyn Store>,
    audit: &AuditLog,
    custody: Arc<Custody>,
    clock: &Arc<dyn Clock>,
    entropy: &Arc<dyn Entropy>,
) -> Result<KeyService, StartError> {
    let longest = settings.grants.iter().map(|grant| grant.caps.max.duration()).max().unwrap_or_default();
    let keep_after = longest.saturating_add(VERIFIERS_LEEWAY);
    let schedule = Schedule::new(settings.keys.rotate_every, Some(settings.keys.publish_ahead), keep_after)
        .map_err(|error| StartError::Settings(error.to_string()))?;
    let key_settings = keys::Settings {
        algorithm: settings.keys.algorithm,
        schedule,
        rsa_key: settings.keys.rsa_key.clone().map(rsa_key),
    };
    let (store, audit, entropy) = (Arc::clone(store), audit.clone(), Arc::clone(entropy));
    Ok(KeyService::start(store, audit, custody, key_settings, &**clock, entropy).await?)
}

fn policies(
    store: &Arc<dyn Store>,
    audit: &AuditLog,
    engine: &Arc<PolicyEngine>,
    clock: &Arc<dyn Clock>,
    entropy: &Arc<dyn Entropy>,
) -> Arc<Policies> {
    let services = policy_service::Services {
        engine: Arc::clone(engine),
        store: Arc::clone(store),
        audit: audit.clone(),
        clock: Arc::clone(clock),
        entropy: Arc::clone(entropy),
    };
    Arc::new(Policies::new(services, store.is_shared()))
}

fn shadow(
    settings: Option<ShadowSettings>,
    engine: &PolicyEngine,
    catalog: &Arc<Catalog>,
    audit: &AuditLog,
    clock: &Arc<dyn Clock>,
    entropy: &Arc<dyn Entropy>,
) -> Option<Arc<Shadow>> {
    let services = ShadowServices {
        catalog: Arc::clone(catalog),
        audit: audit.clone(),
        clock: Arc::clone(clock),
        entropy: Arc::clone(entropy),
    };
    Some(Arc::new(Shadow::beside(engine, settings?, services)))
}

fn certificates(server: &ServerSettings, live: Option<RustlsConfig>) -> Option<Certificates> {
    server.tls.clone().zip(live).map(|(files, live)| Certificates::new(files, live))
}

fn heard(store: &dyn Store, clock: &Arc<dyn Clock>) -> Heard {
    let clock = Arc::clone(clock);
    if store.is_shared() { Heard::among_others(clock) } else { Heard::alone(clock) }
}

async fn lock_book(
    store: &Arc<dyn Store>,
    audit: &AuditLog,
    policy: &Arc<PolicyEngine>,
    catalog: &Arc<Catalog>,
    clock: &Arc<dyn Clock>,
    entropy: &Arc<dyn Entropy>,
) -> Result<Arc<LockBook>, StartError> {
    let (store, policy, catalog) = (Arc::clone(store), Arc::clone(policy), Arc::clone(catalog));
    let (clock, entropy) = (Arc::clone(clock), Arc::clone(entropy));
    Ok(Arc::new(LockBook::open(store, audit.clone(), policy, catalog, clock, entropy).await?))
}

fn metadata(server: &ServerSettings, keys: &KeySettings, catalog: &Catalog) -> Metadata {
    let scopes: std::collections::BTreeSet<String> = catalog
        .iter()
        .filter_map(|grant| match &grant.kind {
            GrantKind::Jwt(jwt) => Some(jwt.scopes.iter().map(ToString::to_string)),
            GrantKind::Aws(_) => None,
        })
        .flatten()
        .collect();
    Metadata::new(server.issuer.as_str(), keys.algorithm.as_str(), scopes.into_iter().collect())
}

fn rate_settings(rate: Rate) -> RateSettings {
    RateSettings { per_second: rate.per_second, burst: rate.burst }
}
