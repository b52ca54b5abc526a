//! Migrations: refinery decides what to apply, over our own connection, under a lock.

use refinery_core::Migration;
use refinery_core::traits::r#async::{AsyncMigrate, AsyncQuery, AsyncTransaction};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::connection::Connection;
use super::dialect::Dialect;
use crate::error::{Error, Kind, Result};

mod sqlite {
    refinery::embed_migrations!("migrations/sqlite");
}

/// Refinery's own table.
const HISTORY: &str = "refinery_schema_history";

/// What a migration run did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Migrated {
    /// Names of the steps that were applied, oldest first.
    pub applied: Vec<String>,
    /// Version of the schema afterwards.
    pub version: i32,
}

/// The newest schema version this program knows.
pub fn latest(dialect: Dialect) -> i32 {
    runner(dialect).get_migrations().iter().map(Migration::version).max().unwrap_or(0)
}

fn runner(dialect: Dialect) -> refinery::Runner {
    match dialect {
        Dialect::Sqlite => sqlite::migrations::runner(),
    }
}

/// The schema version of the database; `None` when it was never migrated.
pub(super) async fn version(connection: &mut Connection) -> Result<Option<i32>> {
    let relations = connection.rows("list tables", connection.dialect().relations(), &[]).await?;
    if !relations.iter().any(|row| row.text(0) == Some(HISTORY)) {
        return Ok(None);
    }
    let rows = connection
        .rows("read the schema version", &format!("select max(version) from {HISTORY}"), &[])
        .await?;
    Ok(rows.first().and_then(|row| row.int(0)).map(|version| version as i32))
}

/// Refuses what must not be touched: a schema of a newer program, and tables of our names that are not ours.
pub(super) async fn refuse_foreign(connection: &mut Connection, names: &[&str]) -> Result<Option<i32>> {
    let dialect = connection.dialect();
    let known = latest(dialect);
    match version(connection).await? {
        Some(version) if version > known => Err(Error::new(
            Kind::SchemaNewer,
            format!(
                "the database has schema version {version}, made by a newer kitmirror; this one knows {known}"
            ),
        )),
        Some(version) => Ok(Some(version)),
        None => {
            let relations = connection.rows("list tables", dialect.relations(), &[]).await?;
            match relations.iter().filter_map(|row| row.text(0)).find(|name| names.contains(name)) {
                Some(name) => Err(Error::new(
                    Kind::SchemaMismatch,
                    format!(
                        "there is already a table \"{name}\" that kitmirror did not make; it was left untouched"
                    ),
                )),
                None => Ok(None),
            }
        }
    }
}

/// Applies what is missing. Safe to start twice at once and to interrupt: the whole run is one
/// transaction that holds the write lock from its beginning.
pub(super) async fn migrate(connection: &mut Connection, names: &[&str]) -> Result<Migrated> {
    let begin = connection.dialect().begin();
    connection.script("lock the database", begin).await?;
    let result = apply(connection, names).await;
    match &result {
        Ok(_) => connection.script("commit", "commit").await?,
        Err(_) => connection.script("roll back", "rollback").await?,
    }
    result
}

async fn apply(connection: &mut Connection, names: &[&str]) -> Result<Migrated> {
    refuse_foreign(connection, names).await?;
    let dialect = connection.dialect();
    let report = runner(dialect).run_async(&mut Driver(connection)).await.map_err(|error| {
        let text = error.to_string();
        let what = if text.contains("is different") || text.contains("missing") {
            "the migrations recorded in the database are not the ones of this program"
        } else {
            "could not migrate the database"
        };
        Error::new(Kind::SchemaMismatch, what).because(text)
    })?;
    let applied = report
        .applied_migrations()
        .iter()
        .map(|step| format!("V{}__{}", step.version(), step.name()))
        .collect();
    Ok(Migrated { applied, version: latest(dialect) })
}

/// Our connection as refinery wants it.
struct Driver<'c>(&'c mut Connection);

impl AsyncTransaction for Driver<'_> {
    type Error = Error;

    async fn execute<'a, T: Iterator<Item = &'a str> + Send + 'a>(&'a mut self, queries: T) -> Result<usize> {
        // Owned, since a borrowed iterator held over an await is "not general enough" for refinery's bounds.
        let queries: Vec<String> = queries.map(str::to_owned).collect();
        for query in &queries {
            self.0.script("migrate", query).await?;
        }
        Ok(queries.len())
    }
}

impl AsyncQuery<Vec<Migration>> for Driver<'_> {
    async fn query<'a>(&'a mut self, query: &'a str) -> Result<Vec<Migration>> {
        let rows = self.0.rows("read the schema history", query, &[]).await?;
        let corrupt =
            || Error::new(Kind::SchemaMismatch, "the schema history of the database cannot be read");
        rows.iter()
            .map(|row| {
                let version = row.int(0).ok_or_else(corrupt)?;
                let name = row.text(1).ok_or_else(corrupt)?.to_owned();
                let applied = row
                    .text(2)
                    .and_then(|text| OffsetDateTime::parse(text, &Rfc3339).ok())
                    .ok_or_else(corrupt)?;
                let checksum = row.text(3).and_then(|text| text.parse::<u64>().ok()).ok_or_else(corrupt)?;
                Ok(Migration::applied(version as i32, name, applied, checksum))
            })
            .collect()
    }
}

impl AsyncMigrate for Driver<'_> {}
