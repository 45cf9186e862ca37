//! Several key services on one store: each change of the keys is made once.

use futures_util::future::join_all;

use super::*;

async fn replicas(house: &House, count: usize) -> Vec<KeyService> {
    let logs = join_all((0..count).map(|_| house.another_log())).await;
    let start = |audit| {
        let (store, custody) = (Arc::clone(&house.store), Arc::clone(&house.custody));
        let settings = House::settings(SigningAlgorithm::Es256);
        KeyService::start(store, audit, custody, settings, &*house.clock, Arc::clone(&house.entropy))
    };
    join_all(logs.into_iter().map(start)).await.into_iter().map(Result::unwrap).collect()
}

impl House {
    async fn another_log(&self) -> AuditLog {
        let signer =
            open_or_create_log_signer(&*self.store, &self.custody, ORIGIN, &*self.clock, &*self.entropy)
                .await;
        let clock: Arc<dyn Clock> = Arc::clone(&self.clock) as Arc<dyn Clock>;
        AuditLog::start(Arc::clone(&self.store), signer.unwrap(), clock, Arc::clone(&self.entropy))
            .await
            .unwrap()
    }

    async fn tick_all(&self, all: &[KeyService]) {
        let at = self.clock.now();
        for outcome in join_all(all.iter().map(|keys| keys.tick(at))).await {
            outcome.unwrap();
        }
    }

    async fn hear(&self, keys: &KeyService) {
        keys.catch_up(self.store.pulse().await.unwrap().marks.keys).await.unwrap();
    }
}

#[tokio::test]
async fn three_that_begin_an_empty_store_make_one_log_key() {
    let house = House::new().await;
    let row = house.store.keys().await.unwrap().pop().unwrap();
    let mut work = house.store.begin().await.unwrap();
    work.delete_key(&row.kid).await.unwrap();
    work.commit().await.unwrap();
    let open =
        || open_or_create_log_signer(&*house.store, &house.custody, ORIGIN, &*house.clock, &*house.entropy);
    let (one, two, three) = tokio::join!(open(), open(), open());
    let [one, two, three] = [one, two, three].map(|signer| signer.unwrap().verifier_key());
    assert!(one == two && two == three);
    assert_eq!(house.store.keys().await.unwrap().len(), 1);
}

#[tokio::test]
async fn three_that_start_on_an_empty_store_make_one_token_key_and_all_publish_it() {
    let house = House::new().await;
    let all = replicas(&house, 3).await;
    assert_eq!(house.entries().await, ["key.created", "key.activated"]);
    let first = house.signer(&all[0]);
    for keys in &all {
        assert_eq!(house.signer(keys), first);
        assert_eq!(house.published(keys), std::slice::from_ref(&first));
    }
}

#[tokio::test]
async fn replicas_that_tick_together_write_each_step_of_a_keys_life_once() {
    let house = House::new().await;
    let all = replicas(&house, 3).await;
    for _ in 0..3 {
        for span in [HOUR.saturating_sub(AHEAD), AHEAD, KEEP] {
            house.clock.advance(span);
            house.tick_all(&all).await;
        }
    }
    let rows = house.store.entries(0, 1000).await.unwrap();
    let told: Vec<String> = rows
        .iter()
        .map(|row| serde_json::from_slice::<serde_json::Value>(&row.bytes).unwrap())
        .map(|entry| format!("{} {}", entry["type"], entry["kid"]))
        .collect();
    let mut once = told.clone();
    once.sort_unstable();
    once.dedup();
    assert_eq!(once.len(), told.len(), "{told:#?}");
    assert!(told.iter().filter(|told| told.contains("key.retired")).count() >= 3);
}

/// At every moment of the normal schedule, and whoever notices what first: a key signs only what every replica publishes,
/// also one that heard of nothing for as long as the next key is published ahead.
#[tokio::test]
async fn no_replica_signs_with_a_key_that_another_does_not_publish() {
    let house = House::new().await;
    let all = replicas(&house, 3).await;
    let minute = Duration::from_mins(1);
    for step in 0..300_usize {
        house.clock.advance(minute);
        // Each is heard of every ninth minute only, in turns; `AHEAD` is ten.
        for keys in all.iter().skip(step % 9).step_by(9) {
            keys.tick(house.clock.now()).await.unwrap();
        }
        for keys in &all {
            let signer = house.signer(keys);
            for other in &all {
                assert!(house.published(other).contains(&signer), "minute {step}");
            }
        }
    }
}

#[tokio::test]
async fn of_requests_to_rotate_at_two_replicas_one_makes_a_key() {
    let house = House::new().await;
    let all = replicas(&house, 2).await;
    let at = house.clock.now();
    let (one, other) = tokio::join!(all[0].rotate_now(at), all[1].rotate_now(at));
    let (one, other) = (one.unwrap(), other.unwrap());
    assert!(one != other && [one, other].contains(&Rotation::OnItsWay));
    house.hear(&all[0]).await;
    house.hear(&all[1]).await;
    assert_eq!(house.published(&all[0]).len(), 2);
    assert_eq!(house.published(&all[0]), house.published(&all[1]));
}

#[tokio::test]
async fn a_stolen_key_is_gone_from_a_replica_as_soon_as_it_hears() {
    let house = House::new().await;
    let all = replicas(&house, 2).await;
    let stolen = house.signer(&all[0]);
    house.clock.advance(Duration::from_secs(1));
    let fresh = all[0].replace_compromised(house.clock.now()).await.unwrap();
    assert_eq!(house.signer(&all[1]), stolen, "it has not heard");
    house.hear(&all[1]).await;
    assert_eq!(house.signer(&all[1]), fresh);
    assert_eq!(house.published(&all[1]), std::slice::from_ref(&fresh));
}

#[tokio::test]
async fn a_theft_that_is_answered_while_another_replica_turns_keys_leaves_no_old_key() {
    let house = House::new().await;
    let all = replicas(&house, 3).await;
    house.clock.advance(HOUR.saturating_sub(AHEAD));
    let at = house.clock.now();
    let (fresh, rotated, ticked) =
        tokio::join!(all[0].replace_compromised(at), all[1].rotate_now(at), all[2].tick(at));
    rotated.unwrap();
    ticked.unwrap();
    let fresh = fresh.unwrap();
    house.hear(&all[1]).await;
    let later = at.plus(Duration::from_millis(1));
    let ring = all[1].ring();
    let signer = ring.signer(later).unwrap().kid().clone();
    let before: Vec<_> = ring.published(later).iter().map(PublicJwk::kid).cloned().collect();
    assert!(signer == fresh && before.contains(&fresh), "{signer} {before:?}");
    for row in house.store.keys().await.unwrap().iter().filter(|row| row.purpose == KeyPurpose::Token) {
        let newer = row.created_at >= at;
        assert!(newer || !before.contains(&row.kid), "{} is still published", row.kid);
    }
}
