//! PostgreSQL.

use serde_json::value::RawValue;
use sqlx::encode::IsNull;
use sqlx::error::BoxDynError;
use sqlx::postgres::types::Oid;
use sqlx::postgres::{
    PgArgumentBuffer, PgArguments, PgConnectOptions, PgConnection, PgRow, PgSslMode, PgTypeInfo, Postgres,
};
use sqlx::types::Json;
use sqlx::{Arguments as _, ConnectOptions as _, Encode, Row as _, TypeInfo as _, ValueRef as _};
use std::str::FromStr as _;
use std::sync::Arc;
use std::time::Duration;
use tracing::log::LevelFilter;

use super::host::{self, Weakness};
use super::{Dialect, FORGOTTEN_AFTER, Upserted, lock_wait};
use crate::error::{Error, Kind, Result};
use crate::model::{Object, Row, Time, Type, Value, time};

/// Postgres counts microseconds from 2000 on.
const SINCE_1970: i64 = 946_684_800_000_000;

/// Reads a URL. A host that is not this machine is spoken to over TLS, and its certificate checked, unless the URL says
/// otherwise.
pub(super) fn options(url: &str) -> Result<PgConnectOptions> {
    let options = PgConnectOptions::from_str(url).map_err(|_| {
        Error::new(
            Kind::Settings,
            "database_url is not a PostgreSQL URL such as postgres://user:password@host:5432/database",
        )
    })?;
    // The driver would look for a host of that name, brackets and all.
    let host = options.get_host().trim_start_matches('[').trim_end_matches(']').to_owned();
    let options = options.host(&host);
    let options = if host::is_tls_asked_for(url) || options.get_socket().is_some() {
        options
    } else if !host::is_near(&host) {
        // Whatever PGSSLMODE says: less has to be asked for by the URL itself.
        options.ssl_mode(PgSslMode::VerifyFull)
    } else if host::is_here(&host) && matches!(options.get_ssl_mode(), PgSslMode::Prefer) {
        // What does not leave the machine needs none, and the driver loses 40 ms a statement by it.
        options.ssl_mode(PgSslMode::Disable)
    } else {
        options
    };
    // One that the URL gives is the user's choice.
    let options = match options.get_application_name() {
        Some(_) => options,
        None => options.application_name("kitmirror"),
    };
    Ok(options
        // A pooler between us and the server knows neither this nor prepared statements from one transaction to the
        // next. Nothing else of ours lasts longer than a transaction either.
        .extra_float_digits(None)
        .statement_cache_capacity(0)
        .log_statements(LevelFilter::Off)
        .log_slow_statements(LevelFilter::Off, Duration::ZERO))
}

/// What is missing to TLS with a checked certificate, on the way to a server elsewhere.
pub(super) fn weakness(options: &PgConnectOptions) -> Option<Weakness> {
    if options.get_socket().is_some() || host::is_near(options.get_host()) {
        return None;
    }
    match options.get_ssl_mode() {
        // The driver knows no second try with TLS.
        PgSslMode::Disable | PgSslMode::Allow => Some(Weakness::Plain),
        PgSslMode::Prefer => Some(Weakness::PlainIfRefused),
        PgSslMode::Require => Some(Weakness::Unchecked),
        PgSslMode::VerifyCa => Some(Weakness::AnyName),
        PgSslMode::VerifyFull => None,
    }
}

/// Connects.
pub(super) async fn connect(options: &PgConnectOptions) -> Result<PgConnection> {
    options
        .connect()
        .await
        .map_err(|error| super::failed(Dialect::Postgres, "connect to the database", error))
}

/// Begins a transaction that writes or only reads, with everything that a session would otherwise be set to.
pub(super) fn begin(schema: Option<&str>, writes: bool) -> String {
    let (wait, forgotten) = (lock_wait().as_millis(), FORGOTTEN_AFTER.as_millis());
    let path = schema.map_or(String::new(), |schema| {
        format!("; set local search_path to {}", Dialect::Postgres.quoted(schema))
    });
    // In the middle of a copy, a session is not idle, however silent the line.
    let (mode, alive) = if writes {
        let alive = "; set local tcp_keepalives_idle = 60; set local tcp_keepalives_interval = 15; \
                     set local tcp_keepalives_count = 4";
        ("read write", alive)
    } else {
        ("read only", "")
    };
    format!(
        "begin isolation level read committed {mode}; set local lock_timeout = {wait}; \
         set local idle_in_transaction_session_timeout = {forgotten}; set local standard_conforming_strings = on; \
         set local datestyle = iso; set local timezone = 'UTC'; \
         set local client_min_messages = warning{alive}{path}"
    )
}

