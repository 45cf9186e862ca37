//! Where the policies are and what they are about: arguments that every subcommand shares.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};

use anyhow::Context as _;

use super::super::shown::{Shown, tame};
use super::version::{VendorArgs, Versions, told};
use crate::config::{Outline, Settings};
use crate::ids::IssuerName;
use crate::policy::{LoadError, PolicySets, Settings as PolicySettings, World, WorldFile};

/// Said of what was judged without the customer's half.
pub(super) const HALF: &str = "only the vendor's half was judged, there is no `customer` folder: a broker permits nothing that its \
                               customer does not permit, too, and does not start without";

/// Which policies, for which issuers and grants.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Which policies")]
pub(super) struct PlaceArgs {
    /// The broker's configuration: it names the policies, and the issuers and grants that they are about. Its keys and
    /// passwords need not be here.
    #[arg(long, value_name = "FILE", env = "TIDEGATE_CONFIG")]
    config: Option<PathBuf>,
    /// The policy folder; else the configuration's, else `policies`.
    #[arg(long, value_name = "DIR")]
    policies: Option<PathBuf>,
    #[command(flatten)]
    vendor: VendorArgs,
}

/// The policies and what is known about their surroundings.
#[derive(Debug)]
pub(in crate::cli) struct Place {
    /// The policies: a folder, perhaps with a vendor's bundle.
    pub(in crate::cli) policy: PolicySettings,
    /// Of the broker that the policies are for, where it was named.
    pub(super) outline: Option<Box<Outline>>,
    /// Where that comes from.
    config: Option<PathBuf>,
    /// Does the configuration name them? What a broker decides by is judged as a broker does.
    is_brokers: bool,
    /// Other versions of the policies.
    pub(super) versions: Versions,
}

/// What the policies are about, and where that is written down.
#[derive(Debug)]
pub(in crate::cli) struct Surroundings {
    pub(in crate::cli) world: World,
    /// Every group of an issuer, for issuers whose groups are listed.
    pub(in crate::cli) groups: BTreeMap<IssuerName, BTreeSet<String>>,
    file: PathBuf,
    text: String,
}

impl PlaceArgs {
    /// Reads the configuration, when one is named.
    pub(super) fn open(&self) -> anyhow::Result<Place> {
        let outline = self.config.as_deref().map(crate::config::outline).transpose()?;
        let configured = outline.as_ref().map(|outline| outline.policy.clone());
        let pinned = configured.as_ref().and_then(|policy| policy.vendor.clone());
        let is_brokers = self.policies.is_none() && configured.is_some();
        let configured = match (&self.policies, configured) {
            (Some(dir), Some(configured)) => configured.with_folder(dir),
            (Some(dir), None) => PolicySettings::of_folder(dir),
            (None, Some(configured)) => configured,
            (None, None) => PolicySettings::of_folder("policies"),
        };
        let versions = Versions::new(configured, pinned, self.vendor.clone());
        let (policy, outline) = (versions.current()?, outline.map(Box::new));
        Ok(Place { policy, outline, config: self.config.clone(), is_brokers, versions })
    }
}

impl Place {
    /// The sets, validated.
    pub(super) fn sets(&self) -> anyhow::Result<PolicySets> {
        PolicySets::gather(&self.policy).with_context(|| told(&self.policy))
    }

    /// The same, or a vendor's half by itself, of which whoever asks says that it is one.
    pub(super) fn sets_or_half(&self) -> anyhow::Result<PolicySets> {
        self.gather_or_half().with_context(|| told(&self.policy))
    }

    /// The same, or what is wrong with them.
    pub(super) fn sets_or_faults(&self) -> Result<PolicySets, Vec<Shown>> {
        self.gather_or_half().map_err(|error| self.shown(&error))
    }

    fn gather_or_half(&self) -> Result<PolicySets, LoadError> {
        if self.is_brokers {
            PolicySets::gather(&self.policy)
        } else {
            PolicySets::gather_or_half(&self.policy)
        }
    }

    /// What is wrong with the policies.
    pub(super) fn shown(&self, error: &LoadError) -> Vec<Shown> {
        error.faults.iter().map(|fault| Shown::of_policies(&self.policy, fault)).collect()
    }

    /// Of a configuration that is at hand.
    pub(in crate::cli) fn of(config: &Path, settings: Settings) -> Self {
        let (policy, outline) = (settings.policy.clone(), Some(Box::new(settings.into())));
        let versions = Versions::new(policy.clone(), policy.vendor.clone(), VendorArgs::default());
        Self { policy, outline, config: Some(config.to_owned()), is_brokers: true, versions }
    }

    /// Issuers and grants: those of the configuration, when one was named, else those of the world file, when there is
    /// one.
    pub(in crate::cli) fn surroundings(&self) -> Result<Option<Surroundings>, Vec<Shown>> {
        if let (Some(outline), Some(file)) = (&self.outline, &self.config) {
            // Only to show where a grant stands.
            let text = std::fs::read_to_string(file).unwrap_or_default();
            let world = crate::explain::world(outline.issuers.iter(), &outline.grants);
            let groups = BTreeMap::new();
            return Ok(Some(Surroundings { world, groups, file: file.clone(), text }));
        }
        let file = self.world_file();
        let text = match std::fs::read_to_string(&file) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(vec![Shown::of_file(&file, format!("cannot be read: {error}"))]),
        };
        match WorldFile::read(&text) {
            Ok(WorldFile { world, groups }) => Ok(Some(Surroundings { world, groups, file, text })),
            Err(faults) => Err(faults.iter().map(|fault| Shown::of_document(&file, fault)).collect()),
        }
    }

    /// The issuers and grants; that there are none known is a fault here.
    pub(super) fn world_or_faults(&self) -> Result<World, Vec<Shown>> {
        self.surroundings()?.map(|around| around.world).ok_or_else(|| {
            let message = "is missing: issuers and grants are unknown".to_owned();
            let help = "describe them there, or name the configuration with --config".to_owned();
            vec![Shown { help: Some(help), ..Shown::of_file(&self.world_file(), message) }]
        })
    }

    /// The issuers and grants, or none where nobody says them.
    pub(super) fn world_if_known(&self) -> anyhow::Result<World> {
        let faults = match self.surroundings() {
            Ok(around) => return Ok(around.map(|around| around.world).unwrap_or_default()),
            Err(faults) => faults,
        };
        let told: Vec<_> = faults.iter().map(|fault| format!("{}: {}", fault.file, fault.message)).collect();
        anyhow::bail!("{}", told.join("\n"))
    }

    fn world_file(&self) -> PathBuf {
        self.policy.dir.join("tests").join("world.toml")
    }
}

impl Surroundings {
    /// `shown`, where the grant is written down.
    pub(super) fn at_grant(&self, grant: &str, shown: Shown) -> Shown {
        let place = crate::document::place_in_list(&self.text, "grants", "name", grant);
        let line = |line: usize| self.text.lines().nth(line.checked_sub(1)?);
        // Grants hold no secret, but what else stands in a line that does not begin with the name, nobody knows.
        let excerpt =
            place.and_then(|place| line(place.0)).filter(|line| line.trim_start().starts_with("name"));
        Shown {
            file: self.file.display().to_string(),
            line: place.map(|place| place.0),
            column: place.map(|place| place.1),
            excerpt: excerpt.map(tame),
            ..shown
        }
    }
}
