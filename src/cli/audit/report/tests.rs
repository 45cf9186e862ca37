//! Reports on a constructed log: a real one, on SQLite in a folder of its own.

use std::net::{IpAddr, Ipv4Addr};

use super::*;
use crate::audit::tests::Bench;
use crate::audit::{
    ApprovalRecord, AuditLog, CredentialRecord, DeliveredCredential, DeliveriesEntry, ElevationEntry,
    ElevationRecord, ElevationUseRecord, Event, GrantRecord, LockEntry, PolicyRecord, PrincipalRecord,
    RefusedEntry, Submission, TokenRecord,
};
use crate::cli::OutputFormat;
use crate::cli::audit::tests::mirror_of;
use crate::clock::{Clock as _, Moment};
use crate::entropy::SystemEntropy;
use crate::ids::RequestId;
use crate::secret::Fingerprint;

const ID: &str = "elv-01a204b4-7a5e-7994-8652-29cf5b8dd4ce";
const OTHER: &str = "elv-01a204b4-7a5e-7994-8652-29cf5b8dd4cf";
const REASON: &str = "disk | full <b>\u{1b}[2J";

/// A log that is written entry by entry, a second apart.
struct Writing {
    bench: Bench,
    log: AuditLog,
    version: u64,
}

impl Writing {
    async fn new() -> Self {
        let bench = Bench::new();
        let log = bench.log().await;
        Self { bench, log, version: 0 }
    }

    async fn write(&self, event: Event) -> &Self {
        self.bench.clock.advance(std::time::Duration::from_secs(1));
        let request = RequestId::new(self.bench.clock.now(), &SystemEntropy::new()).unwrap();
        self.log.record(Submission::new(request, event)).await.unwrap();
        self
    }

    /// The next change of `ID`.
    async fn change(&mut self, event: fn(Box<ElevationEntry>) -> Event, state: &'static str) -> &mut Self {
        let entry = entry(ID, self.version, self.version + 1, state);
        self.version += 1;
        self.write(event(Box::new(entry))).await;
        self
    }

    /// From the request to the end, with a credential inside.
    async fn whole_life(&mut self) -> &mut Self {
        self.write(Event::ElevationRequested(Box::new(entry(OTHER, 0, 1, "requested")))).await;
        self.change(Event::ElevationRequested, "requested").await;
        self.write(refused(ID)).await.write(refused(OTHER)).await;
        self.write(Event::LockSet(lock("grant:prod-admin"))).await;
        self.write(Event::LockSet(lock("grant:other"))).await;
        self.write(Event::LockLifted(lock("grant:prod-admin"))).await;
        self.change(Event::ElevationApproved, "approved").await;
        self.change(Event::ElevationActivated, "active").await;
        self.write(issued(ID, end(), "jti-1")).await;
        self.write(issued(OTHER, end(), "jti-2")).await;
        self.write(revoked("jti-1")).await.write(revoked("jti-2")).await;
        self.change(Event::ElevationExpired, "expired").await;
        self.write(Event::LockSet(lock("all"))).await;
        self
    }

    async fn folder(&self) -> String {
        mirror_of(&self.log, self.bench.folder.path(), "mirror").await
    }

    async fn report(&self) -> anyhow::Result<Report> {
        let source = AnySource::open(&self.folder().await, None)?;
        make(&source, &self.bench.key(), ID.parse()?, &mut |_, _| {}).await
    }
}

fn person(issuer: &str, subject: &str) -> PrincipalRecord {
    PrincipalRecord { kind: "person", issuer: issuer.to_owned(), subject: subject.to_owned() }
}

fn start() -> Moment {
    "2026-11-22T16:03:15Z".parse().unwrap()
}

fn end() -> Moment {
    "2026-11-22T17:03:15Z".parse().unwrap()
}

fn policy() -> PolicyRecord {
    PolicyRecord {
        digest: Fingerprint::of(b"policies"),
        customer: Fingerprint::of(b"the customer's"),
        vendor: None,
        decided_by: vec!["customer/a#b".to_owned()],
    }
}

fn token() -> TokenRecord {
    TokenRecord { sha256: Fingerprint::of(b"token"), issued_at: start(), expires_at: end() }
}

