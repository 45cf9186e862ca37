//! `RoleSessionName` and `SourceIdentity`: readable in CloudTrail, the same for the same caller, never for two.

use crate::secret::Fingerprint;

/// Both take 2 to 64 of `[A-Za-z0-9_+=,.@-]`.
const LONGEST: usize = 64;
const DIGITS: usize = 12;

/// The same for every session of one principal and grant.
pub(super) fn session_name(issuer: &str, subject: &str, grant: &str) -> String {
    let print =
        Fingerprint::of_fields(&[b"session name", issuer.as_bytes(), subject.as_bytes(), grant.as_bytes()]);
    name("", subject, print)
}

/// The same for every session of one principal under one elevation, and another than under every other one.
pub(super) fn session_name_under(issuer: &str, subject: &str, grant: &str, elevation: &str) -> String {
    let fields = [issuer, subject, grant, elevation].map(str::as_bytes);
    let print = Fingerprint::of_fields(
        &[&b"session name under an elevation"[..]].into_iter().chain(fields).collect::<Vec<_>>(),
    );
    name("", subject, print)
}

/// The same for every session of one principal, whatever the grant: what AWS policies and CloudTrail follow through
/// chained roles.
pub(super) fn source_identity(issuer: &str, subject: &str) -> String {
    let print = Fingerprint::of_fields(&[b"source identity", issuer.as_bytes(), subject.as_bytes()]);
    name("tg-", subject, print)
}

/// The readable part is for people only: it is cut and flattened, so two subjects may share it. The digits tell them
/// apart.
fn name(prefix: &str, subject: &str, print: Fingerprint) -> String {
    let room = LONGEST - DIGITS - 1 - prefix.len();
    let readable: String = flat(subject).chars().take(room).collect();
    let digits: String = print.to_string().chars().take(DIGITS).collect();
    format!("{prefix}{readable}-{digits}")
}

/// Everything that may not stand in a name becomes one `-` per run.
fn flat(subject: &str) -> String {
    let mut out = String::with_capacity(subject.len());
    for c in subject.chars() {
        if c.is_ascii_alphanumeric() || matches!(c, '_' | '+' | '=' | ',' | '.' | '@') {
            out.push(c);
        } else if !out.ends_with('-') {
            out.push('-');
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn fits(name: &str) -> bool {
        (2..=64).contains(&name.len())
            && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"_+=,.@-".contains(&b))
    }

    #[test]
    fn subjects_that_look_alike_once_flattened_get_different_names() {
        assert_ne!(session_name("i", "a:b", "g"), session_name("i", "a/b", "g"));
        assert_ne!(session_name("i", "a", "g"), session_name("j", "a", "g"));
        assert_ne!(session_name("i", "a", "g"), session_name("i", "a", "h"));
        assert_ne!(source_identity("i", "a"), source_identity("ia", ""));
    }

    #[test]
    fn names_stay_readable() {
        let subject = "system:serviceaccount:billing:orders-api";
        assert_eq!(
            session_name("prod", subject, "orders-read"),
            "system-serviceaccount-billing-orders-api-e1f4b7dbe947"
        );
        assert!(source_identity("prod", subject).starts_with("tg-system-serviceaccount-billing-orders-api-"));
    }

    proptest! {
        #[test]
        fn every_subject_gives_names_that_aws_takes(subject in any::<String>(), issuer in "[a-z]{1,64}") {
            let (session, source) = (session_name(&issuer, &subject, "g"), source_identity(&issuer, &subject));
            prop_assert!(fits(&session), "{session}");
            prop_assert!(fits(&source), "{source}");
        }
    }
}
