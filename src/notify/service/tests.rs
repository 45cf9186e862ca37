//! The notifier against real receivers on loopback and the real store.

use std::collections::VecDeque;
use std::sync::Mutex;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use tokio::sync::Notify;

use super::*;
use crate::clock::ManualClock;
use crate::entropy::SystemEntropy;
use crate::notify::fixtures::{elevation, message, start};
use crate::notify::{Format, Message};
use crate::secret::SecretText;
use crate::store::OutboxRow;

const SECRET: &str = "0123456789abcdef0123456789abcdef";

/// What a receiver answers next; after the last one it goes on with 200.
#[derive(Clone, Copy, Debug)]
enum Says {
    Status(u16),
    /// To another place of the same receiver.
    Redirect,
    /// 200, and then a body that never ends.
    Drips,
    /// Nothing until the test lets go.
    Silence,
}

#[derive(Debug, Default)]
struct Desk {
    says: Mutex<VecDeque<Says>>,
    taken: Mutex<Vec<(HeaderMap, String)>>,
    came: Notify,
    go_on: Notify,
}

struct TestReceiver {
    desk: Arc<Desk>,
    url: url::Url,
    server: tokio::task::JoinHandle<()>,
}

impl Drop for TestReceiver {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl TestReceiver {
    async fn start(says: &[Says]) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        Self::on(listener, says)
    }

    fn on(listener: tokio::net::TcpListener, says: &[Says]) -> Self {
        let desk = Arc::new(Desk { says: Mutex::new(says.iter().copied().collect()), ..Desk::default() });
        let url = format!("http://{}/hook/T0KEN", listener.local_addr().unwrap()).parse().unwrap();
        let app = Router::new().fallback(take).with_state(Arc::clone(&desk));
        Self { desk, url, server: tokio::spawn(async move { axum::serve(listener, app).await.unwrap() }) }
    }

    fn hook(&self) -> Hook {
        hook(&self.url, Format::Json)
    }

    /// Version and path of what came, in order; the path is there when it is not the hook's.
    fn versions(&self) -> Vec<(String, u64)> {
        let taken = self.desk.taken.lock().unwrap();
        let version = |(_, body): &(HeaderMap, String)| {
            let said: Message = serde_json::from_str(body).unwrap();
            (said.elevation.to_string().chars().last().unwrap().to_string(), said.version)
        };
        taken.iter().map(version).collect()
    }

    fn deliveries(&self) -> Vec<String> {
        let taken = self.desk.taken.lock().unwrap();
        taken.iter().map(|(headers, _)| headers["tidegate-delivery"].to_str().unwrap().to_owned()).collect()
    }
}

fn hook(url: &url::Url, format: Format) -> Hook {
    Hook { url: url.clone(), secret: SecretText::new(SECRET.to_owned()), format, ca_file: None }
}

async fn take(State(desk): State<Arc<Desk>>, headers: HeaderMap, body: String) -> Response {
    let says = desk.says.lock().unwrap().pop_front().unwrap_or(Says::Status(200));
    desk.taken.lock().unwrap().push((headers, body));
    desk.came.notify_one();
    match says {
        Says::Status(status) => StatusCode::from_u16(status).unwrap().into_response(),
        Says::Redirect => axum::response::Redirect::temporary("/elsewhere").into_response(),
        Says::Drips => {
            let endless = stream::pending::<Result<bytes::Bytes, std::io::Error>>();
            axum::body::Body::from_stream(endless).into_response()
        }
        Says::Silence => {
            desk.go_on.notified().await;
            StatusCode::OK.into_response()
        }
    }
}

struct World {
    store: Arc<dyn Store>,
    clock: Arc<ManualClock>,
    _folder: tempfile::TempDir,
}

