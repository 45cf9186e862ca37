//! The catalog of what can be issued: named grants, their caps, and how a claim may stand inside them. Knows
//! lifetimes, scopes and templates; refuses to know who asks or how a credential is made.

mod aws;
mod catalog;
mod lifetime;
mod template;

use std::collections::BTreeSet;
use std::sync::Arc;

pub use aws::{AwsGrant, PolicyTemplate, RoleArn};
pub use catalog::{Catalog, CatalogError};
pub use lifetime::{AskError, Lifetime, LifetimeCaps, effective};
pub use template::{Attributes, Position, Template, TemplateError};

use crate::ids::{Audience, GrantName, Scope};
use crate::secret::Fingerprint;

/// A named thing that can be issued.
#[derive(Clone, Debug)]
pub struct Grant {
    /// What callers call it.
    pub name: GrantName,
    /// Digest of everything below: caches and the record name the exact version that shaped a credential.
    pub version: Fingerprint,
    /// What is made.
    pub kind: GrantKind,
    /// How long it may live.
    pub caps: LifetimeCaps,
    /// Present when the grant is never issued without an active elevation, whatever policy says.
    pub break_glass: Option<BreakGlass>,
    /// Free labels for policy.
    pub labels: BTreeSet<String>,
    /// Cedar `GrantSet`s that hold the grant.
    pub sets: BTreeSet<String>,
}

/// What kind of credential a grant makes.
#[derive(Clone, Debug)]
pub enum GrantKind {
    /// A JWT that we sign.
    Jwt(JwtGrant),
    /// AWS STS credentials.
    Aws(Arc<AwsGrant>),
}

/// A JWT access token (RFC 9068) for one audience.
#[derive(Clone, Debug)]
pub struct JwtGrant {
    /// `aud`
    pub audience: Audience,
    /// Every scope that may be asked for. All of them when the caller names none.
    pub scopes: BTreeSet<Scope>,
}

/// The caps of a break-glass grant.
#[derive(Clone, Copy, Debug)]
pub struct BreakGlass {
    /// The longest elevation.
    pub max_duration: std::time::Duration,
}

impl Grant {
    /// `"jwt"` or `"aws"`, as policy and the record spell it.
    pub fn kind_name(&self) -> &'static str {
        match self.kind {
            GrantKind::Jwt(_) => "jwt",
            GrantKind::Aws(_) => "aws",
        }
    }

    /// The AWS account, when there is one.
    pub fn account(&self) -> Option<&str> {
        match &self.kind {
            GrantKind::Jwt(_) => None,
            GrantKind::Aws(aws) => Some(aws.role_arn.account()),
        }
    }
}
