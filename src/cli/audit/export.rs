//! Mirroring a log into a folder.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use serde_json::json;

use super::super::Output;
use super::source::AnySource;
use crate::audit::checkpoint::Checkpoint;
use crate::audit::tile::{TILE_WIDTH, TOP_LEVEL, TileKind, TilePath, available};
use crate::audit::verify::{Source as _, fetch_tile};

/// Copies what is missing; the checkpoint comes last, so that an interrupted mirror is a smaller one and not a broken one.
pub(super) async fn run(source: &AnySource, to: &Path, out: &Output) -> anyhow::Result<ExitCode> {
    let note = source.fetch("checkpoint".to_owned()).await?.context("the source has no file `checkpoint`")?;
    let checkpoint = Checkpoint::read_unverified(&String::from_utf8_lossy(&note))?;
    refuse_to_go_back(&to.join("checkpoint"), &checkpoint)?;
    let (size, mut copied) = (checkpoint.size, 0_u64);
    for path in tiles(size) {
        if copy_tile(source, path, to).await? {
            copied += 1;
            out.progress(format!("copied {copied} files ({path})"));
        }
    }
    write_atomically(&to.join("checkpoint"), &note)?;
    out.progress("");
    out.line(format!("mirrored {size} entries of `{}` to `{}`", checkpoint.origin, to.display()))?;
    out.json(&json!({ "origin": checkpoint.origin, "size": size, "files_copied": copied, "to": to }))?;
    Ok(ExitCode::SUCCESS)
}

/// Every file of a log of `size` but the checkpoint.
fn tiles(size: u64) -> impl Iterator<Item = TilePath> {
    let kinds = std::iter::once(TileKind::Entries).chain((0..=TOP_LEVEL).map(TileKind::Hashes));
    kinds.flat_map(move |kind| {
        let have = available(kind, size);
        (0..have.div_ceil(TILE_WIDTH)).filter_map(move |index| TilePath::newest(kind, index, have))
    })
}

async fn copy_tile(source: &AnySource, path: TilePath, to: &Path) -> anyhow::Result<bool> {
    let target = to.join(path.to_string());
    if target.exists() {
        return Ok(false);
    }
    let bytes = fetch_tile(source, path).await?.with_context(|| format!("the source has no `{path}`"))?;
    write_atomically(&target, &bytes)?;
    if path.partial.is_none() {
        drop_partial_tiles(&target)?;
    }
    Ok(true)
}

/// A mirror is evidence: a source that was cut off or rewritten must not take it along.
fn refuse_to_go_back(mirror: &Path, now: &Checkpoint) -> anyhow::Result<()> {
    let Ok(note) = fs::read_to_string(mirror) else { return Ok(()) };
    let before = Checkpoint::read_unverified(&note).with_context(|| format!("in `{}`", mirror.display()))?;
    anyhow::ensure!(
        before.origin == now.origin,
        "the mirror is of the log `{}`, the source of `{}`",
        before.origin,
        now.origin
    );
    anyhow::ensure!(
        before.size < now.size || (before.size == now.size && before.root == now.root),
        "the mirror has a checkpoint of {} entries that the source's checkpoint of {} entries does not continue; the mirror \
         is left as it is",
        before.size,
        now.size
    );
    Ok(())
}

/// A full tile replaces its partial ones.
fn drop_partial_tiles(full: &Path) -> anyhow::Result<()> {
    let mut name = full.as_os_str().to_owned();
    name.push(".p");
    match fs::remove_dir_all(PathBuf::from(name)) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
        _ => Ok(()),
    }
}

/// Nobody ever sees half a file.
pub(in crate::cli) fn write_atomically(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    let mut half = path.as_os_str().to_owned();
    half.push(".part");
    let half = PathBuf::from(half);
    let write = || {
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        let mut file = File::create(&half)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&half, path)
    };
    write().with_context(|| format!("`{}` cannot be written", path.display()))
}
