//! A version of the policies, as it is named on the command line: a policy folder, or a vendor's bundle beside the customer's
//! folder. The one place that says whose bundles are looked at; nobody has to unpack any.

use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};

use super::bundle::read_key;
use super::place::Place;
use crate::keys::note::VerifierKey;
use crate::policy::bundle::{BrokerVersion, Bundle, BundleFault, Pin, Pinned, VersionPin};
use crate::policy::{PolicySets, Settings};

/// Which bundle is the vendor's part, and whose bundles are looked at.
#[derive(Clone, Debug, Default, clap::Args)]
pub(super) struct VendorArgs {
    /// The vendor's part as a bundle, in place of the folder's and of the one that is pinned.
    #[arg(long, value_name = "FILE")]
    vendor_bundle: Option<PathBuf>,
    /// The vendor's verifier key, or a file with it: whose bundles are looked at; else the configuration's.
    #[arg(long, value_name = "VKEY")]
    vendor_key: Option<String>,
}

/// Which of two versions it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Age {
    /// One that could be put in force: never older than what is pinned.
    Next,
    /// One that the other is held against.
    Earlier,
}

/// Where versions come from.
#[derive(Debug)]
pub(super) struct Versions {
    /// The folder, and the bundle beside it.
    configured: Settings,
    /// What the configuration pins, whatever folder is looked at.
    pinned: Option<Pin>,
    args: VendorArgs,
}

impl Versions {
    pub(super) fn new(configured: Settings, pinned: Option<Pin>, args: VendorArgs) -> Self {
        Self { configured, pinned, args }
    }

    /// What is looked at where no other version is named.
    pub(super) fn current(&self) -> anyhow::Result<Settings> {
        if self.configured.dir.is_file() {
            bail!(
                "`{}` is a file and policies are a folder: name a vendor's bundle with `--vendor-bundle`",
                self.configured.dir.display()
            );
        }
        let named = self.args.vendor_bundle.as_deref();
        named.map_or_else(|| Ok(self.configured.clone()), |file| self.bundle(file, Age::Next))
    }

    /// The version that `at` is.
    fn named(&self, at: &Path, age: Age) -> anyhow::Result<Settings> {
        match std::fs::metadata(at) {
            Ok(found) if found.is_dir() => Ok(self.configured.with_folder(at)),
            Ok(_) => self.bundle(at, age),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                bail!("`{}` does not exist: name a policy folder, or a vendor's bundle", at.display())
            }
            Err(error) => Err(error).with_context(|| format!("`{}` cannot be read", at.display())),
        }
    }

    /// A bundle beside the customer's folder. It is pinned to what was verified here: whatever reads it again reads the
    /// same, or nothing.
    fn bundle(&self, file: &Path, age: Age) -> anyhow::Result<Settings> {
        let key = self.key(file)?;
        let bundle = Bundle::read(file, &key, BrokerVersion::ours()).map_err(|why| refused(file, &why))?;
        if let Some(pin) = &self.pinned {
            let pinned = pin.version.get().map_err(|why| refused(file, &why))?;
            let checked = match age {
                Age::Next => pinned.check_next(&bundle),
                Age::Earlier => pinned.check_earlier(&bundle),
            };
            checked.map_err(|why| refused(file, &why))?;
        }
        let version = Pinned::Value(VersionPin::of(&bundle));
        Ok(self.configured.with_bundle(Pin { file: file.to_owned(), key: Pinned::Value(key), version }))
    }

    /// Nobody's signature counts by itself.
    fn key(&self, file: &Path) -> anyhow::Result<VerifierKey> {
        match (&self.args.vendor_key, &self.pinned) {
            (Some(text), _) => read_key("--vendor-key", text).map_err(anyhow::Error::msg),
            (None, Some(pin)) => pin.key.get().map_err(|why| refused(file, &why)),
            (None, None) => bail!(
                "`{}` cannot be verified, as nobody says who its vendor is: give their verifier key with `--vendor-key`, \
                 or the configuration that pins it (`[policy] vendor_key`) with `--config`",
                file.display()
            ),
        }
    }
}

/// With what to do about it, where the fault itself does not say.
fn refused(file: &Path, why: &BundleFault) -> anyhow::Error {
    let advice = match why {
        BundleFault::Archive(_) => {
            ": a version is a policy folder, or a file that `tidegate policy bundle` made"
        }
        BundleFault::Altered(_) => ": ask the vendor for the file again",
        BundleFault::Older { .. } => {
            ": an older bundle is never taken again; it can only be what a newer one is compared with"
        }
        BundleFault::OtherContents { .. } => ": ask the vendor what changed, and why its version did not",
        _ => "",
    };
    anyhow::anyhow!("`{}` {why}{advice}", file.display())
}

impl Place {
    /// The sets of another version, validated, beside this one's customer where it is a bundle.
    pub(super) fn version(&self, at: &Path, age: Age) -> anyhow::Result<PolicySets> {
        let settings = self.versions.named(at, age)?;
        PolicySets::gather(&settings).with_context(|| told(&settings))
    }

    /// The same, or a vendor's half by itself: what is compared must both be one, or neither.
    pub(super) fn version_or_half(&self, at: &Path, age: Age) -> anyhow::Result<PolicySets> {
        let settings = self.versions.named(at, age)?;
        PolicySets::gather_or_half(&settings).with_context(|| told(&settings))
    }
}

/// A half permits nothing by itself, so that compared with a whole everything would differ.
pub(super) fn check_comparable(old: &PolicySets, new: &PolicySets) -> anyhow::Result<()> {
    if old.is_half() == new.is_half() {
        return Ok(());
    }
    let which = if old.is_half() { "older" } else { "newer" };
    bail!("the {which} version has no `customer` folder and the other has one: compare two of the same kind")
}

/// Where faults are: the folder, and the bundle beside it.
pub(super) fn told(settings: &Settings) -> String {
    match &settings.vendor {
        Some(pin) => format!("in `{}` with the bundle `{}`", settings.dir.display(), pin.file.display()),
        None => format!("in `{}`", settings.dir.display()),
    }
}

/// ` (bundle acme, version 8)`, of sets whose vendor's part came in one.
pub(super) fn bundle_of(sets: &PolicySets) -> String {
    let bundle = sets.origin().bundle.as_ref();
    bundle.map(|bundle| format!(" (bundle {}, version {})", bundle.name, bundle.version)).unwrap_or_default()
}
