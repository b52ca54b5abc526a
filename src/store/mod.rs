//! The only door to the database. Rows and the position behind them are written in one transaction
//! ([`Store::commit_page`]); no transaction is open while a request to Kit is under way.

mod account;
mod commit;
mod compare;
mod connection;
mod dialect;
mod erase;
mod file;
mod forget;
mod forgotten;
#[cfg(any(test, feature = "fuzzing"))]
#[path = "../fuzzing/store.rs"]
pub(crate) mod fuzzing;
mod indexes;
mod lease;
mod meanwhile;
mod met;
mod migrate;
mod people;
#[cfg(feature = "chaos")]
mod planted;
mod proof;
mod quarantine;
mod rows;
mod runs;
mod schema;
mod server;
mod spelling;
mod state;
mod status;
mod sweep;
mod tables;
mod transaction;
mod volume;

pub use account::{AccountNote, AccountRow};
pub use commit::Commit;
pub use compare::Compared;
pub use connection::{Access, Place};
pub use dialect::Dialect;
pub use erase::Erased;
pub use file::Bytes;
pub use forget::{FileProof, Proof, Somebody};
pub use lease::{Holder, LEASE_SECONDS, Lease, owner};
pub use meanwhile::Meanwhile;
pub use met::{Met, MetStep};
pub use migrate::{Migrated, latest, script};
pub use people::{People, Who};
pub use proof::Trace;
pub use rows::Written;
pub use runs::{Counts, Outcome};
pub use schema::{Difference, relation_names};
pub use state::{Progress, State, Swept, Whole};
pub use status::{Glance, MirrorStatus, ObjectStatus, Run};
pub use sweep::{Members, Vanished, VanishedSearch};
pub use volume::{folder_of, shared_by};

use parking_lot::Mutex;
use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;

use crate::error::{Error, Kind, Result};
use crate::model::time::now;
use crate::model::{Object, Quarantined, Time, objects};
use connection::{Connection, Then, then};
use transaction::{Line, Work};

/// The mirror's database: one connection, one writer.
///
/// A connection that is lost is replaced, and what was under way done again, for as long as two minutes; a commit whose
/// answer was lost is looked up, not repeated.
#[derive(Clone)]
pub struct Store {
    line: Line,
    dialect: Dialect,
    /// Of a SQLite database that is in one.
    file: Option<Arc<Path>>,
    lease: Arc<Mutex<Option<Lease>>>,
    people: Meanwhile,
}

impl Store {
    /// Opens the database. Creates nothing but, with [`Access::Create`], the file.
    ///
    /// # Errors
    /// `Settings`, `DatabaseUnavailable`, `DatabaseRefused`.
    pub async fn open(place: &Place, access: Access) -> Result<Self> {
        // Once: the service opens its database again and again.
        static TOLD: std::sync::Once = std::sync::Once::new();
        if let Some(weakness) = place.weakness() {
            TOLD.call_once(|| {
                tracing::warn!("The database at {place} is spoken to {weakness}, as database_url asks");
            });
        }
        if let Some(system) = place.file().and_then(volume::shared_by) {
            TOLD.call_once(|| {
                tracing::warn!(
                    "The database {place} lies on {system}, which other machines may see as well: only one of them may use it"
                );
            });
        }
        Ok(Store {
            line: Line::open(place, access).await?,
            dialect: place.dialect(),
            file: place.file().map(Arc::from),
            lease: Arc::default(),
            people: Meanwhile::default(),
        })
    }

    /// Creates or upgrades the tables. Safe to start twice at once and to interrupt.
    ///
    /// # Errors
    /// `SchemaNewer`, `SchemaMismatch` (a foreign table of our name), `DatabaseRefused`.
    pub async fn migrate(&self) -> Result<Migrated> {
        self.line
            .alone(|connection| {
                Box::pin(async move { migrate::migrate(connection, &relation_names()).await })
            })
            .await
    }

    /// The schema version of the database, `None` when it was never migrated.
    ///
    /// # Errors
    /// `SchemaNewer` or `SchemaMismatch` when it is not one this program may touch.
    pub async fn schema_version(&self) -> Result<Option<i32>> {
        self.read(|connection| {
            Box::pin(async move { migrate::refuse_foreign(connection, &relation_names()).await })
        })
        .await
    }

