//! Who can get what: policy sets as a table, for whoever has to believe them. Reads policies and decides nothing but how many
//! approvals a window needs; refuses to know how the page is laid out.

mod teams;
#[cfg(test)]
mod tests;
mod words;

use std::collections::BTreeSet;
use std::time::Duration;

use cedar_policy::Effect;
use serde::Serialize;

use self::teams::teams;
pub use self::teams::{Listed, Member, TeamOverview, TeamsOverview};
use self::words::{conditions, who};
use super::activation::{MOST_APPROVALS, hoped};
use super::facts::{ApprovalFacts, Asked, AuthFacts, FactsError, GrantFacts, PrincipalFacts, PrincipalKind};
use super::{Action, Author, Facts, PolicyDigest, PolicySets, World};
use crate::claims::Profile;
use crate::clock::Moment;
use crate::grants::Grant;
use crate::ids::{GrantName, IssuerName, Subject};
use crate::principal::PrincipalId;

/// How long access is asked for where the grant does not say less.
const USUAL_DURATION: Duration = Duration::from_hours(1);

/// Everything that the sets permit and forbid, by grant.
#[derive(Clone, Debug, Serialize)]
pub struct Overview {
    /// Of the policy sets.
    pub digest: PolicyDigest,
    /// Whose permit is needed.
    pub authors: Vec<Author>,
    /// In the order of their names.
    pub grants: Vec<GrantOverview>,
    /// When the customer wrote some down.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub teams: Option<TeamsOverview>,
}

/// One grant.
#[derive(Clone, Debug, Serialize)]
pub struct GrantOverview {
    /// Its name.
    pub name: GrantName,
    /// `jwt` or `aws`.
    pub kind: String,
    /// Of an AWS grant.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// Is it for break-glass?
    pub break_glass: bool,
    /// The group that owns it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// The sets that hold it.
    pub sets: BTreeSet<String>,
    /// What may be done with it.
    pub actions: Vec<ActionOverview>,
    /// How many would have to approve, by the issuer of who asks; for break-glass.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub approvals: Vec<ApprovalsOverview>,
}

/// One action on a grant.
#[derive(Clone, Debug, Serialize)]
pub struct ActionOverview {
    /// As the schema calls it.
    pub action: &'static str,
    /// The authors that permit it to nobody: nobody has it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub nobody_by: Vec<Author>,
    /// Each author needs one that holds.
    pub permits: Vec<PolicyOverview>,
    /// None of them may hold.
    pub forbids: Vec<PolicyOverview>,
}

/// One policy.
#[derive(Clone, Debug, Serialize)]
pub struct PolicyOverview {
    /// Its name.
    pub policy: String,
    /// Whose.
    pub author: Author,
    /// Where it stands.
    pub file: String,
    /// Counted from 1.
    pub line: usize,
    /// Its author's note.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub doc: Option<String>,
    /// Whom its scope means, in words.
    pub who: String,
    /// What must hold, all of it, as the policy writes it; `not …` for what must not.
    pub when: Vec<String>,
}

/// How many would have to approve.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ApprovalsOverview {
    /// Of people of this issuer who are in every group that policies name.
    pub issuer: IssuerName,
    /// `None` when no number suffices.
    pub needed: Option<u32>,
}

/// Of every grant of `world`; `now` is when approvals are counted.
///
/// # Errors
/// A grant that no policy could be asked about.
pub fn overview(sets: &PolicySets, world: &World, now: Moment) -> Result<Overview, FactsError> {
    let mut grants =
        world.grants.iter().map(|grant| of_grant(sets, world, grant, now)).collect::<Result<Vec<_>, _>>()?;
    grants.sort_by(|one, other| one.name.cmp(&other.name));
    let teams = teams(sets.relations(), sets.origin().entities);
    Ok(Overview { digest: sets.digest(), authors: sets.authors().to_vec(), grants, teams })
}

fn of_grant(
    sets: &PolicySets,
    world: &World,
    grant: &Grant,
    now: Moment,
) -> Result<GrantOverview, FactsError> {
    let break_glass = grant.break_glass.is_some();
    let people = world.issuers.iter().filter(|issuer| issuer.profile == Profile::Person && break_glass);
    // Only break-glass has elevations.
    let apt = |action: &Action| {
        let elevated = action.is_about_elevation() || matches!(action, Action::Request | Action::Activate);
        break_glass || !elevated
    };
    Ok(GrantOverview {
        name: grant.name.clone(),
        kind: grant.kind_name().to_owned(),
        account: grant.account().map(str::to_owned),
        break_glass,
        owner: sets.relations().owner_of(&grant.name).map(str::to_owned),
        sets: grant.sets.clone(),
        actions: Action::ALL
            .into_iter()
            .filter(apt)
            .map(|action| of_action(sets, grant, action))
            .collect::<Result<_, _>>()?,
        approvals: people.filter_map(|issuer| approvals(sets, grant, &issuer.name, now)).collect(),
    })
}

fn of_action(sets: &PolicySets, grant: &Grant, action: Action) -> Result<ActionOverview, FactsError> {
    let candidates = sets.candidates(action, grant)?;
    let about = sets.policies().iter().filter(|loaded| candidates.names.contains_key(loaded.policy.id()));
    let (mut permits, mut forbids) = (Vec::new(), Vec::new());
    for loaded in about {
        let shown = PolicyOverview {
            policy: loaded.name.to_string(),
            author: loaded.name.author(),
            file: loaded.place.file.to_string(),
            line: loaded.place.line,
            doc: loaded.policy.annotation("doc").map(str::to_owned),
            who: who(&loaded.policy, &sets.words),
            when: conditions(&loaded.policy),
        };
        match loaded.policy.effect() {
            Effect::Permit => permits.push(shown),
            Effect::Forbid => forbids.push(shown),
        }
    }
    let silent = |author: &&Author| !permits.iter().any(|permit: &PolicyOverview| permit.author == **author);
    let nobody_by = sets.authors().iter().filter(silent).copied().collect();
    Ok(ActionOverview { action: action.as_str(), nobody_by, permits, forbids })
}

/// For somebody who is in every group that the policies name of their issuer, by approvers who are in all the others.
fn approvals(
    sets: &PolicySets,
    grant: &Grant,
    issuer: &IssuerName,
    now: Moment,
) -> Option<ApprovalsOverview> {
    let candidates = sets.candidates(Action::Activate, grant).ok()?;
    let somebody = PrincipalId { issuer: issuer.clone(), subject: Subject::new("somebody").ok()? };
    let hoped = hoped(sets, &candidates, &grant.name, &somebody);
    let own = hoped.groups.iter().filter(|(of, _)| of == issuer).map(|(_, group)| group.clone());
    let longest = grant.break_glass.map_or(USUAL_DURATION, |caps| caps.max_duration.min(USUAL_DURATION));
    let given = ApprovalFacts::default().hoping(&hoped);
    let principal =
        PrincipalFacts { groups: own.collect(), ..PrincipalFacts::bare(PrincipalKind::Person, somebody) };
    let permitted = |count: &u32| {
        let approvals = ApprovalFacts { count: *count, ..given.clone() };
        let auth = AuthFacts { issued_at: now, acr: None, amr: BTreeSet::new(), auth_time: Some(now) };
        sets.decide(&Facts {
            at: now,
            principal: principal.clone(),
            grant: GrantFacts::of(grant),
            source_ip: None,
            auth,
            asked: Asked::Activate { duration: longest, approvals },
        })
        .is_ok()
    };
    Some(ApprovalsOverview { issuer: issuer.clone(), needed: (1..=MOST_APPROVALS).find(permitted) })
}
