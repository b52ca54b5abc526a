//! Which answers are tried again, after how long, how often. Pure.

use std::time::{Duration, SystemTime};

use crate::error::Kind;

/// What came of one attempt, as far as trying again depends on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// 429, with the wait Kit asked for where it said so.
    Throttled(Option<Duration>),
    /// 5xx, a refused or broken connection, a time-out, a name that does not resolve.
    Unavailable(String),
    /// 2xx that is not the documented answer, cut off included.
    Unexpected(String),
    /// Trying again would not help.
    Final(Kind, String),
}

/// How patient to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// How long a source that does not answer is waited for. A pass never fails below it.
    pub unavailable: Duration,
    /// How long 429 after 429 is waited out.
    pub throttled: Duration,
}

impl Patience {
    /// For work in progress: Kit's own users plan for up to 20 minutes of 5xx, most are shorter.
    pub const WORKING: Patience =
        Patience { unavailable: Duration::from_secs(10 * 60), throttled: Duration::from_secs(30 * 60) };
    /// For the first contact: somebody who mistyped an address is waiting for the message.
    pub const FIRST_CONTACT: Patience =
        Patience { unavailable: Duration::from_secs(8), throttled: Duration::from_secs(3 * 60) };
}

/// After so many unexpected answers in a row the page is given up: a proxy's error page or a changed
/// API does not go away by asking again.
const UNEXPECTED_LIMIT: u32 = 5;
/// No wait is longer, whatever Kit asks for.
const LONGEST_REQUESTED: Duration = Duration::from_secs(15 * 60);
/// Ceiling of the back-off for 429.
const LONGEST_THROTTLED: Duration = Duration::from_secs(60);
/// Ceiling of the back-off for everything else.
const LONGEST_UNAVAILABLE: Duration = Duration::from_secs(5 * 60);

/// The failures of one request so far.
#[derive(Debug, Default)]
pub struct Attempts {
    failed: u32,
    unexpected: u32,
}

/// What to do after a failure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Retry {
    /// Try again after this long. A throttled wait holds for the whole process.
    Again {
        /// How long to wait.
        wait: Duration,
        /// Whether everybody has to wait, not only this request.
        everybody: bool,
    },
    /// Give up.
    GiveUp(Kind),
}

impl Attempts {
    /// Decides after a failure. `elapsed` is the time since the first attempt; `jitter` is a
    /// random number from 0 to 1.
    pub fn after(&mut self, failure: &Failure, elapsed: Duration, patience: Patience, jitter: f64) -> Retry {
        self.failed += 1;
        let (again, kind, limit) = match failure {
            Failure::Final(kind, _) => return Retry::GiveUp(*kind),
            Failure::Throttled(requested) => {
                let backoff = backoff(self.failed, LONGEST_THROTTLED, jitter);
                let wait = requested.map_or(backoff, |wait| wait.min(LONGEST_REQUESTED).max(backoff));
                (Retry::Again { wait, everybody: true }, Kind::SourceThrottled, patience.throttled)
            }
            Failure::Unavailable(_) => {
                // The last attempt is made when patience ends: a longer wait would outlast it by half.
                let left = patience.unavailable.saturating_sub(elapsed);
                let wait = backoff(self.failed, LONGEST_UNAVAILABLE, jitter).min(left);
                (Retry::Again { wait, everybody: false }, Kind::SourceUnavailable, patience.unavailable)
            }
            Failure::Unexpected(_) => {
                self.unexpected += 1;
                if self.unexpected >= UNEXPECTED_LIMIT {
                    return Retry::GiveUp(Kind::SourceShape);
                }
                let wait = backoff(self.failed, LONGEST_UNAVAILABLE, jitter);
                (Retry::Again { wait, everybody: false }, Kind::SourceShape, patience.unavailable)
            }
        };
        if elapsed >= limit { Retry::GiveUp(kind) } else { again }
    }
}

/// One second, doubling to `longest`, of which at least half is waited and the rest drawn by lot.
fn backoff(failed: u32, longest: Duration, jitter: f64) -> Duration {
    let doubled = Duration::from_secs(1).saturating_mul(1 << failed.saturating_sub(1).min(16));
    doubled.min(longest).mul_f64(0.5 + 0.5 * jitter.clamp(0.0, 1.0))
}

