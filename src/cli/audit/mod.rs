//! `tidegate audit`: the auditor's side. Needs a copy of the log or its URL, and the verifier key; never the broker.

mod export;
mod report;
mod source;
#[cfg(test)]
pub(in crate::cli) mod tests;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::str::FromStr as _;
use std::time::Duration;

use anyhow::Context as _;
use base64::Engine as _;
use clap::{Args, Subcommand};
use serde_json::json;

use self::source::AnySource;
use super::{Output, failed};
use crate::audit::checkpoint::{Checkpoint, VerifierKey};
use crate::audit::proof::TlogProof;
use crate::audit::verify::{self, Source as _};

/// How often `tail --follow` asks again.
const FOLLOW_EVERY: Duration = Duration::from_secs(1);

/// Verify, prove, report on, read and mirror the audit log.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Verify every entry against the signed checkpoint, offline or over HTTPS
    ///
    /// Recomputes the Merkle tree from the entries. With a checkpoint that was saved earlier it also finds a log that
    /// was cut off or rewritten since.
    #[command(
        after_help = "Example:\n  tidegate audit verify https://broker.example.com/log --key log.vkey \
                            --checkpoint last.checkpoint --save last.checkpoint"
    )]
    Verify(VerifyArgs),
    /// Make the offline receipt of one entry, or check one
    #[command(
        after_help = "Examples:\n  tidegate audit prove ./mirror --index 42 --key log.vkey --out 42.tlog-proof \
                            --entry-out 42.json\n  tidegate audit prove --check 42.tlog-proof --entry 42.json \
                            --key log.vkey"
    )]
    Prove(ProveArgs),
    /// Tell one break-glass elevation's whole story, with proofs, for a compliance file
    ///
    /// Reads the whole log, verifies it against its signed checkpoint, and verifies an inclusion proof of every entry that
    /// belongs to the elevation. Fails when anything does not verify.
    #[command(
        after_help = "Examples:\n  tidegate audit report https://broker.example.com --elevation ID --key log.vkey\n  \
                            tidegate audit report ./mirror --elevation ID --key log.vkey --format markdown > ID.md"
    )]
    Report(report::ReportArgs),
    /// Print the newest entries as JSON lines; does not verify them
    #[command(after_help = "Example:\n  tidegate audit tail https://broker.example.com/log -n 20 --follow")]
    Tail(TailArgs),
    /// Mirror the log into a folder that `verify` accepts; can be interrupted and run again
    #[command(after_help = "Example:\n  tidegate audit export https://broker.example.com/log --to ./mirror")]
    Export(ExportArgs),
}

/// Where the log is.
#[derive(Debug, Args)]
pub struct SourceArgs {
    /// Folder with a mirror of the log, or the URL under which it is served
    #[arg(value_name = "SOURCE")]
    source: String,
    /// PEM file with the certificate authority to trust for the URL, instead of the system's
    #[arg(long, value_name = "FILE")]
    ca_file: Option<PathBuf>,
}

/// Arguments of `verify`.
#[derive(Debug, Args)]
pub struct VerifyArgs {
    #[command(flatten)]
    source: SourceArgs,
    /// The log's verifier key (`name+hash+key`) or a file with it
    #[arg(long, value_name = "VKEY_OR_FILE")]
    key: String,
    /// A checkpoint that was saved earlier: the log must still begin with it
    #[arg(long, value_name = "FILE")]
    checkpoint: Option<PathBuf>,
    /// Save the checkpoint here when everything is in order, for the next time
    #[arg(long, value_name = "FILE")]
    save: Option<PathBuf>,
}

/// Arguments of `prove`.
#[derive(Debug, Args)]
pub struct ProveArgs {
    /// Folder with a mirror of the log, or the URL under which it is served
    #[arg(value_name = "SOURCE", required_unless_present = "check", conflicts_with = "check")]
    source: Option<String>,
    /// PEM file with the certificate authority to trust for the URL, instead of the system's
    #[arg(long, value_name = "FILE")]
    ca_file: Option<PathBuf>,
    /// The entry's index
    #[arg(long, value_name = "N", required_unless_present = "check", conflicts_with = "check")]
    index: Option<u64>,
    /// The log's verifier key (`name+hash+key`) or a file with it
    #[arg(long, value_name = "VKEY_OR_FILE")]
    key: String,
    /// Write the receipt here instead of printing it
    #[arg(long, value_name = "FILE", conflicts_with = "check")]
    out: Option<PathBuf>,
    /// Also write the entry's exact bytes
    #[arg(long, value_name = "FILE", conflicts_with = "check")]
    entry_out: Option<PathBuf>,
    /// Check this receipt, offline
    #[arg(long, value_name = "FILE", requires = "entry")]
    check: Option<PathBuf>,
    /// The entry's exact bytes
    #[arg(long, value_name = "FILE", requires = "check")]
    entry: Option<PathBuf>,
}

