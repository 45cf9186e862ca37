//! What was found out, for people and for programs.

use std::collections::BTreeMap;

use serde_json::json;

use super::Outcome;
use crate::cli::Output;
use crate::cli::terminal::escaped;
use crate::policy::replay::{Change, Report, Tally};

/// Names in one table of the summary; with `--output json` all of them are there.
const MOST_ROWS: usize = 20;

pub(super) fn print(outcome: &Outcome, list: usize, out: &Output) -> anyhow::Result<()> {
    let Outcome { log, sets, report } = outcome;
    out.json(&json!({
        "log": { "origin": log.checkpoint.origin, "size": log.checkpoint.size },
        "against": sets.digest(),
        "total": report.total,
        "by_grant": report.by_grant,
        "by_principal": report.by_principal,
        "changes": report.changes,
        "inconsistent": report.inconsistent,
        "not_recorded": report.not_recorded,
    }))?;
    for line in text(report, list) {
        out.line(line)?;
    }
    out.line(format!(
        "log `{}` of {} entries, verified; against policies {}",
        log.checkpoint.origin,
        log.checkpoint.size,
        sets.digest()
    ))?;
    Ok(())
}

pub(super) fn text(report: &Report, list: usize) -> Vec<String> {
    let mut lines = Vec::new();
    lines.extend(report.inconsistent.iter().take(MOST_ROWS).map(|change| {
        format!(
            "INCONSISTENT  {}\n  the record says that these very policies decided otherwise",
            told(change)
        )
    }));
    let most = if list == 0 { usize::MAX } else { list };
    lines.extend(report.changes.iter().take(most).map(told));
    let more = report.changes.len().saturating_sub(most);
    if more > 0 {
        lines.push(format!("and {more} more (`--list 0` or `--output json` for all of them)"));
    }
    lines.extend(table("by grant", &report.by_grant));
    lines.extend(table("by principal", &report.by_principal));
    lines.extend(
        report.not_recorded.iter().map(|(why, count)| format!("not decided again: {count} {}", words(why))),
    );
    lines.push(sum(report));
    lines
}

/// ```text
/// newly_denied  entry 17 at 2026-11-22T16:00:00Z  issue on `orders` by `ci|job-1`
///   before: customer/a.cedar#all
///   after:  customer/a.cedar#no (a customer policy forbids it)
/// ```
///
/// Subjects are other people's words, and a log may say anything.
fn told(change: &Change) -> String {
    let names = |names: &[String]| {
        if names.is_empty() { "no policy".to_owned() } else { escaped(&names.join(", ")) }
    };
    let reason = change.reason.as_ref().map(|reason| format!(" ({})", escaped(reason))).unwrap_or_default();
    format!(
        "{}  entry {} at {}  {} on `{}` by `{}`\n  before: {}\n  after:  {}{reason}",
        change.kind.as_str(),
        change.index,
        change.at,
        change.action,
        change.grant,
        escaped(&change.principal),
        names(&change.before),
        names(&change.after),
    )
}

/// The names that something would change for, those with most changes first.
fn table(title: &str, tallies: &BTreeMap<String, Tally>) -> Vec<String> {
    let changed = tallies.iter().filter(|(_, tally)| tally.is_changed());
    let mut changed: Vec<_> = changed.map(|(name, tally)| (escaped(name), tally)).collect();
    if changed.is_empty() {
        return Vec::new();
    }
    changed.sort_by_key(|(_, tally)| std::cmp::Reverse(tally.newly_allowed + tally.newly_denied));
    let more = changed.len().saturating_sub(MOST_ROWS);
    changed.truncate(MOST_ROWS);
    let width = changed.iter().map(|(name, _)| name.chars().count() + 2).max().unwrap_or(0).max(title.len());
    let row = |name: &str, cells: [&str; 4]| {
        let [decisions, allowed, denied, others] = cells;
        format!("{name:<width$}  {decisions:>9}  {allowed:>13}  {denied:>12}  {others:>14}")
    };
    let mut lines = vec![row(title, ["decisions", "newly allowed", "newly denied", "other policies"])];
    lines.extend(changed.into_iter().map(|(name, tally)| {
        let Tally { decisions, newly_allowed, newly_denied, other_policies } = tally;
        let cells = [decisions, newly_allowed, newly_denied, other_policies].map(ToString::to_string);
        row(&format!("  {name}"), cells.each_ref().map(String::as_str))
    }));
    if more > 0 {
        lines.push(format!("  and {more} more"));
    }
    lines
}

fn words(why: &str) -> String {
    match why {
        "no_facts" => "without facts: they are from before facts were kept".to_owned(),
        "too_large" => "whose facts were too large for the log".to_owned(),
        "not_kept" => "whose facts were not kept (`[audit] facts = false`)".to_owned(),
        "deliveries" => {
            "summaries of deliveries, which stand on issues that have facts of their own".to_owned()
        }
        "unreadable_facts" => "with facts that this version of the program cannot read".to_owned(),
        other => format!("({})", escaped(other)),
    }
}

fn sum(report: &Report) -> String {
    let Tally { decisions, newly_allowed, newly_denied, other_policies } = report.total;
    let inconsistent = match report.inconsistent.len() {
        0 => String::new(),
        count => format!(", {count} INCONSISTENT"),
    };
    format!(
        "{decisions} decisions made again: {newly_allowed} newly allowed, {newly_denied} newly denied, \
         {other_policies} the same by other policies{inconsistent}"
    )
}
