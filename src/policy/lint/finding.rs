//! What a lint found, where, and what to do about it.

use std::fmt;

use cedar_policy_core::ast::Expr;
use serde::Serialize;

use crate::ids::GrantName;
use crate::policy::fault::Fault;
use crate::policy::{LoadedPolicy, PolicyRef};

/// Which lint; the names are stable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
#[expect(missing_docs, reason = "`sense` has a sentence for each")]
pub enum Code {
    SharedIssuerUnbound,
    BreakGlassWithoutApproval,
    GrantForNobody,
    ShadowedByForbid,
    ConditionCanError,
    UnknownGroup,
    UnknownIssuer,
    UnknownGrant,
    UnknownGrantSet,
    UnknownPrincipal,
    SilentAboutAction,
    DisplayAttribute,
}

impl Code {
    /// Every lint.
    pub const ALL: [Self; 12] = [
        Self::SharedIssuerUnbound,
        Self::BreakGlassWithoutApproval,
        Self::GrantForNobody,
        Self::ShadowedByForbid,
        Self::ConditionCanError,
        Self::UnknownGroup,
        Self::UnknownIssuer,
        Self::UnknownGrant,
        Self::UnknownGrantSet,
        Self::UnknownPrincipal,
        Self::SilentAboutAction,
        Self::DisplayAttribute,
    ];

    /// As it is printed.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::SharedIssuerUnbound => "shared-issuer-unbound",
            Self::BreakGlassWithoutApproval => "break-glass-without-approval",
            Self::GrantForNobody => "grant-for-nobody",
            Self::ShadowedByForbid => "shadowed-by-forbid",
            Self::ConditionCanError => "condition-can-error",
            Self::UnknownGroup => "unknown-group",
            Self::UnknownIssuer => "unknown-issuer",
            Self::UnknownGrant => "unknown-grant",
            Self::UnknownGrantSet => "unknown-grant-set",
            Self::UnknownPrincipal => "unknown-principal",
            Self::SilentAboutAction => "silent-about-action",
            Self::DisplayAttribute => "display-attribute",
        }
    }

    /// What it finds.
    pub const fn sense(self) -> &'static str {
        match self {
            Self::SharedIssuerUnbound => "a permit for everybody at an issuer that many tenants share",
            Self::BreakGlassWithoutApproval => "a break-glass grant whose window opens without an approval",
            Self::GrantForNobody => "a grant that no principal could be permitted",
            Self::ShadowedByForbid => "a policy that never matters, because a forbid holds whenever it does",
            Self::ConditionCanError => "a condition whose arithmetic can overflow, and then denies",
            Self::UnknownGroup => "a group that no issuer can name",
            Self::UnknownIssuer => "an issuer that is not configured",
            Self::UnknownGrant => "a grant that is not configured",
            Self::UnknownGrantSet => "a set that no grant is in",
            Self::UnknownPrincipal => "a principal whose issuer is not configured, or of the other kind",
            Self::SilentAboutAction => "an author who permits an action to nobody",
            Self::DisplayAttribute => "a permit that rests on an e-mail address or a name",
        }
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How sure, and how bad.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// Certain, and never meant.
    Fault,
    /// Certain but perhaps meant, or not certain; the message says which.
    Warning,
}

impl Level {
    /// As it is printed.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Fault => "fault",
            Self::Warning => "warning",
        }
    }
}

/// Where.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Spot {
    /// Relative to the policy folder.
    pub file: String,
    /// Counted from 1; `None` when it is about the file, or the folder, as a whole.
    pub line: Option<usize>,
    /// In characters, counted from 1.
    pub column: Option<usize>,
    /// The line itself, fit for a terminal.
    pub excerpt: Option<String>,
}

/// What was found.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Finding {
    /// `None` when it is about a grant, which is configured elsewhere.
    pub place: Option<Spot>,
    /// The grant that it is about, when it is about one.
    pub grant: Option<GrantName>,
    /// Which lint.
    pub code: Code,
    /// How sure.
    pub level: Level,
    /// Which policy, when it is about one.
    pub policy: Option<PolicyRef>,
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub help: String,
}

impl Finding {
    /// A warning about a policy, at its beginning.
    pub(super) fn of_policy(policy: &LoadedPolicy, code: Code, message: String, help: String) -> Self {
        let place = place(policy, beginning(policy));
        let policy = Some(policy.name.clone());
        Self { place: Some(place), grant: None, code, level: Level::Warning, policy, message, help }
    }

    /// A warning about a part of a policy's condition.
    pub(super) fn of_part(
        policy: &LoadedPolicy,
        part: &Expr,
        code: Code,
        message: String,
        help: String,
    ) -> Self {
        let offset = part.source_loc().map_or_else(|| beginning(policy), |place| place.span.offset());
        let place = Some(place(policy, offset));
        Self { place, ..Self::of_policy(policy, code, message, help) }
    }

    /// A warning about words in a policy's scope, whose place Cedar does not keep.
    pub(super) fn of_words(
        policy: &LoadedPolicy,
        words: &str,
        code: Code,
        message: String,
        help: String,
    ) -> Self {
        let found =
            policy.policy.as_ref().loc().and_then(|place| place.snippet()).and_then(|text| text.find(words));
        let place = Some(place(policy, beginning(policy) + found.unwrap_or(0)));
        Self { place, ..Self::of_policy(policy, code, message, help) }
    }

    /// A warning about a grant.
    pub(super) fn of_grant(grant: &GrantName, code: Code, message: String, help: String) -> Self {
        let grant = Some(grant.clone());
        Self { place: None, grant, code, level: Level::Warning, policy: None, message, help }
    }

    /// A warning about everything that an author wrote.
    pub(super) fn of_folder(folder: &str, code: Code, message: String, help: String) -> Self {
        let place = Spot { file: folder.to_owned(), line: None, column: None, excerpt: None };
        Self { place: Some(place), grant: None, code, level: Level::Warning, policy: None, message, help }
    }
}

fn beginning(policy: &LoadedPolicy) -> usize {
    policy.policy.as_ref().loc().map_or(0, |place| place.span.offset())
}

fn place(policy: &LoadedPolicy, offset: usize) -> Spot {
    let text = &policy.place.text;
    let Fault { file, line, column, .. } = Fault::at(&policy.place.file, text, offset, "");
    let excerpt = line.and_then(|line| text.lines().nth(line - 1));
    let excerpt = excerpt.map(|text| text.replace(|c: char| c.is_control(), " "));
    Spot { file, line, column, excerpt }
}
