//! The database's URL: checked, kept as a secret, shown without user, password and parameters.
//!
//! Connecting with it is `store`'s. The check is stricter than the drivers': a password with a raw `/`, `?` or
//! `#` in it would be taken for host or path, and then be shown.

use std::fmt;
use std::str::FromStr;

use super::problem::Invalid;
use super::secret::Secret;

/// The kind of database a URL points to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Engine {
    /// `sqlite:`
    Sqlite,
    /// `postgres:` or `postgresql:`
    Postgres,
    /// `mysql:` or `mariadb:`
    Mysql,
}

impl Engine {
    /// The parameters a URL may carry: those the driver reads and we do not set ourselves.
    ///
    /// The drivers drop a misspelt parameter (`ssl_mode=…` would leave TLS off), and the one for Postgres writes
    /// its value to the log. SQLite's would also open a file that vanishes with the program, or cannot be written to.
    fn parameters(self) -> &'static [&'static str] {
        match self {
            Engine::Sqlite => &["mode", "vfs"],
            Engine::Postgres => &[
                "sslmode",
                "ssl-mode",
                "sslrootcert",
                "ssl-root-cert",
                "ssl-ca",
                "sslcert",
                "ssl-cert",
                "sslkey",
                "ssl-key",
                "host",
                "hostaddr",
                "port",
                "dbname",
                "user",
                "password",
                "application_name",
                "options",
            ],
            Engine::Mysql => &[
                "sslmode", "ssl-mode", "sslca", "ssl-ca", "sslcert", "ssl-cert", "sslkey", "ssl-key",
                "socket",
            ],
        }
    }
}

/// A checked database URL. Prints scheme, host, port and database, never user, password or parameters.
#[derive(Clone)]
pub struct DatabaseUrl {
    full: Secret,
    engine: Engine,
    shown: String,
    has_password: bool,
}

impl DatabaseUrl {
    /// The kind of database.
    pub fn engine(&self) -> Engine {
        self.engine
    }

    /// The whole URL, password included: only for the connection.
    pub fn expose(&self) -> &str {
        self.full.expose()
    }

    /// Whether the URL itself holds a password.
    pub fn has_password(&self) -> bool {
        self.has_password
    }
}

impl fmt::Display for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DatabaseUrl({})", self.shown)
    }
}

/// The forms of a URL, for messages.
const FORMS: &str = "`postgres://user:password@host:5432/database`, `mysql://…`, `mariadb://…`, or \
                     `sqlite://kitmirror.db`; special characters in user and password as %XX";

impl FromStr for DatabaseUrl {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        if text.chars().any(|c| c.is_control() || c.is_whitespace()) {
            return Err(Invalid::new(
                "contains a space or control character; a space is written as %20",
                FORMS,
            ));
        }
        let (scheme, rest) = text
            .split_once("://")
            .or_else(|| text.split_once(':').filter(|(scheme, _)| *scheme == "sqlite"))
            .ok_or_else(|| without_scheme(text))?;
        let engine = match scheme {
            "sqlite" => Engine::Sqlite,
            "postgres" | "postgresql" => Engine::Postgres,
            "mysql" | "mariadb" => Engine::Mysql,
            _ => return Err(Invalid::new("begins with none of the schemes we know", FORMS)),
        };
        if rest.contains('#') {
            return Err(Invalid::new("contains a raw `#`", FORMS));
        }
        let (location, query) = rest.split_once('?').unwrap_or((rest, ""));
        let parameters: Vec<&str> = query.split('&').filter(|parameter| !parameter.is_empty()).collect();
        check_parameters(engine, &parameters)?;
        let (place, password_inside) = match engine {
            Engine::Sqlite => (file(location)?, false),
            Engine::Postgres | Engine::Mysql => server(location, &parameters)?,
        };
        let has_password = password_inside || parameters.iter().any(|p| p.starts_with("password="));
        let shown = format!("{scheme}://{place}");
        Ok(DatabaseUrl { full: Secret::new(text), engine, shown, has_password })
    }
}

