//! One object: its partitions are read side by side, and its account is closed.

use futures_util::StreamExt as _;
use parking_lot::Mutex;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::ObjectReport;
use super::extractor::{self, Context, Ended};
use super::plan::{Mode, ObjectPlan, PartitionPlan};
use super::tally::Tally;
use crate::chaos::{self, Failpoint};
use crate::error::{Error, Kind, Result};
use crate::kit::{Meter, Patience};
use crate::model::Object;
use crate::store::{Counts, Outcome};

/// Reads the partitions of a plan; `whole` says that these are all there are.
pub(super) async fn read(
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
    chaos::reach(Failpoint::RunBegun).await;
    cx.observer.object_started(object.name, plan.partitions.len(), &meter);
    let tally = Mutex::new(Tally::default());
    cx.needs(plan.lists_read(Mode::Full));
    partitions(cx, plan, &plan.partitions, run, &meter, &tally).await;
    if !tally.lock().hidden_left.is_empty() && !tally.lock().is_over(cx) {
        let again = hidden_left(cx, plan, &tally).await?;
        partitions(cx, plan, &again, run, &meter, &tally).await;
    }
    chaos::reach(Failpoint::PartitionsRead).await;
    let mut tally = tally.into_inner();
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
            chaos::reach(Failpoint::ObjectCompleted).await;
        }
        (Outcome::Unavailable, Some(error)) => cx.store.note_error(object, "", error, true).await?,
        _ => {}
    }
    let meter = (meter.requests(), meter.retries());
    let one_line = tally.error().map(Error::one_line);
    // Best effort where the database itself is what failed.
    let closed = cx.store.end_run(run, plan.mode.name(), outcome, meter, one_line).await;
    if let (Err(error), None) = (closed, &tally.fatal) {
        return Err(error);
    }
    // Who wants to stop need not wait for it: the next run makes it.
    if (outcome.is_whole() || outcome == Outcome::Unavailable) && !cx.stop.is_requested() {
        complete_indexes(cx, object).await;
    }
    let report = report(plan, &tally, meter, started.elapsed());
    log(&report);
    cx.observer.object_done(&report);
    Ok((report, tally.fatal))
}

/// The rows are there, with or without an index: the next run tries again.
async fn complete_indexes(cx: &Context<'_>, object: &'static Object) {
    if let Err(error) = cx.store.complete_indexes(object).await {
        tracing::warn!(
            object.name = object.name,
            "{} has no index on addresses yet: {}. {} SQLite keeps temporary files where the variable SQLITE_TMPDIR says. \
             The next run tries again",
            object.name,
            error.one_line(),
            error.advice()
        );
    }
}

/// Takes out of the tally the partitions of which only people are left whom the plain list may hide, with their states
/// as they are by now: some other list may have shown meanwhile that it hides nobody.
async fn hidden_left(
    cx: &Context<'_>,
    plan: &ObjectPlan,
    tally: &Mutex<Tally>,
) -> Result<Vec<PartitionPlan>> {
    let left = std::mem::take(&mut tally.lock().hidden_left);
    let states = cx.store.states(plan.object).await?;
    let again = plan
        .partitions
        .iter()
        .filter(|partition| left.contains(&partition.partition))
        .map(|partition| PartitionPlan {
            state: states.iter().find(|state| state.partition == partition.partition).cloned(),
            ..partition.clone()
        })
        .collect();
    Ok(again)
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
            let permit = cx.permits.take(partition.mode(&plan.fingerprint)).await;
            if permit.is_none() || tally.lock().is_over(cx) {
                tally.lock().unread = true;
                return;
            }
            let result = extractor::extract(cx, plan, partition, run, meter).await;
            let result = match result {
                Err(error) if tally.lock().is_in_doubt(&error) => Err(judged(cx, meter, error).await),
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
            let mut tally = tally.lock();
            tally.take(plan.object, &partition.partition, result);
            if let Err(error) = noted {
                tally.fatal.get_or_insert(error);
            }
        })
        .await;
}

/// So long after a stop is asked for, which is promised within five seconds, Kit is waited for.
const ASKED_WITHIN: Duration = Duration::from_secs(3);

/// Is it this list that Kit refuses or does not answer for, or everything? The account request tells them apart.
async fn judged(cx: &Context<'_>, meter: &Meter, error: Error) -> Error {
    match error.kind() {
        // Also while the run is being ended, perhaps because of just that: nothing is to be taken for refused that is not.
        Kind::SourceRefused => {
            let too_late = async {
                cx.stop.requested().await;
                tokio::time::sleep(ASKED_WITHIN).await;
            };
            tokio::select! {
                biased;
                asked = cx.kit.account(Patience::FIRST_CONTACT, meter) => match asked {
                    Err(asked) if asked.kind() == Kind::SourceRejectedKey => asked,
                    _ => error,
                },
                () = too_late => error,
            }
        }
        Kind::SourceUnavailable if matches!(cx.account(meter).await, Some(Ok(_))) => {
            Error::new(Kind::SourceListUnavailable, "Kit answers, but not for this list").because(error)
        }
        _ => error,
    }
}

/// `tags/42`, or `tags` for a whole list.
pub(super) fn subject(object: &Object, partition: &str) -> String {
    if partition.is_empty() { object.name.to_owned() } else { format!("{}/{partition}", object.name) }
}

/// The account of a run of an object; `meter` is its requests and repeated requests.
fn report(plan: &ObjectPlan, tally: &Tally, meter: (u64, u64), took: Duration) -> ObjectReport {
    let (brought, error) = (&tally.brought, tally.error());
    ObjectReport {
        object: plan.object.name,
        mode: plan.mode,
        outcome: tally.outcome(),
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
        duration_ms: took.as_millis() as u64,
        error: error.map(Error::one_line),
        advice: error.map(Error::advice),
        exit_code: error.map_or(0, |error| error.kind().policy().exit_code),
    }
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
