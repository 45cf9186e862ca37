-- The log. Bodies come last so that reading hashes does not read them.
CREATE TABLE log_entry (
    idx       INTEGER PRIMARY KEY CHECK (idx >= 0),
    leaf_hash BLOB NOT NULL CHECK (length(leaf_hash) = 32),
    body      BLOB NOT NULL CHECK (length(body) <= 65535)
) STRICT;

-- Roots of full subtrees of 256^level entries: what the tiles above level 0 hold.
CREATE TABLE log_node (
    level INTEGER NOT NULL CHECK (level BETWEEN 1 AND 7),
    idx   INTEGER NOT NULL CHECK (idx >= 0),
    hash  BLOB NOT NULL CHECK (length(hash) = 32),
    PRIMARY KEY (level, idx)
) STRICT, WITHOUT ROWID;

-- One row. Whoever holds its lock appends.
CREATE TABLE log_head (
    id      INTEGER PRIMARY KEY CHECK (id = 1),
    size    INTEGER NOT NULL CHECK (size >= 0),
    peaks   BLOB NOT NULL CHECK (length(peaks) % 32 = 0),
    last_at INTEGER
) STRICT;
INSERT INTO log_head (id, size, peaks, last_at) VALUES (1, 0, x'', NULL);

-- Single-use tokens that were presented, until their age alone refuses them. `token` is the first half of
-- SHA-256(issuer, key), each with its length before it: short rows mean few pages in the write-ahead log. A collision,
-- which takes 2^64 tokens, would refuse the second one; it lets nobody in.
CREATE TABLE replay_claim (
    token BLOB PRIMARY KEY CHECK (length(token) = 16),
    until INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE signing_key (
    kid             TEXT PRIMARY KEY,
    purpose         TEXT NOT NULL CHECK (purpose IN ('token', 'log')),
    algorithm       TEXT NOT NULL,
    sealed_private  BLOB NOT NULL,
    public          TEXT NOT NULL,
    created_at      INTEGER NOT NULL,
    active_from     INTEGER NOT NULL,
    retired_at      INTEGER,
    published_until INTEGER
) STRICT, WITHOUT ROWID;

CREATE TABLE probe (
    id    INTEGER PRIMARY KEY CHECK (id = 1),
    count INTEGER NOT NULL
) STRICT;
INSERT INTO probe (id, count) VALUES (1, 0);
