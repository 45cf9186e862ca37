//! `tidegate audit report`: one elevation's whole story from the log, for a compliance file. Knows the entries' format and
//! believes nothing that it did not verify; the broker is not asked.

mod render;
mod story;
#[cfg(test)]
mod tests;

use std::process::ExitCode;

use anyhow::Context as _;
use bytes::Bytes;
use futures_util::future::BoxFuture;
use serde_json::Value;

use self::story::{Story, Told};
use super::super::{Output, failed};
use super::{AnySource, SourceArgs, read_key};
use crate::audit::checkpoint::{Checkpoint, VerifierKey};
use crate::audit::merkle::{Hash, Peaks, leaf_hash};
use crate::audit::verify::{self, Source, SourceError};
use crate::ids::ElevationId;

/// Entries that are read at once.
const BUNDLE: u64 = 256;

/// Arguments of `report`.
#[derive(Debug, clap::Args)]
pub struct ReportArgs {
    #[command(flatten)]
    source: SourceArgs,
    /// Whose story.
    #[arg(long, value_name = "ID")]
    elevation: ElevationId,
    /// The log's verifier key (`name+hash+key`) or a file with it
    #[arg(long, value_name = "VKEY_OR_FILE")]
    key: String,
    /// How it is written; `--output json` means json
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// How a report is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// For a terminal.
    #[default]
    Text,
    /// With every entry's exact bytes and its offline receipt.
    Json,
    /// For a compliance file.
    Markdown,
}

/// One entry of the story, proven.
#[derive(Debug)]
struct Proven {
    told: Told,
    leaf_hash: Hash,
    /// C2SP `tlog-proof`: verifies offline with `tidegate audit prove --check`.
    receipt: String,
    /// The exact bytes that the leaf hash is of.
    body: String,
}

/// The story and what it stands on.
#[derive(Debug)]
struct Report {
    elevation: ElevationId,
    checkpoint: Checkpoint,
    /// The signed note.
    note: String,
    key: String,
    entries: Vec<Proven>,
    /// The entries' last word about the elevation.
    last: Value,
    faults: Vec<String>,
}

impl Report {
    fn is_ok(&self) -> bool {
        self.faults.is_empty()
    }
}

pub(super) async fn run(args: &ReportArgs, out: &Output) -> anyhow::Result<ExitCode> {
    let (source, key) = (args.source.open()?, read_key(&args.key)?);
    let report = make(&source, &key, args.elevation, &mut |done, all| {
        out.progress(format!("reading: {done} of {all} entries"));
    })
    .await;
    out.progress("");
    let report = report?;
    match (out.is_json(), args.format) {
        (true, _) => out.json(&render::json(&report))?,
        (false, Format::Json) => out.line(serde_json::to_string_pretty(&render::json(&report))?)?,
        (false, Format::Text) => out.line(render::text(&report))?,
        (false, Format::Markdown) => out.line(render::markdown(&report))?,
    }
    Ok(if report.is_ok() { ExitCode::SUCCESS } else { failed() })
}

/// The types of the story's entries, when all of it verifies.
#[cfg(feature = "demo")]
pub(super) async fn types(
    source: &AnySource,
    key: &VerifierKey,
    elevation: ElevationId,
) -> anyhow::Result<Vec<String>> {
    let report = make(source, key, elevation, &mut |_, _| {}).await?;
    anyhow::ensure!(report.is_ok(), "the story does not hold together: {}", report.faults.join("; "));
    let types = report.entries.iter().filter_map(|entry| story::text(&entry.told.json, "/type"));
    Ok(types.map(str::to_owned).collect())
}

/// Verifies and collects. Fails when the log does not verify; what is wrong with the story itself is in the report.
async fn make(
    source: &AnySource,
    key: &VerifierKey,
    elevation: ElevationId,
    progress: &mut (dyn FnMut(u64, u64) + Send),
) -> anyhow::Result<Report> {
    let (checkpoint, note) = verify::newest(source, key).await?;
    let pinned = Pinned { source, note: &note };
    let story = read(&pinned, &checkpoint, elevation, progress).await?;
    anyhow::ensure!(
        !story.told.is_empty(),
        "the log of {} entries says nothing about `{elevation}`",
        checkpoint.size
    );
    let (last, faults) = (story.last.clone(), story.faults());
    let mut entries = Vec::with_capacity(story.told.len());
    for told in story.told {
        entries.push(proven(&pinned, key, told).await?);
    }
    Ok(Report { elevation, checkpoint, note: note.clone(), key: key.to_string(), entries, last, faults })
}

/// Reads every entry up to the checkpoint. That nothing was left out is known only when all of them together give the
/// root that was signed.
async fn read(
    source: &Pinned<'_>,
    checkpoint: &Checkpoint,
    elevation: ElevationId,
    progress: &mut (dyn FnMut(u64, u64) + Send),
) -> anyhow::Result<Story> {
    let (mut story, mut tree, size) = (Story::of(elevation), Peaks::default(), checkpoint.size);
    while tree.size() < size {
        let from = tree.size();
        let entries = verify::entries(source, size, from, BUNDLE).await?;
        anyhow::ensure!(!entries.is_empty(), "the log ends at {from}, before its checkpoint says so");
        for (index, entry) in (from..).zip(entries) {
            tree.append(leaf_hash(&entry), |_, _| {});
            story.hear(index, &entry);
        }
        progress(tree.size(), size);
    }
    anyhow::ensure!(
        tree.root() == checkpoint.root,
        "the log's entries are not those that were signed: this log must not be believed; `tidegate audit verify` says where \
         it was changed"
    );
    Ok(story)
}

async fn proven(source: &Pinned<'_>, key: &VerifierKey, told: Told) -> anyhow::Result<Proven> {
    let index = told.index;
    let (proof, body) = verify::prove(source, key, index).await.with_context(|| format!("entry {index}"))?;
    anyhow::ensure!(body == told.body, "entry {index} changed while it was read");
    let body = String::from_utf8(body.into()).with_context(|| format!("entry {index} is no text"))?;
    Ok(Proven { leaf_hash: leaf_hash(body.as_bytes()), receipt: proof.to_string(), body, told })
}

/// A source whose checkpoint stays what it was: a log that grows meanwhile must not give each entry another one.
struct Pinned<'a> {
    source: &'a AnySource,
    note: &'a str,
}

impl Source for Pinned<'_> {
    fn fetch(&self, path: String) -> BoxFuture<'_, Result<Option<Bytes>, SourceError>> {
        if path == "checkpoint" {
            let note = Bytes::copy_from_slice(self.note.as_bytes());
            return Box::pin(std::future::ready(Ok(Some(note))));
        }
        self.source.fetch(path)
    }
}
