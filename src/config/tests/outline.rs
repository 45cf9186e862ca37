//! What tools that look at policies read, for people who have the file and none of what is secret.

use super::*;

/// Names a file of every sort, of which none is there.
fn production() -> String {
    let more = "[store]\nurl = \"postgres://broker@db.internal/tidegate\"\npassword_file = \"db.password\"\n\
                [[notify]]\nurl = \"https://hooks.example.com/x\"\nsecret_file = \"hook.secret\"\n";
    let keys = issuer("jwks_file = \"jwks.json\"\nca_file = \"ca.crt\"");
    format!("{}\n{more}", keys.replace("[aws]\n", "[aws]\nca_file = \"aws.crt\"\n"))
}

/// The file alone, beside an empty policy folder.
fn alone(text: &str) -> (TempDir, std::path::PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("policies")).unwrap();
    let file = folder.path().join("tidegate.toml");
    fs::write(&file, text).unwrap();
    (folder, file)
}

#[test]
fn a_broker_does_not_start_without_the_files_that_policy_tools_do_not_open() {
    let (_folder, file) = alone(&production());
    let faults = load(&file).unwrap_err().to_string();
    for key in [
        "server.tls.cert_file",
        "server.tls.key_file",
        "store.password_file",
        "keys.kek_file",
        "aws.ca_file",
        "issuers[0].jwks_file",
        "issuers[0].ca_file",
        "grants[1].session_policy_file",
        "notify[0].secret_file",
    ] {
        assert!(faults.contains(&format!("{key}: `")), "{key} was not opened: {faults}");
    }
    outline(&file).unwrap_or_else(|error| panic!("{error}"));
}

#[test]
fn what_policies_are_about_is_refused_as_a_broker_refuses_it_with_its_place() {
    let shared = production().replace("https://oidc.example.com/id/1", "https://gitlab.com");
    for (text, line, told) in [
        (with("max_ttl = \"15m\"", "max_tll = \"15m\""), 25, "grants[0].max_tll: unknown key `max_tll`"),
        (
            with("role_arn = \"arn:aws:iam::123456789012:", "role_arn = \"arn:aws:iam::12:"),
            30,
            "grants[1].role_arn: ",
        ),
        (with("\"kubernetes\"", "\"kubernets\""), 16, "issuers[0].profile: unknown profile `kubernets`"),
        (shared, 16, "issuers[0].url: many tenants share this issuer"),
        (with("[aws]", "[policy]\ndir = \"policys\"\n\n[aws]"), 11, "policy.dir: "),
        (with("[aws]", "[policy]\nvendor_bundle = \"acme.bundle\"\n\n[aws]"), 11, "policy.vendor_bundle: "),
        (with("[aws]", "[polcy]\n\n[aws]"), 10, "polcy: unknown key `polcy`"),
    ] {
        let (_folder, file) = alone(&text);
        let faults = outline(&file).unwrap_err().to_string();
        assert!(
            faults.lines().any(|fault| fault.starts_with(&format!("{line}:")) && fault.contains(told)),
            "wanted {told} in line {line}, got {faults}"
        );
    }
}

#[test]
fn what_policies_are_about_is_the_same_with_and_without_the_secrets() {
    let whole = folder();
    let text = issuer("shared = true\nrequire = { tenant_id = [\"7\"] }");
    let read = parse(&text, whole.path()).unwrap_or_else(|faults| panic!("{faults}"));
    let (_folder, file) = alone(&text);
    let outline = outline(&file).unwrap();
    assert!(outline.issuers[0].shared && read.issuers[0].shared);
    assert_eq!(outline.policy.issuers, read.policy.issuers);
    let described = |grants: &Catalog| {
        let facts = grants.iter().map(|grant| (grant.name.clone(), grant.sets.clone(), grant.caps));
        facts.collect::<Vec<_>>()
    };
    assert_eq!(described(&outline.grants), described(&read.grants));
}
