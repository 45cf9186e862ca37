//! The doors over real HTTP, in one process, with a clock that the tests move: each test is a sentence, refusals first.

#![allow(
    missing_docs,
    unreachable_pub,
    dead_code,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::indexing_slicing,
    clippy::unused_self,
    clippy::cast_possible_truncation,
    clippy::format_push_string,
    clippy::needless_pass_by_value,
    clippy::disallowed_methods,
    reason = "tests"
)]

#[path = "proofs/place.rs"]
mod place;
#[path = "proofs/planted.rs"]
mod planted;

#[path = "harness/certificates.rs"]
mod certificates;
#[path = "harness/postgres.rs"]
mod postgres;
#[path = "harness/tokens.rs"]
mod tokens;

#[path = "doors/world.rs"]
mod world;

#[path = "doors/api.rs"]
mod api;
#[path = "doors/bodies.rs"]
mod bodies;
#[path = "doors/breakglass.rs"]
mod breakglass;
#[path = "doors/caller_identity.rs"]
mod caller_identity;
#[path = "doors/container.rs"]
mod container;
#[path = "doors/events.rs"]
mod events;
#[path = "doors/examples.rs"]
mod examples;
#[path = "doors/exchange.rs"]
mod exchange;
#[path = "doors/explain.rs"]
mod explain;
#[path = "doors/explain_now.rs"]
mod explain_now;
#[path = "doors/form.rs"]
mod form;
#[path = "doors/frozen.rs"]
mod frozen;
#[path = "doors/invariants.rs"]
mod invariants;
#[path = "doors/locks.rs"]
mod locks;
#[path = "doors/metadata.rs"]
mod metadata;
#[path = "doors/narrowing.rs"]
mod narrowing;
#[path = "doors/ops.rs"]
mod ops;
#[path = "doors/proofs.rs"]
mod proofs;
#[path = "doors/replay.rs"]
mod replay;
#[path = "doors/replicas.rs"]
mod replicas;
#[path = "doors/routes.rs"]
mod routes;
#[path = "doors/shipped.rs"]
mod shipped;
#[path = "doors/sick.rs"]
mod sick;
#[path = "doors/sts.rs"]
mod sts;
#[path = "doors/sts_door.rs"]
mod sts_door;
#[path = "doors/tls.rs"]
mod tls;
#[path = "doors/tokens_after.rs"]
mod tokens_after;