fn entry(id: &str, before: u64, version: u64, state: &'static str) -> ElevationEntry {
    let opened = matches!(state, "approved" | "active" | "expired" | "revoked").then_some(());
    let approval = ApprovalRecord {
        by: person("customer", "ann"),
        at: start(),
        duration: Some("1h".to_owned()),
        scope: None,
    };
    let elevation = ElevationRecord {
        id: id.to_owned(),
        version_before: before,
        version,
        state,
        grant: "prod-admin".to_owned(),
        grant_version: Fingerprint::of(b"grant"),
        requester: person("vendor", "vera"),
        reason: REASON.to_owned(),
        ticket: Some("OPS-1".to_owned()),
        requested_duration: "2h".to_owned(),
        duration: "1h".to_owned(),
        scope: None,
        not_before: None,
        starts_at: opened.map(|()| start()),
        ends_at: opened.map(|()| end()),
        approvals: opened.map(|()| approval).into_iter().collect(),
        approvals_needed: 1,
    };
    let by = (state != "expired").then(|| person("vendor", "vera"));
    let source_ip = Some(IpAddr::V4(Ipv4Addr::LOCALHOST));
    ElevationEntry {
        elevation,
        by,
        token: Some(token()),
        policy: Some(policy()),
        facts: None,
        note: None,
        became_true_at: None,
        source_ip,
    }
}

fn refused(id: &str) -> Event {
    Event::ElevationRefused(Box::new(RefusedEntry {
        by: person("vendor", "vera"),
        attempted: "approve",
        target: Some(id.to_owned()),
        grant: None,
        version: Some(1),
        reason: "requester_cannot_decide",
        detail: "the requester".to_owned(),
        policy: None,
        facts: None,
        token: token(),
        source_ip: None,
    }))
}

fn lock(target: &str) -> Box<LockEntry> {
    Box::new(LockEntry {
        lock: "lck-1".to_owned(),
        target: target.to_owned(),
        reason: "look first".to_owned(),
        by: Some(person("customer", "op")),
        token: None,
        policy: None,
        facts: None,
        in_force_since: start(),
        until: None,
        source_ip: None,
    })
}

fn issued(id: &str, expires_at: Moment, jti: &str) -> Event {
    Event::CredentialIssued {
        principal: person("vendor", "vera"),
        actor: None,
        grant: GrantRecord { name: "prod-admin".to_owned(), kind: Some("jwt"), version: None },
        token: token(),
        policy: policy(),
        facts: None,
        credential: CredentialRecord::Jwt {
            jti: jti.to_owned(),
            kid: "k".to_owned(),
            sha256: Fingerprint::of(b"jwt"),
            scope: String::new(),
            expires_at,
        },
        elevation: Some(ElevationUseRecord { id: id.to_owned(), version: 3, approvals: 1, ends_at: end() }),
        source_ip: None,
    }
}

fn revoked(jti: &str) -> Event {
    Event::TokenRevoked { jti: jti.to_owned(), subject: "vera".to_owned(), expires_at: end() }
}

#[tokio::test]
async fn a_log_that_was_changed_gives_no_report() {
    let mut writing = Writing::new().await;
    writing.whole_life().await;
    let folder = writing.folder().await;
    let bundle = format!("{folder}/tile/entries/000.p/{}", writing.log.size());
    let (key, whole) = (writing.bench.key(), std::fs::read(&bundle).unwrap());
    let report = async || {
        let source = AnySource::open(&folder, None).unwrap();
        make(&source, &key, ID.parse().unwrap(), &mut |_, _| {}).await
    };
    assert!(report().await.unwrap().is_ok());
    for (from, to) in [("OPS-1", "OPS-2"), (OTHER, ID), ("grant:other", "grant:rehto")] {
        let place = whole.windows(from.len()).position(|window| window == from.as_bytes()).unwrap();
        let mut forged = whole.clone();
        forged[place..place + to.len()].copy_from_slice(to.as_bytes());
        std::fs::write(&bundle, forged).unwrap();
        let refusal = report().await.unwrap_err().to_string();
        assert!(refusal.contains("must not be believed"), "{from}: {refusal}");
    }
    std::fs::write(&bundle, &whole).unwrap();
    let note = std::fs::read_to_string(format!("{folder}/checkpoint")).unwrap();
    let longer = note.replace(&format!("\n{}\n", writing.log.size()), "\n99\n");
    std::fs::write(format!("{folder}/checkpoint"), longer).unwrap();
    assert!(report().await.unwrap_err().to_string().contains("signature"));
    std::fs::write(format!("{folder}/checkpoint"), note).unwrap();
    let hashes = format!("{folder}/tile/0/000.p/{}", writing.log.size());
    let mut tile = std::fs::read(&hashes).unwrap();
    tile[40] ^= 1;
    std::fs::write(&hashes, tile).unwrap();
    assert!(format!("{:#}", report().await.unwrap_err()).contains("entry "), "a proof that does not hold");
}

