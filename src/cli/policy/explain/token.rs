//! Somebody's token as a description of them. It is verified like the broker would verify it; it is not spent.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, bail};

use super::super::place::Place;
use super::question::{Asker, read as read_text};
use crate::clock::{Moment, SystemClock};
use crate::entropy::SystemEntropy;
use crate::federation::{Federation, UnverifiedToken, VerifyError};
use crate::policy::facts::{AuthFacts, PrincipalFacts};
use crate::principal;
use crate::secret::SecretText;

/// Said beside every answer about such a token.
const NOT_VERIFIED: &str = "The token's signature was NOT verified: anybody can write such a token.";

/// Without the newline that editors and tools leave at the end.
pub(super) fn read(file: &Path) -> anyhow::Result<SecretText> {
    let text = SecretText::new(read_text(file)?);
    Ok(SecretText::new(text.expose().trim().to_owned()))
}

/// Whose token it is, by the profile of its issuer.
pub(super) async fn asker(file: &Path, place: &Place, unverified: bool, at: Moment) -> anyhow::Result<Asker> {
    let Some(outline) = &place.outline else {
        bail!("a token is read by its issuer's profile: name the broker's configuration with --config");
    };
    let token = UnverifiedToken::new(read(file)?.expose().to_owned());
    let (clock, entropy) = (Arc::new(SystemClock::start()), Arc::new(SystemEntropy::new()));
    let federation = Federation::new(outline.issuers.clone(), clock, entropy)?;
    let told = if unverified {
        federation.read_unverified(&token, at).context("the token cannot be read")?
    } else {
        match federation.verify(&token, at).await {
            Ok(verified) => verified.as_told(),
            Err(VerifyError::Refused(refusal)) => bail!("the token was not accepted: {refusal}"),
            Err(VerifyError::KeysUnavailable(issuer)) => bail!(
                "the keys of issuer `{issuer}` cannot be had from here, so the token's signature cannot be checked; \
                 --unverified believes it without"
            ),
        }
    };
    let (principal, authentication) =
        principal::map(&told.issuer, &told.subject, told.issued_at, told.profile, &told.claims)?;
    Ok(Asker {
        principal: PrincipalFacts::of(&principal),
        auth: Some(AuthFacts::of(&authentication)),
        note: unverified.then_some(NOT_VERIFIED),
    })
}
