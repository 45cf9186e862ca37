//! `tidegate store status`.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Value, json};

use super::{PlaceArgs, read_checkpoint};
use crate::audit::checkpoint::VerifierKey;
use crate::audit::verify::Saved;
use crate::audit::{compare_with, root_of, verifier_key_of};
use crate::cli::{Output, failed};
use crate::store::{self, Backend, Inspection, LogHead, ServerFacts, Store};

/// Arguments of `status`.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    #[command(flatten)]
    place: PlaceArgs,
    /// A signed checkpoint that was saved earlier: the log must still begin with it
    #[arg(long, value_name = "FILE")]
    checkpoint: Option<PathBuf>,
}

/// What the log says of itself.
struct Log {
    head: LogHead,
    key: Option<VerifierKey>,
    keys: usize,
    saved: Option<Saved>,
}

impl Args {
    pub(super) async fn run(self, out: &Output) -> anyhow::Result<ExitCode> {
        let settings = self.place.find()?;
        let found = store::inspect(&settings).await?;
        let log =
            if found.has_head { Some(self.log(store::open_to_look(&settings).await?).await?) } else { None };
        let saved = log.as_ref().and_then(|log| log.saved.as_ref());
        if let Some(alarm) = saved.and_then(alarm) {
            out.note(alarm);
        }
        out.json(&as_json(&found, log.as_ref()))?;
        print(&found, log.as_ref(), out)?;
        let is_half = found.schema.version > 0 && log.is_none();
        let compared = self.checkpoint.is_none() || saved.is_some_and(Saved::is_ok);
        if log.is_none() && self.checkpoint.is_some() {
            out.note("tidegate: there is no log here that could be compared with the saved checkpoint");
        }
        Ok(if is_half || !compared { failed() } else { ExitCode::SUCCESS })
    }

    async fn log(&self, store: Arc<dyn Store>) -> anyhow::Result<Log> {
        let key = verifier_key_of(store.as_ref()).await?;
        let saved = match &self.checkpoint {
            Some(path) => Some(compare_with(&store, &read_checkpoint(path, key.as_ref())?).await?),
            None => None,
        };
        Ok(Log { head: store.head().await?, key, keys: store.keys().await?.len(), saved })
    }
}

/// What nobody may overlook, on standard error.
fn alarm(saved: &Saved) -> Option<String> {
    let (title, why) = match saved {
        Saved::Continues { .. } => return None,
        Saved::Truncated { .. } => (
            "THIS STORE IS A RESTORED OLDER BACKUP",
            "signed entries are missing here: credentials may be out that it does not know, and single-use tokens may be \
             taken again",
        ),
        Saved::Rewritten { .. } => (
            "THIS STORE'S LOG IS ANOTHER HISTORY THAN THE ONE THAT WAS SIGNED",
            "it was rewritten, or an older backup was restored and a broker has gone on from there",
        ),
        Saved::Unknown { .. } => ("THIS STORE'S LOG HAS GAPS", "entries below its size are missing"),
    };
    let line = "!".repeat(78);
    Some(format!(
        "{line}\n!! {title}\n!! {saved}\n!! {why}.\n!! Start no broker on it before you know why; `docs/operations.md` says \
         what to do.\n{line}"
    ))
}

fn as_json(found: &Inspection, log: Option<&Log>) -> Value {
    let tables: Vec<Value> = found
        .tables
        .iter()
        .map(|table| json!({ "name": table.name, "rows": table.rows, "bytes": table.bytes }))
        .collect();
    json!({
        "backend": backend_json(&found.backend),
        "schema": {
            "version": found.schema.version,
            "wanted": found.schema.wanted,
            "pending": found.schema.pending.iter().map(|step| step.version).collect::<Vec<_>>(),
        },
        "half_copied": found.schema.version > 0 && !found.has_head,
        "elevations_open": found.open_elevations,
        "tables": tables,
        "log": log.map(|log| json!({
            "size": log.head.size,
            "root": BASE64.encode(root_of(&log.head)),
            "last_at": log.head.last_at.map(|at| at.to_string()),
            "verifier_key": log.key.as_ref().map(ToString::to_string),
            "keys": log.keys,
        })),
        "checkpoint": log.and_then(|log| log.saved.as_ref()).map(|saved| json!({
            "ok": saved.is_ok(),
            "says": saved.to_string(),
        })),
    })
}

