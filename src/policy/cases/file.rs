//! One file of cases.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::path::Path;

use super::principal::{self, Named};
use super::request::{Around, moment, read_action, read_asked, read_auth};
use super::{Case, Expected, Needed, shapes};
use crate::clock::Moment;
use crate::document::{Faults, Section, nearest, quoted};
use crate::ids::GrantName;
use crate::policy::activation::MOST_APPROVALS;
use crate::policy::facts::{GrantFacts, PrincipalKind};
use crate::policy::{Action, Facts, World};

/// Now, for cases that do not say when: 2026-11-22T16:00:00Z, a Sunday.
const NOW: Moment = Moment::from_unix_seconds(1_795_363_200);

/// Reads a file of cases about the issuers and grants of `world`.
///
/// # Errors
/// Everything that is wrong with it, each with line and column.
pub fn read(text: &str, world: &World) -> Result<Vec<Case>, Faults> {
    crate::document::read(text, Path::new(""), &shapes::KIND, |top| {
        let named = read_named(top, world);
        let sections = top.sections("case", &shapes::CASE);
        if !top.has("case") {
            top.fault("case", "missing: the file has no case", "write [[case]]");
        }
        let around = Around { named: &named, world };
        let mut cases = Vec::new();
        let mut taken: BTreeMap<String, usize> = BTreeMap::new();
        for section in &sections {
            let case = read_case(section, &around);
            if let Some(name) = section.quiet_text("name")
                && let Some(line) = taken.insert(name.to_owned(), section.line())
            {
                let message = format!("two cases are called {}: the other is in line {line}", quoted(name));
                section.fault("name", message, "give one another name");
            }
            cases.extend(case);
        }
        Some(cases)
    })
}

fn read_named(top: &Section<'_>, world: &World) -> Named {
    let sections = top.named_sections("principals", &shapes::PRINCIPAL).into_iter();
    sections
        .filter_map(|(name, section)| Some((name.to_owned(), principal::read(&section, world)?)))
        .collect()
}

fn read_case(case: &Section<'_>, around: &Around<'_>) -> Option<Case> {
    let name = case.require("name", case.text("name"), "a sentence for people");
    let at = moment(case, "at").unwrap_or(NOW);
    let action = read_action(case);
    let grant = case.require("grant", read_grant(case, around.world), "the grant that it is about");
    let caller = principal::read_or_named(case, "principal", around.named, around.world);
    let caller = case.require("principal", caller, "who asks: { issuer = \"…\", subject = \"…\" }");
    let auth = read_auth(case, at);
    let source_ip = read_address(case);
    let asked = action.and_then(|action| read_asked(case, action, at, around));
    let expect =
        case.require("expect", case.parsed("expect", Expected::parse), "such as expect = \"permit\"");
    let decided_by = case
        .texts("decided_by")
        .map(|names| names.into_iter().map(|name| name.value.to_owned()).collect::<BTreeSet<_>>());
    let approvals_needed = read_needed(case);
    let policies_alone = case.flag("policies_alone").unwrap_or(false);
    let facts = Facts { at, principal: caller?, grant: grant?, source_ip, auth: auth?, asked: asked? };
    check(case, &facts);
    Some(Case {
        name: name?.value.to_owned(),
        line: case.line(),
        facts,
        policies_alone,
        expect: expect?.value,
        decided_by,
        approvals_needed,
    })
}

/// What no request can have: a workload that approves, say.
fn check(case: &Section<'_>, facts: &Facts) {
    let action = facts.asked.action();
    let workload = facts.principal.kind == PrincipalKind::Workload;
    if workload && action != Action::Issue {
        let message = format!("only people are asked about `{}`", action.as_str());
        case.fault("do", message, "describe a person: one of an issuer with profile `person`");
    }
}

fn read_grant(case: &Section<'_>, world: &World) -> Option<GrantFacts> {
    let name = case.parsed("grant", |text| {
        GrantName::new(text).map_err(|error| (error.to_string(), "the grant that it is about".to_owned()))
    })?;
    let known = world.grant(name.value.as_str());
    if known.is_none() {
        let names: Vec<_> = world.grants.iter().map(|grant| grant.name.as_str()).collect();
        let help = match nearest(name.value.as_str(), names.iter().copied()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("known grants: {}", names.join(", ")),
        };
        case.fault_at(&name.place, format!("no grant is called {}", quoted(name.value.as_str())), help);
    }
    known.map(|grant| GrantFacts::of(grant))
}

fn read_address(case: &Section<'_>) -> Option<IpAddr> {
    let parse = |text: &str| {
        text.parse::<IpAddr>()
            .map_err(|_| (format!("{} is no IP address", quoted(text)), "such as \"10.1.2.3\"".to_owned()))
    };
    case.parsed("source_ip", parse).map(|at| at.value)
}

fn read_needed(case: &Section<'_>) -> Option<Needed> {
    match case.quiet_text("approvals_needed") {
        Some("never") => Some(Needed::Never),
        Some(other) => {
            let message = format!("{} is no number of approvals", quoted(other));
            case.fault("approvals_needed", message, "from 0 to 10, or \"never\"");
            None
        }
        None => case.number("approvals_needed", 0, MOST_APPROVALS).map(Needed::Count),
    }
}
