//! The example that receivers copy from the documentation accepts what we sign and nothing else.

use std::path::Path;

use serde_json::json;
use tidegate::clock::Moment;
use tidegate::notify::signature;
use tidegate::secret::SecretText;

use crate::harness::tools;

const SECRET: &str = "0123456789abcdef0123456789abcdef";
const BODY: &str = r#"{"event":"elevation.requested","reason":"Größe ≠ 0"}"#;
const SENT: i64 = 1_795_363_392;

fn accepts(secret: &str, header: &str, body: &str, now: i64) -> bool {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/break-glass.md");
    let asked = json!({ "secret": secret, "header": header, "body": body, "now": now });
    let (good, verdict) = tools::ask(tools::python("verify_notification.py").arg(page), &asked.to_string());
    assert!(good, "the example failed");
    verdict.as_bool().unwrap()
}

#[test]
fn the_documented_example_tells_our_messages_from_others() {
    let header =
        signature(&SecretText::new(SECRET.to_owned()), Moment::from_unix_seconds(SENT), BODY.as_bytes());
    assert!(accepts(SECRET, &header, BODY, SENT + 300));

    let later = header.replace(&SENT.to_string(), &(SENT + 1).to_string());
    for (what, secret, header, body, now) in [
        ("another body", SECRET, header.as_str(), "{}", SENT),
        ("another secret", "another secret of the same length", &header, BODY, SENT),
        ("another moment", SECRET, &later, BODY, SENT),
        ("an old one", SECRET, &header, BODY, SENT + 301),
        ("no signature", SECRET, header.split_once(',').unwrap().0, BODY, SENT),
        ("no header", SECRET, "", BODY, SENT),
        ("nonsense", SECRET, "t=x,v1=é", BODY, SENT),
    ] {
        assert!(!accepts(secret, header, body, now), "{what}");
    }
}