/// Reads `Retry-After`: seconds or an HTTP date. `None` when it says nothing usable.
pub fn retry_after(value: &str, now: SystemTime) -> Option<Duration> {
    let value = value.trim();
    if let Ok(seconds) = value.parse::<u64>() {
        return Some(Duration::from_secs(seconds));
    }
    let date = httpdate::parse_http_date(value).ok()?;
    Some(date.duration_since(now).unwrap_or(Duration::ZERO))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NOW: Duration = Duration::ZERO;

    fn wait_after(failure: &Failure) -> Duration {
        match Attempts::default().after(failure, NOW, Patience::WORKING, 1.0) {
            Retry::Again { wait, .. } => wait,
            Retry::GiveUp(kind) => panic!("gave up: {kind:?}"),
        }
    }

    #[test]
    fn patience_and_the_longest_waits_are_what_they_are_said_to_be() {
        let seconds = |patience: Patience| (patience.unavailable.as_secs(), patience.throttled.as_secs());
        assert_eq!([seconds(Patience::WORKING), seconds(Patience::FIRST_CONTACT)], [(600, 1800), (8, 180)]);
        assert_eq!([LONGEST_REQUESTED, LONGEST_UNAVAILABLE].map(|longest| longest.as_secs()), [900, 300]);
    }

    /// H-01.
    #[test]
    fn a_requested_wait_is_obeyed_within_reason() {
        let now = httpdate::parse_http_date("Sun, 06 Nov 1994 08:49:37 GMT").unwrap();
        let cases = [
            ("7", Some(7)),
            ("0", Some(0)),
            ("999999", Some(999_999)),
            ("Sun, 06 Nov 1994 08:49:47 GMT", Some(10)),
            ("Sun, 06 Nov 1994 08:49:00 GMT", Some(0)),
            ("-5", None),
            ("soon", None),
            ("", None),
        ];
        for (value, seconds) in cases {
            assert_eq!(retry_after(value, now), seconds.map(Duration::from_secs), "{value}");
        }
        assert_eq!(wait_after(&Failure::Throttled(Some(Duration::from_secs(7)))), Duration::from_secs(7));
        assert_eq!(wait_after(&Failure::Throttled(Some(Duration::ZERO))), Duration::from_secs(1));
        assert_eq!(wait_after(&Failure::Throttled(Some(Duration::from_secs(999_999)))), LONGEST_REQUESTED);
    }

    /// H-02.
    #[test]
    fn a_429_makes_everybody_wait_and_the_wait_doubles() {
        let mut attempts = Attempts::default();
        let waits: Vec<_> = (0..8)
            .map(|_| match attempts.after(&Failure::Throttled(None), NOW, Patience::WORKING, 1.0) {
                Retry::Again { wait, everybody: true } => wait.as_secs(),
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(waits, [1, 2, 4, 8, 16, 32, 60, 60]);
    }

    /// H-03. While patience lasts it asks about once a minute; then it gives up, and whoever called it decides when to
    /// begin again.
    #[test]
    fn a_429_that_never_ends_is_asked_about_once_a_minute_and_given_up() {
        for jitter in [0.0, 0.5, 1.0] {
            let (mut attempts, mut elapsed, mut asked) = (Attempts::default(), Duration::ZERO, 0u32);
            loop {
                asked += 1;
                let verdict = attempts.after(&Failure::Throttled(None), elapsed, Patience::WORKING, jitter);
                let Retry::Again { wait, everybody: true } = verdict else {
                    assert_eq!(verdict, Retry::GiveUp(Kind::SourceThrottled));
                    break;
                };
                elapsed += wait;
            }
            let least = Patience::WORKING.throttled;
            assert!(elapsed >= least && elapsed <= least + LONGEST_THROTTLED, "{elapsed:?}");
            // Seven in the first two minutes, then one in each, or two where the lot is always the shortest wait.
            assert!(asked <= 7 + 2 * 30, "{asked} with {jitter}");
        }
    }

    /// H-04.
    #[test]
    fn a_source_that_is_down_is_waited_for_as_long_as_patience_lasts() {
        let down = Failure::Unavailable("503".to_owned());
        let almost = Patience::WORKING.unavailable - Duration::from_secs(1);
        assert!(matches!(
            Attempts::default().after(&down, almost, Patience::WORKING, 0.5),
            Retry::Again { .. }
        ));
        let gone = Attempts::default().after(&down, Patience::WORKING.unavailable, Patience::WORKING, 0.5);
        assert_eq!(gone, Retry::GiveUp(Kind::SourceUnavailable));
    }

    /// Twenty that were refused at one moment do not ask again at one moment, and less and less so.
    #[test]
    fn twenty_do_not_ask_again_at_one_moment() {
        for failure in [Failure::Unavailable("503".to_owned()), Failure::Throttled(None)] {
            let mut moments: Vec<Vec<Duration>> = vec![Vec::new(); 6];
            for seed in 0..20 {
                let mut lots = fastrand::Rng::with_seed(seed);
                let (mut attempts, mut now) = (Attempts::default(), Duration::ZERO);
                for turn in &mut moments {
                    let verdict = attempts.after(&failure, now, Patience::WORKING, lots.f64());
                    let Retry::Again { wait, .. } = verdict else { panic!("{verdict:?}") };
                    now += wait;
                    turn.push(now);
                }
            }
            for (turn, moments) in moments.iter_mut().enumerate() {
                moments.sort();
                let spread = moments[19] - moments[0];
                // Half a second is the least there is to draw from; it doubles.
                assert!(spread >= Duration::from_millis(300 << turn), "{turn}: {moments:?}");
                let most = moments.iter().map(|from| {
                    moments.iter().filter(|at| *at >= from && **at - *from < spread / 10).count()
                });
                assert!(most.max() <= Some(8), "{turn}: {moments:?}");
            }
        }
    }

    /// H-08.
    #[test]
    fn five_unexpected_answers_end_it() {
        let html = Failure::Unexpected("html".to_owned());
        let mut attempts = Attempts::default();
        for _ in 0..4 {
            assert!(matches!(attempts.after(&html, NOW, Patience::WORKING, 0.5), Retry::Again { .. }));
        }
        assert_eq!(attempts.after(&html, NOW, Patience::WORKING, 0.5), Retry::GiveUp(Kind::SourceShape));
    }

    proptest! {
        #[test]
        fn every_wait_is_between_half_a_second_and_its_ceiling(failed in 1u32..1000, jitter in 0.0f64..=1.0) {
            let wait = backoff(failed, LONGEST_UNAVAILABLE, jitter);
            prop_assert!(wait >= Duration::from_millis(500) && wait <= LONGEST_UNAVAILABLE);
        }

        /// H-02, H-04: with the same luck, a later wait is never shorter; with more luck, never longer.
        #[test]
        fn waits_grow_with_failures_and_with_the_lot(
            failed in 1u32..100, jitter in 0.0f64..=1.0, more in 0.0f64..=1.0, throttled in any::<bool>(),
        ) {
            let longest = if throttled { LONGEST_THROTTLED } else { LONGEST_UNAVAILABLE };
            let wait = backoff(failed, longest, jitter);
            prop_assert!(backoff(failed + 1, longest, jitter) >= wait);
            prop_assert!(backoff(failed, longest, jitter.max(more)) >= wait);
            prop_assert!(wait <= longest && wait >= backoff(failed, longest, 1.0) / 2);
        }

        /// H-01.
        #[test]
        fn a_wait_is_read_as_it_was_written(now in 0u64..4_000_000_000, wait in 0u64..100_000_000, blank in "[ \t]{0,3}") {
            let (now, wait) = (SystemTime::UNIX_EPOCH + Duration::from_secs(now), Duration::from_secs(wait));
            let written = [wait.as_secs().to_string(), httpdate::fmt_http_date(now + wait)];
            for text in written.map(|text| format!("{blank}{text}{blank}")) {
                prop_assert_eq!(retry_after(&text, now), Some(wait), "{}", text);
            }
            let past = httpdate::fmt_http_date(now);
            prop_assert_eq!(retry_after(&past, now + wait), Some(Duration::ZERO));
        }

        /// H-01: what Kit asks for is waited, but no longer than fifteen minutes, and never less than the back-off.
        #[test]
        fn a_requested_wait_is_kept_within_its_bounds(seconds in any::<u64>(), jitter in 0.0f64..=1.0) {
            let asked = Duration::from_secs(seconds);
            let verdict =
                Attempts::default().after(&Failure::Throttled(Some(asked)), NOW, Patience::WORKING, jitter);
            let Retry::Again { wait, everybody: true } = verdict else { panic!("{verdict:?}") };
            prop_assert_eq!(wait, asked.min(LONGEST_REQUESTED).max(backoff(1, LONGEST_THROTTLED, jitter)));
        }

        #[test]
        fn any_retry_after_is_read_without_a_panic(value in "\\PC{0,40}") {
            let _ = retry_after(&value, SystemTime::UNIX_EPOCH);
        }
    }
}
