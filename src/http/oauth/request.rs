//! The form of a token request, parsed once: strings become types here.

use std::collections::BTreeSet;

use super::OauthError;
use crate::exchange::{ExchangeRequest, WantedType};
use crate::federation::UnverifiedToken;
use crate::grants::Lifetime;
use crate::http::edge::Peer;
use crate::http::form::Form;
use crate::http::parameters::{self, ELEVATION, EXPIRES_IN, without_line_end};
use crate::ids::{ElevationId, GrantName, Scope};

/// Every parameter that the endpoint knows. `client_id` is accepted because OAuth libraries send it; it decides
/// nothing: the caller is who the subject token says.
pub(super) const KNOWN: [&str; 12] = [
    "grant_type",
    "subject_token",
    "subject_token_type",
    "actor_token",
    "actor_token_type",
    "assertion",
    "audience",
    "scope",
    "requested_token_type",
    EXPIRES_IN,
    ELEVATION,
    "client_id",
];

const JWT_TYPES: [&str; 3] = [
    "urn:ietf:params:oauth:token-type:jwt",
    "urn:ietf:params:oauth:token-type:id_token",
    "urn:ietf:params:oauth:token-type:access_token",
];

pub(super) const AWS_TYPE: &str = "urn:tidegate:params:oauth:token-type:aws-credentials";

/// Which of the two grant types was used: it decides one error code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum GrantType {
    /// RFC 8693
    TokenExchange,
    /// RFC 7523
    JwtBearer,
}

/// A request that is well-formed. Nothing about the token was checked yet.
#[derive(Debug)]
pub(super) struct TokenRequest {
    pub(super) grant_type: GrantType,
    pub(super) exchange: ExchangeRequest,
}

impl TokenRequest {
    pub(super) fn from_form(mut form: Form, peer: &Peer) -> Result<Self, OauthError> {
        let grant_type = grant_type(&mut form)?;
        let subject_token = subject_token(&mut form, grant_type)?;
        let exchange = ExchangeRequest {
            request_id: peer.request_id,
            subject_token,
            actor_token: actor_token(&mut form)?,
            grant: grant_name(&mut form)?.into(),
            scopes: scopes(&mut form)?,
            lifetime: lifetime(&mut form)?,
            wanted: wanted(&mut form)?,
            elevation: elevation(&mut form)?,
            narrowing: None,
            source_ip: peer.ip,
            client_cert: peer.client_cert.clone(),
        };
        Ok(Self { grant_type, exchange })
    }
}

fn required(form: &mut Form, name: &'static str) -> Result<String, OauthError> {
    form.take(name).ok_or_else(|| OauthError::invalid_request(format!("parameter `{name}` is missing")))
}

fn grant_type(form: &mut Form) -> Result<GrantType, OauthError> {
    match required(form, "grant_type")?.as_str() {
        "urn:ietf:params:oauth:grant-type:token-exchange" => Ok(GrantType::TokenExchange),
        "urn:ietf:params:oauth:grant-type:jwt-bearer" => Ok(GrantType::JwtBearer),
        _ => Err(OauthError::unsupported_grant_type()),
    }
}

fn subject_token(form: &mut Form, grant_type: GrantType) -> Result<UnverifiedToken, OauthError> {
    let (wanted, other) = match grant_type {
        GrantType::TokenExchange => ("subject_token", "assertion"),
        GrantType::JwtBearer => ("assertion", "subject_token"),
    };
    if form.take(other).is_some() {
        return Err(OauthError::invalid_request(format!(
            "parameter `{other}` does not go with this grant_type"
        )));
    }
    let token = without_line_end(required(form, wanted)?);
    match (grant_type, form.take("subject_token_type")) {
        (GrantType::JwtBearer, None) => {}
        (GrantType::JwtBearer, Some(_)) => {
            let text = "parameter `subject_token_type` does not go with this grant_type";
            return Err(OauthError::invalid_request(text.to_owned()));
        }
        (GrantType::TokenExchange, given) => jwt_type("subject_token_type", given)?,
    }
    Ok(UnverifiedToken::new(token))
}

fn actor_token(form: &mut Form) -> Result<Option<UnverifiedToken>, OauthError> {
    match (form.take("actor_token"), form.take("actor_token_type")) {
        (None, None) => Ok(None),
        (None, Some(_)) => {
            let text = "parameter `actor_token_type` is given without `actor_token`";
            Err(OauthError::invalid_request(text.to_owned()))
        }
        (Some(token), given) => {
            jwt_type("actor_token_type", given)?;
            Ok(Some(UnverifiedToken::new(token)))
        }
    }
}

fn jwt_type(name: &'static str, given: Option<String>) -> Result<(), OauthError> {
    match given {
        Some(given) if JWT_TYPES.contains(&given.as_str()) => Ok(()),
        Some(_) => Err(OauthError::invalid_request(format!(
            "parameter `{name}` must be one of {}",
            JWT_TYPES.join(", ")
        ))),
        None => Err(OauthError::invalid_request(format!("parameter `{name}` is missing"))),
    }
}

/// A name that no grant can have is answered like a name that no grant has.
fn grant_name(form: &mut Form) -> Result<GrantName, OauthError> {
    GrantName::new(&required(form, "audience")?).map_err(|_| OauthError::unknown_target())
}

fn scopes(form: &mut Form) -> Result<Option<BTreeSet<Scope>>, OauthError> {
    let Some(text) = form.take("scope") else { return Ok(None) };
    let scopes: Result<BTreeSet<Scope>, _> =
        text.split(' ').filter(|part| !part.is_empty()).map(Scope::new).collect();
    scopes.map(Some).map_err(|_| OauthError::invalid_scope())
}

fn elevation(form: &mut Form) -> Result<Option<ElevationId>, OauthError> {
    Ok(form.take(ELEVATION).map(|text| parameters::elevation(&text)).transpose()?)
}

fn lifetime(form: &mut Form) -> Result<Option<Lifetime>, OauthError> {
    Ok(form.take(EXPIRES_IN).map(|text| parameters::lifetime(&text)).transpose()?)
}

fn wanted(form: &mut Form) -> Result<WantedType, OauthError> {
    match form.take("requested_token_type").as_deref() {
        None => Ok(WantedType::Any),
        Some("urn:ietf:params:oauth:token-type:jwt" | "urn:ietf:params:oauth:token-type:access_token") => {
            Ok(WantedType::Jwt)
        }
        Some(AWS_TYPE) => Ok(WantedType::Aws),
        Some(_) => Err(OauthError::invalid_request(format!(
            "parameter `requested_token_type` must be urn:ietf:params:oauth:token-type:jwt, \
             urn:ietf:params:oauth:token-type:access_token or {AWS_TYPE}"
        ))),
    }
}
