//! Promise 2 when nothing can be recorded: no credential, not ready, and well again without a restart.

use std::process::Command;

use crate::harness::{Broker, OidcProvider, Setup, StoreKind, log};

#[tokio::test]
async fn nothing_is_issued_while_the_disk_is_full_and_all_is_well_afterwards() {
    let issuer = OidcProvider::start();
    let mut broker =
        Setup::new().store(StoreKind::Sqlite).issuer("idp", issuer.url(), "").jwt_grant("ledger").start();
    let [before, during, after] =
        [issuer.token("es256").await, issuer.token("es256").await, issuer.token("es256").await];
    broker.exchange("ledger", &before).await.granted();
    let size = log::size(&broker).await;

    limit_files(&broker, "1");
    let refused = broker.exchange("ledger", &during).await;
    assert_eq!((refused.status, refused.text("/error")), (503, "temporarily_unavailable"), "{refused:?}");
    assert!(refused.body.get("access_token").is_none());
    broker.ops_becomes("/readyz", 503).await;
    assert_eq!(broker.ops("/healthz").await.status, 200, "the process itself is well");

    limit_files(&broker, "unlimited");
    broker.ops_becomes("/readyz", 200).await;
    // The failed commit took no claim: the workload may come back with the same token.
    broker.exchange("ledger", &during).await.granted();
    broker.exchange("ledger", &after).await.granted();
    assert!(log::size(&broker).await >= size + 2);
    broker.verify_log().await;
    let logs = broker.stop();
    assert!(!logs.contains("panicked"), "{logs}");
}

/// No file of the broker may grow beyond `bytes`: each write fails, as on a full disk, and no mount is needed for it.
fn limit_files(broker: &Broker, bytes: &str) {
    let mut command = Command::new("prlimit");
    let done =
        command.args(["--pid", &broker.pid().to_string(), &format!("--fsize={bytes}:unlimited")]).status();
    assert!(done.expect("`prlimit` is missing: run the tests with ./scripts/test").success());
}
