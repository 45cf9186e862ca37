//! Entries as a busy broker writes them, put into a store a few thousand at a time.

use bytes::Bytes;
use tidegate::audit::merkle::{Peaks, leaf_hash};
use tidegate::audit::{
    CredentialRecord, Event, FactsRecord, GrantRecord, PolicyRecord, PrincipalRecord, TokenRecord,
};
use tidegate::clock::Moment;
use tidegate::entropy::SystemEntropy;
use tidegate::ids::{RequestId, UniqueId};
use tidegate::policy::Facts;
use tidegate::secret::Fingerprint;
use tidegate::store::{LogHead, LogRow, Store, TileHash};

const AT_ONCE: u64 = 5_000;

/// One exchange of a JWT, in the sizes of `docs/audit-log.md`.
pub fn event(number: u64) -> Event {
    let mark = |what: &str| Fingerprint::of(format!("{what} {number}").as_bytes());
    let at = Moment::from_unix_seconds(1_795_363_392 + i64::try_from(number).unwrap_or(0) / 100);
    Event::CredentialIssued {
        principal: PrincipalRecord {
            kind: "workload",
            issuer: "prod-cluster".to_owned(),
            subject: format!("system:serviceaccount:billing:invoicer-{}", number % 200),
        },
        actor: None,
        grant: GrantRecord { name: "ledger-api".to_owned(), kind: Some("jwt"), version: Some(mark("grant")) },
        token: TokenRecord { sha256: mark("token"), issued_at: at, expires_at: at },
        policy: PolicyRecord {
            digest: mark("policies"),
            decided_by: vec!["customer/main.cedar#billing-reads-the-ledger".to_owned()],
        },
        facts: facts(number, at),
        credential: CredentialRecord::Jwt {
            jti: "01a204b4-7013-7d50-a997-ded4a8bd9cf8".to_owned(),
            kid: "mfIfNtuyUsbFvWHvPHB2q48Jhce3xiSX3pVDL5XRVM4".to_owned(),
            sha256: mark("credential"),
            scope: "ledger.read ledger.write".to_owned(),
            expires_at: at,
        },
        elevation: None,
        source_ip: Some(std::net::IpAddr::from([10, 1, 4, 17])),
    }
}

/// As the broker keeps them, of a service account of a cluster with the claims that clusters send.
fn facts(number: u64, at: Moment) -> Option<FactsRecord> {
    let facts = serde_json::json!({
        "at": at,
        "principal": {
            "kind": "workload", "issuer": "prod-cluster",
            "subject": format!("system:serviceaccount:billing:invoicer-{}", number % 200),
            "kubernetes": {
                "namespace": "billing", "service_account": format!("invoicer-{}", number % 200),
                "pod": format!("invoicer-{}-6c8f9d7b5-x2x7k", number % 200), "node": "ip-10-1-4-17",
            },
        },
        "grant": {
            "name": "ledger-api", "version": Fingerprint::of(b"grant"), "kind": "jwt", "break_glass": false,
            "labels": ["production"],
        },
        "source_ip": "10.1.4.17",
        "auth": { "issued_at": at },
        "asked": { "action": "issue", "ttl": "5m", "scopes": ["ledger.read", "ledger.write"] },
    });
    FactsRecord::of(&serde_json::from_value::<Facts>(facts).expect("facts"))
}

/// The entry's bytes: what the log puts before an event, and the event.
fn body(event: &Event, entropy: &SystemEntropy) -> Bytes {
    let at = Moment::from_unix_millis(1_795_363_392_250);
    let id = UniqueId::new(at, entropy).expect("an id");
    let request = RequestId::new(at, entropy).expect("an id");
    let event = serde_json::to_string(event).expect("JSON");
    let event = event.trim_start_matches('{');
    Bytes::from(format!("{{\"v\":1,\"id\":\"{id}\",\"at\":\"{at}\",\"request_id\":\"{request}\",{event}"))
}

/// Appends until the log has `size` entries.
pub async fn fill(store: &dyn Store, size: u64) {
    fill_with(store, size, event).await;
}

/// The same with other events.
pub async fn fill_with(store: &dyn Store, size: u64, event: impl Fn(u64) -> Event) {
    let entropy = SystemEntropy::new();
    loop {
        let mut unit = store.begin().await.expect("a unit");
        let head = unit.head().await.expect("a head");
        let count = size.saturating_sub(head.size).min(AT_ONCE);
        if count == 0 {
            return;
        }
        let mut peaks = Peaks::new(head.size, head.peaks).expect("peaks");
        let (mut rows, mut hashes) = (Vec::new(), Vec::new());
        for index in head.size..head.size + count {
            let bytes = body(&event(index), &entropy);
            let leaf_hash = leaf_hash(&bytes);
            peaks.append(leaf_hash, |node, hash| {
                if node.height > 0 && node.height.is_multiple_of(8) {
                    hashes.push(TileHash { level: node.height / 8, index: node.index, hash });
                }
            });
            rows.push(LogRow { index, leaf_hash, bytes });
        }
        let head = LogHead { size: peaks.size(), peaks: peaks.hashes().to_vec(), last_at: head.last_at };
        unit.append(&rows, &hashes, &head).await.expect("rows");
        unit.commit().await.expect("a commit");
    }
}
