//! Refusals, section by section. Each test breaks one line of a file that has nothing wrong with it.

mod aws;
mod breakglass;
mod broker;
mod custody;
mod grants;
mod issuers;
mod outline;
mod server;
mod store;

use std::fs;
use std::time::Duration;

use tempfile::TempDir;

use super::*;
use crate::claims::Profile;
use crate::custody::KekSource;
use crate::federation::{Algorithm, KeySource, ReplayMode};
use crate::grants::GrantKind;
use crate::ids::GrantName;
use crate::policy::bundle::Pinned;

/// A file that has nothing wrong with it. Tests break one line of it.
const GOOD: &str = r#"
[server]
issuer = "https://broker.example.com"
listen = "0.0.0.0:8443"
tls = { cert_file = "tls.crt", key_file = "tls.key" }

[keys]
kek_file = "kek"

[aws]
region = "eu-central-1"

[[issuers]]
name = "prod-cluster"
url = "https://oidc.example.com/id/1"
profile = "kubernetes"
audiences = ["tidegate"]

[[grants]]
name = "ledger-api"
kind = "jwt"
audience = "https://ledger.internal"
scopes = ["ledger.read"]
default_ttl = "5m"
max_ttl = "15m"

[[grants]]
name = "orders-read"
kind = "aws"
role_arn = "arn:aws:iam::123456789012:role/orders-read"
session_policy_file = "orders-read.json"
session_tags = { namespace = "{principal.namespace}" }
"#;

const SESSION_POLICY: &str = r#"{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:GetObject",
"Resource": "arn:aws:s3:::orders/{principal.namespace}/*"}]}"#;

