//! The page about the shipped policies, with and without a solver.

use std::path::Path;

use clap::Parser as _;

use super::*;
use crate::cli::OutputFormat;

#[derive(Debug, clap::Parser)]
struct Cli {
    #[command(flatten)]
    args: Args,
}

async fn report_on(policies: &Path) -> Report {
    let policies = policies.display().to_string();
    let line = ["report", "--policies", &policies, "--solver", "/nonexistent/cvc5"];
    Cli::try_parse_from(line).unwrap().args.report(&Output::new(OutputFormat::Json)).await.unwrap()
}

async fn report() -> Report {
    report_on(&Path::new(env!("CARGO_MANIFEST_DIR")).join("policies")).await
}

/// A page that left the claim out, or repeated it unproved, would be believed.
#[tokio::test]
async fn without_a_solver_the_report_says_plainly_that_nothing_is_proved() {
    let report = report().await;
    let page = markdown::page(&report);
    assert!(page.contains("**Not proved: no solver.**"), "{page}");
    assert!(page.contains(": not proved\n") && !page.contains("| proved |"), "{page}");
    let json = serde_json::to_value(&report).unwrap();
    assert_eq!(json["invariants"]["state"], "not_proved");
    assert_eq!(json["digest"], report.overview.digest.to_string());
}

fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    folder
}

const WORLD: &str = r#"
[[issuers]]
name = "staff"
profile = "person"
[[grants]]
name = "ledger"
kind = "jwt"
[[grants]]
name = "prod-admin"
kind = "aws"
account = "123456789012"
break_glass = true
sets = ["glass"]
"#;

const CUSTOMER: &str = r#"
@id("reads")
@doc("Finance, and nobody else.")
permit (
  principal is Tidegate::Person in Tidegate::Group::"staff/finance",
  action == Tidegate::Action::"issue",
  resource == Tidegate::Grant::"ledger"
)
when { context.ttl <= duration("30m") || context.auth.amr.contains("hwk") };
@id("opens")
permit (principal is Tidegate::Person, action == Tidegate::Action::"activate", resource in Tidegate::GrantSet::"glass")
when { context.approvals.count >= 3 };
@id("at-night-never")
forbid (principal, action == Tidegate::Action::"issue", resource)
unless { context.now.toTime() >= duration("6h") && context.now.toTime() < duration("20h") };
"#;

#[tokio::test]
async fn the_page_says_who_can_get_what_on_which_conditions_with_how_many_approvals() {
    let folder = folder(&[("customer/a.cedar", CUSTOMER), ("tests/world.toml", WORLD)]);
    let mut report = report_on(folder.path()).await;
    report.folder = "policies".to_owned();
    (report.at, report.version) = (Moment::EPOCH, "VERSION");
    insta::assert_snapshot!(markdown::page(&report).replace(&report.overview.digest.to_string(), "DIGEST"));
}

#[tokio::test]
async fn a_folder_without_invariants_claims_nothing() {
    let folder = folder(&[("customer/a.cedar", CUSTOMER), ("tests/world.toml", WORLD)]);
    assert!(markdown::page(&report_on(folder.path()).await).contains("Nothing is claimed"));
}

const TEAMS: &str = r#"[
  { "uid": { "type": "Tidegate::Group", "id": "engineering" }, "attrs": {}, "parents": [] },
  { "uid": { "type": "Tidegate::Group", "id": "payments" }, "attrs": {},
    "parents": [{ "type": "Tidegate::Group", "id": "engineering" }] },
  { "uid": { "type": "Tidegate::Group", "id": "staff/payments" }, "attrs": {},
    "parents": [{ "type": "Tidegate::Group", "id": "payments" }] },
  { "uid": { "type": "Tidegate::Person", "id": "staff|00u9" }, "attrs": {},
    "parents": [{ "type": "Tidegate::Group", "id": "payments" }] },
  { "uid": { "type": "Tidegate::Grant", "id": "ledger" },
    "attrs": { "owner": { "type": "Tidegate::Group", "id": "payments" } }, "parents": [] }
]"#;

async fn report_with(entities: &str) -> Report {
    let files = [("customer/a.cedar", CUSTOMER), ("tests/world.toml", WORLD), ("entities.json", entities)];
    report_on(folder(&files).path()).await
}

/// The page from the teams on, without the digest of the file.
fn teams_of(report: &Report) -> String {
    let page = markdown::page(report);
    let (_, teams) = page.split_once("\n## Teams\n").unwrap_or_else(|| panic!("{page}"));
    let (teams, _) = teams.split_once("\n## `").unwrap();
    teams.split_once("|---|---|---|---|\n").unwrap().1.to_owned()
}

