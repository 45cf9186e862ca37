//! What would have to be found in a request for one part of a condition to hold, or not to hold.
//!
//! Read from the part's form: a comparison with a value, membership in a set, a group, a network. A part of another form is
//! told as it stands.

use cedar_policy::EntityUid;
use cedar_policy_core::ast::{BinaryOp, Expr, ExprKind, Pattern, PatternElem, UnaryOp, Var};

use super::aim::{Goal, aims};
use super::change::To;
use super::place::{Place, Step, text};
use super::scene::Scene;
use super::value::Value;

/// Targets that are reached together.
pub(super) type Targets = Vec<(Place, To)>;

/// The ways to make `part` be `want`, each as what its places would hold; empty when none is known.
pub(super) fn solve(scene: &Scene, part: &Expr, want: bool) -> Vec<Targets> {
    match part.expr_kind() {
        ExprKind::GetAttr { .. } => one(Place::of(part), To::Is(Value::Truth(want))),
        ExprKind::HasAttr { expr, attr } => presence(Place::of(expr).map(|of| of.attribute(attr)), want),
        ExprKind::ExtHasAttr { expr, attrs } => {
            presence(Place::of(expr).map(|of| attrs.iter().fold(of, |of, attr| of.attribute(attr))), want)
        }
        ExprKind::Like { expr, pattern } => one(Place::of(expr), like(pattern, want)),
        ExprKind::Is { expr, entity_type } => {
            let name = entity_type.name().basename().to_string();
            one(Place::of(expr), To::Kind(if want { name } else { other_kind(&name) }))
        }
        ExprKind::UnaryApp { op: UnaryOp::IsEmpty, arg } if want => {
            one(Place::of(arg), To::Within(std::collections::BTreeSet::new()))
        }
        ExprKind::BinaryApp { op, arg1, arg2 } => binary(scene, *op, arg1, arg2, want),
        ExprKind::ExtensionFunctionApp { fn_name, args } => {
            address(scene, &fn_name.to_string(), args.as_slice(), want)
        }
        _ => Vec::new(),
    }
}

fn one(place: Option<Place>, to: To) -> Vec<Targets> {
    place.map(|place| vec![(place, to)]).into_iter().collect()
}

fn presence(place: Option<Place>, want: bool) -> Vec<Targets> {
    one(place, if want { To::Present } else { To::Absent })
}

fn other_kind(name: &str) -> String {
    if name == "Person" { "Workload".to_owned() } else { "Person".to_owned() }
}

fn like(pattern: &Pattern, want: bool) -> To {
    let shown = pattern.to_string();
    if !want {
        return To::Unlike(shown);
    }
    let example = pattern.iter().filter_map(|element| match element {
        PatternElem::Char(c) => Some(*c),
        PatternElem::Wildcard => None,
    });
    To::Like(shown, example.collect())
}

fn binary(scene: &Scene, op: BinaryOp, left: &Expr, right: &Expr, want: bool) -> Vec<Targets> {
    match op {
        BinaryOp::Eq => equal(scene, left, right, want),
        BinaryOp::LessEq if want => ordered(scene, left, right, 0),
        BinaryOp::LessEq => ordered(scene, right, left, 1),
        BinaryOp::Less if want => ordered(scene, left, right, 1),
        BinaryOp::Less => ordered(scene, right, left, 0),
        BinaryOp::Contains => contains(scene, left, right, want),
        BinaryOp::ContainsAll => contains_all(scene, left, right, want),
        BinaryOp::ContainsAny => contains_any(scene, left, right, want),
        BinaryOp::In => member(scene, left, right, want),
        BinaryOp::HasTag => {
            presence(Place::of(left).zip(text(right)).map(|(of, tag)| of.then(Step::Tag(tag))), want)
        }
        BinaryOp::GetTag | BinaryOp::Add | BinaryOp::Sub | BinaryOp::Mul => Vec::new(),
    }
}

fn equal(scene: &Scene, left: &Expr, right: &Expr, want: bool) -> Vec<Targets> {
    let towards = |side: &Expr, other: &Expr| match scene.value(other) {
        Some(value) if want => aims(scene, side, &Goal::Exactly(value)),
        Some(value) => one(Place::of(side), To::NoneOf([value].into())),
        None => Vec::new(),
    };
    [towards(left, right), towards(right, left)].concat()
}

/// `less` not above `more`, and below it by `gap` of the smallest steps that people count in.
fn ordered(scene: &Scene, less: &Expr, more: &Expr, gap: i64) -> Vec<Targets> {
    let below = scene.value(more).and_then(|value| moved(&value, -gap));
    let above = scene.value(less).and_then(|value| moved(&value, gap));
    let lower = below.map_or_else(Vec::new, |value| aims(scene, less, &Goal::AtMost(value)));
    let raise = above.map_or_else(Vec::new, |value| aims(scene, more, &Goal::AtLeast(value)));
    [lower, raise].concat()
}

