//! What a profile promises beside the types: a Kubernetes subject is its namespace and account, a GitHub repository is its
//! owner's. A solver knows nothing of that, and need not where no policy compares both.

use crate::policy::Facts;
use crate::policy::facts::{Asked, PrincipalFacts};

/// Which of two ways to say the same leads, where an example has them differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lead {
    /// The profile's record.
    Record,
    /// The subject.
    Subject,
}

/// With every caller as their profile has them.
pub(super) fn plausible(mut facts: Facts, lead: Lead) -> Facts {
    caller(&mut facts.principal, lead);
    match &mut facts.asked {
        Asked::Issue { actor: Some(actor), .. } => caller(actor, lead),
        Asked::Approve { elevation, .. } | Asked::Revoke { elevation } | Asked::View { elevation } => {
            if elevation.reason.trim().is_empty() {
                "to see what is wrong".clone_into(&mut elevation.reason);
            }
        }
        _ => {}
    }
    facts
}

fn caller(facts: &mut PrincipalFacts, lead: Lead) {
    kubernetes(facts, lead);
    spiffe(facts, lead);
    github(facts);
    if let Some(gitlab) = facts.gitlab.as_deref_mut() {
        [&mut gitlab.project_id, &mut gitlab.namespace_id].into_iter().for_each(number);
        [&mut gitlab.project_path, &mut gitlab.git_ref, &mut gitlab.ref_type].into_iter().for_each(word);
    }
    if let Some(aws) = facts.aws.as_mut() {
        let is_account = aws.account.len() == 12 && aws.account.bytes().all(|b| b.is_ascii_digit());
        if !is_account {
            "123456789012".clone_into(&mut aws.account);
        }
    }
}

fn kubernetes(facts: &mut PrincipalFacts, lead: Lead) {
    const PREFIX: &str = "system:serviceaccount:";
    let Some(record) = facts.kubernetes.as_mut() else { return };
    let named = facts.subject.as_str().strip_prefix(PREFIX).and_then(|rest| rest.split_once(':'));
    if let Some((namespace, account)) = named.filter(|_| lead == Lead::Subject) {
        (record.namespace, record.service_account) = (namespace.to_owned(), account.to_owned());
    }
    [&mut record.namespace, &mut record.service_account].into_iter().for_each(label);
    let subject = format!("{PREFIX}{}:{}", record.namespace, record.service_account);
    facts.subject = subject.parse().unwrap_or_else(|_| facts.subject.clone());
}

fn spiffe(facts: &mut PrincipalFacts, lead: Lead) {
    let Some(record) = facts.spiffe.as_mut() else { return };
    let named = facts.subject.as_str().strip_prefix("spiffe://").and_then(|rest| rest.split_once('/'));
    if let Some((domain, path)) = named.filter(|_| lead == Lead::Subject) {
        (record.trust_domain, record.path) = (domain.to_owned(), format!("/{path}"));
    }
    label(&mut record.trust_domain);
    if !record.path.strip_prefix('/').is_some_and(|path| path.split('/').all(is_plain)) {
        "/example".clone_into(&mut record.path);
    }
    let subject = format!("spiffe://{}{}", record.trust_domain, record.path);
    facts.subject = subject.parse().unwrap_or_else(|_| facts.subject.clone());
}

fn github(facts: &mut PrincipalFacts) {
    let Some(record) = facts.github.as_deref_mut() else { return };
    [&mut record.repository_id, &mut record.repository_owner_id].into_iter().for_each(number);
    record.actor_id.iter_mut().for_each(number);
    word(&mut record.git_ref);
    match record.repository.split_once('/') {
        Some((owner, name)) if is_plain(owner) && is_plain(name) => {
            owner.clone_into(&mut record.repository_owner);
        }
        _ => {
            word(&mut record.repository_owner);
            record.repository = format!("{}/example", record.repository_owner);
        }
    }
}

fn is_plain(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'))
}

/// A DNS label, near enough.
fn label(text: &mut String) {
    if !is_plain(text) || text.chars().any(|c| c.is_ascii_uppercase()) {
        "example".clone_into(text);
    }
}

fn word(text: &mut String) {
    if text.is_empty() || text.chars().any(char::is_control) {
        "example".clone_into(text);
    }
}

fn number(text: &mut String) {
    let is_number = text.bytes().all(|b| b.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    if text.is_empty() || !is_number {
        "1".clone_into(text);
    }
}
