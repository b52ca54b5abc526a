//! The far end of a list. Each page names only the one that follows it, so a list that is read from one end goes no
//! faster than Kit answers. One that can be had by id in either order is read from both ends at once, until they meet.
//!
//! It is no more than a short cut. The near end alone would read everything, and does as soon as anything about the far
//! one is not as it should be.

use serde::{Deserialize, Serialize};

use super::{Pass, Turn};
use crate::kit::{Following, PageRequest, Position, Precedence};
use crate::model::Paging;
use crate::replication::plan::Mode;
use crate::replication::walk::{Until, WalkKind};
use crate::store::Progress;

/// Pages of a list from which on one request more is of no account.
const LONG_LIST: u64 = 100;

/// Where a list is read on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// Where every walk begins.
    Near,
    /// The other one, for a walk through a whole list by id.
    Far,
}

/// What was read of the walk under way at its far end.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Far {
    /// Nothing yet.
    #[default]
    Unread,
    /// Everybody down to an id.
    Read {
        /// The cursor of what follows.
        next: String,
        /// That id.
        edge: Edge,
        /// Records.
        records: u64,
    },
    /// It cannot be relied on.
    GivenUp,
}

/// Where one end has come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Edge {
    /// The id of its last row.
    last: i64,
    /// That of the row before.
    before: Option<i64>,
}

impl Edge {
    /// Behind a page of these ids.
    fn behind(ids: &[i64], edge: Option<Edge>) -> Option<Edge> {
        match ids {
            [] => edge,
            [last] => Some(Edge { last: *last, before: edge.map(|edge| edge.last) }),
            [.., before, last] => Some(Edge { last: *last, before: Some(*before) }),
        }
    }
}

/// What a page of one end says about the other one.
#[derive(Debug, PartialEq, Eq)]
enum Step {
    /// They have not met yet.
    GoesOn,
    /// They have, and so many of its rows the other end had shown before.
    Meets(usize),
    /// It is not as it should be.
    Contradicts,
}

/// By the ids of a page at an end that stood at `own` before, while the other end stands at `other`.
///
/// They have met when it shows the very row that the other end came to last, and behind it the one before that. An id
/// beyond that row alone says nothing: it may be an error of Kit's, and would leave out everything in between.
fn step(end: End, ids: &[i64], own: Option<Edge>, other: Option<Edge>) -> Step {
    let is_behind = |one: i64, other: i64| match end {
        End::Near => one > other,
        End::Far => one < other,
    };
    let (Some(first), Some(last)) = (ids.first(), ids.last()) else { return Step::GoesOn };
    let goes_on = own.is_none_or(|own| is_behind(*first, own.last));
    if !goes_on || !ids.is_sorted_by(|one, next| is_behind(*next, *one)) {
        return Step::Contradicts;
    }
    let Some(other) = other else { return Step::GoesOn };
    match ids.iter().position(|id| *id == other.last) {
        Some(at) => match (ids.get(at + 1), other.before) {
            (Some(next), Some(before)) if *next != before => Step::Contradicts,
            _ => Step::Meets(ids.len() - at),
        },
        None if is_behind(*last, other.last) => Step::Contradicts,
        None => Step::GoesOn,
    }
}

/// Requests that a list of so many records takes more than it has pages when it is read from both ends. Where the last
/// page is full, the two do not overlap, and only one page more tells that nothing lies between them; a list that is not
/// long is then read from one end.
pub fn requests_to_meet(total: u64, per_page: u64) -> u64 {
    let is_full = total.is_multiple_of(per_page.max(1));
    u64::from(is_full && total / per_page.max(1) >= LONG_LIST)
}

fn is_worth_it(total: u64, per_page: u64) -> bool {
    !total.is_multiple_of(per_page.max(1)) || requests_to_meet(total, per_page) > 0
}

impl Pass {
    /// Whether that end is to be asked, with so many requests of the walk under way: not for more than is left of it.
    pub fn wants(&self, end: End, under_way: usize) -> bool {
        let per_page = self.leg.largest.max(1) as u64;
        let is_left = |total: u64| total.saturating_sub(self.leg.records) > under_way as u64 * per_page;
        match (end, self.leg.total) {
            (End::Near, total) => under_way == 0 || total.is_some_and(is_left),
            (End::Far, Some(total)) if self.can_be_turned() && self.leg.pages > 0 => match self.leg.far {
                Far::Unread => is_left(total) && is_worth_it(total, per_page),
                Far::Read { .. } => is_left(total),
                Far::GivenUp => false,
            },
            (End::Far, _) => false,
        }
    }

