//! What is true of every request that a broker of this configuration puts to its policies, as Cedar expressions for the
//! solver. Without them it would find people without an issuer, grants that nobody configured, and approvals below zero.
//!
//! Each of these must hold for every real request: one that does not would make a proof worthless. Only what no policy reads
//! is left out of requests although real ones have it: nothing depends on it. None of them can fail.
//! [`admits`](super::surroundings) says the same of facts.

use std::collections::BTreeSet;
use std::time::Duration;

use cedar_policy_core::ast::Expr;

use super::formula::{Doubt, all, any, parse};
use super::literals::Literals;
use super::shape::Shape;
use super::teams;
use crate::claims::Profile;
use crate::grants::{Grant, GrantKind};
use crate::ids::Scope;
use crate::policy::facts::PrincipalKind;
use crate::policy::{Action, KnownIssuer, World};

/// How far assumptions go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reach {
    /// Who there is and what there is: the shapes of callers, grants and elevations.
    Shapes,
    /// Also what the broker and its configuration hold whatever policy says: longest lifetimes, an active elevation for a
    /// break-glass grant, no approval by the requester or by an issuer that may not approve.
    Broker,
}

/// The profiles that give a workload a record of their own.
const RECORDS: [&str; 5] = ["aws", "github", "gitlab", "kubernetes", "spiffe"];

/// Writes assumptions about one shape of requests.
#[derive(Clone, Copy, Debug)]
pub(super) struct Assumptions<'a> {
    pub(super) world: &'a World,
    pub(super) literals: &'a Literals,
    pub(super) shape: Shape,
    pub(super) reach: Reach,
    /// Only this grant, instead of every grant of the world.
    pub(super) only: Option<&'a Grant>,
}

