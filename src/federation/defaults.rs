//! What is safe when the configuration says nothing, and which issuers many tenants share.

use std::time::Duration;

use super::settings::ReplayMode;
use crate::claims::Profile;

const HOUR: Duration = Duration::from_hours(1);
const DAY: Duration = Duration::from_hours(24);

/// What holds for an issuer whose configuration does not say otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SafeDefaults {
    /// May a token be presented again?
    pub replay: ReplayMode,
    /// How old (by `iat`) a token may be.
    pub max_token_age: Duration,
    /// How far `exp` may lie after `iat`.
    pub max_token_lifetime: Duration,
}

/// The safe defaults of a profile.
pub const fn safe_defaults(profile: Profile) -> SafeDefaults {
    match profile {
        // The kubelet writes one token and every client reads it again and again. Default mounts say `exp` a year
        // ahead and are replaced within the hour: their age is what bounds a stolen one.
        Profile::Kubernetes => defaults(ReplayMode::Reusable, HOUR, Duration::from_hours(366 * 24)),
        // A job asks for a new token whenever it wants one, so nobody honest presents one twice. They live 5 minutes.
        Profile::Github => defaults(ReplayMode::SingleUse, Duration::from_mins(10), Duration::from_mins(15)),
        // Made when the job starts, as a variable, and never again: a job that needs two grants, or one twice, has only
        // this one. It lives as long as the job may run.
        Profile::Gitlab => defaults(ReplayMode::Reusable, HOUR, Duration::from_hours(3)),
        // The workload API hands the same JWT-SVID out until half of its life is gone. `GetWebIdentityToken` allows 60 to
        // 3,600 s, and SDK-style callers keep the token for its life.
        Profile::Spiffe | Profile::Aws => defaults(ReplayMode::Reusable, HOUR, HOUR),
        // Nothing is known about them, so the narrowest that works: ask for a new token each time.
        Profile::Generic => defaults(ReplayMode::SingleUse, HOUR, Duration::from_hours(2)),
        // A bearer for many calls of one session.
        Profile::Person => defaults(ReplayMode::Reusable, HOUR, DAY),
    }
}

const fn defaults(replay: ReplayMode, max_token_age: Duration, max_token_lifetime: Duration) -> SafeDefaults {
    SafeDefaults { replay, max_token_age, max_token_lifetime }
}

/// Issuers where anybody can get a token signed for their own tenant, and the claims that say which tenant for good:
/// names can be given up and taken over by somebody else, numbers cannot.
const SHARED: &[(&str, &[&str])] = &[
    ("https://token.actions.githubusercontent.com", GITHUB_IDS),
    ("https://gitlab.com", GITLAB_IDS),
    ("https://agent.buildkite.com", &["organization_id", "pipeline_id"]),
    ("https://app.terraform.io", TERRAFORM_IDS),
    ("https://app.eu.terraform.io", TERRAFORM_IDS),
    ("https://accounts.google.com", &["sub"]),
    ("https://oidc.vercel.com", &["owner_id", "project_id"]),
    ("https://oidc.codefresh.io", &["account_id", "pipeline_id"]),
    ("https://appleid.apple.com", &["sub"]),
    ("https://oauth2.sigstore.dev/auth", &["sub"]),
];

const GITHUB_IDS: &[&str] = &["repository_owner_id", "repository_id", "enterprise_id"];
const GITLAB_IDS: &[&str] = &["namespace_id", "project_id"];
const TERRAFORM_IDS: &[&str] =
    &["terraform_organization_id", "terraform_project_id", "terraform_workspace_id"];

/// Whether many tenants share the issuer of that URL, so that `iss` and `aud` alone say nothing about whose token it is.
pub fn is_shared(url: &str) -> bool {
    shared(url).is_some()
}

/// The claims that name a tenant for good: a shared issuer must `require` at least one of them. Empty when nothing is
/// known about the issuer: the operator then says with `require` what names a tenant there.
pub fn immutable_id_claims(profile: Profile, url: &str) -> &'static [&'static str] {
    if let Some(claims) = shared(url) {
        return claims;
    }
    match profile {
        Profile::Github => GITHUB_IDS,
        Profile::Gitlab => GITLAB_IDS,
        Profile::Aws => {
            &["/https:~1~1sts.amazonaws.com~1/aws_account", "/https:~1~1sts.amazonaws.com~1/org_id", "sub"]
        }
        Profile::Kubernetes | Profile::Spiffe | Profile::Generic | Profile::Person => &[],
    }
}

/// Compared without case and trailing slashes, unlike `iss`: a spelling that escapes the rule here would match no token
/// anyway, and the operator should hear why.
fn shared(url: &str) -> Option<&'static [&'static str]> {
    let plain = url.trim().trim_end_matches('/').to_ascii_lowercase();
    SHARED.iter().find(|(shared, _)| *shared == plain).map(|(_, claims)| *claims)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shared_issuer_is_known_in_every_spelling() {
        for url in ["https://gitlab.com", "https://gitlab.com/", "https://GitLab.com", "HTTPS://GITLAB.COM//"]
        {
            assert!(is_shared(url), "{url}");
        }
        assert!(!is_shared("https://gitlab.example.com"));
        assert!(!is_shared("https://token.actions.githubusercontent.com/acme"), "an enterprise's own issuer");
    }

    #[test]
    fn names_that_can_change_hands_are_no_ids() {
        for profile in [Profile::Github, Profile::Gitlab] {
            let claims = immutable_id_claims(profile, "https://self-hosted.example");
            assert!(!claims.is_empty());
            for name in
                ["repository", "repository_owner", "project_path", "namespace_path", "actor", "actor_id"]
            {
                assert!(!claims.contains(&name), "{name}");
            }
        }
    }

    #[test]
    fn no_profile_accepts_a_token_older_than_an_hour_by_default() {
        for profile in Profile::ALL {
            assert!(safe_defaults(profile).max_token_age <= HOUR, "{profile:?}");
        }
    }
}
