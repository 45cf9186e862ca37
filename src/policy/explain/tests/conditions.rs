//! One form of condition after the other: what is in its way is found, told and tried.

use super::*;

const SCOPE: &str = "permit (principal, action == Tidegate::Action::\"issue\", resource)";

fn with(condition: &str) -> PolicySets {
    sets(&[("customer/a.cedar", &format!("{SCOPE} when {{ {condition} }};"))])
}

#[test]
fn each_form_of_condition_is_told_in_words_and_tried() {
    for (condition, expected) in [
        ("context.ttl <= duration(\"15m\")", "ttl at most 15m"),
        ("context.ttl < duration(\"15m\")", "ttl at most 14m59s"),
        ("context.ttl >= duration(\"30m\")", "ttl at least 30m"),
        ("context.ttl > duration(\"30m\")", "ttl at least 30m1s"),
        ("!(context.ttl > duration(\"15m\"))", "ttl at most 15m"),
        ("context.ttl != duration(\"20m\")", "ttl is not 20m"),
        ("context.auth.amr.contains(\"mfa\")", "amr contains `mfa`"),
        ("context.auth.amr.containsAny([\"mfa\", \"hwk\"])", "amr contains `hwk`"),
        ("context.auth has acr && context.auth.acr == \"high\"", "acr is `high`"),
        ("context.scopes == [\"write\"]", "scopes exactly `write`"),
        ("[\"write\"].containsAll(context.scopes)", "scopes nothing but `write`"),
        ("!context.scopes.contains(\"read\")", "scopes without `read`"),
        ("context.scopes.isEmpty()", "scopes empty"),
        (
            "context has source_ip && context.source_ip.isInRange(ip(\"10.0.0.0/8\"))",
            "the source address is in 10.0.0.0/8",
        ),
        ("context has source_ip && context.source_ip.isLoopback()", "the source address is in 127.0.0.0/8"),
        ("context has client_cert", "the client certificate is known"),
        ("context.now < datetime(\"2026-11-22T12:00:00Z\")", "ask at 2026-11-22T11:59:59Z or earlier"),
        ("context.now.toTime() >= duration(\"22h\")", "ask at 2026-11-22T22:00:00Z"),
        (
            "context.now.toTime() >= duration(\"2h\") && context.now.toTime() < duration(\"4h\")",
            "ask at 2026-11-23T03:59:59Z",
        ),
        ("principal in Tidegate::Group::\"prod-cluster/g\"", "be in group `prod-cluster/g`"),
        (
            "[Tidegate::Group::\"prod-cluster/g\", Tidegate::Group::\"other/h\"].contains(Tidegate::Group::\"x/y\") || \
             principal in [Tidegate::Group::\"prod-cluster/g\", Tidegate::Group::\"other/h\"]",
            "be in group `prod-cluster/g`",
        ),
        ("principal.issuer == Tidegate::Issuer::\"test\"", "come from issuer `test`"),
        (
            "principal.issuer != Tidegate::Issuer::\"prod-cluster\"",
            "come from another issuer than `prod-cluster`",
        ),
        ("principal == Tidegate::Workload::\"prod-cluster|x\"", "be `prod-cluster|x`"),
        ("principal is Tidegate::Person", "be a person"),
        (
            "principal has kubernetes && principal.kubernetes.namespace == \"shop\"",
            "namespace (`principal.kubernetes.namespace`) is `shop`",
        ),
        (
            "principal has kubernetes && [\"w\", \"z\"].contains(principal.kubernetes.service_account)",
            "service account (`principal.kubernetes.service_account`) is `w`",
        ),
        (
            "principal has kubernetes && principal.kubernetes.namespace like \"team-*\"",
            "namespace (`principal.kubernetes.namespace`) is like `team-*`",
        ),
        (
            "principal has kubernetes.node && principal.kubernetes.node == \"n1\"",
            "node (`principal.kubernetes.node`) is `n1`",
        ),
        ("principal has github", "come from an issuer of profile `github`"),
        (
            "principal.hasTag(\"team\") && principal.getTag(\"team\").contains(\"blue\")",
            "the claim `team` contains `blue`",
        ),
        ("resource.labels.contains(\"blue\")", "the grant has label `blue`"),
        ("resource in Tidegate::GrantSet::\"s\"", "the grant is in set `s`"),
        (
            "if resource.labels.contains(\"red\") then context.ttl <= duration(\"5m\") else true",
            "ttl at most 5m",
        ),
        (
            "(context.ttl <= duration(\"5m\") && context.auth.amr.contains(\"mfa\")) || context.ttl <= duration(\"1m\")",
            "ttl at most 1m",
        ),
    ] {
        assert_eq!(nearest_of(&with(condition), &facts(&json!({}))), [expected, "verified"], "{condition}");
    }
}

