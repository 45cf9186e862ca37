//! The policies as they lie on disk: whose files, their names and texts, what the customer wrote down beside them, the
//! vendor's bundle, and the digests of all of it.

use std::fs;
use std::io;
use std::path::Path;

use super::Settings;
use super::bundle::{BrokerVersion, BundleIdentity, Pin};
use super::decision::{Author, PolicyDigest, PolicyDigests};
use super::fault::{Fault, LoadError};
use super::invariants::INVARIANTS_FILE;
use super::relations::{RELATIONS_FILE, Relations};
use super::schema::{SCHEMA_FILE, SCHEMA_TEXT, Vocabulary};
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
#[derive(Clone, Debug, Default)]
pub(super) struct Sources {
    pub(super) files: Vec<SourceFile>,
    /// Whose permit is needed. The customer's always; the vendor's when there is a vendor folder or a bundle.
    pub(super) authors: Vec<Author>,
    /// `entities.json`, which is the customer's.
    pub(super) relations: Option<String>,
    /// Where the vendor's files came from, when not from a folder.
    pub(super) bundle: Option<BundleIdentity>,
}

/// Which policy sets these are, and what they came in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// Author by author.
    pub digests: PolicyDigests,
    /// SHA-256 of the customer's `entities.json`, when there is one.
    pub entities: Option<Fingerprint>,
    /// The vendor's bundle, when the vendor's set came in one.
    pub bundle: Option<BundleIdentity>,
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
        let (mut sources, mut faults) = Self::of_customer(dir)?;
        sources.add_vendor_of(dir, &mut faults);
        LoadError::check(faults).map(|()| sources)
    }

    /// The same as [`Self::gather`]; but where nothing is there of the customer's, the vendor's half by itself. For tools that
    /// judge what a vendor wrote: nothing may be decided by it.
    pub(super) fn gather_or_half(settings: &Settings) -> Result<Self, LoadError> {
        let dir = &settings.dir;
        let is_there = |author: Author| fs::symlink_metadata(dir.join(author.as_str())).is_ok();
        if settings.vendor.is_some() || is_there(Author::Customer) || !is_there(Author::Vendor) {
            return Self::gather(settings);
        }
        let (mut sources, mut faults) = (Self::default(), check_folder(dir)?);
        sources.add_relations_of(dir, &mut faults);
        sources.add_vendor_of(dir, &mut faults);
        LoadError::check(faults).map(|()| sources)
    }

    /// The same with the vendor's bundle in the place of a folder, when one is pinned.
    pub(super) fn gather(settings: &Settings) -> Result<Self, LoadError> {
        let Some(pin) = &settings.vendor else { return Self::read(&settings.dir) };
        let (mut sources, mut faults) = Self::of_customer(&settings.dir)?;
        if !settings.bundle_before_folder && settings.dir.join(Author::Vendor.as_str()).exists() {
            let advice = "stands beside a vendor's bundle, and only one of them can count: remove the folder";
            faults.push(Fault::of_file(Author::Vendor.as_str(), advice));
        }
        if let Err(fault) = sources.add_bundle(pin) {
            faults.push(fault);
        }
        LoadError::check(faults).map(|()| sources)
    }

    fn of_customer(dir: &Path) -> Result<(Self, Vec<Fault>), LoadError> {
        let mut faults = check_folder(dir)?;
        let mut sources = Self { authors: vec![Author::Customer], ..Self::default() };
        match read_author(dir, Author::Customer, &mut faults) {
            Ok(Some(files)) => sources.files = files,
            Ok(None) => {
                faults
                    .push(Fault::of_file("customer", "the folder is missing; nothing could ever be issued"));
            }
            Err(error) => faults.push(Fault::of_file(Author::Customer.as_str(), cannot_read(&error))),
        }
        sources.add_relations_of(dir, &mut faults);
        Ok((sources, faults))
    }

    fn add_relations_of(&mut self, dir: &Path, faults: &mut Vec<Fault>) {
        match fs::read_to_string(dir.join(RELATIONS_FILE)) {
            Ok(text) => self.relations = Some(text),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => faults.push(Fault::of_file(RELATIONS_FILE, cannot_read(&error))),
        }
    }

    fn add_vendor_of(&mut self, dir: &Path, faults: &mut Vec<Fault>) {
        match read_author(dir, Author::Vendor, faults) {
            Ok(Some(files)) => self.add_vendor(files),
            Ok(None) => {}
            Err(error) => faults.push(Fault::of_file(Author::Vendor.as_str(), cannot_read(&error))),
        }
    }

    fn add_vendor(&mut self, files: Vec<SourceFile>) {
        self.authors.push(Author::Vendor);
        self.files.extend(files);
    }

    fn add_bundle(&mut self, pin: &Pin) -> Result<(), Fault> {
        let bundle = pin
            .open(BrokerVersion::ours())
            .map_err(|why| Fault::of_file(pin.file.display().to_string(), why.to_string()))?;
        self.bundle = Some(bundle.identity());
        self.add_vendor(bundle.contents().policy_files());
        Ok(())
    }

    /// Over everything, and over each author's part. Of a vendor's half by itself no log has a digest but the vendor's own.
    pub(super) fn digests(&self) -> PolicyDigests {
        let vendor = self.authors.contains(&Author::Vendor);
        let is_half = self.authors == [Author::Vendor];
        PolicyDigests {
            both: if is_half { self.digest_of(Author::Vendor) } else { self.digest() },
            customer: self.digest_of(Author::Customer),
            vendor: vendor.then(|| self.digest_of(Author::Vendor)),
        }
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
        // What an older broker does not know of stands behind the rest: without it the digest is the one that it computes.
        let (relations, bundle) = (self.relation_fields(), self.bundle_fields());
        fields.extend(relations.iter().chain(&bundle).map(Vec::as_slice));
        Fingerprint::of_fields(&fields)
    }

    /// Over one author's part: the customer's has `entities.json`, the vendor's the bundle's name, version and key.
    fn digest_of(&self, author: Author) -> PolicyDigest {
        let mut fields: Vec<&[u8]> = vec![b"tidegate policy of one author v1", author.as_str().as_bytes()];
        for file in self.files.iter().filter(|file| file.author == author) {
            fields.extend([file.name.as_bytes(), file.text.as_bytes()]);
        }
        let more = match author {
            Author::Customer => self.relation_fields(),
            Author::Vendor => self.bundle_fields(),
        };
        fields.extend(more.iter().map(Vec::as_slice));
        Fingerprint::of_fields(&fields)
    }

    /// No author is called so: nothing here can be taken for a policy file.
    fn relation_fields(&self) -> Vec<Vec<u8>> {
        let text = self.relations.iter();
        text.flat_map(|text| [b"relations".to_vec(), Vec::new(), text.as_bytes().to_vec()]).collect()
    }

    fn bundle_fields(&self) -> Vec<Vec<u8>> {
        let bundle = self.bundle.iter();
        bundle
            .flat_map(|BundleIdentity { name, version, key }| {
                let name = format!("{name} {version}").into_bytes();
                [b"bundle".to_vec(), name, key.as_bytes().to_vec()]
            })
            .collect()
    }

    pub(super) fn read_relations(&self, words: &Vocabulary) -> Result<Relations, LoadError> {
        self.relations
            .as_deref()
            .map_or_else(|| Ok(Relations::default()), |text| Relations::read(text, words))
    }

    pub(super) fn origin(&self) -> Origin {
        Origin {
            digests: self.digests(),
            entities: self.relations.as_ref().map(|text| Fingerprint::of(text.as_bytes())),
            bundle: self.bundle.clone(),
        }
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
        } else if has_ending(&name, "cedar") && name != INVARIANTS_FILE {
            faults.push(Fault::of_file(
                name,
                "policies are in `customer` and `vendor`; here it would not count",
            ));
        } else if name != RELATIONS_FILE && !name.starts_with('.') && has_ending(&name, "json") {
            faults.push(Fault::of_file(
                name,
                "teams and ownership are in `entities.json`; here they would not count",
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

fn has_ending(name: &str, ending: &str) -> bool {
    Path::new(name).extension().is_some_and(|found| found == ending)
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
