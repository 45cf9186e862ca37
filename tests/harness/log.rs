//! The log as an outsider reads it: C2SP checkpoint and entry bundles over HTTP, hashed by the test itself.

use serde_json::Value;

use super::broker::Broker;
use super::http;

/// Entries in a full bundle.
const BUNDLE: u64 = 256;

/// One entry and the RFC 6962 hash of its leaf, in lower-case hexadecimal.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) json: Value,
    pub(crate) leaf_hash: String,
}

/// The size in the newest checkpoint.
pub(crate) async fn size(broker: &Broker) -> u64 {
    let checkpoint = broker.get("/log/checkpoint").await.granted();
    let note = checkpoint.body.as_str().expect("a checkpoint is text");
    note.lines().nth(1).and_then(|line| line.parse().ok()).unwrap_or_else(|| panic!("no size in {note:?}"))
}

/// Every entry under the newest checkpoint.
pub(crate) async fn entries(broker: &Broker) -> Vec<Entry> {
    let size = size(broker).await;
    let mut all = Vec::new();
    for bundle in 0..size.div_ceil(BUNDLE) {
        let width = (size - bundle * BUNDLE).min(BUNDLE);
        let partial = if width < BUNDLE { format!(".p/{width}") } else { String::new() };
        let url = format!("{}/log/tile/entries/{}{partial}", broker.url(), path_of(bundle));
        let response = http::client().get(&url).send().await.unwrap();
        assert_eq!(response.status(), 200, "{url}");
        let before = all.len();
        all.extend(split(&response.bytes().await.unwrap()));
        assert_eq!((all.len() - before) as u64, width, "{url}");
    }
    all
}

/// `tlog-tiles`: groups of three digits, all but the last prefixed with `x`.
fn path_of(mut number: u64) -> String {
    let mut path = format!("{:03}", number % 1000);
    while number >= 1000 {
        number /= 1000;
        path = format!("x{:03}/{path}", number % 1000);
    }
    path
}

/// A big-endian uint16 length and the bytes, again and again.
fn split(mut bundle: &[u8]) -> Vec<Entry> {
    let mut entries = Vec::new();
    while let Some((length, rest)) = bundle.split_first_chunk::<2>() {
        let (entry, rest) = rest.split_at(usize::from(u16::from_be_bytes(*length)));
        entries.push(Entry { json: serde_json::from_slice(entry).unwrap(), leaf_hash: leaf_hash(entry) });
        bundle = rest;
    }
    assert!(bundle.is_empty());
    entries
}

fn leaf_hash(entry: &[u8]) -> String {
    use std::fmt::Write as _;
    let hash = ring::digest::digest(&ring::digest::SHA256, &[&[0], entry].concat());
    hash.as_ref().iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
