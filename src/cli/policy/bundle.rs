//! `tidegate policy bundle`, `verify` and `new-key`: a vendor's policies as one signed file, from both ends.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use serde_json::json;

use super::super::{Output, failed};
use super::own;
use crate::entropy::{self, SystemEntropy};
use crate::keys::note::{NoteSigner, VerifierKey};
use crate::policy::bundle::{
    BrokerVersion, Bundle, BundleName, BundleVersion, Contents, Statement, VersionPin,
};
use crate::secret::SecretText;

/// Arguments of `tidegate policy new-key`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Writes the private key to a new file that only its owner can read, and prints the verifier key that \
                        customers pin as `vendor_key`.\n\n\
                        Example: tidegate policy new-key --name vendor.example/policies --out vendor.key"
)]
pub(in crate::cli) struct NewKeyArgs {
    /// The key's name: a URL without scheme, by which customers know you.
    #[arg(long, value_name = "NAME")]
    name: String,
    /// Where the private key goes. It must not exist yet.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

/// Arguments of `tidegate policy bundle`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "The same input gives the same bytes. Policies that are not valid here are not signed, nor are tests that the vendor's\n\
                  policies alone do not pass.\n\n\
                  Example: tidegate policy bundle --policies policies --name acme --bundle-version 7 \\\n\
                  \x20          --min-broker 0.1.0 --key-file vendor.key --out acme-7.bundle"
)]
pub(in crate::cli) struct BundleArgs {
    /// The folder with `vendor/*.cedar`.
    #[arg(long, value_name = "DIR", default_value = "policies")]
    policies: PathBuf,
    /// The bundle's name, the same in every version of it.
    #[arg(long, value_name = "NAME")]
    name: BundleName,
    /// Its version: larger than every one before.
    #[arg(long, value_name = "NUMBER")]
    bundle_version: BundleVersion,
    /// The oldest broker that understands its policies.
    #[arg(long, value_name = "VERSION")]
    min_broker: BrokerVersion,
    /// The private key. Once more for a second signature, while the key is being changed.
    #[arg(long, value_name = "FILE", required = true)]
    key_file: Vec<PathBuf>,
    /// Put `tests/*.toml` and `invariants.cedar` in, too, for customers to try out.
    #[arg(long)]
    with_tests: bool,
    /// Where the bundle goes; what is there is replaced.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

/// Arguments of `tidegate policy verify`. Its `--version` is the bundle's, not the program's.
#[derive(Debug, clap::Args)]
#[command(
    disable_version_flag = true,
    after_help = "Says what the bundle holds, and how to pin it. Exit codes: 0 good, 1 not to be taken: unsigned, by \
                        another key, altered, another version, for newer brokers, or with policies that are not valid.\n\n\
                        Example: tidegate policy verify acme-7.bundle --key vendor.vkey --version 7"
)]
pub(in crate::cli) struct VerifyArgs {
    /// The bundle.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The vendor's verifier key, or a file with it.
    #[arg(long, value_name = "VKEY")]
    key: String,
    /// The version that it must be: `7`, or `7@<sha256>`.
    #[arg(long, value_name = "PIN")]
    version: Option<VersionPin>,
    /// The broker that it is for; this one when nothing is said.
    #[arg(long, value_name = "VERSION")]
    broker: Option<BrokerVersion>,
}

impl NewKeyArgs {
    /// Makes the key and prints its public half.
    pub(in crate::cli) fn run(self, output: &Output) -> anyhow::Result<ExitCode> {
        let seed = zeroize::Zeroizing::new(entropy::bytes::<32>(&SystemEntropy::new())?);
        let (signer, text) = NoteSigner::from_seed(&self.name, &seed)?;
        write_secret(&self.out, &text).with_context(|| format!("cannot write `{}`", self.out.display()))?;
        output.line(signer.verifier_key())?;
        output.json(
            &json!({ "name": signer.name(), "verifier_key": signer.verifier_key(), "out": self.out }),
        )?;
        Ok(ExitCode::SUCCESS)
    }
}

/// For its owner only, and never over another key.
fn write_secret(path: &Path, text: &SecretText) -> std::io::Result<()> {
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(text.expose().as_bytes())?;
    file.write_all(b"\n")?;
    file.sync_all()
}

