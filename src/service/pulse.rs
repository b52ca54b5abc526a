//! What the service is doing at present: written by its supervisor, read by its status server.

use parking_lot::{Mutex, MutexGuard};
use std::collections::BTreeMap;
use std::sync::Arc;

use crate::model::Time;

/// What the service as a whole is doing.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(tag = "phase", rename_all = "snake_case")]
pub enum Phase {
    /// Nothing is open yet.
    Starting,
    /// The database does not answer, or refuses; it is asked again and again.
    WaitingForDatabase {
        /// What it answered, in one line.
        error: String,
    },
    /// Kit does not answer; it is asked again and again, in longer and longer intervals.
    WaitingForKit {
        /// What came of it last, in one line.
        error: String,
    },
    /// Another kitmirror writes to this mirror; this one takes over when that one is gone.
    Standby {
        /// Who holds the lease.
        holder: String,
    },
    /// The lease is ours and the schedules are kept.
    Working,
    /// Nothing can be read until somebody has done something: a revoked credential, say.
    Paused {
        /// What is wrong, in one line.
        error: String,
        /// What to do about it.
        advice: String,
    },
    /// A stop was asked for; the page in hand is being finished.
    Stopping,
}

impl Phase {
    /// All of their names.
    pub const NAMES: [&str; 7] =
        ["starting", "waiting_for_database", "waiting_for_kit", "standby", "working", "paused", "stopping"];

    /// A short stable name.
    pub fn name(&self) -> &'static str {
        match self {
            Phase::Starting => "starting",
            Phase::WaitingForDatabase { .. } => "waiting_for_database",
            Phase::WaitingForKit { .. } => "waiting_for_kit",
            Phase::Standby { .. } => "standby",
            Phase::Working => "working",
            Phase::Paused { .. } => "paused",
            Phase::Stopping => "stopping",
        }
    }
}

/// What is known about the schedule of one object.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
pub struct Timetable {
    /// Whether a run of it is under way.
    pub running: bool,
    /// When it is due next.
    pub next: Option<Time>,
    /// Seconds between two of its ticks: what fresh means for it.
    pub interval_seconds: Option<u64>,
    /// Ticks that found it busy, since the start.
    pub skipped: u64,
}

/// A snapshot of everything.
#[derive(Debug, Clone)]
pub struct Beat {
    /// What the service as a whole is doing.
    pub phase: Phase,
    /// By the name of the object; only those that are replicated.
    pub schedules: BTreeMap<&'static str, Timetable>,
}

/// Cloning gives another handle to the same one.
#[derive(Debug, Clone)]
pub struct Pulse(Arc<Mutex<Beat>>);

impl Default for Pulse {
    fn default() -> Self {
        Pulse(Arc::new(Mutex::new(Beat { phase: Phase::Starting, schedules: BTreeMap::new() })))
    }
}

impl Pulse {
    /// The service begins to do something else.
    pub fn enter(&self, phase: Phase) {
        self.lock().phase = phase;
    }

    /// From now on these are the objects that are replicated, and this is what is known of their schedules.
    pub fn replicates(&self, schedules: impl IntoIterator<Item = (&'static str, Timetable)>) {
        self.lock().schedules = schedules.into_iter().collect();
    }

    /// Changes what is known about an object's schedule.
    pub fn schedule(&self, object: &'static str, change: impl FnOnce(&mut Timetable)) {
        change(self.lock().schedules.entry(object).or_default());
    }

    /// Everything as it is now.
    pub fn now(&self) -> Beat {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, Beat> {
        self.0.lock()
    }
}
