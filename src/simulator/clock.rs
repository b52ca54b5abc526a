//! The time in the simulated world: runs with real time from a fixed start until it is frozen, moved
//! or skewed. Every `created_at` and the `Date` header come from it; the rate limit does not.

use parking_lot::{Mutex, MutexGuard};
use std::sync::Arc;
use std::time::Instant;

use chrono::{DateTime, TimeDelta, Utc};

/// A clock shared by everything in one simulator. Cloning gives another handle to the same clock.
#[derive(Debug, Clone)]
pub struct SimClock(Arc<Mutex<Face>>);

#[derive(Debug)]
struct Face {
    /// What the clock showed at `since`.
    shown: DateTime<Utc>,
    since: Instant,
    frozen: bool,
    skew: TimeDelta,
}

impl Face {
    fn now(&self) -> DateTime<Utc> {
        match self.frozen {
            true => self.shown,
            false => self.shown + TimeDelta::from_std(self.since.elapsed()).unwrap_or_default(),
        }
    }

    fn set(&mut self, time: DateTime<Utc>, frozen: bool) {
        (self.shown, self.since, self.frozen) = (time, Instant::now(), frozen);
    }
}

impl SimClock {
    pub(super) fn starting_at(time: DateTime<Utc>) -> Self {
        let face = Face { shown: time, since: Instant::now(), frozen: false, skew: TimeDelta::zero() };
        Self(Arc::new(Mutex::new(face)))
    }

    /// The time.
    pub fn now(&self) -> DateTime<Utc> {
        self.face().now()
    }

    /// What the `Date` header says: the time plus the skew.
    pub fn shown_to_clients(&self) -> DateTime<Utc> {
        let face = self.face();
        face.now() + face.skew
    }

    /// Stops the clock where it is.
    pub fn freeze(&self) {
        let mut face = self.face();
        let now = face.now();
        face.set(now, true);
    }

    /// Stops the clock at `time`.
    pub fn freeze_at(&self, time: DateTime<Utc>) {
        self.face().set(time, true);
    }

    /// Lets a frozen clock run again.
    pub fn run(&self) {
        let mut face = self.face();
        let now = face.now();
        face.set(now, false);
    }

    /// Moves the clock by `step`, frozen or not.
    pub fn advance(&self, step: TimeDelta) {
        let mut face = self.face();
        let (now, frozen) = (face.now(), face.frozen);
        face.set(now + step, frozen);
    }

    /// Makes the `Date` header wrong by `skew`; the data keep the right time.
    pub fn set_skew(&self, skew: TimeDelta) {
        self.face().skew = skew;
    }

    fn face(&self) -> MutexGuard<'_, Face> {
        self.0.lock()
    }
}
