//! The shapes that requests have: an action and the kind of who asks.

use cedar_policy::{EntityTypeName, EntityUid, RequestEnv};
use serde::Serialize;

use super::formula::Doubt;
use crate::policy::Action;
use crate::policy::facts::PrincipalKind;

/// One of the ten kinds of request that the schema knows. Each is asked about by itself: Cedar types them apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Shape {
    /// What is asked for.
    #[serde(serialize_with = "as_text")]
    pub action: Action,
    /// Who asks: a program or a person.
    pub principal: PrincipalKind,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands a reference")]
fn as_text<S: serde::Serializer>(action: &Action, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(action.as_str())
}

impl Shape {
    /// Every shape: programs only ever ask for credentials.
    pub fn all() -> impl Iterator<Item = Self> {
        let people = Action::ALL.into_iter().map(|action| Self { action, principal: PrincipalKind::Person });
        std::iter::once(Self { action: Action::Issue, principal: PrincipalKind::Workload }).chain(people)
    }

    /// `Workload` or `Person`, as the schema spells it.
    pub(super) const fn entity(self) -> &'static str {
        match self.principal {
            PrincipalKind::Workload => "Workload",
            PrincipalKind::Person => "Person",
        }
    }

    /// The expression for the grant that the request is about in the end.
    pub(super) const fn grant(self) -> &'static str {
        if self.action.is_about_elevation() { "resource.grant" } else { "resource" }
    }

    pub(super) fn action_uid(self) -> Result<EntityUid, Doubt> {
        format!("Tidegate::Action::\"{}\"", self.action.as_str()).parse().map_err(Doubt::of)
    }

    pub(super) fn request_env(self) -> Result<RequestEnv, Doubt> {
        let name = |short: &str| format!("Tidegate::{short}").parse::<EntityTypeName>().map_err(Doubt::of);
        let resource = if self.action.is_about_elevation() { "Elevation" } else { "Grant" };
        Ok(RequestEnv::new(name(self.entity())?, self.action_uid()?, name(resource)?))
    }
}

impl std::fmt::Display for Shape {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let who = match self.principal {
            PrincipalKind::Workload => "workload",
            PrincipalKind::Person => "person",
        };
        write!(f, "{} by a {who}", self.action.as_str())
    }
}
