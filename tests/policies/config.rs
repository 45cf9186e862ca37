//! The broker's configuration, as a policy author has it: without keys and passwords.

use super::program::Folder;

/// Names a key, a certificate, a password, a session policy and key sets, none of which a policy author has.
pub(super) const PRODUCTION: &str = r#"[server]
issuer = "https://broker.example.com"
listen = "0.0.0.0:8443"
tls = { cert_file = "tls.crt", key_file = "tls.key" }

[store]
url = "postgres://broker@db.internal/tidegate"
password_file = "db.password"

[keys]
kek_file = "kek"

[aws]
region = "eu-central-1"

[[issuers]]
name = "prod-cluster"
url = "https://oidc.example.com/id/1"
profile = "kubernetes"
audiences = ["tidegate"]
jwks_file = "cluster.json"

[[issuers]]
name = "github"
url = "https://token.actions.githubusercontent.com"
profile = "github"
audiences = ["tidegate"]
require = { repository_owner_id = ["8102394"] }

[[issuers]]
name = "staff"
url = "https://idp.example.com"
profile = "person"
audiences = ["tidegate"]

[[issuers]]
name = "vendor"
url = "https://login.vendor.example"
profile = "person"
audiences = ["tidegate"]
may_approve = false

[[issuers]]
name = "test-cluster"
url = "https://oidc.example.com/id/2"
profile = "kubernetes"
audiences = ["tidegate"]

[[grants]]
name = "ledger-api"
kind = "jwt"
audience = "https://ledger.internal"
scopes = ["ledger.read", "ledger.write"]

[[grants]]
name = "ledger-repair"
kind = "jwt"
audience = "https://ledger.internal"
scopes = ["ledger.admin"]
break_glass = true
max_duration = "4h"
sets = ["break-glass"]

[[grants]]
name = "orders-read"
kind = "aws"
role_arn = "arn:aws:iam::123456789012:role/orders-read"
session_policy_file = "orders-read.json"

[[grants]]
name = "prod-admin"
kind = "aws"
role_arn = "arn:aws:iam::123456789012:role/vendor-break-glass"
break_glass = true
max_duration = "4h"
sets = ["break-glass"]
"#;

/// Everybody's repositories, unless an id binds one.
const OPEN: &str = "@id(\"deploys\")\npermit (\n  principal is Tidegate::Workload,\n  action == Tidegate::Action::\"issue\",\n  resource == Tidegate::Grant::\"orders-read\"\n)\nwhen { principal has github && principal.github.repository == \"acme/orders\" };\n";

fn production() -> Folder {
    let folder = Folder::shipped();
    folder.write("tidegate.toml", PRODUCTION);
    folder
}

const CONFIG: [&str; 2] = ["--config", "tidegate.toml"];

#[test]
fn a_broker_does_not_start_on_what_is_enough_to_judge_its_policies() {
    let folder = production();
    for command in [&["check"][..], &["serve"]] {
        let (code, out, err) = folder.run(&[command, &CONFIG].concat());
        assert_eq!(code, Some(1), "{out}{err}");
        for key in ["keys.kek_file", "server.tls.key_file", "store.password_file", "session_policy_file"] {
            assert!(format!("{out}{err}").contains(key), "{key}: {out}{err}");
        }
    }
}

#[test]
fn a_configuration_that_is_wrong_about_grants_or_issuers_is_refused_with_its_line() {
    for (from, to, told) in [
        ("kind = \"jwt\"\naudience", "kid = \"jwt\"\naudience", "51:1: grants[0].kid: unknown key `kid`"),
        ("profile = \"github\"", "profile = \"githb\"", "26:11: issuers[1].profile: unknown profile `githb`"),
        ("require = { repository_owner_id = [\"8102394\"] }", "", "25:1: issuers[1].url: many tenants share"),
    ] {
        let folder = production();
        folder.change("tidegate.toml", from, to);
        for command in ["check", "test", "digest", "prove", "report"] {
            let (code, out, err) = folder.run(&[&["policy", command], &CONFIG[..]].concat());
            assert_eq!((code, out.as_str()), (Some(1), ""), "{command}: {err}");
            assert!(err.contains(told), "{command}: wanted {told} in {err}");
        }
    }
}

