//! Which single-use tokens are taken: a table in the order in which claims end, and the same in memory.
//!
//! Two claims are the same when issuer and key are, whenever they end. A tree in the order of their keys would say so by
//! itself, but keys are hashes: each claim would change another page, and every copying of the write-ahead log would
//! write hundreds of them beside the commits. In the order of their ends, claims that come together lie together, and
//! those that ended go as one piece. So memory says which are taken, and the table is where memory comes from. That
//! holds because nobody else claims: one process has the file open, and one connection writes.

use std::collections::HashMap;

use sqlx::Row as _;
use sqlx::sqlite::SqliteRow;

use super::StoreError;
use super::rows::broken;
pub(super) use crate::store::stored::{ClaimKey, claim_key};

/// One row: Unix milliseconds and the key, in the order of the table.
pub(super) type ClaimRow = (i64, ClaimKey);

pub(super) fn claim_row(row: &SqliteRow) -> Result<ClaimRow, StoreError> {
    let key: &[u8] = row.try_get("token").map_err(broken)?;
    let key =
        key.try_into().map_err(|_| StoreError::Corrupt("a replay claim has no 16-byte key".to_owned()))?;
    Ok((row.try_get("until").map_err(broken)?, key))
}

/// The table in memory, with what the transaction that is under way changed: about 30 bytes for each claim.
#[derive(Debug, Default)]
pub(super) struct Taken {
    ends: HashMap<ClaimKey, i64>,
    /// As it was before each change, the latest last.
    undo: Vec<(ClaimKey, Option<i64>)>,
}

impl Taken {
    /// As read from the table.
    pub(super) fn of(rows: &[SqliteRow]) -> Result<Self, StoreError> {
        let ends = rows.iter().map(|row| claim_row(row).map(|(until, key)| (key, until)));
        Ok(Self { ends: ends.collect::<Result<_, _>>()?, undo: Vec::new() })
    }

    /// `false` when it was taken.
    pub(super) fn take(&mut self, (until, key): ClaimRow) -> bool {
        if self.ends.contains_key(&key) {
            return false;
        }
        self.undo.push((key, self.ends.insert(key, until)));
        true
    }

    /// The row that it has in the table, if it is taken.
    pub(super) fn give_back(&mut self, key: ClaimKey) -> Option<ClaimRow> {
        let until = self.ends.remove(&key)?;
        self.undo.push((key, Some(until)));
        Some((until, key))
    }

    /// In the order of the table.
    #[cfg(test)]
    pub(super) fn rows_for_test(&self) -> Vec<ClaimRow> {
        let mut rows: Vec<_> = self.ends.iter().map(|(key, until)| (*until, *key)).collect();
        rows.sort_unstable();
        rows
    }

    /// The transaction is durable.
    pub(super) fn settle(&mut self) {
        self.undo.clear();
    }

    /// The transaction did not take place.
    pub(super) fn roll_back(&mut self) {
        while let Some((key, before)) = self.undo.pop() {
            match before {
                Some(until) => self.ends.insert(key, until),
                None => self.ends.remove(&key),
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: ClaimKey = [1; 16];

    #[test]
    fn what_did_not_take_place_is_as_it_was_before() {
        let mut taken = Taken::default();
        assert!(taken.take((10, ONE)));
        taken.settle();
        assert_eq!(taken.give_back(ONE), Some((10, ONE)));
        assert!(taken.take((20, ONE)) && !taken.take((30, ONE)));
        assert!(taken.take((20, [2; 16])));
        taken.roll_back();
        assert_eq!(taken.ends, HashMap::from([(ONE, 10)]));
        taken.roll_back();
        assert_eq!(taken.ends, HashMap::from([(ONE, 10)]));
    }

    #[test]
    fn what_is_not_taken_has_no_row_to_give_back() {
        assert_eq!(Taken::default().give_back(ONE), None);
    }
}
