//! No token and no key is ever written to the broker's log, at its most talkative.

use crate::harness::{OidcProvider, Setup, http};

#[tokio::test]
async fn no_token_of_anybody_stands_in_the_log_of_the_process() {
    let provider = OidcProvider::start();
    let mut broker = Setup::new()
        .issuer("idp", provider.url(), "replay = \"single-use\"")
        .jwt_grant("ledger")
        .log_level("debug")
        .start();
    let token = provider.token("es256").await;
    let issued = broker.exchange("ledger", &token).await.granted();
    let client = http::client();
    let replayed = broker.try_exchange(&client, "ledger", &token, &[]).await.unwrap();
    assert_eq!(replayed.status, 400);
    let altered = token.replace('.', "x.");
    for more in [&[][..], &[("scope", "s3cr3t\"scope")]] {
        let refused = broker.try_exchange(&client, "ledger", &altered, more).await.unwrap();
        assert_eq!(refused.status, 400);
    }

    let output = broker.stop();
    assert_eq!(output.matches("exchange refused").count(), 2, "the log says that two tokens were refused");
    for secret in [&token, &altered, issued.text("/access_token")] {
        for part in secret.split('.').filter(|part| part.len() > 20) {
            assert!(!output.contains(part), "`{part:.12}…` stands in the log");
        }
    }
    assert!(!output.contains("s3cr3t"));
}
