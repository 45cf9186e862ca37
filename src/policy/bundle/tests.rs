//! Everything that somebody could do to a bundle on its way, and to the one that keeps the key.

use super::*;
use crate::policy::tests::{ALLOW, Folder};

const OURS: &str = "0.1.0";

fn signer(name: &str, seed: u8) -> NoteSigner {
    NoteSigner::from_seed(name, &[seed; 32]).unwrap().0
}

fn vendor() -> NoteSigner {
    signer("vendor.example/policies", 1)
}

fn key(signer: &NoteSigner) -> VerifierKey {
    signer.verifier_key().parse().unwrap()
}

fn contents(files: &[(&str, &str)]) -> Contents {
    let mut contents = Contents::default();
    for (path, text) in files {
        contents.put(path, (*text).to_owned()).unwrap();
    }
    contents
}

fn two() -> Contents {
    contents(&[("vendor/a.cedar", ALLOW), ("vendor/b.cedar", FORBID)])
}

const FORBID: &str = "forbid(principal, action, resource) when { context has source_ip };";

fn make_for(version: u64, min_broker: &str, contents: &Contents, signers: &[&NoteSigner]) -> Vec<u8> {
    let (name, version) = ("acme".parse().unwrap(), version.try_into().unwrap());
    Bundle::make(name, version, min_broker.parse().unwrap(), contents, signers).unwrap()
}

fn make(contents: &Contents) -> Vec<u8> {
    make_for(7, OURS, contents, &[&vendor()])
}

fn open(bytes: &[u8]) -> Result<Bundle, BundleFault> {
    Bundle::open(bytes, &key(&vendor()), OURS.parse().unwrap())
}

fn refusal(bytes: &[u8]) -> BundleFault {
    open(bytes).unwrap_err()
}

/// The signed note of a bundle.
fn note_of(bytes: &[u8]) -> String {
    archive::unpack(bytes).unwrap().0
}

/// Any archive, as an attacker writes it.
#[derive(Default)]
struct Forged(Vec<u8>);

impl Forged {
    fn entry(mut self, kind: u8, path: &str, size: u64, text: &str) -> Self {
        let mut header = tar::Header::new_ustar();
        let name = &mut header.as_ustar_mut().unwrap().name;
        name[..path.len()].copy_from_slice(path.as_bytes());
        header.set_entry_type(tar::EntryType::new(kind));
        header.set_size(size);
        header.set_mode(0o644);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(0);
        if matches!(kind, b'1' | b'2') {
            header.set_link_name_literal("/etc/passwd").unwrap();
        }
        header.set_cksum();
        self.0.extend_from_slice(header.as_bytes());
        self.0.extend_from_slice(text.as_bytes());
        self.0.resize(self.0.len().next_multiple_of(512), 0);
        self
    }

    fn file(self, path: &str, text: &str) -> Self {
        self.entry(b'0', path, text.len() as u64, text)
    }

    fn end(mut self) -> Vec<u8> {
        self.0.resize(self.0.len() + 1024, 0);
        self.0
    }
}

fn says(bytes: &[u8], words: &str) {
    let why = refusal(bytes).to_string();
    assert!(why.contains(words), "{why}");
}

#[test]
fn a_flipped_byte_in_a_policy_is_refused() {
    let mut bytes = make(&two());
    let at = bytes.windows(9).position(|window| window == b"principal").unwrap();
    bytes[at] ^= 0x20;
    assert_eq!(refusal(&bytes), BundleFault::Altered("vendor.example/policies".into()));
}

#[test]
fn no_byte_can_be_changed_anywhere() {
    let bytes = make(&contents(&[("vendor/a.cedar", ALLOW)]));
    assert!(open(&bytes).is_ok());
    for at in 0..bytes.len() {
        let mut changed = bytes.clone();
        changed[at] ^= 1;
        assert!(open(&changed).is_err(), "byte {at}");
    }
}

#[test]
fn swapped_file_names_are_refused() {
    let note = note_of(&make(&two()));
    let swapped = contents(&[("vendor/a.cedar", FORBID), ("vendor/b.cedar", ALLOW)]);
    assert!(matches!(refusal(&archive::pack(&note, &swapped).unwrap()), BundleFault::Altered(_)));
}

