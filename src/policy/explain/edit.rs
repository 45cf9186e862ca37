//! Facts as they would be after a change: what is suggested is tried before it is said to help.
//!
//! Facts are changed as the data that they are written as, and read again: what does not read is no request.

use serde_json::{Map, Value as Json, json};

use super::change::{Change, To, Way};
use super::place::Place;
use super::value::Value;
use crate::clock::Moment;
use crate::network::Network;
use crate::policy::{Facts, World};
use crate::span::format_duration;
use cedar_policy_core::ast::Var;

/// Somebody, or something, that no policy names.
const ANOTHER: &str = "another";

/// Addresses of documentation (RFC 5737): whoever is asked to come from elsewhere comes from there.
const ELSEWHERE: [&str; 3] = ["192.0.2.1", "198.51.100.1", "203.0.113.1"];

/// The facts after all of `way`; `None` where something in it cannot be tried.
pub(super) fn after(way: &Way, facts: &Facts, world: &World) -> Option<Facts> {
    let mut json = serde_json::to_value(facts).ok()?;
    let editor = Editor { facts, world };
    let mut changes: Vec<&Change> = way.0.iter().collect();
    // Whoever has another issuer has none of the groups of before.
    changes.sort_by_key(|change| change.target().map(|(place, to)| order(place, to)));
    for change in changes {
        let (place, to) = change.target()?;
        editor.edit(&mut json, place, to)?;
    }
    let after: Facts = serde_json::from_value(json).ok()?;
    after.caller().ok()?;
    Some(after)
}

fn order(place: &Place, to: &To) -> u8 {
    match (to, place.names().as_deref()) {
        (To::Kind(_), _) => 0,
        (_, Some(["issuer"])) => 1,
        _ => 2,
    }
}

struct Editor<'a> {
    facts: &'a Facts,
    world: &'a World,
}

