//! Issuers that many tenants share, and the claims that pin one tenant for ever.
//!
//! A trust in such an issuer that names only `iss` and `aud` lets every customer of that service in: anybody can ask
//! GitHub for a token with our audience. Names are no help, because a deleted organisation's name can be registered
//! again by somebody else; only an id that is never given twice is.

use url::Url;

/// A service, its issuer's host, and its immutable ids (the first one is the one to suggest).
struct Service {
    host: &'static str,
    ids: &'static [&'static str],
}

const SERVICES: &[Service] = &[
    Service {
        host: "token.actions.githubusercontent.com",
        ids: &["repository_owner_id", "repository_id", "enterprise_id"],
    },
    Service { host: "gitlab.com", ids: &["namespace_id", "project_id"] },
    Service { host: "agent.buildkite.com", ids: &["organization_id", "pipeline_id"] },
    Service {
        host: "app.terraform.io",
        ids: &["terraform_organization_id", "terraform_project_id", "terraform_workspace_id"],
    },
    Service { host: "accounts.google.com", ids: &["sub"] },
];

/// For an issuer that the operator marked `shared = true`: every id above, and what tenants are called elsewhere.
const GENERIC_IDS: &[&str] = &[
    "sub",
    "tenant_id",
    "tid",
    "organization_id",
    "org_id",
    "account_id",
    "repository_owner_id",
    "repository_id",
    "enterprise_id",
    "namespace_id",
    "project_id",
    "pipeline_id",
    "workspace_id",
    "terraform_organization_id",
    "terraform_project_id",
    "terraform_workspace_id",
];

/// Is the issuer known to serve many tenants?
pub fn is_shared(url: &Url) -> bool {
    service(url).is_some()
}

/// The claims of which `require` must name at least one when the issuer is shared.
pub fn immutable_id_claims(url: &Url) -> &'static [&'static str] {
    service(url).map_or(GENERIC_IDS, |service| service.ids)
}

fn service(url: &Url) -> Option<&'static Service> {
    // A fully qualified name may end with a dot and still be the same host.
    let host = url.host_str()?.trim_end_matches('.');
    SERVICES.iter().find(|service| service.host == host)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shared_service_is_known_however_its_url_is_spelled() {
        for url in [
            "https://token.actions.githubusercontent.com",
            "https://TOKEN.actions.githubusercontent.com/",
            "https://token.actions.githubusercontent.com./acme",
            "https://gitlab.com",
        ] {
            assert!(is_shared(&Url::parse(url).unwrap()), "{url}");
        }
        for url in ["https://gitlab.example.com", "https://gitlab.com.example", "https://notgitlab.com"] {
            assert!(!is_shared(&Url::parse(url).unwrap()), "{url}");
        }
    }

    #[test]
    fn a_mutable_name_never_counts_as_an_id() {
        for service in SERVICES {
            for name in ["repository", "repository_owner", "project_path", "namespace_path", "email", "hd"] {
                assert!(!service.ids.contains(&name), "{name}");
            }
        }
    }
}
