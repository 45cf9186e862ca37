//! Every route there is, who may call it and what it writes down. A route that is not in these tables is not served:
//! the routers below take their paths from here, and a test walks both.

/// Who may call a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Anyone, on purpose: it tells nothing that is not published.
    Public,
    /// The request carries a subject token that is verified.
    SubjectToken,
    /// The request carries a subject token that is verified, or is signed (`SigV4`) with a key that we issued.
    SubjectTokenOrIssuedKey,
    /// The request carries a token of a trusted issuer, a workload's or a person's (RFC 6750).
    Bearer,
    /// The request carries a person's token (RFC 6750); policy decides what they may do.
    Person,
    /// Whoever reaches the ops listener; it only reads.
    OpsListener,
    /// The request proves possession of the key-encryption key.
    Operator,
}

/// What a route leaves behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Writes {
    /// Nothing; it changes nothing either.
    Nothing,
    /// An audit entry of one of these types for every change.
    Entries(&'static [&'static str]),
}

/// One route.
#[derive(Clone, Copy, Debug)]
pub struct Route {
    /// HTTP method.
    pub method: &'static str,
    /// Path as axum spells it.
    pub path: &'static str,
    /// Who may call it.
    pub access: Access,
    /// What it writes down.
    pub writes: Writes,
}

const fn public_get(path: &'static str) -> Route {
    Route { method: "GET", path, access: Access::Public, writes: Writes::Nothing }
}

/// What every door to the exchange leaves behind.
const ISSUING: Writes = Writes::Entries(&[
    "credential.issued",
    "credential.delivered",
    "credential.refused",
    "aws.assume_role.requested",
]);

pub(super) const TOKEN: Route =
    Route { method: "POST", path: "/oauth2/token", access: Access::SubjectToken, writes: ISSUING };
pub(super) const CONTAINER: Route =
    Route { method: "GET", path: "/aws/credentials/{grant}", access: Access::SubjectToken, writes: ISSUING };
pub(super) const STS: Route =
    Route { method: "POST", path: "/sts", access: Access::SubjectTokenOrIssuedKey, writes: ISSUING };
/// Some SDKs append the slash.
pub(super) const STS_SLASH: Route = Route { path: "/sts/", ..STS };
pub(super) const INTROSPECT: Route =
    Route { method: "POST", path: "/oauth2/introspect", access: Access::Bearer, writes: Writes::Nothing };
pub(super) const REVOKE_TOKEN: Route = Route {
    method: "POST",
    path: "/oauth2/revoke",
    access: Access::Bearer,
    writes: Writes::Entries(&["token.revoked"]),
};
pub(super) const OPENID_CONFIGURATION: Route = public_get("/.well-known/openid-configuration");
pub(super) const OAUTH_METADATA: Route = public_get("/.well-known/oauth-authorization-server");
pub(super) const JWKS: Route = public_get("/.well-known/jwks.json");
pub(super) const CHECKPOINT: Route = public_get("/log/checkpoint");
pub(super) const LOG_KEY: Route = public_get("/log/key");
pub(super) const TILE: Route = public_get("/log/tile/{*path}");
pub(super) const OPENAPI: Route = public_get("/openapi.json");

const fn person_get(path: &'static str) -> Route {
    Route { method: "GET", path, access: Access::Person, writes: Writes::Nothing }
}

const fn person_post(path: &'static str, entries: &'static [&'static str]) -> Route {
    Route { method: "POST", path, access: Access::Person, writes: Writes::Entries(entries) }
}

pub(super) const REQUEST: Route =
    person_post("/v1/elevations", &["elevation.requested", "elevation.refused"]);
pub(super) const ELEVATIONS: Route = person_get("/v1/elevations");
pub(super) const ELEVATION: Route = person_get("/v1/elevations/{id}");
pub(super) const APPROVE: Route = person_post(
    "/v1/elevations/{id}/approve",
    &["elevation.approved", "elevation.activated", "elevation.refused"],
);
pub(super) const DENY: Route =
    person_post("/v1/elevations/{id}/deny", &["elevation.denied", "elevation.refused"]);
pub(super) const WITHDRAW: Route =
    person_post("/v1/elevations/{id}/withdraw", &["elevation.withdrawn", "elevation.refused"]);
pub(super) const END: Route =
    person_post("/v1/elevations/{id}/end", &["elevation.ended", "elevation.refused"]);
pub(super) const REVOKE: Route =
    person_post("/v1/elevations/{id}/revoke", &["elevation.revoked", "elevation.refused"]);
pub(super) const SET_LOCK: Route = person_post("/v1/locks", &["lock.set", "elevation.refused"]);
pub(super) const LOCKS: Route = person_get("/v1/locks");
pub(super) const LOCK: Route = Route {
    method: "DELETE",
    path: "/v1/locks/{id}",
    access: Access::Person,
    writes: Writes::Entries(&["lock.lifted", "elevation.refused"]),
};
pub(super) const GRANTS: Route = person_get("/v1/grants");
pub(super) const WHOAMI: Route = person_get("/v1/whoami");
pub(super) const ENTRIES: Route = person_get("/v1/audit/entries");
pub(super) const PROOF: Route = person_get("/v1/audit/entries/{index}/proof");
/// What is refused is written down; what is answered changed nothing.
pub(super) const EXPLAIN: Route = person_post("/v1/explain", &["elevation.refused"]);
pub(super) const EVENTS: Route = person_get("/v1/events");

const fn ops_get(path: &'static str) -> Route {
    Route { method: "GET", path, access: Access::OpsListener, writes: Writes::Nothing }
}

pub(super) const HEALTHZ: Route = ops_get("/healthz");
pub(super) const READYZ: Route = ops_get("/readyz");
pub(super) const METRICS: Route = ops_get("/metrics");
pub(super) const KEYS: Route =
    Route { method: "GET", path: "/keys", access: Access::Operator, writes: Writes::Nothing };
pub(super) const ROTATE: Route = Route {
    method: "POST",
    path: "/keys/rotate",
    access: Access::Operator,
    writes: Writes::Entries(&["key.created", "key.activated", "key.retired"]),
};
pub(super) const ROTATE_KEK: Route = Route {
    method: "POST",
    path: "/keys/rotate-kek",
    access: Access::Operator,
    writes: Writes::Entries(&["key.resealed"]),
};

/// What the public listener serves.
pub const PUBLIC_ROUTES: [Route; 30] = [
    TOKEN,
    CONTAINER,
    STS,
    STS_SLASH,
    INTROSPECT,
    REVOKE_TOKEN,
    OPENID_CONFIGURATION,
    OAUTH_METADATA,
    JWKS,
    CHECKPOINT,
    LOG_KEY,
    TILE,
    OPENAPI,
    REQUEST,
    ELEVATIONS,
    ELEVATION,
    APPROVE,
    DENY,
    WITHDRAW,
    END,
    REVOKE,
    SET_LOCK,
    LOCKS,
    LOCK,
    GRANTS,
    WHOAMI,
    ENTRIES,
    PROOF,
    EVENTS,
    EXPLAIN,
];

/// What the ops listener serves.
pub const OPS_ROUTES: [Route; 6] = [HEALTHZ, READYZ, METRICS, KEYS, ROTATE, ROTATE_KEK];
