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
            departures.iter().filter(|at| **at >= *first && **at - *first < Duration::from_secs(60)).count()
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
        *self.0.lock() = Some(memory);
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
        let memory = paper.0.lock().clone();
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
    let memory = paper.0.lock().clone().unwrap();
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
