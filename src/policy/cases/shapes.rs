//! Every key that a file of cases may have.

use crate::document::{Kind, Shape, hides_nothing};

/// A file of cases. No secret belongs into one.
pub(super) const KIND: Kind = Kind { shapes: SHAPES, hides: hides_nothing, opens_files: false };

const SHAPES: &[Shape] =
    &[TOP, CASE, PRINCIPAL, AUTH, ELEVATION, APPROVALS, KUBERNETES, GITHUB, GITLAB, SPIFFE, AWS];

const TOP: Shape = Shape { table: "", keys: &["principals", "case"] };

pub(super) const CASE: Shape = Shape {
    table: "case",
    keys: &[
        "name",
        "do",
        "grant",
        "principal",
        "actor",
        "requester",
        "ttl",
        "scopes",
        "client_cert",
        "duration",
        "elevation",
        "approvals",
        "source_ip",
        "auth",
        "amr",
        "at",
        "policies_alone",
        "expect",
        "decided_by",
        "approvals_needed",
    ],
};

pub(super) const PRINCIPAL: Shape = Shape {
    table: "principals",
    keys: &[
        "issuer",
        "subject",
        "person",
        "groups",
        "tags",
        "email",
        "name",
        "kubernetes",
        "github",
        "gitlab",
        "spiffe",
        "aws",
    ],
};

pub(super) const AUTH: Shape = Shape { table: "auth", keys: &["amr", "acr", "auth_time", "issued_at"] };

pub(super) const ELEVATION: Shape = Shape {
    table: "elevation",
    keys: &["approvals", "starts_at", "ends_at", "duration", "reason", "ticket"],
};

pub(super) const APPROVALS: Shape = Shape { table: "approvals", keys: &["count", "groups"] };

pub(super) const KUBERNETES: Shape =
    Shape { table: "kubernetes", keys: &["namespace", "service_account", "pod", "node"] };

pub(super) const GITHUB: Shape = Shape {
    table: "github",
    keys: &[
        "repository",
        "repository_id",
        "repository_owner",
        "repository_owner_id",
        "ref",
        "ref_type",
        "environment",
        "workflow_ref",
        "event_name",
        "actor_id",
    ],
};

pub(super) const GITLAB: Shape = Shape {
    table: "gitlab",
    keys: &["project_path", "project_id", "namespace_id", "ref", "ref_type", "ref_protected", "environment"],
};

pub(super) const SPIFFE: Shape = Shape { table: "spiffe", keys: &["trust_domain", "path"] };

pub(super) const AWS: Shape = Shape { table: "aws", keys: &["account", "role_arn", "org_id"] };
