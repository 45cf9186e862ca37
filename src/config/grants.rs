//! `[[grants]]`: what can be issued, for how long, and how narrow.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use super::aws::{AwsSettings, MOST_STS_RATE, is_for_sts};
use super::secret_source::readable_file;
use super::{shape, sts};
use crate::document::quoted;
use crate::document::{At, Section};
use crate::grants::{
    AwsGrant, BreakGlass, Catalog, Grant, GrantKind, JwtGrant, Lifetime, LifetimeCaps, PolicyTemplate,
    Position, RoleArn, Template,
};
use crate::ids::{Audience, GrantName, Scope};
use crate::span::format_duration;

/// A JWT cannot be called back: a day is the most that may go wrong.
const LONGEST_JWT: Duration = Duration::from_hours(24);
/// STS gives no session longer than 43 200 s.
const LONGEST_AWS: Duration = Duration::from_hours(12);
/// Nor longer than this to an identity that is itself an assumed role.
const LONGEST_CHAINED: Duration = Duration::from_hours(1);
/// As long as a lifetime can be.
const LONGEST_ELEVATION: Duration = Duration::from_hours(7 * 24);
const USUAL_MAX: Duration = Duration::from_hours(1);
const USUAL_DEFAULT: Duration = Duration::from_mins(10);
/// STS: `Policy` is at most 2 048 characters before it is packed.
const LONGEST_SESSION_POLICY: usize = 2_048;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Jwt,
    Aws,
}

/// Tags that the broker sets on sessions under an elevation. A policy of AWS may trust them: nobody else writes them.
const OWN_TAGS: [&str; 2] = ["tidegate:elevation", "tidegate:approvals"];
/// AWS's limit is 50 for a session.
const MOST_TAGS_BESIDE_OURS: usize = 50 - OWN_TAGS.len();

/// Keys that only one kind knows.
const JWT_KEYS: &[&str] = &["audience", "scopes"];
const AWS_KEYS: &[&str] = &[
    "role_arn",
    "sts_role_arn_alias",
    "region",
    "sts_endpoint",
    "external_id",
    "session_policy_file",
    "policy_arns",
    "session_tags",
    "transitive_tags",
    "allow_assume_role",
    "sts_rate",
];

/// What grants must know of `[aws]`.
#[derive(Clone, Copy)]
struct Around<'a> {
    has_aws: bool,
    /// `None` also when something is wrong with it.
    aws: Option<&'a AwsSettings>,
}

/// The catalog, and the texts of the session policies (they belong to the configuration's digest).
pub(super) fn read(top: &Section<'_>, aws: Option<&AwsSettings>) -> (Option<Catalog>, Vec<String>) {
    let sections = top.sections("grants", &shape::GRANTS);
    let mut policies = Vec::new();
    let around = Around { has_aws: top.has("aws"), aws };
    let read: Vec<_> = sections.iter().map(|section| read_grant(section, around, &mut policies)).collect();
    check_names(&sections);
    check_roles(&sections);
    let catalog = read.into_iter().collect::<Option<Vec<_>>>().and_then(|grants| Catalog::new(grants).ok());
    (catalog, policies)
}

