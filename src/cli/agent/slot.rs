//! One grant as the agent holds it: what lives, what was refused, and when to ask again. Pure: the moment and the dice are
//! arguments.

use std::time::Duration;

use serde::Serialize;
use zeroize::Zeroizing;

use crate::cli::broker::OauthRefusal;
use crate::cli::given::{AwsGiven, Given};
use crate::clock::{Clock, Moment};
use crate::secret::Fingerprint;

/// A refusal is not asked for again sooner: boto3 asks three times a second apart, and programs ask in loops.
const REFUSAL: Duration = Duration::from_secs(5);
/// After a failure a caller may cause the next attempt no sooner.
const FAILURE: Duration = Duration::from_secs(1);
/// The first wait of the background after a failure; each later one is twice as long.
const FIRST_WAIT: Duration = Duration::from_secs(1);
const LONGEST_WAIT: Duration = Duration::from_secs(15);
/// A broker that wishes for more quiet than this is asked anyway.
const LONGEST_WISH: Duration = Duration::from_mins(1);
/// Trouble is remembered so long after it was last asked for: it is told once, and not for each request of a loop.
const MEMORY: Duration = Duration::from_mins(10);
/// Not served any more so long before its end: boto3 throws what ends while it reads it, without a word about why.
const LAST_MOMENT: Duration = Duration::from_secs(1);
/// Half of ever shorter rests would be asked for ever faster where the end cannot move: break-glass.
const SHORTEST_REFRESH: Duration = Duration::from_secs(10);

/// What is renewed has at least so long left then.
const NEAR_THE_END: Duration = Duration::from_secs(3);

/// Both clocks at one moment. The wall clock can be set back and the monotonic one stands still while a laptop sleeps:
/// something is over as soon as either says so.
#[derive(Clone, Copy, Debug)]
pub(super) struct Now {
    wall: Moment,
    up: Duration,
}

/// A moment to come, on both clocks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Deadline {
    wall: Moment,
    up: Duration,
}

/// A die between 0 and 999.
#[derive(Clone, Copy, Debug)]
pub(super) struct Die(pub(super) u32);

/// A grant's place.
#[derive(Debug, Default)]
pub(super) struct Slot {
    live: Option<Live>,
    /// With the moment until which it is the answer.
    trouble: Option<(Trouble, Deadline)>,
    failures: u32,
    /// The background waits until then.
    retry: Option<Deadline>,
    /// When somebody asked last.
    asked: Duration,
}

/// A credential, ready to be sent.
struct Live {
    body: Zeroizing<Vec<u8>>,
    expiration: String,
    ends: Deadline,
    refresh: Deadline,
    /// Of the token that it was given for.
    subject: Fingerprint,
    /// Did anybody get it? One that nobody wants is not replaced: idle grants end by themselves.
    delivered: bool,
}

/// Why there is no (new) credential.
#[derive(Clone, Debug)]
pub(super) struct Trouble {
    pub(super) kind: Kind,
    /// One line for whoever asked.
    pub(super) message: String,
}

/// What kind of trouble.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// The broker's no to the grant.
    Denied,
    /// The broker's no to the token, or to how it was asked.
    Invalid,
    /// Nothing was heard that counts: it may be different in a moment.
    Passing,
}

/// What to do with a request.
pub(super) enum Look {
    /// Send this. It is time to get the next one when `due`.
    Serve { body: Vec<u8>, due: bool },
    /// Say why not.
    Refuse(Trouble),
    /// Ask the broker.
    Ask,
}

/// What is worth a line: only what changes.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum News {
    None,
    /// No new credential, for this reason. What lives is served until then, if anything lives.
    Failing {
        why: String,
        until: Option<String>,
    },
    /// The broker says no.
    Refused {
        why: String,
    },
    /// Well again.
    Renewed {
        until: String,
    },
}

/// One grant in the status.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(super) struct SlotStatus {
    /// `live`, `refused`, `failing` (nothing lives and the broker cannot be asked) or `empty`.
    pub(super) state: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) expires_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) last_error: Option<String>,
}

