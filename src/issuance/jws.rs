//! JWS compact serialization (RFC 7515 §7.1) of claims of ours.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;

use super::IssueError;
use crate::keys::{KeyError, SigningKey};

/// A usual token is 700 to 900 bytes: one allocation, no growth.
const USUAL_TOKEN_BYTES: usize = 1024;

#[derive(Serialize)]
struct Header<'a> {
    alg: &'static str,
    typ: &'static str,
    kid: &'a str,
}

/// Signs `claims`, built up in one string: what is signed is its beginning. `typ` tells the kinds of our tokens apart.
pub(super) fn compact(
    key: &SigningKey,
    typ: &'static str,
    claims: &impl Serialize,
) -> Result<String, IssueError> {
    let header = Header { alg: key.algorithm().as_str(), typ, kid: key.kid().as_str() };
    let mut token = String::with_capacity(USUAL_TOKEN_BYTES);
    append(&mut token, &header)?;
    token.push('.');
    append(&mut token, claims)?;
    let signature = key.sign(token.as_bytes())?;
    token.push('.');
    URL_SAFE_NO_PAD.encode_string(signature, &mut token);
    Ok(token)
}

fn append(token: &mut String, part: &impl Serialize) -> Result<(), IssueError> {
    let json = serde_json::to_vec(part).map_err(|_| KeyError::Invalid("the claims are no JSON"))?;
    URL_SAFE_NO_PAD.encode_string(json, token);
    Ok(())
}
