//! Where this workload's own token is: a file, standard input, or GitHub Actions.

use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use serde::Deserialize;
use url::Url;

use super::broker::{Trust, read_body};
use crate::secret::SecretText;

/// The broker takes tokens up to 16 KiB; whatever is longer is another file.
const LONGEST_TOKEN: u64 = 64 * 1_024;

/// A place that hands out the workload's token.
#[derive(Debug)]
pub(super) enum SubjectSource {
    /// `-`
    StandardInput,
    /// Kubernetes, SPIFFE helpers, `AWS_WEB_IDENTITY_TOKEN_FILE`, …
    File(PathBuf),
    /// A job of GitHub Actions with `permissions: id-token: write`.
    GithubActions {
        /// Answers with a token.
        url: Url,
        /// Allows to ask.
        bearer: SecretText,
    },
}

impl SubjectSource {
    /// What the caller named, else what the surroundings offer.
    pub(super) fn find(named: Option<&Path>) -> anyhow::Result<Self> {
        match named {
            Some(path) if path == Path::new("-") => return Ok(Self::StandardInput),
            Some(path) => return Ok(Self::File(path.to_owned())),
            None => {}
        }
        if let Some(path) = environment("AWS_WEB_IDENTITY_TOKEN_FILE") {
            return Ok(Self::File(path.into()));
        }
        let request =
            environment("ACTIONS_ID_TOKEN_REQUEST_URL").zip(environment("ACTIONS_ID_TOKEN_REQUEST_TOKEN"));
        let Some((url, bearer)) = request else {
            bail!(
                "no subject token: name its file with --subject-token-file (`-` is standard input) or in \
                 TIDEGATE_SUBJECT_TOKEN_FILE; in GitHub Actions, give the job `permissions: id-token: write`"
            );
        };
        let url = url.parse().context("ACTIONS_ID_TOKEN_REQUEST_URL is no URL")?;
        Ok(Self::GithubActions { url, bearer: SecretText::new(bearer) })
    }

    /// The token, as it is now: files are read afresh because their owner renews them.
    pub(super) async fn read(&self, audience: &str) -> anyhow::Result<SecretText> {
        match self {
            Self::StandardInput => token(std::io::stdin().lock()).context("standard input"),
            Self::File(path) => {
                let place = || format!("the subject token file `{}`", path.display());
                token(std::fs::File::open(path).with_context(place)?).with_context(place)
            }
            Self::GithubActions { url, bearer } => from_github(url, bearer, audience).await,
        }
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "command line: what the surroundings set for any tool, not our settings"
)]
fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// A token and perhaps a line end.
fn token(source: impl Read) -> anyhow::Result<SecretText> {
    let mut text = String::new();
    let read = source.take(LONGEST_TOKEN + 1).read_to_string(&mut text)?;
    let text = SecretText::new(text);
    if u64::try_from(read).is_ok_and(|read| read > LONGEST_TOKEN) {
        bail!("longer than a token can be");
    }
    let token = text.expose().trim_end_matches(['\n', '\r']);
    if token.is_empty() || token.contains(|c: char| c.is_whitespace() || c.is_control()) {
        bail!("empty, or no single token");
    }
    Ok(SecretText::new(token.to_owned()))
}

#[derive(Deserialize)]
struct GithubAnswer {
    value: String,
}

async fn from_github(url: &Url, bearer: &SecretText, audience: &str) -> anyhow::Result<SecretText> {
    let mut url = url.clone();
    url.query_pairs_mut().append_pair("audience", audience);
    let request = Trust::system().client(&url)?.get(url).bearer_auth(bearer.expose());
    let response =
        request.send().await.map_err(reqwest::Error::without_url).context("GitHub Actions gave no token")?;
    let status = response.status();
    if !status.is_success() {
        bail!("GitHub Actions gave no token: HTTP {}", status.as_u16());
    }
    let answer: GithubAnswer =
        serde_json::from_slice(&read_body(response).await?).ok().context("GitHub Actions gave no token")?;
    Ok(SecretText::new(answer.value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_end_is_cut_off_and_nothing_else_is_forgiven() {
        for text in ["a.b.c", "a.b.c\n", "a.b.c\r\n"] {
            assert_eq!(token(text.as_bytes()).unwrap().expose(), "a.b.c");
        }
        for bad in ["", "\n", "a b", "a\nb", "a\u{0}b"] {
            assert!(token(bad.as_bytes()).is_err(), "{bad:?}");
        }
        assert!(token("x".repeat(70_000).as_bytes()).is_err());
    }

    #[test]
    fn a_dash_is_standard_input_and_a_name_is_a_file() {
        assert!(matches!(SubjectSource::find(Some(Path::new("-"))).unwrap(), SubjectSource::StandardInput));
        let source = SubjectSource::find(Some(Path::new("/var/run/token"))).unwrap();
        assert!(matches!(source, SubjectSource::File(path) if path == Path::new("/var/run/token")));
    }

    #[tokio::test]
    async fn a_missing_file_is_named() {
        let error = SubjectSource::File("/nowhere/token".into()).read("tidegate").await.unwrap_err();
        assert_eq!(error.to_string(), "the subject token file `/nowhere/token`");
    }
}
