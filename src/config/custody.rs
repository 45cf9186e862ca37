//! Of `[keys]`, where the key-encryption key is, and where it was before.

use base64::Engine as _;
use url::Url;

use super::aws::{AwsMode, AwsSettings};
use super::net::web_url;
use super::secret_source::{SecretSource, secret};
use crate::custody::{KekSource, KmsKey};
use crate::document::quoted;
use crate::document::{At, Section};

/// What `[keys]` says of key-encryption keys.
#[derive(Clone, Debug)]
pub struct KekSettings {
    /// Seals private keys at rest.
    pub wanted: KekSource,
    /// Sealed them before, while it is being changed.
    pub previous: Option<KekSource>,
    /// Where AWS KMS is, instead of the region's own endpoint.
    pub kms_endpoint: Option<Url>,
}

/// The three places of one key-encryption key.
struct Names {
    value: &'static str,
    file: &'static str,
    kms: &'static str,
}

const WANTED: Names = Names { value: "kek", file: "kek_file", kms: "kek_kms" };
const PREVIOUS: Names = Names { value: "previous_kek", file: "previous_kek_file", kms: "previous_kek_kms" };

pub(super) fn read(section: &Section<'_>) -> Option<KekSettings> {
    let given = |names: &Names| [names.value, names.file, names.kms].iter().any(|key| section.has(key));
    if !given(&WANTED) {
        let help = "make one with `(umask 077; openssl rand -base64 32 > kek)` and write kek_file = \"kek\"";
        section.fault("kek_file", "missing: private keys are never kept unsealed", help);
    }
    let wanted = source(section, &WANTED);
    let previous = source(section, &PREVIOUS);
    if given(&PREVIOUS) && previous.is_none() {
        return None;
    }
    let (wanted, previous) = (wanted?, previous);
    let kms_endpoint = section.parsed("kms_endpoint", web_url);
    if section.has("kms_endpoint") && kms_endpoint.is_none() {
        return None;
    }
    let is_kms = |source: &KekSource| matches!(source, KekSource::Kms(_));
    if section.has("kms_endpoint") && !is_kms(&wanted.value) && !previous.iter().any(|at| is_kms(&at.value)) {
        section.fault("kms_endpoint", "AWS KMS is called only with `kek_kms`", "leave it out");
    }
    if let Some(previous) = &previous {
        refuse_the_same(section, &wanted.value, previous);
    }
    Some(KekSettings {
        wanted: wanted.value,
        previous: previous.map(|at| at.value),
        kms_endpoint: kms_endpoint.map(|at| at.value),
    })
}

/// Exactly one of the three, or none.
fn source(section: &Section<'_>, names: &Names) -> Option<At<KekSource>> {
    if section.has(names.kms) && (section.has(names.value) || section.has(names.file)) {
        let other = if section.has(names.file) { names.file } else { names.value };
        let message = format!("`{}` and `{other}` exclude each other", names.kms);
        section.fault(
            names.kms,
            message,
            "a key-encryption key is in one place; the one before is `previous_…`",
        );
        return None;
    }
    if section.has(names.kms) {
        let parse = |text: &str| {
            KmsKey::new(text).map_err(|(what, help)| (format!("{} is {what}", quoted(text)), help))
        };
        return section.parsed(names.kms, parse).map(|at| at.map(KekSource::Kms));
    }
    let given = secret(section, names.value, names.file)?;
    if let SecretSource::Value(text) = &given.value {
        let bytes = base64::engine::general_purpose::STANDARD.decode(text.expose()).unwrap_or_default();
        if bytes.len() != 32 {
            let help = "make one with `openssl rand -base64 32`";
            section.fault_at(&given.place, "not the base64 of 32 bytes", help);
            return None;
        }
    }
    Some(given.map(|source| match source {
        SecretSource::Value(text) => KekSource::Value(text),
        SecretSource::File(path) => KekSource::File(path),
    }))
}

/// Two names of one key: whoever believes to have changed it has not.
fn refuse_the_same(section: &Section<'_>, wanted: &KekSource, previous: &At<KekSource>) {
    let same = match (wanted, &previous.value) {
        (KekSource::File(new), KekSource::File(old)) => new == old,
        (KekSource::Value(new), KekSource::Value(old)) => new.expose() == old.expose(),
        (KekSource::Kms(new), KekSource::Kms(old)) => new == old,
        _ => false,
    };
    if same {
        let help = "leave it out: under the same KMS key a new key-encryption key needs no other setting";
        section.fault_at(&previous.place, "the same as the one that is wanted", help);
    }
}

/// An AWS identity is good for one partition.
pub(super) fn check_partition(section: &Section<'_>, kek: &KekSettings, aws: Option<&AwsSettings>) {
    let Some(aws) = aws.filter(|aws| aws.mode == AwsMode::AssumeRole) else { return };
    let own = aws.sts.region.partition();
    for (source, names) in [(Some(&kek.wanted), &WANTED), (kek.previous.as_ref(), &PREVIOUS)] {
        if let Some(KekSource::Kms(key)) = source
            && key.region().partition() != own
            && kek.kms_endpoint.is_none()
        {
            let message = format!("{} is in another partition than `aws.region`", quoted(key.as_str()));
            section.fault(names.kms, message, "the broker's AWS identity is good for one partition");
        }
    }
}
