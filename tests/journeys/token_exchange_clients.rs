//! Unmodified RFC 8693 clients get along with the broker.

use std::fs;

use crate::harness::{OidcProvider, Setup, clients, http};

#[tokio::test]
async fn openid_client_sees_the_refusal_of_an_unknown_grant() {
    let issuer = OidcProvider::start();
    let broker = Setup::new().issuer("idp", issuer.url(), "").jwt_grant("ledger").start();
    let token = issuer.token("es256").await;

    let refused = clients::exchange_with_openid_client(broker.url(), "oidc", "payroll", &token).unwrap_err();
    assert_eq!(refused["error"], "invalid_target", "{refused}");
}

#[tokio::test]
async fn openid_client_discovers_the_broker_and_exchanges() {
    let issuer = OidcProvider::start();
    let broker = Setup::new().issuer("idp", issuer.url(), "").jwt_grant("ledger").start();
    for document in ["oidc", "oauth2"] {
        let token = issuer.token("rs256").await;
        let answer = clients::exchange_with_openid_client(broker.url(), document, "ledger", &token);
        let answer = answer.unwrap_or_else(|why| panic!("{document}: {why}"));
        assert_eq!(answer["token_endpoint"], format!("{}/oauth2/token", broker.url()));
        assert_eq!(answer["jwks_uri"], format!("{}/.well-known/jwks.json", broker.url()));
        let claims = http::claims(answer["response"]["access_token"].as_str().unwrap());
        assert_eq!(claims["aud"], "https://ledger.internal");
    }
}

#[tokio::test]
async fn google_auth_external_account_exchanges() {
    let issuer = OidcProvider::start();
    let broker = Setup::new().issuer("idp", issuer.url(), "").jwt_grant("ledger").start();
    let file = broker.folder().join("subject-token");
    // Token files often end with a newline, and google-auth sends it along.
    fs::write(&file, format!("{}\n", issuer.token("es256").await)).unwrap();

    let token_url = format!("{}/oauth2/token", broker.url());
    let answer = clients::exchange_with_google_auth(&token_url, "ledger", "ledger.read", &file);
    let answer = answer.unwrap_or_else(|why| panic!("{why}"));
    assert_eq!(http::claims(answer["token"].as_str().unwrap())["scope"], "ledger.read");
}