/// The files that [`GOOD`] and the tests name.
fn folder() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in [
        ("tls.crt", ""),
        ("tls.key", ""),
        ("ca.crt", ""),
        ("kek", ""),
        ("rsa.pem", ""),
        ("hook.secret", "a secret of thirty-two characters\n"),
        ("short.secret", "a secret\n"),
        ("jwks.json", r#"{"keys": []}"#),
        ("no-jwks.json", "[]"),
        ("orders-read.json", SESSION_POLICY),
        ("broken.json", r#"{"Version": "2012-10-17"}"#),
    ] {
        fs::write(folder.path().join(name), text).unwrap();
    }
    let long = SESSION_POLICY.replace("orders", &"o".repeat(2_000));
    fs::write(folder.path().join("long.json"), long).unwrap();
    fs::create_dir(folder.path().join("policies")).unwrap();
    folder
}

fn read(text: &str) -> Result<Settings, Faults> {
    parse(text, folder().path())
}

fn settings(text: &str) -> Settings {
    read(text).unwrap_or_else(|faults| panic!("{faults}"))
}

/// [`GOOD`] with `old` replaced, which must be there.
fn with(old: &str, new: &str) -> String {
    assert!(GOOD.contains(old), "{old:?} is not in the good file");
    GOOD.replacen(old, new, 1)
}

/// Adds lines to the one issuer of [`GOOD`].
fn issuer(lines: &str) -> String {
    with("audiences = [\"tidegate\"]", &format!("audiences = [\"tidegate\"]\n{lines}"))
}

/// The one fault of `text`: `path: message`, and its help.
fn one_fault(text: &str) -> (String, String) {
    let faults = read(text).err().unwrap_or_else(|| panic!("no fault in:\n{text}"));
    let list: Vec<_> = faults.iter().collect();
    assert_eq!(list.len(), 1, "{faults}");
    let fault = list[0];
    (format!("{}: {}", fault.path, fault.message), fault.suggestion.clone().unwrap_or_default())
}

/// Each text has exactly one fault, with these words in its path and message, and in its help.
fn refuses(cases: &[(String, &str, &str)]) {
    for (text, wanted, wanted_help) in cases {
        let (message, help) = one_fault(text);
        assert!(message.contains(wanted), "wanted {wanted:?}, got {message:?}");
        assert!(help.contains(wanted_help), "wanted {wanted_help:?}, got {help:?}");
    }
}

#[test]
fn ten_faults_are_listed_at_once_each_with_its_line() {
    let text = r#"[server]
issuer = "https://broker.example.com/"
listen = "127.0.0.1:8443"
colour = "blue"

[keys]
kek_file = "nowhere"

[[issuers]]
name = "ci"
url = "https://token.actions.githubusercontent.com"
profile = "githab"
audiences = []
algorithms = ["HS256", "none"]

[[grants]]
name = "Ledger"
kind = "jwt"
audience = "https://ledger.internal"
max_ttl = 900
"#;
    let folder = folder();
    let faults = parse(text, folder.path()).unwrap_err();
    assert_eq!(faults.iter().len(), 10);
    let shown = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
    let listed = faults
        .iter()
        .map(|fault| format!("{fault}\n  | {}\n  = {}", shown(&fault.excerpt), shown(&fault.suggestion)));
    let listed = listed.collect::<Vec<_>>().join("\n").replace(&*folder.path().to_string_lossy(), "<folder>");
    insta::assert_snapshot!(listed);
}

#[test]
fn a_file_without_fault_becomes_settings() {
    let settings = settings(GOOD);
    assert_eq!(settings.server.issuer.as_str(), "https://broker.example.com");
    assert_eq!(settings.server.ops_listen.to_string(), "127.0.0.1:9090");
    assert_eq!(settings.server.limits, Limits::default());
    assert_eq!(settings.audit.origin, "broker.example.com/tidegate");
    assert_eq!(settings.keys.publish_ahead, Duration::from_hours(1));
    assert_eq!(settings.breakglass.rules.request_ttl, Duration::from_hours(1));
    let [issuer] = settings.issuers.as_slice() else { panic!("one issuer") };
    assert_eq!((issuer.profile, issuer.replay), (Profile::Kubernetes, ReplayMode::Reusable));
    assert_eq!(issuer.algorithms, [Algorithm::Rs256].into());
    assert!(!issuer.may_approve, "a workload never approves");
    let ledger = settings.grants.resolve(&GrantName::new("ledger-api").unwrap()).unwrap();
    assert_eq!((ledger.caps.default.seconds(), ledger.caps.max.seconds()), (300, 900));
    let orders = settings.grants.resolve(&GrantName::new("orders-read").unwrap()).unwrap();
    let GrantKind::Aws(aws) = &orders.kind else { panic!("an AWS grant") };
    assert!(aws.session_policy.is_some() && !aws.allow_assume_role);
    assert!(orders.break_glass.is_none());
}

#[test]
fn paths_start_at_the_folder_of_the_file() {
    let folder = folder();
    let settings = parse(GOOD, folder.path()).unwrap();
    assert!(
        matches!(settings.store, StoreSettings::Sqlite(path) if path == folder.path().join("tidegate.db"))
    );
    assert_eq!(settings.policy.dir, folder.path().join("policies"));
    assert!(matches!(settings.keys.kek.wanted, KekSource::File(path) if path == folder.path().join("kek")));
}

#[test]
fn the_digest_covers_the_file_and_its_session_policies() {
    let folder = folder();
    let digest = |text: &str| parse(text, folder.path()).unwrap().digest;
    let before = digest(GOOD);
    assert_ne!(before, digest(&format!("{GOOD}\n# a remark")));
    fs::write(folder.path().join("orders-read.json"), SESSION_POLICY.replace("Get", "Put")).unwrap();
    assert_ne!(before, digest(GOOD));
}

#[test]
fn broken_syntax_is_reported_with_its_place_and_nothing_else() {
    let faults = read("[server]\nissuer = \nlisten = \"x\"\n").unwrap_err();
    assert!(faults.iter().all(|fault| fault.path.is_empty()), "{faults}");
    assert_eq!(faults.iter().next().unwrap().line, 2);
    let (message, _) = one_fault("a = 1\na = 2\n");
    assert!(message.contains("duplicate key"), "{message}");
}

#[test]
fn unknown_keys_are_refused_at_every_level() {
    refuses(&[
        (format!("colour = 1\n{GOOD}"), "colour: unknown key `colour`", "known keys here: server"),
        (with("issuer =", "isuer = \"x\"\nissuer ="), "server.isuer: unknown key", "did you mean `issuer`?"),
        (
            with("listen =", "iam_endpoint = \"x\"\nlisten ="),
            "server.iam_endpoint: unknown key",
            "`iam_endpoint` belongs in [aws]",
        ),
        (
            with("key_file = \"tls.key\"", "key_file = \"tls.key\", ca = \"x\""),
            "server.tls.ca: unknown key",
            "",
        ),
        (issuer("audience = \"x\""), "issuers[0].audience: unknown key", "did you mean `audiences`?"),
        (with("max_ttl = \"15m\"", "max_ttl = \"15m\"\nttl = \"1m\""), "grants[0].ttl: unknown key", ""),
    ]);
}

#[test]
fn missing_parts_are_named() {
    refuses(&[
        (with("issuer = \"https://broker.example.com\"", ""), "server.issuer: missing", "https://broker"),
        (with("listen = \"0.0.0.0:8443\"", ""), "server.listen: missing", "0.0.0.0:8443"),
        (with("[keys]\nkek_file = \"kek\"", ""), "keys: missing", "kek_file"),
        (with("kek_file = \"kek\"", ""), "keys.kek_file: missing", "openssl rand"),
        (with("region = \"eu-central-1\"", ""), "aws.region: missing", "eu-central-1"),
        (with("name = \"prod-cluster\"", ""), "issuers[0].name: missing", ""),
        (with("url = \"https://oidc.example.com/id/1\"", ""), "issuers[0].url: missing", ""),
        (with("profile = \"kubernetes\"", ""), "issuers[0].profile: missing", ""),
        (with("audiences = [\"tidegate\"]", ""), "issuers[0].audiences: missing", "tidegate"),
        (with("kind = \"jwt\"", ""), "grants[0].kind: missing", ""),
        (
            with("audience = \"https://ledger.internal\"", ""),
            "grants[0].audience: missing",
            "who will accept",
        ),
        (
            with("role_arn = \"arn:aws:iam::123456789012:role/orders-read\"", ""),
            "grants[1].role_arn: missing",
            "",
        ),
    ]);
    let without_issuers = GOOD.split("[[issuers]]").next().unwrap();
    refuses(&[(without_issuers.to_owned(), "issuers: missing", "[[issuers]]")]);
    let empty = read("").unwrap_err().to_string();
    assert!(empty.contains("server: missing") && empty.contains("issuers: missing"), "{empty}");
}

#[test]
fn wrong_types_are_told_apart() {
    refuses(&[
        (with("\"0.0.0.0:8443\"", "8443"), "server.listen: expected a string, found an integer", "quotes"),
        (with("[\"tidegate\"]", "\"tidegate\""), "issuers[0].audiences: expected a list", "brackets"),
        (with("[\"tidegate\"]", "[\"tidegate\", 7]"), "issuers[0].audiences[1]: expected a string", ""),
        (with("\"15m\"", "900"), "grants[0].max_ttl: a bare number (`900`)", "\"5m\""),
        (with("\"15m\"", "\"900\""), "grants[0].max_ttl: `900` is no duration", "\"5m\""),
        (
            with("max_ttl = \"15m\"", "break_glass = \"yes\""),
            "grants[0].break_glass: expected true or false",
            "",
        ),
        (issuer("require = { sub = 5 }"), "issuers[0].require.sub: expected a list of strings", "quotes"),
        (issuer("require = \"sub\""), "issuers[0].require: expected a table", ""),
        (
            with("{ cert_file = \"tls.crt\", key_file = \"tls.key\" }", "true"),
            "server.tls: expected a table",
            "",
        ),
        (format!("notify = 1\n{GOOD}"), "notify: expected a list of tables", "[[notify]]"),
        (format!("notify = [1]\n{GOOD}"), "notify[0]: expected a table", ""),
    ]);
}

#[test]
fn files_that_are_named_must_be_there() {
    refuses(&[
        (with("tls.crt", "no.crt"), "server.tls.cert_file", "folder of the configuration file"),
        (with("tls.key", "policies"), "is no file", ""),
        (with("\"kek\"", "\"no.kek\""), "keys.kek_file", ""),
        (with("orders-read.json", "no.json"), "grants[1].session_policy_file", ""),
        (issuer("ca_file = \"no.pem\""), "issuers[0].ca_file", ""),
        (issuer("jwks_file = \"no.json\""), "issuers[0].jwks_file", ""),
        (issuer("jwks_file = \"no-jwks.json\""), "is no JWK set", "RFC 7517"),
        (format!("[policy]\ndir = \"no\"\n{GOOD}"), "policy.dir", "nothing is permitted"),
    ]);
}

fn bundle(lines: &str) -> String {
    format!("[policy]\n{lines}\n{GOOD}")
}

/// Any file will do: whether it is a bundle is for policy to say.
const BUNDLE: &str = "vendor_bundle = \"orders-read.json\"";

#[test]
fn a_bundle_is_taken_only_with_a_key_and_a_version() {
    let (key, file) = ("vendor_key_file = \"kek\"", "vendor_bundle_version_file = \"kek\"");
    refuses(&[
        (
            bundle(&format!("{BUNDLE}\n{key}")),
            "policy.vendor_bundle: neither `vendor_bundle_version`",
            "pinned",
        ),
        (
            bundle(&format!("{BUNDLE}\nvendor_bundle_version = 7")),
            "policy.vendor_bundle: neither `vendor_key`",
            "",
        ),
        (
            bundle(&format!("{BUNDLE}\n{key}\nvendor_bundle_version = 0")),
            "policy.vendor_bundle_version",
            "from 1",
        ),
        (
            bundle(&format!("{BUNDLE}\n{key}\nvendor_bundle_version = \"7@beef\"")),
            "policy.vendor_bundle_version",
            "7@",
        ),
        (
            bundle(&format!("{BUNDLE}\n{key}\n{file}\nvendor_bundle_version = 7")),
            "exclude each other",
            "one of",
        ),
        (bundle(&format!("{BUNDLE}\nvendor_key = \"x\"\n{file}")), "policy.vendor_key", "new-key"),
        (bundle(&format!("vendor_bundle = \"no.bundle\"\n{key}\n{file}")), "policy.vendor_bundle", ""),
        (bundle(key), "policy.vendor_key_file: there is no `vendor_bundle`", "leave it out"),
    ]);
}

#[test]
fn a_bundle_is_pinned_by_values_or_by_files() {
    let folder = folder();
    let vendor = |text: &str| parse(text, folder.path()).unwrap().policy.vendor;
    assert_eq!(vendor(GOOD), None);
    let files = "vendor_key_file = \"kek\"\nvendor_bundle_version_file = \"kek\"";
    let pin = vendor(&bundle(&format!("{BUNDLE}\n{files}"))).unwrap();
    assert_eq!(pin.file, folder.path().join("orders-read.json"));
    assert_eq!(pin.version, Pinned::File(folder.path().join("kek")));
    let (signer, _) = crate::keys::note::NoteSigner::from_seed("vendor.example", &[1; 32]).unwrap();
    let digest = "a".repeat(64);
    for (version, written) in
        [("7".to_owned(), "7".to_owned()), (format!("7@{digest}"), format!("\"7@{digest}\""))]
    {
        let key = format!("vendor_key = \"{}\"", signer.verifier_key());
        let pin = vendor(&bundle(&format!("{BUNDLE}\n{key}\nvendor_bundle_version = {written}"))).unwrap();
        assert_eq!(pin.version, Pinned::Value(version.parse().unwrap()));
        assert_eq!(pin.key, Pinned::Value(signer.verifier_key().parse().unwrap()));
    }
}

#[test]
fn policy_is_told_which_issuers_there_are() {
    let folder = folder();
    let settings = parse(GOOD, folder.path()).unwrap();
    let named = settings.issuers.iter().map(|issuer| issuer.name.clone()).collect();
    assert_eq!(settings.policy.issuers, Some(named));
}

#[test]
fn no_damage_to_a_good_file_panics() {
    let folder = folder();
    for cut in (0..GOOD.len()).filter(|cut| GOOD.is_char_boundary(*cut)) {
        let (head, tail) = GOOD.split_at(cut);
        let _ = parse(head, folder.path());
        let _ = parse(tail, folder.path());
    }
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let error = load(std::path::Path::new("/nowhere/tidegate.toml")).unwrap_err();
    assert!(error.to_string().starts_with("`/nowhere/tidegate.toml` cannot be read"), "{error}");
}
