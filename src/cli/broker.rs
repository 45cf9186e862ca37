//! The broker as a command sees it: one exchange over HTTP, and refusals in words.

use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use reqwest::redirect::Policy;
use serde::Deserialize;
use serde_json::Value;
use url::Url;

use crate::secret::SecretText;

/// A call that takes longer is a broker that is away: SDKs run this command and wait for it.
const DEADLINE: Duration = Duration::from_secs(10);
/// Credentials are a few kilobytes; a peer that sends more is no broker.
const LONGEST_ANSWER: usize = 256 * 1_024;

/// What is asked for.
#[derive(Debug)]
pub(super) struct Wanted<'a> {
    pub(super) grant: &'a str,
    pub(super) scope: Option<&'a str>,
    pub(super) expires_in: Option<Duration>,
}

/// A client for one origin. It follows no redirect: a token goes where the caller said and nowhere else.
#[derive(Debug)]
pub(super) struct Broker {
    client: reqwest::Client,
    url: Url,
}

/// RFC 6749 §5.2, and our `request_id`.
#[derive(Debug, Deserialize)]
struct OauthError {
    error: String,
    #[serde(default)]
    error_description: String,
    #[serde(default)]
    request_id: String,
}

impl Broker {
    /// A broker at `url`: https, or http on a loopback address.
    pub(super) fn at(url: &str, ca_file: Option<&Path>) -> anyhow::Result<Self> {
        let url = crate::config::web_url(url).map_err(|(what, help)| anyhow!("--broker: {what} ({help})"))?;
        Ok(Self { client: client(&url, ca_file)?, url })
    }

    /// RFC 8693 §2.1.
    pub(super) async fn exchange(&self, subject: &SecretText, wanted: &Wanted<'_>) -> anyhow::Result<Value> {
        let mut form = vec![
            ("grant_type", "urn:ietf:params:oauth:grant-type:token-exchange".to_owned()),
            ("subject_token_type", "urn:ietf:params:oauth:token-type:jwt".to_owned()),
            ("audience", wanted.grant.to_owned()),
            ("subject_token", subject.expose().to_owned()),
        ];
        form.extend(wanted.scope.map(|scope| ("scope", scope.to_owned())));
        form.extend(wanted.expires_in.map(|span| ("expires_in", span.as_secs().to_string())));
        let mut url = self.url.clone();
        url.set_path(&format!("{}/oauth2/token", self.url.path().trim_end_matches('/')));
        let response = self.client.post(url).form(&form).send().await;
        let response = response.map_err(|error| away(&self.url, &error))?;
        let status = response.status();
        let body = read_body(response).await?;
        if status.is_success() {
            return serde_json::from_slice(&body).context("the broker's answer is no JSON");
        }
        Err(refusal(status.as_u16(), &body))
    }
}

/// A client that follows no redirect, takes its proxy from nobody on loopback, and gives up in time.
pub(super) fn client(url: &Url, ca_file: Option<&Path>) -> anyhow::Result<reqwest::Client> {
    // Nothing happens when the program chose one already, which is the same one.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let plain = url.scheme() == "http";
    let mut builder =
        reqwest::Client::builder().redirect(Policy::none()).timeout(DEADLINE).https_only(!plain);
    if plain {
        builder = builder.no_proxy();
    }
    if let Some(path) = ca_file {
        let pem =
            std::fs::read(path).with_context(|| format!("--ca-file: `{}` cannot be read", path.display()))?;
        let authorities = reqwest::Certificate::from_pem_bundle(&pem)
            .ok()
            .filter(|list| !list.is_empty())
            .with_context(|| format!("--ca-file: `{}` holds no PEM certificate", path.display()))?;
        builder = builder.tls_certs_only(authorities);
    }
    builder.build().context("no HTTP client can be made")
}

