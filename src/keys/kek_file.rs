//! The key-encryption key's file: 32 random bytes, raw or in base64, that nobody else on the machine can read.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use super::Kek;
use crate::entropy::{Entropy, EntropyError, bytes};
use crate::secret::SecretText;

/// Base64 of 32 bytes is 44 characters and, perhaps, a line end: more is no key.
const LONGEST_FILE: u64 = 64;

/// The key-encryption key could not be read or made.
#[derive(Debug, thiserror::Error)]
pub enum KekFileError {
    /// A broker never makes this file by itself: a lost key must be noticed and not replaced by a new one.
    #[error(
        "the key-encryption key `{}` does not exist: make one with `(umask 077; openssl rand -base64 32 > {})` and keep a copy in a safe place",
        .0.display(), .0.display()
    )]
    Missing(PathBuf),
    /// Others on the machine can read or change it.
    #[error(
        "the key-encryption key `{}` has mode {mode:04o}, so every user of this machine can get at it: use 0600 (in Kubernetes, `defaultMode: 0440` with an `fsGroup`)",
        path.display()
    )]
    OpenToOthers {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// Neither 32 raw bytes nor base64 of 32 bytes.
    #[error("the key-encryption key `{}` is neither 32 random bytes nor their base64", .0.display())]
    Malformed(PathBuf),
    /// The same, for a value in the configuration.
    #[error("`keys.kek` is not the base64 of 32 random bytes: make one with `openssl rand -base64 32`")]
    MalformedValue,
    /// It will not be overwritten.
    #[error("`{}` exists already", .0.display())]
    Exists(PathBuf),
    /// The operating system refused.
    #[error("the key-encryption key `{}` cannot be used: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Nothing unguessable to be had.
    #[error(transparent)]
    Entropy(#[from] EntropyError),
}

impl Kek {
    /// Reads the key from a file of exactly 32 raw bytes, or of their base64 with or without a line end. The file must
    /// not be open to users other than its owner and group.
    pub fn read(path: &Path) -> Result<Self, KekFileError> {
        let file = File::open(path).map_err(|source| match source.kind() {
            std::io::ErrorKind::NotFound => KekFileError::Missing(path.to_owned()),
            _ => io_error(path, source),
        })?;
        refuse_open_to_others(&file, path)?;
        let mut content = Zeroizing::new(Vec::with_capacity(64));
        file.take(LONGEST_FILE).read_to_end(&mut content).map_err(|source| io_error(path, source))?;
        let malformed = || KekFileError::Malformed(path.to_owned());
        let secret = parse(&content).ok_or_else(malformed)?;
        Self::from_bytes(&secret).map_err(|_| malformed())
    }

    /// From the base64 of 32 bytes, for a key that stands in the configuration itself.
    pub fn from_text(text: &SecretText) -> Result<Self, KekFileError> {
        let secret = parse(text.expose().as_bytes()).ok_or(KekFileError::MalformedValue)?;
        Self::from_bytes(&secret).map_err(|_| KekFileError::MalformedValue)
    }

    /// Makes a new key in a file that does not exist yet, readable by its owner only. For first starts that a person
    /// asked for, and for the demo; a serving broker only ever [reads](Self::read).
    pub fn create(path: &Path, entropy: &dyn Entropy) -> Result<Self, KekFileError> {
        let secret = Zeroizing::new(bytes::<32>(entropy)?);
        let mut text = Zeroizing::new(STANDARD.encode(*secret));
        text.push('\n');
        let mut file = create_private(path).map_err(|source| match source.kind() {
            std::io::ErrorKind::AlreadyExists => KekFileError::Exists(path.to_owned()),
            _ => io_error(path, source),
        })?;
        file.write_all(text.as_bytes())
            .and_then(|()| file.sync_all())
            .map_err(|source| io_error(path, source))?;
        Self::from_bytes(&secret).map_err(|_| KekFileError::Malformed(path.to_owned()))
    }
}

fn io_error(path: &Path, source: std::io::Error) -> KekFileError {
    KekFileError::Io { path: path.to_owned(), source }
}

fn parse(content: &[u8]) -> Option<Zeroizing<[u8; 32]>> {
    if let Ok(raw) = <[u8; 32]>::try_from(content) {
        // 32 printable characters are a password or half a key in hexadecimal, not 32 random bytes: those look so once
        // in 10^13 times.
        return (!raw.iter().all(u8::is_ascii_graphic)).then(|| Zeroizing::new(raw));
    }
    let decoded = Zeroizing::new(STANDARD.decode(content.trim_ascii()).ok()?);
    Some(Zeroizing::new(<[u8; 32]>::try_from(decoded.as_slice()).ok()?))
}

/// Looks at the opened file and not at its path, so that it cannot be swapped in between.
#[cfg(unix)]
fn refuse_open_to_others(file: &File, path: &Path) -> Result<(), KekFileError> {
    use std::os::unix::fs::PermissionsExt as _;
    let mode = file.metadata().map_err(|source| io_error(path, source))?.permissions().mode() & 0o7777;
    if mode & 0o007 != 0 {
        return Err(KekFileError::OpenToOthers { path: path.to_owned(), mode });
    }
    Ok(())
}

#[cfg(not(unix))]
fn refuse_open_to_others(_: &File, _: &Path) -> Result<(), KekFileError> {
    Ok(())
}

fn create_private(path: &Path) -> std::io::Result<File> {
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use crate::entropy::SystemEntropy;

    fn file_with(content: &[u8], mode: u32) -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("kek");
        std::fs::write(&path, content).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        (dir, path)
    }

    #[test]
    fn a_file_that_everybody_can_read_is_refused_with_its_mode() {
        let (_dir, path) = file_with(&[200; 32], 0o644);
        let refusal = Kek::read(&path).unwrap_err().to_string();
        assert!(refusal.contains("0644") && refusal.contains("0600"), "{refusal}");
    }

    #[test]
    fn passwords_hexadecimal_and_wrong_lengths_are_refused() {
        let contents: [&[u8]; 6] =
            [b"", &[200; 31], &[200; 33], b"correct horse battery staple", &[b'a'; 32], &[b'0'; 64]];
        for content in contents {
            let (_dir, path) = file_with(content, 0o600);
            assert!(matches!(Kek::read(&path), Err(KekFileError::Malformed(_))), "{content:?}");
        }
    }

    #[test]
    fn a_missing_file_is_never_made_by_reading() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("kek");
        assert!(matches!(Kek::read(&path), Err(KekFileError::Missing(_))));
        assert!(!path.exists());
    }

    #[test]
    fn raw_and_base64_are_the_same_key() {
        let (_a, raw) = file_with(&[200; 32], 0o600);
        let (_b, text) = file_with(format!("{}\n", STANDARD.encode([200; 32])).as_bytes(), 0o440);
        assert_eq!(format!("{:?}", Kek::read(&raw).unwrap()), format!("{:?}", Kek::read(&text).unwrap()));
    }

    #[test]
    fn a_created_file_is_private_reads_back_and_is_not_overwritten() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("kek");
        let made = Kek::create(&path, &SystemEntropy::new()).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(format!("{made:?}"), format!("{:?}", Kek::read(&path).unwrap()));
        assert!(matches!(Kek::create(&path, &SystemEntropy::new()), Err(KekFileError::Exists(_))));
    }
}
