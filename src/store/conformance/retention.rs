//! What ends is forgotten, and the log and the elevations are not.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{Open, append, claim, claim_all, promises, rows};
use crate::locks::LockTarget;
use crate::secret::Fingerprint;
use crate::store::samples::{self, AT, seconds};
use crate::store::{AnswerRow, ElevationQuery, RevokedToken};

promises! { forgetting_for_ten_years_leaves_the_log_and_the_elevations }

const TEN_YEARS: Duration = Duration::from_hours(24 * 3_653);

async fn forgetting_for_ten_years_leaves_the_log_and_the_elevations(open: Open<'_>) {
    let store = open().await;
    append(store.as_ref(), 0..300, &[]).await.unwrap();
    claim_all(store.as_ref(), &[claim(1), claim(2)]).await;
    let asked = samples::asked();
    let denied = samples::denied(&asked, AT);
    let key = Fingerprint::of(b"key");
    let mut unit = store.begin().await.unwrap();
    unit.swap_elevation(&samples::new(&asked), AT).await.unwrap();
    unit.swap_elevation(&samples::change(&asked, &denied), AT).await.unwrap();
    let outcome = asked.id.to_string();
    unit.keep_answer(&AnswerRow { key, request: key, outcome, until: AT }).await.unwrap();
    unit.put_revoked(&RevokedToken { jti: "one".to_owned(), until: AT }).await.unwrap();
    unit.put_lock(&samples::lock(LockTarget::All, AT, Some(AT.plus(seconds(1))))).await.unwrap();
    let for_ever = samples::lock(LockTarget::All, AT, None);
    unit.put_lock(&for_ever).await.unwrap();
    unit.put_messages(&[samples::message(samples::hook(1), &asked)]).await.unwrap();
    unit.commit().await.unwrap();

    let late = AT.plus(TEN_YEARS);
    assert_eq!(store.purge_claims(late, 100).await.unwrap(), 2);
    assert_eq!(store.purge_breakglass(late, 100).await.unwrap(), 3, "an answer, a token and a lock");
    let waiting = store.due_messages(samples::hook(1), late, 9).await.unwrap();
    store.message_arrived(waiting[0].sequence).await.unwrap();

    assert_eq!(store.waiting_messages().await.unwrap(), 0);
    assert_eq!(store.answer(key).await.unwrap(), None);
    assert!(!store.is_revoked("one".to_owned()).await.unwrap());
    assert_eq!(store.locks().await.unwrap(), [for_ever], "what has no end stays until it is lifted");
    assert_eq!(store.entries(0, 400).await.unwrap(), rows(0..300));
    let all = ElevationQuery { limit: 9, ..ElevationQuery::default() };
    assert_eq!(store.elevations(all).await.unwrap(), [denied]);
}

/// Only a copy that begins anew empties a table, and only in its own target.
#[test]
fn no_statement_deletes_or_changes_what_is_in_the_log() {
    let mut texts = Vec::new();
    read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut texts);
    assert!(texts.len() > 200);
    let forbidden: Vec<String> = ["DELETE FROM", "UPDATE", "TRUNCATE", "DROP TABLE", "REPLACE INTO"]
        .iter()
        .flat_map(|verb| ["log_entry", "log_node"].map(|table| format!("{verb} {table}").to_lowercase()))
        .collect();
    for (path, text) in texts {
        let text = text.to_lowercase();
        for statement in &forbidden {
            assert!(!text.contains(statement), "{}: {statement}", path.display());
        }
    }
}

fn read(folder: &Path, texts: &mut Vec<(PathBuf, String)>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        // Tests damage logs on purpose.
        if path.to_string_lossy().contains("tests") {
            continue;
        }
        if path.is_dir() {
            read(&path, texts);
        } else if path.extension().is_some_and(|kind| kind == "rs" || kind == "sql") {
            let text = std::fs::read_to_string(&path).unwrap();
            texts.push((path, text));
        }
    }
}
