//! One database connection: the only place that names a driver. Statements are text and values in,
//! cells out; what they mean is for others.

use sqlx::sqlite::{SqliteArguments, SqliteConnectOptions, SqliteConnection, SqliteRow, SqliteSynchronous};
use sqlx::{
    AssertSqlSafe, ConnectOptions, Connection as _, Executor as _, Row as _, TypeInfo as _, ValueRef as _,
};
use std::path::{Path, PathBuf};
use std::str::FromStr as _;
use std::time::Duration;

use super::dialect::Dialect;
use crate::error::{Error, Kind, Result};
use crate::model::{Time, Value, time};

/// How long a write waits for another program's lock before it counts as unavailable.
const BUSY_WAIT: Duration = Duration::from_secs(30);
/// Prepared statements kept. A statement of 500 rows is large, and few shapes are ever in use.
const STATEMENTS_KEPT: usize = 24;

/// What opening may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Create what is missing, read and write.
    Create,
    /// Read and write what exists. Opening by itself changes nothing, not even the journal mode: it may be
    /// somebody else's database.
    Existing,
}

/// Where a database is: engine and place, without credentials.
#[derive(Debug, Clone)]
pub enum Place {
    /// A file; empty for a database in memory.
    Sqlite(PathBuf),
}

/// An open connection.
#[derive(Debug)]
pub enum Connection {
    /// SQLite.
    Sqlite(SqliteConnection),
}

impl Place {
    /// Reads a `database_url`.
    ///
    /// # Errors
    /// `Settings` when it is none.
    pub fn of(url: &str) -> Result<Self> {
        let options = sqlite_options(url)?;
        let name = options.get_filename().to_path_buf();
        Ok(Place::Sqlite(if url.contains(":memory:") { PathBuf::new() } else { name }))
    }

    /// Whether there is a database at all.
    pub fn exists(&self) -> bool {
        match self {
            Place::Sqlite(path) => !path.as_os_str().is_empty() && path.exists(),
        }
    }
}

fn sqlite_options(url: &str) -> Result<SqliteConnectOptions> {
    if !url.starts_with("sqlite:") {
        return Err(Error::new(
            Kind::Settings,
            "database_url: this kitmirror writes to SQLite; the URL begins with sqlite://",
        ));
    }
    SqliteConnectOptions::from_str(url).map_err(|_| {
        Error::new(Kind::Settings, "database_url is not a SQLite URL such as sqlite://kitmirror.db")
    })
}

impl Connection {
    /// Opens the database.
    ///
    /// # Errors
    /// `Settings` for a URL that is none, `DatabaseUnavailable` or `DatabaseRefused`.
    pub async fn open(url: &str, access: Access) -> Result<Self> {
        let options = sqlite_options(url)?;
        let path = options.get_filename().to_path_buf();
        let in_memory = url.contains(":memory:");
        if !in_memory && access == Access::Create {
            create_private(&path)?;
        }
        let options = options
            .create_if_missing(in_memory)
            // FULL: a commit that was answered survives a loss of power.
            .synchronous(SqliteSynchronous::Full)
            .busy_timeout(BUSY_WAIT)
            .foreign_keys(false)
            .statement_cache_capacity(STATEMENTS_KEPT)
            .log_statements(tracing::log::LevelFilter::Off);
        let connection = options.connect().await.map_err(|error| failed("open the database", error))?;
        Ok(Connection::Sqlite(connection))
    }

    /// The SQL it understands.
    pub fn dialect(&self) -> Dialect {
        match self {
            Connection::Sqlite(_) => Dialect::Sqlite,
        }
    }

    /// Executes one statement; the number of rows it changed.
    ///
    /// # Errors
    /// Classified by [`failed`].
    pub async fn run(&mut self, what: &'static str, sql: &str, values: &[Value]) -> Result<u64> {
        self.run_as(what, sql, values, true).await
    }

    /// The same for a statement whose text will hardly come again, so that it is not kept prepared.
    ///
    /// # Errors
    /// Classified by [`failed`].
    pub async fn run_once(&mut self, what: &'static str, sql: &str, values: &[Value]) -> Result<u64> {
        self.run_as(what, sql, values, false).await
    }

    async fn run_as(&mut self, what: &'static str, sql: &str, values: &[Value], keep: bool) -> Result<u64> {
        match self {
            Connection::Sqlite(connection) => {
                let query = sqlx::query_with(AssertSqlSafe(sql), sqlite_arguments(values)).persistent(keep);
                let done = connection.execute(query).await.map_err(|error| failed(what, error))?;
                Ok(done.rows_affected())
            }
        }
    }

    /// Executes text of several statements without values.
    ///
    /// # Errors
    /// Classified by [`failed`].
    pub async fn script(&mut self, what: &'static str, sql: &str) -> Result<()> {
        match self {
            Connection::Sqlite(connection) => {
                connection
                    .execute(sqlx::raw_sql(AssertSqlSafe(sql)))
                    .await
                    .map_err(|error| failed(what, error))?;
                Ok(())
            }
        }
    }

