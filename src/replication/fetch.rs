//! Asking for a page of a pass, with its records complete.

use futures_util::{StreamExt as _, TryStreamExt as _};

use super::extractor::Context;
use super::plan::{Mode, ObjectPlan};
use crate::error::Result;
use crate::kit::{Meter, Page, PageRequest};
use crate::model::record::Record;

/// A page, or nothing when somebody asked us to stop meanwhile.
pub(super) type Answer = Result<Option<Page>>;

/// The page that a pass asks for.
pub(super) async fn fetch(
    cx: &Context<'_>,
    plan: &ObjectPlan,
    meter: &Meter,
    mode: Mode,
    request: PageRequest,
) -> Answer {
    let fetching = async {
        let page = cx.kit.page(&request, meter).await?;
        match plan.endpoint.detail {
            Some(_) => completed(cx, plan, meter, mode, page).await,
            None => Ok(page),
        }
    };
    tokio::select! {
        // In this order: after the wish to stop no request is begun, however fast Kit answers.
        biased;
        () = cx.stop.requested() => Ok(None),
        page = fetching => page.map(Some),
    }
}

/// Replaces stubs by whole records: all of them in a full load, else those that are not stored yet.
async fn completed(
    cx: &Context<'_>,
    plan: &ObjectPlan,
    meter: &Meter,
    mode: Mode,
    page: Page,
) -> Result<Page> {
    let Some(detail) = &plan.endpoint.detail else { return Ok(page) };
    let ids: Vec<Option<i64>> = page.records().map(id_of).collect();
    let known = match mode {
        Mode::Full | Mode::Reconcile => Default::default(),
        Mode::Incremental => {
            let ids: Vec<i64> = ids.iter().flatten().copied().collect();
            cx.store.known(plan.object, &ids, None).await?
        }
    };
    let known = &known;
    let stubs: Vec<(String, Option<i64>)> = page.records().map(str::to_owned).zip(ids).collect();
    cx.needs(stubs.iter().filter(|(_, id)| id.is_some_and(|id| !known.contains(&id))).count() as u64);
    let whole: Vec<Option<String>> = futures_util::stream::iter(stubs)
        .map(|(stub, id)| async move {
            match id {
                // Gone between list and look-up: not an error, and nothing to store.
                Some(id) if !known.contains(&id) => cx.kit.record(detail, id, meter).await,
                _ => Ok(Some(stub)),
            }
        })
        .buffered(cx.kit.limiter().in_flight())
        .try_collect()
        .await?;
    Ok(page.with_records(whole.into_iter().flatten().collect()))
}

fn id_of(record: &str) -> Option<i64> {
    Record::parse(record).ok()?.get("id")?.get().trim_matches('"').parse().ok()
}
