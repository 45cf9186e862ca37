//! Each kind of tampering is found, and its place is named.

use std::collections::BTreeMap;
use std::sync::Mutex;

use super::*;
use crate::audit::AuditLog;
use crate::audit::merkle::leaf_hash;
use crate::audit::tests::{Bench, fill};
use crate::audit::tile::{TileKind, available, decode_entries, encode_entries};
use crate::keys::note::NoteFault;

/// A log's files in memory.
struct Files(Mutex<BTreeMap<String, Bytes>>);

impl Files {
    async fn of(log: &AuditLog) -> Self {
        let size = log.size();
        let mut files =
            BTreeMap::from([("checkpoint".to_owned(), Bytes::from(log.checkpoint().await.unwrap()))]);
        for kind in [TileKind::Entries, TileKind::Hashes(0), TileKind::Hashes(1), TileKind::Hashes(2)] {
            for path in (0..).map_while(|index| TilePath::newest(kind, index, available(kind, size))) {
                files.insert(path.to_string(), log.tile(&path).await.unwrap().unwrap());
            }
        }
        Self(Mutex::new(files))
    }

    fn put(&self, path: &str, bytes: impl Into<Bytes>) {
        assert!(self.0.lock().unwrap().insert(path.to_owned(), bytes.into()).is_some(), "{path}");
    }

    fn get(&self, path: &str) -> Bytes {
        self.0.lock().unwrap()[path].clone()
    }

    fn remove(&self, path: &str) {
        self.0.lock().unwrap().remove(path).unwrap();
    }

    /// Rewrites a bundle's entries, and its level-0 tile when asked.
    fn edit(&self, tile: &str, width: u16, both: bool, edit: impl FnOnce(&mut Vec<Vec<u8>>)) {
        let bundle = format!("tile/entries/{tile}");
        let mut entries: Vec<Vec<u8>> =
            decode_entries(&self.get(&bundle), width).unwrap().into_iter().map(<[u8]>::to_vec).collect();
        edit(&mut entries);
        self.put(&bundle, encode_entries(entries.iter().map(Vec::as_slice)).unwrap());
        if both {
            let hashes: Vec<_> = entries.iter().map(|entry| leaf_hash(entry)).collect();
            self.put(&format!("tile/0/{tile}"), hashes.concat());
        }
    }
}

impl Source for Files {
    fn fetch(&self, path: String) -> BoxFuture<'_, Result<Option<Bytes>, SourceError>> {
        Box::pin(async move { Ok(self.0.lock().unwrap().get(&path).cloned()) })
    }
}

/// 700 entries, and the checkpoint at 300.
async fn log_of_700() -> (Bench, Files, String) {
    let bench = Bench::new();
    let log = bench.log().await;
    fill(&log, 300).await;
    let saved = log.checkpoint().await.unwrap();
    fill(&log, 400).await;
    let files = Files::of(&log).await;
    (bench, files, saved)
}

async fn report(bench: &Bench, files: &Files, saved: Option<&str>) -> Report {
    verify(files, &bench.key(), saved, &mut |_, _| {}).await.unwrap()
}

fn texts(report: &Report) -> Vec<String> {
    report.faults.iter().map(ToString::to_string).collect()
}

#[tokio::test]
async fn an_untouched_log_verifies_and_continues_what_was_saved() {
    let (bench, files, saved) = log_of_700().await;
    let mut seen = Vec::new();
    let report =
        verify(&files, &bench.key(), Some(&saved), &mut |done, all| seen.push((done, all))).await.unwrap();
    assert!(report.is_ok(), "{report:?}");
    assert_eq!(report.entries_read, 700);
    assert_eq!(report.saved, Some(Saved::Continues { size: 300 }));
    assert_eq!(seen, [(256, 700), (512, 700), (700, 700)]);
}

#[tokio::test]
async fn a_changed_entry_is_named() {
    let (bench, files, saved) = log_of_700().await;
    files.edit("001", 256, false, |entries| entries[44][10] ^= 1);
    let report = report(&bench, &files, Some(&saved)).await;
    assert_eq!(texts(&report).len(), 1, "{report:?}");
    assert!(texts(&report)[0].starts_with("entry 300 in `tile/entries/001` was changed"));
    assert_eq!(report.saved, Some(Saved::Continues { size: 300 }));
}

#[tokio::test]
async fn a_change_before_the_saved_checkpoint_is_also_a_rewrite() {
    let (bench, files, saved) = log_of_700().await;
    files.edit("000", 256, false, |entries| entries[3].push(b' '));
    let report = report(&bench, &files, Some(&saved)).await;
    assert!(texts(&report)[0].starts_with("entry 3 in `tile/entries/000`"));
    assert_eq!(report.saved, Some(Saved::Rewritten { saved: 300 }));
}

