//! Names in policies that stand for nothing: a policy that names them means nobody, and says so nowhere.

use cedar_policy::EntityUid;

use super::finding::{Code, Finding};
use super::{Subject, walk};
use crate::claims::Profile;
use crate::document::{nearest, quoted};
use crate::policy::{KnownIssuer, LoadedPolicy, World};

pub(super) fn look(subject: &Subject<'_>, policy: &LoadedPolicy, findings: &mut Vec<Finding>) {
    let Some(world) = subject.world else { return };
    let strange = |uid: &EntityUid| strange(subject, world, uid);
    for uid in walk::scope(policy) {
        if let Some((code, message, help)) = strange(&uid) {
            findings.push(Finding::of_words(policy, &uid.to_string(), code, message, help));
        }
    }
    for node in walk::nodes(policy) {
        if let Some((code, message, help)) = walk::named(node).as_ref().and_then(strange) {
            findings.push(Finding::of_part(policy, node, code, message, help));
        }
    }
}

type Strange = (Code, String, String);

fn strange(subject: &Subject<'_>, world: &World, uid: &EntityUid) -> Option<Strange> {
    let (words, kind, id) = (subject.words(), uid.type_name(), uid.id().unescaped());
    match kind {
        _ if *kind == words.group => group(subject, world, id),
        _ if *kind == words.issuer => issuer(world, id),
        _ if *kind == words.grant => grant(world, id),
        _ if *kind == words.grant_set => set(world, id),
        _ if *kind == words.workload => principal(world, id, false),
        _ if *kind == words.person => principal(world, id, true),
        _ => None,
    }
}

fn issuer(world: &World, name: &str) -> Option<Strange> {
    if world.issuer(name).is_some() {
        return None;
    }
    let help = meant(name, world.issuers.iter().map(|issuer| issuer.name.as_str()), "issuers");
    Some((Code::UnknownIssuer, format!("no issuer is called {}", quoted(name)), help))
}

fn grant(world: &World, name: &str) -> Option<Strange> {
    if world.grant(name).is_some() {
        return None;
    }
    let help = meant(name, world.grants.iter().map(|grant| grant.name.as_str()), "grants");
    Some((Code::UnknownGrant, format!("no grant is called {}", quoted(name)), help))
}

fn set(world: &World, name: &str) -> Option<Strange> {
    let sets = || world.grants.iter().flat_map(|grant| grant.sets.iter().map(String::as_str));
    if sets().any(|set| set == name) {
        return None;
    }
    let help = meant(name, sets(), "sets");
    Some((Code::UnknownGrantSet, format!("no grant is in the set {}", quoted(name)), help))
}

fn principal(world: &World, id: &str, person: bool) -> Option<Strange> {
    let (kind, other) = if person { ("person", "workload") } else { ("workload", "person") };
    let Some((name, _)) = id.split_once('|') else {
        let message = format!("{} is no principal: nobody has this id", quoted(id));
        return Some((Code::UnknownPrincipal, message, "write `<issuer name>|<sub>`".to_owned()));
    };
    match world.issuer(name) {
        None => {
            let help = meant(name, world.issuers.iter().map(|issuer| issuer.name.as_str()), "issuers");
            Some((Code::UnknownPrincipal, format!("no issuer is called {}", quoted(name)), help))
        }
        Some(issuer) if (issuer.profile == Profile::Person) != person => {
            let message = format!("issuer `{name}` makes tokens for {other}s, so nobody of it is a {kind}");
            let help = format!("its profile is `{}`", issuer.profile.as_str());
            Some((Code::UnknownPrincipal, message, help))
        }
        Some(_) => None,
    }
}

fn group(subject: &Subject<'_>, world: &World, id: &str) -> Option<Strange> {
    if subject.groups.contains(id) {
        return None;
    }
    let strange = |message: String, help: String| Some((Code::UnknownGroup, message, help));
    let Some((name, group)) = id.split_once('/') else {
        let message = format!("no token can name the group {}", quoted(id));
        return strange(message, "groups are called `<issuer name>/<group>`".to_owned());
    };
    let Some(issuer) = world.issuer(name) else {
        let help = meant(name, world.issuers.iter().map(|issuer| issuer.name.as_str()), "issuers");
        return strange(
            format!("no token can name the group {}: no issuer is called {}", quoted(id), quoted(name)),
            help,
        );
    };
    if !issuer.profile.names_groups() {
        let profile = issuer.profile.as_str();
        let message = format!("tokens of `{name}` name no groups: its profile is `{profile}`");
        return strange(message, format!("compare what `{profile}` gives, such as `principal.{profile}`"));
    }
    let closed = subject.closed.get(&issuer.name)?;
    if closed.contains(group) {
        return None;
    }
    let help = meant(group, closed.iter().map(String::as_str), "groups");
    strange(format!("issuer `{name}` has no group {}", quoted(group)), help)
}

/// Can a token of the issuer name this group?
pub(super) fn can_name(subject: &Subject<'_>, issuer: &KnownIssuer, group: &str) -> bool {
    issuer.profile.names_groups()
        && subject.closed.get(&issuer.name).is_none_or(|closed| closed.contains(group))
}

fn meant<'n>(word: &str, known: impl Iterator<Item = &'n str> + Clone, what: &str) -> String {
    if let Some(near) = nearest(word, known.clone()) {
        return format!("did you mean `{near}`?");
    }
    let known = super::listed(known);
    if known.is_empty() { format!("there are no {what}") } else { format!("known {what}: {known}") }
}
