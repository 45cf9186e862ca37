//! Parameters that several doors take, and what is told when one does not hold.

use crate::grants::Lifetime;
use crate::ids::ElevationId;

pub(super) const EXPIRES_IN: &str = "expires_in";
pub(super) const ELEVATION: &str = "elevation";

/// A parameter's value is not what it must be. `Display` goes to the caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("parameter `{name}` must be {what}")]
pub(super) struct BadParameter {
    pub(super) name: &'static str,
    pub(super) what: &'static str,
}

/// Digits only: what `parse` takes beside them (`+60`) is no way to write seconds.
pub(super) fn whole_number(text: &str) -> Option<i64> {
    text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

pub(super) fn lifetime(text: &str) -> Result<Lifetime, BadParameter> {
    let seconds = whole_number(text).and_then(|seconds| Lifetime::from_seconds(seconds).ok());
    seconds.ok_or(BadParameter { name: EXPIRES_IN, what: "whole seconds from 1 to 604800" })
}

pub(super) fn elevation(text: &str) -> Result<ElevationId, BadParameter> {
    let what = "an elevation's id, as it was given when it was requested";
    text.parse().map_err(|_| BadParameter { name: ELEVATION, what })
}

/// Token files often end with a newline, and clients send it along.
pub(super) fn without_line_end(mut token: String) -> String {
    token.truncate(token.trim_end_matches(['\r', '\n']).len());
    token
}
