//! What policies name: callers, groups, grant sets and networks. What nobody names, nobody can tell apart.

use std::collections::{BTreeMap, BTreeSet};

use cedar_policy_core::ast::{Expr, ExprKind, Literal, Var};

use super::worlds::Teams;
use crate::policy::Relations;

/// The names in some policies, each sort by itself, without the type.
#[derive(Clone, Debug, Default)]
pub(super) struct Literals {
    /// Ids of workloads and of people: `<issuer>|<subject>`.
    pub(super) callers: BTreeSet<(String, String)>,
    /// Ids of groups.
    pub(super) groups: BTreeSet<String>,
    /// Of those, whose callers can be in them: by their tokens, or because of what is written down in any of the sets.
    pub(super) reach: BTreeMap<String, BTreeSet<String>>,
    /// What is written down about teams, by each version.
    pub(super) teams: Teams,
    /// Ids of grant sets.
    pub(super) sets: BTreeSet<String>,
    /// Arguments of `ip(…)`.
    pub(super) networks: BTreeSet<String>,
    /// Every other text.
    pub(super) texts: BTreeSet<String>,
    /// Does any policy do sums with dates, or hold one against a fixed date?
    pub(super) reckons: bool,
    /// Attributes that are read, whatever they stand on.
    attributes: BTreeSet<String>,
    /// A policy takes the context as a whole.
    whole: bool,
}

impl Literals {
    /// Can any policy tell whether an attribute of that name is there? What nobody reads may be left out of a request.
    pub(super) fn reads(&self, attribute: &str) -> bool {
        self.whole || self.attributes.contains(attribute)
    }

    /// Takes in what `condition` names.
    pub(super) fn read(&mut self, condition: &Expr) {
        let (mut contexts, mut parts) = (0_usize, 0_usize);
        for node in condition.subexpressions() {
            contexts += usize::from(is_context(node));
            parts += usize::from(is_part_of_context(node));
            match node.expr_kind() {
                ExprKind::Lit(Literal::EntityUID(uid)) => {
                    let (kind, id): (String, &str) = (uid.entity_type().to_string(), uid.eid().as_ref());
                    self.name(&kind, id);
                }
                ExprKind::Lit(Literal::String(text)) => {
                    self.texts.insert(text.to_string());
                }
                ExprKind::ExtensionFunctionApp { fn_name, args } => self.function(&fn_name.to_string(), args),
                ExprKind::GetAttr { attr, .. } | ExprKind::HasAttr { attr, .. } => {
                    self.attributes.insert(attr.to_string());
                }
                ExprKind::ExtHasAttr { attrs, .. } => {
                    self.attributes.extend(attrs.iter().map(ToString::to_string));
                }
                _ => {}
            }
        }
        // `context == {…}` reads all of it; `context.ttl` the lifetime.
        self.whole |= contexts > parts;
    }

    /// Takes in what is written down about the groups that are named, and about owners: by one version of the policies, or by
    /// two that are compared.
    pub(super) fn look_up(&mut self, relations: &[&Relations]) {
        // Until there is nothing new: what one version says of a group may name one that the other says more of.
        let mut known = usize::MAX;
        while known != self.groups.len() {
            known = self.groups.len();
            for written in relations {
                self.look_up_in(written);
            }
        }
        self.teams = Teams::of(relations, &self.groups);
        let reach = |group: &String| {
            // Without relations, too: a token's group is its issuer's. Of a group that means two things, only that.
            let plain = Relations::default();
            let meant = relations.iter().copied().filter(|_| !self.teams.differ_about(group));
            let issuers = meant.chain([&plain]).flat_map(|relations| relations.issuers_reaching(group));
            (group.clone(), issuers.map(|issuer| issuer.to_string()).collect())
        };
        self.reach = self.groups.iter().map(reach).collect();
    }

    fn look_up_in(&mut self, written: &Relations) {
        self.groups.extend(written.owned().filter_map(|grant| written.owner_of(grant)).map(str::to_owned));
        let parts = self.groups.iter().flat_map(|group| written.parts_of(group)).collect::<BTreeSet<_>>();
        let (groups, callers) = parts.into_iter().partition::<Vec<_>, _>(|(kind, _)| *kind == "Group");
        let both = |(kind, id): (&str, &str)| (kind.to_owned(), id.to_owned());
        self.groups.extend(groups.into_iter().map(|(_, id)| id.to_owned()));
        self.callers.extend(callers.into_iter().map(both));
    }

    fn name(&mut self, kind: &str, id: &str) {
        match kind.strip_prefix("Tidegate::") {
            Some(kind @ ("Workload" | "Person")) => {
                self.callers.insert((kind.to_owned(), id.to_owned()));
            }
            Some("Group") => {
                self.groups.insert(id.to_owned());
            }
            Some("GrantSet") => {
                self.sets.insert(id.to_owned());
            }
            _ => {}
        }
    }

    fn function(&mut self, name: &str, arguments: &[Expr]) {
        self.reckons |= matches!(name, "offset" | "durationSince" | "datetime");
        if name != "ip" {
            return;
        }
        for argument in arguments {
            if let ExprKind::Lit(Literal::String(text)) = argument.expr_kind() {
                self.networks.insert(text.to_string());
            }
        }
    }
}

fn is_context(node: &Expr) -> bool {
    matches!(node.expr_kind(), ExprKind::Var(Var::Context))
}

fn is_part_of_context(node: &Expr) -> bool {
    match node.expr_kind() {
        ExprKind::GetAttr { expr, .. }
        | ExprKind::HasAttr { expr, .. }
        | ExprKind::ExtHasAttr { expr, .. } => is_context(expr),
        _ => false,
    }
}
