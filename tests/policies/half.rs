//! A vendor's pipeline: what the vendor wrote, and nobody's `customer` folder.

use super::program::Folder;

const HALF: &str = "only the vendor's half was judged";

const CASES: &str = r#"
[principals.api]
issuer = "prod-cluster"
subject = "system:serviceaccount:orders:api"
kubernetes = { namespace = "orders", service_account = "api" }

[[case]]
name = "the product reads orders"
grant = "orders-read"
ttl = "10m"
principal = "api"
expect = "permit"
decided_by = ["vendor/needs.cedar#orders"]

[[case]]
name = "and writes no more to the ledger than it says"
grant = "ledger-api"
ttl = "10m"
scopes = ["ledger.admin"]
principal = "api"
expect = "no vendor policy permits it"
"#;

const INVARIANTS: &str = r#"
@id("reads-and-writes")
@doc("The product never asks for another scope of the ledger than these")
forbid (principal is Tidegate::Workload, action == Tidegate::Action::"issue", resource == Tidegate::Grant::"ledger-api")
unless { ["ledger.read", "ledger.write"].containsAll(context.scopes) };
"#;

/// What is in a vendor's repository.
fn vendors() -> Folder {
    let folder = Folder::shipped();
    for name in ["customer", "tests"] {
        std::fs::remove_dir_all(folder.policies().join(name)).unwrap();
    }
    folder.remove("policies/entities.json");
    folder.write("policies/tests/world.toml", include_str!("../../policies/tests/world.toml"));
    folder.write("policies/tests/needs.toml", CASES);
    folder.write("policies/invariants.cedar", INVARIANTS);
    folder
}

#[test]
fn the_folder_of_a_configuration_needs_its_customers_half() {
    let folder = vendors();
    folder.write("tidegate.toml", super::config::PRODUCTION);
    for command in [&["policy", "check"][..], &["policy", "test"], &["policy", "prove"]] {
        let (code, out, err) = folder.run(&[command, &["--config", "tidegate.toml"]].concat());
        assert_eq!(code, Some(1), "{command:?}: {out}{err}");
        assert!(format!("{out}{err}").contains("customer: the folder is missing"), "{command:?}: {out}{err}");
    }
}

#[test]
fn what_speaks_of_both_halves_is_not_said_of_one() {
    let folder = vendors();
    for command in ["report", "digest"] {
        let (code, out, err) = folder.run(&["policy", command]);
        assert_eq!((code, out.as_str()), (Some(1), ""), "{command}");
        assert!(err.contains("customer: the folder is missing"), "{command}: {err}");
    }
}

#[test]
fn a_vendors_fault_is_found_without_a_customer() {
    let folder = vendors();
    folder.change("policies/vendor/needs.cedar", "context.scopes", "context.scope");
    let (code, out, _) = folder.run(&["policy", "check"]);
    assert_eq!(code, Some(1), "{out}");
    assert!(out.contains("policies/vendor/needs.cedar:16:"), "{out}");
}

#[test]
fn a_vendors_half_is_checked_and_nothing_is_said_of_what_its_customers_close() {
    let folder = vendors();
    let (code, out, err) = folder.run(&["policy", "check", "--deny-warnings"]);
    assert_eq!((code, err.as_str()), (Some(0), ""), "{out}");
    let told = out.lines().find(|line| line.starts_with(HALF)).unwrap_or_else(|| panic!("{out}"));
    assert!(told.ends_with("`shared-issuer-unbound`, `break-glass-without-approval`"), "{told}");
    let (_, document) = folder.json(&["policy", "check"]);
    assert_eq!(document["authors"], serde_json::json!(["vendor"]));
}

#[test]
fn cases_of_a_vendor_are_decided_by_the_vendors_half() {
    let folder = vendors();
    let (code, out, _) = folder.run(&["policy", "test"]);
    assert_eq!(code, Some(0), "{out}");
    assert!(out.contains(HALF) && out.contains("2 cases: 2 passed, 0 failed"), "{out}");
    folder.change("policies/tests/needs.toml", "no vendor policy", "no customer policy");
    let (code, document) = folder.json(&["policy", "test"]);
    assert_eq!((code, &document["authors"]), (Some(1), &serde_json::json!(["vendor"])), "{document}");
}

#[test]
fn what_is_proved_of_a_half_says_so_and_a_planted_need_is_refuted() {
    let folder = vendors();
    let (code, out, err) = folder.run(&["policy", "prove"]);
    assert_eq!(code, Some(0), "{out}{err}");
    assert!(out.contains("proved    reads-and-writes") && out.contains(HALF), "{out}");
    folder.change("policies/vendor/needs.cedar", "\"ledger.write\"]", "\"ledger.write\", \"ledger.admin\"]");
    let (code, document) = folder.json(&["policy", "prove"]);
    assert_eq!((code, &document["authors"]), (Some(1), &serde_json::json!(["vendor"])), "{document}");
    assert_eq!(document["verdicts"][0]["answer"], "refuted", "{document}");
}

#[test]
fn a_bundle_is_made_of_a_half_with_its_cases() {
    let folder = vendors();
    let key = ["policy", "new-key", "--name", "vendor.example/policies", "--out", "vendor.key"];
    let (code, key, err) = folder.run(&key);
    assert_eq!(code, Some(0), "{err}");
    let line = "policy bundle --with-tests --name acme --bundle-version 7 --min-broker 0.0.1 --key-file vendor.key \
                --out acme.bundle";
    let (code, out, err) = folder.run(&line.split_whitespace().collect::<Vec<_>>());
    assert_eq!(code, Some(0), "{out}{err}");
    let (code, out, err) =
        folder.run(&["policy", "verify", "acme.bundle", "--key", key.trim(), "--version", "7"]);
    assert_eq!(code, Some(0), "{out}{err}");
    assert!(out.contains("vendor/needs.cedar") && out.contains("tests/needs.toml"), "{out}");
}

#[test]
fn two_halves_are_compared_and_a_half_is_not_compared_with_a_whole() {
    let folder = vendors();
    let older = folder.policies().with_file_name("older");
    let copied = std::process::Command::new("cp").arg("-r").arg(folder.policies()).arg(&older).status();
    assert!(copied.unwrap().success());
    folder.change("policies/vendor/needs.cedar", "\"ledger.write\"]", "\"ledger.write\", \"ledger.admin\"]");
    let (code, out, err) = folder.run(&["policy", "diff", "older", "policies", "--exit-code"]);
    assert_eq!(code, Some(1), "{out}{err}");
    assert!(out.contains("newly allowed") && out.contains(HALF), "{out}");
    let (code, document) = folder.json(&["policy", "prove", "--no-wider-than", "older"]);
    assert_eq!(code, Some(1), "{document}");

    std::fs::create_dir(older.join("customer")).unwrap();
    folder.write("older/customer/a.cedar", "permit (principal, action, resource);\n");
    for line in [["policy", "diff", "older", "policies"], ["policy", "prove", "--no-wider-than", "older"]] {
        let (code, out, err) = folder.run(&line);
        assert_eq!(code, Some(1), "{out}{err}");
        assert!(err.contains("compare two of the same kind"), "{err}");
    }
}
