//! Values that are computed from a place: what the place would have to hold for `context.now.durationSince(…)` or
//! `context.now.toTime()` to come out as a policy wants it.

use cedar_policy_core::ast::{BinaryOp, Expr, ExprKind};

use super::change::To;
use super::place::Place;
use super::scene::Scene;
use super::solve::Targets;
use super::value::Value;

/// What an expression would have to be.
#[derive(Clone, Debug)]
pub(super) enum Goal {
    Exactly(Value),
    AtMost(Value),
    AtLeast(Value),
}

/// In milliseconds.
const DAY: i64 = 86_400_000;

impl Goal {
    fn to(self) -> To {
        match self {
            Self::Exactly(value) => To::Is(value),
            Self::AtMost(value) => To::AtMost(value),
            Self::AtLeast(value) => To::AtLeast(value),
        }
    }

    fn value(&self) -> &Value {
        match self {
            Self::Exactly(value) | Self::AtMost(value) | Self::AtLeast(value) => value,
        }
    }

    fn with(&self, value: Value) -> Self {
        match self {
            Self::Exactly(_) => Self::Exactly(value),
            Self::AtMost(_) => Self::AtMost(value),
            Self::AtLeast(_) => Self::AtLeast(value),
        }
    }

    /// For what is subtracted.
    fn turned(&self, value: Value) -> Self {
        match self {
            Self::Exactly(_) => Self::Exactly(value),
            Self::AtMost(_) => Self::AtLeast(value),
            Self::AtLeast(_) => Self::AtMost(value),
        }
    }

    fn number(&self) -> Option<i64> {
        match self.value() {
            Value::Number(number) | Value::Span(number) | Value::Time(number) => Some(*number),
            _ => None,
        }
    }
}

/// The ways to make `expression` come out so.
pub(super) fn aims(scene: &Scene, expression: &Expr, goal: &Goal) -> Vec<Targets> {
    if let Some(place) = Place::of(expression) {
        return vec![vec![(place, goal.clone().to())]];
    }
    let Some(wanted) = goal.number() else { return Vec::new() };
    match expression.expr_kind() {
        ExprKind::ExtensionFunctionApp { fn_name, args } => {
            match (fn_name.to_string().as_str(), args.as_slice()) {
                ("durationSince", [later, earlier]) => since(scene, later, earlier, goal, wanted),
                ("offset", [base, span]) => match millis(scene, span) {
                    Some(span) => shifted(scene, base, goal, wanted.checked_sub(span), Value::Time),
                    None => Vec::new(),
                },
                ("toTime", [moment]) => time_of_day(scene, moment, goal, wanted),
                ("toDate", [moment]) => aims(scene, moment, &goal.with(Value::Time(wanted))),
                (function, [span]) => match unit(function) {
                    Some(unit) => shifted(scene, span, goal, wanted.checked_mul(unit), Value::Span),
                    None => Vec::new(),
                },
                _ => Vec::new(),
            }
        }
        ExprKind::BinaryApp { op: BinaryOp::Add, arg1, arg2 } => [
            millis(scene, arg2).map_or_else(Vec::new, |known| {
                shifted(scene, arg1, goal, wanted.checked_sub(known), Value::Number)
            }),
            millis(scene, arg1).map_or_else(Vec::new, |known| {
                shifted(scene, arg2, goal, wanted.checked_sub(known), Value::Number)
            }),
        ]
        .concat(),
        ExprKind::BinaryApp { op: BinaryOp::Sub, arg1, arg2 } => millis(scene, arg2)
            .map_or_else(Vec::new, |known| {
                shifted(scene, arg1, goal, wanted.checked_add(known), Value::Number)
            }),
        _ => Vec::new(),
    }
}

fn shifted(scene: &Scene, of: &Expr, goal: &Goal, to: Option<i64>, make: fn(i64) -> Value) -> Vec<Targets> {
    to.map_or_else(Vec::new, |to| aims(scene, of, &goal.with(make(to))))
}

/// Signing in later or earlier comes before asking at another time.
fn since(scene: &Scene, later: &Expr, earlier: &Expr, goal: &Goal, wanted: i64) -> Vec<Targets> {
    let move_earlier = millis(scene, later)
        .and_then(|later| later.checked_sub(wanted))
        .map_or_else(Vec::new, |at| aims(scene, earlier, &goal.turned(Value::Time(at))));
    let move_later = millis(scene, earlier)
        .and_then(|earlier| earlier.checked_add(wanted))
        .map_or_else(Vec::new, |at| aims(scene, later, &goal.with(Value::Time(at))));
    [move_earlier, move_later].concat()
}

/// The next moment with that time of day.
fn time_of_day(scene: &Scene, moment: &Expr, goal: &Goal, wanted: i64) -> Vec<Targets> {
    let Some(now) = millis(scene, moment).filter(|_| (0..DAY).contains(&wanted)) else { return Vec::new() };
    let today = day_of(now).and_then(|day| day.checked_add(wanted));
    let next = today.and_then(|today| if today < now { today.checked_add(DAY) } else { Some(today) });
    let next = next.map_or_else(Vec::new, |next| aims(scene, moment, &Goal::Exactly(Value::Time(next))));
    next.into_iter().chain(matches!(goal, Goal::AtMost(_)).then(|| midnight(moment, now)).flatten()).collect()
}

/// Early enough in the day is also its first moment.
fn midnight(moment: &Expr, now: i64) -> Option<Targets> {
    let next = day_of(now)?.checked_add(DAY)?;
    Place::of(moment).map(|place| vec![(place, To::Is(Value::Time(next)))])
}

/// Its first moment. A policy may reckon with any date, also with one that has none before or after it.
fn day_of(now: i64) -> Option<i64> {
    now.checked_sub(now.rem_euclid(DAY))
}

fn millis(scene: &Scene, expression: &Expr) -> Option<i64> {
    match scene.value(expression)? {
        Value::Number(number) | Value::Span(number) | Value::Time(number) => Some(number),
        _ => None,
    }
}

fn unit(function: &str) -> Option<i64> {
    match function {
        "toMilliseconds" => Some(1),
        "toSeconds" => Some(1_000),
        "toMinutes" => Some(60_000),
        "toHours" => Some(3_600_000),
        "toDays" => Some(DAY),
        _ => None,
    }
}
