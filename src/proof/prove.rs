//! Does every promise hold for every request that could be made?

use cedar_policy_core::ast::Expr;

use super::formula::{Doubt, Whose, check_readable, is_about, permitted};
use super::report::{Answer, HeldBy, Refutation, Report, Verdict};
use super::search::{Aim, Ground, Outcome};
use super::shape::Shape;
use super::solver::Solver;
use super::versus::Versus;
use crate::clock::Moment;
use crate::policy::{Facts, Invariant, PolicySets, Promise, World};

/// What is to be proved about what.
#[derive(Clone, Copy, Debug)]
pub struct Question<'a> {
    /// The sets that decide.
    pub sets: &'a PolicySets,
    /// The promises.
    pub invariants: &'a [Invariant],
    /// Sets that nothing may be wider than.
    pub no_wider_than: Option<&'a PolicySets>,
    /// The issuers and grants that requests are about.
    pub world: &'a World,
    /// For examples of today.
    pub now: Moment,
}

/// Asks about each, one after the other; `told` hears which one is next.
pub async fn prove(question: Question<'_>, solver: &mut Solver, told: &mut dyn FnMut(&str)) -> Report {
    let mut verdicts = Vec::new();
    for invariant in question.invariants {
        told(&invariant.id);
        let answer = question.invariant(invariant, solver).await;
        let (id, doc, promise) = (invariant.id.clone(), invariant.doc.clone(), invariant.promise);
        verdicts.push(Verdict { id, doc, promise, answer });
    }
    if let Some(older) = question.no_wider_than {
        for whose in [Whose::Vendor, Whose::Effective] {
            let id = format!("no-wider-{whose}");
            told(&id);
            let answer = question.no_wider(older, whose, solver).await;
            let doc = match whose {
                Whose::Effective => {
                    "Both sets together permit nothing that the older ones did not".to_owned()
                }
                _ => format!("The {whose}'s set permits nothing that the older one did not"),
            };
            verdicts.push(Verdict { id, doc, promise: Promise::Never, answer });
        }
    }
    let (digest, authors) = (question.sets.digest(), question.sets.authors().to_vec());
    Report { digest, authors, solver: solver.version().to_owned(), verdicts }
}

/// What is assumed of requests of a shape when these invariants are proved, as one Cedar expression: for whoever wants to know
/// what "every request" means.
///
/// # Errors
/// The expression cannot be made.
pub fn assumptions(
    sets: &PolicySets,
    invariants: &[Invariant],
    world: &World,
    shape: Shape,
) -> Result<String, String> {
    let policies = sets.policies().iter().chain(invariants.iter().map(|invariant| &invariant.policy));
    let ground = Ground::new(world, policies, &[sets.relations()], Moment::EPOCH);
    ground.assumed(shape).map(|all| all.to_string()).map_err(|doubt| doubt.to_string())
}