fn check_names(sections: &[Section<'_>]) {
    let mut names = BTreeSet::new();
    for section in sections {
        if let Some(name) = section.quiet_text("name")
            && !names.insert(name)
        {
            section.fault("name", format!("two grants are called {}", quoted(name)), "give one another name");
        }
    }
}

/// Whoever asks STS for a role names no grant: one ARN must mean one grant.
fn check_roles(sections: &[Section<'_>]) {
    let mut seen = BTreeMap::new();
    for section in sections.iter().filter(|section| section.quiet_text("kind") == Some("aws")) {
        let key = if section.has("sts_role_arn_alias") { "sts_role_arn_alias" } else { "role_arn" };
        let Some(arn) = section.quiet_text(key) else { continue };
        let name = section.quiet_text("name").unwrap_or("?");
        // A grant that was copied as a whole is told about its name.
        let Some(other) = seen.insert(arn, name).filter(|other| *other != name) else { continue };
        let message = format!("{} is what grant {} answers to at the STS door", quoted(arn), quoted(other));
        let account = RoleArn::new(arn).map_or("123456789012".to_owned(), |role| role.account().to_owned());
        let help = format!("give one of the two sts_role_arn_alias = \"arn:aws:iam::{account}:role/{name}\"");
        section.fault(key, message, help);
    }
}

fn read_grant(section: &Section<'_>, around: Around<'_>, policies: &mut Vec<String>) -> Option<Grant> {
    let name = section.parsed("name", |text| {
        GrantName::new(text).map_err(|error| (error.to_string(), "such as \"orders-read\"".to_owned()))
    });
    let name = section.require("name", name, "such as name = \"orders-read\"");
    let kind = section.one_of("kind", &[("jwt", Kind::Jwt), ("aws", Kind::Aws)]).map(|at| at.value);
    let kind = section.require("kind", kind, "kind = \"jwt\" or kind = \"aws\"");
    let caps = read_caps(section, kind, around.aws.is_some_and(|aws| aws.chained));
    let break_glass = read_break_glass(section);
    let (labels, sets) = (read_words(section, "labels"), read_words(section, "sets"));
    let made = kind.and_then(|kind| read_kind(section, kind, around, policies));
    Some(Grant::new(name?.value, made?, caps?, break_glass?, labels?, sets?))
}

fn read_kind(
    section: &Section<'_>,
    kind: Kind,
    around: Around<'_>,
    policies: &mut Vec<String>,
) -> Option<GrantKind> {
    let (word, foreign) = if kind == Kind::Jwt { ("aws", AWS_KEYS) } else { ("jwt", JWT_KEYS) };
    for key in foreign.iter().filter(|key| section.has(key)) {
        section.fault(
            key,
            format!("`{key}` is for grants of kind `{word}`"),
            "leave it out or change the kind",
        );
    }
    match kind {
        Kind::Jwt => read_jwt(section, around.aws).map(GrantKind::Jwt),
        Kind::Aws => {
            if !around.has_aws {
                section.fault(
                    "kind",
                    "a grant of kind `aws` needs [aws]",
                    "write [aws] with region = \"eu-central-1\"",
                );
            }
            read_aws(section, around.aws, policies).map(|grant| GrantKind::Aws(Arc::new(grant)))
        }
    }
}

fn read_caps(section: &Section<'_>, kind: Option<Kind>, chained: bool) -> Option<LifetimeCaps> {
    let (default, max) = (section.duration("default_ttl"), section.duration("max_ttl"));
    if (section.has("default_ttl") && default.is_none()) || (section.has("max_ttl") && max.is_none()) {
        return None;
    }
    let longest = match kind? {
        Kind::Jwt => (LONGEST_JWT, "a JWT cannot be called back"),
        Kind::Aws if chained => {
            (LONGEST_CHAINED, "with aws.chained the broker is an assumed role, to which STS gives no more")
        }
        Kind::Aws => (LONGEST_AWS, "STS makes no longer sessions"),
    };
    let span = |at: &At<Duration>| at.value;
    // A default above the usual cap raises the cap with it; it does not make the author write both.
    let max_span = max.as_ref().map_or_else(|| USUAL_MAX.max(default.as_ref().map_or(USUAL_MAX, span)), span);
    let default_span = default.as_ref().map_or(USUAL_DEFAULT.min(max_span), span);
    if max_span > longest.0 {
        let key = if max.is_some() { "max_ttl" } else { "default_ttl" };
        let message = format!(
            "{} is longer than {}: {}",
            format_duration(max_span),
            format_duration(longest.0),
            longest.1
        );
        section.fault(key, message, format!("at most \"{}\"", format_duration(longest.0)));
        return None;
    }
    if default_span > max_span {
        let message = format!(
            "{} is longer than `max_ttl` ({})",
            format_duration(default_span),
            format_duration(max_span)
        );
        section.fault("default_ttl", message, "lower it, or raise `max_ttl`");
        return None;
    }
    LifetimeCaps::new(lifetime(default_span)?, lifetime(max_span)?).ok()
}

fn lifetime(span: Duration) -> Option<Lifetime> {
    Lifetime::from_seconds(i64::try_from(span.as_secs()).ok()?).ok()
}

/// `Some(None)`: read, and the grant needs no elevation.
#[expect(clippy::option_option, reason = "the outer one says whether it could be read")]
fn read_break_glass(section: &Section<'_>) -> Option<Option<BreakGlass>> {
    let wanted = section.flag("break_glass");
    let max_duration = section.duration("max_duration");
    match (wanted, section.has("max_duration")) {
        (Some(true), false) => {
            let help = "say how long access may last at most, such as max_duration = \"4h\"";
            section.fault("max_duration", "missing: `break_glass` needs it", help);
            None
        }
        (Some(true), true) => {
            let at = max_duration?;
            if at.value > LONGEST_ELEVATION {
                section.fault_at(
                    &at.place,
                    format!("{} is longer than 7d", format_duration(at.value)),
                    "at most \"7d\"",
                );
                return None;
            }
            Some(Some(BreakGlass { max_duration: at.value }))
        }
        (_, true) => {
            section.fault("max_duration", "is only for grants with break_glass = true", "leave it out");
            None
        }
        // A `break_glass` of the wrong type must not become a grant without one.
        (None, false) if section.has("break_glass") => None,
        _ => Some(None),
    }
}

/// Words that policy compares: no two spellings that look alike.
fn read_words(section: &Section<'_>, key: &str) -> Option<BTreeSet<String>> {
    let Some(texts) = section.texts(key) else { return (!section.has(key)).then(BTreeSet::new) };
    let word = |text: &str| {
        let fits = (1..=64).contains(&text.len())
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.:/=".contains(&b));
        let refusal =
            || (format!("{} is no label", quoted(text)), "1-64 of a-z A-Z 0-9 - _ . : / =".to_owned());
        if fits { Ok(text.to_owned()) } else { Err(refusal()) }
    };
    let read: Vec<_> =
        texts.into_iter().map(|text| section.parse_at(text, word).map(|at| at.value)).collect();
    read.into_iter().collect()
}

fn read_jwt(section: &Section<'_>, aws: Option<&AwsSettings>) -> Option<JwtGrant> {
    let audience = section.parsed("audience", |text| {
        Audience::new(text)
            .map_err(|error| (error.to_string(), "such as \"https://ledger.internal\"".to_owned()))
    });
    let audience = section.require("audience", audience, "who will accept the JWT: audience = \"https://…\"");
    if let Some(at) = audience.as_ref().filter(|at| is_for_sts(&at.value, aws)) {
        let message = format!(
            "{} is AWS's STS: whoever gets such a JWT could assume roles that trust us by themselves, without session policy, \
             end and record",
            quoted(at.value.as_str())
        );
        section.fault_at(&at.place, message, "use a grant of kind = \"aws\"");
    }
    let scope = |text: &str| Scope::new(text).map_err(|error| (error.to_string(), String::new()));
    let texts = section.texts("scopes").unwrap_or_default();
    let scopes: Vec<_> =
        texts.into_iter().map(|text| section.parse_at(text, scope).map(|at| at.value)).collect();
    Some(JwtGrant { audience: audience?.value, scopes: scopes.into_iter().collect::<Option<_>>()? })
}

fn read_aws(
    section: &Section<'_>,
    aws: Option<&AwsSettings>,
    policies: &mut Vec<String>,
) -> Option<AwsGrant> {
    let role = read_role(section, "role_arn");
    let alias = read_role(section, "sts_role_arn_alias");
    if section.has("sts_role_arn_alias") && alias.is_none() {
        return None;
    }
    let role = section.require(
        "role_arn",
        role,
        "such as role_arn = \"arn:aws:iam::123456789012:role/orders-read\"",
    );
    let session_policy = read_session_policy(section, policies);
    if section.opens_files() && section.has("session_policy_file") && session_policy.is_none() {
        return None;
    }
    let tags = read_tags(section);
    let transitive = section.texts("transitive_tags").unwrap_or_default();
    let transitive = transitive.into_iter().map(|at| at.value.to_owned()).collect();
    if let Some(tags) = &tags
        && section.flag("break_glass") == Some(true)
        && tags.len() > MOST_TAGS_BESIDE_OURS
    {
        let message = format!(
            "has {} tags: the broker adds two to a break-glass session, and AWS takes 50",
            tags.len()
        );
        section.fault("session_tags", message, "leave some out");
    }
    let role = role?.value;
    let sts = sts::read(section, &role, aws);
    let mut grant = AwsGrant::new(role, session_policy);
    let sts::GrantSts { route, external_id, policy_arns } = sts?;
    (grant.sts, grant.external_id, grant.policy_arns) = (route, external_id, policy_arns);
    grant.sts_role_arn_alias = alias.map(|at| at.value);
    grant.allow_assume_role = section.flag("allow_assume_role").unwrap_or(false);
    grant.sts_rate = section.number("sts_rate", 1, MOST_STS_RATE).and_then(NonZeroU32::new);
    grant
        .with_tags(tags?, transitive)
        .map_err(|error| section.fault("session_tags", error.to_string(), ""))
        .ok()
}

fn read_role(section: &Section<'_>, key: &str) -> Option<At<RoleArn>> {
    section.parsed(key, |text| {
        let help = "such as \"arn:aws:iam::123456789012:role/orders-read\"";
        RoleArn::new(text).map_err(|error| (error.to_string(), help.to_owned()))
    })
}

fn read_session_policy(section: &Section<'_>, policies: &mut Vec<String>) -> Option<PolicyTemplate> {
    let file = readable_file(section, "session_policy_file").filter(|_| section.opens_files())?;
    let refuse = |message: String, help: &str| {
        section.fault_at(&file.place, format!("`{}`: {message}", file.value.display()), help);
        None
    };
    let text = match std::fs::read_to_string(&file.value) {
        Ok(text) => text,
        Err(error) => return refuse(format!("cannot be read: {error}"), ""),
    };
    let template = match PolicyTemplate::parse(&text) {
        Ok(template) => template,
        Err(error) => {
            return refuse(
                error.to_string(),
                "an IAM policy with Version and Statement, holes as {principal.…}",
            );
        }
    };
    let compact =
        serde_json::from_str::<serde_json::Value>(&text).map_or(0, |json| json.to_string().chars().count());
    if compact > LONGEST_SESSION_POLICY {
        return refuse(
            format!("{compact} characters without white space"),
            "STS takes at most 2048 characters",
        );
    }
    policies.push(text);
    Some(template)
}

fn read_tags(section: &Section<'_>) -> Option<Vec<(String, Template)>> {
    let mut faulty = false;
    let mut tags = Vec::new();
    for (key, value) in section.text_pairs("session_tags") {
        // AWS compares keys of session tags without regard to case.
        if OWN_TAGS.iter().any(|own| own.eq_ignore_ascii_case(key)) {
            let message = format!("`{key}` is the broker's own tag for elevations");
            section.fault_at(&value.place, message, "give it another name");
            faulty = true;
        }
        let parse = |text: &str| {
            let help = "such as \"{principal.namespace}\" or plain text";
            Template::parse(text, Position::TagValue).map_err(|error| (error.to_string(), help.to_owned()))
        };
        match section.parse_at(value, parse) {
            Some(at) => tags.push((key.to_owned(), at.value)),
            None => faulty = true,
        }
    }
    (!faulty).then_some(tags)
}
