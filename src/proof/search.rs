//! One search for a request: ask the solver, make facts of what it imagines, decide about them again, and only then believe
//! it. What cannot be decided is a doubt with its reason.

use cedar_policy_core::ast::Expr;

use super::assume::{Assumptions, Reach};
use super::formula::{Doubt, all, can_fail, is_never, parse};
use super::literals::Literals;
use super::realize::realize;
use super::shape::Shape;
use super::simplest::simplest;
use super::solver::{Found, Solver};
use super::surroundings::admits;
use crate::clock::Moment;
use crate::grants::Grant;
use crate::policy::{Facts, LoadedPolicy, Relations, World};

/// Where is searched.
#[derive(Clone, Debug)]
pub(super) struct Ground<'a> {
    pub(super) world: &'a World,
    pub(super) literals: Literals,
    /// For examples of today.
    pub(super) now: Moment,
}

/// What is searched for: a request that meets `first`, and meets `second` or does not.
#[derive(Clone)]
pub(super) struct Aim<'a> {
    pub(super) shape: Shape,
    /// About this grant only.
    pub(super) only: Option<&'a Grant>,
    pub(super) first: Expr,
    pub(super) second: Expr,
    pub(super) wants_second: bool,
}

/// What came of it.
#[derive(Debug)]
pub(super) enum Outcome {
    /// There is none.
    Nothing,
    /// These facts are, decided again.
    Real(Box<Facts>),
    /// Nobody knows.
    Doubtful(String),
}

/// A lifetime is a whole number of seconds. Asked only where it matters: the solver is slow at it.
const WHOLE_SECONDS: &str = "context.ttl.toSeconds() * 1000 == context.ttl.toMilliseconds()";

impl<'a> Ground<'a> {
    /// With what these policies name.
    pub(super) fn new(
        world: &'a World,
        policies: impl IntoIterator<Item = &'a LoadedPolicy>,
        relations: &[&Relations],
        now: Moment,
    ) -> Self {
        let mut literals = Literals::default();
        for policy in policies {
            literals.read(&policy.policy.as_ref().condition());
        }
        literals.look_up(relations);
        Self { world, literals, now }
    }

    /// Is there any, as far as shapes go? An answer about policies alone, without what the broker holds beside them.
    pub(super) async fn by_policies(&self, solver: &mut Solver, aim: &Aim<'_>) -> Result<bool, Doubt> {
        let found = self.ask(solver, aim, Reach::Shapes, None).await?;
        Ok(matches!(found, Found::Example(_)))
    }

    /// Is there any that a broker could meet? `holds` says of facts whether they are what is searched for.
    pub(super) async fn real(
        &self,
        solver: &mut Solver,
        aim: &Aim<'_>,
        holds: &dyn Fn(&Facts) -> Result<(), String>,
    ) -> Outcome {
        let first = self.attempt(solver, aim, holds, None).await;
        let outcome = match first {
            Ok(Outcome::Doubtful(_)) if aim.shape.action == crate::policy::Action::Issue => {
                self.attempt(solver, aim, holds, Some(WHOLE_SECONDS)).await
            }
            first => first,
        };
        outcome.unwrap_or_else(|doubt| Outcome::Doubtful(doubt.to_string()))
    }

    async fn attempt(
        &self,
        solver: &mut Solver,
        aim: &Aim<'_>,
        holds: &dyn Fn(&Facts) -> Result<(), String>,
        more: Option<&str>,
    ) -> Result<Outcome, Doubt> {
        let Found::Example(env) = self.ask(solver, aim, Reach::Broker, more).await? else {
            return Ok(Outcome::Nothing);
        };
        let facts = realize(&env, self.world, aim.shape)?;
        let real = |facts: &Facts| admits(self.world, facts).and_then(|()| holds(facts));
        Ok(match simplest(&facts, self.now, &|facts| real(facts).is_ok()) {
            Some(facts) => Outcome::Real(Box::new(facts)),
            None => Outcome::Doubtful(format!(
                "the solver's example could not be made real: {}",
                real(&facts).err().unwrap_or_default()
            )),
        })
    }

    async fn ask(
        &self,
        solver: &mut Solver,
        aim: &Aim<'_>,
        reach: Reach,
        more: Option<&str>,
    ) -> Result<Found, Doubt> {
        let Aim { shape, only, .. } = *aim;
        // Most of a change is none: what is the same on both sides needs no solver.
        let same = !aim.wants_second && aim.first.eq_shape(&aim.second);
        if same || is_never(&aim.first) || (aim.wants_second && is_never(&aim.second)) {
            return Ok(Found::Nothing);
        }
        let assumptions = Assumptions { world: self.world, literals: &self.literals, shape, reach, only };
        let mut parts = vec![assumptions.expression()?];
        parts.extend(more.map(parse).transpose()?);
        parts.push(aim.first.clone());
        let (first, second) = (all(parts), aim.second.clone());
        if aim.wants_second {
            return solver.both(shape, first, second).await;
        }
        solver.only_first(shape, first, second).await
    }

    /// A request on which `condition` fails.
    pub(super) async fn failing(
        &self,
        solver: &mut Solver,
        shape: Shape,
        condition: Expr,
    ) -> Result<bool, Doubt> {
        if !can_fail(&condition) {
            return Ok(false);
        }
        let found = solver.failing(shape, Expr::and(self.assumed(shape)?, condition)).await?;
        Ok(matches!(found, Found::Example(_)))
    }

    /// All that is assumed of requests of that shape.
    pub(super) fn assumed(&self, shape: Shape) -> Result<Expr, Doubt> {
        let (world, literals) = (self.world, &self.literals);
        Assumptions { world, literals, shape, reach: Reach::Broker, only: None }.expression()
    }
}