#[tokio::test]
async fn an_elevation_that_the_log_does_not_know_has_no_report() {
    let mut writing = Writing::new().await;
    writing.write(Event::ElevationRequested(Box::new(entry(OTHER, 0, 1, "requested")))).await;
    let refusal = writing.report().await.unwrap_err().to_string();
    assert!(refusal.contains("says nothing about"), "{refusal}");
    // A refused attempt on an id that never was is found, and is no story.
    writing.version = 0;
    writing.write(refused(ID)).await;
    let report = writing.report().await.unwrap();
    assert_eq!(report.faults, ["the log has no entry of a request for it"]);
}

#[tokio::test]
async fn a_story_that_does_not_hold_together_says_where() {
    let late = end().plus(std::time::Duration::from_secs(1));
    let mut writing = Writing::new().await;
    writing.change(Event::ElevationRequested, "requested").await;
    writing.write(issued(ID, end(), "early")).await;
    writing.version = 2;
    writing.change(Event::ElevationActivated, "active").await;
    writing.write(issued(ID, late, "long")).await;
    writing.change(Event::ElevationRevoked, "revoked").await;
    writing.write(issued(ID, end(), "after")).await;
    writing.change(Event::ElevationActivated, "active").await;
    let report = writing.report().await.unwrap();
    assert_eq!(
        report.faults,
        [
            "entry 1: a credential was issued while the elevation was not active",
            "entry 1: a credential was issued after the window's end",
            "entry 1: a credential outlives the window",
            "entry 2: it does not follow version 1 of the elevation",
            "entry 3: a credential outlives the window",
            "entry 5: a credential was issued while the elevation was not active",
            "entry 6: the elevation was over since entry 4",
        ]
    );
    let shown = render::text(&report);
    assert!(shown.ends_with("FAILED: this story must not be believed."), "{shown}");
    assert!(!shown.contains("every credential was issued while it was active"), "{shown}");
    let args = ReportArgs {
        source: SourceArgs { source: writing.folder().await, ca_file: None },
        elevation: ID.parse().unwrap(),
        key: writing.bench.key().to_string(),
        format: Format::Text,
    };
    assert_eq!(run(&args, &Output::new(OutputFormat::Text)).await.unwrap(), failed());
}

/// Break-glass sessions are shared with nobody: each mint is decided and recorded by itself.
#[tokio::test]
async fn a_credential_of_an_elevation_that_was_delivered_again_is_no_story_to_believe() {
    let mut writing = Writing::new().await;
    writing.change(Event::ElevationRequested, "requested").await;
    writing.change(Event::ElevationActivated, "active").await;
    let mut event = issued(ID, end(), "");
    let Event::CredentialIssued { credential, .. } = &mut event else { panic!("not issued") };
    *credential = CredentialRecord::Aws {
        access_key_id: "ASIA1".to_owned(),
        role_arn: "arn:aws:iam::123456789012:role/x".to_owned(),
        session_name: "vera".to_owned(),
        source_identity: ID.to_owned(),
        sha256: Fingerprint::of(b"session"),
        expires_at: end(),
        cached: false,
        packed_policy_percent: None,
        narrowed_by: None,
    };
    writing.write(event).await;
    assert!(writing.report().await.unwrap().is_ok());
    writing.write(delivered("ASIA2")).await.write(delivered("ASIA1")).await;
    let report = writing.report().await.unwrap();
    let told = "entry 4: its credential was delivered from memory, without a decision of its own on record";
    assert_eq!(report.faults, [told]);
    assert!(render::text(&report).contains("7 times, key ASIA1, until "));
}

