//! The SQL. Statements over many rows come in five widths, padded with NULL rows that the statement skips: every call
//! to SQLite costs a thread hop (about 20 µs), and five texts keep the cache of prepared statements small and warm.
//!
//! `OR ROLLBACK` ends the whole transaction when a constraint fails, which is what we do anyway; the usual `ABORT` would
//! keep a journal of its own beside every statement over many rows, only to be able to undo that one.

use std::fmt::Write as _;
use std::sync::LazyLock;

pub(super) const HEAD: &str = "SELECT * FROM log_head WHERE id = 1";
/// One call and not two: each one waits for its turn on a busy machine, twice.
pub(super) const BEGIN: &str = "BEGIN IMMEDIATE; SELECT * FROM log_head WHERE id = 1";
/// Moves the head only from where the new rows begin; from anywhere else `size` would be NULL, which the table refuses,
/// and what stands behind this statement in the same call is not run.
const MOVE_HEAD: &str =
    "UPDATE log_head SET size = CASE WHEN size = ? THEN ? END, peaks = ?, last_at = ? WHERE id = 1";
pub(super) const MOVE_LOCKS_MARK: &str = "UPDATE log_head SET locks_mark = locks_mark + 1 WHERE id = 1";
pub(super) const MOVE_KEYS_MARK: &str = "UPDATE log_head SET keys_mark = keys_mark + 1 WHERE id = 1";
pub(super) const MOVE_ELEVATIONS_MARK: &str =
    "UPDATE log_head SET elevations_mark = elevations_mark + 1 WHERE id = 1";
/// Changes nothing and is written all the same.
pub(super) const TOUCH: &str = "UPDATE probe SET count = (count + 1) % 1000000 WHERE id = 1";
pub(super) const ENTRIES: &str =
    "SELECT idx, leaf_hash AS hash, body FROM log_entry WHERE idx >= ?1 AND idx < ?2 ORDER BY idx";
pub(super) const LEAF_HASHES: &str =
    "SELECT idx, leaf_hash AS hash FROM log_entry WHERE idx >= ?1 AND idx < ?2 AND ?3 = 0 ORDER BY idx";
pub(super) const NODE_HASHES: &str =
    "SELECT idx, hash FROM log_node WHERE idx >= ?1 AND idx < ?2 AND level = ?3 ORDER BY idx";
pub(super) const KEYS: &str = "SELECT * FROM signing_key ORDER BY created_at, kid";
pub(super) const PUT_KEY: &str = "INSERT INTO signing_key (kid, purpose, algorithm, sealed_private, public, \
     created_at, active_from, retired_at, published_until) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9) \
     ON CONFLICT (kid) DO UPDATE SET active_from = excluded.active_from, retired_at = excluded.retired_at, \
     published_until = excluded.published_until";
pub(super) const DELETE_KEY: &str = "DELETE FROM signing_key WHERE kid = ?1";
pub(super) const CLAIMS: &str = "SELECT until, token FROM replay_claim";
pub(super) const ENDED: &str =
    "SELECT until, token FROM replay_claim WHERE until < ?1 ORDER BY until, token LIMIT ?2";
pub(super) const FORGET: &str = "DELETE FROM replay_claim WHERE (until, token) <= (?1, ?2)";
pub(super) const RELEASE: &str = "DELETE FROM replay_claim WHERE until = ?1 AND token = ?2";

pub(super) static INSERT_ENTRIES: LazyLock<Padded> = LazyLock::new(|| {
    Padded::new(3, |rows| {
        format!(
            "INSERT OR ROLLBACK INTO log_entry (idx, leaf_hash, body) \
             SELECT column1, column2, column3 FROM (VALUES {rows}) WHERE column1 IS NOT NULL"
        )
    })
});
pub(super) static INSERT_NODES: LazyLock<Padded> = LazyLock::new(|| {
    Padded::new(3, |rows| {
        format!(
            "INSERT OR ROLLBACK INTO log_node (level, idx, hash) \
             SELECT column1, column2, column3 FROM (VALUES {rows}) WHERE column1 IS NOT NULL"
        )
    })
});
/// A claim that is taken already is a fault of ours: memory said that it is free.
pub(super) static CLAIM: LazyLock<Padded> = LazyLock::new(|| {
    Padded::new(2, |rows| {
        format!(
            "INSERT OR ROLLBACK INTO replay_claim (until, token) \
             SELECT column1, column2 FROM (VALUES {rows}) WHERE column1 IS NOT NULL"
        )
    })
});

/// The end of an appending transaction in one call: the last entries, perhaps nodes, the head, and the commit. The
/// first index is the width of the entries, the second that of the nodes, 0 for none.
pub(super) static FINISH: LazyLock<Vec<Finish>> = LazyLock::new(|| {
    let with_nodes = |(width, entries): &(usize, String)| {
        let none = (*width, 0, format!("{entries}; {MOVE_HEAD}; COMMIT"));
        let some = INSERT_NODES.0.iter().map(|(nodes_width, nodes)| {
            (*width, *nodes_width, format!("{entries}; {nodes}; {MOVE_HEAD}; COMMIT"))
        });
        std::iter::once(none).chain(some).collect::<Vec<_>>()
    };
    INSERT_ENTRIES.0.iter().flat_map(with_nodes).collect()
});

/// Widths of entries and nodes, and the text.
pub(super) type Finish = (usize, usize, String);

/// The narrowest finish that holds so many of both.
pub(super) fn finish(entries: usize, nodes: usize) -> Option<&'static Finish> {
    let fits = |finish: &&Finish| finish.0 >= entries && finish.1 >= nodes && (finish.1 == 0) == (nodes == 0);
    FINISH.iter().find(fits)
}

/// How many rows the widest statement takes.
pub(super) const WIDEST: usize = 64;

/// The narrowest that fits is used: skipped rows cost as much as bound ones until they are skipped.
const WIDTHS: [usize; 5] = [1, 4, 16, 32, WIDEST];

/// One statement in five widths.
#[derive(Debug)]
pub(super) struct Padded([(usize, String); WIDTHS.len()]);

impl Padded {
    fn new(columns: usize, text: impl Fn(&str) -> String) -> Self {
        Self(WIDTHS.map(|rows| (rows, text(&placeholders(rows, columns)))))
    }

    /// Cuts `items` into pieces, each with the narrowest statement that holds it and that statement's width.
    pub(super) fn pieces<'a, T>(
        &'static self,
        items: &'a [T],
    ) -> impl Iterator<Item = (&'static str, usize, &'a [T])> {
        let [.., (widest, _)] = &self.0;
        items.chunks(*widest).filter_map(|piece| {
            let (width, text) = self.0.iter().find(|(width, _)| piece.len() <= *width)?;
            Some((text.as_str(), *width, piece))
        })
    }
}

fn placeholders(rows: usize, columns: usize) -> String {
    let mut text = String::with_capacity(rows * (columns * 2 + 2));
    for row in 0..rows {
        let open = if row == 0 { "(?" } else { ",(?" };
        let _ = write!(text, "{open}{})", ",?".repeat(columns.saturating_sub(1)));
    }
    text
}
