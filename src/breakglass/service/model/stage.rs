//! The real thing, led through a history, and compared with the model after each step.

use std::time::Duration;

use futures_util::future::join_all;
use proptest::prelude::*;
use proptest::test_runner::TestCaseError;

use super::history::{Cut, Edge, Rules, Scopes, Step, Target, Who};
use super::oracle::{Ask, At, Locked, Oracle, Reasons, Stand};
use super::record::{Auditor, mint_entry};
use super::words::{agreed, keyed, names, reason_of, span, text_of, yes};
use crate::audit::tests::Bench;
use crate::audit::{Effect, Submission};
use crate::breakglass::service::tests::world::*;
use crate::breakglass::service::{BreakGlassError, IdempotencyKey, NewRequest, OpenWindow, Outcome};
use crate::breakglass::{Change, Elevation};
use crate::clock::Moment;
use crate::ids::{ElevationId, GrantName, LockId};
use crate::locks::OwnedSubjects;
use crate::locks::service::NewLock;
use crate::people::Caller;
use crate::store::ElevationGuard;

type Checked = Result<(), TestCaseError>;

const DAY: At = 86_400_000;

/// A mint that was decided on and is not written yet.
struct Ticket {
    which: usize,
    by: Caller,
    window: OpenWindow,
}

pub(super) struct Stage {
    world: Option<World>,
    oracle: Oracle,
    auditor: Auditor,
    ids: Vec<ElevationId>,
    locks: Vec<LockId>,
    tickets: Vec<Ticket>,
    keys: u64,
}

impl Stage {
    pub(super) async fn new() -> Self {
        // In memory where there is such a folder: what is tested is SQLite, not the disk.
        let folder = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
        let world = World::with(Bench::in_folder(folder), Start::default()).await;
        world.set_policy(&text_of(Rules::Full));
        let now = world.now().unix_millis();
        let oracle =
            Oracle { now, seen: now, written: now, rules: Rules::Full, locks: Vec::new(), lives: Vec::new() };
        let auditor = Auditor::default();
        let (ids, locks, tickets) = (Vec::new(), Vec::new(), Vec::new());
        Self { world: Some(world), oracle, auditor, ids, locks, tickets, keys: 0 }
    }

    fn world(&self) -> &World {
        self.world.as_ref().unwrap()
    }

    pub(super) async fn play(mut self, steps: &[Step]) -> Result<Self, TestCaseError> {
        for (number, step) in steps.iter().enumerate() {
            let done = match self.take(step).await {
                Ok(()) => self.compare().await,
                Err(error) => Err(error),
            };
            done.map_err(|error| TestCaseError::fail(format!("step {number}, {step:?}: {error}")))?;
        }
        self.settle().await?;
        Ok(self)
    }

    /// Everything comes to its end; then the log is read.
    async fn settle(&mut self) -> Checked {
        self.tickets.clear();
        while let Some(lock) = self.locks.first().copied() {
            self.lift(lock).await?;
        }
        self.rule(Rules::Full);
        self.compare().await?;
        self.set_clock(self.oracle.seen.max(self.oracle.commit()) + DAY);
        self.sweep().await;
        self.compare().await?;
        for life in &self.oracle.lives {
            prop_assert!(matches!(life.stand, Stand::Over(_)), "still open after a day: {life:?}");
        }
        let world = self.world.as_ref().unwrap();
        self.auditor.read(&world.log, &self.ids, &*world.store).await?;
        self.oracle.lives.clear();
        self.ids.clear();
        Ok(())
    }

    /// The whole log once more, by nothing but its entries and its signed checkpoint.
    pub(super) async fn close(mut self) {
        let world = self.world.take().unwrap();
        self.auditor.close(&world.log, &world.bench.key()).await;
        world.log.drain().await;
    }

