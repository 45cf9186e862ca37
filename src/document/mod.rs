//! TOML files that people write: read whole, every fault at once with its line and column. Knows tables, keys and types;
//! refuses to know what any of them means.

mod faults;
mod reader;
mod shape;

use std::path::Path;

use toml::de::DeTable;

pub(crate) use faults::quoted;
pub use faults::{Fault, Faults};
use reader::Document;
pub(crate) use reader::{At, Place, Section};
pub use shape::Shape;
pub(crate) use shape::nearest;

/// What sort of file it is.
#[derive(Debug)]
pub(crate) struct Kind {
    /// Every table that it may have; the first is the top of the file.
    pub(crate) shapes: &'static [Shape],
    /// Must the line of the text with this number stay unseen? It may hold a secret.
    pub(crate) hides: fn(&str, usize) -> bool,
    /// Are the files that it names opened, to see whether they can be? Not by readers who have no business in them.
    pub(crate) opens_files: bool,
}

/// Nothing in the file is secret.
pub(crate) fn hides_nothing(_: &str, _: usize) -> bool {
    false
}

/// Line and column, from 1, of `key = "value"` in one of the tables `[[list]]`.
pub(crate) fn place_in_list(text: &str, list: &str, key: &str, value: &str) -> Option<(usize, usize)> {
    let table = DeTable::parse(text).ok()?;
    let items = table.get_ref().get(list)?.get_ref().as_array()?;
    let mut values = items.iter().filter_map(|item| item.get_ref().as_table()?.get(key));
    let found = values.find(|found| found.get_ref().as_str() == Some(value))?;
    Some(faults::position(text, found.span().start))
}

/// Reads `text`; relative paths start at `folder`. `read` answers `None` when it noted a fault.
pub(crate) fn read<T>(
    text: &str,
    folder: &Path,
    kind: &'static Kind,
    read: impl FnOnce(&Section<'_>) -> Option<T>,
) -> Result<T, Faults> {
    let document = Document::new(text, folder, kind);
    let (table, errors) = DeTable::parse_recoverable(text);
    for error in &errors {
        document.syntax_fault(error);
    }
    // What is recovered from a broken file would be reported as missing or misplaced: first things first.
    let value = if errors.is_empty() { document.top(table.get_ref()).as_ref().and_then(read) } else { None };
    let faults = document.into_faults();
    match value {
        Some(value) if faults.is_empty() => Ok(value),
        _ => Err(Faults::new(faults)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_item_of_a_list_is_found_by_its_name() {
        let text = "[[grants]]\nname = \"a\"\n\n[[grants]]\n  name = \"b\"\n";
        assert_eq!(place_in_list(text, "grants", "name", "b"), Some((5, 10)));
        assert_eq!(place_in_list(text, "grants", "name", "c"), None);
        assert_eq!(place_in_list("[[grants", "grants", "name", "a"), None);
    }
}
