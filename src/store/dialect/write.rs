//! The statements that write rows.

use super::Dialect;
use crate::model::{Object, Type, Value};

/// Set once or with every change, so never compared.
const BOOK_TIMES: [&str; 2] = ["_first_seen_at", "_synced_at"];

/// So many rows make up for another trip to the server.
const WORTH_COPYING: usize = 100;

/// A column of an upsert: name, type.
type Part = (&'static str, Type);

impl Dialect {
    /// Inserts `rows` rows or updates the stored ones where something differs: a row that is the same
    /// is not written, so that `_synced_at` tells the truth and no log volume arises. `present` are
    /// the positions of the columns that the records have, that of `_extra` behind all others; the others keep what is
    /// stored.
    ///
    /// The values are those of the present columns, then the time. SQLite and MySQL take them row by
    /// row with the time twice; Postgres takes an array for each column, then the time once.
    pub fn upsert(self, object: &Object, present: &[usize], rows: usize) -> String {
        let parts: Vec<Part> = present.iter().map(|at| object.cell(*at)).collect();
        match self {
            Dialect::Sqlite => sqlite(object, &parts, rows),
            Dialect::Postgres => postgres(object, &parts),
            Dialect::Mysql => mysql(object, &parts, rows),
        }
    }

    /// Inserts `rows` rows of which none is stored, without looking for conflicts. The values are those of an upsert;
    /// Postgres takes them as binary rows that follow the statement.
    pub fn insert_new(self, object: &Object, present: &[usize], rows: usize) -> String {
        let parts: Vec<Part> = present.iter().map(|at| object.cell(*at)).collect();
        let (table, names) = (quoted(object.table), names(&parts));
        match self {
            Dialect::Postgres => format!("copy {table} ({names}) from stdin with (format binary)"),
            Dialect::Sqlite | Dialect::Mysql => {
                format!(
                    "insert into {table} ({names}) values {}",
                    placeholders(parts.len() + BOOK_TIMES.len(), rows)
                )
            }
        }
    }

    /// Whether so many rows are worth to be inserted by [`Self::insert_new`]: where statements are kept prepared, as many as
    /// one takes; on Postgres, where it takes a trip more, enough of them.
    pub(in crate::store) fn is_worth_inserting(self, rows: usize) -> bool {
        match self {
            Dialect::Sqlite | Dialect::Mysql => rows == self.rows_per_statement(),
            Dialect::Postgres => rows >= WORTH_COPYING,
        }
    }

    /// Selects what is stored between two ids of one parent, if the key has one: ids in their order, and when they were
    /// marked as gone. No more than `limit`.
    pub(in crate::store) fn stored_between(
        self,
        object: &Object,
        parent: Option<i64>,
        ids: (i64, i64),
        limit: usize,
    ) -> (String, Vec<Value>) {
        let (table, id) = (quoted(object.table), quoted(object.key.last().copied().unwrap_or_default()));
        let (of_parent, mut values) = of_parent(object, parent);
        values.extend([Value::Int(ids.0), Value::Int(ids.1)]);
        let sql = format!(
            "select {id}, \"_deleted_at\" from {table} where {of_parent}{id} between ? and ? order by {id} limit {limit}"
        );
        (sql, values)
    }

    /// Counts which of some rows are stored, and which of these are marked as gone: rows of one parent, if the key has
    /// one, and the ids behind it.
    pub(in crate::store) fn count_stored(
        self,
        object: &Object,
        parent: Option<i64>,
        ids: impl Iterator<Item = i64>,
    ) -> (String, Vec<Value>) {
        let (table, id) = (quoted(object.table), quoted(object.key.last().copied().unwrap_or_default()));
        let (of_parent, mut values) = of_parent(object, parent);
        let (is_among, among) = self.is_among(&id, ids);
        values.extend(among);
        (format!("select count(*), count(\"_deleted_at\") from {table} where {of_parent}{is_among}"), values)
    }

    /// Whether an upsert tells by itself how many rows were there before.
    pub(in crate::store) fn upsert_counts(self) -> bool {
        self == Dialect::Postgres
    }

    /// Inserts one row, or, where the key is taken, updates the columns in `updated`: none of them means that what is
    /// there stays.
    pub(crate) fn insert_or_update(
        self,
        table: &str,
        columns: &[(&str, &str)],
        key: &[&str],
        updated: &[&str],
    ) -> String {
        let names: Vec<String> = columns.iter().map(|(name, _)| quoted(name)).collect();
        let values: Vec<&str> = columns.iter().map(|(_, value)| *value).collect();
        let insert = format!("insert into {table} ({}) values ({})", names.join(", "), values.join(", "));
        let set = |of: fn(&str) -> String| {
            updated
                .iter()
                .map(|name| format!("{} = {}", quoted(name), of(name)))
                .collect::<Vec<_>>()
                .join(", ")
        };
        match self {
            Dialect::Sqlite | Dialect::Postgres => {
                let key: Vec<String> = key.iter().map(|name| quoted(name)).collect();
                let action = if updated.is_empty() {
                    "nothing".to_owned()
                } else {
                    format!("update set {}", set(|name| format!("excluded.{}", quoted(name))))
                };
                format!("{insert} on conflict ({}) do {action}", key.join(", "))
            }
            Dialect::Mysql if updated.is_empty() => {
                format!("{insert} on duplicate key update {0} = {0}", quoted(key[0]))
            }
            Dialect::Mysql => {
                format!(
                    "{insert} on duplicate key update {}",
                    set(|name| format!("values({})", quoted(name)))
                )
            }
        }
    }
}

fn quoted(name: &str) -> String {
    format!("\"{name}\"")
}

fn names(parts: &[Part]) -> String {
    let names: Vec<String> = parts.iter().map(|(name, _)| *name).chain(BOOK_TIMES).map(quoted).collect();
    names.join(", ")
}

/// The condition that a row is one of a parent, where the key has one. Bound: the statement stays the same for all parents.
fn of_parent(object: &Object, parent: Option<i64>) -> (String, Vec<Value>) {
    match (object.key, parent) {
        ([column, _], Some(parent)) => (format!("{} = ? and ", quoted(column)), vec![Value::Int(parent)]),
        _ => (String::new(), Vec::new()),
    }
}

fn keys(object: &Object) -> String {
    object.key.iter().map(|name| quoted(name)).collect::<Vec<_>>().join(", ")
}

/// The columns whose change is a change of the row.
fn changing<'p>(object: &'p Object, parts: &'p [Part]) -> impl Iterator<Item = &'p Part> {
    parts.iter().filter(|(name, _)| !object.key.contains(name))
}

/// Rows of placeholders.
fn placeholders(columns: usize, rows: usize) -> String {
    let row = format!("({})", vec!["?"; columns].join(","));
    vec![row.as_str(); rows].join(",")
}

fn sqlite(object: &Object, parts: &[Part], rows: usize) -> String {
    let table = quoted(object.table);
    let set: Vec<String> = changing(object, parts)
        .map(|(name, _)| *name)
        .chain(["_synced_at"])
        .map(|name| format!("{0} = excluded.{0}", quoted(name)))
        .collect();
    let differs: Vec<String> = changing(object, parts)
        .map(|(name, _)| format!("{table}.{0} is not excluded.{0}", quoted(name)))
        .collect();
    format!(
        "insert into {table} ({}) values {} on conflict ({}) do update set {}, \"_deleted_at\" = null \
         where {} or {table}.\"_deleted_at\" is not null",
        names(parts),
        placeholders(parts.len() + BOOK_TIMES.len(), rows),
        keys(object),
        set.join(", "),
        differs.join(" or "),
    )
}

/// Arrays instead of rows: one text and one plan for any number of rows, and no limit of parameters. Rows that are stored
/// and the same are left out before the insert: a conflict alone would lock every one of them, which is written to the
/// log. What is left tells how many rows are new, how many differ, and how many of these were marked as gone. The limit
/// makes it a look-up for each row: a planner that has no statistics yet would read the whole table for each page.
fn postgres(object: &Object, parts: &[Part]) -> String {
    let array = |kind: Type| match kind {
        Type::Id | Type::Int => "bigint[]",
        Type::Bool => "boolean[]",
        Type::Text | Type::JsonObject | Type::JsonArray => "text[]",
        Type::Time => "timestamp with time zone[]",
    };
    let arrays: Vec<String> = parts.iter().map(|(_, kind)| format!("cast(? as {})", array(*kind))).collect();
    let columns: Vec<String> = parts.iter().map(|(name, _)| quoted(name)).collect();
    let selected: Vec<String> = parts
        .iter()
        .map(|(name, kind)| match kind {
            Type::JsonObject | Type::JsonArray => format!("cast(a.{0} as jsonb) as {0}", quoted(name)),
            _ => format!("a.{}", quoted(name)),
        })
        .collect();
    let is_it: Vec<String> = object.key.iter().map(|name| format!("t.{0} = n.{0}", quoted(name))).collect();
    let compared: Vec<String> =
        changing(object, parts).map(|(name, _)| *name).chain(["_deleted_at"]).map(quoted).collect();
    let differs = |stored: &str, new: &str| {
        let differs: Vec<String> = changing(object, parts)
            .map(|(name, _)| format!("{stored}.{0} is distinct from {new}.{0}", quoted(name)))
            .chain([format!("{stored}.\"_deleted_at\" is not null")])
            .collect();
        differs.join(" or ")
    };
    let set: Vec<String> = changing(object, parts)
        .map(|(name, _)| *name)
        .chain(["_synced_at"])
        .map(|name| format!("{0} = excluded.{0}", quoted(name)))
        .collect();
    format!(
        "with c as materialized (\
         select n.*, s.is_known is true as is_known, s.\"_deleted_at\" is not null as is_back from \
         (select {selected} from unnest({arrays}) as a ({columns}) offset 0) n \
         left join lateral (select true as is_known, {compared} from {table} t where {is_it} limit 1) s on true \
         where s.is_known is null or {differs_from_stored}), \
         w as (insert into {table} as t ({names}) select {columns}, b.at, b.at from c, \
         (select cast(? as timestamp with time zone) as at) b \
         on conflict ({keys}) do update set {set}, \"_deleted_at\" = null where {differs_from_conflicting}) \
         select count(*) filter (where not is_known), count(*) filter (where is_known), count(*) filter (where is_back) from c",
        compared = compared.join(", "),
        table = quoted(object.table),
        names = names(parts),
        selected = selected.join(", "),
        arrays = arrays.join(", "),
        columns = columns.join(", "),
        is_it = is_it.join(" and "),
        differs_from_stored = differs("s", "n"),
        keys = keys(object),
        set = set.join(", "),
        differs_from_conflicting = differs("t", "excluded"),
    )
}

/// There is no condition on an update here, but a row that is set to what it is is not written either. The time
/// is assigned first, while the columns it is judged by still have their old values.
fn mysql(object: &Object, parts: &[Part], rows: usize) -> String {
    let table = quoted(object.table);
    let same: Vec<String> = changing(object, parts)
        .map(|(name, kind)| match kind {
            // Equal texts may differ in blanks at their end, by the rules of the collation.
            Type::Text => {
                format!("cast({table}.{0} as binary) <=> cast(values({0}) as binary)", quoted(name))
            }
            _ => format!("{table}.{0} <=> values({0})", quoted(name)),
        })
        .collect();
    let set: Vec<String> =
        changing(object, parts).map(|(name, _)| format!("{0} = values({0})", quoted(name))).collect();
    format!(
        "insert into {table} ({}) values {} on duplicate key update \
         \"_synced_at\" = if({table}.\"_deleted_at\" is null and {}, {table}.\"_synced_at\", values(\"_synced_at\")), \
         {}, \"_deleted_at\" = null",
        names(parts),
        placeholders(parts.len() + BOOK_TIMES.len(), rows),
        same.join(" and "),
        set.join(", "),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::objects::SUBSCRIBERS;

    #[test]
    fn a_key_that_is_taken_leaves_what_is_there_where_nothing_is_updated() {
        let one = |dialect: Dialect, updated: &[&str]| {
            dialect.insert_or_update("t", &[("a", "?"), ("b", "now()")], &["a"], updated)
        };
        let insert = r#"insert into t ("a", "b") values (?, now()) on"#;
        for dialect in [Dialect::Sqlite, Dialect::Postgres] {
            assert_eq!(one(dialect, &[]), format!(r#"{insert} conflict ("a") do nothing"#));
            let update = format!(r#"{insert} conflict ("a") do update set "b" = excluded."b""#);
            assert_eq!(one(dialect, &["b"]), update);
        }
        assert_eq!(one(Dialect::Mysql, &[]), format!(r#"{insert} duplicate key update "a" = "a""#));
        assert_eq!(
            one(Dialect::Mysql, &["b"]),
            format!(r#"{insert} duplicate key update "b" = values("b")"#)
        );
    }

    #[test]
    fn texts_are_compared_to_the_byte_json_is_cast_and_keys_are_never_set() {
        let present: Vec<usize> = (0..SUBSCRIBERS.columns.len()).collect();
        let upsert = |dialect: Dialect| dialect.upsert(&SUBSCRIBERS, &present, 1);
        let mysql = upsert(Dialect::Mysql);
        assert!(
            mysql.contains(r#"cast("subscribers"."state" as binary) <=> cast(values("state") as binary)"#)
        );
        assert!(mysql.contains(r#""subscribers"."created_at" <=> values("created_at")"#));
        let postgres = upsert(Dialect::Postgres);
        assert!(
            postgres.contains(r#"cast(a."fields" as jsonb) as "fields""#)
                && postgres.contains(r#" a."state","#)
        );
        for text in [mysql, postgres, upsert(Dialect::Sqlite)] {
            assert!(text.contains(r#""state" = "#) && !text.contains(r#" "id" = "#), "{text}");
        }
    }
}
