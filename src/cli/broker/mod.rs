//! The broker as a command sees it: one exchange over HTTP. Knows who is trusted on the way and what a refusal means;
//! refuses to know what the credential is for.

mod refusal;
#[cfg(test)]
pub(super) mod tests;
mod trust;

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use reqwest::header::RETRY_AFTER;
use reqwest::{Client, Response};
use serde_json::Value;
use url::Url;
use zeroize::Zeroizing;

use self::refusal::verdict;
pub(super) use self::refusal::{ExchangeError, OauthRefusal};
pub(super) use self::trust::{Trust, TrustFiles};
use super::given::Given;
use crate::secret::{Fingerprint, SecretText};

/// A call that takes longer is a broker that is away: SDKs run this command and wait for it.
const DEADLINE: Duration = Duration::from_secs(10);
/// Credentials are a few kilobytes; a peer that sends more is no broker.
const LONGEST_ANSWER: usize = 256 * 1_024;
/// Most answers fit, so that no copy is left behind where a buffer grew.
const USUAL_ANSWER: usize = 16 * 1_024;
/// Asks for AWS credentials and nothing else.
pub(super) const AWS_TYPE: &str = "urn:tidegate:params:oauth:token-type:aws-credentials";

/// What is asked for.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Wanted<'a> {
    pub(super) grant: &'a str,
    pub(super) scope: Option<&'a str>,
    pub(super) expires_in: Option<Duration>,
    pub(super) elevation: Option<&'a str>,
    pub(super) kind: Option<&'static str>,
}

/// A client for one origin. It follows no redirect: a token goes where the caller said and nowhere else.
#[derive(Debug)]
pub(super) struct Broker {
    url: Url,
    trust: TrustFiles,
    client: Mutex<(Fingerprint, Client)>,
}

/// The broker's yes: a JSON document that holds secrets. Wiped when dropped.
pub(super) struct Granted(Zeroizing<Vec<u8>>);

impl Broker {
    /// A broker at `url`: https, or http on a loopback address.
    pub(super) fn at(url: &str, trust: TrustFiles) -> anyhow::Result<Self> {
        let url = base_url(url)?;
        let read = trust.read()?;
        let client = Mutex::new((read.fingerprint(), read.client(&url)?));
        Ok(Self { url, trust, client })
    }

    /// Where it is.
    pub(super) const fn url(&self) -> &Url {
        &self.url
    }

    /// RFC 8693 §2.1.
    pub(super) async fn exchange(
        &self,
        subject: &SecretText,
        wanted: &Wanted<'_>,
    ) -> Result<Granted, ExchangeError> {
        let mut url = self.url.clone();
        url.set_path(&format!("{}/oauth2/token", self.url.path().trim_end_matches('/')));
        let seconds = wanted.expires_in.map(|span| span.as_secs().to_string());
        let request = self.client()?.post(url).form(&form(subject, wanted, seconds.as_deref()));
        let response = request.send().await.map_err(|error| away(&self.url, &error))?;
        let (status, asked) = (response.status(), retry_after(&response));
        let body = read_body(response).await?;
        if status.is_success() { Ok(Granted(body)) } else { Err(verdict(status.as_u16(), asked, &body)) }
    }

    /// Made anew when a file of it has changed: certificates of workloads live for hours, and agents for months.
    fn client(&self) -> anyhow::Result<Client> {
        let trust = self.trust.read()?;
        let mut kept = self.client.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.0 != trust.fingerprint() {
            *kept = (trust.fingerprint(), trust.client(&self.url)?);
        }
        Ok(kept.1.clone())
    }
}

impl Granted {
    #[cfg(test)]
    pub(super) fn of(value: &Value) -> Self {
        Self(Zeroizing::new(value.to_string().into_bytes()))
    }

    /// The whole document.
    pub(super) fn value(&self) -> anyhow::Result<Value> {
        serde_json::from_slice(&self.0).ok().context("the broker's answer is no JSON")
    }

    /// The credential in it.
    pub(super) fn given(&self) -> anyhow::Result<Given> {
        // The cause would quote the answer, which holds secrets.
        serde_json::from_slice(&self.0).ok().context("the broker's answer has no credential")
    }
}

fn form<'a>(
    subject: &'a SecretText,
    wanted: &Wanted<'a>,
    seconds: Option<&'a str>,
) -> Vec<(&'static str, &'a str)> {
    let mut form = vec![
        ("grant_type", "urn:ietf:params:oauth:grant-type:token-exchange"),
        ("subject_token_type", "urn:ietf:params:oauth:token-type:jwt"),
        ("audience", wanted.grant),
        ("subject_token", subject.expose()),
    ];
    form.extend(wanted.scope.map(|scope| ("scope", scope)));
    form.extend(seconds.map(|seconds| ("expires_in", seconds)));
    form.extend(wanted.elevation.map(|elevation| ("elevation", elevation)));
    form.extend(wanted.kind.map(|kind| ("requested_token_type", kind)));
    form
}

/// Where a broker may be.
pub(super) fn base_url(url: &str) -> anyhow::Result<Url> {
    crate::config::web_url(url).map_err(|(what, help)| anyhow!("--broker: {what} ({help})"))
}

/// The body, up to a cap.
pub(super) async fn read_body(mut response: Response) -> anyhow::Result<Zeroizing<Vec<u8>>> {
    let mut body = Zeroizing::new(Vec::with_capacity(USUAL_ANSWER));
    while let Some(chunk) = response.chunk().await.map_err(reqwest::Error::without_url)? {
        if body.len() + chunk.len() > LONGEST_ANSWER {
            bail!("the answer is longer than {LONGEST_ANSWER} bytes");
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// RFC 9110 §10.2.3, in seconds.
pub(super) fn retry_after(response: &Response) -> Option<Duration> {
    let value = response.headers().get(RETRY_AFTER)?.to_str().ok()?;
    value.parse().ok().map(Duration::from_secs)
}

/// Nothing was heard.
pub(super) fn away(url: &Url, error: &reqwest::Error) -> anyhow::Error {
    if error.is_timeout() {
        return anyhow!("the broker at `{url}` did not answer within {} s", DEADLINE.as_secs());
    }
    let mut cause: &dyn std::error::Error = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    anyhow!("the broker at `{url}` cannot be reached: {cause}")
}
