//! The world as a file says it, for people who have policies and no configuration: a vendor's pipeline.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use super::{KnownIssuer, World};
use crate::claims::Profile;
use crate::document::{Faults, Kind, Section, Shape, hides_nothing, quoted};
use crate::grants::{Description, Grant};
use crate::ids::{GrantName, IssuerName};

/// What a world file says.
#[derive(Clone, Debug, Default)]
pub struct WorldFile {
    /// Issuers and grants.
    pub world: World,
    /// Every group that tokens of an issuer can name, for issuers whose groups are listed.
    pub groups: BTreeMap<IssuerName, BTreeSet<String>>,
}

const KIND: Kind = Kind { shapes: &[TOP, ISSUERS, GRANTS], hides: hides_nothing, opens_files: false };
const TOP: Shape = Shape { table: "", keys: &["issuers", "grants"] };
const ISSUERS: Shape =
    Shape { table: "issuers", keys: &["name", "profile", "shared", "may_approve", "groups"] };
const GRANTS: Shape =
    Shape { table: "grants", keys: &["name", "kind", "account", "break_glass", "labels", "sets"] };

impl WorldFile {
    /// Reads it.
    ///
    /// # Errors
    /// Everything that is wrong with it, each with line and column.
    pub fn read(text: &str) -> Result<Self, Faults> {
        crate::document::read(text, Path::new(""), &KIND, |top| Some(read(top)))
    }
}

fn read(top: &Section<'_>) -> WorldFile {
    for (key, why) in [("issuers", "nobody could ask for anything"), ("grants", "nothing could be asked for")]
    {
        if !top.has(key) {
            top.fault(key, format!("missing: {why}"), format!("write [[{key}]]"));
        }
    }
    let (issuers, grants) = (top.sections("issuers", &ISSUERS), top.sections("grants", &GRANTS));
    let mut file = WorldFile::default();
    for section in &issuers {
        let known = issuer(section);
        if let (Some(issuer), Some(groups)) = (&known, groups(section)) {
            file.groups.insert(issuer.name.clone(), groups);
        }
        file.world.issuers.extend(known);
    }
    file.world.grants = grants.iter().filter_map(grant).map(Arc::new).collect();
    only_once(&issuers, "issuers");
    only_once(&grants, "grants");
    file
}

