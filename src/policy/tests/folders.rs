//! What a folder may hold, and when it is swapped.

use super::*;

fn refusal(files: &[(&str, &str)]) -> String {
    Folder::new(files).load().map(|_| ()).unwrap_err().to_string()
}

#[test]
fn typing_errors_are_refused_with_file_line_and_column() {
    let typo = "permit(principal, action == Tidegate::Action::\"issue\", resource)\nwhen {\n  context.tll > duration(\"1h\")\n};";
    let text = refusal(&[("customer/a.cedar", ALLOW), ("customer/b.cedar", typo)]);
    assert!(text.contains("customer/b.cedar:3:3: ") && text.contains("`tll`"), "{text}");
}

#[test]
fn every_fault_of_every_file_is_told_at_once() {
    let text = refusal(&[
        ("customer/a.cedar", "permit(principal, action, resource"),
        (
            "customer/b.cedar",
            "permit(principal == Tidegate::Person::\"x\", action == Tidegate::Action::\"isue\", resource);",
        ),
        ("vendor/c.cedar", "permit(principal, action, resource) when { principal.nmae == 1 };"),
    ]);
    for file in ["customer/a.cedar:1:35", "customer/b.cedar:1:", "vendor/c.cedar:1:"] {
        assert!(text.contains(file), "{file} is not in {text}");
    }
}

/// A vendor's bundle, or a folder on trial, must not be able to end the broker.
#[test]
fn what_would_take_a_whole_stack_is_refused_before_it_is_parsed() {
    let deep = format!(
        "{ALLOW}\nforbid(principal, action, resource) when {{ {}true{} }};",
        "(".repeat(100_000),
        ")".repeat(100_000)
    );
    let text = refusal(&[("customer/a.cedar", ALLOW), ("vendor/b.cedar", &deep)]);
    assert!(text.contains("vendor/b.cedar:2:") && text.contains("nested too deeply"), "{text}");
}

#[test]
fn of_very_many_faults_of_a_file_the_first_are_told() {
    for fault in [
        "@ttl(\"15m\") permit(principal, action, resource);",
        "permit(principal, action, resource) when { principal.nmae == 1 };",
    ] {
        let text = refusal(&[("customer/a.cedar", &fault.repeat(300))]);
        let told = text.lines().count() - 1;
        assert!((1..=200).contains(&told), "{told}");
    }
}

#[test]
fn more_policies_than_anybody_has_are_refused_before_they_are_parsed() {
    let text =
        refusal(&[("customer/a.cedar", &ALLOW.repeat(20_000)), ("vendor/a.cedar", &ALLOW.repeat(20_000))]);
    assert!(text.contains("vendor/a.cedar: with it there are over 25000 policies"), "{text}");
}

#[test]
fn a_policy_that_can_never_apply_is_refused() {
    let never = "forbid(principal, action == Tidegate::Action::\"issue\", resource is Tidegate::Elevation);";
    let text = refusal(&[("customer/a.cedar", ALLOW), ("customer/b.cedar", never)]);
    assert!(text.contains("customer/b.cedar:1:1: "), "{text}");
}

#[test]
fn an_optional_attribute_must_be_asked_for_before_it_is_read() {
    let bare =
        "permit(principal is Tidegate::Workload, action, resource) when { principal.github.ref == \"x\" };";
    assert!(refusal(&[("customer/a.cedar", bare)]).contains("customer/a.cedar:1:"));
}

#[test]
fn templates_are_refused() {
    let template = "permit(principal == ?principal, action, resource);";
    assert!(refusal(&[("customer/a.cedar", template), ("customer/b.cedar", ALLOW)]).contains("template"));
}

#[test]
fn annotations_that_would_promise_something_are_refused() {
    let magic = "\n  @ttl(\"15m\") permit(principal, action, resource);";
    let text = refusal(&[("customer/a.cedar", magic)]);
    assert!(text.contains("customer/a.cedar:2:3: `@ttl` decides nothing"), "{text}");
}