impl World {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite:{}", folder.path().join("t.db").display());
        let store = crate::store::open(&url).await.unwrap();
        Self { store, clock: Arc::new(ManualClock::at(start())), _folder: folder }
    }

    /// As after a restart: nothing is remembered but what the store has.
    fn notifier(&self, hooks: &[Hook]) -> Notifier {
        self.notifier_within(hooks, TIMEOUT)
    }

    fn notifier_within(&self, hooks: &[Hook], timeout: Duration) -> Notifier {
        let clock = Arc::clone(&self.clock) as Arc<dyn Clock>;
        let entropy = Arc::new(SystemEntropy::new()) as Arc<dyn Entropy>;
        Notifier::with_timeout(Arc::clone(&self.store), hooks.to_vec(), &clock, &entropy, timeout).unwrap()
    }

    async fn say(&self, hook: &Hook, messages: &[Message]) {
        let rows = messages.iter().map(|message| OutboxRow { hook: hook.id(), message: message.clone() });
        let rows: Vec<_> = rows.collect();
        let mut unit = self.store.begin().await.unwrap();
        unit.put_messages(&rows).await.unwrap();
        unit.commit().await.unwrap();
    }

    async fn waiting(&self) -> u64 {
        self.store.waiting_messages().await.unwrap()
    }
}

/// The same life's message of another elevation.
fn of(number: u8, version: u64) -> Message {
    Message { elevation: elevation(number), ..message("elevation.approved", version) }
}

fn came(list: &[(&str, u64)]) -> Vec<(String, u64)> {
    list.iter().map(|(elevation, version)| ((*elevation).to_owned(), *version)).collect()
}

mod refusals {
    use super::*;

    #[tokio::test]
    async fn plain_http_to_another_machine_is_refused() {
        let world = World::new().await;
        for bad in ["http://hooks.example/T0KEN", "http://127.0.0.1.nip.io/", "ftp://127.0.0.1/"] {
            let (clock, entropy) = (
                Arc::clone(&world.clock) as Arc<dyn Clock>,
                Arc::new(SystemEntropy::new()) as Arc<dyn Entropy>,
            );
            let hooks = vec![hook(&bad.parse().unwrap(), Format::Json)];
            let refused = Notifier::new(Arc::clone(&world.store), hooks, &clock, &entropy).unwrap_err();
            assert!(matches!(refused, NotifierError::NotHttps(_)), "{refused}");
            assert!(!refused.to_string().contains("T0KEN"));
        }
    }

    #[tokio::test]
    async fn a_redirect_is_not_followed_and_counts_as_a_failure() {
        let (world, receiver) = (World::new().await, TestReceiver::start(&[Says::Redirect]).await);
        world.say(&receiver.hook(), &[message("elevation.requested", 1)]).await;
        world.notifier(&[receiver.hook()]).deliver_due().await;
        assert_eq!((receiver.versions().len(), world.waiting().await), (1, 1));
    }

    #[tokio::test]
    async fn whatever_is_not_a_success_is_tried_again() {
        for status in [301, 304, 400, 401, 404, 410, 429, 500, 503] {
            let world = World::new().await;
            let receiver = TestReceiver::start(&[Says::Status(status)]).await;
            world.say(&receiver.hook(), &[message("elevation.requested", 1)]).await;
            let notifier = world.notifier(&[receiver.hook()]);
            notifier.deliver_due().await;
            assert_eq!(world.waiting().await, 1, "{status}");
            world.clock.advance(Duration::from_secs(1));
            notifier.deliver_due().await;
            assert_eq!((receiver.versions().len(), world.waiting().await), (2, 0), "{status}");
        }
    }

    #[tokio::test]
    async fn silence_ends_at_the_time_out_and_the_message_stays() {
        let (world, receiver) = (World::new().await, TestReceiver::start(&[Says::Silence]).await);
        world.say(&receiver.hook(), &[message("elevation.requested", 1)]).await;
        world.notifier_within(&[receiver.hook()], Duration::from_millis(50)).deliver_due().await;
        assert_eq!(world.waiting().await, 1);
    }

