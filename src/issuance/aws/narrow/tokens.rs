//! One segment of a pattern as its tokens, and the arithmetic of wildcards.

use super::error::Unmet;

/// One element of a pattern.
#[derive(Clone, Debug)]
pub(super) enum Token {
    /// A character that stands for itself; compared in its second form.
    Char(char, char),
    /// `?`
    AnyOne,
    /// `*`
    AnyRun,
    /// `${…}`: may become any text, so only what takes any text takes it.
    Variable(String),
}

/// A segment.
pub(super) type Tokens = Vec<Token>;

/// How many comparisons are left. A caller chooses their policy: without a bound, a few hundred patterns with many wildcards
/// against as many of the grant would be hours.
#[derive(Debug)]
pub(super) struct Budget(u32);

/// A few milliseconds. Policies as people write them take a thousandth of it.
const COMPARISONS: u32 = 4_000_000;

impl Budget {
    pub(super) fn new() -> Self {
        Self(COMPARISONS)
    }

    /// A comparison of so many tokens with so many. Also the shortest one is not for nothing.
    fn spend(&mut self, one: usize, other: usize) -> Result<(), Unmet> {
        let cost = (one + 4).saturating_mul(other + 4);
        let left = u32::try_from(cost).ok().and_then(|cost| self.0.checked_sub(cost));
        self.0 = left.ok_or(Unmet::Intricate)?;
        Ok(())
    }
}

impl PartialEq for Token {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Char(_, mine), Self::Char(_, theirs)) => mine == theirs,
            (Self::AnyOne, Self::AnyOne) | (Self::AnyRun, Self::AnyRun) => true,
            (Self::Variable(mine), Self::Variable(theirs)) => mine == theirs,
            _ => false,
        }
    }
}

impl Eq for Token {}

impl Token {
    pub(super) fn is_char(&self, wanted: char) -> bool {
        matches!(self, Self::Char(shown, _) if *shown == wanted)
    }

    pub(super) fn is_variable(&self) -> bool {
        matches!(self, Self::Variable(_))
    }

    /// May it stand for more than one text?
    pub(super) fn is_open(&self) -> bool {
        !matches!(self, Self::Char(..))
    }

    /// Does this one, which is no `*`, match all that `other` matches?
    fn takes(&self, other: &Self) -> bool {
        match self {
            Self::AnyOne => matches!(other, Self::AnyOne | Self::Char(..)) && !other.is_char(':'),
            Self::AnyRun => false,
            Self::Char(..) | Self::Variable(_) => self == other,
        }
    }
}

/// Reads a text with IAM's wildcards, variables and the escapes `${*}`, `${?}` and `${$}`.
pub(super) fn read(text: &str, fold_case: bool) -> Result<Tokens, &'static str> {
    let mut tokens: Tokens = Vec::new();
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        let token = match c {
            '*' if tokens.last() == Some(&Token::AnyRun) => continue,
            '*' => Token::AnyRun,
            '?' => Token::AnyOne,
            '$' => {
                let (name, behind) = variable(rest.as_str())?;
                rest = behind.chars();
                name
            }
            '{' | '}' => return Err("`{` and `}` stand only around the name of a variable, behind `$`"),
            plain => Token::Char(plain, if fold_case { plain.to_ascii_lowercase() } else { plain }),
        };
        tokens.push(token);
    }
    Ok(tokens)
}

/// The variable or escape behind a `$`, and what follows it.
fn variable(text: &str) -> Result<(Token, &str), &'static str> {
    let inside = text.strip_prefix('{').and_then(|text| text.split_once('}'));
    let (name, behind) = inside.ok_or("a `$` is not followed by `{…}`; `${$}` stands for itself")?;
    let token = match name {
        "*" => Token::Char('*', '*'),
        "?" => Token::Char('?', '?'),
        "$" => Token::Char('$', '$'),
        name if name.is_empty() || name.contains(['$', '{', '*', '?', '"', '\\']) => {
            return Err("`${…}` does not name a variable");
        }
        name => Token::Variable(name.to_owned()),
    };
    Ok((token, behind))
}

