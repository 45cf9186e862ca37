//! A vendor's policies as one signed file: which vendor, which version, for which brokers, and that not a byte of it was
//! changed. Knows the format and what makes a bundle good; refuses to know what its policies say.
//!
//! A bundle is a tar archive that is never unpacked to disk: a signed note (C2SP signed-note) comes first and names the
//! digest over everything that follows. There is one way to write the same bundle down, and nothing else is read.

mod archive;
mod contents;
mod pin;
mod statement;
#[cfg(test)]
mod tests;

use std::io::Read as _;
use std::path::Path;

use serde::{Deserialize, Serialize};

pub use contents::Contents;
pub use pin::{Pin, Pinned, VersionPin};
pub use statement::{BrokerVersion, BundleName, BundleVersion, Statement};

use super::decision::Author;
use super::fault::LoadError;
use super::schema::schema;
use super::sets::PolicySets;
use super::source::{SourceFile, Sources};
use crate::keys::note::{self, NoteFault, NoteSigner, VerifierKey};
use crate::secret::Fingerprint;

/// Of a whole bundle. Ten thousand policies are about 4 MiB.
const MOST_BYTES: u64 = 16 * 1024 * 1024;

/// A bundle that its key signed, not a byte of it changed, and that this broker is new enough for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bundle {
    statement: Statement,
    key: String,
    contents: Contents,
}

/// Which bundle: what stays known of it when its policies are handed on, and what entries of the log name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BundleIdentity {
    /// The vendor's name for it.
    pub name: BundleName,
    /// Its version.
    pub version: BundleVersion,
    /// `name+hex8(key id)` of the key that it was verified with.
    pub key: String,
}

/// Why a bundle is not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BundleFault {
    /// Storage.
    #[error("cannot be read: {0}")]
    Unreadable(String),
    /// More than anybody's policies.
    #[error("is over {} MiB, which no bundle is", MOST_BYTES / 1024 / 1024)]
    TooLarge,
    /// No archive, or one with something in it that no bundle has.
    #[error("is no policy bundle: {0}")]
    Archive(String),
    /// Bytes that mean the same and were not written by `tidegate policy bundle`.
    #[error(
        "is not written as `tidegate policy bundle` writes it; ask the vendor for the file as it was made"
    )]
    OtherForm,
    /// Not signed, not by the pinned key, or changed.
    #[error("{0}; ask the vendor which key signs, and compare it with the one that is pinned")]
    Note(#[from] NoteFault),
    /// Signed, but not about a bundle.
    #[error("what is signed is no statement about a policy bundle: {0}")]
    Statement(String),
    /// Signed, with other files than these.
    #[error("its files are not the ones that `{0}` signed")]
    Altered(String),
    /// Signed for newer brokers.
    #[error("needs a broker of version {wanted} or newer, this is {ours}; update the broker first")]
    NewerBroker {
        /// By the statement.
        wanted: BrokerVersion,
        /// This one's.
        ours: BrokerVersion,
    },
    /// Of before.
    #[error("is version {found}, older than the pinned version {pinned}")]
    Older {
        /// In the statement.
        found: BundleVersion,
        /// In the configuration.
        pinned: BundleVersion,
    },
    /// Not reviewed yet.
    #[error("is version {found}, newer than the pinned version {pinned}; raise the pin after review")]
    Newer {
        /// In the statement.
        found: BundleVersion,
        /// In the configuration.
        pinned: BundleVersion,
    },
    /// The vendor signed one version twice.
    #[error(
        "is version {version} with the digest {found}, not with the pinned digest {pinned}: it was signed anew"
    )]
    OtherContents {
        /// In both.
        version: BundleVersion,
        /// In the statement.
        found: Fingerprint,
        /// In the configuration.
        pinned: Fingerprint,
    },
    /// The pin itself.
    #[error("{0}")]
    Pin(String),
}

impl Bundle {
    /// Opens a bundle that `key` signed, for a broker of version `ours`.
    ///
    /// # Errors
    /// It is not to be trusted, or this broker is too old for it.
    pub fn open(bytes: &[u8], key: &VerifierKey, ours: BrokerVersion) -> Result<Self, BundleFault> {
        let (note, contents) = archive::unpack(bytes)?;
        let statement = Statement::parse(note::open(&note, key)?)?;
        if contents.digest() != statement.contents {
            return Err(BundleFault::Altered(key.name().to_owned()));
        }
        // Two files that differ and count as the same would be two answers to "is this the file that was reviewed?".
        if archive::pack(&note, &contents)? != bytes {
            return Err(BundleFault::OtherForm);
        }
        if statement.min_broker > ours {
            return Err(BundleFault::NewerBroker { wanted: statement.min_broker, ours });
        }
        Ok(Self { statement, key: key.identity(), contents })
    }

    /// The same for a file.
    ///
    /// # Errors
    /// As [`open`](Self::open), or it cannot be read.
    pub fn read(file: &Path, key: &VerifierKey, ours: BrokerVersion) -> Result<Self, BundleFault> {
        let unreadable = |error: std::io::Error| BundleFault::Unreadable(error.to_string());
        let mut bytes = Vec::new();
        let opened = std::fs::File::open(file).map_err(unreadable)?;
        opened.take(MOST_BYTES + 1).read_to_end(&mut bytes).map_err(unreadable)?;
        Self::open(&bytes, key, ours)
    }

    /// The bytes of a bundle, signed by each of `signers`: the key of now and, while it is being changed, the next.
    ///
    /// # Errors
    /// It would be over a limit.
    pub fn make(
        name: BundleName,
        version: BundleVersion,
        min_broker: BrokerVersion,
        contents: &Contents,
        signers: &[&NoteSigner],
    ) -> Result<Vec<u8>, BundleFault> {
        let statement = Statement { name, version, min_broker, contents: contents.digest() };
        let bytes = archive::pack(&note::sign(&statement.text(), signers), contents)?;
        if bytes.len() as u64 > MOST_BYTES { Err(BundleFault::TooLarge) } else { Ok(bytes) }
    }

    /// What was signed.
    pub fn statement(&self) -> &Statement {
        &self.statement
    }

    /// Its files.
    pub fn contents(&self) -> &Contents {
        &self.contents
    }

    /// Which bundle.
    pub fn identity(&self) -> BundleIdentity {
        let Statement { name, version, .. } = &self.statement;
        BundleIdentity { name: name.clone(), version: *version, key: self.key.clone() }
    }
}

impl Contents {
    /// How many policies it holds.
    ///
    /// # Errors
    /// One of them is not valid here.
    pub fn count_policies(&self) -> Result<usize, LoadError> {
        super::load::load(&self.sources(), &schema()?).map(|policies| policies.len())
    }

    /// What the vendor says, as if there were no customer: for what the vendor promises about it. Nothing may be decided by
    /// it.
    ///
    /// # Errors
    /// One of the policies is not valid here.
    pub fn sets(&self) -> Result<PolicySets, LoadError> {
        PolicySets::new(&self.sources())
    }

    fn sources(&self) -> Sources {
        Sources { files: self.policy_files(), authors: vec![Author::Vendor], ..Sources::default() }
    }

    pub(super) fn policy_files(&self) -> Vec<SourceFile> {
        let file = |(name, text): (&str, &str)| SourceFile {
            author: Author::Vendor,
            name: name.to_owned(),
            text: text.to_owned(),
        };
        self.policies().map(file).collect()
    }
}
