//! The analyst's connection: what the tests read and write beside the program, on any engine. It knows nothing
//! of the program's own way of reading a database: every cell comes as the text the server writes for it, and
//! the type of its column says what that text means.

use chrono::{DateTime, NaiveDateTime, SecondsFormat, Utc};
use serde_json::{Map, Value, json};
use sqlx::mysql::{MySqlConnectOptions, MySqlConnection, MySqlRow};
use sqlx::postgres::{PgConnectOptions, PgConnection, PgRow};
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqliteRow};
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _, Row as _, raw_sql};
use sqlx::{Column as _, Executor as _, TypeInfo as _, ValueRef as _};
use std::str::FromStr as _;
use tokio::sync::Mutex;

use super::engine::Engine;
use super::server::ROLE;

/// Every difference between the engines in what tests say to a database. Beyond this, one SQL text serves all:
/// names that are words of SQL stand in double quotes.
impl Engine {
    /// A moment as it stands in a statement.
    pub fn time(self, at: DateTime<Utc>) -> String {
        match self {
            Engine::Mariadb | Engine::Mysql => format!("'{}'", at.naive_utc().format("%F %T%.6f")),
            Engine::Sqlite | Engine::Postgres => format!("'{}'", shown(at)),
        }
    }

    /// The length of a column of JSON, as it is stored, in bytes.
    pub fn json_length(self, column: &str) -> String {
        match self {
            Engine::Postgres => format!("octet_length({column}::text)"),
            _ => format!("length({column})"),
        }
    }

    /// Whether JSON comes out as it went in, to the letter.
    pub fn keeps_json_to_the_letter(self) -> bool {
        match self {
            Engine::Sqlite | Engine::Mariadb => true,
            Engine::Postgres | Engine::Mysql => false,
        }
    }

    /// From now on a table refuses the rows with these ids.
    pub fn refuse(self, table: &str, ids: &str) -> String {
        match self {
            Engine::Sqlite => format!(
                "create trigger poison before insert on {table} when new.id in ({ids}) begin select raise(abort, 'no'); end"
            ),
            _ => format!("alter table {table} add constraint poison check (id not in ({ids}))"),
        }
    }

    /// Takes what every commit of the program needs, and keeps it.
    pub fn lock_out_writers(self) -> &'static str {
        match self {
            Engine::Sqlite => "begin immediate",
            _ => "begin; select epoch from sync_lease for update",
        }
    }

    /// Fails unless nobody keeps what every commit of the program needs.
    pub fn no_writer_is_left(self) -> &'static str {
        match self {
            Engine::Sqlite => "begin immediate; commit",
            _ => "begin; select epoch from sync_lease for update nowait; commit",
        }
    }

    /// The list of sessions. That in MySQL's information schema cannot be read while anybody's statement holds an emoji:
    /// it makes a table of all their texts first, in three bytes a letter.
    pub fn sessions(self) -> &'static str {
        match self {
            Engine::Sqlite => panic!("a file has no sessions"),
            Engine::Postgres => "pg_stat_activity",
            Engine::Mariadb => "information_schema.processlist",
            Engine::Mysql => "performance_schema.processlist",
        }
    }

    /// Counts the transactions that others have open in the same database and do nothing in, where a server tells.
    pub fn open_transactions(self) -> Option<String> {
        match self {
            Engine::Sqlite => None,
            Engine::Postgres => Some(
                "select count(*) from pg_stat_activity where datname = current_database() \
                 and pid <> pg_backend_pid() and state like 'idle in transaction%'"
                    .to_owned(),
            ),
            Engine::Mariadb | Engine::Mysql => Some(format!(
                "select count(*) from information_schema.innodb_trx as open \
                 join {} as session on session.id = open.trx_mysql_thread_id \
                 where session.db = database() and session.id <> connection_id() and session.command = 'Sleep' \
                 and open.trx_started < now() - interval 1 second",
                self.sessions()
            )),
        }
    }

    /// Begins to read: all that is read until the end is of one moment.
    pub fn begin_to_read(self) -> &'static str {
        match self {
            Engine::Postgres => "begin isolation level repeatable read",
            _ => "begin",
        }
    }

    /// Gives the session a clock of its own, where there is one.
    fn far_from_greenwich(self) -> &'static str {
        match self {
            Engine::Sqlite => "",
            Engine::Postgres => "set time zone 'Asia/Kolkata'",
            Engine::Mariadb | Engine::Mysql => "set time_zone = '+05:30'",
        }
    }

    /// Whether tables are made in transactions.
    pub fn makes_tables_all_or_none(self) -> bool {
        match self {
            Engine::Sqlite | Engine::Postgres => true,
            Engine::Mariadb | Engine::Mysql => false,
        }
    }

    /// Names and kinds of tables and views, from the engine's catalogue.
    fn catalogue(self) -> &'static str {
        match self {
            Engine::Sqlite => {
                "select name, type = 'table' from sqlite_master where type in ('table', 'view') order by 1"
            }
            Engine::Postgres => {
                "select table_name, table_type = 'BASE TABLE' from information_schema.tables \
                 where table_schema not in ('pg_catalog', 'information_schema') order by 1"
            }
            Engine::Mariadb | Engine::Mysql => {
                "select table_name, table_type = 'BASE TABLE' from information_schema.tables \
                 where table_schema = database() order by 1"
            }
        }
    }

    /// Names and types of a table's columns.
    fn columns(self, table: &str) -> String {
        match self {
            Engine::Sqlite => format!("select name, type from pragma_table_info('{table}') order by cid"),
            Engine::Postgres => format!(
                "select column_name, data_type from information_schema.columns \
                 where table_name = '{table}' order by ordinal_position"
            ),
            Engine::Mariadb | Engine::Mysql => format!(
                "select column_name, column_type from information_schema.columns \
                 where table_schema = database() and table_name = '{table}' order by ordinal_position"
            ),
        }
    }

    /// Sessions of the program in the same database.
    fn sessions_of_the_program(self) -> String {
        let (id, condition) = match self {
            Engine::Postgres => ("pid", "datname = current_database() and usename"),
            _ => ("id", "db = database() and user"),
        };
        format!("select {id} from {} where {condition} = '{ROLE}'", self.sessions())
    }

    fn end_session(self, session: &str) -> String {
        match self {
            Engine::Postgres => format!("select pg_terminate_backend({session})"),
            _ => format!("kill {session}"),
        }
    }
}