/// The path of a SQLite file, or `:memory:`.
fn file(location: &str) -> Result<String, Invalid> {
    if location.is_empty() {
        return Err(Invalid::new("names no file", "`sqlite://kitmirror.db` or `sqlite:///absolute/path.db`"));
    }
    let first = location.split('/').next().unwrap_or_default();
    if first.split_once('@').is_some_and(|(user, _)| user.contains(':')) {
        return Err(Invalid::new("has a user and password, which a SQLite file has not", FORMS));
    }
    Ok(location.to_owned())
}

/// Host, port and database of a server, as they may be shown, and whether a password stands before them.
fn server(location: &str, parameters: &[&str]) -> Result<(String, bool), Invalid> {
    let (authority, path) = location.split_at(location.find('/').unwrap_or(location.len()));
    let (user, host_port) = match authority.rsplit_once('@') {
        Some((user, host_port)) => (Some(user), host_port),
        None => (None, authority),
    };
    // With an `@` further on, what looks like host and path is a password with a raw `/` or `?` in it.
    if path.contains('@') || (user.is_none() && parameters.iter().any(|parameter| parameter.contains('@'))) {
        return Err(Invalid::new("has an `@` after the host", FORMS));
    }
    let (host, port) = match host_port.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((_, port)) => host_port.split_at(host_port.len() - port.len()),
        None => host_port.split_at(host_port.find(':').unwrap_or(host_port.len())),
    };
    let host_fits =
        |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_' | b'%' | b'[' | b']' | b':');
    if !host.bytes().all(host_fits) {
        return Err(Invalid::new("has no valid host", FORMS));
    }
    let port_fits = |port: &str| {
        port.strip_prefix(':').is_some_and(|digits| digits.parse::<u16>().is_ok_and(|number| number > 0))
    };
    if !port.is_empty() && !port_fits(port) {
        return Err(Invalid::new("has no valid port", FORMS));
    }
    let database = path.strip_prefix('/').unwrap_or_default();
    if database.is_empty() && !parameters.iter().any(|parameter| parameter.starts_with("dbname=")) {
        return Err(Invalid::new("names no database", FORMS));
    }
    if database.contains(['/', ':']) {
        return Err(Invalid::new("has more than a database after the host", FORMS));
    }
    let has_password = user.is_some_and(|user| user.contains(':'));
    Ok((format!("{host}{port}/{database}"), has_password))
}

fn check_parameters(engine: Engine, parameters: &[&str]) -> Result<(), Invalid> {
    let known = engine.parameters();
    let is_known = |parameter: &&str| {
        let name = parameter.split('=').next().unwrap_or_default();
        known.contains(&name) || (engine == Engine::Postgres && name.starts_with("options["))
    };
    // Not even the name is repeated: it may be the rest of a password with a raw `?` in it.
    if !parameters.iter().all(is_known) {
        return Err(Invalid::new("has a parameter after `?` that has no effect here", known.join(", ")));
    }
    let is_written = |parameter: &&str| match parameter.strip_prefix("mode=") {
        Some(mode) => matches!(mode, "rw" | "rwc"),
        None => true,
    };
    if engine == Engine::Sqlite && !parameters.iter().all(is_written) {
        return Err(Invalid::new(
            "opens the file in a mode in which no mirror can be kept",
            "`mode=rwc`, or no mode",
        ));
    }
    Ok(())
}

/// A value with no scheme at all: mostly the name of a file, sometimes something that must not be repeated.
fn without_scheme(text: &str) -> Invalid {
    let is_file = [".db", ".sqlite", ".sqlite3"].iter().any(|ending| text.ends_with(ending))
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_' | b'/'));
    match is_file {
        true => Invalid::new("has no scheme", format!("`sqlite://{text}`, if this file is meant")),
        false => Invalid::new("has no scheme", FORMS),
    }
}
