//! How long something is tried again, and what is said of it.

use std::time::{Duration, Instant};

use crate::chaos;
use crate::error::{Error, Result};
use crate::store::connection::{Then, then};

/// How long a database that was lost in the middle of work is waited for, and a busy one tried again.
const PATIENCE: Duration = Duration::from_secs(120);
/// The longest pause between two tries.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// How much longer something is tried again.
pub(super) struct Patience {
    /// When it first failed.
    since: Option<Instant>,
    pause: Duration,
}

impl Patience {
    pub(super) fn new() -> Self {
        Patience { since: None, pause: Duration::from_millis(50) }
    }

    /// Tells whoever was told of trouble that it is over.
    pub(super) fn was_worth_it(&self) {
        if let Some(since) = self.since {
            tracing::info!("The database works again after {:.1} s", since.elapsed().as_secs_f64());
        }
    }

    /// Waits before another try, or gives the error back where none is worth it.
    pub(super) async fn after(&mut self, error: Error) -> Result<()> {
        if then(&error) == Then::OtherWay {
            tracing::debug!("{}; trying another way", error.one_line());
            return Ok(());
        }
        let waited = self.since.map_or(Duration::ZERO, |since| since.elapsed());
        let is_final = matches!(then(&error), Then::GiveUp | Then::LeaveOutValue);
        let patience = chaos::hasty(PATIENCE);
        if is_final || waited + self.pause > patience {
            return Err(error);
        }
        if self.since.is_some() {
            tracing::debug!("Still not: {}", error.one_line());
        } else {
            // From here, not from the beginning: an answer may have been waited for longer than this.
            self.since = Some(Instant::now());
            let seconds = patience.as_secs();
            tracing::warn!("{}; trying again for up to {seconds} s", error.one_line());
        }
        let jitter = fastrand::u64(0..=self.pause.as_millis() as u64 / 2);
        tokio::time::sleep(self.pause + Duration::from_millis(jitter)).await;
        self.pause = (self.pause * 2).min(LONGEST_PAUSE);
        Ok(())
    }
}
