//! Where a log's files come from: a folder, or HTTP.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use bytes::{Bytes, BytesMut};
use futures_util::future::BoxFuture;

use crate::audit::verify::{Source, SourceError};

/// No file of a log is larger: 256 entries of 65,535 bytes and their lengths.
const MOST_BYTES: usize = 256 * (65_535 + 2);
/// For one file; a bundle is small, a hanging server is not an answer.
const TIMEOUT: Duration = Duration::from_secs(30);

/// A folder or a URL.
#[derive(Debug)]
pub(in crate::cli) enum AnySource {
    Folder(PathBuf),
    Http(HttpSource),
}

/// A log behind a URL: the prefix itself, or a broker whose log is at `/log` below it.
#[derive(Debug)]
pub(in crate::cli) struct HttpSource {
    given: String,
    found: tokio::sync::OnceCell<String>,
    client: reqwest::Client,
}

impl AnySource {
    /// `https://…` (or `http://…`) is a URL, everything else a folder.
    pub(super) fn open(source: &str, ca_file: Option<&Path>) -> anyhow::Result<Self> {
        if source.starts_with("https://") || source.starts_with("http://") {
            let given = source.trim_end_matches('/').to_owned();
            let found = tokio::sync::OnceCell::new();
            return Ok(Self::Http(HttpSource { given, found, client: client(ca_file)? }));
        }
        anyhow::ensure!(ca_file.is_none(), "`--ca-file` needs a URL; `{source}` is a folder");
        anyhow::ensure!(Path::new(source).is_dir(), "`{source}` is neither a folder nor an https URL");
        Ok(Self::Folder(PathBuf::from(source)))
    }
}

impl Source for AnySource {
    fn fetch(&self, path: String) -> BoxFuture<'_, Result<Option<Bytes>, SourceError>> {
        Box::pin(async move {
            let found = match self {
                Self::Folder(folder) => read(&folder.join(&path)).await,
                Self::Http(source) => source.fetch(&path).await,
            };
            found.map_err(|why| SourceError { path, why })
        })
    }
}

impl HttpSource {
    async fn fetch(&self, path: &str) -> Result<Option<Bytes>, String> {
        let prefix = self.found.get_or_try_init(|| self.find()).await?;
        get(&self.client, &format!("{prefix}/{path}")).await
    }

    /// Where there is no checkpoint the URL may be the broker's own.
    async fn find(&self) -> Result<String, String> {
        let below = format!("{}/log", self.given);
        match get(&self.client, &format!("{}/checkpoint", self.given)).await? {
            None if get(&self.client, &format!("{below}/checkpoint")).await?.is_some() => Ok(below),
            _ => Ok(self.given.clone()),
        }
    }
}

async fn read(path: &Path) -> Result<Option<Bytes>, String> {
    match tokio::fs::read(path).await {
        Ok(bytes) => Ok(Some(bytes.into())),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error.to_string()),
    }
}

async fn get(client: &reqwest::Client, url: &str) -> Result<Option<Bytes>, String> {
    let mut response = client.get(url).send().await.map_err(|error| chain(&error))?;
    match response.status() {
        reqwest::StatusCode::NOT_FOUND => return Ok(None),
        status if !status.is_success() => return Err(format!("the server answered {status}")),
        _ => {}
    }
    let mut body = BytesMut::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| chain(&error))? {
        if body.len() + chunk.len() > MOST_BYTES {
            return Err("the answer is larger than any file of a log".to_owned());
        }
        body.extend_from_slice(&chunk);
    }
    Ok(Some(body.freeze()))
}

fn client(ca_file: Option<&Path>) -> anyhow::Result<reqwest::Client> {
    // Fails only when a provider is installed already, which is then the same one.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let builder = reqwest::Client::builder()
        // What answers must be what was named.
        .redirect(reqwest::redirect::Policy::none())
        .timeout(TIMEOUT);
    let Some(ca_file) = ca_file else { return Ok(builder.build()?) };
    let pem = std::fs::read(ca_file).with_context(|| format!("`{}` cannot be read", ca_file.display()))?;
    let certificates = reqwest::Certificate::from_pem_bundle(&pem)
        .with_context(|| format!("`{}` is not a PEM file", ca_file.display()))?;
    anyhow::ensure!(!certificates.is_empty(), "`{}` holds no certificate", ca_file.display());
    Ok(builder.tls_certs_only(certificates).build()?)
}

/// reqwest's own text ends where it becomes interesting.
fn chain(error: &reqwest::Error) -> String {
    let causes = std::iter::successors(Some(error as &dyn std::error::Error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
