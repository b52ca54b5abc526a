//! The loop over the pages of one partition, readable from top to bottom.

use futures_util::FutureExt as _;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use tracing::Instrument as _;

use super::asked::{Answered, Asked};
use super::fetch::fetch;
use super::gathered::{Gathered, MOST_BYTES, UnderWay};
use super::pass::{End, Pass, Seen, Terms, Turn};
use super::permits::Permits;
use super::plan::{ObjectPlan, PartitionPlan};
use super::progress::Observer;
use super::reconcile::Held;
use super::stop::Stop;
use crate::error::{Error, Kind, Result};
use crate::kit::{Account, Expected, KitClient, Meter, Page, Patience};
use crate::model::record::Record;
use crate::model::{Batch, Endpoint, From, Mapping};
use crate::store::{Meanwhile, Progress, Store, Written};

/// Records of a page that drifted away from what we know that are written down: enough to see what changed.
const DRIFT_NOTED: usize = 100;

/// What every extractor of a run shares.
#[derive(Clone, Copy)]
pub struct Context<'c> {
    /// The door to the source.
    pub kit: &'c KitClient,
    /// The door to the database.
    pub store: &'c Store,
    /// Who listens.
    pub observer: &'c dyn Observer,
    /// Whether somebody has asked us to stop.
    pub stop: &'c Stop,
    /// One for each list that is read.
    pub permits: &'c Permits,
    /// What the limiter was told about this run: as much as is known of how long its lists are.
    pub job: Option<&'c Expected<'c>>,
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

impl Context<'_> {
    /// The run turns out to need so many requests more.
    pub(super) fn needs(&self, more: u64) {
        if let Some(job) = self.job {
            job.raise(more);
        }
    }

    /// Asks for the account, to tell whether Kit does not answer at all, or not for what was asked before. Nothing comes
    /// back when somebody asks us to stop meanwhile.
    pub(super) async fn account(&self, meter: &Meter) -> Option<Result<Account>> {
        tokio::select! {
            biased;
            () = self.stop.requested() => None,
            asked = self.kit.account(Patience::FIRST_CONTACT, meter) => Some(asked),
        }
    }
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
        under_way: None,
        pages: 0,
        meanwhile: cx.store.meanwhile(),
        bytes: 0,
        stored: None,
        unknown: 0,
    };
    let span = tracing::info_span!("partition", partition = %partition.partition);
    let ended = async {
        let ended = reading.pages().await;
        // An error of the database counts more than that which ended the reading meanwhile.
        reading.settle().await.and(ended)
    };
    let ended = ended.instrument(span).await?;
    Ok((ended, reading.brought))
}

/// The reading of one partition.
pub(super) struct Reading<'r> {
    pub(super) cx: &'r Context<'r>,
    pub(super) plan: &'r ObjectPlan,
    pub(super) partition: &'r PartitionPlan,
    pub(super) run: i64,
    pub(super) meter: &'r Meter,
    pub(super) brought: Brought,
    /// How many pages were asked for.
    pages: u64,
    /// From before the one that came last was.
    meanwhile: Meanwhile,
    /// How large that was.
    bytes: usize,
    /// Nothing of the pass is committed, or being committed.
    pub(super) unwritten: bool,
    /// The commit that is being made while reading goes on.
    pub(super) under_way: Option<UnderWay>,
    /// Members of the list that were stored when this reading began, where it stops at known ones, and people
    /// who are forgotten. These may be in it or not: counting only those who are would need all of it to be read.
    stored: Option<u64>,
    /// Members it has met since that were not.
    unknown: u64,
}

impl<'r> Reading<'r> {
    async fn pages(&mut self) -> Result<Ended> {
        let terms = self.terms();
        let mut pass = Pass::open(&terms, self.partition.state.as_ref());
        self.unwritten = !pass.is_resumed();
        if pass.is_resumed() {
            self.cx.needs(pass.pages_left());
        }
        let mapping = Mapping::new(terms.object, terms.endpoint, terms.version, terms.partition);
        let mut gathered = Gathered::nothing();
        let mut asked = Asked::default();
        loop {
            if pass.only_hidden_left()
                && let Some(ended) = self.leave_hidden(&mut pass, &mut gathered).await?
            {
                return Ok(ended);
            }
            if pass.is_walked() {
                match self.sweep(&mut pass, &mapping, &mut gathered).await? {
                    Some(ended) => return Ok(ended),
                    None => continue,
                }
            }
            let Answered { end, answer, meanwhile } =
                self.following(&pass, &mut asked, &mut gathered).await?;
            self.meanwhile = meanwhile;
            let page = match answer {
                Ok(Some(page)) => page,
                Ok(None) => {
                    asked.forget();
                    // What a slow database had no time for is read again by the next run: a stop is not to wait for it.
                    match &self.under_way {
                        Some(_) => self.settle().await?,
                        None => self.commit(&pass, &mut gathered).await?,
                    }
                    return Ok(Ended::Stopped);
                }
                // If it is about more than the far end, the near one meets it as well.
                Err(error) if end == End::Far => {
                    tracing::debug!("The far end fails: {}", error.one_line());
                    pass.give_up_far();
                    continue;
                }
                Err(error) => {
                    asked.forget();
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
                if end == End::Far {
                    pass.give_up_far();
                    continue;
                }
                asked.forget();
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
                following: &page.following,
                total: page.total,
                served_at: page.served_at,
                records: page.listed,
                batch: &batch,
                seen,
            };
            if pass.shows_its_length() {
                self.cx.needs(page.others());
            }
            let progress = match end {
                End::Near => pass.absorb(&turn)?,
                End::Far => pass.absorb_far(&turn),
            };
            drop(page);
            asked.only_for(&pass);
            let complete = matches!(progress, Progress::Done { .. });
            self.bytes = batch.bytes();
            gathered.add(batch, progress, self.meanwhile.clone());
            if complete {
                self.commit(&pass, &mut gathered).await?;
                return Ok(Ended::Complete);
            }
        }
    }

    /// What its pass is made of, as of now.
    fn terms(&self) -> Terms<'r> {
        Terms {
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
        }
    }

