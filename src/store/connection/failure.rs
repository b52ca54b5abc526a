//! A driver's error by what follows from it.

use sqlx::mysql::MySqlDatabaseError;

use crate::error::{Error, Kind};
use crate::store::dialect::Dialect;

/// What follows from a failed statement, and what the database said. The cause of an [`Error`].
#[derive(Debug, thiserror::Error)]
#[error("{said}")]
pub(in crate::store) struct Failure {
    pub(in crate::store) then: Then,
    said: String,
}

/// What to do after a failed statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::store) enum Then {
    /// The whole transaction may be tried again on this connection: a lock, a deadlock, a conflict.
    Again,
    /// The whole transaction may be tried again at once, and goes another way.
    OtherWay,
    /// The connection is of no use any more: another one may be.
    Reconnect,
    /// A value in the statement cannot be stored; others can.
    LeaveOutValue,
    /// Nothing helps until somebody has done something about it.
    GiveUp,
}

/// The error of a failed statement.
pub(in crate::store) fn failed(dialect: Dialect, what: &str, error: sqlx::Error) -> Error {
    let (kind, then) = classify(dialect, &error);
    // What is said about a value may quote it, and values are somebody's address.
    let said = match (&error, then) {
        (sqlx::Error::Database(database), Then::LeaveOutValue) => {
            format!("the database does not accept a value (code {})", code(dialect, database.as_ref()))
        }
        (sqlx::Error::Database(database), _) => {
            let code = code(dialect, database.as_ref());
            let hint = hint(dialect, &code).map_or(String::new(), |hint| format!(": {hint}"));
            format!("{} (code {code}){hint}", database.message())
        }
        (sqlx::Error::Tls(_), _) => {
            format!(
                "{error}. Only where the network in between is your own: {} in database_url",
                plain(dialect)
            )
        }
        (error, _) if is_certificate(error) => {
            let authority = match dialect {
                Dialect::Sqlite => "",
                Dialect::Postgres => "sslrootcert=ca.pem",
                Dialect::Mysql => "ssl-ca=ca.pem",
            };
            format!(
                "{error}. Where an authority of your own signed it, name that by {authority} in database_url; and name the \
                 host as the certificate does"
            )
        }
        // The driver leaves out what MySQL does for passwords without TLS: that library has a known weakness.
        (error, _) if is_password_without_tls(error) => {
            "this server takes a password over TLS only; leave ssl-mode=disabled out of database_url"
                .to_owned()
        }
        (error, _) => error.to_string(),
    };
    Error::new(kind, format!("could not {what}")).because(Failure { then, said })
}

/// Whether the server's certificate was not accepted; the driver tells it as an error of the connection.
fn is_certificate(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(io) => {
            io.kind() == std::io::ErrorKind::InvalidData && io.to_string().contains("certificate")
        }
        _ => false,
    }
}

/// Whether the server wanted a password in a way that the driver only knows over TLS.
fn is_password_without_tls(error: &sqlx::Error) -> bool {
    matches!(error, sqlx::Error::Configuration(cause) if cause.to_string().contains("RSA"))
}

/// What is to be done about an error of a server or a file, where its number tells more than its kind.
fn hint(dialect: Dialect, code: &str) -> Option<&'static str> {
    match (dialect, code) {
        (Dialect::Postgres, "28P01" | "28000") | (Dialect::Mysql, "1045" | "1698") => {
            Some("check user and password in database_url; special characters are written as %XX")
        }
        (Dialect::Postgres, "3D000") | (Dialect::Mysql, "1049") => Some("create that database first"),
        (Dialect::Postgres, "42501") | (Dialect::Mysql, "1044" | "1142" | "1227") => {
            Some("grant the rights that the README lists under \"The database\"")
        }
        (Dialect::Postgres, "53100") | (Dialect::Mysql, "1021" | "1114") | (Dialect::Sqlite, "13") => {
            Some("make room on the disk")
        }
        (Dialect::Sqlite, "26") => Some("choose another file, this one is no database"),
        (Dialect::Sqlite, "11") => {
            Some("restore a backup of the file, or move it away and run `kitmirror sync --full`")
        }
        _ => None,
    }
}

/// How a URL asks for a connection without TLS.
fn plain(dialect: Dialect) -> &'static str {
    match dialect {
        Dialect::Sqlite => "",
        Dialect::Postgres => "?sslmode=disable",
        Dialect::Mysql => "?ssl-mode=disabled",
    }
}

/// What follows from an error of this module; an error of another kind is final.
pub(in crate::store) fn then(error: &Error) -> Then {
    std::error::Error::source(error)
        .and_then(|cause| cause.downcast_ref::<Failure>())
        .map_or(Then::GiveUp, |failure| failure.then)
}

/// The same error, where it would be final, of something that is to be tried in another way.
pub(super) fn other_way(error: Error) -> Error {
    if then(&error) != Then::GiveUp {
        return error;
    }
    let said = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
    error.because(Failure { then: Then::OtherWay, said })
}

fn classify(dialect: Dialect, error: &sqlx::Error) -> (Kind, Then) {
    match error {
        sqlx::Error::Database(database) => {
            let code = code(dialect, database.as_ref());
            match dialect {
                Dialect::Sqlite => sqlite(&code),
                Dialect::Postgres => postgres(&code),
                Dialect::Mysql => mysql(&code),
            }
        }
        error if is_certificate(error) => (Kind::DatabaseRefused, Then::GiveUp),
        sqlx::Error::Io(_)
        | sqlx::Error::PoolTimedOut
        | sqlx::Error::PoolClosed
        | sqlx::Error::WorkerCrashed
        // What comes after a connection was cut in the middle of a message.
        | sqlx::Error::Protocol(_) => (Kind::DatabaseUnavailable, Then::Reconnect),
        sqlx::Error::Tls(_) => (Kind::DatabaseRefused, Then::GiveUp),
        error if is_password_without_tls(error) => (Kind::DatabaseRefused, Then::GiveUp),
        sqlx::Error::Configuration(_) => (Kind::Settings, Then::GiveUp),
        sqlx::Error::Encode(_) => (Kind::Internal, Then::LeaveOutValue),
        _ => (Kind::Internal, Then::GiveUp),
    }
}

