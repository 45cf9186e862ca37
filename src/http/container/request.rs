//! What an SDK sends: a path, perhaps a query, and a token in the one header.

use axum::http::{HeaderMap, header};

use super::ContainerError;
use crate::exchange::{ExchangeRequest, WantedType};
use crate::federation::UnverifiedToken;
use crate::http::edge::Peer;
use crate::http::form::Form;
use crate::http::parameters::{self, ELEVATION, EXPIRES_IN, without_line_end};
use crate::ids::GrantName;

/// The token as it stands in the workload's file, or after `Bearer `: SDKs send the file, people the other.
pub(super) fn token(headers: &HeaderMap) -> Result<UnverifiedToken, ContainerError> {
    let mut values = headers.get_all(header::AUTHORIZATION).into_iter();
    let value = values.next().filter(|value| !value.is_empty()).ok_or(ContainerError::NoToken)?;
    if values.next().is_some() {
        return Err(ContainerError::TwoTokens);
    }
    let text = String::from_utf8_lossy(value.as_bytes());
    let token = match text.split_once(' ') {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => token,
        _ => text.as_ref(),
    };
    Ok(UnverifiedToken::new(without_line_end(token.trim().to_owned())))
}

pub(super) fn exchange(
    grant: &str,
    query: Option<&str>,
    subject_token: UnverifiedToken,
    peer: &Peer,
) -> Result<ExchangeRequest, ContainerError> {
    let mut query = Form::parse(query.unwrap_or_default().as_bytes(), &[EXPIRES_IN, ELEVATION])?;
    let lifetime = query.take(EXPIRES_IN).map(|text| parameters::lifetime(&text)).transpose()?;
    let elevation = query.take(ELEVATION).map(|text| parameters::elevation(&text)).transpose()?;
    Ok(ExchangeRequest {
        request_id: peer.request_id,
        subject_token,
        actor_token: None,
        // A name that no grant can have is answered like a name that no grant has.
        grant: GrantName::new(grant).map_err(|_| ContainerError::unknown_grant())?.into(),
        scopes: None,
        lifetime,
        wanted: WantedType::Aws,
        elevation,
        narrowing: None,
        source_ip: peer.ip,
        client_cert: peer.client_cert.clone(),
    })
}
