//! The decision point: (principal, action, grant, context) in, [`Permit`] or [`Denial`] out. Knows Cedar and nothing
//! else that decides; refuses to know how a token was checked or what will be made of a permit.
//!
//! Two sets of policies, two authors: what the customer permits and what the vendor asks for. Nothing is issued unless
//! both permit it, no policy of either forbids it, and none fails.

mod context;
mod decision;
mod engine;
mod entities;
mod fault;
mod index;
mod load;
#[cfg(test)]
mod permit_for_test;
mod reads;
mod schema;
mod source;
#[cfg(test)]
mod tests;
mod values;

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;

pub use decision::{Author, Denial, DenialReason, Permit, PolicyDigest, PolicyRef};
pub use engine::PolicyEngine;
pub use fault::{Fault, LoadError};
pub use schema::{Action, SCHEMA_TEXT};

use crate::clock::Moment;
use crate::grants::{Grant, Lifetime};
use crate::ids::Scope;
use crate::principal::{Authentication, Principal, Workload};

/// Where the policies are.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Holds `schema.cedarschema` (optional: must equal ours), `customer/*.cedar` and, optionally, `vendor/*.cedar`.
    pub dir: PathBuf,
}

/// One request to issue, put to the policy.
#[derive(Clone, Debug)]
pub struct IssueQuestion<'a> {
    /// Who asks.
    pub principal: &'a Principal,
    /// How they signed in: `context.auth`.
    pub authentication: &'a Authentication,
    /// What they ask for.
    pub grant: &'a Arc<Grant>,
    /// How long it would live: `context.ttl`.
    pub ttl: Lifetime,
    /// What it would be good for: `context.scopes`.
    pub scopes: &'a BTreeSet<Scope>,
    /// Where the request came from, as the door saw it.
    pub source_ip: Option<IpAddr>,
    /// `x5t#S256` of the client certificate (RFC 8705 §3.1), when there was one.
    pub client_cert: Option<&'a str>,
    /// Who acts for the caller (RFC 8693 §4.1), when somebody does.
    pub actor: Option<&'a Workload>,
    /// Now: `context.now`.
    pub at: Moment,
    // `elevation` joins with break-glass
}