impl Question<'_> {
    async fn invariant(&self, invariant: &Invariant, solver: &mut Solver) -> Answer {
        let mut sum = Sum::default();
        for shape in Shape::all() {
            match self.of_shape(invariant, shape, sum.about_nothing, solver).await {
                Ok(answer) => {
                    if let Some(refuted) = sum.add(answer) {
                        return refuted;
                    }
                }
                Err(doubt) => sum.doubt(shape, &doubt.to_string()),
            }
        }
        sum.answer()
    }

    async fn of_shape(
        &self,
        invariant: &Invariant,
        shape: Shape,
        about_nothing: bool,
        solver: &mut Solver,
    ) -> Result<Part, Doubt> {
        if !is_about(&invariant.policy, &shape.action_uid()?) {
            return Ok(Part::Proved(HeldBy::Policies, true));
        }
        check_readable(&invariant.policy)?;
        let policies = self.sets.policies().iter().chain([&invariant.policy]);
        let ground = Ground::new(self.world, policies, &[self.sets.relations()], self.now);
        let matched = invariant.policy.policy.as_ref().condition();
        if ground.failing(solver, shape, matched.clone()).await? {
            return Err(Doubt(
                "the invariant itself fails for some request, and says nothing about it".to_owned(),
            ));
        }
        let aim = Aim {
            shape,
            only: None,
            first: matched,
            second: permitted(self.sets, Whose::Effective, shape)?,
            wants_second: invariant.promise == Promise::Never,
        };
        let holds = |facts: &Facts| breaks(self.sets, invariant, facts);
        if !ground.by_policies(solver, &aim).await? {
            // One shape that it speaks of is enough.
            let nothing = about_nothing && !is_met(&ground, solver, &aim).await?;
            return Ok(Part::Proved(HeldBy::Policies, nothing));
        }
        Ok(match ground.real(solver, &aim, &holds).await {
            Outcome::Nothing => Part::Proved(HeldBy::Broker, false),
            Outcome::Real(facts) => Part::Refuted(Box::new(refutation(self.sets, shape, *facts))),
            Outcome::Doubtful(why) => return Err(Doubt(why)),
        })
    }

    /// What the newer sets permit, the older ones did too.
    async fn no_wider(&self, older: &PolicySets, whose: Whose, solver: &mut Solver) -> Answer {
        let mut sum = Sum::default();
        let versus = match Versus::new(older, self.sets, whose) {
            Ok(versus) => versus,
            Err(doubt) => return Answer::Unknown { why: doubt.to_string() },
        };
        let policies = older.policies().iter().chain(self.sets.policies());
        let ground = Ground::new(self.world, policies, &[older.relations(), self.sets.relations()], self.now);
        for shape in Shape::all() {
            let outcome = match versus.aim(&ground, shape, true) {
                Ok(aim) => ground.real(solver, &aim, &|facts| versus.widens(facts)).await,
                Err(doubt) => Outcome::Doubtful(doubt.to_string()),
            };
            match outcome {
                Outcome::Nothing => drop(sum.add(Part::Proved(HeldBy::Policies, false))),
                Outcome::Real(facts) => {
                    return Answer::Refuted(Box::new(refutation(self.sets, shape, *facts)));
                }
                Outcome::Doubtful(why) => sum.doubt(shape, &why),
            }
        }
        sum.answer()
    }
}

/// Could any request be one that the invariant speaks of, be it only to be refused?
async fn is_met(ground: &Ground<'_>, solver: &mut Solver, aim: &Aim<'_>) -> Result<bool, Doubt> {
    let any = Aim { second: Expr::val(true), wants_second: true, ..aim.clone() };
    ground.by_policies(solver, &any).await
}

/// Is this a request for which the promise does not hold?
fn breaks(sets: &PolicySets, invariant: &Invariant, facts: &Facts) -> Result<(), String> {
    if !invariant.matches(facts, sets.relations()) {
        return Err("the invariant does not speak of it".to_owned());
    }
    match (sets.decide(facts), invariant.promise) {
        (Ok(_), Promise::Never) | (Err(_), Promise::Always) => Ok(()),
        (Err(denial), Promise::Never) => Err(denial.reason.to_string()),
        (Ok(_), Promise::Always) => Err("it is permitted".to_owned()),
    }
}

fn refutation(sets: &PolicySets, shape: Shape, example: Facts) -> Refutation {
    let (decision, decided_by) = match sets.decide(&example) {
        Ok(decided) => ("permit".to_owned(), decided.decided_by().to_vec()),
        Err(denial) => (denial.reason.to_string(), denial.decided_by),
    };
    Refutation { shape, example, decision, decided_by }
}

/// What became of one shape.
enum Part {
    /// By whom it is held, and whether it is about nothing.
    Proved(HeldBy, bool),
    Refuted(Box<Refutation>),
}

/// What became of all of them.
struct Sum {
    held_by: HeldBy,
    about_nothing: bool,
    doubts: Vec<String>,
}

impl Default for Sum {
    fn default() -> Self {
        Self { held_by: HeldBy::Policies, about_nothing: true, doubts: Vec::new() }
    }
}

impl Sum {
    /// A refutation is the answer, whatever else comes.
    fn add(&mut self, part: Part) -> Option<Answer> {
        match part {
            Part::Proved(held_by, about_nothing) => {
                self.held_by = self.held_by.max(held_by);
                self.about_nothing &= about_nothing;
                None
            }
            Part::Refuted(refutation) => Some(Answer::Refuted(refutation)),
        }
    }

    fn doubt(&mut self, shape: Shape, why: &str) {
        self.doubts.push(format!("{shape}: {why}"));
    }

    fn answer(self) -> Answer {
        if self.doubts.is_empty() {
            return Answer::Proved { held_by: self.held_by, about_nothing: self.about_nothing };
        }
        Answer::Unknown { why: self.doubts.join("; ") }
    }
}
