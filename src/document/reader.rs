//! Reads the tables of a file and writes down everything that is wrong instead of stopping at the first fault.
//!
//! A derived deserializer stops at the first unknown key, wrong type or missing field, so an operator would fix a file
//! one run at a time. A [`Section`] goes on: it answers `None`, and the fault is noted with its place.

use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::time::Duration;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::Kind;
use super::faults::{Fault, excerpt, position, quoted};
use super::shape::{Shape, home_of, nearest};
use crate::span::{FORMS, parse_duration};

/// One file: its text, where its relative paths start, and its faults so far.
#[derive(Debug)]
pub(super) struct Document<'s> {
    text: &'s str,
    folder: &'s Path,
    kind: &'static Kind,
    faults: RefCell<Vec<Fault>>,
}

/// A key and where it stands.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    path: String,
    offset: usize,
}

/// A value and where it stands.
#[derive(Clone, Debug)]
pub(crate) struct At<T> {
    pub(crate) value: T,
    pub(crate) place: Place,
}

/// One table of the file.
#[derive(Debug)]
pub(crate) struct Section<'s> {
    document: &'s Document<'s>,
    table: &'s DeTable<'s>,
    shape: &'static Shape,
    place: Place,
}

impl<'s> Document<'s> {
    pub(super) fn new(text: &'s str, folder: &'s Path, kind: &'static Kind) -> Self {
        Self { text, folder, kind, faults: RefCell::default() }
    }

    /// Notes that `place` is wrong.
    fn fault(&self, place: &Place, message: impl Into<String>, suggestion: impl Into<String>) {
        let (line, column) = position(self.text, place.offset);
        let suggestion = suggestion.into();
        self.faults.borrow_mut().push(Fault {
            line,
            column,
            path: place.path.clone(),
            message: message.into(),
            suggestion: (!suggestion.is_empty()).then_some(suggestion),
            excerpt: excerpt(self.text, line).filter(|_| !(self.kind.hides)(self.text, line)),
        });
    }

    /// Notes what the TOML parser could not read.
    pub(super) fn syntax_fault(&self, error: &toml::de::Error) {
        let offset = error.span().map_or(0, |span| span.start);
        let place = Place { path: String::new(), offset };
        self.fault(&place, error.message().replace('\n', ", "), "");
    }

    pub(super) fn into_faults(self) -> Vec<Fault> {
        self.faults.into_inner()
    }

    /// The whole file as a section.
    pub(super) fn top(&'s self, table: &'s DeTable<'s>) -> Option<Section<'s>> {
        let shape = self.kind.shapes.first()?;
        Some(Section::enter(self, table, shape, Place { path: String::new(), offset: 0 }))
    }
}

impl Place {
    fn key(&self, key: &str, offset: usize) -> Self {
        let bare =
            !key.is_empty() && key.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'));
        let key = if bare { key.to_owned() } else { format!("\"{}\"", key.escape_debug()) };
        let path = if self.path.is_empty() { key } else { format!("{}.{key}", self.path) };
        Self { path, offset }
    }

    fn item(&self, index: usize, offset: usize) -> Self {
        Self { path: format!("{}[{index}]", self.path), offset }
    }
}

impl<T> At<T> {
    pub(crate) fn map<U>(self, change: impl FnOnce(T) -> U) -> At<U> {
        At { value: change(self.value), place: self.place }
    }
}

impl<'s> Section<'s> {
    fn enter(
        document: &'s Document<'s>,
        table: &'s DeTable<'s>,
        shape: &'static Shape,
        place: Place,
    ) -> Self {
        let section = Self { document, table, shape, place };
        for key in table.keys() {
            if !shape.keys.contains(&key.get_ref().as_ref()) {
                section.unknown(key.get_ref(), key.span().start);
            }
        }
        section
    }

    fn unknown(&self, key: &str, offset: usize) {
        let place = self.place.key(key, offset);
        let suggestion = match (
            nearest(key, self.shape.keys.iter().copied()),
            home_of(key, self.shape.table, self.document.kind.shapes),
        ) {
            (Some(near), _) => format!("did you mean `{near}`?"),
            (None, Some(home)) => format!("`{key}` belongs in [{home}]"),
            (None, None) => format!("known keys here: {}", self.shape.keys.join(", ")),
        };
        self.document.fault(&place, format!("unknown key {}", quoted(key)), suggestion);
    }

    fn find(&self, key: &str) -> Option<At<&'s DeValue<'s>>> {
        debug_assert!(
            self.shape.keys.contains(&key),
            "`{key}` is not in the shape of [{}]",
            self.shape.table
        );
        let value: &'s Spanned<DeValue<'s>> = self.table.get(key)?;
        Some(At { value: value.get_ref(), place: self.place.key(key, value.span().start) })
    }

    /// Are files that it names opened?
    pub(crate) fn opens_files(&self) -> bool {
        self.document.kind.opens_files
    }

    /// In which line it begins, counted from 1.
    pub(crate) fn line(&self) -> usize {
        position(self.document.text, self.place.offset).0
    }