impl Now {
    pub(super) fn of(clock: &dyn Clock) -> Self {
        Self { wall: clock.now(), up: clock.uptime() }
    }

    fn after(self, span: Duration) -> Deadline {
        Deadline { wall: self.wall.plus(span), up: self.up.saturating_add(span) }
    }
}

impl Deadline {
    fn has_passed(self, now: Now) -> bool {
        now.wall >= self.wall || now.up >= self.up
    }
}

impl Trouble {
    /// It may be different in a moment.
    pub(super) fn passing(message: String) -> Self {
        Self { kind: Kind::Passing, message }
    }

    fn is_refusal(&self) -> bool {
        self.kind != Kind::Passing
    }
}

impl Die {
    /// Between `low` and `high` thousandths of `span`.
    fn part(self, span: Duration, low: u32, high: u32) -> Duration {
        span * (low + (high - low) * self.0.min(999) / 999) / 1_000
    }
}

impl Slot {
    /// Somebody asks.
    pub(super) fn look(&mut self, now: Now) -> Look {
        self.asked = now.up;
        self.drop_ended(now);
        let due = self.refresh_is_due(now);
        if let Some(live) = &mut self.live {
            live.delivered = true;
            return Look::Serve { body: live.body.to_vec(), due };
        }
        match &self.trouble {
            Some((trouble, again)) if !again.has_passed(now) => Look::Refuse(trouble.clone()),
            _ => Look::Ask,
        }
    }

    /// Is it time to get the next credential although nobody waits for it?
    pub(super) fn is_due(&self, now: Now) -> bool {
        self.live.as_ref().is_some_and(|live| live.delivered && !live.ends.has_passed(now))
            && self.refresh_is_due(now)
    }

    /// Is there nothing left to remember?
    pub(super) fn is_over(&self, now: Now) -> bool {
        let ended = self.live.as_ref().is_none_or(|live| live.ends.has_passed(now));
        ended && (self.trouble.is_none() || now.up.saturating_sub(self.asked) > MEMORY)
    }

    /// For making room: who has nothing goes first, then who was not asked for longest.
    pub(super) fn worth(&self) -> (bool, Duration) {
        (self.live.is_some(), self.asked)
    }

    /// The broker gave this for the token `subject`, which was sent at `asked`.
    pub(super) fn keep(
        &mut self,
        asked: Now,
        given: &Given,
        aws: &AwsGiven,
        subject: Fingerprint,
        die: Die,
    ) -> News {
        let Some(life) = life(asked, given, aws) else {
            let why = format!("by this machine's clock, what the broker gave ends now: {}", aws.expiration);
            return self.fail(asked, why, None, die);
        };
        let refresh = die.part(life + LAST_MOMENT, 500, 600).max(SHORTEST_REFRESH);
        // So near to an end that cannot move, the broker has nothing better to give.
        let refresh = if refresh + NEAR_THE_END > life { life } else { refresh };
        let was_failing = self.trouble.take().is_some();
        (self.failures, self.retry) = (0, None);
        self.live = Some(Live {
            body: container_answer(aws),
            expiration: aws.expiration.clone(),
            ends: asked.after(life),
            refresh: asked.after(refresh),
            subject,
            delivered: false,
        });
        if was_failing { News::Renewed { until: aws.expiration.clone() } } else { News::None }
    }

