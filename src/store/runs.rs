//! The books of the runs: `sync_runs`.

use super::connection::Connection;
use super::state::text;
use super::{Store, now};
use crate::error::Result;
use crate::model::{Object, Time, Value};

/// How a run of one object ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// Every partition is complete and every record stored.
    Complete,
    /// Complete, but records were set aside.
    Incomplete,
    /// A partition failed.
    Failed,
    /// Kit refuses this object.
    Unavailable,
    /// Somebody asked for a stop, or the error of another object ended the run, before all was read.
    Stopped,
}

impl Outcome {
    /// Whether every partition was read to its end.
    pub fn is_whole(self) -> bool {
        matches!(self, Outcome::Complete | Outcome::Incomplete)
    }

    /// As stored and shown.
    pub fn name(self) -> &'static str {
        match self {
            Outcome::Complete => "complete",
            Outcome::Incomplete => "incomplete",
            Outcome::Failed => "failed",
            Outcome::Unavailable => "unavailable",
            Outcome::Stopped => "stopped",
        }
    }
}

/// What a run costs and moves.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub struct Counts {
    /// Requests sent, repeated ones included.
    pub requests: u64,
    /// Requests sent again.
    pub retries: u64,
    /// Pages committed.
    pub pages: u64,
    /// Records read.
    pub rows_read: u64,
    /// Rows that were new.
    pub rows_inserted: u64,
    /// Rows that had changed.
    pub rows_updated: u64,
    /// Rows that were marked as gone.
    pub rows_deleted: u64,
    /// Records set aside.
    pub rows_quarantined: u64,
}

impl std::ops::AddAssign for Counts {
    fn add_assign(&mut self, other: Counts) {
        self.requests += other.requests;
        self.retries += other.retries;
        self.pages += other.pages;
        self.rows_read += other.rows_read;
        self.rows_inserted += other.rows_inserted;
        self.rows_updated += other.rows_updated;
        self.rows_deleted += other.rows_deleted;
        self.rows_quarantined += other.rows_quarantined;
    }
}

impl std::iter::Sum for Counts {
    fn sum<I: Iterator<Item = Counts>>(all: I) -> Counts {
        let mut sum = Counts::default();
        all.for_each(|counts| sum += counts);
        sum
    }
}

impl Store {
    /// Opens the account of a run; its id.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn begin_run(&self, object: &'static Object, mode: &'static str) -> Result<i64> {
        self.transaction(move |connection| {
            Box::pin(async move { begin_run(connection, object.name, mode, now()).await })
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
            Box::pin(
                async move { end_run(connection, run, mode, outcome, meter, error.as_deref(), now()).await },
            )
        })
        .await
    }

    /// Drops runs and quarantined records that are older than their retention.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn forget_old(&self) -> Result<()> {
        self.transaction(move |connection| Box::pin(async move { forget_old(connection, now()).await })).await
    }
}

/// Opens the account of a run; its id.
async fn begin_run(connection: &mut Connection, object: &str, mode: &str, now: Time) -> Result<i64> {
    let orphans = "update sync_runs set outcome = 'interrupted', finished_at = ? where object = ? and outcome = 'running'";
    connection.run("write sync_runs", orphans, &[Value::Time(now), text(object)]).await?;
    let sql = "insert into sync_runs (object, mode, started_at, outcome) values (?, ?, ?, 'running')";
    connection.run("write sync_runs", sql, &[text(object), text(mode), Value::Time(now)]).await?;
    let rows = connection.rows("read sync_runs", "select max(id) from sync_runs", &[]).await?;
    Ok(rows.first().and_then(|row| row.int(0)).unwrap_or(0))
}

/// Brings the account of a run up to date within a commit, so that a killed run still tells what it did.
pub(super) async fn count_run(
    connection: &mut Connection,
    run: i64,
    meter: (u64, u64),
    step: &Counts,
) -> Result<()> {
    let sql = "update sync_runs set requests = ?, retries = ?, pages = pages + ?, rows_read = rows_read + ?, \
               rows_inserted = rows_inserted + ?, rows_updated = rows_updated + ?, rows_deleted = rows_deleted + ?, \
               rows_quarantined = rows_quarantined + ? where id = ?";
    let values = [
        meter.0,
        meter.1,
        step.pages,
        step.rows_read,
        step.rows_inserted,
        step.rows_updated,
        step.rows_deleted,
        step.rows_quarantined,
    ]
    .map(|count| Value::Int(count as i64));
    let values: Vec<Value> = values.into_iter().chain([Value::Int(run)]).collect();
    connection.run("write sync_runs", sql, &values).await.map(drop)
}

/// Closes the account of a run.
async fn end_run(
    connection: &mut Connection,
    run: i64,
    mode: &str,
    outcome: Outcome,
    meter: (u64, u64),
    error: Option<&str>,
    now: Time,
) -> Result<()> {
    let sql = "update sync_runs set mode = ?, outcome = ?, finished_at = ?, requests = ?, retries = ?, error = ? where id = ?";
    let values = [
        text(mode),
        text(outcome.name()),
        Value::Time(now),
        Value::Int(meter.0 as i64),
        Value::Int(meter.1 as i64),
        error.map_or(Value::Null, text),
        Value::Int(run),
    ];
    connection.run("write sync_runs", sql, &values).await.map(drop)
}

/// Drops what is older than its retention: runs after 90 days, quarantine 30 days after it was last seen.
async fn forget_old(connection: &mut Connection, now: Time) -> Result<()> {
    let before = |days| Value::Time(now - chrono::TimeDelta::days(days));
    connection.run("clean sync_runs", "delete from sync_runs where started_at < ?", &[before(90)]).await?;
    connection
        .run("clean sync_quarantine", "delete from sync_quarantine where last_seen_at < ?", &[before(30)])
        .await?;
    Ok(())
}
