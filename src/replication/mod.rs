//! Replication: one run over the chosen objects, families of them side by side. How one is read, is in `object`; what a
//! pass is, in `pass`; how pages travel, in `extractor`.

mod asked;
pub mod compare;
pub mod cost;
mod endless;
mod extractor;
mod families;
mod fetch;
#[cfg(any(test, feature = "fuzzing"))]
#[path = "../fuzzing/replication.rs"]
pub(crate) mod fuzzing;
mod gathered;
mod object;
pub mod pass;
#[cfg(test)]
mod pass_model;
mod permits;
pub mod plan;
mod progress;
mod reconcile;
mod repair;
mod stop;
mod tally;
mod walk;
#[cfg(test)]
mod watermark_model;

pub use crate::store::Whole;
pub use extractor::{Brought, Context, Ended};
pub use permits::Permits;
pub use plan::Mode;
pub use progress::{Observer, PageWritten, Silent};
pub use reconcile::Held;
pub use repair::repair;
pub use stop::Stop;

use futures_util::future::join_all;
use parking_lot::Mutex;
use tracing::Instrument as _;

#[cfg(feature = "chaos")]
use crate::chaos;
use crate::error::{Error, Result};
use crate::kit::Expected;
use crate::model::{ApiVersion, Object, Source, objects};
use crate::store::{Counts, Outcome, Store};
use plan::{ObjectPlan, Parent, Stillness};

/// What a run is asked to do.
#[derive(Debug, Clone)]
pub struct Request {
    /// The objects, in the order of running; parents are among them.
    pub objects: Vec<&'static Object>,
    /// Read everything again, whatever the state allows. Lists that an earlier one has not finished are resumed.
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
        self.objects.iter().map(|report| report.counts).sum()
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
    let within = Context { stop: &over, job: Some(&job.expected), ..*cx };
    let ended_by = Mutex::new(None);
    let families = if job.in_turn { vec![request.objects.clone()] } else { families::of(&request.objects) };
    let read = join_all(families.iter().map(|family| read_family(&within, family, &ended_by))).await;
    let mut report = Report { objects: read.concat(), ..Report::default() };
    report.ended_by = ended_by.into_inner();
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
            ended_by.lock().get_or_insert(fatal);
            cx.stop.request();
            break;
        }
    }
    reports
}

/// What is known of a run before it begins.
struct Job<'c> {
    expected: Expected<'c>,
    /// All objects are read one after the other. What a reconcile marks with the people who are gone, it need not look
    /// for in their lists; v3's lists learn from each other what they need not ask.
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
        in_turn |= plan.mode == Mode::Reconcile;
        if plan.mode >= Mode::Full {
            cx.store.put_off_indexes(object).await?;
        }
        let walks = plan.endpoint.fresh.len().max(1) as u64;
        expected = expected.saturating_add(match plan.mode {
            // Those that are read as a whole tell how long they are as soon as they are begun.
            Mode::Incremental | Mode::Full => plan.lists_read(Mode::Incremental) * walks,
            // What it will not meet has to be looked for.
            Mode::Reconcile => u64::from(u32::MAX),
        });
    }
    Ok(Job { expected: cx.kit.limiter().expect(expected), in_turn })
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
    object::read(cx, &plan, true, orphaned).await.map(Some)
}