#[test]
fn a_second_factor_that_is_too_old_is_told_with_the_time_that_would_do() {
    let fresh = with(
        "context.auth has auth_time && context.now.durationSince(context.auth.auth_time) <= duration(\"10m\")",
    );
    let old = facts(&json!({ "auth": { "auth_time": "2026-11-22T15:00:00Z" } }));
    assert_eq!(nearest_of(&fresh, &old), ["auth_time is 2026-11-22T15:50:00Z or later", "verified"]);
    let none = nearest_of(&fresh, &facts(&json!({})));
    assert_eq!(none, ["auth_time is 2026-11-22T15:50:00Z or later", "verified"]);
}

#[test]
fn every_author_needs_a_permit_and_every_forbid_must_go() {
    let sets = sets(&[
        ("customer/a.cedar", &format!("{SCOPE} when {{ context.ttl <= duration(\"15m\") }};")),
        ("vendor/b.cedar", &format!("{SCOPE} when {{ context.auth.amr.contains(\"mfa\") }};")),
        (
            "vendor/c.cedar",
            "forbid (principal, action, resource) when { context has source_ip && context.source_ip.isLoopback() };",
        ),
    ]);
    let mut told = nearest_of(&sets, &facts(&json!({ "source_ip": "127.0.0.1" })));
    told.sort();
    assert_eq!(
        told,
        ["amr contains `mfa`", "the source address is not in 127.0.0.0/8", "ttl at most 15m", "verified"]
    );
}

#[test]
fn the_fewest_changes_win_over_the_first_policy() {
    let sets = sets(&[(
        "customer/a.cedar",
        &format!(
            "{SCOPE} when {{ context.ttl <= duration(\"1m\") && context.auth.amr.contains(\"mfa\") }};\n\
             {SCOPE} when {{ principal in Tidegate::Group::\"prod-cluster/g\" }};"
        ),
    )]);
    assert_eq!(nearest_of(&sets, &facts(&json!({}))), ["be in group `prod-cluster/g`", "verified"]);
}

/// What helps one author's permit may wake another's forbid: the way goes on from there.
#[test]
fn a_forbid_that_the_change_wakes_is_undone_too() {
    let sets = sets(&[
        ("customer/a.cedar", &format!("{SCOPE} when {{ context.auth.amr.contains(\"mfa\") }};")),
        (
            "customer/b.cedar",
            "forbid (principal, action == Tidegate::Action::\"issue\", resource) \
             when { context.auth.amr.contains(\"mfa\") } unless { context.ttl <= duration(\"5m\") };",
        ),
    ]);
    let told = nearest_of(&sets, &facts(&json!({})));
    assert_eq!(told, ["amr contains `mfa`", "ttl at most 5m", "verified"]);
}

#[test]
fn what_nothing_can_change_has_no_way() {
    let forbidden = sets(&[
        ("customer/a.cedar", &format!("{SCOPE};")),
        ("customer/b.cedar", "forbid (principal, action, resource);"),
    ]);
    assert_eq!(nearest_of(&forbidden, &facts(&json!({}))), ["none"]);
    let contradiction = with("context.ttl <= duration(\"1m\") && context.ttl >= duration(\"2m\")");
    assert_eq!(nearest_of(&contradiction, &facts(&json!({}))), ["none"]);
}

#[test]
fn a_condition_of_another_form_is_told_as_it_stands_and_not_called_tried() {
    let odd = with("context.scopes.containsAll(context.auth.amr) && !context.auth.amr.isEmpty()");
    assert_eq!(
        nearest_of(&odd, &facts(&json!({}))),
        ["`context.auth.amr.isEmpty()` does not hold", "not tried"]
    );
}

