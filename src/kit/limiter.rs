//! One limiter per credential, shared by everything that asks Kit: never more than the limit in any
//! rolling 60 s, over restarts too. What may have been sent is written down *before* it is sent, in
//! small reservations, so a crash loop cannot exceed a limit that each life by itself obeys. The next one is written
//! while requests use up the last, so that nobody waits for a database that is busy.

mod window;

pub use window::departures;

use parking_lot::{Mutex, MutexGuard};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until};

use super::turns::{Precedence, Turns};
use crate::error::{Error, Kind, Result};
use crate::model::time;
use window::State;

/// Whoever watches a program that does nothing for longer than this wants to know why.
const WORTH_A_LINE: Duration = Duration::from_secs(5);

/// Where the limiter's memory outlives the process.
pub trait Ledger: Send + Sync {
    /// Writes the memory down durably; the next requests are sent only after that.
    fn record(&self, memory: Memory) -> Pin<Box<dyn Future<Output = Result<()>> + Send + '_>>;
}

/// What was sent in the last minute, and what may have been sent since it was written.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Memory {
    /// Unix second and number of requests, oldest first.
    pub sent: Vec<(u64, u32)>,
    /// Requests that may be sent without another entry; counted as sent when they turn up after a crash.
    pub reserved: u32,
}

/// A rolling window over all requests of one credential.
pub struct Limiter {
    turns: Turns,
    state: Mutex<State>,
    ledger: Mutex<Option<Arc<dyn Ledger>>>,
    /// The entry that is being written. One at a time: what an older one says must not outlast a younger one.
    entry: tokio::sync::Mutex<Option<JoinHandle<Result<()>>>>,
}

impl Limiter {
    /// For a limit of `per_minute` requests in any rolling 60 s.
    pub fn new(per_minute: u32) -> Self {
        let cap = per_minute.saturating_sub(per_minute.div_ceil(48)).max(1);
        Limiter {
            turns: Turns::default(),
            state: Mutex::new(State::new(cap)),
            ledger: Mutex::new(None),
            entry: tokio::sync::Mutex::new(None),
        }
    }

    /// Waits until a request may be sent.
    ///
    /// # Errors
    /// Those of the ledger: what cannot be written down must not be sent.
    pub async fn acquire(&self, precedence: Precedence) -> Result<()> {
        let _turn = self.turns.take(precedence).await;
        loop {
            let taken = self.state().take(Instant::now());
            match taken {
                Ok(()) => break,
                Err(until) => {
                    let wait = until.saturating_duration_since(Instant::now());
                    // Of a pause the reason was told when it began.
                    let is_pause = self.state().paused_until == Some(until);
                    if wait >= WORTH_A_LINE && !is_pause {
                        tracing::info!(
                            "Waiting {:.0} s for Kit's rate limit, of which earlier requests have used their share",
                            wait.as_secs_f64()
                        );
                    }
                    sleep_until(until).await;
                }
            }
        }
        let ledger = self.ledger.lock().clone();
        match ledger {
            Some(ledger) => self.reserve(&ledger).await,
            None => Ok(()),
        }
    }

    /// Sees to it that the request that was let go is written down.
    async fn reserve(&self, ledger: &Arc<dyn Ledger>) -> Result<()> {
        let mut entry = self.entry.lock().await;
        loop {
            // One that failed while nobody waited for it is not this request's failure: there will be another.
            if entry.as_ref().is_some_and(JoinHandle::is_finished)
                && let Err(error) = self.written(&mut entry).await
            {
                tracing::debug!("Could not write down what is to be sent: {}", error.one_line());
            }
            let (is_reserved, is_low) = self.state().use_up();
            if is_low && entry.is_none() {
                let memory = self.state().next_entry(Instant::now(), time::now().into());
                let ledger = Arc::clone(ledger);
                *entry = Some(tokio::spawn(async move { ledger.record(memory).await }));
            }
            if is_reserved {
                return Ok(());
            }
            self.written(&mut entry).await?;
        }
    }

