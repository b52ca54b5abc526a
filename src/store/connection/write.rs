//! How rows are written: upserted, or inserted where all of them are new.

use sqlx::{AssertSqlSafe, Executor as _};

use super::{Connection, Dialect, Link, Then, failed, failure, mysql, postgres, sqlite, then};
use crate::error::Result;
use crate::model::{Object, Row, Time};

/// What is there of some rows before they are written.
#[derive(Debug, Clone, Copy, Default)]
pub struct Stored {
    /// Rows that are stored.
    pub known: u64,
    /// Of these, rows that are marked as gone.
    pub gone: u64,
}

/// What an upsert did.
#[derive(Debug, Clone, Copy)]
pub struct Upserted {
    /// Rows that were not there before.
    pub inserted: u64,
    /// Rows that differed.
    pub updated: u64,
    /// Of these, rows that were marked as gone.
    pub revived: u64,
}

impl Stored {
    fn upserted(self, inserted: u64, changed: u64) -> Upserted {
        Upserted { inserted, updated: changed.saturating_sub(inserted), revived: self.gone }
    }
}

impl Connection {
    /// Writes rows by [`Dialect::upsert`]. `stored` is what is there of them already, unless the engine tells by itself:
    /// [`Dialect::upsert_counts`].
    ///
    /// # Errors
    /// Classified by [`failed`].
    pub async fn upsert(
        &mut self,
        object: &'static Object,
        present: &[usize],
        rows: &[&Row],
        now: Time,
        stored: Stored,
    ) -> Result<Upserted> {
        let dialect = self.dialect();
        let (rows, repeated) = self.filled_up(rows);
        // Kept prepared where a statement of this shape and size will come again.
        let again = dialect.statement_size(rows.len()) == rows.len()
            && (dialect == Dialect::Mysql || rows.len() == dialect.rows_per_statement());
        let sql = dialect.upsert(object, present, rows.len());
        let sql = AssertSqlSafe(&*dialect.numbered(&sql));
        let inserted = (rows.len() as u64).saturating_sub(repeated + stored.known);
        let done = match &mut self.link {
            Link::Sqlite(connection) => connection
                .execute(sqlx::query_with(sql, sqlite::rows(present, &rows, now)).persistent(again))
                .await
                .map(|done| stored.upserted(inserted, done.rows_affected())),
            Link::Postgres(connection) => connection
                .fetch_one(
                    sqlx::query_with(sql, postgres::rows(object, present, &rows, now)).persistent(false),
                )
                .await
                .and_then(|row| postgres::upserted(&row)),
            Link::Mysql(connection) => connection
                .execute(sqlx::query_with(sql, mysql::rows(present, &rows, now)).persistent(again))
                .await
                // One for each row that was met, and one more for each that was there and differed.
                .map(|done| {
                    stored.upserted(inserted, done.rows_affected().saturating_sub(stored.known + repeated))
                }),
        };
        let upserted = done.map_err(|error| failed(dialect, "write rows", error))?;
        if upserted.inserted == rows.len() as u64 {
            self.growing.insert(object.table);
        } else {
            self.growing.remove(object.table);
        }
        Ok(upserted)
    }

    /// Whether it is worth a look if so many rows of an object are all new, to write them by [`Self::insert_new`]. Where an
    /// upsert tells by itself what was new, only when the last one did.
    pub fn may_insert_new(&self, object: &Object, rows: usize) -> bool {
        let dialect = self.dialect();
        self.inserts_new
            && dialect.is_worth_inserting(rows)
            && (!dialect.upsert_counts() || self.growing.contains(object.table))
    }

    /// Whether new rows may go by [`Self::insert_new`] at all.
    pub fn inserts_new(&self) -> bool {
        self.inserts_new
    }

    /// From now on all rows are upserted.
    pub fn upsert_all(&mut self) {
        self.inserts_new = false;
    }

    /// Writes rows of which none is stored, by [`Dialect::insert_new`]; how many. On Postgres this is a short cut that is
    /// left after any failure but that of a value: the transaction is then to be tried again, and goes the other way.
    ///
    /// # Errors
    /// Classified by [`failed`].
    pub async fn insert_new(
        &mut self,
        object: &'static Object,
        present: &[usize],
        rows: &[&Row],
        now: Time,
    ) -> Result<u64> {
        let dialect = self.dialect();
        let sql = dialect.insert_new(object, present, rows.len());
        let done = match &mut self.link {
            Link::Sqlite(connection) => connection
                .execute(sqlx::query_with(AssertSqlSafe(sql), sqlite::rows(present, rows, now)))
                .await
                .map(|done| done.rows_affected()),
            Link::Mysql(connection) => connection
                .execute(sqlx::query_with(AssertSqlSafe(sql), mysql::rows(present, rows, now)))
                .await
                .map(|done| done.rows_affected()),
            Link::Postgres(connection) => {
                // Even if nobody waits for its end.
                self.inserts_new = false;
                let copied = postgres::copy(connection, &sql, postgres::copied(present, rows, now)).await;
                let copied = copied.map_err(|error| failed(dialect, "copy rows", error));
                self.inserts_new =
                    copied.as_ref().err().is_none_or(|error| then(error) == Then::LeaveOutValue);
                return copied.map_err(failure::other_way);
            }
        };
        done.map_err(|error| failed(dialect, "write rows", error))
    }

    /// Rows with repetitions of the smallest of them up to a size that statements have, if there is room; and
    /// how many repetitions. A row that comes again is found unchanged.
    fn filled_up<'r>(&self, rows: &[&'r Row]) -> (Vec<&'r Row>, u64) {
        let mut all = rows.to_vec();
        let missing = self.dialect().statement_size(rows.len()) - rows.len();
        let smallest = rows.iter().min_by_key(|row| row.bytes());
        if let Some(smallest) = smallest.filter(|_| missing > 0) {
            let bytes = rows.iter().map(|row| row.bytes()).sum::<usize>() + missing * smallest.bytes();
            if bytes <= self.statement_bytes {
                all.resize(rows.len() + missing, smallest);
            }
        }
        let repeated = (all.len() - rows.len()) as u64;
        (all, repeated)
    }
}
