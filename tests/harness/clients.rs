//! Unmodified clients and verifiers of other people.

use std::path::Path;

use serde_json::Value;

use super::tools;

/// `PyJWT` checks a token by the broker's published keys: header and claims, or why not.
pub(crate) fn verify_with_pyjwt(issuer: &str, audience: &str, token: &str) -> Result<Value, Value> {
    answer(tools::ask(tools::python("verify_jwt.py").args([issuer, audience]), token))
}

/// `openid-client` discovers the broker (`oidc` or `oauth2` document) and exchanges a token.
pub(crate) fn exchange_with_openid_client(
    issuer: &str,
    document: &str,
    grant: &str,
    token: &str,
) -> Result<Value, Value> {
    answer(tools::ask(tools::node("exchange-client.mjs").args([issuer, grant, document]), token))
}

/// google-auth's `external_account` credential exchanges the token in a file.
pub(crate) fn exchange_with_google_auth(
    token_url: &str,
    grant: &str,
    scopes: &str,
    token_file: &Path,
) -> Result<Value, Value> {
    answer(tools::ask(
        tools::python("external_account.py").args([token_url, grant, scopes]).arg(token_file),
        "",
    ))
}

fn answer((good, value): (bool, Value)) -> Result<Value, Value> {
    if good { Ok(value) } else { Err(value) }
}
