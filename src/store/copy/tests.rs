//! Whole stores, there and back; halves; and what must not be copied at all.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use bytes::Bytes;
use tempfile::TempDir;

use super::tables::{Kind, NOT_COPIED, Value};
use super::*;
use crate::audit::merkle::{Peaks, leaf_hash};
use crate::ids::{IssuerName, Kid};
use crate::keys::KekId;
use crate::locks::LockTarget;
use crate::secret::Fingerprint;
use crate::store::fixture::Postgres;
use crate::store::samples::{self, AT, seconds};
use crate::store::{
    AnswerRow, KeyPurpose, KeyRow, LogRow, ReplayClaim, RevokedToken, Store, TileHash, WrappedKek, open_with,
};

const ENTRY_COUNT: u64 = 1_300;

fn file(folder: &TempDir, name: &str) -> StoreSettings {
    StoreSettings::Sqlite(folder.path().join(name))
}

fn quiet() -> impl FnMut(Step, u64, u64) + Send {
    |_, _, _| {}
}

/// Appends real entries: hashes, subtrees and head fit.
async fn append(store: &dyn Store, count: u64) {
    let mut unit = store.begin().await.unwrap();
    let head = unit.head().await.unwrap();
    let mut peaks = Peaks::new(head.size, head.peaks).unwrap();
    let (mut rows, mut hashes) = (Vec::new(), Vec::new());
    for index in head.size..head.size + count {
        let bytes = Bytes::from(format!("{{\"entry\":{index},\"text\":\"a\\tb\\\\c 🚒\"}}"));
        let leaf_hash = leaf_hash(&bytes);
        peaks.append(leaf_hash, |node, hash| {
            if node.height > 0 && node.height.is_multiple_of(8) {
                hashes.push(TileHash { level: node.height / 8, index: node.index, hash });
            }
        });
        rows.push(LogRow { index, leaf_hash, bytes });
    }
    let head = LogHead { size: peaks.size(), peaks: peaks.hashes().to_vec(), last_at: Some(AT) };
    unit.append(&rows, &hashes, &head).await.unwrap();
    unit.commit().await.unwrap();
}

fn claim(key: u8) -> ReplayClaim {
    let issuer = IssuerName::new("ci").unwrap();
    ReplayClaim { issuer, key: Fingerprint::of(&[key]), until: AT.plus(seconds(u64::from(key))) }
}

fn key(kid: &str, retired: bool) -> KeyRow {
    KeyRow {
        kid: Kid::new(kid).unwrap(),
        purpose: KeyPurpose::Token,
        algorithm: "ES256".to_owned(),
        sealed_private: vec![0, 1, 0xff, b'\n', b'\\'],
        public: "{\"kty\":\"EC\"}".to_owned(),
        created_at: AT,
        active_from: AT.plus(seconds(60)),
        retired_at: retired.then(|| AT.plus(seconds(120))),
        published_until: retired.then(|| AT.plus(seconds(180))),
    }
}

/// Something in every table.
async fn fill(store: &dyn Store) {
    append(store, ENTRY_COUNT).await;
    let (open, over) = (samples::asked(), samples::asked_by("bob", "ledger", AT));
    let mut unit = store.begin().await.unwrap();
    assert_eq!(unit.claim(&[claim(1), claim(2), claim(3)]).await.unwrap(), [true; 3]);
    for key in [key("one", true), key("two", false)] {
        unit.put_key(&key).await.unwrap();
    }
    for elevation in [&open, &over] {
        unit.swap_elevation(&samples::new(elevation), AT).await.unwrap();
    }
    let denied = samples::denied(&over, AT.plus(seconds(1)));
    unit.swap_elevation(&samples::change(&over, &denied), AT.plus(seconds(1))).await.unwrap();
    let answer = Fingerprint::of(b"answer");
    let outcome = "elv-1 \"\\quoted\\\"".to_owned();
    unit.keep_answer(&AnswerRow { key: answer, request: answer, outcome, until: AT }).await.unwrap();
    unit.put_lock(&samples::lock(LockTarget::All, AT, None)).await.unwrap();
    let messages = [1, 1, 2].map(|hook| samples::message(samples::hook(hook), &open));
    unit.put_messages(&messages).await.unwrap();
    unit.put_revoked(&RevokedToken { jti: "jti\twith tab".to_owned(), until: AT }).await.unwrap();
    unit.put_policy_set(&Fingerprint::of(b"policy"), "permit (\t\"\\\");").await.unwrap();
    let kms_key = "arn:aws:kms:eu-central-1:123456789012:key/1".to_owned();
    let id = KekId::from_bytes([7; 8]);
    unit.put_wrapped_kek(&WrappedKek { id, kms_key, wrapped: vec![0, 255], created_at: AT }).await.unwrap();
    unit.commit().await.unwrap();
    // The last message arrives: its number must not be given to another.
    store.message_failed(1, AT.plus(seconds(9))).await.unwrap();
    store.message_arrived(3).await.unwrap();
    store.raise_high_water(AT).await.unwrap();
}

