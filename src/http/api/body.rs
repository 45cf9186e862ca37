//! What a request says beside its token: a strict JSON body, an `Idempotency-Key`, an id in the path, a query. Everything
//! that the door does not know is refused: a misspelt `duration` must not become the longest one.

use std::fmt;
use std::marker::PhantomData;
use std::ops::RangeInclusive;
use std::str::FromStr;
use std::sync::Arc;

use axum::body::to_bytes;
use axum::extract::{FromRequest, FromRequestParts, Path, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, header};
use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{DeserializeOwned, Deserializer, MapAccess, Visitor};

use super::ApiDoor;
use super::error::ApiError;
use crate::breakglass::service::{IdempotencyKey, Keyed};
use crate::http::form::Form;
use crate::secret::Fingerprint;

/// Messages of the parser may quote the caller's words; more of them explains nothing.
const MOST_MESSAGE_CHARS: usize = 300;

/// A POST with a body of that shape. No body at all counts as `{}`.
pub(super) struct Post<T> {
    pub(super) body: T,
    key: Option<IdempotencyKey>,
    bytes: Vec<u8>,
}

impl<T: DeserializeOwned> FromRequest<Arc<ApiDoor>> for Post<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, door: &Arc<ApiDoor>) -> Result<Self, ApiError> {
        query(request.uri().query(), &[])?;
        let key = idempotency_key(request.headers())?;
        let json = is_json(request.headers());
        let limits = door.limits;
        let bytes = tokio::time::timeout(limits.patience, to_bytes(request.into_body(), limits.max_body))
            .await
            .map_err(|_| {
                ApiError::new(StatusCode::REQUEST_TIMEOUT, "too_slow", "the body did not arrive in time")
            })?
            .map_err(|_| {
                let told = format!("the body is larger than {} bytes", limits.max_body);
                ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", told)
            })?;
        if !json && !bytes.is_empty() {
            let told = "the content type must be application/json";
            return Err(ApiError::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "content_type", told));
        }
        let body = parse(if bytes.is_empty() { b"{}" } else { &bytes })?;
        Ok(Self { body, key, bytes: bytes.into() })
    }
}

impl<T> Post<T> {
    /// For a request that may come again: what makes it the same one.
    pub(super) fn keyed(&self, route: &'static str) -> Option<Keyed<'_>> {
        self.key.as_ref().map(|key| Keyed { key, route, body: Fingerprint::of(&self.bytes) })
    }
}

/// Reads one object: no array in its place, no unknown member, none twice, nothing after it.
fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, ApiError> {
    serde_json::from_slice::<Object<T>>(bytes).map(|object| object.0).map_err(|error| {
        let told: String = format!("the body is not what this endpoint takes: {error}");
        ApiError::bad_request("invalid_body", told.chars().take(MOST_MESSAGE_CHARS).collect::<String>())
    })
}

/// A JSON object, where serde would also take an array of the members' values in the order of their declaration.
#[derive(Debug)]
pub(super) struct Object<T>(pub(super) T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OnlyMap<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for OnlyMap<T> {
            type Value = T;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON object")
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<T, A::Error> {
                T::deserialize(MapAccessDeserializer::new(map))
            }
        }
        deserializer.deserialize_map(OnlyMap(PhantomData)).map(Self)
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    let value = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    value.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case("application/json")
}

fn idempotency_key(headers: &HeaderMap) -> Result<Option<IdempotencyKey>, ApiError> {
    let told = "`Idempotency-Key` must be given once and have 1 to 255 visible ASCII characters";
    let refusal = || ApiError::bad_request("idempotency_key", told);
    let mut values = headers.get_all("idempotency-key").into_iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(refusal());
    }
    let text = value.to_str().map_err(|_| refusal())?;
    IdempotencyKey::new(text).map(Some).map_err(|_| refusal())
}

/// The id in the path. Text that is no id is answered like an id of nothing.
pub(super) struct Named<T>(pub(super) T);

impl<T: FromStr + Send> FromRequestParts<Arc<ApiDoor>> for Named<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, door: &Arc<ApiDoor>) -> Result<Self, ApiError> {
        let path = Path::<String>::from_request_parts(parts, door).await;
        let id = path.ok().and_then(|Path(text)| text.parse().ok());
        id.map(Self).ok_or_else(ApiError::not_found)
    }
}

/// The query of a route that takes none.
pub(super) struct NoQuery;

impl FromRequestParts<Arc<ApiDoor>> for NoQuery {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &Arc<ApiDoor>) -> Result<Self, ApiError> {
        query(parts.uri.query(), &[]).map(|_| Self)
    }
}

/// Parameters of a query: each once and known; an empty one counts as absent.
pub(super) fn query(text: Option<&str>, known: &[&'static str]) -> Result<Form, ApiError> {
    Ok(Form::parse(text.unwrap_or_default().as_bytes(), known)?)
}

/// A whole number in the query.
pub(super) fn number<N>(
    form: &mut Form,
    name: &'static str,
    within: &RangeInclusive<N>,
) -> Result<Option<N>, ApiError>
where
    N: FromStr + PartialOrd + fmt::Display,
{
    let Some(text) = form.take(name) else { return Ok(None) };
    let digits = text.bytes().all(|b| b.is_ascii_digit());
    let number = text.parse().ok().filter(|number| digits && within.contains(number));
    number.map(Some).ok_or_else(|| {
        let (least, most) = (within.start(), within.end());
        let told = format!("parameter `{name}` must be a whole number from {least} to {most}");
        ApiError::bad_request("invalid_request", told)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Shape {
        reason: String,
        #[serde(default)]
        inner: Option<Object<Inner>>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Inner {
        #[expect(dead_code, reason = "its shape is what is tested")]
        all: Option<bool>,
    }

    #[test]
    fn whatever_is_no_object_of_the_known_members_is_refused() {
        let deep = format!("{}1{}", "[".repeat(200), "]".repeat(200));
        for bad in [
            "",
            "null",
            "\"x\"",
            "[\"x\", null]",
            "{}",
            "{\"reason\": 1}",
            "{\"reason\": \"a\", \"resaon\": \"b\"}",
            "{\"reason\": \"a\", \"reason\": \"a\"}",
            "{\"reason\": \"a\", \"re\\u0061son\": \"b\"}",
            "{\"reason\": \"a\"} {}",
            "{\"reason\": \"a\", \"inner\": [true]}",
            "{\"reason\": \"a\", \"inner\": {\"all\": true, \"all\": true}}",
            "{\"reason\": \"\\ud800\"}",
            "{\"reason\": \"a\",}",
            &format!("{{\"reason\": {deep}}}"),
        ] {
            assert!(parse::<Shape>(bad.as_bytes()).is_err(), "{bad}");
        }
        assert!(parse::<Shape>(b"{\"reason\": \"\xff\"}").is_err());
        let read = parse::<Shape>(br#"{"reason": "<b>\u0000", "inner": {"all": true}}"#).unwrap();
        assert_eq!(read.reason, "<b>\0");
        assert!(read.inner.is_some());
    }
}
