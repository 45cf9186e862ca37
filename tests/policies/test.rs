//! `tidegate policy test`.

use std::process::Command;

use super::program::Folder;

#[test]
fn a_case_that_is_answered_otherwise_fails_and_says_what_decided() {
    let folder = Folder::shipped();
    folder.change(
        "policies/customer/people.cedar",
        "context.approvals.count >= 2",
        "context.approvals.count >= 1",
    );
    let (code, out, _) = folder.run(&["policy", "test"]);
    assert_eq!(code, Some(1), "{out}");
    let failure = "FAILED policies/tests/break-glass.toml:";
    assert!(
        out.lines().any(
            |line| line.starts_with(failure) && line.ends_with(": one approval does not open prod-admin")
        ),
        "{out}"
    );
    assert!(out.contains("expected `no customer policy permits it`, got `permit` by `customer/people.cedar#break-glass-activate`, `vendor/needs.cedar#support`"), "{out}");
    assert!(out.contains("expected 2 approvals to open it, got 1"), "{out}");
}

#[test]
fn a_file_that_cannot_be_read_as_cases_is_a_fault_with_its_place() {
    let folder = Folder::shipped();
    folder.write(
        "policies/tests/more.toml",
        "[[case]]\nname = \"x\"\ngrant = \"ledger-apy\"\nexpct = \"permit\"\n",
    );
    let (code, out, _) = folder.run(&["policy", "test"]);
    assert_eq!(code, Some(1), "{out}");
    assert!(
        out.contains("policies/tests/more.toml:3:9: case[0].grant: no grant is called `ledger-apy`"),
        "{out}"
    );
    assert!(
        out.contains(
            "     3 | grant = \"ledger-apy\"\n       |         ^\n  help: did you mean `ledger-api`?"
        ),
        "{out}"
    );
    assert!(out.contains("policies/tests/more.toml:4:1: case[0].expct: unknown key `expct`"), "{out}");
}

#[test]
fn without_issuers_and_grants_no_case_can_be_read() {
    let folder = Folder::shipped();
    folder.remove("policies/tests/world.toml");
    let (code, out, _) = folder.run(&["policy", "test"]);
    assert_eq!(code, Some(1), "{out}");
    assert!(out.contains("policies/tests/world.toml: is missing") && out.contains("--config"), "{out}");
}

#[test]
fn a_policy_that_no_case_decides_fails_where_coverage_is_required() {
    let folder = Folder::shipped();
    folder.write(
        "policies/customer/new.cedar",
        "@id(\"new\")\nforbid (principal, action == Tidegate::Action::\"issue\", resource)\nwhen { context.ttl > duration(\"6d\") };\n",
    );
    let (code, out, _) = folder.run(&["policy", "test"]);
    assert_eq!(code, Some(0), "{out}");
    assert!(out.contains("policies decided at least one (--coverage lists the others)"), "{out}");
    let (code, out, _) = folder.run(&["policy", "test", "--require-coverage"]);
    assert_eq!(code, Some(1), "{out}");
    assert!(out.contains("no case decided `customer/new.cedar#new`"), "{out}");
    assert_eq!(folder.run(&["policy", "test", "--coverage"]).0, Some(0));
}

#[test]
fn a_name_that_no_case_has_is_refused_and_not_taken_for_success() {
    let folder = Folder::shipped();
    let (code, out, err) = folder.run(&["policy", "test", "--only", "no such words"]);
    assert_eq!(code, Some(1), "{out}");
    assert!(err.contains("no case was found"), "{err}");
    let (code, document) = folder.json(&["policy", "test", "--only", "auditor"]);
    assert_eq!(
        (code, &document["passed"], &document["failed"]),
        (Some(0), &4.into(), &0.into()),
        "{document}"
    );
}

#[test]
fn a_report_is_read_by_a_real_xml_parser_whatever_a_case_is_called() {
    let folder = Folder::shipped();
    folder.write(
        "policies/tests/hostile.toml",
        "[[case]]\nname = \"\\\"/><failure> & ]]> \\u0001 é\"\ngrant = \"orders-read\"\nttl = \"10m\"\n\
         principal = { issuer = \"staff\", subject = \"s\" }\nexpect = \"permit\"\n",
    );
    let (code, out, _) = folder.run(&["policy", "test", "--junit", "report.xml"]);
    assert_eq!(code, Some(1), "{out}");
    let program = "import sys, xml.etree.ElementTree as e\n\
                   root = e.parse(sys.argv[1]).getroot()\n\
                   bad = [c for c in root.iter('testcase') if c.find('failure') is not None]\n\
                   print(root.get('tests'), root.get('failures'), len(list(root.iter('testcase'))), len(bad), bad[0].get('name').encode())";
    let report = folder.path("report.xml");
    let parsed = Command::new("python3").args(["-c", program]).arg(&report).output().unwrap();
    let said = String::from_utf8(parsed.stdout).unwrap();
    assert!(parsed.status.success(), "{}", String::from_utf8_lossy(&parsed.stderr));
    let words: Vec<_> = said.splitn(5, ' ').collect();
    assert_eq!((words[0], words[1], words[3]), (words[2], "1", "1"), "{said}");
    assert!(words[4].starts_with("b'\"/><failure> & ]]> "), "{said}");
}

#[test]
fn the_shipped_cases_pass_with_coverage_required() {
    let (code, out, err) = Folder::shipped().run(&["policy", "test", "--require-coverage"]);
    assert_eq!((code, err.as_str()), (Some(0), ""), "{out}");
    let summary = out.lines().last().unwrap();
    assert!(
        summary.contains(" passed, 0 failed; ") && summary.ends_with("policies decided at least one"),
        "{out}"
    );
    let first = out.lines().nth(1).unwrap();
    assert!(first.starts_with("ok ") && first.contains("policies/tests/break-glass.toml:"), "{out}");
}
