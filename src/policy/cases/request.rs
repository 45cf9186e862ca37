//! What is asked, by the action: each takes its own keys, and no others.

use std::collections::BTreeSet;
use std::time::Duration;

use super::principal::{self, Named};
use super::shapes;
use crate::clock::Moment;
use crate::document::{At, Section, quoted};
use crate::grants::Lifetime;
use crate::ids::{ElevationId, Scope};
use crate::policy::World;
use crate::policy::facts::{ApprovalFacts, Asked, AuthFacts, ElevationSeen, ElevationWindow};
use crate::policy::schema::Action;

/// The one elevation of a case. Policy does not see its id.
const ELEVATION: &str = "elv-01a203ff-4cee-7102-8304-05060708090a";

/// Keys that only some actions take.
const OWN_KEYS: [(&str, &[Action]); 9] = [
    ("ttl", &[Action::Issue]),
    ("scopes", &[Action::Issue]),
    ("client_cert", &[Action::Issue]),
    ("actor", &[Action::Issue]),
    ("policies_alone", &[Action::Issue]),
    ("duration", &[Action::Request, Action::Approve, Action::Activate]),
    ("approvals", &[Action::Activate]),
    ("approvals_needed", &[Action::Request, Action::Activate]),
    ("requester", &[Action::Approve, Action::Revoke, Action::View]),
];

/// Where a case looks things up.
pub(super) struct Around<'a> {
    pub(super) named: &'a Named,
    pub(super) world: &'a World,
}

pub(super) fn read_action(case: &Section<'_>) -> Option<Action> {
    if !case.has("do") {
        return Some(Action::Issue);
    }
    let words: Vec<_> = Action::ALL.into_iter().map(|action| (action.as_str(), action)).collect();
    case.one_of("do", &words).map(|at| at.value)
}

pub(super) fn read_asked(
    case: &Section<'_>,
    action: Action,
    at: Moment,
    around: &Around<'_>,
) -> Option<Asked> {
    for (key, _) in OWN_KEYS.iter().filter(|(key, actions)| case.has(key) && !actions.contains(&action)) {
        let help = format!("leave it out: `{}` is not asked with it", action.as_str());
        case.fault(key, format!("`{}` has no `{key}`", action.as_str()), help);
    }
    match action {
        Action::Issue => issue(case, at, around),
        Action::Request => Some(Asked::Request { duration: duration(case)? }),
        Action::Activate => {
            let approvals = approvals(case);
            Some(Asked::Activate { duration: duration(case)?, approvals: approvals? })
        }
        Action::Approve => {
            let elevation = seen(case, around);
            Some(Asked::Approve { duration: duration(case)?, elevation: Box::new(elevation?) })
        }
        Action::Revoke => Some(Asked::Revoke { elevation: Box::new(seen(case, around)?) }),
        Action::View => Some(Asked::View { elevation: Box::new(seen(case, around)?) }),
        Action::Lock => Some(Asked::Lock),
        Action::Audit => Some(Asked::Audit),
        Action::Explain => Some(Asked::Explain),
    }
}

fn duration(case: &Section<'_>) -> Option<Duration> {
    case.require("duration", case.duration("duration"), "how long access would last, such as \"1h\"")
        .map(|at| at.value)
}

fn issue(case: &Section<'_>, at: Moment, around: &Around<'_>) -> Option<Asked> {
    let ttl =
        case.require("ttl", case.duration("ttl"), "how long the credential would live, such as \"10m\"");
    let ttl = ttl.and_then(|ttl| lifetime(case, &ttl));
    let parse = |text: &str| Scope::new(text).map_err(|error| (error.to_string(), String::new()));
    let scopes = case.texts("scopes").unwrap_or_default().into_iter();
    let scopes: BTreeSet<Scope> =
        scopes.filter_map(|scope| case.parse_at(scope, parse)).map(|at| at.value).collect();
    let actor = if case.has("actor") {
        Some(Box::new(principal::read_or_named(case, "actor", around.named, around.world)?))
    } else {
        None
    };
    let elevation = window(case, at);
    let client_cert = case.text("client_cert").map(|text| text.value.to_owned());
    Some(Asked::Issue { ttl: ttl?, scopes, client_cert, actor, elevation: elevation? })
}

fn lifetime(case: &Section<'_>, ttl: &At<Duration>) -> Option<Duration> {
    let seconds = i64::try_from(ttl.value.as_secs()).ok();
    let lives = seconds.is_some_and(|seconds| Lifetime::from_seconds(seconds).is_ok());
    if !lives {
        case.fault_at(&ttl.place, "no credential lives so long", "7d at most");
    }
    lives.then_some(ttl.value)
}