#[test]
fn parts_are_shown_as_the_author_wrote_them_with_what_they_read() {
    let sets = sets(&[(
        "customer/a.cedar",
        "// A note.\n@id(\"short\")\npermit (\n  principal is Tidegate::Workload,\n  action == \
         Tidegate::Action::\"issue\",\n  resource\n)\nwhen\n{\n  context.ttl <= duration(\"15m\") && // quarter\n  \
         principal has github &&\n  principal.github.ref == \"main\"\n}\nunless { context.scopes.contains(\"read\") };\n",
    )]);
    let explanation = explain(&sets, &world(), &facts(&json!({}))).unwrap();
    let missed = &explanation.authors[0].missed[0];
    assert_eq!(
        (missed.policy.as_str(), missed.file.as_str()),
        ("customer/a.cedar#short", "customer/a.cedar")
    );
    assert!(!missed.out_of_scope);
    let parts: Vec<_> = missed
        .parts
        .iter()
        .map(|part| {
            let found: Vec<_> =
                part.found.iter().map(|found| (found.place.as_str(), found.value.as_deref())).collect();
            (part.source.as_str(), part.line, part.hold, found)
        })
        .collect();
    assert_eq!(
        parts,
        [
            ("context.ttl <= duration(\"15m\")", 10, true, vec![("context.ttl", Some("20m"))]),
            ("principal has github", 11, true, vec![("principal.github", None)]),
            ("context.scopes.contains(\"read\")", 14, false, vec![("context.scopes", Some("`read`"))]),
        ]
    );
}

#[test]
fn a_permit_for_others_says_so_and_a_forbid_says_why() {
    let sets = sets(&[(
        "customer/a.cedar",
        "permit (principal is Tidegate::Person in Tidegate::Group::\"staff/g\", action, resource);\n\
         forbid (principal, action, resource) when { context has now && context.now > datetime(\"2026-01-01\") };",
    )]);
    let said = &explain(&sets, &world(), &facts(&json!({}))).unwrap().authors[0];
    assert!(said.missed[0].out_of_scope);
    assert_eq!(said.missed[0].parts[0].source, "principal is Tidegate::Person");
    let forbids: Vec<_> = said.forbids[0].parts.iter().map(|part| part.source.as_str()).collect();
    assert_eq!(forbids, ["context has now", "context.now > datetime(\"2026-01-01\")"]);
}

/// A policy that fails denies, whoever permits.
#[test]
fn a_policy_that_fails_is_named_and_a_way_round_it_is_found() {
    let sets = sets(&[
        ("customer/a.cedar", &format!("{SCOPE};")),
        (
            "customer/b.cedar",
            "forbid (principal, action == Tidegate::Action::\"issue\", resource) when \
             { context has elevation && context.elevation.approvals * 9223372036854775807 > 1 };",
        ),
    ]);
    let broken = facts(&json!({
        "grant": { "break_glass": true },
        "asked": { "elevation": {
            "id": "elv-01a203ff-4cee-7102-8304-05060708090a", "version": 1, "approvals": 2,
            "starts_at": "2026-11-22T16:00:00Z", "ends_at": "2026-11-22T17:00:00Z",
        } },
    }));
    let explanation = explain(&sets, &world(), &broken).unwrap();
    assert!(explanation.reason.unwrap().contains("could not be evaluated"));
    assert_eq!(explanation.authors[0].failed[0].policy, "customer/b.cedar#1");
}

#[test]
fn rules_of_the_broker_come_before_what_policies_say() {
    let all = sets(&[("customer/a.cedar", "permit (principal, action, resource);")]);
    let glass = json!({ "name": "prod-admin", "kind": "jwt", "break_glass": true });
    let person = json!({ "kind": "person", "issuer": "vendor", "subject": "ann", "kubernetes": null });
    let alone = facts(&json!({ "grant": glass, "principal": person }));
    let explanation = explain(&all, &world(), &alone).unwrap();
    assert_eq!(explanation.decision, Verdict::Deny);
    assert!(explanation.rules[0].contains("without an active elevation"), "{:?}", explanation.rules);
    assert_eq!(nearest_of(&all, &alone), ["have an active elevation for the grant", "verified"]);

    let own = json!({
        "id": "elv-01a203ff-4cee-7102-8304-05060708090a", "duration": "1h", "reason": "r",
        "requester": { "kind": "person", "issuer": "vendor", "subject": "ann" },
    });
    let asked =
        json!({ "action": "approve", "duration": "1h", "elevation": own, "ttl": null, "scopes": null });
    let approve = facts(&json!({ "grant": glass, "principal": person, "asked": asked }));
    let mut told = nearest_of(&all, &approve);
    told.sort();
    assert_eq!(
        told,
        ["come from an issuer whose people may approve, such as `staff`", "verified"],
        "whoever has another issuer is another person than the requester"
    );
}

