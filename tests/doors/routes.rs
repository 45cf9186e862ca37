//! The route tables against what is served and what is documented.

use serde_json::{Value, json};
use tidegate::http::{Access, OPS_ROUTES, PUBLIC_ROUTES, Route, Writes};

use crate::world::World;

const UNKNOWN: &str = "01a204b4-7a5e-7994-8652-29cf5b8dd4ce";

fn concrete(route: &Route) -> String {
    let kind = if route.path.starts_with("/v1/locks") { "lck-" } else { "elv-" };
    route
        .path
        .replace("{*path}", "0/000")
        .replace("{id}", &format!("{kind}{UNKNOWN}"))
        .replace("{index}", "0")
}

/// A body that the route takes.
fn body(route: &Route) -> Value {
    body_of(route.method, route.path)
}

fn body_of(method: &str, path: &str) -> Value {
    match (method, path) {
        ("POST", "/v1/elevations") => crate::api::ask("prod-ledger"),
        ("POST", "/v1/locks") => json!({ "target": { "all": true }, "reason": "INC-42 is suspicious" }),
        ("POST", "/v1/explain") => json!({
            "grant": "prod-ledger", "principal": { "kind": "person", "issuer": "people", "subject": "ann" },
        }),
        ("POST", path) if path.ends_with("/deny") || path.ends_with("/revoke") => {
            json!({ "reason": "INC-42 is suspicious" })
        }
        ("POST", _) => json!({}),
        _ => Value::Null,
    }
}

fn for_people() -> Vec<&'static Route> {
    PUBLIC_ROUTES.iter().filter(|route| route.access == Access::Person).collect()
}

#[tokio::test]
async fn every_route_of_the_tables_is_served() {
    let world = World::start().await;
    let public = PUBLIC_ROUTES.iter().map(|route| (route, world.url(&concrete(route))));
    let ops = OPS_ROUTES.iter().map(|route| (route, world.ops(&concrete(route))));
    for (route, url) in public.chain(ops).collect::<Vec<_>>() {
        let answer = world.http.request(route.method.parse().unwrap(), url).send().await.unwrap();
        let tile = route.path.contains("{*path}");
        assert!(tile || ![404, 405].contains(&answer.status().as_u16()), "{} {}", route.method, route.path);
    }
}

#[test]
fn whatever_changes_something_authenticates_and_writes_an_entry() {
    for route in PUBLIC_ROUTES.iter().chain(&OPS_ROUTES) {
        let open = matches!(route.access, Access::Public | Access::OpsListener);
        let silent = matches!(route.writes, Writes::Nothing);
        assert!(!open || route.method == "GET", "{} is open and changes something", route.path);
        let asks = route.path == "/oauth2/introspect";
        assert!(
            route.method == "GET" || asks || !silent,
            "{} changes something and writes nothing",
            route.path
        );
    }
}

#[tokio::test]
async fn a_request_without_credentials_is_refused_wherever_some_are_needed() {
    let world = World::start().await;
    let public = PUBLIC_ROUTES.iter().map(|route| (route, world.url(&concrete(route))));
    let ops = OPS_ROUTES.iter().map(|route| (route, world.ops(&concrete(route))));
    for (route, url) in public.chain(ops).collect::<Vec<_>>() {
        let open = matches!(route.access, Access::Public | Access::OpsListener);
        if !open {
            let answer = world.http.request(route.method.parse().unwrap(), url).send().await.unwrap();
            assert!(answer.status().is_client_error(), "{} {}", route.method, route.path);
        }
    }
}

#[tokio::test]
async fn a_workload_is_refused_at_every_door_for_people_and_so_is_an_unknown_parameter() {
    let world = World::start().await;
    let (workload, lead) = (world.token("billing"), world.staff("lea", "leads"));
    for route in for_people() {
        let path = concrete(route);
        let answer = world.api(&workload, route.method, &path, body(route)).await;
        answer.problem(403, "workload_token");
        let answer = world.api(&lead, route.method, &format!("{path}?x=1"), body(route)).await;
        answer.problem(400, "invalid_request");
    }
}

/// What a route does for a person who may nothing: refuses, or shows that there is nothing for them.
#[tokio::test]
async fn a_person_without_any_right_gets_nothing_out_of_any_route() {
    let world = World::start().await;
    let id = world.requested("prod-ledger").await;
    let stranger = world.sign_in(&world.staff, "staff", "zoe", &[]);
    for route in for_people().into_iter().filter(|route| route.path != "/v1/events") {
        for path in [concrete(route), concrete(route).replace(&format!("elv-{UNKNOWN}"), &id)] {
            let answer = world.api(&stranger, route.method, &path, body(route)).await;
            match (route.method, route.path) {
                ("GET", "/v1/elevations") => assert_eq!(answer.done()["elevations"], json!([])),
                ("GET", "/v1/locks") => assert_eq!(answer.done()["locks"], json!([])),
                ("GET", "/v1/grants") => assert_eq!(answer.done()["grants"], json!([])),
                ("GET", "/v1/whoami") => assert_eq!(answer.done()["subject"], "zoe"),
                (_, path) if path.contains("{id}") || path == "/v1/explain" => {
                    drop(answer.problem(404, "not_found"));
                }
                _ => {
                    assert_eq!(
                        (answer.status, &answer.body["status"]),
                        (403, &json!(403)),
                        "{}",
                        answer.body
                    );
                }
            }
        }
    }
    assert_eq!(world.shown(&id).await["version"], 1, "nothing was changed");
}

