//! Notices a run that does not come on: no page of it was committed for a quarter of an hour. Between the runs and
//! whoever else listens to them; what is to be done about it is for people.

use parking_lot::{Mutex, MutexGuard};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

use crate::kit::Meter;
use crate::replication::{ObjectReport, Observer, PageWritten};

/// Longer than one request may be tried again for, and as long as the longest wait that Kit may ask for.
const QUIET_FOR: Duration = Duration::from_secs(15 * 60);
/// How often it looks.
const LOOKS_EVERY: Duration = Duration::from_secs(60);

/// Listens to runs, and passes on what it hears.
pub(super) struct Watchdog {
    listener: Arc<dyn Observer>,
    runs: Mutex<BTreeMap<&'static str, Run>>,
}

/// A run under way.
struct Run {
    /// When something of it was committed last, or when it began.
    since: Instant,
    told: bool,
}

impl Watchdog {
    /// In front of that listener.
    pub(super) fn before(listener: Arc<dyn Observer>) -> Self {
        Watchdog { listener, runs: Mutex::default() }
    }

    /// Looks, and tells of each standstill once, until it is dropped.
    pub(super) async fn watch(&self) {
        loop {
            tokio::time::sleep(LOOKS_EVERY).await;
            for object in self.standing_still() {
                tracing::warn!(
                    object.name = object,
                    quiet_s = QUIET_FOR.as_secs(),
                    "The run of {object} is under way, and no page of it was committed for {} minutes: Kit or the \
                     database holds it up. Nothing is lost.",
                    QUIET_FOR.as_secs() / 60
                );
            }
        }
    }

    /// Runs that stand still and that nobody was told of.
    fn standing_still(&self) -> Vec<&'static str> {
        let mut runs = self.runs();
        let still = runs.iter_mut().filter(|(_, run)| !run.told && run.since.elapsed() >= QUIET_FOR);
        still
            .map(|(object, run)| {
                run.told = true;
                *object
            })
            .collect()
    }

    /// No run is under way any more, not even one that ended without a report.
    pub(super) fn all_ended(&self) {
        self.runs().clear();
    }

    fn comes_on(&self, object: &'static str) {
        self.runs().insert(object, Run { since: Instant::now(), told: false });
    }

    fn ends(&self, object: &'static str) {
        self.runs().remove(object);
    }

    fn runs(&self) -> MutexGuard<'_, BTreeMap<&'static str, Run>> {
        self.runs.lock()
    }
}

impl Observer for Watchdog {
    fn object_started(&self, object: &'static str, partitions: usize, meter: &Arc<Meter>) {
        self.comes_on(object);
        self.listener.object_started(object, partitions, meter);
    }

    fn page_written(&self, page: &PageWritten<'_>) {
        self.comes_on(page.object);
        self.listener.page_written(page);
    }

    fn partition_done(&self, object: &'static str, partition: &str) {
        self.comes_on(object);
        self.listener.partition_done(object, partition);
    }

    fn object_done(&self, report: &ObjectReport) {
        self.ends(report.object);
        self.listener.object_done(report);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::replication::Silent;
    use crate::store::Written;

    const MINUTE: Duration = Duration::from_secs(60);

    fn page(object: &'static str) -> PageWritten<'static> {
        let (written, extent) = (Written::default(), (None, 0));
        PageWritten { object, partition: "", pages: 1, records: 0, written, extent }
    }

    /// H-13.
    #[tokio::test(start_paused = true)]
    async fn a_run_that_commits_nothing_for_a_quarter_of_an_hour_is_told_of_once() {
        let dog = Watchdog::before(Arc::new(Silent));
        let nobody: Vec<&str> = Vec::new();
        for object in ["forms", "tags"] {
            dog.object_started(object, 1, &Arc::default());
        }
        tokio::time::advance(14 * MINUTE).await;
        assert_eq!(dog.standing_still(), nobody);
        dog.page_written(&page("tags"));
        dog.ends("forms");
        tokio::time::advance(14 * MINUTE).await;
        assert_eq!(dog.standing_still(), nobody, "one is over, the other has come on");
        tokio::time::advance(MINUTE).await;
        assert_eq!(dog.standing_still(), ["tags"]);
        tokio::time::advance(60 * MINUTE).await;
        assert_eq!(dog.standing_still(), nobody, "that was said");
        dog.partition_done("tags", "7");
        tokio::time::advance(15 * MINUTE).await;
        assert_eq!(dog.standing_still(), ["tags"], "it stands still again");
    }

    /// H-13. It looks by itself.
    #[tokio::test(start_paused = true)]
    async fn it_is_told_within_a_minute() {
        let dog = Watchdog::before(Arc::new(Silent));
        dog.object_started("tags", 1, &Arc::default());
        let _ = tokio::time::timeout(15 * MINUTE + LOOKS_EVERY, dog.watch()).await;
        assert!(dog.runs()["tags"].told);
    }
}