    #[tokio::test]
    async fn a_failure_names_neither_the_secret_nor_the_path_of_the_url() {
        let (world, receiver) = (World::new().await, TestReceiver::start(&[Says::Status(500)]).await);
        let hook = receiver.hook();
        let notifier = world.notifier(std::slice::from_ref(&hook));
        let waiting = WaitingMessage { sequence: 1, message: message("elevation.requested", 1), attempts: 0 };
        let client = &notifier.receivers[0].client;
        let refused = client.send(&hook, &waiting, start()).await.unwrap_err();
        drop(receiver);
        let away = loop {
            // The port is closed as soon as the server's task has ended.
            match client.send(&hook, &waiting, start()).await {
                Err(client::SendError::Connect(cause)) => break cause,
                _ => tokio::task::yield_now().await,
            }
        };
        let all = format!("{refused} {refused:?} {away} {hook:?} {notifier:?}");
        assert!(!all.contains("T0KEN") && !all.contains(SECRET), "{all}");
    }

    /// Every line of this thread, of our own and of the libraries.
    #[derive(Clone, Debug, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl std::io::Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[tokio::test]
    async fn the_log_names_neither_the_secret_nor_the_path_of_the_url() {
        let (world, lines) = (World::new().await, Lines::default());
        let writer = lines.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(tracing::Level::DEBUG)
            .with_writer(move || writer.clone())
            .finish();
        let _here = tracing::subscriber::set_default(subscriber);
        let receiver = TestReceiver::start(&[Says::Status(500), Says::Redirect]).await;
        world.say(&receiver.hook(), &[message("elevation.requested", 1)]).await;
        let notifier = world.notifier(&[receiver.hook()]);
        for _ in 0..3 {
            notifier.deliver_due().await;
            world.clock.advance(Duration::from_mins(10));
        }
        let log = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
        assert!(log.contains("a notification did not arrive") && log.contains("HTTP 500"), "{log}");
        assert!(!log.contains("T0KEN") && !log.contains(SECRET), "{log}");
    }

    #[tokio::test]
    async fn an_old_message_is_dropped_only_after_many_attempts() {
        let (world, receiver) = (World::new().await, TestReceiver::start(&[Says::Status(500); 11]).await);
        world
            .say(&receiver.hook(), &[message("elevation.requested", 1), message("elevation.denied", 2)])
            .await;
        world.clock.advance(Duration::from_hours(8 * 24));
        let notifier = world.notifier(&[receiver.hook()]);
        for _ in 0..9 {
            notifier.deliver_due().await;
            world.clock.advance(Duration::from_mins(10));
        }
        assert_eq!((receiver.versions().len(), world.waiting().await), (9, 2));
        notifier.deliver_due().await;
        assert_eq!(world.waiting().await, 1, "the tenth failure was its last, and the next one has its turn");
        assert_eq!(receiver.versions().last(), Some(&("1".to_owned(), 2)));
    }
}

mod order {
    use super::*;

    #[tokio::test]
    async fn nothing_overtakes_a_message_of_its_elevation_that_fails() {
        let (world, receiver) = (World::new().await, TestReceiver::start(&[Says::Status(500)]).await);
        world.say(&receiver.hook(), &[of(1, 1), of(1, 2), of(1, 3)]).await;
        let notifier = world.notifier(&[receiver.hook()]);
        notifier.deliver_due().await;
        notifier.deliver_due().await;
        assert_eq!(receiver.versions(), came(&[("1", 1)]), "it waits for its second try, and all behind it");
        world.clock.advance(Duration::from_secs(1));
        notifier.deliver_due().await;
        assert_eq!(receiver.versions(), came(&[("1", 1), ("1", 1), ("1", 2), ("1", 3)]));
        let deliveries = receiver.deliveries();
        assert_eq!(deliveries[0], deliveries[1], "the same delivery: a receiver can tell");
        assert_ne!(deliveries[1], deliveries[2]);
        assert_eq!(world.waiting().await, 0);
    }

