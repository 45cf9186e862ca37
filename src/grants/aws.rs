//! The AWS half of the catalog: role, session policy, tags.

use super::template::{Attributes, Template, TemplateError};

/// `arn:<partition>:iam::<12 digits>:role/<path and name>`
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RoleArn(String);

impl RoleArn {
    pub fn new(text: &str) -> Result<Self, String> { todo!() }
    pub fn as_str(&self) -> &str { &self.0 }
    pub fn account(&self) -> &str { todo!() }
    pub fn partition(&self) -> &str { todo!() }
}

/// An IAM session policy (a JSON object with `Version` and `Statement`) with holes.
#[derive(Clone, Debug)]
pub struct PolicyTemplate {}

impl PolicyTemplate {
    pub fn parse(json: &str) -> Result<Self, TemplateError> { todo!() }
    /// The statements with their holes filled, as a JSON array without white space.
    pub fn render(&self, attributes: &dyn Attributes) -> Result<Vec<serde_json::Value>, TemplateError> { todo!() }
}

/// What shapes an AWS credential.
#[derive(Clone, Debug)]
pub struct AwsGrant {
    /// The role that is assumed.
    pub role_arn: RoleArn,
    /// Narrows the role; `None` leaves what the role allows (the closing Deny is added all the same).
    pub session_policy: Option<PolicyTemplate>,
    /// Session tags in the order of their keys.
    pub session_tags: Vec<(String, Template)>,
    /// Keys of those tags that stay on when roles are chained. None unless asked.
    pub transitive_tags: Vec<String>,
    /// May the session assume further roles? Off unless asked.
    pub allow_assume_role: bool,
}
