//! The database file itself: private, the same one as before, and ours alone.

use std::fs::{File, OpenOptions, TryLockError};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use super::StoreError;

/// Creates an empty `path` that only its owner may read; leaves an existing one alone. SQLite gives its `-wal` and
/// `-shm` files the same mode.
pub(super) fn create_private(path: &Path) -> Result<(), StoreError> {
    private_file(path, false).map(drop).map_err(|error| refused(path, &error))
}

/// Keeps a second broker from the same file: two writers would each believe in their own head.
#[derive(Debug)]
pub(super) struct ProcessLock {
    /// The operating system lets go of the lock when this is closed, however the process ends.
    _file: File,
}

impl ProcessLock {
    /// Locks `<path>.lock`.
    pub(super) fn take(path: &Path) -> Result<Self, StoreError> {
        let lock_path = beside(path, ".lock");
        let file = private_file(&lock_path, true).map_err(|error| refused(path, &error))?;
        match file.try_lock() {
            Ok(()) => Ok(Self { _file: file }),
            Err(TryLockError::WouldBlock) => Err(StoreError::Refused(format!(
                "`{}` is in use by another broker process (it holds `{}`); stop it first, or use PostgreSQL for \
                 several replicas",
                path.display(),
                lock_path.display()
            ))),
            Err(TryLockError::Error(error)) => Err(refused(&lock_path, &error)),
        }
    }
}

/// Which file a path named when it was opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FileIdentity {
    device: u64,
    inode: u64,
}

impl FileIdentity {
    /// Of what `path` names now.
    pub(super) fn of(path: &Path) -> std::io::Result<Self> {
        let facts = std::fs::metadata(path)?;
        Ok(Self { device: facts.dev(), inode: facts.ino() })
    }

    /// A deleted file can still be written through an open descriptor: entries would be durable in a file that
    /// nobody can open again. A replaced file is another log.
    pub(super) fn still_at(self, path: &Path) -> Result<(), StoreError> {
        let why = match Self::of(path) {
            Ok(now) if now == self => return Ok(()),
            Ok(_) => {
                "it was replaced by another file while in use; put the first one back, or restart".to_owned()
            }
            Err(error) => error.to_string(),
        };
        Err(StoreError::Unavailable(format!("`{}`: {why}", path.display())))
    }
}

fn private_file(path: &Path, truncate: bool) -> std::io::Result<File> {
    OpenOptions::new().read(true).write(true).create(true).truncate(truncate).mode(0o600).open(path)
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

fn refused(path: &Path, error: &std::io::Error) -> StoreError {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    match folder {
        Some(folder) if !folder.exists() => StoreError::Refused(format!(
            "`{}`: its folder `{}` does not exist; create it first",
            path.display(),
            folder.display()
        )),
        _ => StoreError::Refused(format!("`{}`: {error}", path.display())),
    }
}
