//! The ender against a stand-in IAM, through the real SDK.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};

use super::fixtures::{aws_grant, grant, start};
use super::*;
use crate::grants::{AwsGrant, Grant, GrantKind, JwtGrant, RoleArn};
use crate::ids::{Audience, ElevationId};

const ROLE: &str = "arn:aws:iam::123456789012:role/orders-read";

#[derive(Clone, Copy, Debug)]
enum Says {
    Fine,
    Code(u16, &'static str),
    Text(u16, &'static str),
    Role(&'static str),
    Silence,
}

type Form = BTreeMap<String, String>;

#[derive(Debug, Default)]
struct Script {
    says: VecDeque<Says>,
    calls: Vec<Form>,
}

struct FakeIam {
    script: Arc<Mutex<Script>>,
    endpoint: String,
    server: tokio::task::JoinHandle<()>,
}

impl Drop for FakeIam {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl FakeIam {
    async fn start(says: &[Says]) -> Self {
        let script = Arc::new(Mutex::new(Script { says: says.iter().copied().collect(), calls: Vec::new() }));
        let app = Router::new().fallback(answer).with_state(Arc::clone(&script));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        Self {
            script,
            endpoint,
            server: tokio::spawn(async move { axum::serve(listener, app).await.unwrap() }),
        }
    }

    fn ender(&self) -> SessionEnder {
        self.ender_within(Duration::from_secs(20))
    }

    fn ender_within(&self, limit: Duration) -> SessionEnder {
        let settings = EndSettings {
            region: Some("eu-central-1".into()),
            iam_endpoint: Some(self.endpoint.clone()),
            deadline: limit,
            attempt_timeout: limit,
            ..EndSettings::default()
        };
        let credentials = aws_credential_types::Credentials::new("AKIATEST", "hunter2", None, None, "test");
        SessionEnder::with_credentials(settings, credentials).unwrap()
    }

    /// `Action RoleName PolicyName` of every call.
    fn calls(&self) -> Vec<String> {
        let field = |call: &Form, name| call.get(name).cloned().unwrap_or_default();
        let words =
            |call: &Form| ["Action", "RoleName", "PolicyName"].map(|name| field(call, name)).join(" ");
        self.script.lock().unwrap().calls.iter().map(words).collect()
    }
}

async fn answer(State(script): State<Arc<Mutex<Script>>>, body: String) -> Response {
    let form: Form = url::form_urlencoded::parse(body.as_bytes()).into_owned().collect();
    let action = form["Action"].clone();
    let says = {
        let mut script = script.lock().unwrap();
        script.calls.push(form);
        script.says.pop_front().unwrap_or(Says::Fine)
    };
    let (status, body) = match says {
        Says::Fine if action == "GetRole" => (200, role(ROLE)),
        Says::Role(arn) => (200, role(arn)),
        Says::Fine => {
            (200, format!("<{action}Response xmlns=\"{NAMESPACE}\"><ResponseMetadata/></{action}Response>"))
        }
        Says::Code(status, code) => (
            status,
            format!(
                "<ErrorResponse xmlns=\"{NAMESPACE}\"><Error><Type>Sender</Type><Code>{code}</Code>\
                 <Message>no, {ROLE}</Message></Error><RequestId>r</RequestId></ErrorResponse>"
            ),
        ),
        Says::Text(status, text) => (status, text.to_owned()),
        Says::Silence => std::future::pending().await,
    };
    (StatusCode::from_u16(status).unwrap(), [("content-type", "text/xml")], body).into_response()
}

const NAMESPACE: &str = "https://iam.amazonaws.com/doc/2010-05-08/";

fn role(arn: &str) -> String {
    format!(
        "<GetRoleResponse xmlns=\"{NAMESPACE}\"><GetRoleResult><Role><Path>/</Path><RoleName>orders-read</RoleName>\
         <RoleId>AROATEST</RoleId><Arn>{arn}</Arn><CreateDate>2026-01-01T00:00:00Z</CreateDate></Role>\
         </GetRoleResult></GetRoleResponse>"
    )
}

fn elevation(number: u8) -> ElevationId {
    format!("elv-01900000-0000-7000-8000-0000000000{number:02x}").parse().unwrap()
}

fn order(grant: &Grant, number: u8) -> EndOrder<'_> {
    EndOrder {
        grant,
        elevation: elevation(number),
        since: start().plus(Duration::from_millis(700)),
        until: start().plus(Duration::from_hours(1)),
    }
}

mod refusals {
    use super::*;

    #[tokio::test]
    async fn a_grant_without_a_role_makes_no_call() {
        let iam = FakeIam::start(&[]).await;
        let mut jwt = (*grant(aws_grant(), true)).clone();
        jwt.kind = GrantKind::Jwt(JwtGrant {
            audience: Audience::new("https://ledger.internal").unwrap(),
            scopes: std::collections::BTreeSet::new(),
        });
        for outcome in [iam.ender().deny(&order(&jwt, 1)).await, iam.ender().lift(&order(&jwt, 1)).await] {
            assert_eq!(outcome, Err(EndError::NotAws));
        }
        assert_eq!(iam.calls(), [""; 0]);
    }

    #[tokio::test]
    async fn a_role_of_that_name_in_another_account_or_under_another_path_is_left_alone() {
        for found in
            ["arn:aws:iam::999999999999:role/orders-read", "arn:aws:iam::123456789012:role/x/orders-read"]
        {
            let iam = FakeIam::start(&[Says::Role(found)]).await;
            let outcome = iam.ender().deny(&order(&grant(aws_grant(), true), 1)).await;
            assert_eq!(outcome, Err(EndError::OtherRole { found: found.to_owned() }));
            assert_eq!(iam.calls(), ["GetRole orders-read "]);
        }
    }

    #[tokio::test]
    async fn what_iam_refuses_is_said_with_its_code() {
        let grant = grant(aws_grant(), true);
        for code in
            ["AccessDenied", "NoSuchEntity", "LimitExceeded", "UnmodifiableEntity", "MalformedPolicyDocument"]
        {
            let iam = FakeIam::start(&[Says::Fine, Says::Code(400, code)]).await;
            let refused = iam.ender().deny(&order(&grant, 1)).await.unwrap_err();
            assert!(matches!(&refused, EndError::Refused { code: told, .. } if told == code), "{refused}");
        }
        let iam = FakeIam::start(&[Says::Code(403, "AccessDenied")]).await;
        assert!(matches!(iam.ender().lift(&order(&grant, 1)).await, Err(EndError::Refused { .. })));
    }

    #[tokio::test]
    async fn what_passes_by_itself_is_an_outage() {
        let grant = grant(aws_grant(), true);
        for says in [
            Says::Code(409, "ConcurrentModification"),
            Says::Code(400, "Throttling"),
            Says::Code(500, "ServiceFailure"),
            Says::Text(200, "<GetRoleResponse><GetRo"),
            Says::Text(502, "<html>oops</html>"),
            Says::Text(403, "<html>proxy</html>"),
        ] {
            let iam = FakeIam::start(&[says; 4]).await;
            let outcome = iam.ender().deny(&order(&grant, 1)).await;
            assert!(matches!(outcome, Err(EndError::Unavailable(_))), "{says:?}: {outcome:?}");
            assert!((1..=2).contains(&iam.calls().len()), "{says:?}: tried twice at most");
        }
    }

    #[tokio::test]
    async fn silence_ends_at_the_deadline() {
        let iam = FakeIam::start(&[Says::Silence, Says::Silence]).await;
        let outcome =
            iam.ender_within(Duration::from_millis(50)).deny(&order(&grant(aws_grant(), true), 1)).await;
        assert!(matches!(outcome, Err(EndError::Unavailable(_))), "{outcome:?}");
    }

    #[tokio::test]
    async fn no_error_and_no_debug_shows_the_secret_key() {
        let grant = grant(aws_grant(), true);
        for says in [Says::Code(403, "SignatureDoesNotMatch"), Says::Text(200, "hello"), Says::Silence] {
            let iam = FakeIam::start(&[says; 2]).await;
            let ender = iam.ender_within(Duration::from_millis(500));
            let error = ender.deny(&order(&grant, 1)).await.unwrap_err();
            assert!(!format!("{error} {error:?} {ender:?}").contains("hunter2"));
        }
    }
}

#[tokio::test]
async fn the_deny_names_one_elevation_and_every_session_it_can_have() {
    let iam = FakeIam::start(&[]).await;
    iam.ender().deny(&order(&grant(aws_grant(), true), 1)).await.unwrap();
    assert_eq!(
        iam.calls(),
        [
            "GetRole orders-read ",
            "PutRolePolicy orders-read tidegate-end-01900000-0000-7000-8000-000000000001"
        ]
    );
    let document = iam.script.lock().unwrap().calls[1]["PolicyDocument"].clone();
    insta::assert_snapshot!(document, @r#"{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Action":"*","Resource":"*","Condition":{"DateLessThan":{"aws:TokenIssueTime":"2026-11-22T16:08:12Z"},"StringEquals":{"aws:SourceIdentity":"elv-01900000-0000-7000-8000-000000000001"}}}]}"#);
}

#[tokio::test]
async fn two_elevations_of_one_role_never_write_the_same_document() {
    let iam = FakeIam::start(&[]).await;
    let (ender, grant) = (iam.ender(), grant(aws_grant(), true));
    let (one, two) = (order(&grant, 1), order(&grant, 2));
    let (first, second) = tokio::join!(ender.deny(&one), ender.deny(&two));
    first.unwrap();
    second.unwrap();
    ender.lift(&order(&grant, 1)).await.unwrap();
    let touched = |action: &str, number| {
        iam.calls().contains(&format!(
            "{action} orders-read tidegate-end-01900000-0000-7000-8000-00000000000{number}"
        ))
    };
    assert!(touched("PutRolePolicy", 1) && touched("PutRolePolicy", 2));
    assert!(touched("DeleteRolePolicy", 1) && !touched("DeleteRolePolicy", 2));
}

#[tokio::test]
async fn asked_again_the_document_is_the_same() {
    let iam = FakeIam::start(&[]).await;
    let (ender, grant) = (iam.ender(), grant(aws_grant(), true));
    for _ in 0..2 {
        ender.deny(&order(&grant, 1)).await.unwrap();
    }
    let calls = iam.script.lock().unwrap().calls.clone();
    assert_eq!(calls[1], calls[3]);
}

#[tokio::test]
async fn lifting_what_is_gone_is_no_error() {
    let iam = FakeIam::start(&[Says::Code(404, "NoSuchEntity")]).await;
    iam.ender().lift(&order(&grant(aws_grant(), true), 1)).await.unwrap();
    assert_eq!(iam.calls().len(), 1);
}

#[tokio::test]
async fn a_role_under_a_path_is_called_by_its_name() {
    const PATHED: &str = "arn:aws:iam::123456789012:role/teams/a/orders-read";
    let iam = FakeIam::start(&[Says::Role(PATHED)]).await;
    let grant = grant(AwsGrant { role_arn: RoleArn::new(PATHED).unwrap(), ..aws_grant() }, true);
    iam.ender().deny(&order(&grant, 1)).await.unwrap();
    assert!(iam.calls()[1].starts_with("PutRolePolicy orders-read "));
}
