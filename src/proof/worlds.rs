//! Two versions with different `entities.json` are two worlds, and a solver knows one. So a group that means other people in
//! the newer version than in the older gets a name for each, and so does the owner of a grant: each version's policies are
//! rewritten to ask about their own, and [`teams`](super::teams) says who is in which.
//!
//! What means the same in both keeps its name, so that a policy that nothing happened to is the same text still.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use cedar_policy_core::ast::{BinaryOp, Expr, ExprKind, Literal, Var};

use super::assume::text;
use super::formula::{Doubt, any, parse};
use super::shape::Shape;
use crate::policy::Relations;

/// One of two versions that are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Version {
    /// The first one.
    Older,
    /// The other.
    Newer,
}

/// What is written down about teams: by one version, or by two that differ in it.
#[derive(Clone, Debug, Default)]
pub(super) struct Teams {
    /// None before anything was looked up.
    older: Relations,
    /// Where it says something else.
    newer: Option<Relations>,
    /// The named groups that mean two things.
    differ: BTreeSet<String>,
    /// Has any grant another owner, or one that means two things?
    owners_differ: bool,
}

/// How the names that are made up here begin. No issuer's name does, so none of them is a token's group; a policy that
/// itself names a group so is not compared.
const OLDER: &str = "~old ";
const NEWER: &str = "~new ";
const APPROVER: &str = "~by ";

const OWNER: &str = "owner";
const GROUPS: &str = "groups";

/// The solver is told which of some groups approvers have, and nothing about how many others.
const WHOLE_GROUPS: &str = "the two versions differ in `entities.json`, and a policy asks about all groups of the approvers \
                            at once: ask for groups by name, with `context.approvals.groups.contains(…)`, or compare the \
                            versions with the same `entities.json`";
const OTHER_OWNER: &str = "the two versions differ in `entities.json`, and a policy asks for the owner of something else than \
                           the request's grant: write `resource.owner`, or compare the versions with the same `entities.json`";

impl Version {
    const fn prefix(self) -> &'static str {
        match self {
            Self::Older => OLDER,
            Self::Newer => NEWER,
        }
    }
}

impl Teams {
    /// Of these, about the groups that policies name.
    pub(super) fn of(relations: &[&Relations], groups: &BTreeSet<String>) -> Self {
        let Some((older, rest)) = relations.split_first() else { return Self::default() };
        let other = rest.first().filter(|newer| !older.says_the_same(newer));
        let Some(newer) = other else { return Self { older: (*older).clone(), ..Self::default() } };
        let differs = |group: &&String| older.parts_of(group) != newer.parts_of(group);
        let differ: BTreeSet<String> = groups.iter().filter(differs).cloned().collect();
        let grants: BTreeSet<_> = older.owned().chain(newer.owned()).collect();
        let owners_differ = grants.iter().any(|grant| {
            let owner = older.owner_of(grant);
            owner != newer.owner_of(grant) || owner.is_some_and(|owner| differ.contains(owner))
        });
        Self { older: (*older).clone(), newer: Some((*newer).clone()), differ, owners_differ }
    }

    /// Each that says something else, with the version that it is of.
    pub(super) fn each(&self) -> impl Iterator<Item = (Version, &Relations)> {
        std::iter::once((Version::Older, &self.older))
            .chain(self.newer.iter().map(|newer| (Version::Newer, newer)))
    }

    /// Any of them, for what both say.
    pub(super) const fn common(&self) -> &Relations {
        &self.older
    }

    /// Are there two worlds?
    pub(super) const fn are_two(&self) -> bool {
        self.newer.is_some()
    }

    /// Does the group mean two things?
    pub(super) fn differ_about(&self, group: &str) -> bool {
        self.differ.contains(group)
    }

    /// Is the owner of a grant another question for each version?
    pub(super) const fn owners_differ(&self) -> bool {
        self.owners_differ
    }

    /// What the solver knows the group by, as that version means it.
    pub(super) fn name(&self, version: Version, group: &str) -> String {
        if self.differ_about(group) { format!("{}{group}", version.prefix()) } else { group.to_owned() }
    }