async fn filled(settings: &StoreSettings) {
    fill(open_with(settings).await.unwrap().as_ref()).await;
}

/// Everything that is in a store.
async fn dump(settings: &StoreSettings) -> Vec<(&'static str, Vec<Row>)> {
    let mut end = open(settings, Side::Source).await.unwrap();
    let mut all = Vec::new();
    for table in [&HEAD, &ENTRIES, &NODES].into_iter().chain(STATE) {
        all.push((table.name, end.page(table, None, 10_000).await.unwrap()));
    }
    all
}

fn is_same(one: &[(&'static str, Vec<Row>)], two: &[(&'static str, Vec<Row>)]) {
    for ((name, one), (_, two)) in one.iter().zip(two) {
        assert!(one == two, "`{name}` differs: {} and {} rows", one.len(), two.len());
    }
    assert_eq!(one.len(), two.len());
}

/// As a file has it, whose broker decides by its own folder: it says of no policies that they are in force.
fn alone(mut all: Vec<(&'static str, Vec<Row>)>) -> Vec<(&'static str, Vec<Row>)> {
    for row in all.iter_mut().filter(|(name, _)| *name == HEAD.name).flat_map(|(_, rows)| rows) {
        assert!(row.last() != Some(&Value::Null), "something is in force in the source");
        *row = tables::without(&HEAD, "policy", row.clone());
        assert!(row.last() == Some(&Value::Null));
    }
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn a_whole_store_goes_to_postgres_and_back_unchanged() {
    let (folder, server) = (tempfile::tempdir().unwrap(), Postgres::start());
    let (first, back) = (file(&folder, "first.db"), file(&folder, "back.db"));
    let database = server.settings(&server.database());
    filled(&first).await;
    let before = dump(&first).await;
    assert!(before.iter().all(|(_, rows)| !rows.is_empty()), "nothing is left out of this test");
    let done = copy(&first, &database, None, &mut quiet()).await.unwrap();
    assert_eq!((done.entries, done.resumed_from), (ENTRY_COUNT, 0));
    is_same(&before, &dump(&database).await);
    let again = copy(&database, &back, None, &mut quiet()).await.unwrap();
    assert_eq!(again.root, done.root);
    is_same(&alone(before.clone()), &dump(&back).await);
    is_same(&before, &dump(&first).await);
    for settings in [&database, &back] {
        goes_on(open_with(settings).await.unwrap().as_ref()).await;
    }
}

/// What was taken is taken, and numbers go on.
async fn goes_on(store: &dyn Store) {
    append(store, 1).await;
    let mut unit = store.begin().await.unwrap();
    assert_eq!(unit.claim(&[claim(2), claim(4)]).await.unwrap(), [false, true]);
    unit.put_messages(&[samples::message(samples::hook(7), &samples::asked())]).await.unwrap();
    unit.commit().await.unwrap();
    let waiting = store.due_messages(samples::hook(7), AT, 9).await.unwrap();
    assert_eq!(waiting.iter().map(|message| message.sequence).collect::<Vec<_>>(), [4]);
    assert!(store.is_revoked("jti\twith tab".to_owned()).await.unwrap());
    assert_eq!((store.locks().await.unwrap().len(), store.keys().await.unwrap().len()), (1, 2));
}

#[tokio::test]
async fn an_empty_store_can_be_copied_too() {
    let folder = tempfile::tempdir().unwrap();
    let (from, to) = (file(&folder, "from.db"), file(&folder, "to.db"));
    drop(open_with(&from).await.unwrap());
    assert_eq!(copy(&from, &to, None, &mut quiet()).await.unwrap().entries, 0);
    fill(open_with(&to).await.unwrap().as_ref()).await;
}

/// A copy that was killed after `rows` entries, and in the middle of the rest.
async fn half_copy(from: &StoreSettings, to: &StoreSettings, rows: u32) {
    let mut source = open(from, Side::Source).await.unwrap();
    let mut target = open(to, Side::Target).await.unwrap();
    let head = head_of(&source.last(&HEAD).await.unwrap().unwrap()).unwrap();
    assert_eq!(prepare(source.as_mut(), target.as_mut(), &head).await.unwrap(), 0);
    let page = source.page(&ENTRIES, None, rows).await.unwrap();
    target.insert(&ENTRIES, &page).await.unwrap();
    let state = source.page(&STATE[1], None, 1).await.unwrap();
    target.insert(&STATE[1], &state).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn half_a_copy_is_no_store_and_goes_on_when_it_is_run_again() {
    let (folder, server) = (tempfile::tempdir().unwrap(), Postgres::start());
    let from = file(&folder, "from.db");
    filled(&from).await;
    for to in [file(&folder, "to.db"), server.settings(&server.database())] {
        half_copy(&from, &to, 700).await;
        let refusal = open_with(&to).await.unwrap_err().to_string();
        assert!(refusal.contains("`tidegate store copy` into it has not ended"), "{refusal}");
        let refusal = crate::store::open_to_look(&to).await.unwrap_err().to_string();
        assert!(refusal.contains("has not ended"), "{refusal}");
        let done = copy(&from, &to, None, &mut quiet()).await.unwrap();
        assert_eq!((done.resumed_from, done.entries), (700, ENTRY_COUNT));
        let before = dump(&from).await;
        let before = if matches!(to, StoreSettings::Sqlite(_)) { alone(before) } else { before };
        is_same(&before, &dump(&to).await);
    }
}

#[tokio::test]
async fn half_a_copy_of_another_store_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let [from, other, to] = ["from.db", "other.db", "to.db"].map(|name| file(&folder, name));
    filled(&from).await;
    {
        let store = open_with(&other).await.unwrap();
        let mut unit = store.begin().await.unwrap();
        let bytes = Bytes::from_static(b"another log");
        let row = LogRow { index: 0, leaf_hash: leaf_hash(&bytes), bytes };
        let head = LogHead { size: 1, peaks: vec![row.leaf_hash], last_at: None };
        unit.append(&[row], &[], &head).await.unwrap();
        unit.commit().await.unwrap();
    }
    half_copy(&from, &to, 3).await;
    assert!(matches!(copy(&other, &to, None, &mut quiet()).await, Err(CopyError::OtherHalf)));
    copy(&from, &to, None, &mut quiet()).await.unwrap();
}

#[tokio::test]
async fn what_changed_on_its_way_is_found_and_no_broker_starts_on_it() {
    let whole: &[(&Table, usize)] = &[(&ENTRIES, 2), (&ENTRIES, 1), (&NODES, 2)];
    for (table, column) in whole {
        let folder = tempfile::tempdir().unwrap();
        let (from, to) = (file(&folder, "from.db"), file(&folder, "to.db"));
        filled(&from).await;
        half_copy(&from, &to, 700).await;
        {
            let mut target = open(&to, Side::Target).await.unwrap();
            let mut rows = if *table == &NODES {
                let mut source = open(&from, Side::Source).await.unwrap();
                source.page(table, None, 1).await.unwrap()
            } else {
                target.page(table, None, 700).await.unwrap()
            };
            rows[0][*column] = Value::Bytes(vec![7; 32]);
            target.clear(table).await.unwrap();
            target.insert(table, &rows).await.unwrap();
        }
        let refusal = copy(&from, &to, None, &mut quiet()).await.unwrap_err();
        assert!(matches!(refusal, CopyError::Differs(_)), "{}.{column}: {refusal}", table.name);
        assert!(open_with(&to).await.is_err(), "{}.{column}", table.name);
    }
}

#[tokio::test]
async fn a_damaged_source_is_not_copied() {
    let folder = tempfile::tempdir().unwrap();
    let [from, damaged, to] = ["from.db", "damaged.db", "to.db"].map(|name| file(&folder, name));
    filled(&from).await;
    copy(&from, &damaged, None, &mut quiet()).await.unwrap();
    {
        // A whole store with one entry replaced, and its hash with it.
        let mut end = open(&damaged, Side::Target).await.unwrap();
        let mut rows = end.page(&ENTRIES, None, 10_000).await.unwrap();
        rows[5][1] = Value::Bytes(leaf_hash(b"forged").to_vec());
        rows[5][2] = Value::Bytes(b"forged".to_vec());
        end.clear(&ENTRIES).await.unwrap();
        end.insert(&ENTRIES, &rows).await.unwrap();
    }
    assert!(matches!(copy(&damaged, &to, None, &mut quiet()).await, Err(CopyError::Differs(_))));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_target_that_holds_anything_is_refused() {
    let (folder, server) = (tempfile::tempdir().unwrap(), Postgres::start());
    let from = file(&folder, "from.db");
    filled(&from).await;
    let only_a_key = server.settings(&server.database());
    {
        let store = open_with(&only_a_key).await.unwrap();
        let mut unit = store.begin().await.unwrap();
        unit.put_key(&key("theirs", false)).await.unwrap();
        unit.commit().await.unwrap();
    }
    let full = file(&folder, "full.db");
    filled(&full).await;
    for (to, table) in [(only_a_key, "signing_key"), (full, "log_head")] {
        let before = dump(&to).await;
        let refusal = copy(&from, &to, None, &mut quiet()).await.unwrap_err();
        assert!(matches!(refusal, CopyError::NotEmpty(name) if name == table), "{table}: {refusal}");
        is_same(&before, &dump(&to).await);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_in_use_is_neither_read_nor_written() {
    let (folder, server) = (tempfile::tempdir().unwrap(), Postgres::start());
    let idle = file(&folder, "idle.db");
    filled(&idle).await;
    for used in [file(&folder, "used.db"), server.settings(&server.database())] {
        let broker = open_with(&used).await.unwrap();
        let free = file(&folder, "free.db");
        for (from, to) in [(&used, &free), (&idle, &used)] {
            let refusal = copy(from, to, None, &mut quiet()).await.unwrap_err().to_string();
            assert!(refusal.contains("in use"), "{refusal}");
        }
        drop(broker);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_appends_to_a_database_while_it_is_copied_from() {
    let server = Postgres::start();
    let settings = server.settings(&server.database());
    filled(&settings).await;
    let copying = open(&settings, Side::Source).await.unwrap();
    let late = open_with(&settings).await.unwrap();
    let mut unit = late.begin().await.unwrap();
    assert!(matches!(unit.head().await, Err(StoreError::Unavailable(_))));
    drop((unit, copying));
}

#[tokio::test]
async fn an_older_source_and_another_history_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let (from, to) = (file(&folder, "from.db"), file(&folder, "to.db"));
    filled(&from).await;
    let saved = |size, root| Checkpoint { origin: "x".to_owned(), size, root };
    let older = copy(&from, &to, Some(&saved(ENTRY_COUNT + 1, [0; 32])), &mut quiet()).await.unwrap_err();
    assert!(older.to_string().contains("a restored older backup"), "{older}");
    let other = copy(&from, &to, Some(&saved(5, [0; 32])), &mut quiet()).await.unwrap_err();
    assert!(other.to_string().contains("the first 5 entries"), "{other}");
    let mut peaks = Peaks::default();
    let rows = open_with(&from).await.unwrap().entries(0, 5).await.unwrap();
    for row in rows {
        peaks.append(row.leaf_hash, |_, _| {});
    }
    let right = saved(5, peaks.root());
    assert_eq!(copy(&from, &to, Some(&right), &mut quiet()).await.unwrap().checkpoint, Some(right));
}

/// Table, column and kind, as the schema of each backend has them.
type Columns = BTreeMap<String, BTreeSet<(String, Option<bool>)>>;

fn known() -> Columns {
    let columns = |table: &Table| {
        let kind = |kind| match kind {
            Kind::Bytes => Some(true),
            Kind::Text => Some(false),
            Kind::Number | Kind::Flag => None,
        };
        table.columns.iter().map(|column| (column.name.to_owned(), kind(column.kind))).collect()
    };
    let all = [&HEAD, &ENTRIES, &NODES].into_iter().chain(STATE);
    all.map(|table| (table.name.to_owned(), columns(table))).collect()
}

fn found(lines: &str) -> Columns {
    let mut found = Columns::new();
    for line in lines.lines() {
        let [table, column, kind] = line.split('|').collect::<Vec<_>>()[..] else { panic!("{line}") };
        let kind = match kind.to_lowercase().as_str() {
            "blob" | "bytea" => Some(true),
            "text" => Some(false),
            _ => None,
        };
        // What each database keeps for itself is nobody's.
        let is_theirs = ["_sqlx_migrations", "sqlite_sequence"].contains(&table);
        if !is_theirs && !NOT_COPIED.contains(&table) {
            found.entry(table.to_owned()).or_default().insert((column.to_owned(), kind));
        }
    }
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn no_table_and_no_column_of_either_schema_is_forgotten() {
    let (folder, server) = (tempfile::tempdir().unwrap(), Postgres::start());
    let sqlite = folder.path().join("t.db");
    drop(open_with(&StoreSettings::Sqlite(sqlite.clone())).await.unwrap());
    assert_eq!(found(&of_sqlite(&sqlite).await), known());
    let database = server.database();
    drop(open_with(&server.settings(&database)).await.unwrap());
    let columns = "SELECT table_name, column_name, data_type FROM information_schema.columns \
                   WHERE table_schema = current_schema()";
    assert_eq!(found(&server.sql(&database, columns)), known());
}

async fn of_sqlite(path: &Path) -> String {
    use sqlx::{ConnectOptions as _, Row as _};
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(path);
    let columns = "SELECT m.name || '|' || c.name || '|' || c.type AS line FROM sqlite_master m, \
                   pragma_table_info(m.name) c WHERE m.type = 'table'";
    let rows = sqlx::query(columns).fetch_all(&mut options.connect().await.unwrap()).await.unwrap();
    rows.iter().map(|row| row.get::<String, _>("line")).collect::<Vec<_>>().join("\n")
}
