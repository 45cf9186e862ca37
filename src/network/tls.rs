//! TLS for the servers that we call: whose certificates are believed, with ring.

use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;

/// The system's root certificates, read once and only when somebody needs them.
#[derive(Debug, Default)]
pub struct SystemRoots(std::sync::OnceLock<Arc<rustls::RootCertStore>>);

impl SystemRoots {
    /// The certificates.
    pub fn get(&self) -> Arc<rustls::RootCertStore> {
        let load = || {
            let mut store = rustls::RootCertStore::empty();
            store.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            if store.is_empty() {
                tracing::warn!(
                    "the system has no root certificates: nothing without `ca_file` can be reached"
                );
            }
            Arc::new(store)
        };
        Arc::clone(self.0.get_or_init(load))
    }
}

/// The certificates of a PEM file: they replace the system's.
pub fn roots_from(path: &Path) -> Result<rustls::RootCertStore, String> {
    let fault = |reason: String| format!("`ca_file` `{}`: {reason}", path.display());
    let mut store = rustls::RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(path).map_err(|reason| fault(reason.to_string()))? {
        let certificate = certificate.map_err(|reason| fault(reason.to_string()))?;
        store.add(certificate).map_err(|reason| fault(reason.to_string()))?;
    }
    if store.is_empty() { Err(fault("no certificate in it".to_owned())) } else { Ok(store) }
}

/// TLS for what we call. ring, named here rather than taken from the process: a library must not depend on what `main`
/// installed.
pub fn client_tls(roots: Arc<rustls::RootCertStore>) -> Result<rustls::ClientConfig, String> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|fault| format!("no TLS: {fault}"))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}
