//! The report as Markdown.

use std::fmt::Write as _;

use super::{Invariants, Report};
use crate::policy::overview::{ActionOverview, GrantOverview, PolicyOverview};

/// The whole page.
pub(super) fn page(report: &Report) -> String {
    let mut page = String::new();
    let authors: Vec<_> = report.overview.authors.iter().map(ToString::to_string).collect();
    let _ = write!(
        page,
        "# Policies: who can get what\n\n\
         | | |\n|---|---|\n\
         | policy sets | `{}` |\n\
         | authors, each of whom must permit | {} |\n\
         | read from | `{}` |\n\
         | at | {} |\n\
         | by | tidegate {} |\n\n\
         A request is permitted when every author has a permit that holds, no forbid of either holds, and no policy fails. All \
         conditions of a policy must hold. A break-glass grant is issued under an active elevation only, whatever is said \
         below; nobody approves their own request. The digest is that of every entry that these sets decided.\n",
        report.overview.digest,
        authors.join(", "),
        report.folder,
        report.at,
        report.version,
    );
    invariants(&mut page, &report.invariants);
    for grant in &report.overview.grants {
        of_grant(&mut page, grant);
    }
    page
}

fn invariants(page: &mut String, invariants: &Invariants) {
    let _ = write!(page, "\n## What can never happen\n\n");
    match invariants {
        Invariants::None => {
            page.push_str("Nothing is claimed: the policy folder has no `invariants.cedar`.\n");
        }
        Invariants::NotProved { why, ids } => {
            let _ = write!(page, "**Not proved: no solver.** {}\n\n", cell(why));
            for id in ids {
                let _ = writeln!(page, "- `{}`: not proved", cell(id));
            }
        }
        Invariants::Asked { solver, verdicts } => {
            let _ = write!(page, "Asked of every request that could be made, by {}.\n\n", cell(solver));
            page.push_str("| answer | invariant | what it says | |\n|---|---|---|---|\n");
            for verdict in verdicts {
                let (answer, id) = (verdict.answer, cell(&verdict.id));
                let _ = writeln!(
                    page,
                    "| {answer} | `{id}` | {} | {} |",
                    prose(&verdict.doc),
                    cell(&verdict.note)
                );
            }
        }
    }
}

fn of_grant(page: &mut String, grant: &GrantOverview) {
    let account = grant.account.as_deref().map(|account| format!(", account {account}")).unwrap_or_default();
    let glass = if grant.break_glass { ", break-glass" } else { "" };
    let _ = write!(page, "\n## `{}`\n\nKind `{}`{account}{glass}.", grant.name, grant.kind);
    if !grant.sets.is_empty() {
        let sets: Vec<_> = grant.sets.iter().map(|set| format!("`{}`", cell(set))).collect();
        let _ = write!(page, " In {}.", sets.join(", "));
    }
    page.push('\n');
    for approvals in &grant.approvals {
        let needed = match approvals.needed {
            Some(1) => "needs 1 approval".to_owned(),
            Some(count) => format!("needs {count} approvals"),
            None => "is opened by no number of approvals".to_owned(),
        };
        let _ = write!(page, "\nAn elevation asked for by people of `{}` {needed}.\n", approvals.issuer);
    }
    for action in &grant.actions {
        of_action(page, action);
    }
}

fn of_action(page: &mut String, action: &ActionOverview) {
    let _ = write!(page, "\n### {}\n\n", action.action);
    for author in &action.nobody_by {
        let _ = write!(page, "**Nobody**: no policy of the {author} permits it to anybody.\n\n");
    }
    if action.permits.is_empty() && action.forbids.is_empty() {
        return;
    }
    page.push_str("| | by | whom | when |\n|---|---|---|---|\n");
    let rows = action.permits.iter().map(|policy| ("permit", policy));
    for (effect, policy) in rows.chain(action.forbids.iter().map(|policy| ("forbid", policy))) {
        row(page, effect, policy);
    }
}

pub(super) fn row(page: &mut String, effect: &str, policy: &PolicyOverview) {
    let parts: Vec<_> = policy.when.iter().map(|part| code(part)).collect();
    let when = if parts.is_empty() { "always".to_owned() } else { parts.join("<br>") };
    let name = policy.policy.split_once('#').map_or(policy.policy.as_str(), |(_, name)| name);
    let _ = write!(page, "| {effect} | {}:{} `{}`", cell(&policy.file), policy.line, cell(name));
    if let Some(doc) = &policy.doc {
        let _ = write!(page, "<br>{}", prose(doc));
    }
    let _ = writeln!(page, " | {} | {when} |", cell(&policy.who));
}

/// Policies are the authors' text, and a table's cell is one line: nothing in it may end the cell or begin a tag.
fn cell(text: &str) -> String {
    text.replace('\\', "\\\\").replace('|', "\\|").replace('<', "&lt;").replace(['\n', '\r'], " ")
}

/// An author's note: it links nowhere and shows no picture, which would tell its server who reads the page.
fn prose(text: &str) -> String {
    cell(text).replace('[', "\\[")
}

/// As code (CommonMark §6.1): backticks within ask for one more around them, and for a space beside them.
fn code(text: &str) -> String {
    let longest = text.split(|c| c != '`').map(str::len).max().unwrap_or(0);
    let fence = "`".repeat(longest + 1);
    let space = if text.starts_with('`') || text.ends_with('`') { " " } else { "" };
    format!("{fence}{space}{}{space}{fence}", text.replace('|', "\\|").replace(['\n', '\r'], " "))
}