/// The code by which an engine's documentation names the error.
fn code(dialect: Dialect, error: &(dyn sqlx::error::DatabaseError + 'static)) -> String {
    match dialect {
        Dialect::Sqlite | Dialect::Postgres => error.code().map(String::from).unwrap_or_default(),
        Dialect::Mysql => error
            .try_downcast_ref::<MySqlDatabaseError>()
            .map(|error| error.number().to_string())
            .unwrap_or_default(),
    }
}

/// By result codes; the primary one is the low byte of an extended one.
fn sqlite(code: &str) -> (Kind, Then) {
    match code.parse::<u32>().map(|code| code & 0xff) {
        // Busy, locked.
        Ok(5 | 6) => (Kind::DatabaseUnavailable, Then::Again),
        Ok(1) => (Kind::SchemaMismatch, Then::GiveUp),
        // No rights, read-only, I/O, corrupt, full, cannot open, not a database.
        Ok(3 | 8 | 10 | 11 | 13 | 14 | 26) => (Kind::DatabaseRefused, Then::GiveUp),
        // Too big, constraint, datatype mismatch, bind out of range.
        Ok(18 | 19 | 20 | 25) => (Kind::Internal, Then::LeaveOutValue),
        _ => (Kind::DatabaseUnavailable, Then::Again),
    }
}

/// By SQLSTATE.
fn postgres(code: &str) -> (Kind, Then) {
    match code {
        // Serialisation failure, deadlock, lock or statement took too long.
        "40001" | "40P01" | "55P03" | "57014" => (Kind::DatabaseUnavailable, Then::Again),
        // A server that has become a read-only copy: another connection may lead to the one that is not.
        "25006" => (Kind::DatabaseUnavailable, Then::Reconnect),
        // An index entry that is too large.
        "54000" => (Kind::Internal, Then::LeaveOutValue),
        "3D000" | "3F000" => (Kind::DatabaseRefused, Then::GiveUp),
        // No rights.
        "42501" => (Kind::DatabaseRefused, Then::GiveUp),
        // The server went down, is starting, has too many connections, or a proxy lost our prepared statement.
        _ if code.starts_with("08") || code.starts_with("57P") => {
            (Kind::DatabaseUnavailable, Then::Reconnect)
        }
        "53300" | "26000" | "25P02" | "25P03" | "25P04" => (Kind::DatabaseUnavailable, Then::Reconnect),
        _ if code.starts_with("22") || code.starts_with("23") => (Kind::Internal, Then::LeaveOutValue),
        _ if code.starts_with("42") => (Kind::SchemaMismatch, Then::GiveUp),
        // Credentials, disk full, out of memory, and the rest.
        _ => (Kind::DatabaseRefused, Then::GiveUp),
    }
}

/// By the error numbers that MySQL and MariaDB share; those from 3000 on are MySQL's, from 4000 on each one's own.
fn mysql(code: &str) -> (Kind, Then) {
    match code.parse::<u32>() {
        // Lock wait timeout, deadlock, changed since read, redefined since read, to be prepared again, took too long,
        // rolled back by a group.
        Ok(1205 | 1213 | 1020 | 1412 | 1615 | 1969 | 3024 | 3101) => (Kind::DatabaseUnavailable, Then::Again),
        // Shutdown, too many connections, killed, interrupted, read-only, gone, silent for too long (4031 is what MySQL
        // says of that); what a proxy or a cluster says of a node that is not ready.
        Ok(
            1040
            | 1053
            | 1077
            | 1079
            | 1152
            | 1158..=1161
            | 1184
            | 1203
            | 1226
            | 1290
            | 1317
            | 1836
            | 1927
            | 4031,
        ) => (Kind::DatabaseUnavailable, Then::Reconnect),
        // No such table, column, view; a definition that does not fit.
        Ok(1054 | 1146 | 1356 | 1136 | 1364 | 1471 | 1348) => (Kind::SchemaMismatch, Then::GiveUp),
        // Too long, null, out of range, wrong, no JSON, row or packet too large, duplicate, check failed.
        Ok(
            1406 | 1048 | 1264 | 1265 | 1292 | 1366 | 1118 | 1153 | 1062 | 1300 | 3140 | 3141 | 3157 | 3819
            | 4025,
        ) => (Kind::Internal, Then::LeaveOutValue),
        // Credentials, rights, no such database, disk full, and the rest.
        _ => (Kind::DatabaseRefused, Then::GiveUp),
    }
}

/// The error of a statement that was not answered.
pub(in crate::store) fn unanswered(after: std::time::Duration) -> Error {
    let said = format!("no answer within {} s", after.as_secs());
    Error::new(Kind::DatabaseUnavailable, "could not wait for the database any longer")
        .because(Failure { then: Then::Reconnect, said })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// D-03. MySQL says so before it closes a connection that was silent for long, other servers just close it.
    #[test]
    fn a_connection_that_was_silent_for_too_long_is_replaced() {
        assert_eq!(mysql("4031"), (Kind::DatabaseUnavailable, Then::Reconnect));
        assert_eq!(postgres("57P05"), (Kind::DatabaseUnavailable, Then::Reconnect));
        assert_eq!(postgres("25P03"), (Kind::DatabaseUnavailable, Then::Reconnect));
    }
}
