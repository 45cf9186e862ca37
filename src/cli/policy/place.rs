//! Where the policies are and what they are about: arguments that every subcommand shares.

use std::path::PathBuf;

use anyhow::Context as _;

use crate::config::Settings;
use crate::federation::{IssuerSettings, is_shared};
use crate::policy::{KnownIssuer, PolicySets, Settings as PolicySettings, World};

/// Which policies, for which issuers and grants.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Which policies")]
pub(super) struct PlaceArgs {
    /// The broker's configuration: it names the policies, and the issuers and grants that they are about.
    #[arg(long, value_name = "FILE", env = "TIDEGATE_CONFIG")]
    config: Option<PathBuf>,
    /// The policy folder; else the configuration's, else `policies`.
    #[arg(long, value_name = "DIR")]
    policies: Option<PathBuf>,
}

/// The policies and what is known about their surroundings.
#[derive(Debug)]
pub(super) struct Place {
    /// The policies: a folder, perhaps with a vendor's bundle.
    pub(super) policy: PolicySettings,
    /// Of the broker that the policies are for, where it was named.
    pub(super) settings: Option<Box<Settings>>,
}

impl PlaceArgs {
    /// Reads the configuration, when one is named.
    pub(super) fn open(&self) -> anyhow::Result<Place> {
        let settings = self.config.as_deref().map(crate::config::load).transpose()?;
        let configured = settings.as_ref().map(|settings| settings.policy.clone());
        let policy = match (&self.policies, configured) {
            // Another folder is another customer's part; one that has a vendor's part, too, is all of it.
            (Some(dir), Some(configured)) if !dir.join("vendor").exists() => {
                PolicySettings { dir: dir.clone(), ..configured }
            }
            (Some(dir), _) => PolicySettings::of_folder(dir),
            (None, Some(configured)) => configured,
            (None, None) => PolicySettings::of_folder("policies"),
        };
        Ok(Place { policy, settings: settings.map(Box::new) })
    }
}

impl Place {
    /// The sets, validated.
    pub(super) fn sets(&self) -> anyhow::Result<PolicySets> {
        PolicySets::gather(&self.policy).with_context(|| format!("in `{}`", self.policy.dir.display()))
    }

    /// The issuers and grants of the configuration, when one was named.
    pub(super) fn world(&self) -> Option<World> {
        self.settings.as_deref().map(world_of)
    }
}

fn world_of(settings: &Settings) -> World {
    let issuer = |issuer: &IssuerSettings| KnownIssuer {
        name: issuer.name.clone(),
        profile: issuer.profile,
        shared: is_shared(issuer.url.as_str()),
        may_approve: issuer.may_approve,
    };
    World {
        issuers: settings.issuers.iter().map(issuer).collect(),
        grants: settings.grants.iter().cloned().collect(),
    }
}
