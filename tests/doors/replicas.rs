//! Two brokers on one PostgreSQL: what one does holds at the other.

use std::time::Duration;

use serde_json::{Value, json};
use tidegate::clock::Clock as _;
use tidegate::entropy::SystemEntropy;
use tidegate::http::OperatorKey;
use tidegate::keys::Kek;
use tidegate::server::Running;

use crate::postgres::Postgres;
use crate::world::World;

/// Far longer than a replica needs to hear; a machine that is busy with other tests is slow.
const LONG: Duration = Duration::from_secs(20);
const MOMENT: Duration = Duration::from_millis(20);

/// A world that talks to one of two brokers. Each has a policy folder of its own.
struct Two {
    world: World,
    other: Running,
    server: Postgres,
    database: String,
}

impl Two {
    async fn start() -> Self {
        let server = Postgres::start();
        let database = server.database();
        let mut world = World::start().await;
        world.stop().await;
        let url = server.url(&database);
        let store = format!("url = \"{url}\"\ntrust_server_durability = true");
        let mut config = world.read("tidegate.toml").replace("url = \"sqlite:tidegate.db\"", &store);
        for file in ["main.cedar", "people.cedar"] {
            world
                .write(&format!("others/customer/{file}"), &world.read(&format!("policies/customer/{file}")));
        }
        world.write("tidegate.toml", &config);
        world.run().await;
        config = config.replace("dir = \"policies\"", "dir = \"others\"");
        world.write("tidegate.toml", &config);
        let other = world.another().await;
        Self { world, other, server, database }
    }

    /// From now on the world talks to the other one.
    fn turn(&mut self) {
        self.world.switch(&mut self.other);
    }

    /// What the log says of this type, as the broker that is talked to tells it, once there are so many.
    async fn told(&self, kind: &str, count: usize) -> Vec<Value> {
        until(async || Some(self.world.entries_of(kind).await).filter(|told| told.len() >= count)).await
    }

    async fn stop(self) {
        let Self { mut world, other, .. } = self;
        other.stop("test").await;
        world.stop().await;
    }
}

