//! The only door to the database. Rows and the position behind them are written in one transaction
//! ([`Store::commit_page`]); no transaction is open while a request to Kit is under way.

mod connection;
mod dialect;
mod lease;
mod migrate;
mod rows;
mod schema;
mod state;
mod status;

pub use connection::{Access, Place};
pub use dialect::Dialect;
pub use lease::{Holder, LEASE_SECONDS, Lease, owner};
pub use migrate::{Migrated, latest};
pub use rows::Written;
pub use schema::{Difference, relation_names};
pub use state::{AccountNote, AccountRow, Counts, Outcome, Progress, State};
pub use status::{MirrorStatus, ObjectStatus};

use std::collections::HashSet;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio::sync::{Mutex, OwnedMutexGuard};

use crate::error::{Error, Kind, Result};
use crate::model::{Batch, Object, Quarantined, Time, Value};
use connection::Connection;

/// How often a transaction is tried again when the database is busy. Each try waits for the lock itself.
const TRIES: u32 = 3;

/// One page, or a run of pages of one pass, and the position behind it.
#[derive(Debug, Clone)]
pub struct Commit {
    /// Whose rows.
    pub object: &'static Object,
    /// Parent's id, or empty.
    pub partition: String,
    /// The rows.
    pub batch: Arc<Batch>,
    /// Pages they came in.
    pub pages: u64,
    /// The position.
    pub progress: Progress,
    /// What the position was made under.
    pub fingerprint: String,
    /// The run it belongs to, and its requests and repeated requests so far.
    pub run: (i64, u64, u64),
}

/// The mirror's database: one connection, one writer.
#[derive(Clone)]
pub struct Store {
    connection: Arc<Mutex<Connection>>,
    lease: Arc<std::sync::Mutex<Option<Lease>>>,
}

type Task<'c, T> = Pin<Box<dyn Future<Output = Result<T>> + Send + 'c>>;

impl Store {
    /// Opens the database behind `url`. Creates nothing but, with [`Access::Create`], the file.
    ///
    /// # Errors
    /// `Settings`, `DatabaseUnavailable`, `DatabaseRefused`.
    pub async fn open(url: &str, access: Access) -> Result<Self> {
        let connection = Connection::open(url, access).await?;
        Ok(Store { connection: Arc::new(Mutex::new(connection)), lease: Arc::default() })
    }

    /// Creates or upgrades the tables. Safe to start twice at once and to interrupt.
    ///
    /// # Errors
    /// `SchemaNewer`, `SchemaMismatch` (a foreign table of our name), `DatabaseRefused`.
    pub async fn migrate(&self) -> Result<Migrated> {
        let mut connection = self.owned().await;
        owned_task(async move { migrate::migrate(&mut connection, &relation_names()).await }).await
    }

    /// The schema version of the database, `None` when it was never migrated.
    ///
    /// # Errors
    /// `SchemaNewer` or `SchemaMismatch` when it is not one this program may touch.
    pub async fn schema_version(&self) -> Result<Option<i32>> {
        migrate::refuse_foreign(&mut *self.connection.lock().await, &relation_names()).await
    }

    /// Whether the tables are there and of this program's version, so that reading them makes sense.
    ///
    /// # Errors
    /// As [`Store::schema_version`].
    pub async fn is_ready(&self) -> Result<bool> {
        let dialect = self.dialect().await;
        Ok(self.schema_version().await? == Some(latest(dialect)))
    }

    /// The SQL of the engine.
    pub async fn dialect(&self) -> Dialect {
        self.connection.lock().await.dialect()
    }

    /// Every difference between the tables and what they should be.
    ///
    /// # Errors
    /// Those of reading the catalogue.
    pub async fn differences(&self) -> Result<Vec<Difference>> {
        schema::differences(&mut *self.connection.lock().await).await
    }

    /// Refuses to work on tables that are not what they should be.
    ///
    /// # Errors
    /// `SchemaMismatch`, naming the first differences.
    pub async fn check_schema(&self) -> Result<()> {
        let differences = self.differences().await?;
        if differences.is_empty() { Ok(()) } else { Err(schema::mismatch(&differences)) }
    }