/// An open connection.
pub struct Database {
    engine: Engine,
    link: Mutex<Link>,
}

enum Link {
    Sqlite(SqliteConnection),
    Postgres(PgConnection),
    Mysql(MySqlConnection),
}

/// The cells of a row with their names, from left to right.
type Cells = Vec<(String, Value)>;

impl Database {
    /// Connects. On Postgres, names without a schema are those of `schema` from then on.
    pub async fn connect(engine: Engine, url: &str, schema: &str) -> Result<Self, sqlx::Error> {
        // On the heap: tests run many of these side by side on one small stack.
        let link = Box::pin(Link::open(engine, url, schema)).await?;
        Ok(Database { engine, link: Mutex::new(link) })
    }

    /// Connects as any client does: nothing about the session is set, but for names on Postgres, and its clock
    /// is far from Greenwich.
    pub async fn connect_plainly(engine: Engine, url: &str, schema: &str) -> Result<Self, sqlx::Error> {
        let link = Box::pin(Link::open_plainly(engine, url, schema)).await?;
        let database = Database { engine, link: Mutex::new(link) };
        database.try_execute(engine.far_from_greenwich()).await?;
        Ok(database)
    }

    /// Whether the server is still there, and has not ended the session.
    pub async fn is_open(&self) -> bool {
        let pinged = match &mut *self.link.lock().await {
            Link::Sqlite(link) => link.ping().await,
            Link::Postgres(link) => link.ping().await,
            Link::Mysql(link) => link.ping().await,
        };
        pinged.is_ok()
    }

    /// Executes statements.
    pub async fn try_execute(&self, sql: &str) -> Result<(), sqlx::Error> {
        Box::pin(self.link.lock().await.execute(sql)).await
    }

    /// Executes statements.
    pub async fn execute(&self, sql: &str) {
        self.try_execute(sql).await.unwrap_or_else(|error| panic!("{error} in {sql}"));
    }

    /// The rows of a query. Integers and booleans are numbers, times are text as
    /// `2024-05-01T09:00:00.000000Z`, a column of JSON is what it means where the engine knows the type.
    pub async fn rows(&self, sql: &str) -> Vec<Map<String, Value>> {
        self.cells(sql).await.into_iter().map(|row| row.into_iter().collect()).collect()
    }

    /// The rows of a query as text, cells joined by `|`, with `-` for null.
    pub async fn lines(&self, sql: &str) -> Vec<String> {
        lines(self.cells(sql).await)
    }

    /// The rows of a query to the letter, cells joined by ` | `, after a line with the names of the columns. What
    /// does not show is escaped.
    pub async fn table(&self, sql: &str) -> Vec<String> {
        let rows = self.cells(sql).await;
        let head = rows.iter().take(1).map(|row| row.iter().map(|(name, _)| name.clone()).collect());
        let cell = |(_, value): &(String, Value)| match value {
            Value::String(text) => format!("{text:?}"),
            other => other.to_string(),
        };
        let lines = head.chain(rows.iter().map(|row| row.iter().map(cell).collect::<Vec<String>>()));
        lines.map(|cells| cells.join(" | ")).collect()
    }

