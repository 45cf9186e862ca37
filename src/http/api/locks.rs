//! `/v1/locks`: freeze, see what is frozen, thaw.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, post};
use axum::{Json, Router};
use serde::{Deserialize, Serialize};

use super::ApiDoor;
use super::bearer::SignedIn;
use super::body::{Named, NoQuery, Object, Post};
use super::error::ApiError;
use super::values::Span;
use crate::clock::Moment;
use crate::http::routes::{LOCK, LOCKS};
use crate::ids::{ElevationId, GrantName, IssuerName, LockId};
use crate::locks::service::{LockView, NewLock};
use crate::locks::{Lock, LockTarget};
use crate::principal::PrincipalId;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    target: Object<Target>,
    reason: String,
    ttl: Option<Span>,
}

/// Exactly one of them.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
struct Target {
    /// `<issuer name>|<sub>`
    #[serde(skip_serializing_if = "Option::is_none")]
    principal: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    issuer: Option<IssuerName>,
    #[serde(skip_serializing_if = "Option::is_none")]
    grant: Option<GrantName>,
    #[serde(skip_serializing_if = "Option::is_none")]
    elevation: Option<ElevationId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    all: Option<bool>,
}

impl Target {
    fn read(&self) -> Result<LockTarget, ApiError> {
        let principal = self.principal.as_ref().map(|id| format!("principal:{id}").parse::<LockTarget>());
        let principal = principal.transpose().map_err(|_| {
            ApiError::bad_request("invalid_body", "`target.principal` must be `<issuer name>|<subject>`")
        })?;
        let named = [
            principal,
            self.issuer.clone().map(LockTarget::Issuer),
            self.grant.clone().map(LockTarget::Grant),
            self.elevation.map(LockTarget::Elevation),
            self.all.and_then(|all| all.then_some(LockTarget::All)),
        ];
        let mut named = named.into_iter().flatten();
        match (named.next(), named.next()) {
            (Some(target), None) if self.all != Some(false) => Ok(target),
            _ => Err(ApiError::bad_request(
                "invalid_body",
                "`target` must have exactly one of `principal`, `issuer`, `grant`, `elevation` and `\"all\": true`",
            )),
        }
    }

    fn of(target: &LockTarget) -> Self {
        let nothing = Self::default();
        match target {
            LockTarget::Principal(id) => Self { principal: Some(id.to_string()), ..nothing },
            LockTarget::Issuer(name) => Self { issuer: Some(name.clone()), ..nothing },
            LockTarget::Grant(name) => Self { grant: Some(name.clone()), ..nothing },
            LockTarget::Elevation(id) => Self { elevation: Some(*id), ..nothing },
            LockTarget::All => Self { all: Some(true), ..nothing },
        }
    }
}

#[derive(Serialize)]
struct View<'a> {
    id: LockId,
    target: Target,
    reason: &'a str,
    by: &'a PrincipalId,
    at: Moment,
    #[serde(skip_serializing_if = "Option::is_none")]
    until: Option<Moment>,
    /// `false` while it holds in memory only, because the log cannot be written.
    #[serde(skip_serializing_if = "Option::is_none")]
    recorded: Option<bool>,
}

impl<'a> View<'a> {
    fn of(lock: &'a Lock, recorded: bool) -> Self {
        let Lock { id, target, reason, by, at, until } = lock;
        let (target, recorded) = (Target::of(target), (!recorded).then_some(false));
        Self { id: *id, target, reason, by, at: *at, until: *until, recorded }
    }
}

#[derive(Serialize)]
struct Listed<'a> {
    locks: Vec<View<'a>>,
}

pub(super) fn routes() -> Router<Arc<ApiDoor>> {
    Router::new().route(LOCKS.path, post(set).get(list)).route(LOCK.path, delete(lift))
}

async fn set(
    SignedIn(caller): SignedIn,
    State(door): State<Arc<ApiDoor>>,
    post: Post<Wanted>,
) -> Result<Response, ApiError> {
    let Wanted { target, reason, ttl } = &post.body;
    let new = NewLock { target: target.0.read()?, reason: reason.clone(), ttl: ttl.map(|span| span.0) };
    let LockView { lock, recorded } = door.locks.set(&caller, new, post.keyed("lock")).await?;
    let status = if recorded { StatusCode::CREATED } else { StatusCode::ACCEPTED };
    let place = format!("{}/{}", LOCKS.path, lock.id);
    Ok((status, [(header::LOCATION, place)], Json(View::of(&lock, recorded))).into_response())
}

async fn list(
    SignedIn(caller): SignedIn,
    State(door): State<Arc<ApiDoor>>,
    _: NoQuery,
) -> Result<Response, ApiError> {
    let locks = door.locks.list(&caller)?;
    let locks = locks.iter().map(|view| View::of(&view.lock, view.recorded)).collect();
    Ok(Json(Listed { locks }).into_response())
}

async fn lift(
    SignedIn(caller): SignedIn,
    State(door): State<Arc<ApiDoor>>,
    Named(id): Named<LockId>,
    _: NoQuery,
) -> Result<Response, ApiError> {
    let lock = door.locks.lift(&caller, id).await?;
    Ok(Json(View::of(&lock, true)).into_response())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<LockTarget, ()> {
        serde_json::from_str::<Target>(text).map_err(drop)?.read().map_err(drop)
    }

    #[test]
    fn a_target_is_exactly_one_thing() {
        for bad in [
            "{}",
            r#"{"all": false}"#,
            r#"{"grant": "a", "all": true}"#,
            r#"{"grant": "a", "all": false}"#,
            r#"{"grant": "a", "issuer": "b"}"#,
            r#"{"grant": "A b"}"#,
            r#"{"principal": "no-bar"}"#,
            r#"{"principal": "people|"}"#,
            r#"{"elevation": "elv-1"}"#,
            r#"{"role": "a"}"#,
        ] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn every_target_is_shown_as_it_is_written() {
        for text in [
            r#"{"principal":"people|a|b"}"#,
            r#"{"issuer":"people"}"#,
            r#"{"grant":"prod-admin"}"#,
            r#"{"elevation":"elv-01a204b4-7a5e-7994-8652-29cf5b8dd4ce"}"#,
            r#"{"all":true}"#,
        ] {
            assert_eq!(serde_json::to_string(&Target::of(&read(text).unwrap())).unwrap(), text);
        }
    }
}
