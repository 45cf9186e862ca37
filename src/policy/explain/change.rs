//! One thing that would have to be different in a request, and several of them as one way to another answer.

use std::collections::BTreeSet;

use cedar_policy::EntityUid;
use cedar_policy_core::ast::Var;

use super::place::Place;
use super::value::Value;

/// What would have to be found at a place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum To {
    Is(Value),
    NoneOf(BTreeSet<Value>),
    AtMost(Value),
    AtLeast(Value),
    /// A set with this in it.
    With(Value),
    Without(Value),
    /// A set with nothing else in it.
    Within(BTreeSet<Value>),
    Present,
    Absent,
    In(EntityUid),
    NotIn(EntityUid),
    /// Of a network of addresses.
    From(String),
    NotFrom(String),
    /// A pattern of Cedar's, and a text that fits it.
    Like(String, String),
    Unlike(String),
    /// The type of an entity, without its namespace.
    Kind(String),
}

/// What would have to be different.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Wish {
    At(Place, To),
    /// A condition that no single value mends: its text, and whether it would have to hold.
    Condition {
        source: String,
        hold: bool,
    },
    /// A rule that is not a policy's.
    Rule {
        say: String,
        /// What the place would hold then, where that can be tried.
        change: Option<(Place, To)>,
    },
}

/// A wish, and whose condition asks for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Change {
    pub(super) wish: Wish,
    /// The policy's name; none for a rule of the broker.
    pub(super) policy: Option<String>,
}

/// Changes that are made together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Way(pub(super) Vec<Change>);

/// Several ways, the shortest first; none when there is no way.
pub(super) type Ways = Vec<Way>;

/// More than this are not kept: longer ones would not be told in any case.
const MOST_WAYS: usize = 24;

/// Nothing has to change.
pub(super) fn done() -> Ways {
    vec![Way::default()]
}

impl Way {
    pub(super) fn of(change: Change) -> Self {
        Self(vec![change])
    }

    /// Both; `None` when they contradict each other.
    pub(super) fn and(&self, other: &Self) -> Option<Self> {
        other.0.iter().try_fold(self.clone(), |way, change| way.with(change.clone()))
    }

    fn with(mut self, new: Change) -> Option<Self> {
        let mut kept = Vec::with_capacity(self.0.len() + 1);
        let mut new = Some(new);
        for old in self.0.drain(..) {
            match new.as_ref().map(|new| meet(&old, new)) {
                None | Some(Meet::Both) => kept.push(old),
                Some(Meet::Old) => {
                    new = None;
                    kept.push(old);
                }
                Some(Meet::New) => {}
                Some(Meet::Never) => return None,
            }
        }
        kept.extend(new);
        Some(Self(kept))
    }

    /// How much it asks for: the number of changes, then how hard they are to make.
    pub(super) fn cost(&self) -> (usize, u32) {
        (self.0.len(), self.0.iter().map(Change::effort).sum())
    }
}

/// Every pair that does not contradict itself.
pub(super) fn both(one: &Ways, other: &Ways) -> Ways {
    best(one.iter().flat_map(|one| other.iter().filter_map(|other| one.and(other))).collect())
}

/// The ways of either.
pub(super) fn either(mut one: Ways, other: Ways) -> Ways {
    one.extend(other);
    best(one)
}

fn best(mut ways: Ways) -> Ways {
    ways.sort_by_key(Way::cost);
    let mut kept: Ways = Vec::new();
    for way in ways {
        if kept.len() == MOST_WAYS {
            break;
        }
        if !kept.contains(&way) {
            kept.push(way);
        }
    }
    kept
}

/// What becomes of two changes.
enum Meet {
    Both,
    Old,
    New,
    Never,
}

fn meet(old: &Change, new: &Change) -> Meet {
    let (Some((at, to)), Some((new_at, new_to))) = (old.target(), new.target()) else {
        return if old.wish == new.wish { Meet::Old } else { Meet::Both };
    };
    if at == new_at {
        return meet_at(to, new_to);
    }
    match (to, new_to) {
        // Whatever is found within it is within something.
        (To::Present, To::Absent) | (To::Absent, To::Present) => Meet::Both,
        (To::Present, _) if new_at.is_under(at) => Meet::New,
        (_, To::Present) if at.is_under(new_at) => Meet::Old,
        (To::Absent, _) if new_at.is_under(at) => Meet::Never,
        (_, To::Absent) if at.is_under(new_at) => Meet::Never,
        _ => Meet::Both,
    }
}

fn meet_at(old: &To, new: &To) -> Meet {
    match (old, new) {
        _ if old == new => Meet::Old,
        (To::Absent, _) | (_, To::Absent) | (To::Is(_), To::Is(_)) | (To::Kind(_), To::Kind(_)) => {
            Meet::Never
        }
        (To::Present, _) => Meet::New,
        (_, To::Present) => Meet::Old,
        (To::Is(value), To::NoneOf(not)) => prefer(!not.contains(value), Meet::Old),
        (To::NoneOf(not), To::Is(value)) => prefer(!not.contains(value), Meet::New),
        (To::Is(value), To::AtMost(most)) => prefer(value <= most, Meet::Old),
        (To::AtMost(most), To::Is(value)) => prefer(value <= most, Meet::New),
        (To::Is(value), To::AtLeast(least)) => prefer(value >= least, Meet::Old),
        (To::AtLeast(least), To::Is(value)) => prefer(value >= least, Meet::New),
        (To::AtMost(one), To::AtMost(other)) => {
            prefer(true, if one <= other { Meet::Old } else { Meet::New })
        }
        (To::AtLeast(one), To::AtLeast(other)) => {
            prefer(true, if one >= other { Meet::Old } else { Meet::New })
        }
        (To::AtMost(most), To::AtLeast(least)) | (To::AtLeast(least), To::AtMost(most)) => {
            prefer(least <= most, Meet::Both)
        }
        (To::With(one), To::Without(other)) | (To::Without(other), To::With(one)) => {
            prefer(one != other, Meet::Both)
        }
        (To::In(one), To::NotIn(other)) | (To::NotIn(other), To::In(one)) => prefer(one != other, Meet::Both),
        _ => Meet::Both,
    }
}

