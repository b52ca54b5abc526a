//! MySQL and MariaDB.

use sqlx::mysql::{MySqlArguments, MySqlConnectOptions, MySqlConnection, MySqlRow, MySqlSslMode};
use sqlx::types::chrono::NaiveDateTime;
use sqlx::{
    Arguments as _, AssertSqlSafe, ConnectOptions as _, Executor as _, Row as _, TypeInfo as _, ValueRef as _,
};
use std::str::FromStr as _;
use std::time::Duration;
use tracing::log::LevelFilter;

use super::host::{self, Weakness};
use super::{Dialect, FORGOTTEN_AFTER, STATEMENTS_KEPT, lock_wait};
use crate::error::{Error, Kind, Result};
use crate::model::{Row, Time, Value};

/// Reads a URL. A host that is not this machine is spoken to over TLS, and its certificate checked, unless the URL says
/// otherwise.
pub(super) fn options(url: &str) -> Result<MySqlConnectOptions> {
    let options =
        MySqlConnectOptions::from_str(&url.replacen("mariadb://", "mysql://", 1)).map_err(|_| {
            Error::new(
                Kind::Settings,
                "database_url is not a MySQL URL such as mysql://user:password@host:3306/database",
            )
        })?;
    let says = host::is_tls_asked_for(url);
    // The driver would look for a host of that name, brackets and all.
    let host = options.get_host().trim_start_matches('[').trim_end_matches(']').to_owned();
    let options = options.host(&host);
    let options = match options.get_socket().is_none() && !host::is_near(options.get_host()) && !says {
        true => options.ssl_mode(MySqlSslMode::VerifyIdentity),
        false => options,
    };
    Ok(options
        .charset("utf8mb4")
        .collation("utf8mb4_bin")
        .pipes_as_concat(false)
        .no_engine_substitution(false)
        .timezone(None)
        .statement_cache_capacity(STATEMENTS_KEPT)
        .log_statements(LevelFilter::Off)
        .log_slow_statements(LevelFilter::Off, Duration::ZERO))
}

/// What is missing to TLS with a checked certificate, on the way to a server elsewhere.
pub(super) fn weakness(options: &MySqlConnectOptions) -> Option<Weakness> {
    if options.get_socket().is_some() || host::is_near(options.get_host()) {
        return None;
    }
    match options.get_ssl_mode() {
        MySqlSslMode::Disabled => Some(Weakness::Plain),
        MySqlSslMode::Preferred => Some(Weakness::PlainIfRefused),
        MySqlSslMode::Required => Some(Weakness::Unchecked),
        MySqlSslMode::VerifyCa => Some(Weakness::AnyName),
        MySqlSslMode::VerifyIdentity => None,
    }
}

/// Connects, and sets everything that a server or a user may have set otherwise. With the bytes a statement may
/// have.
pub(super) async fn connect(options: &MySqlConnectOptions) -> Result<(MySqlConnection, usize)> {
    let what = "connect to the database";
    let failed = |error| super::failed(Dialect::Mysql, what, error);
    let mut connection = options.connect().await.map_err(failed)?;
    let (wait, forgotten) = (lock_wait().as_secs(), FORGOTTEN_AFTER.as_secs());
    let settings = format!(
        "set session sql_mode = 'ANSI_QUOTES,PIPES_AS_CONCAT,STRICT_TRANS_TABLES,STRICT_ALL_TABLES,NO_ZERO_DATE,\
         NO_ZERO_IN_DATE,ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION', session time_zone = '+00:00', \
         session innodb_lock_wait_timeout = {wait}, session lock_wait_timeout = {wait}, session wait_timeout = {forgotten}, \
         session autocommit = 1, session sql_select_limit = 18446744073709551615, session sql_safe_updates = 0; \
         set session transaction isolation level repeatable read"
    );
    connection.execute(sqlx::raw_sql(AssertSqlSafe(settings))).await.map_err(failed)?;
    let packet: (i64,) = sqlx::query_as("select cast(@@session.max_allowed_packet as signed)")
        .fetch_one(&mut connection)
        .await
        .map_err(failed)?;
    Ok((connection, usize::try_from(packet.0).unwrap_or_default()))
}

/// Values in their order.
pub(super) fn arguments(values: &[Value]) -> MySqlArguments {
    let mut arguments = MySqlArguments::default();
    for value in values {
        add(&mut arguments, value);
    }
    arguments
}

