//! Was a request signed with a secret that we know? AWS Signature Version 4, by the signer of AWS's own SDK: the request is
//! signed once more, and the two signatures must be one.

use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4;
use ring::hmac;

use crate::clock::Moment;
use crate::secret::SecretText;

/// A signed request to STS, taken apart. Nothing in it was checked.
#[derive(Debug)]
pub struct SignedRequest<'a> {
    /// Whose secret is said to have signed it.
    pub access_key_id: &'a str,
    /// The region of the signature's scope; any will do.
    pub region: &'a str,
    /// `X-Amz-Date`
    pub at: Moment,
    /// The path as it came.
    pub path: &'a str,
    /// Every header that was signed.
    pub headers: Vec<(&'a str, &'a str)>,
    /// The body as it came.
    pub body: &'a [u8],
    /// `X-Amz-Security-Token`
    pub session_token: &'a str,
    /// Hexadecimal digits.
    pub signature: &'a str,
}

impl SignedRequest<'_> {
    pub(super) fn is_signed_with(&self, secret: &SecretText) -> bool {
        self.signature_with(secret).is_some_and(|ours| is_equal(secret, &ours, self.signature))
    }

    fn signature_with(&self, secret: &SecretText) -> Option<String> {
        // Without the session token: where the client signed it, it is among the headers.
        let identity = Credentials::new(self.access_key_id, secret.expose(), None, None, "tidegate").into();
        let mut settings = SigningSettings::default();
        // What the client signed decides, also where AWS's own client would leave a header out.
        settings.excluded_headers = None;
        let time = SystemTime::UNIX_EPOCH
            .checked_add(Duration::from_secs(u64::try_from(self.at.unix_seconds()).ok()?))?;
        let params = v4::SigningParams::builder()
            .identity(&identity)
            .region(self.region)
            .name("sts")
            .time(time)
            .settings(settings)
            .build()
            .ok()?
            .into();
        let headers = self.headers.iter().copied();
        let request =
            SignableRequest::new("POST", self.path, headers, SignableBody::Bytes(self.body)).ok()?;
        sign(request, &params).ok().map(|signed| signed.signature().to_owned())
    }
}

/// In a time that does not tell how much of it is right: over both stands a MAC, and `ring` compares those.
fn is_equal(secret: &SecretText, ours: &str, given: &str) -> bool {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.expose().as_bytes());
    let tag = hmac::sign(&key, ours.as_bytes());
    hmac::verify(&key, given.as_bytes(), tag.as_ref()).is_ok()
}