impl Assumptions<'_> {
    /// All of them.
    pub(super) fn expression(self) -> Result<Expr, Doubt> {
        let mut parts = self.caller("principal", self.shape.entity())?;
        parts.extend(self.others()?);
        // Before the grants: what is reckoned there cannot fail with dates like these.
        parts.extend(texts(&self.circumstances())?);
        parts.push(any(self.grants()?));
        parts.extend(texts(&teams::hierarchy(self.literals))?);
        parts.extend(texts(&self.networks())?);
        if self.reach == Reach::Broker {
            parts.extend(texts(&self.broker())?);
        }
        Ok(all(parts))
    }

    /// Who else is in the request: the requester of an elevation, or somebody who acts for the caller.
    fn others(&self) -> Result<Vec<Expr>, Doubt> {
        if self.shape.action.is_about_elevation() {
            let mut parts = self.caller("resource.requester", "Person")?;
            parts.push(parse(&same_when_named_the_same("resource.requester"))?);
            return Ok(parts);
        }
        if self.shape.action != Action::Issue {
            return Ok(Vec::new());
        }
        if !self.literals.reads("actor") {
            return Ok(vec![parse("!(context has actor)")?]);
        }
        let mut actor = self.caller("context.actor", "Workload")?;
        if self.shape.principal == PrincipalKind::Workload {
            actor.push(parse(&same_when_named_the_same("context.actor"))?);
        }
        // What `has` found may be read in a branch of its own; behind an `or` Cedar does not see it.
        Ok(vec![Expr::ite(parse("context has actor")?, all(actor), Expr::val(true))])
    }

    /// A caller is of a configured issuer, has the record of its profile and no other, is who their id says, and is only in
    /// groups that their own issuer named, or that somebody of their issuer can be in.
    fn caller(&self, who: &str, kind: &str) -> Result<Vec<Expr>, Doubt> {
        let is_person = kind == "Person";
        let issuers =
            self.world.issuers.iter().filter(|issuer| (issuer.profile == Profile::Person) == is_person);
        let origins = issuers.map(|issuer| parse(&origin(who, issuer))).collect::<Result<_, _>>()?;
        let mut parts = vec![any(origins), parse(&format!("{who}.subject != \"\""))?];
        let named = self.literals.callers.iter().filter(|(of, _)| of == kind);
        parts.extend(texts(&named.map(|(_, id)| named_caller(who, kind, id)).collect::<Vec<_>>())?);
        parts.extend(texts(
            &self
                .literals
                .reach
                .iter()
                .map(|(group, issuers)| own_group(who, group, issuers))
                .collect::<Vec<_>>(),
        )?);
        parts.extend(texts(&teams::members(self.literals, who, kind))?);
        if !is_person {
            parts.extend(texts(&self.subjects(who))?);
        }
        Ok(parts)
    }

    /// A Kubernetes token's subject is its namespace and account, a SPIFFE token's its domain and path, written another way.
    fn subjects(&self, who: &str) -> Vec<String> {
        let subjects = self.literals.callers.iter().filter_map(|(_, id)| id.split_once('|').map(|(_, s)| s));
        let subjects = subjects.chain(self.literals.texts.iter().map(String::as_str));
        let pairs = subjects.filter_map(|subject| {
            if let Some((domain, path)) = subject.strip_prefix("spiffe://").and_then(|id| id.split_once('/'))
            {
                return Some(format!(
                    "if {who} has spiffe then ({who}.subject == {}) == \
                     ({who}.spiffe.trust_domain == {} && {who}.spiffe.path == {}) else true",
                    text(subject),
                    text(domain),
                    text(&format!("/{path}")),
                ));
            }
            let (namespace, account) = subject.strip_prefix("system:serviceaccount:")?.split_once(':')?;
            Some(format!(
                "if {who} has kubernetes then ({who}.subject == {}) == \
                 ({who}.kubernetes.namespace == {} && {who}.kubernetes.service_account == {}) else true",
                text(subject),
                text(namespace),
                text(account),
            ))
        });
        pairs.collect()
    }

    /// One alternative for each grant, with everything that policy can see of it.
    fn grants(&self) -> Result<Vec<Expr>, Doubt> {
        let chosen =
            self.world.grants.iter().filter(|grant| self.only.is_none_or(|only| only.name == grant.name));
        // An elevation is for a break-glass grant; nobody can make another.
        let fitting =
            chosen.filter(|grant| !self.shape.action.is_about_elevation() || grant.break_glass.is_some());
        fitting.map(|grant| Ok(all(texts(&self.grant(grant))?))).collect()
    }

    fn grant(&self, grant: &Grant) -> Vec<String> {
        let it = self.shape.grant();
        let mut parts = vec![
            format!("{it} == Tidegate::Grant::{}", text(grant.name.as_str())),
            format!("{it}.name == {}", text(grant.name.as_str())),
            format!("{it}.kind == {}", text(grant.kind_name())),
            format!("{it}.break_glass == {}", grant.break_glass.is_some()),
            equals_set(&format!("{it}.labels"), grant.labels.iter().map(String::as_str)),
            match grant.account() {
                Some(account) => format!("{it} has account && {it}.account == {}", text(account)),
                None => format!("!({it} has account)"),
            },
        ];
        parts.extend(teams::owner(self.literals, it, grant));
        parts.extend(self.literals.sets.iter().map(|set| {
            let is_in = format!("{it} in Tidegate::GrantSet::{}", text(set));
            if grant.sets.contains(set) { is_in } else { format!("!({is_in})") }
        }));
        if self.reach == Reach::Broker {
            parts.extend(caps(self.shape.action, grant));
            parts.extend(self.longest_window(grant));
        }
        parts
    }

    /// Only where somebody reckons with dates, and an example cannot be moved to an ordinary day: the solver is slow at sums
    /// with them.
    fn longest_window(&self, grant: &Grant) -> Option<String> {
        let most =
            grant.break_glass.filter(|_| self.literals.reckons && self.shape.action == Action::Issue)?;
        Some(format!(
            "if context has elevation \
             then context.elevation.ends_at.durationSince(context.elevation.starts_at) <= duration(\"{}ms\") \
             else true",
            most.max_duration.as_millis()
        ))
    }

    /// Dates that a broker can put before Cedar, spans that do not run backwards, counts that are counts.
    fn circumstances(&self) -> Vec<String> {
        let mut parts = vec![date("context.now")];
        if self.literals.reads("auth") {
            parts.push(date("context.auth.issued_at"));
            let signed_in = date("context.auth.auth_time");
            parts.push(format!("if context.auth has auth_time then {signed_in} else true"));
        } else {
            parts.push("!(context.auth has auth_time) && !(context.auth has acr)".to_owned());
        }
        if self.shape.action == Action::Issue && !self.literals.reads("client_cert") {
            parts.push("!(context has client_cert)".to_owned());
        }
        match self.shape.action {
            Action::Issue => {
                parts.push("context.ttl >= duration(\"1s\")".to_owned());
                parts.push(format!(
                    "if context has elevation then context.elevation.approvals >= 1 && \
                     context.elevation.approvals <= 1000 && {} && {} else true",
                    date("context.elevation.starts_at"),
                    date("context.elevation.ends_at"),
                ));
            }
            Action::Request | Action::Approve | Action::Activate => {
                parts.push("context.duration > duration(\"0ms\")".to_owned());
            }
            Action::Revoke | Action::View | Action::Lock | Action::Audit | Action::Explain => {}
        }
        if self.shape.action == Action::Activate {
            parts.push("context.approvals.count >= 1 && context.approvals.count <= 1000".to_owned());
            parts.extend(
                self.literals
                    .reach
                    .iter()
                    .filter_map(|(group, issuers)| self.no_approvers_group(group, issuers)),
            );
            parts.extend(teams::of_approvers(self.literals));
            parts.extend(self.approvers());
        }
        if self.shape.action.is_about_elevation() {
            parts.push("resource.duration >= duration(\"1s\")".to_owned());
        }
        parts
    }

    /// People who approve are of an issuer whose people do, are not the requester, and are not more than there are approvals.
    fn approvers(&self) -> Vec<String> {
        let approvers = teams::approvers(self.literals);
        let may = |id: &str| {
            let issuer = id.split_once('|').and_then(|(issuer, _)| self.world.issuer(issuer));
            issuer.is_some_and(|issuer| issuer.profile == Profile::Person && issuer.may_approve)
        };
        let mut parts: Vec<_> = approvers
            .iter()
            .map(|(id, approved)| {
                let themselves = format!("principal == Tidegate::Person::{}", text(id));
                if may(id) { format!("!({approved} && {themselves})") } else { format!("!({approved})") }
            })
            .collect();
        let can: Vec<_> = approvers.iter().filter(|(id, _)| may(id)).collect();
        if can.len() > 1 {
            let count = can.iter().map(|(_, approved)| format!("(if {approved} then 1 else 0)"));
            parts.push(format!("{} <= context.approvals.count", count.collect::<Vec<_>>().join(" + ")));
        }
        parts
    }

    /// A group that no approver can bring: of no issuer of people, or, where the broker's own rules are assumed, of one that
    /// may not approve.
    fn no_approvers_group(&self, group: &str, issuers: &BTreeSet<String>) -> Option<String> {
        let mut known = issuers.iter().filter_map(|issuer| self.world.issuer(issuer));
        let can = known.any(|issuer| {
            issuer.profile == Profile::Person && (self.reach == Reach::Shapes || issuer.may_approve)
        });
        (!can).then(|| format!("!(context.approvals.groups.contains(Tidegate::Group::{}))", text(group)))
    }

    /// `source_ip` is one address; Cedar's type also holds networks. A network that lies within each network that policies
    /// name, or apart from it, is to them like each of its addresses.
    fn networks(&self) -> Vec<String> {
        if !self.literals.reads("source_ip") {
            return vec!["!(context has source_ip)".to_owned()];
        }
        let always = ["127.0.0.0/8", "::1/128", "224.0.0.0/4", "ff00::/8"];
        let named = self.literals.networks.iter().map(String::as_str).chain(always);
        let mut parts: Vec<_> = named
            .map(|network| {
                let range = format!("ip({})", text(network));
                let holds_it = format!("{range}.isInRange(context.source_ip)");
                if is_one_address(network) {
                    return format!("(!({holds_it}) || context.source_ip.isInRange({range}))");
                }
                format!("!({holds_it})")
            })
            .collect();
        // The broker writes an IPv4 address inside an IPv6 one as what it is.
        parts.push("!(context.source_ip.isInRange(ip(\"::ffff:0:0/96\")))".to_owned());
        parts.push("!(ip(\"::ffff:0:0/96\").isInRange(context.source_ip))".to_owned());
        parts.into_iter().map(|part| format!("if context has source_ip then {part} else true")).collect()
    }

    /// What the broker holds beside its policies; each is tested where it is held.
    fn broker(&self) -> Vec<String> {
        match self.shape.action {
            Action::Issue => vec![match self.shape.principal {
                // The elevation is the caller's own, and only people have any.
                PrincipalKind::Workload => "!(resource.break_glass) && !(context has elevation)".to_owned(),
                PrincipalKind::Person => "if resource.break_glass \
                     then context has elevation && context.elevation.starts_at <= context.now && \
                     context.now < context.elevation.ends_at \
                     else !(context has elevation)"
                    .to_owned(),
            }],
            Action::Request | Action::Activate => vec!["resource.break_glass".to_owned()],
            Action::Approve => {
                let may = self.world.issuers.iter().filter(|issuer| issuer.may_approve);
                let may = may.map(|issuer| from("principal", issuer)).collect::<Vec<_>>().join(" || ");
                vec![
                    "principal != resource.requester".to_owned(),
                    "context.duration <= resource.duration".to_owned(),
                    if may.is_empty() { "false".to_owned() } else { may },
                ]
            }
            Action::Revoke | Action::View | Action::Lock | Action::Audit | Action::Explain => Vec::new(),
        }
    }
}