    /// Nobody is left to be read but people whom the plain list may hide: they are passed over if some list has shown
    /// that it hides nobody, and left for another visit if this is the first. Nothing comes back when the pass has more
    /// to do.
    async fn leave_hidden(&mut self, pass: &mut Pass, gathered: &mut Gathered) -> Result<Option<Ended>> {
        if self.cx.plain_lists_show_everybody.load(Ordering::Relaxed) {
            let progress = pass.skip_hidden(self.cx.kit.source_now());
            let complete = matches!(progress, Progress::Done { .. });
            gathered.add(Batch::default(), progress, self.meanwhile.clone());
            if complete {
                self.commit(pass, gathered).await?;
                return Ok(Some(Ended::Complete));
            }
        } else if !pass.is_resumed() && !pass.reading().second {
            self.commit(pass, gathered).await?;
            return Ok(Some(Ended::HiddenLeft));
        }
        Ok(None)
    }

    /// The following page. What is gathered is committed meanwhile, as soon as there is enough of it or nothing came to
    /// join it for a moment; while a commit is under way more is gathered, up to a bound. So neither Kit waits for the
    /// database nor the database for Kit, and the slower the database, the larger the commits.
    async fn following(
        &mut self,
        pass: &Pass,
        asked: &mut Asked<'r>,
        gathered: &mut Gathered,
    ) -> Result<Answered> {
        asked.only_for(pass);
        loop {
            if self.under_way.is_none() || !gathered.is_full() {
                self.ask(pass, asked);
            }
            if let Some(under_way) = &mut self.under_way {
                tokio::select! {
                    biased;
                    written = &mut under_way.making => self.made(written)?,
                    answered = asked.next() => return Ok(answered),
                }
            } else if let Some(moment) = gathered.may_wait() {
                match tokio::time::timeout(moment, asked.next()).await {
                    Ok(answered) => return Ok(answered),
                    Err(_) => self.begin(pass, gathered),
                }
            } else {
                self.begin(pass, gathered);
            }
        }
    }

    /// Asks for what the pass wants next and is not on its way.
    fn ask(&mut self, pass: &Pass, asked: &mut Asked<'r>) {
        for end in [End::Near, End::Far] {
            // Pages of many custom fields are kept in memory one at a time.
            let fits = asked.count() == 0 || self.bytes * 2 <= MOST_BYTES;
            if asked.is_at(end) || !fits || !pass.wants(end, asked.count()) {
                continue;
            }
            self.pages += 1;
            let meanwhile = self.cx.store.meanwhile();
            let span = tracing::info_span!("page", page = self.pages);
            let request = pass.request_at(end);
            let page = fetch(self.cx, self.plan, self.meter, pass.mode(), request).instrument(span);
            asked.begin(end, page.boxed(), meanwhile);
        }
    }

    /// What the pass has to know about a page that only the database or the records can tell.
    async fn look_at(&mut self, pass: &Pass, page: &Page, batch: &Batch) -> Result<Seen> {
        let mut seen = Seen::default();
        if pass.asks_for_known()
            && let Some(completed) = self.partition.state.as_ref().and_then(|state| state.completed_at)
            && let Some((column, value)) = known_as(self.plan.endpoint)
        {
            let ids: Vec<i64> = batch.ids(self.plan.object).collect();
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
        if let Some((query, held_in)) = self.plan.endpoint.hidden {
            let proven = &self.cx.plain_lists_show_everybody;
            // Proof is somebody in the very state that the query for hidden people asks for.
            let hidden = |record| query.iter().any(|(_, state)| is_in_state(record, held_in, state));
            seen.others =
                proven.load(Ordering::Relaxed) || (!pass.reads_hidden() && page.records().any(hidden));
            if seen.others {
                proven.store(true, Ordering::Relaxed);
            }
        }
        Ok(seen)
    }
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

/// Whether a record says that its person is in that state; `held_in` is where it would say so.
fn is_in_state(record: &str, held_in: From, state: &str) -> bool {
    let text = |record: &Record<'_>, name: &str| {
        record.get(name).and_then(|raw| crate::model::text::decode(raw.get()))
    };
    let Ok(record) = Record::parse(record) else { return false };
    let found = match held_in {
        From::Member(name) => text(&record, name),
        From::Inner(outer, inner) => record
            .get(outer)
            .and_then(|raw| Record::parse(raw.get()).ok())
            .and_then(|inside| text(&inside, inner)),
        From::Nowhere | From::Parent => None,
    };
    found.is_some_and(|found| found == state)
}
