-- What replicas watch, in the row that every commit reads anyway.
ALTER TABLE log_head ADD COLUMN locks_mark INTEGER NOT NULL DEFAULT 0;
ALTER TABLE log_head ADD COLUMN keys_mark INTEGER NOT NULL DEFAULT 0;
ALTER TABLE log_head ADD COLUMN elevations_mark INTEGER NOT NULL DEFAULT 0;
-- Digest of the policy sets that decide; NULL where none were published.
ALTER TABLE log_head ADD COLUMN policy BLOB CHECK (policy IS NULL OR length(policy) = 32);

-- Every policy set that was published, by its digest.
CREATE TABLE policy_set (
    digest BLOB PRIMARY KEY CHECK (length(digest) = 32),
    text   TEXT NOT NULL
) STRICT, WITHOUT ROWID;
