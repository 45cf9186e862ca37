//! What numbers an expression can have, given what the broker puts into a request: enough to tell arithmetic that cannot
//! overflow (`context.now.durationSince(context.auth.auth_time)`) from arithmetic that can.
//!
//! Durations and datetimes count in milliseconds, as Cedar keeps them.

use std::ops::RangeInclusive;

use cedar_policy::{Context, Entities, EntityUid, EvalResult, Expression, Request, eval_expression};
use cedar_policy_core::ast::{BinaryOp, Expr, ExprKind, Literal, Name, UnaryOp, Var};

use super::hypothesis::is;
use crate::grants::Lifetime;

/// From the least to the most, wide enough for every result before it is cut.
type Range = RangeInclusive<i128>;

const DAY: i128 = 86_400_000;
/// What a `Long`, a duration and a datetime can hold.
const LEAST: i128 = i64::MIN as i128;
const MOST: i128 = i64::MAX as i128;
/// The years 0 to 9999: no other moment is put to the policies.
const MOMENTS: Range = -62_167_219_200_000..=253_402_300_799_999;
/// As long as `span::parse_duration` takes.
const SPANS: Range = 0..=400 * DAY;

/// Can this node itself overflow? Not its parts.
pub(super) fn can_overflow(node: &Expr) -> bool {
    computed(node).is_some_and(|range| *range.start() < LEAST || *range.end() > MOST)
}

/// The result of arithmetic before it is cut; `None` for anything else.
fn computed(node: &Expr) -> Option<Range> {
    match node.expr_kind() {
        ExprKind::BinaryApp { op: BinaryOp::Add, arg1, arg2 } => Some(sum(&range(arg1), &range(arg2))),
        ExprKind::BinaryApp { op: BinaryOp::Sub, arg1, arg2 } => {
            Some(sum(&range(arg1), &negative(&range(arg2))))
        }
        ExprKind::BinaryApp { op: BinaryOp::Mul, arg1, arg2 } => Some(product(&range(arg1), &range(arg2))),
        ExprKind::UnaryApp { op: UnaryOp::Neg, arg } => Some(negative(&range(arg))),
        ExprKind::ExtensionFunctionApp { fn_name, args } => {
            let (name, mut args) = (fn_name.to_string(), args.iter());
            match (name.as_str(), args.next(), args.next()) {
                ("offset", Some(at), Some(span)) => Some(sum(&range(at), &range(span))),
                ("durationSince", Some(at), Some(earlier)) => {
                    Some(sum(&range(at), &negative(&range(earlier))))
                }
                ("toDate", Some(at), None) => {
                    let at = range(at);
                    Some(at.start() - (DAY - 1)..=*at.end())
                }
                _ => None,
            }
        }
        _ => None,
    }
}

fn range(node: &Expr) -> Range {
    if let Some(range) = computed(node) {
        return cut(&range);
    }
    match node.expr_kind() {
        ExprKind::Lit(Literal::Long(number)) => i128::from(*number)..=i128::from(*number),
        ExprKind::If { then_expr, else_expr, .. } => {
            let (one, other) = (range(then_expr), range(else_expr));
            *one.start().min(other.start())..=*one.end().max(other.end())
        }
        ExprKind::GetAttr { expr, attr } => attribute(expr, attr),
        ExprKind::ExtensionFunctionApp { fn_name, args } => {
            let of =
                |unit: i128| args.first().map(range).map(|range| range.start() / unit..=range.end() / unit);
            let found = match fn_name.to_string().as_str() {
                "toMilliseconds" => of(1),
                "toSeconds" => of(1_000),
                "toMinutes" => of(60_000),
                "toHours" => of(3_600_000),
                "toDays" => of(DAY),
                "toTime" => Some(0..=DAY - 1),
                "duration" => constant(node.clone()),
                "datetime" => since_epoch(node),
                _ => None,
            };
            found.unwrap_or(LEAST..=MOST)
        }
        _ => LEAST..=MOST,
    }
}

fn attribute(of: &Expr, name: &str) -> Range {
    let within = |record: &str| match of.expr_kind() {
        ExprKind::GetAttr { expr, attr } => attr == record && is(expr, Var::Context),
        _ => false,
    };
    match name {
        "now" if is(of, Var::Context) => MOMENTS,
        "ttl" if is(of, Var::Context) => 0..=i128::from(Lifetime::LONGEST.seconds()) * 1_000,
        "duration" if is(of, Var::Context) || is(of, Var::Resource) => SPANS,
        "issued_at" | "auth_time" if within("auth") => MOMENTS,
        "starts_at" | "ends_at" if within("elevation") => MOMENTS,
        "approvals" if within("elevation") => 0..=i128::from(u32::MAX),
        "count" if within("approvals") => 0..=i128::from(u32::MAX),
        _ => LEAST..=MOST,
    }
}

fn cut(range: &Range) -> Range {
    (*range.start()).clamp(LEAST, MOST)..=(*range.end()).clamp(LEAST, MOST)
}

fn sum(one: &Range, other: &Range) -> Range {
    one.start() + other.start()..=one.end() + other.end()
}

fn negative(range: &Range) -> Range {
    -range.end()..=-range.start()
}

/// Each bound fits into 64 bits, so a product fits into 128.
fn product(one: &Range, other: &Range) -> Range {
    let corners = [
        one.start() * other.start(),
        one.start() * other.end(),
        one.end() * other.start(),
        one.end() * other.end(),
    ];
    let (least, most) = corners
        .iter()
        .fold((corners[0], corners[0]), |(least, most), corner| (least.min(*corner), most.max(*corner)));
    least..=most
}

/// A duration that is written down.
fn constant(duration: Expr) -> Option<Range> {
    let millis = call("toMilliseconds", vec![duration])?;
    let nobody: EntityUid = "Nobody::\"\"".parse().ok()?;
    let request = Request::new(nobody.clone(), nobody.clone(), nobody, Context::empty(), None).ok()?;
    match eval_expression(&request, &Entities::empty(), &Expression::from(millis)) {
        Ok(EvalResult::Long(number)) => Some(i128::from(number)..=i128::from(number)),
        _ => None,
    }
}

fn since_epoch(datetime: &Expr) -> Option<Range> {
    let epoch = call("datetime", vec![Expr::val("1970-01-01")])?;
    constant(call("durationSince", vec![datetime.clone(), epoch])?)
}

fn call(name: &str, args: Vec<Expr>) -> Option<Expr> {
    Some(Expr::call_extension_fn(Name::parse_unqualified_name(name).ok()?, args))
}
