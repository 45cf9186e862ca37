//! The way to STS and back, through `moto`: it checks signatures and little else, so nothing here is about what the
//! credentials may do.

use crate::harness::aws::{Aws, Read};
use crate::harness::{OidcProvider, Setup, log};

#[tokio::test]
async fn sts_credentials_reach_the_workload_and_the_record() {
    let (issuer, aws) = (OidcProvider::start(), Aws::moto());
    let broker = Setup::new()
        .issuer("idp", issuer.url(), "")
        .aws_grant("orders-read", aws.role_arn(), "orders", "10m")
        .sts(aws.endpoint(), aws.broker_env())
        .start();

    let answer = broker.exchange("orders-read", &issuer.token("es256").await).await.granted();
    assert_eq!(answer.text("/token_type"), "N_A");
    assert_eq!(answer.text("/issued_token_type"), "urn:tidegate:params:oauth:token-type:aws-credentials");
    assert_eq!(answer.text("/access_token"), answer.text("/aws/SessionToken"));
    assert!(answer.text("/aws/AccessKeyId").starts_with("ASIA"));
    assert!(
        (1..=600).contains(&answer.body["expires_in"].as_u64().unwrap()),
        "{}",
        answer.body["expires_in"]
    );
    assert_eq!(aws.read(&answer.body["aws"], ["orders"]), [Read::Got("hello".to_owned())]);

    let entries = log::entries(&broker).await;
    let kinds: Vec<_> = entries.iter().filter_map(|entry| entry.json["type"].as_str()).collect();
    let place = |kind| {
        kinds.iter().position(|found| *found == kind).unwrap_or_else(|| panic!("no {kind} in {kinds:?}"))
    };
    assert!(
        place("aws.assume_role.requested") < place("credential.issued"),
        "the intent comes first: {kinds:?}"
    );
    let record = entries[place("credential.issued")].json.to_string();
    assert!(record.contains(answer.text("/aws/AccessKeyId")), "CloudTrail joins by the access key id");
    assert!(!record.contains(answer.text("/aws/SecretAccessKey")));
}
