//! The keys that a reconcile has met. They are kept apart from the rows, so that unchanged rows need not be written,
//! and in the database, so that a reconcile goes on after anything: one chunk is added with every commit.

use roaring::RoaringTreemap;

use super::Store;
use super::connection::Connection;
use super::state::text;
use crate::error::{Error, Kind, Result};
use crate::model::{Object, Value};

/// Chunks read at once.
const CHUNKS: i64 = 200;

/// A set of ids: what a pass has met in its partition. Compressed: about three bytes an id.
#[derive(Debug, Default)]
pub struct Met(RoaringTreemap);

impl Met {
    /// Adds an id.
    pub fn add(&mut self, id: i64) {
        self.0.insert(id as u64);
    }

    /// Whether an id was met.
    pub fn contains(&self, id: i64) -> bool {
        self.0.contains(id as u64)
    }

    /// Adds all of another set.
    pub fn join(&mut self, other: Met) {
        self.0 |= other.0;
    }

    /// All of them, ascending.
    pub fn iter(&self) -> impl Iterator<Item = i64> + '_ {
        self.0.iter().map(|id| id as i64)
    }

    /// How many there are.
    pub fn count(&self) -> u64 {
        self.0.len()
    }
}

impl FromIterator<i64> for Met {
    fn from_iter<T: IntoIterator<Item = i64>>(ids: T) -> Self {
        Met(ids.into_iter().map(|id| id as u64).collect())
    }
}

/// What a commit does to the keys met by its pass.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum MetStep {
    /// Nothing: the pass is none that looks for vanished rows.
    #[default]
    None,
    /// Adds these.
    Add {
        /// Ids of the rows met.
        ids: Vec<i64>,
        /// Whether it is the pass's first commit: what an abandoned one left is thrown away.
        first: bool,
    },
    /// Throws all of them away: the pass is complete.
    Clear,
}

impl MetStep {
    /// Whether there are keys in it.
    pub(super) fn adds_something(&self) -> bool {
        matches!(self, MetStep::Add { ids, .. } if !ids.is_empty())
    }
}

impl Store {
    /// The keys that the pass under way over a partition has met, as far as they are committed.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn met(&self, object: &'static Object, partition: &str) -> Result<Met> {
        let mut met = Met::default();
        let mut after = Some(0);
        while let Some(chunk) = after {
            let partition = partition.to_owned();
            let (next, some) = self
                .read(move |connection| {
                    let partition = partition.clone();
                    Box::pin(async move {
                        let mut some = Met::default();
                        let next = load(connection, object, &partition, chunk, &mut some).await?;
                        Ok((next, some))
                    })
                })
                .await?;
            met.join(some);
            after = next;
        }
        Ok(met)
    }
}

/// Applies the step.
pub(super) async fn apply(
    connection: &mut Connection,
    object: &Object,
    partition: &str,
    step: &MetStep,
) -> Result<()> {
    match step {
        MetStep::None => Ok(()),
        MetStep::Clear => clear(connection, object, partition).await,
        MetStep::Add { ids, first } => {
            if *first {
                clear(connection, object, partition).await?;
            }
            if ids.is_empty() { Ok(()) } else { add(connection, object, partition, ids).await }
        }
    }
}

async fn clear(connection: &mut Connection, object: &Object, partition: &str) -> Result<()> {
    let sql = "delete from sync_met where object = ? and \"partition\" = ?";
    connection.run("clear sync_met", sql, &[text(object.name), text(partition)]).await.map(drop)
}

async fn add(connection: &mut Connection, object: &Object, partition: &str, ids: &[i64]) -> Result<()> {
    let sql = "select coalesce(max(chunk), 0) from sync_met where object = ? and \"partition\" = ?";
    let key = [text(object.name), text(partition)];
    let last = connection.rows("read sync_met", sql, &key).await?;
    let chunk = last.first().and_then(|row| row.int(0)).unwrap_or(0) + 1;
    let sql = "insert into sync_met (object, \"partition\", chunk, ids) values (?, ?, ?, ?)";
    let [object, partition] = key;
    let values = [object, partition, Value::Int(chunk), Value::Text(packed(ids).into())];
    connection.run("write sync_met", sql, &values).await.map(drop)
}

/// Adds the chunks behind the one numbered `after` to `met`; the number of the last one, or nothing behind the end.
async fn load(
    connection: &mut Connection,
    object: &Object,
    partition: &str,
    after: i64,
    met: &mut Met,
) -> Result<Option<i64>> {
    let sql = "select chunk, ids from sync_met where object = ? and \"partition\" = ? and chunk > ? order by chunk limit ?";
    let values = [text(object.name), text(partition), Value::Int(after), Value::Int(CHUNKS)];
    let rows = connection.rows("read sync_met", sql, &values).await?;
    for row in &rows {
        for id in unpacked(row.text(1).unwrap_or_default()) {
            met.add(id.ok_or_else(|| {
                Error::new(Kind::SchemaMismatch, "a chunk of sync_met is not what was written to it")
            })?);
        }
    }
    Ok(rows.last().and_then(|row| row.int(0)))
}

/// Ascending, each id as the difference from the one before: `4287675149,3,5`.
fn packed(ids: &[i64]) -> String {
    let mut ids = ids.to_vec();
    ids.sort_unstable();
    ids.dedup();
    let mut before = 0;
    let differences: Vec<String> = ids
        .into_iter()
        .map(|id: i64| {
            let difference = id.wrapping_sub(before);
            before = id;
            difference.to_string()
        })
        .collect();
    differences.join(",")
}

fn unpacked(text: &str) -> impl Iterator<Item = Option<i64>> + '_ {
    text.split(',').scan(0_i64, |before, difference| {
        let id = difference.parse().ok().map(|difference: i64| before.wrapping_add(difference));
        *before = id.unwrap_or(*before);
        Some(id)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// M36: whatever the ids, what was packed comes out again.
        #[test]
        fn ids_that_were_packed_come_out_again(ids in prop::collection::vec(any::<i64>(), 1..200)) {
            let mut expected = ids.clone();
            expected.sort_unstable();
            expected.dedup();
            let found: Option<Vec<i64>> = unpacked(&packed(&ids)).collect();
            prop_assert_eq!(found, Some(expected));
        }
    }

    #[test]
    fn a_chunk_that_is_not_what_was_written_is_not_taken_for_ids() {
        assert!(unpacked("12,x").any(|id| id.is_none()));
    }

    #[test]
    fn a_thousand_ids_that_lie_close_together_take_little_room() {
        let ids: Vec<i64> = (0..1000).map(|at| 4_287_675_149 + at * 3).collect();
        assert!(packed(&ids).len() < 2100, "{}", packed(&ids).len());
    }
}