/// The text again.
pub(super) fn print(tokens: &[Token]) -> String {
    let one = |token: &Token| match token {
        Token::Char(escaped @ ('*' | '?' | '$'), _) => format!("${{{escaped}}}"),
        Token::Char(plain, _) => plain.to_string(),
        Token::AnyOne => "?".to_owned(),
        Token::AnyRun => "*".to_owned(),
        Token::Variable(name) => format!("${{{name}}}"),
    };
    tokens.iter().map(one).collect()
}

/// At its colons, into at most `most` segments.
pub(super) fn split(tokens: &[Token], most: usize) -> Vec<Tokens> {
    tokens.splitn(most, |token| token.is_char(':')).map(<[Token]>::to_vec).collect()
}

/// With its colons.
pub(super) fn joined(parts: &[Tokens]) -> Tokens {
    parts.join(&Token::Char(':', ':'))
}

/// `*` alone
pub(super) fn is_everything(tokens: &[Token]) -> bool {
    matches!(tokens, [Token::AnyRun])
}

/// `Iterator::all` for questions that can fail.
pub(super) fn all<T>(
    items: impl Iterator<Item = T>,
    mut question: impl FnMut(T) -> Result<bool, Unmet>,
) -> Result<bool, Unmet> {
    for item in items {
        if !question(item)? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Is `narrow` an instance of `wide`: the same with wildcards replaced by something narrower?
pub(super) fn holds(mut wide: &[Token], mut narrow: &[Token], budget: &mut Budget) -> Result<bool, Unmet> {
    budget.spend(0, 0)?;
    let ends_open = wide.last() == Some(&Token::AnyRun);
    while let [first, wide_rest @ ..] = wide
        && *first != Token::AnyRun
    {
        match narrow {
            [other, narrow_rest @ ..] if first.takes(other) => (wide, narrow) = (wide_rest, narrow_rest),
            _ => return Ok(false),
        }
    }
    budget.spend(wide.len(), narrow.len())?;
    // Which beginnings of `narrow` the beginning of `wide` that was read so far can become.
    let mut reached: Vec<bool> = std::iter::once(true).chain(narrow.iter().map(|_| false)).collect();
    for (place, token) in wide.iter().enumerate() {
        // At the end of the whole, a `*` reaches over colons and over whatever a variable becomes. Elsewhere readers differ.
        let takes_all = ends_open && place + 1 == wide.len();
        let mut before = false;
        let mut next = Vec::with_capacity(reached.len());
        for (place, at) in reached.iter().enumerate() {
            let other = place.checked_sub(1).and_then(|place| narrow.get(place));
            next.push(match (token, other) {
                (Token::AnyRun, None) => *at,
                (Token::AnyRun, Some(other)) => {
                    let absorbs = takes_all || !(other.is_char(':') || other.is_variable());
                    *at || (absorbs && next.last() == Some(&true))
                }
                (_, None) => false,
                (token, Some(other)) => before && token.takes(other),
            });
            before = *at;
        }
        reached = next;
    }
    Ok(reached.last() == Some(&true))
}

/// Can any text match both? Variables become any text, and case does not count: rather yes than no.
pub(super) fn overlap(one: &[Token], other: &[Token], budget: &mut Budget) -> Result<bool, Unmet> {
    budget.spend(one.len(), other.len())?;
    let is_run = |token: &Token| matches!(token, Token::AnyRun | Token::Variable(_));
    // From the ends: for each rest of `other` (the empty one first), has it a text in common with the rest of `one`?
    let mut below: Vec<bool> = vec![true];
    for token in other.iter().rev() {
        let open = is_run(token) && below.last() == Some(&true);
        below.push(open);
    }
    for mine in one.iter().rev() {
        let mut row = vec![is_run(mine) && below.first() == Some(&true)];
        for (theirs, pair) in other.iter().rev().zip(below.windows(2)) {
            let [diagonal, under] = pair else { continue };
            let beside = row.last() == Some(&true);
            row.push(match (is_run(mine), is_run(theirs)) {
                (false, false) => *diagonal && alike(mine, theirs),
                _ => *under || beside,
            });
        }
        below = row;
    }
    Ok(below.last() == Some(&true))
}

/// Of two that are no runs.
fn alike(one: &Token, other: &Token) -> bool {
    match (one, other) {
        (Token::Char(one, _), Token::Char(other, _)) => one.to_lowercase().eq(other.to_lowercase()),
        _ => true,
    }
}

/// Instances of both that together match whatever both match. Empty only if that is nothing.
pub(super) fn common(one: &[Token], other: &[Token], budget: &mut Budget) -> Result<Vec<Tokens>, Unmet> {
    if holds(other, one, budget)? {
        return Ok(vec![one.to_vec()]);
    }
    if holds(one, other, budget)? {
        return Ok(vec![other.to_vec()]);
    }
    if !overlap(one, other, budget)? {
        return Ok(Vec::new());
    }
    let is_hard = |token: &Token| token.is_variable() || token.is_char(':');
    if one.iter().chain(other).any(is_hard) {
        return Err(Unmet::Overlap);
    }
    meet(one, other, budget)
}

/// The same for patterns of characters and wildcards. Each call has fewer tokens before it than the last.
fn meet(one: &[Token], other: &[Token], budget: &mut Budget) -> Result<Vec<Tokens>, Unmet> {
    if holds(other, one, budget)? {
        return Ok(vec![one.to_vec()]);
    }
    if holds(one, other, budget)? {
        return Ok(vec![other.to_vec()]);
    }
    let ([mine, my_rest @ ..], [theirs, their_rest @ ..]) = (one, other) else { return Ok(Vec::new()) };
    match (mine, theirs) {
        // One of the runs ends first, after some text.
        (Token::AnyRun, Token::AnyRun) => {
            let tails = both(meet(my_rest, other, budget)?, meet(one, their_rest, budget)?, budget)?;
            Ok(behind(mine, tails))
        }
        (Token::AnyRun, single) => {
            let goes_on = behind(single, meet(one, their_rest, budget)?);
            both(meet(my_rest, other, budget)?, goes_on, budget)
        }
        (single, Token::AnyRun) => {
            let goes_on = behind(single, meet(my_rest, other, budget)?);
            both(meet(one, their_rest, budget)?, goes_on, budget)
        }
        (mine, theirs) if mine.takes(theirs) => Ok(behind(theirs, meet(my_rest, their_rest, budget)?)),
        (mine, theirs) if theirs.takes(mine) => Ok(behind(mine, meet(my_rest, their_rest, budget)?)),
        _ => Ok(Vec::new()),
    }
}

fn behind(first: &Token, tails: Vec<Tokens>) -> Vec<Tokens> {
    let joined = |tail: Tokens| {
        let doubled = *first == Token::AnyRun && tail.first() == Some(&Token::AnyRun);
        std::iter::once(first.clone()).chain(tail.into_iter().skip(usize::from(doubled))).collect()
    };
    tails.into_iter().map(joined).collect()
}

/// Both lists, without what another element holds already.
fn both(mut all: Vec<Tokens>, more: Vec<Tokens>, budget: &mut Budget) -> Result<Vec<Tokens>, Unmet> {
    for new in more {
        let held = all.iter().map(|known| holds(known, &new, budget)).collect::<Result<Vec<_>, _>>()?;
        if held.contains(&true) {
            continue;
        }
        let held = all.iter().map(|known| holds(&new, known, budget)).collect::<Result<Vec<_>, _>>()?;
        let mut held = held.into_iter();
        all.retain(|_| held.next() != Some(true));
        all.push(new);
    }
    Ok(all)
}
