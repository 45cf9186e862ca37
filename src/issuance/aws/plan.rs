//! What STS will be asked for: a function of the permit, the grant, the caller's attributes and the moment.

use super::limits::{self, LimitError};
use super::narrow::NarrowError;
use super::{names, session_policy};
use crate::clock::{Clock, Moment};
use crate::grants::{Attributes, AwsGrant, GrantKind, PolicyArn, StsRoute, TemplateError};
use crate::ids::{GrantName, RequestId};
use crate::policy::Permit;
use crate::secret::Fingerprint;

/// One credential to be made.
#[derive(Clone, Copy)]
pub struct AwsOrder<'a> {
    /// The request that it is for.
    pub request_id: RequestId,
    /// Who gets what, and for how long.
    pub permit: &'a Permit,
    /// Fills the grant's templates.
    pub attributes: &'a (dyn Attributes + Sync),
    /// The caller's own session policy, which may only narrow.
    pub narrowing: Option<&'a str>,
    /// Now.
    pub at: Moment,
    /// An end that the credential must not pass whatever its lifetime: the subject token's. The elevation's own is in the permit.
    /// Set it whenever that is what bounds the lifetime; callers then share a credential only with the same end.
    pub exact_end: Option<Moment>,
    /// Whether it may be answered on an entry that is there already.
    pub footing: Footing,
}

/// On whose entry a caller's credential may stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Footing {
    /// On its own, which stands for nobody else: it tells of an actor.
    Alone,
    /// On its own, which may stand for those who come later.
    Own,
    /// On that of the session's issue, where there is one.
    Shared,
}

impl std::fmt::Debug for AwsOrder<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AwsOrder").field("request_id", &self.request_id).finish_non_exhaustive()
    }
}

/// How STS is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// `AssumeRole`, with the broker's own AWS identity.
    AssumeRole,
    /// `AssumeRoleWithWebIdentity`, with a token that the broker signs: no AWS identity is needed.
    WebIdentity,
}

impl Mode {
    /// As the configuration and the record spell it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::AssumeRole => "assume_role",
            Self::WebIdentity => "web_identity",
        }
    }
}

/// What STS will be asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    mode: Mode,
    sts: StsRoute,
    grant: GrantName,
    role_arn: String,
    external_id: Option<String>,
    policy_arns: Vec<String>,
    session_name: String,
    source_identity: String,
    tags: Vec<(String, String)>,
    transitive_tags: Vec<String>,
    policy: String,
    duration_seconds: u32,
    at: Moment,
    ends_at: Moment,
    /// `None` under an elevation: two elevations never share cloud state, and each mint is decided and recorded anew.
    cache_key: Option<Fingerprint>,
}