    async fn take(&mut self, step: &Step) -> Checked {
        match step {
            Step::Request { by, seconds, scopes, wait, twice } => {
                self.request(*by, *seconds, *scopes, *wait, *twice).await
            }
            Step::Lock { on, minutes } => self.lock(*on, *minutes).await,
            Step::Lift(which) if !self.locks.is_empty() => {
                self.lift(self.locks[which % self.locks.len()]).await
            }
            Step::Mint { by, which, at_once } => self.mint(*by, *which, *at_once).await,
            Step::Deliver => self.deliver().await,
            Step::Sweep => {
                self.sweep().await;
                Ok(())
            }
            Step::Restart => {
                self.restart().await;
                Ok(())
            }
            Step::Policy(rules) => {
                self.rule(*rules);
                Ok(())
            }
            Step::Forward(millis) => {
                self.set_clock(self.oracle.now + millis);
                Ok(())
            }
            Step::Back(millis) => {
                self.set_clock(self.oracle.now - millis);
                Ok(())
            }
            Step::Lift(_) => Ok(()),
            _ if self.ids.is_empty() => Ok(()),
            step => self.take_on_one(step).await,
        }
    }

    async fn take_on_one(&mut self, step: &Step) -> Checked {
        let pick = |which: usize| which % self.ids.len();
        match step {
            Step::Approve { by, which, cut, twice } => self.approve(*by, pick(*which), *cut, *twice).await,
            Step::Race { which, votes } => self.race(pick(*which), votes).await,
            Step::Deny { by, which } => {
                let which = pick(*which);
                let (reasons, caller) = (self.oracle.refuses_denial(*by, which), self.caller(*by));
                let answer = self.world().glass.deny(&caller, self.ids[which], "no".to_owned(), None).await;
                self.stopped(which, "denied", &reasons, answer)
            }
            Step::Withdraw { by, which } => {
                let which = pick(*which);
                let (reasons, caller) = (self.oracle.refuses_withdrawal(*by, which), self.caller(*by));
                let answer = self.world().glass.withdraw(&caller, self.ids[which], None).await;
                self.stopped(which, "withdrawn", &reasons, answer)
            }
            Step::End { by, which } => {
                let which = pick(*which);
                let (reasons, caller) = (self.oracle.refuses_end(*by, which), self.caller(*by));
                let answer = self.world().glass.end(&caller, self.ids[which], None).await;
                self.stopped(which, "ended", &reasons, answer)
            }
            Step::Revoke { by, which, twice } => self.revoke(*by, pick(*which), *twice).await,
            Step::ForwardTo { edge, which, beside } => {
                let life = &self.oracle.lives[pick(*which)];
                let to = match edge {
                    Edge::Deadline => life.deadline(),
                    Edge::Opening => life.window.map(|(start, _)| start),
                    Edge::Warning => life.window.map(|(_, end)| end - 300_000),
                };
                if let Some(to) = to.map(|to| to + beside).filter(|to| *to > self.oracle.now) {
                    self.set_clock(to);
                }
                Ok(())
            }
            other => unreachable!("{other:?}"),
        }
    }

    async fn request(
        &mut self,
        by: Who,
        seconds: i64,
        scopes: Option<Scopes>,
        wait: Option<i64>,
        twice: bool,
    ) -> Checked {
        let not_before = wait.map(|wait| self.oracle.now + wait);
        let ask = Ask { by, duration: seconds * 1_000, scopes: scopes.unwrap_or(0b11), not_before };
        let reasons = self.oracle.refuses_request(&ask);
        self.oracle.look();
        let new = NewRequest {
            duration: span(ask.duration),
            scope: scopes.map(|scopes| scope(&names(scopes))),
            not_before: not_before.map(Moment::from_unix_millis),
            ..new()
        };
        let (caller, key) = (self.caller(by), self.key());
        let keyed = twice.then(|| keyed(&key, "request"));
        let answer = self.world().glass.request(&caller, new.clone(), keyed).await;
        let Some(made) = agreed(&reasons, answer)? else { return Ok(()) };
        self.oracle.request(&ask);
        self.ids.push(made.id);
        if twice {
            let size = self.world().log.size();
            let again = self.world().glass.request(&caller, new, keyed).await;
            self.same_again(&made, again, size)?;
        }
        Ok(())
    }

