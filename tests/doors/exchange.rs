//! What a caller may have, and what the record says of it.

use serde_json::{Value, json};

use crate::tokens::TestKey;
use crate::world::World;

fn payload(token: &str, part: usize) -> Value {
    use base64::Engine as _;
    let part = token.split('.').nth(part).unwrap();
    serde_json::from_slice(&base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
}

#[tokio::test]
async fn a_stranger_gets_nothing_and_leaves_no_entry() {
    let world = World::start().await;
    let before = world.entries().await.len();
    let stranger = TestKey::fresh_p256("cluster-1");
    let forged = stranger.token(&world.claims("billing", &json!({})));
    assert!(
        world.exchange(&forged, "ledger-api").await.refused(400, "invalid_request").contains("signature")
    );
    let foreign = world.token_with("billing", &json!({ "iss": "https://evil.example.com" }));
    assert!(
        world.exchange(&foreign, "ledger-api").await.refused(400, "invalid_request").contains("not trusted")
    );
    world.exchange("not-a-token", "ledger-api").await.refused(400, "invalid_request");
    assert_eq!(world.entries().await.len(), before);
}

#[tokio::test]
async fn an_unknown_grant_and_a_denied_one_look_the_same_and_are_recorded_apart() {
    let world = World::start().await;
    let unknown = world.exchange(&world.token("web"), "no-such-grant").await.refused(400, "invalid_target");
    let denied = world.exchange(&world.token("web"), "ledger-api").await.refused(400, "invalid_target");
    let malformed = world.exchange(&world.token("web"), "NO/SUCH grant").await.refused(400, "invalid_target");
    assert_eq!(unknown, denied);
    assert_eq!(unknown, malformed);
    let reasons: Vec<Value> =
        world.entries_of("credential.refused").await.iter().map(|entry| entry["reason"].clone()).collect();
    assert_eq!(reasons, ["unknown_grant", "policy_denied"]);
}

#[tokio::test]
async fn who_may_not_have_a_grant_learns_nothing_about_its_scopes_type_or_caps() {
    let world = World::start().await;
    for extra in [
        ("scope", "no.such"),
        ("requested_token_type", "urn:tidegate:params:oauth:token-type:aws-credentials"),
    ] {
        let token = world.token("web");
        let mut form = world.form(&token, "ledger-api");
        form.push(extra);
        world.post(&form).await.refused(400, "invalid_target");
    }
}

#[tokio::test]
async fn a_break_glass_grant_is_refused_without_an_elevation_whatever_policy_says() {
    let world = World::start().await;
    world.exchange(&world.person(), "prod-admin").await.refused(400, "invalid_target");
    world.exchange(&world.token("billing"), "prod-admin").await.refused(400, "invalid_target");
    assert_eq!(world.entries_of("credential.refused").await[0]["reason"], "no_elevation");
    assert!(world.sts.calls().is_empty());
}

#[tokio::test]
async fn a_scope_outside_the_grant_is_refused_and_a_subset_is_granted() {
    let world = World::start().await;
    let token = world.token("billing");
    let mut form = world.form(&token, "ledger-api");
    form.push(("scope", "ledger.read admin"));
    world.post(&form).await.refused(400, "invalid_scope");
    form.pop();
    form.push(("scope", "ledger.read"));
    let issued = world.post(&form).await.issued();
    assert_eq!(issued["scope"], "ledger.read");
    assert_eq!(payload(issued["access_token"].as_str().unwrap(), 1)["scope"], "ledger.read");
}

#[tokio::test]
async fn a_lifetime_is_the_least_of_what_was_asked_the_cap_the_token_and_the_policy() {
    let world = World::start().await;
    let lifetime = async |namespace: &str, grant: &str, asked: Option<&str>, changes: Value| {
        let token = world.token_with(namespace, &changes);
        let mut form = world.form(&token, grant);
        form.extend(asked.map(|asked| ("expires_in", asked)));
        world.post(&form).await.issued()["expires_in"].as_u64().unwrap()
    };
    assert_eq!(lifetime("billing", "ledger-api", None, json!({})).await, 300, "the default");
    assert_eq!(lifetime("billing", "ledger-api", Some("60"), json!({})).await, 60, "less");
    assert_eq!(lifetime("billing", "ledger-api", Some("604800"), json!({})).await, 900, "the cap");
    let end = json!({ "exp": world.seconds() + 100 });
    assert_eq!(lifetime("billing", "ledger-api", None, end).await, 100, "the token's end");
    assert_eq!(lifetime("billing", "short-lived", None, json!({})).await, 120, "the policy");
}

#[tokio::test]
async fn a_jwt_says_who_decided_and_its_entry_was_durable_first() {
    let world = World::start().await;
    let issued = world.exchange(&world.token("billing"), "ledger-api").await.issued();
    let token = issued["access_token"].as_str().unwrap();
    let (header, claims) = (payload(token, 0), payload(token, 1));
    assert_eq!(header["typ"], "at+jwt");
    assert_eq!(header["alg"], "ES256");
    assert_eq!(claims["iss"], "https://broker.example.com");
    assert_eq!(claims["aud"], "https://ledger.internal");
    assert_eq!(claims["sub"], "cluster|system:serviceaccount:billing:app");
    assert_eq!(claims["exp"].as_i64().unwrap(), world.seconds() + 300);
    assert_eq!(claims["tidegate"]["grant"], "ledger-api");
    let entry = &world.entries().await[issued["audit"]["index"].as_u64().unwrap() as usize];
    assert_eq!(entry["type"], "credential.issued");
    assert_eq!(entry["request_id"], issued["request_id"]);
    assert_eq!(entry["credential"]["jti"], claims["jti"]);
    assert_eq!(entry["policy"]["decided_by"], json!(["customer/main.cedar#billing-jwt"]));
    assert!(!entry.to_string().contains(token), "no token in the log");
}

#[tokio::test]
async fn an_actor_must_be_a_workload_and_is_nested_and_recorded() {
    let world = World::start().await;
    let (token, actor, person) = (world.token("billing"), world.token("gateway"), world.person());
    let with_actor = |actor| {
        let mut form = world.form(&token, "ledger-api");
        form.extend([("actor_token", actor), ("actor_token_type", crate::world::JWT)]);
        form
    };
    world.post(&with_actor(person.as_str())).await.refused(400, "invalid_request");
    world.post(&with_actor("rubbish")).await.refused(400, "invalid_request");
    let issued = world.post(&with_actor(actor.as_str())).await.issued();
    let claims = payload(issued["access_token"].as_str().unwrap(), 1);
    assert_eq!(claims["act"]["sub"], "cluster|system:serviceaccount:gateway:app");
    let entry = world.entries_of("credential.issued").await.pop().unwrap();
    assert_eq!(entry["actor"]["subject"], "system:serviceaccount:gateway:app");
}

#[tokio::test]
async fn a_jwt_bearer_assertion_works_and_fails_in_its_own_dialect() {
    let world = World::start().await;
    let token = world.token("billing");
    let form = |assertion| {
        vec![
            ("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer"),
            ("assertion", assertion),
            ("audience", "ledger-api"),
        ]
    };
    world.post(&form("rubbish")).await.refused(400, "invalid_grant");
    world.post(&form(&token)).await.issued();
    world.post(&form(&token)).await.refused(400, "invalid_grant");
}

#[tokio::test]
async fn one_principal_over_its_rate_slows_down_without_growing_the_log() {
    let world = World::start_with("rate_per_principal = 1\nburst_per_principal = 2").await;
    for _ in 0..2 {
        world.exchange(&world.token("billing"), "ledger-api").await.issued();
    }
    let before = world.entries().await.len();
    let answer = world.exchange(&world.token("billing"), "ledger-api").await;
    assert_eq!(answer.headers["retry-after"], "1");
    answer.refused(429, "slow_down");
    assert_eq!(world.entries().await.len(), before);
    world.exchange(&world.token("web"), "ledger-api").await.refused(400, "invalid_target");
}

#[tokio::test]
async fn a_changed_policy_holds_after_a_reload_and_a_bad_one_never() {
    let world = World::start().await;
    world.write(
        "policies/customer/main.cedar",
        "permit (principal, action, resource) when { principal.nonsense };",
    );
    world.reload().await;
    world.exchange(&world.token("billing"), "ledger-api").await.issued();
    world.write("policies/customer/main.cedar", "@id(\"never\") forbid (principal, action, resource);");
    world.reload().await;
    world.exchange(&world.token("billing"), "ledger-api").await.refused(400, "invalid_target");
    assert_eq!(world.entries_of("policy.loaded").await.len(), 2);
}
