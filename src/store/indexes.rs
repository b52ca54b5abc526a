//! The index whose entries come in no order: each commit of a first load touches pages all over it. On SQLite, where
//! that is most of what such a load writes, it is put off until the load is complete.

use super::Store;
use super::connection::{Connection, SQLITE_CACHE};
use super::dialect::Dialect;
use super::rows;
use super::state::text;
use super::tables;
use crate::error::Result;
use crate::model::Object;

/// An index that is put off.
#[derive(Debug, Clone)]
struct PutOff {
    name: String,
    /// The statement that makes it.
    create: String,
}

impl Store {
    /// Rows of an object are about to be loaded: on SQLite, an index that would slow that down is dropped if there are
    /// none yet. [`Store::complete_indexes`] makes it again.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn put_off_indexes(&self, object: &'static Object) -> Result<()> {
        let Some(index) = of(self.dialect, object) else { return Ok(()) };
        self.transaction(move |connection| {
            let index = index.clone();
            Box::pin(async move { index.begin(connection, object).await })
        })
        .await
    }

    /// All rows of an object are there: the index that was put off is made, if it is missing. That reads the whole table,
    /// and whatever else is to be written waits for it, the lease among it: should it run out meanwhile and somebody else
    /// take it, nothing more is written here.
    ///
    /// # Errors
    /// Those of the database. What has been written stands, and is as complete without the index.
    pub async fn complete_indexes(&self, object: &'static Object) -> Result<()> {
        let Some(index) = of(self.dialect, object) else { return Ok(()) };
        let looked_for = index.clone();
        let is_missing = self.read(move |connection| {
            let index = looked_for.clone();
            Box::pin(async move { index.is_missing(connection).await })
        });
        if !is_missing.await? {
            return Ok(());
        }
        self.renew_lease().await?;
        self.line.alone(move |connection| Box::pin(async move { index.make(connection).await })).await
    }
}

/// That of the table of an object, if there is one and the engine gains by it.
fn of(dialect: Dialect, object: &Object) -> Option<PutOff> {
    if dialect != Dialect::Sqlite || object.is_view() {
        return None;
    }
    let table = tables::of(object);
    let columns = table.indexes.iter().find(|columns| tables::is_scattered(columns))?;
    Some(PutOff { name: tables::index_name(&table, columns), create: dialect.create_index(&table, columns) })
}

impl PutOff {
    /// Drops it while its table holds nothing.
    async fn begin(&self, connection: &mut Connection, object: &Object) -> Result<()> {
        if rows::has_any(connection, object).await? {
            return Ok(());
        }
        let sql = format!("drop index if exists {}", connection.dialect().quoted(&self.name));
        connection.script("put an index off", &sql).await
    }

    /// Whether it is to be made.
    async fn is_missing(&self, connection: &mut Connection) -> Result<bool> {
        let look = "select 1 from sqlite_schema where type = 'index' and name = ?";
        Ok(connection.rows("look for an index", look, &[text(&self.name)]).await?.is_empty())
    }

    /// Makes it.
    async fn make(&self, connection: &mut Connection) -> Result<()> {
        tracing::info!("Making the index {}", self.name);
        // SQLite sorts as much at once as it may keep of the file in memory.
        connection.script("sort in little memory", "pragma cache_size = -2000").await?;
        let made = connection.script("make an index", &self.create).await;
        let whole = format!("pragma cache_size = {SQLITE_CACHE}");
        let restored = connection.script("set the size of the cache", &whole).await;
        made.and(restored)
    }
}