impl Editor<'_> {
    fn edit(&self, json: &mut Json, place: &Place, to: &To) -> Option<()> {
        let path = self.path(place)?;
        let path: Vec<&str> = path.iter().map(String::as_str).collect();
        match (path.as_slice(), to) {
            (["principal"] | ["asked", "elevation", "requester"], _) => self.edit_principal(json, &path, to),
            (["principal", "issuer"], _) => self.edit_issuer(json, to),
            (["grant"], To::In(set)) => {
                push(slot(json, &["grant", "sets"], self.facts)?, json!(set.id().unescaped()))
            }
            (["grant"], To::NotIn(set)) => {
                take(slot(json, &["grant", "sets"], self.facts)?, &json!(set.id().unescaped()))
            }
            (["principal", record @ ..], To::Absent) if !record.is_empty() => remove(json, &path),
            (_, To::Absent) => remove(json, &path),
            (_, To::Present) => {
                let present = self.something(&path)?;
                let found = slot(json, &path, self.facts)?;
                if found.is_null() {
                    *found = present;
                }
                Some(())
            }
            (_, To::With(value)) => push(slot(json, &path, self.facts)?, written(value)?),
            (_, To::Without(value)) => take(slot(json, &path, self.facts)?, &written(value)?),
            (_, To::Within(most)) => within(slot(json, &path, self.facts)?, most),
            _ => {
                let value = scalar(to)?;
                *slot(json, &path, self.facts)? = value;
                Some(())
            }
        }
    }

    /// Where the facts keep what policy finds at `place`.
    fn path(&self, place: &Place) -> Option<Vec<String>> {
        if let Some(tag) = place.tag() {
            return Some(vec!["principal".into(), "tags".into(), tag.into()]);
        }
        let names = place.names()?;
        let about_elevation = self.facts.asked.action().is_about_elevation();
        let (front, rest): (&[&str], &[&str]) = match (place.root, names.as_slice()) {
            (Var::Principal, rest) => (&["principal"], rest),
            (Var::Context, ["now"]) => (&["at"], &[]),
            (Var::Context, ["source_ip"]) => (&["source_ip"], &[]),
            (Var::Context, ["auth", rest @ ..]) if !rest.is_empty() => (&["auth"], rest),
            (Var::Context, rest) if !rest.is_empty() => (&["asked"], rest),
            (Var::Resource, ["grant", rest @ ..]) if about_elevation => (&["grant"], rest),
            (Var::Resource, rest) if about_elevation && !rest.is_empty() => (&["asked", "elevation"], rest),
            (Var::Resource, rest) if !about_elevation => (&["grant"], rest),
            _ => return None,
        };
        Some(front.iter().chain(rest).map(ToString::to_string).collect())
    }

    fn edit_principal(&self, json: &mut Json, path: &[&str], to: &To) -> Option<()> {
        let who = slot(json, path, self.facts)?.as_object_mut()?;
        match to {
            To::Is(Value::Entity(uid)) => {
                let (issuer, subject) = uid.id().unescaped().split_once('|')?;
                if who.get("issuer") != Some(&json!(issuer)) {
                    who.remove("groups");
                }
                who.insert("issuer".into(), json!(issuer));
                who.insert("subject".into(), json!(subject));
            }
            To::NoneOf(_) => drop(who.insert("subject".into(), json!("somebody-else"))),
            To::In(group) => {
                let (issuer, group) = group.id().unescaped().split_once('/')?;
                if who.get("issuer") != Some(&json!(issuer)) {
                    return None;
                }
                push(who.entry("groups").or_insert(Json::Null), json!(group))?;
            }
            To::NotIn(group) => {
                let (_, group) = group.id().unescaped().split_once('/')?;
                take(who.entry("groups").or_insert(Json::Null), &json!(group))?;
            }
            To::Kind(kind) => {
                let person = kind == "Person";
                let gone: &[&str] = if person { &PROFILES } else { &["email", "name"] };
                for name in gone {
                    who.remove(*name);
                }
                who.insert("kind".into(), json!(if person { "person" } else { "workload" }));
            }
            _ => return None,
        }
        Some(())
    }

    fn edit_issuer(&self, json: &mut Json, to: &To) -> Option<()> {
        let issuer = match to {
            To::Is(Value::Entity(issuer)) => issuer.id().unescaped().to_owned(),
            To::NoneOf(not) => {
                let named = |name: &str| {
                    not.iter()
                        .any(|value| matches!(value, Value::Entity(uid) if uid.id().unescaped() == name))
                };
                let known = self.world.issuers.iter().map(|issuer| issuer.name.as_str());
                known.chain([ANOTHER]).find(|name| !named(name))?.to_owned()
            }
            _ => return None,
        };
        let who = json.get_mut("principal")?.as_object_mut()?;
        who.remove("groups");
        who.insert("issuer".into(), json!(issuer));
        Some(())
    }

    /// Anything at all, of the right type.
    fn something(&self, path: &[&str]) -> Option<Json> {
        match path {
            ["principal", profile] if PROFILES.contains(profile) => skeleton(profile),
            ["asked", "elevation"] => window(self.facts),
            ["source_ip"] => ELSEWHERE.first().map(|address| json!(address)),
            ["auth", "auth_time"] => Some(json!(self.facts.auth.issued_at.to_string())),
            ["principal", "tags", _] => Some(json!([ANOTHER])),
            ["asked", "actor", ..] => None,
            _ => Some(json!(ANOTHER)),
        }
    }
}

/// Records of a workload, of which it has one at most.
const PROFILES: [&str; 5] = ["kubernetes", "github", "gitlab", "spiffe", "aws"];

fn skeleton(profile: &str) -> Option<Json> {
    Some(match profile {
        "kubernetes" => json!({ "namespace": ANOTHER, "service_account": ANOTHER }),
        "github" => json!({
            "repository": "another/another", "repository_id": "0", "repository_owner": ANOTHER,
            "repository_owner_id": "0", "ref": ANOTHER,
        }),
        "gitlab" => json!({
            "project_path": ANOTHER, "project_id": "0", "namespace_id": "0", "ref": ANOTHER, "ref_type": ANOTHER,
            "ref_protected": false,
        }),
        "spiffe" => json!({ "trust_domain": ANOTHER, "path": "/another" }),
        "aws" => json!({ "account": "000000000000" }),
        _ => return None,
    })
}

/// An elevation that is open now, approved by nobody.
fn window(facts: &Facts) -> Option<Json> {
    facts.grant.break_glass.then(|| {
        json!({
            "id": "elv-01a203ff-4cee-7102-8304-05060708090a",
            "version": 1,
            "approvals": 0,
            "starts_at": facts.at.to_string(),
            "ends_at": facts.at.plus(std::time::Duration::from_hours(1)).to_string(),
        })
    })
}

