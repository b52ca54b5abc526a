//! SQLite, bundled.

use sqlx::sqlite::{SqliteArguments, SqliteConnectOptions, SqliteConnection, SqliteRow, SqliteSynchronous};
use sqlx::{Arguments as _, ConnectOptions as _, Row as _, TypeInfo as _, ValueRef as _};
use std::path::Path;
use std::str::FromStr as _;
use std::sync::Arc;
use std::time::Duration;
use tracing::log::LevelFilter;

use super::{Access, STATEMENTS_KEPT, lock_wait};
use crate::error::{Error, Kind, Result};
use crate::model::{Row, Time, Value, time};
use crate::store::folder_of;

/// How much of the file is kept in memory, as SQLite wants it: KiB, below zero.
pub const CACHE: &str = "-8000";

/// Reads a URL.
pub(super) fn options(url: &str) -> Result<SqliteConnectOptions> {
    SqliteConnectOptions::from_str(url).map_err(|_| {
        Error::new(Kind::Settings, "database_url is not a SQLite URL such as sqlite://kitmirror.db")
    })
}

/// Whether a URL leads to no file, as the driver sees it.
pub(super) fn is_in_memory(url: &str) -> bool {
    let place = url.trim_start_matches("sqlite:").trim_start_matches("//");
    place.split('?').next() == Some(":memory:")
}

/// Opens the file.
pub(super) async fn connect(
    options: &SqliteConnectOptions,
    in_memory: bool,
    access: Access,
) -> Result<SqliteConnection> {
    if !in_memory && access == Access::Create {
        create_private(options.get_filename())?;
    }
    let options = options
        .clone()
        .create_if_missing(in_memory)
        // FULL: a commit that was answered survives a loss of power.
        .synchronous(SqliteSynchronous::Full)
        .busy_timeout(lock_wait())
        .foreign_keys(false)
        // What is new comes in the order of ids, and goes to all over the indexes. Larger than the defaults (2 MB, 1000
        // pages), these write a page once for several commits.
        .pragma("cache_size", CACHE)
        .pragma("wal_autocheckpoint", "16000")
        // What is deleted or replaced is somebody's data: it is overwritten, at no cost that could be measured.
        .pragma("secure_delete", "on")
        .statement_cache_capacity(STATEMENTS_KEPT)
        .log_statements(LevelFilter::Off)
        .log_slow_statements(LevelFilter::Off, Duration::ZERO);
    options.connect().await.map_err(|error| super::failed(super::Dialect::Sqlite, "open the database", error))
}

/// Values in their order.
pub(super) fn arguments(values: &[Value]) -> SqliteArguments {
    let mut arguments = SqliteArguments::default();
    arguments.reserve(values.len(), 0);
    for value in values {
        add(&mut arguments, value);
    }
    arguments
}

/// Rows as an upsert takes them: the present columns, and the time twice.
pub(super) fn rows(present: &[usize], rows: &[&Row], now: Time) -> SqliteArguments {
    let now: Arc<str> = time::text(now).into();
    let mut arguments = SqliteArguments::default();
    arguments.reserve(rows.len() * (present.len() + 2), 0);
    for row in rows {
        for at in present {
            add(&mut arguments, row.cell(*at));
        }
        for _ in 0..2 {
            let added = arguments.add(now.clone());
            debug_assert!(added.is_ok(), "text always encodes");
        }
    }
    arguments
}

fn add(arguments: &mut SqliteArguments, value: &Value) {
    let added = match value {
        Value::Absent | Value::Null => arguments.add(None::<i64>),
        Value::Int(number) => arguments.add(*number),
        Value::Bool(truth) => arguments.add(i64::from(*truth)),
        Value::Text(text) | Value::Json(text) => arguments.add(text.clone()),
        Value::Time(time) => arguments.add(time::text(*time)),
    };
    debug_assert!(added.is_ok(), "plain values always encode");
}

/// The cell of a row.
pub(super) fn cell(row: &SqliteRow, index: usize) -> sqlx::Result<Value> {
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
}

/// Creates the file for its owner only, before SQLite would create it for everybody.
fn create_private(path: &Path) -> Result<()> {
    let folder = folder_of(path);
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
            Err(Error::new(Kind::DatabaseRefused, "could not create the database file").because(error))
        }
    }
}
