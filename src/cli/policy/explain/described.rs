//! A request described by arguments: the same members as the body of `POST /v1/explain`.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

use anyhow::{Context as _, bail};
use serde_json::{Map, Value, json};

use crate::clock::Moment;
use crate::ids::{ElevationId, GrantName, IssuerName, Scope, Subject};
use crate::span::{format_duration, parse_duration};

/// What is asked for, and by whom.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "The request")]
pub(super) struct DescribedArgs {
    /// The grant.
    #[arg(long, value_name = "NAME")]
    grant: Option<GrantName>,
    /// What for: issue, request, approve, activate, revoke, view, lock, audit or explain.
    #[arg(long, value_name = "ACTION", default_value = "issue")]
    action: String,
    /// The issuer's name in the configuration.
    #[arg(long, value_name = "NAME", requires = "subject")]
    issuer: Option<IssuerName>,
    /// The token's `sub`.
    #[arg(long, value_name = "SUB", requires = "issuer")]
    subject: Option<Subject>,
    /// It is a person and no workload.
    #[arg(long, requires = "subject")]
    person: bool,
    /// A group that the token names; may be given again.
    #[arg(long = "group", value_name = "GROUP", requires = "subject")]
    groups: Vec<String>,
    /// Another claim, NAME=VALUE; may be given again, for more values too.
    #[arg(long = "claim", value_name = "NAME=VALUE", requires = "subject", value_parser = pair)]
    claims: Vec<(String, String)>,
    /// What the issuer's profile gives, such as `kubernetes.namespace=orders` or `github.repository_id=42`.
    #[arg(long = "attr", value_name = "PROFILE.NAME=VALUE", requires = "subject", value_parser = pair)]
    attributes: Vec<(String, String)>,
    /// The same as `--attr kubernetes.namespace=…`.
    #[arg(long, value_name = "NAME", requires = "service_account")]
    namespace: Option<String>,
    /// The same as `--attr kubernetes.service_account=…`.
    #[arg(long, value_name = "NAME", requires = "namespace")]
    service_account: Option<String>,
    /// The lifetime of the credential; else the grant's usual one.
    #[arg(long, value_name = "DURATION", value_parser = span)]
    ttl: Option<Duration>,
    /// A scope of the credential; may be given again; else all of the grant's.
    #[arg(long = "scope", value_name = "SCOPE")]
    scopes: Vec<Scope>,
    /// How long access should last; else the grant's longest.
    #[arg(long, value_name = "DURATION", value_parser = span)]
    duration: Option<Duration>,
    /// By how many people it was approved.
    #[arg(long, value_name = "N")]
    approvals: Option<u32>,
    /// A group of somebody who approved, `ISSUER/GROUP`; may be given again.
    #[arg(long = "approver-group", value_name = "GROUP", requires = "approvals")]
    approver_groups: Vec<String>,
    /// Who asked for the elevation that is approved, revoked or viewed: `ISSUER|SUB`.
    #[arg(long, value_name = "WHO")]
    requester: Option<String>,
    /// An elevation that the broker has: the request is about it, or under it.
    #[arg(long, value_name = "ID", requires = "broker", conflicts_with_all = ["requester", "approvals"])]
    elevation: Option<ElevationId>,
    /// From where.
    #[arg(long, value_name = "ADDRESS")]
    source_ip: Option<IpAddr>,
    /// A method of the sign-in, such as `mfa`; may be given again.
    #[arg(long = "amr", value_name = "METHOD", conflicts_with = "token_file")]
    amr: Vec<String>,
    /// The class of the sign-in.
    #[arg(long, value_name = "CLASS", conflicts_with = "token_file")]
    acr: Option<String>,
    /// When they signed in.
    #[arg(long, value_name = "TIME", conflicts_with = "token_file")]
    auth_time: Option<Moment>,
    /// `x5t#S256` of their client certificate.
    #[arg(long, value_name = "THUMBPRINT")]
    client_cert: Option<String>,
    /// When it is asked, in RFC 3339; else now.
    #[arg(long, value_name = "TIME")]
    at: Option<Moment>,
}

/// Attributes that are no text.
const TRUTHS: [&str; 1] = ["ref_protected"];

