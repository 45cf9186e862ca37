-- Key-encryption keys that AWS KMS has wrapped, as long as a kept key may be sealed under them. `wrapped` opens only at KMS.
CREATE TABLE wrapped_kek (
    id         BLOB PRIMARY KEY CHECK (length(id) = 8),
    kms_key    TEXT NOT NULL,
    wrapped    BLOB NOT NULL,
    created_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