    async fn approve(&mut self, by: Who, which: usize, cut: Cut, twice: bool) -> Checked {
        let reasons = self.oracle.refuses_approval(by, which, cut);
        if !reasons.contains("not_found") {
            self.oracle.look();
        }
        let (caller, key, id) = (self.caller(by), self.key(), self.ids[which]);
        let keyed = twice.then(|| keyed(&key, "approve"));
        let answer = self.world().glass.approve(&caller, id, yes(cut), keyed).await;
        let Some(made) = agreed(&reasons, answer)? else { return Ok(()) };
        self.oracle.approve(by, which, cut);
        if twice {
            let size = self.world().log.size();
            let again = self.world().glass.approve(&caller, id, yes(cut), keyed).await;
            self.same_again(&made, again, size)?;
        }
        Ok(())
    }

    /// All at once. The log says in which order they came; in that order each must have been right.
    async fn race(&mut self, which: usize, votes: &[(Who, Cut)]) -> Checked {
        let (id, from) = (self.ids[which], self.world().log.size());
        let callers: Vec<Caller> = votes.iter().map(|(by, _)| self.caller(*by)).collect();
        let glass = &self.world().glass;
        let racing = votes.iter().zip(&callers);
        let racing = racing.map(|((_, cut), caller)| glass.approve(caller, id, yes(*cut), None));
        let answers = join_all(racing).await;
        let refused = |oracle: &Oracle| -> Vec<Reasons> {
            votes.iter().map(|(by, cut)| oracle.refuses_approval(*by, which, *cut)).collect()
        };
        let mut reasons = refused(&self.oracle);
        if reasons.iter().any(|reasons| !reasons.contains("not_found")) {
            self.oracle.look();
        }
        let mut counted = Vec::new();
        for name in self.auditor.approvals_since(&self.world().log, from).await {
            let (by, cut) = *votes.iter().find(|(by, _)| by.name() == name).unwrap();
            let against = self.oracle.refuses_approval(by, which, cut);
            prop_assert!(against.is_empty(), "{by:?} counted in spite of {against:?}");
            self.oracle.approve(by, which, cut);
            counted.push(by);
            for (all, more) in reasons.iter_mut().zip(refused(&self.oracle)) {
                all.extend(more);
            }
        }
        for (((by, _), answer), reasons) in votes.iter().zip(answers).zip(reasons) {
            match answer {
                Ok(_) => prop_assert!(counted.contains(by), "{by:?} was told yes"),
                Err(error) => prop_assert!(reasons.contains(error.code()), "{by:?}: {error:?} {reasons:?}"),
            }
        }
        Ok(())
    }

    async fn revoke(&mut self, by: Who, which: usize, twice: bool) -> Checked {
        let reasons = self.oracle.refuses_revocation(by, which);
        let (caller, key, id) = (self.caller(by), self.key(), self.ids[which]);
        let keyed = twice.then(|| keyed(&key, "revoke"));
        let answer = self.world().glass.revoke(&caller, id, "no".to_owned(), keyed).await;
        let done = answer.as_ref().ok().map(|outcome| outcome.elevation.clone());
        self.stopped(which, "revoked", &reasons, answer)?;
        if let Some(done) = done.filter(|_| twice) {
            let size = self.world().log.size();
            let again = self.world().glass.revoke(&caller, id, "no".to_owned(), keyed).await;
            self.same_again(&done, again, size)?;
        }
        Ok(())
    }

    fn stopped(
        &mut self,
        which: usize,
        as_what: &'static str,
        reasons: &Reasons,
        answer: Result<Outcome, BreakGlassError>,
    ) -> Checked {
        if agreed(reasons, answer)?.is_some() {
            self.oracle.stop(which, as_what);
        }
        Ok(())
    }

    fn same_again(&self, first: &Elevation, again: Result<Outcome, BreakGlassError>, size: u64) -> Checked {
        let again = again.map_err(|error| TestCaseError::fail(format!("the same again: {error:?}")))?;
        prop_assert_eq!(&again.elevation, first);
        prop_assert_eq!(self.world().log.size(), size, "the same again was written again");
        Ok(())
    }

