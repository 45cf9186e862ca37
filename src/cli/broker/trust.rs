//! Who is trusted on the way to the broker, and what is shown there: authorities and a client certificate, from files
//! that may be replaced while we run.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use reqwest::redirect::Policy;
use reqwest::{Certificate, Client, Identity};
use url::Url;
use zeroize::Zeroizing;

use super::DEADLINE;
use crate::secret::Fingerprint;

/// Where they are.
#[derive(Clone, Debug, Default)]
pub(in crate::cli) struct TrustFiles {
    /// Instead of the system's authorities.
    pub(in crate::cli) authorities: Option<PathBuf>,
    /// Certificate chain and private key.
    pub(in crate::cli) identity: Option<(PathBuf, PathBuf)>,
}

/// What they hold.
pub(in crate::cli) struct Trust {
    authorities: Option<Vec<u8>>,
    identity: Option<Zeroizing<Vec<u8>>>,
}

impl TrustFiles {
    /// Reads the files as they are now.
    pub(in crate::cli) fn read(&self) -> anyhow::Result<Trust> {
        let authorities = self.authorities.as_deref().map(|path| read(path, "--ca-file")).transpose()?;
        let identity = match &self.identity {
            None => None,
            Some((certificate, key)) => Some(pair(certificate, key)?),
        };
        Ok(Trust { authorities, identity })
    }
}

impl Trust {
    /// The system's authorities, and nothing to show.
    pub(in crate::cli) const fn system() -> Self {
        Self { authorities: None, identity: None }
    }

    /// Equal for equal contents.
    pub(super) fn fingerprint(&self) -> Fingerprint {
        let of = |part: Option<&[u8]>| Fingerprint::of(part.unwrap_or_default());
        let [authorities, identity] =
            [of(self.authorities.as_deref()), of(self.identity.as_ref().map(|pem| &pem[..]))];
        Fingerprint::of_fields(&[authorities.as_bytes(), identity.as_bytes()])
    }

    /// A client that follows no redirect, takes its proxy from nobody on loopback, and gives up in time.
    pub(in crate::cli) fn client(&self, url: &Url) -> anyhow::Result<Client> {
        // Nothing happens when the program chose one already, which is the same one.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let plain = url.scheme() == "http";
        let mut builder = Client::builder().redirect(Policy::none()).timeout(DEADLINE).https_only(!plain);
        if plain {
            builder = builder.no_proxy();
        }
        if let Some(pem) = &self.authorities {
            builder = builder.tls_certs_only(certificates(pem)?);
        } else if plain {
            // Nobody is asked for a certificate: parsing the system's 150 authorities would be most of a start.
            builder = builder.tls_certs_only([]);
        }
        if let Some(pem) = &self.identity {
            let identity = Identity::from_pem(pem).ok();
            builder = builder.identity(identity.context(
                "--client-cert-file and --client-key-file: they hold no certificate with its key in PEM",
            )?);
        }
        builder.build().context("no HTTPS client can be made of these files")
    }
}

fn certificates(pem: &[u8]) -> anyhow::Result<Vec<Certificate>> {
    let list = Certificate::from_pem_bundle(pem).ok().filter(|list| !list.is_empty());
    list.context("--ca-file: it holds no PEM certificate")
}

/// Both in one text. One file may hold both.
fn pair(certificate: &Path, key: &Path) -> anyhow::Result<Zeroizing<Vec<u8>>> {
    let mut pem = Zeroizing::new(read(certificate, "--client-cert-file")?);
    if certificate != key {
        let key = Zeroizing::new(read(key, "--client-key-file")?);
        pem.push(b'\n');
        pem.extend_from_slice(&key);
    }
    Ok(pem)
}

fn read(path: &Path, flag: &str) -> anyhow::Result<Vec<u8>> {
    std::fs::read(path).with_context(|| format!("{flag}: `{}` cannot be read", path.display()))
}
