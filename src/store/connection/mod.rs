//! One database connection: the only place that names a driver. Statements are text and values in,
//! cells out; what they mean is for others.

mod failure;
mod host;
mod mysql;
mod place;
mod postgres;
mod sqlite;
mod write;

pub(super) use failure::{Then, failed, then, unanswered};
pub use place::{FileId, Place};
pub use sqlite::CACHE as SQLITE_CACHE;
pub use write::{Stored, Upserted};

use sqlx::mysql::MySqlConnection;
use sqlx::postgres::PgConnection;
use sqlx::sqlite::SqliteConnection;
use sqlx::{AssertSqlSafe, Connection as _, Executor as _};
use std::collections::BTreeSet;
use std::time::Duration;

use super::dialect::Dialect;
use crate::chaos;
use crate::error::Result;
use crate::model::{Time, Value, time};
use place::Way;

/// How long a statement waits for somebody else's lock before it counts as unavailable.
const LOCK_WAIT: Duration = Duration::from_secs(30);
/// After how long a silent session of ours is forgotten by the server. When the line is cut so that the server does not
/// notice, the locks of the transaction under way would otherwise be held for hours, against whoever comes next.
/// Who holds the lease speaks every fifteen seconds.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(120);
/// How long a server may take to accept a connection.
const CONNECTED_WITHIN: Duration = Duration::from_secs(30);
/// Prepared statements kept: more than there are. On MySQL these are half a dozen sizes of upserts for each table and one insert; one that is
/// thrown out is closed without an answer, and what is sent next waits 40 ms for it (the driver leaves Nagle's algorithm on).
const STATEMENTS_KEPT: usize = 256;
/// Bytes of text per statement, where the server does not set a lower limit.
const STATEMENT_BYTES: usize = 8 << 20;
/// More bytes than a statement for one row has beside its values.
const STATEMENT_TEXT: usize = 16 << 10;

/// How long a statement waits for somebody else's lock.
pub(super) fn lock_wait() -> Duration {
    chaos::hasty(LOCK_WAIT)
}

/// What opening may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Create what is missing, read and write.
    Create,
    /// Read and write what exists. Opening by itself changes nothing, not even the journal mode: it may be
    /// somebody else's database.
    Existing,
}

/// An open connection.
#[derive(Debug)]
pub struct Connection {
    link: Link,
    /// Where the tables are, if a setting says so.
    schema: Option<String>,
    /// Bytes the values of a statement may have.
    statement_bytes: usize,
    /// Bytes a row may have, alone in a statement.
    row_bytes: usize,
    /// The file it was opened at.
    file: Option<FileId>,
    /// Tables of which all rows were new that were upserted last.
    growing: BTreeSet<&'static str>,
    /// Whether new rows may go by [`Self::insert_new`].
    inserts_new: bool,
}

#[derive(Debug)]
enum Link {
    Sqlite(SqliteConnection),
    Postgres(PgConnection),
    Mysql(MySqlConnection),
}

impl Connection {
    /// Opens the database.
    ///
    /// # Errors
    /// `DatabaseUnavailable` or `DatabaseRefused`, naming the place.
    pub async fn open(place: &Place, access: Access) -> Result<Self> {
        let (mut statement_bytes, mut row_bytes) = (STATEMENT_BYTES, usize::MAX);
        let opened = match &place.way {
            Way::Sqlite { options, in_memory } => {
                Box::pin(sqlite::connect(options, *in_memory, access)).await.map(Link::Sqlite)
            }
            // On the heap: what a driver does to connect is large, and waits in many places.
            Way::Postgres(options) => in_time(Box::pin(postgres::connect(options))).await.map(Link::Postgres),
            Way::Mysql(options) => {
                in_time(Box::pin(mysql::connect(options))).await.map(|(connection, packet)| {
                    // With room for the text of the statement and for what the protocol adds to each value.
                    statement_bytes = statement_bytes.min(packet / 2);
                    row_bytes = packet.saturating_sub(STATEMENT_TEXT);
                    Link::Mysql(connection)
                })
            }
        };
        Ok(Connection {
            link: opened.map_err(|error| error.about(place))?,
            schema: place.schema.clone(),
            statement_bytes,
            row_bytes,
            file: FileId::at(place).ok().flatten(),
            growing: BTreeSet::new(),
            inserts_new: true,
        })
    }

