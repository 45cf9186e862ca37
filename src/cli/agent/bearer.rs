//! The agent's own secret: made at each start, compared in constant time, and kept in a file that only its owner reads.

use std::fs::{self, DirBuilder, File, Metadata, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::hmac;
use zeroize::Zeroizing;

use crate::entropy::{Entropy, EntropyError, bytes};
use crate::secret::SecretText;

/// 256 bits that nobody can guess.
pub(super) struct Bearer {
    text: SecretText,
    key: hmac::Key,
    tag: hmac::Tag,
}

/// The file that holds it. Removed when dropped.
#[derive(Debug)]
pub(super) struct TokenFile {
    path: PathBuf,
    /// Device and inode: another agent may have put its own file there since.
    identity: (u64, u64),
    /// A folder that was made for it alone.
    own_folder: Option<PathBuf>,
}

impl Bearer {
    pub(super) fn new(entropy: &dyn Entropy) -> Result<Self, EntropyError> {
        let (secret, key) = (Zeroizing::new(bytes::<32>(entropy)?), Zeroizing::new(bytes::<32>(entropy)?));
        let text = SecretText::new(URL_SAFE_NO_PAD.encode(&secret[..]));
        let key = hmac::Key::new(hmac::HMAC_SHA256, &key[..]);
        let tag = hmac::sign(&key, text.expose().as_bytes());
        Ok(Self { text, key, tag })
    }

    /// Is it this one? How long the answer takes depends on nothing but the length of `presented`.
    pub(super) fn is(&self, presented: &[u8]) -> bool {
        hmac::verify(&self.key, presented, self.tag.as_ref()).is_ok()
    }

    /// Writes it, without a line end: SDKs send the file's content as it is.
    pub(super) fn write(&self, path: Option<&Path>, entropy: &dyn Entropy) -> anyhow::Result<TokenFile> {
        let Some(path) = path else {
            let folder = own_folder(entropy)?;
            let mut file = self.write_at(&folder.join("token"), entropy)?;
            file.own_folder = Some(folder);
            return Ok(file);
        };
        self.write_at(path, entropy)
            .with_context(|| format!("--token-file: `{}` cannot be written", path.display()))
    }

    /// Beside its place and then moved there: nobody ever reads half of it, and no link is followed.
    fn write_at(&self, path: &Path, entropy: &dyn Entropy) -> anyhow::Result<TokenFile> {
        let name = path.file_name().context("it names no file")?;
        let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let folder = parent.canonicalize().context("its folder")?;
        let draft = Draft::create(&folder, entropy)?;
        let owner = draft.facts.uid();
        let theirs = |facts: &Metadata| is_foreign(owner, facts.uid());
        // Whoever owns the folder, or a link to it, could lead the file elsewhere or take another file's place with it.
        if theirs(&fs::symlink_metadata(parent)?) || theirs(&fs::metadata(&folder)?) {
            bail!("its folder belongs to somebody else");
        }
        let place = folder.join(name);
        if let Some(there) = present(&place)? {
            ensure!(!there.is_symlink(), "it is a symbolic link");
            ensure!(there.is_file(), "it is no file");
            ensure!(there.uid() == owner, "the file there belongs to somebody else");
        }
        let identity = draft.finish(self.text.expose(), &place)?;
        Ok(TokenFile { path: place, identity, own_folder: None })
    }
}

impl TokenFile {
    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for TokenFile {
    fn drop(&mut self) {
        let ours = fs::symlink_metadata(&self.path).is_ok_and(|facts| identity(&facts) == self.identity);
        if ours {
            // Nothing more can be done on the way out, and the secret in it opens nothing any more.
            let _ = fs::remove_file(&self.path);
        }
        if let Some(folder) = &self.own_folder {
            let _ = fs::remove_dir(folder);
        }
    }
}

/// A file that has no name yet that anybody knows.
struct Draft {
    path: PathBuf,
    file: File,
    facts: Metadata,
    is_placed: bool,
}

impl Draft {
    fn create(folder: &Path, entropy: &dyn Entropy) -> anyhow::Result<Self> {
        let path = folder.join(format!(".tidegate-agent-{}", unguessable(entropy)?));
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
        let facts = file.metadata()?;
        let draft = Self { path, file, facts, is_placed: false };
        // Nothing for the group and nothing for others.
        ensure!(draft.facts.mode().trailing_zeros() >= 6, "its file system keeps no file to its owner");
        Ok(draft)
    }

    fn finish(mut self, text: &str, place: &Path) -> io::Result<(u64, u64)> {
        self.file.write_all(text.as_bytes())?;
        fs::rename(&self.path, place)?;
        self.is_placed = true;
        Ok(identity(&self.facts))
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        if !self.is_placed {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Root could do anything anyway.
const fn is_foreign(owner: u32, other: u32) -> bool {
    other != owner && other != 0
}

fn identity(facts: &Metadata) -> (u64, u64) {
    (facts.dev(), facts.ino())
}

fn present(path: &Path) -> io::Result<Option<Metadata>> {
    match fs::symlink_metadata(path) {
        Ok(facts) => Ok(Some(facts)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// A new folder of ours alone, where the session's files are.
#[expect(
    clippy::disallowed_methods,
    reason = "command line: where the session keeps its files, not our settings"
)]
fn own_folder(entropy: &dyn Entropy) -> anyhow::Result<PathBuf> {
    let session = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from).filter(|path| path.is_absolute());
    let base = session.unwrap_or_else(std::env::temp_dir);
    let folder = base.join(format!("tidegate-agent-{}", unguessable(entropy)?));
    let made = DirBuilder::new().mode(0o700).create(&folder);
    made.with_context(|| format!("no folder can be made in `{}`: name a --token-file", base.display()))?;
    Ok(folder)
}

fn unguessable(entropy: &dyn Entropy) -> Result<String, EntropyError> {
    Ok(format!("{:016x}", u64::from_be_bytes(bytes::<8>(entropy)?)))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;
    use crate::entropy::SystemEntropy;

    fn bearer() -> Bearer {
        Bearer::new(&SystemEntropy::new()).unwrap()
    }

    fn write(path: &Path) -> anyhow::Result<TokenFile> {
        bearer().write(Some(path), &SystemEntropy::new())
    }

    fn refusal(path: &Path) -> String {
        format!("{:#}", write(path).unwrap_err())
    }

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    #[test]
    fn a_link_a_folder_or_a_foreign_owner_is_not_written_to_and_nothing_stays_behind() {
        let folder = tempfile::tempdir().unwrap();
        let (victim, link) = (folder.path().join("victim"), folder.path().join("link"));
        fs::write(&victim, "precious").unwrap();
        symlink(&victim, &link).unwrap();
        assert!(refusal(&link).ends_with("it is a symbolic link"));
        fs::create_dir(folder.path().join("folder")).unwrap();
        assert!(refusal(&folder.path().join("folder")).ends_with("it is no file"));
        assert!(refusal(Path::new("/nowhere/at/all")).contains("its folder"));
        assert_eq!(fs::read_to_string(&victim).unwrap(), "precious");
        assert_eq!(names(folder.path()).len(), 3);
        assert!(is_foreign(1_000, 1_001) && !is_foreign(1_000, 1_000) && !is_foreign(1_000, 0));
    }

    #[test]
    fn only_its_owner_reads_it_and_it_is_gone_with_the_agent() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        // What an agent left behind that was killed.
        fs::write(&path, "old").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        let bearer = bearer();
        let file = bearer.write(Some(&path), &SystemEntropy::new()).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        let text = fs::read_to_string(&path).unwrap();
        assert!(bearer.is(text.as_bytes()) && text.len() == 43 && !text.contains('\n'));
        drop(file);
        assert!(names(folder.path()).is_empty());
    }

    #[test]
    fn another_agents_file_is_left_where_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        let (first, second) = (write(&path).unwrap(), write(&path).unwrap());
        drop(first);
        assert_eq!(names(folder.path()), ["token"]);
        drop(second);
        assert!(names(folder.path()).is_empty());
    }

    #[test]
    fn without_a_name_it_has_a_folder_of_its_own_that_goes_with_it() {
        let file = bearer().write(None, &SystemEntropy::new()).unwrap();
        let folder = file.path().parent().unwrap().to_owned();
        assert_eq!(fs::metadata(&folder).unwrap().mode() & 0o777, 0o700);
        drop(file);
        assert!(!folder.exists());
    }

    #[test]
    fn two_starts_never_share_a_token() {
        let (one, other) = (bearer(), bearer());
        assert!(!one.is(other.text.expose().as_bytes()) && one.is(one.text.expose().as_bytes()));
    }
}