/// The longest that the configuration of the grant allows, and its scopes.
fn caps(action: Action, grant: &Grant) -> Vec<String> {
    let longest = grant.break_glass.map(|glass| glass.max_duration);
    let within = |what: &str, most: Option<Duration>| {
        most.map(|most| format!("{what} <= duration(\"{}ms\")", most.as_millis()))
    };
    match action {
        Action::Issue => {
            let scopes = match &grant.kind {
                // Of a grant that is only described nobody knows the scopes.
                GrantKind::Jwt(jwt) if jwt.scopes.is_empty() => "true".to_owned(),
                GrantKind::Jwt(jwt) => within_set("context.scopes", jwt.scopes.iter().map(Scope::as_str)),
                GrantKind::Aws(_) => "context.scopes.isEmpty()".to_owned(),
            };
            within("context.ttl", Some(grant.caps.max.duration())).into_iter().chain([scopes]).collect()
        }
        Action::Request | Action::Activate => within("context.duration", longest).into_iter().collect(),
        Action::Approve => within("resource.duration", longest).into_iter().collect(),
        Action::Revoke | Action::View | Action::Lock | Action::Audit | Action::Explain => Vec::new(),
    }
}

fn texts(parts: &[String]) -> Result<Vec<Expr>, Doubt> {
    parts.iter().map(|part| parse(part)).collect()
}

