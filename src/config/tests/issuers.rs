//! `[[issuers]]`.

use super::*;

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
