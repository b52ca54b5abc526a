//! Progress: `sync_state`, `sync_runs`, `sync_account`. Written once for every dialect.

use super::connection::{Cells, Connection};
use crate::error::Result;
use crate::model::{Object, Time, Value};

/// What is known about one partition of one object.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct State {
    /// The parent's id, or empty for a whole list.
    pub partition: String,
    /// Everything the source dates up to here, less the overlap, is in the table.
    pub watermark: Option<Time>,
    /// The source's clock at the first page of the last complete pass.
    pub began_at: Option<Time>,
    /// When the last complete pass ended, by our clock.
    pub completed_at: Option<Time>,
    /// Where an unfinished pass stopped (JSON).
    pub checkpoint: Option<String>,
    /// What the watermark was made under.
    pub fingerprint: Option<String>,
    /// Live rows of the partition.
    pub rows: i64,
    /// When a full load was asked for that is not complete yet.
    pub full_requested_at: Option<Time>,
    /// When a reconcile was asked for that has not been tried yet.
    pub reconcile_requested_at: Option<Time>,
    /// When vanished rows were last looked for.
    pub reconciled_at: Option<Time>,
    /// Members that Kit counted when the last complete pass was planned.
    pub counted: Option<i64>,
    /// When a pass first was complete with that count, by our clock.
    pub counted_since: Option<Time>,
}

/// What a complete pass did about rows that it did not meet.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Swept {
    /// Nothing: it was no reconcile.
    #[default]
    No,
    /// They are marked as gone.
    Clean,
    /// So many were left alone.
    Held(u64),
}

/// How far a pass is after a commit.
#[derive(Debug, Clone, PartialEq)]
pub enum Progress {
    /// There is more to read.
    More {
        /// Where to go on (JSON).
        checkpoint: String,
    },
    /// The pass is complete.
    Done {
        /// The watermark it earned; the stored one never moves back.
        watermark: Option<Time>,
        /// The source's clock at its first page.
        began_at: Time,
        /// What it did about vanished rows.
        swept: Swept,
        /// Members that Kit counted when it was planned.
        counted: Option<i64>,
    },
}

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
    /// A signal came first.
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

/// The one row of `sync_account`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AccountRow {
    /// Kit's id; v3 gives none.
    pub account_id: Option<i64>,
    /// Its name.
    pub name: Option<String>,
    /// The owner's address.
    pub primary_email_address: Option<String>,
    /// `v3` or `v4`, the one used last.
    pub api_version: Option<String>,
}

const STATE: &str = "select \"partition\", watermark, began_at, completed_at, checkpoint, fingerprint, \"rows\", full_requested_at, reconcile_requested_at, reconciled_at, \
                     counted, counted_since \
                     from sync_state where object = ?";

fn state_of(row: &Cells) -> State {
    State {
        partition: row.text(0).unwrap_or_default().to_owned(),
        watermark: row.time(1),
        began_at: row.time(2),
        completed_at: row.time(3),
        checkpoint: row.text(4).map(str::to_owned),
        fingerprint: row.text(5).map(str::to_owned),
        rows: row.int(6).unwrap_or(0),
        full_requested_at: row.time(7),
        reconcile_requested_at: row.time(8),
        reconciled_at: row.time(9),
        counted: row.int(10),
        counted_since: row.time(11),
    }
}

/// The states of all partitions of an object.
pub(super) async fn load(connection: &mut Connection, object: &'static Object) -> Result<Vec<State>> {
    let rows = connection.rows("read sync_state", STATE, &[text(object.name)]).await?;
    Ok(rows.iter().map(state_of).collect())
}

