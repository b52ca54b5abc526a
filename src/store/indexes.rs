//! The index whose entries come in no order: each commit of a first load touches pages all over it. On SQLite, where
//! that is most of what such a load writes, it is put off until the load is complete.

use super::connection::{Connection, SQLITE_CACHE};
use super::dialect::Dialect;
use super::rows;
use super::state::text;
use super::tables;
use crate::error::Result;
use crate::model::Object;

/// Whether the table of an object has such an index here.
pub(super) fn may_be_put_off(dialect: Dialect, object: &Object) -> bool {
    put_off_of(dialect, object).is_some()
}

/// Drops it while its table holds nothing.
pub(super) async fn put_off(connection: &mut Connection, object: &Object) -> Result<()> {
    let Some((name, _)) = put_off_of(connection.dialect(), object) else { return Ok(()) };
    if rows::has_any(connection, object).await? {
        return Ok(());
    }
    let sql = format!("drop index if exists {}", connection.dialect().quoted(&name));
    connection.script("put an index off", &sql).await
}

/// Whether it is to be made.
pub(super) async fn is_missing(connection: &mut Connection, object: &Object) -> Result<bool> {
    let Some((name, _)) = put_off_of(connection.dialect(), object) else { return Ok(false) };
    let look = "select 1 from sqlite_schema where type = 'index' and name = ?";
    Ok(connection.rows("look for an index", look, &[text(&name)]).await?.is_empty())
}

/// Makes it.
pub(super) async fn make(connection: &mut Connection, object: &Object) -> Result<()> {
    let Some((name, create)) = put_off_of(connection.dialect(), object) else { return Ok(()) };
    tracing::info!("Making the index {name}");
    // SQLite sorts as much at once as it may keep of the file in memory.
    connection.script("sort in little memory", "pragma cache_size = -2000").await?;
    let made = connection.script("make an index", &create).await;
    let whole = format!("pragma cache_size = {SQLITE_CACHE}");
    let restored = connection.script("set the size of the cache", &whole).await;
    made.and(restored)
}

/// The name of the index that is put off, and the statement that makes it.
fn put_off_of(dialect: Dialect, object: &Object) -> Option<(String, String)> {
    if dialect != Dialect::Sqlite || object.is_view() {
        return None;
    }
    let table = tables::of(object);
    let columns = table.indexes.iter().find(|columns| tables::is_scattered(columns))?;
    Some((tables::index_name(&table, columns), dialect.create_index(&table, columns)))
}
