//! Our values as Cedar's. What Cedar cannot hold is an error, and an error denies.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;
use std::net::IpAddr;
use std::sync::LazyLock;

use cedar_policy::{EntityUid, RestrictedExpression as Expr};
use cedar_policy_core::ast::{Name, RestrictedExpr};

use crate::clock::Moment;

/// A value that Cedar cannot hold, in words for the operator.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(super) struct ValueError(pub(super) String);

impl ValueError {
    pub(super) fn of(error: impl Display) -> Self {
        Self(error.to_string())
    }
}

/// Members of a record, an entity or the context; optional ones that are absent are left out.
#[derive(Debug, Default)]
pub(super) struct Members(pub(super) Vec<(String, Expr)>);

impl Members {
    pub(super) fn put(&mut self, name: &str, value: Expr) {
        self.0.push((name.to_owned(), value));
    }

    pub(super) fn text(&mut self, name: &str, value: &str) {
        self.put(name, text(value));
    }

    pub(super) fn optional(&mut self, name: &str, value: Option<&str>) {
        if let Some(value) = value {
            self.text(name, value);
        }
    }

    pub(super) fn record(self) -> Result<Expr, ValueError> {
        Expr::new_record(self.0).map_err(ValueError::of)
    }
}

pub(super) fn text(value: &str) -> Expr {
    Expr::new_string(value.to_owned())
}

pub(super) fn texts<'a>(values: impl IntoIterator<Item = &'a str>) -> Expr {
    Expr::new_set(values.into_iter().map(text))
}

pub(super) fn entity(uid: EntityUid) -> Expr {
    Expr::new_entity_uid(uid)
}

pub(super) fn tags(tags: &BTreeMap<String, BTreeSet<String>>) -> impl Iterator<Item = (String, Expr)> {
    tags.iter().map(|(name, values)| (name.clone(), texts(values.iter().map(String::as_str))))
}

pub(super) fn duration(span: std::time::Duration) -> Expr {
    static NAME: ExtensionName = LazyLock::new(|| Name::parse_unqualified_name("duration").ok());
    extension(&NAME, Expr::new_duration, format!("{}ms", span.as_millis()))
}

/// An IPv4 address inside an IPv6 one (`::ffff:10.0.0.1`) would slip past every range written for IPv4.
pub(super) fn ip(address: IpAddr) -> Expr {
    static NAME: ExtensionName = LazyLock::new(|| Name::parse_unqualified_name("ip").ok());
    extension(&NAME, Expr::new_ip, address.to_canonical().to_string())
}

/// Cedar reads `YYYY-MM-DDThh:mm:ss.sssZ` and no other form of it.
pub(super) fn datetime(at: Moment) -> Result<Expr, ValueError> {
    static NAME: ExtensionName = LazyLock::new(|| Name::parse_unqualified_name("datetime").ok());
    let refusal = || ValueError(format!("`{at}` is outside the years 0 to 9999"));
    let stamp = jiff::Timestamp::from_millisecond(at.unix_millis()).map_err(|_| refusal())?;
    let civil = jiff::tz::Offset::UTC.to_datetime(stamp);
    if civil.year() < 0 {
        return Err(refusal());
    }
    let text = format!(
        "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z",
        civil.year(),
        civil.month(),
        civil.day(),
        civil.hour(),
        civil.minute(),
        civil.second(),
        civil.millisecond(),
    );
    Ok(extension(&NAME, Expr::new_datetime, text))
}

/// The name of an extension's constructor, parsed once: parsing it again costs as much as deciding.
type ExtensionName = LazyLock<Option<Name>>;

/// What `slowly` gives, without parsing the name.
fn extension(name: &ExtensionName, slowly: fn(String) -> Expr, text: String) -> Expr {
    match &**name {
        Some(name) => RestrictedExpr::call_extension_fn(name.clone(), [RestrictedExpr::val(text)]).into(),
        None => slowly(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_short_way_gives_what_cedars_own_constructors_give() {
        let address = IpAddr::from([10, 0, 0, 1]);
        let at = Moment::from_unix_millis(1_795_363_392_250);
        let span = std::time::Duration::from_millis(1500);
        for (short, own) in [
            (ip(address), Expr::new_ip("10.0.0.1")),
            (datetime(at).unwrap(), Expr::new_datetime("2026-11-22T16:03:12.250Z")),
            (duration(span), Expr::new_duration("1500ms")),
        ] {
            assert_eq!(short.as_ref(), own.as_ref());
        }
    }
}
