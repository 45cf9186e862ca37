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
        let candidate = lead.map_or_else(|| candidate.clone(), |lead| plausible(candidate.clone(), lead));
        steps += 1;
        let better = steps < MOST_STEPS && candidate != *best && holds(&candidate);
        if better {
            *best = candidate;
        }
        better
    };
    for candidate in today(&best, now).into_iter().chain(round_spans(&best)) {
        take(&mut best, candidate);
    }
    drop_what_does_not_matter(&mut best, &mut take);
    rename(&mut best, &mut take);
    for candidate in today(&best, now).into_iter().chain(round_spans(&best)) {
        take(&mut best, candidate);
    }
    Some(best)
}

/// A solver's values where a broker has narrower ones: whole seconds, and two names for one thing.
fn readings(facts: &Facts) -> impl Iterator<Item = (Facts, Option<Lead>)> {
    let spans = whole_seconds(facts);
    let leads = [Some(Lead::Record), Some(Lead::Subject), None];
    leads.into_iter().flat_map(move |lead| {
        spans.clone().into_iter().map(move |facts| {
            let read = lead.map_or_else(|| facts.clone(), |lead| plausible(facts.clone(), lead));
            (read, lead)
        })
    })
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

fn round_spans(facts: &Facts) -> Vec<Facts> {
    let minutes = [5, 15, 60, 30, 10, 1, 240];
    let mut rounded: Vec<_> = Vec::new();
    let span = match &facts.asked {
        Asked::Issue { ttl: span, .. }
        | Asked::Request { duration: span }
        | Asked::Approve { duration: span, .. }
        | Asked::Activate { duration: span, .. } => *span,
        Asked::Revoke { .. } | Asked::View { .. } | Asked::Lock | Asked::Audit | Asked::Explain => {
            return rounded;
        }
    };
    if let Asked::Approve { elevation, .. } = &facts.asked {
        let mut longer = facts.clone();
        if let Asked::Approve { elevation: seen, .. } = &mut longer.asked {
            seen.duration = elevation.duration.max(Duration::from_hours(1));
        }
        rounded.push(longer);
    }
    if minutes.iter().any(|count| span == Duration::from_mins(*count)) {
        return rounded;
    }
    rounded.extend(minutes.iter().map(|count| with_span(facts, Duration::from_mins(*count))));
    rounded
}

/// All dates around `now` at once, then one by one.
fn today(facts: &Facts, now: Moment) -> Vec<Facts> {
    let minutes = Duration::from_mins;
    let signed_in = now.minus(minutes(1));
    let mut all = facts.clone();
    (all.at, all.auth.issued_at) = (now, signed_in);
    all.auth.auth_time = all.auth.auth_time.map(|_| signed_in);
    if let Asked::Issue { elevation: Some(open), .. } = &mut all.asked {
        (open.starts_at, open.ends_at) = (now.minus(minutes(10)), now.plus(minutes(50)));
    }
    let (mut later, mut issued, mut window) = (facts.clone(), facts.clone(), facts.clone());
    later.at = now;
    issued.auth.issued_at = facts.at.minus(minutes(1));
    issued.auth.auth_time = facts.auth.auth_time.map(|_| facts.at.minus(minutes(1)));
    if let Asked::Issue { elevation: Some(open), .. } = &mut window.asked {
        (open.starts_at, open.ends_at) = (facts.at.minus(minutes(10)), facts.at.plus(minutes(50)));
    }
    vec![all, later, issued, window]
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
