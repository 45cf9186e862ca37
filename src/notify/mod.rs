//! Notifications: what waits in the outbox is signed and sent to the configured receivers, at least once, in order per
//! elevation. Knows formats, signatures and patience; refuses to know why anything was said. A receiver that is away never
//! holds up a decision.

mod message;

pub use message::{HookId, Message};