/// Everybody here has some right, and not the one that the route wants.
#[tokio::test]
async fn the_wrong_person_is_refused_at_every_route_that_has_a_right() {
    let world = World::start().await;
    let (waiting, open) = (world.requested("prod-ledger").await, world.opened("prod-admin").await);
    let (ann, bea) = (world.engineer("ann"), world.engineer("bea"));
    let (vic, lea) = (world.staff("vic", "viewers"), world.staff("lea", "leads"));
    let harmless = json!({ "target": { "grant": "short-lived" }, "reason": "INC-42 is suspicious" });
    let set = world.api(&lea, "POST", "/v1/locks", harmless).await.done();
    let lock = set["id"].as_str().unwrap().to_owned();
    let rows = [
        ("POST /v1/elevations", "", &lea, 403, "grant_unavailable"),
        ("GET /v1/elevations/{id}", &waiting, &bea, 404, "not_found"),
        ("POST /v1/elevations/{id}/approve", &waiting, &vic, 403, "policy"),
        ("POST /v1/elevations/{id}/approve", &waiting, &ann, 403, "requester_cannot_decide"),
        ("POST /v1/elevations/{id}/deny", &waiting, &vic, 403, "policy"),
        ("POST /v1/elevations/{id}/deny", &waiting, &ann, 403, "requester_cannot_decide"),
        ("POST /v1/elevations/{id}/withdraw", &waiting, &lea, 403, "not_the_requester"),
        ("POST /v1/elevations/{id}/withdraw", &waiting, &bea, 404, "not_found"),
        ("POST /v1/elevations/{id}/end", &open, &lea, 403, "not_the_requester"),
        ("POST /v1/elevations/{id}/end", &open, &bea, 404, "not_found"),
        ("POST /v1/elevations/{id}/revoke", &open, &vic, 403, "policy"),
        ("POST /v1/elevations/{id}/revoke", &open, &ann, 403, "policy"),
        ("POST /v1/locks", "", &vic, 403, "policy_denied"),
        ("DELETE /v1/locks/{id}", &lock, &vic, 404, "not_found"),
        ("POST /v1/explain", "", &lea, 404, "not_found"),
        ("GET /v1/audit/entries", "", &lea, 403, "policy"),
        ("GET /v1/audit/entries/{index}/proof", "0", &lea, 403, "policy"),
    ];
    for (route, name, token, status, code) in rows {
        let (method, path) = route.split_once(' ').unwrap();
        let before = world.entries_of("elevation.refused").await.len();
        let place = path.replace("{id}", name).replace("{index}", name);
        let answer = world.api(token, method, &place, body_of(method, path)).await;
        assert_eq!(
            (answer.status, answer.body["code"].as_str()),
            (status, Some(code)),
            "{route} {}",
            answer.body
        );
        let after = world.entries_of("elevation.refused").await.len();
        assert_eq!(after, before + 1, "{route} leaves an entry");
    }
    for (path, list, token) in [("/v1/elevations", "elevations", &bea), ("/v1/locks", "locks", &vic)] {
        assert_eq!(world.api(token, "GET", path, Value::Null).await.done()[list], json!([]), "{path}");
    }
    // Theirs by their own name alone, or checked elsewhere.
    let others =
        ["GET /v1/elevations", "GET /v1/locks", "GET /v1/grants", "GET /v1/whoami", "GET /v1/events"];
    for route in for_people() {
        let name = format!("{} {}", route.method, route.path);
        let has_row = others.contains(&name.as_str()) || rows.iter().any(|(route, ..)| *route == name);
        assert!(has_row, "{name} has no wrong person");
    }
    assert_eq!(
        (&world.shown(&waiting).await["version"], &world.shown(&open).await["state"]),
        (&json!(1), &json!("active"))
    );
    let locks = world.api(&lea, "GET", "/v1/locks", Value::Null).await.done();
    assert_eq!(locks["locks"].as_array().map(Vec::len), Some(1));
}

#[tokio::test]
async fn every_change_of_an_elevation_is_refused_in_every_state_that_it_does_not_start_from() {
    let world = World::start().await;
    let (ann, lea) = (world.engineer("ann"), world.staff("liv", "leads"));
    let reason = json!({ "reason": "INC-42 is over by now" });
    let ended = world.opened("prod-ledger").await;
    world.act(&ann, &ended, "end", json!({})).await.done();
    let withdrawn = world.requested("prod-ledger").await;
    world.act(&ann, &withdrawn, "withdraw", json!({})).await.done();
    let (requested, active) = (world.requested("prod-ledger").await, world.opened("prod-admin").await);
    let cases = [
        (&requested, &["end", "revoke"][..]),
        (&active, &["approve", "deny", "withdraw"][..]),
        (&ended, &["approve", "deny", "withdraw", "end", "revoke"][..]),
        (&withdrawn, &["approve", "deny", "withdraw", "end", "revoke"][..]),
    ];
    for (id, wrong) in cases {
        let before = world.shown(id).await;
        for what in wrong {
            let own = ["end", "withdraw"].contains(what);
            let body = if ["deny", "revoke"].contains(what) { reason.clone() } else { json!({}) };
            let answer = world.act(if own { &ann } else { &lea }, id, what, body).await;
            answer.problem(409, "wrong_state");
            assert_eq!(answer.body["current"], before, "{what}");
        }
        assert_eq!(world.shown(id).await, before);
    }
}

#[test]
fn the_openapi_document_and_the_public_table_name_the_same_routes() {
    let document: Value = serde_json::from_str(include_str!("../../docs/openapi.json")).unwrap();
    let mut documented: Vec<String> = Vec::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        documented.extend(
            methods.as_object().unwrap().keys().map(|method| format!("{} {path}", method.to_uppercase())),
        );
    }
    let mut served: Vec<String> = PUBLIC_ROUTES
        .iter()
        .map(|route| format!("{} {}", route.method, route.path.replace("{*path}", "{path}")))
        .collect();
    documented.sort();
    served.sort();
    assert_eq!(documented, served);
}
