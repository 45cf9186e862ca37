//! A condition taken apart: what of it would have to hold, and the ways to get there.

use cedar_policy_core::ast::{BinaryOp, Expr, ExprKind, UnaryOp};

use super::change::{Change, Way, Ways, Wish, both, done, either};
use super::place::places;
use super::scene::Scene;
use super::shape::{Found, Part};
use super::solve::solve;
use super::source::Source;

/// A part of a condition, and what it would have to be for the whole to be what is wanted.
#[derive(Clone, Copy, Debug)]
pub(super) struct Piece<'e> {
    pub(super) expression: &'e Expr,
    pub(super) want: bool,
}

/// Everything that has to be so for `expression` to be `want`; alternatives stay together.
pub(super) fn pieces(expression: &Expr, want: bool) -> Vec<Piece<'_>> {
    match expression.expr_kind() {
        ExprKind::And { left, right } if want => [pieces(left, true), pieces(right, true)].concat(),
        ExprKind::Or { left, right } if !want => [pieces(left, false), pieces(right, false)].concat(),
        ExprKind::UnaryApp { op: UnaryOp::Not, arg } if !is_spelt_otherwise(expression, arg) => {
            pieces(arg, !want)
        }
        _ => vec![Piece { expression, want }],
    }
}

/// `a != b` and `a > b` are negations to Cedar, and comparisons to whoever wrote them.
fn is_spelt_otherwise(negation: &Expr, of: &Expr) -> bool {
    let compares = matches!(
        of.expr_kind(),
        ExprKind::BinaryApp { op: BinaryOp::Eq | BinaryOp::Less | BinaryOp::LessEq, .. }
    );
    let text = negation.source_loc().and_then(|place| place.snippet()).map(str::trim_start);
    compares && text.is_some_and(|text| !text.starts_with('!') && !text.starts_with("unless"))
}

/// The pieces that are not what they would have to be. What fails only because an earlier one is not so is left out.
pub(super) fn unmet<'e>(scene: &Scene, expression: &'e Expr, want: bool) -> Vec<Piece<'e>> {
    let mut unmet: Vec<Piece<'e>> = Vec::new();
    for piece in pieces(expression, want) {
        match scene.truth(piece.expression) {
            Some(truth) if truth == piece.want => {}
            None if !unmet.is_empty() => {}
            _ => unmet.push(piece),
        }
    }
    unmet
}

/// The ways to make `expression` be `want`, for `policy`.
pub(super) fn ways(scene: &Scene, expression: &Expr, want: bool, policy: &str) -> Ways {
    if scene.truth(expression) == Some(want) {
        return done();
    }
    let go = |part: &Expr, want| ways(scene, part, want, policy);
    match (expression.expr_kind(), want) {
        (ExprKind::And { left, right }, true) | (ExprKind::Or { left, right }, false) => {
            both(&go(left, want), &go(right, want))
        }
        (ExprKind::And { left, right }, false) | (ExprKind::Or { left, right }, true) => {
            either(go(left, want), go(right, want))
        }
        (ExprKind::UnaryApp { op: UnaryOp::Not, arg }, _) => go(arg, !want),
        (ExprKind::If { test_expr, then_expr, else_expr }, _) => either(
            both(&go(test_expr, true), &go(then_expr, want)),
            both(&go(test_expr, false), &go(else_expr, want)),
        ),
        // What is the same whatever is asked cannot be changed by asking otherwise.
        (ExprKind::Lit(_), _) => Ways::new(),
        _ => atom(scene, expression, want, policy),
    }
}

fn atom(scene: &Scene, expression: &Expr, want: bool, policy: &str) -> Ways {
    let change = |wish| Change { wish, policy: Some(policy.to_owned()) };
    let found: Ways = solve(scene, expression, want)
        .into_iter()
        .filter_map(|targets| {
            let changes = targets.into_iter().map(|(place, to)| Way::of(change(Wish::At(place, to))));
            changes.into_iter().try_fold(Way::default(), |way, change| way.and(&change))
        })
        .collect();
    if found.is_empty() {
        let source = super::source::text(expression);
        return vec![Way::of(change(Wish::Condition { source, hold: want }))];
    }
    either(found, Ways::new())
}

/// As it is shown.
pub(super) fn shown(scene: &Scene, piece: Piece<'_>, source: Source<'_>) -> Part {
    let found = places(piece.expression).into_iter().map(|place| Found {
        value: scene.found(&place).map(|value| value.tell()),
        place: place.to_string(),
    });
    Part {
        source: super::source::text(piece.expression),
        line: source.line(piece.expression),
        hold: piece.want,
        found: found.collect(),
    }
}
