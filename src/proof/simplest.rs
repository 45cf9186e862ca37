//! From facts that make the point to the simplest ones that still do: today's date, no groups and claims that do not matter,
//! names that can be read. Every step is decided again; a step that spoils the point is not taken.

use std::time::Duration;

use serde_json::Value;

use super::plausible::{Lead, plausible};
use crate::clock::Moment;
use crate::policy::Facts;
use crate::policy::facts::Asked;

/// An example is small; this many steps mean that something runs in circles.
const MOST_STEPS: usize = 2_000;

/// The simplest facts found that meet `holds`; `None` when these do not, in whatever way they are read.
pub(super) fn simplest(facts: &Facts, now: Moment, holds: &dyn Fn(&Facts) -> bool) -> Option<Facts> {
    let (mut best, lead) = readings(facts).find(|(reading, _)| holds(reading))?;
    let mut steps = 0;
    let mut take = |best: &mut Facts, candidate: Facts| {
        let candidate = plausible(candidate, lead);
        steps += 1;
        let better = steps < MOST_STEPS && candidate != *best && holds(&candidate);
        if better {
            *best = candidate;
        }
        better
    };
    settle(&mut best, now, &mut take);
    drop_what_does_not_matter(&mut best, &mut take);
    rename(&mut best, &mut take);
    settle(&mut best, now, &mut take);
    Some(best)
}

/// A solver's values where a broker has narrower ones: whole seconds, and two names for one thing.
fn readings(facts: &Facts) -> impl Iterator<Item = (Facts, Lead)> {
    let spans = whole_seconds(facts);
    let of = move |lead| {
        let read = |facts: Facts| (plausible(facts, lead), lead);
        spans.iter().cloned().map(read).collect::<Vec<_>>()
    };
    [Lead::Record, Lead::Subject].into_iter().flat_map(of)
}

fn whole_seconds(facts: &Facts) -> Vec<Facts> {
    let Asked::Issue { ttl, .. } = &facts.asked else { return vec![facts.clone()] };
    let down = Duration::from_secs(ttl.as_secs());
    [down, down + Duration::from_secs(1)].map(|span| with_span(facts, span)).into()
}

/// With another lifetime or duration.
fn with_span(facts: &Facts, span: Duration) -> Facts {
    let mut changed = facts.clone();
    match &mut changed.asked {
        Asked::Issue { ttl: place, .. }
        | Asked::Request { duration: place }
        | Asked::Approve { duration: place, .. }
        | Asked::Activate { duration: place, .. } => *place = span,
        Asked::Revoke { .. } | Asked::View { .. } | Asked::Lock | Asked::Audit | Asked::Explain => {}
    }
    changed
}

/// An ordinary day, round spans and few approvals: of each kind the first that still makes the point.
fn settle(best: &mut Facts, now: Moment, take: &mut Take<'_>) {
    let today = on_day(best, now);
    if !take(best, around_it(signed_in_before_it(today.clone()))) {
        take(best, today);
        take(best, signed_in_before_it(best.clone()));
        take(best, around_it(best.clone()));
    }
    for kind in [round_spans, round_windows, few_approvals] {
        for candidate in kind(best) {
            if candidate == *best || take(best, candidate) {
                break;
            }
        }
    }
}

fn on_day(facts: &Facts, at: Moment) -> Facts {
    Facts { at, ..facts.clone() }
}

fn signed_in_before_it(mut facts: Facts) -> Facts {
    let signed_in = facts.at.minus(Duration::from_mins(1));
    facts.auth.issued_at = signed_in;
    facts.auth.auth_time = facts.auth.auth_time.map(|_| signed_in);
    facts
}

/// With a window that is open then.
fn around_it(mut facts: Facts) -> Facts {
    let at = facts.at;
    if let Asked::Issue { elevation: Some(open), .. } = &mut facts.asked {
        (open.starts_at, open.ends_at) =
            (at.minus(Duration::from_mins(10)), at.plus(Duration::from_mins(50)));
    }
    facts
}

