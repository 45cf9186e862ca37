//! What is assumed of every request must hold for every request: otherwise "proved" would be said of some only.

use tidegate::policy::Invariant;
use tidegate::proof::{Shape, assumptions};

use crate::brute::universe;
use crate::place::{Folder, invariants, world};

/// The assumptions about one shape, as a policy that matches what they admit.
fn admitted(shape: Shape, text: &str) -> Invariant {
    let (kind, action) = (format!("{:?}", shape.principal), shape.action.as_str());
    let policy = format!(
        "@id(\"assumed\") @doc(\"assumed\") permit (principal is Tidegate::{kind}, \
         action == Tidegate::Action::\"{action}\", resource) when {{ {text} }};"
    );
    Invariant::parse("assumed.cedar", policy).unwrap_or_else(|error| panic!("{error}\n{text}")).remove(0)
}

#[test]
fn no_request_of_a_small_world_is_assumed_away() {
    let (world, sets, invariants) = (world(), Folder::shipped().sets(), invariants());
    let universe = universe(&world);
    for shape in Shape::all() {
        let text = assumptions(&sets, &invariants, &world, shape).unwrap();
        let admitted = admitted(shape, &text);
        let of_shape: Vec<_> = universe
            .iter()
            .filter(|facts| facts.asked.action() == shape.action && facts.principal.kind == shape.principal)
            .collect();
        assert!(!of_shape.is_empty(), "{shape}");
        for facts in of_shape {
            assert!(admitted.matches(facts, sets.relations()), "{shape}: {facts:?}");
        }
    }
}