/// Lifetimes and times are counted in whole seconds.
fn moved(value: &Value, steps: i64) -> Option<Value> {
    match value {
        Value::Number(number) => number.checked_add(steps).map(Value::Number),
        Value::Span(millis) => millis.checked_add(steps * 1_000).map(Value::Span),
        Value::Time(millis) => millis.checked_add(steps * 1_000).map(Value::Time),
        _ => None,
    }
}

fn contains(scene: &Scene, set: &Expr, element: &Expr, want: bool) -> Vec<Targets> {
    let mut ways = Vec::new();
    if let (Some(place), Some(value)) = (Place::of(set), scene.value(element)) {
        ways.extend(one(Some(place), if want { To::With(value) } else { To::Without(value) }));
    }
    if let (Some(Value::Many(values)), Some(place)) = (scene.value(set), Place::of(element)) {
        if want {
            ways.extend(values.into_iter().map(|value| vec![(place.clone(), To::Is(value))]));
        } else {
            ways.extend(one(Some(place), To::NoneOf(values)));
        }
    }
    ways
}

fn contains_all(scene: &Scene, set: &Expr, part: &Expr, want: bool) -> Vec<Targets> {
    let mut ways = Vec::new();
    if let (Some(Value::Many(most)), Some(place), true) = (scene.value(set), Place::of(part), want) {
        ways.extend(one(Some(place), To::Within(most)));
    }
    if let (Some(place), Some(Value::Many(values))) = (Place::of(set), scene.value(part)) {
        if want {
            ways.push(values.into_iter().map(|value| (place.clone(), To::With(value))).collect());
        } else {
            ways.extend(values.into_iter().map(|value| vec![(place.clone(), To::Without(value))]));
        }
    }
    ways
}

fn contains_any(scene: &Scene, left: &Expr, right: &Expr, want: bool) -> Vec<Targets> {
    let towards = |side: &Expr, other: &Expr| match (Place::of(side), scene.value(other)) {
        (Some(place), Some(Value::Many(values))) if want => {
            values.into_iter().map(|value| vec![(place.clone(), To::With(value))]).collect()
        }
        (Some(place), Some(Value::Many(values))) => {
            vec![values.into_iter().map(|value| (place.clone(), To::Without(value))).collect()]
        }
        _ => Vec::new(),
    };
    [towards(left, right), towards(right, left)].concat()
}

fn member(scene: &Scene, one: &Expr, of: &Expr, want: bool) -> Vec<Targets> {
    let (Some(place), Some(found)) = (Place::of(one), scene.value(of)) else { return Vec::new() };
    let groups: Vec<EntityUid> = match found {
        Value::Entity(uid) => vec![uid],
        Value::Many(values) => values
            .into_iter()
            .filter_map(|value| if let Value::Entity(uid) = value { Some(uid) } else { None })
            .collect(),
        _ => return Vec::new(),
    };
    if want {
        return groups.into_iter().map(|group| joined(scene, &place, group)).collect();
    }
    vec![groups.into_iter().map(|group| (place.clone(), To::NotIn(group))).collect()]
}

/// A group is its issuer's: whoever is in it comes from there.
fn joined(scene: &Scene, place: &Place, group: EntityUid) -> Targets {
    let mut targets = Vec::new();
    if place.root == Var::Principal
        && place.steps.is_empty()
        && let Some(issuer) = scene.issuer_of(&group)
    {
        let at = place.clone().attribute("issuer");
        if scene.found(&at) != Some(Value::Entity(issuer.clone())) {
            targets.push((at, To::Is(Value::Entity(issuer))));
        }
    }
    let own = *group.type_name() == *scene.type_of(place).as_ref().unwrap_or_else(|| group.type_name())
        && !matches!(group.type_name().basename(), "Group" | "GrantSet");
    let to = if own { To::Is(Value::Entity(group)) } else { To::In(group) };
    targets.push((place.clone(), to));
    targets
}

fn address(scene: &Scene, function: &str, args: &[Expr], want: bool) -> Vec<Targets> {
    let network = match (function, args) {
        ("isInRange", [_, range]) => scene.value(range),
        ("isLoopback", [_]) => Some(Value::Network("127.0.0.0/8".to_owned())),
        _ => None,
    };
    let (Some(Value::Network(network)), Some(place)) = (network, args.first().and_then(Place::of)) else {
        return Vec::new();
    };
    one(Some(place), if want { To::From(network) } else { To::NotFrom(network) })
}
