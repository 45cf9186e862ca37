//! A vendor's bundle wherever a version of the policies is named: refused first, then looked at beside the customer's folder.

use std::fs;

use tidegate::keys::note::NoteSigner;
use tidegate::policy::bundle::{Bundle, Contents};

use super::program::Folder;

const PERMIT: &str = "@id(\"needs\") permit (principal, action, resource);\n";
const FORBID: &str = "@id(\"no-view\") forbid (principal, action == Tidegate::Action::\"view\", resource);\n";
const CASES: &str = r#"[[case]]
name = "the product reads orders"
grant = "orders-read"
ttl = "10m"
principal = { issuer = "staff", subject = "s" }
expect = "permit"
decided_by = ["vendor/needs.cedar#needs"]

[[case]]
name = "and nobody of another team"
grant = "orders-read"
ttl = "10m"
principal = { issuer = "staff", subject = "x" }
expect = "no customer policy permits it"
"#;
const INVARIANT: &str = "@id(\"nobody-revokes-for-us\") @doc(\"The vendor's people never revoke\") forbid (principal, \
                         action == Tidegate::Action::\"revoke\", resource) when { principal.issuer == \
                         Tidegate::Issuer::\"vendor\" };\n";

/// The shipped policies as a customer's, and at a vendor's: a key `vendor.vkey`, `acme-6.bundle` and `acme-7.bundle` that
/// permit all, `acme-8.bundle` that forbids something.
fn scene() -> Folder {
    let folder = Folder::shipped();
    for name in ["vendor", "other"] {
        let (key, private) = (format!("{name}.vkey"), format!("{name}.key"));
        let made =
            folder.run(&["policy", "new-key", "--name", &format!("{name}.example"), "--out", &private]);
        folder.write(&key, &made.1);
    }
    folder.write("at-vendors/vendor/needs.cedar", PERMIT);
    signs(&folder, "6", "acme-6.bundle", "vendor.key");
    signs(&folder, "7", "acme-7.bundle", "vendor.key");
    signs(&folder, "7", "foreign.bundle", "other.key");
    folder.write("at-vendors/vendor/needs.cedar", &format!("{PERMIT}{FORBID}"));
    signs(&folder, "8", "acme-8.bundle", "vendor.key");
    folder
}

fn signs(folder: &Folder, version: &str, out: &str, key: &str) {
    let what = ["policy", "bundle", "--policies", "at-vendors", "--name", "acme", "--min-broker", "0.1.0"];
    let which = ["--bundle-version", version, "--key-file", key, "--out", out, "--with-tests"];
    let (code, _, err) = folder.run(&[&what[..], &which].concat());
    assert_eq!(code, Some(0), "{err}");
}

