//! What keeps credentials ready: a bounded shelf of grants, at most one exchange at a time for each, and the background
//! that renews what is used. Knows the broker and the workload's token; refuses to know HTTP.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::Serialize;
use tokio::sync::{Semaphore, watch};

use super::slot::{Die, Look, News, Now, Slot, SlotStatus, Trouble};
use super::wish::Wish;
use crate::cli::broker::{AWS_TYPE, Broker, ExchangeError, OauthRefusal, Wanted};
use crate::cli::given::{AwsGiven, Given};
use crate::cli::options::Subject;
use crate::clock::Clock;
use crate::entropy::{Entropy, bytes};
use crate::secret::Fingerprint;

/// More grants than this push out the one that was not asked for longest.
const MOST_GRANTS: usize = 256;
/// Exchanges at once, over all grants: a start of everything is no storm for the broker.
const MOST_EXCHANGES: usize = 16;

/// What the keeper takes from its surroundings.
pub(super) struct Surroundings {
    pub(super) clock: Arc<dyn Clock>,
    pub(super) entropy: Arc<dyn Entropy>,
    /// A line for whoever runs the agent.
    pub(super) tell: Box<dyn Fn(&str) + Send + Sync>,
    /// How long a request waits for an exchange.
    pub(super) patience: Duration,
}

/// See the first lines of this file.
pub(super) struct Keeper {
    broker: Broker,
    subject: Subject,
    around: Surroundings,
    places: Mutex<HashMap<Wish, Place>>,
    exchanges: Semaphore,
}

/// Where a grant is held. Locked for moments only, and after the map where both are.
type Place = Arc<Mutex<Held>>;

#[derive(Default)]
struct Held {
    slot: Slot,
    /// The exchange under way. It is over when its sender is dropped, however that comes about.
    flight: Option<watch::Receiver<()>>,
}

/// What an exchange gave, and the token that it was given for.
struct Fresh {
    given: Given,
    aws: AwsGiven,
    subject: Fingerprint,
}

/// Why it gave nothing.
enum Setback {
    /// The broker's no to this token.
    Refused(OauthRefusal, Fingerprint),
    /// Why nothing could be had, and when the broker wants to be asked again.
    Failed(String, Option<Duration>),
}

/// What can be said to a request at once.
enum Known {
    Answer(Result<Vec<u8>, Trouble>),
    Wait(watch::Receiver<()>),
}

/// For `GET /healthz` and `tidegate agent status`.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    /// `ok`, or `degraded` when a grant could not be had or renewed.
    pub(super) status: &'static str,
    pub(super) broker: String,
    pub(super) grants: Vec<GrantReport>,
}

#[derive(Debug, Serialize)]
pub(super) struct GrantReport {
    #[serde(flatten)]
    pub(super) wish: Wish,
    #[serde(flatten)]
    pub(super) slot: SlotStatus,
}

impl Keeper {
    pub(super) fn new(broker: Broker, subject: Subject, around: Surroundings) -> Arc<Self> {
        let (places, exchanges) = (Mutex::default(), Semaphore::new(MOST_EXCHANGES));
        Arc::new(Self { broker, subject, around, places, exchanges })
    }

    /// A grant's credential as SDKs read it: from memory while one lives, else from the broker.
    pub(super) async fn credential(self: &Arc<Self>, wish: &Wish) -> Result<Vec<u8>, Trouble> {
        let place = self.place(wish);
        let mut flight = match self.look(wish, &place) {
            Known::Answer(answer) => return answer,
            Known::Wait(flight) => flight,
        };
        // Nothing is ever sent: an exchange that ends drops the sender.
        let _ = tokio::time::timeout(self.around.patience, flight.changed()).await;
        let look = lock(&place).slot.look(self.now());
        match look {
            Look::Serve { body, .. } => Ok(body),
            Look::Refuse(trouble) => Err(trouble),
            Look::Ask => Err(Trouble::passing("the broker has not answered yet: ask again".to_owned())),
        }
    }

    /// Renews what is used and near its end, and forgets what is over. To be called again and again.
    pub(super) fn tick(self: &Arc<Self>) {
        let now = self.now();
        let mut places = lock(&self.places);
        places.retain(|_, place| {
            let held = lock(place);
            held.flying().is_some() || !held.slot.is_over(now)
        });
        for (wish, place) in places.iter() {
            let mut held = lock(place);
            if held.slot.is_due(now) {
                self.start(wish, place, &mut held);
            }
        }
    }

    /// How every grant stands, by name.
    pub(super) fn status(&self) -> Report {
        let now = self.now();
        let of = |(wish, place): (&Wish, &Place)| GrantReport {
            wish: wish.clone(),
            slot: lock(place).slot.status(now),
        };
        let mut grants: Vec<_> = lock(&self.places).iter().map(of).collect();
        grants.sort_by(|one, other| one.wish.cmp(&other.wish));
        let is_well = grants.iter().all(|grant| grant.slot.last_error.is_none());
        let status = if is_well { "ok" } else { "degraded" };
        Report { status, broker: self.broker.url().to_string(), grants }
    }

