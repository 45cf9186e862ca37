//! `[breakglass]`, `[[notify]]` and `[clock]`: what requests must look like, who hears of them, and what the clock may do.

use std::collections::HashSet;
use std::time::Duration;

use super::net::web_url;
use super::secret_source::{readable_file, secret};
use super::shape::NOTIFY;
use crate::breakglass::{AskRules, Settings, TicketPattern};
use crate::document::{At, Section};
use crate::notify::{Format, Hook};
use crate::secret::SecretText;

/// `[clock]`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClockSettings {
    /// How far back the clock may step before nothing is issued or approved any more. Not bounded: after a jump ahead that
    /// was written down, a large one is the operator's way to go on.
    pub max_step_back: Duration,
}

impl Default for ClockSettings {
    fn default() -> Self {
        Self { max_step_back: Duration::from_secs(30) }
    }
}

/// A longer wait is a plan and not an emergency: ask with `not_before`.
const LONGEST_REQUEST_TTL: Duration = Duration::from_hours(7 * 24);
/// Policies, people and grants change: what is approved so long ahead was decided about another world.
const LONGEST_AHEAD: Duration = Duration::from_hours(90 * 24);
/// Fewer could be guessed from the signatures that receivers see.
const SHORTEST_SECRET: usize = 32;

pub(super) fn read_clock(section: Option<&Section<'_>>) -> ClockSettings {
    let step = section.and_then(|section| section.duration("max_step_back"));
    step.map_or_else(ClockSettings::default, |at| ClockSettings { max_step_back: at.value })
}

pub(super) fn read_breakglass(section: Option<&Section<'_>>) -> Settings {
    let usual = Settings::default();
    let Some(section) = section else { return usual };
    let count = |key, usual| section.number(key, 1, 10_000).unwrap_or(usual);
    Settings {
        rules: AskRules {
            request_ttl: at_most(section, "request_ttl", LONGEST_REQUEST_TTL)
                .unwrap_or(usual.rules.request_ttl),
            min_reason: read_min_reason(section).unwrap_or(usual.rules.min_reason),
            ticket: section.parsed("ticket_pattern", ticket_pattern).map(|at| at.value),
            horizon: at_most(section, "schedule_ahead", LONGEST_AHEAD).unwrap_or(usual.rules.horizon),
        },
        open_per_person: count("max_open_per_person", usual.open_per_person),
        open_per_grant: count("max_open_per_grant", usual.open_per_grant),
    }
}

fn read_min_reason(section: &Section<'_>) -> Option<usize> {
    section.number("min_reason", 1, 500).and_then(|least| usize::try_from(least).ok())
}

/// A pattern that takes the empty text would make the ticket obligatory and meaningless.
fn ticket_pattern(text: &str) -> Result<TicketPattern, (String, String)> {
    let example =
        || "such as '[A-Z]+-[0-9]+', in single quotes: TOML then leaves backslashes alone".to_owned();
    let pattern = TicketPattern::parse(text).map_err(|error| (syntax(&error), example()))?;
    if pattern.matches("") {
        return Err(("the pattern also fits an empty ticket".to_owned(), example()));
    }
    Ok(pattern)
}

/// The last line of the library's text says what is wrong; the lines above it draw the pattern.
fn syntax(error: &regex::Error) -> String {
    let text = error.to_string();
    let last = text.lines().last().unwrap_or_default();
    format!("no regular expression: {}", last.trim().trim_start_matches("error: "))
}

fn at_most(section: &Section<'_>, key: &str, most: Duration) -> Option<Duration> {
    let span = section.duration(key)?;
    if span.value > most {
        let most = crate::span::format_duration(most);
        section.fault_at(&span.place, format!("longer than {most}"), format!("at most \"{most}\""));
        return None;
    }
    Some(span.value)
}

pub(super) fn read_hooks(top: &Section<'_>) -> Option<Vec<Hook>> {
    let sections = top.sections("notify", &NOTIFY);
    let read: Vec<_> = sections.iter().map(read_hook).collect();
    // The URL is the receiver's name in the outbox: two entries would take each other's messages.
    let mut seen = HashSet::new();
    for (section, hook) in sections.iter().zip(&read) {
        if hook.as_ref().is_some_and(|hook| !seen.insert(hook.id())) {
            let help = "keep one of them: its messages would go to one of the two, nobody knows to which";
            section.fault("url", "two receivers have this URL", help);
        }
    }
    read.into_iter().collect()
}

fn read_hook(section: &Section<'_>) -> Option<Hook> {
    let url = section.parsed("url", |text| web_url(text).map_err(|_| bad_url()));
    let url = section.require("url", url, "such as url = \"https://hooks.example.com/…\"");
    let secret = read_secret(section);
    let format = section.one_of("format", &[("json", Format::Json), ("slack", Format::Slack)]);
    let ca_file = readable_file(section, "ca_file");
    Some(Hook {
        url: url?.value,
        secret: secret?,
        format: format.map_or(Format::Json, |at| at.value),
        ca_file: ca_file.map(|at| at.value),
    })
}

/// Without the URL: whoever has the URL of a chat's webhook can write into that chat.
fn bad_url() -> (String, String) {
    let help = "https, or http on 127.0.0.1, [::1] or localhost, without a user name or password";
    ("not a URL that messages can be sent to".to_owned(), help.to_owned())
}

fn read_secret(section: &Section<'_>) -> Option<SecretText> {
    if !section.has("secret") && !section.has("secret_file") {
        let help = "secret_file = \"hook.secret\" (openssl rand -base64 32 > hook.secret)";
        section.fault("secret_file", "missing: receivers check who sent a message", help);
    }
    let At { value: source, place } = secret(section, "secret", "secret_file")?;
    match source.read() {
        Ok(text) if text.expose().len() >= SHORTEST_SECRET => Some(text),
        Ok(_) => {
            let message = format!("shorter than {SHORTEST_SECRET} characters: it could be guessed");
            section.fault_at(&place, message, "openssl rand -base64 32");
            None
        }
        Err(error) => {
            section.fault_at(&place, format!("cannot be read as text: {error}"), "openssl rand -base64 32");
            None
        }
    }
}
