//! Permits on issuers that many tenants share.

use super::*;

fn from_github(condition: &str) -> String {
    let github = "principal.issuer == Tidegate::Issuer::\"github\" && principal has github";
    issue("principal is Tidegate::Workload", &format!("when {{ {github} && {condition} }}"))
}

#[test]
fn a_shared_issuers_names_bind_nobody() {
    for open in [
        from_github("principal.github.repository == \"acme/orders\""),
        from_github("principal.github.repository_owner == \"acme\""),
        from_github("principal.github.repository_owner_id like \"81*\""),
        from_github("principal.github.repository_owner_id != \"1\""),
        from_github(
            "(principal.github.repository_id == \"1\" || principal.github.ref == \"refs/heads/main\")",
        ),
        from_github("!(principal.github.repository_id == \"1\")"),
        from_github("principal.github.repository_id == principal.github.repository_owner_id"),
        from_github(
            "(if principal.github.ref == \"main\" then true else principal.github.repository_id == \"1\")",
        ),
        issue("principal == Tidegate::Workload::\"github|repo:acme/orders:ref:x\"", ""),
        issue(
            "principal is Tidegate::Workload",
            "when { principal has github && principal.github.ref == \"main\" }",
        ),
    ] {
        assert_eq!(codes(&open), [Code::SharedIssuerUnbound], "{open}");
    }
    let message = &found(&from_github("principal.github.ref == \"x\""))[0].1;
    assert!(message.contains("`ledger`") && message.contains("`github`"), "{message}");
}

#[test]
fn an_id_on_every_way_binds_a_shared_issuer() {
    for bound in [
        from_github("principal.github.repository_id == \"1\""),
        from_github("\"1\" == principal.github.repository_owner_id"),
        from_github("[\"1\", \"2\"].contains(principal.github.repository_id)"),
        from_github(
            "(principal.github.repository_id == \"1\" || principal.github.repository_owner_id == \"2\")",
        ),
        from_github("!(principal.github.repository_id != \"1\")"),
        from_github(
            "(if principal.github.ref == \"main\" then principal.github.repository_owner_id == \"2\" else principal.github.repository_id == \"1\")",
        ),
        from_github(
            "principal.hasTag(\"enterprise_id\") && principal.getTag(\"enterprise_id\").contains(\"7\")",
        ),
    ] {
        assert_eq!(codes(&bound), [], "{bound}");
    }
}

#[test]
fn an_issuer_that_a_permit_excludes_needs_no_id() {
    for other in [
        issue("principal is Tidegate::Workload", "when { principal.issuer == Tidegate::Issuer::\"prod\" }"),
        issue(
            "principal is Tidegate::Workload",
            "when { principal has kubernetes && principal.kubernetes.namespace == \"x\" }",
        ),
        issue(
            "principal is Tidegate::Workload",
            "when { [Tidegate::Issuer::\"prod\"].contains(principal.issuer) }",
        ),
        issue("principal == Tidegate::Workload::\"prod|system:serviceaccount:x:y\"", ""),
    ] {
        assert_eq!(codes(&other), [], "{other}");
    }
}

#[test]
fn another_author_or_a_forbid_may_bind_the_id() {
    let open = from_github("principal.github.ref == \"main\"");
    let forbid = "forbid (principal is Tidegate::Workload, action == Tidegate::Action::\"issue\", resource)
        when { principal has github } unless { principal.github.repository_owner_id == \"1\" };";
    assert_eq!(codes(&format!("{open}{forbid}")), []);
    let narrow = forbid.replace(
        "action == Tidegate::Action::\"issue\", resource)",
        "action == Tidegate::Action::\"issue\", resource == Tidegate::Grant::\"admin\")",
    );
    assert_eq!(codes(&format!("{open}{narrow}")), [Code::SharedIssuerUnbound]);
    let bound = from_github("principal.github.repository_id == \"1\"");
    let both = |vendor: &str| {
        let files = [
            ("customer/a.cedar", open.as_str()),
            ("customer/r.cedar", REST),
            ("vendor/a.cedar", vendor),
            ("vendor/r.cedar", REST),
        ];
        look(&files, Some(WORLD), &[]).iter().map(|finding| finding.code).collect::<Vec<_>>()
    };
    assert_eq!(both(&bound), []);
    assert_eq!(both(&issue("principal", "")), [Code::SharedIssuerUnbound]);
}

#[test]
fn other_shared_issuers_have_ids_in_tags() {
    let kite = |condition: &str| {
        let own = "principal.issuer == Tidegate::Issuer::\"kite\"";
        issue("principal is Tidegate::Workload", &format!("when {{ {own} && {condition} }}"))
    };
    let tag = |tag: &str| {
        kite(&format!("principal.hasTag(\"{tag}\") && principal.getTag(\"{tag}\").contains(\"7\")"))
    };
    assert_eq!(codes(&tag("organization_id")), []);
    assert_eq!(codes(&tag("organization_slug")), [Code::SharedIssuerUnbound]);
}