/// A statement with its values written into it, where they are numbers and times, which cannot be anything else. It goes to
/// the server and back once; one with bound values goes twice, since no statement is kept prepared. Nothing comes back
/// where there is text among the values: text is always bound.
pub(super) fn written_out(sql: &str, values: &[Value]) -> Option<String> {
    if sql.matches('?').count() != values.len() {
        return None;
    }
    let mut parts = sql.split('?');
    let mut text = parts.next().unwrap_or_default().to_owned();
    for (value, part) in values.iter().zip(parts) {
        match value {
            Value::Absent | Value::Null => text.push_str("null"),
            Value::Int(number) => text.push_str(&format!("int8 '{number}'")),
            Value::Bool(truth) => text.push_str(&format!("bool '{truth}'")),
            Value::Time(time) => text.push_str(&format!("timestamptz '{}'", time::text(*time))),
            Value::Text(_) | Value::Json(_) => return None,
        }
        text.push_str(part);
    }
    Some(text)
}

/// Values in their order.
pub(super) fn arguments(values: &[Value]) -> PgArguments {
    let mut arguments = PgArguments::default();
    for value in values {
        let added = match value {
            Value::Absent | Value::Null => arguments.add(Nothing),
            Value::Int(number) => arguments.add(*number),
            Value::Bool(truth) => arguments.add(*truth),
            Value::Text(text) | Value::Json(text) => arguments.add(&**text),
            Value::Time(time) => arguments.add(*time),
        };
        debug_assert!(added.is_ok(), "plain values always encode");
    }
    arguments
}

/// Rows as an upsert takes them: an array for each present column, and the time.
pub(super) fn rows(object: &Object, present: &[usize], rows: &[&Row], now: Time) -> PgArguments {
    let mut arguments = PgArguments::default();
    for at in present {
        let cells = rows.iter().map(|row| row.cell(*at));
        let added = match object.cell(*at).1 {
            Type::Id | Type::Int => arguments.add(
                cells
                    .map(|value| match value {
                        Value::Int(number) => Some(*number),
                        _ => None,
                    })
                    .collect::<Vec<_>>(),
            ),
            Type::Bool => arguments.add(
                cells
                    .map(|value| match value {
                        Value::Bool(truth) => Some(*truth),
                        _ => None,
                    })
                    .collect::<Vec<_>>(),
            ),
            Type::Time => arguments.add(
                cells
                    .map(|value| match value {
                        Value::Time(time) => Some(*time),
                        _ => None,
                    })
                    .collect::<Vec<_>>(),
            ),
            Type::Text | Type::JsonObject | Type::JsonArray => {
                arguments.add(cells.map(text).collect::<Vec<_>>())
            }
        };
        debug_assert!(added.is_ok(), "plain values always encode");
    }
    let added = arguments.add(now);
    debug_assert!(added.is_ok(), "a time always encodes");
    arguments
}

fn text(value: &Value) -> Option<&str> {
    match value {
        Value::Text(text) | Value::Json(text) => Some(text),
        _ => None,
    }
}

/// Rows in the binary form of `copy`: the present columns, and the time twice. Nothing is cast: the types of the columns are
/// those that every start looks for.
pub(super) fn copied(present: &[usize], rows: &[&Row], now: Time) -> Vec<u8> {
    let columns = (present.len() + 2) as u16;
    let bytes = rows.iter().map(|row| row.bytes() + usize::from(columns) * 8).sum();
    let mut copied = Vec::with_capacity(bytes);
    copied.extend_from_slice(b"PGCOPY\n\xff\r\n\0");
    // No flags, and nothing more in the header.
    copied.extend_from_slice(&[0; 8]);
    for row in rows {
        copied.extend_from_slice(&columns.to_be_bytes());
        for at in present {
            field(&mut copied, row.cell(*at));
        }
        for _ in 0..2 {
            field(&mut copied, &Value::Time(now));
        }
    }
    copied.extend_from_slice(&(-1_i16).to_be_bytes());
    copied
}

