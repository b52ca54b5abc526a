//! Every difference of SQL text between the engines, as strings. Pure. What drivers do differently is
//! in `connection`; `rows`, `state` and the others are written once and ask here for text.

use crate::model::{Column, Object, Type};

/// A database engine's way of writing SQL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// SQLite 3.37 or later (`STRICT` tables), bundled.
    Sqlite,
}

/// Columns every table has beside those of its object: name, type, not null, comment.
pub const BOOKKEEPING: [(&str, Type, bool, &str); 4] = [
    ("_first_seen_at", Type::Time, true, "When the mirror first stored the row."),
    ("_synced_at", Type::Time, true, "When the row's content last changed here."),
    ("_deleted_at", Type::Time, false, "When a reconcile found the row gone at Kit; null while it is there."),
    ("_extra", Type::JsonObject, false, "What Kit sent beyond the columns; null as a rule."),
];

/// Indexes an analyst needs, by table: column.
pub fn indexes(table: &str) -> &'static [&'static str] {
    match table {
        "subscribers" => &["created_at", "email_address", "state"],
        "form_subscriptions" | "sequence_subscriptions" | "tag_subscriptions" => {
            &["subscriber_id", "created_at"]
        }
        _ => &[],
    }
}

impl Dialect {
    /// Its name in settings and folders.
    pub fn name(self) -> &'static str {
        match self {
            Dialect::Sqlite => "sqlite",
        }
    }

    /// A name as it stands in a statement. Only compiled-in names come here.
    pub fn quoted(self, name: &str) -> String {
        match self {
            Dialect::Sqlite => format!("\"{name}\""),
        }
    }

    /// The placeholder of the `n`th value, from 1.
    pub fn parameter(self, _n: usize) -> &'static str {
        match self {
            Dialect::Sqlite => "?",
        }
    }

    /// The most values one statement takes.
    pub fn parameter_limit(self) -> usize {
        match self {
            Dialect::Sqlite => 32_766,
        }
    }

    /// How a logical type is declared.
    pub fn type_name(self, kind: Type) -> &'static str {
        match (self, kind) {
            (Dialect::Sqlite, Type::Id | Type::Int | Type::Bool) => "integer",
            (Dialect::Sqlite, Type::Text | Type::Time | Type::JsonObject | Type::JsonArray) => "text",
        }
    }

    /// The clock by which leases are judged, in the form times are stored in.
    pub fn now(self) -> &'static str {
        match self {
            Dialect::Sqlite => "strftime('%Y-%m-%dT%H:%M:%f000Z', 'now')",
        }
    }

    /// The same, this many seconds (a bound value) later.
    pub fn now_plus_seconds(self) -> &'static str {
        match self {
            Dialect::Sqlite => "strftime('%Y-%m-%dT%H:%M:%f000Z', 'now', ? || ' seconds')",
        }
    }

    /// Seconds from a stored time until now.
    pub fn seconds_since(self, column: &str) -> String {
        match self {
            Dialect::Sqlite => {
                format!("cast(round((julianday('now') - julianday({column})) * 86400) as integer)")
            }
        }
    }

    /// `column` is one of the ids in a bound JSON array: one text for any number of ids.
    pub fn is_among(self, column: &str) -> String {
        match self {
            Dialect::Sqlite => format!("{column} in (select value from json_each(?))"),
        }
    }

    /// Begins a transaction that will write. SQLite: at once, since a transaction that turns into a
    /// writing one later is refused without waiting when somebody else writes.
    pub fn begin(self) -> &'static str {
        match self {
            Dialect::Sqlite => "begin immediate",
        }
    }

    /// Sets how commits are made durable, once for the whole file.
    pub fn journal_mode(self) -> &'static str {
        match self {
            Dialect::Sqlite => "pragma journal_mode = wal",
        }
    }

    /// Columns of a relation: name, declared type in small letters, whether it may be null.
    pub fn columns_of_relation(self) -> &'static str {
        match self {
            Dialect::Sqlite => "select name, lower(type), \"notnull\" from pragma_table_info(?) order by cid",
        }
    }

    /// Relations that exist: name, and `table` or `view`.
    pub fn relations(self) -> &'static str {
        match self {
            Dialect::Sqlite => {
                "select name, type from sqlite_master where type in ('table', 'view') order by name"
            }
        }
    }

    /// Inserts `rows` rows or updates the stored ones where something differs: a row that is the same
    /// is not written, so that `_synced_at` tells the truth and no log volume arises. `present` are
    /// the positions of the columns that the records have; the others keep what is stored.
    pub fn upsert(self, object: &Object, present: &[usize], rows: usize) -> String {
        let columns: Vec<&str> = present
            .iter()
            .map(|index| object.columns[*index].name)
            .chain(["_extra", "_first_seen_at", "_synced_at"])
            .collect();
        let names: Vec<String> = columns.iter().map(|name| self.quoted(name)).collect();
        let changing: Vec<&str> = columns
            .iter()
            .copied()
            .filter(|name| !object.key.contains(name) && !BOOK_TIMES.contains(name))
            .collect();
        let table = self.quoted(object.table);
        match self {
            Dialect::Sqlite => {
                let row = format!("({})", vec![self.parameter(1); columns.len()].join(","));
                let values = vec![row.as_str(); rows].join(",");
                let keys: Vec<String> = object.key.iter().map(|name| self.quoted(name)).collect();
                let set: Vec<String> = changing
                    .iter()
                    .chain(&["_synced_at"])
                    .map(|name| format!("{0} = excluded.{0}", self.quoted(name)))
                    .collect();
                let differs: Vec<String> = changing
                    .iter()
                    .map(|name| format!("{table}.{0} is not excluded.{0}", self.quoted(name)))
                    .collect();
                format!(
                    "insert into {table} ({}) values {values} on conflict ({}) do update set {}, \"_deleted_at\" = null \
                     where {} or {table}.\"_deleted_at\" is not null",
                    names.join(", "),
                    keys.join(", "),
                    set.join(", "),
                    differs.join(" or "),
                )
            }
        }
    }

    /// The statements that create an object's table or view with its indexes; text of a migration.
    pub fn create(self, object: &Object) -> String {
        if object.is_view() {
            return self.create_view(object);
        }
        let mut text = format!("-- {}\ncreate table {} (\n", object.about, self.quoted(object.table));
        let single = object.key.len() == 1;
        let mut lines: Vec<(String, &str)> = Vec::new();
        for Column { name, kind, required, about, .. } in object.columns {
            let key = if single && object.key.contains(name) { " primary key" } else { "" };
            lines.push((self.column(name, *kind, *required, key), about));
        }
        for (name, kind, required, about) in BOOKKEEPING {
            lines.push((self.column(name, kind, required, ""), about));
        }
        if !single {
            let keys: Vec<String> = object.key.iter().map(|name| self.quoted(name)).collect();
            lines.push((format!("primary key ({})", keys.join(", ")), ""));
        }
        let count = lines.len();
        for (at, (line, about)) in lines.into_iter().enumerate() {
            let comma = if at + 1 < count { "," } else { "" };
            let comment = if about.is_empty() { String::new() } else { format!(" -- {about}") };
            text.push_str(&format!("    {line}{comma}{comment}\n"));
        }
        match self {
            // A pair of ids is the whole identity of a membership, so it is also where the row lives.
            Dialect::Sqlite if single => text.push_str(") strict;\n"),
            Dialect::Sqlite => text.push_str(") strict, without rowid;\n"),
        }
        for column in indexes(object.table) {
            text.push_str(&format!(
                "create index {} on {} ({});\n",
                self.quoted(&format!("{}_{column}", object.table)),
                self.quoted(object.table),
                self.quoted(column)
            ));
        }
        text
    }

    fn column(self, name: &str, kind: Type, required: bool, key: &str) -> String {
        let not_null = if required { " not null" } else { "" };
        format!("{} {}{not_null}{key}", self.quoted(name), self.type_name(kind))
    }

    fn create_view(self, object: &Object) -> String {
        let head = format!("-- {}\ncreate view {} as\n", object.about, self.quoted(object.name));
        let body = match object.name {
            "cancelled_subscribers" => {
                let names = object.columns.iter().map(|column| column.name).chain(BOOKKEEPING.map(|(name, ..)| name));
                let names: Vec<String> = names.map(|name| self.quoted(name)).collect();
                format!("select {}\nfrom \"subscribers\"\nwhere \"state\" = 'cancelled';\n", names.join(", "))
            }
            _ => "select m.\"subscriber_id\", m.\"tag_id\", t.\"name\" as \"tag_name\", m.\"created_at\", t.\"created_at\" as \
                  \"tag_created_at\",\n       m.\"_first_seen_at\", m.\"_synced_at\", m.\"_deleted_at\", m.\"_extra\"\n\
                  from \"tag_subscriptions\" m\njoin \"tags\" t on t.\"id\" = m.\"tag_id\";\n"
                .to_owned(),
        };
        head + &body
    }
}

/// Set once or with every change, so never compared.
const BOOK_TIMES: [&str; 2] = ["_first_seen_at", "_synced_at"];
