//! The SQL of the log, the keys and the claims. Rows come as arrays, one for each column.

pub(super) const BEGIN: &str = "BEGIN";
pub(super) const HEAD: &str =
    "SELECT size, peaks, last_at, locks_mark, keys_mark, elevations_mark, policy FROM log_head WHERE id = 1";
pub(super) const LOCK_HEAD: &str = "SELECT size, peaks, last_at, locks_mark, keys_mark, elevations_mark, policy FROM log_head WHERE id = 1 FOR UPDATE";
/// One message and not two: each one is a round trip, while the head is about to be locked.
pub(super) const BEGIN_WITH_HEAD: &str = "BEGIN; \
    SELECT size, peaks, last_at, locks_mark, keys_mark, elevations_mark, policy FROM log_head WHERE id = 1 FOR UPDATE";
/// Tells the other replicas, with the commit, that a mark has moved ([`super::replicas`] listens).
pub(super) const SAY: &str = "NOTIFY tidegate; ";
/// Changes nothing and is written all the same.
pub(super) const TOUCH: &str = "UPDATE probe SET count = (count + 1) % 1000000 WHERE id = 1";
pub(super) const ENTRIES: &str =
    "SELECT idx, leaf_hash AS hash, body FROM log_entry WHERE idx >= $1 AND idx < $2 ORDER BY idx";
pub(super) const LEAF_HASHES: &str = "SELECT idx, leaf_hash AS hash FROM log_entry WHERE idx >= $1 AND idx < $2 AND $3 = 0::smallint ORDER BY idx";
pub(super) const NODE_HASHES: &str =
    "SELECT idx, hash FROM log_node WHERE idx >= $1 AND idx < $2 AND level = $3 ORDER BY idx";
pub(super) const KEYS: &str = "SELECT kid, purpose, algorithm, sealed_private, public, created_at, active_from, \
     retired_at, published_until FROM signing_key ORDER BY created_at, kid";
pub(super) const PUT_KEY: &str = "INSERT INTO signing_key (kid, purpose, algorithm, sealed_private, public, created_at, \
     active_from, retired_at, published_until) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) \
     ON CONFLICT (kid) DO UPDATE SET active_from = excluded.active_from, retired_at = excluded.retired_at, \
     published_until = excluded.published_until";
pub(super) const DELETE_KEY: &str = "DELETE FROM signing_key WHERE kid = $1";
pub(super) const INSERT_ENTRIES: &str = "INSERT INTO log_entry (idx, leaf_hash, body) \
     SELECT $1 + n - 1, leaf_hash, body \
     FROM unnest($2::bytea[], $3::bytea[]) WITH ORDINALITY AS new (leaf_hash, body, n)";
pub(super) const INSERT_NODES: &str = "INSERT INTO log_node (level, idx, hash) \
     SELECT level, idx, hash FROM unnest($1::smallint[], $2::bigint[], $3::bytea[]) AS new (level, idx, hash)";
/// Waits for a unit that has taken the same token and is not at its end; says which ones were free.
pub(super) const CLAIM: &str = "INSERT INTO replay_claim (token, until) \
     SELECT token, until FROM unnest($1::bytea[], $2::bigint[]) AS new (token, until) \
     ON CONFLICT (token) DO NOTHING RETURNING token";
pub(super) const RELEASE: &str = "DELETE FROM replay_claim WHERE token = ANY ($1)";
/// What another replica is forgetting, or claims again, is left to it.
pub(super) const FORGET_CLAIMS: &str = "DELETE FROM replay_claim WHERE token IN (SELECT token FROM replay_claim \
     WHERE until < $1 ORDER BY until LIMIT $2 FOR UPDATE SKIP LOCKED)";

/// What the parameters of one statement may take. sqlx 0.9.0 does not set `TCP_NODELAY` (its issue 4335), and a statement
/// that needs more than one TLS record (16 KiB) waits for the delayed acknowledgement of the first: measured over TLS, 45 ms
/// for 19 KB and 0.4 ms for 14.5 KB.
pub(super) const MOST_BYTES: usize = 14_000;
/// Of one claim: token and end, each with its length before it.
pub(super) const CLAIM_BYTES: usize = 4 + 16 + 4 + 8;
/// Of one entry, beside its body: the hash, and two lengths.
pub(super) const ENTRY_BYTES: usize = 4 + 32 + 4;
/// Of one subtree's hash.
pub(super) const NODE_BYTES: usize = 4 + 2 + 4 + 8 + 4 + 32;

/// Cuts `items` into pieces of at most [`MOST_BYTES`]; one that is larger by itself goes alone.
pub(super) fn pieces<T>(items: &[T], bytes: impl Fn(&T) -> usize) -> Vec<&[T]> {
    let (mut pieces, mut rest) = (Vec::new(), items);
    while !rest.is_empty() {
        let mut sum = 0_usize;
        let fits = |item: &&T| {
            sum += bytes(item);
            sum <= MOST_BYTES
        };
        let count = rest.iter().take_while(fits).count().max(1);
        let (piece, after) = rest.split_at_checked(count).unwrap_or((rest, &[]));
        pieces.push(piece);
        rest = after;
    }
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_statement_is_longer_than_a_tls_record_unless_one_entry_is() {
        let sizes = [100, 13_900, 1, 14_000, 14_001, 65_535, 7_000, 7_000, 7_000];
        let cut = pieces(&sizes, |size| *size);
        let expected: [&[usize]; 6] =
            [&[100, 13_900], &[1], &[14_000], &[14_001], &[65_535], &[7_000, 7_000]];
        assert_eq!(cut[..6], expected);
        assert_eq!(cut.concat(), sizes);
        assert!(pieces(&[] as &[usize], |size| *size).is_empty());
        assert!(
            pieces(&[0; 1_000], |_| CLAIM_BYTES).iter().all(|piece| piece.len() * CLAIM_BYTES <= MOST_BYTES)
        );
    }
}
