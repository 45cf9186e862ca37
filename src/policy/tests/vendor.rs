//! A vendor's bundle in the place of a folder: what is refused at the start and at a reload, and what stays.

use std::path::PathBuf;

use super::*;
use crate::keys::note::NoteSigner;
use crate::policy::bundle::{Bundle, Contents, Pin, Pinned};

const NEEDS: &str = "@id(\"needs\") permit(principal, action, resource);";

/// A customer's folder, and beside it what the vendor sent.
struct Customer {
    folder: Folder,
    sent: TempDir,
}

fn signer(seed: u8) -> NoteSigner {
    NoteSigner::from_seed("vendor.example/policies", &[seed; 32]).unwrap().0
}

impl Customer {
    fn new() -> Self {
        let customer =
            Self { folder: Folder::new(&[("customer/a.cedar", ALLOW)]), sent: TempDir::new().unwrap() };
        customer.receives(7, "0.0.1", NEEDS, 1);
        customer.pins("7");
        customer
    }

    fn path(&self, name: &str) -> PathBuf {
        self.sent.path().join(name)
    }

    fn receives(&self, version: u64, min_broker: &str, cedar: &str, seed: u8) {
        let vendor = Folder::new(&[("vendor/needs.cedar", cedar)]);
        let contents = Contents::read(vendor.path(), false).unwrap();
        let (name, version) = ("acme".parse().unwrap(), version.try_into().unwrap());
        let signers = [&signer(seed)];
        let bytes = Bundle::make(name, version, min_broker.parse().unwrap(), &contents, &signers).unwrap();
        fs::write(self.path("acme.bundle"), bytes).unwrap();
    }

    fn pins(&self, pin: &str) {
        fs::write(self.path("pin"), format!("{pin}\n")).unwrap();
    }

    fn settings(&self) -> Settings {
        let key = Pinned::Value(signer(1).verifier_key().parse().unwrap());
        let version = Pinned::File(self.path("pin"));
        let vendor = Some(Pin { file: self.path("acme.bundle"), key, version });
        Settings { vendor, ..self.folder.settings() }
    }

    fn load(&self) -> Result<PolicyEngine, LoadError> {
        PolicyEngine::load(&self.settings(), &catalog())
    }

    fn refusal(&self) -> String {
        self.load().map(drop).unwrap_err().to_string()
    }
}

#[test]
fn what_is_not_the_pinned_bundle_does_not_start() {
    for (version, min_broker, cedar, seed, why) in [
        (6, "0.0.1", NEEDS, 1, "older than the pinned version 7"),
        (8, "0.0.1", NEEDS, 1, "raise the pin after review"),
        (7, "0.0.1", NEEDS, 2, "is not signed by `vendor.example/policies`"),
        (7, "999.0.0", NEEDS, 1, "needs a broker of version 999.0.0 or newer"),
        (7, "0.0.1", "permit(", 1, "vendor/needs.cedar:1:"),
    ] {
        let customer = Customer::new();
        customer.receives(version, min_broker, cedar, seed);
        assert!(customer.refusal().contains(why), "{}", customer.refusal());
    }
}

#[test]
fn an_altered_or_missing_bundle_does_not_start() {
    let customer = Customer::new();
    let mut bytes = fs::read(customer.path("acme.bundle")).unwrap();
    let at = bytes.windows(6).position(|window| window == b"permit").unwrap();
    bytes[at..at + 6].copy_from_slice(b"forbid");
    fs::write(customer.path("acme.bundle"), bytes).unwrap();
    assert!(customer.refusal().contains("its files are not the ones that `vendor.example/policies` signed"));
    fs::remove_file(customer.path("acme.bundle")).unwrap();
    let why = customer.refusal();
    assert!(why.contains("acme.bundle: cannot be read"), "{why}");
}