/// Arguments of `tail`.
#[derive(Debug, Args)]
pub struct TailArgs {
    #[command(flatten)]
    source: SourceArgs,
    /// How many entries
    #[arg(short, value_name = "N", default_value_t = 10)]
    n: u64,
    /// Go on with new entries as they come
    #[arg(long, short)]
    follow: bool,
}

/// Arguments of `export`.
#[derive(Debug, Args)]
pub struct ExportArgs {
    #[command(flatten)]
    source: SourceArgs,
    /// The folder to write
    #[arg(long, value_name = "DIR")]
    to: PathBuf,
}

impl Command {
    /// Runs it. An error is a failure too; its text is for standard error.
    pub async fn run(self, out: &Output) -> anyhow::Result<ExitCode> {
        match self {
            Self::Verify(args) => run_verify(&args, out).await,
            Self::Prove(args) => run_prove(&args, out).await,
            Self::Report(args) => report::run(&args, out).await,
            Self::Tail(args) => run_tail(&args, out).await,
            Self::Export(args) => export::run(&args.source.open()?, &args.to, out).await,
        }
    }
}

impl SourceArgs {
    pub(in crate::cli) fn open(&self) -> anyhow::Result<AnySource> {
        AnySource::open(&self.source, self.ca_file.as_deref())
    }
}

/// Verifies without printing: for the demo's auditor.
#[cfg(feature = "demo")]
pub(super) async fn verify_source(source: &str, key: &str) -> anyhow::Result<verify::Report> {
    let (source, key) = (AnySource::open(source, None)?, read_key(key)?);
    Ok(verify::verify(&source, &key, None, &mut |_, _| {}).await?)
}

/// The types of the entries of one elevation's verified story: for the demo.
#[cfg(feature = "demo")]
pub(super) async fn story_of(source: &str, key: &str, elevation: &str) -> anyhow::Result<Vec<String>> {
    report::types(&AnySource::open(source, None)?, &read_key(key)?, elevation.parse()?).await
}

async fn run_verify(args: &VerifyArgs, out: &Output) -> anyhow::Result<ExitCode> {
    let (source, key) = (args.source.open()?, read_key(&args.key)?);
    let saved = args.checkpoint.as_deref().map(read_text).transpose()?;
    let mut progress = |done: u64, all: u64| {
        let percent = u128::from(done) * 100 / u128::from(all.max(1));
        out.progress(format!("verifying: {done} of {all} entries ({percent} %)"));
    };
    let report = verify::verify(&source, &key, saved.as_deref(), &mut progress).await?;
    out.progress("");
    let ok = report.is_ok();
    if ok && let Some(path) = &args.save {
        export::write_atomically(path, report.note.as_bytes())?;
    }
    print_report(&report, out)?;
    Ok(if ok { ExitCode::SUCCESS } else { failed() })
}

fn print_report(report: &verify::Report, out: &Output) -> anyhow::Result<()> {
    let root = base64::engine::general_purpose::STANDARD.encode(report.checkpoint.root);
    let faults: Vec<String> = report.faults.iter().map(ToString::to_string).collect();
    let saved = report.saved.as_ref().map(ToString::to_string);
    out.json(&json!({
        "ok": report.is_ok(),
        "origin": report.checkpoint.origin,
        "size": report.checkpoint.size,
        "root": root,
        "entries_read": report.entries_read,
        "saved_checkpoint": saved,
        "faults": faults,
        "more_faults": report.more_faults,
    }))?;
    for fault in &faults {
        out.line(format!("FAULT  {fault}"))?;
    }
    if report.more_faults > 0 {
        out.line(format!("       and {} more", report.more_faults))?;
    }
    if let Some(saved) = saved {
        let mark = if report.saved.as_ref().is_some_and(verify::Saved::is_ok) { "ok   " } else { "FAULT" };
        out.line(format!("{mark}  {saved}"))?;
    }
    let Checkpoint { origin, size, .. } = &report.checkpoint;
    out.line(if report.is_ok() {
        format!("ok     `{origin}`: all {size} entries are what was signed (root {root})")
    } else {
        format!("FAILED `{origin}`: this log of {size} entries must not be believed")
    })?;
    Ok(())
}

