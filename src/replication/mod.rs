//! Replication: one run over the chosen objects. Families of objects are read side by side; each object is planned, its
//! partitions are read side by side, and its account is closed. What a pass is, is in `pass`; how pages travel, in
//! `extractor`.

pub mod compare;
pub mod cost;
mod extractor;
mod families;
mod fetch;
#[cfg(any(test, feature = "fuzzing"))]
#[path = "../fuzzing/replication.rs"]
pub(crate) mod fuzzing;
mod gathered;
pub mod pass;
#[cfg(test)]
mod pass_model;
pub mod plan;
mod progress;
mod reconcile;
mod stop;
mod tally;
mod walk;
#[cfg(test)]
mod watermark_model;

pub use crate::store::Whole;
pub use extractor::{Brought, Context, Ended};
pub use plan::Mode;
pub use progress::{Observer, PageWritten, Silent};
pub use reconcile::Held;
pub use stop::Stop;

use futures_util::StreamExt as _;
use futures_util::future::join_all;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tracing::Instrument as _;

use crate::chaos::{self, Place};
use crate::error::{Error, Kind, Result};
use crate::kit::{Expected, Meter, Patience};
use crate::model::{ApiVersion, Object, Source, objects};
use crate::store::{Counts, Outcome, Store};
use plan::{ObjectPlan, Parent, PartitionPlan, Stillness};
use tally::Tally;

/// What a run is asked to do.
#[derive(Debug, Clone)]
pub struct Request {
    /// The objects, in the order of running; parents are among them.
    pub objects: Vec<&'static Object>,
    /// Read everything again, whatever the state allows. One that was cut short is gone on with.
    pub whole: Option<Whole>,
    /// Mark vanished rows however many there are, and in spite of doubts.
    pub accept_deletions: bool,
}

impl Request {
    /// To bring these objects up to date.
    pub fn of(objects: Vec<&'static Object>) -> Self {
        Request { objects, whole: None, accept_deletions: false }
    }
}

/// What became of one object.
#[derive(Debug, Clone, serde::Serialize)]
pub struct ObjectReport {
    /// Its name.
    pub object: &'static str,
    /// The greatest mode in which one of its partitions was read.
    pub mode: Mode,
    /// How it ended.
    pub outcome: Outcome,
    /// What it cost and moved.
    #[serde(flatten)]
    pub counts: Counts,
    /// How long it took, in milliseconds.
    pub duration_ms: u64,
    /// The first error, in one line.
    pub error: Option<String>,
    /// What to do about it.
    pub advice: Option<&'static str>,
    /// The exit code it asks for.
    #[serde(skip)]
    pub exit_code: u8,
}

/// What became of a run.
#[derive(Debug, Default)]
pub struct Report {
    /// The objects that were begun, in order.
    pub objects: Vec<ObjectReport>,
    /// What ended the run before its time.
    pub ended_by: Option<Error>,
    /// Whether a stop was asked for before the work was complete.
    pub stopped: bool,
}

impl Report {
    /// The sum over all objects.
    pub fn total(&self) -> Counts {
        let mut sum = Counts::default();
        for report in &self.objects {
            sum.requests += report.counts.requests;
            sum.retries += report.counts.retries;
            sum.pages += report.counts.pages;
            sum.rows_read += report.counts.rows_read;
            sum.rows_inserted += report.counts.rows_inserted;
            sum.rows_updated += report.counts.rows_updated;
            sum.rows_deleted += report.counts.rows_deleted;
            sum.rows_quarantined += report.counts.rows_quarantined;
        }
        sum
    }

    /// Whether every object that was asked for is complete, with every record stored.
    pub fn is_complete(&self) -> bool {
        self.ended_by.is_none()
            && !self.stopped
            && self.objects.iter().all(|report| report.outcome == Outcome::Complete)
    }
}

/// Runs the objects, parents before children. An error of one object leaves the others running, unless it would be
/// theirs as well.
///
/// # Errors
/// None are returned: they are in the report, and in `sync_state` where they belong to an object.
pub async fn run(cx: &Context<'_>, request: &Request) -> Report {
    let job = match prepare(cx, request).await {
        Ok(job) => job,
        Err(error) => return Report { ended_by: Some(error), ..Report::default() },
    };
    // An error that ends the run ends all families.
    let over = cx.stop.within();
    let within = Context { stop: &over, ..*cx };
    let ended_by = Mutex::new(None);
    let families = if job.in_turn { vec![request.objects.clone()] } else { families::of(&request.objects) };
    let read = join_all(families.iter().map(|family| read_family(&within, family, &ended_by))).await;
    let mut report = Report { objects: read.concat(), ..Report::default() };
    report.ended_by = ended_by.into_inner().unwrap_or_else(PoisonError::into_inner);
    report.objects.sort_by_key(|one| request.objects.iter().position(|object| object.name == one.object));
    let wanted = request.objects.iter().filter(|object| !matches!(object.source, Source::ViewOf(_))).count();
    let done = report.objects.iter().filter(|one| one.outcome != Outcome::Stopped).count();
    report.stopped = cx.stop.is_requested() && done < wanted;
    report
}

