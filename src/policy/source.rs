//! The policy folder as it lies on disk: whose files, their names and texts, and the digest of all of it.

use std::fs;
use std::io;
use std::path::Path;

use super::decision::{Author, PolicyDigest};
use super::fault::{Fault, LoadError};
use super::invariants::INVARIANTS_FILE;
use super::schema::{SCHEMA_FILE, SCHEMA_TEXT};
use crate::secret::Fingerprint;

/// One `*.cedar` file.
#[derive(Clone, Debug)]
pub(super) struct SourceFile {
    pub(super) author: Author,
    /// Without the folder.
    pub(super) name: String,
    pub(super) text: String,
}

/// Every file of both authors, in the order of author and name.
#[derive(Clone, Debug)]
pub(super) struct Sources {
    pub(super) files: Vec<SourceFile>,
    /// Whose permit is needed. The customer's always; the vendor's when there is a vendor folder.
    pub(super) authors: Vec<Author>,
}

impl SourceFile {
    /// Relative to the policy folder.
    pub(super) fn path(&self) -> String {
        format!("{}/{}", self.author, self.name)
    }
}

impl Sources {
    /// Reads the folder. What looks like a policy that would silently not count is a fault.
    pub(super) fn read(dir: &Path) -> Result<Self, LoadError> {
        let mut faults = check_folder(dir)?;
        let mut sources = Self { files: Vec::new(), authors: Vec::new() };
        for author in [Author::Customer, Author::Vendor] {
            match read_author(dir, author, &mut faults) {
                Ok(Some(files)) => {
                    sources.authors.push(author);
                    sources.files.extend(files);
                }
                Ok(None) if author == Author::Vendor => {}
                Ok(None) => faults
                    .push(Fault::of_file("customer", "the folder is missing; nothing could ever be issued")),
                Err(error) => faults.push(Fault::of_file(author.as_str(), cannot_read(&error))),
            }
        }
        LoadError::check(faults).map(|()| sources)
    }

    /// One digest over every file with its author and name, each behind its length. Not over the schema, which belongs to the
    /// version of the broker: replicas of two versions decide by the same policies, each as its own schema has it.
    pub(super) fn digest(&self) -> PolicyDigest {
        let mut fields: Vec<&[u8]> = vec![b"tidegate policy v2"];
        // An empty vendor folder is refused, but the digest must not rest on that.
        fields.push(if self.authors.contains(&Author::Vendor) { b"customer vendor" } else { b"customer" });
        for file in &self.files {
            fields.extend([file.author.as_str().as_bytes(), file.name.as_bytes(), file.text.as_bytes()]);
        }
        Fingerprint::of_fields(&fields)
    }
}

fn cannot_read(error: &io::Error) -> String {
    format!("cannot be read: {error}")
}

/// A misspelt folder (`vendr`) would drop its forbids without a word; a foreign schema would promise what does not hold.
fn check_folder(dir: &Path) -> Result<Vec<Fault>, LoadError> {
    let mut faults = Vec::new();
    let unreadable =
        |error: &io::Error| LoadError::from(Fault::of_file(dir.display().to_string(), cannot_read(error)));
    for entry in fs::read_dir(dir).map_err(|error| unreadable(&error))? {
        let entry = entry.map_err(|error| unreadable(&error))?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let known = name.starts_with('.') || matches!(name.as_str(), "customer" | "vendor" | "tests");
        if entry.path().is_dir() && !known {
            faults
                .push(Fault::of_file(name, "is no folder of ours; policies are in `customer` and `vendor`"));
        } else if Path::new(&name).extension().is_some_and(|extension| extension == "cedar")
            && name != INVARIANTS_FILE
        {
            faults.push(Fault::of_file(
                name,
                "policies are in `customer` and `vendor`; here it would not count",
            ));
        }
    }
    match fs::read_to_string(dir.join(SCHEMA_FILE)) {
        Ok(text) if text.replace("\r\n", "\n") != SCHEMA_TEXT => {
            let advice = "differs from this broker's schema; replace it with this version's, or remove it";
            faults.push(Fault::of_file(SCHEMA_FILE, advice));
        }
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => faults.push(Fault::of_file(SCHEMA_FILE, cannot_read(&error))),
    }
    Ok(faults)
}

/// The author's files in the order of their names; `None` when there is no such folder.
fn read_author(dir: &Path, author: Author, faults: &mut Vec<Fault>) -> io::Result<Option<Vec<SourceFile>>> {
    let folder = dir.join(author.as_str());
    let entries = match fs::read_dir(&folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut files = Vec::new();
    for entry in entries {
        let name = entry?.file_name().to_string_lossy().into_owned();
        let path = format!("{author}/{name}");
        match Wanted::of(&name) {
            Wanted::No => {}
            Wanted::Doubtful(why) => faults.push(Fault::of_file(path, why)),
            Wanted::Yes => match fs::read_to_string(folder.join(&name)) {
                Ok(text) => files.push(SourceFile { author, name, text }),
                Err(error) => faults.push(Fault::of_file(path, cannot_read(&error))),
            },
        }
    }
    files.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(Some(files))
}

enum Wanted {
    Yes,
    No,
    Doubtful(&'static str),
}

impl Wanted {
    /// Hidden files (editors, Kubernetes' `..data`) and notes are passed over; anything else that is no policy file is
    /// a fault, because `limits.ceder` would be a ceiling that nobody has.
    fn of(name: &str) -> Self {
        let plain = name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'));
        match name.rsplit_once('.') {
            _ if name.starts_with('.') => Self::No,
            Some((_, "md")) => Self::No,
            Some((_, "cedar")) if plain => Self::Yes,
            Some((_, "cedar")) => Self::Doubtful("a policy file's name is made of `a-z A-Z 0-9 - _ .`"),
            _ => Self::Doubtful("is neither `*.cedar` nor `*.md`; a policy in it would not count"),
        }
    }
}
