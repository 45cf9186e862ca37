//! The report as Markdown.

use std::fmt::Write as _;

use super::escape::{code, whom, words};
use super::{Invariants, Report};
use crate::policy::overview::{
    ActionOverview, GrantOverview, Listed, Member, PolicyOverview, TeamOverview, TeamsOverview,
};

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
         | read from | {} |\n\
         | at | {} |\n\
         | by | tidegate {} |\n\n\
         A request is permitted when every author has a permit that holds, no forbid of either holds, and no policy fails. All \
         conditions of a policy must hold. A break-glass grant is issued under an active elevation only, whatever is said \
         below; nobody approves their own request. The digest is that of every entry that these sets decided.\n",
        report.overview.digest,
        authors.join(", "),
        code(&report.folder),
        report.at,
        report.version,
    );
    invariants(&mut page, &report.invariants);
    if let Some(teams) = &report.overview.teams {
        of_teams(&mut page, teams);
    }
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
            let _ = write!(page, "**Not proved: no solver.** {}\n\n", words(why));
            for id in ids {
                let _ = writeln!(page, "- {}: not proved", code(id));
            }
        }
        Invariants::Asked { solver, verdicts } => {
            let _ = write!(page, "Asked of every request that could be made, by {}.\n\n", words(solver));
            page.push_str("| answer | invariant | what it says | |\n|---|---|---|---|\n");
            for verdict in verdicts {
                let (answer, id) = (verdict.answer, code(&verdict.id));
                let (doc, note) = (words(&verdict.doc), words(&verdict.note));
                let _ = writeln!(page, "| {answer} | {id} | {doc} | {note} |");
            }
        }
    }
}

fn of_teams(page: &mut String, teams: &TeamsOverview) {
    let _ = write!(
        page,
        "\n## Teams\n\n\
         Written down by the customer in `entities.json` (SHA-256 `{}`), each with what is in it at whatever distance. Whoever's \
         token names a group of its issuer (`<issuer>/<group>`) is in that group and in all that it is part of; nobody's token \
         names a group without `/`. `principal in resource.owner` is true of whoever is in the group that owns the grant.\n\n\
         | group | part of | written down in it | owns |\n|---|---|---|---|\n",
        teams.sha256
    );
    for TeamOverview { name, part_of, members, owns } in &teams.groups.first {
        let member = |member: &Member| format!("{} {}", member.kind, code(&member.name));
        let (part_of, members) = (listed(part_of, |name| code(name)), listed(members, member));
        let owns = listed(owns, |grant| code(grant.as_str()));
        let _ = writeln!(page, "| {} | {part_of} | {members} | {owns} |", code(name));
    }
    if teams.groups.more > 0 {
        let _ = write!(page, "\n{} more groups are not shown.\n", teams.groups.more);
    }
}

fn listed<T>(all: &Listed<T>, shown: impl Fn(&T) -> String) -> String {
    let mut names: Vec<_> = all.first.iter().map(shown).collect();
    if all.more > 0 {
        names.push(format!("and {} more", all.more));
    }
    names.join(", ")
}

fn of_grant(page: &mut String, grant: &GrantOverview) {
    let account = grant.account.as_deref().map(|account| format!(", account {account}")).unwrap_or_default();
    let glass = if grant.break_glass { ", break-glass" } else { "" };
    let _ = write!(page, "\n## `{}`\n\nKind `{}`{account}{glass}.", grant.name, grant.kind);
    if !grant.sets.is_empty() {
        let sets: Vec<_> = grant.sets.iter().map(|set| code(set)).collect();
        let _ = write!(page, " In {}.", sets.join(", "));
    }
    if let Some(owner) = &grant.owner {
        let _ = write!(page, " Owned by {}.", code(owner));
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
    let _ = write!(page, "| {effect} | {}:{} {}", words(&policy.file), policy.line, code(name));
    if let Some(doc) = &policy.doc {
        let _ = write!(page, "<br>{}", words(doc));
    }
    let _ = writeln!(page, " | {} | {when} |", whom(&policy.who));
}
