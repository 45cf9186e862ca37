//! What there is to copy: every table of the schema with its columns, which have the same names in every backend.

/// One column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::store) struct Column {
    pub(in crate::store) name: &'static str,
    pub(in crate::store) kind: Kind,
}

/// What a column holds; each may be NULL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::store) enum Kind {
    Number,
    /// Of two kinds where the backend has them, else 0 or 1.
    Flag,
    Bytes,
    Text,
}

/// One table.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::store) struct Table {
    pub(in crate::store) name: &'static str,
    pub(in crate::store) columns: &'static [Column],
    /// So many of the first columns tell its rows apart, and are the order in which they are read.
    pub(in crate::store) key: usize,
}

/// One value. Without `Debug`: there are sealed keys among them.
#[derive(Clone, PartialEq, Eq)]
pub(in crate::store) enum Value {
    Null,
    Number(i64),
    Bytes(Vec<u8>),
    Text(String),
}

/// The values of one row, in the order of the table's columns.
pub(in crate::store) type Row = Vec<Value>;

const fn number(name: &'static str) -> Column {
    Column { name, kind: Kind::Number }
}

const fn flag(name: &'static str) -> Column {
    Column { name, kind: Kind::Flag }
}

const fn bytes(name: &'static str) -> Column {
    Column { name, kind: Kind::Bytes }
}

const fn text(name: &'static str) -> Column {
    Column { name, kind: Kind::Text }
}

/// The log's head: written last, because a store without one is no store.
pub(in crate::store) const HEAD: Table = Table {
    name: "log_head",
    columns: &[
        number("id"),
        number("size"),
        bytes("peaks"),
        number("last_at"),
        number("locks_mark"),
        number("keys_mark"),
        number("elevations_mark"),
        bytes("policy"),
    ],
    key: 1,
};

/// The row without what it has in one column.
pub(super) fn without(table: &Table, column: &str, row: Row) -> Row {
    let names = table.columns.iter().map(|column| column.name);
    let keep = |(value, name): (Value, &str)| if name == column { Value::Null } else { value };
    row.into_iter().zip(names).map(keep).collect()
}

/// The long ones, of which a copy that was interrupted keeps what it has: rows of these never change.
pub(in crate::store) const ENTRIES: Table =
    Table { name: "log_entry", columns: &[number("idx"), bytes("leaf_hash"), bytes("body")], key: 1 };

/// The roots of full subtrees.
pub(in crate::store) const NODES: Table =
    Table { name: "log_node", columns: &[number("level"), number("idx"), bytes("hash")], key: 2 };

/// Messages that wait; its numbers go on where they were.
pub(in crate::store) const OUTBOX: Table = Table {
    name: "outbox",
    columns: &[
        number("sequence"),
        bytes("hook"),
        text("elevation"),
        number("version"),
        text("body"),
        number("attempts"),
        number("next_try"),
    ],
    key: 1,
};

/// Everything beside the log.
pub(in crate::store) const STATE: &[Table] = &[
    Table { name: "replay_claim", columns: &[number("until"), bytes("token")], key: 2 },
    Table {
        name: "signing_key",
        columns: &[
            text("kid"),
            text("purpose"),
            text("algorithm"),
            bytes("sealed_private"),
            text("public"),
            number("created_at"),
            number("active_from"),
            number("retired_at"),
            number("published_until"),
        ],
        key: 1,
    },
    Table {
        name: "elevation",
        columns: &[
            text("id"),
            number("version"),
            text("state"),
            text("grant_name"),
            text("requester_issuer"),
            text("requester_subject"),
            flag("open"),
            number("due_at"),
            text("facts"),
        ],
        key: 1,
    },
    Table {
        name: "answer",
        columns: &[bytes("key"), bytes("request"), text("outcome"), number("until")],
        key: 1,
    },
    Table { name: "lock", columns: &[text("id"), number("until"), text("facts")], key: 1 },
    OUTBOX,
    Table { name: "policy_set", columns: &[bytes("digest"), text("text")], key: 1 },
    Table {
        name: "wrapped_kek",
        columns: &[bytes("id"), text("kms_key"), bytes("wrapped"), number("created_at")],
        key: 1,
    },
    Table { name: "revoked_token", columns: &[text("jti"), number("until")], key: 1 },
    Table { name: "high_water", columns: &[number("id"), number("at")], key: 1 },
];

/// What is not copied, because it says nothing: the row that readiness writes, who does what for all at the moment.
pub(in crate::store) const NOT_COPIED: &[&str] = &["probe", "lease"];

/// Our own word for a table of that name, if it is one of ours.
pub(in crate::store) fn known(name: &str) -> Option<&'static str> {
    let copied =
        [HEAD.name, ENTRIES.name, NODES.name].into_iter().chain(STATE.iter().map(|table| table.name));
    copied.chain(NOT_COPIED.iter().copied()).find(|known| *known == name)
}

impl Table {
    /// `a, b, c`.
    pub(in crate::store) fn names(&self) -> String {
        self.columns.iter().map(|column| column.name).collect::<Vec<_>>().join(", ")
    }

    /// The columns that tell rows apart: `a, b`.
    pub(in crate::store) fn key_names(&self) -> String {
        self.columns.iter().take(self.key).map(|column| column.name).collect::<Vec<_>>().join(", ")
    }

    /// The values of those columns.
    pub(in crate::store) fn key_of<'r>(&self, row: &'r Row) -> &'r [Value] {
        row.get(..self.key).unwrap_or(row)
    }
}

impl Value {
    /// A number, or nothing that is one.
    pub(in crate::store) const fn number(&self) -> Option<i64> {
        match self {
            Self::Number(number) => Some(*number),
            _ => None,
        }
    }

    /// Bytes, or none.
    pub(in crate::store) fn bytes(&self) -> &[u8] {
        match self {
            Self::Bytes(bytes) => bytes,
            _ => &[],
        }
    }
}
