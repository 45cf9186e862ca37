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

#[test]
fn what_an_author_wrote_ends_no_cell_and_begins_no_tag() {
    use crate::policy::Author;
    use crate::policy::overview::PolicyOverview;
    let policy = PolicyOverview {
        policy: "customer/a.cedar#x".to_owned(),
        author: Author::Customer,
        file: "customer/a.cedar".to_owned(),
        line: 1,
        doc: Some("<script>|\n![](//a)".to_owned()),
        who: "`a|b`".to_owned(),
        when: vec!["principal.subject == \"a|`b``<b>\"".to_owned(), "`".to_owned()],
    };
    let mut page = String::new();
    markdown::row(&mut page, "permit", &policy);
    assert_eq!(
        page,
        "| permit | customer/a.cedar:1 `x`<br>&lt;script>\\| !\\[](//a) | `a\\|b` | \
         ```principal.subject == \"a\\|`b``<b>\"```<br>`` ` `` |\n"
    );
}
