//! The issuers and grants of the configuration reference, policy folders with planted changes, and the solver.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tidegate::claims::Profile;
use tidegate::clock::Moment;
use tidegate::grants::{AwsGrant, BreakGlass, Grant, GrantKind, JwtGrant, Lifetime, LifetimeCaps, RoleArn};
use tidegate::ids::{Audience, GrantName, Scope};
use tidegate::policy::{Invariant, KnownIssuer, PolicySets, World};
use tidegate::proof::Solver;

pub fn now() -> Moment {
    "2026-11-22T16:00:00Z".parse().unwrap()
}

pub async fn solver() -> Solver {
    let program = std::env::var_os("CVC5").map_or_else(|| PathBuf::from("cvc5"), PathBuf::from);
    Solver::start(&program, Duration::from_mins(2)).await.unwrap_or_else(|error| panic!("{error}"))
}

pub fn shipped() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("policies")
}

pub fn invariants() -> Vec<Invariant> {
    Invariant::read(&shipped().join("invariants.cedar")).unwrap_or_else(|error| panic!("{error}"))
}

pub fn named(id: &str) -> Invariant {
    let mut all = invariants().into_iter();
    all.find(|invariant| invariant.id == id).unwrap_or_else(|| panic!("no invariant `{id}`"))
}

pub fn issuer(name: &str, profile: Profile, may_approve: bool) -> KnownIssuer {
    KnownIssuer { name: name.parse().unwrap(), profile, shared: profile == Profile::Github, may_approve }
}

pub fn world() -> World {
    World {
        issuers: vec![
            issuer("prod-cluster", Profile::Kubernetes, false),
            issuer("github", Profile::Github, false),
            issuer("staff", Profile::Person, true),
            issuer("vendor", Profile::Person, false),
        ],
        grants: vec![
            jwt("ledger-api", &["ledger.read", "ledger.write"], false),
            jwt("ledger-repair", &["ledger.admin"], true),
            aws("orders-read", false),
            aws("prod-admin", true),
        ],
    }
}

pub fn jwt(name: &str, scopes: &[&str], break_glass: bool) -> Arc<Grant> {
    let scopes = scopes.iter().map(|scope| Scope::new(scope).unwrap()).collect();
    grant(
        name,
        GrantKind::Jwt(JwtGrant { audience: Audience::new("https://ledger").unwrap(), scopes }),
        break_glass,
    )
}

pub fn aws(name: &str, break_glass: bool) -> Arc<Grant> {
    let role = RoleArn::new(&format!("arn:aws:iam::123456789012:role/{name}")).unwrap();
    grant(name, GrantKind::Aws(Arc::new(AwsGrant::new(role, None))), break_glass)
}

fn grant(name: &str, kind: GrantKind, break_glass: bool) -> Arc<Grant> {
    let minutes = |count: i64| Lifetime::from_seconds(count * 60).unwrap();
    let caps = LifetimeCaps::new(minutes(10), minutes(240)).unwrap();
    let glass = break_glass.then_some(BreakGlass { max_duration: Duration::from_hours(4) });
    let sets: BTreeSet<String> = glass.iter().map(|_| "break-glass".to_owned()).collect();
    Arc::new(Grant::new(GrantName::new(name).unwrap(), kind, caps, glass, BTreeSet::new(), sets))
}

/// A copy of the shipped folder.
pub struct Folder(tempfile::TempDir);

impl Folder {
    pub fn shipped() -> Self {
        let folder = tempfile::tempdir().unwrap();
        for author in ["customer", "vendor"] {
            std::fs::create_dir(folder.path().join(author)).unwrap();
            for entry in std::fs::read_dir(shipped().join(author)).unwrap() {
                let entry = entry.unwrap();
                std::fs::copy(entry.path(), folder.path().join(author).join(entry.file_name())).unwrap();
            }
        }
        std::fs::copy(shipped().join("entities.json"), folder.path().join("entities.json")).unwrap();
        Self(folder)
    }

    /// With this written down about teams and owners.
    pub fn with_entities(self, text: &str) -> Self {
        std::fs::write(self.0.path().join("entities.json"), text).unwrap();
        self
    }

    /// Of these two texts; an empty one of the vendor's means that there is no vendor.
    pub fn of(customer: &str, vendor: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        for (author, text) in [("customer", customer), ("vendor", vendor)] {
            if !text.is_empty() {
                std::fs::create_dir(folder.path().join(author)).unwrap();
                std::fs::write(folder.path().join(author).join("main.cedar"), text).unwrap();
            }
        }
        Self(folder)
    }

    /// Without the policy of this name.
    pub fn without(self, file: &str, id: &str) -> Self {
        let path = self.0.path().join(file);
        let text = std::fs::read_to_string(&path).unwrap();
        let begins = format!("@id(\"{id}\")");
        let (before, policy) = text.split_once(&begins).unwrap_or_else(|| panic!("no `{id}` in {file}"));
        let (_, after) = policy.split_once(";\n").unwrap();
        std::fs::write(path, format!("{before}{after}")).unwrap();
        self
    }

    /// With more text in an author's folder.
    pub fn with(self, author: &str, text: &str) -> Self {
        std::fs::write(self.0.path().join(author).join("planted.cedar"), text).unwrap();
        self
    }

    pub fn path(&self) -> &Path {
        self.0.path()
    }

    pub fn sets(&self) -> PolicySets {
        PolicySets::read(self.path()).unwrap_or_else(|error| panic!("{error}"))
    }
}