fn delivered(access_key_id: &str) -> Event {
    Event::CredentialDelivered(Box::new(DeliveriesEntry {
        principal: person("vendor", "vera"),
        grant: GrantRecord { name: "prod-admin".to_owned(), kind: Some("aws"), version: None },
        policy: policy(),
        credential: DeliveredCredential {
            kind: "aws",
            access_key_id: access_key_id.to_owned(),
            sha256: Fingerprint::of(b"session"),
            expires_at: end(),
            issue_index: 2,
        },
        count: 7,
        first_at: start(),
        last_at: start(),
        sources: Vec::new(),
        other_sources: 7,
    }))
}

#[tokio::test]
async fn the_whole_story_and_nothing_else_is_told() {
    let mut writing = Writing::new().await;
    writing.whole_life().await;
    let report = writing.report().await.unwrap();
    assert_eq!(report.faults, Vec::<String>::new());
    let told: Vec<(u64, &str)> = report
        .entries
        .iter()
        .map(|entry| (entry.told.index, story::text(&entry.told.json, "/type").unwrap()))
        .collect();
    assert_eq!(
        told,
        [
            (1, "elevation.requested"),
            (2, "elevation.refused"),
            (4, "lock.set"),
            (6, "lock.lifted"),
            (7, "elevation.approved"),
            (8, "elevation.activated"),
            (9, "credential.issued"),
            (11, "token.revoked"),
            (13, "elevation.expired"),
        ]
    );
}

#[tokio::test]
async fn every_entry_of_the_json_can_be_verified_by_itself() {
    let mut writing = Writing::new().await;
    writing.whole_life().await;
    let json = render::json(&writing.report().await.unwrap());
    let entries = json["entries"].as_array().unwrap();
    assert_eq!(entries.len(), 9);
    for entry in entries {
        let proof = crate::audit::proof::TlogProof::parse(entry["tlog_proof"].as_str().unwrap()).unwrap();
        let body = entry["entry"].as_str().unwrap();
        let checkpoint = proof.verify(body.as_bytes(), &writing.bench.key()).unwrap();
        assert_eq!(checkpoint.size, json["log"]["size"].as_u64().unwrap());
        assert_eq!(proof.index, entry["index"].as_u64().unwrap());
        assert!(proof.verify(format!("{body} ").as_bytes(), &writing.bench.key()).is_err());
    }
    assert_eq!((&json["ok"], &json["last"]["state"]), (&Value::from(true), &Value::from("expired")));
}

/// Hashes differ from run to run: every entry has an id of its own.
fn without_hashes(shown: &str, report: &Report) -> String {
    let mut shown = shown.replace(&report.key, "KEY").replace(&report.note, "CHECKPOINT\n");
    for entry in &report.entries {
        use base64::Engine as _;
        let hash = base64::engine::general_purpose::STANDARD.encode(entry.leaf_hash);
        shown = shown.replace(hash.get(..16).unwrap(), "HASH············");
    }
    shown
}

#[tokio::test]
async fn a_report_reads_well_and_its_words_stay_words() {
    let mut writing = Writing::new().await;
    writing.whole_life().await;
    let report = writing.report().await.unwrap();
    let (text, markdown) = (render::text(&report), render::markdown(&report));
    assert!(!text.contains('\u{1b}') && !markdown.contains('\u{1b}') && !markdown.contains("<b>"));
    insta::assert_snapshot!("text", without_hashes(&text, &report));
    // Markdown escapes what base64 is made of: the hashes are left out before.
    let rows: Vec<&str> = markdown.lines().filter(|line| line.starts_with('|')).collect();
    assert_eq!(rows.len(), 2 + report.entries.len());
    assert!(rows.iter().all(|row| row.matches('|').count() == 8), "{rows:#?}");
    let head = markdown.split("## What happened").next().unwrap();
    insta::assert_snapshot!("markdown", without_hashes(head, &report));
    assert!(markdown.contains(&report.note), "the checkpoint is there as it was signed");
}