    /// At how many ends at once a list of so many records is read.
    pub fn ends(&self, total: u64) -> u64 {
        let is_turned = match self.endpoint.paging {
            Paging::Cursor { per_page } => self.can_be_turned() && is_worth_it(total, per_page.into()),
            Paging::Single | Paging::Numbered { .. } => false,
        };
        if is_turned { 2 } else { 1 }
    }

    /// Whether the walk under way is through a list that its far end shows the other way round.
    fn can_be_turned(&self) -> bool {
        let walk = self.walk();
        let is_whole = self.mode >= Mode::Full && walk.stop == Until::End && !self.is_walked();
        is_whole && walk.kind == WalkKind::Main && walk.turned().is_some()
    }

    /// The request for the next page at an end.
    pub fn request_at(&self, end: End) -> PageRequest {
        match (end, self.walk().turned()) {
            (End::Far, Some(turned)) => PageRequest {
                query: self.query(&turned),
                position: match &self.leg.far {
                    Far::Read { next, .. } => Position::After(next.clone()),
                    Far::Unread | Far::GivenUp => Position::First,
                },
                with_total: false,
                precedence: Precedence::Following,
                ..self.request()
            },
            _ => self.request(),
        }
    }

    /// Takes in a page of the far end: where the pass is behind it.
    pub fn absorb_far(&mut self, turn: &Turn<'_>) -> Progress {
        let (edge, records) = match self.leg.far {
            Far::Unread => (None, 0),
            Far::Read { edge, records, .. } => (Some(edge), records),
            Far::GivenUp => return self.position(),
        };
        let ids: Vec<i64> = turn.batch.ids(self.object).collect();
        let begins_well = match (ids.first(), edge, self.leg.near) {
            // So is a place answered that Kit has forgotten, unless it is with the first page.
            (None, ..) => false,
            (Some(first), None, Some(near)) => *first > near.last,
            (Some(_), ..) => true,
        };
        let step = if begins_well { step(End::Far, &ids, edge, self.leg.near) } else { Step::Contradicts };
        match (step, turn.following, Edge::behind(&ids, edge)) {
            (Step::Meets(shown), ..) => {
                self.take_in(turn, turn.records.saturating_sub(shown), &self.times(turn.batch));
                return self.finish_walk(turn.served_at);
            }
            (Step::GoesOn, Following::Cursor { next: Some(next) }, Some(edge)) => {
                self.take_in(turn, turn.records, &self.times(turn.batch));
                let records = records + turn.records as u64;
                self.leg.far = Far::Read { next: next.clone(), edge, records };
            }
            _ => self.give_up_far(),
        }
        self.position()
    }

    /// What is left of the list is read from the near end.
    pub fn give_up_far(&mut self) {
        if let Far::Read { records, .. } = self.leg.far {
            self.leg.records = self.leg.records.saturating_sub(records);
        }
        if self.leg.far != Far::GivenUp {
            tracing::debug!(object.name = self.object.name, "{} is read from one end only", self.path);
        }
        self.leg.far = Far::GivenUp;
    }

    /// Whether the far end was given up.
    pub fn is_far_given_up(&self) -> bool {
        self.leg.far == Far::GivenUp
    }

    /// Whether the ends have met on a page of the near one, and how many of its records the far one had shown before.
    pub(super) fn meets_far(&mut self, turn: &Turn<'_>) -> Option<usize> {
        if !self.can_be_turned() || self.is_far_given_up() {
            return None;
        }
        let ids: Vec<i64> = turn.batch.ids(self.object).collect();
        let far = match self.leg.far {
            Far::Read { edge, .. } => Some(edge),
            Far::Unread | Far::GivenUp => None,
        };
        let step = step(End::Near, &ids, self.leg.near, far);
        self.leg.near = Edge::behind(&ids, self.leg.near);
        match step {
            Step::Meets(shown) => return Some(shown),
            Step::Contradicts => self.give_up_far(),
            Step::GoesOn => {}
        }
        None
    }
}
