//! The two ways of asking STS for a session, and what its answers mean.

use aws_sdk_sts::Client;
use aws_sdk_sts::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_sts::operation::assume_role::AssumeRoleOutput;
use aws_sdk_sts::operation::assume_role_with_web_identity::AssumeRoleWithWebIdentityOutput;
use aws_sdk_sts::types::{AssumedRoleUser, Credentials, PolicyDescriptorType, Tag};

use super::cache::Session;
use super::plan::Plan;
use super::sdk::{causes, cut, is_about_the_broker, is_passing, is_throttling};
use super::web_identity::hint;
use crate::clock::Moment;
use crate::issuance::IssueError;
use crate::secret::SecretText;

/// One attempt's end, apart from success.
pub(super) enum Failure {
    Throttled,
    /// Worth another attempt soon; the error counts when that fails, too.
    Passing(IssueError),
    Final(IssueError),
}

/// With the client's own AWS identity.
pub(super) async fn assume_role(sts: &Client, plan: &Plan) -> Result<Session, Failure> {
    let answer = sts
        .assume_role()
        .role_arn(plan.role_arn())
        .role_session_name(plan.session_name())
        .source_identity(plan.source_identity())
        .set_external_id(plan.external_id().map(str::to_owned))
        .policy(plan.policy())
        .set_policy_arns(managed(plan))
        .duration_seconds(duration(plan))
        .set_tags(tags(plan)?)
        .set_transitive_tag_keys(some_if_any(plan.transitive_tags().to_vec()))
        .send()
        .await;
    answer.map_or_else(|error| Err(failure(&error, None)), |output| given(plan, &parts(&output)))
}

/// With a token that names tags and source identity. The call is not signed.
pub(super) async fn assume_role_with_web_identity(
    sts: &Client,
    plan: &Plan,
    token: &SecretText,
) -> Result<Session, Failure> {
    let answer = sts
        .assume_role_with_web_identity()
        .role_arn(plan.role_arn())
        .role_session_name(plan.session_name())
        .web_identity_token(token.expose())
        .policy(plan.policy())
        .set_policy_arns(managed(plan))
        .duration_seconds(duration(plan))
        .send()
        .await;
    answer.map_or_else(
        |error| Err(failure(&error, Some(token))),
        |output| given(plan, &web_identity_parts(&output)),
    )
}

fn duration(plan: &Plan) -> i32 {
    i32::try_from(plan.duration_seconds()).unwrap_or(i32::MAX)
}

fn managed(plan: &Plan) -> Option<Vec<PolicyDescriptorType>> {
    let descriptor = |arn: &String| PolicyDescriptorType::builder().arn(arn).build();
    some_if_any(plan.policy_arns().iter().map(descriptor).collect())
}

fn tags(plan: &Plan) -> Result<Option<Vec<Tag>>, Failure> {
    let unbuilt = |_| Failure::Final(IssueError::Unavailable("a session tag could not be built".to_owned()));
    let tags: Result<Vec<Tag>, _> =
        plan.tags().iter().map(|(key, value)| Tag::builder().key(key).value(value).build()).collect();
    tags.map(some_if_any).map_err(unbuilt)
}

fn some_if_any<T>(items: Vec<T>) -> Option<Vec<T>> {
    if items.is_empty() { None } else { Some(items) }
}

/// What both answers have.
struct Given<'a> {
    credentials: Option<&'a Credentials>,
    user: Option<&'a AssumedRoleUser>,
    packed_percent: Option<i32>,
}

/// AWS is renaming how much of STS's packed limit policies and tags take; other endpoints know the old name only.
#[expect(deprecated, reason = "the old name is what most endpoints answer with")]
fn parts(output: &AssumeRoleOutput) -> Given<'_> {
    Given {
        credentials: output.credentials(),
        user: output.assumed_role_user(),
        packed_percent: output.session_token_utilization().or_else(|| output.packed_policy_size()),
    }
}

#[expect(deprecated, reason = "the old name is what most endpoints answer with")]
fn web_identity_parts(output: &AssumeRoleWithWebIdentityOutput) -> Given<'_> {
    Given {
        credentials: output.credentials(),
        user: output.assumed_role_user(),
        packed_percent: output.session_token_utilization().or_else(|| output.packed_policy_size()),
    }
}

fn given(plan: &Plan, given: &Given<'_>) -> Result<Session, Failure> {
    let nothing =
        || Failure::Final(IssueError::Unavailable("the answer holds no usable credentials".to_owned()));
    let credentials = given.credentials.ok_or_else(nothing)?;
    let texts = [credentials.access_key_id(), credentials.secret_access_key(), credentials.session_token()];
    // AWS's end may come before ours when its clock is ahead: whoever is told a later end would be cut off by surprise.
    let aws_end = Moment::from_unix_seconds(credentials.expiration().secs());
    let ends_at = plan.ends_at().min(aws_end);
    if texts.iter().any(|text| text.is_empty()) || ends_at <= plan.at() {
        return Err(nothing());
    }
    Ok(Session {
        access_key_id: credentials.access_key_id().to_owned(),
        secret_access_key: SecretText::new(credentials.secret_access_key().to_owned()),
        session_token: SecretText::new(credentials.session_token().to_owned()),
        packed_policy_percent: given.packed_percent,
        assumed_role_id: given.user.map(|user| user.assumed_role_id().to_owned()),
        began_at: plan.at(),
        ends_at,
    })
}

/// `shown` is the token that AWS was shown, if any.
fn failure<E>(error: &SdkError<E>, shown: Option<&SecretText>) -> Failure
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
{
    let service = match error {
        SdkError::ServiceError(service) => service,
        // Nothing of this error is shown: it carries the answer, and half an answer may be a whole secret.
        SdkError::ResponseError(_) => {
            return Failure::Final(IssueError::Unavailable("the answer cannot be understood".to_owned()));
        }
        other => return Failure::Final(IssueError::Unavailable(cut(&causes(other)))),
    };
    let status = service.raw().status().as_u16();
    let code = service.err().code();
    if status == 429 || code.is_some_and(is_throttling) {
        return Failure::Throttled;
    }
    let words = without(shown, service.err().message().unwrap_or("no message"));
    let Some(code) = code else {
        return Failure::Final(IssueError::Unavailable(cut(&format!("status {status}, no code: {words}"))));
    };
    let advice = shown.and_then(|_| hint(code)).map(|hint| format!(" ({hint})")).unwrap_or_default();
    if (400..500).contains(&status) && !is_about_the_broker(code) {
        let message = format!("{}{advice}", cut(&words));
        return Failure::Final(IssueError::Refused { code: cut(code), message });
    }
    let told = cut(&format!("status {status}, {code}: {words}"));
    let error = IssueError::Unavailable(format!("{told}{advice}"));
    if is_passing(code) { Failure::Passing(error) } else { Failure::Final(error) }
}

/// AWS quotes what it does not like, and these words go to the log.
fn without(token: Option<&SecretText>, words: &str) -> String {
    token.map_or_else(|| words.to_owned(), |token| words.replace(token.expose(), "[token]"))
}
