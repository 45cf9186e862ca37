//! What the vendor signs: a few lines that say which bundle it is and whom it is for.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::BundleFault;
use crate::secret::Fingerprint;

/// No other text that a key signs begins so.
const FORMAT: &str = "tidegate policy bundle v1";

/// The signed lines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statement {
    /// Which bundle.
    pub name: BundleName,
    /// Its version; the next one is larger.
    pub version: BundleVersion,
    /// The oldest broker that understands it.
    pub min_broker: BrokerVersion,
    /// Digest of its files.
    pub contents: Fingerprint,
}

/// The vendor's name for a bundle: 1-64 of `a-z A-Z 0-9 - _ .`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct BundleName(String);

/// A version of a bundle: a whole number from 1 that only grows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "u64", into = "u64")]
pub struct BundleVersion(u64);

/// A version of the broker: `1.2.3`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct BrokerVersion([u32; 3]);

impl Statement {
    /// As it is signed.
    pub(super) fn text(&self) -> String {
        let Self { name, version, min_broker, contents } = self;
        format!("{FORMAT}\nname {name}\nversion {version}\nmin-broker {min_broker}\nsha256 {contents}\n")
    }

    /// Reads what [`text`](Self::text) writes, and nothing else.
    pub(super) fn parse(text: &str) -> Result<Self, BundleFault> {
        let mut lines = text.lines();
        match lines.next() {
            Some(FORMAT) => {}
            _ => return Err(BundleFault::Statement(format!("it does not begin with `{FORMAT}`"))),
        }
        let mut next = |word: &str| {
            let value = lines.next().and_then(|line| line.strip_prefix(word)?.strip_prefix(' '));
            value.ok_or_else(|| BundleFault::Statement(format!("it has no line `{word} …` in its place")))
        };
        let wrong = |error: String| BundleFault::Statement(error);
        let statement = Self {
            name: next("name")?.parse().map_err(wrong)?,
            version: next("version")?.parse().map_err(wrong)?,
            min_broker: next("min-broker")?.parse().map_err(wrong)?,
            contents: next("sha256")?.parse().map_err(|error| wrong(format!("its digest is {error}")))?,
        };
        if statement.text() == text {
            Ok(statement)
        } else {
            Err(wrong("it has more lines, or values that are not written plainly".to_owned()))
        }
    }
}

impl FromStr for BundleName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        if (1..=64).contains(&text.len()) && text.chars().all(fits) {
            Ok(Self(text.to_owned()))
        } else {
            Err(format!("a bundle's name is 1-64 of `a-z A-Z 0-9 - _ .`, not `{}`", text.escape_default()))
        }
    }
}

impl FromStr for BundleVersion {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let number: u64 = text.parse().map_err(|_| number_fault(text))?;
        Self::try_from(number)
    }
}

fn number_fault(text: &str) -> String {
    format!("a bundle's version is a whole number from 1, not `{}`", text.escape_default())
}

impl TryFrom<u64> for BundleVersion {
    type Error = String;

    fn try_from(number: u64) -> Result<Self, String> {
        if number == 0 { Err(number_fault("0")) } else { Ok(Self(number)) }
    }
}

impl From<BundleVersion> for u64 {
    fn from(version: BundleVersion) -> Self {
        version.0
    }
}

impl TryFrom<String> for BundleName {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<BundleName> for String {
    fn from(name: BundleName) -> Self {
        name.0
    }
}

impl BrokerVersion {
    /// Of this broker.
    pub fn ours() -> Self {
        let parts = [
            env!("CARGO_PKG_VERSION_MAJOR"),
            env!("CARGO_PKG_VERSION_MINOR"),
            env!("CARGO_PKG_VERSION_PATCH"),
        ];
        // Numbers, by Cargo's own rules. If ever not, an old broker refuses more than it must.
        Self(parts.map(|part| part.parse().unwrap_or_default()))
    }
}

impl FromStr for BrokerVersion {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || {
            format!("a broker's version is three numbers such as `1.2.3`, not `{}`", text.escape_default())
        };
        let numbers: Vec<u32> =
            text.split('.').map(str::parse).collect::<Result<_, _>>().map_err(|_| wrong())?;
        let version = Self(numbers.try_into().map_err(|_| wrong())?);
        // `+1.02.3` would read the same.
        if version.to_string() == text { Ok(version) } else { Err(wrong()) }
    }
}

impl fmt::Display for BundleName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for BundleVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

impl fmt::Display for BrokerVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self([major, minor, patch]) = self;
        write!(f, "{major}.{minor}.{patch}")
    }
}
