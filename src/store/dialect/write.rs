//! The statements that write rows.

use super::Dialect;
use crate::model::{Object, Type};

/// Set once or with every change, so never compared.
const BOOK_TIMES: [&str; 2] = ["_first_seen_at", "_synced_at"];

/// A column of an upsert: name, type.
type Part = (&'static str, Type);

impl Dialect {
    /// Inserts `rows` rows or updates the stored ones where something differs: a row that is the same
    /// is not written, so that `_synced_at` tells the truth and no log volume arises. `present` are
    /// the positions of the columns that the records have, that of `_extra` behind all others; the others keep what is
    /// stored. `known` says that some of the rows are stored already.
    ///
    /// The values are those of the present columns, then the time. SQLite and MySQL take them row by
    /// row with the time twice; Postgres takes an array for each column, then the time once.
    pub fn upsert(self, object: &Object, present: &[usize], rows: usize, known: bool) -> String {
        let parts: Vec<Part> = present.iter().map(|at| object.cell(*at)).collect();
        match self {
            Dialect::Sqlite => sqlite(object, &parts, rows),
            Dialect::Postgres => postgres(object, &parts, known),
            Dialect::Mysql => mysql(object, &parts, rows),
        }
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

/// Arrays instead of rows: one text and one plan for any number of rows, and no limit of parameters. Where rows are
/// known, those that are the same are left out before the insert: a conflict alone would lock every one of
/// them, which is written to the log.
fn postgres(object: &Object, parts: &[Part], known: bool) -> String {
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
    let filter = if known {
        let same: Vec<String> = changing(object, parts)
            .map(|(name, _)| format!("s.{0} is not distinct from n.{0}", quoted(name)))
            .collect();
        let is_it: Vec<String> =
            object.key.iter().map(|name| format!("s.{0} = n.{0}", quoted(name))).collect();
        format!(
            " where not exists (select from {} s where {} and {} and s.\"_deleted_at\" is null)",
            quoted(object.table),
            is_it.join(" and "),
            same.join(" and ")
        )
    } else {
        String::new()
    };
    let set: Vec<String> = changing(object, parts)
        .map(|(name, _)| *name)
        .chain(["_synced_at"])
        .map(|name| format!("{0} = excluded.{0}", quoted(name)))
        .collect();
    let differs: Vec<String> = changing(object, parts)
        .map(|(name, _)| format!("t.{0} is distinct from excluded.{0}", quoted(name)))
        .collect();
    format!(
        "insert into {table} as t ({names}) select n.*, b.at, b.at from \
         (select {selected} from unnest({arrays}) as a ({columns}) offset 0) n, \
         (select cast(? as timestamp with time zone) as at) b{filter} \
         on conflict ({keys}) do update set {set}, \"_deleted_at\" = null where {differs} or t.\"_deleted_at\" is not null",
        table = quoted(object.table),
        names = names(parts),
        selected = selected.join(", "),
        arrays = arrays.join(", "),
        columns = columns.join(", "),
        keys = keys(object),
        set = set.join(", "),
        differs = differs.join(" or "),
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
        let upsert = |dialect: Dialect| dialect.upsert(&SUBSCRIBERS, &present, 1, true);
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