/// What stands at `path`; null where nothing did. What is on the way is made.
fn slot<'a>(json: &'a mut Json, path: &[&str], facts: &Facts) -> Option<&'a mut Json> {
    if let ["principal", profile, ..] = path
        && PROFILES.contains(profile)
    {
        let who = json.get_mut("principal")?.as_object_mut()?;
        if !who.contains_key(*profile) {
            for other in PROFILES {
                who.remove(other);
            }
            if path.len() > 2 {
                who.insert((*profile).to_owned(), skeleton(profile)?);
            }
        }
    }
    if let ["asked", "elevation", _, ..] = path {
        let asked = json.get_mut("asked")?.as_object_mut()?;
        if !asked.contains_key("elevation") {
            asked.insert("elevation".to_owned(), window(facts)?);
        }
    }
    path.iter().try_fold(json, |json, name| {
        if json.is_null() {
            *json = Json::Object(Map::new());
        }
        Some(json.as_object_mut()?.entry(*name).or_insert(Json::Null))
    })
}

fn remove(json: &mut Json, path: &[&str]) -> Option<()> {
    let (last, front) = path.split_last()?;
    let holder = front.iter().try_fold(json, |json, name| json.get_mut(name))?;
    holder.as_object_mut()?.remove(*last);
    Some(())
}

fn push(list: &mut Json, value: Json) -> Option<()> {
    if list.is_null() {
        *list = json!([]);
    }
    let list = list.as_array_mut()?;
    if !list.contains(&value) {
        list.push(value);
    }
    Some(())
}

fn take(list: &mut Json, value: &Json) -> Option<()> {
    if !list.is_null() {
        list.as_array_mut()?.retain(|found| found != value);
    }
    Some(())
}

/// As much as is left of what was asked for, or all of it where nothing is.
fn within(list: &mut Json, most: &std::collections::BTreeSet<Value>) -> Option<()> {
    let most = most.iter().map(written).collect::<Option<Vec<_>>>()?;
    let left = match list.as_array() {
        Some(found) => found.iter().filter(|value| most.contains(value)).cloned().collect(),
        None => Vec::new(),
    };
    *list = Json::Array(if left.is_empty() { most } else { left });
    Some(())
}

/// What stands for all values that would do.
fn scalar(to: &To) -> Option<Json> {
    match to {
        To::Is(value) | To::AtMost(value) | To::AtLeast(value) => written(value),
        To::NoneOf(not) => other_than(not),
        To::From(network) => Some(inside(network)),
        To::NotFrom(network) => {
            let network = Network::parse(network)?;
            let outside = |text: &&&str| text.parse().is_ok_and(|address| !network.contains(address));
            ELSEWHERE.iter().find(outside).map(|address| json!(address))
        }
        To::Like(_, example) if !example.is_empty() => Some(json!(example)),
        To::Like(..) | To::Unlike(_) => Some(json!(ANOTHER)),
        _ => None,
    }
}

fn inside(network: &str) -> Json {
    let address = network.split_once('/').map_or(network, |(address, _)| address);
    json!(address)
}

fn other_than(not: &std::collections::BTreeSet<Value>) -> Option<Json> {
    let last = not.last()?;
    match last {
        Value::Truth(truth) => Some(json!(!truth)),
        Value::Number(number) => number.checked_add(1).map(|number| json!(number)),
        Value::Span(millis) => written(&Value::Span(millis.checked_add(1_000)?)),
        Value::Time(millis) => written(&Value::Time(millis.checked_add(1_000)?)),
        Value::Text(_) => {
            let free = |name: &&str| !not.contains(&Value::Text((*name).to_owned()));
            [ANOTHER, "yet-another"].iter().find(|name| free(name)).map(|name| json!(name))
        }
        Value::Many(_) => Some(json!([ANOTHER])),
        Value::Entity(_) | Value::Network(_) | Value::Other(_) => None,
    }
}

/// As facts write it.
fn written(value: &Value) -> Option<Json> {
    match value {
        Value::Truth(truth) => Some(json!(truth)),
        Value::Number(number) => Some(json!(number)),
        Value::Text(text) => Some(json!(text)),
        Value::Entity(uid) => Some(json!(uid.id().unescaped())),
        Value::Many(values) => Some(Json::Array(values.iter().map(written).collect::<Option<_>>()?)),
        Value::Span(millis) => {
            let millis = u64::try_from(*millis).ok().filter(|millis| millis % 1_000 == 0)?;
            Some(json!(format_duration(std::time::Duration::from_millis(millis))))
        }
        Value::Time(millis) => Some(json!(Moment::from_unix_millis(*millis).to_string())),
        Value::Network(text) => text.split('/').next().map(|address| json!(address)),
        Value::Other(_) => None,
    }
}