#[test]
fn an_appended_file_is_refused_before_and_behind_the_end() {
    let note = note_of(&make(&two()));
    let mut more = two();
    more.put("vendor/c.cedar", ALLOW.to_owned()).unwrap();
    assert!(matches!(refusal(&archive::pack(&note, &more).unwrap()), BundleFault::Altered(_)));
    let behind = [make(&two()), Forged::default().file("vendor/c.cedar", ALLOW).end()].concat();
    assert_eq!(refusal(&behind), BundleFault::OtherForm);
    assert_eq!(refusal(&[make(&two()), vec![0; 512]].concat()), BundleFault::OtherForm);
}

#[test]
fn a_missing_file_is_refused() {
    let note = note_of(&make(&two()));
    let fewer = contents(&[("vendor/a.cedar", ALLOW)]);
    assert!(matches!(refusal(&archive::pack(&note, &fewer).unwrap()), BundleFault::Altered(_)));
}

#[test]
fn without_a_note_nothing_is_signed() {
    says(&Forged::default().file("vendor/a.cedar", ALLOW).end(), "it is not signed");
    says(&Forged::default().end(), "it is empty");
    assert!(open(b"").is_err());
    assert!(open(&vec![7; 2048]).is_err());
}

#[test]
fn a_signature_by_another_key_alone_is_refused() {
    let bytes = make_for(7, OURS, &two(), &[&signer("mallory.example", 2)]);
    assert_eq!(refusal(&bytes), NoteFault::Unsigned("vendor.example/policies".into()).into());
}

#[test]
fn another_key_under_the_vendors_name_is_refused() {
    let bytes = make_for(7, OURS, &two(), &[&signer("vendor.example/policies", 2)]);
    assert_eq!(refusal(&bytes), NoteFault::Unsigned("vendor.example/policies".into()).into());
}

#[test]
fn the_vendors_key_under_another_name_is_refused() {
    let bytes = make_for(7, OURS, &two(), &[&signer("vendor.example/checkpoints", 1)]);
    assert_eq!(refusal(&bytes), NoteFault::Unsigned("vendor.example/policies".into()).into());
}

#[test]
fn a_good_signature_beside_a_failing_one_of_the_same_key_is_refused() {
    let note = note_of(&make(&two()));
    let other = note_of(&make_for(8, OURS, &two(), &[&vendor()]));
    let line = other.rsplit_once("\n\n").unwrap().1;
    let bytes = archive::pack(&format!("{note}{line}"), &two()).unwrap();
    assert_eq!(refusal(&bytes), NoteFault::BadSignature("vendor.example/policies".into()).into());
}

#[test]
fn two_notes_are_refused() {
    let note = note_of(&make(&two()));
    let old = note_of(&make_for(6, OURS, &two(), &[&vendor()]));
    let bytes =
        Forged::default().file("bundle.note", &note).file("bundle.note", &old).file("vendor/a.cedar", ALLOW);
    says(&bytes.end(), "`bundle.note` is no file of a bundle");
}

#[test]
fn the_same_file_twice_is_refused() {
    let note = note_of(&make(&two()));
    let bytes = Forged::default().file("bundle.note", &note).file("vendor/a.cedar", ALLOW);
    says(&bytes.file("vendor/a.cedar", FORBID).end(), "`vendor/a.cedar` is there twice");
}

#[test]
fn paths_that_lead_elsewhere_are_refused() {
    let note = note_of(&make(&two()));
    for path in [
        "../evil.cedar",
        "vendor/../customer/a.cedar",
        "vendor/../../a.cedar",
        "/vendor/a.cedar",
        "customer/a.cedar",
        "vendor/sub/a.cedar",
        "vendor/.a.cedar",
        "vendor/.cedar",
        "vendor/a.ceder",
        "vendor//a.cedar",
        "./vendor/a.cedar",
        "vendor/a b.cedar",
        "vendor/a\\b.cedar",
        "vendor/\u{e4}.cedar",
        "VENDOR/a.cedar",
        "a.cedar",
        "entities.json",
        "",
    ] {
        let bytes = Forged::default().file("bundle.note", &note).file(path, ALLOW).end();
        says(&bytes, "is no file of a bundle");
    }
}

#[test]
fn whatever_is_no_plain_file_is_refused() {
    let note = note_of(&make(&two()));
    // Hard link, symlink, devices, folder, FIFO, contiguous, pax headers, GNU long names and sparse files.
    for kind in *b"1234567xgLKS" {
        let bytes = Forged::default().file("bundle.note", &note).entry(kind, "vendor/a.cedar", 0, "").end();
        says(&bytes, "`vendor/a.cedar` is no plain file");
    }
    says(&Forged::default().entry(b'2', "bundle.note", 0, "").end(), "is no plain file");
}

