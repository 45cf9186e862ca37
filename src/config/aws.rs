//! `[aws]`: how roles are assumed, and whether their sessions are ended early.

use std::num::NonZeroU32;
use std::path::PathBuf;

use url::Url;

use super::broker::KeySettings;
use super::net::{is_loopback, is_private, web_url};
use super::secret_source::readable_file;
use super::server::ServerSettings;
use super::sts;
use crate::document::Section;
use crate::document::quoted;
use crate::grants::StsRoute;
use crate::ids::Audience;
use crate::keys::SigningAlgorithm;

/// What AWS's own clients ask their identity providers for.
const USUAL_AUDIENCE: &str = "sts.amazonaws.com";
/// IAM `CreateOpenIDConnectProvider`: the longest client id.
const LONGEST_AUDIENCE: usize = 255;

/// Far below what AWS gives an account by default, because the account has other callers; a busy broker needs less.
const USUAL_STS_RATE: u32 = 100;
/// More than AWS gives anybody.
pub(super) const MOST_STS_RATE: u32 = 100_000;

/// `[aws]`
#[derive(Clone, Debug)]
pub struct AwsSettings {
    /// How roles are assumed.
    pub mode: AwsMode,
    /// Which STS is asked for grants that do not say otherwise.
    pub sts: StsRoute,
    /// `ExternalId` of every `AssumeRole` for grants that do not say otherwise.
    pub external_id: Option<String>,
    /// Is the broker's own identity an assumed role?
    pub chained: bool,
    /// Instead of the partition's own.
    pub iam_endpoint: Option<Url>,
    /// Trusted for the endpoints instead of the system's authorities.
    pub ca_file: Option<PathBuf>,
    /// How many calls to STS all grants together may take in a second; `None` is no limit.
    pub sts_rate: Option<NonZeroU32>,
    /// Are sessions that an elevation got ended in IAM when it ends early?
    pub end_sessions: bool,
}

/// How roles are assumed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AwsMode {
    /// With the broker's own AWS identity.
    AssumeRole,
    /// With tokens that the broker signs.
    WebIdentity {
        /// The client id under which IAM knows the broker.
        audience: Audience,
    },
}

pub(super) fn read(section: &Section<'_>) -> Option<AwsSettings> {
    let keyless = section.one_of("mode", &[("assume_role", false), ("web_identity", true)]);
    let keyless = keyless.is_some_and(|keyless| keyless.value);
    let audience = audience(section);
    let region = section.require("region", sts::region(section), "such as region = \"eu-central-1\"");
    let endpoint = sts::endpoint(section);
    let iam_endpoint = section.parsed("iam_endpoint", web_url);
    let end_sessions = section.flag("end_sessions").unwrap_or(false);
    if section.has("iam_endpoint") && !end_sessions {
        let help = "end_sessions = true, or leave it out";
        section.fault("iam_endpoint", "IAM is called only with end_sessions = true", help);
    }
    let ca_file = readable_file(section, "ca_file");
    let external_id = sts::external_id(section);
    let chained = section.flag("chained").unwrap_or(false);
    if keyless {
        refuse_what_needs_an_identity(section, chained, end_sessions);
    } else if section.has("web_identity_audience") {
        let help = "leave it out, or mode = \"web_identity\"";
        section.fault("web_identity_audience", "is only for mode = \"web_identity\"", help);
    }
    let mode = if keyless { AwsMode::WebIdentity { audience: audience? } } else { AwsMode::AssumeRole };
    let sts_rate = section.number("sts_rate", 0, MOST_STS_RATE).unwrap_or(USUAL_STS_RATE);
    Some(AwsSettings {
        mode,
        sts: StsRoute { region: region?, endpoint: endpoint.map(String::from) },
        external_id,
        chained,
        iam_endpoint: iam_endpoint.map(|at| at.value),
        ca_file: ca_file.map(|at| at.value),
        sts_rate: NonZeroU32::new(sts_rate),
        end_sessions,
    })
}

fn audience(section: &Section<'_>) -> Option<Audience> {
    if !section.has("web_identity_audience") {
        return Audience::new(USUAL_AUDIENCE).ok();
    }
    let read = section.parsed("web_identity_audience", |text| {
        let help = || format!("such as \"{USUAL_AUDIENCE}\"");
        if text.len() > LONGEST_AUDIENCE {
            return Err((
                format!("longer than {LONGEST_AUDIENCE} characters, which IAM does not take"),
                help(),
            ));
        }
        Audience::new(text).map_err(|error| (error.to_string(), help()))
    })?;
    Some(read.value)
}

