-- What replicas watch, in the row that every commit reads anyway.
ALTER TABLE log_head
    ADD COLUMN locks_mark bigint NOT NULL DEFAULT 0,
    ADD COLUMN keys_mark bigint NOT NULL DEFAULT 0,
    ADD COLUMN elevations_mark bigint NOT NULL DEFAULT 0,
    -- Digest of the policy sets that decide; NULL where none were published.
    ADD COLUMN policy bytea CHECK (policy IS NULL OR octet_length(policy) = 32);

-- Every policy set that was published, by its digest.
CREATE TABLE policy_set (
    digest bytea PRIMARY KEY CHECK (octet_length(digest) = 32),
    text   text COLLATE "C" NOT NULL
);

-- Work that one replica does for all, and until when.
CREATE TABLE lease (
    name   text COLLATE "C" PRIMARY KEY,
    holder text COLLATE "C" NOT NULL,
    until  bigint NOT NULL
);
