//! Patterns of actions and resources, and what two of them have in common.
//!
//! Who narrows must never widen, whatever an evaluator takes a wildcard for. AWS documents that wildcards belong inside one
//! segment of an ARN (between two colons), and that a `*` at the end of a segment may reach further; programs differ.
//! So two patterns are compared segment by segment, and every answer is an *instance* of both: their text with wildcards
//! replaced by narrower text of the same segment. An instance matches no more than its pattern under any of those readings.

use super::error::Unmet;
use super::tokens::{self, Budget, Token, Tokens};

/// What a text stands for, and so how it is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// `service:Name`; upper and lower case are the same.
    Action,
    /// An ARN.
    Resource,
}

/// One element of `Action`, `NotAction`, `Resource` or `NotResource`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Pattern {
    /// `*`
    All,
    /// What is understood: two segments of an action, six of an ARN.
    Parts(Vec<Tokens>),
    /// An ARN that is not understood well enough to be compared: it equals itself, and no more is known.
    Opaque(String),
}

/// Two patterns may have this many in common, as `a*b` and `*c*` do; beyond that nobody meant it.
const MOST_IN_COMMON: usize = 4;

impl Pattern {
    /// Reads one text, or says what it is not.
    pub(super) fn read(text: &str, kind: Kind) -> Result<Self, &'static str> {
        if text == "*" {
            return Ok(Self::All);
        }
        match kind {
            Kind::Action => read_action(text),
            Kind::Resource => read_resource(text),
        }
    }

    /// Of a policy that we have to take as it is.
    pub(super) fn read_or_opaque(text: &str, kind: Kind) -> Self {
        Self::read(text, kind).unwrap_or_else(|_| Self::Opaque(text.to_owned()))
    }

    /// As it stands in a policy.
    pub(super) fn text(&self) -> String {
        match self {
            Self::All => "*".to_owned(),
            Self::Parts(parts) => parts.iter().map(|part| tokens::print(part)).collect::<Vec<_>>().join(":"),
            Self::Opaque(text) => text.clone(),
        }
    }

    /// Does it match everything that `other` matches? No means: not for certain.
    pub(super) fn holds(&self, other: &Self, budget: &mut Budget) -> Result<bool, Unmet> {
        match (self, other) {
            (Self::All, _) => Ok(true),
            _ if self == other => Ok(true),
            (Self::Parts(mine), Self::Parts(theirs)) if mine.len() == theirs.len() => {
                if is_odd(mine) && mine.last() != theirs.last() {
                    return Ok(false);
                }
                let pairs = mine.iter().zip(theirs);
                tokens::all(pairs, |(mine, theirs)| tokens::holds(mine, theirs, budget))
            }
            _ => Ok(false),
        }
    }

    /// What both match. Empty only if that is nothing, [`Unmet`] if it cannot be told or written.
    pub(super) fn common(&self, other: &Self, budget: &mut Budget) -> Result<Vec<Self>, Unmet> {
        // In this order equal ones keep the spelling of `self`, which is the operator's.
        if other.holds(self, budget)? {
            return Ok(vec![self.clone()]);
        }
        if self.holds(other, budget)? {
            return Ok(vec![other.clone()]);
        }
        match (self, other) {
            (Self::Parts(mine), Self::Parts(theirs)) if mine.len() == theirs.len() => {
                common_parts(mine, theirs, budget)
            }
            _ => Err(Unmet::Overlap),
        }
    }

    /// Is it certain that nothing matches both, also if wildcards reach over colons, and case does not count?
    pub(super) fn is_apart_from(&self, other: &Self, budget: &mut Budget) -> Result<bool, Unmet> {
        match (self, other) {
            (Self::Parts(mine), Self::Parts(theirs)) => {
                Ok(!tokens::overlap(&tokens::joined(mine), &tokens::joined(theirs), budget)?)
            }
            _ => Ok(false),
        }
    }
}