    /// Takes the right to write, or tells who holds it.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn acquire_lease(&self, owner: &str) -> Result<std::result::Result<(), Holder>> {
        let name = owner.to_owned();
        // Only now is the database ours to change: a foreign one was refused before. The mode is kept in the
        // file; while somebody reads it cannot be changed, and the next start will.
        let mode = self.dialect().await.journal_mode();
        if let Err(error) = self.connection.lock().await.script("set the journal mode", mode).await {
            tracing::debug!("{}", error.one_line());
        }
        let taken = self
            .transaction_under(None, move |connection| {
                let name = name.clone();
                Box::pin(async move { lease::acquire(connection, &name).await })
            })
            .await?;
        Ok(taken.map(|lease| *lock(&self.lease) = Some(lease)))
    }

    /// Extends the lease between commits.
    ///
    /// # Errors
    /// `LeaseLost` when somebody has taken over.
    pub async fn renew_lease(&self) -> Result<()> {
        let Some(held) = self.held() else { return Ok(()) };
        lease::hold(&mut *self.connection.lock().await, &held).await
    }

    /// Who holds the right to write at present, if anybody does.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn lease_holder(&self) -> Result<Option<Holder>> {
        lease::holder(&mut *self.connection.lock().await).await
    }

    /// Gives the lease back.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn release_lease(&self) -> Result<()> {
        let Some(held) = lock(&self.lease).take() else { return Ok(()) };
        lease::release(&mut *self.connection.lock().await, &held).await
    }

    /// Writes rows, quarantine and position, all or nothing.
    ///
    /// Safe to repeat with the same arguments. Rows with equal keys are collapsed, the last one wins;
    /// unchanged rows are not rewritten; an absent member leaves what is stored. A row that the
    /// database refuses is set aside and the others are stored. The stored watermark does not move back
    /// even if the position carries an older one. Nothing is written without the lease. Not disturbed
    /// by its caller being cancelled.
    ///
    /// # Errors
    /// `LeaseLost`, `DatabaseUnavailable`, `DatabaseRefused`, `SchemaMismatch`.
    pub async fn commit_page(&self, commit: Commit) -> Result<Written> {
        if self.held().is_none() {
            return Err(Error::new(Kind::LeaseLost, "this kitmirror does not hold the lease of the mirror"));
        }
        let commit = Arc::new(commit);
        let plain = Arc::clone(&commit);
        let first = self
            .transaction(move |connection| {
                let commit = Arc::clone(&plain);
                Box::pin(async move { write_commit(connection, &commit, false).await })
            })
            .await;
        match first {
            Err(error) if connection::is_about_a_value(&error) => {
                tracing::warn!(
                    object.name = commit.object.name,
                    "The database refused a row of {}; looking for it",
                    commit.object.table
                );
                self.transaction(move |connection| {
                    let commit = Arc::clone(&commit);
                    Box::pin(async move { write_commit(connection, &commit, true).await })
                })
                .await
            }
            result => result,
        }
    }

    /// Writes down records that could not be stored, without a position: the page they came in failed.
    ///
    /// # Errors
    /// As [`Store::commit_page`].
    pub async fn set_aside(
        &self,
        object: &'static Object,
        partition: &str,
        notes: Vec<Quarantined>,
    ) -> Result<()> {
        let partition = partition.to_owned();
        self.transaction(move |connection| {
            let (partition, notes) = (partition.clone(), notes.clone());
            Box::pin(async move { rows::quarantine(connection, object, &partition, &notes, now()).await })
        })
        .await
    }

    /// The states of all partitions of an object.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn states(&self, object: &'static Object) -> Result<Vec<State>> {
        state::load(&mut *self.connection.lock().await, object).await
    }

    /// Ids of the live rows of a table, ascending: the partitions of its children.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn ids(&self, object: &'static Object) -> Result<Vec<i64>> {
        let mut connection = self.connection.lock().await;
        let sql = format!("select id from {} where _deleted_at is null order by id", object.table);
        let rows = connection.rows("read parents", &sql, &[]).await?;
        Ok(rows.iter().filter_map(|row| row.int(0)).collect())
    }

    /// Whether a table holds any row.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn has_rows(&self, object: &'static Object) -> Result<bool> {
        let mut connection = self.connection.lock().await;
        let sql = format!("select 1 from {} limit 1", object.table);
        Ok(!connection.rows("look for rows", &sql, &[]).await?.is_empty())
    }

    /// Live rows, of one parent or of all, whose watermark lies at or after an instant: what the overlap
    /// brings again.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn count_since(
        &self,
        object: &'static Object,
        parent: Option<i64>,
        since: Time,
    ) -> Result<u64> {
        let mut connection = self.connection.lock().await;
        let watermark = object.watermark.column();
        let mut sql =
            format!("select count(*) from {} where {watermark} >= ? and _deleted_at is null", object.table);
        let mut values = vec![Value::Time(since)];
        if let (Some(column), Some(parent)) = (object.parent_column(), parent) {
            sql.push_str(&format!(" and {column} = ?"));
            values.push(Value::Int(parent));
        }
        let rows = connection.rows("count rows", &sql, &values).await?;
        Ok(rows.first().and_then(|row| row.int(0)).and_then(|count| u64::try_from(count).ok()).unwrap_or(0))
    }

    /// Live rows where a column has a value.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn count_where(
        &self,
        object: &'static Object,
        column: &'static str,
        value: &'static str,
    ) -> Result<u64> {
        let mut connection = self.connection.lock().await;
        let sql = format!("select count(*) from {} where {column} = ? and _deleted_at is null", object.table);
        let rows = connection.rows("count rows", &sql, &[Value::Text(value.into())]).await?;
        Ok(rows.first().and_then(|row| row.int(0)).and_then(|count| u64::try_from(count).ok()).unwrap_or(0))
    }

    /// Which of `ids` are stored; with `condition`, only those where a column has a value and whose
    /// content has not changed since an instant.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn known(
        &self,
        object: &'static Object,
        ids: &[i64],
        condition: Option<(&'static str, &'static str, Time)>,
    ) -> Result<HashSet<i64>> {
        let mut connection = self.connection.lock().await;
        let mut sql =
            format!("select id from {} where {}", object.table, connection.dialect().is_among("id"));
        let mut values = vec![rows::ids_as_json(ids.iter().copied())];
        if let Some((column, value, before)) = condition {
            sql.push_str(&format!(" and {column} = ? and _deleted_at is null and _synced_at <= ?"));
            values.extend([Value::Text(value.into()), Value::Time(before)]);
        }
        let rows = connection.rows("look for known rows", &sql, &values).await?;
        Ok(rows.iter().filter_map(|row| row.int(0)).collect())
    }

    /// Live rows of an object as `sync_status` counts them.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn status(&self) -> Result<MirrorStatus> {
        status::read(&mut *self.connection.lock().await).await
    }

    /// The account the mirror belongs to, if it belongs to one yet.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn account(&self) -> Result<Option<AccountRow>> {
        state::account(&mut *self.connection.lock().await).await
    }

    /// Writes which account the mirror belongs to.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn set_account(&self, row: AccountRow) -> Result<()> {
        self.transaction(move |connection| {
            let row = row.clone();
            Box::pin(async move { state::set_account(connection, &row, now()).await })
        })
        .await
    }

    /// Reads a note about the account (JSON).
    ///
    /// # Errors
    /// Those of the database.
    pub async fn note(&self, note: AccountNote) -> Result<Option<String>> {
        state::note(&mut *self.connection.lock().await, note).await
    }

    /// Writes a note about the account (JSON).
    ///
    /// # Errors
    /// Those of the database.
    pub async fn set_note(&self, note: AccountNote, json: String) -> Result<()> {
        self.transaction(move |connection| {
            let json = json.clone();
            Box::pin(async move { state::set_note(connection, note, &json).await })
        })
        .await
    }

    /// Remembers that a full load of an object was asked for, unless one is under way already.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn request_full(&self, object: &'static Object) -> Result<()> {
        self.transaction(move |connection| {
            Box::pin(async move { state::request_full(connection, object.name, now()).await })
        })
        .await
    }

    /// The rows of these objects are gone, by somebody else's hand: everything is to be read again.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn reload(&self, objects: Vec<&'static Object>) -> Result<()> {
        self.transaction(move |connection| {
            let objects = objects.clone();
            Box::pin(async move {
                for object in objects {
                    state::reload(connection, object.name, now()).await?;
                }
                Ok(())
            })
        })
        .await
    }

    /// All partitions of an object are complete; `began_at` is the source's clock before the first.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn complete_object(&self, object: &'static Object, began_at: Time) -> Result<()> {
        self.transaction(move |connection| {
            Box::pin(async move { state::complete_object(connection, object.name, began_at, now()).await })
        })
        .await
    }

    /// Writes an error where `status` and analysts look for it.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn note_error(
        &self,
        object: &'static Object,
        partition: &str,
        error: &Error,
        unavailable: bool,
    ) -> Result<()> {
        let noted = (partition.to_owned(), error.one_line(), error.advice());
        self.transaction(move |connection| {
            let (partition, error, advice) = noted.clone();
            Box::pin(async move {
                let error = (error.as_str(), advice);
                state::note_error(connection, object.name, &partition, error, unavailable, now()).await
            })
        })
        .await
    }

    /// A partition is not read any more: neither its error nor its unfinished pass is of interest.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn leave_out(&self, object: &'static Object, partition: &str) -> Result<()> {
        let partition = partition.to_owned();
        self.transaction(move |connection| {
            let partition = partition.clone();
            Box::pin(async move { state::leave_out(connection, object.name, &partition).await })
        })
        .await
    }

    /// Opens the account of a run; its id.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn begin_run(&self, object: &'static Object, mode: &'static str) -> Result<i64> {
        self.transaction(move |connection| {
            Box::pin(async move { state::begin_run(connection, object.name, mode, now()).await })
        })
        .await
    }

    /// Closes the account of a run; `meter` is its requests and repeated requests.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn end_run(
        &self,
        run: i64,
        mode: &'static str,
        outcome: Outcome,
        meter: (u64, u64),
        error: Option<String>,
    ) -> Result<()> {
        self.transaction(move |connection| {
            let error = error.clone();
            Box::pin(async move {
                state::end_run(connection, run, mode, outcome, meter, error.as_deref(), now()).await
            })
        })
        .await
    }

    /// Drops runs and quarantined records that are older than their retention.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn forget_old(&self) -> Result<()> {
        self.transaction(move |connection| {
            Box::pin(async move { state::forget_old(connection, now()).await })
        })
        .await
    }

    /// Runs a query and gives its cells as text, for showing results to people.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn query(&self, sql: &str) -> Result<Vec<Vec<Option<String>>>> {
        let rows = self.connection.lock().await.rows("answer a query", sql, &[]).await?;
        let shown = |value: &Value| match value {
            Value::Absent | Value::Null => None,
            Value::Int(number) => Some(number.to_string()),
            Value::Bool(truth) => Some(truth.to_string()),
            Value::Text(text) | Value::Json(text) => Some(text.to_string()),
            Value::Time(time) => Some(crate::model::time::text(*time)),
        };
        Ok(rows.iter().map(|row| row.values().iter().map(shown).collect()).collect())
    }

    /// Closes the database in good order, if this is the last handle to it.
    pub async fn close(self) {
        if let Ok(connection) = Arc::try_unwrap(self.connection) {
            connection.into_inner().close().await;
        }
    }

    fn held(&self) -> Option<Lease> {
        lock(&self.lease).clone()
    }

    async fn owned(&self) -> OwnedMutexGuard<Connection> {
        Arc::clone(&self.connection).lock_owned().await
    }

    /// Runs `work` in a transaction of its own, again from its beginning when the database is busy.
    /// The transaction is a task of its own: a caller that is cancelled cannot leave it half open.
    /// Nothing is written by one whose lease was taken over, not even how its run ended.
    async fn transaction<T, F>(&self, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: for<'c> Fn(&'c mut Connection) -> Task<'c, T> + Send + Sync + 'static,
    {
        self.transaction_under(self.held(), work).await
    }

    /// The same, as long as `lease` is still ours.
    async fn transaction_under<T, F>(&self, lease: Option<Lease>, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: for<'c> Fn(&'c mut Connection) -> Task<'c, T> + Send + Sync + 'static,
    {
        let mut connection = self.owned().await;
        owned_task(async move {
            let mut tries = 0;
            loop {
                tries += 1;
                match attempt(&mut connection, lease.as_ref(), &work).await {
                    Err(error) if error.kind() == Kind::DatabaseUnavailable && tries < TRIES => {
                        tracing::warn!("The database is busy: {}; trying again", error.one_line());
                        tokio::time::sleep(Duration::from_millis(fastrand::u64(50..500))).await;
                    }
                    result => return result,
                }
            }
        })
        .await
    }
}

