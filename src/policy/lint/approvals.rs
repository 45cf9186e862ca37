//! Break-glass grants whose window opens without an approval as far as policy goes. The broker asks for one all the same;
//! whoever wrote the policies believes in more.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;

use cedar_policy_core::ast::ExprKind;

use super::finding::{Code, Finding, Level};
use super::hypothesis::Hypothesis;
use super::{Subject, nobody, walk};
use crate::clock::Moment;
use crate::grants::Grant;
use crate::ids::Subject as SubjectId;
use crate::policy::facts::{ApprovalFacts, Asked, AuthFacts, GrantFacts, PrincipalFacts, PrincipalKind};
use crate::policy::schema::Action;
use crate::policy::{Author, Facts, KnownIssuer, World};
use crate::principal::PrincipalId;

pub(super) fn look(subject: &Subject<'_>, world: &World, findings: &mut Vec<Finding>) {
    for grant in world.grants.iter().filter(|grant| grant.break_glass.is_some()) {
        let questions = Hypothesis::about(subject, world, Action::Activate, grant);
        let questions = questions.into_iter().map(Hypothesis::without_approvals);
        let open: Vec<_> =
            questions.filter(|question| nobody::could_be_permitted(subject, question)).collect();
        let certain = open.iter().find_map(|question| {
            let issuer = question.issuer?;
            probes(subject, issuer, grant).into_iter().find(|facts| subject.sets.decide(facts).is_ok())
        });
        if let Some(question) = open.first() {
            findings.push(finding(subject, grant, question, certain.as_ref()));
        }
    }
}

fn finding(
    subject: &Subject<'_>,
    grant: &Grant,
    question: &Hypothesis<'_>,
    certain: Option<&Facts>,
) -> Finding {
    let name = &grant.name;
    let (level, message) = match certain {
        Some(facts) => (
            Level::Fault,
            format!(
                "`activate` of `{name}` is permitted without any approval, certainly: {}",
                example(facts)
            ),
        ),
        None => (
            Level::Warning,
            format!(
                "`activate` of `{name}` seems to need no approval: nothing here asks for one; whether its other \
                 conditions can hold was not decided"
            ),
        ),
    };
    let help =
        "write how many approve, such as `context.approvals.count >= 2`; without it the broker asks for one";
    let (code, help) = (Code::BreakGlassWithoutApproval, help.to_owned());
    let found = match nobody::permits(subject, Author::Customer, question).next() {
        Some(policy) => Finding::of_policy(policy, code, message, help),
        None => Finding::of_grant(name, code, message, help),
    };
    Finding { level, grant: Some(name.clone()), ..found }
}

fn example(facts: &Facts) -> String {
    let groups: Vec<_> = facts.principal.groups.iter().map(|group| format!("`{group}`")).collect();
    let person = format!("for instance to a person of `{}`", facts.principal.issuer);
    if groups.is_empty() { person } else { format!("{person} in {}", groups.join(", ")) }
}

/// People who have everything that the policies ask for, in all ways that cost nothing to try.
fn probes(subject: &Subject<'_>, issuer: &KnownIssuer, grant: &Grant) -> Vec<Facts> {
    let named = subject.policies().iter().flat_map(|policy| walk::ids_of(policy, &subject.words().group));
    let prefix = format!("{}/", issuer.name);
    let all: BTreeSet<String> =
        named.filter_map(|id| id.strip_prefix(&prefix).map(ToOwned::to_owned)).collect();
    let mut probes = Vec::new();
    for groups in [BTreeSet::new(), all] {
        for source_ip in addresses(subject) {
            probes.extend(probe(subject, issuer, grant, groups.clone(), source_ip));
        }
    }
    probes
}

fn probe(
    subject: &Subject<'_>,
    issuer: &KnownIssuer,
    grant: &Grant,
    groups: BTreeSet<String>,
    source_ip: Option<IpAddr>,
) -> Option<Facts> {
    let at = Moment::from_unix_seconds(1_800_000_000);
    let somebody = PrincipalId { issuer: issuer.name.clone(), subject: SubjectId::new("somebody").ok()? };
    let texts = subject.policies().iter().flat_map(walk::nodes).filter_map(walk::text);
    Some(Facts {
        at,
        principal: PrincipalFacts { groups, ..PrincipalFacts::bare(PrincipalKind::Person, somebody) },
        grant: GrantFacts::of(grant),
        source_ip,
        auth: AuthFacts {
            issued_at: at,
            acr: None,
            amr: texts.map(ToOwned::to_owned).collect(),
            auth_time: Some(at),
        },
        asked: Asked::Activate { duration: Duration::from_mins(1), approvals: ApprovalFacts::default() },
    })
}

/// None, and one of every range that a policy names.
fn addresses(subject: &Subject<'_>) -> BTreeSet<Option<IpAddr>> {
    let nodes = subject.policies().iter().flat_map(walk::nodes);
    let named = nodes.filter_map(|node| match node.expr_kind() {
        ExprKind::ExtensionFunctionApp { fn_name, args } if fn_name.to_string() == "ip" => {
            walk::text(args.first()?)?.split('/').next()?.parse().ok()
        }
        _ => None,
    });
    named.map(Some).chain([None]).collect()
}
