//! What still works while the store is sick.

use std::fs;
use std::time::Duration;

use serde_json::json;

use crate::api::ask;
use crate::world::World;

/// Nothing in these tests takes so long but a fault.
const TOO_LONG: Duration = Duration::from_secs(20);

impl World {
    fn lose_store(&self) {
        let folder = self.folder.path();
        fs::rename(folder.join("tidegate.db"), folder.join("away.db")).unwrap();
    }

    fn find_store(&self) {
        let folder = self.folder.path();
        fs::rename(folder.join("away.db"), folder.join("tidegate.db")).unwrap();
    }

    /// Waits for the broker's next look at what it could not write.
    pub async fn has_written(&self, kind: &str) {
        let written = async {
            while self.entries_of(kind).await.is_empty() {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        tokio::time::timeout(TOO_LONG, written).await.expect("it is written down as soon as it can be");
    }
}

/// What takes something away works while the log cannot be written; what gives something does not.
#[tokio::test]
async fn while_the_store_is_sick_a_freeze_and_a_revocation_are_in_force_at_once() {
    let world = World::start().await;
    let (ann, lea) = (world.engineer("ann"), world.staff("lea", "leads"));
    let id = world.opened("prod-ledger").await;
    let key = [("idempotency-key", "9a1b")];
    let body = json!({ "target": { "grant": "ledger-api" }, "reason": "INC-42 is suspicious" });
    world.lose_store();
    let set = world.api_with(&lea, "POST", "/v1/locks", body.clone(), &key).await;
    assert_eq!((set.status, &set.body["recorded"]), (202, &json!(false)), "{}", set.body);
    let again = world.api_with(&lea, "POST", "/v1/locks", body.clone(), &key).await;
    assert_eq!((again.status, &again.body), (202, &set.body));
    let why = json!({ "reason": "enough of that" });
    let revoked = world.act(&lea, &id, "revoke", why).await;
    assert_eq!((revoked.status, &revoked.body["recorded"]), (202, &json!(false)), "{}", revoked.body);
    assert_eq!(revoked.body["state"], "revoked");
    world.api(&ann, "POST", "/v1/elevations", ask("prod-admin")).await.problem(503, "unavailable");
    world.find_store();
    world.exchange(&ann, "prod-ledger").await.refused(400, "invalid_target");
    world.exchange(&world.token("billing"), "ledger-api").await.refused(400, "invalid_target");
    for kind in ["lock.set", "elevation.revoked"] {
        world.has_written(kind).await;
    }
    let again = world.api_with(&lea, "POST", "/v1/locks", body, &key).await;
    assert_eq!((again.status, &again.body["id"]), (201, &set.body["id"]), "{}", again.body);
    assert_eq!(world.entries_of("lock.set").await.len(), 1);
    assert_eq!(world.shown(&id).await["state"], "revoked");
}