#[tokio::test]
async fn reordered_entries_are_named_with_where_they_belong() {
    let (bench, files, _) = log_of_700().await;
    files.edit("002.p/188", 188, false, |entries| entries.swap(5, 9));
    let report = report(&bench, &files, None).await;
    assert_eq!(texts(&report).len(), 2, "{report:?}");
    assert!(
        texts(&report)[0].contains("entry 517 in `tile/entries/002.p/188` is the one that belongs at 521")
    );
    assert!(
        texts(&report)[1].contains("entry 521 in `tile/entries/002.p/188` is the one that belongs at 517")
    );
}

#[tokio::test]
async fn a_removed_entry_and_a_removed_file_are_named() {
    let (bench, files, saved) = log_of_700().await;
    files.edit("000", 256, false, |entries| drop(entries.remove(7)));
    let found = report(&bench, &files, Some(&saved)).await;
    assert_eq!(texts(&found), ["`tile/entries/000` does not hold the 256 items it must hold"]);
    assert_eq!(found.saved, Some(Saved::Unknown { saved: 300 }));
    files.remove("tile/entries/001");
    let found = report(&bench, &files, None).await;
    assert_eq!(texts(&found)[1], "`tile/entries/001` is missing (entries 256 to 511)");
}

#[tokio::test]
async fn an_entry_changed_with_its_tile_is_found_by_the_tile_above() {
    let (bench, files, _) = log_of_700().await;
    files.edit("001", 256, true, |entries| entries[0][0] = b'[');
    let report = report(&bench, &files, None).await;
    assert_eq!(texts(&report).len(), 1, "{report:?}");
    assert!(texts(&report)[0].starts_with("`tile/1/000.p/2` disagrees with the entries 256 to 511"));
}

#[tokio::test]
async fn an_entry_changed_with_all_its_tiles_is_found_by_the_signed_root() {
    let (bench, files, saved) = log_of_700().await;
    // The last, partial tile has nothing above it but the checkpoint.
    files.edit("002.p/188", 188, true, |entries| entries[100][0] = b'[');
    let report = report(&bench, &files, Some(&saved)).await;
    assert_eq!(report.faults, [Fault::Root]);
    assert_eq!(report.saved, Some(Saved::Continues { size: 300 }));
}

#[tokio::test]
async fn a_truncated_log_is_found_against_the_saved_checkpoint() {
    let bench = Bench::new();
    let log = bench.log().await;
    fill(&log, 90).await;
    let files = Files::of(&log).await;
    fill(&log, 30).await;
    let report = report(&bench, &files, Some(&log.checkpoint().await.unwrap())).await;
    assert!(report.faults.is_empty() && !report.is_ok());
    assert_eq!(
        report.saved.unwrap().to_string(),
        "the log was truncated: it has 90 entries, the saved checkpoint 120"
    );
}

#[tokio::test]
async fn a_second_history_with_a_valid_signature_is_found_against_the_saved_checkpoint() {
    let (bench, files, _) = log_of_700().await;
    let other =
        crate::audit::checkpoint::Checkpoint { origin: bench.key().name().into(), size: 700, root: [9; 32] };
    let report = report(&bench, &files, Some(&other.sign(&bench.signer()))).await;
    assert_eq!(report.saved, Some(Saved::Rewritten { saved: 700 }));
    assert!(!report.is_ok());
}

#[tokio::test]
async fn a_checkpoint_by_another_key_is_refused_before_anything_is_read() {
    let (bench, files, saved) = log_of_700().await;
    let other = Bench::new();
    let refusal = verify(&files, &other.key(), None, &mut |_, _| panic!()).await.unwrap_err();
    assert!(matches!(refusal, VerifyError::Checkpoint(NoteError::Note(NoteFault::Unsigned(_)))));
    let forged = saved.replace("300", "299");
    let refusal = verify(&files, &bench.key(), Some(&forged), &mut |_, _| panic!()).await.unwrap_err();
    assert!(matches!(refusal, VerifyError::SavedCheckpoint(NoteError::Note(NoteFault::BadSignature(_)))));
    files.remove("checkpoint");
    assert!(matches!(newest(&files, &bench.key()).await, Err(VerifyError::NoCheckpoint)));
}

#[tokio::test]
async fn full_tiles_stand_in_for_partial_ones_that_were_dropped() {
    let bench = Bench::new();
    let log = bench.log().await;
    fill(&log, 300).await;
    let old = log.checkpoint().await.unwrap();
    fill(&log, 300).await;
    let files = Files::of(&log).await;
    files.put("checkpoint", old);
    // Level 1 has no full tile yet: its partial one stays.
    let upper = log.tile(&"tile/1/000.p/1".parse().unwrap()).await.unwrap().unwrap();
    files.0.lock().unwrap().insert("tile/1/000.p/1".into(), upper);
    files.remove("tile/0/002.p/88");
    assert!(report(&bench, &files, None).await.is_ok());
}
