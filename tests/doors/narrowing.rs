//! `Policy` of `AssumeRoleWithWebIdentity`: a caller may have less than the grant gives, and never more.

use serde_json::{Value, json};

use crate::world::World;

fn policy(resource: &str) -> String {
    let statement = json!({ "Effect": "Allow", "Action": "s3:*", "Resource": resource });
    json!({ "Version": "2012-10-17", "Statement": statement }).to_string()
}

#[tokio::test]
async fn a_policy_that_cannot_be_applied_is_refused_in_the_words_of_aws_and_the_token_is_not_spent() {
    let world = World::start().await;
    let token = world.token("billing");
    let long: Vec<_> = (0..27).map(|n| format!("arn:aws:s3:::orders/billing/{n:035}")).collect();
    let long = policy("*").replace("\"*\"", &json!(long).to_string());
    for (text, code, reason, words) in [
        ("{}".to_owned(), "MalformedPolicyDocument", "narrowing_malformed", "`Version`"),
        (policy("orders"), "MalformedPolicyDocument", "narrowing_malformed", "`orders`"),
        (long, "PackedPolicyTooLarge", "narrowing_too_large", "characters"),
        (policy("arn:aws:s3:::ledger/*"), "ValidationError", "narrowing_inexpressible", "nothing in common"),
        (
            policy("arn:aws:s3:::orders/${aws:username}/*"),
            "ValidationError",
            "narrowing_inexpressible",
            "`arn:aws:s3:::orders/${aws:username}/*`",
        ),
    ] {
        let told = world.assume(&token, &[("Policy", &text)]).await.refused(400, code);
        assert!(told.contains(words) && !told.contains("billing/*"), "{told}");
        assert_eq!(world.entries_of("credential.refused").await.pop().unwrap()["reason"], reason);
    }
    assert!(world.sts.calls().is_empty());
    world.assume(&token, &[]).await.issued();
}

#[tokio::test]
async fn who_may_not_have_the_grant_learns_nothing_by_bringing_a_policy() {
    let world = World::start().await;
    let told = world.assume(&world.token("web"), &[("Policy", "{}")]).await.refused(403, "AccessDenied");
    assert_eq!(told, world.assume(&world.token("web"), &[]).await.refused(403, "AccessDenied"));
}

#[tokio::test]
async fn sts_is_sent_what_both_allow_and_the_record_names_the_text() {
    let world = World::start().await;
    let text = policy("arn:aws:s3:::orders/billing/2026/*");
    world.assume(&world.token("billing"), &[("Policy", &text)]).await.issued();
    let sent: Value = serde_json::from_str(&world.sts.calls()[0]["Policy"]).unwrap();
    let allow = json!({ "Effect": "Allow", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::orders/billing/2026/*" });
    assert_eq!(sent["Statement"][0], allow);
    assert!(sent["Statement"].as_array().unwrap()[1..].iter().all(|statement| statement["Effect"] == "Deny"));

    let entry = world.entries_of("credential.issued").await.pop().unwrap();
    let digest = ring::digest::digest(&ring::digest::SHA256, text.as_bytes());
    let digest = digest.as_ref().iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"));
    assert_eq!(entry["credential"]["narrowed_by"], digest);
}

#[tokio::test]
async fn a_narrowed_session_is_served_to_nobody_who_asked_for_another() {
    let world = World::start().await;
    let mut keys = std::collections::BTreeSet::new();
    let (one, other) = (policy("arn:aws:s3:::orders/billing/1"), policy("arn:aws:s3:::orders/billing/2"));
    for more in [vec![], vec![("Policy", one.as_str())], vec![("Policy", other.as_str())]] {
        let issued = world.assume(&world.token("billing"), &more).await.issued();
        keys.insert(issued.text("AccessKeyId").to_owned());
    }
    assert_eq!(keys.len(), 3, "{keys:?}");
    let again = world.assume(&world.token("billing"), &[("Policy", &other)]).await.issued();
    assert!(keys.contains(again.text("AccessKeyId")));
}
