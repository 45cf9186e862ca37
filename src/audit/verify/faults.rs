//! What can be wrong with a log, in words that name the place.

use std::fmt;

use crate::audit::checkpoint::Checkpoint;
use crate::audit::merkle::Hash;
use crate::audit::tile::TilePath;

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// A file is not there: its entries were removed, or the log was cut off.
    Missing {
        /// Which file.
        path: TilePath,
        /// First entry below it.
        from: u64,
        /// Entry after the last one below it.
        to: u64,
    },
    /// A file does not have the items it must have.
    Malformed {
        /// Which file.
        path: TilePath,
    },
    /// An entry's hash is not the one in the level-0 tile: the entry or the tile was changed.
    Changed {
        /// The entry.
        index: u64,
        /// The bundle it is in.
        path: TilePath,
    },
    /// The entry at one place is what belongs to another.
    Moved {
        /// Where it is.
        index: u64,
        /// Where it belongs.
        belongs: u64,
        /// The bundle it is in.
        path: TilePath,
    },
    /// A tile above level 0 does not hold the hash of what is below it.
    Subtree {
        /// The tile.
        path: TilePath,
        /// First entry below the hash that disagrees.
        from: u64,
        /// Entry after the last one below it.
        to: u64,
    },
    /// All files agree with each other, and not with the signed root: entries and tiles were rewritten together.
    Root,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing { path, from, to } => {
                write!(f, "`{path}` is missing (entries {from} to {})", to.saturating_sub(1))
            }
            Self::Malformed { path } => write!(f, "`{path}` does not hold the {} items it must hold", path.width()),
            Self::Changed { index, path } => {
                write!(f, "entry {index} in `{path}` was changed: its hash is not the one in the level-0 tile")
            }
            Self::Moved { index, belongs, path } => {
                write!(f, "entries were reordered: entry {index} in `{path}` is the one that belongs at {belongs}")
            }
            Self::Subtree { path, from, to } => write!(
                f,
                "`{path}` disagrees with the entries {from} to {}: one of them and its level-0 tile were changed together",
                to.saturating_sub(1)
            ),
            Self::Root => f.write_str(
                "the entries do not give the root that the checkpoint signs: entries and tiles were changed together",
            ),
        }
    }
}

/// How the log compares with a checkpoint that was saved before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Saved {
    /// The log begins with it.
    Continues {
        /// Its size.
        size: u64,
    },
    /// The log is shorter than it was.
    Truncated {
        /// Now.
        size: u64,
        /// Then.
        saved: u64,
    },
    /// The log's first entries are not the ones that were signed then: it was rewritten.
    Rewritten {
        /// How many entries were signed then.
        saved: u64,
    },
    /// Entries are missing, so that nothing can be said.
    Unknown {
        /// How many entries were signed then.
        saved: u64,
    },
}

impl Saved {
    /// Does the log begin with it?
    pub const fn is_ok(&self) -> bool {
        matches!(self, Self::Continues { .. })
    }
}

impl fmt::Display for Saved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Continues { size } => {
                write!(f, "the log begins with the saved checkpoint of {size} entries")
            }
            Self::Truncated { size, saved } => {
                write!(f, "the log was truncated: it has {size} entries, the saved checkpoint {saved}")
            }
            Self::Rewritten { saved } => {
                write!(
                    f,
                    "the log was rewritten: its first {saved} entries are not those of the saved checkpoint"
                )
            }
            Self::Unknown { saved } => {
                write!(
                    f,
                    "entries are missing: the log cannot be compared with the saved checkpoint of {saved}"
                )
            }
        }
    }
}

/// `root_then` is the root over as many entries as the saved checkpoint has.
pub(in crate::audit) fn compare(saved: &Checkpoint, now: &Checkpoint, root_then: Option<Hash>) -> Saved {
    if saved.size > now.size {
        return Saved::Truncated { size: now.size, saved: saved.size };
    }
    match root_then {
        // Two signed roots for one size: whatever the entries say, there were two histories.
        _ if saved.size == now.size && saved.root != now.root => Saved::Rewritten { saved: saved.size },
        Some(root) if root == saved.root => Saved::Continues { size: saved.size },
        Some(_) => Saved::Rewritten { saved: saved.size },
        None => Saved::Unknown { saved: saved.size },
    }
}
