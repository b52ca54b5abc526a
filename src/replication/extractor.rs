//! The loop over the pages of one partition, readable from top to bottom.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use tokio::time::{Duration, Instant};
use tracing::Instrument as _;

use super::pass::{Pass, Seen, Terms, Turn};
use super::plan::{Mode, ObjectPlan, PartitionPlan};
use super::progress::{Observer, PageWritten};
use super::reconcile::Held;
use super::stop::Stop;
use crate::chaos;
use crate::error::{Error, Kind, Result};
use crate::kit::{KitClient, Meter, Page};
use crate::model::record::Record;
use crate::model::row::Mapping;
use crate::model::{Batch, Endpoint, From, Object, Quarantined};
use crate::store::{Commit, MetStep, Progress, Store, Written};

/// Rows that are gathered before they are committed: v3's pages of 50 are joined. Measured: two to three
/// times faster than a commit a page, and flat from 500 rows up.
const ROWS_PER_COMMIT: usize = 1000;
/// Records of a page that drifted away from what we know that are written down: enough to see what changed.
const DRIFT_NOTED: usize = 100;
/// Rows do not wait longer than this for others to be committed with them.
const GATHERED_FOR: Duration = Duration::from_secs(2);

/// What every extractor of a run shares.
pub struct Context<'c> {
    /// The door to the source.
    pub kit: &'c KitClient,
    /// The door to the database.
    pub store: &'c Store,
    /// Who listens.
    pub observer: &'c dyn Observer,
    /// Whether somebody has asked us to stop.
    pub stop: &'c Stop,
    /// How far behind the watermark incremental passes begin.
    pub overlap: chrono::TimeDelta,
    /// For how long Kit's lists may not show what is there: younger rows are not looked for among the vanished.
    pub visibility_lag: chrono::TimeDelta,
    /// How long a list of members whose count at Kit does not move may be left out.
    pub member_recheck: chrono::TimeDelta,
    /// Mark vanished rows however many there are, and in spite of doubts.
    pub accept_deletions: bool,
    /// Learned from any list: v3's member lists without a state filter show everybody.
    pub plain_lists_show_everybody: &'c AtomicBool,
    /// How many people whom lists of members may hide may still be asked for one by one, in this run as a whole.
    pub look_ups_left: &'c AtomicU64,
}

/// How the reading of a partition ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// Everything was read.
    Complete,
    /// All but people whom the plain list may hide; worth another visit only if no list shows that it hides nobody.
    HiddenLeft,
    /// Somebody asked us to stop; the position is written.
    Stopped,
}

/// What one partition brought.
#[derive(Debug, Clone, Default)]
pub struct Brought {
    /// Pages committed.
    pub pages: u64,
    /// Records read.
    pub records: u64,
    /// What became of them.
    pub written: Written,
    /// Rows that were not met and left alone, and why.
    pub held: Option<Held>,
}

/// Reads one partition to its end, committing as it goes.
pub async fn extract(
    cx: &Context<'_>,
    plan: &ObjectPlan,
    partition: &PartitionPlan,
    run: i64,
    meter: &Meter,
) -> Result<(Ended, Brought)> {
    let mut reading = Reading {
        cx,
        plan,
        partition,
        run,
        meter,
        brought: Brought::default(),
        unwritten: true,
        asked: AtomicU64::new(0),
        stored: None,
        unknown: 0,
    };
    let span = tracing::info_span!("partition", partition = %partition.partition);
    let ended = reading.pages().instrument(span).await?;
    Ok((ended, reading.brought))
}

/// The reading of one partition.
pub(super) struct Reading<'r> {
    pub(super) cx: &'r Context<'r>,
    pub(super) plan: &'r ObjectPlan,
    pub(super) partition: &'r PartitionPlan,
    run: i64,
    pub(super) meter: &'r Meter,
    pub(super) brought: Brought,
    /// Pages asked for.
    asked: AtomicU64,
    /// Nothing of the pass is committed yet.
    pub(super) unwritten: bool,
    /// Members of the list that were stored when this reading began, where it stops at known ones, and people
    /// who are forgotten. These may be in it or not: counting only those who are would need all of it to be read.
    stored: Option<u64>,
    /// Members it has met since that were not.
    unknown: u64,
}

