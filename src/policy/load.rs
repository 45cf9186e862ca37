//! From texts to validated policies. Every fault is found before any is reported.

use std::collections::BTreeSet;
use std::sync::Arc;

use cedar_policy::{Policy, PolicyId, PolicySet, Schema, ValidationMode, Validator};
use miette::Diagnostic;

use super::decision::{Author, PolicyRef};
use super::depth::too_deep;
use super::fault::{Fault, LoadError};
use super::reads::Reads;
use super::source::{SourceFile, Sources};

/// A policy that passed strict validation, under its own name.
#[derive(Clone, Debug)]
pub struct LoadedPolicy {
    /// How decisions and the record call it.
    pub name: PolicyRef,
    /// What it says.
    pub policy: Policy,
    /// Where it stands.
    pub place: Place,
    pub(super) reads: Reads,
}

/// Where a policy stands: what it was read from, for whoever points at a part of it.
#[derive(Clone, Debug)]
pub struct Place {
    /// Relative to the policy folder.
    pub file: Arc<str>,
    /// The whole file, which the offsets of Cedar's own places count in.
    pub text: Arc<str>,
    /// The policy's first line, counted from 1.
    pub line: usize,
}

/// Annotations decide nothing here, so only those that say so are taken: a name, and a note for the reader.
/// Somebody who writes `@ttl("15m")` believes in a limit that would not be there.
const ANNOTATIONS: [&str; 2] = ["id", "doc"];

/// Of both authors. Each takes kilobytes of memory, and its time at each load.
const MOST_POLICIES: usize = 25_000;

/// Told of one file. Each takes a look at the file from its beginning: of very many nobody would read more, and the broker
/// would look for minutes.
const MOST_FAULTS: usize = 100;

/// Parses and strictly validates every file.
pub(super) fn load(sources: &Sources, schema: &Schema) -> Result<Vec<LoadedPolicy>, LoadError> {
    check_number(sources)?;
    let validator = Validator::new(schema.clone());
    let mut faults = Vec::new();
    let mut loaded = Vec::new();
    for file in &sources.files {
        if let Some(policies) = parse(file, &mut faults) {
            validate(file, &policies, &validator, &mut faults);
            loaded.extend(policies);
        }
    }
    faults.extend(sources.authors.iter().filter_map(|author| check_not_empty(*author, &loaded)));
    LoadError::check(faults).map(|()| loaded)
}

/// Before anything is parsed, because what was parsed takes many times the memory of its text. Each policy ends with a `;`, and
/// few texts have others.
fn check_number(sources: &Sources) -> Result<(), LoadError> {
    let mut count = 0;
    for file in &sources.files {
        count += file.text.matches(';').count();
        if count > MOST_POLICIES {
            return Err(Fault::of_file(
                file.path(),
                format!("with it there are over {MOST_POLICIES} policies"),
            )
            .into());
        }
    }
    Ok(())
}

/// A set without a policy permits nothing: whoever has one made a mistake, and would look for it elsewhere.
fn check_not_empty(author: Author, loaded: &[LoadedPolicy]) -> Option<Fault> {
    let advice = match author {
        Author::Customer => "has no policy; nothing could ever be issued",
        Author::Vendor => {
            "has no policy; nothing could ever be issued (remove the folder when there is no vendor)"
        }
    };
    let empty = !loaded.iter().any(|policy| policy.name.author() == author);
    empty.then(|| Fault::of_file(author.as_str(), advice))
}

/// The file's policies in the order of the file; `None` when it does not parse.
pub(super) fn parse(file: &SourceFile, faults: &mut Vec<Fault>) -> Option<Vec<LoadedPolicy>> {
    if let Some(offset) = too_deep(&file.text) {
        let advice = "is nested too deeply here: compare with a set, or write several policies";
        faults.push(Fault::at(&file.path(), &file.text, offset, advice));
        return None;
    }
    let set = match file.text.parse::<PolicySet>() {
        Ok(set) => set,
        Err(errors) => {
            let told = errors.iter().take(MOST_FAULTS);
            faults.extend(told.map(|error| Fault::of_diagnostic(&file.path(), &file.text, error)));
            return None;
        }
    };
    let most = faults.len() + MOST_FAULTS;
    faults.extend(set.templates().take(MOST_FAULTS).map(|_| {
        let advice =
            "has a template (`?principal` or `?resource`); nothing would ever fill it: write the policy out";
        Fault::of_file(file.path(), advice)
    }));
    let mut policies: Vec<_> = set.policies().map(|policy| (offset(policy), policy)).collect();
    policies.sort_by_key(|(offset, _)| *offset);
    let mut taken = BTreeSet::new();
    let (path, text): (Arc<str>, Arc<str>) = (file.path().into(), file.text.as_str().into());
    let (mut line, mut counted) = (1, 0);
    let named = policies.into_iter().zip(1_usize..).map(|((offset, policy), ordinal)| {
        let at = |message: String| Fault::at(&file.path(), &file.text, offset, message);
        if faults.len() < most {
            faults.extend(check_annotations(policy).map(at));
        }
        let name = policy.annotation("id").map_or_else(|| ordinal.to_string(), ToOwned::to_owned);
        if !taken.insert(name.clone()) && faults.len() < most {
            faults.push(at(format!("two policies of this file are called `{name}`")));
        }
        let name = PolicyRef::new(file.author, &file.name, &name);
        let renamed = policy.new_id(PolicyId::new(name.as_str()));
        // From where the last one was: counting from the top for each is quadratic.
        line += file.text.get(counted..offset).unwrap_or_default().matches('\n').count();
        counted = offset;
        let place = Place { file: Arc::clone(&path), text: Arc::clone(&text), line };
        LoadedPolicy { policy: renamed, reads: Reads::of(policy), name, place }
    });
    Some(named.collect())
}

fn offset(policy: &Policy) -> usize {
    policy.as_ref().loc().map_or(0, |place| place.span.offset())
}

fn check_annotations(policy: &Policy) -> Option<String> {
    let stranger = policy.annotations().map(|(key, _)| key).find(|key| !ANNOTATIONS.contains(key));
    if let Some(key) = stranger {
        return Some(format!(
            "`@{key}` decides nothing; write a condition (only `@id` and `@doc` are taken)"
        ));
    }
    let id = policy.annotation("id")?;
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let named = (1..=64).contains(&id.len()) && id.chars().all(fits);
    (!named).then(|| format!("`@id` is 1-64 of `a-z A-Z 0-9 - _ .`, not `{}`", id.escape_default()))
}

/// Warnings count as faults: a policy that can never apply, or a name in look-alike letters, is not what was meant.
pub(super) fn validate(
    file: &SourceFile,
    policies: &[LoadedPolicy],
    validator: &Validator,
    faults: &mut Vec<Fault>,
) {
    let unique: BTreeSet<_> = policies.iter().map(|policy| policy.policy.id()).collect();
    if unique.len() != policies.len() {
        return; // reported already, and no set can hold both
    }
    let set = match PolicySet::from_policies(policies.iter().map(|policy| policy.policy.clone())) {
        Ok(set) => set,
        Err(error) => return faults.push(Fault::of_file(file.path(), error.to_string())),
    };
    let result = validator.validate(&set, ValidationMode::Strict);
    let fault = |diagnostic: &dyn Diagnostic| Fault::of_diagnostic(&file.path(), &file.text, diagnostic);
    faults.extend(result.validation_errors().take(MOST_FAULTS).map(|error| fault(error)));
    faults.extend(result.validation_warnings().take(MOST_FAULTS).map(|warning| fault(warning)));
}
