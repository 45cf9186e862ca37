//! `tidegate policy check`.

use super::program::Folder;

const WIDE: &str = "@id(\"deploys\")\npermit (\n  principal is Tidegate::Workload,\n  action == Tidegate::Action::\"issue\",\n  resource == Tidegate::Grant::\"orders-read\"\n)\nwhen { principal has github && principal.github.repository == \"acme/orders\" };\n";

#[test]
fn a_fault_is_shown_with_its_file_line_and_a_caret_and_refuses() {
    let folder = Folder::shipped();
    folder.write(
        "policies/customer/new.cedar",
        "permit (principal, action, resource)\nwhen { context.nothing };\n",
    );
    let (code, out, _) = folder.run(&["policy", "check"]);
    assert_eq!(code, Some(1), "{out}");
    let place = out.lines().position(|line| line.starts_with("policies/customer/new.cedar:")).unwrap();
    let lines: Vec<_> = out.lines().skip(place).collect();
    assert!(lines[1].contains(" | ") && lines[2].trim_end().ends_with('^'), "{out}");
}

#[test]
fn a_warning_passes_unless_warnings_are_denied() {
    let folder = Folder::shipped();
    folder.write("policies/customer/new.cedar", WIDE);
    let (code, out, _) = folder.run(&["policy", "check"]);
    assert_eq!(code, Some(0), "{out}");
    assert!(out.contains("policies/customer/new.cedar:1:1: warning[shared-issuer-unbound]: "), "{out}");
    assert!(out.contains("     1 | @id(\"deploys\")\n       | ^\n  help: "), "{out}");
    assert_eq!(folder.run(&["policy", "check", "--deny-warnings"]).0, Some(1));
}

#[test]
fn a_certain_fault_refuses_by_itself() {
    let folder = Folder::shipped();
    folder.change(
        "policies/customer/people.cedar",
        "when { context.approvals.count >= 2 }",
        "when { context.duration <= duration(\"4h\") }",
    );
    let (code, document) = folder.json(&["policy", "check"]);
    assert_eq!(code, Some(1), "{document}");
    let finding = &document["findings"][0];
    assert_eq!(finding["code"], "break-glass-without-approval", "{document}");
    assert_eq!((&finding["level"], &finding["grant"]), (&"fault".into(), &"ledger-repair".into()));
    assert_eq!(finding["policy"], "customer/people.cedar#break-glass-activate");
}

#[test]
fn a_grant_for_nobody_is_shown_where_the_world_describes_it() {
    let folder = Folder::shipped();
    folder.change("policies/tests/world.toml", "name = \"orders-read\"", "name = \"orders-write\"");
    let (code, out, _) = folder.run(&["policy", "check"]);
    assert_eq!(code, Some(0), "{out}");
    let line = out.lines().find(|line| line.contains("grant-for-nobody")).unwrap_or_else(|| panic!("{out}"));
    assert!(line.starts_with("policies/tests/world.toml:") && line.contains("`orders-write`"), "{line}");
    assert!(out.contains("warning[unknown-grant]: no grant is called `orders-read`"), "{out}");
}

#[test]
fn without_a_world_what_needs_it_is_left_out_and_that_is_said() {
    let folder = Folder::shipped();
    folder.remove("policies/tests/world.toml");
    let (code, out, err) = folder.run(&["policy", "check"]);
    assert_eq!(code, Some(0), "{out}");
    assert!(err.contains("left out") && err.contains("--config"), "{err}");
}

#[test]
fn a_world_that_is_at_fault_is_told_in_full() {
    let folder = Folder::shipped();
    folder.write("policies/tests/world.toml", "[[issuers]]\nname = \"staff\"\nprofil = \"person\"\n");
    let (code, out, _) = folder.run(&["policy", "check"]);
    assert_eq!(code, Some(1), "{out}");
    assert!(out.contains("policies/tests/world.toml:3:1: issuers[0].profil: unknown key `profil`"), "{out}");
    assert!(out.contains("grants: missing"), "{out}");
}

#[test]
fn the_shipped_policies_pass_with_warnings_denied() {
    let (code, out, err) = Folder::shipped().run(&["policy", "check", "--deny-warnings"]);
    assert_eq!((code, err.as_str()), (Some(0), ""), "{out}");
    assert!(out.ends_with("0 faults, 0 warnings\n"), "{out}");
}
