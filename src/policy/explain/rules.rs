//! The rules of the broker that no policy can lift.

use cedar_policy_core::ast::Var;

use super::change::{Change, To, Way, Ways, Wish};
use super::place::Place;
use super::value::Value;
use crate::policy::facts::{Asked, ElevationSeen, Facts};
use crate::policy::{KnownIssuer, World};

/// A rule that stands in the way.
#[derive(Clone, Debug)]
pub(super) struct Rule {
    /// In words.
    pub(super) told: String,
    /// What would satisfy it, and what that would make of the request; any of them.
    undo: Vec<(String, Place, To)>,
}

impl Rule {
    pub(super) fn ways(&self) -> Ways {
        let change = |(say, place, to): &(String, Place, To)| {
            let change = Some((place.clone(), to.clone()));
            Way::of(Change { wish: Wish::Rule { say: say.clone(), change }, policy: None })
        };
        self.undo.iter().map(change).collect()
    }
}

/// Those that stand in the way of `facts`.
pub(super) fn standing(facts: &Facts, world: &World) -> Vec<Rule> {
    let name = &facts.grant.name;
    match &facts.asked {
        Asked::Issue { elevation: None, .. } if facts.grant.break_glass => vec![Rule {
            told: format!(
                "grant `{name}` is for break-glass: without an active elevation it is never issued"
            ),
            undo: vec![(
                "have an active elevation for the grant".to_owned(),
                Place::root(Var::Context).attribute("elevation"),
                To::Present,
            )],
        }],
        Asked::Request { .. } | Asked::Activate { .. } if !facts.grant.break_glass => vec![Rule {
            told: format!(
                "grant `{name}` is not for break-glass: nobody requests it, it is issued or it is not"
            ),
            undo: vec![(
                "the grant is configured for break-glass".to_owned(),
                Place::root(Var::Resource).attribute("break_glass"),
                To::Is(Value::Truth(true)),
            )],
        }],
        Asked::Approve { elevation, .. } => approver(facts, elevation, world),
        _ => Vec::new(),
    }
}

fn approver(facts: &Facts, elevation: &ElevationSeen, world: &World) -> Vec<Rule> {
    let own = (elevation.requester.id() == facts.principal.id()).then(|| Rule {
        told: "nobody approves what they requested themselves".to_owned(),
        undo: vec![(
            "the request is somebody else's".to_owned(),
            Place::root(Var::Resource).attribute("requester"),
            To::NoneOf([Value::Text(facts.principal.id().to_string())].into()),
        )],
    });
    let issuer = &facts.principal.issuer;
    // Tools that know no issuers cannot tell who may approve.
    let barred =
        !world.issuers.is_empty() && !world.issuer(issuer.as_str()).is_some_and(|known| known.may_approve);
    let barred = barred.then(|| Rule {
        told: format!(
            "people of issuer `{issuer}` do not approve: the configuration does not say `may_approve = true`"
        ),
        undo: world.issuers.iter().filter(|known| known.may_approve).filter_map(by_issuer).collect(),
    });
    own.into_iter().chain(barred).collect()
}

fn by_issuer(known: &KnownIssuer) -> Option<(String, Place, To)> {
    let uid = format!("Tidegate::Issuer::\"{}\"", known.name).parse().ok()?;
    let say = format!("come from an issuer whose people may approve, such as `{}`", known.name);
    Some((say, Place::root(Var::Principal).attribute("issuer"), To::Is(Value::Entity(uid))))
}
