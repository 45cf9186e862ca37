//! Authors who permit an action to nobody: since both must permit, nobody can ever do it.

use std::collections::BTreeSet;

use cedar_policy::Effect;

use super::finding::{Code, Finding};
use super::{Subject, walk};
use crate::policy::schema::Action;

pub(super) fn look(subject: &Subject<'_>, findings: &mut Vec<Finding>) {
    for author in subject.sets.authors() {
        let permits = subject.of(*author).filter(|policy| policy.policy.effect() == Effect::Permit);
        let spoken: BTreeSet<Action> =
            permits.flat_map(|policy| walk::actions(policy, subject.words())).collect();
        let silent: Vec<&str> = Action::ALL
            .into_iter()
            .filter(|action| !spoken.contains(action) && matters(*action, subject))
            .map(Action::as_str)
            .collect();
        if silent.is_empty() {
            continue;
        }
        let actions = silent.iter().map(|action| format!("`{action}`")).collect::<Vec<_>>().join(", ");
        let message = format!("no {author} policy permits {actions}, so nobody can do that");
        let help = "write a permit for those who should, or leave it when nobody should".to_owned();
        findings.push(Finding::of_folder(author.as_str(), Code::SilentAboutAction, message, help));
    }
}

/// Where nothing is for break-glass, nobody asks, approves or opens.
fn matters(action: Action, subject: &Subject<'_>) -> bool {
    match action {
        Action::Issue | Action::Lock | Action::Audit | Action::Explain => true,
        Action::Request | Action::Approve | Action::Activate | Action::Revoke | Action::View => {
            subject.world.is_none_or(|world| world.grants.iter().any(|grant| grant.break_glass.is_some()))
        }
    }
}
