//! What is written down of a pass with each page, so that it can go on after anything.

use serde::{Deserialize, Serialize};

use super::far::{Edge, Far};
use crate::kit::Position;
use crate::model::Time;
use crate::replication::plan::Mode;
use crate::replication::walk::Walk;

/// What is written between two commits so that the pass can go on after anything.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Checkpoint {
    pub(super) fingerprint: String,
    pub(super) mode: Mode,
    pub(super) saved_at: Time,
    pub(super) ceiling: Time,
    pub(super) seen_max: Option<Time>,
    /// None of them is left when everything was read and vanished rows are being looked for.
    pub(super) walks: Vec<Walk>,
    pub(super) next: Position,
    pub(super) leg: Leg,
    pub(super) reading: Reading,
}

/// What a pass that reconciles knows about its readings of the whole list.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reading {
    /// When the pass was opened, by our clock.
    pub opened_at: Time,
    /// Whether the list is being read, or was, a second time.
    pub second: bool,
    /// Why what was not met may be there all the same.
    pub doubt: Option<String>,
    /// How many rows the first reading of the list announced.
    #[serde(default)]
    pub announced: Option<u64>,
}

/// What is known about the walk under way.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Leg {
    pub(super) pages: u64,
    pub(super) records: u64,
    /// Rows in the list as its first page said.
    pub(super) total: Option<u64>,
    /// The same as the last page said that told it.
    #[serde(default)]
    pub(super) last_total: Option<u64>,
    /// Whether a later page said something else.
    pub(super) moved: bool,
    /// The key of the first row of the first page: a stale cursor is often answered with page 1.
    pub(super) first_key: Option<Vec<i64>>,
    /// The keys on the last numbered page: a row that leaves the list shows as one that comes again on the next.
    pub(super) last_page: Vec<Vec<i64>>,
    /// Records on the largest page so far.
    pub(super) largest: usize,
    /// Time of the last row so far, for lists that are newest first.
    pub(super) last_time: Option<Time>,
    /// Seconds in which a page ended and the next one did not go on, and that no page has shown as a whole since.
    #[serde(default)]
    pub(super) edges: Vec<Time>,
    /// Whether somebody who is not active was seen: then the plain list hides nobody.
    pub(super) saw_others: bool,
    /// Where it is, in a list that is read from both ends.
    #[serde(default)]
    pub(super) near: Option<Edge>,
    /// What was read at the other end.
    #[serde(default)]
    pub(super) far: Far,
}
