//! The paths into our own crate that a file names: in `use` trees however nested, in expressions and types, through
//! `super`, and through a name that a `use` brought in.

use std::collections::BTreeMap;

use super::lexer::Spot;
use super::sources::Source;

/// A path from the crate's root, such as `["store", "sqlite", "open"]`, and its line. `*` is a glob; an empty path is
/// the crate itself under another name.
#[derive(Clone, Debug)]
pub(crate) struct Import {
    pub(crate) path: Vec<String>,
    pub(crate) line: usize,
}

/// Every path of `source` into the crate.
pub(crate) fn imports(source: &Source) -> Vec<Import> {
    let mut reader =
        Reader { source, found: Vec::new(), names: BTreeMap::new(), inline: Vec::new(), depth: 0 };
    // Twice: a name may be used above the `use` that brings it in.
    reader.read();
    reader.found.clear();
    reader.read();
    reader.found
}

struct Reader<'s> {
    source: &'s Source,
    found: Vec<Import>,
    /// What a `use` brought in.
    names: BTreeMap<String, Vec<String>>,
    /// Inline modules around the place, with the depth of braces at which each began.
    inline: Vec<(String, usize)>,
    depth: usize,
}

impl Reader<'_> {
    fn read(&mut self) {
        let tokens = &self.source.tokens;
        for place in 0..tokens.len() {
            self.follow_braces(tokens, place);
            let before = place.checked_sub(1).and_then(|before| tokens.get(before));
            if before.is_some_and(Spot::is_path_sep) {
                continue;
            }
            if let Some(start) = self.start_of(tokens, place) {
                self.tree(tokens, place + 1, start);
            }
        }
    }

    fn follow_braces(&mut self, tokens: &[Spot], place: usize) {
        let Some(spot) = tokens.get(place) else { return };
        if spot.is('{') {
            let is_module = place >= 2 && tokens.get(place - 2).is_some_and(|spot| spot.is_word("mod"));
            if let Some(name) = tokens.get(place.wrapping_sub(1)).and_then(Spot::word).filter(|_| is_module) {
                self.inline.push((name.to_owned(), self.depth));
            }
            self.depth += 1;
        } else if spot.is('}') {
            self.depth = self.depth.saturating_sub(1);
            if self.inline.last().is_some_and(|(_, depth)| *depth == self.depth) {
                self.inline.pop();
            }
        }
    }

    /// The module at which the path that begins here is rooted; `None` when it does not lead into our crate by itself.
    fn start_of(&self, tokens: &[Spot], place: usize) -> Option<Vec<String>> {
        let leads_on = tokens.get(place + 1).is_some_and(Spot::is_path_sep);
        match tokens.get(place)?.word()? {
            // `pub(crate)` and `extern crate` name nothing.
            "crate" if leads_on || tokens.get(place + 1).is_some_and(|next| next.is_word("as")) => {
                Some(Vec::new())
            }
            "tidegate" if leads_on => Some(Vec::new()),
            "self" if leads_on => Some(self.here()),
            "super" if leads_on => Self::above(self.here()),
            name if leads_on => self.names.get(name).cloned(),
            _ => None,
        }
    }

    fn here(&self) -> Vec<String> {
        self.source.module.iter().chain(self.inline.iter().map(|(name, _)| name)).cloned().collect()
    }

    fn above(mut module: Vec<String>) -> Option<Vec<String>> {
        module.pop().map(|_| module)
    }

    /// Reads the rest of a path, `at` being the place after its last word; returns the place after it.
    fn tree(&mut self, tokens: &[Spot], at: usize, path: Vec<String>) -> usize {
        let line = tokens.get(at.saturating_sub(1)).map_or(0, |spot| spot.line);
        let is_use_tree = |spot: &Spot| spot.is_word("as");
        match (tokens.get(at), tokens.get(at + 1)) {
            (Some(sep), Some(next)) if sep.is_path_sep() => {
                if next.is('{') {
                    return self.group(tokens, at + 2, &path);
                }
                if next.is('*') {
                    self.found.push(Import { path: [path, vec!["*".to_owned()]].concat(), line });
                    return at + 2;
                }
                match next.word() {
                    Some("super") => {
                        let above = Self::above(path).unwrap_or_default();
                        self.tree(tokens, at + 2, above)
                    }
                    Some("self") => self.tree(tokens, at + 2, path),
                    Some(word) => self.tree(tokens, at + 2, [path, vec![word.to_owned()]].concat()),
                    // A turbofish or the like: the path is over.
                    None => self.end(path, None, line, at + 1),
                }
            }
            (Some(spot), Some(alias)) if is_use_tree(spot) => self.end(path, alias.word(), line, at + 2),
            _ => self.end(path, None, line, at),
        }
    }

    /// `a, b::{c}, self }` after `path::{`.
    fn group(&mut self, tokens: &[Spot], mut at: usize, path: &[String]) -> usize {
        while let Some(spot) = tokens.get(at) {
            let line = spot.line;
            at = match spot.word() {
                Some("self") => self.tree(tokens, at + 1, path.to_vec()),
                Some(word) => self.tree(tokens, at + 1, [path, &[word.to_owned()]].concat()),
                None if spot.is('}') => return at + 1,
                None if spot.is('*') => self.end([path, &["*".to_owned()]].concat(), None, line, at + 1),
                None => at + 1,
            };
        }
        at
    }

    fn end(&mut self, path: Vec<String>, alias: Option<&str>, line: usize, at: usize) -> usize {
        if let Some(name) = alias.or(path.last().map(String::as_str)).filter(|name| *name != "*") {
            self.names.entry(name.to_owned()).or_insert_with(|| path.clone());
        }
        self.found.push(Import { path, line });
        at
    }
}