/// Rows as an upsert takes them: the present columns, and the time twice.
pub(super) fn rows(present: &[usize], rows: &[&Row], now: Time) -> MySqlArguments {
    let mut arguments = MySqlArguments::default();
    arguments.reserve(rows.len() * (present.len() + 2), 0);
    for row in rows {
        for at in present {
            add(&mut arguments, row.cell(*at));
        }
        for _ in 0..2 {
            add(&mut arguments, &Value::Time(now));
        }
    }
    arguments
}

fn add(arguments: &mut MySqlArguments, value: &Value) {
    let added = match value {
        Value::Absent | Value::Null => arguments.add(None::<i64>),
        Value::Int(number) => arguments.add(*number),
        Value::Bool(truth) => arguments.add(*truth),
        Value::Text(text) | Value::Json(text) => arguments.add(&**text),
        Value::Time(time) => arguments.add(time.naive_utc()),
    };
    debug_assert!(added.is_ok(), "plain values always encode");
}

/// The cell of a row.
pub(super) fn cell(row: &MySqlRow, index: usize) -> sqlx::Result<Value> {
    let raw = row.try_get_raw(index)?;
    if raw.is_null() {
        return Ok(Value::Null);
    }
    let kind = raw.type_info().into_owned();
    Ok(match kind.name() {
        "BOOLEAN" => Value::Bool(row.try_get(index)?),
        "TINYINT" | "SMALLINT" | "MEDIUMINT" | "INT" | "BIGINT" => Value::Int(row.try_get_unchecked(index)?),
        "TINYINT UNSIGNED" | "SMALLINT UNSIGNED" | "MEDIUMINT UNSIGNED" | "INT UNSIGNED"
        | "BIGINT UNSIGNED" => {
            let number: u64 = row.try_get_unchecked(index)?;
            i64::try_from(number).map_or_else(|_| Value::Text(number.to_string().into()), Value::Int)
        }
        "DATETIME" | "TIMESTAMP" => Value::Time(row.try_get_unchecked::<NaiveDateTime, _>(index)?.and_utc()),
        "FLOAT" | "DOUBLE" => Value::Text(row.try_get_unchecked::<f64, _>(index)?.to_string().into()),
        // The catalogue's text comes as bytes from some versions.
        name => {
            let bytes: Vec<u8> = row.try_get_unchecked(index)?;
            let text = String::from_utf8_lossy(&bytes).into();
            if name == "JSON" { Value::Json(text) } else { Value::Text(text) }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// S-06. The mode that a URL leads to, and what `check` says about it.
    #[test]
    fn a_host_elsewhere_has_to_prove_who_it_is_unless_the_url_says_otherwise() {
        let cases = [
            ("me@db.example.com/x", "VerifyIdentity", None),
            ("me@10.0.0.5/x", "VerifyIdentity", None),
            ("me@[2001:db8::1]/x", "VerifyIdentity", None),
            ("me@db.example.com/x?ssl-ca=ca.pem", "VerifyIdentity", None),
            ("me@db.example.com/x?ssl-mode=VERIFY_IDENTITY", "VerifyIdentity", None),
            ("me@db.example.com/x?ssl-mode=VERIFY_CA", "VerifyCa", Some(Weakness::AnyName)),
            ("me@db.example.com/x?ssl-mode=REQUIRED", "Required", Some(Weakness::Unchecked)),
            ("me@db.example.com/x?ssl-mode=preferred", "Preferred", Some(Weakness::PlainIfRefused)),
            ("me@db.example.com/x?sslmode=disabled", "Disabled", Some(Weakness::Plain)),
            ("me@localhost/x", "Preferred", None),
            ("me@[::1]/x", "Preferred", None),
            ("me@127.0.0.1/x?ssl-mode=VERIFY_IDENTITY", "VerifyIdentity", None),
            ("me@db/x", "Preferred", None),
            ("me@db.example.com/x?socket=/run/mysqld.sock", "Preferred", None),
        ];
        for scheme in ["mysql", "mariadb"] {
            for (rest, mode, weak) in cases {
                let options = options(&format!("{scheme}://{rest}")).expect("a URL");
                assert_eq!(format!("{:?}", options.get_ssl_mode()), mode, "{rest}");
                assert_eq!(weakness(&options), weak, "{rest}");
            }
        }
    }
}
