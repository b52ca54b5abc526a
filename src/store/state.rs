//! Progress: `sync_state`. Written once for every dialect.

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
    /// Whether the last attempt to read it failed.
    pub failed: bool,
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

const STATE: &str = "select \"partition\", watermark, began_at, completed_at, checkpoint, fingerprint, \"rows\", full_requested_at, reconcile_requested_at, reconciled_at, \
                     counted, counted_since, last_error \
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
        failed: row.text(12).is_some(),
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
    let now = after_all_passes(connection, object, now).await?;
    let sql = "update sync_state set full_requested_at = ? where object = ? and \"partition\" = ''";
    connection.run("write sync_state", sql, &[Value::Time(now), text(object)]).await.map(drop)
}

/// Now, or as soon after whatever was read so far, should the clock have been set back since.
async fn after_all_passes(connection: &mut Connection, object: &str, now: Time) -> Result<Time> {
    let sql = "select max(completed_at) from sync_state where object = ?";
    let rows = connection.rows("read sync_state", sql, &[text(object)]).await?;
    let latest = rows.first().and_then(|row| row.time(0));
    Ok(latest.map_or(now, |latest| now.max(latest + chrono::TimeDelta::milliseconds(1))))
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
    let now = after_all_passes(connection, object, now).await?;
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

pub(super) fn text(text: &str) -> Value {
    Value::Text(text.into())
}