/// A token's words reach the answer: nothing in them may drive a terminal or be believed to be ours.
#[test]
fn what_a_caller_wrote_is_cut_and_made_harmless() {
    let long = "x".repeat(5_000);
    let tag = json!({ "team": [format!("\u{1b}[31m{long}")] });
    let sets = with("principal.hasTag(\"team\") && principal.getTag(\"team\").contains(\"blue\")");
    let explanation = explain(&sets, &world(), &facts(&json!({ "principal": { "tags": tag } }))).unwrap();
    let found = explanation.authors[0].missed[0].parts[0].found[0].value.clone().unwrap();
    assert!(found.len() < 300 && !found.contains('\u{1b}'), "{found}");
}

/// The last moment that Cedar knows: a policy may reckon with it, and whoever explains it must not fall over.
#[test]
fn dates_at_the_end_of_time_are_looked_at_like_others() {
    let span = i64::MAX - "2026-11-22T16:00:00Z".parse::<crate::clock::Moment>().unwrap().unix_millis();
    for wanted in ["<", "<=", "=="] {
        let time = format!("context.now.offset(duration(\"{span}ms\")).toTime()");
        let told = nearest_of(&with(&format!("{time} {wanted} duration(\"1h\")")), &facts(&json!({})));
        assert!(!told.is_empty());
    }
}

/// Approvers of one grant are named in policies that the index keeps for all elevations.
#[test]
fn what_policies_say_of_another_grant_is_not_told_with_this_one() {
    let sets = sets(&[(
        "customer/a.cedar",
        r#"@id("ours") permit (principal, action == Tidegate::Action::"approve", resource)
           when { resource.grant == Tidegate::Grant::"orders-read" && principal in Tidegate::Group::"staff/leads" };
           @id("theirs") permit (principal, action == Tidegate::Action::"approve", resource)
           when { resource.grant == Tidegate::Grant::"vault" && principal in Tidegate::Group::"staff/vault" };
           @id("named") permit (principal, action == Tidegate::Action::"issue", resource)
           when { resource.name == "vault" && principal in Tidegate::Group::"staff/vault" };
           @id("own") permit (principal, action == Tidegate::Action::"view", resource)
           when { resource.requester == principal };"#,
    )]);
    let ann = json!({ "kind": "person", "issuer": "staff", "subject": "ann", "kubernetes": null });
    let elevation = json!({ "id": "e", "duration": "1h", "reason": "to mend it", "requester": {
        "kind": "person", "issuer": "vendor", "subject": "vera" } });
    let asked = |asked: Json| json!({ "principal": ann, "grant": { "break_glass": true }, "asked": asked });
    let of_elevation = |action: &str, more: Json| {
        let mut asked = json!({ "action": action, "elevation": elevation, "ttl": null, "scopes": null });
        merge(&mut asked, &more);
        asked
    };
    for (asked_for, told) in [
        (of_elevation("approve", json!({ "duration": "1h" })), &["#ours"][..]),
        (of_elevation("view", json!({})), &["#own"]),
        (json!({}), &[]),
    ] {
        let facts = facts(&asked(asked_for));
        let text = |explanation: Explanation| serde_json::to_string(&explanation).unwrap();
        let about = text(explain_about(&sets, &world(), &facts).unwrap());
        assert!(told.iter().all(|name| about.contains(name)) && !about.contains("vault"), "{about}");
        let whole = text(explain(&sets, &world(), &facts).unwrap());
        assert!(whole.contains("vault") || facts.asked.action().as_str() == "view", "{whole}");
    }
}