async fn run_prove(args: &ProveArgs, out: &Output) -> anyhow::Result<ExitCode> {
    let key = read_key(&args.key)?;
    match (args, &args.check, &args.entry) {
        (_, Some(receipt), Some(entry)) => check_receipt(receipt, entry, &key, out),
        (ProveArgs { source: Some(source), index: Some(index), .. }, ..) => {
            let source = AnySource::open(source, args.ca_file.as_deref())?;
            make_receipt(&source, &key, *index, args, out).await
        }
        _ => anyhow::bail!("name a SOURCE and `--index`, or `--check` and `--entry`"),
    }
}

async fn make_receipt(
    source: &AnySource,
    key: &VerifierKey,
    index: u64,
    args: &ProveArgs,
    out: &Output,
) -> anyhow::Result<ExitCode> {
    let (proof, entry) = verify::prove(source, key, index).await?;
    if let Some(path) = &args.entry_out {
        export::write_atomically(path, &entry)?;
    }
    match &args.out {
        Some(path) => {
            export::write_atomically(path, proof.to_string().as_bytes())?;
            out.line(format!("wrote `{}`", path.display()))?;
        }
        None => out.line(proof.to_string().trim_end())?,
    }
    out.json(&json!({
        "index": index,
        "proof": proof.to_string(),
        "entry": String::from_utf8_lossy(&entry),
        "out": args.out,
    }))?;
    Ok(ExitCode::SUCCESS)
}

fn check_receipt(receipt: &Path, entry: &Path, key: &VerifierKey, out: &Output) -> anyhow::Result<ExitCode> {
    let bytes = std::fs::read(entry).with_context(|| format!("`{}` cannot be read", entry.display()))?;
    let checked = TlogProof::parse(&read_text(receipt)?)
        .and_then(|proof| proof.verify(&bytes, key).map(|checkpoint| (proof.index, checkpoint)));
    let (index, checkpoint) = match checked {
        Ok(found) => found,
        Err(refusal) => {
            out.json(&json!({ "ok": false, "reason": refusal.to_string() }))?;
            out.line(format!("FAILED {refusal}"))?;
            return Ok(failed());
        }
    };
    let Checkpoint { origin, size, .. } = checkpoint;
    out.json(&json!({ "ok": true, "index": index, "origin": origin, "size": size }))?;
    out.line(format!("ok     the entry is number {index} in the log `{origin}` of {size} entries"))?;
    Ok(ExitCode::SUCCESS)
}

async fn run_tail(args: &TailArgs, out: &Output) -> anyhow::Result<ExitCode> {
    let source = args.source.open()?;
    let mut size = size_of(&source).await?;
    let mut next = size.saturating_sub(args.n);
    loop {
        while next < size {
            // A bundle at a time: a long tail must not be in memory at once.
            let entries = verify::entries(&source, size, next, 256).await?;
            anyhow::ensure!(!entries.is_empty(), "the log ends at {next}, before its checkpoint says so");
            for entry in entries {
                out.line(String::from_utf8_lossy(&entry))?;
                out.json(&serde_json::from_slice::<serde_json::Value>(&entry)?)?;
                next += 1;
            }
        }
        if !args.follow {
            return Ok(ExitCode::SUCCESS);
        }
        tokio::time::sleep(FOLLOW_EVERY).await;
        size = size_of(&source).await?;
    }
}

async fn size_of(source: &AnySource) -> anyhow::Result<u64> {
    let note = source.fetch("checkpoint".to_owned()).await?.context("the source has no file `checkpoint`")?;
    Ok(Checkpoint::read_unverified(&String::from_utf8_lossy(&note))?.size)
}

/// A verifier key, or a file with one.
pub(in crate::cli) fn read_key(text: &str) -> anyhow::Result<VerifierKey> {
    match VerifierKey::from_str(text) {
        Ok(key) => Ok(key),
        // Base64 may hold a slash, so what looks like a path may be a mistyped key: say what is wrong with both.
        Err(refusal) => {
            let file = std::fs::read_to_string(text).with_context(|| {
                format!("`{text}` is neither a verifier key ({refusal}) nor a readable file")
            })?;
            VerifierKey::from_str(&file).with_context(|| format!("in `{text}`"))
        }
    }
}

pub(in crate::cli) fn read_text(path: &Path) -> anyhow::Result<String> {
    std::fs::read_to_string(path).with_context(|| format!("`{}` cannot be read", path.display()))
}
