//! Structured logs on standard output: one JSON object a line, or text for people.

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::config::{LogFormat, LogSettings};

/// What the libraries below us may say: an SDK at debug level prints requests, and requests hold tokens.
const LIBRARIES: &str = "warn";

/// Starts logging. A second call is ignored: tests and the demo share one process.
pub(super) fn start(settings: &LogSettings) {
    let filter = EnvFilter::new(format!("{LIBRARIES},tidegate={}", settings.level.as_str()));
    let registry = tracing_subscriber::registry().with(filter);
    let _ = match settings.format {
        LogFormat::Json => {
            registry.with(fmt::layer().json().flatten_event(true).with_target(true)).try_init()
        }
        LogFormat::Text => registry.with(fmt::layer().with_target(false)).try_init(),
    };
}