/// A value: its length, and its bytes as the server sends and takes them.
fn field(copied: &mut Vec<u8>, value: &Value) {
    let mut add = |parts: [&[u8]; 2]| {
        let length = parts.iter().map(|part| part.len()).sum::<usize>() as i32;
        copied.extend_from_slice(&length.to_be_bytes());
        parts.iter().for_each(|part| copied.extend_from_slice(part));
    };
    match value {
        Value::Absent | Value::Null => copied.extend_from_slice(&(-1_i32).to_be_bytes()),
        Value::Int(number) => add([&number.to_be_bytes(), &[]]),
        Value::Bool(truth) => add([&[u8::from(*truth)], &[]]),
        Value::Text(text) => add([text.as_bytes(), &[]]),
        // The version of the form that follows.
        Value::Json(text) => add([&[1], text.as_bytes()]),
        Value::Time(time) => add([&(time.timestamp_micros() - SINCE_1970).to_be_bytes(), &[]]),
    }
}

/// Sends rows behind a `copy`; how many the server took.
pub(super) async fn copy(connection: &mut PgConnection, sql: &str, rows: Vec<u8>) -> sqlx::Result<u64> {
    let mut copy = connection.copy_in_raw(sql).await?;
    copy.send(rows).await?;
    copy.finish().await
}

/// What the statement that writes rows says it did.
pub(super) fn upserted(row: &PgRow) -> sqlx::Result<Upserted> {
    let count = |at: usize| row.try_get::<i64, _>(at).map(|count| u64::try_from(count).unwrap_or(0));
    Ok(Upserted { inserted: count(0)?, updated: count(1)?, revived: count(2)? })
}

/// Null of whatever type its place has.
struct Nothing;

impl sqlx::Type<Postgres> for Nothing {
    fn type_info() -> PgTypeInfo {
        PgTypeInfo::with_oid(Oid(0))
    }
}

impl Encode<'_, Postgres> for Nothing {
    fn encode_by_ref(&self, _: &mut PgArgumentBuffer) -> std::result::Result<IsNull, BoxDynError> {
        Ok(IsNull::Yes)
    }
}

