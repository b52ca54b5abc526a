//! What clients asked: every request with all its bytes, for judges of rates, order and leaks.

use parking_lot::{Mutex, MutexGuard};
use std::collections::VecDeque;
use std::time::Instant;

use chrono::{DateTime, Utc};

use super::request::{Credential, Version};

/// Older requests are forgotten beyond this many, so that a long run stays small.
const KEPT: usize = 50_000;

/// One request as it arrived, and how it was answered.
#[derive(Debug, Clone)]
pub struct Request {
    /// Its number, from 1.
    pub number: u64,
    /// Real time of arrival.
    pub arrived: Instant,
    /// Simulated time of arrival.
    pub at: DateTime<Utc>,
    /// The method.
    pub method: String,
    /// The path as received.
    pub path: String,
    /// The query as received, not decoded.
    pub query: String,
    /// All headers as received.
    pub headers: Vec<(String, String)>,
    /// Which face was asked; nothing if the path belongs to neither.
    pub version: Option<Version>,
    /// How it proved who it is.
    pub credential: Credential,
    /// The status answered; 0 while it is not, and if the connection was cut before.
    pub status: u16,
    /// Rows in the answer, if it is a list.
    pub rows: Option<usize>,
    /// What was done to the answer on purpose.
    pub faults: Vec<String>,
}

impl Request {
    /// A header's value.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }
}

/// The requests so far.
#[derive(Debug, Default)]
pub(super) struct RequestLog(Mutex<Entries>);

#[derive(Debug, Default)]
struct Entries {
    kept: VecDeque<Request>,
    total: u64,
}

impl RequestLog {
    /// Records an arrival and returns its number.
    pub(super) fn arrive(&self, mut request: Request) -> u64 {
        let mut entries = self.entries();
        entries.total += 1;
        request.number = entries.total;
        if entries.kept.len() == KEPT {
            entries.kept.pop_front();
        }
        entries.kept.push_back(request);
        entries.total
    }

    /// Adds to the record of a request.
    pub(super) fn amend(&self, number: u64, change: impl FnOnce(&mut Request)) {
        let mut entries = self.entries();
        if let Ok(place) = entries.kept.binary_search_by_key(&number, |request| request.number) {
            change(&mut entries.kept[place]);
        }
    }

    pub(super) fn all(&self) -> Vec<Request> {
        self.entries().kept.iter().cloned().collect()
    }

    pub(super) fn total(&self) -> u64 {
        self.entries().total
    }

    pub(super) fn clear(&self) {
        self.entries().kept.clear();
    }

    fn entries(&self) -> MutexGuard<'_, Entries> {
        self.0.lock()
    }
}
