//! The shortcuts of this room change no decision: asking only the candidates, building only what they read, and
//! remembering what was permitted before.

use std::str::FromStr;
use std::sync::OnceLock;

use cedar_policy::{
    Authorizer, Context, Decision, Entities, PolicySet, Request, Schema, ValidationMode, Validator,
};
use proptest::prelude::*;

use super::*;
use crate::policy::entities::{self, GrantEntity};
use crate::policy::load::{LoadedPolicy, load};
use crate::policy::reads::Reads;
use crate::policy::schema::{Vocabulary, schema};
use crate::policy::source::Sources;
use crate::policy::{context, decision::Author};

const PRINCIPAL_SCOPES: [&str; 6] = [
    "principal",
    "principal is Tidegate::Workload",
    "principal == Tidegate::Workload::\"prod|w\"",
    "principal in Tidegate::Group::\"staff/g\"",
    "principal is Tidegate::Person in Tidegate::Group::\"staff/h\"",
    "principal is Tidegate::Person",
];

const ACTION_SCOPES: [&str; 5] = [
    "action",
    "action == Tidegate::Action::\"issue\"",
    "action in [Tidegate::Action::\"issue\", Tidegate::Action::\"request\"]",
    "action in Tidegate::Action::\"issue\"",
    "action == Tidegate::Action::\"request\"",
];

const RESOURCE_SCOPES: [&str; 9] = [
    "resource",
    "resource is Tidegate::Grant",
    "resource == Tidegate::Grant::\"a\"",
    "resource == Tidegate::Grant::\"b\"",
    "resource in Tidegate::Grant::\"a\"",
    "resource in Tidegate::GrantSet::\"s\"",
    "resource in Tidegate::GrantSet::\"t\"",
    "resource is Tidegate::Grant in Tidegate::GrantSet::\"s\"",
    "resource is Tidegate::Elevation",
];

/// Conditions that may hold, may not, or may fail; the last ones need `issue` in their scope to mean anything.
const CONDITIONS: [&str; 26] = [
    "true",
    "principal.issuer == Tidegate::Issuer::\"prod\"",
    "principal.subject like \"*nn\"",
    "principal has kubernetes.pod && principal.kubernetes.pod == \"api-1\"",
    "principal has github && principal.github.repository_owner_id == \"1234\"",
    "principal has github.environment",
    "principal has gitlab.ref_protected && principal.gitlab.ref_protected",
    "principal has spiffe && principal.spiffe.path like \"/ns/*\"",
    "principal has aws.role_arn",
    "principal has name && principal has email && principal.name == \"Ann\"",
    "principal.hasTag(\"team\") && principal.getTag(\"team\").contains(\"blue\")",
    "principal in Tidegate::Group::\"prod/g\" || principal in [Tidegate::Group::\"staff/h\"]",
    "resource in Tidegate::GrantSet::\"t\" || resource.labels.contains(\"blue\")",
    "resource.break_glass",
    "context.now > datetime(\"2026-11-22T15:00:00Z\")",
    "context.auth.amr.contains(\"mfa\") && context.auth has acr",
    "context has source_ip && context.source_ip.isInRange(ip(\"10.0.0.0/8\"))",
    "context.ttl > duration(\"5m\")",
    "context.scopes == [\"read\"]",
    "context has client_cert && context.client_cert == \"thumb\"",
    "context has actor && context.actor has kubernetes && context.actor.kubernetes.namespace == \"orders\"",
    "context has actor && context.actor in Tidegate::Group::\"prod/g\" && context.actor.hasTag(\"team\")",
    "context has elevation",
    "context has elevation && context.elevation.approvals >= 2",
    "context has elevation && context.now < context.elevation.ends_at",
    "context.ttl.toSeconds() * 9223372036854775 > 0",
];

fn policy() -> impl Strategy<Value = String> {
    let scopes = (0..PRINCIPAL_SCOPES.len(), 0..ACTION_SCOPES.len(), 0..RESOURCE_SCOPES.len());
    let conditions = proptest::collection::vec((any::<bool>(), 0..CONDITIONS.len()), 0..3);
    (0..4_u8, scopes, conditions).prop_map(|(effect, (principal, action, resource), conditions)| {
        let effect = if effect == 0 { "forbid" } else { "permit" };
        let clause = |(when, n): (bool, usize)| {
            format!(" {} {{ {} }}", if when { "when" } else { "unless" }, CONDITIONS[n])
        };
        let clauses = conditions.into_iter().map(clause).collect::<Vec<_>>().concat();
        let [principal, action, resource] =
            [PRINCIPAL_SCOPES[principal], ACTION_SCOPES[action], RESOURCE_SCOPES[resource]];
        format!("{effect}({principal}, {action}, {resource}){clauses};")
    })
}

