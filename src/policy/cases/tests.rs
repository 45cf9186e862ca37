//! Files of cases, and what becomes of them.

use std::fs;
use std::time::Duration;

use super::*;
use crate::policy::facts::Asked;
use crate::policy::{PolicySets, World, WorldFile};

const WORLD: &str = r#"
[[issuers]]
name = "prod"
profile = "kubernetes"
[[issuers]]
name = "github"
profile = "github"
[[issuers]]
name = "staff"
profile = "person"
[[grants]]
name = "ledger"
kind = "jwt"
[[grants]]
name = "admin"
kind = "jwt"
break_glass = true
"#;

const ANN: &str = "[principals.ann]\nissuer = \"staff\"\nsubject = \"ann\"\ngroups = [\"oncall\"]\n";

fn world() -> World {
    WorldFile::read(WORLD).unwrap().world
}

fn faults(text: &str) -> Vec<String> {
    super::read(text, &world()).unwrap_err().iter().map(ToString::to_string).collect()
}

fn cases(text: &str) -> Vec<Case> {
    super::read(&format!("{ANN}{text}"), &world()).unwrap_or_else(|faults| panic!("{faults}"))
}

fn sets(policies: &str) -> PolicySets {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("customer")).unwrap();
    fs::write(folder.path().join("customer/a.cedar"), policies).unwrap();
    PolicySets::read(folder.path()).unwrap_or_else(|error| panic!("{error}"))
}

/// One case of Ann's with these lines.
fn case(lines: &str) -> String {
    format!("[[case]]\nname = \"c\"\nprincipal = \"ann\"\n{lines}\n")
}

const ISSUE: &str = "grant = \"ledger\"\nttl = \"5m\"\n";

