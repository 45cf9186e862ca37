//! What would have to be different, in words.

use cedar_policy_core::ast::Var;

use super::change::{Change, To, Wish};
use super::place::Place;
use super::value::Value;

impl Change {
    /// In words that a person understands.
    pub(super) fn say(&self) -> String {
        match &self.wish {
            Wish::At(place, to) => said(place, to),
            Wish::Condition { source, hold: true } => format!("`{source}` holds"),
            Wish::Condition { source, hold: false } => format!("`{source}` does not hold"),
            Wish::Rule { say, .. } => say.clone(),
        }
    }
}

fn said(place: &Place, to: &To) -> String {
    special(place, to).unwrap_or_else(|| plain(&noun(place), to))
}

/// Where the common form would be clumsy.
fn special(place: &Place, to: &To) -> Option<String> {
    let names = place.names();
    let names = names.as_deref().unwrap_or_default();
    Some(match (place.root, names, to) {
        (Var::Principal, [], To::In(group)) => format!("be in group `{}`", group.id().unescaped()),
        (Var::Principal, [], To::NotIn(group)) => format!("not be in group `{}`", group.id().unescaped()),
        (Var::Principal, [], To::Is(who)) => format!("be {}", who.tell()),
        (Var::Principal, [], To::NoneOf(who)) => format!("be somebody else than {}", list(who.iter())),
        (Var::Principal, [], To::Kind(kind)) if kind == "Person" => "be a person".to_owned(),
        (Var::Principal, [], To::Kind(kind)) => format!("be a {}", kind.to_lowercase()),
        (Var::Principal, ["issuer"], To::Is(issuer)) => format!("come from issuer {}", issuer.tell()),
        (Var::Principal, ["issuer"], To::NoneOf(issuers)) => {
            format!("come from another issuer than {}", list(issuers.iter()))
        }
        (Var::Principal, [profile], To::Present) => format!("come from an issuer of profile `{profile}`"),
        (Var::Resource, [], To::In(set)) => format!("the grant is in set `{}`", set.id().unescaped()),
        (Var::Resource, ["grant"], To::In(set)) => {
            format!("the elevation's grant is in set `{}`", set.id().unescaped())
        }
        (Var::Resource, ["requester"], To::NoneOf(_)) => "the request is somebody else's".to_owned(),
        (Var::Context, ["elevation"], To::Present) => "have an active elevation for the grant".to_owned(),
        (Var::Context, ["elevation", "approvals"], To::AtLeast(count)) => {
            format!("have an active elevation with {}", approvals(count))
        }
        (Var::Context, ["approvals", "count"], To::AtLeast(count)) => format!("have {}", approvals(count)),
        (Var::Resource, ["labels"], To::With(label)) => format!("the grant has label {}", label.tell()),
        (Var::Resource, ["labels"], To::Without(label)) => format!("the grant has no label {}", label.tell()),
        (Var::Context, ["approvals", "groups"], To::With(group)) => {
            format!("have the approval of somebody in group {}", group.tell())
        }
        (Var::Context, ["now"], To::Is(at)) => format!("ask at {}", at.tell()),
        (Var::Context, ["now"], To::AtLeast(at)) => format!("ask at {} or later", at.tell()),
        (Var::Context, ["now"], To::AtMost(at)) => format!("ask at {} or earlier", at.tell()),
        _ => return None,
    })
}

fn approvals(count: &Value) -> String {
    let plural = if *count == Value::Number(1) { "" } else { "s" };
    format!("{} approval{plural}", count.tell())
}

fn plain(noun: &str, to: &To) -> String {
    match to {
        To::Is(value @ Value::Many(_)) => format!("{noun} exactly {}", value.tell()),
        To::Is(value) => format!("{noun} is {}", value.tell()),
        To::NoneOf(values) => format!("{noun} is not {}", list(values.iter())),
        To::AtMost(value @ Value::Time(_)) => format!("{noun} is {} or earlier", value.tell()),
        To::AtLeast(value @ Value::Time(_)) => format!("{noun} is {} or later", value.tell()),
        To::AtMost(value) => format!("{noun} at most {}", value.tell()),
        To::AtLeast(value) => format!("{noun} at least {}", value.tell()),
        To::With(value) => format!("{noun} contains {}", value.tell()),
        To::Without(value) => format!("{noun} without {}", value.tell()),
        To::Within(most) if most.is_empty() => format!("{noun} empty"),
        To::Within(most) => format!("{noun} nothing but {}", list(most.iter())),
        To::Present => format!("{noun} is known"),
        To::Absent => format!("{noun} is absent"),
        To::In(uid) => format!("{noun} is in `{}`", uid.id().unescaped()),
        To::NotIn(uid) => format!("{noun} is not in `{}`", uid.id().unescaped()),
        To::From(network) => format!("{noun} is in {network}"),
        To::NotFrom(network) => format!("{noun} is not in {network}"),
        To::Like(pattern, _) => format!("{noun} is like `{pattern}`"),
        To::Unlike(pattern) => format!("{noun} is not like `{pattern}`"),
        To::Kind(kind) => format!("{noun} is a {}", kind.to_lowercase()),
    }
}

/// A request's parts by the names that people have for them.
fn noun(place: &Place) -> String {
    if let Some(tag) = place.tag() {
        return format!("the claim `{tag}`");
    }
    let names = place.names();
    match (place.root, names.as_deref().unwrap_or_default()) {
        (Var::Context, ["source_ip"]) => "the source address".to_owned(),
        (Var::Context, ["client_cert"]) => "the client certificate".to_owned(),
        (Var::Context, ["now"]) => "the time".to_owned(),
        (Var::Context, ["elevation", "starts_at"]) => "the start of the elevation".to_owned(),
        (Var::Context, ["elevation", "ends_at"]) => "the end of the elevation".to_owned(),
        (Var::Principal, [_, name]) => format!("{} (`{place}`)", name.replace('_', " ")),
        (Var::Context, ["auth", name] | [name]) | (Var::Principal, [name]) => (*name).to_owned(),
        (Var::Resource, ["requester", name]) => format!("the requester's {name}"),
        (Var::Resource, [name]) => format!("the grant's {}", name.replace('_', " ")),
        _ => format!("`{place}`"),
    }
}

fn list<'a>(values: impl Iterator<Item = &'a Value>) -> String {
    let told: Vec<_> = values.map(Value::tell).collect();
    if told.is_empty() { "nothing".to_owned() } else { told.join(" or ") }
}