/// The cell of a row.
pub(super) fn cell(row: &PgRow, index: usize) -> sqlx::Result<Value> {
    let raw = row.try_get_raw(index)?;
    if raw.is_null() {
        return Ok(Value::Null);
    }
    let kind = raw.type_info().into_owned();
    Ok(match kind.name() {
        "INT8" => Value::Int(row.try_get(index)?),
        "INT4" => Value::Int(row.try_get::<i32, _>(index)?.into()),
        "INT2" => Value::Int(row.try_get::<i16, _>(index)?.into()),
        "BOOL" => Value::Bool(row.try_get(index)?),
        "TIMESTAMPTZ" => Value::Time(row.try_get(index)?),
        "FLOAT8" => Value::Text(row.try_get::<f64, _>(index)?.to_string().into()),
        "JSON" | "JSONB" => {
            let json: Json<Box<RawValue>> = row.try_get(index)?;
            Value::Json(json.0.get().into())
        }
        _ => Value::Text(Arc::from(row.try_get_unchecked::<&str, _>(index)?)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// S-11. Numbers and times stand in the statement; text is bound, whatever it is.
    #[test]
    fn only_numbers_and_times_are_written_into_a_statement() {
        let sql = "update t set a = ? where b = ?";
        let written = |a: Value, b: Value| written_out(sql, &[a, b]);
        assert_eq!(
            written(Value::Int(-5), Value::Bool(true)).as_deref(),
            Some("update t set a = int8 '-5' where b = bool 'true'")
        );
        let at = time::parse("2026-05-01T10:00:00Z").expect("a time");
        assert_eq!(
            written(Value::Time(at), Value::Null).as_deref(),
            Some("update t set a = timestamptz '2026-05-01T10:00:00.000000Z' where b = null")
        );
        for text in ["tags", "1", ""] {
            assert_eq!(written(Value::Int(1), Value::Text(text.into())), None);
            assert_eq!(written(Value::Json(text.into()), Value::Int(1)), None);
        }
        assert_eq!(written_out("select 'what?'", &[]), None, "a question mark of somebody's own");
    }

    #[test]
    fn rows_are_copied_as_the_server_takes_them() {
        let object = &crate::model::objects::TAGS;
        let now = time::parse("2000-01-01T00:00:01Z").expect("a time");
        let values = object.columns.iter().map(|column| match column.kind {
            Type::Id | Type::Int => Value::Int(-2),
            Type::Bool => Value::Bool(true),
            Type::Text => Value::Text("a".into()),
            Type::Time => Value::Time(now),
            Type::JsonObject | Type::JsonArray => Value::Null,
        });
        let row = Row { values: values.collect(), extra: Value::Absent };
        let present: Vec<usize> = (0..2).collect();
        let kinds: Vec<Type> = present.iter().map(|at| object.columns[*at].kind).collect();
        assert_eq!(kinds, [Type::Id, Type::Text]);
        let second = [&8_i32.to_be_bytes()[..], &1_000_000_i64.to_be_bytes()].concat();
        let expected = [
            b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0\0\x04\0\0\0\x08\xff\xff\xff\xff\xff\xff\xff\xfe\0\0\0\x01a"
                .to_vec(),
            second.clone(),
            second,
            b"\xff\xff".to_vec(),
        ];
        assert_eq!(copied(&present, &[&row], now), expected.concat());
        let mut fields = Vec::new();
        for value in [Value::Null, Value::Bool(true), Value::Json("{}".into()), Value::Text("".into())] {
            field(&mut fields, &value);
        }
        assert_eq!(fields, b"\xff\xff\xff\xff\0\0\0\x01\x01\0\0\0\x03\x01{}\0\0\0\0");
    }

    /// S-06. The mode that a URL leads to, and what `check` says about it.
    #[test]
    fn a_host_elsewhere_has_to_prove_who_it_is_unless_the_url_says_otherwise() {
        let cases = [
            ("me@db.example.com/x", "VerifyFull", None),
            ("me@10.0.0.5/x", "VerifyFull", None),
            ("me@[2001:db8::1]/x", "VerifyFull", None),
            ("me@0.0.0.0/x", "VerifyFull", None),
            ("me@localhost/x?host=db.example.com", "VerifyFull", None),
            ("me@localhost/x?hostaddr=10.0.0.5", "VerifyFull", None),
            ("me@db.example.com/x?sslrootcert=ca.pem", "VerifyFull", None),
            ("me@db.example.com/x?sslmode=verify-full", "VerifyFull", None),
            ("me@db.example.com/x?sslmode=verify-ca", "VerifyCa", Some(Weakness::AnyName)),
            ("me@db.example.com/x?sslmode=require", "Require", Some(Weakness::Unchecked)),
            ("me@db.example.com/x?sslmode=prefer", "Prefer", Some(Weakness::PlainIfRefused)),
            ("me@db.example.com/x?sslmode=allow", "Allow", Some(Weakness::Plain)),
            ("me@db.example.com/x?ssl-mode=disable", "Disable", Some(Weakness::Plain)),
            ("me@localhost/x", "Disable", None),
            ("me@127.0.0.1/x", "Disable", None),
            ("me@[::1]/x", "Disable", None),
            ("me@127.0.0.1/x?sslmode=verify-full", "VerifyFull", None),
            ("me@db/x", "Prefer", None),
            ("me@localhost/x?host=/var/run/postgresql", "Prefer", None),
        ];
        for (rest, mode, weak) in cases {
            let options = options(&format!("postgres://{rest}")).expect("a URL");
            assert_eq!(format!("{:?}", options.get_ssl_mode()), mode, "{rest}");
            assert_eq!(weakness(&options), weak, "{rest}");
        }
    }
}