    /// `condition` as that version means it.
    pub(super) fn as_in(&self, version: Version, shape: Shape, condition: &Expr) -> Result<Expr, Doubt> {
        let relations = match version {
            Version::Older => Some(&self.older),
            Version::Newer => self.newer.as_ref(),
        };
        match relations.filter(|_| self.are_two()) {
            Some(relations) => Rewriting { teams: self, relations, version, shape }.expression(condition),
            None => Ok(condition.clone()),
        }
    }
}

/// The group that stands for an approver by name, among the groups of approvers: what a team has of them beside tokens.
pub(super) fn approver(id: &str) -> String {
    format!("{APPROVER}{id}")
}

/// The approver that such a group stands for.
pub(super) fn approver_in(group: &str) -> Option<&str> {
    group.strip_prefix(APPROVER)
}

/// An expression, on the way from a policy's words to one version's.
#[derive(Clone, Copy)]
struct Rewriting<'a> {
    teams: &'a Teams,
    relations: &'a Relations,
    version: Version,
    shape: Shape,
}

impl Rewriting<'_> {
    fn expression(self, whole: &Expr) -> Result<Expr, Doubt> {
        let one = |part: &Expr| self.expression(part);
        Ok(match whole.expr_kind() {
            ExprKind::Lit(Literal::EntityUID(uid)) if uid.entity_type().to_string() == "Tidegate::Group" => {
                self.group(uid.eid().as_ref(), whole)?
            }
            ExprKind::If { test_expr, then_expr, else_expr } => {
                Expr::ite(one(test_expr)?, one(then_expr)?, one(else_expr)?)
            }
            ExprKind::And { left, right } => Expr::and(one(left)?, one(right)?),
            ExprKind::Or { left, right } => Expr::or(one(left)?, one(right)?),
            ExprKind::UnaryApp { op, arg } => Expr::unary_app(*op, one(arg)?),
            ExprKind::BinaryApp { op, arg1, arg2 } => self.binary(*op, arg1, arg2)?,
            ExprKind::ExtensionFunctionApp { fn_name, args } => {
                Expr::call_extension_fn(fn_name.clone(), self.list(args)?)
            }
            ExprKind::GetAttr { expr, attr } => self.attribute(expr, attr, whole)?,
            ExprKind::HasAttr { expr, attr } if attr == OWNER => self.has_owner(expr, whole)?,
            ExprKind::HasAttr { expr, attr } => Expr::has_attr(self.base(expr)?, attr.clone()),
            ExprKind::ExtHasAttr { expr, attrs } => {
                if attrs.iter().any(|attr| attr == OWNER) {
                    return Err(Doubt(OTHER_OWNER.to_owned()));
                }
                Expr::extended_has_attr(self.base(expr)?, attrs.clone())
            }
            ExprKind::Like { expr, pattern } => Expr::like(one(expr)?, pattern.clone()),
            ExprKind::Is { expr, entity_type } => Expr::is_entity_type(one(expr)?, entity_type.clone()),
            ExprKind::Set(members) => Expr::set(self.list(members)?),
            ExprKind::Record(members) => {
                let mut rewritten = BTreeMap::new();
                for (name, part) in members.iter() {
                    rewritten.insert(name.clone(), one(part)?);
                }
                Expr::record_arc(Arc::new(rewritten))
            }
            // All of the context, and so all groups of the approvers.
            ExprKind::Var(Var::Context) => return Err(Doubt(WHOLE_GROUPS.to_owned())),
            _ => whole.clone(),
        })
    }

    fn list(self, parts: &[Expr]) -> Result<Vec<Expr>, Doubt> {
        parts.iter().map(|part| self.expression(part)).collect()
    }

    /// What an attribute is read of: of the context and of its records, one at a time is no question about the whole.
    fn base(self, expr: &Expr) -> Result<Expr, Doubt> {
        if is_context(expr) || is_approvals(expr) { Ok(expr.clone()) } else { self.expression(expr) }
    }

    fn binary(self, op: BinaryOp, left: &Expr, right: &Expr) -> Result<Expr, Doubt> {
        let by_name = matches!(op, BinaryOp::Contains | BinaryOp::ContainsAll | BinaryOp::ContainsAny);
        let left = if by_name && is_approvers_groups(left) { left.clone() } else { self.expression(left)? };
        Ok(Expr::binary_app(op, left, self.expression(right)?))
    }

    fn attribute(self, expr: &Expr, attr: &str, whole: &Expr) -> Result<Expr, Doubt> {
        if attr == OWNER {
            return self.owner(expr, whole);
        }
        if is_approvers_groups(whole) || is_approvals(whole) {
            return Err(Doubt(WHOLE_GROUPS.to_owned()));
        }
        Ok(Expr::get_attr(self.base(expr)?, attr.into()))
    }

    fn group(self, id: &str, whole: &Expr) -> Result<Expr, Doubt> {
        if [OLDER, NEWER, APPROVER].iter().any(|prefix| id.starts_with(prefix)) {
            return Err(Doubt(format!("a policy names the group `{}`", id.escape_debug())));
        }
        if self.teams.differ_about(id) {
            group(&self.teams.name(self.version, id))
        } else {
            Ok(whole.clone())
        }
    }

    /// Of the request's grant; anything else that has an owner, nobody can name.
    fn is_grant(self, expr: &Expr) -> Result<bool, Doubt> {
        let is_resource = |expr: &Expr| matches!(expr.expr_kind(), ExprKind::Var(Var::Resource));
        match expr.expr_kind() {
            // Of an elevation: it has none, and Cedar knows.
            ExprKind::Var(Var::Resource) => Ok(!self.shape.action.is_about_elevation()),
            ExprKind::Var(_) => Ok(false),
            ExprKind::GetAttr { expr, attr } if attr == "grant" && is_resource(expr) => {
                Ok(self.shape.action.is_about_elevation())
            }
            _ => Err(Doubt(OTHER_OWNER.to_owned())),
        }
    }

    fn has_owner(self, expr: &Expr, whole: &Expr) -> Result<Expr, Doubt> {
        if !self.teams.owners_differ() || !self.is_grant(expr)? {
            return Ok(whole.clone());
        }
        let owned = self.owners().into_values().map(|grants| one_of(&grants, expr));
        Ok(any(owned.collect::<Result<_, _>>()?))
    }

    /// Whoever owns the grant in this version. For one that nobody owns it does not matter: nobody can ask.
    fn owner(self, expr: &Expr, whole: &Expr) -> Result<Expr, Doubt> {
        if !self.teams.owners_differ() || !self.is_grant(expr)? {
            return Ok(whole.clone());
        }
        let nobody = group(&format!("{}nobody", self.version.prefix()))?;
        self.owners().into_iter().try_fold(nobody, |others, (owner, grants)| {
            Ok(Expr::ite(one_of(&grants, expr)?, group(&self.teams.name(self.version, owner))?, others))
        })
    }

    /// Who owns what, in an order that is always the same.
    fn owners(&self) -> BTreeMap<&str, BTreeSet<&str>> {
        let mut owners: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        for grant in self.relations.owned() {
            if let Some(owner) = self.relations.owner_of(grant) {
                owners.entry(owner).or_default().insert(grant.as_str());
            }
        }
        owners
    }
}

fn group(id: &str) -> Result<Expr, Doubt> {
    parse(&format!("Tidegate::Group::{}", text(id)))
}

fn one_of(grants: &BTreeSet<&str>, grant: &Expr) -> Result<Expr, Doubt> {
    let grants: Vec<_> = grants.iter().map(|name| format!("Tidegate::Grant::{}", text(name))).collect();
    Ok(Expr::contains(parse(&format!("[{}]", grants.join(", ")))?, grant.clone()))
}

fn is_context(expr: &Expr) -> bool {
    matches!(expr.expr_kind(), ExprKind::Var(Var::Context))
}

fn is_approvals(expr: &Expr) -> bool {
    matches!(expr.expr_kind(), ExprKind::GetAttr { expr, attr } if attr == "approvals" && is_context(expr))
}

/// `context.approvals.groups`
fn is_approvers_groups(expr: &Expr) -> bool {
    matches!(expr.expr_kind(), ExprKind::GetAttr { expr, attr } if attr == GROUPS && is_approvals(expr))
}
