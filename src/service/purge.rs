//! What was marked as gone stays for a while, so that a mistake can be seen and undone; then it goes for good.

use crate::error::Result;
use crate::model::time;
use crate::replication::Stop;
use crate::store::{Erased, Store};

/// Takes away what has been marked as gone for longer than `after`, a little at a time. A wish to stop is heeded
/// between two steps; the next run goes on.
pub(super) async fn purge(store: &Store, after: chrono::TimeDelta, stop: &Stop) -> Result<()> {
    let Some(before) = time::now().checked_sub_signed(after) else { return Ok(()) };
    let mut erased = Erased::default();
    while !stop.is_requested() {
        let step = store.purge(before).await?;
        if step.is_empty() {
            break;
        }
        erased.join(step);
    }
    if erased.is_empty() {
        return Ok(());
    }
    let rows: Vec<String> = erased.rows.iter().map(|(table, rows)| format!("{rows} of {table}")).collect();
    tracing::info!("Purged what had been gone at Kit for longer than purge_after: {}", rows.join(", "));
    // They are in no table any more; what is beside the tables must not make a run fail.
    if let Err(error) = store.clean_up_after(&erased.people).await {
        tracing::warn!(
            "{}; what was purged may still stand in unused parts of the database file until `vacuum` rewrites it",
            error.one_line()
        );
    }
    Ok(())
}
