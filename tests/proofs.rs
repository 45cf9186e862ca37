//! What can never happen is proved of the shipped policies, and differences of policies are found, with the real solver
//! (cvc5; `scripts/setup` installs it) and against brute force. Refutations first.

#![allow(
    unreachable_pub,
    dead_code,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::disallowed_methods,
    clippy::too_many_lines,
    reason = "tests"
)]

#[path = "proofs/place.rs"]
mod place;

#[path = "proofs/assumptions.rs"]
mod assumptions;
#[path = "proofs/brute.rs"]
mod brute;
#[path = "proofs/pairs.rs"]
mod pairs;
#[path = "proofs/shipped.rs"]
mod shipped;
#[path = "proofs/solver.rs"]
mod solver;
#[path = "proofs/teams.rs"]
mod teams;
#[path = "proofs/trust.rs"]
mod trust;
