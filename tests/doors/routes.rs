//! The route tables against what is served and what is documented.

use serde_json::Value;
use tidegate::http::{Access, OPS_ROUTES, PUBLIC_ROUTES, Route, Writes};

use crate::world::World;

fn concrete(route: &Route) -> String {
    route.path.replace("{*path}", "0/000")
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
        assert!(route.method == "GET" || !silent, "{} changes something and writes nothing", route.path);
    }
}

#[tokio::test]
async fn a_request_without_credentials_is_refused_wherever_some_are_needed() {
    let world = World::start().await;
    let public = PUBLIC_ROUTES.iter().map(|route| (route, world.url(&concrete(route))));
    let ops = OPS_ROUTES.iter().map(|route| (route, world.ops(&concrete(route))));
    for (route, url) in public.chain(ops).collect::<Vec<_>>() {
        if matches!(route.access, Access::SubjectToken | Access::Operator) {
            let answer = world.http.request(route.method.parse().unwrap(), url).send().await.unwrap();
            assert!(answer.status().is_client_error(), "{} {}", route.method, route.path);
        }
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
