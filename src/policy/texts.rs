//! Policy sets as one text, for replicas that decide by the same ones: every file with its author and name, the customer's
//! relations, and which bundle the vendor's files came in.

use serde::{Deserialize, Serialize};

use super::bundle::BundleIdentity;
use super::decision::{Author, PolicyDigest};
use super::fault::{Fault, LoadError};
use super::source::{Origin, SourceFile, Sources};

/// Valid policy sets, as they are handed from one replica to another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyTexts {
    digest: PolicyDigest,
    text: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Kept {
    authors: Vec<Author>,
    files: Vec<KeptFile>,
    // An older broker does not know these, and must not decide without them: it refuses the whole text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    relations: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    bundle: Option<BundleIdentity>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct KeptFile {
    author: Author,
    name: String,
    text: String,
}

impl PolicyTexts {
    pub(super) fn of(sources: &Sources) -> Result<Self, LoadError> {
        let file = |file: &SourceFile| KeptFile {
            author: file.author,
            name: file.name.clone(),
            text: file.text.clone(),
        };
        let kept = Kept {
            authors: sources.authors.clone(),
            files: sources.files.iter().map(file).collect(),
            relations: sources.relations.clone(),
            bundle: sources.bundle.clone(),
        };
        let text = serde_json::to_string(&kept).map_err(|error| fault(error.to_string()))?;
        Ok(Self { digest: sources.digest(), text })
    }

    /// As kept under `digest`. Whether they are valid here shows when they are put in force.
    ///
    /// # Errors
    /// They are not what the digest says.
    pub fn read(digest: PolicyDigest, text: String) -> Result<Self, LoadError> {
        let texts = Self { digest, text };
        let found = texts.sources()?.digest();
        if found == digest {
            return Ok(texts);
        }
        Err(fault(format!("the texts that are kept as {digest} have the digest {found} here")))
    }

    /// Over all of them.
    pub const fn digest(&self) -> PolicyDigest {
        self.digest
    }

    /// Where they came from.
    pub(super) fn origin(&self) -> Result<Origin, LoadError> {
        self.sources().map(|sources| sources.origin())
    }

    /// To be kept.
    pub fn text(&self) -> &str {
        &self.text
    }

    pub(super) fn sources(&self) -> Result<Sources, LoadError> {
        let kept: Kept = serde_json::from_str(&self.text).map_err(|error| {
            // Not the parser's message: it may quote a policy.
            fault(format!("cannot be read at line {}, column {}", error.line(), error.column()))
        })?;
        let file = |file: KeptFile| SourceFile { author: file.author, name: file.name, text: file.text };
        let Kept { authors, files, relations, bundle } = kept;
        Ok(Sources { files: files.into_iter().map(file).collect(), authors, relations, bundle })
    }
}

fn fault(why: String) -> LoadError {
    Fault::of_file("the policies in the store", why).into()
}