/// Runs objects one after the other. The first error that must end the whole run is put into `ended_by`.
async fn read_family(
    cx: &Context<'_>,
    family: &[&'static Object],
    ended_by: &Mutex<Option<Error>>,
) -> Vec<ObjectReport> {
    let mut reports: Vec<ObjectReport> = Vec::new();
    for object in family {
        if cx.stop.is_requested() {
            break;
        }
        // Children take their parents from the table; it is not what it should be if reading them failed.
        let read = object.parent().and_then(|parent| reports.iter().find(|one| one.object == parent.name));
        let fresh = read.is_some_and(|one| one.outcome.is_whole());
        let orphaned = object.parent().filter(|_| read.is_some() && !fresh);
        let span = tracing::info_span!("object", object = %object.name);
        let fatal = match sync_object(cx, object, fresh, orphaned).instrument(span).await {
            Ok(None) => None,
            Ok(Some((report, fatal))) => {
                reports.push(report);
                fatal
            }
            Err(error) => Some(error.about(object.name)),
        };
        if let Some(fatal) = fatal {
            lock(ended_by).get_or_insert(fatal);
            cx.stop.request();
            break;
        }
    }
    reports
}

/// What is known of a run before it begins.
struct Job<'c> {
    _expected: Expected<'c>,
    /// All objects are read one after the other. A reconcile marks memberships of people who are gone, and no list of this
    /// run may show them as they were before; v3's lists learn from each other what they need not ask.
    in_turn: bool,
}

/// Notes a requested full load, and one that is needed because a table was emptied; tells the limiter how
/// long the job is.
async fn prepare<'c>(cx: &Context<'c>, request: &Request) -> Result<Job<'c>> {
    for table in emptied_tables(cx.store).await? {
        tracing::warn!("The table {table} was emptied; loading it again");
        // Whoever writes to it, asked for now or not: once there are rows again, nobody could tell.
        let writers = objects::ALL.iter().filter(|object| object.table == table).copied().collect();
        cx.store.reload(writers).await?;
    }
    let mut expected: u64 = 0;
    let mut in_turn = cx.kit.version() == ApiVersion::V3;
    for object in &request.objects {
        if matches!(object.source, Source::ViewOf(_)) {
            continue;
        }
        if let Some(whole) = request.whole {
            cx.store.request(object, whole).await?;
        }
        let Some(plan) = plan_object(cx, object, true).await? else { continue };
        let unfinished = plan.partitions.iter().filter_map(|partition| partition.state.as_ref());
        in_turn |= plan.mode == Mode::Reconcile || unfinished.into_iter().any(pass::reconciles);
        let walks = plan.endpoint.fresh.len().max(1) as u64;
        expected = expected.saturating_add(match plan.mode {
            Mode::Incremental => plan.partitions.len() as u64 * walks,
            // How long a full load is, only its pages will tell.
            Mode::Full | Mode::Reconcile => u64::from(u32::MAX),
        });
    }
    Ok(Job { _expected: cx.kit.limiter().expect(expected), in_turn })
}

/// Tables that are empty although rows were stored in them. Rows and progress live in one database, so this
/// is no restored backup: somebody emptied them, and an incremental run would never bring the rows back.
async fn emptied_tables(store: &Store) -> Result<Vec<&'static str>> {
    let mut emptied = Vec::new();
    for object in objects::tables() {
        let mut claimed = 0;
        for writer in objects::ALL.iter().filter(|writer| writer.table == object.table) {
            claimed += store.states(writer).await?.iter().map(|state| state.rows).sum::<i64>();
        }
        if claimed > 0 && !store.has_rows(object).await? {
            emptied.push(object.table);
        }
    }
    Ok(emptied)
}

/// `fresh`: the parents' counts are fresh, so that lists whose count has not moved can be left out.
async fn plan_object(cx: &Context<'_>, object: &'static Object, fresh: bool) -> Result<Option<ObjectPlan>> {
    #[cfg_attr(not(feature = "chaos"), expect(unused_mut, reason = "a planted bug changes it"))]
    let mut states = cx.store.states(object).await?;
    #[cfg(feature = "chaos")]
    if chaos::planted(chaos::Bug::OneWatermark)
        && let Some(parent) = object.parent()
    {
        plan::share_one_watermark(&mut states, &cx.store.ids(parent).await?);
    }
    let version = cx.kit.version();
    // v3 does not count; what is stored is of another time.
    let counts = version == ApiVersion::V4;
    let parents: Vec<Parent> = match object.parent() {
        Some(parent) => cx.store.parents(parent).await?,
        None => Vec::new(),
    }
    .into_iter()
    .map(|(id, counted)| Parent { id, counted: counted.filter(|_| counts) })
    .collect();
    let still = Stillness {
        now: crate::model::time::now(),
        visibility_lag: cx.visibility_lag,
        member_recheck: cx.member_recheck,
    };
    Ok(plan::object(object, version, states, &parents, Some(still).filter(|_| counts && fresh)))
}

