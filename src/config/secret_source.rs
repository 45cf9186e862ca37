//! Every secret is a value in the file or a file of its own.

use std::path::PathBuf;

use crate::document::{At, Section};
use crate::secret::SecretText;

/// Where a secret is.
#[derive(Clone, Debug)]
pub enum SecretSource {
    /// In the configuration itself.
    Value(SecretText),
    /// In a file.
    File(PathBuf),
}

impl SecretSource {
    /// The secret as text. From a file, without one line end at its end. For text only: raw bytes are the business of
    /// whoever knows their shape.
    pub fn read(&self) -> std::io::Result<SecretText> {
        match self {
            Self::Value(secret) => Ok(secret.clone()),
            Self::File(path) => {
                let mut text = std::fs::read_to_string(path)?;
                if text.ends_with('\n') {
                    text.pop();
                    if text.ends_with('\r') {
                        text.pop();
                    }
                }
                Ok(SecretText::new(text))
            }
        }
    }
}

/// Reads `key` or `key_file`; both at once is a fault, and so is a file that cannot be opened.
pub(super) fn secret(section: &Section<'_>, key: &str, file_key: &str) -> Option<At<SecretSource>> {
    let value =
        section.text(key).map(|text| text.map(|text| SecretSource::Value(SecretText::new(text.to_owned()))));
    let file = readable_file(section, file_key).map(|path| path.map(SecretSource::File));
    if section.has(key) && section.has(file_key) {
        section.fault(
            key,
            format!("`{key}` and `{file_key}` exclude each other"),
            format!("keep `{file_key}`"),
        );
        return None;
    }
    value.or(file)
}

/// A path whose file can be opened now; where files are not opened, any path.
pub(super) fn readable_file(section: &Section<'_>, key: &str) -> Option<At<PathBuf>> {
    if section.opens_files() { policy_file(section, key) } else { section.path(key) }
}

/// A path whose file can be opened now, by tools that look at policies, too: no secret is ever behind it.
pub(super) fn policy_file(section: &Section<'_>, key: &str) -> Option<At<PathBuf>> {
    let path = section.path(key)?;
    match std::fs::File::open(&path.value).and_then(|file| file.metadata()) {
        Ok(data) if data.is_file() => Some(path),
        Ok(_) => {
            section.fault_at(&path.place, format!("`{}` is no file", path.value.display()), "");
            None
        }
        Err(error) => {
            let message = format!("`{}` cannot be read: {error}", path.value.display());
            section.fault_at(&path.place, message, "paths start at the folder of the configuration file");
            None
        }
    }
}
