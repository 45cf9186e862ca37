//! The reference says what the program does: every key is in it, and its example has no fault.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::string_slice,
    clippy::indexing_slicing,
    reason = "helpers of tests"
)]

use std::fs;
use std::path::Path;

use tidegate::config::{SHAPES, parse};

const REFERENCE: &str = include_str!("../docs/configuration.md");

/// The text under the heading of a table of the file, up to the next heading.
fn section(table: &str) -> &'static str {
    let heading = [format!("## `[{table}]`\n"), format!("## `[[{table}]]`\n")];
    let after = heading.iter().find_map(|heading| REFERENCE.split_once(heading.as_str()));
    let (_, text) = after.unwrap_or_else(|| panic!("[{table}] has no heading"));
    text.split("\n##").next().unwrap()
}

/// The first fenced block of that language.
fn block(language: &str) -> &'static str {
    let (_, text) = REFERENCE.split_once(&format!("```{language}\n")).unwrap();
    text.split_once("\n```").unwrap().0
}

/// A folder with every file that the example names.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for name in ["tls.crt", "tls.key", "kek"] {
        fs::write(folder.path().join(name), "").unwrap();
    }
    fs::write(folder.path().join("hook.secret"), "0123456789abcdef".repeat(2)).unwrap();
    fs::write(folder.path().join("orders-read.json"), block("json")).unwrap();
    fs::create_dir(folder.path().join("policies")).unwrap();
    folder
}

#[test]
fn every_key_has_a_row_in_the_table_of_its_section() {
    for shape in SHAPES.iter().filter(|shape| !shape.table.is_empty()) {
        let text = section(shape.table);
        for key in shape.keys {
            assert!(text.contains(&format!("\n| `{key}` |")), "[{}] {key} is not documented", shape.table);
        }
    }
}

#[test]
fn no_row_names_a_key_that_does_not_exist() {
    for shape in SHAPES.iter().filter(|shape| !shape.table.is_empty()) {
        let first_table = section(shape.table)
            .split("\n\n")
            .map(str::trim_start)
            .find(|part| part.starts_with("| key |"))
            .unwrap();
        let rows = first_table.lines().skip(2).filter_map(|row| row.split('`').nth(1));
        for key in rows {
            assert!(shape.keys.contains(&key), "[{}] has no key {key}", shape.table);
        }
    }
}

#[test]
fn the_example_has_no_fault() {
    if let Err(faults) = parse(block("toml"), folder().path()) {
        panic!("{faults}");
    }
}

#[test]
fn a_missing_folder_of_policies_is_a_fault_of_the_example() {
    let faults = parse(block("toml"), Path::new("/nowhere")).unwrap_err();
    assert!(faults.iter().any(|fault| fault.path == "policy.dir"), "{faults}");
}
