//! The nearest miss: of all ways to be permitted, the one that asks for the fewest changes.
//!
//! A search over changed requests, the fewest changes first. Each one that can be tried is decided anew by the same rule as
//! the real one; what is then still in the way leads on.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::change::{Change, Way};
use super::edit::after;
use super::look::Judge;
use super::shape::{NearestMiss, Suggested};
use crate::policy::Facts;

/// Decisions that one search may take.
const MOST_TRIES: usize = 300;

/// A way that was not looked at yet. The order is that of the search.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Open {
    cost: (usize, u32),
    /// What can be tried comes before what cannot.
    untried: bool,
    order: usize,
}

/// The way with the fewest changes; `None` when there is none, or none was found in time.
pub(super) fn nearest(judge: Judge<'_>, facts: &Facts) -> Option<NearestMiss> {
    let (way, verified) = search(judge, facts)?;
    let told = |change: &Change| Suggested { say: change.say(), policy: change.policy.clone() };
    Some(NearestMiss { changes: way.0.iter().map(told).collect(), verified })
}

/// The way, where it was tried.
#[cfg(test)]
pub(super) fn way(judge: Judge<'_>, facts: &Facts) -> Option<Way> {
    search(judge, facts).filter(|(_, verified)| *verified).map(|(way, _)| way)
}

fn search(judge: Judge<'_>, facts: &Facts) -> Option<(Way, bool)> {
    let mut search = Search { judge, facts, ways: Vec::new(), open: BinaryHeap::new() };
    search.expand(&Way::default(), facts);
    for _ in 0..MOST_TRIES {
        let Reverse(next) = search.open.pop()?;
        let way = search.ways.get(next.order)?.clone();
        if next.untried {
            return Some((way, false));
        }
        let Some(changed) = after(&way, facts, judge.world) else { continue };
        if judge.look(&changed).is_ok_and(|look| look.permitted()) {
            return Some((search.without_idle_changes(way), true));
        }
        search.expand(&way, &changed);
    }
    None
}

struct Search<'a> {
    judge: Judge<'a>,
    facts: &'a Facts,
    ways: Vec<Way>,
    open: BinaryHeap<Reverse<Open>>,
}

impl Search<'_> {
    /// Adds what leads on from `way`, which made `changed` of the request.
    fn expand(&mut self, way: &Way, changed: &Facts) {
        let Ok(look) = self.judge.look(changed) else { return };
        for step in look.ways_on() {
            let Some(longer) = way.and(&step) else { continue };
            if longer == *way || self.ways.contains(&longer) {
                continue;
            }
            let untried = after(&longer, self.facts, self.judge.world).is_none();
            let order = self.ways.len();
            self.open.push(Reverse(Open { cost: longer.cost(), untried, order }));
            self.ways.push(longer);
        }
    }

    /// A later change may have made an earlier one needless.
    fn without_idle_changes(&self, mut way: Way) -> Way {
        let mut at = 0;
        while at < way.0.len() {
            let mut shorter = way.clone();
            shorter.0.remove(at);
            if self.is_permitted(&shorter) { way = shorter } else { at += 1 }
        }
        way
    }

    fn is_permitted(&self, way: &Way) -> bool {
        let changed = after(way, self.facts, self.judge.world);
        changed.is_some_and(|changed| self.judge.look(&changed).is_ok_and(|look| look.permitted()))
    }
}