    /// Whether this still leads to what is at `place`. A file that was removed or replaced, by a backup for instance, can
    /// be written to for as long as one likes, and nobody would ever see it.
    pub fn leads_to(&self, place: &Place) -> bool {
        match FileId::at(place) {
            Ok(file) => file == self.file,
            // A disk that does not say will not let the connection work either.
            Err(error) => error.kind() != std::io::ErrorKind::NotFound,
        }
    }

    /// The file it leads to.
    pub fn file(&self) -> Option<FileId> {
        self.file
    }

    /// The SQL it understands.
    pub fn dialect(&self) -> Dialect {
        match self.link {
            Link::Sqlite(_) => Dialect::Sqlite,
            Link::Postgres(_) => Dialect::Postgres,
            Link::Mysql(_) => Dialect::Mysql,
        }
    }

    /// The schema the tables are in, if a setting says so.
    pub fn schema(&self) -> Option<&str> {
        self.schema.as_deref()
    }

    /// How many bytes of values a statement may have.
    pub fn statement_bytes(&self) -> usize {
        self.statement_bytes
    }

    /// How many bytes a row may have, alone in a statement.
    pub fn row_bytes(&self) -> usize {
        self.row_bytes
    }

    /// Begins a transaction that will write. SQLite: at once, since a transaction that turns into a
    /// writing one later is refused without waiting when somebody else writes.
    ///
    /// # Errors
    /// Classified by [`failed`].
    pub async fn begin(&mut self) -> Result<()> {
        let text = match self.link {
            Link::Sqlite(_) => "begin immediate".to_owned(),
            Link::Postgres(_) => postgres::begin(self.schema.as_deref(), true),
            Link::Mysql(_) => "start transaction".to_owned(),
        };
        self.script("begin a transaction", &text).await
    }

    /// Begins what queries need around them, and tells whether it has to be ended: on Postgres a transaction, since
    /// the schema is set for one, on the others nothing.
    ///
    /// # Errors
    /// Classified by [`failed`].
    pub async fn begin_reading(&mut self) -> Result<bool> {
        if !matches!(self.link, Link::Postgres(_)) {
            return Ok(false);
        }
        let text = postgres::begin(self.schema.as_deref(), false);
        self.script("begin a transaction", &text).await.map(|()| true)
    }

    /// On Postgres, a statement with its values written into it, where that is safe.
    fn written_out(&self, sql: &str, values: &[Value]) -> Option<String> {
        match self.link {
            Link::Postgres(_) => postgres::written_out(sql, values),
            Link::Sqlite(_) | Link::Mysql(_) => None,
        }
    }

    /// Executes one statement; the number of rows it changed.
    ///
    /// # Errors
    /// Classified by [`failed`].
    pub async fn run(&mut self, what: &'static str, sql: &str, values: &[Value]) -> Result<u64> {
        let dialect = self.dialect();
        let text = self.written_out(sql, values);
        let sql = AssertSqlSafe(&*dialect.numbered(sql));
        let done = match &mut self.link {
            Link::Sqlite(connection) => connection
                .execute(sqlx::query_with(sql, sqlite::arguments(values)))
                .await
                .map(|done| done.rows_affected()),
            Link::Postgres(connection) => match text {
                Some(text) => connection.execute(sqlx::raw_sql(AssertSqlSafe(text))).await,
                None => {
                    let query = sqlx::query_with(sql, postgres::arguments(values));
                    connection.execute(query.persistent(false)).await
                }
            }
            .map(|done| done.rows_affected()),
            Link::Mysql(connection) => connection
                .execute(sqlx::query_with(sql, mysql::arguments(values)))
                .await
                .map(|done| done.rows_affected()),
        };
        done.map_err(|error| failed(dialect, what, error))
    }

    /// Executes text of several statements without values.
    ///
    /// # Errors
    /// Classified by [`failed`].
    pub async fn script(&mut self, what: &'static str, sql: &str) -> Result<()> {
        let dialect = self.dialect();
        let sql = sqlx::raw_sql(AssertSqlSafe(sql));
        let done = match &mut self.link {
            Link::Sqlite(connection) => connection.execute(sql).await.map(drop),
            Link::Postgres(connection) => connection.execute(sql).await.map(drop),
            Link::Mysql(connection) => connection.execute(sql).await.map(drop),
        };
        done.map_err(|error| failed(dialect, what, error))
    }

