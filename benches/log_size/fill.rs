//! Entries as a busy broker writes them, put into a store a few thousand at a time.

use bytes::Bytes;
use tidegate::audit::merkle::{Peaks, leaf_hash};
use tidegate::audit::{CredentialRecord, Event, GrantRecord, PolicyRecord, PrincipalRecord, TokenRecord};
use tidegate::clock::Moment;
use tidegate::entropy::SystemEntropy;
use tidegate::ids::{RequestId, UniqueId};
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
            customer: mark("customer"),
            vendor: Some(mark("vendor")),
            decided_by: vec!["customer/main.cedar#billing-reads-the-ledger".to_owned()],
        },
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

/// The entry's bytes: what the log puts before an event, and the event.
fn body(number: u64, entropy: &SystemEntropy) -> Bytes {
    let at = Moment::from_unix_millis(1_795_363_392_250);
    let id = UniqueId::new(at, entropy).expect("an id");
    let request = RequestId::new(at, entropy).expect("an id");
    let event = serde_json::to_string(&event(number)).expect("JSON");
    let event = event.trim_start_matches('{');
    Bytes::from(format!("{{\"v\":1,\"id\":\"{id}\",\"at\":\"{at}\",\"request_id\":\"{request}\",{event}"))
}

/// Appends until the log has `size` entries.
pub async fn fill(store: &dyn Store, size: u64) {
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
            let bytes = body(index, &entropy);
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
