//! The versions of a schema: what is applied, what this program wants, and whether it may go on with a newer one.
//!
//! While replicas are being replaced, an old program must serve, and start, beside a schema that a newer one has brought up
//! to date. So a migration only adds (columns with defaults, tables, indexes), and what nobody needs any longer goes one
//! version later. Its description says for which programs that holds: `(serves 3)` at its end means that a program that
//! knows the schema up to version 3 goes on. Without these words it is for programs that know the migration only.

use std::borrow::Cow;

use sqlx::SqlSafeStr as _;
use sqlx::migrate::{MigrateError, Migration, MigrationType, Migrator};

use super::StoreError;

/// Where sqlx notes what it has applied.
pub(super) const APPLIED: &str =
    "SELECT version, description, checksum FROM _sqlx_migrations ORDER BY version";

/// The schema of a store, as this program sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SchemaState {
    /// The newest version that is applied; 0 for none.
    pub version: i64,
    /// The newest version that this program knows.
    pub wanted: i64,
    /// What this program would apply, oldest first.
    pub pending: Vec<SchemaStep>,
}

/// One migration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SchemaStep {
    /// Its number.
    pub version: i64,
    /// What it does, in a few words.
    pub what: String,
}

/// One migration that was applied.
#[derive(Clone, Debug)]
pub(super) struct Applied {
    pub(super) version: i64,
    pub(super) description: String,
    pub(super) checksum: Vec<u8>,
}

pub(super) fn migration(version: i64, what: &'static str, text: &'static str) -> Migration {
    Migration::new(version, what.into(), MigrationType::Simple, text.into_sql_str(), false)
}

impl SchemaState {
    /// Refuses a schema that this program must not touch.
    pub(super) fn of(ours: &[Migration], applied: &[Applied]) -> Result<Self, StoreError> {
        let wanted = ours.last().map_or(0, |migration| migration.version);
        for theirs in applied {
            match ours.iter().find(|migration| migration.version == theirs.version) {
                Some(our) if our.checksum == Cow::Borrowed(theirs.checksum.as_slice()) => {}
                Some(_) => return Err(refused(MigrateError::VersionMismatch(theirs.version))),
                None if serves(&theirs.description).is_some_and(|oldest| oldest <= wanted) => {}
                None => return Err(refused(MigrateError::VersionMissing(theirs.version))),
            }
        }
        let is_applied = |version: i64| applied.iter().any(|theirs| theirs.version == version);
        let pending = ours.iter().filter(|migration| !is_applied(migration.version));
        Ok(Self {
            version: applied.last().map_or(0, |newest| newest.version),
            wanted,
            pending: pending
                .map(|migration| SchemaStep {
                    version: migration.version,
                    what: migration.description.to_string(),
                })
                .collect(),
        })
    }

    /// Nothing is left to be applied.
    pub fn is_current(&self) -> bool {
        self.pending.is_empty()
    }

    /// For commands that work on a store as it is.
    pub(super) fn must_be_current(&self, place: &str) -> Result<(), StoreError> {
        if self.is_current() {
            return Ok(());
        }
        Err(StoreError::Refused(format!(
            "`{place}`: its schema has version {}, and this program needs {}; run `tidegate store migrate` first",
            self.version, self.wanted
        )))
    }
}

/// Applies what is missing. Newer migrations that let us go on are no error here: [`SchemaState::of`] has looked.
pub(super) fn migrator(ours: Vec<Migration>) -> Migrator {
    let mut migrator = Migrator::with_migrations(ours);
    migrator.set_ignore_missing(true);
    migrator
}

pub(super) fn refused(error: MigrateError) -> StoreError {
    match error {
        MigrateError::VersionMissing(version) => StoreError::Refused(format!(
            "its schema has version {version}, which a newer Tidegate made; start that version or restore a backup"
        )),
        MigrateError::VersionMismatch(version) => StoreError::Refused(format!(
            "its schema version {version} was made by a different Tidegate build"
        )),
        other => StoreError::Refused(other.to_string()),
    }
}

/// The oldest version whose programs go on after this migration.
fn serves(description: &str) -> Option<i64> {
    let (_, after) = description.trim_end().strip_suffix(')')?.rsplit_once("(serves ")?;
    after.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ours() -> Vec<Migration> {
        vec![migration(1, "first", "SELECT 1"), migration(2, "second (serves 1)", "SELECT 2")]
    }

    fn applied(version: i64, description: &str) -> Applied {
        let known = ours().into_iter().find(|migration| migration.version == version);
        let checksum = known.map_or(vec![7], |migration| migration.checksum.to_vec());
        Applied { version, description: description.to_owned(), checksum }
    }

    #[test]
    fn a_newer_schema_is_refused_unless_it_says_that_it_serves_us() {
        for (newest, goes_on) in [
            ("third", false),
            ("third (serves 3)", false),
            ("third (serves 2)", true),
            ("third (serves 1)", true),
            ("third (serves )", false),
            ("third serves 1", false),
            ("(serves 1) third", false),
        ] {
            let found = [applied(1, "first"), applied(2, "second (serves 1)"), applied(3, newest)];
            let judged = SchemaState::of(&ours(), &found);
            assert_eq!(judged.is_ok(), goes_on, "{newest}: {judged:?}");
            if let Ok(state) = judged {
                assert_eq!((state.version, state.wanted, state.is_current()), (3, 2, true));
            }
        }
    }

    #[test]
    fn one_that_serves_us_does_not_excuse_one_that_does_not() {
        let found =
            [applied(1, "first"), applied(2, ""), applied(3, "third"), applied(4, "fourth (serves 1)")];
        assert!(SchemaState::of(&ours(), &found).is_err());
    }

    #[test]
    fn another_text_under_a_known_number_is_another_build() {
        let mut found = applied(1, "first");
        found.checksum = vec![0];
        let refusal = SchemaState::of(&ours(), &[found]).unwrap_err().to_string();
        assert!(refusal.contains("a different Tidegate build"), "{refusal}");
    }

    #[test]
    fn what_is_not_applied_is_pending_in_its_order() {
        let state = SchemaState::of(&ours(), &[applied(1, "first")]).unwrap();
        assert_eq!((state.version, state.wanted), (1, 2));
        assert_eq!(state.pending.iter().map(|step| step.version).collect::<Vec<_>>(), [2]);
        assert!(
            state
                .must_be_current("t.db")
                .unwrap_err()
                .to_string()
                .contains("`t.db`: its schema has version 1")
        );
        let empty = SchemaState::of(&ours(), &[]).unwrap();
        assert_eq!((empty.version, empty.pending.len()), (0, 2));
    }
}