/// A text as Cedar writes it.
pub(super) fn text(value: &str) -> String {
    format!("\"{}\"", value.escape_debug())
}

fn from(who: &str, issuer: &KnownIssuer) -> String {
    format!("{who}.issuer == Tidegate::Issuer::{}", text(issuer.name.as_str()))
}

fn origin(who: &str, issuer: &KnownIssuer) -> String {
    let record = |name: &str| {
        let has = format!("{who} has {name}");
        if name == issuer.profile.as_str() { has } else { format!("!({has})") }
    };
    let records = RECORDS.into_iter().map(record).filter(|_| issuer.profile != Profile::Person);
    std::iter::once(from(who, issuer)).chain(records).collect::<Vec<_>>().join(" && ")
}

/// The broker makes ids of issuer and subject, so the two say the same.
fn named_caller(who: &str, kind: &str, id: &str) -> String {
    let is_named = format!("{who} == Tidegate::{kind}::{}", text(id));
    match id.split_once('|') {
        Some((issuer, subject)) => format!(
            "({is_named}) == ({who}.issuer == Tidegate::Issuer::{} && {who}.subject == {})",
            text(issuer),
            text(subject)
        ),
        None => format!("!({is_named})"),
    }
}

fn same_when_named_the_same(who: &str) -> String {
    format!(
        "(principal == {who}) == (principal.issuer == {who}.issuer && principal.subject == {who}.subject)"
    )
}

fn own_group(who: &str, group: &str, issuers: &BTreeSet<String>) -> String {
    let is_in = format!("!({who} in Tidegate::Group::{})", text(group));
    let of = issuers.iter().map(|issuer| format!("{who}.issuer == Tidegate::Issuer::{}", text(issuer)));
    std::iter::once(is_in).chain(of).collect::<Vec<_>>().join(" || ")
}

fn equals_set<'a>(what: &str, members: impl Iterator<Item = &'a str>) -> String {
    match list(members) {
        Some(list) => format!("{what} == {list}"),
        None => format!("{what}.isEmpty()"),
    }
}

fn within_set<'a>(what: &str, members: impl Iterator<Item = &'a str>) -> String {
    match list(members) {
        Some(list) => format!("{list}.containsAll({what})"),
        None => format!("{what}.isEmpty()"),
    }
}

/// Cedar has no type for a set without members.
fn list<'a>(members: impl Iterator<Item = &'a str>) -> Option<String> {
    let members: Vec<_> = members.map(text).collect();
    (!members.is_empty()).then(|| format!("[{}]", members.join(", ")))
}

/// A network that holds no address but its own.
fn is_one_address(network: &str) -> bool {
    match network.split_once('/') {
        None => true,
        Some((address, length)) => length == if address.contains(':') { "128" } else { "32" },
    }
}

/// From 1970 to the last moment that the broker can write.
fn date(what: &str) -> String {
    format!("{what} >= datetime(\"1970-01-01\") && {what} <= datetime(\"9999-12-30T22:00:00Z\")")
}
