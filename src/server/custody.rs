//! The key-encryption keys, from wherever the configuration says that they are.

use std::sync::Arc;
use std::time::Duration;

use aws_credential_types::Credentials;

use super::AwsIdentity;
use crate::config::Settings;
use crate::custody::{Custody, CustodyError, KmsSettings, Sources};
use crate::entropy::Entropy;
use crate::store::Store;

/// A start waits so long for AWS KMS, in each of the calls that it makes: long enough for a pod whose identity or network
/// comes a little later, short enough for an operator who looks.
const KMS_PATIENCE: Duration = Duration::from_secs(20);

/// Reads, and has opened, what the store needs. Makes nothing.
pub(crate) async fn open(
    settings: &Settings,
    identity: &AwsIdentity,
    store: Arc<dyn Store>,
    entropy: Arc<dyn Entropy>,
) -> Result<Custody, CustodyError> {
    let kek = &settings.keys.kek;
    let sources = Sources {
        wanted: kek.wanted.clone(),
        previous: kek.previous.clone(),
        kms: KmsSettings {
            endpoint: kek.kms_endpoint.as_ref().map(ToString::to_string),
            ca_file: settings.aws.as_ref().and_then(|aws| aws.ca_file.clone()),
            credentials: match identity {
                AwsIdentity::DefaultChain => None,
                AwsIdentity::Fixed(credentials) => Some(Credentials::clone(credentials)),
            },
            origin: settings.audit.origin.clone(),
            deadline: KMS_PATIENCE,
        },
    };
    Custody::open(store, &sources, entropy).await
}

/// Says which key-encryption key is in force, and what an operator still has to do.
pub(super) fn tell(custody: &Custody, settings: &Settings) {
    let Some(in_force) = custody.in_force() else { return };
    let (wanted, previous) = (&settings.keys.kek.wanted, &settings.keys.kek.previous);
    tracing::info!(kek.id = %in_force.id(), "keys are sealed under this key-encryption key");
    match (custody.is_where_wanted(), previous) {
        (false, _) => tracing::warn!(
            wanted = wanted.as_str(),
            "another key-encryption key is configured than is in force: run `tidegate keys rotate-kek` once every replica has this configuration"
        ),
        (true, Some(_)) => tracing::info!(
            "no kept key needs the previous key-encryption key any more: take it out of the configuration"
        ),
        (true, None) => {}
    }
}