fn only_once(sections: &[Section<'_>], what: &str) {
    let mut names = BTreeSet::new();
    for section in sections {
        if let Some(name) = section.quiet_text("name").filter(|name| !names.insert(*name)) {
            section.fault("name", format!("two {what} are called {}", quoted(name)), "give one another name");
        }
    }
}

fn issuer(section: &Section<'_>) -> Option<KnownIssuer> {
    let parse = |text: &str| IssuerName::new(text).map_err(|error| (error.to_string(), String::new()));
    let name = section.require("name", section.parsed("name", parse), "such as name = \"prod-cluster\"");
    let profiles = Profile::ALL.map(|profile| (profile.as_str(), profile));
    let profile =
        section.require("profile", section.one_of("profile", &profiles), "such as profile = \"kubernetes\"");
    let (shared, may_approve) = (section.flag("shared"), section.flag("may_approve"));
    let profile = profile?.value;
    if may_approve.is_some() && profile != Profile::Person {
        section.fault("may_approve", "only people approve", "leave it out, or write profile = \"person\"");
    }
    Some(KnownIssuer {
        name: name?.value,
        profile,
        // Whoever runs their own says so; most use the vendor's.
        shared: shared.unwrap_or(matches!(profile, Profile::Github | Profile::Gitlab)),
        may_approve: profile == Profile::Person && may_approve.unwrap_or(true),
    })
}

fn groups(section: &Section<'_>) -> Option<BTreeSet<String>> {
    Some(section.texts("groups")?.into_iter().map(|group| group.value.to_owned()).collect())
}

fn grant(section: &Section<'_>) -> Option<Grant> {
    let parse = |text: &str| GrantName::new(text).map_err(|error| (error.to_string(), String::new()));
    let name = section.require("name", section.parsed("name", parse), "such as name = \"ledger-api\"");
    let kinds = [("jwt", "jwt"), ("aws", "aws")];
    let kind = section.require("kind", section.one_of("kind", &kinds), "write kind = \"jwt\" or \"aws\"");
    let account = section.text("account");
    let break_glass = section.flag("break_glass").unwrap_or(false);
    let texts = |key| {
        let texts = section.texts(key).unwrap_or_default();
        texts.into_iter().map(|text| text.value.to_owned()).collect::<BTreeSet<_>>()
    };
    let (labels, sets) = (texts("labels"), texts("sets"));
    let (name, kind) = (name?.value, kind?.value);
    let account = account.map(|account| account.value);
    let about = Description { name: &name, kind, account, break_glass, labels: &labels, sets: &sets };
    match Grant::described(about) {
        Ok(grant) => Some(grant),
        Err(error) => {
            let key = if section.has("account") { "account" } else { "kind" };
            section.fault(key, error.to_string(), "such as account = \"123456789012\"");
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(text: &str) -> Vec<String> {
        WorldFile::read(text).unwrap_err().iter().map(ToString::to_string).collect()
    }

    const ISSUER: &str = "[[issuers]]\nname = \"staff\"\nprofile = \"person\"\n";
    const GRANT: &str = "[[grants]]\nname = \"ledger\"\nkind = \"jwt\"\n";

    #[test]
    fn every_fault_is_told_at_once_with_its_place() {
        let text = "[[issuers]]\nname = \"staff\"\nprofile = \"persn\"\nmay_aprove = true\n\n[[grants]]\nkind = \"jwt\"\naccount = 1\n";
        insta::assert_snapshot!(faults(text).join("\n"), @r"
        3:11: issuers[0].profile: unknown profile `persn`
        4:1: issuers[0].may_aprove: unknown key `may_aprove`
        6:1: grants[0].name: missing
        8:11: grants[0].account: expected a string, found an integer
        ");
    }

    #[test]
    fn an_empty_file_describes_no_world() {
        assert_eq!(faults("").len(), 2);
    }

    #[test]
    fn a_grant_that_cannot_be_is_refused() {
        let aws = "[[grants]]\nname = \"a\"\nkind = \"aws\"\n";
        for grant in [
            aws.to_owned(),
            format!("{aws}account = \"12\"\n"),
            format!("{GRANT}account = \"123456789012\"\n"),
        ] {
            let faults = faults(&format!("{ISSUER}{grant}"));
            assert!(faults.len() == 1 && faults[0].contains("12 digits"), "{grant}: {faults:?}");
        }
    }

    #[test]
    fn only_people_may_approve() {
        let cluster = "[[issuers]]\nname = \"c\"\nprofile = \"kubernetes\"\nmay_approve = true\n";
        assert!(faults(&format!("{cluster}{GRANT}"))[0].contains("only people approve"));
    }

    #[test]
    fn nothing_is_named_twice() {
        let faults = faults(&format!("{ISSUER}{ISSUER}{GRANT}{GRANT}"));
        assert_eq!(faults.len(), 2, "{faults:?}");
    }

    #[test]
    fn what_is_not_said_is_the_careful_answer() {
        let github = "[[issuers]]\nname = \"gh\"\nprofile = \"github\"\n";
        let own = "[[issuers]]\nname = \"ghe\"\nprofile = \"github\"\nshared = false\n";
        let closed =
            "[[issuers]]\nname = \"v\"\nprofile = \"person\"\nmay_approve = false\ngroups = [\"oncall\"]\n";
        let file = WorldFile::read(&format!("{github}{own}{closed}{ISSUER}{GRANT}")).unwrap();
        let said = |name| file.world.issuer(name).map(|issuer| (issuer.shared, issuer.may_approve)).unwrap();
        assert_eq!((said("gh"), said("ghe")), ((true, false), (false, false)));
        assert_eq!((said("v"), said("staff")), ((false, false), (false, true)));
        assert_eq!(file.groups.keys().map(IssuerName::as_str).collect::<Vec<_>>(), ["v"]);
        assert!(file.world.grant("ledger").is_some_and(|grant| grant.break_glass.is_none()));
    }
}
