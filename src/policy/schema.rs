//! The vocabulary: the schema's text, and the names of its types and actions, parsed once.

use std::str::FromStr;

use cedar_policy::{EntityId, EntityTypeName, EntityUid, Schema};

use super::fault::{Fault, LoadError};

/// The schema that every policy is validated against.
pub const SCHEMA_TEXT: &str = include_str!("../../policies/schema.cedarschema");

/// The schema's file, relative to the policy folder.
pub(super) const SCHEMA_FILE: &str = "schema.cedarschema";

/// What a caller may be asked about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Action {
    /// Workload or person → grant.
    Issue,
    /// Person → grant: ask for an elevation.
    Request,
    /// Person → elevation.
    Approve,
    /// Person, the requester → grant.
    Activate,
    /// Person → elevation.
    Revoke,
    /// Person → elevation.
    View,
    /// Person → grant.
    Lock,
    /// Person → grant: read the log.
    Audit,
    /// Person → grant: ask why.
    Explain,
}

impl Action {
    /// Every action.
    pub const ALL: [Self; 9] = [
        Self::Issue,
        Self::Request,
        Self::Approve,
        Self::Activate,
        Self::Revoke,
        Self::View,
        Self::Lock,
        Self::Audit,
        Self::Explain,
    ];

    /// As the schema spells it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Issue => "issue",
            Self::Request => "request",
            Self::Approve => "approve",
            Self::Activate => "activate",
            Self::Revoke => "revoke",
            Self::View => "view",
            Self::Lock => "lock",
            Self::Audit => "audit",
            Self::Explain => "explain",
        }
    }

    /// Is its resource an elevation? Otherwise it is a grant.
    pub const fn is_about_elevation(self) -> bool {
        matches!(self, Self::Approve | Self::Revoke | Self::View)
    }
}

/// The names of the schema. Parsing one costs more than evaluating a policy, so each is parsed once per load.
#[derive(Clone, Debug)]
pub(super) struct Vocabulary {
    pub(super) issuer: EntityTypeName,
    pub(super) group: EntityTypeName,
    pub(super) workload: EntityTypeName,
    pub(super) person: EntityTypeName,
    pub(super) grant: EntityTypeName,
    pub(super) grant_set: EntityTypeName,
    pub(super) elevation: EntityTypeName,
    action: EntityTypeName,
}

impl Vocabulary {
    pub(super) fn new() -> Result<Self, LoadError> {
        let name = |short: &str| {
            EntityTypeName::from_str(&format!("Tidegate::{short}"))
                .map_err(|error| LoadError::from(Fault::of_file(SCHEMA_FILE, error.to_string())))
        };
        Ok(Self {
            issuer: name("Issuer")?,
            group: name("Group")?,
            workload: name("Workload")?,
            person: name("Person")?,
            grant: name("Grant")?,
            grant_set: name("GrantSet")?,
            elevation: name("Elevation")?,
            action: name("Action")?,
        })
    }

    pub(super) fn action(&self, action: Action) -> EntityUid {
        uid(&self.action, action.as_str())
    }

    /// The action that `uid` names.
    pub(super) fn action_of(&self, uid: &EntityUid) -> Option<Action> {
        let named =
            |action: &Action| uid.type_name() == &self.action && uid.id().unescaped() == action.as_str();
        Action::ALL.into_iter().find(named)
    }
}

/// `Type::"id"`
pub(super) fn uid(type_name: &EntityTypeName, id: &str) -> EntityUid {
    EntityUid::from_type_name_and_id(type_name.clone(), EntityId::new(id))
}

/// Our schema, parsed.
pub(super) fn schema() -> Result<Schema, LoadError> {
    match Schema::from_cedarschema_str(SCHEMA_TEXT) {
        Ok((schema, _)) => Ok(schema),
        Err(error) => Err(Fault::of_diagnostic(SCHEMA_FILE, SCHEMA_TEXT, &error).into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_schema_has_exactly_the_actions_that_the_broker_knows() {
        let (schema, warnings) = Schema::from_cedarschema_str(SCHEMA_TEXT).unwrap();
        assert_eq!(warnings.map(|warning| warning.to_string()).collect::<Vec<_>>(), Vec::<String>::new());
        let words = Vocabulary::new().unwrap();
        assert_eq!(schema.actions().count(), Action::ALL.len());
        for action in Action::ALL {
            let uid = words.action(action);
            assert_eq!(words.action_of(&uid), Some(action));
            let resources: Vec<_> = schema.resources_for_action(&uid).unwrap().collect();
            let expected = if action.is_about_elevation() { &words.elevation } else { &words.grant };
            assert_eq!(resources, [expected], "{action:?}");
        }
    }
}
