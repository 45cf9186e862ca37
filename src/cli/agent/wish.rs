//! What a program asks the agent for: the path and the query of the broker's own container door.

use std::fmt;
use std::time::Duration;

use serde::Serialize;

use crate::ids::{ElevationId, GrantName};
use crate::span;

/// The longest session that AWS makes.
const LONGEST: u64 = 12 * 3_600;

/// A grant, and on which terms.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub(super) struct Wish {
    pub(super) grant: GrantName,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) elevation: Option<ElevationId>,
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "span::seconds::optional::serialize")]
    pub(super) expires_in: Option<Duration>,
}

impl Wish {
    /// `GRANT` and `expires_in=SECONDS&elevation=ID`. An error says what to write.
    pub(super) fn read(grant: &str, query: &str) -> Result<Self, String> {
        let grant = GrantName::new(grant).map_err(|error| error.to_string())?;
        let mut wish = Self { grant, elevation: None, expires_in: None };
        for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
            let is_first = match &*name {
                "elevation" => wish.elevation.replace(elevation(&value)?).is_none(),
                "expires_in" => wish.expires_in.replace(seconds(&value)?).is_none(),
                _ => {
                    return Err("the query may have `expires_in` and `elevation` and nothing else".to_owned());
                }
            };
            if !is_first {
                return Err("the query has a parameter twice".to_owned());
            }
        }
        Ok(wish)
    }
}

impl fmt::Display for Wish {
    /// As [`Wish::read`] takes it: the end of a URL.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.grant)?;
        let mut mark = '?';
        if let Some(id) = self.elevation {
            write!(f, "{mark}elevation={id}")?;
            mark = '&';
        }
        match self.expires_in {
            Some(span) => write!(f, "{mark}expires_in={}", span.as_secs()),
            None => Ok(()),
        }
    }
}

fn elevation(text: &str) -> Result<ElevationId, String> {
    text.parse().map_err(|_| "`elevation` is no elevation's id".to_owned())
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds = text.parse().ok().filter(|seconds| (1..=LONGEST).contains(seconds));
    seconds
        .map(Duration::from_secs)
        .ok_or_else(|| format!("`expires_in` is a number of seconds up to {LONGEST}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "elv-019ab3c4-5d6e-7f80-9a1b-2c3d4e5f6071";

    #[test]
    fn what_the_broker_would_not_take_is_refused_here_with_what_to_write() {
        for (grant, query) in [
            ("Orders", ""),
            ("orders/read", ""),
            ("orders-read", "expires_in=15m"),
            ("orders-read", "expires_in=0"),
            ("orders-read", "expires_in=43201"),
            ("orders-read", "expires_in=-1"),
            ("orders-read", "elevation=orders"),
            ("orders-read", "scope=a"),
            ("orders-read", "expires_in=900&expires_in=900"),
        ] {
            assert!(Wish::read(grant, query).is_err(), "{grant}?{query}");
        }
    }

    #[test]
    fn it_is_read_back_as_it_is_written() {
        for text in [
            "orders-read",
            "a?expires_in=900",
            &format!("a?elevation={ID}"),
            &format!("a?elevation={ID}&expires_in=60"),
        ] {
            let (grant, query) = text.split_once('?').unwrap_or((text, ""));
            assert_eq!(Wish::read(grant, query).unwrap().to_string(), *text);
        }
    }
}
