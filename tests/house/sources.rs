//! The sources: their place in the tree of modules and their tokens, tests left out.

use std::fs;
use std::path::{Path, PathBuf};

use super::lexer::{Spot, lex};

/// One file under `src`.
pub(crate) struct Source {
    /// Relative to `src`, with slashes.
    pub(crate) path: String,
    /// Its module: `["store", "sqlite", "log"]`; empty for `lib.rs`.
    pub(crate) module: Vec<String>,
    pub(crate) text: String,
    pub(crate) is_test: bool,
    /// Without `#[cfg(test)] mod … { … }`; none for a file of tests.
    pub(crate) tokens: Vec<Spot>,
}

impl Source {
    fn new(path: String, text: String) -> Self {
        let is_test = is_test(&path);
        let tokens = if is_test { Vec::new() } else { without_tests(&lex(&text)) };
        Self { module: module_of(&path), tokens, path, text, is_test }
    }

    /// A source that is not there, to see whether the rules find what is wrong with it.
    pub(crate) fn planted(path: &str, text: &str) -> Self {
        Self::new(path.to_owned(), text.to_owned())
    }
}

/// Every source of the crate.
pub(crate) fn all() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    walk(&root, &mut files);
    files.sort();
    assert!(files.len() > 20, "the sources were not found");
    let relative = |file: &Path| file.strip_prefix(&root).unwrap().to_str().unwrap().replace('\\', "/");
    files.iter().map(|file| Source::new(relative(file), fs::read_to_string(file).unwrap())).collect()
}

fn walk(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            walk(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

/// Tests may look anywhere.
fn is_test(path: &str) -> bool {
    path.split('/').any(|part| matches!(part, "tests" | "tests.rs" | "fixture.rs"))
}

fn module_of(path: &str) -> Vec<String> {
    let mut module: Vec<_> = path.trim_end_matches(".rs").split('/').map(str::to_owned).collect();
    if matches!(module.last().map(String::as_str), Some("mod" | "lib")) {
        module.pop();
    }
    module
}

fn without_tests(tokens: &[Spot]) -> Vec<Spot> {
    let mut kept = Vec::with_capacity(tokens.len());
    let mut rest = tokens;
    while let Some(first) = rest.first() {
        if let Some(after) = after_test_module(rest) {
            rest = after;
        } else {
            kept.push(first.clone());
            rest = rest.get(1..).unwrap();
        }
    }
    kept
}

/// What follows `#[cfg(test)] [attributes] [pub] mod name { … }`, when `tokens` begin with one.
fn after_test_module(tokens: &[Spot]) -> Option<&[Spot]> {
    let opening = ["#", "[", "cfg", "(", "test", ")", "]"];
    let mut rest = tokens;
    for wanted in opening {
        let (first, after) = rest.split_first()?;
        let fits = first.is_word(wanted) || wanted.chars().next().is_some_and(|sign| first.is(sign));
        rest = if fits { after } else { return None };
    }
    while rest.first()?.is('#') {
        rest = after_group(rest.get(1..)?, '[', ']')?;
    }
    let start = rest.iter().position(|spot| spot.is_word("mod")).filter(|place| *place <= 4)?;
    after_group(rest.get(start + 2..)?, '{', '}')
}

/// What follows the balanced group with which `tokens` begin.
fn after_group(tokens: &[Spot], open: char, close: char) -> Option<&[Spot]> {
    let mut depth = 0_usize;
    for (place, spot) in tokens.iter().enumerate() {
        depth += usize::from(spot.is(open));
        depth -= usize::from(spot.is(close) && depth > 0);
        if depth == 0 {
            return if place == 0 { None } else { tokens.get(place + 1..) };
        }
    }
    None
}
