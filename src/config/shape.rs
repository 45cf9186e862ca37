//! Every key that the file may have. What is not listed here is a fault, and what is listed here is documented
//! (`tests/config_docs.rs` compares).

use crate::document::Shape;

pub(super) const TOP: Shape = Shape {
    table: "",
    keys: &[
        "server",
        "log",
        "store",
        "keys",
        "audit",
        "policy",
        "aws",
        "clock",
        "issuers",
        "grants",
        "breakglass",
        "notify",
    ],
};
pub(super) const SERVER: Shape =
    Shape { table: "server", keys: &["issuer", "listen", "ops_listen", "tls", "limits", "trusted_proxies"] };
pub(super) const TLS: Shape =
    Shape { table: "server.tls", keys: &["cert_file", "key_file", "client_ca_file", "client_auth"] };
pub(super) const LIMITS: Shape = Shape {
    table: "server.limits",
    keys: &[
        "max_body_bytes",
        "request_timeout",
        "max_connections",
        "max_concurrent_requests",
        "rate_per_ip",
        "burst_per_ip",
        "rate_per_principal",
        "burst_per_principal",
    ],
};
pub(super) const LOG: Shape = Shape { table: "log", keys: &["format", "level"] };
pub(super) const STORE: Shape = Shape {
    table: "store",
    keys: &["url", "password_file", "password_command", "tls", "max_connections", "trust_server_durability"],
};
pub(super) const STORE_TLS: Shape = Shape { table: "store.tls", keys: &["ca_file", "cert_file", "key_file"] };
pub(super) const KEYS: Shape = Shape {
    table: "keys",
    keys: &[
        "algorithm",
        "rotate_every",
        "publish_ahead",
        "kek",
        "kek_file",
        "kek_kms",
        "previous_kek",
        "previous_kek_file",
        "previous_kek_kms",
        "kms_endpoint",
        "rsa_key",
        "rsa_key_file",
    ],
};
pub(super) const AUDIT: Shape = Shape { table: "audit", keys: &["origin", "facts"] };
pub(super) const POLICY: Shape = Shape {
    table: "policy",
    keys: &[
        "dir",
        "vendor_bundle",
        "vendor_key",
        "vendor_key_file",
        "vendor_bundle_version",
        "vendor_bundle_version_file",
        "shadow_dir",
        "shadow_log_per_hour",
    ],
};
pub(super) const AWS: Shape = Shape {
    table: "aws",
    keys: &[
        "mode",
        "web_identity_audience",
        "region",
        "sts_endpoint",
        "iam_endpoint",
        "ca_file",
        "external_id",
        "sts_rate",
        "chained",
        "end_sessions",
    ],
};
pub(super) const CLOCK: Shape = Shape { table: "clock", keys: &["max_step_back"] };
pub(super) const ISSUERS: Shape = Shape {
    table: "issuers",
    keys: &[
        "name",
        "url",
        "profile",
        "audiences",
        "algorithms",
        "jwks_file",
        "jwks_url",
        "require",
        "shared",
        "ca_file",
        "allow_private_network",
        "replay",
        "max_token_age",
        "max_token_lifetime",
        "may_approve",
        "trust_self",
    ],
};
pub(super) const GRANTS: Shape = Shape {
    table: "grants",
    keys: &[
        "name",
        "kind",
        "default_ttl",
        "max_ttl",
        "audience",
        "scopes",
        "role_arn",
        "sts_role_arn_alias",
        "region",
        "sts_endpoint",
        "external_id",
        "session_policy_file",
        "policy_arns",
        "session_tags",
        "transitive_tags",
        "allow_assume_role",
        "sts_rate",
        "break_glass",
        "max_duration",
        "labels",
        "sets",
    ],
};
pub(super) const BREAKGLASS: Shape = Shape {
    table: "breakglass",
    keys: &[
        "request_ttl",
        "min_reason",
        "ticket_pattern",
        "max_open_per_person",
        "max_open_per_grant",
        "schedule_ahead",
    ],
};
pub(super) const NOTIFY: Shape =
    Shape { table: "notify", keys: &["url", "secret", "secret_file", "format", "ca_file"] };

/// Every table, for the documentation and for "that key belongs elsewhere".
pub const SHAPES: &[Shape] = &[
    TOP, SERVER, TLS, LIMITS, LOG, STORE, STORE_TLS, KEYS, AUDIT, POLICY, AWS, CLOCK, ISSUERS, GRANTS,
    BREAKGLASS, NOTIFY,
];
