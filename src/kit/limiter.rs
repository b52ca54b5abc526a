//! One limiter per credential, shared by everything that asks Kit: never more than the limit in any
//! rolling 60 s, over restarts too. What may have been sent is written down *before* it is sent, in
//! small reservations, so a crash loop cannot exceed a limit that each life by itself obeys. The next one is written
//! while requests use up the last, so that nobody waits for a database that is busy.

mod window;

pub use window::departures;

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
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
        let ledger = self.ledger.lock().unwrap_or_else(PoisonError::into_inner).clone();
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
        *self.ledger.lock().unwrap_or_else(PoisonError::into_inner) = Some(ledger);
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
        let ledger = self.ledger.lock().unwrap_or_else(PoisonError::into_inner).take();
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
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
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
mod tests {
    use super::window::{BUCKET, MADE_UP, WINDOW};
    use super::*;
    use proptest::prelude::*;

    /// Sends `requests` through a limiter under a paused clock and returns when each left.
    async fn departures(limiter: &Limiter, requests: usize) -> Vec<Instant> {
        let mut left = Vec::new();
        for _ in 0..requests {
            limiter.acquire(Precedence::Following).await.unwrap();
            left.push(Instant::now());
        }
        left
    }

    fn busiest_minute(departures: &[Instant]) -> usize {
        departures
            .iter()
            .map(|first| {
                departures
                    .iter()
                    .filter(|at| **at >= *first && **at - *first < Duration::from_secs(60))
                    .count()
            })
            .max()
            .unwrap_or(0)
    }

    #[tokio::test(start_paused = true)]
    async fn a_long_job_never_exceeds_the_limit_in_any_minute_and_uses_95_percent_of_it() {
        let limiter = Limiter::new(120);
        let start = Instant::now();
        let left = departures(&limiter, 1200).await;
        assert!(busiest_minute(&left) <= 117, "{}", busiest_minute(&left));
        let minutes = (*left.last().unwrap() - start).as_secs_f64() / 60.0;
        assert!(1200.0 / minutes >= 0.95 * 120.0, "{} a minute", 1200.0 / minutes);
    }

    #[tokio::test(start_paused = true)]
    async fn a_job_that_fits_into_a_window_goes_at_once() {
        let limiter = Limiter::new(120);
        let _job = limiter.expect(100);
        let start = Instant::now();
        let left = departures(&limiter, 100).await;
        assert_eq!(*left.last().unwrap(), start);
    }

    /// A load does not know how long it is before its lists say so.
    #[tokio::test(start_paused = true)]
    async fn a_job_that_grows_goes_at_once_as_long_as_it_fits_into_the_window() {
        for (more, at_once) in [(100, true), (200, false)] {
            let limiter = Limiter::new(120);
            let job = limiter.expect(10);
            let start = Instant::now();
            departures(&limiter, 9).await;
            job.raise(more);
            let left = departures(&limiter, 101).await;
            assert_eq!(*left.last().unwrap() == start, at_once, "{more} more");
        }
    }

