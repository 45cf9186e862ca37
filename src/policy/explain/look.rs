//! One look at a request: what the sets say, which policies hold, which rules of the broker stand in the way, and the ways
//! to another answer.

use cedar_policy::{Effect, Policy};
use cedar_policy_core::ast::{Expr, ExprKind, Var};

use super::change::{Ways, both, done, either};
use super::parts::{pieces, ways};
use super::rules::{Rule, standing};
use super::scene::Scene;
use crate::policy::facts::FactsError;
use crate::policy::{Author, Decided, Denial, Facts, PolicyRef, PolicySets, World};

/// By whose rules to look.
#[derive(Clone, Copy, Debug)]
pub(super) struct Judge<'a> {
    pub(super) sets: &'a PolicySets,
    pub(super) world: &'a World,
    /// May policies about other grants be named?
    pub(super) beyond: bool,
}

/// A request, looked at.
#[derive(Debug)]
pub(super) struct Look<'a> {
    pub(super) judge: Judge<'a>,
    pub(super) scene: Scene,
    pub(super) verdict: Result<Decided, Denial>,
    pub(super) rules: Vec<Rule>,
    /// Those that can decide, in the order of their names.
    pub(super) judged: Vec<Judged>,
    /// The permits about the action that are about other grants.
    elsewhere: Vec<Judged>,
}

/// A policy, and what it says here.
#[derive(Clone, Debug)]
pub(super) struct Judged {
    pub(super) name: PolicyRef,
    pub(super) policy: Policy,
    /// Its scope and its conditions.
    pub(super) whole: Expr,
    /// `None` when it fails.
    pub(super) holds: Option<bool>,
}

impl<'a> Judge<'a> {
    pub(super) fn look(self, facts: &Facts) -> Result<Look<'a>, FactsError> {
        let scene = Scene::of(self.sets, facts)?;
        let grant = facts.grant.to_grant()?;
        let candidates = self.sets.candidates(facts.asked.action(), &grant)?;
        let mut judged: Vec<Judged> = candidates
            .names
            .iter()
            .filter_map(|(id, name)| Some(Judged::new(name, candidates.set.policy(id)?, &scene)))
            .collect();
        judged.sort_by(|one, other| one.name.cmp(&other.name));
        if !self.beyond {
            judged.retain(|judged| !judged.is_about_another_grant(&scene));
        }
        let mut look = Look {
            judge: self,
            verdict: self.sets.decide(facts),
            rules: standing(facts, self.world),
            scene,
            judged,
            elsewhere: Vec::new(),
        };
        if self.beyond
            && look.silent().any(|author| !look.judged.iter().any(|judged| judged.is_permit_of(author)))
        {
            look.elsewhere = look.about_other_grants();
        }
        Ok(look)
    }
}

impl Look<'_> {
    /// Would the broker do it?
    pub(super) fn permitted(&self) -> bool {
        self.rules.is_empty() && self.verdict.is_ok()
    }

    /// The authors without a permit that holds.
    pub(super) fn silent(&self) -> impl Iterator<Item = Author> {
        let speaks = |author: Author| {
            self.judged.iter().any(|judged| judged.is_permit_of(author) && judged.holds == Some(true))
        };
        self.judge.sets.authors().iter().copied().filter(move |author| !speaks(*author))
    }

    /// The ways to undo what is in the way; of the rules of the broker first, because policies are asked only behind them.
    pub(super) fn ways_on(&self) -> Ways {
        if !self.rules.is_empty() {
            return self.rules.iter().fold(done(), |ways, rule| both(&ways, &rule.ways()));
        }
        let undone = self.judged.iter().filter_map(|judged| self.undo(judged));
        let ways = undone.fold(done(), |ways, undo| both(&ways, &undo));
        self.silent().fold(ways, |ways, author| both(&ways, &self.ways_to_permit(author)))
    }

    fn undo(&self, judged: &Judged) -> Option<Ways> {
        match (judged.policy.effect(), judged.holds) {
            (_, None) => Some(either(self.to(judged, false), self.to(judged, true))),
            (Effect::Forbid, Some(true)) => Some(self.to(judged, false)),
            _ => None,
        }
    }

    fn ways_to_permit(&self, author: Author) -> Ways {
        let permits = self.judged.iter().chain(&self.elsewhere).filter(|judged| judged.is_permit_of(author));
        permits.fold(Ways::new(), |ways, judged| either(ways, self.to(judged, true)))
    }

    fn to(&self, judged: &Judged, want: bool) -> Ways {
        ways(&self.scene, &judged.whole, want, judged.name.as_str())
    }

    /// No permit about this grant: perhaps there is one about a set that the grant is not in.
    fn about_other_grants(&self) -> Vec<Judged> {
        let others = self.judge.sets.policies().iter().filter(|loaded| {
            let known = self.judged.iter().any(|judged| judged.name == loaded.name);
            let action = loaded.policy.as_ref().template().action_constraint().as_expr();
            loaded.policy.effect() == Effect::Permit && !known && self.scene.truth(&action) == Some(true)
        });
        others.map(|loaded| Judged::new(&loaded.name, &loaded.policy, &self.scene)).collect()
    }
}

impl Judged {
    fn new(name: &PolicyRef, policy: &Policy, scene: &Scene) -> Self {
        let whole = policy.as_ref().condition();
        let holds = scene.truth(&whole);
        Self { name: name.clone(), policy: policy.clone(), whole, holds }
    }

    /// Does it not hold because of the grant alone? The index leaves policies whose conditions, and not their scopes, say which
    /// grant they are about: all that are about elevations.
    fn is_about_another_grant(&self, scene: &Scene) -> bool {
        let unmet = |piece: &super::parts::Piece<'_>| scene.truth(piece.expression) == Some(!piece.want);
        self.holds == Some(false)
            && pieces(&self.whole, true)
                .iter()
                .any(|piece| reads_only_the_grant(piece.expression) && unmet(piece))
    }

    pub(super) fn is_permit_of(&self, author: Author) -> bool {
        self.policy.effect() == Effect::Permit && self.name.author() == author
    }
}

/// `resource`, or `resource.grant` of an elevation, and nothing else of the request.
fn reads_only_the_grant(expression: &Expr) -> bool {
    let (mut resources, mut others, mut of_elevations, mut grants) = (0_usize, 0_usize, 0_usize, 0_usize);
    let is_resource = |of: &Expr| matches!(of.expr_kind(), ExprKind::Var(Var::Resource));
    for node in expression.subexpressions() {
        match node.expr_kind() {
            ExprKind::Var(Var::Resource) => resources += 1,
            ExprKind::Var(_) => others += 1,
            ExprKind::GetAttr { expr, attr } if is_resource(expr) => match attr.as_str() {
                "grant" => grants += 1,
                "requester" | "duration" | "reason" | "ticket" => of_elevations += 1,
                _ => {}
            },
            ExprKind::HasAttr { expr, attr } if is_resource(expr) && attr == "ticket" => of_elevations += 1,
            _ => {}
        }
    }
    resources > 0 && others == 0 && of_elevations == 0 && (grants == 0 || grants == resources)
}
