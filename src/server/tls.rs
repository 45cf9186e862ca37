//! TLS for the public listener: rustls with ring, TLS 1.2 and 1.3, certificates that can be replaced while we serve.

use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls::{RootCertStore, ServerConfig};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use crate::config::TlsSettings;

/// Why the certificate files cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error("cannot read `{path}`: {cause}")]
    File {
        /// Which.
        path: String,
        /// Why.
        cause: io::Error,
    },
    /// A file is no PEM of the kind that is needed.
    #[error("`{path}` holds no {what} in PEM: {cause}")]
    Pem {
        /// Which.
        path: String,
        /// What was looked for.
        what: &'static str,
        /// Why.
        cause: String,
    },
    /// rustls does not accept them together.
    #[error("the certificate and key do not work together: {0}")]
    Rustls(#[from] rustls::Error),
    /// The client CA cannot be used.
    #[error("the client CA cannot be used: {0}")]
    ClientCa(String),
}

/// The one crypto provider of the process.
pub(super) fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

/// Makes ring the process default, so that an accidental second provider is loud. Call it first.
pub fn install_provider() {
    // A second call finds it installed already, which is what we want.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

/// Reads the files and builds the listener's configuration.
pub fn server_config(settings: &TlsSettings) -> Result<Arc<ServerConfig>, TlsError> {
    let chain = certificates(&settings.cert_file)?;
    let key_bytes = read(&settings.key_file)?;
    let key = PrivateKeyDer::from_pem_slice(&key_bytes).map_err(|cause| TlsError::Pem {
        path: settings.key_file.display().to_string(),
        what: "private key",
        cause: cause.to_string(),
    })?;
    let builder = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])?;
    let builder = match client_verifier(settings)? {
        Some(verifier) => builder.with_client_cert_verifier(verifier),
        None => builder.with_no_client_auth(),
    };
    let mut config = builder.with_single_cert(chain, key)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

fn client_verifier(settings: &TlsSettings) -> Result<Option<Arc<dyn ClientCertVerifier>>, TlsError> {
    let Some(clients) = &settings.clients else { return Ok(None) };
    let mut roots = RootCertStore::empty();
    for certificate in certificates(&clients.ca_file)? {
        roots.add(certificate).map_err(|cause| TlsError::ClientCa(cause.to_string()))?;
    }
    let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider());
    let builder = if clients.required { builder } else { builder.allow_unauthenticated() };
    builder.build().map(|verifier| Some(verifier as _)).map_err(|cause| TlsError::ClientCa(cause.to_string()))
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let bytes = read(path)?;
    let pem = |cause: String| TlsError::Pem { path: path.display().to_string(), what: "certificate", cause };
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&bytes).collect();
    let chain = chain.map_err(|cause| pem(cause.to_string()))?;
    if chain.is_empty() { Err(pem("the file has none".to_owned())) } else { Ok(chain) }
}

fn read(path: &Path) -> Result<Vec<u8>, TlsError> {
    fs::read(path).map_err(|cause| TlsError::File { path: path.display().to_string(), cause })
}
