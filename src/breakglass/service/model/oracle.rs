//! The model: numbers and short rules, written from the promises and not from the machine. Of every step it says for which
//! reasons it may be refused (none: it must be done) and what becomes of it.

use std::collections::BTreeSet;

use super::history::{Cut, Rules, Scopes, Who};

/// Every reason that holds now. Which of them the caller is told is not a promise.
pub(super) type Reasons = BTreeSet<&'static str>;

/// Milliseconds.
pub(super) type At = i64;

const HOUR: At = 3_600_000;
const DAY: At = 24 * HOUR;
/// How far back a clock may step.
const BOUND: At = 30_000;
const GRANT_SCOPES: Scopes = 0b11;
const OPEN_PER_PERSON: usize = 5;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stand {
    Requested,
    Approved,
    Active,
    Over(&'static str),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Locked {
    All,
    Issuer(&'static str),
    Grant,
    Person(Who),
    Elevation(usize),
}

#[derive(Clone, Debug)]
pub(super) struct Life {
    pub(super) requester: Who,
    pub(super) asked: At,
    /// What is left of it.
    pub(super) kept: At,
    pub(super) asked_scopes: Scopes,
    pub(super) scopes: Scopes,
    pub(super) not_before: Option<At>,
    pub(super) expires: At,
    pub(super) yes: Vec<Who>,
    pub(super) stand: Stand,
    /// Start and end.
    pub(super) window: Option<(At, At)>,
    /// How often it changed; warnings are not counted here.
    pub(super) changes: u64,
}

pub(super) struct Ask {
    pub(super) by: Who,
    pub(super) duration: At,
    pub(super) scopes: Scopes,
    pub(super) not_before: Option<At>,
}

pub(super) struct Oracle {
    pub(super) now: At,
    /// The latest that anybody who begins something has seen.
    pub(super) seen: At,
    /// When the last entry was written.
    pub(super) written: At,
    pub(super) rules: Rules,
    pub(super) locks: Vec<(Locked, Option<At>)>,
    pub(super) lives: Vec<Life>,
}

impl Who {
    fn issuer(self) -> &'static str {
        self.name().split_once('|').unwrap().0
    }

    fn is_engineer(self) -> bool {
        matches!(self, Self::Ann | Self::Dan | Self::Eve)
    }

    fn is_approver_of_customer(self) -> bool {
        matches!(self, Self::Bob | Self::Cyd | Self::Fay | Self::Eve)
    }
}

impl Rules {
    fn let_approve(self, who: Who, duration: At) -> bool {
        match who {
            Who::Fay => self != Self::Empty && duration <= HOUR / 2,
            Who::Bob => self == Self::Full || self == Self::Three,
            Who::Cyd | Who::Eve | Who::BobOfVendor => self != Self::Empty,
            _ => false,
        }
    }

    const fn needed(self) -> usize {
        match self {
            Self::Three => 3,
            _ => 2,
        }
    }
}

impl Life {
    /// The first moment at which its state is over by itself.
    pub(super) fn deadline(&self) -> Option<At> {
        match self.stand {
            Stand::Requested => Some(self.expires),
            Stand::Approved | Stand::Active => self.window.map(|(_, end)| end),
            Stand::Over(_) => None,
        }
    }

    fn is_open_window(&self, at: At) -> bool {
        matches!(self.stand, Stand::Approved | Stand::Active)
            && self.window.is_some_and(|(start, end)| start <= at && at < end)
    }

    fn becomes(&mut self, stand: Stand) {
        self.stand = stand;
        self.changes += 1;
    }
}

fn when(reasons: &mut Reasons, holds: bool, reason: &'static str) {
    if holds {
        reasons.insert(reason);
    }
}

impl Oracle {
    /// What an entry's time would be now.
    pub(super) fn commit(&self) -> At {
        self.now.max(self.written)
    }

    fn is_rolled_back(&self) -> bool {
        self.seen - self.now > BOUND
    }

    /// Somebody begins something, and looks at the clock.
    pub(super) fn look(&mut self) {
        self.seen = self.seen.max(self.now);
    }

    fn is_locked(&self, people: &[Who], which: Option<usize>, at: At) -> bool {
        self.locks.iter().any(|(on, until)| {
            until.is_none_or(|until| at < until)
                && match on {
                    Locked::All | Locked::Grant => true,
                    Locked::Issuer(issuer) => people.iter().any(|who| who.issuer() == *issuer),
                    Locked::Person(who) => people.contains(who),
                    Locked::Elevation(locked) => which == Some(*locked),
                }
        })
    }

    fn sees(&self, who: Who, which: usize) -> bool {
        self.lives[which].requester == who
            || who.is_approver_of_customer()
            || matches!(who, Who::BobOfVendor | Who::Audrey)
    }

    /// Approvals that count at `at`: of people, never the requester, who may approve now what is left of it.
    fn counted(&self, which: usize, at: At) -> usize {
        let life = &self.lives[which];
        let people: BTreeSet<Who> = life.yes.iter().copied().collect();
        let counts = |who: &Who| {
            *who != life.requester
                && who.issuer() == "customer"
                && self.rules.let_approve(*who, life.kept)
                && !self.is_locked(&[*who], Some(which), at)
        };
        people.into_iter().filter(counts).count()
    }

    fn has_quorum(&self, which: usize, at: At) -> bool {
        self.counted(which, at) >= self.rules.needed()
    }

    pub(super) fn refuses_request(&self, ask: &Ask) -> Reasons {
        let mut reasons = Reasons::new();
        let open = |life: &&Life| life.requester == ask.by && !matches!(life.stand, Stand::Over(_));
        let later = ask.not_before;
        when(&mut reasons, self.is_rolled_back(), "unavailable");
        when(&mut reasons, !ask.by.is_engineer(), "grant_unavailable");
        when(&mut reasons, ask.duration > 2 * HOUR, "policy");
        when(&mut reasons, ask.duration > 4 * HOUR || ask.duration < 1_000, "duration");
        when(&mut reasons, later.is_some_and(|at| at <= self.now || at > self.now + 14 * DAY), "not_before");
        when(&mut reasons, ask.scopes == 0 || ask.scopes & !GRANT_SCOPES != 0, "scope");
        when(&mut reasons, self.is_locked(&[ask.by], None, self.now), "locked");
        when(&mut reasons, self.lives.iter().filter(open).count() >= OPEN_PER_PERSON, "too_many_of_yours");
        when(&mut reasons, self.commit() >= self.expiry(ask), "too_late");
        reasons
    }

    fn expiry(&self, ask: &Ask) -> At {
        let waits = self.now + HOUR;
        ask.not_before.map_or(waits, |start| waits.min(start + ask.duration))
    }

    pub(super) fn request(&mut self, ask: &Ask) {
        self.lives.push(Life {
            requester: ask.by,
            asked: ask.duration,
            kept: ask.duration,
            asked_scopes: ask.scopes,
            scopes: ask.scopes,
            not_before: ask.not_before,
            expires: self.expiry(ask),
            yes: Vec::new(),
            stand: Stand::Requested,
            window: None,
            changes: 1,
        });
    }

    fn wrong_time(&self, which: usize, fits: bool, reasons: &mut Reasons) {
        let is_late = self.lives[which].deadline().is_some_and(|deadline| deadline <= self.commit());
        when(reasons, is_late, "too_late");
        when(reasons, !fits, "wrong_state");
    }

    fn no_approver(&self, by: Who, which: usize, reasons: &mut Reasons) {
        when(reasons, !self.sees(by, which), "not_found");
        when(reasons, self.lives[which].requester == by, "requester_cannot_decide");
        when(reasons, by.issuer() != "customer", "issuer_may_not_approve");
    }

    pub(super) fn refuses_approval(&self, by: Who, which: usize, cut: Cut) -> Reasons {
        let mut reasons = Reasons::new();
        let life = &self.lives[which];
        let (kept, scopes) = narrowed(life, cut);
        self.no_approver(by, which, &mut reasons);
        self.wrong_time(which, life.stand == Stand::Requested, &mut reasons);
        when(&mut reasons, self.is_rolled_back(), "unavailable");
        when(&mut reasons, self.is_locked(&[life.requester, by], Some(which), self.now), "locked");
        when(&mut reasons, !self.rules.let_approve(by, kept), "policy");
        when(&mut reasons, life.yes.contains(&by), "approved_already");
        let widens = cut.seconds.is_some_and(|cut| cut * 1_000 > life.asked)
            || cut.scopes.is_some_and(|cut| cut & !life.asked_scopes != 0);
        when(&mut reasons, widens, "approval_widens");
        let is_short = life.window_of(kept, self.now).1 <= self.now;
        when(&mut reasons, kept < 1_000 || scopes == 0 || is_short, "nothing_left");
        reasons
    }

    pub(super) fn approve(&mut self, by: Who, which: usize, cut: Cut) {
        let life = &mut self.lives[which];
        (life.kept, life.scopes) = narrowed(life, cut);
        life.yes.push(by);
        life.changes += 1;
        if self.has_quorum(which, self.now) {
            let life = &mut self.lives[which];
            life.window = Some(life.window_of(life.kept, self.now));
            life.stand = Stand::Approved;
            self.open_if_due(which, self.now);
        }
    }

    /// Everything is decided again at the opening.
    fn open_if_due(&mut self, which: usize, at: At) {
        let life = &self.lives[which];
        let in_time = life.window.is_some_and(|(_, end)| self.commit() < end);
        let locked = [at, self.commit()].iter().any(|at| self.is_locked(&[life.requester], Some(which), *at));
        let due = life.stand == Stand::Approved && life.is_open_window(at);
        if due && in_time && !locked && self.has_quorum(which, at) {
            self.lives[which].becomes(Stand::Active);
        }
    }

    pub(super) fn refuses_denial(&self, by: Who, which: usize) -> Reasons {
        let mut reasons = Reasons::new();
        let life = &self.lives[which];
        self.no_approver(by, which, &mut reasons);
        self.wrong_time(which, life.stand == Stand::Requested, &mut reasons);
        let may = self.rules.let_approve(by, life.kept) || self.rules.let_approve(by, 1_000);
        when(&mut reasons, !may, "policy");
        reasons
    }

    pub(super) fn refuses_withdrawal(&self, by: Who, which: usize) -> Reasons {
        self.refuses_to_requester(by, which, &[Stand::Requested, Stand::Approved])
    }

    pub(super) fn refuses_end(&self, by: Who, which: usize) -> Reasons {
        self.refuses_to_requester(by, which, &[Stand::Active])
    }

    fn refuses_to_requester(&self, by: Who, which: usize, from: &[Stand]) -> Reasons {
        let mut reasons = Reasons::new();
        let life = &self.lives[which];
        when(&mut reasons, !self.sees(by, which), "not_found");
        when(&mut reasons, life.requester != by, "not_the_requester");
        self.wrong_time(which, from.contains(&life.stand), &mut reasons);
        reasons
    }

    pub(super) fn refuses_revocation(&self, by: Who, which: usize) -> Reasons {
        let mut reasons = Reasons::new();
        let fits = matches!(self.lives[which].stand, Stand::Approved | Stand::Active);
        when(&mut reasons, !self.sees(by, which), "not_found");
        when(&mut reasons, !by.is_approver_of_customer(), "policy");
        self.wrong_time(which, fits, &mut reasons);
        reasons
    }

    pub(super) fn stop(&mut self, which: usize, as_what: &'static str) {
        let life = &mut self.lives[which];
        if matches!(as_what, "denied" | "withdrawn") {
            life.window = None;
        }
        life.becomes(Stand::Over(as_what));
    }

    /// Which elevation a mint would stand on, or why none. One that is approved and due is opened for it.
    pub(super) fn mint(&mut self, by: Who, named: Option<usize>) -> Result<usize, &'static str> {
        if self.is_rolled_back() {
            return Err("unavailable");
        }
        let fits = |which: &usize| {
            let life = &self.lives[*which];
            life.requester == by && named.is_none_or(|named| named == *which) && life.is_open_window(self.now)
        };
        let open: Vec<usize> = (0..self.lives.len()).filter(fits).collect();
        let active = open.iter().copied().filter(|which| self.lives[*which].stand == Stand::Active);
        let active: Vec<usize> = active.collect();
        let which = match (active.as_slice(), open.as_slice()) {
            ([one], _) | ([], [one]) => *one,
            ([], []) => return Err("no_elevation"),
            _ => return Err("ambiguous"),
        };
        if self.is_locked(&[by], Some(which), self.now) {
            return Err("locked");
        }
        if !self.has_quorum(which, self.now) {
            return Err("quorum_lost");
        }
        self.open_if_due(which, self.now);
        if self.lives[which].stand == Stand::Active { Ok(which) } else { Err("no_elevation") }
    }

    /// May a credential that was decided on be delivered now?
    pub(super) fn delivers(&self, which: usize) -> bool {
        let life = &self.lives[which];
        let locked =
            [self.now, self.commit()].iter().any(|at| self.is_locked(&[life.requester], Some(which), *at));
        life.stand == Stand::Active && life.window.is_some_and(|(_, end)| self.commit() < end) && !locked
    }

    /// The clock's own: what is over, what opens, which locks end.
    pub(super) fn sweep(&mut self) {
        let rolled_back = self.is_rolled_back();
        self.look();
        let at = self.seen;
        for which in 0..self.lives.len() {
            let life = &mut self.lives[which];
            if life.deadline().is_some_and(|deadline| deadline <= at) {
                let over = if life.stand == Stand::Active { "expired" } else { "lapsed" };
                life.becomes(Stand::Over(over));
            } else if !rolled_back {
                self.open_if_due(which, at);
            }
        }
    }

    pub(super) fn forget_ended_locks(&mut self) {
        let now = self.now;
        self.locks.retain(|(_, until)| until.is_none_or(|until| now < until));
    }
}

impl Life {
    /// From the asked start or now, to a whole second.
    fn window_of(&self, kept: At, now: At) -> (At, At) {
        let start = self.not_before.map_or(now, |start| start.max(now));
        (start, (start + kept) / 1_000 * 1_000)
    }
}

fn narrowed(life: &Life, cut: Cut) -> (At, Scopes) {
    let kept = cut.seconds.map_or(life.kept, |cut| life.kept.min(cut * 1_000));
    (kept, cut.scopes.map_or(life.scopes, |cut| life.scopes & cut))
}
