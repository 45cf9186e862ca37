//! Grants that nobody can get: for each of their actions, is there a principal whom every author could permit and no forbid
//! is sure to stop? "No" is certain; "yes" promises nothing.

use cedar_policy::Effect;

use super::finding::{Code, Finding};
use super::hypothesis::Hypothesis;
use super::{Subject, listed};
use crate::grants::Grant;
use crate::policy::schema::Action;
use crate::policy::{Author, LoadedPolicy, World};

pub(super) fn look(subject: &Subject<'_>, world: &World, findings: &mut Vec<Finding>) {
    for grant in &world.grants {
        let actions: &[Action] = match grant.break_glass {
            Some(_) => &[Action::Request, Action::Approve, Action::Activate, Action::Issue],
            None => &[Action::Issue],
        };
        findings.extend(actions.iter().filter_map(|action| obstacle(subject, world, grant, *action)));
    }
}

fn obstacle(subject: &Subject<'_>, world: &World, grant: &Grant, action: Action) -> Option<Finding> {
    let questions = Hypothesis::about(subject, world, action, grant);
    if questions.iter().any(|question| could_be_permitted(subject, question)) {
        return None;
    }
    let who = if action == Action::Issue && grant.break_glass.is_none() { "principal" } else { "person" };
    let why = match reason(subject, &questions) {
        Some(why) => why,
        None => format!("no {who} of an issuer may do that"),
    };
    let message =
        format!("nobody can get grant `{}`: {why} (`{action}`)", grant.name, action = action.as_str());
    let help = format!("write a permit of `{}` for those who should, or remove the grant", action.as_str());
    Some(Finding::of_grant(&grant.name, Code::GrantForNobody, message, help))
}

/// Could every author permit it, and is no forbid certain?
pub(super) fn could_be_permitted(subject: &Subject<'_>, question: &Hypothesis<'_>) -> bool {
    forbids(subject, question).next().is_none()
        && subject.sets.authors().iter().all(|author| permits(subject, *author, question).next().is_some())
}

/// The author's permits that could hold.
pub(super) fn permits<'a>(
    subject: &Subject<'a>,
    author: Author,
    question: &'a Hypothesis<'_>,
) -> impl Iterator<Item = &'a LoadedPolicy> {
    let own = subject.of(author).filter(|policy| policy.policy.effect() == Effect::Permit);
    own.filter(|policy| question.holds(policy) != Some(false))
}

/// The forbids that are certain to hold.
fn forbids<'a>(
    subject: &Subject<'a>,
    question: &'a Hypothesis<'_>,
) -> impl Iterator<Item = &'a LoadedPolicy> {
    let all = subject.policies().iter().filter(|policy| policy.policy.effect() == Effect::Forbid);
    all.filter(|policy| question.holds(policy) == Some(true))
}

fn reason(subject: &Subject<'_>, questions: &[Hypothesis<'_>]) -> Option<String> {
    if questions.is_empty() {
        return None;
    }
    let silent = subject.sets.authors().iter().find(|author| {
        questions.iter().all(|question| permits(subject, **author, question).next().is_none())
    });
    if let Some(author) = silent {
        return Some(format!("no {author} policy could permit it to anybody"));
    }
    let certain: Vec<_> = questions.iter().flat_map(|question| forbids(subject, question)).collect();
    if certain.is_empty() {
        return Some("nobody is permitted by every author".to_owned());
    }
    Some(format!("forbidden by {}", listed(certain.iter().map(|policy| policy.name.as_str()))))
}