/// The body, up to a cap.
pub(super) async fn read_body(mut response: reqwest::Response) -> anyhow::Result<Vec<u8>> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(reqwest::Error::without_url)? {
        if body.len() + chunk.len() > LONGEST_ANSWER {
            bail!("the answer is longer than {LONGEST_ANSWER} bytes");
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
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

fn refusal(status: u16, body: &[u8]) -> anyhow::Error {
    let Ok(error) = serde_json::from_slice::<OauthError>(body) else {
        return anyhow!("the broker answered HTTP {status} without an OAuth error: is this its address?");
    };
    let mut text = format!("refused: {}", plain(&error.error));
    if !error.error_description.is_empty() {
        text.push_str(": ");
        text.push_str(&plain(&error.error_description));
    }
    if !error.request_id.is_empty() {
        let _ = write!(text, " (request {})", plain(&error.request_id));
    }
    if let Some(hint) = hint(&error.error) {
        text.push_str("\n  hint: ");
        text.push_str(hint);
    }
    anyhow!(text)
}

/// What to do about it.
fn hint(code: &str) -> Option<&'static str> {
    match code {
        "invalid_request" => Some(
            "is the subject token fresh, of an issuer that the broker trusts, and made for its audience?",
        ),
        "invalid_target" => {
            Some("no such grant, or policy does not permit it: the operator finds why by the request's id")
        }
        "invalid_scope" => Some("ask only for scopes of the grant, or leave --scope out"),
        "temporarily_unavailable" => Some("the broker cannot issue now: try again in a few seconds"),
        "slow_down" => Some("too many requests: wait before the next one"),
        _ => None,
    }
}

/// A peer's words cannot drive the terminal.
fn plain(text: &str) -> String {
    super::terminal::cut(text, 300)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_never_goes_over_plain_http_to_another_machine() {
        let refusal = Broker::at("http://broker.example.com", None).unwrap_err().to_string();
        assert!(refusal.contains("plain http"), "{refusal}");
    }

    #[test]
    fn a_refusal_names_the_code_the_request_and_what_to_do() {
        let body = br#"{"error":"invalid_target","error_description":"the grant is not available","request_id":"r-1"}"#;
        insta::assert_snapshot!(refusal(400, body).to_string(), @r"
        refused: invalid_target: the grant is not available (request r-1)
          hint: no such grant, or policy does not permit it: the operator finds why by the request's id
        ");
    }

    #[test]
    fn an_answer_that_is_no_oauth_error_is_not_shown() {
        let shown = refusal(502, b"<html>\x1b[2J</html>").to_string();
        assert_eq!(shown, "the broker answered HTTP 502 without an OAuth error: is this its address?");
        let shown = refusal(400, br#"{"error":"\u001b[2J"}"#).to_string();
        assert!(!shown.contains('\u{1b}'));
    }

    /// Answers every request with `status` and the body that it got, as JSON.
    async fn echo(status: u16) -> String {
        use axum::Json;
        use axum::http::StatusCode;
        let answer = move |body: String| async move {
            let code = StatusCode::from_u16(status).unwrap();
            (
                code,
                [("location", "http://127.0.0.1:1/")],
                Json(serde_json::json!({ "error": "x", "form": body })),
            )
        };
        let router = axum::Router::new().route("/oauth2/token", axum::routing::post(answer));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let app = router.into_make_service();
        tokio::spawn(
            async move { axum_server::from_tcp(listener.into_std().unwrap()).unwrap().serve(app).await },
        );
        url
    }

    fn wanted() -> Wanted<'static> {
        Wanted { grant: "ledger-api", scope: Some("a b"), expires_in: Some(Duration::from_mins(5)) }
    }

    #[tokio::test]
    async fn the_exchange_is_a_form_of_rfc_8693() {
        let broker = Broker::at(&echo(200).await, None).unwrap();
        let answer = broker.exchange(&SecretText::new("a.b.c".into()), &wanted()).await.unwrap();
        insta::assert_snapshot!(answer["form"].as_str().unwrap().replace('&', "\n"));
    }

    #[tokio::test]
    async fn a_redirect_takes_the_token_nowhere() {
        let broker = Broker::at(&echo(307).await, None).unwrap();
        let refusal =
            broker.exchange(&SecretText::new("a.b.c".into()), &wanted()).await.unwrap_err().to_string();
        assert_eq!(refusal, "refused: x");
    }

    #[tokio::test]
    async fn a_broker_that_is_away_is_named_and_the_token_is_not() {
        let broker = Broker::at("http://127.0.0.1:1", None).unwrap();
        let refusal =
            format!("{:#}", broker.exchange(&SecretText::new("a.b.c".into()), &wanted()).await.unwrap_err());
        assert!(refusal.starts_with("the broker at `http://127.0.0.1:1/` cannot be reached"), "{refusal}");
        assert!(!refusal.contains("a.b.c"));
    }
}