    #[tokio::test]
    async fn one_elevations_failure_holds_up_no_other() {
        let (world, receiver) = (World::new().await, TestReceiver::start(&[Says::Status(500)]).await);
        world.say(&receiver.hook(), &[of(1, 1)]).await;
        let notifier = world.notifier(&[receiver.hook()]);
        notifier.deliver_due().await;
        world.say(&receiver.hook(), &[of(1, 2), of(2, 1), of(2, 2)]).await;
        notifier.deliver_due().await;
        assert_eq!(receiver.versions(), came(&[("1", 1), ("2", 1), ("2", 2)]));
        assert_eq!(world.waiting().await, 2);
    }

    #[tokio::test]
    async fn a_second_round_at_the_same_time_sends_nothing_twice() {
        let (world, receiver) = (World::new().await, TestReceiver::start(&[Says::Silence]).await);
        world.say(&receiver.hook(), &[of(1, 1), of(1, 2)]).await;
        let notifier = world.notifier(&[receiver.hook()]);
        let second = async {
            receiver.desk.came.notified().await;
            notifier.deliver_due().await;
            receiver.desk.go_on.notify_one();
        };
        tokio::join!(notifier.deliver_due(), second);
        assert_eq!(receiver.versions(), came(&[("1", 1), ("1", 2)]));
    }
}

#[tokio::test]
async fn a_receiver_that_is_down_gets_everything_when_it_is_back_also_after_a_restart() {
    let world = World::new().await;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, hook) = (listener.local_addr().unwrap(), {
        let url = format!("http://{}/hook/T0KEN", listener.local_addr().unwrap()).parse().unwrap();
        hook(&url, Format::Json)
    });
    drop(listener);
    world.say(&hook, &[of(1, 1), of(1, 2), of(2, 1)]).await;
    let before = world.notifier(std::slice::from_ref(&hook));
    for _ in 0..3 {
        before.deliver_due().await;
        world.clock.advance(Duration::from_mins(10));
    }
    assert_eq!(world.waiting().await, 3);
    drop(before);

    let receiver = TestReceiver::on(tokio::net::TcpListener::bind(address).await.unwrap(), &[]);
    world.notifier(std::slice::from_ref(&hook)).deliver_due().await;
    let mut versions = receiver.versions();
    versions.sort();
    assert_eq!((versions, world.waiting().await), (came(&[("1", 1), ("1", 2), ("2", 1)]), 0));
}

#[tokio::test]
async fn a_slow_receiver_does_not_hold_up_another() {
    let world = World::new().await;
    let (slow, fast) = (TestReceiver::start(&[Says::Silence]).await, TestReceiver::start(&[]).await);
    for receiver in [&slow, &fast] {
        world.say(&receiver.hook(), &[of(1, 1)]).await;
    }
    let notifier = world.notifier(&[slow.hook(), fast.hook()]);
    let meanwhile = async {
        slow.desk.came.notified().await;
        fast.desk.came.notified().await;
        // The slow one is still busy with its first: a further round serves the fast one.
        world.say(&fast.hook(), &[of(1, 2)]).await;
        loop {
            notifier.deliver_due().await;
            if fast.versions().len() == 2 {
                break;
            }
        }
        assert_eq!(slow.versions().len(), 1);
        slow.desk.go_on.notify_one();
    };
    tokio::join!(notifier.deliver_due(), meanwhile);
    assert_eq!((fast.versions(), world.waiting().await), (came(&[("1", 1), ("1", 2)]), 0));
}

#[tokio::test]
async fn an_answer_whose_body_never_ends_has_arrived_all_the_same() {
    let (world, receiver) = (World::new().await, TestReceiver::start(&[Says::Drips]).await);
    world.say(&receiver.hook(), &[of(1, 1)]).await;
    world.notifier(&[receiver.hook()]).deliver_due().await;
    assert_eq!(world.waiting().await, 0);
}

