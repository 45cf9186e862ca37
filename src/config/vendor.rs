//! The vendor's part of `[policy]`: which bundle, whose, and which version of it.

use std::str::FromStr;

use super::secret_source::policy_file;
use crate::document::Section;
use crate::policy::bundle::{Pin, Pinned, VersionPin};

/// Keys that say something about a bundle.
const PINS: [&str; 4] =
    ["vendor_key", "vendor_key_file", "vendor_bundle_version", "vendor_bundle_version_file"];

/// Something is wrong, and noted.
pub(super) struct Noted;

/// The pinned bundle, when there is one.
pub(super) fn read(section: &Section<'_>) -> Result<Option<Pin>, Noted> {
    if !section.has("vendor_bundle") {
        let stray: Vec<_> = PINS.into_iter().filter(|key| section.has(key)).collect();
        for key in &stray {
            section.fault(
                key,
                "there is no `vendor_bundle` that it is about",
                "name the bundle, or leave it out",
            );
        }
        return if stray.is_empty() { Ok(None) } else { Err(Noted) };
    }
    let file = policy_file(section, "vendor_bundle").map(|at| at.value);
    let key = pinned(section, "vendor_key", "vendor_key_file", |section| {
        let help = || "the line that `tidegate policy new-key` printed to the vendor".to_owned();
        let parse = |text: &str| text.parse().map_err(|error| (format!("{error}"), help()));
        section.parsed("vendor_key", parse).map(|at| at.value)
    });
    let version = pinned(section, "vendor_bundle_version", "vendor_bundle_version_file", version);
    match (file, key, version) {
        (Some(file), Some(key), Some(version)) => Ok(Some(Pin { file, key, version })),
        _ => Err(Noted),
    }
}

/// A number, or a text with a digest behind it.
fn version(section: &Section<'_>) -> Option<VersionPin> {
    const KEY: &str = "vendor_bundle_version";
    let parse = |text: &str| {
        let help = "such as 7, or \"7@<sha256>\" as `tidegate policy verify` prints it";
        VersionPin::from_str(text).map_err(|message| (message, help.to_owned()))
    };
    match section.quiet_text(KEY) {
        Some(_) => section.parsed(KEY, parse).map(|at| at.value),
        None => section.number(KEY, 1, u32::MAX).and_then(|number| number.to_string().parse().ok()),
    }
}

/// A value or a file with it, one of the two.
fn pinned<T>(
    section: &Section<'_>,
    key: &str,
    file_key: &str,
    read: impl FnOnce(&Section<'_>) -> Option<T>,
) -> Option<Pinned<T>> {
    match (section.has(key), section.has(file_key)) {
        (true, true) => {
            section.fault(key, format!("`{key}` and `{file_key}` exclude each other"), "keep one of them");
            None
        }
        (false, false) => {
            let help = "a bundle is taken only by a pinned key and in a pinned version";
            section.fault("vendor_bundle", format!("neither `{key}` nor `{file_key}` is there"), help);
            None
        }
        (true, false) => read(section).map(Pinned::Value),
        (false, true) => policy_file(section, file_key).map(|at| Pinned::File(at.value)),
    }
}