/// With `web_identity` the broker has no AWS identity, and nothing looks for one.
fn refuse_what_needs_an_identity(section: &Section<'_>, chained: bool, end_sessions: bool) {
    sts::refuse_external_id(section);
    if chained {
        let help = "leave it out: a session from a token is not chained, whatever the broker runs on";
        section.fault("chained", "there is no AWS identity with mode = \"web_identity\"", help);
    }
    if end_sessions {
        let help = "leave it out (sessions still end with their window), or mode = \"assume_role\"";
        let message =
            "IAM is changed with an AWS identity, and with mode = \"web_identity\" the broker has none";
        section.fault("end_sessions", message, help);
    }
}

/// What AWS must be able to do with our tokens: know their algorithm, and fetch our keys.
pub(super) fn check_web_identity(
    aws: Option<&AwsSettings>,
    server: Option<(&Section<'_>, &ServerSettings)>,
    keys: Option<(&Section<'_>, &KeySettings)>,
) {
    let Some(aws) = aws.filter(|aws| matches!(aws.mode, AwsMode::WebIdentity { .. })) else { return };
    if let Some((section, keys)) = keys
        && keys.algorithm == SigningAlgorithm::EdDsa
    {
        let message = "AWS IAM does not take EdDSA, and aws.mode = \"web_identity\" shows it our tokens";
        section.fault("algorithm", message, "use ES256 or RS256");
    }
    if let Some((section, server)) = server
        && !is_for_a_stand_in(aws)
        && let Some(why) = unknown_to_iam(&server.issuer_url)
    {
        let message = format!("{} {why}: AWS fetches our keys from there", quoted(server.issuer.as_str()));
        let help =
            "aws.mode = \"web_identity\" needs an issuer on https, without a port, that the internet reaches";
        section.fault("issuer", message, help);
    }
}

/// AWS itself is on no loopback address.
fn is_for_a_stand_in(aws: &AwsSettings) -> bool {
    let endpoint = aws.sts.endpoint.as_deref().and_then(|text| Url::parse(text).ok());
    endpoint.is_some_and(|url| is_loopback(&url))
}

/// IAM `CreateOpenIDConnectProvider`: the URL begins with `https://` and has no port.
fn unknown_to_iam(issuer: &Url) -> Option<&'static str> {
    if is_private(issuer) {
        Some("is not on the internet")
    } else if issuer.scheme() != "https" {
        Some("is not https")
    } else if issuer.port().is_some() {
        Some("has a port")
    } else {
        None
    }
}

/// A token that was made for AWS is no subject token, whoever got hold of it.
pub(super) fn check_self_trust<'a>(
    section: &Section<'_>,
    audiences: impl IntoIterator<Item = &'a Audience>,
    aws: Option<&AwsSettings>,
) {
    let own_for_aws = |audience: &&Audience| match aws.map(|aws| &aws.mode) {
        Some(AwsMode::WebIdentity { audience: own }) => own == *audience,
        Some(AwsMode::AssumeRole) | None => false,
    };
    if let Some(audience) = audiences.into_iter().find(own_for_aws) {
        let message = format!(
            "{} is `aws.web_identity_audience`, and this is ourselves: tokens that are made for AWS would be accepted here",
            quoted(audience.as_str())
        );
        section.fault("audiences", message, "leave it out");
    }
}

/// Would AWS take a JWT for this audience for one of the tokens that assume roles? Then whoever gets it could assume roles
/// by themselves: without our session policy, without our end, without a record.
pub(super) fn is_for_sts(audience: &Audience, aws: Option<&AwsSettings>) -> bool {
    let text = audience.as_str().to_ascii_lowercase();
    let host = text.strip_prefix("https://").unwrap_or(&text);
    let own = match aws.map(|aws| &aws.mode) {
        Some(AwsMode::WebIdentity { audience }) => audience.as_str().eq_ignore_ascii_case(&text),
        Some(AwsMode::AssumeRole) | None => false,
    };
    own || (host.starts_with("sts.") && host.contains(".amazonaws."))
}
