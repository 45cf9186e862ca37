//! A STAND-IN for AWS STS on loopback: answers `AssumeRole` in STS's XML and remembers the session policy, so that
//! the story can show it. The keys that it hands out open nothing; it is not part of a production build.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::extract::State;
use axum::http::header;
use axum::response::IntoResponse;
use axum::routing::post;

use crate::clock::{Clock, Moment};

/// What the broker signs its calls to the stand-in with. The stand-in does not look.
pub(super) fn credentials() -> aws_credential_types::Credentials {
    aws_credential_types::Credentials::new(
        "AKIASTANDINSTANDIN00",
        "opens/nothing",
        None,
        None,
        "demo stand-in",
    )
}

/// The stand-in.
#[derive(Clone)]
pub(super) struct Sts {
    pub(super) url: String,
    seen: Arc<Seen>,
}

struct Seen {
    policy: Mutex<Option<String>>,
    clock: Arc<dyn Clock>,
}

impl Sts {
    /// Serves on a free loopback port.
    pub(super) async fn start(clock: Arc<dyn Clock>) -> anyhow::Result<Self> {
        let listener = tokio::net::TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await?;
        let url = format!("http://{}", listener.local_addr()?);
        let seen = Arc::new(Seen { policy: Mutex::new(None), clock });
        let router = Router::new().route("/", post(assume_role)).with_state(Arc::clone(&seen));
        tokio::spawn(async move { axum::serve(listener, router).await });
        Ok(Self { url, seen })
    }

    /// The session policy of the last call.
    pub(super) fn last_policy(&self) -> Option<String> {
        self.seen.policy.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

async fn assume_role(State(seen): State<Arc<Seen>>, body: String) -> impl IntoResponse {
    let field = |name: &str| {
        url::form_urlencoded::parse(body.as_bytes())
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.into_owned())
    };
    let session = field("RoleSessionName").unwrap_or_default();
    let role = field("RoleArn").unwrap_or_default();
    let seconds: u64 = field("DurationSeconds").and_then(|text| text.parse().ok()).unwrap_or(3600);
    *seen.policy.lock().unwrap_or_else(PoisonError::into_inner) = field("Policy");
    let end = seen.clock.now().floor_second().plus(std::time::Duration::from_secs(seconds));
    ([(header::CONTENT_TYPE, "text/xml")], answer(&session, &role, end))
}

fn answer(session: &str, role: &str, end: Moment) -> String {
    let assumed = role.replace(":iam:", ":sts:").replace(":role/", ":assumed-role/");
    format!(
        "<AssumeRoleResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><AssumeRoleResult>\
         <Credentials><AccessKeyId>ASIASTANDINSTANDIN00</AccessKeyId>\
         <SecretAccessKey>stand-in/secret/that/opens/nothing/00000</SecretAccessKey>\
         <SessionToken>stand-in-session-token</SessionToken><Expiration>{end}</Expiration></Credentials>\
         <AssumedRoleUser><Arn>{assumed}/{session}</Arn><AssumedRoleId>AROASTANDIN:{session}</AssumedRoleId>\
         </AssumedRoleUser><PackedPolicySize>12</PackedPolicySize></AssumeRoleResult>\
         <ResponseMetadata><RequestId>stand-in</RequestId></ResponseMetadata></AssumeRoleResponse>"
    )
}
