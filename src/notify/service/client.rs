//! One request to one receiver: signed, bounded, without redirects; of the answer only the status counts.

use std::sync::Arc;
use std::time::Duration;

use reqwest::header::{CONTENT_TYPE, HeaderName};
use url::{Host, Url};

use super::NotifierError;
use crate::clock::Moment;
use crate::network::{SystemRoots, client_tls, roots_from};
use crate::notify::{Hook, signature};
use crate::store::WaitingMessage;

const SIGNATURE: HeaderName = HeaderName::from_static("tidegate-signature");
const EVENT: HeaderName = HeaderName::from_static("tidegate-event");
const DELIVERY: HeaderName = HeaderName::from_static("tidegate-delivery");

/// A message did not arrive. Names no URL: that may be a secret.
#[derive(Debug, thiserror::Error)]
pub(super) enum SendError {
    #[error("the answer was HTTP {0}; redirects are not followed")]
    Status(u16),
    #[error("no answer in time")]
    Timeout,
    #[error("no connection: {0}")]
    Connect(String),
    #[error("the message cannot be written: {0}")]
    Format(#[from] serde_json::Error),
}

/// Reaches one receiver.
#[derive(Debug)]
pub(super) struct Client {
    http: reqwest::Client,
}

impl Client {
    pub(super) fn new(hook: &Hook, roots: &SystemRoots, timeout: Duration) -> Result<Self, NotifierError> {
        if !is_safe(&hook.url) {
            return Err(NotifierError::NotHttps(hook.host().to_owned()));
        }
        let roots = match &hook.ca_file {
            Some(path) => Arc::new(roots_from(path).map_err(NotifierError::Tls)?),
            None => roots.get(),
        };
        let http = reqwest::Client::builder()
            .tls_backend_preconfigured(client_tls(roots).map_err(NotifierError::Tls)?)
            // A redirect would carry the signed message to where nobody configured it.
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .referer(false)
            .connect_timeout(timeout)
            .timeout(timeout)
            .user_agent(concat!("tidegate/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|fault| NotifierError::Tls(deepest(&fault.without_url())))?;
        Ok(Self { http })
    }

    /// Sends it once. The body of the answer is not read: it is the receiver's, and nothing depends on it.
    pub(super) async fn send(
        &self,
        hook: &Hook,
        waiting: &WaitingMessage,
        at: Moment,
    ) -> Result<(), SendError> {
        let body = hook.format.body(&waiting.message)?;
        let request = self
            .http
            .post(hook.url.clone())
            .header(CONTENT_TYPE, "application/json")
            .header(SIGNATURE, signature(&hook.secret, at, &body))
            .header(EVENT, &waiting.message.event)
            .header(DELIVERY, waiting.sequence)
            .body(body);
        let answer = request.send().await.map_err(sort)?;
        if answer.status().is_success() { Ok(()) } else { Err(SendError::Status(answer.status().as_u16())) }
    }
}

fn sort(fault: reqwest::Error) -> SendError {
    if fault.is_timeout() { SendError::Timeout } else { SendError::Connect(deepest(&fault.without_url())) }
}

fn deepest(fault: &(dyn std::error::Error + 'static)) -> String {
    let causes = std::iter::successors(Some(fault), |cause| cause.source());
    causes.last().map(ToString::to_string).unwrap_or_default()
}

/// Plain http only where nobody sits between.
fn is_safe(url: &Url) -> bool {
    let loopback = match url.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    };
    url.scheme() == "https" || (url.scheme() == "http" && loopback)
}
