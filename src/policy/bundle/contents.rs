//! What a bundle holds: files by their paths, and the digest that the vendor signs.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;

use super::BundleFault;
use crate::secret::Fingerprint;

/// Files of one bundle. More are hardly read by anybody.
const MOST_FILES: usize = 1_000;
/// Of one file.
pub(super) const MOST_FILE_BYTES: usize = 4 * 1024 * 1024;
/// What a tar header has room for.
const MOST_PATH_BYTES: usize = 100;
/// The folders that a bundle may have, and the ending of what is in them.
const FOLDERS: [(&str, &str); 2] = [(POLICIES, "cedar"), ("tests", "toml")];
const POLICIES: &str = "vendor";
/// What the cases are about.
const WORLD: &str = "tests/world.toml";
/// What the vendor says can never happen.
const INVARIANTS: &str = "invariants.cedar";

/// The files of a bundle by their paths: `vendor/*.cedar`, and what the vendor ships with them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Contents(BTreeMap<String, String>);

impl Contents {
    /// The vendor's part of a policy folder; with `tests/*.toml` and `invariants.cedar` when `with_tests`.
    ///
    /// # Errors
    /// It cannot be read, has no policy, or has something that fits into no bundle.
    pub fn read(dir: &Path, with_tests: bool) -> Result<Self, BundleFault> {
        let mut contents = Self::default();
        for (folder, ending) in FOLDERS.into_iter().filter(|(folder, _)| with_tests || *folder == POLICIES) {
            for name in names(&dir.join(folder), ending, folder == POLICIES)? {
                let path = format!("{folder}/{name}");
                contents.put(&path, read(&dir.join(&path))?)?;
            }
        }
        if with_tests && dir.join(INVARIANTS).exists() {
            contents.put(INVARIANTS, read(&dir.join(INVARIANTS))?)?;
        }
        if contents.policies().next().is_none() {
            return Err(BundleFault::Archive(format!("`{}` has no `vendor/*.cedar`", dir.display())));
        }
        Ok(contents)
    }

    /// Adds a file.
    pub(super) fn put(&mut self, path: &str, text: String) -> Result<(), BundleFault> {
        let refused = |why: String| Err(BundleFault::Archive(format!("`{}` {why}", path.escape_default())));
        if !is_place(path) {
            return refused(
                "is no file of a bundle: `vendor/*.cedar`, `tests/*.toml`, `invariants.cedar`".into(),
            );
        }
        if text.len() > MOST_FILE_BYTES {
            return refused(format!("is over {} MiB", MOST_FILE_BYTES / 1024 / 1024));
        }
        if self.0.len() == MOST_FILES {
            return Err(BundleFault::Archive(format!("it has over {MOST_FILES} files")));
        }
        if self.0.insert(path.to_owned(), text).is_some() {
            return refused("is there twice".into());
        }
        Ok(())
    }

    /// Over every path and text, each behind its length: not over the archive's own bytes.
    pub fn digest(&self) -> Fingerprint {
        let files = self.0.iter().flat_map(|(path, text)| [path.as_bytes(), text.as_bytes()]);
        let fields: Vec<&[u8]> = std::iter::once(&b"tidegate policy bundle v1"[..]).chain(files).collect();
        Fingerprint::of_fields(&fields)
    }

    /// Every file by its path, in the order of paths.
    pub fn files(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(path, text)| (path.as_str(), text.as_str()))
    }

    /// The vendor's own cases, by their paths; a broker passes them over.
    pub fn cases(&self) -> impl Iterator<Item = (&str, &str)> {
        self.files().filter(|(path, _)| path.starts_with("tests/") && *path != WORLD)
    }

    /// The issuers and grants that the cases are about.
    pub fn world(&self) -> Option<&str> {
        self.0.get(WORLD).map(String::as_str)
    }

    /// What the vendor says can never happen; a broker passes it over.
    pub fn invariants(&self) -> Option<&str> {
        self.0.get(INVARIANTS).map(String::as_str)
    }

    /// The policy files, without their folder.
    pub(super) fn policies(&self) -> impl Iterator<Item = (&str, &str)> {
        self.files().filter_map(|(path, text)| {
            let (folder, name) = path.split_once('/')?;
            (folder == POLICIES).then_some((name, text))
        })
    }
}

/// Nothing in such a path can lead out of a folder, or be two paths for one file.
fn is_place(path: &str) -> bool {
    let is_name = |name: &str, ending: &str| {
        let stem = name.strip_suffix(ending).and_then(|stem| stem.strip_suffix('.'));
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        stem.is_some_and(|stem| !stem.is_empty() && !stem.starts_with('.') && stem.chars().all(plain))
    };
    let fits = match path.split_once('/') {
        None => path == INVARIANTS,
        Some((folder, name)) => {
            FOLDERS.iter().any(|(known, ending)| folder == *known && is_name(name, ending))
        }
    };
    fits && path.len() <= MOST_PATH_BYTES
}

/// Whatever is not hidden and not a note. A file with another ending is a fault when the folder is read: it would not
/// count.
fn names(folder: &Path, ending: &str, is_needed: bool) -> Result<Vec<String>, BundleFault> {
    let unreadable = |error: io::Error| BundleFault::Unreadable(format!("`{}`: {error}", folder.display()));
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound && !is_needed => return Ok(Vec::new()),
        entries => entries.map_err(unreadable)?,
    };
    let mut names = Vec::new();
    for entry in entries {
        let name = entry.map_err(unreadable)?.file_name().to_string_lossy().into_owned();
        let is_note = Path::new(&name).extension().is_some_and(|found| found == "md" && ending != "md");
        if !name.starts_with('.') && !is_note {
            names.push(name);
        }
    }
    Ok(names)
}

fn read(file: &Path) -> Result<String, BundleFault> {
    fs::read_to_string(file)
        .map_err(|error| BundleFault::Unreadable(format!("`{}`: {error}", file.display())))
}