    /// Executes a query and fetches all its rows.
    ///
    /// # Errors
    /// Classified by [`failed`].
    pub async fn rows(&mut self, what: &'static str, sql: &str, values: &[Value]) -> Result<Vec<Cells>> {
        let dialect = self.dialect();
        let text = self.written_out(sql, values);
        let sql = AssertSqlSafe(&*dialect.numbered(sql));
        let cells = match &mut self.link {
            Link::Sqlite(connection) => {
                let query = sqlx::query_with(sql, sqlite::arguments(values));
                cells(connection.fetch_all(query).await, sqlite::cell)
            }
            Link::Postgres(connection) => {
                let rows = match text {
                    Some(text) => connection.fetch_all(sqlx::raw_sql(AssertSqlSafe(text))).await,
                    None => {
                        let query = sqlx::query_with(sql, postgres::arguments(values));
                        connection.fetch_all(query.persistent(false)).await
                    }
                };
                cells(rows, postgres::cell)
            }
            Link::Mysql(connection) => {
                let query = sqlx::query_with(sql, mysql::arguments(values));
                cells(connection.fetch_all(query).await, mysql::cell)
            }
        };
        cells.map_err(|error| failed(dialect, what, error))
    }

    /// Closes it in good order.
    pub async fn close(self) {
        let closed = match self.link {
            Link::Sqlite(connection) => Box::pin(connection.close()).await,
            Link::Postgres(connection) => Box::pin(connection.close()).await,
            Link::Mysql(connection) => Box::pin(connection.close()).await,
        };
        if let Err(error) = closed {
            tracing::debug!("Closing the database: {error}");
        }
    }
}

/// A host that swallows everything never refuses a connection either.
async fn in_time<T>(connecting: impl Future<Output = Result<T>>) -> Result<T> {
    match tokio::time::timeout(CONNECTED_WITHIN, connecting).await {
        Ok(result) => result,
        Err(_) => Err(unanswered(CONNECTED_WITHIN)),
    }
}

fn cells<R: sqlx::Row>(
    rows: sqlx::Result<Vec<R>>,
    cell: fn(&R, usize) -> sqlx::Result<Value>,
) -> sqlx::Result<Vec<Cells>> {
    rows?
        .iter()
        .map(|row| (0..row.len()).map(|index| cell(row, index)).collect::<sqlx::Result<_>>().map(Cells))
        .collect()
}

/// The row of a query.
#[derive(Debug, Clone)]
pub struct Cells(Vec<Value>);

impl Cells {
    /// The text in a column, if it holds one.
    pub fn text(&self, index: usize) -> Option<&str> {
        match self.0.get(index) {
            Some(Value::Text(text) | Value::Json(text)) => Some(text),
            _ => None,
        }
    }

    /// The integer in a column, if it holds one.
    pub fn int(&self, index: usize) -> Option<i64> {
        match self.0.get(index) {
            Some(Value::Int(number)) => Some(*number),
            _ => None,
        }
    }

    /// What a column holds.
    pub fn value(&self, index: usize) -> Value {
        self.0.get(index).cloned().unwrap_or(Value::Null)
    }

    /// Whether a column holds true, however the engine writes that.
    pub fn is_true(&self, index: usize) -> bool {
        matches!(self.0.get(index), Some(Value::Bool(true) | Value::Int(1)))
    }

    /// The instant in a column, if it holds one.
    pub fn time(&self, index: usize) -> Option<Time> {
        match self.0.get(index) {
            Some(Value::Time(time)) => Some(*time),
            _ => self.text(index).and_then(time::parse),
        }
    }

    /// What a column holds, as text for people; nothing for null.
    pub fn shown(&self, index: usize) -> Option<String> {
        match self.0.get(index) {
            None | Some(Value::Absent | Value::Null) => None,
            Some(Value::Int(number)) => Some(number.to_string()),
            Some(Value::Bool(truth)) => Some(truth.to_string()),
            Some(Value::Text(text) | Value::Json(text)) => Some(text.to_string()),
            Some(Value::Time(time)) => Some(time::text(*time)),
        }
    }

    /// How many cells there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }
}
