//! What a resource server learns of a token of ours, and how its owner puts it out of use.

use std::time::Duration;

use serde_json::{Value, json};

use crate::tokens::TestKey;
use crate::world::{Answer, World};

impl World {
    async fn post_token(&self, door: &str, bearer: &str, form: &[(&str, &str)]) -> Answer {
        let request = self.http.post(self.url(door)).bearer_auth(bearer).form(form);
        Answer::of(request.send().await.unwrap()).await
    }

    async fn introspect(&self, token: &str) -> Value {
        let answer = self.post_token("/oauth2/introspect", &self.token("ledger"), &[("token", token)]).await;
        assert_eq!((answer.status, answer.headers["cache-control"].to_str().ok()), (200, Some("no-store")));
        answer.body
    }

    async fn minted(&self, bearer: &str, grant: &str) -> String {
        self.exchange(bearer, grant).await.issued()["access_token"].as_str().unwrap().to_owned()
    }
}

#[tokio::test]
async fn who_has_not_signed_in_learns_and_revokes_nothing() {
    let world = World::start().await;
    let ours = world.minted(&world.token("billing"), "ledger-api").await;
    let forged = TestKey::fresh_p256("cluster-1").token(&world.claims("billing", &json!({})));
    for door in ["/oauth2/introspect", "/oauth2/revoke"] {
        let request = world.http.post(world.url(door)).form(&[("token", ours.as_str())]);
        let none = Answer::of(request.send().await.unwrap()).await;
        assert_eq!(none.headers["www-authenticate"], "Bearer realm=\"tidegate\"");
        none.refused(401, "invalid_client");
        let bad = world.post_token(door, &forged, &[("token", &ours)]).await;
        assert!(bad.headers["www-authenticate"].to_str().unwrap().contains("error=\"invalid_token\""));
        bad.refused(401, "invalid_client");
        // The broker's own token proves nothing about who shows it here.
        world.post_token(door, &ours, &[("token", &ours)]).await.refused(401, "invalid_client");
        let caller = world.token("billing");
        for form in
            [&[][..], &[("token", "")], &[("token", "a"), ("token", "a")], &[("token", "a"), ("x", "y")]]
        {
            world.post_token(door, &caller, form).await.refused(400, "invalid_request");
        }
    }
    assert_eq!(world.introspect(&ours).await["active"], true);
}

#[tokio::test]
async fn an_active_token_is_described_and_everything_else_is_only_inactive() {
    let world = World::start().await;
    let ours = world.minted(&world.token("billing"), "ledger-api").await;
    let said = world.introspect(&ours).await;
    assert_eq!((&said["active"], &said["token_type"]), (&json!(true), &json!("Bearer")));
    assert_eq!(said["sub"], "cluster|system:serviceaccount:billing:app");
    assert_eq!(
        (&said["aud"], &said["scope"]),
        (&json!("https://ledger.internal"), &json!("ledger.read ledger.write"))
    );
    assert_eq!(said["exp"], world.seconds() + 300);
    let foreign = world.token("billing");
    let changed = format!("{}A", &ours[..ours.len() - 1]);
    for other in [foreign.as_str(), changed.as_str(), "x", "..", "a.b.c"] {
        assert_eq!(world.introspect(other).await, json!({ "active": false }), "{other}");
    }
    world.clock.advance(Duration::from_secs(300));
    assert_eq!(world.introspect(&ours).await, json!({ "active": false }));
}

#[tokio::test]
async fn a_token_is_revoked_by_its_owner_for_good_and_by_nobody_else() {
    let mut world = World::start().await;
    let ours = world.minted(&world.token("billing"), "ledger-api").await;
    let form = [("token", ours.as_str()), ("token_type_hint", "access_token")];
    let other = world.post_token("/oauth2/revoke", &world.token("web"), &form).await;
    other.refused(400, "unauthorized_client");
    assert_eq!(world.introspect(&ours).await["active"], true);
    for _ in 0..2 {
        let done = world.post_token("/oauth2/revoke", &world.token("billing"), &form).await;
        assert_eq!(done.status, 200, "{}", done.body);
    }
    assert_eq!(world.introspect(&ours).await, json!({ "active": false }));
    assert_eq!(world.entries_of("token.revoked").await.len(), 1);
    world.restart().await;
    assert_eq!(world.introspect(&ours).await, json!({ "active": false }));
    let unknown = world.post_token("/oauth2/revoke", &world.token("web"), &[("token", "x")]).await;
    assert_eq!(unknown.status, 200, "RFC 7009 §2.2");
}

#[tokio::test]
async fn a_token_of_an_elevation_counts_until_the_elevation_is_revoked_or_frozen() {
    let world = World::start().await;
    let (ann, lea) = (world.engineer("ann"), world.staff("lea", "leads"));
    let id = world.opened("prod-ledger").await;
    let token = world.minted(&ann, "prod-ledger").await;
    assert_eq!(world.introspect(&token).await["tidegate"]["elevation"]["id"], id.as_str());
    let body = json!({ "target": { "elevation": id }, "reason": "INC-42 is suspicious" });
    let lock = world.api(&lea, "POST", "/v1/locks", body).await.done();
    assert_eq!(world.introspect(&token).await["active"], false);
    world
        .api(&lea, "DELETE", &format!("/v1/locks/{}", lock["id"].as_str().unwrap()), Value::Null)
        .await
        .done();
    assert_eq!(world.introspect(&token).await["active"], true);
    world.act(&lea, &id, "revoke", json!({ "reason": "enough of that" })).await.done();
    assert_eq!(world.introspect(&token).await, json!({ "active": false }));
}