    /// Half of a window at once, then the other half evenly; when the first grow old, on as before until the rest fits.
    #[test]
    fn the_end_of_a_long_job_goes_at_once() {
        let left: Vec<f64> = super::departures(117, 201).map(|left| left.as_secs_f64()).collect();
        assert!(left[58] == 0.0 && left[59] > 0.5 && left[116] < 32.0 && left[117] > 60.0, "{left:?}");
        let with_the_last = left.iter().filter(|at| **at == left[200]).count();
        assert!(with_the_last == 59 && left[200] < 76.0, "{with_the_last} of {left:?}");
        assert_eq!(super::departures(117, 117).last(), Some(Duration::ZERO));
        assert!(super::departures(0, 3).last().is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn a_long_job_is_spread_after_its_first_half_window() {
        let limiter = Limiter::new(120);
        let _job = limiter.expect(5000);
        let start = Instant::now();
        let left = departures(&limiter, 80).await;
        assert_eq!(left[50], start);
        assert!(left[79] - left[60] >= Duration::from_secs(9));
    }

    #[tokio::test(start_paused = true)]
    async fn a_short_job_beside_a_long_one_does_not_let_it_burst() {
        let limiter = Limiter::new(120);
        let long = limiter.expect(5000);
        drop(limiter.expect(3));
        let short = limiter.expect(3);
        let start = Instant::now();
        let left = departures(&limiter, 80).await;
        assert!(left[79] - start >= Duration::from_secs(9));
        drop(long);
        tokio::time::advance(WINDOW + BUCKET).await;
        drop(short);
        let _job = limiter.expect(100);
        let start = Instant::now();
        assert_eq!(*departures(&limiter, 100).await.last().unwrap(), start);
    }

    /// Without a job that is expected, nothing tells that all that will be asked fits into the window.
    #[tokio::test(start_paused = true)]
    async fn a_job_that_is_over_does_not_let_what_follows_burst() {
        let limiter = Limiter::new(120);
        drop(limiter.expect(3));
        let left = departures(&limiter, 80).await;
        assert!(left[79] - left[0] >= Duration::from_secs(9));
    }

    #[tokio::test(start_paused = true)]
    async fn who_is_late_is_made_up_for_within_a_second_or_an_interval_and_not_beyond_it() {
        for limit in [20, 120, 600] {
            let limiter = Limiter::new(limit);
            let first_half = limiter.per_minute() as usize / 2 + 1;
            let start = *departures(&limiter, first_half).await.last().unwrap();
            let interval = (WINDOW + BUCKET) / limiter.per_minute();
            let longest = MADE_UP.max(interval) - Duration::from_millis(1);
            let mut state = limiter.state();
            assert_eq!(state.take(start), Err(start + interval));
            let late = start + interval + longest;
            let mut behind = 0;
            while state.take(late).is_ok() {
                behind += 1;
            }
            assert_eq!(state.take(late), Err(start + interval * (behind + 1)), "made up for, at {limit}");
            let too_late = start + interval * (behind + 1) + longest + Duration::from_millis(2);
            assert_eq!(state.take(too_late), Ok(()));
            assert_eq!(state.take(too_late), Err(too_late + interval), "not made up for, at {limit}");
        }
    }

    /// A ledger that takes a while for each entry, as a database does that is busy with a commit.
    struct Slow(Duration);

    impl Ledger for Slow {
        fn record(&self, _: Memory) -> Pin<Box<dyn Future<Output = Result<()>> + Send + '_>> {
            let asleep = tokio::time::sleep(self.0);
            Box::pin(async move {
                asleep.await;
                Ok(())
            })
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_database_that_takes_more_than_half_a_second_for_an_entry_does_not_idle_the_limiter() {
        for limit in [120, 600] {
            let limiter = Limiter::new(limit);
            limiter.remember_in(Arc::new(Slow(Duration::from_millis(600))));
            let start = Instant::now();
            let left = departures(&limiter, 10 * limit as usize).await;
            assert!(busiest_minute(&left) < limit as usize);
            let minutes = (*left.last().unwrap() - start).as_secs_f64() / 60.0;
            let share = 10.0 / minutes;
            assert!(share >= 0.95, "{:.1} % of {limit} a minute", share * 100.0);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_full_window_is_forgotten_after_61_seconds_and_is_kept_in_few_buckets() {
        let limiter = Limiter::new(120);
        let _job = limiter.expect(117);
        let start = *departures(&limiter, 117).await.last().unwrap();
        let mut state = limiter.state();
        assert_eq!(state.window.len(), 1);
        assert_eq!(state.take(start + WINDOW), Err(start + WINDOW + BUCKET));
        assert_eq!(state.take(start + WINDOW + BUCKET), Ok(()));
    }

    #[tokio::test(start_paused = true)]
    async fn a_program_without_a_memory_counts_a_tenth_of_the_limit_as_sent() {
        let limiter = Limiter::new(120);
        limiter.recall_nothing();
        let _job = limiter.expect(106);
        let start = Instant::now();
        assert_eq!(*departures(&limiter, 106).await.last().unwrap(), start);
        assert!(limiter.state().take(start).is_err());
    }

    #[test]
    fn what_is_asked_at_once_and_reserved_at_once_follows_the_limit() {
        let of = |per_minute| {
            let limiter = Limiter::new(per_minute);
            (limiter.per_minute(), limiter.in_flight(), limiter.state().block())
        };
        assert_eq!([of(1), of(120), of(600)], [(1, 4, 1), (117, 4, 9), (587, 10, 48)]);
    }

    /// H-01: a requested wait holds for everybody.
    #[tokio::test(start_paused = true)]
    async fn a_pause_stops_everybody() {
        let limiter = Limiter::new(120);
        limiter.pause(Duration::from_secs(30));
        let start = Instant::now();
        limiter.acquire(Precedence::Following).await.unwrap();
        assert_eq!(Instant::now() - start, Duration::from_secs(30));
    }

    /// H-02: the window is halved for a while.
    #[tokio::test(start_paused = true)]
    async fn after_a_429_half_the_window_is_left_to_others() {
        let limiter = Limiter::new(120);
        limiter.narrow();
        let left = departures(&limiter, 200).await;
        assert!(busiest_minute(&left) <= 59, "{}", busiest_minute(&left));
    }

    #[tokio::test(start_paused = true)]
    async fn beside_somebody_else_half_of_the_limit_is_used() {
        let limiter = Limiter::new(120);
        limiter.leave_half();
        let left = departures(&limiter, 200).await;
        assert!(busiest_minute(&left) <= 59, "{}", busiest_minute(&left));
    }

    #[derive(Default)]
    struct Paper(Mutex<Option<Memory>>);

    impl Ledger for Paper {
        fn record(&self, memory: Memory) -> Pin<Box<dyn Future<Output = Result<()>> + Send + '_>> {
            *self.0.lock().unwrap() = Some(memory);
            Box::pin(std::future::ready(Ok(())))
        }
    }

    /// K-08: what was sent before a crash counts after it, whether or not it was the last thing written.
    #[tokio::test(start_paused = true)]
    async fn lives_that_end_in_a_crash_do_not_exceed_the_limit_together() {
        let paper = Arc::new(Paper::default());
        let mut left = Vec::new();
        // All lives together take no time on the wall clock, so nothing may be forgotten between them.
        for _ in 0..200 {
            let memory = paper.0.lock().unwrap().clone();
            let limiter = Limiter::new(120);
            if let Some(memory) = &memory {
                limiter.recall(memory);
            }
            limiter.remember_in(paper.clone());
            let one =
                tokio::time::timeout(Duration::from_millis(1), limiter.acquire(Precedence::Following)).await;
            left.extend(one.is_ok().then(Instant::now));
        }
        assert!(!left.is_empty() && left.len() <= 117, "{}", left.len());
    }

    #[tokio::test(start_paused = true)]
    async fn a_clean_end_leaves_no_reservation() {
        let paper = Arc::new(Paper::default());
        let limiter = Limiter::new(120);
        limiter.remember_in(paper.clone());
        departures(&limiter, 7).await;
        limiter.settle().await.unwrap();
        let memory = paper.0.lock().unwrap().clone().unwrap();
        assert_eq!(
            (memory.sent.iter().map(|(_, count)| *count).collect::<Vec<_>>(), memory.reserved),
            (vec![7], 0)
        );
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn no_rhythm_of_requests_exceeds_any_limit(
            limit in 2u32..700, pauses in proptest::collection::vec(0u64..20_000, 1..300), expected in 0u64..1000,
        ) {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
            let left = runtime.block_on(async {
                let limiter = Limiter::new(limit);
                let _job = limiter.expect(expected);
                let mut left = Vec::new();
                for pause in pauses {
                    tokio::time::sleep(Duration::from_millis(pause / 20)).await;
                    left.extend(departures(&limiter, 1 + (pause % 7) as usize).await);
                }
                left
            });
            prop_assert!(busiest_minute(&left) < limit as usize);
        }
    }
}