#[test]
fn two_policies_of_one_name_and_odd_names_are_refused() {
    let twice = format!("{ALLOW}\n{ALLOW}");
    assert!(
        refusal(&[("customer/a.cedar", &twice)])
            .contains("customer/a.cedar:2:1: two policies of this file are called `all`")
    );
    let ordinal = "permit(principal, action, resource); @id(\"1\") permit(principal, action, resource);";
    assert!(refusal(&[("customer/a.cedar", ordinal)]).contains("called `1`"));
    let odd = "@id(\"a b\") permit(principal, action, resource);";
    assert!(refusal(&[("customer/a.cedar", odd)]).contains("`@id` is 1-64"));
}

#[test]
fn a_folder_without_a_policy_is_refused_because_nothing_could_ever_be_issued() {
    assert!(refusal(&[("vendor/a.cedar", ALLOW)]).contains("customer: the folder is missing"));
    assert!(refusal(&[("customer/a.cedar", "// nothing\n")]).contains("customer: has no policy"));
    assert!(
        refusal(&[("customer/a.cedar", ALLOW), ("vendor/README.md", "")]).contains("vendor: has no policy")
    );
    let nowhere = Settings::of_folder("/nonexistent/policies");
    assert!(PolicyEngine::load(&nowhere, &catalog()).is_err());
}

#[test]
fn what_looks_like_a_policy_and_would_not_count_is_refused() {
    for (stray, why) in [
        ("vendr/a.cedar", "no folder of ours"),
        ("a.cedar", "it would not count"),
        ("customer/limits.ceder", "neither"),
        ("customer/nested/a.cedar", "neither"),
        ("customer/a b.cedar", "name"),
    ] {
        let text = refusal(&[("customer/a.cedar", ALLOW), (stray, ALLOW)]);
        assert!(text.contains(why), "{stray}: {text}");
    }
    let notes = [
        ("customer/a.cedar", ALLOW),
        ("customer/README.md", "x"),
        ("customer/.a.swp", "x"),
        ("tests/x.toml", ""),
    ];
    Folder::new(&notes).engine();
}

#[test]
fn a_foreign_schema_is_refused_and_our_own_is_taken() {
    let foreign = refusal(&[("customer/a.cedar", ALLOW), ("schema.cedarschema", "entity X;")]);
    assert!(foreign.contains("schema.cedarschema: differs"), "{foreign}");
    let crlf = SCHEMA_TEXT.replace('\n', "\r\n");
    Folder::new(&[("customer/a.cedar", ALLOW), ("schema.cedarschema", &crlf)]).engine();
}

#[test]
fn a_bad_set_is_not_swapped_in_and_a_good_one_is() {
    let folder = Folder::new(&[("customer/a.cedar", ALLOW)]);
    let engine = folder.engine();
    let before = engine.digest();
    assert_eq!(engine.reload().unwrap(), None);

    folder.write("customer/b.cedar", "forbid(principal, action, resource");
    assert!(engine.reload().unwrap_err().to_string().contains("customer/b.cedar:1:"));
    assert_eq!((engine.digest(), orders().answer(&engine).0), (before, "permit".into()));

    folder.write("customer/b.cedar", "forbid(principal, action, resource);");
    let after = engine.reload().unwrap().unwrap();
    assert_ne!(after, before);
    assert_eq!(engine.digest(), after);
    assert_eq!(orders().answer(&engine).0, "a customer policy forbids it");
}

#[test]
fn the_digest_names_author_file_and_text() {
    let digest = |files: &[(&str, &str)]| Folder::new(files).engine().digest();
    let base = [("customer/a.cedar", ALLOW), ("customer/b.cedar", ALLOW)];
    let digests = [
        digest(&base),
        digest(&[("customer/a.cedar", ALLOW), ("customer/c.cedar", ALLOW)]),
        digest(&[("customer/a.cedar", ALLOW), ("vendor/b.cedar", ALLOW)]),
        digest(&[("customer/a.cedar", ALLOW), ("customer/b.cedar", &format!("{ALLOW} "))]),
    ];
    assert_eq!(digests.iter().collect::<BTreeSet<_>>().len(), 4);
    let reversed = [base[1], base[0]];
    assert_eq!(digest(&reversed), digests[0]);
}
