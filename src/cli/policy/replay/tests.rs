//! The command on real logs.

use std::path::Path;

use clap::Parser as _;
use futures_util::future::join_all;
use serde_json::json;

use super::*;
use crate::audit::tests::Bench;
use crate::audit::{
    AuditLog, CredentialRecord, Event, FactsRecord, GrantRecord, PolicyRecord, PrincipalRecord, Submission,
    TokenRecord,
};
use crate::cli::OutputFormat;
use crate::cli::audit::tests::mirror_of;
use crate::cli::policy::version::bundle_of;
use crate::entropy::SystemEntropy;
use crate::ids::RequestId;
use crate::keys::note::NoteSigner;
use crate::policy::bundle::{Bundle, Contents};
use crate::policy::{DifferenceKind, Facts, PolicyDigest};
use crate::secret::Fingerprint;

#[derive(Debug, clap::Parser)]
struct Cli {
    #[command(flatten)]
    args: Args,
}

const BEFORE: &str = r#"@id("billing") permit(principal is Tidegate::Workload, action == Tidegate::Action::"issue", resource)
    when { principal has kubernetes && principal.kubernetes.namespace == "billing" };"#;

/// The job 7 of billing may not any more, the job 19 of the web may.
const AFTER: &str = r#"@id("billing") permit(principal is Tidegate::Workload, action == Tidegate::Action::"issue", resource)
    when { principal has kubernetes && principal.kubernetes.namespace == "billing" };
    @id("seven") forbid(principal is Tidegate::Workload, action, resource)
    when { principal has kubernetes && principal.kubernetes.service_account == "job-7" };
    @id("nineteen") permit(principal is Tidegate::Workload, action == Tidegate::Action::"issue", resource)
    when { principal has kubernetes && principal.kubernetes.service_account == "job-19" };"#;

/// A log, and the policies that are put to it.
struct Scene {
    bench: Bench,
    log: AuditLog,
    digest: PolicyDigest,
}

impl Scene {
    async fn new() -> Self {
        let bench = Bench::new();
        for (name, text) in [("before", BEFORE), ("after", AFTER)] {
            let customer = bench.folder.path().join(name).join("customer");
            std::fs::create_dir_all(&customer).unwrap();
            std::fs::write(customer.join("a.cedar"), text).unwrap();
        }
        let digest = PolicySets::read(&bench.folder.path().join("before")).unwrap().digest();
        Self { log: bench.log().await, bench, digest }
    }

    /// A decision of [`BEFORE`]: each tenth caller is of the web, and refused.
    fn event(&self, number: u64) -> Event {
        let (account, web) = (format!("job-{}", number % 200), number % 10 == 9);
        let namespace = if web { "web" } else { "billing" };
        let subject = format!("system:serviceaccount:{namespace}:{account}");
        let at = self.bench.clock.now();
        let facts: Facts = serde_json::from_value(json!({
            "at": at,
            "principal": {
                "kind": "workload", "issuer": "prod", "subject": subject,
                "kubernetes": { "namespace": namespace, "service_account": account },
            },
            "grant": { "name": "ledger", "kind": "jwt", "break_glass": false },
            "auth": { "issued_at": at },
            "asked": { "action": "issue", "ttl": "5m", "scopes": ["read"] },
        }))
        .unwrap();
        let facts = FactsRecord::of(&facts);
        let principal = PrincipalRecord { kind: "workload", issuer: "prod".into(), subject };
        let grant = GrantRecord { name: "ledger".into(), kind: Some("jwt"), version: None };
        let token = TokenRecord { sha256: Fingerprint::of(b"t"), issued_at: at, expires_at: at };
        let decided_by = if web { Vec::new() } else { vec!["customer/a.cedar#billing".to_owned()] };
        let policy = PolicyRecord { digest: self.digest, customer: self.digest, vendor: None, decided_by };
        if web {
            return Event::CredentialRefused {
                principal,
                actor: None,
                grant,
                token,
                policy: Some(policy),
                facts,
                reason: "policy_denied",
                detail: "no customer policy permits it".into(),
                elevation: None,
                source_ip: None,
            };
        }
        Event::CredentialIssued {
            principal,
            actor: None,
            grant,
            token,
            policy,
            facts,
            credential: CredentialRecord::Jwt {
                jti: number.to_string(),
                kid: "k".into(),
                sha256: Fingerprint::of(b"c"),
                scope: "read".into(),
                expires_at: at,
            },
            elevation: None,
            source_ip: None,
        }
    }