    async fn mint(&mut self, by: Who, which: Option<usize>, at_once: bool) -> Checked {
        if which.is_some() && self.ids.is_empty() {
            return Ok(());
        }
        let which = which.map(|which| which % self.ids.len());
        let expected = self.oracle.mint(by, which);
        self.oracle.look();
        let caller = self.caller(by);
        let named = which.map(|which| self.ids[which]);
        let answer = self.world().window_of(&caller, GRANT, named).await;
        match (answer, expected) {
            (Ok(window), Ok(which)) => {
                self.fits(which, &window)?;
                self.tickets.push(Ticket { which, by: caller, window });
                if at_once { self.deliver().await } else { Ok(()) }
            }
            (Err(error), Err(reason)) => {
                prop_assert_eq!(reason_of(&error), reason);
                Ok(())
            }
            (answer, expected) => Err(TestCaseError::fail(format!("{answer:?}, not {expected:?}"))),
        }
    }

    fn fits(&self, which: usize, open: &OpenWindow) -> Checked {
        let life = &self.oracle.lives[which];
        let found = &open.elevation;
        let window = (found.starts_at.unix_millis(), found.ends_at.unix_millis());
        prop_assert_eq!(found.id, self.ids[which]);
        prop_assert_eq!(Some(window), life.window);
        prop_assert_eq!(open.scope.clone(), Some(scope(&names(life.scopes))));
        prop_assert!(found.approvals >= 2);
        Ok(())
    }

    /// The commits of all mints that were decided on, however long ago that was.
    async fn deliver(&mut self) -> Checked {
        for ticket in std::mem::take(&mut self.tickets) {
            let found = &ticket.window.elevation;
            let (world, which) = (self.world(), ticket.which);
            let is_same = world.stored(found.id).await.version == found.version;
            let guard = ElevationGuard { id: found.id, version: found.version, before: found.ends_at };
            let unlocked = world.locks.guard(OwnedSubjects {
                principals: vec![ticket.by.id().clone()],
                grant: Some(GrantName::new(GRANT).unwrap()),
                elevation: Some(found.id),
            });
            let mint = Submission::new(ticket.by.request_id, mint_entry(&ticket.by, &ticket.window));
            let mint = mint.with(vec![Effect::RequireElevation(guard)]).only_if(unlocked);
            let answer = world.log.record(mint).await;
            let expected = is_same && self.oracle.delivers(which);
            prop_assert_eq!(answer.is_ok(), expected, "{:?}", answer);
        }
        Ok(())
    }

    async fn lock(&mut self, on: Target, minutes: Option<u64>) -> Checked {
        let (on, target) = match on {
            Target::All => (Locked::All, "all".to_owned()),
            Target::Vendor => (Locked::Issuer("vendor"), "issuer:vendor".to_owned()),
            Target::Customer => (Locked::Issuer("customer"), "issuer:customer".to_owned()),
            Target::Grant => (Locked::Grant, format!("grant:{GRANT}")),
            Target::Person(who) => (Locked::Person(who), format!("principal:{}", who.name())),
            Target::Elevation(_) if self.ids.is_empty() => return Ok(()),
            Target::Elevation(which) => {
                let which = which % self.ids.len();
                (Locked::Elevation(which), format!("elevation:{}", self.ids[which]))
            }
        };
        let ttl = minutes.map(Duration::from_mins);
        let new = NewLock { target: target.parse().unwrap(), reason: "an incident".to_owned(), ttl };
        let olga = self.world().caller("customer|olga");
        let view = self.world().locks.set(&olga, new, None).await.unwrap();
        prop_assert!(view.recorded);
        self.locks.push(view.lock.id);
        self.oracle.locks.push((on, view.lock.until.map(Moment::unix_millis)));
        Ok(())
    }

