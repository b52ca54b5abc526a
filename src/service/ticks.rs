//! The source of ticks: tokio-cron-scheduler, which says once a second that it is time to look.
//!
//! It is given one job, in UTC, and nothing to do. Were each schedule a job of its own, it would start a run beside
//! one still going, keep a zone's offset from the day the job was made, forget what fell into a suspend, and go on
//! starting runs after it was shut down. So what is due is found by `schedule`, and what may run is decided by
//! `roster` and `supervisor`; a tick that is late, lost or doubled changes nothing.

use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;
use tokio_cron_scheduler::{Job, JobScheduler, JobSchedulerError};

use crate::error::{Error, Kind, Result};

/// How long the source may be silent. It goes by the machine's clock: when that is put back an hour, it has nothing
/// to say for an hour.
const SILENCE: Duration = Duration::from_secs(2);

/// Ticks, about one a second.
pub struct Ticks {
    scheduler: JobScheduler,
    heard: Arc<Notify>,
}

impl Ticks {
    /// Starts the source.
    ///
    /// # Errors
    /// `Internal` when the scheduler does not start.
    pub async fn start() -> Result<Self> {
        let heard = Arc::new(Notify::new());
        let scheduler = scheduler(Arc::clone(&heard)).await.map_err(|error| {
            Error::new(Kind::Internal, "could not start the source of ticks").because(error)
        })?;
        Ok(Ticks { scheduler, heard })
    }

    /// Waits for the next one. Those that come while nobody waits are one.
    pub async fn next(&self) {
        // A silence that is too long counts as a tick.
        let _ = tokio::time::timeout(SILENCE, self.heard.notified()).await;
    }

    /// Stops the source. One more tick may be under way; nobody hears it.
    pub async fn stop(mut self) {
        if let Err(error) = self.scheduler.shutdown().await {
            tracing::debug!("Stopping the source of ticks: {error}");
        }
    }
}

async fn scheduler(heard: Arc<Notify>) -> Result<JobScheduler, JobSchedulerError> {
    let scheduler = JobScheduler::new().await?;
    let job = Job::new_async("* * * * * *", move |_, _| {
        heard.notify_one();
        Box::pin(std::future::ready(()))
    })?;
    scheduler.add(job).await?;
    scheduler.start().await?;
    Ok(scheduler)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Instant;

    #[tokio::test]
    async fn there_is_a_tick_about_once_a_second() {
        let ticks = Ticks::start().await.expect("it starts");
        ticks.next().await;
        let began = Instant::now();
        for _ in 0..2 {
            ticks.next().await;
        }
        assert!((900..4_000).contains(&began.elapsed().as_millis()), "{:?}", began.elapsed());
        ticks.stop().await;
    }

    /// T-01: as when the machine's clock was put back.
    #[tokio::test]
    async fn a_source_that_fell_silent_does_not_hold_anything_up() {
        let ticks = Ticks::start().await.expect("it starts");
        ticks.scheduler.clone().shutdown().await.expect("it stops");
        let began = Instant::now();
        for _ in 0..3 {
            ticks.next().await;
        }
        assert!(began.elapsed() <= SILENCE * 3 + Duration::from_secs(1), "{:?}", began.elapsed());
    }
}
