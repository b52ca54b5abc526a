//! Every difference of SQL text between the engines, as strings. Pure. What drivers do differently is
//! in `connection`; `rows`, `state` and the others are written once and ask here for text.
//!
//! Names stand in double quotes everywhere: MySQL's sessions are set to understand that. Values stand at `?`;
//! [`Dialect::numbered`] turns these into what Postgres wants.

mod create;
mod write;

use std::borrow::Cow;

use super::tables::Content;
use crate::model::{Type, Value};

/// A database engine's way of writing SQL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// SQLite 3.37 or later (`STRICT` tables), bundled.
    Sqlite,
    /// PostgreSQL 13 or later.
    Postgres,
    /// What MySQL 8.0 and 9 and MariaDB 10.6 and later have in common.
    Mysql,
}

impl Dialect {
    /// All of them.
    pub const ALL: [Dialect; 3] = [Dialect::Sqlite, Dialect::Postgres, Dialect::Mysql];

    /// Its name in settings and folders.
    pub fn name(self) -> &'static str {
        match self {
            Dialect::Sqlite => "sqlite",
            Dialect::Postgres => "postgres",
            Dialect::Mysql => "mysql",
        }
    }

    /// A name as it stands in a statement that may be run by hand, in a session that is not ours. Only
    /// compiled-in names come here, and `database_schema`, which was checked.
    pub fn quoted(self, name: &str) -> String {
        match self {
            Dialect::Sqlite | Dialect::Postgres => format!("\"{name}\""),
            Dialect::Mysql => format!("`{name}`"),
        }
    }

    /// A statement of ours with its placeholders as the engine wants them. No statement of ours has a question
    /// mark anywhere else.
    pub(super) fn numbered(self, sql: &str) -> Cow<'_, str> {
        match self {
            Dialect::Sqlite | Dialect::Mysql => Cow::Borrowed(sql),
            Dialect::Postgres => {
                let mut text = String::with_capacity(sql.len() + 16);
                for (at, part) in sql.split('?').enumerate() {
                    if at > 0 {
                        text.push_str(&format!("${at}"));
                    }
                    text.push_str(part);
                }
                Cow::Owned(text)
            }
        }
    }

    /// The most values one statement takes. Postgres gets a column as one value, however many rows.
    pub fn parameter_limit(self) -> usize {
        match self {
            Dialect::Sqlite => 32_766,
            Dialect::Postgres | Dialect::Mysql => 65_535,
        }
    }

    /// Rows per statement. Measured: flat from 500 up on all engines; a smaller statement needs less memory,
    /// and on a server a larger one fewer round trips.
    pub fn rows_per_statement(self) -> usize {
        match self {
            Dialect::Sqlite => 500,
            Dialect::Postgres | Dialect::Mysql => 1000,
        }
    }

    /// The size of the statement that takes `count` rows or ids. On MySQL only a few sizes are used, filled up with
    /// repetitions: a statement that is prepared and not kept is closed without an answer, and what follows it then
    /// waits 40 ms for the server's acknowledgement, since the driver does not switch off Nagle's algorithm.
    pub(super) fn statement_size(self, count: usize) -> usize {
        match self {
            Dialect::Sqlite | Dialect::Postgres => count,
            Dialect::Mysql => {
                [1, 4, 16, 64, 256, 1000].into_iter().find(|size| *size >= count).unwrap_or(count)
            }
        }
    }

    /// How a type is declared, and how the catalogue spells it.
    pub(super) fn type_of(self, kind: Content) -> Cow<'static, str> {
        let name = match (self, kind) {
            (_, Content::Key(length)) if self == Dialect::Mysql => {
                return Cow::Owned(format!("varchar({length})"));
            }
            (Dialect::Sqlite, Content::Plain(Type::Id | Type::Int | Type::Bool))
            | (Dialect::Sqlite, Content::Count | Content::Flag | Content::Serial | Content::One) => "integer",
            (Dialect::Sqlite, Content::Plain(_) | Content::Key(_)) => "text",
            (_, Content::Plain(Type::Id | Type::Int) | Content::Count | Content::Serial | Content::One) => {
                "bigint"
            }
            (Dialect::Postgres, Content::Plain(Type::Bool) | Content::Flag) => "boolean",
            (Dialect::Postgres, Content::Plain(Type::Text) | Content::Key(_)) => "text",
            (Dialect::Postgres, Content::Plain(Type::Time)) => "timestamp with time zone",
            (Dialect::Postgres, Content::Plain(Type::JsonObject | Type::JsonArray)) => "jsonb",
            (Dialect::Mysql, Content::Plain(Type::Bool) | Content::Flag) => "tinyint(1)",
            // No limit of ours: what Kit sends is stored whole, whatever its length.
            (Dialect::Mysql, Content::Plain(Type::Text) | Content::Key(_)) => "longtext",
            (Dialect::Mysql, Content::Plain(Type::Time)) => "datetime(6)",
            (Dialect::Mysql, Content::Plain(Type::JsonObject | Type::JsonArray)) => "json",
        };
        Cow::Borrowed(name)
    }

    /// Whether a column declared as `actual` is what `kind` should be. MariaDB spells `json` as `longtext`.
    pub(super) fn is_type(self, kind: Content, actual: &str) -> bool {
        let expected = self.type_of(kind);
        actual == expected || (self == Dialect::Mysql && expected == "json" && actual == "longtext")
    }

    /// The clock by which leases are judged, in the form times are stored in.
    pub(super) fn now(self) -> &'static str {
        match self {
            Dialect::Sqlite => "strftime('%Y-%m-%dT%H:%M:%f000Z', 'now')",
            Dialect::Postgres => "clock_timestamp()",
            Dialect::Mysql => "utc_timestamp(6)",
        }
    }

    /// The same, this many seconds (a value) later.
    pub(super) fn now_plus_seconds(self) -> &'static str {
        match self {
            Dialect::Sqlite => "strftime('%Y-%m-%dT%H:%M:%f000Z', 'now', ? || ' seconds')",
            Dialect::Postgres => "clock_timestamp() + make_interval(secs => ?)",
            Dialect::Mysql => "utc_timestamp(6) + interval ? second",
        }
    }

    /// Seconds from a stored time until now.
    pub(super) fn seconds_since(self, column: &str) -> String {
        match self {
            Dialect::Sqlite => {
                format!("cast(round((julianday('now') - julianday({column})) * 86400) as integer)")
            }
            Dialect::Postgres => format!("cast(extract(epoch from clock_timestamp() - {column}) as bigint)"),
            Dialect::Mysql => format!("timestampdiff(second, {column}, utc_timestamp(6))"),
        }
    }

    /// A sum as a 64-bit integer.
    fn integer(self, sum: &str) -> String {
        match self {
            Dialect::Sqlite => sum.to_owned(),
            Dialect::Postgres => format!("cast({sum} as bigint)"),
            Dialect::Mysql => format!("cast({sum} as signed)"),
        }
    }

    /// The condition that `column` is one of `ids`, with the values it binds, if any.
    pub(super) fn is_among(self, column: &str, ids: impl Iterator<Item = i64>) -> (String, Vec<Value>) {
        let ids: Vec<i64> = ids.collect();
        let joined = || ids.iter().map(i64::to_string).collect::<Vec<_>>().join(",");
        match self {
            // One text for any number of ids, so that the statement stays the same.
            Dialect::Sqlite => (
                format!("{column} in (select value from json_each(?))"),
                vec![Value::Text(format!("[{}]", joined()).into())],
            ),
            // A join, not a condition, which some versions would try on each row of the table.
            Dialect::Postgres => {
                (format!("{column} in (select unnest(cast('{{{}}}' as bigint[])))", joined()), Vec::new())
            }
            // A list that is unpacked by the server is not looked up in the index by all versions.
            Dialect::Mysql => {
                let Some(last) = ids.last().copied() else { return ("false".to_owned(), Vec::new()) };
                let size = self.statement_size(ids.len());
                let filled = ids.into_iter().chain(std::iter::repeat(last)).take(size);
                (format!("{column} in ({})", vec!["?"; size].join(",")), filled.map(Value::Int).collect())
            }
        }
    }

    /// The condition that a text or JSON in `column` holds a bound text, in whatever case of letters.
    pub(super) fn holds(self, column: &str) -> String {
        match self {
            Dialect::Sqlite | Dialect::Mysql => format!("instr(lower({column}), lower(?)) > 0"),
            Dialect::Postgres => format!("strpos(lower(cast({column} as text)), lower(?)) > 0"),
        }
    }

    /// Finds tables and columns of which the engine has sampled a value that holds a bound text, where it shows its
    /// samples; and the samples, in which it may be a part of something longer.
    pub(super) fn samples(self) -> Option<&'static str> {
        match self {
            Dialect::Postgres => Some(
                "select cast(tablename as text), cast(attname as text), \
                 concat(cast(most_common_vals as text), ' ', cast(histogram_bounds as text)) \
                 from pg_stats where schemaname = current_schema() and strpos(lower(concat(cast(most_common_vals as text), ' ', cast(histogram_bounds as text))), lower(?)) > 0",
            ),
            // SQLite's are in its file; MySQL and MariaDB make them on request only, where we have no right to look.
            Dialect::Sqlite | Dialect::Mysql => None,
        }
    }

    /// Samples the values of a table anew, where the engine does so by itself or by an analyst's hand.
    pub(super) fn analyze(self, table: &str) -> Option<String> {
        match self {
            Dialect::Sqlite | Dialect::Postgres => Some(format!("analyze {table}")),
            Dialect::Mysql => None,
        }
    }

    /// Columns of tables: table, name, declared type in small letters, whether it must not be null.
    pub(super) fn columns_of(self, tables: &[&str]) -> String {
        let tables: Vec<String> = tables.iter().map(|table| format!("'{table}'")).collect();
        let tables = tables.join(", ");
        match self {
            Dialect::Sqlite => format!(
                "select t.name, c.name, lower(c.type), c.\"notnull\" from sqlite_master t \
                 join pragma_table_info(t.name) c where t.name in ({tables}) order by t.name, c.cid"
            ),
            Dialect::Postgres => format!(
                "select cast(c.relname as text), cast(a.attname as text), format_type(a.atttypid, a.atttypmod), a.attnotnull \
                 from pg_attribute a join pg_class c on c.oid = a.attrelid join pg_namespace n on n.oid = c.relnamespace \
                 where n.nspname = current_schema() and c.relname in ({tables}) and a.attnum > 0 and not a.attisdropped \
                 order by c.relname, a.attnum"
            ),
            // Widths of integers and the spelling of charsets differ between versions and mean nothing, but text
            // that is not utf8mb4 loses what Kit sends.
            Dialect::Mysql => format!(
                "select table_name, column_name, \
                 concat(case when column_type like 'bigint(%' then 'bigint' else lower(column_type) end, \
                 case when character_set_name is null or character_set_name in ('utf8mb4', 'binary') then '' \
                 else concat(' character set ', character_set_name) end), is_nullable = 'NO' \
                 from information_schema.columns where table_schema = database() and table_name in ({tables}) \
                 order by table_name, ordinal_position"
            ),
        }
    }

    /// Indexes that exist: table, name.
    pub(super) fn indexes(self) -> &'static str {
        match self {
            Dialect::Sqlite => "select tbl_name, name from sqlite_master where type = 'index'",
            Dialect::Postgres => {
                "select cast(tablename as text), cast(indexname as text) from pg_indexes where schemaname = current_schema()"
            }
            Dialect::Mysql => {
                "select distinct table_name, index_name from information_schema.statistics \
                 where table_schema = database()"
            }
        }
    }

    /// Relations that exist: name, and `table` or `view`.
    pub(super) fn relations(self) -> &'static str {
        match self {
            Dialect::Sqlite => {
                "select name, type from sqlite_master where type in ('table', 'view') order by name"
            }
            Dialect::Postgres => {
                "select cast(c.relname as text), case c.relkind when 'r' then 'table' when 'p' then 'table' \
                 when 'v' then 'view' when 'm' then 'materialized view' else 'foreign table' end \
                 from pg_class c join pg_namespace n on n.oid = c.relnamespace \
                 where n.nspname = current_schema() and c.relkind in ('r', 'p', 'v', 'm', 'f') order by c.relname"
            }
            Dialect::Mysql => {
                "select table_name, case when table_type = 'BASE TABLE' then 'table' else 'view' end \
                 from information_schema.tables where table_schema = database() order by table_name"
            }
        }
    }

    /// Locks the row a query finds until the transaction ends. SQLite has locked everything by then.
    pub(super) fn for_update(self) -> &'static str {
        match self {
            Dialect::Sqlite => "",
            Dialect::Postgres | Dialect::Mysql => " for update",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::objects;

    #[test]
    fn placeholders_are_numbered_where_the_engine_wants_numbers() {
        let sql = "update t set a = ?, b = b + ? where c = ?";
        assert_eq!(Dialect::Sqlite.numbered(sql), sql);
        assert_eq!(Dialect::Mysql.numbered(sql), sql);
        assert_eq!(Dialect::Postgres.numbered(sql), "update t set a = $1, b = b + $2 where c = $3");
    }

    /// `numbered` would take any other question mark for a placeholder.
    #[test]
    fn no_name_or_type_holds_a_question_mark() {
        for dialect in Dialect::ALL {
            for object in objects::ALL.iter().filter(|object| !object.is_view()) {
                let all: Vec<usize> = (0..=object.columns.len()).collect();
                let sql = dialect.upsert(object, &all, 1);
                let marks = sql.matches('?').count();
                assert_eq!(marks, if dialect == Dialect::Postgres { all.len() + 1 } else { all.len() + 2 });
            }
        }
    }
}
