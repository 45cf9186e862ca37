//! The event stream: who hears what, from where on, and when it ends.

use std::time::Duration;

use serde_json::{Value, json};

use crate::world::{Answer, World};

/// Nothing in these tests takes so long but a fault.
const TOO_LONG: Duration = Duration::from_secs(20);

struct Stream {
    response: reqwest::Response,
    text: String,
}

/// One event, as the browser's `EventSource` would give it.
#[derive(Debug)]
struct Heard {
    id: String,
    event: String,
    data: Value,
}

impl Stream {
    async fn open(world: &World, token: &str, last: Option<&str>) -> Self {
        let mut request = world.http.get(world.url("/v1/events")).bearer_auth(token);
        if let Some(last) = last {
            request = request.header("last-event-id", last);
        }
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        assert_eq!(response.headers()["cache-control"], "no-store");
        Self { response, text: String::new() }
    }

    /// The next event; `None` when the stream has ended.
    async fn next(&mut self) -> Option<Heard> {
        tokio::time::timeout(TOO_LONG, self.read()).await.expect("the stream says something or ends")
    }

    /// What comes before the first event.
    async fn preface(&mut self) -> String {
        let read = async {
            while !self.text.contains("\n\n") {
                let chunk = self.response.chunk().await.unwrap().unwrap();
                self.text.push_str(std::str::from_utf8(&chunk).unwrap());
            }
        };
        tokio::time::timeout(TOO_LONG, read).await.expect("a stream begins with something");
        let (block, rest) = self.text.split_once("\n\n").unwrap();
        let (block, rest) = (format!("{block}\n"), rest.to_owned());
        self.text = rest;
        block
    }

    async fn read(&mut self) -> Option<Heard> {
        loop {
            while let Some((block, rest)) = self.text.split_once("\n\n") {
                let (block, rest) = (block.to_owned(), rest.to_owned());
                self.text = rest;
                if let Some(heard) = parse(&block) {
                    return Some(heard);
                }
            }
            let chunk = self.response.chunk().await.unwrap()?;
            self.text.push_str(std::str::from_utf8(&chunk).unwrap());
        }
    }
}

fn parse(block: &str) -> Option<Heard> {
    let field = |name: &str| block.lines().find_map(|line| line.strip_prefix(name)).map(str::to_owned);
    let data = serde_json::from_str(&field("data: ")?).unwrap();
    Some(Heard { id: field("id: ").unwrap(), event: field("event: ").unwrap(), data })
}

#[tokio::test]
async fn a_stream_tells_what_happens_from_now_on_and_goes_on_where_it_was_left() {
    let world = World::start().await;
    let before = world.requested("prod-admin").await;
    let lea = world.staff("lea", "leads");
    let mut stream = Stream::open(&world, &lea, None).await;
    let id = world.opened("prod-ledger").await;
    let mut heard = Vec::new();
    for _ in 0..4 {
        heard.push(stream.next().await.unwrap());
    }
    let events: Vec<&str> = heard.iter().map(|heard| heard.event.as_str()).collect();
    assert_eq!(
        events,
        ["elevation.requested", "elevation.approved", "elevation.approved", "elevation.activated"]
    );
    for heard in &heard {
        assert_eq!(heard.data["id"], id.as_str());
        assert_eq!(
            (&heard.data["event"], &heard.data["index"]),
            (&json!(heard.event), &json!(heard.id.parse::<u64>().unwrap()))
        );
        assert!(heard.data["history"].is_array());
    }
    drop(stream);
    let mut again = Stream::open(&world, &lea, Some(&heard[1].id)).await;
    assert_eq!(again.next().await.unwrap().id, heard[2].id);
    assert_eq!(again.next().await.unwrap().id, heard[3].id);
    let mut whole = Stream::open(&world, &lea, Some("0")).await;
    assert_eq!(whole.next().await.unwrap().data["id"], before.as_str());
}

