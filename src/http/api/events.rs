//! `GET /v1/events`: changes of elevations as server-sent events (WHATWG HTML §9.2), for whoever may see them.
//!
//! A stream is no request: it holds no place under the edge's concurrency limit and knows no deadline, because its head
//! is answered at once. It has limits of its own: so many in all, so many for a person, the end of their token, and how
//! long it waits for a reader that does not read.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use futures_util::Stream;
use serde::Serialize;
use tokio::sync::{mpsc, watch};

use super::ApiDoor;
use super::bearer::SignedIn;
use super::body::NoQuery;
use super::error::ApiError;
use super::streams::Place;
use super::view::ElevationView;
use crate::breakglass::service::{ElevationNews, EventPage};
use crate::clock::Moment;
use crate::http::routes::EVENTS;
use crate::people::Caller;

/// Proxies cut connections on which nothing is heard.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// How soon the end of a token is noticed while nothing happens.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// A reader that does not take an event for so long has gone away without saying so.
const PATIENCE: Duration = Duration::from_secs(30);
/// Entries of the log that are looked through at once.
const AT_ONCE: u32 = 256;
/// Events that may wait for the reader.
const BUFFER: usize = 32;
/// When a reader should come again after the stream has ended.
const RETRY: Duration = Duration::from_secs(2);

const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

#[derive(Serialize)]
struct News<'a> {
    event: &'a str,
    index: u64,
    #[serde(flatten)]
    elevation: ElevationView<'a>,
}

pub(super) fn routes() -> Router<Arc<ApiDoor>> {
    Router::new().route(EVENTS.path, get(events))
}

async fn events(
    SignedIn(caller): SignedIn,
    State(door): State<Arc<ApiDoor>>,
    headers: HeaderMap,
    _: NoQuery,
) -> Result<Response, ApiError> {
    let size = door.audit.subscribe();
    let from = first_index(&headers, *size.borrow())?;
    let place = door.streams.enter(caller.id()).ok_or_else(|| {
        ApiError::slow_down(RETRY, "too many event streams are open; close one or come again")
    })?;
    let (sender, receiver) = mpsc::channel(BUFFER);
    let feed =
        Feed { caller, size, next: from, sender, stopping: door.streams.stopping(), _place: place, door };
    tokio::spawn(feed.run());
    let keep_alive = KeepAlive::new().interval(KEEP_ALIVE);
    let mut response = Sse::new(Received(receiver)).keep_alive(keep_alive).into_response();
    // Some proxies would collect the stream before they pass it on.
    response.headers_mut().insert("x-accel-buffering", HeaderValue::from_static("no"));
    Ok(response)
}

/// After the last event that the reader saw; from now on when they name none.
fn first_index(headers: &HeaderMap, size: u64) -> Result<u64, ApiError> {
    let mut values = headers.get_all(LAST_EVENT_ID).into_iter();
    let Some(value) = values.next() else { return Ok(size) };
    let text = value.to_str().unwrap_or_default();
    let last = text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse::<u64>().ok()).flatten();
    last.filter(|last| *last < size && values.next().is_none()).map(|last| last.saturating_add(1)).ok_or_else(
        || {
            let told = "`Last-Event-ID` must be the `id` of an event of this stream";
            ApiError::bad_request("last_event_id", told)
        },
    )
}

/// What one reader is sent.
struct Feed {
    door: Arc<ApiDoor>,
    caller: Caller,
    /// How long the log is.
    size: watch::Receiver<u64>,
    /// The first entry that was not looked at.
    next: u64,
    sender: mpsc::Sender<Event>,
    stopping: watch::Receiver<bool>,
    _place: Place,
}

/// Why a stream ended.
struct Over;

impl Feed {
    /// Until the reader is gone, their token ends or the broker stops.
    async fn run(mut self) {
        let mut stopping = self.stopping.clone();
        let gone = self.sender.clone();
        tokio::select! {
            Over = self.feed() => {}
            _ = stopping.wait_for(|stopping| *stopping) => {}
            () = gone.closed() => {}
        }
    }

    async fn feed(&mut self) -> Over {
        if self.send(self.preface()).await.is_err() {
            return Over;
        }
        loop {
            if self.catch_up().await.is_err() {
                return Over;
            }
            // The time-out is no event: the loop looks at the clock again.
            let _ = tokio::time::timeout(LOOK_EVERY, self.size.changed()).await;
        }
    }

    /// Names the place from which the stream begins: a reader that is cut off before its first event goes on from there.
    fn preface(&self) -> Event {
        let event = Event::default().retry(RETRY).comment("tidegate");
        match self.next.checked_sub(1) {
            Some(last) => event.id(last.to_string()),
            None => event,
        }
    }

    /// Sends what has happened since. What the caller may not see by now is skipped: they are asked about again each
    /// time, at the moment of the look.
    async fn catch_up(&mut self) -> Result<(), Over> {
        loop {
            let size = *self.size.borrow_and_update();
            self.caller.at = self.door.clock.now();
            if self.caller.token.expires_at <= self.caller.at {
                return Err(Over);
            }
            if self.next >= size {
                return Ok(());
            }
            let EventPage { events, next } = match self
                .door
                .breakglass
                .events(&self.caller, self.next, AT_ONCE)
                .await
            {
                Ok(page) => page,
                Err(cause) => {
                    let cause = ApiError::of(cause, self.caller.at);
                    tracing::warn!(request.id = %self.caller.request_id, ?cause, "an event stream was cut");
                    return Err(Over);
                }
            };
            for news in &events {
                self.send(event_of(news, self.caller.at).ok_or(Over)?).await?;
            }
            if next <= self.next {
                return Ok(());
            }
            self.next = next;
        }
    }

    async fn send(&self, event: Event) -> Result<(), Over> {
        match tokio::time::timeout(PATIENCE, self.sender.send(event)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) | Err(_) => Err(Over),
        }
    }
}

fn event_of(news: &ElevationNews, at: Moment) -> Option<Event> {
    let data =
        News { event: &news.event, index: news.index, elevation: ElevationView::of(&news.elevation, at) };
    Event::default().id(news.index.to_string()).event(&news.event).json_data(data).ok()
}

/// The receiving end as a stream.
struct Received(mpsc::Receiver<Event>);

impl Stream for Received {
    type Item = Result<Event, Infallible>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.poll_recv(context).map(|event| event.map(Ok))
    }
}
