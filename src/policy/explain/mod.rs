//! Why a request is permitted or not: which policies decided, which parts of those that almost did were in the way, and the
//! nearest request that would be permitted. Knows policies, facts and the rules beside them; refuses to know who asks.

mod aim;
mod approvals;
mod change;
mod edit;
mod look;
mod nearest;
mod parts;
mod place;
mod rules;
mod scene;
mod shape;
mod solve;
mod source;
#[cfg(test)]
mod tests;
mod value;
mod words;

use cedar_policy::{Effect, Policy};

pub use shape::{
    ApprovalsNeeded, AuthorSaid, Explanation, Found, NearestMiss, Part, PolicySaid, Suggested, Verdict,
};

use self::look::{Judge, Judged, Look};
use self::parts::{Piece, pieces, shown, unmet};
use self::source::Source;
use super::facts::FactsError;
use super::{Author, Facts, PolicyRef, PolicySets, World};

/// Permits that did not hold, told for one author.
const MOST_MISSED: usize = 10;

/// Explains what `sets` say to `facts`, in the surroundings of `world`, to whoever may read all policies.
///
/// # Errors
/// No request can have these facts.
pub fn explain(sets: &PolicySets, world: &World, facts: &Facts) -> Result<Explanation, FactsError> {
    tell(Judge { sets, world, beyond: true }, facts)
}

/// The same to whoever may read only what can decide about this grant: no policy about another one is named.
///
/// # Errors
/// No request can have these facts.
pub fn explain_about(sets: &PolicySets, world: &World, facts: &Facts) -> Result<Explanation, FactsError> {
    tell(Judge { sets, world, beyond: false }, facts)
}

fn tell(judge: Judge<'_>, facts: &Facts) -> Result<Explanation, FactsError> {
    let sets = judge.sets;
    let look = judge.look(facts)?;
    let permitted = look.permitted();
    let (reason, decided_by) = match &look.verdict {
        Ok(decided) => (None, names(decided.decided_by())),
        Err(denial) => (Some(denial.reason.to_string()), names(&denial.decided_by)),
    };
    let rules: Vec<String> = look.rules.iter().map(|rule| rule.told.clone()).collect();
    Ok(Explanation {
        decision: if permitted { Verdict::Permit } else { Verdict::Deny },
        reason: rules.first().cloned().or(reason),
        decided_by,
        digest: sets.digest(),
        principal: facts.principal.id().to_string(),
        action: facts.asked.action().as_str().to_owned(),
        grant: facts.grant.name.clone(),
        at: facts.at,
        rules,
        authors: sets.authors().iter().map(|author| said(&look, *author)).collect(),
        nearest: if permitted { None } else { nearest::nearest(judge, facts) },
        approvals_needed: approvals::needed(judge, facts),
    })
}

fn names(policies: &[PolicyRef]) -> Vec<String> {
    policies.iter().map(ToString::to_string).collect()
}

fn said(look: &Look<'_>, author: Author) -> AuthorSaid {
    let own = || look.judged.iter().filter(|judged| judged.name.author() == author);
    let effect = |judged: &Judged| judged.policy.effect();
    let permits = own().filter(|judged| effect(judged) == Effect::Permit && judged.holds == Some(true));
    let forbids = own().filter(|judged| effect(judged) == Effect::Forbid && judged.holds == Some(true));
    let failed = own().filter(|judged| judged.holds.is_none());
    let permits: Vec<_> = permits.map(|judged| judged.name.to_string()).collect();
    let (missed, missed_more) = if permits.is_empty() { missed(look, author) } else { (Vec::new(), 0) };
    AuthorSaid {
        author,
        permits,
        forbids: forbids.map(|judged| policy_said(look, judged, &conditions(judged))).collect(),
        failed: failed
            .map(|judged| policy_said(look, judged, &unmet(&look.scene, &judged.whole, true)))
            .collect(),
        missed,
        missed_more,
    }
}

/// What a forbid's conditions say; its scope says no more than whom it is about.
fn conditions(judged: &Judged) -> Vec<Piece<'_>> {
    let conditions = judged.policy.as_ref().non_scope_constraints();
    conditions.map_or_else(Vec::new, |conditions| pieces(conditions, true))
}

/// Every part of a policy's conditions, and whether it would have to hold: for whoever lists policies.
pub(super) fn all_parts(policy: &Policy) -> Vec<(String, bool)> {
    let conditions = policy.as_ref().non_scope_constraints();
    let pieces = conditions.map_or_else(Vec::new, |conditions| pieces(conditions, true));
    pieces.into_iter().map(|piece| (source::text(piece.expression), piece.want)).collect()
}

/// The author's permits that do not hold: those whose scope fits before the others, the fewest parts first.
fn missed(look: &Look<'_>, author: Author) -> (Vec<PolicySaid>, usize) {
    let permits =
        look.judged.iter().filter(|judged| judged.is_permit_of(author) && judged.holds == Some(false));
    let mut all: Vec<_> =
        permits.map(|judged| policy_said(look, judged, &unmet(&look.scene, &judged.whole, true))).collect();
    all.sort_by_key(|said| (said.out_of_scope, said.parts.len()));
    let more = all.len().saturating_sub(MOST_MISSED);
    all.truncate(MOST_MISSED);
    (all, more)
}

fn policy_said(look: &Look<'_>, judged: &Judged, pieces: &[Piece<'_>]) -> PolicySaid {
    let source = Source::of(&judged.policy);
    let name = judged.name.as_str();
    let scope = judged.policy.as_ref().template().principal_constraint().as_expr();
    let telling = pieces.iter().filter(|piece| !is_always(**piece));
    PolicySaid {
        policy: name.to_owned(),
        file: name.split('#').next().unwrap_or(name).to_owned(),
        line: source.first_line(),
        out_of_scope: look.scene.truth(&scope) == Some(false),
        parts: telling.map(|piece| shown(&look.scene, *piece, source)).collect(),
    }
}

/// An open scope says nothing.
fn is_always(piece: Piece<'_>) -> bool {
    matches!(piece.expression.expr_kind(), cedar_policy_core::ast::ExprKind::Lit(_))
}