    /// The first column of a query as text; null is empty.
    pub async fn texts(&self, sql: &str) -> Vec<String> {
        self.cells(sql).await.iter().map(|row| text(&row[0].1, "")).collect()
    }

    /// The one number a query gives; null is none.
    pub async fn number(&self, sql: &str) -> i64 {
        let rows = self.cells(sql).await;
        let [row] = rows.as_slice() else { panic!("{} rows of {sql}", rows.len()) };
        text(&row[0].1, "null").parse().unwrap_or_else(|_| panic!("{} is no number: {sql}", row[0].1))
    }

    /// Names of the tables and views there are.
    pub async fn relations(&self) -> Vec<String> {
        self.texts(self.engine.catalogue()).await
    }

    /// Names of the tables there are.
    pub async fn tables(&self) -> Vec<String> {
        self.try_tables().await.unwrap_or_else(|error| panic!("{error} in the catalogue"))
    }

    /// The same of a database that may be on its way out.
    pub async fn try_tables(&self) -> Result<Vec<String>, sqlx::Error> {
        let all = lines(Box::pin(self.link.lock().await.fetch(self.engine.catalogue())).await?);
        Ok(all.iter().filter_map(|line| line.strip_suffix("|1")).map(str::to_owned).collect())
    }

    /// Names and types of a table's columns.
    pub async fn columns(&self, table: &str) -> Vec<String> {
        self.lines(&self.engine.columns(table)).await
    }

    /// Ends the program's sessions in this database; how many there were.
    pub async fn cut_the_program(&self) -> usize {
        let sessions = self.texts(&self.engine.sessions_of_the_program()).await;
        for session in &sessions {
            // One that ended meanwhile is ended too.
            let _ = self.try_execute(&self.engine.end_session(session)).await;
        }
        sessions.len()
    }

    /// Closes it in good order.
    pub async fn close(self) {
        let closed = match self.link.into_inner() {
            Link::Sqlite(link) => link.close().await,
            Link::Postgres(link) => link.close().await,
            Link::Mysql(link) => link.close().await,
        };
        closed.expect("the connection closes");
    }

    async fn cells(&self, sql: &str) -> Vec<Cells> {
        let rows = Box::pin(self.link.lock().await.fetch(sql)).await;
        rows.unwrap_or_else(|error| panic!("{error} in {sql}"))
    }
}

/// Rows as text, cells joined by `|`, with `-` for null.
fn lines(rows: Vec<Cells>) -> Vec<String> {
    let line = |row: &Cells| row.iter().map(|(_, value)| text(value, "-")).collect::<Vec<_>>().join("|");
    rows.iter().map(line).collect()
}

impl Link {
    async fn open(engine: Engine, url: &str, schema: &str) -> Result<Self, sqlx::Error> {
        match engine {
            Engine::Sqlite => Ok(Link::Sqlite(SqliteConnectOptions::from_str(url)?.connect().await?)),
            Engine::Postgres => {
                let path = [("search_path", schema), ("datestyle", "ISO"), ("timezone", "UTC")];
                Ok(Link::Postgres(PgConnectOptions::from_str(url)?.options(path).connect().await?))
            }
            Engine::Mariadb | Engine::Mysql => {
                let mut link = MySqlConnectOptions::from_str(url)?.connect().await?;
                let mode = "set session sql_mode = concat(@@sql_mode, ',ANSI_QUOTES')";
                link.execute(raw_sql(mode)).await?;
                Ok(Link::Mysql(link))
            }
        }
    }

    async fn open_plainly(engine: Engine, url: &str, schema: &str) -> Result<Self, sqlx::Error> {
        match engine {
            Engine::Sqlite => Self::open(engine, url, schema).await,
            Engine::Postgres => {
                let path = [("search_path", schema)];
                Ok(Link::Postgres(PgConnectOptions::from_str(url)?.options(path).connect().await?))
            }
            Engine::Mariadb | Engine::Mysql => {
                let options = MySqlConnectOptions::from_str(url)?;
                let plain = options.pipes_as_concat(false).no_engine_substitution(false).timezone(None);
                Ok(Link::Mysql(plain.connect().await?))
            }
        }
    }

    async fn execute(&mut self, sql: &str) -> Result<(), sqlx::Error> {
        let statements = raw_sql(AssertSqlSafe(sql));
        match self {
            Link::Sqlite(link) => statements.execute(link).await.map(drop),
            Link::Postgres(link) => statements.execute(link).await.map(drop),
            Link::Mysql(link) => statements.execute(link).await.map(drop),
        }
    }

