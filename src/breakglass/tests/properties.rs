//! Any commands, by anybody, at any time, under a policy that changes its mind: what must never be, never is.

use std::collections::BTreeSet;
use std::time::Duration;

use proptest::prelude::*;

use super::scene::*;
use crate::breakglass::*;

#[derive(Clone, Debug)]
enum Command {
    Approve {
        by: u8,
        seconds: Option<u64>,
        scopes: Option<Vec<&'static str>>,
    },
    Deny(u8),
    Withdraw(u8),
    Activate,
    End(u8),
    Revoke(u8),
    WriteDown,
    Warn,
    /// The clock moves, also back.
    Clock(i64),
    /// Policy wants so many from now on.
    Need(u32),
    /// Somebody loses or gets back the right to approve.
    Turn(u8),
}

fn commands() -> impl Strategy<Value = Vec<Command>> {
    let who = || 0_u8..5;
    let scopes = prop::option::of(prop::sample::subsequence(vec!["read", "write", "root"], 0..=3));
    let command = prop_oneof![
        6 => (who(), prop::option::of(0_u64..4_000), scopes)
            .prop_map(|(by, seconds, scopes)| Command::Approve { by, seconds, scopes }),
        1 => who().prop_map(Command::Deny),
        1 => who().prop_map(Command::Withdraw),
        4 => Just(Command::Activate),
        1 => who().prop_map(Command::End),
        1 => who().prop_map(Command::Revoke),
        2 => Just(Command::WriteDown),
        1 => Just(Command::Warn),
        3 => (-600_000_i64..900_000).prop_map(Command::Clock),
        1 => (0_u32..4).prop_map(Command::Need),
        1 => (1_u8..5).prop_map(Command::Turn),
    ];
    prop::collection::vec(command, 1..40)
}

/// What is asked for: scopes or none of AWS, at once or later.
fn asks() -> impl Strategy<Value = Ask> {
    (any::<bool>(), prop::option::of(1_u64..3_000)).prop_map(|(has_scope, later)| Ask {
        scope: has_scope.then(|| scope(&["read", "write"])),
        not_before: later.map(at),
        ..ask()
    })
}

struct History {
    elevation: Elevation,
    votes: Votes,
    now: Moment,
}

impl History {
    fn attempt(&mut self, command: &Command) -> Option<Elevation> {
        let (now, votes) = (self.now, &mut self.votes);
        let elevation = &self.elevation;
        match command {
            Command::Approve { by, seconds, scopes } => {
                let duration = seconds.map(Duration::from_secs);
                let approval = narrowed(yes(*by, now), duration, scopes.as_deref());
                elevation.approve(approval, votes).ok()
            }
            Command::Deny(by) => elevation.deny(act(*by, now), "no").ok(),
            Command::Withdraw(by) => elevation.withdraw(act(*by, now)).ok(),
            Command::Activate => elevation.activate(now, votes).ok(),
            Command::End(by) => elevation.end(act(*by, now)).ok(),
            Command::Revoke(by) => elevation.revoke(act(*by, now), "no").ok(),
            Command::WriteDown => elevation.passed(now),
            Command::Warn => elevation.warn(now).map(|(next, _)| next),
            Command::Clock(millis) => {
                self.now = Moment::from_unix_millis(now.unix_millis() + millis);
                None
            }
            Command::Need(needed) => {
                votes.needed = *needed;
                None
            }
            Command::Turn(who) => {
                let id = person(*who).id;
                if !votes.fallen.remove(&id) {
                    votes.fallen.insert(id);
                }
                None
            }
        }
    }

    /// Everybody but the requester who has approved and may.
    fn counted(&self, elevation: &Elevation) -> u32 {
        let people: BTreeSet<_> = elevation.approvals.iter().map(|approval| approval.by.id()).collect();
        let counts = |id: &&&crate::principal::PrincipalId| {
            **id != elevation.ask.requester.id() && !self.votes.fallen.contains(**id)
        };
        u32::try_from(people.iter().filter(counts).count()).unwrap()
    }

