use std::fs;
use std::time::Duration;

use tempfile::TempDir;

use super::*;
use crate::claims::Profile;
use crate::federation::{Algorithm, KeySource, ReplayMode};
use crate::grants::GrantKind;
use crate::ids::GrantName;

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
        ("hook.secret", "a secret\n"),
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
    assert_eq!(settings.breakglass.request_ttl, Duration::from_hours(1));
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
    assert_eq!(settings.store.url, format!("sqlite:{}", folder.path().join("tidegate.db").display()));
    assert_eq!(settings.policy.dir, folder.path().join("policies"));
    assert!(matches!(settings.keys.kek, SecretSource::File(path) if path == folder.path().join("kek")));
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
            with("listen =", "region = \"x\"\nlisten ="),
            "server.region: unknown key",
            "`region` belongs in [aws]",
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
fn plain_http_is_refused_beyond_loopback() {
    let plain = with("tls = { cert_file = \"tls.crt\", key_file = \"tls.key\" }", "");
    refuses(&[
        (plain.clone(), "server.listen: `0.0.0.0:8443` without `tls`", "tls = {"),
        (plain.replace("0.0.0.0:8443", "[::]:8443"), "without `tls`", ""),
        (plain.replace("0.0.0.0:8443", "10.0.0.7:80"), "without `tls`", ""),
    ]);
    for loopback in ["127.0.0.1:0", "[::1]:8443", "127.8.8.8:80"] {
        assert!(settings(&plain.replace("0.0.0.0:8443", loopback)).server.tls.is_none());
    }
}

