//! Where a database is.

use sqlx::mysql::MySqlConnectOptions;
use sqlx::postgres::PgConnectOptions;
use sqlx::sqlite::SqliteConnectOptions;
use std::path::Path;

use super::{mysql, postgres, sqlite};
use crate::error::{Error, Kind, Result};
use crate::store::dialect::Dialect;

/// Where a database is, and how to get there.
#[derive(Clone)]
pub struct Place {
    pub(super) way: Way,
    pub(super) schema: Option<String>,
}

/// By which driver.
#[derive(Clone)]
pub(super) enum Way {
    Sqlite { options: SqliteConnectOptions, in_memory: bool },
    Postgres(PgConnectOptions),
    Mysql(MySqlConnectOptions),
}

impl Place {
    /// Reads a `database_url`. `schema` is where the tables are, for engines that have schemas within a database;
    /// it must be a plain name.
    ///
    /// # Errors
    /// `Settings` when it is none.
    pub fn of(url: &str, schema: Option<&str>) -> Result<Self> {
        let way = match url.split(':').next().unwrap_or_default() {
            "sqlite" => Way::Sqlite { options: sqlite::options(url)?, in_memory: sqlite::is_in_memory(url) },
            "postgres" | "postgresql" => Way::Postgres(postgres::options(url)?),
            "mysql" | "mariadb" => Way::Mysql(mysql::options(url)?),
            _ => {
                return Err(Error::new(
                    Kind::Settings,
                    "database_url begins with none of sqlite://, postgres://, mysql:// and mariadb://",
                ));
            }
        };
        Ok(Place { way, schema: schema.map(str::to_owned) })
    }

    /// The SQL spoken there.
    pub fn dialect(&self) -> Dialect {
        match self.way {
            Way::Sqlite { .. } => Dialect::Sqlite,
            Way::Postgres(_) => Dialect::Postgres,
            Way::Mysql(_) => Dialect::Mysql,
        }
    }

    /// The file of a SQLite database that is not in memory.
    pub fn file(&self) -> Option<&Path> {
        match &self.way {
            Way::Sqlite { options, in_memory: false } => Some(options.get_filename()),
            Way::Sqlite { .. } | Way::Postgres(_) | Way::Mysql(_) => None,
        }
    }

    /// Whether what is written there is gone when it is closed.
    pub fn is_in_memory(&self) -> bool {
        matches!(self.way, Way::Sqlite { in_memory: true, .. })
    }

    /// How a server elsewhere is spoken to, where the URL asks for less than TLS with a certificate that is its own.
    pub fn weakness(&self) -> Option<String> {
        let weakness = match &self.way {
            Way::Sqlite { .. } => None,
            Way::Postgres(options) => postgres::weakness(options),
            Way::Mysql(options) => mysql::weakness(options),
        };
        weakness.map(|weakness| weakness.to_string())
    }

    /// Whether there is certainly no file where it should be.
    pub fn is_missing(&self) -> bool {
        self.file().is_some_and(|file| matches!(file.try_exists(), Ok(false)))
    }

    /// Whether there may be a database: a file that does not exist is none yet, of a server nobody knows before
    /// asking it.
    pub fn exists(&self) -> bool {
        !self.is_in_memory() && self.file().is_none_or(Path::exists)
    }
}

impl std::fmt::Display for Place {
    /// For people: without user and password.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let server = |f: &mut std::fmt::Formatter<'_>, host: &str, port: u16, database: Option<&str>| {
            write!(f, "{host}:{port}/{}", database.unwrap_or_default())
        };
        match &self.way {
            Way::Sqlite { in_memory: true, .. } => f.write_str("memory"),
            Way::Sqlite { options, .. } => write!(f, "{}", options.get_filename().display()),
            Way::Postgres(options) => match options.get_socket() {
                Some(socket) => {
                    write!(f, "{}/{}", socket.display(), options.get_database().unwrap_or_default())
                }
                None => server(f, options.get_host(), options.get_port(), options.get_database()),
            },
            Way::Mysql(options) => match options.get_socket() {
                Some(socket) => {
                    write!(f, "{}/{}", socket.display(), options.get_database().unwrap_or_default())
                }
                None => server(f, options.get_host(), options.get_port(), options.get_database()),
            },
        }
    }
}

impl std::fmt::Debug for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Place({} {self})", self.dialect().name())
    }
}

/// What tells a file from another one that has taken its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileId(u64, u64);

impl FileId {
    /// Of the file of a place, where there is one.
    #[cfg(unix)]
    pub(super) fn at(place: &Place) -> std::io::Result<Option<Self>> {
        use std::os::unix::fs::MetadataExt as _;
        let Some(file) = place.file() else { return Ok(None) };
        std::fs::metadata(file).map(|about| Some(FileId(about.dev(), about.ino())))
    }

    /// Of the file of a place, where the system tells.
    #[cfg(not(unix))]
    pub(super) fn at(_place: &Place) -> std::io::Result<Option<Self>> {
        Ok(None)
    }
}
