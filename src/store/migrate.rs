//! Migrations: refinery decides what to apply, over our own connection, under a lock.

use refinery_core::Migration;
use refinery_core::traits::r#async::{AsyncMigrate, AsyncQuery, AsyncTransaction};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::connection::Connection;
use super::dialect::Dialect;
use super::server;
use super::state::text;
use crate::chaos::{self, Failpoint};
use crate::error::{Error, Kind, Result};

mod sqlite {
    refinery::embed_migrations!("migrations/sqlite");
}
mod postgres {
    refinery::embed_migrations!("migrations/postgres");
}
mod mysql {
    refinery::embed_migrations!("migrations/mysql");
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
        Dialect::Postgres => postgres::migrations::runner(),
        Dialect::Mysql => mysql::migrations::runner(),
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
    // The history is the first thing a migration makes: where it is there, what was made after it is ours, even
    // when nothing was recorded yet.
    Ok(Some(rows.first().and_then(|row| row.int(0)).map_or(0, |version| version as i32)))
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
            if dialect == Dialect::Postgres {
                refuse_hidden(connection).await?;
            }
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

/// Refuses a mirror that is elsewhere on the search path: a new schema in front of it would get a second mirror.
async fn refuse_hidden(connection: &mut Connection) -> Result<()> {
    let sql = format!(
        "select cast(n.nspname as text), cast(current_schema() as text) from pg_class c join pg_namespace n on n.oid = c.relnamespace \
         where c.oid = to_regclass('{HISTORY}')"
    );
    let found = connection.rows("look for a mirror elsewhere", &sql, &[]).await?;
    match found.first() {
        Some(row) if connection.schema().is_none() => {
            let schema = |at| row.text(at).unwrap_or_default();
            Err(Error::new(
                Kind::SchemaMismatch,
                format!(
                    "there is a mirror in the schema \"{}\", behind \"{}\" on the search path; say which one is meant by \
                     database_schema",
                    schema(0),
                    schema(1)
                ),
            ))
        }
        _ => Ok(()),
    }
}

/// Applies what is missing. Safe to start twice at once and to interrupt. SQLite and Postgres: the whole run is one
/// transaction. MySQL cannot do that: every statement stands for itself, can be repeated, and a lock of the session
/// keeps others away.
pub(super) async fn migrate(connection: &mut Connection, names: &[&str]) -> Result<Migrated> {
    let dialect = connection.dialect();
    if dialect == Dialect::Mysql {
        lock_session(connection).await?;
        let result = apply(connection, names).await;
        // A session that ends gives it back as well.
        let released =
            connection.script("give the lock back", &format!("do release_lock({SESSION_LOCK})")).await;
        return result.and_then(|migrated| released.map(|()| migrated));
    }
    connection.begin().await?;
    let result = match apply(connection, names).await {
        Ok(migrated) => connection.script("commit", "commit").await.map(|()| migrated),
        Err(error) => Err(error),
    };
    if result.is_err()
        && let Err(error) = connection.script("roll back", "rollback").await
    {
        // What went wrong before counts.
        tracing::debug!("{}", error.one_line());
    }
    result
}

/// A name within the 64 characters that MySQL allows, one for each database.
const SESSION_LOCK: &str = "concat('kitmirror.', left(sha2(database(), 256), 40))";

async fn lock_session(connection: &mut Connection) -> Result<()> {
    let sql = format!("select get_lock({SESSION_LOCK}, 60)");
    let got = connection.rows("lock the tables", &sql, &[]).await?;
    if got.first().is_some_and(|row| row.is_true(0)) {
        return Ok(());
    }
    Err(Error::new(
        Kind::DatabaseUnavailable,
        "another kitmirror has been migrating this database for a minute",
    ))
}

async fn apply(connection: &mut Connection, names: &[&str]) -> Result<Migrated> {
    let dialect = connection.dialect();
    server::refuse_unfit(connection).await?;
    if dialect == Dialect::Postgres {
        // Held until the transaction ends; a lock of the session would not survive a pooler.
        let lock = "select pg_advisory_xact_lock(hashtext('kitmirror migrations'))";
        connection.script("lock the tables", lock).await?;
        create_schema(connection).await?;
    }
    if refuse_foreign(connection, names).await? == Some(latest(dialect)) {
        // Not a statement more: there may be no right to create anything.
        refuse_divergent(connection).await?;
        return Ok(Migrated { applied: Vec::new(), version: latest(dialect) });
    }
    let report = runner(dialect).run_async(&mut Driver(connection)).await.map_err(refused)?;
    chaos::reach(Failpoint::MigrationRecorded).await;
    let applied = report
        .applied_migrations()
        .iter()
        .map(|step| format!("V{}__{}", step.version(), step.name()))
        .collect();
    Ok(Migrated { applied, version: latest(dialect) })
}

/// What went wrong under refinery's hands: an error of ours, or what it thinks of the recorded steps.
fn refused(error: refinery::Error) -> Error {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(&error);
    while let Some(inner) = cause {
        if let Some(ours) = inner.downcast_ref::<Error>() {
            return Error::new(ours.kind(), "could not create or upgrade the tables")
                .because(ours.one_line());
        }
        cause = inner.source();
    }
    Error::new(Kind::SchemaMismatch, DIVERGENT).because(error.to_string())
}

const DIVERGENT: &str = "the migrations recorded in the database are not the ones of this program";

/// Creates the schema of the settings where it is missing. Nothing is asked for where it is there: the right to do
/// so may be missing.
async fn create_schema(connection: &mut Connection) -> Result<()> {
    let Some(schema) = connection.schema().map(str::to_owned) else { return Ok(()) };
    let there = connection
        .rows("look for the schema", "select 1 from pg_namespace where nspname = ?", &[text(&schema)])
        .await?;
    if !there.is_empty() {
        return Ok(());
    }
    let sql = format!("create schema {}", connection.dialect().quoted(&schema));
    connection
        .script("create the schema", &sql)
        .await
        .map_err(|error| error.about(format!("schema {schema}")))
}

/// Refuses a database whose recorded steps are not ours.
async fn refuse_divergent(connection: &mut Connection) -> Result<()> {
    let sql = format!("select version, name, checksum from {HISTORY} order by version");
    let rows = connection.rows("read the schema history", &sql, &[]).await?;
    let mut ours = runner(connection.dialect()).get_migrations().clone();
    ours.sort_by_key(Migration::version);
    let same = rows.len() == ours.len()
        && rows.iter().zip(&ours).all(|(row, step)| {
            row.int(0) == Some(step.version().into())
                && row.text(1) == Some(step.name())
                && row.text(2) == Some(step.checksum().to_string().as_str())
        });
    if same { Ok(()) } else { Err(Error::new(Kind::SchemaMismatch, DIVERGENT)) }
}

/// Everything that the migrations make, as one script, with the record that they were made: for those who must create
/// the tables by hand and run kitmirror without the right to.
pub fn script(dialect: Dialect) -> String {
    let mut steps = runner(dialect).get_migrations().clone();
    steps.sort_by_key(Migration::version);
    let mut text = String::new();
    for step in &steps {
        text.push_str(step.sql().unwrap_or_default());
        text.push('\n');
    }
    text.push_str(&format!(
        "-- That these tables are there, for the program that reads this.\n\
         create table {HISTORY} (version integer primary key, name varchar(255), applied_on varchar(255), checksum varchar(255));\n"
    ));
    for step in &steps {
        text.push_str(&format!(
            "insert into {HISTORY} (version, name, applied_on, checksum) values ({}, '{}', '2026-01-01T00:00:00Z', '{}');\n",
            step.version(),
            step.name(),
            step.checksum()
        ));
    }
    text
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
            chaos::reach(Failpoint::StepMade).await;
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::objects;
    use std::path::Path;

    /// V-06. The folders of migrations hold what the declarations make, to the letter. After a change of what is not
    /// released yet: `KITMIRROR_WRITE_MIGRATIONS=1 cargo test migrations_are`.
    #[test]
    fn migrations_are_what_the_declarations_make() {
        for dialect in Dialect::ALL {
            let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations").join(dialect.name());
            let tables = objects::ALL.iter().map(|object| (object.name, dialect.create(object)));
            let steps = [("bookkeeping", dialect.create_bookkeeping())]
                .into_iter()
                .chain(tables)
                .chain([("sync_status", dialect.create_status()), ("forgotten", dialect.create_forgotten())]);
            for (at, (name, text)) in steps.enumerate() {
                let file = folder.join(format!("V{}__{name}.sql", at + 1));
                if std::env::var_os("KITMIRROR_WRITE_MIGRATIONS").is_some() {
                    std::fs::write(&file, &text).expect("the file can be written");
                }
                assert_eq!(std::fs::read_to_string(&file).unwrap_or_default(), text, "{}", file.display());
            }
        }
    }
}
