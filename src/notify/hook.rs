//! One configured receiver.

use std::fmt;
use std::path::PathBuf;

use url::Url;

use super::format::Format;
use super::message::HookId;
use crate::secret::{Fingerprint, SecretText};

/// One `[[notify]]`. Its URL is a secret too: whoever has the URL of a chat's webhook can write into that chat.
#[derive(Clone)]
pub struct Hook {
    /// Where messages go.
    pub url: Url,
    /// Signs them.
    pub secret: SecretText,
    /// How they look.
    pub format: Format,
    /// PEM that is trusted instead of the system's authorities.
    pub ca_file: Option<PathBuf>,
}

impl Hook {
    /// The receiver's name in the outbox.
    pub fn id(&self) -> HookId {
        HookId(Fingerprint::of(self.url.as_str().as_bytes()))
    }

    /// What a log may say of it.
    pub(super) fn host(&self) -> &str {
        self.url.host_str().unwrap_or_default()
    }
}

impl fmt::Debug for Hook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hook")
            .field("host", &self.host())
            .field("format", &self.format)
            .field("ca_file", &self.ca_file)
            .finish_non_exhaustive()
    }
}