/// Whoever writes teams must not be able to write the page: a name that ended its cell could say what it likes.
#[tokio::test]
async fn a_teams_name_begins_nothing_on_the_page() {
    let hostile = ["``|<img src=x>|[a](mailto:b)", "a\\\\|b", "| proved | `x` |", "\u{202e}live"];
    for name in hostile {
        let report = report_with(&TEAMS.replace("\"engineering\"", &format!("\"{name}\""))).await;
        let rows = teams_of(&report);
        let stored: String = serde_json::from_str(&format!("\"{name}\"")).unwrap();
        let row = format!(
            "| {} |  | group `payments`, group `staff/payments`, person `staff\\|00u9` |  |",
            escape::code(&stored)
        );
        assert!(rows.lines().count() == 3 && rows.lines().any(|line| line == row), "{name}: {rows}");
        assert!(!rows.contains('\u{202e}'), "{rows}");
    }
}

#[tokio::test]
async fn teams_are_shown_with_what_is_in_them_what_they_are_part_of_and_what_they_own() {
    let report = report_with(TEAMS).await;
    let rows = [
        "| `payments` | `engineering` | group `staff/payments`, person `staff\\|00u9` | `ledger` |",
        "| `engineering` |  | group `payments`, group `staff/payments`, person `staff\\|00u9` |  |",
        "| `staff/payments` | `engineering`, `payments` |  |  |",
    ];
    assert_eq!(teams_of(&report).lines().collect::<Vec<_>>(), rows);
    assert!(markdown::page(&report).contains("Kind `jwt`. Owned by `payments`.\n"));
    let json = serde_json::to_value(&report).unwrap();
    assert_eq!(json["teams"]["groups"]["first"][0]["owns"]["first"], serde_json::json!(["ledger"]));
    let grants = json["grants"].as_array().unwrap();
    assert_eq!((&grants[0]["owner"], grants[1].get("owner")), (&serde_json::json!("payments"), None));
}

#[tokio::test]
async fn a_directory_of_teams_does_not_bury_the_page() {
    let entity = |kind: &str, id: &str, parent: &str| {
        format!(
            r#"{{ "uid": {{ "type": "Tidegate::{kind}", "id": "{id}" }}, "attrs": {{}}, "parents": [{parent}] }}"#
        )
    };
    let group = r#"{ "type": "Tidegate::Group", "id": "zz" }"#;
    let owned = format!(
        r#"{{ "uid": {{ "type": "Tidegate::Grant", "id": "ledger" }}, "attrs": {{ "owner": {group} }}, "parents": [] }}"#
    );
    let people = (0..30).map(|n| entity("Person", &format!("staff|{n}"), group));
    let groups = (0..300).map(|n| entity("Group", &format!("team-{n:03}"), ""));
    let all: Vec<_> = groups.chain(people).chain([entity("Group", "zz", ""), owned]).collect();
    let report = report_with(&format!("[{}]", all.join(","))).await;
    let rows = teams_of(&report);
    assert!(
        rows.starts_with("| `zz` |  | person `staff\\|0`, ") && rows.contains(", and 5 more | `ledger` |"),
        "{rows}"
    );
    assert_eq!(rows.lines().filter(|row| row.starts_with("| `")).count(), 200, "{rows}");
    assert!(rows.ends_with("\n101 more groups are not shown.\n"), "{rows}");
    let json = serde_json::to_value(&report).unwrap();
    assert_eq!(json["teams"]["groups"]["more"], 101);
}

#[tokio::test]
async fn a_customer_without_teams_has_none_on_the_page() {
    let report =
        report_on(folder(&[("customer/a.cedar", CUSTOMER), ("tests/world.toml", WORLD)]).path()).await;
    assert!(!markdown::page(&report).contains("## Teams"));
}

#[test]
fn what_an_author_wrote_ends_no_cell_and_begins_no_tag() {
    use crate::policy::Author;
    use crate::policy::overview::PolicyOverview;
    let policy = PolicyOverview {
        policy: "customer/a.cedar#x".to_owned(),
        author: Author::Customer,
        file: "customer/a.cedar".to_owned(),
        line: 1,
        doc: Some("<script>|\n".to_owned()),
        who: "`a|b`".to_owned(),
        when: vec!["principal.subject == \"a|`b\"".to_owned()],
    };
    let mut page = String::new();
    markdown::row(&mut page, "permit", &policy);
    assert_eq!(
        page,
        "| permit | customer/a.cedar:1 `x`<br>&lt;script&gt;\\|  | `a\\|b` | ``principal.subject == \"a\\|`b\"`` |\n"
    );
}
