//! An unmodified `aws-config` with its default credential chain. Its environment alone says where credentials come from.
//!
//! ```text
//! sdk_rust  < commands
//! ```
//!
//! Answers each line of standard input with one JSON line, and ends with it:
//!
//! ```text
//! read BUCKET   gets `hello.txt`            {"ok": true, "body"}
//! whoami        asks STS who it is          {"ok": true, "arn"}
//! keys          what the chain has found    {"ok": true, "AccessKeyId", "SecretAccessKey", "SessionToken"}
//! ```
//!
//! Whatever fails is {"ok": false, "code", "message"}: the message is the error with its causes, as programs print it.
//!
//! The chain and the STS client are the SDK's. `aws-sdk-s3` is not here: it would add two dozen crates and a minute to
//! every build, for one `GET`. The object is read with a request that `aws-sigv4` signs, the crate that all of the SDK's
//! clients sign with. It asks the chain before each request, which is harder on the broker than the SDK's own cache.

#![allow(clippy::indexing_slicing, reason = "a test program: `Value` answers an index with a member")]
#![expect(clippy::print_stdout, reason = "its answers are on standard output")]
#![expect(
    clippy::disallowed_methods,
    reason = "a program beside the broker: it has its own clock and environment"
)]

use std::error::Error;
use std::io::BufRead as _;
use std::time::SystemTime;

use aws_config::{BehaviorVersion, SdkConfig};
use aws_credential_types::provider::ProvideCredentials as _;
use aws_credential_types::{Credentials, provider::SharedCredentialsProvider};
use aws_sdk_sts::error::ProvideErrorMetadata as _;
use aws_sigv4::http_request::{
    PayloadChecksumKind, PercentEncodingMode, SignableBody, SignableRequest, SigningSettings,
    UriPathNormalizationMode, sign,
};
use aws_sigv4::sign::v4;
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};
use serde_json::{Value, json};

/// A code and the words for it.
struct Failed(String, String);

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    // For the one request that the SDK does not make itself.
    let _ = rustls::crypto::ring::default_provider().install_default();
    // What the SDK itself would build, with the one crypto provider of this build.
    let http =
        aws_smithy_http_client::Builder::new().tls_provider(Provider::Rustls(CryptoMode::Ring)).build_https();
    let config = aws_config::defaults(BehaviorVersion::latest()).http_client(http).load().await;
    for line in std::io::stdin().lock().lines() {
        println!("{}", answer(&config, &line?).await);
    }
    Ok(())
}

async fn answer(config: &SdkConfig, line: &str) -> Value {
    let done = match line.split_once(' ').unwrap_or((line, "")) {
        ("read", bucket) => read(config, bucket).await,
        ("whoami", _) => whoami(config).await,
        ("keys", _) => credentials(config).await.map(|found| {
            json!({
                "ok": true,
                "AccessKeyId": found.access_key_id(),
                "SecretAccessKey": found.secret_access_key(),
                "SessionToken": found.session_token(),
            })
        }),
        _ => Err(Failed("UnknownCommand".to_owned(), line.to_owned())),
    };
    match done {
        Ok(found) => found,
        Err(Failed(code, message)) => json!({ "ok": false, "code": code, "message": message }),
    }
}

async fn credentials(config: &SdkConfig) -> Result<Credentials, Failed> {
    let chain: SharedCredentialsProvider =
        config.credentials_provider().ok_or_else(|| Failed("NoChain".to_owned(), String::new()))?;
    chain.provide_credentials().await.map_err(|error| Failed("CredentialsError".to_owned(), causes(&error)))
}

async fn whoami(config: &SdkConfig) -> Result<Value, Failed> {
    let asked = aws_sdk_sts::Client::new(config).get_caller_identity().send().await;
    let found =
        asked.map_err(|error| Failed(error.code().unwrap_or("SdkError").to_owned(), causes(&error)))?;
    Ok(json!({ "ok": true, "arn": found.arn() }))
}

async fn read(config: &SdkConfig, bucket: &str) -> Result<Value, Failed> {
    let found = credentials(config).await?;
    let ours = |error: &(dyn Error + 'static)| Failed("Unreadable".to_owned(), error.to_string());
    let endpoint = std::env::var("AWS_ENDPOINT_URL_S3").map_err(|error| ours(&error))?;
    let url = format!("{endpoint}/{bucket}/hello.txt");
    let region = config.region().map(ToString::to_string).unwrap_or_default();
    let mut request = reqwest::Client::builder().no_proxy().build().map_err(|error| ours(&error))?.get(&url);
    for (name, value) in signature(found, &region, &url).map_err(|error| ours(error.as_ref()))? {
        request = request.header(name, value);
    }
    let response = request.send().await.map_err(|error| ours(&error))?;
    let good = response.status().is_success();
    let body = response.text().await.map_err(|error| ours(&error))?;
    if good {
        Ok(json!({ "ok": true, "body": body }))
    } else {
        Err(Failed(element("Code", &body), element("Message", &body)))
    }
}

/// The headers that sign `GET url`.
fn signature(found: Credentials, region: &str, url: &str) -> Result<Vec<(String, String)>, Box<dyn Error>> {
    let mut settings = SigningSettings::default();
    // As S3 wants it.
    settings.percent_encoding_mode = PercentEncodingMode::Single;
    settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
    settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
    let identity = found.into();
    let parameters = v4::SigningParams::builder()
        .identity(&identity)
        .region(region)
        .name("s3")
        .time(SystemTime::now())
        .settings(settings)
        .build()?
        .into();
    let request = SignableRequest::new("GET", url, std::iter::empty(), SignableBody::empty())?;
    let (signed, _) = sign(request, &parameters)?.into_parts();
    Ok(signed.headers().map(|(name, value)| (name.to_owned(), value.to_owned())).collect())
}

/// The text of the first such element of S3's error.
fn element(name: &str, xml: &str) -> String {
    let text = xml.split_once(&format!("<{name}>")).and_then(|(_, rest)| rest.split_once("</"));
    text.map_or_else(String::new, |(text, _)| text.to_owned())
}

fn causes(error: &(dyn Error + 'static)) -> String {
    let words: Vec<_> =
        std::iter::successors(Some(error), |cause| (*cause).source()).map(ToString::to_string).collect();
    words.join(": ")
}
