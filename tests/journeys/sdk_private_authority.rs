//! A broker whose certificate is of the customer's own authority: what `docs/aws.md` says each SDK must be told, and what
//! boto3 cannot be told.

use std::fs;
use std::path::PathBuf;

use crate::harness::aws::Aws;
use crate::harness::sdk::{Door, Kind, Said, Sdk};
use crate::harness::{Broker, OidcProvider, Setup};

struct World {
    aws: Aws,
    broker: Broker,
    token: PathBuf,
    authority: String,
    _issuer: OidcProvider,
}

impl World {
    async fn new() -> Self {
        let (issuer, aws) = (OidcProvider::start(), Aws::moto());
        let broker = Setup::new()
            .tls()
            .issuer("idp", issuer.url(), "replay = \"reusable\"")
            .aws_grant("orders-read", aws.role_arn(), "orders", "10m")
            .sts(aws.endpoint(), aws.broker_env())
            .start();
        let token = broker.folder().join("workload.jwt");
        fs::write(&token, issuer.token("es256").await).unwrap();
        let authority = broker.folder().join("ca.crt").to_str().unwrap().to_owned();
        Self { aws, broker, token, authority, _issuer: issuer }
    }

    fn container(&self) -> Door {
        Door::container(self.broker.url(), "orders-read", &self.token)
    }

    fn sts(&self) -> Door {
        Door::sts(self.broker.url(), self.aws.role_arn(), &self.token)
    }

    fn read(&self, kind: Kind, door: Door, variable: &str) -> Said {
        Sdk::start(kind, self.aws.endpoint(), &door.and(variable, &self.authority)).read("orders")
    }
}

#[tokio::test]
async fn each_sdk_trusts_a_private_authority_as_documented() {
    let world = World::new().await;
    let hello = Said::Got("hello".to_owned());
    for (kind, door, variable) in [
        (Kind::Boto3, world.sts(), "AWS_CA_BUNDLE"),
        (Kind::Cli, world.sts(), "AWS_CA_BUNDLE"),
        (Kind::JavaScript, world.container(), "NODE_EXTRA_CA_CERTS"),
        (Kind::JavaScript, world.sts(), "NODE_EXTRA_CA_CERTS"),
        (Kind::Rust, world.container(), "SSL_CERT_FILE"),
        (Kind::Rust, world.sts(), "SSL_CERT_FILE"),
    ] {
        let name = door.name;
        assert_eq!(world.read(kind, door, variable), hello, "{kind:?} {name} {variable}");
    }

    // Without it nobody sends a token there.
    for (kind, door) in
        [(Kind::Boto3, world.sts()), (Kind::JavaScript, world.sts()), (Kind::Rust, world.container())]
    {
        let said = world.read(kind, door, "UNUSED");
        assert!(matches!(said, Said::Refused { .. }), "{kind:?}: {said:?}");
    }
    // The reason why the page sends Python to the agent. When this passes one day, the page can say so.
    let said = world.read(Kind::Boto3, world.container(), "AWS_CA_BUNDLE");
    assert!(
        matches!(&said, Said::Refused { message, .. } if message.contains("CERTIFICATE_VERIFY_FAILED")),
        "{said:?}"
    );
}