#[test]
fn a_gigantic_entry_is_refused_before_it_is_read() {
    let note = note_of(&make(&two()));
    let bytes = Forged::default().file("bundle.note", &note).entry(b'0', "vendor/a.cedar", 1 << 40, ALLOW);
    says(&bytes.end(), "larger than a file of a bundle may be");
    says(&Forged::default().entry(b'0', "bundle.note", u64::from(u32::MAX), "").end(), "larger than");
}

#[test]
fn an_entry_that_is_cut_off_is_refused() {
    let note = note_of(&make(&two()));
    let bytes = Forged::default().file("bundle.note", &note).entry(b'0', "vendor/a.cedar", 5_000, ALLOW).0;
    assert!(matches!(refusal(&bytes), BundleFault::Archive(_)));
}

#[test]
fn too_many_files_and_too_many_bytes_are_refused() {
    let mut many = Forged::default().file("bundle.note", "x");
    for number in 0..=1_000 {
        many = many.file(&format!("vendor/{number}.cedar"), "");
    }
    says(&many.end(), "over 1000 files");
    let huge = vec![0; usize::try_from(MOST_BYTES).unwrap() + 1];
    assert_eq!(refusal(&huge), BundleFault::TooLarge);
}

#[test]
fn what_is_no_text_is_refused() {
    let mut bytes = Forged::default().file("bundle.note", "x").file("vendor/a.cedar", "abc").0;
    let at = bytes.len() - 512;
    bytes[at] = 0xff;
    says(&bytes, "is no text in UTF-8");
}

#[test]
fn the_same_files_in_other_bytes_are_refused() {
    let (bytes, files) = (make(&two()), two());
    let note = note_of(&bytes);
    let mut reversed = Forged::default().file("bundle.note", &note);
    for (path, text) in files.files().collect::<Vec<_>>().into_iter().rev() {
        reversed = reversed.file(path, text);
    }
    assert_eq!(refusal(&reversed.end()), BundleFault::OtherForm);
}

#[test]
fn a_note_about_something_else_is_refused() {
    for text in [
        "log.example\n7\nAAAA\n",
        "tidegate policy bundle v2\nname acme\n",
        "tidegate policy bundle v1\nname acme\nversion 0\nmin-broker 0.1.0\n",
        "tidegate policy bundle v1\nname acme\nversion 07\nmin-broker 0.1.0\nsha256 00\n",
    ] {
        let bytes = archive::pack(&note::sign(text, &[&vendor()]), &two()).unwrap();
        assert!(matches!(refusal(&bytes), BundleFault::Statement(_)), "{text}");
    }
    let statement = open(&make(&two())).unwrap().statement().text();
    for changed in [
        statement.replace("version 7", "version 07"),
        statement.replace("version 7", "version +7"),
        statement.replace("min-broker 0.1.0", "min-broker 0.01.0"),
        statement.replace("min-broker 0.1.0", "min-broker 0.1"),
        statement.replace("name acme", "name ac me"),
        format!("{statement}more\n"),
    ] {
        let bytes = archive::pack(&note::sign(&changed, &[&vendor()]), &two()).unwrap();
        assert!(matches!(refusal(&bytes), BundleFault::Statement(_)), "{changed}");
    }
}

#[test]
fn a_bundle_for_newer_brokers_is_refused() {
    for newer in ["0.1.1", "0.2.0", "1.0.0"] {
        let wanted = newer.parse().unwrap();
        let why = refusal(&make_for(7, newer, &two(), &[&vendor()]));
        assert_eq!(why, BundleFault::NewerBroker { wanted, ours: OURS.parse().unwrap() });
    }
    assert!(open(&make_for(7, "0.0.9", &two(), &[&vendor()])).is_ok());
    assert_eq!(BrokerVersion::ours().to_string(), env!("CARGO_PKG_VERSION"));
}

#[test]
fn only_the_pinned_version_is_taken() {
    let check = |pin: &str, bytes: &[u8]| pin.parse::<VersionPin>().unwrap().check(&open(bytes).unwrap());
    let bytes = make(&two());
    assert!(check("8", &bytes).unwrap_err().to_string().contains("older than the pinned version 8"));
    assert!(check("6", &bytes).unwrap_err().to_string().contains("raise the pin after review"));
    assert_eq!(check("7", &bytes), Ok(()));
    let pin = format!("7@{}", two().digest());
    assert_eq!(check(&pin, &bytes), Ok(()));
    let anew = make(&contents(&[("vendor/a.cedar", ALLOW)]));
    assert_eq!(check("7", &anew), Ok(()), "a version alone leaves the files to the vendor");
    assert!(matches!(check(&pin, &anew), Err(BundleFault::OtherContents { .. })));
    for bad in ["", "0", "-1", "7@", "7@00", "7 @", "v7"] {
        assert!(bad.parse::<VersionPin>().is_err(), "{bad}");
    }
}