    async fn lift(&mut self, lock: LockId) -> Checked {
        let place = self.locks.iter().position(|id| *id == lock).unwrap();
        let holds = self.oracle.locks[place].1.is_none_or(|until| self.oracle.now < until);
        let olga = self.world().caller("customer|olga");
        let answer = self.world().locks.lift(&olga, lock).await;
        prop_assert_eq!(answer.is_ok(), holds, "{:?}", answer);
        self.locks.remove(place);
        self.oracle.locks.remove(place);
        if !holds {
            // It ended by itself; the next pass of the background writes that down.
            self.world().locks.tick().await;
            let now = self.oracle.now;
            let ended = |until: &Option<At>| until.is_some_and(|until| until <= now);
            let kept: Vec<bool> = self.oracle.locks.iter().map(|(_, until)| !ended(until)).collect();
            let mut each = kept.iter();
            self.locks.retain(|_| *each.next().unwrap());
            self.oracle.forget_ended_locks();
        }
        Ok(())
    }

    async fn sweep(&mut self) {
        self.world().glass.sweep().await;
        self.world().locks.tick().await;
        self.oracle.sweep();
        let now = self.oracle.now;
        let mut each = self.oracle.locks.iter().map(|(_, until)| until.is_none_or(|until| now < until));
        self.locks.retain(|_| each.next().unwrap());
        self.oracle.forget_ended_locks();
    }

    async fn restart(&mut self) {
        self.tickets.clear();
        let world = self.world.take().unwrap().restart_quickly().await;
        world.glass.remember_open().await.unwrap();
        let written = world.log.last_at().map_or(0, Moment::unix_millis);
        self.oracle.seen = written;
        self.world = Some(world);
    }

    fn rule(&mut self, rules: Rules) {
        if self.oracle.rules != rules {
            self.world().set_policy(&text_of(rules));
            self.oracle.rules = rules;
        }
    }

    fn set_clock(&mut self, to: At) {
        self.world().bench.clock.set(Moment::from_unix_millis(to));
        self.oracle.now = to;
    }

    /// What is stored is what the model says, nothing more and nothing less.
    async fn compare(&mut self) -> Checked {
        let world = self.world.as_ref().unwrap();
        let written = world.log.last_at().map_or(self.oracle.written, Moment::unix_millis);
        // The sweeper's are of the latest that was seen, also when the clock has stepped back a little since.
        let allowed = [self.oracle.written, self.oracle.commit(), self.oracle.commit().max(self.oracle.seen)];
        prop_assert!(allowed.contains(&written), "an entry of {written}, not of {allowed:?}");
        self.oracle.written = written;
        prop_assert_eq!(world.now().unix_millis(), self.oracle.now);
        for (id, life) in self.ids.iter().zip(&self.oracle.lives) {
            let stored = world.stored(*id).await;
            let name = match life.stand {
                Stand::Requested => "requested",
                Stand::Approved => "approved",
                Stand::Active => "active",
                Stand::Over(name) => name,
            };
            let warned = stored.history.iter().filter(|line| line.event == Change::Warned).count() as u64;
            let window = stored.window();
            let window = window.map(|window| (window.starts_at.unix_millis(), window.ends_at.unix_millis()));
            let yes = stored.approvals.iter().map(|approval| approval.by.id().to_string());
            prop_assert_eq!(stored.state_name().as_str(), name, "{:?}", life);
            prop_assert_eq!(window, life.window, "{:?}", life);
            prop_assert_eq!(stored.version, life.changes + warned, "{:?}", stored.history);
            prop_assert!(warned <= 2);
            prop_assert_eq!(stored.duration(), span(life.kept));
            prop_assert_eq!(stored.scope(), Some(scope(&names(life.scopes))));
            prop_assert!(yes.eq(life.yes.iter().map(|who| who.name())), "{:?}", stored.approvals);
        }
        Ok(())
    }

    fn caller(&self, who: Who) -> Caller {
        self.world().caller(who.name())
    }

    fn key(&mut self) -> IdempotencyKey {
        self.keys += 1;
        IdempotencyKey::new(&format!("key-{}", self.keys)).unwrap()
    }
}
