//! Which servers the tables can be kept on.

use super::connection::Connection;
use super::dialect::Dialect;
use crate::error::{Error, Kind, Result};
use crate::model::Value;

/// The least `max_allowed_packet` of MySQL: what servers of old had by default.
const LEAST_PACKET: i64 = 1 << 20;

/// Refuses a server that is too old, or that cannot hold all text, before anything is made there.
pub(super) async fn refuse_unfit(connection: &mut Connection) -> Result<()> {
    match connection.dialect() {
        Dialect::Sqlite => Ok(()),
        Dialect::Postgres => {
            let sql = "select cast(current_setting('server_version_num') as bigint), current_setting('server_encoding')";
            let rows = connection.rows("ask for the server's version", sql, &[]).await?;
            let (version, encoding) = rows
                .first()
                .map_or((0, ""), |row| (row.int(0).unwrap_or(0), row.text(1).unwrap_or_default()));
            if version < 130_000 {
                return Err(too_old("PostgreSQL", &(version / 10_000).to_string(), "13"));
            }
            if encoding != "UTF8" {
                return Err(Error::new(
                    Kind::DatabaseRefused,
                    format!(
                        "the database has the encoding {encoding}, which cannot hold every name; create one with \
                         `create database … encoding 'UTF8' template template0`"
                    ),
                ));
            }
            Ok(())
        }
        Dialect::Mysql => {
            let sql = "select version(), cast(@@session.max_allowed_packet as signed)";
            let rows = connection.rows("ask for the server's version", sql, &[]).await?;
            let packet = rows.first().and_then(|row| row.int(1)).unwrap_or(0);
            if packet < LEAST_PACKET {
                return Err(Error::new(
                    Kind::DatabaseRefused,
                    format!(
                        "the server's max_allowed_packet is {packet} bytes, too little for a broadcast; set it to \
                         {LEAST_PACKET} or more"
                    ),
                ));
            }
            let version = rows.first().and_then(|row| row.text(0)).unwrap_or_default();
            match mysql_fits(version) {
                Ok(()) => Ok(()),
                Err((name, least)) => Err(too_old(name, version, least)),
            }
        }
    }
}

/// Why the user cannot make the tables, if that is certain. Only PostgreSQL tells before it is tried.
pub(super) async fn refuses_tables(connection: &mut Connection) -> Result<Option<String>> {
    if connection.dialect() != Dialect::Postgres {
        return Ok(None);
    }
    let wanted = connection.schema().map_or(Value::Null, |schema| Value::Text(schema.into()));
    let sql = "select cast(current_user as text), coalesce(cast(? as text), cast(current_schema() as text)), \
               has_database_privilege(current_database(), 'create')";
    let rows = connection.rows("ask for the user's rights", sql, &[wanted]).await?;
    let Some(row) = rows.first() else { return Ok(None) };
    let user = row.text(0).unwrap_or_default();
    let Some(schema) = row.text(1) else {
        return Ok(Some("no schema of the search path exists; set database_schema".to_owned()));
    };
    let sql = "select has_schema_privilege(oid, 'create') from pg_namespace where nspname = ?";
    let rights = connection.rows("ask for the user's rights", sql, &[Value::Text(schema.into())]).await?;
    Ok(match rights.first() {
        Some(right) if right.is_true(0) => None,
        Some(_) => Some(format!("user \"{user}\" may not create tables in the schema \"{schema}\"")),
        None if row.is_true(2) => None,
        None => Some(format!("user \"{user}\" may not create the schema \"{schema}\"")),
    })
}

fn too_old(name: &str, version: &str, least: &str) -> Error {
    Error::new(
        Kind::DatabaseRefused,
        format!("the server is {name} {version}; kitmirror needs {least} or later"),
    )
}

/// Whether a version is new enough, else what it is and what the least is.
fn mysql_fits(version: &str) -> std::result::Result<(), (&'static str, &'static str)> {
    let is_mariadb = version.to_ascii_lowercase().contains("mariadb");
    // MariaDB may say `5.5.5-10.11.6-MariaDB` for the sake of old clients.
    let plain = version.strip_prefix("5.5.5-").filter(|_| is_mariadb).unwrap_or(version);
    let mut numbers = plain.split(|c: char| !c.is_ascii_digit()).map(|part| part.parse::<u32>().unwrap_or(0));
    let found = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    match is_mariadb {
        true if found < (10, 6) => Err(("MariaDB", "10.6")),
        false if found < (8, 0) => Err(("MySQL", "8.0")),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_servers_are_told_from_new_ones() {
        for fits in [
            "8.0.36",
            "9.7.4",
            "8.4.0-log",
            "10.6.0-MariaDB",
            "5.5.5-10.11.19-MariaDB-0+deb12u1",
            "11.4.2-MariaDB",
        ] {
            assert_eq!(mysql_fits(fits), Ok(()), "{fits}");
        }
        for old in ["5.7.44-log", "10.5.23-MariaDB", "5.5.5-10.3.39-MariaDB"] {
            assert!(mysql_fits(old).is_err(), "{old}");
        }
    }
}
