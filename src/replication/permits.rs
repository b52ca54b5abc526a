//! How many lists are read at once, by all runs of a session together.

use tokio::sync::{Semaphore, SemaphorePermit};

use super::plan::Mode;

/// Permits to read a list. Lists that are read as a whole have theirs, so that loads and reconciles of hours keep nobody
/// waiting who only wants what is new.
#[derive(Debug)]
pub struct Permits {
    whole: Semaphore,
    new: Semaphore,
}

impl Permits {
    /// For so many requests at once as it takes to hide the time that Kit needs to answer.
    pub fn new(in_flight: usize) -> Self {
        Permits { whole: Semaphore::new(in_flight), new: Semaphore::new(in_flight) }
    }

    /// One to read a list in this mode, as soon as there is one. It is given back when it is dropped.
    pub(super) async fn take(&self, mode: Mode) -> Option<SemaphorePermit<'_>> {
        let permits = match mode {
            Mode::Incremental => &self.new,
            Mode::Full | Mode::Reconcile => &self.whole,
        };
        permits.acquire().await.ok()
    }
}