/// Pages that were read and are not committed yet.
pub(super) struct Gathered {
    pub(super) batch: Batch,
    pages: u64,
    since: Instant,
    progress: Option<Progress>,
    /// Ids of rows that are gone at Kit.
    pub(super) gone: Vec<i64>,
}

impl Gathered {
    fn nothing() -> Self {
        let since = Instant::now();
        Gathered { batch: Batch::default(), pages: 0, since, progress: None, gone: Vec::new() }
    }

    /// The position behind what is gathered.
    pub(super) fn is_at(&mut self, progress: Progress) {
        self.progress = Some(progress);
    }

    fn add(&mut self, batch: Batch, progress: Progress) {
        if self.pages == 0 {
            self.since = Instant::now();
        }
        self.batch.join(batch);
        self.pages += 1;
        self.progress = Some(progress);
    }

    /// How long it may wait for another page before it is committed; not at all when there is enough.
    fn may_wait(&self) -> Option<Duration> {
        let left = GATHERED_FOR.checked_sub(self.since.elapsed())?;
        (self.batch.rows.len() < chaos::few(ROWS_PER_COMMIT, 10)).then_some(left)
    }
}

impl Reading<'_> {
    async fn pages(&mut self) -> Result<Ended> {
        let terms = Terms {
            object: self.plan.object,
            endpoint: self.plan.endpoint,
            version: self.cx.kit.version(),
            partition: &self.partition.partition,
            fingerprint: &self.plan.fingerprint,
            overlap: self.cx.overlap,
            now: self.cx.kit.source_now(),
            opened_at: crate::model::time::now(),
            asked: self.partition.asked,
            counted: self.partition.counted,
        };
        let mut pass = Pass::open(&terms, self.partition.state.as_ref());
        self.unwritten = !pass.is_resumed();
        let mapping = Mapping::new(terms.object, terms.endpoint, terms.version, terms.partition);
        let mut gathered = Gathered::nothing();
        let mut fetched: Option<Result<Option<Page>>> = None;
        loop {
            if pass.only_hidden_left() {
                let everybody_shown = self.cx.plain_lists_show_everybody.load(Ordering::Relaxed);
                if everybody_shown {
                    let progress = pass.skip_hidden(self.cx.kit.source_now());
                    let complete = matches!(progress, Progress::Done { .. });
                    gathered.add(Batch::default(), progress);
                    if complete {
                        self.commit(&pass, &mut gathered).await?;
                        return Ok(Ended::Complete);
                    }
                } else if !pass.is_resumed() && !pass.reading().second {
                    self.commit(&pass, &mut gathered).await?;
                    return Ok(Ended::HiddenLeft);
                }
            }
            if pass.is_walked() {
                match self.sweep(&mut pass, &mapping, &mut gathered).await? {
                    Some(ended) => return Ok(ended),
                    None => continue,
                }
            }
            let answer = match fetched.take() {
                Some(answer) => answer,
                None => self.fetch(&pass).await,
            };
            let page = match answer {
                Ok(Some(page)) => page,
                Ok(None) => {
                    self.commit(&pass, &mut gathered).await?;
                    return Ok(Ended::Stopped);
                }
                Err(error) => {
                    // What is read is not thrown away because the following page failed.
                    self.commit(&pass, &mut gathered).await?;
                    if matches!(error.kind(), Kind::SourceBadRequest | Kind::SourceNotFound) {
                        pass.restart(error)?;
                        continue;
                    }
                    return Err(error);
                }
            };
            let batch = mapping.rows(page.records());
            if let Err(error) = refuse_drift(&batch) {
                self.commit(&pass, &mut gathered).await?;
                let notes = batch.quarantined.iter().take(DRIFT_NOTED).cloned().collect();
                self.cx.store.set_aside(self.plan.object, &self.partition.partition, notes).await?;
                return Err(error);
            }
            if let Some(note) = batch.quarantined.iter().find(|note| note.id().is_none()) {
                pass.doubt(|| format!("a record could not be read: {}", note.reason));
            }
            let seen = self.look_at(&pass, &page, &batch).await?;
            let turn = Turn {
                place: &page.place,
                total: page.total,
                served_at: page.served_at,
                records: page.listed,
                batch: &batch,
                seen,
            };
            let progress = pass.absorb(&turn)?;
            drop(page);
            let complete = matches!(progress, Progress::Done { .. });
            gathered.add(batch, progress);
            if complete {
                self.commit(&pass, &mut gathered).await?;
                return Ok(Ended::Complete);
            }
            if self.cx.stop.is_requested() || pass.only_hidden_left() || pass.is_walked() {
                continue;
            }
            let (answer, committed) = self.following(&pass, &mut gathered).await?;
            if let Some((written, commit)) = committed {
                self.told(&pass, written, &commit);
            }
            fetched = Some(answer);
        }
    }

    /// The following page. What is gathered waits for it for a moment, to be committed together with it; when
    /// there is enough, or the answer takes its time, it is committed meanwhile.
    async fn following(
        &self,
        pass: &Pass,
        gathered: &mut Gathered,
    ) -> Result<(Result<Option<Page>>, Option<(Written, Commit)>)> {
        let following = self.fetch(pass);
        tokio::pin!(following);
        if let Some(moment) = gathered.may_wait()
            && let Ok(answer) = tokio::time::timeout(moment, &mut following).await
        {
            return Ok((answer, None));
        }
        let (committed, answer) = tokio::join!(self.committing(pass, gathered), following);
        Ok((answer, Some(committed?)))
    }

    /// The next page with its records complete, or nothing when somebody asked us to stop meanwhile.
    async fn fetch(&self, pass: &Pass) -> Result<Option<Page>> {
        let request = pass.request();
        let span = tracing::info_span!("page", page = self.asked.fetch_add(1, Ordering::Relaxed) + 1);
        let fetching = async {
            let page = self.cx.kit.page(&request, self.meter).await?;
            match self.plan.endpoint.detail {
                Some(_) => self.completed(pass, page).await,
                None => Ok(page),
            }
        };
        tokio::select! {
            // In this order: after the wish to stop no request is begun, however fast Kit answers.
            biased;
            () = self.cx.stop.requested() => Ok(None),
            page = fetching.instrument(span) => page.map(Some),
        }
    }

    /// Replaces stubs by whole records: all of them in a full load, else those that are not stored yet.
    async fn completed(&self, pass: &Pass, page: Page) -> Result<Page> {
        let Some(detail) = &self.plan.endpoint.detail else { return Ok(page) };
        let ids: Vec<Option<i64>> = page.records().map(id_of).collect();
        let known = match pass.mode() {
            Mode::Full | Mode::Reconcile => Default::default(),
            Mode::Incremental => {
                let ids: Vec<i64> = ids.iter().flatten().copied().collect();
                self.cx.store.known(self.plan.object, &ids, None).await?
            }
        };
        let mut records = Vec::with_capacity(ids.len());
        for (stub, id) in page.records().zip(ids) {
            match id {
                Some(id) if !known.contains(&id) => {
                    // Gone between list and look-up: not an error, and nothing to store.
                    records.extend(self.cx.kit.record(detail, id, self.meter).await?);
                }
                _ => records.push(stub.to_owned()),
            }
        }
        Ok(page.with_records(records))
    }

    /// What the pass has to know about a page that only the database or the records can tell.
    async fn look_at(&mut self, pass: &Pass, page: &Page, batch: &Batch) -> Result<Seen> {
        let mut seen = Seen::default();
        if pass.asks_for_known()
            && let Some(completed) = self.partition.state.as_ref().and_then(|state| state.completed_at)
            && let Some((column, value)) = known_as(self.plan.endpoint)
        {
            let ids: Vec<i64> =
                batch.rows.iter().filter_map(|row| row.key(self.plan.object).last().copied()).collect();
            let known = self.cx.store.known(self.plan.object, &ids, Some((column, value, completed))).await?;
            let known = ids.iter().filter(|id| known.contains(id)).count();
            let stored = match self.stored {
                Some(stored) => stored,
                None => {
                    let forgotten = self.cx.store.forgotten().await?.len() as u64;
                    self.cx.store.count_where(self.plan.object, column, value).await? + forgotten
                }
            };
            self.stored = Some(stored);
            self.unknown += (ids.len() - known) as u64;
            // A list that has more members than are stored hides somebody behind the known ones: a row that
            // became visible late.
            seen.known = page.total.is_none_or(|total| total <= stored + self.unknown).then_some(known);
        }
        if let Some((query, place)) = self.plan.endpoint.hidden {
            let proven = &self.cx.plain_lists_show_everybody;
            // Proof is somebody in the very state that the query for hidden people asks for.
            let hidden = |record| query.iter().any(|(_, state)| is_in_state(record, place, state));
            seen.others =
                proven.load(Ordering::Relaxed) || (!pass.reads_hidden() && page.records().any(hidden));
            if seen.others {
                proven.store(true, Ordering::Relaxed);
            }
        }
        Ok(seen)
    }

    pub(super) async fn commit(&mut self, pass: &Pass, gathered: &mut Gathered) -> Result<()> {
        if gathered.progress.is_none() {
            return Ok(());
        }
        let (written, commit) = self.committing(pass, gathered).await?;
        self.told(pass, written, &commit);
        Ok(())
    }

    async fn committing(&self, pass: &Pass, gathered: &mut Gathered) -> Result<(Written, Commit)> {
        let taken = std::mem::replace(gathered, Gathered::nothing());
        let progress = taken.progress.ok_or_else(|| Error::new(Kind::Internal, "nothing was gathered"))?;
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
        };
        let written = self.cx.store.commit_page(commit.clone()).await?;
        Ok((written, commit))
    }

    fn told(&mut self, pass: &Pass, written: Written, commit: &Commit) {
        let records = commit.batch.read as u64;
        self.unwritten = false;
        self.brought.pages += commit.pages;
        self.brought.records += records;
        self.brought.written += written;
        self.cx.observer.page_written(&PageWritten {
            object: self.plan.object.name,
            partition: &self.partition.partition,
            pages: commit.pages,
            records,
            written,
            extent: pass.extent(),
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
    }
}

/// Ids of the rows that a batch shows to be there, those of records that could not be stored included.
pub(super) fn met(batch: &Batch, object: &Object) -> Vec<i64> {
    let stored = batch.rows.iter().filter_map(|row| row.key(object).last().copied());
    stored.chain(batch.quarantined.iter().filter_map(Quarantined::id)).collect()
}

/// Too much of a page cannot be stored: the API has changed, and going on would fill the quarantine
/// while the watermark passes by.
fn refuse_drift(batch: &Batch) -> Result<()> {
    let lost = batch.lost();
    let many = lost * 20 > batch.read && (lost >= 10 || (lost == batch.read && lost >= 3));
    if !many {
        return Ok(());
    }
    let reason = batch.quarantined.iter().find(|note| !note.row_kept).map_or("", |note| note.reason.as_str());
    Err(Error::new(
        Kind::SchemaDrift,
        format!(
            "{lost} of {} records of a page could not be stored, the first because of {reason}",
            batch.read
        ),
    ))
}

fn known_as(endpoint: &Endpoint) -> Option<(&'static str, &'static str)> {
    endpoint.fresh.iter().find_map(|fresh| match fresh {
        crate::model::Fresh::UntilKnown { known, .. } => Some(*known),
        _ => None,
    })
}

fn id_of(record: &str) -> Option<i64> {
    Record::parse(record).ok()?.get("id")?.get().trim_matches('"').parse().ok()
}

fn is_in_state(record: &str, place: From, state: &str) -> bool {
    let text = |record: &Record<'_>, name: &str| {
        record.get(name).and_then(|raw| crate::model::text::decode(raw.get()))
    };
    let Ok(record) = Record::parse(record) else { return false };
    let found = match place {
        From::Member(name) => text(&record, name),
        From::Inner(outer, inner) => record
            .get(outer)
            .and_then(|raw| Record::parse(raw.get()).ok())
            .and_then(|inside| text(&inside, inner)),
        From::Nowhere | From::Parent => None,
    };
    found.is_some_and(|found| found == state)
}
