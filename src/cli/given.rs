//! What the broker gave, as far as a command hands it on. Secrets in it are wiped when dropped.

use serde::{Deserialize, Deserializer};

use crate::secret::SecretText;

/// Where a JWT is handed on in an environment.
pub(super) const TOKEN_VARIABLE: &str = "TIDEGATE_TOKEN";

/// A credential.
#[derive(Debug, Deserialize)]
pub(super) struct Given {
    /// The JWT; for AWS the session token.
    #[serde(deserialize_with = "secret")]
    pub(super) access_token: SecretText,
    /// Seconds that it has left.
    pub(super) expires_in: u64,
    /// Present for AWS.
    pub(super) aws: Option<AwsGiven>,
}

/// AWS credentials.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct AwsGiven {
    pub(super) access_key_id: String,
    #[serde(deserialize_with = "secret")]
    pub(super) secret_access_key: SecretText,
    #[serde(deserialize_with = "secret")]
    pub(super) session_token: SecretText,
    /// RFC 3339, UTC.
    pub(super) expiration: String,
    #[serde(default)]
    pub(super) role_arn: Option<String>,
}

impl AwsGiven {
    /// The environment that every AWS SDK reads first.
    pub(super) fn environment(&self) -> [(&'static str, &str); 4] {
        [
            ("AWS_ACCESS_KEY_ID", &self.access_key_id),
            ("AWS_SECRET_ACCESS_KEY", self.secret_access_key.expose()),
            ("AWS_SESSION_TOKEN", self.session_token.expose()),
            ("AWS_CREDENTIAL_EXPIRATION", &self.expiration),
        ]
    }
}

fn secret<'de, D: Deserializer<'de>>(deserializer: D) -> Result<SecretText, D::Error> {
    String::deserialize(deserializer).map(SecretText::new)
}
