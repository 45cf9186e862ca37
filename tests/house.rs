//! The house rules of `docs/architecture.md`, held by reading the sources: who may import whom, and how a room looks.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, helpers included")]

mod house {
    //! The tokenizer, the import reader, the table and the other rules.

    pub(crate) mod imports;
    pub(crate) mod lexer;
    pub(crate) mod rules;
    pub(crate) mod sources;
    pub(crate) mod table;
}

use house::{rules, sources, table};

fn report(faults: &[String]) {
    assert!(faults.is_empty(), "{} house rules are broken:\n{}", faults.len(), faults.join("\n"));
}

#[test]
fn rooms_import_only_what_the_table_allows() {
    let faults: Vec<_> = sources::all().iter().flat_map(table::faults).collect();
    report(&faults);
}

#[test]
fn every_room_is_in_the_table() {
    let unknown: Vec<_> = sources::all().iter().filter_map(table::unknown_room).collect();
    report(&unknown);
}

#[test]
fn files_keep_their_measure() {
    let faults: Vec<_> = sources::all().iter().flat_map(rules::faults).collect();
    report(&faults);
}

#[test]
fn every_room_begins_with_a_sentence() {
    let faults: Vec<_> = sources::all().iter().filter_map(rules::silent_room).collect();
    report(&faults);
}

#[test]
fn a_planted_import_is_found() {
    let planted = |path: &str, text: &str| table::faults(&sources::Source::planted(path, text));

    for (path, text) in [
        ("policy/mod.rs", "use crate::store::Store;"),
        ("policy/engine.rs", "fn f() -> crate::issuance::Credential { todo!() }"),
        ("principal/mod.rs", "use crate::{clock::Moment, grants::Grant};"),
        ("principal/mod.rs", "use super::grants::Grant;"),
        ("principal/profiles/github.rs", "use super::super::super::grants::Grant;"),
        ("federation/mod.rs", "use {crate::{ids, store::{self, Store}}};"),
        ("issuance/aws.rs", "use crate::audit::AuditLog;"),
        ("issuance/aws.rs", "use crate::policy::{Permit, PolicyEngine};"),
        ("http/oauth.rs", "use crate::policy::Permit;"),
        ("http/oauth.rs", "use crate::federation::fetch::Fetcher;"),
        ("http/oauth.rs", "use crate::cli;"),
        ("exchange/mod.rs", "use crate::store::sqlite::SqliteStore;"),
        ("exchange/mod.rs", "use crate as house; use crate::http::routes;"),
        ("audit/event.rs", "use crate::policy::PolicyDigest;"),
        ("clock.rs", "use crate::policy;"),
        ("config/mod.rs", "use crate::policy; fn f(_: policy::PolicyEngine) {}"),
        ("config/mod.rs", "use crate::policy as rules; fn f(_: rules::PolicyEngine) {}"),
        ("config/mod.rs", "use crate::policy::*;"),
        ("config/mod.rs", "use tidegate::http::Router;"),
        ("store/sqlite/mod.rs", "use crate::exchange::Refusal;"),
        ("breakglass/state.rs", "use crate::audit::Event;"),
        ("breakglass/quorum.rs", "async fn f() {}"),
        ("policy/mod.rs", "use crate::*;"),
        ("policy/mod.rs", "pub(in crate::policy) fn f() { crate :: store :: open() }"),
        ("policy/mod.rs", "macro_rules! m { () => { $crate::store::open() } }"),
        ("policy/mod.rs", "#[cfg(not(test))] mod b { use crate::store::Store; }"),
    ] {
        assert!(!planted(path, text).is_empty(), "not found in {path}: {text}");
    }
    for (path, text) in [
        (
            "policy/mod.rs",
            "use crate::{clock::Moment, grants::{Catalog, Grant}}; use super::principal::Principal;",
        ),
        ("policy/mod.rs", "// use crate::store::Store;\n/* crate::store /* nested */ crate::http */"),
        (
            "policy/mod.rs",
            "const A: &str = \"crate::store\"; const B: &str = r#\"\"crate::http\"#; const C: char = '\"';",
        ),
        ("policy/mod.rs", "#[cfg(test)]\nmod tests { use crate::store::Store; fn f() { if true {} } }"),
        ("policy/tests.rs", "use crate::store::Store;"),
        ("policy/engine/tests.rs", "use crate::store::Store;"),
        ("issuance/aws.rs", "use crate::audit::Receipt; use crate::policy::Permit;"),
        (
            "http/oauth.rs",
            "use crate::exchange::{Exchange, Refusal}; use crate::federation::UnverifiedToken;",
        ),
        ("store/mod.rs", "pub(in crate::store) fn open<'a>(_: &'a crate::clock::Moment) {}"),
        ("config/mod.rs", "use crate::policy; fn f(_: policy::Settings) {}"),
        ("server.rs", "use crate::store::sqlite::SqliteStore; use crate::http;"),
        ("breakglass/state.rs", "use super::quorum; use crate::principal::PersonId;"),
    ] {
        let faults = planted(path, text);
        assert!(faults.is_empty(), "wrongly reported in {path}: {text}\n{}", faults.join("\n"));
    }
}

#[test]
fn a_planted_breach_of_measure_is_found() {
    let long = "fn f() {}\n".repeat(501);
    for (path, text) in [
        ("a/mod.rs", long.as_str()),
        ("a/b/c/d/mod.rs", "//! Deep."),
        ("a/mod.rs", "unsafe { f() }"),
        ("a/mod.rs", "#[allow(dead_code, reason = \"no\")] fn f() {}"),
        ("a/mod.rs", "#![allow(dead_code)]"),
        ("a/mod.rs", "fn f() { println!(\"hello\"); }"),
        ("a/mod.rs", "fn f() { eprint !(\"hello\"); }"),
        ("a/mod.rs", "fn f() { std::process::exit(1) }"),
    ] {
        assert!(!rules::faults(&sources::Source::planted(path, text)).is_empty(), "not found in {path}");
    }
    let quiet = "//! Says \"println!(…)\" and unsafe.\n#![expect(dead_code, reason = \"x\")]\nfn f() { writeln!(out, \"unsafe\") }";
    assert!(rules::faults(&sources::Source::planted("a/mod.rs", quiet)).is_empty());
    assert!(rules::silent_room(&sources::Source::planted("a/mod.rs", "use std::fmt;")).is_some());
    assert!(rules::silent_room(&sources::Source::planted("a/mod.rs", "//! Knows a thing.")).is_none());
}
