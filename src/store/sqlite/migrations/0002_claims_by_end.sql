-- Claims in the order in which they end (`claims.rs` says why). `token` is as it was: the first half of
-- SHA-256(issuer, key).
CREATE TABLE replay_claim_by_end (
    until INTEGER NOT NULL,
    token BLOB NOT NULL CHECK (length(token) = 16),
    PRIMARY KEY (until, token)
) STRICT, WITHOUT ROWID;
INSERT INTO replay_claim_by_end (until, token) SELECT until, token FROM replay_claim;
DROP TABLE replay_claim;
ALTER TABLE replay_claim_by_end RENAME TO replay_claim;
