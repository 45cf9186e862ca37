//! A request as somebody describes it: what they leave out is what the broker would take, and what does not belong to the
//! action is refused, because it would be believed to matter.

use std::collections::BTreeSet;
use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use serde::de::value::MapAccessDeserializer;
use serde::de::{self, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

use crate::clock::Moment;
use crate::grants::{Grant, GrantKind};
use crate::ids::{ElevationId, GrantName, Scope};
use crate::policy::Action;
use crate::policy::facts::{
    ApprovalFacts, Asked, AuthFacts, ElevationSeen, ElevationWindow, Facts, GrantFacts, PrincipalFacts,
};
use crate::secret::SecretText;
use crate::span;

/// An elevation that nobody described has this id; policies do not see it of a credential.
const UNNAMED: &str = "elv-00000000-0000-7000-8000-000000000000";

/// How long an elevation lasts of which nobody said it.
const USUAL_WINDOW: Duration = Duration::from_hours(1);

/// A request in somebody's words.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Described {
    /// About which grant.
    pub grant: GrantName,
    /// What for, as the schema calls it; `issue` when nothing is said.
    #[serde(default)]
    pub action: Option<String>,
    /// Who asks.
    #[serde(default)]
    pub principal: Option<PrincipalFacts>,
    /// Who asks, by a token of theirs.
    #[serde(default, deserialize_with = "secret")]
    pub token: Option<SecretText>,
    /// When; now, when nothing is said.
    #[serde(default)]
    pub at: Option<Moment>,
    /// Of a credential; the grant's usual one, when nothing is said.
    #[serde(default, deserialize_with = "optional_span")]
    pub ttl: Option<Duration>,
    /// Of a credential; all of the grant's, when nothing is said.
    #[serde(default)]
    pub scopes: Option<BTreeSet<Scope>>,
    /// Of access; the grant's longest, when nothing is said.
    #[serde(default, deserialize_with = "optional_span")]
    pub duration: Option<Duration>,
    /// By how many people, and of which groups, it was approved.
    #[serde(default)]
    pub approvals: Option<ApprovalFacts>,
    /// From where.
    #[serde(default)]
    pub source_ip: Option<IpAddr>,
    /// How they signed in.
    #[serde(default)]
    pub auth: Option<DescribedAuth>,
    /// Under which elevation, or about which.
    #[serde(default)]
    pub elevation: Option<AboutElevation>,
    /// `x5t#S256` of the client certificate.
    #[serde(default)]
    pub client_cert: Option<String>,
}

/// An elevation that is described, or one that is there.
#[derive(Clone, Debug)]
pub enum AboutElevation {
    /// It need not exist.
    Described(Box<DescribedElevation>),
    /// A broker has it under this id.
    Named(ElevationId),
}

/// How somebody signed in.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DescribedAuth {
    /// `iat`; the moment of the request, when nothing is said.
    pub issued_at: Option<Moment>,
    /// `acr`
    pub acr: Option<String>,
    /// `amr`
    pub amr: BTreeSet<String>,
    /// `auth_time`
    pub auth_time: Option<Moment>,
}

/// An elevation in somebody's words: the window of a credential, or the request that somebody decides about.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DescribedElevation {
    /// Its id, where it is one that is there.
    #[serde(skip)]
    pub(super) id: Option<ElevationId>,
    /// By how many people it was approved.
    pub approvals: Option<u32>,
    /// The window's first moment; that of the request, when nothing is said.
    pub starts_at: Option<Moment>,
    /// The first moment after it; an hour later, when nothing is said.
    pub ends_at: Option<Moment>,
    /// Who asked for it.
    pub requester: Option<PrincipalFacts>,
    /// How long access was asked for.
    #[serde(deserialize_with = "optional_span")]
    pub duration: Option<Duration>,
    /// Why.
    pub reason: Option<String>,
    /// Where the work is tracked.
    pub ticket: Option<String>,
}

