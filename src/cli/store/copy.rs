//! `tidegate store copy`.

use std::path::PathBuf;
use std::process::ExitCode;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::json;

use super::{place, read_checkpoint};
use crate::audit::verifier_key_of;
use crate::cli::Output;
use crate::store::{self, Copied, Step, StoreSettings};

/// What comes after it, for people.
const NEXT: &str = "next:
  1. name the new store under [store] in the configuration, and start the broker: log, keys and elevations go on there
  2. never start a broker on the old store again: it would sign a second history under the same key
  3. keep the old store until the new one is backed up, then delete it: it holds the sealed keys";

/// Arguments of `copy`.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// The configuration file of the store to read
    #[arg(long, value_name = "FILE", env = "TIDEGATE_CONFIG", required_unless_present = "from")]
    config: Option<PathBuf>,
    /// The store to read, instead: `sqlite:PATH` or `postgres://USER@HOST/DATABASE`
    #[arg(long, value_name = "URL")]
    from: Option<String>,
    /// The configuration file of the store to write
    #[arg(long, value_name = "FILE", required_unless_present = "to", conflicts_with = "to")]
    to_config: Option<PathBuf>,
    /// The store to write, instead: a new file or an empty database
    #[arg(long, value_name = "URL")]
    to: Option<String>,
    /// A signed checkpoint that was saved earlier: the copied log must begin with it
    #[arg(long, value_name = "FILE")]
    checkpoint: Option<PathBuf>,
}

impl Args {
    pub(super) async fn run(self, out: &Output) -> anyhow::Result<ExitCode> {
        let from = place(self.from.as_deref(), self.config.as_deref())?;
        let to = place(self.to.as_deref(), self.to_config.as_deref())?;
        let saved = match &self.checkpoint {
            Some(path) => Some(read_checkpoint(path, key_of(&from).await?.as_ref())?),
            None => None,
        };
        let mut last = None;
        let mut progress = |step: Step, done: u64, all: u64| {
            if last != Some(step) {
                out.note(words(step));
                last = Some(step);
            }
            let of = if all > 0 { format!(" of {all}") } else { String::new() };
            out.progress(format!("{}: {done}{of} rows", words(step)));
        };
        let done = store::copy(&from, &to, saved.as_ref(), &mut progress).await;
        out.progress("");
        print(&done?, out)?;
        Ok(ExitCode::SUCCESS)
    }
}

/// Closed again before the copy begins: that wants the store for itself.
async fn key_of(from: &StoreSettings) -> anyhow::Result<Option<crate::audit::checkpoint::VerifierKey>> {
    Ok(verifier_key_of(store::open_to_look(from).await?.as_ref()).await?)
}

fn words(step: Step) -> String {
    match step {
        Step::Writing(table) => format!("copying `{table}`"),
        Step::Verifying(table) => format!("comparing `{table}`"),
    }
}

fn print(done: &Copied, out: &Output) -> anyhow::Result<()> {
    let root = BASE64.encode(done.root);
    let rows: serde_json::Map<_, _> =
        done.rows.iter().map(|(name, rows)| ((*name).to_owned(), json!(rows))).collect();
    out.json(&json!({
        "entries": done.entries,
        "root": root,
        "resumed_from": done.resumed_from,
        "checkpoint": done.checkpoint.as_ref().map(|saved| saved.size),
        "rows": rows,
    }))?;
    if done.resumed_from > 0 {
        out.line(format!("went on from {} entries of a copy that was interrupted", done.resumed_from))?;
    }
    out.line(format!("copied {} log entries; root {root}", done.entries))?;
    for (name, rows) in &done.rows {
        out.line(format!("       {rows:>10}  {name}"))?;
    }
    out.line(
        "read back: every entry was hashed again and gives the source's root; every other row is the same",
    )?;
    if let Some(saved) = &done.checkpoint {
        out.line(format!("the log begins with the saved checkpoint of {} entries", saved.size))?;
    }
    out.line(NEXT)?;
    Ok(())
}