    async fn write(&self, event: Event) {
        let request_id = RequestId::new(self.bench.clock.now(), &SystemEntropy::new()).unwrap();
        self.log.record(Submission::new(request_id, event)).await.unwrap();
    }

    async fn fill(&self, count: u64) {
        for from in (0..count).step_by(500) {
            join_all((from..count.min(from + 500)).map(|number| self.write(self.event(number)))).await;
        }
    }

    fn path(&self, name: &str) -> String {
        self.bench.folder.path().join(name).to_str().unwrap().to_owned()
    }

    fn args(&self, mirror: &str, more: &[&str]) -> Args {
        let (key, against) = (self.bench.key().to_string(), self.path("after"));
        let mut all = vec!["replay", mirror, "--key", &key];
        if !more.contains(&"--against") {
            all.extend(["--against", &against]);
        }
        all.extend(more);
        Cli::try_parse_from(all).unwrap().args
    }

    async fn mirror(&self, name: &str) -> String {
        mirror_of(&self.log, self.bench.folder.path(), name).await
    }

    async fn replay(&self, mirror: &str, more: &[&str]) -> anyhow::Result<Outcome> {
        self.args(mirror, more).replay(self.bench.clock.now(), &quiet()).await
    }

    async fn passes(&self, mirror: &str, more: &[&str]) -> bool {
        self.args(mirror, more).run(&quiet()).await.unwrap() == ExitCode::SUCCESS
    }
}

fn quiet() -> Output {
    Output::new(OutputFormat::Text)
}

#[tokio::test]
async fn a_log_that_does_not_verify_is_not_replayed() {
    let scene = Scene::new().await;
    scene.fill(300).await;
    let mirror = scene.mirror("mirror").await;
    let bundle = Path::new(&mirror).join("tile/entries/000");
    let text = std::fs::read(&bundle).unwrap();
    let forged = String::from_utf8_lossy(&text).replace("job-7\"", "job-8\"");
    std::fs::write(&bundle, forged).unwrap();
    let refusal = scene.replay(&mirror, &[]).await.unwrap_err().to_string();
    assert!(refusal.contains("must not be believed"), "{refusal}");
    assert!(scene.args(&mirror, &[]).run(&quiet()).await.is_err());
}

/// `benches/replay` does the same with 100,000 and tells the time.
#[tokio::test]
async fn exactly_the_planted_changes_are_found_in_twenty_thousand_decisions() {
    const COUNT: u64 = 20_000;
    let scene = Scene::new().await;
    scene.fill(COUNT).await;
    let mirror = scene.mirror("mirror").await;
    let Outcome { report, .. } = scene.replay(&mirror, &[]).await.unwrap();
    let found = |kind: DifferenceKind| -> Vec<u64> {
        report.changes.iter().filter(|change| change.kind == kind).map(|change| change.index).collect()
    };
    let planted = |rest: u64| -> Vec<u64> { (0..COUNT).filter(|number| number % 200 == rest).collect() };
    assert_eq!(found(DifferenceKind::NewlyDenied), planted(7));
    assert_eq!(found(DifferenceKind::NewlyAllowed), planted(19));
    assert_eq!(report.changes.len(), 200);
    assert_eq!((report.total.decisions, report.total.other_policies), (COUNT, 0));
    assert_eq!((report.inconsistent.len(), report.not_recorded.len()), (0, 0));
    assert_eq!(report.by_principal["prod|system:serviceaccount:billing:job-7"].newly_denied, 100);
}

#[tokio::test]
async fn it_fails_when_something_is_newly_allowed_unless_it_is_told_otherwise() {
    let scene = Scene::new().await;
    scene.fill(40).await;
    let mirror = scene.mirror("mirror").await;
    for (more, passes) in [
        (&[][..], false),
        (&["--fail-on", "denied"], false),
        (&["--fail-on", "any"], false),
        (&["--fail-on", "none"], true),
        // Entry 7 is newly denied, entry 19 newly allowed.
        (&["--to", "19"], true),
        (&["--to", "19", "--fail-on", "denied"], false),
        (&["--from", "8", "--to", "19", "--fail-on", "any"], true),
        (&["--against", &scene.path("before"), "--fail-on", "any"], true),
    ] {
        assert_eq!(scene.passes(&mirror, more).await, passes, "{more:?}");
    }
}