/// The description is of no request.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct DescribeError(pub(super) String);

impl Described {
    /// Nothing but the grant.
    pub fn of(grant: GrantName) -> Self {
        Self {
            grant,
            action: None,
            principal: None,
            token: None,
            at: None,
            ttl: None,
            scopes: None,
            duration: None,
            approvals: None,
            source_ip: None,
            auth: None,
            elevation: None,
            client_cert: None,
        }
    }

    /// As facts about `grant`, asked by `principal` at `now` or when the description says.
    ///
    /// # Errors
    /// Something is missing, or does not belong to the action.
    pub fn facts(
        &self,
        grant: &Grant,
        principal: PrincipalFacts,
        auth: Option<AuthFacts>,
        now: Moment,
    ) -> Result<Facts, DescribeError> {
        let at = self.at.unwrap_or(now);
        let action = self.action()?;
        self.check_belonging(action)?;
        Ok(Facts {
            at,
            principal,
            grant: GrantFacts::of(grant),
            source_ip: self.source_ip,
            auth: auth.unwrap_or_else(|| self.auth.clone().unwrap_or_default().facts(at)),
            asked: self.asked(action, grant, at)?,
        })
    }

    pub(super) fn action(&self) -> Result<Action, DescribeError> {
        let Some(named) = &self.action else { return Ok(Action::Issue) };
        Action::ALL.into_iter().find(|action| action.as_str() == named).ok_or_else(|| {
            let known = Action::ALL.map(Action::as_str).join(", ");
            DescribeError(format!("`{}` is no action; one of: {known}", named.escape_default()))
        })
    }

    /// What an action's context does not have would be believed to matter.
    pub(super) fn check_belonging(&self, action: Action) -> Result<(), DescribeError> {
        let issue = action == Action::Issue;
        let lasts = matches!(action, Action::Request | Action::Approve | Action::Activate);
        let named = matches!(self.elevation, Some(AboutElevation::Named(_)));
        let elevated = issue || action.is_about_elevation() || (named && action == Action::Activate);
        let stray = [
            ("ttl", self.ttl.is_some() && !issue),
            ("scopes", self.scopes.is_some() && !issue),
            ("client_cert", self.client_cert.is_some() && !issue),
            ("duration", self.duration.is_some() && !lasts),
            ("approvals", self.approvals.is_some() && !issue && action != Action::Activate),
            ("elevation", self.elevation.is_some() && !elevated),
        ];
        match stray.into_iter().find(|(_, stray)| *stray) {
            Some((name, _)) => {
                Err(DescribeError(format!("`{name}` does not belong to action `{}`", action.as_str())))
            }
            None => Ok(()),
        }
    }

    fn asked(&self, action: Action, grant: &Grant, at: Moment) -> Result<Asked, DescribeError> {
        let longest = || grant.break_glass.map_or(USUAL_WINDOW, |caps| caps.max_duration);
        let duration = self.duration.unwrap_or_else(longest);
        Ok(match action {
            Action::Issue => Asked::Issue {
                ttl: self.ttl.unwrap_or_else(|| grant.caps.default.duration()),
                scopes: self.scopes.clone().unwrap_or_else(|| all_scopes(grant)),
                client_cert: self.client_cert.clone(),
                actor: None,
                elevation: self.window(grant, at)?,
            },
            Action::Request => Asked::Request { duration },
            Action::Activate => {
                Asked::Activate { duration, approvals: self.approvals.clone().unwrap_or_default() }
            }
            Action::Approve => {
                let elevation = self.seen(duration)?;
                Asked::Approve { duration: elevation.duration.min(duration), elevation }
            }
            Action::Revoke => Asked::Revoke { elevation: self.seen(duration)? },
            Action::View => Asked::View { elevation: self.seen(duration)? },
            Action::Lock => Asked::Lock,
            Action::Audit => Asked::Audit,
            Action::Explain => Asked::Explain,
        })
    }