fn round_spans(facts: &Facts) -> Vec<Facts> {
    let minutes = [5, 15, 60, 30, 10, 1, 240];
    minutes.into_iter().map(|count| with_span(facts, Duration::from_mins(count))).collect()
}

/// An elevation that somebody decides about lasts an hour, or longer where an approval would otherwise widen it.
fn round_windows(facts: &Facts) -> Vec<Facts> {
    let hour = Duration::from_hours(1);
    let mut changed = facts.clone();
    match &mut changed.asked {
        Asked::Approve { elevation, duration } => elevation.duration = hour.max(*duration),
        Asked::Revoke { elevation } | Asked::View { elevation } => elevation.duration = hour,
        _ => return Vec::new(),
    }
    vec![changed]
}

fn few_approvals(facts: &Facts) -> Vec<Facts> {
    (1..=3).map(|count| with_approvals(facts, count)).collect()
}

fn with_approvals(facts: &Facts, count: u32) -> Facts {
    let mut changed = facts.clone();
    match &mut changed.asked {
        Asked::Issue { elevation: Some(open), .. } => open.approvals = count,
        Asked::Activate { approvals, .. } => approvals.count = count,
        _ => {}
    }
    changed
}

type Take<'t> = dyn FnMut(&mut Facts, Facts) -> bool + 't;

/// Members and elements, the inner before the outer and the last before the first: no pointer goes stale.
fn drop_what_does_not_matter(best: &mut Facts, take: &mut Take<'_>) {
    for path in paths(&serde_json::to_value(&*best).unwrap_or_default()).iter().rev() {
        let Ok(mut value) = serde_json::to_value(&*best) else { return };
        if remove(&mut value, path)
            && let Ok(without) = serde_json::from_value::<Facts>(value)
        {
            take(best, without);
        }
    }
}

/// Names that a solver made up.
fn rename(best: &mut Facts, take: &mut Take<'_>) {
    for path in paths(&serde_json::to_value(&*best).unwrap_or_default()) {
        let Ok(mut value) = serde_json::to_value(&*best) else { return };
        let Some(place) = value.pointer_mut(&path) else { continue };
        let made_up = place
            .as_str()
            .is_some_and(|text| text.len() < 2 || text.chars().any(|c| !c.is_ascii_graphic() && c != ' '));
        if made_up {
            *place = Value::from("example");
            if let Ok(renamed) = serde_json::from_value(value) {
                take(best, renamed);
            }
        }
    }
}

/// JSON pointers (RFC 6901) to every member and element.
fn paths(value: &Value) -> Vec<String> {
    let mut found = Vec::new();
    walk(value, "", &mut found);
    found
}

fn walk(value: &Value, path: &str, found: &mut Vec<String>) {
    let children: Vec<(String, &Value)> = match value {
        Value::Object(members) => {
            members.iter().map(|(name, child)| (name.replace('~', "~0").replace('/', "~1"), child)).collect()
        }
        Value::Array(elements) => {
            elements.iter().enumerate().map(|(at, child)| (at.to_string(), child)).collect()
        }
        _ => return,
    };
    for (name, child) in children {
        let path = format!("{path}/{name}");
        found.push(path.clone());
        walk(child, &path, found);
    }
}

/// Takes out what is there; false when nothing is.
fn remove(value: &mut Value, path: &str) -> bool {
    let Some((parent, name)) = path.rsplit_once('/') else { return false };
    match value.pointer_mut(parent) {
        Some(Value::Object(members)) => members.remove(&name.replace("~1", "/").replace("~0", "~")).is_some(),
        Some(Value::Array(elements)) => match name.parse::<usize>() {
            Ok(at) if at < elements.len() => {
                elements.remove(at);
                true
            }
            _ => false,
        },
        _ => false,
    }
}