    /// Executes a query and fetches all its rows.
    ///
    /// # Errors
    /// Classified by [`failed`].
    pub async fn rows(&mut self, what: &'static str, sql: &str, values: &[Value]) -> Result<Vec<Cells>> {
        match self {
            Connection::Sqlite(connection) => {
                let query = sqlx::query_with(AssertSqlSafe(sql), sqlite_arguments(values));
                let rows = connection.fetch_all(query).await.map_err(|error| failed(what, error))?;
                rows.iter().map(|row| sqlite_cells(what, row)).collect()
            }
        }
    }

    /// Closes it in good order.
    pub async fn close(self) {
        match self {
            Connection::Sqlite(connection) => {
                if let Err(error) = connection.close().await {
                    tracing::debug!("Closing the database: {error}");
                }
            }
        }
    }
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

    /// The instant in a column, if it holds one.
    pub fn time(&self, index: usize) -> Option<Time> {
        match self.0.get(index) {
            Some(Value::Time(time)) => Some(*time),
            _ => self.text(index).and_then(time::parse),
        }
    }

    /// All cells.
    pub fn values(&self) -> &[Value] {
        &self.0
    }
}

fn sqlite_arguments(values: &[Value]) -> SqliteArguments {
    use sqlx::Arguments as _;
    let mut arguments = SqliteArguments::default();
    arguments.reserve(values.len(), 0);
    for value in values {
        let added = match value {
            Value::Absent | Value::Null => arguments.add(None::<i64>),
            Value::Int(number) => arguments.add(*number),
            Value::Bool(truth) => arguments.add(i64::from(*truth)),
            Value::Text(text) | Value::Json(text) => arguments.add(text.clone()),
            Value::Time(time) => arguments.add(time::text(*time)),
        };
        debug_assert!(added.is_ok(), "plain values always encode");
    }
    arguments
}

fn sqlite_cells(what: &'static str, row: &SqliteRow) -> Result<Cells> {
    let cell = |index: usize| -> sqlx::Result<Value> {
        let raw = row.try_get_raw(index)?;
        if raw.is_null() {
            return Ok(Value::Null);
        }
        let kind = raw.type_info().into_owned();
        Ok(match kind.name() {
            "INTEGER" | "BOOLEAN" => Value::Int(row.try_get_unchecked(index)?),
            "REAL" => Value::Text(row.try_get_unchecked::<f64, _>(index)?.to_string().into()),
            _ => Value::Text(row.try_get_unchecked::<String, _>(index)?.into()),
        })
    };
    (0..row.len()).map(cell).collect::<sqlx::Result<Vec<_>>>().map(Cells).map_err(|error| failed(what, error))
}

/// Creates the file for its owner only, before SQLite would create it for everybody.
fn create_private(path: &Path) -> Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if !folder.is_dir() {
        let what = format!("could not create the database: there is no folder {}", folder.display());
        return Err(Error::new(Kind::DatabaseUnavailable, what));
    }
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    match options.open(path) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => {
            let what = format!("could not create the database file {}", path.display());
            Err(Error::new(Kind::DatabaseRefused, what).because(error))
        }
    }
}

/// A driver's error by what follows from it. sqlx quotes SQL and values nowhere in these messages.
pub(super) fn failed(what: &'static str, error: sqlx::Error) -> Error {
    let kind = match &error {
        sqlx::Error::Database(database) => {
            // SQLite's primary result code is the low byte of the extended one.
            match database.code().and_then(|code| code.parse::<u32>().ok()).map(|code| code & 0xff) {
                Some(5 | 6) => Kind::DatabaseUnavailable,
                Some(1) => Kind::SchemaMismatch,
                Some(3 | 8 | 10 | 11 | 13 | 14 | 26) => Kind::DatabaseRefused,
                Some(18 | 19 | 20 | 25) => Kind::Internal,
                _ => Kind::DatabaseUnavailable,
            }
        }
        sqlx::Error::Io(_)
        | sqlx::Error::PoolTimedOut
        | sqlx::Error::PoolClosed
        | sqlx::Error::WorkerCrashed => Kind::DatabaseUnavailable,
        _ => Kind::Internal,
    };
    Error::new(kind, format!("could not {what}")).because(error)
}

/// Whether a statement failed because of a value in it rather than because of the database.
pub(super) fn is_about_a_value(error: &Error) -> bool {
    let Some(cause) = std::error::Error::source(error).and_then(|cause| cause.downcast_ref::<sqlx::Error>())
    else {
        return false;
    };
    match cause {
        // SQLite: too big, constraint, datatype mismatch, bind out of range.
        sqlx::Error::Database(database) => database
            .code()
            .and_then(|code| code.parse::<u32>().ok())
            .is_some_and(|code| matches!(code & 0xff, 18 | 19 | 20 | 25)),
        sqlx::Error::Encode(_) => true,
        _ => false,
    }
}
