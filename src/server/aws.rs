//! What calls AWS: the one that assumes roles, and the one that ends sessions early.

use std::sync::Arc;

use aws_credential_types::Credentials;

use super::{AwsIdentity, StartError};
use crate::clock::Clock;
use crate::config::AwsSettings;
use crate::entropy::Entropy;
use crate::grants::{Catalog, GrantKind};
use crate::issuance::AwsIssuer;
use crate::issuance::aws::{self, EndSettings, SessionEnder, StsClient};

/// `None` where nothing is configured or needed.
pub(super) async fn issuer(
    settings: Option<&AwsSettings>,
    identity: &AwsIdentity,
    catalog: &Catalog,
    clock: &Arc<dyn Clock>,
    entropy: &Arc<dyn Entropy>,
) -> Result<Option<AwsIssuer>, StartError> {
    let wanted = catalog.iter().any(|grant| matches!(grant.kind, GrantKind::Aws(_)));
    let Some(settings) = settings.filter(|_| wanted) else { return Ok(None) };
    let sts_rate = settings.sts_rate;
    let settings = aws::Settings {
        region: Some(settings.region.clone()),
        sts_endpoint: settings.sts_endpoint.as_ref().map(ToString::to_string),
        ca_file: settings.ca_file.clone(),
        external_id: settings.external_id.clone(),
        ..aws::Settings::default()
    };
    let client = match identity {
        AwsIdentity::DefaultChain => StsClient::connect(settings, Arc::clone(entropy)).await?,
        AwsIdentity::Fixed(credentials) => {
            StsClient::with_credentials(settings, Credentials::clone(credentials), Arc::clone(entropy))?
        }
    };
    Ok(Some(AwsIssuer::new(client, Arc::clone(clock)).with_sts_rate(sts_rate)))
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
        region: Some(settings.region.clone()),
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
