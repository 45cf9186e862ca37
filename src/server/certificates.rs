//! Replaces the listener's certificate when its files changed and hold together.

use std::fs;
use std::sync::{Mutex, PoisonError};

use axum_server::tls_rustls::RustlsConfig;

use super::tls::server_config;
use crate::config::TlsSettings;
use crate::secret::Fingerprint;

/// The live certificate and what its files held when it was loaded.
#[derive(Debug)]
pub(super) struct Certificates {
    settings: TlsSettings,
    live: RustlsConfig,
    seen: Mutex<Fingerprint>,
}

impl Certificates {
    /// `live` was just loaded from the files of `settings`.
    pub(super) fn new(settings: TlsSettings, live: RustlsConfig) -> Self {
        let seen = Mutex::new(print_of(&settings));
        Self { settings, live, seen }
    }

    /// Loads files that changed. A pair that does not hold together leaves the old one serving, and is said once.
    pub(super) fn reload(&self) {
        let now = print_of(&self.settings);
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if *seen == now {
            return;
        }
        *seen = now;
        match server_config(&self.settings) {
            Ok(config) => {
                self.live.reload_from_config(config);
                tracing::info!("the certificate was replaced; open connections keep the old one");
            }
            Err(cause) => tracing::error!(%cause, "the changed certificate is not valid; the old one stays"),
        }
    }
}

fn print_of(settings: &TlsSettings) -> Fingerprint {
    let files =
        [Some(&settings.cert_file), Some(&settings.key_file), settings.clients.as_ref().map(|c| &c.ca_file)];
    let contents: Vec<Vec<u8>> =
        files.into_iter().flatten().map(|file| fs::read(file).unwrap_or_default()).collect();
    let fields: Vec<&[u8]> = contents.iter().map(Vec::as_slice).collect();
    Fingerprint::of_fields(&fields)
}