/// Writes the position a commit leaves behind; `change` is how many live rows there are more or fewer.
pub(super) async fn advance(
    connection: &mut Connection,
    object: &'static Object,
    partition: &str,
    progress: &Progress,
    fingerprint: &str,
    change: i64,
    now: Time,
) -> Result<()> {
    let (sql, mut values) = match progress {
        Progress::More { checkpoint } => (
            "update sync_state set checkpoint = ?, \"rows\" = \"rows\" + ?".to_owned(),
            vec![text(checkpoint), Value::Int(change)],
        ),
        Progress::Done { watermark, began_at, swept, counted } => {
            let mark = watermark.map_or(Value::Null, Value::Time);
            let counted = counted.map_or(Value::Null, Value::Int);
            let (also, swept) = swept_columns(*swept, now);
            (
                format!(
                    "update sync_state set watermark = case when watermark is null or watermark < ? then ? else watermark end, \
                     counted_since = case when counted = ? then counted_since else ? end, counted = ?, \
                     began_at = ?, completed_at = ?, checkpoint = null, fingerprint = ?, \"rows\" = \"rows\" + ?, full_requested_at = null, \
                     unavailable = false, last_error = null, last_error_advice = null, last_error_at = null{also}"
                ),
                vec![
                    mark.clone(),
                    mark,
                    counted.clone(),
                    Value::Time(now),
                    counted,
                    Value::Time(*began_at),
                    Value::Time(now),
                    text(fingerprint),
                    Value::Int(change),
                ]
                .into_iter()
                .chain(swept)
                .collect(),
            )
        }
    };
    let sql = sql + " where object = ? and \"partition\" = ?";
    values.extend([text(object.name), text(partition)]);
    // The row is missing once in the life of a partition.
    if connection.run("write sync_state", &sql, &values).await? == 0 {
        ensure(connection, object.name, partition).await?;
        connection.run("write sync_state", &sql, &values).await?;
    }
    if matches!(progress, Progress::Done { .. }) && !partition.is_empty() {
        // One parent that can be read shows that the object as a whole is not refused any more.
        let sql = "update sync_state set unavailable = false, last_error = null, last_error_advice = null, last_error_at = null \
                   where object = ? and \"partition\" = '' and unavailable = true";
        connection.run("write sync_state", sql, &[text(object.name)]).await?;
    }
    Ok(())
}

/// Makes sure that the row is there.
pub(super) async fn ensure(connection: &mut Connection, object: &str, partition: &str) -> Result<()> {
    let key = ["object", "partition"];
    let sql = connection.dialect().insert_or_update("sync_state", &key.map(|name| (name, "?")), &key, &[]);
    connection.run("write sync_state", &sql, &[text(object), text(partition)]).await.map(drop)
}

/// What is written beside the rest when a pass did something about vanished rows.
fn swept_columns(swept: Swept, now: Time) -> (&'static str, Vec<Value>) {
    match swept {
        Swept::No => ("", Vec::new()),
        Swept::Clean => (
            ", reconciled_at = ?, held_deletions = null, reconcile_requested_at = null",
            vec![Value::Time(now)],
        ),
        // Not asked for again at once: the next one by schedule, or one that is allowed to, looks anew.
        Swept::Held(count) => {
            let values = vec![Value::Time(now), Value::Int(count as i64)];
            (", reconciled_at = ?, held_deletions = ?, reconcile_requested_at = null", values)
        }
    }
}

/// All partitions of an object are complete. How many rows each of them left alone is in its own row.
pub(super) async fn complete_object(
    connection: &mut Connection,
    object: &str,
    began_at: Time,
    swept: Swept,
    now: Time,
) -> Result<()> {
    ensure(connection, object, "").await?;
    let (also, swept) = match swept {
        Swept::Held(_) => (", reconciled_at = ?, reconcile_requested_at = null", vec![Value::Time(now)]),
        Swept::No | Swept::Clean => swept_columns(swept, now),
    };
    let sql = format!(
        "update sync_state set began_at = ?, completed_at = ?, full_requested_at = null, unavailable = false, last_error = null, \
         last_error_advice = null, last_error_at = null{also} where object = ? and \"partition\" = ''"
    );
    let values = [Value::Time(began_at), Value::Time(now)].into_iter().chain(swept).chain([text(object)]);
    let values: Vec<Value> = values.collect();
    connection.run("write sync_state", &sql, &values).await.map(drop)
}

/// The rows of an object are gone: everything is to be read again, and nothing unfinished to be gone on with.
pub(super) async fn reload(connection: &mut Connection, object: &str, now: Time) -> Result<()> {
    ensure(connection, object, "").await?;
    let sql = "update sync_state set \"rows\" = 0, checkpoint = null where object = ?";
    connection.run("write sync_state", sql, &[text(object)]).await?;
    let sql = "update sync_state set full_requested_at = ? where object = ? and \"partition\" = ''";
    connection.run("write sync_state", sql, &[Value::Time(now), text(object)]).await.map(drop)
}

/// A pass over everything that somebody asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whole {
    /// A full load.
    Load,
    /// A reconcile.
    Reconcile,
}

/// Remembers that it was asked for, unless one is under way already. One that has been under way for
/// a day cannot be completed for some reason, and does not stand in for a new one.
pub(super) async fn request(
    connection: &mut Connection,
    object: &str,
    whole: Whole,
    now: Time,
) -> Result<()> {
    ensure(connection, object, "").await?;
    let column = match whole {
        Whole::Load => "full_requested_at",
        Whole::Reconcile => "reconcile_requested_at",
    };
    let sql = format!(
        "update sync_state set {column} = ? where object = ? and \"partition\" = '' and ({column} is null or {column} < ?)"
    );
    let day_ago = now - chrono::TimeDelta::days(1);
    connection
        .run("write sync_state", &sql, &[Value::Time(now), text(object), Value::Time(day_ago)])
        .await
        .map(drop)
}