    /// Waits for the entry that is being written.
    async fn written(&self, entry: &mut Option<JoinHandle<Result<()>>>) -> Result<()> {
        let Some(writing) = entry else { return Ok(()) };
        let written = writing.await;
        *entry = None;
        match written {
            Ok(written) => written?,
            // The panic itself may quote a record.
            Err(_) => return Err(Error::new(Kind::Internal, "the limiter's entry ended in a panic")),
        }
        let mut state = self.state();
        state.reserved += state.block();
        Ok(())
    }

    /// Counts what an earlier process has sent.
    pub fn recall(&self, memory: &Memory) {
        self.state().recall(memory, Instant::now(), time::now().into());
    }

    /// There is no memory of an earlier process. It may have died before it had a place for one, and have asked for the
    /// account by then: a tenth of the limit counts as sent.
    pub fn recall_nothing(&self) {
        let now = SystemTime::from(time::now());
        let mut state = self.state();
        let second = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let memory = Memory { sent: vec![(second, state.cap / 10)], reserved: 0 };
        state.recall(&memory, Instant::now(), now);
    }

    /// Somebody else, of whom no more is known, uses the same key at the same time: half of the limit is theirs.
    pub fn leave_half(&self) {
        let mut state = self.state();
        state.cap = state.cap.div_ceil(2);
    }

    /// From now on the memory is kept in `ledger`.
    pub fn remember_in(&self, ledger: Arc<dyn Ledger>) {
        *self.ledger.lock() = Some(ledger);
    }

    /// Tells how many requests a job is expected to need, until what is returned is dropped. As long as all jobs
    /// together fit into what is left of the window, they go at once; else they are paced, so that others who share
    /// the key get through.
    pub fn expect(&self, requests: u64) -> Expected<'_> {
        self.state().expect(|expected| expected.saturating_add(requests), Instant::now());
        Expected { limiter: self, requests: AtomicU64::new(requests) }
    }

    /// Nothing is sent before `wait` is over.
    pub fn pause(&self, wait: Duration) {
        let mut state = self.state();
        state.paused_until = state.paused_until.max(Some(Instant::now() + wait));
    }

    /// Kit says that there were too many requests: half the limit is left to others for a while.
    pub fn narrow(&self) {
        self.state().narrow(Instant::now());
    }

    /// Writes down exactly what was sent, for a clean end: nothing is reserved any more.
    ///
    /// # Errors
    /// Those of the ledger.
    pub async fn settle(&self) -> Result<()> {
        let ledger = self.ledger.lock().take();
        let Some(ledger) = ledger else { return Ok(()) };
        // Whether it could be written or not, what comes now is what counts.
        let _ = self.written(&mut *self.entry.lock().await).await;
        let memory = self.state().memory(Instant::now(), time::now().into(), 0);
        ledger.record(memory).await
    }

    /// How many requests have to be under way at once for the limit to be reached, although Kit may take a second to
    /// answer. More of them do not raise the rate, and each is a page in memory.
    pub fn in_flight(&self) -> usize {
        (self.state().cap.div_ceil(60) as usize).clamp(4, 10)
    }

    /// Requests per minute that a long job gets.
    pub fn per_minute(&self) -> u32 {
        self.state().cap
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }
}

/// A job that is under way.
#[must_use = "a job that is dropped is over"]
pub struct Expected<'l> {
    limiter: &'l Limiter,
    requests: AtomicU64,
}

impl Expected<'_> {
    /// The job turns out to need more.
    pub fn raise(&self, more: u64) {
        self.requests.fetch_add(more, Ordering::Relaxed);
        let mut state = self.limiter.state();
        state.expected = state.expected.saturating_add(more);
        state.decide(Instant::now());
    }
}

impl Drop for Expected<'_> {
    fn drop(&mut self) {
        let requests = *self.requests.get_mut();
        self.limiter.state().expect(|expected| expected.saturating_sub(requests), Instant::now());
    }
}

#[cfg(test)]
mod model;

#[cfg(test)]
mod tests;