impl BundleArgs {
    /// Writes the bundle.
    pub(in crate::cli) fn run(self, output: &Output) -> anyhow::Result<ExitCode> {
        let contents = Contents::read(&self.policies, self.with_tests)
            .map_err(|why| anyhow::anyhow!("the folder `{}` {why}", self.policies.display()))?;
        let policies = contents.count_policies().context("they are not valid, so they are not signed")?;
        own::check(&contents, &self.policies)
            .context("what is said about them does not hold, so it is not signed")?;
        let signers: Vec<_> = self.key_file.iter().map(|path| read_signer(path)).collect::<Result<_, _>>()?;
        let signers: Vec<&NoteSigner> = signers.iter().collect();
        let bytes = Bundle::make(self.name, self.bundle_version, self.min_broker, &contents, &signers)
            .map_err(|why| anyhow::anyhow!("the bundle {why}"))?;
        super::super::audit::write_atomically(&self.out, &bytes)?;
        let pin = VersionPin { version: self.bundle_version, contents: Some(contents.digest()) };
        output.line(format!("wrote `{}`: {policies} policies, pin {pin}", self.out.display()))?;
        output.json(&json!({
            "out": self.out,
            "policies": policies,
            "files": contents.files().map(|(path, _)| path).collect::<Vec<_>>(),
            "pin": pin.to_string(),
            "signed_by": signers.iter().map(|signer| signer.verifier_key()).collect::<Vec<_>>(),
        }))?;
        Ok(ExitCode::SUCCESS)
    }
}

/// Not what it says: an error must not quote a key.
fn read_signer(path: &Path) -> anyhow::Result<NoteSigner> {
    let text = fs::read_to_string(path).map(SecretText::new);
    let text = text.with_context(|| format!("the key `{}` cannot be read", path.display()))?;
    NoteSigner::from_text(&text).with_context(|| format!("in `{}`", path.display()))
}

impl VerifyArgs {
    /// Judges the bundle.
    pub(in crate::cli) fn run(self, output: &Output) -> anyhow::Result<ExitCode> {
        match self.judge() {
            Ok((bundle, policies)) => {
                tell(&bundle, policies, output)?;
                Ok(ExitCode::SUCCESS)
            }
            Err(why) => {
                output.line(format!("FAILED `{}` {why}", self.file.display()))?;
                output.json(&json!({ "ok": false, "file": self.file, "reason": why }))?;
                Ok(failed())
            }
        }
    }

    fn judge(&self) -> Result<(Bundle, usize), String> {
        let key = read_key("--key", &self.key)?;
        let ours = self.broker.unwrap_or_else(BrokerVersion::ours);
        let bundle = Bundle::read(&self.file, &key, ours).map_err(|why| why.to_string())?;
        if let Some(pin) = &self.version {
            pin.check(&bundle).map_err(|why| why.to_string())?;
        }
        let policies =
            bundle.contents().count_policies().map_err(|faults| format!("has faults: {faults}"))?;
        Ok((bundle, policies))
    }
}

fn tell(bundle: &Bundle, policies: usize, output: &Output) -> anyhow::Result<()> {
    let Statement { name, version, min_broker, contents } = bundle.statement();
    let key = bundle.identity().key;
    let pin = VersionPin { version: *version, contents: Some(*contents) };
    output.line(format!("ok     bundle `{name}`, version {version}, signed by {key}"))?;
    output.line(format!("       {policies} policies, for brokers from {min_broker}"))?;
    for (path, text) in bundle.contents().files() {
        output.line(format!("       {path} ({} bytes)", text.len()))?;
    }
    output.line(format!("pin    vendor_bundle_version = \"{pin}\""))?;
    let files: Vec<_> = bundle.contents().files().map(|(path, _)| path).collect();
    output.json(&json!({
        "ok": true,
        "name": name,
        "version": version,
        "min_broker": min_broker.to_string(),
        "sha256": contents,
        "key": key,
        "policies": policies,
        "files": files,
        "pin": pin.to_string(),
    }))
}

/// A verifier key, or a file with one.
pub(super) fn read_key(argument: &str, text: &str) -> Result<VerifierKey, String> {
    text.parse().or_else(|why| {
        let file = fs::read_to_string(text);
        let file = file.map_err(|_| {
            format!(
                "cannot be judged: `{argument} {text}` is neither a verifier key ({why}) nor a readable file"
            )
        })?;
        file.parse().map_err(|why| format!("cannot be judged: the key in `{text}`: {why}"))
    })
}
