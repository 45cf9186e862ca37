//! Which requests do two versions of the sets decide otherwise?

use super::formula::Whose;
use super::report::{Change, Difference, Direction, Open};
use super::search::{Aim, Ground, Outcome};
use super::shape::Shape;
use super::solver::Solver;
use super::versus::Versus;
use crate::clock::Moment;
use crate::grants::Grant;
use crate::policy::{Facts, PolicySets, World};

/// What is to be compared.
#[derive(Clone, Copy, Debug)]
pub struct Comparison<'a> {
    /// The older sets.
    pub old: &'a PolicySets,
    /// The newer sets.
    pub new: &'a PolicySets,
    /// Whose part of them.
    pub whose: &'a [Whose],
    /// The issuers and grants that requests are about.
    pub world: &'a World,
    /// For examples of today.
    pub now: Moment,
}

/// Asks about each kind of request; `told` hears which one is next.
pub async fn diff(comparison: Comparison<'_>, solver: &mut Solver, told: &mut dyn FnMut(&str)) -> Difference {
    let Comparison { old, new, .. } = comparison;
    let mut difference = Difference {
        old: old.digest(),
        new: new.digest(),
        solver: solver.version().to_owned(),
        equal: false,
        changes: Vec::new(),
        unknown: Vec::new(),
    };
    for whose in comparison.whose {
        for shape in Shape::all() {
            for direction in [Direction::Allowed, Direction::Denied] {
                told(&format!("{whose}: {shape}, {direction}"));
                let part = Part { comparison, whose: *whose, shape, direction };
                part.compare(solver, &mut difference).await;
            }
        }
    }
    difference.equal = difference.changes.is_empty() && difference.unknown.is_empty();
    difference
}

/// One kind of request, one way.
#[derive(Clone, Copy, Debug)]
struct Part<'a> {
    comparison: Comparison<'a>,
    whose: Whose,
    shape: Shape,
    direction: Direction,
}

impl Part<'_> {
    /// All grants at once first: mostly nothing changed, and that is one question. Then one by one, so that the answer names
    /// them.
    async fn compare(&self, solver: &mut Solver, into: &mut Difference) {
        let Comparison { old, new, world, now, .. } = self.comparison;
        let versus = match Versus::new(old, new, self.whose) {
            Ok(versus) => versus,
            Err(doubt) => return into.unknown.push(self.open(None, doubt.to_string())),
        };
        let ground = Ground::new(
            world,
            old.policies().iter().chain(new.policies()),
            &[old.relations(), new.relations()],
            now,
        );
        let aim = match versus.aim(&ground, self.shape, self.direction == Direction::Allowed) {
            Ok(aim) => aim,
            Err(doubt) => return into.unknown.push(self.open(None, doubt.to_string())),
        };
        let seen = match self.search(&ground, &versus, &aim, solver).await {
            Outcome::Nothing => return,
            Outcome::Real(facts) => Some(facts),
            // Of each grant by itself the solver may know.
            Outcome::Doubtful(_) => None,
        };
        let before = into.changes.len() + into.unknown.len();
        for grant in &world.grants {
            let aim = Aim { only: Some(grant), ..aim.clone() };
            match self.search(&ground, &versus, &aim, solver).await {
                Outcome::Nothing => {}
                Outcome::Real(facts) => into.changes.push(self.change(&versus, *facts)),
                Outcome::Doubtful(why) => into.unknown.push(self.open(Some(grant), why)),
            }
        }
        // What was decided again is a difference, whatever the solver says when it is asked otherwise.
        if let Some(facts) = seen.filter(|_| into.changes.len() + into.unknown.len() == before) {
            into.changes.push(self.change(&versus, *facts));
        }
    }

    async fn search(
        &self,
        ground: &Ground<'_>,
        versus: &Versus<'_>,
        aim: &Aim<'_>,
        solver: &mut Solver,
    ) -> Outcome {
        let holds = |facts: &Facts| match self.direction {
            Direction::Allowed => versus.widens(facts),
            Direction::Denied => versus.narrows(facts),
        };
        ground.real(solver, aim, &holds).await
    }

    fn change(&self, versus: &Versus<'_>, example: Facts) -> Change {
        let (before, after) = versus.told(&example);
        let grant = example.grant.name.to_string();
        let Self { whose, shape, direction, .. } = *self;
        Change { whose, direction, shape, grant, example, before, after }
    }

    fn open(&self, grant: Option<&Grant>, why: String) -> Open {
        let Self { whose, shape, direction, .. } = *self;
        Open { whose, direction, shape, grant: grant.map(|grant| grant.name.to_string()), why }
    }
}