#[tokio::test]
async fn a_reader_that_is_cut_off_before_its_first_event_misses_nothing() {
    let world = World::start().await;
    let lea = world.staff("lea", "leads");
    let before = world.requested("prod-ledger").await;
    let preface = Stream::open(&world, &lea, None).await.preface().await;
    let last = preface.lines().find_map(|line| line.strip_prefix("id: ")).unwrap().to_owned();
    assert!(!preface.contains("data:"), "no event yet: {preface}");
    let meanwhile = world.requested("prod-admin").await;
    let mut again = Stream::open(&world, &lea, Some(&last)).await;
    assert!(again.preface().await.contains(&format!("id: {last}\n")), "nothing was seen since");
    let first = again.next().await.unwrap();
    assert_eq!(first.data["id"], meanwhile.as_str(), "and not {before} once more");
}

#[tokio::test]
async fn a_place_that_the_log_does_not_have_is_refused() {
    let world = World::start().await;
    let lea = world.staff("lea", "leads");
    let size = world.entries().await.len().to_string();
    for bad in ["", "x", "-1", "+1", "1.5", "99999999999999999999", &size] {
        let answer = world.api_with(&lea, "GET", "/v1/events", Value::Null, &[("last-event-id", bad)]).await;
        answer.problem(400, "last_event_id");
    }
    let twice = [("last-event-id", "0"), ("last-event-id", "0")];
    world.api_with(&lea, "GET", "/v1/events", Value::Null, &twice).await.problem(400, "last_event_id");
    Answer::of(world.http.get(world.url("/v1/events")).send().await.unwrap())
        .await
        .problem(401, "missing_token");
}

#[tokio::test]
async fn nobody_hears_of_what_they_may_not_see_also_when_they_lose_the_right_meanwhile() {
    let world = World::start().await;
    let (bea, vic) = (world.engineer("bea"), world.staff("vic", "viewers"));
    let mut bea = Stream::open(&world, &bea, None).await;
    let mut vic = Stream::open(&world, &vic, None).await;
    world.requested("prod-ledger").await;
    assert_eq!(vic.next().await.unwrap().event, "elevation.requested");
    let policies = world.read("policies/customer/people.cedar").replace("staff/viewers", "staff/others");
    world.write("policies/customer/people.cedar", &policies);
    world.reload().await;
    world.requested("prod-ledger").await;
    // Vic's token was given, the right to look was taken away; what Bea asks for herself is all that she hears.
    let body = crate::api::ask("prod-ledger");
    let own = world.api(&world.engineer("bea"), "POST", "/v1/elevations", body).await.done();
    assert_eq!(bea.next().await.unwrap().data["id"], own["id"]);
    world.clock.advance(Duration::from_mins(10));
    assert!(vic.next().await.is_none(), "nothing more, and the end with the token");
}

#[tokio::test]
async fn a_stream_ends_with_the_token_and_when_the_broker_stops() {
    let mut world = World::start().await;
    let mut stream = Stream::open(&world, &world.staff("lea", "leads"), None).await;
    world.clock.advance(Duration::from_mins(10));
    assert!(stream.next().await.is_none());
    let mut stream = Stream::open(&world, &world.staff("lea", "leads"), None).await;
    let stopped = tokio::time::timeout(TOO_LONG / 4, world.stop());
    let (ended, stopped) = tokio::join!(stream.next(), stopped);
    assert!(ended.is_none() && stopped.is_ok(), "open streams do not hold up the end");
}

#[tokio::test]
async fn streams_take_no_place_of_ordinary_requests_and_one_person_has_eight() {
    let world = World::start_with("max_concurrent_requests = 1\nrequest_timeout = \"1s\"").await;
    let lea = world.staff("lea", "leads");
    let mut streams = Vec::new();
    for _ in 0..8 {
        streams.push(Stream::open(&world, &lea, None).await);
    }
    let ninth = world.api(&lea, "GET", "/v1/events", Value::Null).await;
    ninth.problem(429, "slow_down");
    assert!(ninth.headers.contains_key("retry-after"));
    // Longer than a request may take: the streams are still there.
    tokio::time::sleep(Duration::from_millis(1_200)).await;
    world.requested("prod-ledger").await;
    for stream in &mut streams {
        assert_eq!(stream.next().await.unwrap().event, "elevation.requested");
    }
}
