//! The doors: one file each, each with its own dialect, each with only the services it uses. Knows HTTP; refuses to
//! know how anything is decided, made or kept.

mod abuse;
mod api;
mod bearer;
mod container;
mod desk;
mod edge;
mod form;
mod log;
mod oauth;
mod openapi;
mod ops;
mod parameters;
mod problem;
mod routes;
mod sts;
mod tokens;
mod wellknown;

use std::sync::Arc;

use axum::Router;

pub use abuse::AbuseLimit;
pub use api::{ApiDoor, ApiServices};
pub use container::ContainerDoor;
pub use desk::Desk;
pub use edge::{Edge, EdgeSettings};
pub use log::LogDoor;
pub use oauth::OauthDoor;
pub use ops::{OperatorKey, Operators, OpsDoor, Readiness};
pub use routes::{Access, OPS_ROUTES, PUBLIC_ROUTES, Route, Writes};
pub use sts::StsDoor;
pub use tokens::TokensDoor;
pub use wellknown::{Metadata, MetadataDoor};

/// What the public listener serves.
#[derive(Clone, Debug)]
pub struct PublicDoors {
    /// `POST /oauth2/token`
    pub oauth: Arc<OauthDoor>,
    /// `GET /aws/credentials/{grant}`
    pub container: Arc<ContainerDoor>,
    /// `POST /sts`
    pub sts: Arc<StsDoor>,
    /// `POST /oauth2/introspect`, `POST /oauth2/revoke`
    pub tokens: Arc<TokensDoor>,
    /// `/.well-known/…`
    pub metadata: Arc<MetadataDoor>,
    /// `/log/…`
    pub log: Arc<LogDoor>,
    /// `/v1/…`
    pub api: Arc<ApiDoor>,
}

/// Every public route behind the edge: request ids, limits, time-outs, panics.
pub fn public(doors: &PublicDoors, edge: &Arc<Edge>) -> Router {
    let router = Router::new()
        .merge(oauth::routes(&doors.oauth))
        .merge(container::routes(&doors.container))
        .merge(sts::routes(&doors.sts))
        .merge(tokens::routes(&doors.tokens))
        .merge(wellknown::routes(&doors.metadata))
        .merge(log::routes(&doors.log))
        .merge(api::routes(&doors.api))
        .merge(openapi::routes());
    edge::wrap(router, edge)
}

/// Every route of the ops listener.
pub fn ops(door: &Arc<OpsDoor>, edge: &Arc<Edge>) -> Router {
    edge::wrap(ops::routes(door), edge)
}