    /// Why the user of the database cannot make the tables, where that can be known without trying.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn refuses_tables(&self) -> Result<Option<String>> {
        self.read(|connection| Box::pin(async move { server::refuses_tables(connection).await })).await
    }

    /// Whether the tables are there and of this program's version, so that reading them makes sense.
    ///
    /// # Errors
    /// As [`Store::schema_version`].
    pub async fn is_ready(&self) -> Result<bool> {
        Ok(self.schema_version().await? == Some(latest(self.dialect)))
    }

    /// The SQL of the engine.
    pub fn dialect(&self) -> Dialect {
        self.dialect
    }

    /// Every difference between the tables and what they should be, indexes and the columns of views included.
    ///
    /// # Errors
    /// Those of reading the catalogue.
    pub async fn differences(&self) -> Result<Vec<Difference>> {
        self.read(|connection| Box::pin(async move { schema::all_differences(connection).await })).await
    }

    /// Refuses to work on tables that are not what they should be. Without an index or a view's column it works.
    ///
    /// # Errors
    /// `SchemaMismatch`, naming the first differences.
    pub async fn check_schema(&self) -> Result<()> {
        let differences =
            self.read(|connection| Box::pin(async move { schema::differences(connection).await })).await?;
        if differences.is_empty() { Ok(()) } else { Err(schema::mismatch(&differences)) }
    }

    /// To be asked for before a page is, and to be committed with it: people who are marked as gone in between do not
    /// get back the memberships that it shows.
    pub fn meanwhile(&self) -> Meanwhile {
        self.people.beginning_now()
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
    /// `LeaseLost`, `DatabaseUnavailable`, `DatabaseRefused`, `SchemaMismatch`; `SourceNotFound` for members of a parent
    /// that is marked as gone.
    pub async fn commit_page(&self, commit: Commit) -> Result<Written> {
        if self.held().is_none() {
            return Err(Error::new(Kind::LeaseLost, "this kitmirror does not hold the lease of the mirror"));
        }
        if commit.object.table == objects::SUBSCRIBERS.table {
            self.people.are_going(&commit.gone);
        }
        let commit = Arc::new(commit);
        #[cfg(feature = "chaos")]
        if let Some(written) = self.commit_in_pieces(&commit).await {
            return written;
        }
        let plain = Arc::clone(&commit);
        let first = self
            .transaction(move |connection| {
                let commit = Arc::clone(&plain);
                Box::pin(async move { commit::write(connection, &commit, false).await })
            })
            .await;
        match first {
            Err(error) if then(&error) == Then::LeaveOutValue => {
                tracing::warn!(
                    object.name = commit.object.name,
                    "The database refused a row of {}; looking for it",
                    commit.object.table
                );
                self.transaction(move |connection| {
                    let commit = Arc::clone(&commit);
                    Box::pin(async move { commit::write(connection, &commit, true).await })
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
            Box::pin(async move {
                let forgotten = forgotten::everybody(connection).await?;
                let notes = commit::without(&forgotten, object, &notes);
                quarantine::write(connection, object, &partition, &notes, now()).await
            })
        })
        .await
    }

    /// The states of all partitions of an object.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn states(&self, object: &'static Object) -> Result<Vec<State>> {
        self.read(move |connection| Box::pin(async move { state::load(connection, object).await })).await
    }

    /// The live rows of a table as parents, by their ids ascending, with how many members Kit counts for each.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn parents(&self, object: &'static Object) -> Result<Vec<(i64, Option<i64>)>> {
        self.read(move |connection| Box::pin(async move { rows::parents(connection, object).await })).await
    }

    /// Ids of the live rows of a table, ascending: the partitions of its children.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn ids(&self, object: &'static Object) -> Result<Vec<i64>> {
        self.read(move |connection| Box::pin(async move { rows::ids(connection, object).await })).await
    }

    /// Whether a table holds any row.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn has_rows(&self, object: &'static Object) -> Result<bool> {
        self.read(move |connection| Box::pin(async move { rows::has_any(connection, object).await })).await
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
        self.read(move |connection| {
            Box::pin(async move { rows::count_since(connection, object, parent, since).await })
        })
        .await
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
        self.read(move |connection| {
            Box::pin(async move { rows::count_where(connection, object, column, value).await })
        })
        .await
    }

    /// Which of `ids` are stored; with `condition`, only those where a column has a value and whose
    /// content has not changed since an instant. People who are forgotten count as stored.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn known(
        &self,
        object: &'static Object,
        ids: &[i64],
        condition: Option<(&'static str, &'static str, Time)>,
    ) -> Result<HashSet<i64>> {
        let ids: Arc<[i64]> = ids.into();
        self.read(move |connection| {
            let ids = Arc::clone(&ids);
            Box::pin(async move { rows::known(connection, object, &ids, condition).await })
        })
        .await
    }

    /// Remembers that a full load or a reconcile of an object was asked for, unless one is under way already.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn request(&self, object: &'static Object, whole: Whole) -> Result<()> {
        self.transaction(move |connection| {
            Box::pin(async move { state::request(connection, object.name, whole, now()).await })
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
    pub async fn complete_object(&self, object: &'static Object, began_at: Time, swept: Swept) -> Result<()> {
        self.transaction(move |connection| {
            Box::pin(
                async move { state::complete_object(connection, object.name, began_at, swept, now()).await },
            )
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

    /// Runs a query and gives its cells as text, for showing results to people.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn query(&self, sql: &str) -> Result<Vec<Vec<Option<String>>>> {
        let sql: Arc<str> = sql.into();
        let rows = self
            .read(move |connection| {
                let sql = Arc::clone(&sql);
                Box::pin(async move { connection.rows("answer a query", &sql, &[]).await })
            })
            .await?;
        Ok(rows.iter().map(|row| (0..row.len()).map(|index| row.shown(index)).collect()).collect())
    }

    /// Closes the database in good order, if this is the last handle to it.
    pub async fn close(self) {
        self.line.close().await;
    }

    fn held(&self) -> Option<Lease> {
        self.lease.lock().clone()
    }

    /// Runs `work` in a transaction of its own. Nothing is written by one whose lease was taken over, not even how its
    /// run ended.
    async fn transaction<T, F>(&self, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: for<'c> Fn(&'c mut Connection) -> Work<'c, T> + Send + Sync + 'static,
    {
        self.line.write(self.held(), work).await
    }

    async fn read<T, F>(&self, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: for<'c> Fn(&'c mut Connection) -> Work<'c, T> + Send + Sync + 'static,
    {
        self.line.read(work).await
    }
}
