//! What a configuration says of whom and what policies are about.

use crate::federation::IssuerSettings;
use crate::grants::Catalog;
use crate::policy::{KnownIssuer, World};

/// Of issuers and grants as they are configured.
pub fn world<'a>(issuers: impl Iterator<Item = &'a IssuerSettings>, grants: &Catalog) -> World {
    let known = issuers.map(|issuer| KnownIssuer {
        name: issuer.name.clone(),
        profile: issuer.profile,
        shared: issuer.shared,
        may_approve: issuer.may_approve,
    });
    World { issuers: known.collect(), grants: grants.iter().cloned().collect() }
}