/// The first answer that there is.
async fn until<T>(look: impl AsyncFn() -> Option<T>) -> T {
    let looking = async {
        loop {
            if let Some(found) = look().await {
                return found;
            }
            tokio::time::sleep(MOMENT).await;
        }
    };
    tokio::time::timeout(LONG, looking).await.expect("it never came")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lock_at_one_broker_stops_the_very_next_mint_at_the_other() {
    let mut two = Two::start().await;
    let lea = two.world.staff("lea", "leads");
    for _ in 0..5 {
        two.world.exchange(&two.world.reusable("billing"), "ledger-api").await.issued();
        two.turn();
        let freeze = json!({ "target": { "all": true }, "reason": "INC-42" });
        let set = two.world.api(&lea, "POST", "/v1/locks", freeze).await;
        assert_eq!(set.status, 201, "{}", set.body);
        two.turn();
        let refused = two.world.exchange(&two.world.reusable("billing"), "ledger-api").await;
        refused.refused(400, "invalid_target");
        // Lifted here, although it was set there.
        let path = format!("/v1/locks/{}", set.body["id"].as_str().unwrap());
        two.world.api(&lea, "DELETE", &path, Value::Null).await.done();
    }
    assert_eq!(two.told("lock.set", 5).await.len(), 5);
    two.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_one_broker_records_the_other_shows_and_a_token_is_good_once() {
    let mut two = Two::start().await;
    let token = two.world.token("billing");
    let issued = two.world.exchange(&token, "ledger-api").await.issued();
    two.turn();
    two.world.exchange(&token, "ledger-api").await.refused(400, "invalid_request");
    let told = two.told("credential.issued", 1).await;
    assert_eq!(told[0]["credential"]["jti"].as_str().is_some(), issued["access_token"].as_str().is_some());
    // Who has a checkpoint of one broker asks any other for what it speaks of.
    for _ in 0..5 {
        let checkpoint = two.world.http.get(two.world.url("/log/checkpoint")).send().await.unwrap();
        let size = checkpoint.text().await.unwrap().lines().nth(1).unwrap().to_owned();
        two.turn();
        let tile = two.world.http.get(two.world.url(&format!("/log/tile/entries/000.p/{size}")));
        assert_eq!(tile.send().await.unwrap().status(), 200, "{size}");
        two.world.exchange(&two.world.token("billing"), "ledger-api").await.issued();
    }
    let keys = |world: &World| world.http.get(world.url("/.well-known/jwks.json")).send();
    let here = keys(&two.world).await.unwrap().text().await.unwrap();
    two.turn();
    assert_eq!(keys(&two.world).await.unwrap().text().await.unwrap(), here, "they publish the same keys");
    two.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn policies_that_one_broker_loads_decide_at_the_other_also_with_its_listener_cut_off() {
    let mut two = Two::start().await;
    let allowed = two.world.read("policies/customer/main.cedar");
    let denied = allowed.replace("billing", "nobody");
    for (text, may) in [(&denied, false), (&allowed, true), (&denied, false)] {
        let cut = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'LISTEN%'";
        two.server.sql(&two.database, cut);
        two.world.write("policies/customer/main.cedar", text);
        two.world.reload().await;
        two.turn();
        let answer = async || two.world.exchange(&two.world.reusable("billing"), "ledger-api").await;
        if may {
            // What the old ones denied is denied until it has heard.
            until(async || (answer().await.status == 200).then_some(())).await;
        } else {
            // At once, and not only when it has heard: the commit knows.
            answer().await.refused(400, "invalid_target");
        }
        two.turn();
    }
    // Three started with it or published it; who followed wrote nothing.
    assert_eq!(two.told("policy.loaded", 5).await.len(), 5);
    two.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_that_loses_the_store_is_not_ready_and_recovers_by_itself() {
    let mut two = Two::start().await;
    let is_ready = async |two: &Two| {
        two.world.http.get(two.world.ops("/readyz")).send().await.unwrap().status().is_success()
    };
    for _ in 0..2 {
        until(async || is_ready(&two).await.then_some(())).await;
        two.turn();
    }
    two.server.kill_9();
    assert!(!is_ready(&two).await);
    two.world
        .exchange(&two.world.reusable("billing"), "ledger-api")
        .await
        .refused(503, "temporarily_unavailable");
    two.server.start_again();
    for _ in 0..2 {
        until(async || is_ready(&two).await.then_some(())).await;
        until(async || {
            let answer = two.world.exchange(&two.world.reusable("billing"), "ledger-api").await;
            (answer.status == 200).then_some(())
        })
        .await;
        two.turn();
    }
    two.stop().await;
}

/// Whoever holds the key-encryption key in force asks the broker to change over.
async fn rotate_kek(world: &World) {
    let kek = Kek::read(&world.folder.path().join("kek")).unwrap();
    let mut request = world.http.post(world.ops("/keys/rotate-kek"));
    for (name, value) in OperatorKey::of(&kek).unwrap().sign("POST", "/keys/rotate-kek", world.clock.now()) {
        request = request.header(name, value);
    }
    assert_eq!(request.send().await.unwrap().status(), 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_that_lacks_a_key_is_not_ready_and_follows_everything_else() {
    let mut two = Two::start().await;
    two.world.stop().await;
    Kek::create(&two.world.folder.path().join("kek-2"), &SystemEntropy::new()).unwrap();
    let both = two
        .world
        .read("tidegate.toml")
        .replace("kek_file = \"kek\"", "kek_file = \"kek-2\"\nprevious_kek_file = \"kek\"");
    two.world.write("tidegate.toml", &both);
    two.world.run().await;
    rotate_kek(&two.world).await;
    two.turn();
    let ready = async || {
        let answer = two.world.http.get(two.world.ops("/readyz")).send().await.unwrap();
        let status = answer.status().as_u16();
        (status, serde_json::from_str::<Value>(&answer.text().await.unwrap()).unwrap())
    };
    until(async || Some(ready().await).filter(|(_, said)| said["keys_current"] == false)).await;
    // What it heard before that is too old by now.
    two.world.clock.advance(Duration::from_secs(5));
    let (status, said) =
        until(async || Some(ready().await).filter(|(_, said)| said["store_heard"] == true)).await;
    assert_eq!((status, &said["keys_current"]), (503, &false.into()), "{said}");
    two.world.exchange(&two.world.reusable("billing"), "ledger-api").await.issued();
    two.stop().await;
}
