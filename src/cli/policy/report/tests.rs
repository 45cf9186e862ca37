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

#[tokio::test]
async fn a_folder_without_invariants_claims_nothing() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(folder.path().join("customer")).unwrap();
    std::fs::create_dir_all(folder.path().join("tests")).unwrap();
    std::fs::write(folder.path().join("customer/a.cedar"), "permit (principal, action, resource);").unwrap();
    let world = "[[grants]]\nname = \"a\"\nkind = \"jwt\"\n";
    std::fs::write(folder.path().join("tests/world.toml"), world).unwrap();
    let report = report_on(folder.path()).await;
    assert!(markdown::page(&report).contains("Nothing is claimed"));
}

#[tokio::test]
async fn the_page_of_the_shipped_policies_is_this() {
    let mut report = report().await;
    report.folder = "policies".to_owned();
    report.at = Moment::EPOCH;
    let page = markdown::page(&report);
    let grants = page.split("\n## ").filter(|part| part.starts_with("`ledger"));
    insta::assert_snapshot!(grants.collect::<Vec<_>>().join("\n## "));
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
        "| permit | customer/a.cedar:1 `x`<br>&lt;script>\\|  | `a\\|b` | ``principal.subject == \"a\\|`b\"`` |\n"
    );
}
