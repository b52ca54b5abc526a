//! Reads again just the lists that [`compare`](super::compare) has found to differ.

use super::extractor::Context;
use super::plan::Mode;
use super::{ObjectReport, Report, object, plan_object, sync_object};
use crate::error::{Error, Result};
use crate::model::{ApiVersion, Object};

/// Reads these partitions of these objects from their beginning, as a reconcile does.
///
/// # Errors
/// None are returned, as by [`run`](super::run).
pub async fn repair(cx: &Context<'_>, wanted: &[(&'static Object, Vec<String>)]) -> Report {
    let mut report = Report::default();
    let parents = counting_parents(cx.kit.version(), wanted);
    for parent in &parents {
        if report.ended_by.is_none() && !cx.stop.is_requested() {
            report.take(parent, sync_object(cx, parent, true, None).await);
        }
    }
    for (object, partitions) in wanted {
        if report.ended_by.is_none() && !cx.stop.is_requested() {
            report.take(object, read_again(cx, object, partitions).await);
        }
    }
    report.stopped = cx.stop.is_requested() && report.objects.len() < parents.len() + wanted.len();
    report
}

/// The objects in whose rows stands how many members Kit counts, which may be of yesterday, unless they are read anyway.
fn counting_parents(version: ApiVersion, wanted: &[(&'static Object, Vec<String>)]) -> Vec<&'static Object> {
    let is_wanted = |parent: &Object| wanted.iter().any(|(object, _)| object.name == parent.name);
    let mut parents: Vec<&'static Object> = wanted.iter().filter_map(|(object, _)| object.parent()).collect();
    parents.retain(|parent| version == ApiVersion::V4 && !is_wanted(parent));
    parents
}

async fn read_again(
    cx: &Context<'_>,
    object: &'static Object,
    partitions: &[String],
) -> Result<Option<(ObjectReport, Option<Error>)>> {
    let Some(mut plan) = plan_object(cx, object, false).await? else { return Ok(None) };
    plan.partitions.retain(|partition| partitions.contains(&partition.partition));
    for partition in &mut plan.partitions {
        partition.asked = Mode::Reconcile;
        // What an unfinished pass has read before may be what differs.
        partition.state.iter_mut().for_each(|state| state.checkpoint = None);
    }
    plan.mode = Mode::Reconcile;
    object::read(cx, &plan, false, None).await.map(Some)
}

impl Report {
    /// Takes in how the reading of an object went.
    fn take(&mut self, object: &Object, read: Result<Option<(ObjectReport, Option<Error>)>>) {
        match read {
            Ok(None) => {}
            Ok(Some((one, fatal))) => {
                self.objects.push(one);
                self.ended_by = fatal;
            }
            Err(error) => self.ended_by = Some(error.about(object.name)),
        }
    }
}
