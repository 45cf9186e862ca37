//! Refusals first, then two independent readers of our notes: the crate `signed_note` and the `openssl` program.

use super::*;

fn signer() -> NoteSigner {
    NoteSigner::from_pkcs8("log.example/t", &NoteSigner::generate_pkcs8().unwrap()).unwrap()
}

fn key_of(signer: &NoteSigner) -> VerifierKey {
    signer.verifier_key().parse().unwrap()
}

fn checkpoint() -> Checkpoint {
    Checkpoint { origin: "log.example/t".into(), size: 70_000, root: [7; 32] }
}

#[test]
fn a_changed_note_is_refused() {
    let signer = signer();
    let (note, key) = (checkpoint().sign(&signer), key_of(&signer));
    assert_eq!(Checkpoint::open(&note, &key), Ok(checkpoint()));
    let bad: NoteError = NoteFault::BadSignature("log.example/t".into()).into();
    assert_eq!(Checkpoint::open(&note.replace("70000", "70001"), &key), Err(bad));
}

#[test]
fn unknown_signatures_are_ignored_but_a_failing_known_one_rejects() {
    let (ours, other) = (signer(), signer());
    let key = key_of(&ours);
    let note = checkpoint().sign(&ours);
    let foreign = checkpoint().sign(&other);
    let foreign_line = foreign.rsplit_once("\n\n").unwrap().1;
    assert_eq!(Checkpoint::open(&format!("{note}{foreign_line}"), &key), Ok(checkpoint()));
    assert_eq!(Checkpoint::open(&foreign, &key), Err(NoteFault::Unsigned("log.example/t".into()).into()));
    let twisted = Checkpoint { size: 1, ..checkpoint() }.sign(&ours);
    let twisted_line = twisted.rsplit_once("\n\n").unwrap().1;
    let both = Checkpoint::open(&format!("{note}{twisted_line}"), &key);
    assert_eq!(both, Err(NoteFault::BadSignature("log.example/t".into()).into()));
}

#[test]
fn malformed_notes_are_refused_whoever_signed_them() {
    let signer = signer();
    let key = key_of(&signer);
    let note = checkpoint().sign(&signer);
    for bad in [
        String::new(),
        note.replace("\n\n", "\n"),
        note.trim_end().to_owned(),
        note.replace('\u{2014}', "-"),
        note.replace('\n', "\r\n"),
        format!("{note}\n"),
        format!("{note}\u{2014} x\n"),
        format!("{note}\u{2014} a+b AAAAAAAA\n"),
        format!("{note}\u{2014} x AAAA\n"),
    ] {
        assert!(
            matches!(Checkpoint::open(&bad, &key), Err(NoteError::Note(NoteFault::Malformed(_)))),
            "{bad:?}"
        );
    }
    for text in
        ["log.example/t\n1\n", "log.example/t\n01\nAAAA\n", "log.example/t\n1\nAAAA\n", "x\n\n1\n", "\n"]
    {
        let mut blob = signer.key_id().to_vec();
        blob.extend_from_slice(&signer.sign(text.as_bytes()));
        let note = format!("{text}\n\u{2014} log.example/t {}\n", BASE64.encode(blob));
        assert!(
            matches!(Checkpoint::open(&note, &key), Err(NoteError::Note(NoteFault::Malformed(_)))),
            "{text:?}"
        );
    }
}

#[test]
fn a_valid_checkpoint_of_another_log_is_refused() {
    let signer = signer();
    let note = Checkpoint { origin: "other.example".into(), ..checkpoint() }.sign(&signer);
    let refusal = Checkpoint::open(&note, &key_of(&signer)).unwrap_err();
    assert!(matches!(refusal, NoteError::OtherOrigin { .. }), "{refusal}");
}

#[test]
fn a_verifier_key_with_a_typing_error_is_refused() {
    let text = signer().verifier_key();
    assert_eq!(text.parse::<VerifierKey>().unwrap().to_string(), text);
    assert_eq!(format!("{text}\n").parse::<VerifierKey>().unwrap().to_string(), text);
    assert_eq!(text.replace("log", "lag").parse::<VerifierKey>(), Err(VerifierKeyError::Hash));
    assert_eq!("name+00000000".parse::<VerifierKey>(), Err(VerifierKeyError::Form));
    let other_kind = format!("x+00000000+{}", BASE64.encode([vec![2], vec![0; 32]].concat()));
    assert_eq!(other_kind.parse::<VerifierKey>(), Err(VerifierKeyError::Algorithm));
}

#[test]
fn the_crate_signed_note_accepts_our_checkpoint() {
    let signer = signer();
    let verifier = signed_note::StandardVerifier::new(&signer.verifier_key()).unwrap();
    let note = signed_note::Note::from_bytes(checkpoint().sign(&signer).as_bytes()).unwrap();
    let known = signed_note::VerifierList::new(vec![Box::new(verifier)]);
    let (good, unknown) = note.verify(&known).unwrap();
    assert_eq!((good.len(), unknown.len()), (1, 0));
    assert_eq!(note.text(), checkpoint().text().as_bytes());
}

#[test]
fn openssl_accepts_our_checkpoint_and_refuses_a_changed_one() {
    let signer = signer();
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    };
    let public = BASE64.decode(signer.verifier_key().splitn(3, '+').nth(2).unwrap()).unwrap();
    // SubjectPublicKeyInfo of an Ed25519 key (RFC 8410 §4).
    let der = [b"\x30\x2a\x30\x05\x06\x03\x2b\x65\x70\x03\x21\x00", &public[1..]].concat();
    let key = file("key.der", &der);
    let note = checkpoint().sign(&signer);
    let blob = note.trim_end().rsplit(' ').next().unwrap();
    let signature = file("signature", &BASE64.decode(blob).unwrap()[4..]);
    let verify = |text: String| {
        let mut command = std::process::Command::new("openssl");
        command.args(["pkeyutl", "-verify", "-rawin", "-pubin", "-keyform", "DER", "-inkey"]).arg(&key);
        command.arg("-in").arg(file("text", text.as_bytes())).arg("-sigfile").arg(&signature);
        command.output().unwrap().status.success()
    };
    assert!(verify(checkpoint().text()));
    assert!(!verify(checkpoint().text().replace("70000", "70001")));
}
