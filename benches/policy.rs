//! What a decision costs: with 1, 10 and 100 candidate policies, and with 10 to 10,000 policies about other grants.
//!
//! `cargo bench --bench policy`. Compare lines of one run with each other; machines are noisy.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tidegate::clock::{Clock, Moment, SystemClock};
use tidegate::grants::{Catalog, Grant, GrantKind, JwtGrant, Lifetime, LifetimeCaps};
use tidegate::ids::{Audience, GrantName, IssuerName, Scope, Subject};
use tidegate::policy::{IssueQuestion, PolicyEngine, Settings};
use tidegate::principal::{Authentication, Kubernetes, Principal, PrincipalId, Workload, WorkloadAttributes};

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

const PERMIT: &str = "permit(principal is Tidegate::Workload, action == Tidegate::Action::\"issue\", \
    resource == Tidegate::Grant::\"orders\") when { principal.issuer == Tidegate::Issuer::\"prod\" && \
    principal has kubernetes && principal.kubernetes.namespace == \"orders\" };\n";

/// Reads the time, the lifetime, the address and the scopes.
const CEILING: &str = "forbid(principal, action == Tidegate::Action::\"issue\", resource) \
    when { context.ttl > duration(\"1h\") || context.scopes.contains(\"admin\") || \
    (context has source_ip && context.source_ip.isMulticast()) || \
    context.auth.issued_at > context.now };\n";

fn grant(name: &str) -> Outcome<Grant> {
    let kind = GrantKind::Jwt(JwtGrant { audience: Audience::new("https://x")?, scopes: BTreeSet::new() });
    let caps = LifetimeCaps::new(Lifetime::from_seconds(60)?, Lifetime::from_seconds(3600)?)?;
    Ok(Grant::new(GrantName::new(name)?, kind, caps, None, BTreeSet::new(), BTreeSet::new()))
}

fn caller() -> Outcome<Principal> {
    let kubernetes = Kubernetes {
        namespace: "orders".into(),
        service_account: "api".into(),
        pod: Some("api-7d9f".into()),
        node: Some("node-1".into()),
    };
    let claims = ["jti", "azp", "team", "region"];
    Ok(Principal::Workload(Workload {
        id: PrincipalId {
            issuer: IssuerName::new("prod")?,
            subject: Subject::new("system:serviceaccount:orders:api")?,
        },
        attributes: WorkloadAttributes::Kubernetes(kubernetes),
        groups: BTreeSet::new(),
        tags: claims.map(|name| (name.to_owned(), BTreeSet::from(["x".to_owned()]))).into(),
    }))
}

/// `candidates` policies about our grant, `others` about other grants of the same catalog.
fn policies(candidates: usize, others: usize, rich: bool) -> String {
    let mut text = PERMIT.to_owned();
    for n in 1..candidates {
        let other = PERMIT.replace("== \"orders\" }", &format!("== \"orders-{n}\" }}"));
        text.push_str(&other);
    }
    for n in 0..others {
        text.push_str(&PERMIT.replace("Grant::\"orders\"", &format!("Grant::\"other-{}\"", n % 1000)));
    }
    if rich {
        text.push_str(CEILING);
    }
    text
}

/// Time on the processor where the system tells it (Linux), so that neighbours do not count; else by the clock.
fn cpu(clock: &SystemClock) -> Duration {
    let told = std::fs::read_to_string("/proc/thread-self/schedstat").ok();
    let nanos = told.as_deref().and_then(|line| line.split(' ').next()?.parse().ok());
    nanos.map_or_else(|| clock.uptime(), Duration::from_nanos)
}

fn measure(clock: &SystemClock, mut work: impl FnMut() -> bool) -> Outcome<f64> {
    let mut best = f64::MAX;
    for _ in 0..5 {
        let (start, mut rounds) = (cpu(clock), 0_u32);
        while cpu(clock).saturating_sub(start) < Duration::from_millis(200) {
            for _ in 0..100 {
                if !work() {
                    return Err("the decision was not the expected one".into());
                }
            }
            rounds += 100;
        }
        best = best.min(cpu(clock).saturating_sub(start).as_secs_f64() * 1e6 / f64::from(rounds));
    }
    Ok(best)
}

fn run(clock: &SystemClock, dir: &Path, candidates: usize, others: usize, rich: bool) -> Outcome<String> {
    std::fs::create_dir_all(dir.join("customer"))?;
    std::fs::create_dir_all(dir.join("vendor"))?;
    std::fs::write(dir.join("customer/a.cedar"), policies(candidates, others, rich))?;
    std::fs::write(dir.join("vendor/a.cedar"), PERMIT)?;
    let mut grants = vec![grant("orders")?];
    for n in 0..others.min(1000) {
        grants.push(grant(&format!("other-{n}"))?);
    }
    let catalog = Catalog::new(grants)?;
    let start = cpu(clock);
    let engine = PolicyEngine::load(&Settings::of_folder(dir.to_owned()), &catalog)?;
    let load = cpu(clock).saturating_sub(start);

    let (principal, at) = (caller()?, Moment::from_unix_millis(1_795_363_392_250));
    let authentication = Authentication { issued_at: at, acr: None, amr: BTreeSet::new(), auth_time: None };
    let scopes = BTreeSet::from([Scope::new("orders.read")?]);
    let resource: &Arc<Grant> = catalog.resolve(&GrantName::new("orders")?).ok_or("no grant")?;
    let question = IssueQuestion {
        principal: &principal,
        authentication: &authentication,
        grant: resource,
        ttl: Lifetime::from_seconds(300)?,
        scopes: &scopes,
        source_ip: Some([10, 0, 0, 1].into()),
        client_cert: None,
        actor: None,
        at,
        elevation: None,
    };
    let decide = measure(clock, || engine.decide_issue(std::hint::black_box(&question)).is_ok())?;
    let mut line = String::new();
    write!(line, "{candidates:>4} candidates, {others:>6} others, ceiling {rich:<5}: ")?;
    write!(line, "{decide:>8.2} us/decision, loaded in {:.3} s", load.as_secs_f64())?;
    Ok(line)
}

#[expect(clippy::print_stdout, reason = "a bench tells its numbers")]
fn main() -> Outcome<()> {
    let clock = SystemClock::start();
    let runs = [
        (1, 0, false),
        (1, 0, true),
        (10, 0, true),
        (100, 0, true),
        (5, 10, true),
        (5, 100, true),
        (5, 1_000, true),
        (5, 10_000, true),
    ];
    for (candidates, others, rich) in runs {
        let dir = tempfile::tempdir()?;
        println!("{}", run(&clock, dir.path(), candidates, others, rich)?);
    }
    Ok(())
}
