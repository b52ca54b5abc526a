//! How long something is tried again, and what is said of it.

use std::time::{Duration, Instant};

use crate::chaos;
use crate::error::{Error, Kind, Result};
use crate::store::connection::{Then, then};
use crate::store::dialect::Dialect;

/// How long a database that was lost in the middle of work is waited for, and a busy one tried again.
const PATIENCE: Duration = Duration::from_secs(120);
/// The longest pause between two tries.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// How much longer something is tried again.
pub(super) struct Patience {
    /// Whether there is any.
    is_left: bool,
    /// When it first failed.
    since: Option<Instant>,
    pause: Duration,
}

/// The database was waited for in vain. What else was to be done there is not to wait as long again, each for itself.
pub(super) struct GivenUp {
    at: Instant,
    kind: Kind,
    said: String,
    /// Nothing else can be done there either: it is away, or its one file is locked.
    is_for_all: bool,
}

impl GivenUp {
    /// After this error, if it is one that was waited for.
    pub(super) fn after(error: &Error, dialect: Dialect) -> Option<Self> {
        let is_for_all = match then(error) {
            Then::Reconnect => true,
            Then::Again => dialect == Dialect::Sqlite,
            Then::OtherWay | Then::LeaveOutValue | Then::GiveUp => return None,
        };
        Some(GivenUp { at: Instant::now(), kind: error.kind(), said: error.one_line(), is_for_all })
    }

    /// What is left for something else: a moment later not even a try, and none but that for as long as was waited.
    ///
    /// # Errors
    /// What was said when it was given up, a moment ago.
    fn leaves(&self) -> Result<Patience> {
        let ago = self.at.elapsed();
        if self.is_for_all && ago < chaos::hasty(LONGEST_PAUSE) {
            return Err(Error::new(self.kind, self.said.clone()));
        }
        Ok(Patience { is_left: ago >= chaos::hasty(PATIENCE), ..Patience::new() })
    }
}

impl Patience {
    fn new() -> Self {
        Patience { is_left: true, since: None, pause: Duration::from_millis(50) }
    }

    /// As much as there is for a database that may have been given up.
    ///
    /// # Errors
    /// It was, a moment ago.
    pub(super) fn with(given_up: Option<&GivenUp>) -> Result<Self> {
        given_up.map_or_else(|| Ok(Patience::new()), GivenUp::leaves)
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
        if is_final || !self.is_left || waited + self.pause > patience {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::connection::failed;

    fn given_up(error: sqlx::Error, dialect: Dialect, ago: Duration) -> Option<GivenUp> {
        let given_up = GivenUp::after(&failed(dialect, "write rows", error), dialect)?;
        Some(GivenUp { at: Instant::now().checked_sub(ago)?, ..given_up })
    }

    fn cut() -> sqlx::Error {
        sqlx::Error::Io(std::io::ErrorKind::ConnectionReset.into())
    }

    /// D-02, D-05. One wait is enough for whatever a run still had to write.
    #[tokio::test]
    async fn a_database_that_was_given_up_is_not_waited_for_by_everybody_in_turn() {
        let dialect = Dialect::Postgres;
        let now = given_up(cut(), dialect, Duration::ZERO).expect("it is away");
        let refused = Patience::with(Some(&now)).err().expect("not even tried");
        assert_eq!(refused.kind(), Kind::DatabaseUnavailable);
        assert!(refused.one_line().contains("write rows"), "{}", refused.one_line());

        let later = given_up(cut(), dialect, LONGEST_PAUSE).expect("it is away");
        let mut once = Patience::with(Some(&later)).expect("one try");
        once.after(failed(dialect, "read", cut())).await.expect_err("one is all");

        let long_ago = given_up(cut(), dialect, PATIENCE).expect("it is away");
        let mut anew = Patience::with(Some(&long_ago)).expect("as at first");
        anew.after(failed(dialect, "read", cut())).await.expect("another try");
    }

    #[test]
    fn an_error_that_nobody_waits_for_gives_nothing_up() {
        assert!(given_up(sqlx::Error::RowNotFound, Dialect::Postgres, Duration::ZERO).is_none());
    }
}
