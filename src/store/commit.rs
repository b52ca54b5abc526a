//! One commit: rows, what is set aside, what is gone, what was met, the position behind it, and what the run has cost.

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;

use super::connection::Connection;
use super::meanwhile::Meanwhile;
use super::met::{self, MetStep};
use super::people::People;
use super::rows::{self, Written};
use super::runs::{self, Counts};
use super::state::{self, Progress};
use super::{forgotten, quarantine, sweep};
use crate::chaos::{self, Failpoint as At};
use crate::error::{Error, Kind, Result};
use crate::model::time::now;
use crate::model::{Batch, Object, Person, Quarantined, Time, objects};

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
    /// Keys met, where vanished rows are to be looked for behind the pass.
    pub met: MetStep,
    /// Ids of the partition's rows that are gone at Kit; what cannot be without them goes with them.
    pub gone: Vec<i64>,
    /// From before the first of its pages was asked for.
    pub meanwhile: Meanwhile,
}

/// Writes all of it. `careful` looks for the row that the database refuses.
pub(super) async fn write(connection: &mut Connection, commit: &Commit, careful: bool) -> Result<Written> {
    let now = now();
    let (written, change) = write_rows(connection, commit, careful, now).await?;
    write_position(connection, commit, change, now).await?;
    write_counts(connection, commit, &written).await?;
    chaos::reach(At::PageWritten).await;
    Ok(written)
}

/// What a commit brings to the tables, and by how many live rows its partition changes.
pub(super) async fn write_rows(
    connection: &mut Connection,
    commit: &Commit,
    careful: bool,
    now: Time,
) -> Result<(Written, i64)> {
    refuse_orphans(connection, commit).await?;
    // Read in every commit: somebody may have been forgotten since the page was asked for.
    let forgotten = match commit.object.person_column(Person::Id) {
        Some(_) => forgotten::everybody(connection).await?,
        None => People::default(),
    };
    let left_out = forgotten.ids.union(&departed(connection, commit).await?).copied().collect();
    let (mut written, refused) =
        rows::write(connection, commit.object, &commit.batch.rows, &left_out, now, careful).await?;
    chaos::reach(At::RowsWritten).await;
    let notes = [without(&forgotten, commit.object, &commit.batch.quarantined), refused].concat();
    quarantine::write(connection, commit.object, &commit.partition, &notes, now).await?;
    chaos::reach_with(At::QuarantineWritten, !notes.is_empty()).await;
    written.quarantined = notes.len() as u64;
    let (own, all) = sweep::mark(connection, commit.object, &commit.partition, &commit.gone, now).await?;
    chaos::reach_with(At::TombstonesWritten, own + all > 0).await;
    written.deleted = all;
    met::apply(connection, commit.object, &commit.partition, &commit.met).await?;
    chaos::reach_with(At::MetWritten, commit.met.adds_something()).await;
    Ok((written, (written.inserted + written.revived) as i64 - own as i64))
}

/// A parent may have been marked as gone, and deleted even, since the page of its members was asked for; they would come
/// to life again, and nobody would read their list any more.
async fn refuse_orphans(connection: &mut Connection, commit: &Commit) -> Result<()> {
    let (Some(parent), Ok(id)) = (commit.object.parent(), commit.partition.parse()) else { return Ok(()) };
    if rows::live_among(connection, parent, &[id]).await?.is_empty() {
        return Err(Error::new(
            Kind::SourceNotFound,
            format!("{} {id} was found to be gone meanwhile", parent.name),
        ));
    }
    Ok(())
}

/// People who were marked as gone since a page of members was asked for. They are not there again because it shows them.
async fn departed(connection: &mut Connection, commit: &Commit) -> Result<BTreeSet<i64>> {
    let person =
        commit.object.person_column(Person::Id).and_then(|column| commit.object.column_index(column));
    let (Some(person), Some(_)) = (person, commit.object.parent()) else { return Ok(BTreeSet::new()) };
    let mut suspects: HashSet<i64> = commit.meanwhile.gone().into_iter().collect();
    if !suspects.is_empty() {
        let shown: HashSet<i64> = commit.batch.rows.iter().filter_map(|row| row.id(person)).collect();
        suspects.retain(|id| shown.contains(id));
    }
    if suspects.is_empty() {
        return Ok(BTreeSet::new());
    }
    let suspects: Vec<i64> = suspects.into_iter().collect();
    let live = rows::live_among(connection, &objects::SUBSCRIBERS, &suspects).await?;
    Ok(suspects.into_iter().filter(|id| !live.contains(id)).collect())
}

pub(super) async fn write_position(
    connection: &mut Connection,
    commit: &Commit,
    change: i64,
    now: Time,
) -> Result<()> {
    let Commit { object, partition, progress, fingerprint, .. } = commit;
    state::advance(connection, object, partition, progress, fingerprint, change, now).await?;
    #[cfg(feature = "chaos")]
    if chaos::planted(chaos::Bug::EarlyWatermark) {
        super::planted::early_watermark(connection, (object.name, partition), progress, fingerprint, now)
            .await?;
    }
    chaos::reach(match progress {
        Progress::More { .. } => At::CheckpointWritten,
        Progress::Done { .. } => At::WatermarkWritten,
    })
    .await;
    Ok(())
}

pub(super) async fn write_counts(
    connection: &mut Connection,
    commit: &Commit,
    written: &Written,
) -> Result<()> {
    let step = Counts {
        pages: commit.pages,
        rows_read: commit.batch.read as u64,
        rows_inserted: written.inserted,
        rows_updated: written.updated,
        rows_deleted: written.deleted,
        rows_quarantined: written.quarantined,
        ..Counts::default()
    };
    let (run, requests, retries) = commit.run;
    runs::count_run(connection, run, (requests, retries), &step).await
}

/// Notes but those about people who are forgotten.
pub(super) fn without(forgotten: &People, object: &Object, notes: &[Quarantined]) -> Vec<Quarantined> {
    notes.iter().filter(|note| !quarantine::is_of(object, note, forgotten)).cloned().collect()
}