#[tokio::test]
async fn a_receiver_can_check_who_sent_it_when_and_what() {
    let (world, receiver) = (World::new().await, TestReceiver::start(&[]).await);
    world.say(&receiver.hook(), &[message("elevation.requested", 1)]).await;
    world.notifier(&[receiver.hook()]).deliver_due().await;
    let taken = receiver.desk.taken.lock().unwrap();
    let (headers, body) = &taken[0];
    let text = |name: &str| headers[name].to_str().unwrap();
    assert_eq!((text("tidegate-event"), text("content-type")), ("elevation.requested", "application/json"));
    let (seconds, hex) = text("tidegate-signature").strip_prefix("t=").unwrap().split_once(",v1=").unwrap();
    assert_eq!(seconds.parse::<i64>().unwrap(), start().unix_seconds());
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, SECRET.as_bytes());
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    let tag: Vec<u8> = hex.as_bytes().chunks(2).map(byte).collect();
    ring::hmac::verify(&key, format!("{seconds}.{body}").as_bytes(), &tag).unwrap();
    assert!(ring::hmac::verify(&key, format!("{seconds}.{body} ").as_bytes(), &tag).is_err());
    assert_eq!(serde_json::from_str::<Message>(body).unwrap(), message("elevation.requested", 1));
}

#[tokio::test]
async fn a_chat_gets_its_own_format() {
    let (world, receiver) = (World::new().await, TestReceiver::start(&[]).await);
    let chat = hook(&receiver.url, Format::Slack);
    world.say(&chat, &[message("elevation.requested", 1)]).await;
    world.notifier(&[chat]).deliver_due().await;
    let taken = receiver.desk.taken.lock().unwrap();
    let body: serde_json::Value = serde_json::from_str(&taken[0].1).unwrap();
    assert!(body["text"].as_str().unwrap().starts_with("Break-glass: access is requested (prod-admin)"));
}

#[tokio::test]
async fn messages_of_a_receiver_that_is_configured_no_more_go_nowhere_else() {
    let (world, one) = (World::new().await, TestReceiver::start(&[]).await);
    let other = TestReceiver::start(&[]).await;
    world.say(&one.hook(), &[of(1, 1)]).await;
    let notifier = world.notifier(&[other.hook()]);
    notifier.deliver_due().await;
    assert_eq!(notifier.hooks(), [other.hook().id()]);
    assert_eq!((other.versions().len(), world.waiting().await), (0, 1));
}

#[test]
fn a_receivers_name_is_its_url_and_shows_nothing_of_it() {
    let id = |url: &str| hook(&url.parse().unwrap(), Format::Json).id();
    assert_eq!(id("https://h.example/a"), id("https://h.example/a"));
    assert_ne!(id("https://h.example/a"), id("https://h.example/b"));
}

mod replicas {
    use super::*;

    #[tokio::test]
    async fn of_two_replicas_one_sends_and_the_other_goes_on_when_it_is_gone() {
        let (world, receiver) = (World::new().await, TestReceiver::start(&[]).await);
        let (one, other) = (world.notifier(&[receiver.hook()]), world.notifier(&[receiver.hook()]));
        world
            .say(&receiver.hook(), &[message("elevation.requested", 1), message("elevation.approved", 2)])
            .await;
        tokio::join!(one.deliver_due(), other.deliver_due());
        assert_eq!((receiver.versions().len(), world.waiting().await), (2, 0));
        world.say(&receiver.hook(), &[of(2, 1)]).await;
        tokio::join!(other.deliver_due(), one.deliver_due());
        assert_eq!(receiver.versions().len(), 3);
        drop(one);
        world.say(&receiver.hook(), &[of(3, 1)]).await;
        other.deliver_due().await;
        assert_eq!(receiver.versions().len(), 3, "it is not its turn");
        world.clock.advance(LEASE);
        other.deliver_due().await;
        assert_eq!((receiver.versions().len(), world.waiting().await), (4, 0));
    }
}
