//! `Action` or `NotAction`, `Resource` or `NotResource` of a statement, and what two of them have in common.

use serde_json::Value;

use super::error::{NarrowError, Unmet, quoted};
use super::pattern::{Kind, Pattern};
use super::tokens::Budget;

/// What a statement is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Set {
    /// What one of these matches.
    Only(Vec<Pattern>),
    /// What none of these matches.
    AllBut(Vec<Pattern>),
}

impl Set {
    /// No text matches.
    pub(super) fn is_empty(&self) -> bool {
        matches!(self, Self::Only(patterns) if patterns.is_empty())
    }

    fn is_everything(&self) -> bool {
        matches!(self, Self::Only(patterns) if patterns.contains(&Pattern::All))
    }

    /// What both match; `self` is the grant's, `asked` the caller's.
    pub(super) fn common(&self, asked: &Self, budget: &mut Budget) -> Result<Self, NarrowError> {
        match (self, asked) {
            (granted, asked) if granted.is_everything() => Ok(asked.clone()),
            (granted, asked) if asked.is_everything() => Ok(granted.clone()),
            (Self::Only(granted), Self::Only(asked)) => common_patterns(granted, asked, budget),
            (Self::AllBut(granted), Self::AllBut(asked)) => {
                let more = asked.iter().filter(|pattern| !granted.contains(pattern));
                Ok(Self::AllBut(granted.iter().chain(more).cloned().collect()))
            }
            (Self::Only(granted), Self::AllBut(asked)) => {
                without(granted, asked, budget).map_err(|(_, without)| with_words(without))
            }
            (Self::AllBut(granted), Self::Only(asked)) => {
                without(asked, granted, budget).map_err(|(only, _)| with_words(only))
            }
        }
    }

    /// Is everything that `other` matches matched by this? No means: not for certain.
    pub(super) fn holds(&self, other: &Self, budget: &mut Budget) -> Result<bool, Unmet> {
        match (self, other) {
            (mine, _) if mine.is_everything() => Ok(true),
            (Self::Only(mine), Self::Only(theirs)) => {
                for pattern in theirs {
                    if !is_held(pattern, mine, budget)? {
                        return Ok(false);
                    }
                }
                Ok(true)
            }
            (mine, theirs) => Ok(mine == theirs),
        }
    }

    /// One set of both lists. Only of two lists.
    pub(super) fn joined(&self, other: &Self, budget: &mut Budget) -> Result<Option<Self>, Unmet> {
        let (Self::Only(mine), Self::Only(theirs)) = (self, other) else { return Ok(None) };
        let mut all = mine.clone();
        for pattern in theirs {
            add(&mut all, pattern.clone(), budget)?;
        }
        Ok(Some(Self::Only(all)))
    }

    /// The member of a statement: its name and its value.
    pub(super) fn member(&self, kind: Kind) -> (&'static str, Value) {
        let (patterns, name) = match (self, kind) {
            (Self::Only(patterns), Kind::Action) => (patterns, "Action"),
            (Self::AllBut(patterns), Kind::Action) => (patterns, "NotAction"),
            (Self::Only(patterns), Kind::Resource) => (patterns, "Resource"),
            (Self::AllBut(patterns), Kind::Resource) => (patterns, "NotResource"),
        };
        let texts = || patterns.iter().map(Pattern::text);
        match patterns.as_slice() {
            [one] => (name, Value::String(one.text())),
            _ => (name, texts().collect()),
        }
    }
}

fn with_words((unmet, pattern): (Unmet, &Pattern)) -> NarrowError {
    match unmet {
        Unmet::Overlap => NarrowError::Overlap(quoted(&pattern.text())),
        Unmet::Intricate => NarrowError::Intricate,
    }
}

fn common_patterns(granted: &[Pattern], asked: &[Pattern], budget: &mut Budget) -> Result<Set, NarrowError> {
    let mut found = Vec::new();
    for mine in granted {
        for theirs in asked {
            let common = mine.common(theirs, budget).map_err(|unmet| with_words((unmet, theirs)))?;
            for pattern in common {
                add(&mut found, pattern, budget).map_err(|unmet| with_words((unmet, theirs)))?;
            }
        }
    }
    Ok(Set::Only(found))
}

type At<'p> = (Unmet, &'p Pattern);

/// Those of `only` that none of `but` matches. One that `but` matches in part cannot be written; the error has both.
fn without<'p>(
    only: &'p [Pattern],
    but: &'p [Pattern],
    budget: &mut Budget,
) -> Result<Set, (At<'p>, At<'p>)> {
    let mut left = Vec::new();
    for pattern in only {
        let mut stays = true;
        for excluded in but {
            let at = |unmet| ((unmet, pattern), (unmet, excluded));
            if excluded.holds(pattern, budget).map_err(at)? {
                stays = false;
                break;
            }
        }
        for excluded in but.iter().take_while(|_| stays) {
            let at = |unmet| ((unmet, pattern), (unmet, excluded));
            if !pattern.is_apart_from(excluded, budget).map_err(at)? {
                return Err(at(Unmet::Overlap));
            }
        }
        if stays {
            left.push(pattern.clone());
        }
    }
    Ok(Set::Only(left))
}

fn is_held(pattern: &Pattern, by: &[Pattern], budget: &mut Budget) -> Result<bool, Unmet> {
    for known in by {
        if known.holds(pattern, budget)? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Adds what is not held yet, and drops what the new one holds.
fn add(all: &mut Vec<Pattern>, new: Pattern, budget: &mut Budget) -> Result<(), Unmet> {
    if is_held(&new, all, budget)? {
        return Ok(());
    }
    let mut left = Vec::with_capacity(all.len() + 1);
    for known in all.drain(..) {
        if !new.holds(&known, budget)? {
            left.push(known);
        }
    }
    left.push(new);
    *all = left;
    Ok(())
}