#[test]
fn our_own_issuer_must_be_what_verifiers_will_compare() {
    let issuer = |text: &str| with("https://broker.example.com", text);
    refuses(&[
        (
            issuer("http://broker.example.com"),
            "server.issuer: `http://broker.example.com` is plain http",
            "127.0.0.1",
        ),
        (issuer("https://broker.example.com/"), "ends with a slash", "byte by byte"),
        (issuer("https://broker.example.com/a/"), "ends with a slash", ""),
        (issuer("https://broker.example.com?x=1"), "query or fragment", "RFC 8414"),
        (issuer("https://broker.example.com#"), "query or fragment", ""),
        (issuer("https://Broker.example.com"), "normal form", "https://broker.example.com"),
        (issuer("https://broker.example.com:443"), "normal form", ""),
        (issuer("broker.example.com"), "is no URL", "https://"),
        (issuer("https://me:pw@broker.example.com"), "user name or password", ""),
    ]);
    settings(&issuer("http://127.0.0.1:8080"));
    settings(&issuer("https://broker.example.com/tenant"));
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

#[test]
fn client_certificates_need_authorities() {
    let tls = |more: &str| with("key_file = \"tls.key\"", &format!("key_file = \"tls.key\", {more}"));
    refuses(&[
        (tls("client_auth = \"required\""), "there is no `client_ca_file`", ""),
        (
            tls("client_ca_file = \"ca.crt\", client_auth = \"require\""),
            "unknown client_auth",
            "did you mean `required`?",
        ),
        (tls("client_ca_file = \"no.crt\""), "server.tls.client_ca_file", ""),
    ]);
    let settings = settings(&tls("client_ca_file = \"ca.crt\", client_auth = \"required\""));
    assert!(settings.server.tls.unwrap().clients.unwrap().required);
}

#[test]
fn limits_have_bounds_and_zero_turns_a_rate_off() {
    let limits = |lines: &str| format!("{GOOD}\n[server.limits]\n{lines}");
    refuses(&[
        (limits("max_body_bytes = 10"), "server.limits.max_body_bytes: out of range", "from 1024"),
        (limits("max_connections = -1"), "out of range", ""),
        (limits("max_connections = 99999999999999999999"), "out of range", ""),
        (limits("request_timeout = 5"), "server.limits.request_timeout: a bare number", ""),
        (limits("rate_per_ip = \"5\""), "expected a whole number", ""),
    ]);
    let read =
        settings(&limits("rate_per_ip = 0\nrate_per_principal = 7\nmax_body_bytes = 0x1000")).server.limits;
    assert_eq!((read.per_ip, read.per_principal, read.max_body_bytes), (None, Rate::new(7, 14), 4_096));
}

#[test]
fn proxies_are_networks() {
    let proxies = |list: &str| with("listen =", &format!("trusted_proxies = {list}\nlisten ="));
    refuses(&[(
        proxies("[\"10.0.0.0/8\", \"lb\"]"),
        "server.trusted_proxies[1]: `lb` is no network",
        "10.0.0.0/8",
    )]);
    let read = settings(&proxies("[\"10.0.0.0/8\"]")).server.trusted_proxies;
    assert!(read.iter().any(|network| network.contains("10.1.2.3".parse().unwrap())));
}

#[test]
fn stores_and_key_custody_that_do_not_exist_yet_say_so() {
    let store = |url: &str| format!("{GOOD}\n[store]\nurl = \"{url}\"");
    refuses(&[
        (store("postgres://me:hunter2@db/x"), "store.url: PostgreSQL is not supported yet", "sqlite:"),
        (store("mysql:x"), "no store that is known", ""),
        (store("sqlite:"), "no store that is known", ""),
        (store("sqlite::memory:"), "no store that is known", ""),
        (
            with("kek_file = \"kek\"", "kek_kms = \"arn:aws:kms:x\""),
            "AWS KMS is not supported yet",
            "kek_file",
        ),
        (
            with("region =", "mode = \"web_identity\"\nregion ="),
            "`web_identity` is not supported yet",
            "assume_role",
        ),
    ]);
    let faults = read(&store("postgres://me:hunter2@db/x")).unwrap_err();
    assert!(!format!("{faults:?}").contains("hunter2"), "a password is never shown");
}

#[test]
fn keys_are_sealed_rotated_and_published_ahead() {
    let keys = |lines: &str| with("kek_file = \"kek\"", &format!("kek_file = \"kek\"\n{lines}"));
    refuses(&[
        (keys("algorithm = \"HS256\""), "keys.algorithm: unknown algorithm `HS256`", "did you mean"),
        (keys("algorithm = \"RS256\""), "RS256 needs `rsa_key_file`", "openssl genpkey"),
        (keys("rsa_key_file = \"rsa.pem\""), "only with algorithm = \"RS256\"", ""),
        (keys("rotate_every = \"1h\"\npublish_ahead = \"1h\""), "not shorter than `rotate_every`", ""),
        (keys("kek = \"x\""), "`kek` and `kek_file` exclude each other", "keep `kek_file`"),
        (with("kek_file = \"kek\"", "kek = \"c2hvcnQ=\""), "not the base64 of 32 bytes", "openssl rand"),
    ]);
    settings(&keys("algorithm = \"RS256\"\nrsa_key_file = \"rsa.pem\""));
    assert_eq!(settings(&keys("rotate_every = \"10m\"")).keys.publish_ahead, Duration::from_mins(5));
    let inline = with("kek_file = \"kek\"", "kek = \"MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=\"");
    assert!(!format!("{:?}", settings(&inline)).contains("MDEy"), "a secret never prints");
}

#[test]
fn the_logs_name_fits_a_checkpoint() {
    let audit = |origin: &str| format!("{GOOD}\n[audit]\norigin = \"{origin}\"");
    refuses(&[
        (
            audit("https://broker.example.com"),
            "audit.origin: `https://broker.example.com` has a scheme",
            "tidegate",
        ),
        (audit("a b"), "has a space", ""),
        (audit("a\\nb"), "has a space", ""),
        (audit("a+b"), "has a plus", ""),
        (audit(""), "is empty", ""),
    ]);
    assert_eq!(settings(&audit("log.example/1")).audit.origin, "log.example/1");
}

#[test]
fn two_issuers_never_share_a_name_or_a_url() {
    let second = |name: &str, url: &str| {
        format!(
            "{GOOD}\n[[issuers]]\nname = \"{name}\"\nurl = \"{url}\"\nprofile = \"generic\"\naudiences = [\"a\"]"
        )
    };
    refuses(&[
        (
            second("prod-cluster", "https://b.example"),
            "issuers[1].name: two issuers are called `prod-cluster`",
            "",
        ),
        (
            second("b", "https://oidc.example.com/id/1"),
            "issuers[1].url: two issuers have the URL",
            "one trust",
        ),
    ]);
    settings(&second("b", "https://b.example"));
}

#[test]
fn our_own_tokens_are_no_subject_tokens_unless_a_trust_says_so() {
    let ours = with("https://oidc.example.com/id/1", "https://broker.example.com");
    refuses(&[
        (ours.clone(), "issuers[0].url: this is our own `server.issuer`", "trust_self = true"),
        (ours.replace("broker.example.com\"\nprofile", "broker.example.com/\"\nprofile"), "our own", ""),
        (ours.replace("audiences =", "trust_self = false\naudiences ="), "our own", ""),
    ]);
    settings(&ours.replace("audiences =", "trust_self = true\naudiences ="));
}

#[test]
fn only_asymmetric_algorithms_are_known() {
    refuses(&[
        (
            issuer("algorithms = [\"RS256\", \"HS256\"]"),
            "issuers[0].algorithms[1]: `HS256` is symmetric",
            "RS256",
        ),
        (issuer("algorithms = [\"none\"]"), "`none` is no signature", ""),
        (issuer("algorithms = [\"rs256\"]"), "unknown algorithm `rs256`", "one of: RS256"),
        (issuer("algorithms = []"), "issuers[0].algorithms: empty", ""),
        (with("[\"tidegate\"]", "[]"), "issuers[0].audiences: empty: a token made for anybody", "tidegate"),
    ]);
    let read = settings(&issuer("algorithms = [\"ES256\", \"Ed25519\", \"EdDSA\"]"));
    assert_eq!(read.issuers[0].algorithms, [Algorithm::Es256, Algorithm::EdDsa].into());
}

#[test]
fn a_shared_issuer_must_be_pinned_to_one_tenant_for_ever() {
    let shared = |url: &str, profile: &str, lines: &str| {
        issuer(lines)
            .replace("https://oidc.example.com/id/1", url)
            .replace("profile = \"kubernetes\"", &format!("profile = \"{profile}\""))
    };
    let github = "https://token.actions.githubusercontent.com";
    refuses(&[
        (
            shared(github, "github", ""),
            "issuers[0].url: many tenants share this issuer",
            "repository_owner_id",
        ),
        (shared(github, "generic", ""), "many tenants", "repository_id"),
        (
            shared(github, "github", "require = { repository = [\"a/b\"] }"),
            "issuers[0].require: many tenants",
            "",
        ),
        (shared(github, "github", "require = { sub = [\"repo:a/b\"] }"), "many tenants", ""),
        (
            shared(github, "github", "shared = false\nrequire = { repository_id = \"7\" }"),
            "issuers[0].shared",
            "",
        ),
        (shared("https://gitlab.com", "gitlab", ""), "many tenants", "namespace_id"),
        (shared("https://idp.example.com", "generic", "shared = true"), "many tenants", "names your tenant"),
    ]);
    settings(&shared(github, "github", "require = { repository_owner_id = [\"1234\"] }"));
    settings(&shared("https://idp.example.com", "generic", "shared = true\nrequire = { tid = \"1\" }"));
    settings(&shared("https://gitlab.example.com", "gitlab", ""));
}

#[test]
fn a_claim_without_a_value_pins_nothing() {
    refuses(&[
        (issuer("require = { sub = [] }"), "issuers[0].require.sub: claim `sub` has no value to match", ""),
        (issuer("require = { sub = [\"\"] }"), "no value to match", ""),
    ]);
    let read = settings(&issuer("require = { \"kubernetes.io/x\" = [\"a\", \"b\"], sub = \"c\" }"));
    assert_eq!(read.issuers[0].require["kubernetes.io/x"], ["a".to_owned(), "b".to_owned()].into());
    assert_eq!(read.issuers[0].require["sub"], ["c".to_owned()].into());
}

#[test]
fn an_issuers_keys_come_over_a_channel_that_nobody_can_answer_for() {
    let url = |text: &str| with("https://oidc.example.com/id/1", text);
    refuses(&[
        (url("http://oidc.example.com"), "issuers[0].url: `http://oidc.example.com` is plain http", "https"),
        (url("http://127.0.0.1:9000"), "is this machine", "allow_private_network = true"),
        (url("https://10.0.0.7"), "is a private address", "allow_private_network"),
        (url("https://[fd00::1]"), "is a private address", ""),
        (url("https://169.254.169.254"), "is a private address", ""),
        (url("https://idp.example.com?a=b"), "query or fragment", ""),
        (url("idp.example.com"), "is no URL", ""),
        (issuer("jwks_url = \"http://keys.example.com/jwks\""), "issuers[0].jwks_url", "https"),
        (issuer("jwks_url = \"http://localhost:1/jwks\""), "is a private address", "allow_private_network"),
        (issuer("jwks_url = \"https://k.example\"\njwks_file = \"jwks.json\""), "exclude each other", ""),
    ]);
    settings(&url("https://tenant.auth0.example/"));
    settings(
        &url("http://127.0.0.1:9000").replace("audiences =", "allow_private_network = true\naudiences ="),
    );
    let from_file =
        url("http://127.0.0.1:9000").replace("audiences =", "jwks_file = \"jwks.json\"\naudiences =");
    assert!(matches!(settings(&from_file).issuers[0].keys, KeySource::JwksFile(_)), "nothing is fetched");
}

#[test]
fn svids_are_trusted_by_trust_domain() {
    let spiffe = |url: &str, profile: &str, lines: &str| {
        issuer(lines)
            .replace("https://oidc.example.com/id/1", url)
            .replace("\"kubernetes\"", &format!("\"{profile}\""))
    };
    let bundle = "jwks_file = \"jwks.json\"";
    refuses(&[
        (spiffe("spiffe://prod.example", "generic", bundle), "is for profile `spiffe`", ""),
        (
            spiffe("https://prod.example", "spiffe", bundle),
            "profile `spiffe` trusts a trust domain",
            "spiffe://",
        ),
        (spiffe("spiffe://prod.example", "spiffe", ""), "no discovery document", "jwks_url"),
        (spiffe("spiffe://prod.example/ns/x", "spiffe", bundle), "is no trust domain", ""),
        (spiffe("spiffe://Prod", "spiffe", bundle), "is no trust domain", ""),
        (spiffe("spiffe://", "spiffe", bundle), "is no trust domain", ""),
    ]);
    let read = settings(&spiffe("spiffe://prod.example", "spiffe", bundle));
    assert_eq!(read.issuers[0].url.as_str(), "spiffe://prod.example");
}

#[test]
fn an_unknown_profile_or_replay_mode_gets_a_suggestion() {
    refuses(&[
        (
            with("\"kubernetes\"", "\"kubernets\""),
            "unknown profile `kubernets`",
            "did you mean `kubernetes`?",
        ),
        (with("\"kubernetes\"", "\"ldap\""), "unknown profile `ldap`", "one of: kubernetes, github"),
        (issuer("replay = \"single_use\""), "unknown replay `single_use`", "did you mean `single-use`?"),
        (issuer("may_approve = true"), "only people approve", "person"),
    ]);
}

#[test]
fn defaults_follow_the_profile_and_give_way_to_the_file() {
    let read =
        settings(&issuer("replay = \"single-use\"\nmax_token_age = \"5m\"\nmax_token_lifetime = \"6m\""));
    let [issuer] = read.issuers.as_slice() else { panic!("one issuer") };
    assert_eq!(issuer.replay, ReplayMode::SingleUse);
    assert_eq!((issuer.max_token_age.as_secs(), issuer.max_token_lifetime.as_secs()), (300, 360));
    let generic = settings(&GOOD.replace("\"kubernetes\"", "\"generic\""));
    assert_eq!(generic.issuers[0].replay, ReplayMode::SingleUse);
    let person = GOOD.replace("\"kubernetes\"", "\"person\"");
    assert!(settings(&person).issuers[0].may_approve);
    let vendor = person.replace("audiences =", "may_approve = false\naudiences =");
    assert!(!settings(&vendor).issuers[0].may_approve);
}

#[test]
fn lifetimes_stay_inside_what_can_end() {
    let jwt = |old: &str, new: &str| with(old, new);
    let aws = |lines: &str| with("kind = \"aws\"", &format!("kind = \"aws\"\n{lines}"));
    refuses(&[
        (jwt("\"5m\"", "\"16m\""), "grants[0].default_ttl: 16m is longer than `max_ttl` (15m)", "lower it"),
        (jwt("\"15m\"", "\"25h\""), "grants[0].max_ttl: 1d1h is longer than 1d", "1d"),
        (aws("max_ttl = \"12h1s\""), "grants[1].max_ttl: 12h1s is longer than 12h: STS", "12h"),
        (aws("default_ttl = \"13h\""), "grants[1].default_ttl: 13h is longer than 12h", ""),
    ]);
    let orders = |text: &str| {
        let catalog = settings(text).grants;
        let caps = catalog.resolve(&GrantName::new("orders-read").unwrap()).unwrap().caps;
        (caps.default.seconds(), caps.max.seconds())
    };
    assert_eq!(orders(GOOD), (600, 3_600));
    assert_eq!(orders(&aws("max_ttl = \"5m\"")), (300, 300));
    assert_eq!(orders(&aws("default_ttl = \"2h\"")), (7_200, 7_200));
}

#[test]
fn a_grant_of_one_kind_has_no_keys_of_the_other() {
    refuses(&[
        (
            with("kind = \"jwt\"", "kind = \"jwt\"\nrole_arn = \"x\""),
            "grants[0].role_arn: `role_arn` is for",
            "kind",
        ),
        (with("kind = \"aws\"", "kind = \"aws\"\nscopes = []"), "grants[1].scopes: `scopes` is for", "kind"),
        (
            with("kind = \"jwt\"", "kind = \"JWT\""),
            "grants[0].kind: unknown kind `JWT`",
            "did you mean `jwt`?",
        ),
        (
            with("[aws]\nregion = \"eu-central-1\"", ""),
            "grants[1].kind: a grant of kind `aws` needs [aws]",
            "region",
        ),
    ]);
}

#[test]
fn two_grants_share_a_role_but_never_a_name() {
    let again = GOOD.rsplit("[[grants]]").next().unwrap();
    refuses(&[(
        format!("{GOOD}\n[[grants]]{again}"),
        "grants[2].name: two grants are called `orders-read`",
        "",
    )]);
    settings(&format!("{GOOD}\n[[grants]]{}", again.replace("orders-read\"\nkind", "orders-two\"\nkind")));
}

#[test]
fn break_glass_without_a_longest_duration_is_refused() {
    let grant = |lines: &str| with("max_ttl = \"15m\"", &format!("max_ttl = \"15m\"\n{lines}"));
    refuses(&[
        (grant("break_glass = true"), "grants[0].max_duration: missing: `break_glass` needs it", "4h"),
        (grant("max_duration = \"4h\""), "is only for grants with break_glass = true", ""),
        (
            grant("break_glass = false\nmax_duration = \"4h\""),
            "is only for grants with break_glass = true",
            "",
        ),
        (grant("break_glass = true\nmax_duration = \"8d\""), "8d is longer than 7d", ""),
    ]);
    let catalog = settings(&grant("break_glass = true\nmax_duration = \"4h\"")).grants;
    let ledger = catalog.resolve(&GrantName::new("ledger-api").unwrap()).unwrap();
    assert_eq!(ledger.break_glass.unwrap().max_duration, Duration::from_hours(4));
}

#[test]
fn what_aws_would_refuse_is_refused_here() {
    let aws = |old: &str, new: &str| with(old, new);
    let tags = |tags: &str| with("{ namespace = \"{principal.namespace}\" }", tags);
    let many = (0..51).map(|n| format!("k{n} = \"v\"")).collect::<Vec<_>>().join(", ");
    refuses(&[
        (aws("role/orders-read", "user/x"), "grants[1].role_arn", "arn:aws:iam"),
        (aws("123456789012", "1234"), "12 digits", ""),
        (aws("orders-read.json", "broken.json"), "grants[1].session_policy_file", "Statement"),
        (aws("orders-read.json", "long.json"), "without white space", "2048"),
        (tags(&format!("{{ {many} }}")), "grants[1].session_tags: there are 51 session tags", ""),
        (tags("{ \"aws:x\" = \"v\" }"), "`aws:x` is no key of a session tag", ""),
        (tags("{ A = \"v\", a = \"v\" }"), "twice", ""),
        (tags("{ a = \"{principal\" }"), "grants[1].session_tags.a", "{principal.namespace}"),
        (tags("{ a = 1 }"), "grants[1].session_tags.a: expected a string", ""),
        (tags("{ a = \"b\" }\ntransitive_tags = [\"c\"]"), "transitive tag `c` is no session tag", ""),
        (aws("\"eu-central-1\"", "\"eu central\""), "aws.region: `eu central` is no AWS region", ""),
        (aws("region =", "sts_endpoint = \"http://sts.example\"\nregion ="), "aws.sts_endpoint", "https"),
        (aws("region =", "external_id = \"a b\"\nregion ="), "is no external id", ""),
    ]);
    settings(&aws("region =", "sts_endpoint = \"http://127.0.0.1:5000\"\nexternal_id = \"abc\"\nregion ="));
}

#[test]
fn labels_and_scopes_are_words() {
    let grant = |lines: &str| with("max_ttl = \"15m\"", &format!("max_ttl = \"15m\"\n{lines}"));
    refuses(&[
        (grant("labels = [\"a b\"]"), "grants[0].labels[0]: `a b` is no label", ""),
        (grant("sets = \"prod\""), "grants[0].sets: expected a list of strings", ""),
        (with("\"ledger.read\"", "\"a b\""), "grants[0].scopes[0]", ""),
    ]);
    let catalog = settings(&grant("labels = [\"tier:1\"]\nsets = [\"prod\"]")).grants;
    assert!(catalog.resolve(&GrantName::new("ledger-api").unwrap()).unwrap().sets.contains("prod"));
}

#[test]
fn notifications_are_signed() {
    let notify = |lines: &str| format!("{GOOD}\n[[notify]]\n{lines}");
    refuses(&[
        (notify("secret_file = \"hook.secret\""), "notify[0].url: missing", ""),
        (notify("url = \"https://hooks.example\""), "notify[0].secret_file: missing", "hook.secret"),
        (notify("url = \"http://hooks.example\"\nsecret_file = \"hook.secret\""), "is plain http", ""),
        (notify("url = \"https://h.example\"\nsecret = \"short\""), "shorter than 32 characters", ""),
        (
            notify("url = \"https://h.example\"\nsecret_file = \"hook.secret\"\nformat = \"teams\""),
            "unknown format",
            "",
        ),
        (format!("{GOOD}\n[breakglass]\nrequest_ttl = 60"), "breakglass.request_ttl: a bare number", ""),
        (
            format!("{GOOD}\n[log]\nformat = \"xml\""),
            "log.format: unknown format `xml`",
            "one of: json, text",
        ),
        (format!("{GOOD}\n[log]\nlevel = \"warning\""), "log.level: unknown level `warning`", ""),
    ]);
    let folder = folder();
    let kept =
        parse(&notify("url = \"https://h.example\"\nsecret_file = \"hook.secret\""), folder.path()).unwrap();
    assert_eq!(kept.notify[0].secret.read().unwrap().expose(), "a secret", "without its line end");
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