    /// Is the value of the key a table?
    pub(crate) fn is_table(&self, key: &str) -> bool {
        self.find(key).is_some_and(|found| found.value.is_table())
    }

    /// Is the key written down?
    pub(crate) fn has(&self, key: &str) -> bool {
        self.table.contains_key(key)
    }

    /// Where the key stands, or the section when it does not.
    pub(crate) fn place_of(&self, key: &str) -> Place {
        self.find(key).map_or_else(|| self.place.key(key, self.place.offset), |found| found.place)
    }

    /// Notes that `key` is wrong.
    pub(crate) fn fault(&self, key: &str, message: impl Into<String>, suggestion: impl Into<String>) {
        self.document.fault(&self.place_of(key), message, suggestion);
    }

    /// Notes that something at `place` is wrong.
    pub(crate) fn fault_at(&self, place: &Place, message: impl Into<String>, suggestion: impl Into<String>) {
        self.document.fault(place, message, suggestion);
    }

    /// Notes that `key` is missing, unless it is there (then what is wrong with it is noted already).
    pub(crate) fn require<T>(&self, key: &str, value: Option<T>, example: &str) -> Option<T> {
        if value.is_none() && !self.has(key) {
            self.fault(key, "missing", example);
        }
        value
    }

    fn wrong_type(&self, found: &At<&DeValue<'_>>, wanted: &str, suggestion: &str) {
        let message = format!("expected {wanted}, found {}", article(found.value.type_str()));
        self.document.fault(&found.place, message, suggestion);
    }

    fn text_of(&self, found: At<&'s DeValue<'s>>) -> Option<At<&'s str>> {
        let Some(text) = found.value.as_str() else {
            self.wrong_type(&found, "a string", "put it in quotes");
            return None;
        };
        Some(At { value: text, place: found.place })
    }

