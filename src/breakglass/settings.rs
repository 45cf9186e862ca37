//! What the operator configures about break-glass.

use std::time::Duration;

use super::ask::AskRules;

/// `[breakglass]`
#[derive(Clone, Debug)]
pub struct Settings {
    /// What a request must look like.
    pub rules: AskRules,
    /// How many open elevations one person may have.
    pub open_per_person: u32,
    /// How many open elevations one grant may have.
    pub open_per_grant: u32,
}

impl Default for Settings {
    fn default() -> Self {
        let rules = AskRules {
            request_ttl: Duration::from_hours(1),
            min_reason: 10,
            ticket: None,
            horizon: Duration::from_hours(14 * 24),
        };
        Self { rules, open_per_person: 5, open_per_grant: 20 }
    }
}