fn prefer(possible: bool, meet: Meet) -> Meet {
    if possible { meet } else { Meet::Never }
}

impl Change {
    /// What a place would hold.
    pub(super) fn target(&self) -> Option<(&Place, &To)> {
        match &self.wish {
            Wish::At(place, to) => Some((place, to)),
            Wish::Rule { change, .. } => change.as_ref().map(|(place, to)| (place, to)),
            Wish::Condition { .. } => None,
        }
    }

    /// Of two ways with as many changes, the one that the caller can walk alone comes first: asking for less, then signing in
    /// anew, then coming from elsewhere or later, then being somebody else, then another grant.
    fn effort(&self) -> u32 {
        let Some((place, to)) = self.target() else { return 40 };
        let first = place.names().and_then(|names| names.first().copied().map(str::to_owned));
        // To be known, or unknown, is no aim of anybody's: a value is.
        let vague = u32::from(matches!(to, To::Present | To::Absent));
        let effort = match (place.root, first.as_deref()) {
            (_, _) if matches!(to, To::Kind(_)) => 30,
            (Var::Context, Some("ttl" | "duration" | "scopes")) => 1,
            (Var::Context, Some("auth" | "client_cert")) => 2,
            (Var::Context, Some("elevation" | "approvals")) => 3,
            (Var::Context, Some("source_ip")) => 4,
            (Var::Context, _) => 5,
            (Var::Principal, Some("issuer")) => 20,
            (Var::Principal, Some("subject")) => 15,
            (Var::Principal, _) => 10,
            (Var::Resource, Some("requester")) => 16,
            (Var::Resource | Var::Action, _) => 25,
        };
        effort + vague
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn way(changes: &[(&Place, To)]) -> Way {
        let of = |(place, to): &(&Place, To)| Change {
            wish: Wish::At((*place).clone(), to.clone()),
            policy: None,
        };
        Way(changes.iter().map(of).collect())
    }

    fn text(text: &str) -> Value {
        Value::Text(text.to_owned())
    }

    fn targets(way: &Way) -> Vec<To> {
        way.0.iter().map(|change| change.target().unwrap().1.clone()).collect()
    }

    #[test]
    fn what_contradicts_itself_is_no_way() {
        let ttl = Place::root(Var::Context).attribute("ttl");
        let kubernetes = Place::root(Var::Principal).attribute("kubernetes");
        let namespace = kubernetes.clone().attribute("namespace");
        for (one, other) in [
            ((&namespace, To::Is(text("a"))), (&namespace, To::Is(text("b")))),
            ((&namespace, To::Is(text("a"))), (&namespace, To::NoneOf([text("a")].into()))),
            ((&ttl, To::AtMost(Value::Span(5))), (&ttl, To::AtLeast(Value::Span(6)))),
            ((&ttl, To::AtMost(Value::Span(5))), (&ttl, To::Is(Value::Span(6)))),
            ((&namespace, To::Is(text("a"))), (&kubernetes, To::Absent)),
            ((&ttl, To::Present), (&ttl, To::Absent)),
        ] {
            assert_eq!(way(std::slice::from_ref(&one)).and(&way(std::slice::from_ref(&other))), None);
            assert_eq!(way(&[other]).and(&way(&[one])), None);
        }
    }

    #[test]
    fn what_another_change_brings_about_is_not_asked_for_twice() {
        let context = Place::root(Var::Context);
        let (ttl, address) = (context.clone().attribute("ttl"), context.attribute("source_ip"));
        let kubernetes = Place::root(Var::Principal).attribute("kubernetes");
        let namespace = kubernetes.clone().attribute("namespace");
        let five = To::AtMost(Value::Span(5));
        for (one, other, left) in [
            ((&ttl, five.clone()), (&ttl, To::AtMost(Value::Span(9))), five.clone()),
            ((&ttl, five.clone()), (&ttl, To::Is(Value::Span(4))), To::Is(Value::Span(4))),
            ((&kubernetes, To::Present), (&namespace, To::Is(text("a"))), To::Is(text("a"))),
            (
                (&address, To::Present),
                (&address, To::From("10.0.0.0/8".into())),
                To::From("10.0.0.0/8".into()),
            ),
            (
                (&namespace, To::NoneOf([text("b")].into())),
                (&namespace, To::Is(text("a"))),
                To::Is(text("a")),
            ),
        ] {
            let together = way(std::slice::from_ref(&one)).and(&way(std::slice::from_ref(&other))).unwrap();
            assert_eq!(targets(&together), std::slice::from_ref(&left));
            assert_eq!(targets(&way(&[other]).and(&way(&[one])).unwrap()), [left]);
        }
    }

    #[test]
    fn the_shortest_way_comes_first_and_then_the_one_that_is_easiest_to_walk() {
        let context = Place::root(Var::Context);
        let ttl = || way(&[(&context.clone().attribute("ttl"), To::AtMost(Value::Span(5)))]);
        let issuer = || way(&[(&Place::root(Var::Principal).attribute("issuer"), To::Is(text("a")))]);
        let two = both(&vec![ttl()], &vec![issuer()]);
        assert_eq!(
            either(two.clone(), either(vec![issuer()], vec![ttl()])),
            [vec![ttl(), issuer()], two].concat()
        );
    }
}