    fn look(self: &Arc<Self>, wish: &Wish, place: &Place) -> Known {
        let mut held = lock(place);
        match held.slot.look(self.now()) {
            Look::Serve { body, due } => {
                if due {
                    self.start(wish, place, &mut held);
                }
                Known::Answer(Ok(body))
            }
            Look::Refuse(trouble) => Known::Answer(Err(trouble)),
            Look::Ask => Known::Wait(self.start(wish, place, &mut held)),
        }
    }

    fn place(&self, wish: &Wish) -> Place {
        let mut places = lock(&self.places);
        if !places.contains_key(wish) && places.len() >= MOST_GRANTS {
            let least = places.iter().min_by_key(|(_, place)| lock(place).slot.worth());
            if let Some(least) = least.map(|(name, _)| name.clone()) {
                places.remove(&least);
            }
        }
        Arc::clone(places.entry(wish.clone()).or_default())
    }

    /// Joins the grant's exchange, or begins one. It goes on when whoever asked has gone.
    fn start(self: &Arc<Self>, wish: &Wish, place: &Place, held: &mut Held) -> watch::Receiver<()> {
        if let Some(flight) = held.flying() {
            return flight.clone();
        }
        let (end, flight) = watch::channel(());
        held.flight = Some(flight.clone());
        let (keeper, wish, place) = (Arc::clone(self), wish.clone(), Arc::clone(place));
        tokio::spawn(async move {
            let _end = end;
            let asked = keeper.now();
            let outcome = keeper.exchange(&wish).await;
            keeper.settle(&wish, &place, asked, outcome);
        });
        flight
    }

    /// One exchange, with the token as it is now.
    async fn exchange(&self, wish: &Wish) -> Result<Fresh, Setback> {
        let _turn = self.exchanges.acquire().await.map_err(|_| Setback::failed("the agent is stopping"))?;
        let token = self.subject.token().await.map_err(|why| Setback::failed(&format!("{why:#}")))?;
        let subject = token.fingerprint();
        let elevation = wish.elevation.map(|id| id.to_string());
        let wanted = Wanted {
            grant: wish.grant.as_str(),
            scope: None,
            expires_in: wish.expires_in,
            elevation: elevation.as_deref(),
            kind: Some(AWS_TYPE),
        };
        let granted = self.broker.exchange(&token, &wanted).await;
        let granted = granted.map_err(|error| Setback::of(error, subject))?;
        let mut given = granted.given().map_err(|why| Setback::failed(&why.to_string()))?;
        let other = || Setback::failed("the broker gave something else than AWS credentials");
        let aws = given.aws.take().ok_or_else(other)?;
        Ok(Fresh { given, aws, subject })
    }

    fn settle(&self, wish: &Wish, place: &Place, asked: Now, outcome: Result<Fresh, Setback>) {
        let (now, die) = (self.now(), self.die());
        let news = {
            let slot = &mut lock(place).slot;
            match outcome {
                Ok(fresh) => slot.keep(asked, &fresh.given, &fresh.aws, fresh.subject, die),
                Err(Setback::Refused(refusal, subject)) => slot.refuse(now, &refusal, subject, die),
                Err(Setback::Failed(why, wish)) => slot.fail(now, why, wish, die),
            }
        };
        if let Some(line) = line(wish, &news) {
            (self.around.tell)(&line);
        }
    }

    fn now(&self) -> Now {
        Now::of(self.around.clock.as_ref())
    }

    /// Without chance everything goes on, only less spread out.
    fn die(&self) -> Die {
        let chance = bytes::<4>(self.around.entropy.as_ref()).map_or(0, u32::from_be_bytes);
        Die(chance % 1_000)
    }

    /// Waits until no exchange is under way.
    #[cfg(test)]
    pub(super) async fn settled(&self) {
        loop {
            let flying = lock(&self.places).values().find_map(|place| lock(place).flying().cloned());
            let Some(mut flight) = flying else { return };
            let _ = flight.changed().await;
        }
    }
}

impl Held {
    /// The exchange, unless it is over.
    fn flying(&self) -> Option<&watch::Receiver<()>> {
        self.flight.as_ref().filter(|flight| flight.has_changed().is_ok())
    }
}

impl Setback {
    fn of(error: ExchangeError, subject: Fingerprint) -> Self {
        match error {
            ExchangeError::Refused(refusal) => Self::Refused(refusal, subject),
            ExchangeError::Away { why, retry_after } => {
                Self::Failed(one_line(&format!("{why:#}")), retry_after)
            }
        }
    }

    fn failed(why: &str) -> Self {
        Self::Failed(one_line(why), None)
    }
}

/// Hints for people at a terminal are left out.
fn one_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().to_owned()
}

fn line(wish: &Wish, news: &News) -> Option<String> {
    Some(match news {
        News::None => return None,
        News::Failing { why, until: Some(until) } => {
            format!("grant `{wish}`: not renewed: {why}; what it has is served until {until}")
        }
        News::Failing { why, until: None } => format!("grant `{wish}`: nothing to serve: {why}"),
        News::Refused { why } => format!("grant `{wish}`: the broker refused, nothing is served: {why}"),
        News::Renewed { until } => format!("grant `{wish}`: well again, until {until}"),
    })
}

/// A panic elsewhere leaves nothing half-written here.
fn lock<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}