/// An open window: begun now and an hour long, where the case does not say otherwise.
#[expect(
    clippy::option_option,
    reason = "the outer is whether it could be read, the inner whether there is one"
)]
fn window(case: &Section<'_>, at: Moment) -> Option<Option<ElevationWindow>> {
    if !case.has("elevation") {
        return Some(None);
    }
    let section = case.section("elevation", &shapes::ELEVATION)?;
    refuse_others(
        &section,
        &["approvals", "starts_at", "ends_at"],
        "a credential is asked for under a window",
    );
    let approvals = section.require(
        "approvals",
        section.number("approvals", 0, u32::MAX),
        "by how many people, such as approvals = 2",
    );
    let starts_at = moment(&section, "starts_at").unwrap_or(at);
    let ends_at = moment(&section, "ends_at").unwrap_or_else(|| starts_at.plus(Duration::from_hours(1)));
    let id: ElevationId = ELEVATION.parse().ok()?;
    Some(Some(ElevationWindow { id, version: 1, approvals: approvals?, starts_at, ends_at }))
}

/// What is decided about.
fn seen(case: &Section<'_>, around: &Around<'_>) -> Option<ElevationSeen> {
    let requester = principal::read_or_named(case, "requester", around.named, around.world);
    let help = "write requester = { issuer = \"…\", subject = \"…\" }: who asked for the elevation";
    let requester = case.require("requester", requester, help);
    let section =
        if case.has("elevation") { Some(case.section("elevation", &shapes::ELEVATION)?) } else { None };
    let section = section.as_ref();
    if let Some(section) = section {
        refuse_others(section, &["duration", "reason", "ticket"], "it is not open yet");
    }
    let text = |key| section.and_then(|section| section.text(key)).map(|text| text.value.to_owned());
    let asked = section.and_then(|section| section.duration("duration")).map(|at| at.value);
    Some(ElevationSeen {
        id: ELEVATION.to_owned(),
        requester: requester?,
        duration: asked.unwrap_or(Duration::from_hours(1)),
        reason: text("reason").unwrap_or_else(|| "a case".to_owned()),
        ticket: text("ticket"),
    })
}

fn refuse_others(section: &Section<'_>, known: &[&str], why: &str) {
    for key in shapes::ELEVATION.keys.iter().filter(|key| section.has(key) && !known.contains(key)) {
        section.fault(
            key,
            format!("`{key}` is of no use here: {why}"),
            format!("known: {}", known.join(", ")),
        );
    }
}

/// `2`, or with the groups of those who approved.
fn approvals(case: &Section<'_>) -> Option<ApprovalFacts> {
    if !case.has("approvals") {
        return Some(ApprovalFacts::default());
    }
    if !case.is_table("approvals") {
        let count = case.number("approvals", 0, u32::MAX)?;
        return Some(ApprovalFacts { count, groups: BTreeSet::new() });
    }
    let section = case.section("approvals", &shapes::APPROVALS)?;
    let count = section.require("count", section.number("count", 0, u32::MAX), "by how many people");
    let groups = section.texts("groups").unwrap_or_default().into_iter();
    let groups = groups.filter_map(|group| section.parse_at(group, group_name)).map(|at| at.value).collect();
    Some(ApprovalFacts { count: count?, groups })
}

fn group_name(text: &str) -> Result<String, (String, String)> {
    let whole = text.split_once('/').is_some_and(|(issuer, group)| !issuer.is_empty() && !group.is_empty());
    if whole {
        return Ok(text.to_owned());
    }
    Err((
        format!("{} is no group of an approver", quoted(text)),
        "write \"<issuer name>/<group>\"".to_owned(),
    ))
}

pub(super) fn moment(section: &Section<'_>, key: &str) -> Option<Moment> {
    let parse = |text: &str| {
        text.parse::<Moment>().map_err(|_| {
            (
                format!("{} is no moment", quoted(text)),
                "RFC 3339, such as \"2026-11-22T16:00:00Z\"".to_owned(),
            )
        })
    };
    section.parsed(key, parse).map(|at| at.value)
}

/// How the caller signed in: just now, where the case does not say otherwise.
pub(super) fn read_auth(case: &Section<'_>, at: Moment) -> Option<AuthFacts> {
    let words =
        |texts: Vec<At<&str>>| texts.into_iter().map(|text| text.value.to_owned()).collect::<Vec<_>>();
    let mut amr: BTreeSet<String> = words(case.texts("amr").unwrap_or_default()).into_iter().collect();
    let mut auth = AuthFacts { issued_at: at, acr: None, amr: BTreeSet::new(), auth_time: None };
    if case.has("auth") {
        let section = case.section("auth", &shapes::AUTH)?;
        amr.extend(words(section.texts("amr").unwrap_or_default()));
        auth.acr = section.text("acr").map(|text| text.value.to_owned());
        auth.auth_time = moment(&section, "auth_time");
        auth.issued_at = moment(&section, "issued_at").unwrap_or(at);
    }
    Some(AuthFacts { amr, ..auth })
}
