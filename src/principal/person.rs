//! People, and how anybody signed in.

use std::collections::BTreeSet;
use std::time::Duration;

use super::attributes::ClaimReader;
use super::profiles::MapError;
use super::{Authentication, Person, PrincipalId};
use crate::claims::Claim;
use crate::clock::Moment;

/// An `auth_time` may be this far after `iat`: issuers stamp the two with different clocks.
const AUTH_TIME_SLACK: Duration = Duration::from_secs(30);

/// `email` and `name` are for display. An e-mail address is no identity: aliases, reuse and case make two of one person
/// or one of two, and that is how people have approved themselves.
pub(super) fn person(id: PrincipalId, mut reader: ClaimReader<'_>) -> Result<Person, MapError> {
    let email = reader.optional_text("email")?;
    let name = reader.optional_text("name")?;
    let groups = reader.groups()?;
    Ok(Person { id, email, name, groups, tags: reader.tags() })
}

pub(super) fn authentication(
    reader: &mut ClaimReader<'_>,
    issued_at: Moment,
) -> Result<Authentication, MapError> {
    let acr = reader.optional_text("acr")?;
    let amr = reader.optional_texts("amr")?.unwrap_or_else(BTreeSet::new);
    let auth_time = match reader.take("auth_time") {
        None | Some(Claim::Null) => None,
        Some(Claim::Integer(seconds)) if *seconds >= 0 => Some(Moment::from_unix_seconds(*seconds)),
        Some(_) => return Err(reader.fault("auth_time", "not a whole number of seconds")),
    };
    // a sign-in of the future would count as recent for ever
    if auth_time.is_some_and(|at| at > issued_at.plus(AUTH_TIME_SLACK)) {
        return Err(reader.fault("auth_time", "after `iat`"));
    }
    Ok(Authentication { issued_at, acr, amr, auth_time })
}