/// One object. Gives the error that must end the whole run, if there was one, beside the report.
async fn sync_object(
    cx: &Context<'_>,
    object: &'static Object,
    fresh: bool,
    orphaned: Option<&'static Object>,
) -> Result<Option<(ObjectReport, Option<Error>)>> {
    let Some(plan) = plan_object(cx, object, fresh).await? else { return Ok(None) };
    read_object(cx, &plan, true, orphaned).await.map(Some)
}

/// Reads again just these partitions of these objects, as a reconcile does: for what `compare` has found to differ.
///
/// # Errors
/// None are returned, as by [`run`].
pub async fn repair(cx: &Context<'_>, wanted: &[(&'static Object, Vec<String>)]) -> Report {
    let mut report = Report::default();
    for (object, names) in wanted {
        if cx.stop.is_requested() {
            break;
        }
        let read = async {
            let Some(mut plan) = plan_object(cx, object, false).await? else { return Ok(None) };
            plan.partitions.retain(|partition| names.contains(&partition.partition));
            for partition in &mut plan.partitions {
                partition.asked = Mode::Reconcile;
                // From the beginning: what an unfinished pass has read before may be what differs.
                partition.state.iter_mut().for_each(|state| state.checkpoint = None);
            }
            plan.mode = Mode::Reconcile;
            read_object(cx, &plan, false, None).await.map(Some)
        };
        match read.await {
            Ok(None) => {}
            Ok(Some((one, fatal))) => {
                report.objects.push(one);
                report.ended_by = fatal;
            }
            Err(error) => report.ended_by = Some(error.about(object.name)),
        }
        if report.ended_by.is_some() {
            break;
        }
    }
    report.stopped = cx.stop.is_requested() && report.objects.len() < wanted.len();
    report
}

/// Reads the partitions of a plan; `whole` says that these are all there are.
async fn read_object(
    cx: &Context<'_>,
    plan: &ObjectPlan,
    whole: bool,
    orphaned: Option<&'static Object>,
) -> Result<(ObjectReport, Option<Error>)> {
    let object = plan.object;
    let started = Instant::now();
    let began_at = cx.kit.source_now();
    let meter = Arc::new(Meter::default());
    let run = cx.store.begin_run(object, plan.mode.name()).await?;
    chaos::reach(Place::RunBegun).await;
    cx.observer.object_started(object.name, plan.partitions.len(), &meter);
    let tally = Mutex::new(Tally::default());
    partitions(cx, plan, &plan.partitions, run, &meter, &tally).await;
    if !lock(&tally).hidden_left.is_empty() && !lock(&tally).is_over(cx) {
        let again = std::mem::take(&mut lock(&tally).hidden_left);
        let states = cx.store.states(object).await?;
        let again: Vec<PartitionPlan> = plan
            .partitions
            .iter()
            .filter(|partition| again.contains(&partition.partition))
            .map(|partition| PartitionPlan {
                state: states.iter().find(|state| state.partition == partition.partition).cloned(),
                ..partition.clone()
            })
            .collect();
        partitions(cx, plan, &again, run, &meter, &tally).await;
    }
    chaos::reach(Place::PartitionsRead).await;
    let mut tally = tally.into_inner().unwrap_or_else(PoisonError::into_inner);
    if let Some(parent) = orphaned {
        let what = format!(
            "the list of {} could not be read, so it is not known whose members there are",
            parent.name
        );
        tally.first.get_or_insert(Error::new(Kind::ParentsUnknown, what).about(object.name));
        tally.failed += 1;
    }
    let outcome = tally.outcome();
    match (outcome, &tally.first) {
        (Outcome::Complete | Outcome::Incomplete, _) if whole && object.parent().is_some() => {
            cx.store.complete_object(object, began_at, tally.swept(plan)).await?;
            chaos::reach(Place::ObjectCompleted).await;
        }
        (Outcome::Unavailable, Some(error)) => cx.store.note_error(object, "", error, true).await?,
        _ => {}
    }
    let meter = (meter.requests(), meter.retries());
    let error = tally.fatal.as_ref().or(tally.first.as_ref());
    let one_line = error.map(Error::one_line);
    // Best effort where the database itself is what failed.
    let closed = cx.store.end_run(run, plan.mode.name(), outcome, meter, one_line.clone()).await;
    if let (Err(error), None) = (closed, &tally.fatal) {
        return Err(error);
    }
    let brought = tally.brought;
    let report = ObjectReport {
        object: object.name,
        mode: plan.mode,
        outcome,
        counts: Counts {
            requests: meter.0,
            retries: meter.1,
            pages: brought.pages,
            rows_read: brought.records,
            rows_inserted: brought.written.inserted,
            rows_updated: brought.written.updated,
            rows_deleted: brought.written.deleted,
            rows_quarantined: brought.written.quarantined,
        },
        duration_ms: started.elapsed().as_millis() as u64,
        error: one_line,
        advice: error.map(Error::advice),
        exit_code: error.map_or(0, |error| error.kind().policy().exit_code),
    };
    log(&report);
    cx.observer.object_done(&report);
    Ok((report, tally.fatal))
}