#[test]
fn every_fault_of_a_file_is_told_at_once_with_its_place() {
    let text = "[[case]]\nname = \"a\"\ngrant = \"ledgr\"\nttl = 300\nexpect = \"allow\"\nprincipal = \"bob\"\nsource_ip = \"10.1\"\n\
                at = \"yesterday\"\ndecided_by = \"x\"\ncolour = 1\n";
    insta::assert_snapshot!(faults(&format!("{ANN}{text}")).join("\n"), @r"
    7:9: case[0].grant: no grant is called `ledgr`
    8:7: case[0].ttl: a bare number (`300`) is no duration
    9:10: case[0].expect: `allow` is no answer
    10:13: case[0].principal: no principal of this file is called `bob`
    11:13: case[0].source_ip: `10.1` is no IP address
    12:6: case[0].at: `yesterday` is no moment
    13:14: case[0].decided_by: expected a list of strings, found a string
    14:1: case[0].colour: unknown key `colour`
    ");
}

#[test]
fn a_principal_must_be_one_that_its_issuer_can_make() {
    for (principal, words) in [
        ("issuer = \"prd\", subject = \"s\"", "no issuer is called `prd`"),
        ("issuer = \"prod\", subject = \"s\"", "every token of `prod` has it"),
        (
            "issuer = \"prod\", subject = \"s\", kubernetes = { namespace = \"x\" }",
            "kubernetes.service_account: missing",
        ),
        (
            "issuer = \"prod\", subject = \"s\", groups = [\"g\"], kubernetes = { namespace = \"x\", service_account = \"y\" }",
            "name no groups",
        ),
        (
            "issuer = \"prod\", subject = \"s\", email = \"e\", kubernetes = { namespace = \"x\", service_account = \"y\" }",
            "only people have this",
        ),
        (
            "issuer = \"staff\", subject = \"s\", kubernetes = { namespace = \"x\", service_account = \"y\" }",
            "has no such record",
        ),
        ("issuer = \"staff\", subject = \"s\", person = false", "makes tokens for people"),
        ("issuer = \"staff\"", "subject: missing"),
        ("issuer = \"github\", subject = \"s\", github = { repository_id = 7 }", "expected a string"),
    ] {
        let text =
            format!("[[case]]\nname = \"c\"\n{ISSUE}expect = \"deny\"\nprincipal = {{ {principal} }}\n");
        let found = faults(&text);
        assert!(found.iter().any(|fault| fault.contains(words)), "{principal}: {found:?}");
    }
}

#[test]
fn keys_that_an_action_does_not_take_are_refused() {
    for (lines, words) in [
        ("do = \"request\"\ngrant = \"admin\"\nduration = \"1h\"\nttl = \"5m\"", "`request` has no `ttl`"),
        ("do = \"request\"\ngrant = \"admin\"", "duration: missing"),
        ("do = \"lock\"\ngrant = \"admin\"\napprovals = 2", "`lock` has no `approvals`"),
        ("do = \"approve\"\ngrant = \"admin\"\nduration = \"1h\"", "requester: missing"),
        (
            "do = \"approve\"\ngrant = \"admin\"\nduration = \"1h\"\nrequester = \"ann\"\nelevation = { approvals = 1 }",
            "`approvals` is of no use here",
        ),
        (
            "do = \"view\"\ngrant = \"admin\"\nrequester = \"ann\"\napprovals_needed = 2",
            "`view` has no `approvals_needed`",
        ),
        ("do = \"vew\"\ngrant = \"admin\"", "unknown do `vew`"),
        ("grant = \"ledger\"", "ttl: missing"),
        ("grant = \"ledger\"\nttl = \"8d\"", "no credential lives so long"),
        ("grant = \"admin\"\nttl = \"5m\"\nelevation = {}", "approvals: missing"),
        (
            "do = \"activate\"\ngrant = \"admin\"\nduration = \"1h\"\napprovals = { count = 1, groups = [\"leads\"] }",
            "is no group of an approver",
        ),
        (
            "do = \"activate\"\ngrant = \"admin\"\nduration = \"1h\"\napprovals_needed = \"none\"",
            "`none` is no number of approvals",
        ),
        ("do = \"activate\"\ngrant = \"admin\"\nduration = \"1h\"\napprovals_needed = 11", "out of range"),
    ] {
        let found = faults(&format!("{ANN}{}", case(&format!("{lines}\nexpect = \"deny\""))));
        assert!(found.iter().any(|fault| fault.contains(words)), "{lines}: {found:?}");
    }
}

#[test]
fn a_workload_is_asked_about_credentials_only() {
    let text = "[[case]]\nname = \"c\"\ndo = \"lock\"\ngrant = \"admin\"\nexpect = \"deny\"\n\
                principal = { issuer = \"prod\", subject = \"s\", kubernetes = { namespace = \"x\", service_account = \"y\" } }\n";
    assert!(faults(text)[0].contains("only people are asked about `lock`"));
}

#[test]
fn two_cases_of_one_name_are_refused() {
    let one = case(&format!("{ISSUE}expect = \"deny\""));
    let found = faults(&format!("{ANN}{one}{one}"));
    assert!(found.len() == 1 && found[0].contains("the other is in line 5"), "{found:?}");
}

#[test]
fn a_file_without_a_case_is_no_file_of_cases() {
    assert!(faults("")[0].contains("the file has no case"));
}

#[test]
fn a_case_becomes_the_facts_of_a_request() {
    let lines = "grant = \"admin\"\nttl = \"5m\"\nscopes = [\"a\"]\nat = \"2026-01-02T03:04:05Z\"\nsource_ip = \"10.0.0.1\"\namr = [\"pwd\"]\n\
                 auth = { amr = [\"mfa\"], acr = \"2\", auth_time = \"2026-01-02T03:00:00Z\" }\nclient_cert = \"x5t\"\n\
                 actor = { issuer = \"prod\", subject = \"s\", kubernetes = { namespace = \"x\", service_account = \"y\" } }\n\
                 elevation = { approvals = 2, ends_at = \"2026-01-02T04:00:00Z\" }\nexpect = \"permit\"";
    let read = cases(&case(lines));
    let facts = &read[0].facts;
    insta::assert_json_snapshot!(facts, @r#"
    {
      "at": "2026-01-02T03:04:05Z",
      "principal": {
        "kind": "person",
        "issuer": "staff",
        "subject": "ann",
        "groups": [
          "oncall"
        ]
      },
      "grant": {
        "name": "admin",
        "version": "eb7bbb68a518e6150e9b3a1edd2933bc3334d6f2665d691f8ad27c16476706d6",
        "kind": "jwt",
        "break_glass": true
      },
      "source_ip": "10.0.0.1",
      "auth": {
        "issued_at": "2026-01-02T03:04:05Z",
        "acr": "2",
        "amr": [
          "mfa",
          "pwd"
        ],
        "auth_time": "2026-01-02T03:00:00Z"
      },
      "asked": {
        "action": "issue",
        "ttl": "5m",
        "scopes": [
          "a"
        ],
        "client_cert": "x5t",
        "actor": {
          "kind": "workload",
          "issuer": "prod",
          "subject": "s",
          "kubernetes": {
            "namespace": "x",
            "service_account": "y"
          }
        },
        "elevation": {
          "id": "elv-01a203ff-4cee-7102-8304-05060708090a",
          "version": 1,
          "approvals": 2,
          "starts_at": "2026-01-02T03:04:05Z",
          "ends_at": "2026-01-02T04:00:00Z"
        }
      }
    }
    "#);
    assert_eq!(
        serde_json::from_value::<crate::policy::Facts>(serde_json::to_value(facts).unwrap()).unwrap(),
        *facts
    );
    assert_eq!(read[0].line, 5);
}

#[test]
fn what_a_case_does_not_say_is_ordinary() {
    let text = case(
        "do = \"approve\"\ngrant = \"admin\"\nduration = \"30m\"\nrequester = \"ann\"\nexpect = \"deny\"",
    );
    let read = cases(&text);
    let facts = &read[0].facts;
    assert_eq!((facts.at.to_string().as_str(), facts.auth.issued_at), ("2026-11-22T16:00:00Z", facts.at));
    let Asked::Approve { elevation, duration } = &facts.asked else { panic!("{:?}", facts.asked) };
    assert_eq!((elevation.duration, *duration), (Duration::from_hours(1), Duration::from_mins(30)));
    assert_eq!((&read[0].decided_by, read[0].approvals_needed), (&None, None));
}

const OPENS: &str = r#"
@id("activate")
permit (principal in Tidegate::Group::"staff/oncall", action == Tidegate::Action::"activate", resource)
when { context.approvals.count >= 2 && context.approvals.groups.contains(Tidegate::Group::"staff/security") };
@id("late")
permit (principal, action == Tidegate::Action::"issue", resource) when { context.ttl <= duration("5m") };
@id("glass")
forbid (principal, action == Tidegate::Action::"issue", resource) when { resource.break_glass } unless { context has elevation };
"#;

fn failures(text: &str) -> Vec<String> {
    run(&sets(OPENS), &cases(text)).outcomes.into_iter().flat_map(|outcome| outcome.failures).collect()
}

#[test]
fn an_answer_that_is_not_expected_fails_and_names_who_decided() {
    for (expect, words) in [
        ("expect = \"deny\"", "expected `deny`, got `permit` by `customer/a.cedar#late`"),
        ("expect = \"no vendor policy permits it\"", "got `permit`"),
        (
            "expect = \"permit\"\ndecided_by = [\"customer/a.cedar#lat\"]",
            "decided by `customer/a.cedar#late` instead of `customer/a.cedar#lat`",
        ),
        ("expect = \"permit\"\ndecided_by = []", "decided by `customer/a.cedar#late` too"),
        (
            "expect = \"permit\"\ndecided_by = [\"customer/a.cedar#late\", \"customer/a.cedar#x\"]",
            "not decided by `customer/a.cedar#x`",
        ),
    ] {
        let found = failures(&case(&format!("{ISSUE}{expect}")));
        assert!(found.len() == 1 && found[0].contains(words), "{expect}: {found:?}");
    }
}

#[test]
fn a_denial_is_expected_in_its_own_words_or_in_one() {
    for expect in ["deny", "no customer policy permits it"] {
        assert_eq!(
            failures(&case(&format!("grant = \"ledger\"\nttl = \"6m\"\nexpect = \"{expect}\""))),
            Vec::<String>::new()
        );
    }
    let forbidden = case("grant = \"ledger\"\nttl = \"6m\"\nexpect = \"a customer policy forbids it\"");
    assert_eq!(failures(&forbidden).len(), 1);
    let ours = "grant = \"admin\"\nttl = \"5m\"\nexpect = \"the policy could not be evaluated: grant `admin` needs\"";
    assert_eq!(failures(&case(ours)), Vec::<String>::new());
}

#[test]
fn the_brokers_own_rule_can_be_left_out_to_see_what_the_policies_say() {
    let alone =
        "grant = \"admin\"\nttl = \"5m\"\npolicies_alone = true\nexpect = \"a customer policy forbids it\"";
    assert_eq!(failures(&case(alone)), Vec::<String>::new());
}

#[test]
fn approvals_are_found_by_asking_with_the_groups_that_approvers_may_bring() {
    let ask = |who: &str, needed: &str| {
        format!(
            "[[case]]\nname = \"c\"\nprincipal = {who}\ndo = \"request\"\ngrant = \"admin\"\nduration = \"1h\"\nexpect = \"deny\"\napprovals_needed = {needed}\n"
        )
    };
    assert_eq!(failures(&ask("\"ann\"", "2")), Vec::<String>::new());
    assert_eq!(failures(&ask("\"ann\"", "1")), ["expected 1 approvals to open it, got 2"]);
    let other = "{ issuer = \"staff\", subject = \"bob\" }";
    assert_eq!(failures(&ask(other, "\"never\"")), Vec::<String>::new());
    assert_eq!(failures(&ask(other, "2")), ["expected 2 approvals to open it, got never"]);
}

#[test]
fn a_policy_that_no_case_decides_is_listed() {
    let report = run(&sets(OPENS), &cases(&case(&format!("{ISSUE}expect = \"permit\""))));
    let undecided: Vec<_> = report.undecided.iter().map(crate::policy::PolicyRef::as_str).collect();
    assert_eq!(undecided, ["customer/a.cedar#activate", "customer/a.cedar#glass"]);
}

#[test]
fn a_case_says_of_one_author_what_that_author_answers_for() {
    let about = |expect: &str| cases(&case(&format!("{ISSUE}{expect}"))).remove(0).about(Author::Vendor);
    for expect in ["deny", "no customer policy permits it", "a customer policy forbids it"] {
        assert!(about(&format!("expect = \"{expect}\"")).is_none(), "{expect}");
    }
    for expect in ["no vendor policy permits it", "a vendor policy forbids it"] {
        assert!(about(&format!("expect = \"{expect}\"")).is_some(), "{expect}");
    }
    let both = "expect = \"permit\"\ndecided_by = [\"customer/a.cedar#late\", \"vendor/b.cedar#needs\"]";
    let expected = BTreeSet::from(["vendor/b.cedar#needs".to_owned()]);
    assert_eq!(about(both).unwrap().decided_by, Some(expected));
    assert_eq!(about("expect = \"permit\"").unwrap().decided_by, None);
}
