//! STS's Query API as SDKs speak it: a form with `Action`, `Version` and the action's own parameters, in any order.

use super::StsError;
use crate::exchange::{ExchangeRequest, WantedGrant, WantedType};
use crate::federation::UnverifiedToken;
use crate::grants::{Lifetime, RoleArn};
use crate::http::edge::Peer;
use crate::http::form::{Form, check_encoding};
use crate::http::parameters::{whole_number, without_line_end};

const VERSION: &str = "2011-06-15";
/// STS: `Policy` is at most 2,048 characters.
const LONGEST_POLICY: usize = 2_048;

const COMMON: [&str; 2] = ["Action", "Version"];
const ASSUME: [&str; 9] = [
    "Action",
    "Version",
    "RoleArn",
    "RoleSessionName",
    "WebIdentityToken",
    "DurationSeconds",
    "Policy",
    "ProviderId",
    "PolicyArns",
];

/// What is asked of us.
#[derive(Debug)]
pub(super) enum Call {
    AssumeRoleWithWebIdentity(Box<AssumeRole>),
    GetCallerIdentity,
}

/// A request for credentials that is well-formed. Nothing about the token was checked yet.
#[derive(Debug)]
pub(super) struct AssumeRole {
    role: RoleArn,
    token: UnverifiedToken,
    lifetime: Option<Lifetime>,
    policy: Option<String>,
}

impl Call {
    pub(super) fn read(body: &[u8]) -> Result<Self, StsError> {
        check_encoding(body)?;
        let action = url::form_urlencoded::parse(body).find(|(name, _)| name == "Action");
        let (_, action) = action.filter(|(_, action)| !action.is_empty()).ok_or(StsError::MissingAction)?;
        match action.as_ref() {
            "AssumeRoleWithWebIdentity" => {
                Ok(Self::AssumeRoleWithWebIdentity(AssumeRole::read(body)?.into()))
            }
            "GetCallerIdentity" => {
                version(&mut Form::parse(body, &COMMON)?)?;
                Ok(Self::GetCallerIdentity)
            }
            _ => Err(StsError::invalid_action(&action)),
        }
    }
}

impl AssumeRole {
    fn read(body: &[u8]) -> Result<Self, StsError> {
        let mut form = Form::parse(body, &ASSUME)?;
        version(&mut form)?;
        let role = required(&mut form, "RoleArn")?;
        let role = RoleArn::new(&role).map_err(|error| StsError::Validation(error.to_string()))?;
        session_name(&required(&mut form, "RoleSessionName")?)?;
        let token = UnverifiedToken::new(without_line_end(required(&mut form, "WebIdentityToken")?));
        refuse(&mut form, "ProviderId", "it is for OAuth 2.0 access tokens; send an OIDC token without it")?;
        refuse(&mut form, "PolicyArns", "narrow with `Policy`")?;
        let lifetime = form.take("DurationSeconds").map(|text| duration(&text)).transpose()?;
        Ok(Self { role, token, lifetime, policy: policy(&mut form)? })
    }

    pub(super) fn into_exchange(self, peer: &Peer) -> ExchangeRequest {
        ExchangeRequest {
            request_id: peer.request_id,
            subject_token: self.token,
            actor_token: None,
            grant: WantedGrant::Role(self.role),
            scopes: None,
            lifetime: self.lifetime,
            wanted: WantedType::Aws,
            elevation: None,
            narrowing: self.policy,
            source_ip: peer.ip,
            client_cert: peer.client_cert.clone(),
        }
    }
}

fn version(form: &mut Form) -> Result<(), StsError> {
    match form.take("Version").as_deref() {
        Some(VERSION) => Ok(()),
        _ => Err(StsError::Validation(format!("parameter `Version` must be {VERSION}"))),
    }
}

fn required(form: &mut Form, name: &'static str) -> Result<String, StsError> {
    form.take(name).ok_or_else(|| StsError::Validation(format!("parameter `{name}` is missing")))
}

fn refuse(form: &mut Form, name: &'static str, instead: &str) -> Result<(), StsError> {
    match form.take(name) {
        None => Ok(()),
        Some(_) => Err(StsError::Validation(format!("parameter `{name}` is not supported: {instead}"))),
    }
}

/// Chosen by the SDK or by a person, so it is checked as STS does and says nothing: the session is named after whom the
/// token is about, so that CloudTrail cannot be told another name.
fn session_name(text: &str) -> Result<(), StsError> {
    let fits = |b: u8| b.is_ascii_alphanumeric() || b"_+=,.@-".contains(&b);
    if (2..=64).contains(&text.len()) && text.bytes().all(fits) {
        return Ok(());
    }
    let told = "parameter `RoleSessionName` must be 2-64 of `a-z A-Z 0-9 _ + = , . @ -`";
    Err(StsError::Validation(told.to_owned()))
}

/// STS's own range. More than the grant's cap is cut to the cap later, as SDKs have defaults of their own.
fn duration(text: &str) -> Result<Lifetime, StsError> {
    let told = || {
        StsError::Validation("parameter `DurationSeconds` must be whole seconds from 900 to 43200".to_owned())
    };
    let seconds = whole_number(text).filter(|seconds| (900..=43_200).contains(seconds)).ok_or_else(told)?;
    Lifetime::from_seconds(seconds).map_err(|_| told())
}

fn policy(form: &mut Form) -> Result<Option<String>, StsError> {
    let policy = form.take("Policy");
    let length = policy.as_ref().map_or(0, |policy| policy.chars().count());
    if length > LONGEST_POLICY {
        let told = format!("parameter `Policy` has {length} characters, at most {LONGEST_POLICY}");
        return Err(StsError::Validation(told));
    }
    Ok(policy)
}