    /// A string.
    pub(crate) fn text(&self, key: &str) -> Option<At<&'s str>> {
        self.text_of(self.find(key)?)
    }

    /// A string, if it is one, without noting anything: for checks that compare tables after each was read.
    pub(crate) fn quiet_text(&self, key: &str) -> Option<&'s str> {
        self.find(key)?.value.as_str()
    }

    /// A flag, likewise.
    pub(crate) fn quiet_flag(&self, key: &str) -> Option<bool> {
        self.find(key)?.value.as_bool()
    }

    /// A string that is something; `parse` answers what is wrong and what to write instead.
    pub(crate) fn parsed<T>(
        &self,
        key: &str,
        parse: impl FnOnce(&str) -> Result<T, (String, String)>,
    ) -> Option<At<T>> {
        self.parse_at(self.text(key)?, parse)
    }

    /// The same for a string that is at hand.
    pub(crate) fn parse_at<T>(
        &self,
        text: At<&str>,
        parse: impl FnOnce(&str) -> Result<T, (String, String)>,
    ) -> Option<At<T>> {
        match parse(text.value) {
            Ok(value) => Some(At { value, place: text.place }),
            Err((message, suggestion)) => {
                self.document.fault(&text.place, message, suggestion);
                None
            }
        }
    }

    /// One of a closed list of words.
    pub(crate) fn one_of<T: Copy>(&self, key: &str, words: &[(&str, T)]) -> Option<At<T>> {
        self.parsed(key, |text| {
            words.iter().find(|(word, _)| *word == text).map(|(_, meaning)| *meaning).ok_or_else(|| {
                let known = words.iter().map(|(word, _)| *word);
                let suggestion = nearest(text, known.clone()).map_or_else(
                    || format!("one of: {}", known.collect::<Vec<_>>().join(", ")),
                    |near| format!("did you mean `{near}`?"),
                );
                (format!("unknown {key} {}", quoted(text)), suggestion)
            })
        })
    }

    /// A list of strings.
    pub(crate) fn texts(&self, key: &str) -> Option<Vec<At<&'s str>>> {
        let found = self.find(key)?;
        let Some(items) = found.value.as_array() else {
            self.wrong_type(&found, "a list of strings", "put it in brackets, such as [\"…\"]");
            return None;
        };
        let items: &'s [Spanned<DeValue<'s>>] = items;
        let texts = items.iter().enumerate().filter_map(|(index, item)| {
            let place = found.place.item(index, item.span().start);
            self.text_of(At { value: item.get_ref(), place })
        });
        Some(texts.collect())
    }

    /// `true` or `false`.
    pub(crate) fn flag(&self, key: &str) -> Option<bool> {
        let found = self.find(key)?;
        let flag = found.value.as_bool();
        if flag.is_none() {
            self.wrong_type(&found, "true or false", "write it without quotes");
        }
        flag
    }

    /// A whole number between the bounds.
    pub(crate) fn number(&self, key: &str, least: u32, most: u32) -> Option<u32> {
        let found = self.find(key)?;
        let Some(integer) = found.value.as_integer() else {
            self.wrong_type(&found, "a whole number", "write it without quotes");
            return None;
        };
        let number = u32::from_str_radix(integer.as_str(), integer.radix()).ok();
        let fits = number.filter(|number| (least..=most).contains(number));
        if fits.is_none() {
            self.document.fault(&found.place, "out of range", format!("from {least} to {most}"));
        }
        fits
    }

    /// A duration.
    pub(crate) fn duration(&self, key: &str) -> Option<At<Duration>> {
        let found = self.find(key)?;
        if let Some(number) = found.value.as_integer() {
            let message = format!("a bare number ({}) is no duration", quoted(number.as_str()));
            self.document.fault(&found.place, message, FORMS);
            return None;
        }
        let parse = |text: &str| {
            parse_duration(text).ok_or_else(|| (format!("{} is no duration", quoted(text)), FORMS.to_owned()))
        };
        self.parse_at(self.text_of(found)?, parse)
    }

    /// A path; relative ones start at the file's folder.
    pub(crate) fn path(&self, key: &str) -> Option<At<PathBuf>> {
        let text = self.text(key)?;
        if text.value.is_empty() {
            self.document.fault(&text.place, "an empty path", "");
            return None;
        }
        Some(text.map(|path| self.document.folder.join(path)))
    }

    /// Starts of relative paths.
    pub(crate) fn folder(&self) -> &'s Path {
        self.document.folder
    }

    /// A table inside this one.
    pub(crate) fn section(&self, key: &str, shape: &'static Shape) -> Option<Section<'s>> {
        let found = self.find(key)?;
        let Some(table) = found.value.as_table() else {
            self.wrong_type(&found, "a table", &format!("write [{}]", shape.table));
            return None;
        };
        Some(Section::enter(self.document, table, shape, found.place))
    }

    /// A list of tables inside this one.
    pub(crate) fn sections(&self, key: &str, shape: &'static Shape) -> Vec<Section<'s>> {
        let Some(found) = self.find(key) else { return Vec::new() };
        let Some(items) = found.value.as_array() else {
            self.wrong_type(&found, "a list of tables", &format!("write [[{}]]", shape.table));
            return Vec::new();
        };
        let items: &'s [Spanned<DeValue<'s>>] = items;
        let mut sections = Vec::new();
        for (index, item) in items.iter().enumerate() {
            let place = found.place.item(index, item.span().start);
            match item.get_ref() {
                DeValue::Table(table) => sections.push(Section::enter(self.document, table, shape, place)),
                other => self.wrong_type(
                    &At { value: other, place },
                    "a table",
                    &format!("write [[{}]]", shape.table),
                ),
            }
        }
        sections
    }

    /// Tables with free names inside one.
    pub(crate) fn named_sections(&self, key: &str, shape: &'static Shape) -> Vec<(&'s str, Section<'s>)> {
        let mut sections = Vec::new();
        for (name, found) in self.pairs(key) {
            match found.value {
                DeValue::Table(table) => {
                    sections.push((name, Section::enter(self.document, table, shape, found.place)));
                }
                _ => self.wrong_type(&found, "a table", &format!("write [{}.{name}]", shape.table)),
            }
        }
        sections
    }

    /// A table with free keys whose values are strings.
    pub(crate) fn text_pairs(&self, key: &str) -> Vec<(&'s str, At<&'s str>)> {
        let pairs = self.pairs(key).into_iter();
        pairs.filter_map(|(name, value)| Some((name, self.text_of(value)?))).collect()
    }

    /// A table with free keys whose values are strings or lists of strings.
    pub(crate) fn text_set_pairs(&self, key: &str) -> Vec<(&'s str, At<Vec<&'s str>>)> {
        let pairs = self.pairs(key).into_iter();
        pairs.filter_map(|(name, value)| Some((name, self.text_set(value)?))).collect()
    }

    fn text_set(&self, found: At<&'s DeValue<'s>>) -> Option<At<Vec<&'s str>>> {
        let texts = match found.value {
            DeValue::String(text) => Some(vec![text.as_ref()]),
            DeValue::Array(items) => items.iter().map(|item| item.get_ref().as_str()).collect(),
            _ => None,
        };
        if texts.is_none() {
            self.wrong_type(&found, "a list of strings", "such as [\"1234\"]; numbers go in quotes, too");
        }
        Some(At { value: texts?, place: found.place })
    }

    fn pairs(&self, key: &str) -> Vec<(&'s str, At<&'s DeValue<'s>>)> {
        let Some(found) = self.find(key) else { return Vec::new() };
        let Some(table) = found.value.as_table() else {
            self.wrong_type(&found, "a table", &format!("such as {key} = {{ … = \"…\" }}"));
            return Vec::new();
        };
        let mut pairs = Vec::new();
        for (name, value) in table {
            let place = found.place.key(name.get_ref(), name.span().start);
            pairs.push((name.get_ref().as_ref(), At { value: value.get_ref(), place }));
        }
        pairs
    }
}

fn article(kind: &str) -> String {
    let vowel = kind.starts_with(['a', 'e', 'i', 'o', 'u']);
    format!("{} {kind}", if vowel { "an" } else { "a" })
}
