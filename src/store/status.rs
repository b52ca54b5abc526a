//! What is in the mirror and how fresh it is: reads the `sync_status` view and the last runs.

use serde::Serialize;

use super::Store;
use super::connection::{Cells, Connection};
use super::state::text;
use crate::error::Result;
use crate::model::{Time, objects};

/// One object as `status` shows it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ObjectStatus {
    /// Its name.
    pub object: String,
    /// ok, syncing, stale, failed or unavailable.
    pub state: String,
    /// Live rows.
    pub rows: i64,
    /// The newest row's time, as stored.
    pub newest_row: Option<String>,
    /// When a pass over all of it was last complete.
    pub last_complete_at: Option<String>,
    /// Seconds since then.
    pub lag_seconds: Option<i64>,
    /// When vanished rows were last looked for and marked.
    pub last_reconcile_at: Option<String>,
    /// Seconds since then.
    pub reconcile_lag_seconds: Option<i64>,
    /// Rows that the last reconcile did not meet and left alone.
    pub held_deletions: Option<i64>,
    /// What failed last, if it has not succeeded since.
    pub last_error: Option<String>,
    /// What to do about it.
    pub last_error_advice: Option<String>,
    /// The last run: full, incremental or reconcile.
    pub last_mode: Option<String>,
    /// How it ended.
    pub last_outcome: Option<String>,
    /// Records in quarantine.
    pub quarantined: i64,
}

/// After so many seconds without a complete pass an object is stale in `sync_status`: a day, and an hour for the pass.
pub(super) const STALE_AFTER: i64 = 90_000;

impl ObjectStatus {
    /// Whether it was complete lately and nothing has failed since; the next pass may be under way.
    pub fn is_fresh(&self) -> bool {
        match self.state.as_str() {
            "ok" => true,
            "syncing" => self.lag_seconds.is_some_and(|lag| lag <= STALE_AFTER),
            _ => false,
        }
    }
}

/// The whole mirror.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct MirrorStatus {
    /// Name of the account.
    pub account: Option<String>,
    /// The API version used last.
    pub api_version: Option<String>,
    /// All objects, in the order of running.
    pub objects: Vec<ObjectStatus>,
}

/// One run of one object, as `sync_runs` has it.
#[derive(Debug, Clone, PartialEq)]
pub struct Run {
    /// Whose run.
    pub object: String,
    /// full, incremental or reconcile.
    pub mode: String,
    /// running, complete, incomplete, failed, unavailable, stopped or interrupted.
    pub outcome: String,
    /// When it began.
    pub started_at: Option<Time>,
    /// When it ended, if it has.
    pub finished_at: Option<Time>,
    /// Records read.
    pub rows_read: i64,
    /// Rows that were new, had changed, or were found gone.
    pub rows_changed: i64,
}

/// The whole mirror, and the last runs that made it what it is.
#[derive(Debug, Clone, PartialEq)]
pub struct Glance {
    /// What is in the mirror.
    pub status: MirrorStatus,
    /// The last runs of each object, oldest first.
    pub runs: Vec<Run>,
}

impl Store {
    /// What is in the mirror, as `sync_status` tells it.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn status(&self) -> Result<MirrorStatus> {
        self.read(|connection| Box::pin(async move { read(connection).await })).await
    }

    /// The same with the last `runs` runs of each object, asked once: a database that is away is not waited for.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn glance(&self, runs: usize) -> Result<Glance> {
        self.line.glance(move |connection| Box::pin(async move { glance(connection, runs).await })).await
    }

    /// The last runs of each object, oldest first.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn last_runs(&self, count: usize) -> Result<Vec<Run>> {
        self.read(move |connection| Box::pin(async move { last_runs(connection, count).await })).await
    }
}

async fn glance(connection: &mut Connection, runs: usize) -> Result<Glance> {
    Ok(Glance { status: read(connection).await?, runs: last_runs(connection, runs).await? })
}

/// The last runs of each object. One limited look-up per object in one statement: by the index, however many
/// runs there are.
async fn last_runs(connection: &mut Connection, count: usize) -> Result<Vec<Run>> {
    let of_one = |at: usize| {
        format!(
            "select * from (select id, object, mode, outcome, started_at, finished_at, rows_read, \
             rows_inserted + rows_updated + rows_deleted from sync_runs where object = ? \
             order by id desc limit {count}) r{at}"
        )
    };
    let names = objects::names();
    let sql = (0..names.len()).map(of_one).collect::<Vec<_>>().join(" union all ");
    let values: Vec<_> = names.iter().map(|name| text(name)).collect();
    let mut rows = connection.rows("read sync_runs", &sql, &values).await?;
    rows.sort_by_key(|row| row.int(0));
    let run = |row: &Cells| Run {
        object: row.text(1).unwrap_or_default().to_owned(),
        mode: row.text(2).unwrap_or_default().to_owned(),
        outcome: row.text(3).unwrap_or_default().to_owned(),
        started_at: row.time(4),
        finished_at: row.time(5),
        rows_read: row.int(6).unwrap_or(0),
        rows_changed: row.int(7).unwrap_or(0),
    };
    Ok(rows.iter().map(run).collect())
}

async fn read(connection: &mut Connection) -> Result<MirrorStatus> {
    let sql = "select s.object, s.state, s.\"rows\", s.newest_row, s.last_complete_at, s.lag_seconds, s.last_error, s.last_error_advice, \
               r.mode, r.outcome, (select count(*) from sync_quarantine q where q.object = s.object), \
               s.last_reconcile_at, s.reconcile_lag_seconds, s.held_deletions \
               from sync_status s left join sync_runs r on r.id = (select max(id) from sync_runs l where l.object = s.object)";
    let rows = connection.rows("read sync_status", sql, &[]).await?;
    let owned = |row: &Cells, at| row.shown(at);
    let mut all: Vec<ObjectStatus> = rows
        .iter()
        .map(|row| ObjectStatus {
            object: row.text(0).unwrap_or_default().to_owned(),
            state: row.text(1).unwrap_or_default().to_owned(),
            rows: row.int(2).unwrap_or(0),
            newest_row: owned(row, 3),
            last_complete_at: owned(row, 4),
            lag_seconds: row.int(5),
            last_error: owned(row, 6),
            last_error_advice: owned(row, 7),
            last_mode: owned(row, 8),
            last_outcome: owned(row, 9),
            quarantined: row.int(10).unwrap_or(0),
            last_reconcile_at: owned(row, 11),
            reconcile_lag_seconds: row.int(12),
            held_deletions: row.int(13),
        })
        .collect();
    let order = objects::names();
    all.sort_by_key(|status| order.iter().position(|name| *name == status.object));
    let account = super::account::account(connection).await?;
    Ok(MirrorStatus {
        account: account.as_ref().and_then(|row| row.name.clone()),
        api_version: account.and_then(|row| row.api_version),
        objects: all,
    })
}