    async fn fetch(&mut self, sql: &str) -> Result<Vec<Cells>, sqlx::Error> {
        let query = raw_sql(AssertSqlSafe(sql));
        match self {
            Link::Sqlite(link) => Ok(query.fetch_all(link).await?.iter().map(sqlite_cells).collect()),
            Link::Postgres(link) => Ok(query.fetch_all(link).await?.iter().map(postgres_cells).collect()),
            Link::Mysql(link) => Ok(query.fetch_all(link).await?.iter().map(mysql_cells).collect()),
        }
    }
}

/// A moment as the tests write it.
pub fn shown(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Micros, true)
}

/// Whether two pieces of JSON mean the same. Engines with a type for it write a number in their own way: `44.50`
/// as `44.5`, `-0` as `0`.
pub fn same_json(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Number(a), Value::Number(b)) => match (a.as_i64(), b.as_i64()) {
            (Some(a), Some(b)) => a == b,
            _ => a == b || a.as_f64() == b.as_f64(),
        },
        (Value::Array(a), Value::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same_json(a, b))
        }
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(key, a)| b.get(key).is_some_and(|b| same_json(a, b)))
        }
        _ => one == other,
    }
}

/// A cell as text.
fn text(value: &Value, null: &str) -> String {
    match value {
        Value::Null => null.to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn sqlite_cells(row: &SqliteRow) -> Cells {
    let cell = |column: &sqlx::sqlite::SqliteColumn| {
        let at = column.ordinal();
        let raw = row.try_get_raw(at).expect("a cell");
        let value = match raw.type_info().name() {
            _ if raw.is_null() => Value::Null,
            "INTEGER" | "BOOLEAN" => json!(row.get_unchecked::<i64, _>(at)),
            "REAL" => json!(row.get_unchecked::<f64, _>(at)),
            "TEXT" => json!(row.get_unchecked::<String, _>(at)),
            kind => panic!("{} is of an unknown type {kind}", column.name()),
        };
        (column.name().to_owned(), value)
    };
    row.columns().iter().map(cell).collect()
}

fn postgres_cells(row: &PgRow) -> Cells {
    let cell = |column: &sqlx::postgres::PgColumn| {
        let raw = row.try_get_raw(column.ordinal()).expect("a cell");
        let value = match raw.is_null() {
            true => Value::Null,
            false => {
                let text = raw.as_str().expect("text is UTF-8");
                match column.type_info().name() {
                    "BOOL" => json!(i64::from(text == "t")),
                    "INT2" | "INT4" | "INT8" | "NUMERIC" | "FLOAT4" | "FLOAT8" => number(text),
                    "TIMESTAMPTZ" => {
                        time(DateTime::parse_from_str(text, "%F %T%.f%#z").map(|at| at.to_utc()))
                    }
                    "TIMESTAMP" => {
                        time(NaiveDateTime::parse_from_str(text, "%F %T%.f").map(|at| at.and_utc()))
                    }
                    "JSON" | "JSONB" => serde_json::from_str(text).expect("JSON"),
                    "TEXT" | "VARCHAR" | "CHAR" | "NAME" | "VOID" => json!(text),
                    kind => panic!("{} is of an unknown type {kind}", column.name()),
                }
            }
        };
        (column.name().to_owned(), value)
    };
    row.columns().iter().map(cell).collect()
}

fn mysql_cells(row: &MySqlRow) -> Cells {
    let cell = |column: &sqlx::mysql::MySqlColumn| {
        let text: Option<String> = row.get_unchecked(column.ordinal());
        let kind = column.type_info().name();
        let value = match (text, kind) {
            (None, _) => Value::Null,
            (Some(text), "DATETIME" | "TIMESTAMP") => {
                time(NaiveDateTime::parse_from_str(&text, "%F %T%.f").map(|at| at.and_utc()))
            }
            (Some(text), "BOOLEAN" | "DECIMAL" | "FLOAT" | "DOUBLE") => number(&text),
            (Some(text), integer) if integer.contains("INT") => number(&text),
            (Some(text), "JSON") => serde_json::from_str(&text).expect("JSON"),
            // Text of a binary collation comes under the name of a blob; MariaDB's JSON is such text.
            (Some(text), kind)
                if ["CHAR", "TEXT", "BLOB", "BINARY"].iter().any(|end| kind.ends_with(end)) =>
            {
                json!(text)
            }
            (Some(_), kind) => panic!("{} is of an unknown type {kind}", column.name()),
        };
        (column.name().to_owned(), value)
    };
    row.columns().iter().map(cell).collect()
}

/// An integer where it is one, whatever the column could hold.
fn number(text: &str) -> Value {
    match text.parse::<i64>() {
        Ok(number) => json!(number),
        Err(_) => json!(text.parse::<f64>().expect("a number")),
    }
}

fn time(at: Result<DateTime<Utc>, chrono::ParseError>) -> Value {
    json!(shown(at.expect("a time")))
}
