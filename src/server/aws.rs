//! What calls AWS: the one that assumes roles, and the one that ends sessions early.

use std::sync::Arc;

use aws_credential_types::Credentials;

use super::{AwsIdentity, StartError};
use crate::clock::Clock;
use crate::config::{AwsMode, AwsSettings};
use crate::entropy::Entropy;
use crate::grants::{Catalog, GrantKind, StsRoute};
use crate::issuance::AwsIssuer;
use crate::issuance::aws::{self, EndSettings, Identity, SessionEnder, StsClients, WebIdentity};
use crate::keys::KeyRing;

/// As whom the broker assumes roles.
pub(super) struct Caller<'a> {
    /// Its AWS identity, where it has one.
    pub(super) identity: &'a AwsIdentity,
    /// Else the `iss` of its tokens,
    pub(super) issuer: &'a str,
    /// and what signs them.
    pub(super) ring: Arc<KeyRing>,
}

/// `None` where nothing is configured or needed.
pub(super) async fn issuer(
    settings: Option<&AwsSettings>,
    caller: Caller<'_>,
    catalog: &Catalog,
    clock: &Arc<dyn Clock>,
    entropy: &Arc<dyn Entropy>,
) -> Result<Option<AwsIssuer>, StartError> {
    let routes: Vec<_> = catalog.iter().filter_map(|grant| route(&grant.kind)).collect();
    let Some(settings) = settings.filter(|_| !routes.is_empty()) else { return Ok(None) };
    let identity = sts_identity(settings, caller, entropy).await?;
    let sts = aws::Settings {
        ca_file: settings.ca_file.clone(),
        chained: settings.chained,
        ..aws::Settings::default()
    };
    let clients = StsClients::new(routes, identity, sts, Arc::clone(entropy))?;
    Ok(Some(AwsIssuer::new(clients, Arc::clone(clock)).with_sts_rate(settings.sts_rate)))
}

fn route(kind: &GrantKind) -> Option<StsRoute> {
    match kind {
        GrantKind::Jwt(_) => None,
        GrantKind::Aws(aws) => Some(aws.sts.clone()),
    }
}

/// In web identity mode nobody looks for an identity of the broker's: not in the environment, not on the network.
async fn sts_identity(
    settings: &AwsSettings,
    caller: Caller<'_>,
    entropy: &Arc<dyn Entropy>,
) -> Result<Identity, StartError> {
    Ok(match (&settings.mode, caller.identity) {
        (AwsMode::WebIdentity { audience }, _) => {
            let (audience, entropy) = (audience.clone(), Arc::clone(entropy));
            Identity::web_identity(WebIdentity::new(caller.issuer, audience, caller.ring, entropy))
        }
        (AwsMode::AssumeRole, AwsIdentity::DefaultChain) => {
            Identity::default_chain(&settings.sts.region, settings.ca_file.as_deref()).await?
        }
        (AwsMode::AssumeRole, AwsIdentity::Fixed(credentials)) => {
            Identity::fixed(Credentials::clone(credentials))
        }
    })
}

/// `None` unless the configuration lets the broker change roles, and some break-glass grant has one.
pub(super) async fn session_ender(
    settings: Option<&AwsSettings>,
    identity: &AwsIdentity,
    catalog: &Catalog,
) -> Result<Option<SessionEnder>, StartError> {
    let wanted = |settings: &&AwsSettings| {
        settings.end_sessions
            && catalog
                .iter()
                .any(|grant| grant.break_glass.is_some() && matches!(grant.kind, GrantKind::Aws(_)))
    };
    let Some(settings) = settings.filter(wanted) else { return Ok(None) };
    let settings = EndSettings {
        region: Some(settings.sts.region.as_str().to_owned()),
        iam_endpoint: settings.iam_endpoint.as_ref().map(ToString::to_string),
        ca_file: settings.ca_file.clone(),
        ..EndSettings::default()
    };
    Ok(Some(match identity {
        AwsIdentity::DefaultChain => SessionEnder::connect(settings).await?,
        AwsIdentity::Fixed(credentials) => {
            SessionEnder::with_credentials(settings, Credentials::clone(credentials))?
        }
    }))
}
