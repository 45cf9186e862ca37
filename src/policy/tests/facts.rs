//! Facts say everything that a decision depended on: what is written down decides the same, and reads back as it was.

use std::time::Duration;

use super::*;
use crate::policy::facts::{Asked as AskedFacts, PrincipalFacts};

fn read_back(facts: &Facts) -> Facts {
    serde_json::from_str(&serde_json::to_string(facts).unwrap()).unwrap()
}

#[test]
fn every_callers_facts_read_back_as_the_caller() {
    for principal in principals() {
        for grant in ["a", "b"] {
            let asked = Asked::of(principal.clone(), grant).under(2);
            let facts = Facts::of_issue(&asked.question());
            assert_eq!(read_back(&facts), facts);
            assert_eq!(facts.caller().unwrap(), principal);
            assert_eq!(facts.auth.to_authentication(), asked.authentication);
        }
    }
}

#[test]
fn a_record_has_this_form() {
    let facts = Facts::of_issue(&Asked { client_cert: None, actor: None, ..orders() }.question());
    let text = serde_json::to_value(&facts).unwrap();
    assert_eq!(
        text,
        serde_json::json!({
            "at": "2026-11-22T16:00:00.25Z",
            "principal": {
                "kind": "workload", "issuer": "prod", "subject": "w", "groups": ["g"],
                "kubernetes": {"namespace": "orders", "service_account": "api", "pod": "api-1"},
                "tags": {"empty": [], "team": ["blue", "red"]},
            },
            "grant": {
                "name": "a", "version": text["grant"]["version"], "kind": "jwt", "break_glass": false,
                "labels": ["red"], "sets": ["s", "t"],
            },
            "source_ip": "::ffff:10.1.2.3",
            "auth": {
                "issued_at": "2026-11-22T16:00:00Z", "acr": "1", "amr": ["mfa"],
                "auth_time": "2026-11-22T16:00:00.25Z",
            },
            "asked": {"action": "issue", "ttl": "5m", "scopes": ["read"]},
        })
    );
}

#[test]
fn facts_that_no_request_can_have_are_refused_and_never_permitted() {
    let engine = Folder::new(&[("customer/a.cedar", ALLOW)]).engine();
    let good = Facts::of_issue(&orders().question());
    assert!(engine.sets().decide(&good).is_ok());
    let with = |change: &dyn Fn(&mut Facts)| {
        let mut facts = good.clone();
        change(&mut facts);
        engine.sets().decide(&facts).unwrap_err().reason.to_string()
    };
    let two_records = with(&|facts| {
        facts.principal.spiffe = Some(Spiffe { trust_domain: "d".into(), path: "/".into() });
    });
    assert!(two_records.contains("two profiles"), "{two_records}");
    let half_a_second = with(&|facts| {
        let AskedFacts::Issue { ttl, .. } = &mut facts.asked else { unreachable!() };
        *ttl = Duration::from_millis(500);
    });
    assert!(half_a_second.contains("whole number of seconds"), "{half_a_second}");
    let workload_asks = with(&|facts| facts.asked = AskedFacts::Lock);
    assert!(workload_asks.contains("is no person"), "{workload_asks}");
    let kind = with(&|facts| facts.grant.kind = "ssh".into());
    assert!(kind.contains("`jwt` or `aws`"), "{kind}");
}

#[test]
fn an_unknown_field_is_refused() {
    let mut value = serde_json::to_value(Facts::of_issue(&orders().question())).unwrap();
    for path in ["", "/principal", "/grant", "/auth", "/asked", "/principal/kubernetes"] {
        let mut value = value.clone();
        value.pointer_mut(path).unwrap()["more"] = true.into();
        assert!(serde_json::from_value::<Facts>(value).is_err(), "{path}");
    }
    value["principal"]["kind"] = "robot".into();
    assert!(serde_json::from_value::<Facts>(value).is_err());
}

#[test]
fn the_break_glass_rule_holds_for_facts_too() {
    let engine = Folder::new(&[("customer/a.cedar", ALLOW)]).engine();
    let asked = Asked::of(person(None), "b");
    let denial = engine.sets().decide(&Facts::of_issue(&asked.question())).unwrap_err();
    assert!(denial.reason.to_string().contains("needs an active elevation"), "{}", denial.reason);
    assert!(engine.sets().decide(&Facts::of_issue(&asked.under(1).question())).is_ok());
}

#[test]
fn a_person_is_no_workload_and_has_no_workloads_record() {
    let Principal::Person(ann) = person(Some("Ann")) else { unreachable!() };
    let facts = PrincipalFacts::of_person(&ann);
    assert_eq!(facts.to_person().unwrap(), ann);
    assert!(facts.to_workload().is_err());
    let WorkloadAttributes::Kubernetes(record) = kubernetes() else { unreachable!() };
    assert!(PrincipalFacts { kubernetes: Some(record), ..facts }.to_person().is_err());
}
