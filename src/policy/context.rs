//! The circumstances of a request as Cedar's context.

use std::collections::BTreeSet;
use std::net::IpAddr;

use cedar_policy::{Context, EntityUid, RestrictedExpression as Expr};

use super::question::{Approvals, ElevationUse, IssueQuestion, PersonQuestion, Wish};
use super::reads::{Part, Reads};
use super::relations::{Relations, token_group_uid};
use super::schema::{Vocabulary, uid};
use super::values::{Members, ValueError, datetime, duration, entity, ip, text, texts};
use crate::clock::Moment;
use crate::principal::Authentication;

/// What every action's context has.
fn common(
    at: Moment,
    source_ip: Option<IpAddr>,
    authentication: &Authentication,
    reads: Reads,
) -> Result<Members, ValueError> {
    let mut members = Members::default();
    if reads.has(Part::Now) {
        members.put("now", datetime(at)?);
    }
    if let Some(address) = source_ip.filter(|_| reads.has(Part::SourceIp)) {
        members.put("source_ip", ip(address));
    }
    if reads.has(Part::Auth) {
        members.put("auth", auth(authentication)?);
    }
    Ok(members)
}

fn auth(facts: &Authentication) -> Result<Expr, ValueError> {
    let mut members = Members::default();
    members.put("issued_at", datetime(facts.issued_at)?);
    members.optional("acr", facts.acr.as_deref());
    members.put("amr", texts(facts.amr.iter().map(String::as_str)));
    if let Some(at) = facts.auth_time {
        members.put("auth_time", datetime(at)?);
    }
    members.record()
}

pub(super) fn issue(
    question: &IssueQuestion<'_>,
    words: &Vocabulary,
    reads: Reads,
) -> Result<Context, ValueError> {
    let mut members = common(question.at, question.source_ip, question.authentication, reads)?;
    if reads.has(Part::Ttl) {
        members.put("ttl", duration(question.ttl.duration()));
    }
    if reads.has(Part::Scopes) {
        members.put("scopes", texts(question.scopes.iter().map(crate::ids::Scope::as_str)));
    }
    if let Some(thumbprint) = question.client_cert.filter(|_| reads.has(Part::ClientCert)) {
        members.put("client_cert", text(thumbprint));
    }
    if let Some(actor) = question.actor.filter(|_| reads.has(Part::Actor)) {
        members.put("actor", entity(uid(&words.workload, &actor.id.to_string())));
    }
    if let Some(elevation) = question.elevation.filter(|_| reads.has(Part::Elevation)) {
        members.put("elevation", elevation_use(&elevation)?);
    }
    Context::from_pairs(members.0).map_err(ValueError::of)
}

fn elevation_use(elevation: &ElevationUse) -> Result<Expr, ValueError> {
    let mut members = Members::default();
    members.put("approvals", Expr::new_long(elevation.approvals.into()));
    members.put("starts_at", datetime(elevation.starts_at)?);
    members.put("ends_at", datetime(elevation.ends_at)?);
    members.record()
}

pub(super) fn person(
    question: &PersonQuestion<'_>,
    words: &Vocabulary,
    relations: &Relations,
    reads: Reads,
) -> Result<Context, ValueError> {
    let mut members = common(question.at, question.source_ip, question.authentication, reads)?;
    match &question.wish {
        Wish::Request { duration: span, .. } | Wish::Approve { duration: span, .. } => {
            members.put("duration", duration(*span));
        }
        Wish::Activate { duration: span, approvals: given, .. } => {
            members.put("duration", duration(*span));
            members.put("approvals", approvals(given, words, relations)?);
        }
        Wish::Revoke { .. }
        | Wish::View { .. }
        | Wish::Lock { .. }
        | Wish::Audit { .. }
        | Wish::Explain { .. } => {}
    }
    Context::from_pairs(members.0).map_err(ValueError::of)
}

/// The groups that their tokens named, those that they are written down in, and all above both.
fn approvals(given: &Approvals<'_>, words: &Vocabulary, relations: &Relations) -> Result<Expr, ValueError> {
    let mut members = Members::default();
    members.put("count", Expr::new_long(given.count.into()));
    let named = given.groups.iter().map(|(issuer, group)| token_group_uid(issuer, group, words));
    let mut groups: BTreeSet<EntityUid> = BTreeSet::new();
    for group in named {
        groups.extend(relations.above(&group).iter().cloned());
        groups.insert(group);
    }
    for person in given.people {
        groups.extend(relations.above(&uid(&words.person, &person.to_string())).iter().cloned());
    }
    members.put("groups", Expr::new_set(groups.into_iter().map(entity)));
    members.record()
}
