//! Pages that were read and are not committed yet, and the commit that is made of them while reading goes on.

use futures_util::future::BoxFuture;
use std::sync::Arc;
use tokio::time::{Duration, Instant};

use super::extractor::Reading;
use super::pass::Pass;
use super::plan::Mode;
use super::progress::PageWritten;
use crate::chaos;
use crate::error::Result;
use crate::model::{Batch, Object, Quarantined};
use crate::store::{Commit, Meanwhile, MetStep, Progress, Written};

/// Rows that are worth a commit: v3's pages of 50 are joined. Measured: two to three times faster than a commit a
/// page, and flat from 500 rows up.
const ENOUGH_ROWS: usize = 1000;
/// Rows do not wait longer than this for others to be committed with them.
const GATHERED_FOR: Duration = Duration::from_secs(2);
/// Rows that are gathered at most while an earlier commit is under way.
const MOST_ROWS: usize = 2_000;
/// Bytes of them, at which memory is the bound: Kit's pages of a thousand people with many custom fields.
pub(super) const MOST_BYTES: usize = 2 << 20;

/// Pages that were read and are not committed yet.
pub(super) struct Gathered {
    pub(super) batch: Batch,
    bytes: usize,
    pages: u64,
    since: Instant,
    progress: Option<Progress>,
    /// From before the first of the pages was asked for.
    meanwhile: Option<Meanwhile>,
    /// Ids of rows that are gone at Kit.
    pub(super) gone: Vec<i64>,
}

impl Gathered {
    pub(super) fn nothing() -> Self {
        let since = Instant::now();
        Gathered {
            batch: Batch::default(),
            bytes: 0,
            pages: 0,
            since,
            progress: None,
            meanwhile: None,
            gone: Vec::new(),
        }
    }

    /// The position behind what is gathered.
    pub(super) fn is_at(&mut self, progress: Progress) {
        self.progress = Some(progress);
    }

    /// Another page, and the position behind it.
    pub(super) fn add(&mut self, batch: Batch, progress: Progress, meanwhile: Meanwhile) {
        if self.pages == 0 {
            self.since = Instant::now();
        }
        self.bytes += batch.bytes();
        self.batch.join(batch);
        self.pages += 1;
        // Of two that were under way, the one that was asked for first may come last.
        self.meanwhile = Some(match self.meanwhile.take() {
            Some(before) => before.earlier(meanwhile),
            None => meanwhile,
        });
        self.progress = Some(progress);
    }

    /// How long it may wait for another page before it is committed; not at all when there is enough.
    pub(super) fn may_wait(&self) -> Option<Duration> {
        if self.progress.is_none() {
            return Some(Duration::MAX);
        }
        let left = GATHERED_FOR.checked_sub(self.since.elapsed())?;
        let enough = self.batch.rows.len() >= chaos::few(ENOUGH_ROWS, 10) || self.bytes >= MOST_BYTES;
        (!enough).then_some(left)
    }

    /// Whether there is so much that no more is asked for. What is on its way joins it.
    pub(super) fn is_full(&self) -> bool {
        self.batch.rows.len() >= chaos::few(MOST_ROWS, 30) || self.bytes >= MOST_BYTES
    }
}

/// A commit that is being made.
pub(super) struct UnderWay {
    pub(super) making: BoxFuture<'static, Result<Written>>,
    commit: Commit,
    extent: (Option<u64>, u64),
}

impl Reading<'_> {
    /// Commits what is gathered, and waits until it is made.
    pub(super) async fn commit(&mut self, pass: &Pass, gathered: &mut Gathered) -> Result<()> {
        self.settle().await?;
        self.begin(pass, gathered);
        self.settle().await
    }

    /// Waits until the commit that is under way is made.
    pub(super) async fn settle(&mut self) -> Result<()> {
        match &mut self.under_way {
            None => Ok(()),
            Some(under_way) => {
                let written = (&mut under_way.making).await;
                self.made(written)
            }
        }
    }

    /// Begins to commit what is gathered. Only when no other commit is under way: positions are written in their order.
    pub(super) fn begin(&mut self, pass: &Pass, gathered: &mut Gathered) {
        let Some(progress) = gathered.progress.take() else { return };
        let taken = std::mem::replace(gathered, Gathered::nothing());
        let met = match (pass.mode(), &progress) {
            (Mode::Incremental | Mode::Full, _) => MetStep::None,
            (Mode::Reconcile, Progress::Done { .. }) if self.unwritten => MetStep::None,
            (Mode::Reconcile, Progress::Done { .. }) => MetStep::Clear,
            (Mode::Reconcile, Progress::More { .. }) => {
                MetStep::Add { ids: met(&taken.batch, self.plan.object), first: self.unwritten }
            }
        };
        let commit = Commit {
            object: self.plan.object,
            partition: self.partition.partition.clone(),
            batch: Arc::new(taken.batch),
            pages: taken.pages,
            progress,
            fingerprint: pass.fingerprint().to_owned(),
            run: (self.run, self.meter.requests(), self.meter.retries()),
            met,
            gone: taken.gone,
            meanwhile: taken.meanwhile.unwrap_or_else(|| self.cx.store.meanwhile()),
        };
        let (store, ours) = (self.cx.store.clone(), commit.clone());
        let making = Box::pin(async move { store.commit_page(ours).await });
        self.unwritten = false;
        self.under_way = Some(UnderWay { making, commit, extent: pass.extent() });
    }

    /// The commit that was under way is made, or failed.
    pub(super) fn made(&mut self, written: Result<Written>) -> Result<()> {
        let Some(UnderWay { commit, extent, .. }) = self.under_way.take() else { return Ok(()) };
        let written = written?;
        let records = commit.batch.read as u64;
        self.brought.pages += commit.pages;
        self.brought.records += records;
        self.brought.written += written;
        self.cx.observer.page_written(&PageWritten {
            object: self.plan.object.name,
            partition: &self.partition.partition,
            pages: commit.pages,
            records,
            written,
            extent,
        });
        tracing::debug!(
            object.name = self.plan.object.name,
            object.partition = %self.partition.partition,
            "Wrote {records} records of {}/{} from {} pages: {} new, {} changed",
            self.plan.object.name,
            self.partition.partition,
            commit.pages,
            written.inserted,
            written.updated,
        );
        Ok(())
    }
}

