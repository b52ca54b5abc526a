//! Rows as Kit shows them against the rows that are stored: written as they would be and taken back. What a commit
//! would change is thereby told by the very statements that would change it.

use chrono::SubsecRound as _;
use std::sync::Arc;

use super::connection::Connection;
use super::{Store, forgotten, now, rows};
use crate::error::Result;
use crate::model::{Object, Row, Value};

/// Ids of rows that differ.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Compared {
    /// At Kit and not here.
    pub missing: Vec<i64>,
    /// In both places, with other content, or marked as gone here.
    pub different: Vec<i64>,
}

impl Store {
    /// Compares rows of one partition, as Kit shows them, with what is stored. Leaves nothing written, and needs no
    /// lease: it works beside a kitmirror that writes.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn compare(&self, object: &'static Object, batch: Vec<Row>) -> Result<Compared> {
        let batch = Arc::new(batch);
        self.line
            .rehearse(move |connection| {
                let batch = Arc::clone(&batch);
                Box::pin(async move { compare(connection, object, &batch).await })
            })
            .await
    }
}

/// Compares rows of one partition with what is stored: in a transaction that is taken back.
async fn compare(connection: &mut Connection, object: &'static Object, batch: &[Row]) -> Result<Compared> {
    // As exact as the least exact engine stores it, so that it is found again.
    let at = now().trunc_subsecs(6);
    let forgotten = forgotten::everybody(connection).await?;
    rows::write(connection, object, batch, &forgotten.ids, at, true).await?;
    let id = object.member_column();
    let ids = batch.iter().filter_map(|row| row.key(object).last().copied());
    let (among, values) = connection.dialect().is_among(&format!("\"{id}\""), ids);
    let mut sql =
        format!("select \"{id}\", _first_seen_at = ? from {} where _synced_at = ? and {among}", object.table);
    let mut values: Vec<Value> = [Value::Time(at), Value::Time(at)].into_iter().chain(values).collect();
    if let (Some(column), Some(first)) = (object.parent_column(), batch.first()) {
        sql.push_str(&format!(" and \"{column}\" = ?"));
        values.extend(first.key(object).first().map(|parent| Value::Int(*parent)));
    }
    sql.push_str(&format!(" order by \"{id}\""));
    let changed = connection.rows("compare rows", &sql, &values).await?;
    let mut found = Compared::default();
    for row in changed {
        if let Some(id) = row.int(0) {
            if row.is_true(1) { found.missing.push(id) } else { found.different.push(id) }
        }
    }
    Ok(found)
}