/// The vendor's next bundle beside the customer's folder of before, neither of them unpacked.
#[tokio::test]
async fn a_bundle_is_a_version_beside_the_customers_folder() {
    let scene = Scene::new().await;
    scene.fill(20).await;
    let (mirror, before) = (scene.mirror("mirror").await, scene.path("before"));
    let (signer, _) = NoteSigner::from_seed("vendor.example", &[7; 32]).unwrap();
    let sevens = "permit(principal, action, resource) unless { principal is Tidegate::Workload && principal has kubernetes \
                  && principal.kubernetes.service_account == \"job-7\" };";
    let vendor = scene.bench.folder.path().join("at-vendors/vendor");
    std::fs::create_dir_all(&vendor).unwrap();
    std::fs::write(vendor.join("needs.cedar"), sevens).unwrap();
    let contents = Contents::read(vendor.parent().unwrap(), false).unwrap();
    let (name, version, broker) = ("acme".parse().unwrap(), 8.try_into().unwrap(), "0.1.0".parse().unwrap());
    let bytes = Bundle::make(name, version, broker, &contents, &[&signer]).unwrap();
    let bundle = scene.path("acme-8.bundle");
    std::fs::write(&bundle, bytes).unwrap();
    let key = signer.verifier_key();
    let more = ["--against", &bundle, "--policies", &before, "--vendor-key", &key];
    let Outcome { report, sets, .. } = scene.replay(&mirror, &more).await.unwrap();
    let changed: Vec<_> = report.changes.iter().map(|change| (change.index, change.kind)).collect();
    assert_eq!(changed, [(7, DifferenceKind::NewlyDenied)]);
    assert_eq!(bundle_of(&sets), " (bundle acme, version 8)");
    let refusal = scene.replay(&mirror, &more[..4]).await.unwrap_err().to_string();
    assert!(refusal.contains("`--vendor-key`"), "{refusal}");
}

#[tokio::test]
async fn only_the_days_that_are_asked_for_are_decided_again() {
    let scene = Scene::new().await;
    scene.fill(30).await;
    scene.bench.clock.set(scene.bench.clock.now().plus(std::time::Duration::from_hours(24 * 3)));
    scene.fill(10).await;
    let mirror = scene.mirror("mirror").await;
    for (days, decisions) in [("2", 10), ("4", 40)] {
        let Outcome { report, .. } = scene.replay(&mirror, &["--days", days]).await.unwrap();
        assert_eq!(report.total.decisions, decisions);
    }
}

#[tokio::test]
async fn a_record_that_its_own_policies_contradict_fails_whatever_was_asked_for() {
    let scene = Scene::new().await;
    scene.fill(1).await;
    // As if a broker had let the web in and said that policy did.
    let Event::CredentialRefused { facts, .. } = scene.event(9) else { panic!("not refused") };
    let mut forged = scene.event(0);
    let Event::CredentialIssued { facts: told, .. } = &mut forged else { panic!("not issued") };
    *told = facts;
    scene.write(forged).await;
    let (mirror, before) = (scene.mirror("mirror").await, scene.path("before"));
    let against = ["--against", before.as_str(), "--fail-on", "none"];
    let outcome = scene.replay(&mirror, &against).await.unwrap();
    assert_eq!(outcome.report.inconsistent.len(), 1);
    let told = render::text(&outcome.report, 0).join("\n");
    assert!(told.starts_with("INCONSISTENT  newly_denied  entry 1 at "), "{told}");
    assert!(told.ends_with(", 1 INCONSISTENT"), "{told}");
    assert!(!scene.passes(&mirror, &against).await);
}

#[tokio::test]
async fn decisions_without_facts_are_counted_and_named() {
    let scene = Scene::new().await;
    scene.fill(2).await;
    scene.log.keep_facts(false);
    scene.fill(3).await;
    let mirror = scene.mirror("mirror").await;
    let Outcome { report, .. } = scene.replay(&mirror, &[]).await.unwrap();
    assert_eq!((report.total.decisions, report.not_recorded["not_kept"]), (2, 3));
    let told = render::text(&report, 0).join("\n");
    assert!(
        told.contains("not decided again: 3 whose facts were not kept (`[audit] facts = false`)"),
        "{told}"
    );
}

#[tokio::test]
async fn a_change_is_told_with_the_policies_that_make_it() {
    let scene = Scene::new().await;
    scene.fill(20).await;
    let mirror = scene.mirror("mirror").await;
    let Outcome { report, .. } = scene.replay(&mirror, &[]).await.unwrap();
    insta::assert_snapshot!(render::text(&report, 1).join("\n"));
}