fn backend_json(backend: &Backend) -> Value {
    match backend {
        Backend::Sqlite { files } => {
            let files: Vec<Value> =
                files.iter().map(|(path, bytes)| json!({ "path": path, "bytes": bytes })).collect();
            json!({ "kind": "sqlite", "files": files })
        }
        Backend::Postgres(server) => json!({
            "kind": "postgres",
            "place": server.place,
            "version": server.version,
            "fsync": server.fsync,
            "full_page_writes": server.full_page_writes,
            "synchronous_commit": server.synchronous_commit,
            "synchronous_standby_names": server.synchronous_standby_names,
            "bytes": server.database_bytes,
            "risks": server.risks(),
        }),
    }
}

fn print(found: &Inspection, log: Option<&Log>, out: &Output) -> anyhow::Result<()> {
    match &found.backend {
        Backend::Sqlite { files } => {
            for (path, bytes) in files {
                out.line(format!("{:<12}{}, {}", "file", path.display(), size(*bytes)))?;
            }
        }
        Backend::Postgres(server) => print_server(server, out)?,
    }
    let schema = &found.schema;
    let state = match (schema.is_current(), schema.version > schema.wanted) {
        (true, false) => "up to date".to_owned(),
        (true, true) => format!("newer than this program's {}, which it serves", schema.wanted),
        (false, _) => format!("this program needs {}: run `tidegate store migrate`", schema.wanted),
    };
    out.line(format!("{:<12}version {}, {state}", "schema", schema.version))?;
    match log {
        Some(log) => print_log(log, out)?,
        None if schema.version > 0 => out.line(format!(
            "{:<12}NONE: a copy into this store has not ended; run `tidegate store copy` again",
            "log"
        ))?,
        None => out.line(format!("{:<12}none yet", "log"))?,
    }
    out.line(format!("{:<12}{} open", "elevations", found.open_elevations))?;
    for table in &found.tables {
        let rows = table.rows.map_or("-".to_owned(), |rows| rows.to_string());
        let bytes = table.bytes.map(size).unwrap_or_default();
        out.line(format!("{:<12}{:<16}{rows:>12} rows{bytes:>14}", "table", table.name))?;
    }
    Ok(())
}

fn print_server(server: &ServerFacts, out: &Output) -> std::io::Result<()> {
    let on = |flag: bool| if flag { "on" } else { "OFF" };
    out.line(format!("{:<12}PostgreSQL {} at {}", "server", server.version, server.place))?;
    out.line(format!(
        "{:<12}fsync {}, full_page_writes {}, synchronous_commit {}, synchronous_standby_names '{}'",
        "durability",
        on(server.fsync),
        on(server.full_page_writes),
        server.synchronous_commit,
        server.synchronous_standby_names
    ))?;
    for risk in server.risks() {
        out.line(format!("{:<12}{risk}", "WARNING"))?;
    }
    out.line(format!("{:<12}{} in all", "database", size(server.database_bytes)))
}

fn print_log(log: &Log, out: &Output) -> std::io::Result<()> {
    let last = log.head.last_at.map_or("never".to_owned(), |at| at.to_string());
    out.line(format!("{:<12}{} entries, the last one at {last}", "log", log.head.size))?;
    out.line(format!("{:<12}{}", "root", BASE64.encode(root_of(&log.head))))?;
    let key = log.key.as_ref().map_or("none yet".to_owned(), ToString::to_string);
    out.line(format!("{:<12}{key}", "log's key"))?;
    out.line(format!("{:<12}{} kept, the log's among them", "keys", log.keys))?;
    match &log.saved {
        Some(saved) => out.line(format!("{:<12}{saved}", "checkpoint")),
        None => Ok(()),
    }
}

#[expect(clippy::cast_precision_loss, reason = "three digits are shown")]
fn size(bytes: u64) -> String {
    match bytes {
        0..1_024 => format!("{bytes} B"),
        1_024..1_048_576 => format!("{:.1} KiB", bytes as f64 / 1_024.0),
        1_048_576..1_073_741_824 => format!("{:.1} MiB", bytes as f64 / 1_048_576.0),
        _ => format!("{:.2} GiB", bytes as f64 / 1_073_741_824.0),
    }
}
