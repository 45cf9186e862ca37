//! A stand-in STS on loopback, reached through the real SDK, and the orders that tests place.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};

use super::*;
use crate::clock::{ManualClock, Moment};
use crate::entropy::SystemEntropy;
use crate::grants::{
    Attributes, AwsGrant, BreakGlass, Grant, GrantKind, Lifetime, LifetimeCaps, PolicyTemplate, Position,
    Region, RoleArn, StsRoute, Template,
};
use crate::ids::{Audience, GrantName, RequestId};
use crate::keys::{KeyRing, SigningAlgorithm, SigningKey};
use crate::policy::Permit;
use crate::secret::Fingerprint;

/// What the stand-in answers next; after the last one it goes on with `Fine`.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Says {
    Fine,
    /// A session that ends so many seconds after it began.
    Short(i64),
    Code(u16, &'static str),
    Text(u16, &'static str),
    /// An error whose words are the token that was shown.
    Echo,
    Silence,
}

#[derive(Debug, Default)]
pub(crate) struct Script {
    says: VecDeque<Says>,
    pub(crate) calls: Vec<BTreeMap<String, String>>,
    /// Which of them were signed with an AWS identity.
    pub(crate) signed: Vec<bool>,
}

pub(crate) struct FakeSts {
    pub(crate) script: Arc<Mutex<Script>>,
    address: SocketAddr,
    server: tokio::task::JoinHandle<()>,
}

impl Drop for FakeSts {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl FakeSts {
    pub(crate) async fn start(says: &[Says]) -> Self {
        let script =
            Arc::new(Mutex::new(Script { says: says.iter().copied().collect(), ..Script::default() }));
        let app = Router::new().fallback(answer).with_state(Arc::clone(&script));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        Self { script, address, server }
    }

    pub(crate) fn calls(&self) -> usize {
        self.script.lock().unwrap().calls.len()
    }

    /// Where a grant of tests finds it.
    pub(crate) fn route(&self) -> StsRoute {
        let region = Region::new("eu-central-1").unwrap();
        StsRoute { region, endpoint: Some(format!("http://{}", self.address)) }
    }

    pub(crate) fn settings() -> Settings {
        Settings {
            deadline: Duration::from_secs(30),
            attempt_timeout: Duration::from_secs(20),
            first_backoff: Duration::from_millis(1),
            ..Settings::default()
        }
    }

    /// Grants that say nothing of an STS of their own find this one.
    fn clients(&self, identity: Identity, settings: Settings) -> StsClients {
        let entropy = Arc::new(SystemEntropy::new());
        let clients = StsClients::new([self.route()], identity, settings, entropy).unwrap();
        clients.also_for(&self.route(), aws_grant().sts)
    }

    pub(crate) fn issuer_with(&self, settings: Settings, clock: &Arc<ManualClock>) -> AwsIssuer {
        let clients = self.clients(broker(), settings);
        AwsIssuer::new(clients, Arc::clone(clock) as Arc<dyn Clock>)
    }

    pub(crate) fn issuer(&self, clock: &Arc<ManualClock>) -> AwsIssuer {
        self.issuer_with(Self::settings(), clock)
    }

    /// One that has no AWS identity and signs with the key of `ring`.
    pub(crate) fn keyless(&self, clock: &Arc<ManualClock>, ring: &Arc<KeyRing>) -> AwsIssuer {
        let signer = WebIdentity::new(
            ISSUER,
            Audience::new("sts.amazonaws.com").unwrap(),
            Arc::clone(ring),
            Arc::new(SystemEntropy::new()),
        );
        let clients = self.clients(Identity::web_identity(signer), Self::settings());
        AwsIssuer::new(clients, Arc::clone(clock) as Arc<dyn Clock>)
    }
}

/// `server.issuer`
pub(crate) const ISSUER: &str = "https://broker.example.com";

/// A ring with one new key.
pub(crate) fn ring(algorithm: SigningAlgorithm) -> Arc<KeyRing> {
    Arc::new(KeyRing::with_one_key(SigningKey::generate(algorithm).unwrap()))
}

/// The broker's own identity.
pub(crate) fn broker() -> Identity {
    Identity::fixed(aws_credential_types::Credentials::new("AKIATEST", "secret", None, None, "test"))
}

async fn answer(State(script): State<Arc<Mutex<Script>>>, headers: HeaderMap, body: String) -> Response {
    let form: BTreeMap<String, String> = url::form_urlencoded::parse(body.as_bytes()).into_owned().collect();
    let (says, number) = {
        let mut script = script.lock().unwrap();
        script.calls.push(form.clone());
        script.signed.push(headers.contains_key("authorization"));
        (script.says.pop_front().unwrap_or(Says::Fine), script.calls.len())
    };
    let action = &form["Action"];
    match says {
        Says::Fine => xml(StatusCode::OK, fine(action, number, seconds(&form))),
        Says::Short(seconds) => xml(StatusCode::OK, fine(action, number, seconds)),
        Says::Code(status, code) => {
            xml(StatusCode::from_u16(status).unwrap(), refusal(code, "no, arn:aws:iam::123456789012:role/x"))
        }
        Says::Echo => xml(
            StatusCode::BAD_REQUEST,
            refusal("ValidationError", &format!("Value &apos;{}&apos;", form["WebIdentityToken"])),
        ),
        Says::Text(status, text) => xml(StatusCode::from_u16(status).unwrap(), text.to_owned()),
        Says::Silence => std::future::pending().await,
    }
}

fn seconds(form: &BTreeMap<String, String>) -> i64 {
    form["DurationSeconds"].parse().unwrap()
}

fn xml(status: StatusCode, body: String) -> Response {
    (status, [("content-type", "text/xml")], body).into_response()
}

fn refusal(code: &str, message: &str) -> String {
    format!(
        "<ErrorResponse><Error><Type>Sender</Type><Code>{code}</Code><Message>{message}</Message></Error>\
         <RequestId>r</RequestId></ErrorResponse>"
    )
}

fn fine(action: &str, number: usize, seconds: i64) -> String {
    let expiration = start().plus(Duration::from_secs(u64::try_from(seconds).unwrap()));
    format!(
        "<{action}Response xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><{action}Result><Credentials>\
         <AccessKeyId>ASIA{number}</AccessKeyId><SecretAccessKey>secret-{number}</SecretAccessKey>\
         <SessionToken>token-{number}</SessionToken><Expiration>{expiration}</Expiration></Credentials>\
         <PackedPolicySize>7</PackedPolicySize></{action}Result><ResponseMetadata><RequestId>r</RequestId>\
         </ResponseMetadata></{action}Response>"
    )
}

/// When every test begins.
pub(crate) fn start() -> Moment {
    Moment::from_unix_seconds(1_795_363_392)
}

pub(crate) fn clock() -> Arc<ManualClock> {
    Arc::new(ManualClock::at(start()))
}

pub(crate) fn aws_grant() -> AwsGrant {
    let policy = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:GetObject","Resource":"arn:aws:s3:::orders/{principal.namespace}/*"}]}"#;
    let tag = Template::parse("{principal.namespace}", Position::TagValue).unwrap();
    AwsGrant::new(
        RoleArn::new("arn:aws:iam::123456789012:role/orders-read").unwrap(),
        Some(PolicyTemplate::parse(policy).unwrap()),
    )
    .with_tags(vec![("namespace".to_owned(), tag)], vec![])
    .unwrap()
}

pub(crate) fn grant(aws: AwsGrant, break_glass: bool) -> Arc<Grant> {
    let lifetime = |seconds| Lifetime::from_seconds(seconds).unwrap();
    Arc::new(Grant {
        name: GrantName::new("orders-read").unwrap(),
        version: Fingerprint::of(b"version 1"),
        kind: GrantKind::Aws(Arc::new(aws)),
        caps: LifetimeCaps { default: lifetime(600), max: lifetime(3600) },
        break_glass: break_glass.then_some(BreakGlass { max_duration: Duration::from_hours(1) }),
        labels: BTreeSet::new(),
        sets: BTreeSet::new(),
    })
}

pub(crate) fn permit(subject: &str, seconds: i64) -> Permit {
    permit_for(&grant(aws_grant(), false), subject, seconds)
}

pub(crate) fn permit_for(grant: &Arc<Grant>, subject: &str, seconds: i64) -> Permit {
    Permit::for_test("prod", subject, grant, Lifetime::from_seconds(seconds).unwrap(), &[])
}

/// Of the break-glass grant, under the elevation whose id ends so, until then.
pub(crate) fn permit_under(elevation: char, ends_at: Moment) -> Permit {
    let id = format!("elv-01a203ff-4cee-7102-8304-05060708090{elevation}");
    permit_for(&grant(aws_grant(), true), "ann@vendor.example", 600).under_elevation(&id, ends_at)
}

/// A caller whose namespace is this.
pub(crate) struct Namespace(pub(crate) &'static str);

impl Attributes for Namespace {
    fn attribute(&self, path: &str) -> Option<String> {
        (path == "principal.namespace").then(|| self.0.to_owned())
    }
}

pub(crate) fn order(permit: &Permit, at: Moment) -> AwsOrder<'_> {
    let request_id = RequestId::new(at, &SystemEntropy::new()).unwrap();
    let (attributes, footing) = (&Namespace("billing"), Footing::Own);
    AwsOrder { request_id, permit, attributes, narrowing: None, at, exact_end: None, footing }
}

/// Made, with its intent on record. No entry of the issue is made: it stands for nobody.
pub(crate) async fn recorded(issuer: &AwsIssuer, order: AwsOrder<'_>) -> Result<Credential, IssueError> {
    Ok(ordered(issuer, order).await?.credential)
}

pub(crate) async fn ordered(issuer: &AwsIssuer, order: AwsOrder<'_>) -> Result<Made, IssueError> {
    issuer.issue(order, |_| async { Ok::<(), String>(()) }).await
}

/// Which of the stand-in's sessions it is.
pub(crate) fn access_key(credential: &Credential) -> String {
    match credential.facts() {
        CredentialFacts::Aws { access_key_id, .. } => access_key_id.clone(),
        CredentialFacts::Jwt { .. } => panic!("not AWS"),
    }
}

pub(crate) fn is_cached(credential: &Credential) -> bool {
    matches!(credential.facts(), CredentialFacts::Aws { cached: true, .. })
}
