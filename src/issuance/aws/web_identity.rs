//! The token that a role's trust policy is judged by when the broker has no AWS identity (`AssumeRoleWithWebIdentity`). It
//! is made for one call, shown to STS and to nobody else, and not kept.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Serialize;

use super::limits;
use super::plan::{Plan, PlanError};
use crate::clock::Moment;
use crate::entropy::Entropy;
use crate::ids::{Audience, UniqueId};
use crate::issuance::{IssueError, jws};
use crate::keys::{KeyRing, SigningAlgorithm};
use crate::secret::SecretText;

/// It must outlast one call with its retries, and nothing more. AWS takes a token for five minutes after its `exp`.
const LIFE_SECONDS: i64 = 60;
/// AWS's clock may be behind ours.
const CLOCKS_APART_SECONDS: i64 = 60;
/// No access token of ours has this type, and introspection knows access tokens only.
const TYPE: &str = "JWT";

/// Signs tokens that AWS IAM trusts, with the keys that we publish.
pub struct WebIdentity {
    issuer: Arc<str>,
    audience: Audience,
    ring: Arc<KeyRing>,
    entropy: Arc<dyn Entropy>,
}

impl std::fmt::Debug for WebIdentity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WebIdentity").field("audience", &self.audience).finish_non_exhaustive()
    }
}

/// Where AWS looks for session tags (IAM user guide, "Passing session tags using `AssumeRoleWithWebIdentity`").
#[derive(Serialize)]
struct Tags<'a> {
    /// Lists of exactly one value.
    principal_tags: BTreeMap<&'a str, [&'a str; 1]>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    transitive_tag_keys: &'a [String],
}

#[derive(Serialize)]
struct Claims<'a> {
    iss: &'a str,
    sub: &'a str,
    aud: &'a str,
    exp: i64,
    nbf: i64,
    iat: i64,
    jti: &'a str,
    /// Left out without tags: a trust policy then need not allow `sts:TagSession`.
    #[serde(rename = "https://aws.amazon.com/tags", skip_serializing_if = "Option::is_none")]
    tags: Option<Tags<'a>>,
    #[serde(rename = "https://aws.amazon.com/source_identity")]
    source_identity: &'a str,
}

impl WebIdentity {
    /// Tokens of `issuer` (`server.issuer`) for `audience`, the client id under which IAM knows us.
    pub fn new(issuer: &str, audience: Audience, ring: Arc<KeyRing>, entropy: Arc<dyn Entropy>) -> Self {
        Self { issuer: Arc::from(issuer), audience, ring, entropy }
    }

    /// A token for the call that `plan` describes.
    pub(super) fn token(&self, plan: &Plan, at: Moment) -> Result<SecretText, IssueError> {
        let key = self.ring.signer(at).ok_or(IssueError::NoSigningKey)?;
        if !is_accepted(key.algorithm()) {
            let why = "the key that signs now is for EdDSA, which AWS IAM does not take; another follows within \
                       `keys.publish_ahead`";
            return Err(IssueError::Unavailable(why.to_owned()));
        }
        let jti = UniqueId::new(at, &*self.entropy)?.to_string();
        let iat = at.unix_seconds();
        let subject = subject(plan);
        let claims = Claims {
            iss: &self.issuer,
            sub: &subject,
            aud: self.audience.as_str(),
            exp: iat.saturating_add(LIFE_SECONDS),
            nbf: iat.saturating_sub(CLOCKS_APART_SECONDS),
            iat,
            jti: &jti,
            tags: tags(plan),
            source_identity: plan.source_identity(),
        };
        let token = SecretText::new(jws::compact(&key, TYPE, &claims)?);
        limits::token(token.expose()).map_err(PlanError::from)?;
        Ok(token)
    }
}

/// STS takes RS256, RS384, RS512, ES256, ES384 and ES512. The configuration refuses others; a key from before its last
/// change may still be there.
pub(super) fn is_accepted(algorithm: SigningAlgorithm) -> bool {
    match algorithm {
        SigningAlgorithm::Es256 | SigningAlgorithm::Rs256 => true,
        SigningAlgorithm::EdDsa => false,
    }
}

/// What the operator can do, where AWS's own words do not say it.
pub(super) fn hint(code: &str) -> Option<&'static str> {
    match code {
        "IDPCommunicationError" => Some(
            "AWS could not fetch the broker's keys: `server.issuer` and its key set must be reachable from the internet",
        ),
        "InvalidIdentityToken" => Some(
            "`server.issuer` must be an OIDC provider in IAM of the role's account, with `aws.web_identity_audience` \
             among its audiences, a thumbprint if its certificate is private, and keys that AWS can fetch",
        ),
        "IDPRejectedClaim" => Some("compare the OIDC provider in IAM with `server.issuer`"),
        "ExpiredTokenException" => Some("the broker's clock is behind AWS's"),
        "AccessDenied" => Some(
            "the role's trust policy must let the provider of `server.issuer` do `sts:AssumeRoleWithWebIdentity`, \
             `sts:SetSourceIdentity` and, with tags, `sts:TagSession`, for the subject `grant:` and the grant's name",
        ),
        _ => None,
    }
}

/// So that a role's trust policy can name the one grant that may use it. No access token of ours has such a subject:
/// theirs is `<issuer name>|<sub>`, and a `|` stands in no grant's name.
fn subject(plan: &Plan) -> String {
    format!("grant:{}", plan.grant())
}

fn tags(plan: &Plan) -> Option<Tags<'_>> {
    let principal_tags: BTreeMap<_, _> =
        plan.tags().iter().map(|(key, value)| (key.as_str(), [value.as_str()])).collect();
    let any = !principal_tags.is_empty();
    any.then(|| Tags { principal_tags, transitive_tag_keys: plan.transitive_tags() })
}