    /// The broker said no to the token `subject`. What lives is served no longer, but for one case: the very token that it
    /// was given for is not taken a second time. That says nothing about the grant; the token's owner has not renewed it.
    pub(super) fn refuse(
        &mut self,
        now: Now,
        refusal: &OauthRefusal,
        subject: Fingerprint,
        die: Die,
    ) -> News {
        self.drop_ended(now);
        let same_token = self.live.as_ref().is_some_and(|live| live.subject == subject);
        if refusal.is_about_the_token() && same_token {
            let why = format!("the broker does not take the same token again: {}", refusal.brief());
            return self.fail(now, why, None, die);
        }
        let was_refused = self.trouble.as_ref().is_some_and(|(trouble, _)| trouble.is_refusal());
        self.live = None;
        (self.failures, self.retry) = (0, None);
        let message = format!("the broker refused: {}", refusal.brief());
        let kind = if refusal.is_about_the_token() { Kind::Invalid } else { Kind::Denied };
        let trouble = Trouble { kind, message };
        self.trouble = Some((trouble, now.after(REFUSAL)));
        if was_refused { News::None } else { News::Refused { why: refusal.brief() } }
    }

    /// The broker could not be asked, or had no answer that counts. What lives goes on.
    pub(super) fn fail(&mut self, now: Now, why: String, wish: Option<Duration>, die: Die) -> News {
        self.drop_ended(now);
        let was_failing = self.trouble.as_ref().is_some_and(|(trouble, _)| !trouble.is_refusal());
        self.failures = self.failures.saturating_add(1);
        let wait = FIRST_WAIT.saturating_mul(1 << self.failures.saturating_sub(1).min(8)).min(LONGEST_WAIT);
        let wish = wish.unwrap_or_default().min(LONGEST_WISH);
        self.retry = Some(now.after(die.part(wait, 500, 1_000).max(wish)));
        self.trouble = Some((Trouble::passing(why.clone()), now.after(FAILURE)));
        if was_failing {
            return News::None;
        }
        News::Failing { why, until: self.live.as_ref().map(|live| live.expiration.clone()) }
    }

    pub(super) fn status(&self, now: Now) -> SlotStatus {
        let live = self.live.as_ref().filter(|live| !live.ends.has_passed(now));
        let state = match (live, &self.trouble) {
            (Some(_), _) => "live",
            (None, Some((trouble, _))) if trouble.is_refusal() => "refused",
            (None, Some(_)) => "failing",
            (None, None) => "empty",
        };
        SlotStatus {
            state,
            expires_at: live.map(|live| live.expiration.clone()),
            last_error: self.trouble.as_ref().map(|(trouble, _)| trouble.message.clone()),
        }
    }

    fn refresh_is_due(&self, now: Now) -> bool {
        self.live.as_ref().is_some_and(|live| live.refresh.has_passed(now))
            && self.retry.is_none_or(|retry| retry.has_passed(now))
    }

    fn drop_ended(&mut self, now: Now) {
        if self.live.as_ref().is_some_and(|live| live.ends.has_passed(now)) {
            self.live = None;
        }
    }
}

impl std::fmt::Debug for Live {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Live").field("expiration", &self.expiration).finish_non_exhaustive()
    }
}

/// How long it can be served. By what the broker says is left, because this machine's clock may be behind; and by the end
/// that SDKs look at, because `expires_in` was rounded up.
fn life(asked: Now, given: &Given, aws: &AwsGiven) -> Option<Duration> {
    let ends: Moment = aws.expiration.parse().ok()?;
    let left = Duration::from_secs(given.expires_in).min(ends.since(asked.wall));
    left.checked_sub(LAST_MOMENT).filter(|life| !life.is_zero())
}

/// As SDKs read it from a container's endpoint.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct ContainerAnswer<'a> {
    access_key_id: &'a str,
    secret_access_key: &'a str,
    token: &'a str,
    expiration: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    role_arn: Option<&'a str>,
}

fn container_answer(aws: &AwsGiven) -> Zeroizing<Vec<u8>> {
    let answer = ContainerAnswer {
        access_key_id: &aws.access_key_id,
        secret_access_key: aws.secret_access_key.expose(),
        token: aws.session_token.expose(),
        expiration: &aws.expiration,
        role_arn: aws.role_arn.as_deref(),
    };
    // Strings always have a JSON form.
    Zeroizing::new(serde_json::to_vec(&answer).unwrap_or_default())
}