fn asked() -> impl Strategy<Value = Asked> {
    let caller = proptest::sample::select(principals());
    let grant = proptest::sample::select(vec!["a", "b", "c"]);
    // Often the same, so that permits are remembered.
    let lifetime = prop_oneof![Just(300_i64), 1..604_800_i64];
    let approvals = proptest::option::of(1..4_u32);
    (caller, grant, any::<[bool; 8]>(), lifetime, approvals).prop_map(
        |(caller, grant, bits, ttl, approvals)| {
            let mut asked = Asked::of(caller, grant);
            if let Some(approvals) = approvals {
                asked = asked.under(approvals);
            }
            asked.ttl = Lifetime::from_seconds(ttl).unwrap();
            asked.source_ip = asked.source_ip.filter(|_| bits[0]);
            asked.client_cert = asked.client_cert.filter(|_| bits[1]);
            asked.actor = asked.actor.filter(|_| bits[2]);
            asked.authentication.acr = asked.authentication.acr.filter(|_| bits[3]);
            asked.at = if bits[4] { asked.at } else { Moment::from_unix_seconds(1) };
            if bits[5] {
                asked.scopes.clear();
            }
            if let Principal::Workload(caller) = &mut asked.principal {
                caller.groups.retain(|_| bits[6]);
                caller.tags.retain(|_, _| bits[7]);
            }
            asked
        },
    )
}

/// Parsing the schema is dear, and always gives the same.
fn shared() -> &'static (Schema, Validator) {
    static SHARED: OnceLock<(Schema, Validator)> = OnceLock::new();
    SHARED.get_or_init(|| {
        let schema = schema().unwrap();
        (schema.clone(), Validator::new(schema))
    })
}

/// Only policies that pass validation, so that random ones can be put together.
fn is_valid(text: &str) -> bool {
    let result = shared().1.validate(&PolicySet::from_str(text).unwrap(), ValidationMode::Strict);
    result.validation_passed_without_warnings()
}

/// The whole request, everything built, checked against the schema.
fn built(asked: &Asked) -> (Request, Entities) {
    let words = Vocabulary::new().unwrap();
    let schema = &shared().0;
    let facts = GrantEntity::new(&asked.grant, &words, &Relations::default()).unwrap();
    let caller = entities::principal(&asked.principal, &words, &Relations::default(), Reads::ALL).unwrap();
    let actor = asked
        .actor
        .iter()
        .map(|actor| entities::workload(actor, &words, &Relations::default(), Reads::ALL).unwrap());
    let all = facts.entities.iter().cloned().chain([caller]).chain(actor);
    let entities = Entities::from_entities(all, Some(schema)).unwrap();
    let context: Context = context::issue(&asked.question(), &words, Reads::ALL).unwrap();
    let request = Request::new(
        entities::principal_uid(&asked.principal, &words),
        words.action(Action::Issue),
        facts.uid,
        context,
        Some(schema),
    );
    (request.unwrap(), entities)
}

/// As the text of the design says it: each author's whole set by itself, every error counts.
fn plainly(asked: &Asked, sets: &[PolicySet]) -> &'static str {
    if asked.grant.break_glass.is_some() && asked.elevation.is_none() {
        return "error";
    }
    let (request, entities) = built(asked);
    let answers: Vec<_> =
        sets.iter().map(|set| Authorizer::new().is_authorized(&request, set, &entities)).collect();
    if answers.iter().any(|answer| answer.diagnostics().errors().count() > 0) {
        return "error";
    }
    if answers.iter().all(|answer| answer.decision() == Decision::Allow) { "permit" } else { "deny" }
}

fn quickly(asked: &Asked, engine: &PolicyEngine) -> &'static str {
    match engine.decide_issue(&asked.question()).map_err(|denial| denial.reason) {
        Ok(_) => "permit",
        Err(DenialReason::Error(_)) => "error",
        Err(_) => "deny",
    }
}

