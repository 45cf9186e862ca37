//! A question about an elevation that is there: what the store has of it takes the place of a description.

use super::described::{AboutElevation, DescribeError, Described, DescribedAuth, DescribedElevation};
use crate::breakglass::service::Examined;
use crate::clock::Moment;
use crate::ids::ElevationId;
use crate::policy::Action;
use crate::policy::facts::{ApprovalFacts, PrincipalFacts};
use crate::principal::Authentication;

impl Described {
    /// The elevation that is named by its id.
    pub(super) fn named(&self) -> Option<ElevationId> {
        match self.elevation {
            Some(AboutElevation::Named(id)) => Some(id),
            Some(AboutElevation::Described(_)) | None => None,
        }
    }

    /// With what stands of the elevation in the place of its id. Who uses it or opens it is the one who asked for it, unless
    /// somebody else is described.
    pub(super) fn told(mut self, found: &Examined, now: Moment) -> Result<Self, DescribeError> {
        let action = self.action()?;
        self.check_belonging(action)?;
        if self.approvals.is_some() {
            return Err(DescribeError("`approvals` are those of the elevation; leave them out".to_owned()));
        }
        match action {
            Action::Issue => self.elevation = found.window_at(self.at.unwrap_or(now)).map(about),
            Action::Activate => {
                if self.duration.is_some() {
                    return Err(DescribeError(
                        "`duration` is that of the elevation; leave it out".to_owned(),
                    ));
                }
                self.duration = Some(found.elevation.duration());
                self.approvals = Some(found.approvals());
                self.elevation = None;
            }
            _ => {
                self.duration =
                    self.duration.or_else(|| (action == Action::Approve).then(|| found.elevation.duration()));
                self.elevation = Some(about(found.request()));
            }
        }
        let is_requesters = matches!(action, Action::Issue | Action::Activate);
        if is_requesters && self.principal.is_none() && self.token.is_none() {
            let requester = &found.elevation.ask.requester;
            self.principal = Some(PrincipalFacts::of_person(&requester.person));
            self.auth = self.auth.or_else(|| Some(DescribedAuth::of(&requester.authentication)));
        }
        Ok(self)
    }
}

fn about(elevation: DescribedElevation) -> AboutElevation {
    AboutElevation::Described(Box::new(elevation))
}

impl DescribedAuth {
    fn of(authentication: &Authentication) -> Self {
        let Authentication { issued_at, acr, amr, auth_time } = authentication.clone();
        Self { issued_at: Some(issued_at), acr, amr, auth_time }
    }
}

impl Examined {
    /// Its window, if credentials can be asked for under it then.
    fn window_at(&self, at: Moment) -> Option<DescribedElevation> {
        let window = self.elevation.window().filter(|window| self.elevation.is_open() && window.holds(at))?;
        Some(DescribedElevation {
            id: Some(self.elevation.id),
            approvals: Some(self.tally.count()),
            starts_at: Some(window.starts_at),
            ends_at: Some(window.ends_at),
            ..DescribedElevation::default()
        })
    }

    /// As whoever decides about it sees it.
    fn request(&self) -> DescribedElevation {
        let ask = &self.elevation.ask;
        DescribedElevation {
            id: Some(self.elevation.id),
            requester: Some(PrincipalFacts::of_person(&ask.requester.person)),
            duration: Some(ask.duration),
            reason: Some(ask.reason.clone()),
            ticket: ask.ticket.clone(),
            ..DescribedElevation::default()
        }
    }

    fn approvals(&self) -> ApprovalFacts {
        let groups = self.tally.groups().iter().map(|(issuer, group)| format!("{issuer}/{group}"));
        let people = self.tally.people().iter().map(ToString::to_string);
        ApprovalFacts { count: self.tally.count(), groups: groups.collect(), people: people.collect() }
    }
}
