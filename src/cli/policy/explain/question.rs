//! Facts that were written down, and whoever asks.

use std::io::Read as _;
use std::path::Path;

use anyhow::Context as _;
use serde_json::Value;

use crate::policy::facts::{AuthFacts, Facts, PrincipalFacts};

/// Files of facts are a few kilobytes.
const LARGEST: u64 = 1 << 20;

/// Whose request it is.
#[derive(Debug)]
pub(super) struct Asker {
    pub(super) principal: PrincipalFacts,
    /// How they signed in, where their token says it.
    pub(super) auth: Option<AuthFacts>,
    /// What must be said beside the answer.
    pub(super) note: Option<&'static str>,
}

/// The facts in a file, or those of an entry of the log.
pub(super) fn facts_in(file: &Path) -> anyhow::Result<Facts> {
    let text = read(file)?;
    let json: Value = serde_json::from_str(&text).with_context(|| {
        format!("`{}` holds no JSON: one object with the facts of a request", file.display())
    })?;
    // An entry has its facts within, and so has a page of entries each of its own.
    let facts = ["/facts", "/entry/facts"].iter().find_map(|path| json.pointer(path)).unwrap_or(&json);
    serde_json::from_value(facts.clone())
        .with_context(|| format!("`{}` holds no facts of a request", file.display()))
}

/// `-` is standard input.
pub(super) fn read(file: &Path) -> anyhow::Result<String> {
    let mut text = String::new();
    let read = if file == Path::new("-") {
        std::io::stdin().lock().take(LARGEST).read_to_string(&mut text)
    } else {
        std::fs::File::open(file).and_then(|file| file.take(LARGEST).read_to_string(&mut text))
    };
    read.with_context(|| format!("`{}` cannot be read", file.display()))?;
    Ok(text)
}
