//! What tools that look at policies need of the file: where the policies are, whose tokens are taken and what can be issued.
//! Whoever writes policies, and whatever pipeline tries them, has the configuration and none of its secrets.

use std::path::Path;

use super::{Faults, LoadError, Settings, aws, broker, grants, load_as, policy_among, read_issuers, shape};
use crate::document::{Kind, Section};
use crate::federation::IssuerSettings;
use crate::grants::Catalog;
use crate::policy::Settings as PolicySettings;

/// What policies are about.
#[derive(Clone, Debug)]
pub struct Outline {
    /// `[policy]`
    pub policy: PolicySettings,
    /// `[[issuers]]`, at least one. Whether their files can be opened was not asked.
    pub issuers: Vec<IssuerSettings>,
    /// `[[grants]]`. Session policies may be missing: nothing is to be issued by these.
    pub grants: Catalog,
}

const KIND: Kind = Kind { opens_files: false, ..super::KIND };

/// Reads `[policy]`, `[aws]`, `[[issuers]]` and `[[grants]]` as strictly as [`super::load`], and looks at nothing else. Of the
/// files that they name only a vendor's bundle and its pins are opened.
///
/// # Errors
/// Every fault of these sections, with its place.
pub fn outline(path: &Path) -> Result<Outline, LoadError> {
    load_as(path, parse)
}

fn parse(text: &str, folder: &Path) -> Result<Outline, Faults> {
    crate::document::read(text, folder, &KIND, read)
}

fn read(top: &Section<'_>) -> Option<Outline> {
    let policy = broker::read_policy(top, top.section("policy", &shape::POLICY).as_ref());
    let aws = top.section("aws", &shape::AWS).as_ref().and_then(aws::read);
    let issuers = read_issuers(top, None, aws.as_ref());
    let (grants, _) = grants::read(top, aws.as_ref());
    Some(Outline { policy: policy_among(policy?, issuers.as_deref()), issuers: issuers?, grants: grants? })
}

impl From<Settings> for Outline {
    fn from(settings: Settings) -> Self {
        Self { policy: settings.policy, issuers: settings.issuers, grants: settings.grants }
    }
}