/// Lets `work` run to its end whatever happens to the caller.
async fn owned_task<T: Send + 'static>(work: impl Future<Output = Result<T>> + Send + 'static) -> Result<T> {
    match tokio::spawn(work).await {
        Ok(result) => result,
        Err(error) => Err(Error::new(Kind::Internal, "a database task ended in a panic").because(error)),
    }
}

async fn attempt<T, F>(connection: &mut Connection, lease: Option<&Lease>, work: &F) -> Result<T>
where
    F: for<'c> Fn(&'c mut Connection) -> Task<'c, T>,
{
    let begin = connection.dialect().begin();
    connection.script("begin a transaction", begin).await?;
    let held = match lease {
        Some(lease) => lease::hold(connection, lease).await,
        None => Ok(()),
    };
    let worked = match held {
        Ok(()) => work(connection).await,
        Err(error) => Err(error),
    };
    match worked {
        Ok(value) => match connection.script("commit", "commit").await {
            Ok(()) => Ok(value),
            Err(error) => Err(rolled_back(connection, error).await),
        },
        Err(error) => Err(rolled_back(connection, error).await),
    }
}

/// Rolls back; the error that led here is the one that counts. SQLite may have rolled back by itself.
async fn rolled_back(connection: &mut Connection, error: Error) -> Error {
    if let Err(second) = connection.script("roll back", "rollback").await {
        tracing::debug!("Rolling back: {}", second.one_line());
    }
    error
}

async fn write_commit(connection: &mut Connection, commit: &Commit, careful: bool) -> Result<Written> {
    let now = now();
    let (mut written, refused) =
        rows::write(connection, commit.object, &commit.batch.rows, now, careful).await?;
    rows::quarantine(connection, commit.object, &commit.partition, &commit.batch.quarantined, now).await?;
    rows::quarantine(connection, commit.object, &commit.partition, &refused, now).await?;
    written.quarantined = (commit.batch.quarantined.len() + refused.len()) as u64;
    state::advance(
        connection,
        commit.object,
        &commit.partition,
        &commit.progress,
        &commit.fingerprint,
        written.inserted,
        now,
    )
    .await?;
    let step = Counts {
        pages: commit.pages,
        rows_read: commit.batch.read as u64,
        rows_inserted: written.inserted,
        rows_updated: written.updated,
        rows_quarantined: written.quarantined,
        ..Counts::default()
    };
    let (run, requests, retries) = commit.run;
    state::count_run(connection, run, (requests, retries), &step).await?;
    Ok(written)
}

/// Our own clock: for bookkeeping, never for watermarks.
fn now() -> Time {
    Time::from(SystemTime::now())
}

fn lock<T>(mutex: &std::sync::Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}
