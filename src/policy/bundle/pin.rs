//! Which bundle the customer takes: whose, and which version of it.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use super::{BrokerVersion, Bundle, BundleFault, BundleVersion, Statement};
use crate::keys::note::VerifierKey;
use crate::secret::Fingerprint;

/// A pin is a line.
const MOST_PIN_BYTES: u64 = 4_096;

/// The vendor's bundle, as the customer pins it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pin {
    /// The bundle.
    pub file: PathBuf,
    /// The vendor's key.
    pub key: Pinned<VerifierKey>,
    /// The version, and no other.
    pub version: Pinned<VersionPin>,
}

/// A value of the configuration, or a file that is read anew with every look at the policies: a broker that runs can then
/// go over to the next version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pinned<T> {
    /// In the configuration.
    Value(T),
    /// In a file of its own.
    File(PathBuf),
}

/// A version, and perhaps the digest of its files: `7`, or `7@<64 hexadecimal digits>`. With the digest, not even the
/// vendor can put other policies under the version that was reviewed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VersionPin {
    /// Exactly this one.
    pub version: BundleVersion,
    /// With exactly these files.
    pub contents: Option<Fingerprint>,
}

impl Pin {
    /// The bundle, when it is the one that is pinned.
    ///
    /// # Errors
    /// It is not, or is not to be trusted.
    pub fn open(&self, ours: BrokerVersion) -> Result<Bundle, BundleFault> {
        let (key, version) = (self.key.get()?, self.version.get()?);
        let bundle = Bundle::read(&self.file, &key, ours)?;
        version.check(&bundle)?;
        Ok(bundle)
    }
}

impl<T: FromStr<Err: fmt::Display> + Clone> Pinned<T> {
    /// The value, as it is now.
    ///
    /// # Errors
    /// The file cannot be read, or holds none.
    pub fn get(&self) -> Result<T, BundleFault> {
        match self {
            Self::Value(value) => Ok(value.clone()),
            Self::File(path) => {
                let wrong = |why: String| BundleFault::Pin(format!("its pin `{}` {why}", path.display()));
                let text = read_line(path).map_err(|error| wrong(format!("cannot be read: {error}")))?;
                text.trim().parse().map_err(|error| wrong(format!("is wrong: {error}")))
            }
        }
    }
}

fn read_line(path: &Path) -> std::io::Result<String> {
    use std::io::Read as _;
    let mut text = String::new();
    std::fs::File::open(path)?.take(MOST_PIN_BYTES).read_to_string(&mut text)?;
    Ok(text)
}

impl VersionPin {
    /// # Errors
    /// The bundle is another one.
    pub fn check(&self, bundle: &Bundle) -> Result<(), BundleFault> {
        let Self { version: pinned, contents } = *self;
        let (found, digest) = (bundle.statement().version, bundle.statement().contents);
        match contents {
            _ if found < pinned => Err(BundleFault::Older { found, pinned }),
            _ if found > pinned => Err(BundleFault::Newer { found, pinned }),
            Some(pinned) if pinned != digest => {
                Err(BundleFault::OtherContents { version: found, found: digest, pinned })
            }
            _ => Ok(()),
        }
    }
}

impl VersionPin {
    /// Is it the pinned one, or one that may be pinned next? For whoever reviews it before the pin is raised.
    ///
    /// # Errors
    /// It is of before, or is called as the pinned one and is another.
    pub fn check_next(&self, bundle: &Bundle) -> Result<(), BundleFault> {
        match self.check(bundle) {
            Err(BundleFault::Newer { .. }) => Ok(()),
            checked => checked,
        }
    }

    /// The same of one that the next is compared with: it may be of before.
    ///
    /// # Errors
    /// It is called as the pinned one and is another.
    pub fn check_earlier(&self, bundle: &Bundle) -> Result<(), BundleFault> {
        match self.check_next(bundle) {
            Err(BundleFault::Older { .. }) => Ok(()),
            checked => checked,
        }
    }

    /// Exactly this one, by its version and its files.
    pub fn of(bundle: &Bundle) -> Self {
        let Statement { version, contents, .. } = bundle.statement();
        Self { version: *version, contents: Some(*contents) }
    }
}

impl FromStr for VersionPin {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (version, contents) = match text.split_once('@') {
            None => (text, None),
            Some((version, digest)) => {
                let digest = digest
                    .parse()
                    .map_err(|error| format!("the digest in `{}` is {error}", text.escape_default()))?;
                (version, Some(digest))
            }
        };
        Ok(Self { version: version.parse()?, contents })
    }
}

impl fmt::Display for VersionPin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.version)?;
        self.contents.map_or(Ok(()), |digest| write!(f, "@{digest}"))
    }
}
