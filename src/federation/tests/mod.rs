//! Refusals first: they are the product.

mod keys;
mod network;
mod refusals;

#[path = "../../../tests/harness/tokens.rs"]
pub(crate) mod tokens;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::*;
use crate::claims::Profile;
use crate::clock::{ManualClock, Moment};
use crate::entropy::SystemEntropy;
use crate::ids::{Audience, IssuerName, IssuerUrl};

const ISSUER: &str = "https://issuer.example";
const AUDIENCE: &str = "tidegate";
const SUBJECT: &str = "job-7";
const NOW: i64 = 1_795_363_392;

fn now() -> Moment {
    Moment::from_unix_seconds(NOW)
}

fn later(seconds: i64) -> Moment {
    Moment::from_unix_seconds(NOW + seconds)
}

fn settings(name: &str, url: &str, keys: KeySource) -> IssuerSettings {
    IssuerSettings {
        name: IssuerName::new(name).unwrap(),
        url: IssuerUrl::new(url).unwrap(),
        profile: Profile::Generic,
        audiences: BTreeSet::from([Audience::new(AUDIENCE).unwrap()]),
        algorithms: BTreeSet::from(Algorithm::ALL),
        keys,
        ca_file: None,
        allow_private_network: false,
        replay: ReplayMode::SingleUse,
        max_token_age: Duration::from_mins(10),
        max_token_lifetime: Duration::from_hours(1),
        require: std::collections::BTreeMap::new(),
        shared: false,
        may_approve: false,
    }
}

/// One issuer with a `jwks_file`, and the folder that holds it.
struct Fixture {
    folder: tempfile::TempDir,
    clock: Arc<ManualClock>,
    federation: Federation,
}

impl Fixture {
    fn new(keys: &[&tokens::TestKey]) -> Self {
        Self::with(keys, |_| {})
    }

    fn with(keys: &[&tokens::TestKey], change: impl FnOnce(&mut IssuerSettings)) -> Self {
        Self::of(&[(ISSUER, tokens::jwks(keys))], |issuers| change(&mut issuers[0]))
    }

    fn of(sets: &[(&str, String)], change: impl FnOnce(&mut Vec<IssuerSettings>)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut issuers: Vec<_> = sets
            .iter()
            .enumerate()
            .map(|(index, (url, set))| {
                let path = folder.path().join(format!("{index}.json"));
                std::fs::write(&path, set).unwrap();
                settings(&format!("issuer-{index}"), url, KeySource::JwksFile(path))
            })
            .collect();
        change(&mut issuers);
        let clock = Arc::new(ManualClock::at(now()));
        let federation = Federation::new(issuers, clock.clone(), Arc::new(SystemEntropy::new())).unwrap();
        Self { folder, clock, federation }
    }

    fn file(&self, index: usize) -> PathBuf {
        self.folder.path().join(format!("{index}.json"))
    }

    async fn verify(&self, token: &str) -> Result<VerifiedToken, VerifyError> {
        self.verify_at(token, now()).await
    }

    async fn verify_at(&self, token: &str, at: Moment) -> Result<VerifiedToken, VerifyError> {
        self.federation.verify(&UnverifiedToken::new(token.to_owned()), at).await
    }

    async fn refusal(&self, token: &str) -> TokenRefusal {
        self.refusal_at(token, now()).await
    }

    async fn refusal_at(&self, token: &str, at: Moment) -> TokenRefusal {
        match self.verify_at(token, at).await {
            Err(VerifyError::Refused(refusal)) => refusal,
            other => panic!("not refused: {other:?}"),
        }
    }
}

fn claims() -> serde_json::Value {
    tokens::claims(ISSUER, SUBJECT, AUDIENCE, NOW)
}
