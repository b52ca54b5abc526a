//! Kit's rate limit: so many requests of one credential in any rolling 60 seconds of real time.

use parking_lot::Mutex;
use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use super::request::Credential;

const WINDOW: Duration = Duration::from_secs(60);

/// How many requests are allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Allowance {
    /// 120 a minute, 600 for a token.
    Usual,
    /// So many a minute for everybody.
    PerMinute(u32),
    /// Any number.
    Unlimited,
}

/// When each credential was last answered.
#[derive(Debug)]
pub(super) struct Limits(Mutex<Window>);

#[derive(Debug)]
struct Window {
    allowance: Allowance,
    answered: HashMap<Credential, VecDeque<Instant>>,
}

impl Default for Limits {
    fn default() -> Self {
        Self(Mutex::new(Window { allowance: Allowance::Usual, answered: HashMap::new() }))
    }
}

impl Limits {
    pub(super) fn allow(&self, allowance: Allowance) {
        self.0.lock().allowance = allowance;
    }

    /// Counts a request, or tells how long until one is allowed again. Refused requests do not count.
    pub(super) fn admit(&self, credential: Credential, now: Instant) -> Result<(), Duration> {
        let mut window = self.0.lock();
        let limit = match window.allowance {
            Allowance::Usual => credential.usual_limit(),
            Allowance::PerMinute(limit) => limit,
            Allowance::Unlimited => return Ok(()),
        };
        let answered = window.answered.entry(credential).or_default();
        while answered.front().is_some_and(|at| now.duration_since(*at) >= WINDOW) {
            answered.pop_front();
        }
        if answered.len() < limit as usize {
            answered.push_back(now);
            return Ok(());
        }
        let oldest = answered.front().copied().unwrap_or(now);
        Err(WINDOW.saturating_sub(now.duration_since(oldest)))
    }
}