/// IAM takes a wildcard for a whole name of a service and for nothing less; `*:*` is `*` written otherwise, and refused so that
/// there is one way to say it.
fn read_action(text: &str) -> Result<Pattern, &'static str> {
    let (service, name) = text.split_once(':').ok_or("it is neither `*` nor `service:Name`")?;
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '-';
    if service.is_empty() || !service.chars().all(fits) {
        return Err("its service is not of `a-z 0-9 -`");
    }
    if name.is_empty() || !name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '*' | '?')) {
        return Err("its name is not of `a-z A-Z 0-9 * ?`");
    }
    let read = |part| tokens::read(part, true);
    Ok(Pattern::Parts(vec![read(service)?, read(name)?]))
}

fn read_resource(text: &str) -> Result<Pattern, &'static str> {
    if !text.starts_with("arn:") {
        return Err("it is neither `*` nor an ARN");
    }
    let parts = tokens::read(text, false).map(|tokens| tokens::split(&tokens, 6))?;
    let (_, head) = parts.split_last().ok_or("it is empty")?;
    // A variable that stands for a colon would move every segment behind it. Short ARNs are filled up by some readers only.
    let is_firm = parts.len() == 6 && !head.iter().flatten().any(Token::is_variable);
    Ok(if is_firm { Pattern::Parts(parts) } else { Pattern::Opaque(text.to_owned()) })
}

/// Has the resource's type a wildcard in it, as in `…:table*/orders`? AWS documents that as wrong use: readers may take
/// the wildcard as it is written or for what it says. Buckets and objects of S3 have no type.
fn is_odd(parts: &[Tokens]) -> bool {
    let [_, _, service, region, account, resource] = parts else { return false };
    if tokens::print(service) == "s3" && region.is_empty() && account.is_empty() {
        return false;
    }
    let mut kind = resource.iter().take_while(|token| !token.is_char('/') && !token.is_char(':'));
    let divided = resource.iter().any(|token| token.is_char('/') || token.is_char(':'));
    divided && kind.any(Token::is_open)
}

fn common_parts(mine: &[Tokens], theirs: &[Tokens], budget: &mut Budget) -> Result<Vec<Pattern>, Unmet> {
    for (mine, theirs) in mine.iter().zip(theirs) {
        if !tokens::overlap(mine, theirs, budget)? {
            return Ok(Vec::new());
        }
    }
    if is_odd(mine) || is_odd(theirs) {
        return common_odd(mine, theirs, budget);
    }
    let mut found = vec![Vec::new()];
    for (mine, theirs) in mine.iter().zip(theirs) {
        let common = tokens::common(mine, theirs, budget)?;
        found = found.iter().flat_map(|head| common.iter().map(move |tail| grown(head, tail))).collect();
        if found.len() > MOST_IN_COMMON {
            return Err(Unmet::Overlap);
        }
    }
    Ok(found.into_iter().map(Pattern::Parts).collect())
}

/// What is odd stays as it is written; only the segments before it are narrowed.
fn common_odd(mine: &[Tokens], theirs: &[Tokens], budget: &mut Budget) -> Result<Vec<Pattern>, Unmet> {
    let (Some((my_last, my_head)), Some((their_last, their_head))) = (mine.split_last(), theirs.split_last())
    else {
        return Err(Unmet::Overlap);
    };
    let last = match (my_last, their_last) {
        (mine, theirs) if mine == theirs => mine,
        (mine, theirs) if tokens::is_everything(theirs) => mine,
        (mine, theirs) if tokens::is_everything(mine) => theirs,
        _ => return Err(Unmet::Overlap),
    };
    let mut found = Vec::new();
    for (mine, theirs) in my_head.iter().zip(their_head) {
        match tokens::common(mine, theirs, budget)?.as_slice() {
            [one] => found.push(one.clone()),
            _ => return Err(Unmet::Overlap),
        }
    }
    found.push(last.clone());
    Ok(vec![Pattern::Parts(found)])
}

fn grown(head: &[Tokens], tail: &Tokens) -> Vec<Tokens> {
    let mut grown = head.to_vec();
    grown.push(tail.clone());
    grown
}
