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

-- The columns before `facts` are what is asked for in SQL; `facts` is all of it as JSON, and must agree with them.
CREATE TABLE elevation (
    id                TEXT PRIMARY KEY,
    version           INTEGER NOT NULL CHECK (version > 0),
    state             TEXT NOT NULL,
    grant_name        TEXT NOT NULL,
    requester_issuer  TEXT NOT NULL,
    requester_subject TEXT NOT NULL,
    open              INTEGER NOT NULL CHECK (open IN (0, 1)),
    due_at            INTEGER,
    facts             TEXT NOT NULL
) STRICT;
-- Ids carry the time of the request: their order is newest first, backwards.
CREATE INDEX elevation_by_state ON elevation (state, id);
CREATE INDEX elevation_by_grant ON elevation (grant_name, id);
CREATE INDEX elevation_by_requester ON elevation (requester_issuer, requester_subject, id);
CREATE INDEX elevation_due ON elevation (due_at) WHERE due_at IS NOT NULL;
CREATE INDEX elevation_open_person ON elevation (requester_issuer, requester_subject) WHERE open = 1;
CREATE INDEX elevation_open_grant ON elevation (grant_name) WHERE open = 1;

-- Answers to requests with an idempotency key.
CREATE TABLE answer (
    key     BLOB PRIMARY KEY CHECK (length(key) = 32),
    request BLOB NOT NULL CHECK (length(request) = 32),
    outcome TEXT NOT NULL,
    until   INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX answer_until ON answer (until);

CREATE TABLE lock (
    id    TEXT PRIMARY KEY,
    until INTEGER,
    facts TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- Messages that wait for their receiver. Never a sequence twice, so that a late answer about one cannot hit another.
CREATE TABLE outbox (
    sequence  INTEGER PRIMARY KEY AUTOINCREMENT,
    hook      BLOB NOT NULL CHECK (length(hook) = 32),
    elevation TEXT NOT NULL,
    version   INTEGER NOT NULL,
    body      TEXT NOT NULL,
    attempts  INTEGER NOT NULL DEFAULT 0 CHECK (attempts >= 0),
    -- NULL until it was tried: due at once.
    next_try  INTEGER
) STRICT;
CREATE INDEX outbox_by_receiver ON outbox (hook, elevation, sequence);

CREATE TABLE revoked_token (
    jti   TEXT PRIMARY KEY,
    until INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX revoked_token_until ON revoked_token (until);

-- One row, once there is one: the latest time that was seen.
CREATE TABLE high_water (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    at INTEGER NOT NULL
) STRICT;
