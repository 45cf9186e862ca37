//! `/v1/…`: the break-glass API for people. Knows JSON, bearer tokens and status codes; promises that nobody who has not
//! signed in reaches a service; refuses to know who may do what: the services ask policy.

mod audit;
mod bearer;
mod body;
mod decisions;
mod elevations;
mod error;
mod events;
mod explain;
mod locks;
mod people;
mod streams;
mod values;
mod view;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::middleware::from_fn;

use self::streams::Streams;
use super::abuse::AbuseLimit;
use super::form::FormLimits;
use crate::audit::AuditLog;
use crate::breakglass::service::BreakGlass;
use crate::clock::Clock;
use crate::exchange::PrincipalRate;
use crate::explain::Explainer;
use crate::locks::service::LockBook;
use crate::people::People;

/// What the API stands on.
#[derive(Debug)]
pub struct ApiServices {
    /// Tells who is calling.
    pub people: Arc<People>,
    /// Elevations.
    pub breakglass: Arc<BreakGlass>,
    /// Freezes.
    pub locks: Arc<LockBook>,
    /// Answers why.
    pub explainer: Arc<Explainer>,
    /// The log, to be read.
    pub audit: AuditLog,
    /// Addresses that keep sending what does not verify.
    pub abuse: Arc<AbuseLimit>,
    /// How often one person may come.
    pub rate: PrincipalRate,
    /// The time.
    pub clock: Arc<dyn Clock>,
}

/// The API's services and limits.
#[derive(Debug)]
pub struct ApiDoor {
    people: Arc<People>,
    breakglass: Arc<BreakGlass>,
    locks: Arc<LockBook>,
    explainer: Arc<Explainer>,
    audit: AuditLog,
    abuse: Arc<AbuseLimit>,
    rate: PrincipalRate,
    clock: Arc<dyn Clock>,
    limits: FormLimits,
    streams: Streams,
}

impl ApiDoor {
    /// Bodies over `max_body` bytes, or slower than `patience`, are refused.
    pub fn new(services: ApiServices, max_body: usize, patience: Duration) -> Self {
        let ApiServices { people, breakglass, locks, explainer, audit, abuse, rate, clock } = services;
        let (limits, streams) = (FormLimits { max_body, patience }, Streams::new());
        Self { people, breakglass, locks, explainer, audit, abuse, rate, clock, limits, streams }
    }

    /// Ends every event stream: they would not end by themselves when the listener drains.
    pub fn stop_streams(&self) {
        self.streams.stop();
    }
}

pub(super) fn routes(door: &Arc<ApiDoor>) -> Router {
    Router::new()
        .merge(elevations::routes())
        .merge(decisions::routes())
        .merge(locks::routes())
        .merge(people::routes())
        .merge(audit::routes())
        .merge(events::routes())
        .merge(explain::routes())
        .layer(from_fn(error::render))
        .with_state(Arc::clone(door))
}