/// The credential cannot be made for this caller.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// The grant makes tokens.
    #[error("the grant makes no AWS credentials")]
    NotAws,
    /// The permit for a break-glass grant names no elevation: a fault of ours.
    #[error("the permit for a break-glass grant names no elevation")]
    NoElevation,
    /// The session policy does not fit the caller.
    #[error("session policy: {0}")]
    Policy(TemplateError),
    /// A session tag does not fit the caller.
    #[error("session tag `{key}`: {error}")]
    Tag {
        /// Which.
        key: String,
        /// Why.
        error: TemplateError,
    },
    /// The caller's own policy cannot be put together with the grant's.
    #[error(transparent)]
    Narrowing(#[from] NarrowError),
    /// One of AWS's limits.
    #[error(transparent)]
    Limit(#[from] LimitError),
}

impl Plan {
    /// How STS is asked.
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// Which STS is asked.
    pub fn sts(&self) -> &StsRoute {
        &self.sts
    }

    /// What it is for: AWS learns the name as the token's subject.
    pub(super) fn grant(&self) -> &GrantName {
        &self.grant
    }

    /// `ExternalId`
    pub(super) fn external_id(&self) -> Option<&str> {
        self.external_id.as_deref()
    }

    /// `PolicyArns`: managed session policies.
    pub fn policy_arns(&self) -> &[String] {
        &self.policy_arns
    }

    /// The role that is assumed.
    pub fn role_arn(&self) -> &str {
        &self.role_arn
    }

    /// `RoleSessionName`
    pub fn session_name(&self) -> &str {
        &self.session_name
    }

    /// `SourceIdentity`
    pub fn source_identity(&self) -> &str {
        &self.source_identity
    }

    /// Session tags.
    pub fn tags(&self) -> &[(String, String)] {
        &self.tags
    }

    /// Keys of the tags that stay on when roles are chained.
    pub fn transitive_tags(&self) -> &[String] {
        &self.transitive_tags
    }

    /// The inline session policy.
    pub fn policy(&self) -> &str {
        &self.policy
    }

    /// `DurationSeconds`: at least 900, because STS gives no less.
    pub fn duration_seconds(&self) -> u32 {
        self.duration_seconds
    }

    /// When the plan was made.
    pub fn at(&self) -> Moment {
        self.at
    }

    /// From when on the session policy denies everything. Whole seconds.
    pub fn ends_at(&self) -> Moment {
        self.ends_at
    }

    /// Now, and never before the plan was made: whoever waited for a session is judged by when they get it.
    pub(super) fn now(&self, clock: &dyn Clock) -> Moment {
        self.at.max(clock.now())
    }

    /// Of everything that shapes the session; `None` when it is shared with nobody.
    pub(super) fn cache_key(&self) -> Option<Fingerprint> {
        self.cache_key
    }
}

/// Makes the plan and checks every limit that can be checked without calling AWS.
pub(super) fn plan(order: &AwsOrder<'_>, mode: Mode, longest_session: u32) -> Result<Plan, PlanError> {
    let permit = order.permit;
    let GrantKind::Aws(grant) = &permit.grant().kind else { return Err(PlanError::NotAws) };
    // Policy and exchange have refused this already. One forgotten line there must not open what breaks glass.
    if permit.grant().break_glass.is_some() && permit.elevation().is_none() {
        return Err(PlanError::NoElevation);
    }
    let statements = session_policy::statements(grant, order.attributes, order.narrowing)?;
    let ends_at = end(order)?;
    let mut tags = tags(grant, order.attributes)?;
    tags.extend(elevation_tags(permit).into_iter().flatten());
    let mut plan = Plan {
        mode,
        sts: grant.sts.clone(),
        grant: permit.grant().name.clone(),
        role_arn: grant.role_arn.as_str().to_owned(),
        external_id: grant.external_id.clone(),
        policy_arns: grant.policy_arns.iter().map(PolicyArn::as_str).map(str::to_owned).collect(),
        session_name: session_name(permit),
        source_identity: source_identity(permit),
        tags,
        transitive_tags: grant.transitive_tags.clone(),
        policy: session_policy::closed(statements.as_deref(), grant, order.narrowing.is_some(), ends_at)?,
        duration_seconds: limits::duration(permit.ttl().seconds(), longest_session)?,
        at: order.at,
        ends_at,
        cache_key: None,
    };
    limits::policies(&plan.policy, &plan.policy_arns)?;
    limits::tags(&plan.tags, &plan.transitive_tags)?;
    if permit.grant().break_glass.is_none() && permit.elevation().is_none() {
        plan.cache_key = Some(cache_key(order, &plan, grant, statements.as_deref()));
    }
    Ok(plan)
}

fn session_name(permit: &Permit) -> String {
    let (principal, grant) = (permit.principal(), permit.grant().name.as_str());
    let (issuer, subject) = (principal.issuer.as_str(), principal.subject.as_str());
    match permit.elevation() {
        Some(used) => names::session_name_under(issuer, subject, grant, &used.id.to_string()),
        None => names::session_name(issuer, subject, grant),
    }
}

/// The elevation's id and nothing else: whoever ends an elevation early denies its sessions by this name, and no others.
fn source_identity(permit: &Permit) -> String {
    let principal = permit.principal();
    permit.elevation().map_or_else(
        || names::source_identity(principal.issuer.as_str(), principal.subject.as_str()),
        |used| used.id.to_string(),
    )
}

/// For AWS policies and CloudTrail. Not transitive: another role that is assumed from here has its own reasons.
fn elevation_tags(permit: &Permit) -> Option<[(String, String); 2]> {
    let tag = |key: &str, value: String| (key.to_owned(), value);
    permit.elevation().map(|used| {
        [
            tag("tidegate:elevation", used.id.to_string()),
            tag("tidegate:approvals", used.approvals.to_string()),
        ]
    })
}

fn tags(grant: &AwsGrant, attributes: &(dyn Attributes + Sync)) -> Result<Vec<(String, String)>, PlanError> {
    let render = |(key, template): &(String, crate::grants::Template)| match template.render(attributes) {
        Ok(value) => Ok((key.clone(), value)),
        Err(error) => Err(PlanError::Tag { key: key.clone(), error }),
    };
    grant.session_tags.iter().map(render).collect()
}

/// Whole seconds, rounded down: IAM compares seconds.
fn end(order: &AwsOrder<'_>) -> Result<Moment, LimitError> {
    let by_lifetime = order.at.floor_second().plus(order.permit.ttl().duration());
    let window = order.permit.elevation().map(|used| used.ends_at);
    let ends = order.exact_end.into_iter().chain(window).map(Moment::floor_second);
    let end = ends.fold(by_lifetime, Moment::min);
    if end > order.at { Ok(end) } else { Err(LimitError::Ended(end)) }
}

/// Everything that shapes the session, each field with its length. Left out is only what follows from the rest,
/// such as `DurationSeconds`, or from the moment. A cache that forgets a field hands one caller's credentials to another (CVE-2025-11621).
fn cache_key(
    order: &AwsOrder<'_>,
    plan: &Plan,
    grant: &AwsGrant,
    statements: Option<&[serde_json::Value]>,
) -> Fingerprint {
    let permit = order.permit;
    let version = permit.grant().version;
    let own_policy = statements.map(|statements| serde_json::Value::from(statements).to_string());
    let tags: Vec<&[u8]> =
        plan.tags.iter().flat_map(|(key, value)| [key.as_bytes(), value.as_bytes()]).collect();
    let transitive: Vec<&[u8]> = plan.transitive_tags.iter().map(String::as_bytes).collect();
    let managed: Vec<&[u8]> = plan.policy_arns.iter().map(String::as_bytes).collect();
    let endpoint = plan.sts.endpoint.as_deref();
    // Two callers whose lifetime was cut by something that ends on its own share only when that ends at once for both.
    let end = match order.exact_end {
        Some(_) => format!("until {}", plan.ends_at.unix_seconds()),
        None => format!("for {}", permit.ttl().seconds()),
    };
    Fingerprint::of_fields(&[
        permit.principal().issuer.as_str().as_bytes(),
        permit.principal().subject.as_str().as_bytes(),
        permit.grant().name.as_str().as_bytes(),
        version.as_bytes(),
        plan.mode.as_str().as_bytes(),
        plan.sts.region.as_str().as_bytes(),
        if endpoint.is_some() { b"own endpoint" } else { b"region's endpoint" },
        endpoint.unwrap_or_default().as_bytes(),
        if plan.external_id.is_some() { b"external id" } else { b"no external id" },
        plan.external_id.as_deref().unwrap_or_default().as_bytes(),
        Fingerprint::of_fields(&managed).as_bytes(),
        plan.role_arn.as_bytes(),
        if own_policy.is_some() { b"own policy" } else { b"role's policy" },
        own_policy.unwrap_or_default().as_bytes(),
        // The record of a session names the text that narrowed it, so another text gets another session.
        order.narrowing.unwrap_or_default().as_bytes(),
        &[u8::from(grant.allow_assume_role)],
        Fingerprint::of_fields(&tags).as_bytes(),
        Fingerprint::of_fields(&transitive).as_bytes(),
        plan.source_identity.as_bytes(),
        plan.session_name.as_bytes(),
        end.as_bytes(),
    ])
}