/// As facts in a record, read back by somebody who has no catalog.
fn recorded(asked: &Asked, engine: &PolicyEngine) -> &'static str {
    let text = serde_json::to_string(&Facts::of_issue(&asked.question())).unwrap();
    let facts: Facts = serde_json::from_str(&text).unwrap();
    match engine.sets().decide(&facts).map_err(|denial| denial.reason) {
        Ok(_) => "permit",
        Err(DenialReason::Error(_)) => "error",
        Err(_) => "deny",
    }
}

#[test]
fn what_we_build_has_the_schemas_shape_for_every_profile() {
    for principal in principals() {
        for grant in ["a", "b", "c"] {
            let mut asked = Asked::of(principal.clone(), grant);
            built(&asked);
            (asked.source_ip, asked.client_cert, asked.actor) = (None, None, None);
            (asked.authentication.acr, asked.authentication.auth_time) = (None, None);
            built(&asked);
        }
    }
}

#[test]
fn the_conditions_of_the_property_are_valid_and_not_idle() {
    for condition in CONDITIONS {
        let text = format!(
            "permit(principal, action == Tidegate::Action::\"issue\", resource) when {{ {condition} }};"
        );
        let narrowed = ["Person", "Workload"]
            .map(|kind| text.replace("(principal,", &format!("(principal is Tidegate::{kind},")));
        let some = is_valid(&text) || narrowed.iter().any(|text| is_valid(text));
        assert!(some, "{condition}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn the_engine_decides_as_each_whole_set_by_itself_would(
        customer in proptest::collection::vec(policy(), 1..12),
        vendor in proptest::option::of(proptest::collection::vec(policy(), 1..8)),
        requests in proptest::collection::vec(asked(), 1..8),
    ) {
        let mut files = Vec::new();
        let mut sets = Vec::new();
        for (author, texts) in [(Author::Customer, Some(customer)), (Author::Vendor, vendor)] {
            let Some(mut texts) = texts else { continue };
            texts.retain(|text| is_valid(text));
            texts.push("permit(principal, action, resource is Tidegate::Grant);".into());
            let text = texts.join("\n");
            sets.push(PolicySet::from_str(&text).unwrap());
            files.push((format!("{author}/x.cedar"), text));
        }
        let files: Vec<_> = files.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
        let engine = Folder::new(&files).engine();
        // Twice: the second time from memory, where that is allowed.
        for asked in requests.iter().chain(&requests) {
            prop_assert_eq!(quickly(asked, &engine), plainly(asked, &sets), "{:?} {:?}", asked, files);
            prop_assert_eq!(recorded(asked, &engine), quickly(asked, &engine), "{:?} {:?}", asked, files);
        }
    }

    #[test]
    fn every_moment_reads_in_cedar_as_the_moment_it_is(millis in -62_167_219_200_000_i64..253_402_300_799_999) {
        let at = Moment::from_unix_millis(millis);
        let value = crate::policy::values::datetime(at).unwrap();
        let context = Context::from_pairs([("at".to_owned(), value)]).unwrap();
        let text = format!("permit(principal, action, resource) when {{ context.at.toTime() == duration(\"{}ms\") \
            && context.at.durationSince(datetime(\"1970-01-01\")).toMilliseconds() == {millis} }};",
            millis.rem_euclid(86_400_000));
        let anyone = cedar_policy::EntityUid::from_str("A::\"a\"").unwrap();
        let request = Request::new(anyone.clone(), anyone.clone(), anyone, context, None).unwrap();
        let answer = Authorizer::new().is_authorized(&request, &text.parse().unwrap(), &Entities::empty());
        prop_assert_eq!(answer.decision(), Decision::Allow, "{:?}", answer);
    }
}

/// Keeps `LoadedPolicy` honest: its Cedar id is its name.
#[test]
fn a_loaded_policy_is_called_in_cedar_as_in_the_record() {
    let folder = Folder::new(&[("customer/a.cedar", ALLOW)]);
    let sources = Sources::read(&folder.settings().dir).unwrap();
    let loaded: Vec<LoadedPolicy> = load(&sources, &schema().unwrap()).unwrap();
    assert_eq!(loaded[0].policy.id().to_string(), loaded[0].name.as_str());
}
