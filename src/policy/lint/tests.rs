//! Each lint, with a hit and a near miss. Rules read like the policies that they are about.

mod authors;
mod forbids;
mod halves;
mod names;
mod nobody;
mod overflow;
mod tenants;
mod windows;

use super::*;
use crate::policy::WorldFile;
use crate::policy::tests::Folder;

const WORLD: &str = r#"
[[issuers]]
name = "prod"
profile = "kubernetes"
[[issuers]]
name = "github"
profile = "github"
[[issuers]]
name = "kite"
profile = "generic"
shared = true
[[issuers]]
name = "staff"
profile = "person"
groups = ["leads", "oncall"]
[[issuers]]
name = "vendor"
profile = "person"
may_approve = false
[[grants]]
name = "ledger"
kind = "jwt"
labels = ["red"]
sets = ["s"]
[[grants]]
name = "admin"
kind = "jwt"
break_glass = true
sets = ["glass"]
"#;

/// Permits everything that the lints want to see permitted, to people and to our own cluster.
const REST: &str = r#"
@id("rest")
permit (principal is Tidegate::Person, action in [Tidegate::Action::"request", Tidegate::Action::"approve",
  Tidegate::Action::"revoke", Tidegate::Action::"view", Tidegate::Action::"lock", Tidegate::Action::"audit",
  Tidegate::Action::"explain", Tidegate::Action::"issue"], resource);
@id("opens")
permit (principal is Tidegate::Person, action == Tidegate::Action::"activate", resource)
when { context.approvals.count >= 1 };
"#;

fn sets(files: &[(&str, &str)]) -> PolicySets {
    PolicySets::read(Folder::new(files).path()).unwrap_or_else(|error| panic!("{error}"))
}

fn look(files: &[(&str, &str)], world: Option<&str>, groups: &[&str]) -> Vec<Finding> {
    let (sets, described) = (sets(files), world.map(|text| WorldFile::read(text).unwrap()));
    let closed = described.as_ref().map(|file| file.groups.clone()).unwrap_or_default();
    let groups = groups.iter().map(|group| (*group).to_owned()).collect();
    let world = described.as_ref().map(|file| &file.world);
    lint(&Subject { sets: &sets, world, groups: &groups, closed: &closed })
}

/// What is found about `policies` beside what everybody needs.
fn found(policies: &str) -> Vec<(Code, String)> {
    let findings = look(&[("customer/a.cedar", policies), ("customer/rest.cedar", REST)], Some(WORLD), &[]);
    findings.into_iter().map(|finding| (finding.code, finding.message)).collect()
}

fn codes(policies: &str) -> Vec<Code> {
    found(policies).into_iter().map(|(code, _)| code).collect()
}

fn issue(principal: &str, rest: &str) -> String {
    format!(
        "@id(\"x\") permit ({principal}, action == Tidegate::Action::\"issue\", resource == Tidegate::Grant::\"ledger\") {rest};"
    )
}

#[test]
fn everything_that_the_tests_stand_on_is_clean() {
    assert_eq!(found(&issue("principal is Tidegate::Person", "")), []);
}

#[test]
fn every_lint_has_a_name_of_its_own_and_a_sentence() {
    let names: BTreeSet<_> = Code::ALL.iter().map(|code| code.as_str()).collect();
    assert_eq!(names.len(), Code::ALL.len());
    for code in Code::ALL {
        assert_eq!(serde_json::to_value(code).unwrap(), code.as_str());
        assert!(code.sense().len() > 10);
    }
}