#[test]
fn teams_of_issuers_or_grants_that_are_not_configured_are_a_fault() {
    let folder = production();
    folder.change("tidegate.toml", "name = \"ledger-api\"", "name = \"payroll\"");
    let (code, out, _) = folder.run(&[&["policy", "check"], &CONFIG[..]].concat());
    assert_eq!(code, Some(1), "{out}");
    assert!(
        out.contains("policies/entities.json: names the grant `ledger-api`, which is not configured"),
        "{out}"
    );
}

#[test]
fn policies_are_judged_by_the_configuration_without_its_keys() {
    let folder = production();
    for command in [&["check", "--deny-warnings"][..], &["test"], &["digest"]] {
        let (code, out, err) = folder.run(&[&["policy"], command, &CONFIG].concat());
        assert_eq!(code, Some(0), "{command:?}: {out}{err}");
    }
    let why = "policy explain --grant orders-read --issuer prod-cluster --subject system:serviceaccount:orders:api \
               --namespace orders --service-account api --ttl 5m --at 2026-11-22T16:00:00Z";
    let why: Vec<_> = why.split_whitespace().chain(CONFIG).collect();
    let (code, out, err) = folder.run(&why);
    assert_eq!(code, Some(0), "{out}{err}");
}

/// The same finding, whether the world file or the configuration says whose issuer it is.
#[test]
fn a_permit_on_a_shared_issuer_is_found_by_the_configuration_as_by_the_world_file() {
    let folder = production();
    folder.write("policies/customer/new.cedar", OPEN);
    let found = |more: &[&str]| {
        let (_, document) = folder.json(&[&["policy", "check"], more].concat());
        document["findings"].as_array().unwrap().clone()
    };
    let by_config = found(&CONFIG);
    assert_eq!(by_config.len(), 1, "{by_config:?}");
    assert_eq!(by_config[0]["code"], "shared-issuer-unbound");
    assert_eq!(by_config, found(&[]));
}

#[test]
fn an_issuer_is_shared_when_it_is_known_to_be_or_says_so_and_not_by_its_profile() {
    for (url, more, shared) in [
        ("https://token.actions.githubusercontent.com", "", true),
        ("https://github.acme.example/_services/token", "", false),
        ("https://ci.many.example", "shared = true", true),
    ] {
        let folder = production();
        folder.write("policies/customer/new.cedar", OPEN);
        folder.change(
            "tidegate.toml",
            "https://token.actions.githubusercontent.com\"",
            &format!("{url}\"\n{more}"),
        );
        let (_, out, _) = folder.run(&[&["policy", "check"], &CONFIG[..]].concat());
        assert_eq!(out.contains("shared-issuer-unbound"), shared, "{url}: {out}");
    }
}

#[test]
fn the_configuration_is_the_world_where_it_is_named() {
    let folder = Folder::shipped();
    folder.write_secret("kek", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=");
    folder.write(
        "tidegate.toml",
        "[server]\nissuer = \"https://broker.example.com\"\nlisten = \"127.0.0.1:8443\"\n\n[keys]\nkek_file = \"kek\"\n\n\
         [[issuers]]\nname = \"staff\"\nurl = \"https://idp.example.com\"\nprofile = \"person\"\naudiences = [\"tidegate\"]\n\n\
         [[grants]]\nname = \"ledger-api\"\nkind = \"jwt\"\naudience = \"https://ledger.internal\"\nscopes = [\"ledger.read\"]\n",
    );
    let (code, out, _) = folder.run(&[&["policy", "check"], &CONFIG[..]].concat());
    assert_eq!(code, Some(0), "{out}");
    assert!(out.contains("warning[unknown-issuer]: no issuer is called `vendor`"), "{out}");
    let (code, out, err) = folder.run(&[&["check"], &CONFIG[..]].concat());
    assert_eq!(code, Some(0), "{out}{err}");
    assert!(
        err.contains("about the policies: `tidegate policy check --config tidegate.toml` shows more"),
        "{err}"
    );
    folder.change("tidegate.toml", "name = \"ledger-api\"", "name = \"payroll\"");
    let (_, out, _) = folder.run(&[&["policy", "check"], &CONFIG[..]].concat());
    assert!(out.contains("tidegate.toml:15:8: warning[grant-for-nobody]"), "{out}");
}