/// A configuration that pins version 7 of the vendor.
fn configured(folder: &Folder) {
    let key = fs::read_to_string(folder.path("vendor.vkey")).unwrap();
    let config = format!(
        "[server]\nissuer = \"https://broker.example.com\"\nlisten = \"127.0.0.1:8443\"\n\n[keys]\nkek_file = \"kek\"\n\n\
         [policy]\ndir = \"policies\"\nvendor_bundle = \"acme-7.bundle\"\nvendor_key = \"{}\"\nvendor_bundle_version = 7\n\n\
         [[issuers]]\nname = \"staff\"\nurl = \"https://idp.example.com\"\nprofile = \"person\"\naudiences = [\"tidegate\"]\n\n\
         [[grants]]\nname = \"ledger-api\"\nkind = \"jwt\"\naudience = \"https://ledger.internal\"\nscopes = [\"ledger.read\"]\n",
        key.trim()
    );
    folder.write("tidegate.toml", &config);
    folder.write_secret("kek", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=");
    fs::remove_dir_all(folder.path("policies/vendor")).unwrap();
    fs::remove_file(folder.path("policies/entities.json")).unwrap();
}

const WITH_KEY: [&str; 2] = ["--vendor-key", "vendor.vkey"];

/// Wherever a version is named: what is refused is refused there, before a solver or a log is looked at.
fn refusals(folder: &Folder, version: &str, more: &[&str]) -> Vec<String> {
    let lines = [
        vec!["policy", "diff", "policies", version],
        vec!["policy", "prove", "--no-wider-than", version],
        vec!["policy", "replay", "nowhere", "--key", "vendor.vkey", "--against", version],
        vec!["policy", "check", "--vendor-bundle", version],
        vec!["policy", "test", "--vendor-bundle", version],
        vec!["policy", "report", "--vendor-bundle", version],
        vec!["policy", "digest", "--vendor-bundle", version],
        vec!["policy", "explain", "--facts", "nothing.json", "--vendor-bundle", version],
    ];
    let refusal = |line: &Vec<&str>| {
        let (code, out, err) = folder.run(&[line.as_slice(), more].concat());
        assert_eq!(code, Some(1), "{line:?}: {out}{err}");
        err
    };
    lines.iter().map(refusal).collect()
}

#[test]
fn what_is_no_version_is_refused_everywhere_and_the_refusal_says_what_to_do() {
    let folder = scene();
    folder.write("notes.txt", "acme 8: see the mail\n");
    let good = fs::read(folder.path("acme-8.bundle")).unwrap();
    let mut damaged = good.clone();
    let at = damaged.windows(6).position(|window| window == b"forbid").unwrap();
    damaged[at..at + 6].copy_from_slice(b"permit");
    fs::write(folder.path("damaged.bundle"), damaged).unwrap();
    fs::write(folder.path("cut.bundle"), &good[..good.len() / 2]).unwrap();
    // The same files without the note, as `tar` packs them: nobody signed that.
    let files = good.windows(18).position(|window| window == b"vendor/needs.cedar").unwrap();
    fs::write(folder.path("unsigned.bundle"), &good[files..]).unwrap();
    for (version, words) in [
        ("missing.bundle", "No such file"),
        ("notes.txt", "is no policy bundle"),
        ("damaged.bundle", "ask the vendor for the file again"),
        ("cut.bundle", "is no policy bundle"),
        ("unsigned.bundle", "it is not signed: a version is a policy folder, or a file that"),
        ("foreign.bundle", "ask the vendor which key signs"),
    ] {
        for told in refusals(&folder, version, &WITH_KEY) {
            let missing = words == "No such file" && told.contains("does not exist: name a policy folder");
            assert!(told.contains(version) && (told.contains(words) || missing), "{version}: {told}");
        }
    }
}

#[test]
fn a_bundle_that_nobody_vouches_for_is_not_looked_at() {
    let folder = scene();
    for told in refusals(&folder, "acme-8.bundle", &[]) {
        assert!(told.contains("`--vendor-key`") && told.contains("`--config`"), "{told}");
    }
    for told in refusals(&folder, "acme-8.bundle", &["--vendor-key", "no-such.vkey"]) {
        assert!(told.contains("`--vendor-key no-such.vkey` is neither a verifier key"), "{told}");
    }
}

#[test]
fn a_bundle_of_before_is_never_the_next_one_and_can_be_held_against_it() {
    let folder = scene();
    configured(&folder);
    let with = ["--config", "tidegate.toml"];
    for line in [
        &["policy", "diff", "acme-7.bundle", "acme-6.bundle"][..],
        &["policy", "check", "--vendor-bundle", "acme-6.bundle"],
        &["policy", "replay", "nowhere", "--key", "vendor.vkey", "--against", "acme-6.bundle"],
    ] {
        let (code, out, err) = folder.run(&[line, &with].concat());
        assert_eq!(code, Some(1), "{line:?}: {out}{err}");
        let told = "is version 6, older than the pinned version 7: an older bundle is never taken again";
        assert!(err.contains(told), "{line:?}: {err}");
    }
    let (code, out, err) =
        folder.run(&[&["policy", "diff", "acme-6.bundle", "acme-7.bundle"], &with[..]].concat());
    assert_eq!(code, Some(0), "{out}{err}");
    assert!(out.contains("equal: proved"), "{out}");
    // Version 7 with other policies.
    signs(&folder, "7", "anew.bundle", "vendor.key");
    let pin = folder.json(&["policy", "verify", "acme-7.bundle", "--key", "vendor.vkey"]).1["pin"].clone();
    folder.change("tidegate.toml", "_version = 7", &format!("_version = {pin}"));
    for version in [["anew.bundle", "acme-8.bundle"], ["acme-7.bundle", "anew.bundle"]] {
        let (code, _, err) = folder.run(&[&["policy", "diff"], &version[..], &with].concat());
        assert!(code == Some(1) && err.contains("it was signed anew: ask the vendor what changed"), "{err}");
    }
}

#[test]
fn a_file_is_no_policy_folder_and_says_what_it_may_be() {
    let folder = scene();
    let (code, _, err) = folder.run(&["policy", "check", "--policies", "acme-8.bundle"]);
    assert!(code == Some(1) && err.contains("name a vendor's bundle with `--vendor-bundle`"), "{err}");
}

#[test]
fn two_bundles_are_compared_beside_the_customers_folder() {
    let folder = scene();
    let diff = ["policy", "diff", "acme-7.bundle", "acme-8.bundle"];
    let (code, document) = folder.json(&[&diff[..], &WITH_KEY].concat());
    assert_eq!((code, &document["equal"]), (Some(0), &false.into()), "{document}");
    let changes = document["changes"].as_array().unwrap();
    assert!(
        changes.iter().all(|change| change["action"] == "view" && change["direction"] == "denied"),
        "{document}"
    );
    assert!(!changes.is_empty() && document["unknown"].as_array().unwrap().is_empty(), "{document}");
    let (_, out, err) = folder.run(&[&diff[..], &WITH_KEY].concat());
    assert!(
        out.contains("(bundle acme, version 7) to ") && out.contains("(bundle acme, version 8) by"),
        "{out}{err}"
    );
    let prove = |newer, older| {
        let line = [
            "policy",
            "prove",
            "--invariants",
            "none.cedar",
            "--vendor-bundle",
            newer,
            "--no-wider-than",
            older,
        ];
        folder.json(&[&line[..], &WITH_KEY].concat())
    };
    folder.write("none.cedar", INVARIANT);
    let (code, document) = prove("acme-8.bundle", "acme-7.bundle");
    let answers: Vec<_> =
        document["verdicts"].as_array().unwrap().iter().map(|v| v["answer"].clone()).collect();
    assert_eq!((code, answers.len()), (Some(0), 3), "{document}");
    let (code, document) = prove("acme-7.bundle", "acme-8.bundle");
    assert_eq!(code, Some(1), "{document}");
    assert_eq!(document["verdicts"][1]["answer"], "refuted", "{document}");
}

#[test]
fn the_vendors_own_cases_and_promises_are_tried_out_of_the_bundle() {
    let folder = scene();
    with_tests(&folder);
    signs(&folder, "9", "acme-9.bundle", "vendor.key");
    fs::remove_dir_all(folder.path("policies/vendor")).unwrap();
    // The customer's cases speak of the vendor's policies of before.
    let cases = folder.path("policies/tests");
    for file in fs::read_dir(&cases).unwrap().map(|entry| entry.unwrap().path()) {
        if !file.ends_with("world.toml") {
            fs::remove_file(file).unwrap();
        }
    }
    let (code, out, err) =
        folder.run(&[&["policy", "test", "--vendor-bundle", "acme-9.bundle"], &WITH_KEY[..]].concat());
    assert_eq!(code, Some(0), "{out}{err}");
    assert!(
        out.contains("acme-9.bundle/tests/needs.toml:1") && out.contains("1 case: 1 passed, 0 failed"),
        "{out}"
    );
    assert!(
        err.contains("1 case in the bundle left out: what is expected comes from a customer's part"),
        "{err}"
    );

    folder.write("policies/invariants.cedar", &INVARIANT.replace("nobody-revokes-for-us", "ours"));
    let prove = ["policy", "prove", "--vendor-bundle", "acme-9.bundle"];
    let (_, document) = folder.json(&[&prove[..], &WITH_KEY].concat());
    let verdicts = document["verdicts"].as_array().unwrap();
    let told: Vec<_> =
        verdicts.iter().map(|v| [&v["id"], &v["answer"]].map(|text| text.as_str().unwrap())).collect();
    assert_eq!(told, [["ours", "proved"], ["acme:nobody-revokes-for-us", "proved"]]);

    // A vendor who does not keep what the cases say is not let sign it; whoever signs it all the same is found out.
    folder.write("at-vendors/vendor/needs.cedar", FORBID);
    let bundle = [
        "policy",
        "bundle",
        "--policies",
        "at-vendors",
        "--name",
        "acme",
        "--min-broker",
        "0.1.0",
        "--with-tests",
    ];
    let which = ["--bundle-version", "10", "--key-file", "vendor.key", "--out", "acme-10.bundle"];
    let (code, _, err) = folder.run(&[&bundle[..], &which].concat());
    assert!(
        code == Some(1) && err.contains("tests/needs.toml:1: the product reads orders: expected `permit`"),
        "{err}"
    );
    let key = signs_unchecked(&folder, "acme-10.bundle");
    let test = ["policy", "test", "--vendor-bundle", "acme-10.bundle", "--vendor-key", &key];
    let (code, out, _) = folder.run(&test);
    assert_eq!(code, Some(1), "{out}");
    assert!(out.contains("expected `permit`, got `no vendor policy permits it`"), "{out}");
}

/// What a vendor ships beside policies.
fn with_tests(folder: &Folder) {
    let world = fs::read_to_string(folder.path("policies/tests/world.toml")).unwrap();
    folder.write("at-vendors/tests/world.toml", &world);
    folder.write("at-vendors/tests/needs.toml", CASES);
    folder.write("at-vendors/invariants.cedar", INVARIANT);
}

/// By another program than ours; answers the key.
fn signs_unchecked(folder: &Folder, out: &str) -> String {
    let (signer, _) = NoteSigner::from_seed("careless.example", &[9; 32]).unwrap();
    let contents = Contents::read(&folder.path("at-vendors"), true).unwrap();
    let (name, version, broker) = ("acme".parse().unwrap(), 10.try_into().unwrap(), "0.1.0".parse().unwrap());
    fs::write(folder.path(out), Bundle::make(name, version, broker, &contents, &[&signer]).unwrap()).unwrap();
    signer.verifier_key()
}

#[test]
fn the_shipped_cases_hold_out_of_a_bundle_too() {
    let folder = scene();
    let bundle = [
        "policy",
        "bundle",
        "--policies",
        "policies",
        "--name",
        "acme",
        "--min-broker",
        "0.1.0",
        "--with-tests",
    ];
    let which = ["--bundle-version", "9", "--key-file", "vendor.key", "--out", "shipped.bundle"];
    let (code, _, err) = folder.run(&[&bundle[..], &which].concat());
    assert_eq!(code, Some(0), "{err}");
    let test = ["policy", "test", "--vendor-bundle", "shipped.bundle"];
    let (code, document) = folder.json(&[&test[..], &WITH_KEY].concat());
    assert_eq!((code, &document["failed"]), (Some(0), &0.into()), "{document}");
    let cases = document["cases"].as_array().unwrap();
    let own = cases.iter().filter(|case| case["file"].as_str().unwrap().starts_with("shipped.bundle/tests/"));
    assert!(own.count() >= 20, "{document}");
}

#[test]
fn a_broker_decides_by_none_of_what_a_bundle_has_beside_policies() {
    let folder = scene();
    let digest =
        |bundle| folder.json(&[&["policy", "digest", "--vendor-bundle", bundle], &WITH_KEY[..]].concat()).1;
    let without = digest("acme-8.bundle");
    with_tests(&folder);
    signs(&folder, "8", "acme-8-with.bundle", "vendor.key");
    assert_eq!(digest("acme-8-with.bundle"), without);
}
