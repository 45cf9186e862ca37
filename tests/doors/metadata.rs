//! What verifiers of our tokens read.

use serde_json::Value;

use crate::world::{Answer, World};

async fn get(world: &World, path: &str) -> Value {
    let answer = Answer::of(world.http.get(world.url(path)).send().await.unwrap()).await;
    assert_eq!(answer.status, 200, "{path}");
    answer.body
}

#[tokio::test]
async fn the_key_that_signs_is_published_before_the_first_token() {
    let world = World::start().await;
    let keys = get(&world, "/.well-known/jwks.json").await;
    let issued = world.exchange(&world.token("billing"), "ledger-api").await.issued();
    let entry = world.entries_of("credential.issued").await.pop().unwrap();
    let kids: Vec<&Value> = keys["keys"].as_array().unwrap().iter().map(|key| &key["kid"]).collect();
    assert!(kids.contains(&&entry["credential"]["kid"]));
    assert!(issued["access_token"].is_string());
    for key in keys["keys"].as_array().unwrap() {
        assert!(key.get("d").is_none(), "public halves only");
        assert_eq!((&key["use"], &key["alg"]), (&Value::from("sig"), &Value::from("ES256")));
    }
}

#[tokio::test]
async fn both_discovery_documents_say_the_same() {
    let world = World::start().await;
    let oidc = get(&world, "/.well-known/openid-configuration").await;
    assert_eq!(oidc, get(&world, "/.well-known/oauth-authorization-server").await);
    assert_eq!(oidc["issuer"], "https://broker.example.com");
    assert_eq!(oidc["jwks_uri"], "https://broker.example.com/.well-known/jwks.json");
    assert_eq!(oidc["introspection_endpoint"], "https://broker.example.com/oauth2/introspect");
    assert_eq!(oidc["revocation_endpoint"], "https://broker.example.com/oauth2/revoke");
    for (endpoint, method) in [("token", "none"), ("introspection", "Bearer"), ("revocation", "none")] {
        let methods = &oidc[format!("{endpoint}_endpoint_auth_methods_supported")];
        assert_eq!(*methods, serde_json::json!([method]), "{endpoint}");
        let listed = oidc[format!("{endpoint}_endpoint")].as_str().unwrap();
        let path = listed.strip_prefix("https://broker.example.com").unwrap();
        let answer = Answer::of(world.http.post(world.url(path)).send().await.unwrap()).await;
        assert!([400, 401].contains(&answer.status), "{endpoint}: there is no such door: {}", answer.status);
    }
}

#[tokio::test]
async fn an_unknown_path_or_method_is_a_problem_with_a_request_id() {
    let world = World::start().await;
    for (request, status) in
        [(world.http.get(world.url("/nothing")), 404), (world.http.get(world.url("/oauth2/token")), 405)]
    {
        let answer = Answer::of(request.send().await.unwrap()).await;
        assert_eq!(answer.status, status);
        assert_eq!(answer.headers["content-type"], "application/problem+json");
        assert_eq!(answer.headers["x-request-id"].to_str().ok(), answer.body["request_id"].as_str());
    }
}