/// Ids of the rows that a batch shows to be there, those of records that could not be stored included.
pub(super) fn met(batch: &Batch, object: &Object) -> Vec<i64> {
    batch.ids(object).chain(batch.quarantined.iter().filter_map(Quarantined::id)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::objects::TAG_SUBSCRIPTIONS;
    use crate::model::{Row, Value};

    /// A page of so many rows of so many bytes, and a record of so many that could not be stored.
    fn page(rows: usize, bytes: usize, raw: usize) -> Batch {
        let row = Row { values: vec![Value::Text("x".repeat(bytes).into())], extra: Value::Text("".into()) };
        let note = Quarantined {
            key: Some("42/7".to_owned()),
            raw: "x".repeat(raw),
            reason: String::new(),
            row_kept: false,
        };
        Batch { rows: vec![row; rows], quarantined: vec![note], read: rows + 1 }
    }

    fn gathered(pages: impl IntoIterator<Item = Batch>) -> Gathered {
        let mut gathered = Gathered::nothing();
        for page in pages {
            gathered.add(page, Progress::More { checkpoint: String::new() }, Meanwhile::default());
        }
        gathered
    }

    #[tokio::test(start_paused = true)]
    async fn rows_wait_two_seconds_from_the_first_of_their_pages() {
        let mut some = gathered([]);
        assert_eq!(some.may_wait(), Some(Duration::MAX));
        tokio::time::advance(GATHERED_FOR).await;
        for left in [2, 1] {
            some.add(page(1, 1, 1), Progress::More { checkpoint: String::new() }, Meanwhile::default());
            assert_eq!(some.may_wait(), Some(Duration::from_secs(left)));
            tokio::time::advance(Duration::from_secs(1)).await;
        }
        tokio::time::advance(Duration::from_millis(1)).await;
        assert_eq!(some.may_wait(), None);
        let mut none = gathered([]);
        none.is_at(Progress::More { checkpoint: String::new() });
        assert_eq!(none.may_wait(), Some(GATHERED_FOR), "a position waits as a page does");
    }

    #[tokio::test(start_paused = true)]
    async fn a_thousand_rows_are_enough_two_thousand_are_full_and_two_megabytes_are_both() {
        let state = |pages: Vec<Batch>| {
            let gathered = gathered(pages);
            (gathered.may_wait().is_none(), gathered.is_full())
        };
        assert_eq!(state(vec![page(999, 1, 1)]), (false, false));
        assert_eq!(state(vec![page(999, 1, 1), page(1, 1, 1)]), (true, false));
        assert_eq!(state(vec![page(1000, 1, 1), page(1000, 1, 1)]), (true, true));
        let half = MOST_BYTES / 2;
        assert_eq!(state(vec![page(1, half - 1, 0), page(1, half, 0)]), (false, false));
        assert_eq!(state(vec![page(1, half, 0), page(1, half, 0)]), (true, true));
        assert_eq!(state(vec![page(0, 0, half), page(0, 0, half)]), (true, true));
    }

    #[test]
    fn whoever_is_on_a_page_is_met_whether_the_row_is_stored_or_not() {
        let mut batch = page(0, 0, 0);
        let id = |at: usize| Value::Int(at as i64 + 1);
        batch.rows.push(Row { values: (0..8).map(id).collect(), extra: Value::Null });
        let key = batch.rows[0].key(&TAG_SUBSCRIPTIONS);
        assert_eq!(met(&batch, &TAG_SUBSCRIPTIONS), [key[1], 7]);
    }
}