#[test]
fn the_same_contents_are_the_same_bytes() {
    let bytes = make(&two());
    assert_eq!(bytes, make(&contents(&[("vendor/b.cedar", FORBID), ("vendor/a.cedar", ALLOW)])));
    // What was written once must be read for ever: another encoding of the archive is another format.
    let digest = Fingerprint::of(&make(&contents(&[("vendor/a.cedar", "// nothing\n")]))).to_string();
    insta::assert_snapshot!(digest, @"ef950beed88ba05fddf2dd1fe147e97f04315b0b061d4f0493bd254655c49612");
}

#[test]
fn while_the_key_changes_either_key_opens_it() {
    let (old, new) = (vendor(), signer("vendor.example/2027", 9));
    let bytes = make_for(7, OURS, &two(), &[&old, &new]);
    for signer in [&old, &new] {
        let bundle = Bundle::open(&bytes, &key(signer), OURS.parse().unwrap()).unwrap();
        assert_eq!(bundle.identity().key, key(signer).identity());
    }
}

#[test]
fn a_bundle_of_a_folder_holds_the_vendors_part_and_its_policies_are_validated() {
    let folder = Folder::new(&[
        ("customer/a.cedar", ALLOW),
        ("vendor/a.cedar", ALLOW),
        ("vendor/README.md", "x"),
        ("tests/cases.toml", "# none\n"),
    ]);
    let without = Contents::read(folder.path(), false).unwrap();
    assert_eq!(without.files().map(|(path, _)| path).collect::<Vec<_>>(), ["vendor/a.cedar"]);
    assert_eq!(without.count_policies(), Ok(1));
    let with = Contents::read(folder.path(), true).unwrap();
    assert_eq!(
        with.files().map(|(path, _)| path).collect::<Vec<_>>(),
        ["tests/cases.toml", "vendor/a.cedar"]
    );
    let bundle = open(&make(&with)).unwrap();
    assert_eq!(bundle.contents(), &with);
    folder.write("vendor/b.ceder", ALLOW);
    assert!(Contents::read(folder.path(), false).is_err(), "a mistyped file is not left out without a word");
    assert!(contents(&[("vendor/a.cedar", "permit(")]).count_policies().is_err());
    assert!(Contents::read(&folder.path().join("customer"), false).is_err());
}

#[test]
fn a_reviewer_may_look_at_the_next_version_and_hold_it_against_any_before() {
    let bundle = |version| open(&make_for(version, OURS, &two(), &[&vendor()])).unwrap();
    let pin: VersionPin = "7".parse().unwrap();
    assert!(matches!(pin.check_next(&bundle(6)), Err(BundleFault::Older { .. })));
    for version in [7, 8] {
        assert_eq!(pin.check_next(&bundle(version)), Ok(()));
    }
    for version in [6, 7, 8] {
        assert_eq!(pin.check_earlier(&bundle(version)), Ok(()));
    }
    let other = open(&make(&contents(&[("vendor/a.cedar", ALLOW)]))).unwrap();
    let exact = VersionPin::of(&bundle(7));
    assert!(matches!(exact.check_next(&other), Err(BundleFault::OtherContents { .. })));
    assert!(matches!(exact.check_earlier(&other), Err(BundleFault::OtherContents { .. })));
    assert_eq!(exact.check(&bundle(7)), Ok(()));
}

#[test]
fn what_a_vendor_ships_beside_policies_is_no_policy() {
    let (case, forbid_all) = ("[[case]]", "@id(\"i\") @doc(\"d\") forbid(principal, action, resource);");
    let files = [
        ("invariants.cedar", forbid_all),
        ("tests/a.toml", case),
        ("tests/world.toml", "[[grants]]"),
        ("vendor/a.cedar", ALLOW),
    ];
    let contents = contents(&files);
    assert_eq!(contents.invariants(), Some(forbid_all));
    assert_eq!(contents.world(), Some("[[grants]]"));
    assert_eq!(contents.cases().collect::<Vec<_>>(), [("tests/a.toml", case)]);
    assert_eq!(contents.sets().unwrap().policies().len(), 1);
}