/// Reads partitions side by side until all are done, or an error or a stop ends it. How many, all families together, is
/// bounded by what it takes to hide the time that Kit needs to answer; the rate is the limiter's.
async fn partitions(
    cx: &Context<'_>,
    plan: &ObjectPlan,
    partitions: &[PartitionPlan],
    run: i64,
    meter: &Meter,
    tally: &Mutex<Tally>,
) {
    futures_util::stream::iter(partitions)
        .for_each_concurrent(cx.kit.limiter().in_flight(), |partition| async move {
            let turn = cx.lists.acquire().await;
            if turn.is_err() || lock(tally).is_over(cx) {
                lock(tally).unread = true;
                return;
            }
            let result = extractor::extract(cx, plan, partition, run, meter).await;
            let result = match result {
                Err(error)
                    if error.kind() == Kind::SourceRefused
                        && !std::mem::replace(&mut lock(tally).key_doubted, true) =>
                {
                    Err(rejected_key(cx, meter).await.unwrap_or(error))
                }
                result => result,
            };
            let result = result.map_err(|error| error.about(subject(plan.object, &partition.partition)));
            let noted = match &result {
                Ok(_) => Ok(()),
                // Deleted between listing the parents and reading this one. Not an error.
                Err(error) if error.kind() == Kind::SourceNotFound && plan.object.parent().is_some() => {
                    let name = subject(plan.object, &partition.partition);
                    tracing::info!(object.name = plan.object.name, "{name} is gone at Kit; left out");
                    cx.store.leave_out(plan.object, &partition.partition).await
                }
                Err(error) => cx.store.note_error(plan.object, &partition.partition, error, false).await,
            };
            if result.as_ref().is_ok_and(|(ended, _)| *ended == Ended::Complete) {
                cx.observer.partition_done(plan.object.name, &partition.partition);
            }
            let mut tally = lock(tally);
            tally.take(plan.object, &partition.partition, result);
            if let Err(error) = noted {
                tally.fatal.get_or_insert(error);
            }
        })
        .await;
}

/// Refused for this object, or was the key revoked? The account request tells them apart.
async fn rejected_key(cx: &Context<'_>, meter: &Meter) -> Option<Error> {
    let asked = cx.kit.account(Patience::FIRST_CONTACT, meter).await;
    asked.err().filter(|error| error.kind() == Kind::SourceRejectedKey)
}

/// `tags/42`, or `tags` for a whole list.
fn subject(object: &Object, partition: &str) -> String {
    if partition.is_empty() { object.name.to_owned() } else { format!("{}/{partition}", object.name) }
}

/// One line per run and object.
fn log(report: &ObjectReport) {
    let took = Duration::from_millis(report.duration_ms);
    let counts = &report.counts;
    let line = format!(
        "{}: {} {}, {} read, {} new, {} changed, {} gone, {} requests in {:.1} s",
        report.object,
        report.mode.name(),
        report.outcome.name(),
        counts.rows_read,
        counts.rows_inserted,
        counts.rows_updated,
        counts.rows_deleted,
        counts.requests,
        took.as_secs_f64()
    );
    match (&report.error, report.advice) {
        (Some(error), advice) => {
            tracing::error!(
                object.name = report.object,
                run.outcome = report.outcome.name(),
                "{line}. {error}. {}",
                advice.unwrap_or("")
            );
        }
        (None, _) => tracing::info!(
            object.name = report.object,
            run.outcome = report.outcome.name(),
            run.mode = report.mode.name(),
            run.rows_read = counts.rows_read,
            run.rows_inserted = counts.rows_inserted,
            run.rows_updated = counts.rows_updated,
            run.rows_deleted = counts.rows_deleted,
            run.rows_quarantined = counts.rows_quarantined,
            run.requests = counts.requests,
            run.duration_ms = report.duration_ms,
            "{line}"
        ),
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