    /// Under which elevation a credential would be issued: the one that is described, or one with so many approvals.
    fn window(&self, grant: &Grant, at: Moment) -> Result<Option<ElevationWindow>, DescribeError> {
        let approvals = self.approvals.as_ref().map(|approvals| approvals.count);
        let described = self.described_elevation()?;
        let Some(described) = described.or_else(|| approvals.map(|_| DescribedElevation::default())) else {
            return Ok(None);
        };
        if grant.break_glass.is_none() {
            return Err(DescribeError(format!(
                "grant `{}` is not for break-glass and has no elevation",
                grant.name
            )));
        }
        let starts_at = described.starts_at.unwrap_or(at);
        Ok(Some(ElevationWindow {
            id: match described.id {
                Some(id) => id,
                None => UNNAMED.parse().map_err(|_| DescribeError("an elevation has no id".to_owned()))?,
            },
            version: 1,
            approvals: described.approvals.or(approvals).unwrap_or_default(),
            starts_at,
            ends_at: described.ends_at.unwrap_or_else(|| starts_at.plus(USUAL_WINDOW)),
        }))
    }

    /// Whoever has a store put in its place what stands there.
    fn described_elevation(&self) -> Result<Option<DescribedElevation>, DescribeError> {
        match &self.elevation {
            None => Ok(None),
            Some(AboutElevation::Described(described)) => Ok(Some(DescribedElevation::clone(described))),
            Some(AboutElevation::Named(id)) => {
                Err(DescribeError(format!("only a running broker knows elevation `{id}`: describe it")))
            }
        }
    }

    fn seen(&self, duration: Duration) -> Result<Box<ElevationSeen>, DescribeError> {
        let described = self.described_elevation()?.unwrap_or_default();
        let requester = described.requester.ok_or_else(|| {
            DescribeError("`elevation.requester` is missing: who asked for the elevation?".to_owned())
        })?;
        Ok(Box::new(ElevationSeen {
            id: described.id.map_or_else(|| UNNAMED.to_owned(), |id| id.to_string()),
            requester,
            duration: described.duration.unwrap_or(duration),
            reason: described.reason.unwrap_or_default(),
            ticket: described.ticket,
        }))
    }
}

impl<'de> Deserialize<'de> for AboutElevation {
    /// By hand, so that a misspelt member is named.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnElevation)
    }
}

struct AnElevation;

impl<'de> Visitor<'de> for AnElevation {
    type Value = AboutElevation;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an elevation's id, or an object that describes one")
    }

    fn visit_str<E: de::Error>(self, id: &str) -> Result<AboutElevation, E> {
        id.parse().map(AboutElevation::Named).map_err(E::custom)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<AboutElevation, A::Error> {
        let described = DescribedElevation::deserialize(MapAccessDeserializer::new(map))?;
        Ok(AboutElevation::Described(Box::new(described)))
    }
}

impl DescribedAuth {
    fn facts(self, at: Moment) -> AuthFacts {
        let Self { issued_at, acr, amr, auth_time } = self;
        AuthFacts { issued_at: issued_at.unwrap_or(at), acr, amr, auth_time }
    }
}

fn all_scopes(grant: &Grant) -> BTreeSet<Scope> {
    match &grant.kind {
        GrantKind::Jwt(jwt) => jwt.scopes.clone(),
        GrantKind::Aws(_) => BTreeSet::new(),
    }
}

fn secret<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<SecretText>, D::Error> {
    Ok(Option::<String>::deserialize(deserializer)?.map(SecretText::new))
}

/// As people write it: `15m`.
fn optional_span<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
    #[derive(Deserialize)]
    #[serde(transparent)]
    struct Spelt(#[serde(with = "span::text")] Duration);
    Ok(Option::<Spelt>::deserialize(deserializer)?.map(|spelt| spelt.0))
}