#[test]
fn a_pin_that_cannot_be_read_takes_nothing() {
    let customer = Customer::new();
    for pin in ["", "seven", "7@beef"] {
        customer.pins(pin);
        assert!(customer.refusal().contains("its pin `"), "{pin}: {}", customer.refusal());
    }
}

#[test]
fn a_vendors_folder_beside_a_bundle_is_refused() {
    let customer = Customer::new();
    customer.folder.write("vendor/a.cedar", ALLOW);
    assert!(customer.refusal().contains("vendor: stands beside a vendor's bundle"));
}

#[test]
fn both_must_permit_as_with_a_folder() {
    let customer = Customer::new();
    let (_, decided_by) = orders().answer(&customer.load().unwrap());
    assert_eq!(decided_by, ["customer/a.cedar#all", "vendor/needs.cedar#needs"]);
    customer.receives(7, "0.0.1", "forbid(principal, action, resource);", 1);
    assert_eq!(orders().answer(&customer.load().unwrap()).0, "a vendor policy forbids it");
}

#[test]
fn a_reload_takes_the_next_version_and_keeps_the_last_good_one() {
    let customer = Customer::new();
    let engine = customer.load().unwrap();
    let first = engine.origin();
    customer.receives(8, "0.0.1", "forbid(principal, action, resource);", 1);
    assert!(engine.reload().unwrap_err().to_string().contains("raise the pin after review"));
    assert_eq!((engine.origin(), orders().answer(&engine).0), (first.clone(), "permit".into()));
    customer.pins("8");
    assert!(engine.reload().unwrap().is_some());
    assert_eq!(orders().answer(&engine).0, "a vendor policy forbids it");
    // The old one comes back on the wire; nobody lowered the pin.
    customer.receives(7, "0.0.1", NEEDS, 1);
    assert!(engine.reload().unwrap_err().to_string().contains("older than the pinned version 8"));
    assert_eq!(orders().answer(&engine).0, "a vendor policy forbids it");
    assert_eq!(engine.origin().digests.customer, first.digests.customer);
}

#[test]
fn a_new_version_with_the_same_policies_is_another_set() {
    let customer = Customer::new();
    let engine = customer.load().unwrap();
    let before = engine.origin();
    customer.receives(8, "0.0.1", NEEDS, 1);
    customer.pins("8");
    assert!(engine.reload().unwrap().is_some(), "the record must say that version 8 decides");
    assert_ne!(before.digests.vendor, engine.origin().digests.vendor);
}

#[test]
fn which_bundle_it_was_is_handed_on_with_the_texts() {
    let customer = Customer::new();
    let engine = customer.load().unwrap();
    let texts = engine.folder().unwrap();
    let read = PolicyTexts::read(texts.digest(), texts.text().to_owned()).unwrap();
    let sets = PolicySets::of(&read).unwrap();
    assert_eq!(sets.origin(), &engine.origin());
    let bundle = sets.origin().bundle.clone().unwrap();
    assert_eq!((bundle.name.to_string(), u64::from(bundle.version)), ("acme".to_owned(), 7));
    assert!(bundle.key.starts_with("vendor.example/policies+"));
    for forged in
        [texts.text().replace("\"version\":7", "\"version\":8"), texts.text().replace("acme", "evil")]
    {
        assert!(PolicyTexts::read(texts.digest(), forged).is_err());
    }
}

#[test]
fn without_anything_new_the_text_is_what_older_brokers_read() {
    let folder = Folder::new(&[("customer/a.cedar", "permit(principal, action, resource);")]);
    let texts = folder.engine().folder().unwrap();
    assert_eq!(
        texts.text(),
        r#"{"authors":["customer"],"files":[{"author":"customer","name":"a.cedar","text":"permit(principal, action, resource);"}]}"#
    );
    let fields: [&[u8]; 5] = [
        b"tidegate policy v2",
        b"customer",
        b"customer",
        b"a.cedar",
        b"permit(principal, action, resource);",
    ];
    assert_eq!(texts.digest(), crate::secret::Fingerprint::of_fields(&fields));
}
