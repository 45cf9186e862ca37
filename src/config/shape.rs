//! Every key that the file may have. What is not listed here is a fault, and what is listed here is documented
//! (`tests/config_docs.rs` compares).

/// The keys of one table of the file.
#[derive(Debug)]
pub struct Shape {
    /// Where it stands: `""` for the top of the file, `server.tls`, `issuers`.
    pub table: &'static str,
    /// What it may hold, in the order in which people should read it.
    pub keys: &'static [&'static str],
}

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
pub(super) const AUDIT: Shape = Shape { table: "audit", keys: &["origin"] };
pub(super) const POLICY: Shape = Shape {
    table: "policy",
    keys: &[
        "dir",
        "vendor_bundle",
        "vendor_key",
        "vendor_key_file",
        "vendor_bundle_version",
        "vendor_bundle_version_file",
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

/// Keys whose value may be a secret. A line that sets one is never shown.
pub(super) const SECRET_KEYS: &[&str] = &["kek", "rsa_key", "secret", "password", "url"];

/// The word among `known` that somebody who wrote `word` most likely meant.
pub(super) fn nearest<'k>(word: &str, known: impl IntoIterator<Item = &'k str>) -> Option<&'k str> {
    let word = word.to_lowercase().replace('-', "_");
    known
        .into_iter()
        .map(|candidate| (distance(&word, &candidate.to_lowercase().replace('-', "_")), candidate))
        .filter(|(far, candidate)| *far <= 1.max(candidate.chars().count() / 3))
        .min_by_key(|(far, _)| *far)
        .map(|(_, candidate)| candidate)
}

/// The table, other than `here`, that has exactly this key; only when there is one.
pub(super) fn home_of(key: &str, here: &str) -> Option<&'static str> {
    let mut homes = SHAPES
        .iter()
        .filter(|shape| shape.table != here && !shape.table.is_empty() && shape.keys.contains(&key));
    match (homes.next(), homes.next()) {
        (Some(only), None) => Some(only.table),
        _ => None,
    }
}

/// Levenshtein distance in characters.
fn distance(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (index, have) in left.chars().enumerate() {
        let mut diagonal = index;
        let mut before = index + 1;
        let mut next = vec![before];
        for (want, above) in right.iter().zip(row.iter().skip(1)) {
            before = (diagonal + usize::from(have != *want)).min(above + 1).min(before + 1);
            diagonal = *above;
            next.push(before);
        }
        row = next;
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_the_finger_finds_the_word_that_was_meant() {
        assert_eq!(nearest("audience", ISSUERS.keys.iter().copied()), Some("audiences"));
        assert_eq!(nearest("jwks-url", ISSUERS.keys.iter().copied()), Some("jwks_url"));
        assert_eq!(nearest("Default_TTL", GRANTS.keys.iter().copied()), Some("default_ttl"));
        assert_eq!(nearest("colour", ISSUERS.keys.iter().copied()), None);
    }

    #[test]
    fn distance_counts_single_edits() {
        for (left, right, far) in [("", "", 0), ("a", "", 1), ("kitten", "sitting", 3), ("abc", "abc", 0)] {
            assert_eq!(distance(left, right), far, "{left} {right}");
            assert_eq!(distance(right, left), far, "{right} {left}");
        }
    }

    #[test]
    fn a_key_of_another_table_is_sent_home_only_when_the_home_is_certain() {
        assert_eq!(home_of("iam_endpoint", "server"), Some("aws"));
        assert_eq!(home_of("name", "server"), None, "issuers and grants both have one");
    }
}