    fn check(&self, next: &Elevation, command: &Command) -> Result<(), TestCaseError> {
        let before = &self.elevation;
        prop_assert!(before.is_open(), "{command:?} led out of {}", before.state_name());
        prop_assert_eq!(next.version, before.version + 1);
        prop_assert_eq!(&next.ask, &before.ask);
        prop_assert!(next.history.starts_with(&before.history));
        prop_assert_eq!(next.history.len(), before.history.len() + 1);
        self.check_time(next, command)?;
        self.check_people(next)?;
        self.check_size(next)
    }

    /// Nothing but the clock's own changes happens at or after the deadline, and those not before it.
    fn check_time(&self, next: &Elevation, command: &Command) -> Result<(), TestCaseError> {
        let deadline = self.elevation.deadline().unwrap();
        prop_assert_eq!(matches!(command, Command::WriteDown), deadline <= self.now);
        if let (Some(old), Some(new)) = (self.elevation.window(), next.window()) {
            prop_assert_eq!(old, new, "a window moved");
        }
        if matches!(next.state, State::Active { .. }) {
            prop_assert!(next.is_active(self.now));
        }
        Ok(())
    }

    fn check_people(&self, next: &Elevation) -> Result<(), TestCaseError> {
        let requester = next.ask.requester.id();
        let people: BTreeSet<_> = next.approvals.iter().map(|approval| approval.by.id()).collect();
        prop_assert_eq!(people.len(), next.approvals.len(), "somebody approved twice");
        prop_assert!(!people.contains(requester));
        let opens = self.elevation.state_name() != next.state_name()
            && matches!(next.state, State::Approved { .. } | State::Active { .. });
        if opens {
            let counted = self.counted(next);
            prop_assert!(counted >= self.votes.needed.max(1), "{} opened with {counted}", next.state_name());
        }
        if let State::Active { quorum, .. } = next.state
            && opens
        {
            prop_assert_eq!(quorum, self.counted(next));
        }
        Ok(())
    }

    fn check_size(&self, next: &Elevation) -> Result<(), TestCaseError> {
        let before = &self.elevation;
        prop_assert!(next.duration() <= before.duration() && next.duration() >= Duration::from_secs(1));
        match (next.scope(), before.scope()) {
            (Some(now), Some(then)) => prop_assert!(now.is_subset(&then) && !now.is_empty()),
            (now, then) => prop_assert_eq!(now, then),
        }
        if let Some(window) = next.window() {
            prop_assert!(window.starts_at < window.ends_at);
            prop_assert!(window.length() <= next.duration());
            prop_assert!(next.ask.not_before.is_none_or(|start| start <= window.starts_at));
        }
        Ok(())
    }
}

fn leads(from: StateName, to: StateName) -> bool {
    use StateName::*;
    match from {
        Requested => matches!(to, Requested | Approved | Denied | Withdrawn | Lapsed),
        Approved => matches!(to, Active | Withdrawn | Revoked | Lapsed),
        Active => matches!(to, Active | Expired | Revoked | Ended),
        _ => false,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn no_history_breaks_a_promise(asked in asks(), needed in 0_u32..4, commands in commands()) {
        let elevation = Elevation { ask: asked, ..fresh() };
        let mut history = History { elevation, votes: Votes::needing(needed), now: START };
        for command in commands {
            if let Some(next) = history.attempt(&command) {
                history.check(&next, &command)?;
                prop_assert!(leads(history.elevation.state_name(), next.state_name()));
                history.elevation = next;
            }
            let (now, elevation) = (history.now, &history.elevation);
            prop_assert_eq!(elevation.is_open(), elevation.next_due().is_some(), "somebody must look at it again");
            prop_assert!(!elevation.is_active(now) || elevation.state_at(now) == StateName::Active);
        }
    }
}