impl DescribedArgs {
    /// As the API takes it.
    pub(super) fn body(&self) -> anyhow::Result<Value> {
        let grant = self.grant.as_ref().context("name the grant with --grant, or give --facts")?;
        let mut body = Map::new();
        let mut put = |name: &str, value: Option<Value>| {
            if let Some(value) = value {
                body.insert(name.to_owned(), value);
            }
        };
        put("grant", Some(json!(grant)));
        put("action", Some(json!(self.action)));
        put("principal", self.principal()?);
        put("at", self.at.map(|at| json!(at.to_string())));
        put("ttl", self.ttl.map(|ttl| json!(format_duration(ttl))));
        put("scopes", (!self.scopes.is_empty()).then(|| json!(self.scopes)));
        put("duration", self.duration.map(|span| json!(format_duration(span))));
        put(
            "approvals",
            self.approvals.map(|count| json!({ "count": count, "groups": self.approver_groups })),
        );
        put("source_ip", self.source_ip.map(|address| json!(address)));
        put("auth", self.auth());
        put("client_cert", self.client_cert.as_ref().map(|thumbprint| json!(thumbprint)));
        put("elevation", self.elevation()?);
        Ok(Value::Object(body))
    }

    /// Without a configuration nobody knows a grant's usual lifetime.
    pub(super) fn check_complete(&self) -> anyhow::Result<()> {
        let lasts = matches!(self.action.as_str(), "request" | "approve" | "activate");
        if self.action == "issue" && self.ttl.is_none() {
            bail!(
                "say how long the credential would live, with --ttl; or name the configuration with --config"
            );
        }
        if lasts && self.duration.is_none() {
            bail!("say how long access would last, with --duration; or name the configuration with --config");
        }
        Ok(())
    }

    fn principal(&self) -> anyhow::Result<Option<Value>> {
        let (Some(issuer), Some(subject)) = (&self.issuer, &self.subject) else { return Ok(None) };
        let mut who = Map::new();
        who.insert("kind".to_owned(), json!(if self.person { "person" } else { "workload" }));
        who.insert("issuer".to_owned(), json!(issuer));
        who.insert("subject".to_owned(), json!(subject));
        let groups: BTreeSet<&String> = self.groups.iter().collect();
        if !groups.is_empty() {
            who.insert("groups".to_owned(), json!(groups));
        }
        let mut tags: BTreeMap<&String, BTreeSet<&String>> = BTreeMap::new();
        for (name, value) in &self.claims {
            tags.entry(name).or_default().insert(value);
        }
        if !tags.is_empty() {
            who.insert("tags".to_owned(), json!(tags));
        }
        for (path, value) in self.attributes() {
            let Some((profile, name)) = path.split_once('.') else {
                bail!("`{path}` is no attribute: write it with its profile, such as `kubernetes.namespace`");
            };
            let record = who.entry(profile.to_owned()).or_insert_with(|| json!({}));
            let truth = TRUTHS.contains(&name).then(|| value.parse::<bool>().ok()).flatten();
            let value = truth.map_or_else(|| json!(value), |truth| json!(truth));
            record
                .as_object_mut()
                .with_context(|| format!("`{profile}` is no profile"))?
                .insert(name.to_owned(), value);
        }
        Ok(Some(Value::Object(who)))
    }

    fn attributes(&self) -> Vec<(String, String)> {
        let short = [("namespace", &self.namespace), ("service_account", &self.service_account)];
        let short = short.into_iter().filter_map(|(name, value)| {
            value.as_ref().map(|value| (format!("kubernetes.{name}"), value.clone()))
        });
        short.chain(self.attributes.iter().cloned()).collect()
    }

    fn auth(&self) -> Option<Value> {
        let told = !self.amr.is_empty() || self.acr.is_some() || self.auth_time.is_some();
        told.then(|| {
            let auth_time = self.auth_time.map(|at| at.to_string());
            json!({ "amr": self.amr, "acr": self.acr, "auth_time": auth_time })
        })
    }

    fn elevation(&self) -> anyhow::Result<Option<Value>> {
        if let Some(id) = &self.elevation {
            return Ok(Some(json!(id)));
        }
        let Some(requester) = &self.requester else { return Ok(None) };
        let Some((issuer, subject)) = requester.split_once('|') else {
            bail!("`--requester` is `ISSUER|SUB`, such as `vendor|ann`");
        };
        Ok(Some(json!({ "requester": { "kind": "person", "issuer": issuer, "subject": subject } })))
    }
}

fn span(text: &str) -> Result<Duration, String> {
    parse_duration(text).ok_or_else(|| "write a number with a unit, such as 90s, 5m or 1h".to_owned())
}

fn pair(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or_else(|| "write NAME=VALUE".to_owned())?;
    if name.is_empty() {
        return Err("the name before `=` is missing".to_owned());
    }
    Ok((name.to_owned(), value.to_owned()))
}
