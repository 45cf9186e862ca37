//! `[aws]`: how roles are assumed, and whether their sessions are ended early.

use std::num::NonZeroU32;
use std::path::PathBuf;

use url::Url;

use super::faults::quoted;
use super::net::web_url;
use super::reader::Section;
use super::secret_source::readable_file;

/// Far below what AWS gives an account by default, because the account has other callers; a busy broker needs less.
const USUAL_STS_RATE: u32 = 100;
/// More than AWS gives anybody.
pub(super) const MOST_STS_RATE: u32 = 100_000;

/// `[aws]`
#[derive(Clone, Debug)]
pub struct AwsSettings {
    /// Signs requests and picks the STS endpoint.
    pub region: String,
    /// Instead of the region's own.
    pub sts_endpoint: Option<Url>,
    /// Instead of the partition's own.
    pub iam_endpoint: Option<Url>,
    /// Trusted for the endpoints instead of the system's authorities.
    pub ca_file: Option<PathBuf>,
    /// `ExternalId` of every `AssumeRole`.
    pub external_id: Option<String>,
    /// How many calls to STS all grants together may take in a second; `None` is no limit.
    pub sts_rate: Option<NonZeroU32>,
    /// Are sessions that an elevation got ended in IAM when it ends early?
    pub end_sessions: bool,
}

pub(super) fn read(section: &Section<'_>) -> Option<AwsSettings> {
    let mode = section.one_of("mode", &[("assume_role", true), ("web_identity", false)]);
    if mode.is_some_and(|supported| !supported.value) {
        section.fault("mode", "`web_identity` is not supported yet", "use mode = \"assume_role\"");
    }
    let region = section.require("region", region(section), "such as region = \"eu-central-1\"");
    let sts_endpoint = section.parsed("sts_endpoint", web_url);
    let iam_endpoint = section.parsed("iam_endpoint", web_url);
    let end_sessions = section.flag("end_sessions").unwrap_or(false);
    if section.has("iam_endpoint") && !end_sessions {
        let help = "end_sessions = true, or leave it out";
        section.fault("iam_endpoint", "IAM is called only with end_sessions = true", help);
    }
    let ca_file = readable_file(section, "ca_file");
    let external_id = section.parsed("external_id", |text| {
        let fits = (2..=1_224).contains(&text.len())
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"_+=,.@:/-".contains(&b));
        let refusal = || {
            (format!("{} is no external id", quoted(text)), "2-1224 of letters, digits and _+=,.@:/-".into())
        };
        if fits { Ok(text.to_owned()) } else { Err(refusal()) }
    });
    let sts_rate = section.number("sts_rate", 0, MOST_STS_RATE).unwrap_or(USUAL_STS_RATE);
    Some(AwsSettings {
        region: region?,
        sts_endpoint: sts_endpoint.map(|at| at.value),
        iam_endpoint: iam_endpoint.map(|at| at.value),
        ca_file: ca_file.map(|at| at.value),
        external_id: external_id.map(|at| at.value),
        sts_rate: NonZeroU32::new(sts_rate),
        end_sessions,
    })
}

fn region(section: &Section<'_>) -> Option<String> {
    let region = section.parsed("region", |text| {
        // It becomes part of a host name: sts.<region>.amazonaws.com.
        let fits = (1..=32).contains(&text.len())
            && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        let refusal = || (format!("{} is no AWS region", quoted(text)), "such as \"eu-central-1\"".into());
        if fits { Ok(text.to_owned()) } else { Err(refusal()) }
    })?;
    Some(region.value)
}
