//! The inline session policy: what the grant allows, and the statements that close it.

use serde::Serialize;
use serde_json::Value;

use super::narrow::{self, NarrowError};
use super::{LimitError, PlanError};
use crate::clock::Moment;
use crate::grants::{Attributes, AwsGrant};

/// Our statements' ids begin with this: AWS wants ids to be different within one policy.
pub(super) const RESERVED: &str = "Tidegate";

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Document<'a> {
    version: &'static str,
    statement: Vec<Statement<'a>>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Statement<'a> {
    Granted(&'a Value),
    Ours(Ours),
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Ours {
    sid: &'static str,
    effect: &'static str,
    action: Actions,
    resource: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    condition: Option<Condition>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Actions {
    All(&'static str),
    These(&'static [&'static str]),
}

#[derive(Serialize)]
struct Condition {
    #[serde(rename = "DateGreaterThanEquals")]
    not_before: CurrentTime,
}

#[derive(Serialize)]
struct CurrentTime {
    #[serde(rename = "aws:CurrentTime")]
    end: String,
}

/// What a session could use to get something that outlives it: further sessions of any kind, and the JWTs that AWS
/// signs for it.
const OUTLIVING: &[&str] = &[
    "sts:AssumeRole*",
    "sts:AssumeRoot",
    "sts:GetFederationToken",
    "sts:GetSessionToken",
    "sts:GetWebIdentityToken",
];

/// The session policy that STS is sent for a caller of `grant`: its statements filled with the caller's attributes, narrowed
/// by the caller's own policy (IAM's JSON), closed by the end and by what keeps the session from outliving it.
///
/// # Errors
/// An attribute that may not stand there, a caller's policy that cannot be applied exactly, or AWS's limit for the text.
pub fn session_policy(
    grant: &AwsGrant,
    attributes: &dyn Attributes,
    narrowing: Option<&str>,
    ends_at: Moment,
) -> Result<String, PlanError> {
    let statements = statements(grant, attributes, narrowing)?;
    closed(statements.as_deref(), grant, narrowing.is_some(), ends_at)
}

/// What is allowed; `None` leaves that to the role. Managed policies allow something by themselves, and AWS adds up what session
/// policies allow: the inline one then allows what the grant's own text allows and nothing else. Beside them a policy of the
/// caller's would narrow nothing, and their text is not known here.
pub(super) fn statements(
    grant: &AwsGrant,
    attributes: &dyn Attributes,
    narrowing: Option<&str>,
) -> Result<Option<Vec<Value>>, PlanError> {
    let own = grant.session_policy.as_ref().map(|policy| policy.render(attributes));
    let own = own.transpose().map_err(PlanError::Policy)?;
    let own = own.or_else(|| (!grant.policy_arns.is_empty()).then(Vec::new));
    match narrowing {
        Some(_) if !grant.policy_arns.is_empty() => Err(NarrowError::Managed.into()),
        Some(asked) => Ok(Some(narrow::narrow(own.as_deref(), asked)?)),
        None => Ok(own),
    }
}

/// With the closing statements.
pub(super) fn closed(
    statements: Option<&[Value]>,
    grant: &AwsGrant,
    narrowed: bool,
    ends_at: Moment,
) -> Result<String, PlanError> {
    document(statements, ends_at, grant.allow_assume_role).map_err(|limit| match limit {
        LimitError::PolicyLength(length) if narrowed => NarrowError::SessionLength(length).into(),
        limit => limit.into(),
    })
}

/// The whole policy, without white space. `granted` are the grant's own statements; without any, the role's own policy
/// alone decides what is allowed.
fn document(
    granted: Option<&[Value]>,
    ends_at: Moment,
    allow_assume_role: bool,
) -> Result<String, LimitError> {
    let mut statement = match granted {
        Some(statements) => own_statements(statements)?,
        None => vec![Statement::Ours(everything_the_role_allows())],
    };
    statement.push(Statement::Ours(end(ends_at)));
    if !allow_assume_role {
        statement.push(Statement::Ours(no_outliving()));
    }
    // Serialising strings and values that were JSON before cannot fail; an empty text would be refused by STS.
    let text = serde_json::to_string(&Document { version: "2012-10-17", statement }).unwrap_or_default();
    super::limits::policy(&text)?;
    Ok(text)
}

fn own_statements(statements: &[Value]) -> Result<Vec<Statement<'_>>, LimitError> {
    statements
        .iter()
        .map(|statement| match statement.get("Sid").and_then(Value::as_str) {
            Some(sid) if sid.starts_with(RESERVED) => Err(LimitError::ReservedSid(sid.to_owned())),
            _ => Ok(Statement::Granted(statement)),
        })
        .collect()
}

/// A session is allowed what the role *and* its session policy allow: this adds nothing to the role. It must be there,
/// since a session policy of Denies alone would allow nothing at all.
fn everything_the_role_allows() -> Ours {
    Ours { sid: "TidegateRole", effect: "Allow", action: Actions::All("*"), resource: "*", condition: None }
}

/// The end. A Deny and not an Allow with a time in it: a resource policy that names the session is added to what the
/// session policy allows, but nothing overrides a Deny. AWS judges it at each request by its own clock.
fn end(ends_at: Moment) -> Ours {
    let not_before = CurrentTime { end: ends_at.floor_second().to_string() };
    let condition = Some(Condition { not_before });
    Ours { sid: "TidegateEnd", effect: "Deny", action: Actions::All("*"), resource: "*", condition }
}

/// Credentials that this session made for itself would not carry its end.
fn no_outliving() -> Ours {
    Ours {
        sid: "TidegateNoOutliving",
        effect: "Deny",
        action: Actions::These(OUTLIVING),
        resource: "*",
        condition: None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn ends_at() -> Moment {
        Moment::from_unix_millis(1_795_363_392_999)
    }

    #[test]
    fn a_statement_id_of_ours_is_refused_in_a_grant() {
        let granted = [json!({"Sid": "TidegateEnd", "Effect": "Allow", "Action": "s3:*", "Resource": "*"})];
        assert_eq!(
            document(Some(&granted), ends_at(), false),
            Err(LimitError::ReservedSid("TidegateEnd".into()))
        );
    }

    #[test]
    fn a_policy_that_is_too_long_with_its_closing_statements_is_refused() {
        let granted = [json!({"Effect": "Allow", "Action": "s3:GetObject", "Resource": "x".repeat(1800)})];
        assert!(
            matches!(document(Some(&granted), ends_at(), false), Err(LimitError::PolicyLength(n)) if n > 2048)
        );
    }

    #[test]
    fn with_a_policy_of_its_own_the_grant_is_closed_by_two_denials() {
        let granted =
            [json!({"Effect": "Allow", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::orders/*"})];
        insta::assert_snapshot!(document(Some(&granted), ends_at(), false).unwrap());
    }

    #[test]
    fn without_a_policy_of_its_own_the_role_decides_and_the_end_stays() {
        insta::assert_snapshot!(document(None, ends_at(), false).unwrap());
    }

    #[test]
    fn a_grant_that_may_chain_roles_still_ends() {
        let text = document(None, ends_at(), true).unwrap();
        assert!(text.contains("TidegateEnd") && !text.contains("sts:AssumeRole"), "{text}");
    }

    #[test]
    fn an_empty_policy_allows_nothing() {
        assert!(!document(Some(&[]), ends_at(), false).unwrap().contains("Allow"));
    }
}