/// Writes an error where `status` and analysts look for it.
pub(super) async fn note_error(
    connection: &mut Connection,
    object: &str,
    partition: &str,
    (error, advice): (&str, &str),
    unavailable: bool,
    now: Time,
) -> Result<()> {
    ensure(connection, object, partition).await?;
    let sql = "update sync_state set last_error = ?, last_error_advice = ?, last_error_at = ?, unavailable = ? \
               where object = ? and \"partition\" = ?";
    let values = [
        text(error),
        text(advice),
        Value::Time(now),
        Value::Bool(unavailable),
        text(object),
        text(partition),
    ];
    connection.run("write sync_state", sql, &values).await.map(drop)
}

/// A partition is not read any more: neither its error nor its unfinished pass is of interest. Its rows stay.
pub(super) async fn leave_out(connection: &mut Connection, object: &str, partition: &str) -> Result<()> {
    let sql = "update sync_state set checkpoint = null, last_error = null, last_error_advice = null, last_error_at = null \
               where object = ? and \"partition\" = ?";
    connection.run("write sync_state", sql, &[text(object), text(partition)]).await.map(drop)
}

/// Opens the account of a run; its id.
pub(super) async fn begin_run(
    connection: &mut Connection,
    object: &str,
    mode: &str,
    now: Time,
) -> Result<i64> {
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
pub(super) async fn end_run(
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
pub(super) async fn forget_old(connection: &mut Connection, now: Time) -> Result<()> {
    let before = |days| Value::Time(now - chrono::TimeDelta::days(days));
    connection.run("clean sync_runs", "delete from sync_runs where started_at < ?", &[before(90)]).await?;
    connection
        .run("clean sync_quarantine", "delete from sync_quarantine where last_seen_at < ?", &[before(30)])
        .await?;
    Ok(())
}

/// The account the mirror belongs to, if it belongs to one yet.
pub(super) async fn account(connection: &mut Connection) -> Result<Option<AccountRow>> {
    let sql = "select account_id, name, primary_email_address, api_version from sync_account where id = 1 and confirmed_at is not null";
    let rows = connection.rows("read sync_account", sql, &[]).await?;
    Ok(rows.first().map(|row| AccountRow {
        account_id: row.int(0),
        name: row.text(1).map(str::to_owned),
        primary_email_address: row.text(2).map(str::to_owned),
        api_version: row.text(3).map(str::to_owned),
    }))
}

/// Writes which account the mirror belongs to; an id once known stays.
pub(super) async fn set_account(connection: &mut Connection, row: &AccountRow, now: Time) -> Result<()> {
    ensure_account(connection).await?;
    let optional = |value: &Option<String>| value.as_deref().map_or(Value::Null, text);
    let sql = "update sync_account set account_id = coalesce(?, account_id), name = ?, primary_email_address = ?, api_version = ?, \
               confirmed_at = ? where id = 1";
    let values = [
        row.account_id.map_or(Value::Null, Value::Int),
        optional(&row.name),
        optional(&row.primary_email_address),
        optional(&row.api_version),
        Value::Time(now),
    ];
    connection.run("write sync_account", sql, &values).await.map(drop)
}

async fn ensure_account(connection: &mut Connection) -> Result<()> {
    let sql = connection.dialect().insert_or_update("sync_account", &[("id", "1")], &["id"], &[]);
    connection.run("write sync_account", &sql, &[]).await.map(drop)
}

/// Two notes about the account that are JSON: `findings` and `sent_requests`.
pub(super) async fn note(connection: &mut Connection, column: AccountNote) -> Result<Option<String>> {
    let sql = format!("select {} from sync_account where id = 1", column.name());
    let rows = connection.rows("read sync_account", &sql, &[]).await?;
    Ok(rows.first().and_then(|row| row.text(0)).map(str::to_owned))
}

/// Writes one of them.
pub(super) async fn set_note(connection: &mut Connection, column: AccountNote, json: &str) -> Result<()> {
    ensure_account(connection).await?;
    let sql = format!("update sync_account set {} = ? where id = 1", column.name());
    connection.run("write sync_account", &sql, &[text(json)]).await.map(drop)
}

/// What is noted about an account.
#[derive(Debug, Clone, Copy)]
pub enum AccountNote {
    /// Facts about the API that its documents leave open.
    Findings,
    /// What was sent in the last minute.
    SentRequests,
}

impl AccountNote {
    fn name(self) -> &'static str {
        match self {
            AccountNote::Findings => "findings",
            AccountNote::SentRequests => "sent_requests",
        }
    }
}

pub(super) fn text(text: &str) -> Value {
    Value::Text(text.into())
}
