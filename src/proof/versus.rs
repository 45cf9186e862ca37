//! Two versions of the sets, one against the other.

use cedar_policy_core::ast::Expr;

use super::formula::{Doubt, Whose, permitted};
use super::search::{Aim, Ground};
use super::shape::Shape;
use super::worlds::Version;
use crate::policy::{Facts, PolicySets};

/// An older and a newer version, both or one author's part of them.
#[derive(Debug)]
pub(super) struct Versus<'a> {
    old: Side<'a>,
    new: Side<'a>,
    whose: Whose,
}

/// One version.
#[derive(Debug)]
struct Side<'a> {
    sets: &'a PolicySets,
    /// What decides about facts; `None` where nobody is asked, which permits.
    decides: Decides<'a>,
}

#[derive(Debug)]
enum Decides<'a> {
    Both(&'a PolicySets),
    One(Option<Box<PolicySets>>),
}

impl<'a> Versus<'a> {
    pub(super) fn new(old: &'a PolicySets, new: &'a PolicySets, whose: Whose) -> Result<Self, Doubt> {
        Ok(Self { old: Side::new(old, whose)?, new: Side::new(new, whose)?, whose })
    }

    /// Searches for what only the newer version permits, or only the older.
    pub(super) fn aim(&self, ground: &Ground<'_>, shape: Shape, wider: bool) -> Result<Aim<'a>, Doubt> {
        let old = self.condition(&self.old, Version::Older, ground, shape)?;
        let new = self.condition(&self.new, Version::Newer, ground, shape)?;
        let (first, second) = if wider { (new, old) } else { (old, new) };
        Ok(Aim { shape, only: None, first, second, wants_second: false })
    }

    /// What one version permits, where groups and owners are as that version has them.
    fn condition(
        &self,
        side: &Side<'_>,
        version: Version,
        ground: &Ground<'_>,
        shape: Shape,
    ) -> Result<Expr, Doubt> {
        let permitted = permitted(side.sets, self.whose, shape)?;
        ground.literals.teams.as_in(version, shape, &permitted)
    }

    /// Do only the newer sets permit it?
    pub(super) fn widens(&self, facts: &Facts) -> Result<(), String> {
        only_one(&self.new, &self.old, facts)
    }

    /// Do only the older sets permit it?
    pub(super) fn narrows(&self, facts: &Facts) -> Result<(), String> {
        only_one(&self.old, &self.new, facts)
    }

    /// What each says to it, in words.
    pub(super) fn told(&self, facts: &Facts) -> (String, String) {
        let told = |side: &Side<'_>| side.denied(facts).unwrap_or_else(|| "permit".to_owned());
        (told(&self.old), told(&self.new))
    }
}

fn only_one(permits: &Side<'_>, denies: &Side<'_>, facts: &Facts) -> Result<(), String> {
    match (permits.denied(facts), denies.denied(facts)) {
        (None, Some(_)) => Ok(()),
        (Some(why), _) => Err(why),
        (None, None) => Err("both permit it".to_owned()),
    }
}

impl<'a> Side<'a> {
    fn new(sets: &'a PolicySets, whose: Whose) -> Result<Self, Doubt> {
        let decides = match whose.author() {
            None => Decides::Both(sets),
            Some(author) => Decides::One(sets.only(author).map_err(Doubt::of)?.map(Box::new)),
        };
        Ok(Self { sets, decides })
    }

    /// Why it is denied; `None` when it is not.
    fn denied(&self, facts: &Facts) -> Option<String> {
        let sets = match &self.decides {
            Decides::Both(sets) => *sets,
            Decides::One(Some(sets)) => sets,
            Decides::One(None) => return None,
        };
        sets.decide(facts).err().map(|denial| denial.reason.to_string())
    }
}
