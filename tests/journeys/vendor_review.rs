//! A customer reviews the vendor's next bundle as `docs/policies.md` tells it: every command of the recipe, as it stands
//! there, beside a running broker and its log.

use std::fs;

use crate::harness::{Broker, OidcProvider, Setup};

const PAGE: &str = include_str!("../../docs/policies.md");
const MARK: &str = "<!-- recipe: vendor-review -->\n```sh\n";
const SEVEN: &str = "@id(\"needs\") permit (principal, action, resource);\n";
/// What it gets lives for two minutes at most, from this version on.
const EIGHT: &str = "@id(\"needs\") permit (principal, action, resource);\n\
                     @id(\"short\") forbid (principal, action == Tidegate::Action::\"issue\", resource) \
                     when { context.ttl > duration(\"2m\") };\n";
const PROMISE: &str = "@id(\"never-for-an-hour\") @doc(\"Nothing lives for an hour\") forbid (principal, \
                       action == Tidegate::Action::\"issue\", resource) when { context.ttl >= duration(\"1h\") };\n";
const WORLD: &str =
    "[[issuers]]\nname = \"ci\"\nprofile = \"generic\"\n[[grants]]\nname = \"anything\"\nkind = \"jwt\"\n";
const CASES: &str = "[[case]]\nname = \"ten minutes are too long\"\ngrant = \"anything\"\nttl = \"10m\"\n\
                     principal = { issuer = \"ci\", subject = \"job\" }\nexpect = \"a vendor policy forbids it\"\n";

/// The lines of the recipe.
fn recipe() -> Vec<Vec<String>> {
    let (_, rest) = PAGE.split_once(MARK).expect("the page has the recipe");
    let (block, _) = rest.split_once("\n```").unwrap();
    let lines = block.replace("\\\n", " ");
    let commands = lines.lines().map(|line| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>());
    commands.filter(|words: &Vec<String>| words.first().is_some_and(|word| word == "tidegate")).collect()
}

fn signs(broker: &Broker, version: &str, cedar: &str) {
    let folder = broker.folder().join("at-the-vendors");
    fs::create_dir_all(folder.join("vendor")).unwrap();
    fs::create_dir_all(folder.join("tests")).unwrap();
    for (name, text) in [("vendor/needs.cedar", cedar), ("tests/world.toml", WORLD)] {
        fs::write(folder.join(name), text).unwrap();
    }
    if version == "8" {
        fs::write(folder.join("tests/short.toml"), CASES).unwrap();
        fs::write(folder.join("invariants.cedar"), PROMISE).unwrap();
    }
    let out = format!("acme-{version}.bundle");
    let what =
        ["policy", "bundle", "--policies", "at-the-vendors", "--name", "acme", "--min-broker", "0.1.0"];
    let which = ["--bundle-version", version, "--key-file", "vendor.key", "--out", &out, "--with-tests"];
    let made = broker.cli(&[&what[..], &which].concat());
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
}

#[tokio::test(flavor = "multi_thread")]
async fn every_command_of_the_documented_review_answers_what_the_next_bundle_would_change() {
    let issuer = OidcProvider::start();
    let mut broker =
        Setup::new().issuer("idp", issuer.url(), "replay = \"reusable\"").jwt_grant("ledger").start();
    let made = broker.cli(&["policy", "new-key", "--name", "vendor.example/policies", "--out", "vendor.key"]);
    let key = String::from_utf8(made.stdout).unwrap().trim().to_owned();
    fs::write(broker.folder().join("vendor.vkey"), &key).unwrap();
    signs(&broker, "7", SEVEN);
    broker.stop();
    let lines =
        format!("vendor_bundle = \"acme-7.bundle\"\nvendor_key = \"{key}\"\nvendor_bundle_version = 7");
    broker.reconfigure("dir = \"policies\"", &format!("dir = \"policies\"\n{lines}"));
    broker.start_again();
    let token = issuer.token("es256").await;
    broker.exchange("ledger", &token).await.granted();
    signs(&broker, "8", EIGHT);
    let log_key = broker.get("/log/key").await.granted();
    fs::write(broker.folder().join("log.vkey"), log_key.body.as_str().unwrap()).unwrap();

    let log = format!("{}/log", broker.url());
    let mut answers = Vec::new();
    for words in recipe() {
        let words: Vec<_> =
            words.iter().skip(1).map(|word| word.replace("https://broker.example.com/log", &log)).collect();
        let words: Vec<_> = words.iter().map(String::as_str).collect();
        let answer = broker.cli(&words);
        let told = [&answer.stdout, &answer.stderr].map(|text| String::from_utf8_lossy(text).into_owned());
        let [said, complained] = told;
        assert!(answer.status.success(), "{words:?}: {}\n{said}{complained}", answer.status);
        answers.push((words[1].to_owned(), said));
    }
    let expected = [
        ("verify", "bundle `acme`, version 8, signed by vendor.example/policies"),
        ("test", "1 case: 1 passed, 0 failed"),
        ("diff", "newly denied  effective: issue by a workload on `ledger`, such as"),
        ("prove", "proved    acme:never-for-an-hour"),
        ("replay", "1 decisions made again: 0 newly allowed, 1 newly denied"),
    ];
    for ((name, words), (command, said)) in expected.iter().zip(&answers) {
        assert!(name == command && said.contains(words), "{name}: {said}");
    }
    assert_eq!(answers.len(), expected.len());
    let proved = &answers[3].1;
    assert!(
        proved.contains("no-wider-vendor") && !proved.contains("REFUTED") && !proved.contains("UNKNOWN"),
        "{proved}"
    );
}
