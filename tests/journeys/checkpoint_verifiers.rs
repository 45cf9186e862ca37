//! Promise 5: programs that know nothing of us check the signature on our checkpoint.

use std::fs;
use std::process::Command;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD as BASE64;
use signed_note::{Note, StandardVerifier, VerifierList};

use crate::harness::{Broker, OidcProvider, Setup, StoreKind, on_both_stores};

on_both_stores! {
    signed_note_accepts_the_checkpoint_and_refuses_an_altered_one,
    openssl_accepts_the_checkpoint_and_refuses_an_altered_one,
}

async fn checkpoint_and_key(store: StoreKind) -> (Broker, String, String) {
    let issuer = OidcProvider::start();
    let broker = Setup::new().store(store).issuer("idp", issuer.url(), "").jwt_grant("ledger").start();
    broker.exchange("ledger", &issuer.token("es256").await).await.granted();
    let [checkpoint, key] = [broker.get("/log/checkpoint").await, broker.get("/log/key").await]
        .map(|answer| answer.granted().body.as_str().unwrap().to_owned());
    (broker, checkpoint, key.trim().to_owned())
}

async fn signed_note_accepts_the_checkpoint_and_refuses_an_altered_one(store: StoreKind) {
    let (_broker, checkpoint, key) = checkpoint_and_key(store).await;
    let verify = |note: &str| {
        let known = VerifierList::new(vec![Box::new(StandardVerifier::new(&key).unwrap())]);
        Note::from_bytes(note.as_bytes()).unwrap().verify(&known).is_ok()
    };

    let size = checkpoint.lines().nth(1).unwrap();
    let altered = checkpoint.replacen(&format!("\n{size}\n"), &format!("\n{size}0\n"), 1);
    assert_ne!(altered, checkpoint);
    assert!(!verify(&altered));
    assert!(verify(&checkpoint));
}

async fn openssl_accepts_the_checkpoint_and_refuses_an_altered_one(store: StoreKind) {
    let (broker, checkpoint, key) = checkpoint_and_key(store).await;
    // RFC 8410's prefix makes a DER key of the 32 bytes that follow the algorithm byte.
    let raw = BASE64.decode(key.splitn(3, '+').nth(2).unwrap()).unwrap();
    let prefix = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];
    let (text, signatures) = checkpoint.rsplit_once("\n\n").unwrap();
    let signature = BASE64.decode(signatures.trim_end().rsplit_once(' ').unwrap().1).unwrap();

    let file = |name: &str, content: &[u8]| {
        let path = broker.folder().join(name);
        fs::write(&path, content).unwrap();
        path
    };
    let key = file("key.der", &[&prefix, raw.strip_prefix(&[1]).unwrap()].concat());
    let signature = file("signature", &signature[4..]);
    let verify = |text: &str| {
        let mut openssl = Command::new("openssl");
        openssl.args(["pkeyutl", "-verify", "-rawin", "-pubin", "-keyform", "DER", "-inkey"]).arg(&key);
        openssl.arg("-sigfile").arg(&signature).arg("-in").arg(file("text", text.as_bytes()));
        openssl.output().unwrap().status.success()
    };
    assert!(!verify(&format!("{text}\n\n")));
    assert!(verify(&format!("{text}\n")));
}
