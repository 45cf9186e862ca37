//! Notifications: what waits in the outbox is signed and sent to the configured receivers, at least once, in order per
//! elevation. Knows formats, signatures and patience; refuses to know why anything was said. A receiver that is away never
//! holds up a decision.

mod format;
mod hook;
mod message;
mod patience;
pub mod service;
mod sign;

pub use format::Format;
pub use hook::Hook;
pub use message::{HookId, Message};
pub use sign::signature;

#[cfg(test)]
mod fixtures {
    use super::Message;
    use crate::breakglass::StateName;
    use crate::clock::Moment;
    use crate::ids::ElevationId;

    /// When every test begins.
    pub(super) fn start() -> Moment {
        Moment::from_unix_seconds(1_795_363_392)
    }

    pub(super) fn elevation(number: u8) -> ElevationId {
        format!("elv-01900000-0000-7000-8000-0000000000{number:02x}").parse().unwrap()
    }

    /// Of the first elevation.
    pub(super) fn message(event: &str, version: u64) -> Message {
        Message {
            event: event.to_owned(),
            elevation: elevation(1),
            version,
            state: StateName::Requested,
            grant: "prod-admin".to_owned(),
            requester: "vendor|ann".to_owned(),
            requester_name: Some("Ann".to_owned()),
            reason: "the nightly import hangs".to_owned(),
            ticket: Some("OPS-1".to_owned()),
            by: None,
            at: start(),
            ends_at: None,
            approvals: 0,
            approvals_needed: 2,
        }
    }
}
