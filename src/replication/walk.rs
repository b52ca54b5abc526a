//! One way through a list: what is asked, in which direction, and where it may end early. Pure; a pass
//! (`pass`) is made of walks.

use serde::{Deserialize, Serialize};

use crate::chaos::{Bug, planted};
use crate::model::{Endpoint, Fresh, Paging, Time, time};

/// How often a list that does not hold still is read back again.
const BACK_AGAIN: u32 = 3;

/// One way through a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Walk {
    /// Filters and order, beside those every request of the list carries.
    pub query: Vec<(String, String)>,
    /// In which order numbered pages are read.
    pub direction: Direction,
    /// Where it may end before the list does.
    pub stop: Until,
    /// Why it is made.
    pub kind: WalkKind,
    /// How many second ways there were before this one.
    #[serde(default)]
    pub repeated: u32,
    /// Records that are asked for on a page, where that is not as many as the list allows: so that pages end elsewhere.
    #[serde(default)]
    pub per_page: Option<u16>,
}

/// In which order numbered pages are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// As the source serves them.
    Forward,
    /// Page 1 for the totals, then from the last page down to 2. A row that leaves a list in
    /// ascending order shifts later ones towards the front: read backwards, they are met again
    /// instead of slipping between two pages.
    Backward,
}

/// Where a walk may end before the end of the list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Until {
    /// Nowhere.
    End,
    /// Behind the first row dated before this, as long as rows come newest first.
    Before(Time),
    /// Behind a page of rows that a completed pass has stored.
    Known,
}

/// Why a walk is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WalkKind {
    /// The list itself, or what is new in it.
    Main,
    /// A second way through a numbered list that moved while it was read, or where the edges of pages may have hidden
    /// rows; the union counts.
    Again,
    /// People whom the plain list may hide.
    Hidden,
}

impl Walk {
    fn main(query: Vec<(String, String)>, direction: Direction, stop: Until) -> Self {
        Walk { query, direction, stop, kind: WalkKind::Main, repeated: 0, per_page: None }
    }

    /// Through the whole list, in the order that makes that safe.
    pub fn whole(endpoint: &Endpoint) -> Self {
        let direction = match endpoint.paging {
            Paging::Numbered { totals: true } if planted(Bug::PageNumbers) => Direction::Forward,
            Paging::Numbered { totals: true } => Direction::Backward,
            Paging::Numbered { totals: false } | Paging::Single | Paging::Cursor { .. } => Direction::Forward,
        };
        Walk::main(owned(endpoint.whole), direction, Until::End)
    }

    /// Through what is new: `day` is the day before the watermark, `pass_day` the day before the moment the
    /// previous complete pass began.
    pub fn fresh(fresh: &Fresh, day: chrono::NaiveDate, pass_day: chrono::NaiveDate) -> Self {
        let dated = |param: &str, day: chrono::NaiveDate, order: &[(&str, &str)]| {
            let mut query = owned(order);
            query.push((param.to_owned(), day.to_string()));
            Walk::main(query, Direction::Backward, Until::End)
        };
        let forward = |order: &[(&str, &str)], stop| Walk::main(owned(order), Direction::Forward, stop);
        match fresh {
            Fresh::SinceWatermark { param, order } => dated(param, day, order),
            Fresh::SincePass { param, order } => dated(param, pass_day, order),
            Fresh::NewestFirst { order, .. } => forward(order, Until::Before(time::start_of(day))),
            Fresh::UntilKnown { order, .. } => forward(order, Until::Known),
        }
    }

    /// The same walk in the other direction. What moves a row past one reader brings it before the other: newest
    /// first and forward, a row that leaves takes its neighbour along; oldest first and backward, the neighbour is
    /// met twice.
    #[must_use]
    pub fn other_way_round(&self) -> Self {
        let mut again = Walk { kind: WalkKind::Again, ..self.clone() };
        again.direction = Direction::Forward;
        for (name, value) in &mut again.query {
            if self.direction == Direction::Forward && name == "sort_order" && value == "desc" {
                "asc".clone_into(value);
                again.direction = Direction::Backward;
            }
        }
        again
    }

    /// The same walk from the other end, where rows come by id and in either order.
    pub fn turned(&self) -> Option<Walk> {
        if !self.asks_for(&[("sort_field", "id"), ("sort_order", "asc")]) {
            return None;
        }
        let mut turned = self.clone();
        for (name, value) in &mut turned.query {
            if name == "sort_order" {
                "desc".clone_into(value);
            }
        }
        Some(turned)
    }

    /// Whether it may be made once more, back again.
    pub fn may_go_back(&self) -> bool {
        self.stop == Until::End && self.repeated < BACK_AGAIN
    }

    /// A second way, back again: for a list that has not held still this time either.
    #[must_use]
    pub fn back_again(&self) -> Self {
        let direction = match self.direction {
            Direction::Forward => Direction::Backward,
            Direction::Backward => Direction::Forward,
        };
        Walk { direction, repeated: self.repeated + 1, ..self.clone() }
    }

    /// The same walk with pages smaller than `largest`, which end elsewhere: what was skipped where the others ended stands
    /// within one of these, as a rule.
    #[must_use]
    pub fn with_other_edges(&self, largest: usize) -> Self {
        // The golden section: of all ratios, its multiples keep furthest away from whole numbers.
        let per_page = u16::try_from(largest * 618 / 1000).unwrap_or(u16::MAX).max(1);
        Walk { kind: WalkKind::Again, per_page: Some(per_page), ..self.clone() }
    }

    /// What an overlap is there to prevent: strictly later than the watermark.
    #[cfg(feature = "chaos")]
    #[must_use]
    pub fn strictly_after(mut self, watermark: Time) -> Self {
        let after = watermark + chrono::TimeDelta::seconds(1);
        for (name, value) in &mut self.query {
            if name.ends_with("after") || name.ends_with("from") || name == "from" {
                *value = after.format("%Y-%m-%dT%H:%M:%SZ").to_string();
            }
        }
        if let Until::Before(since) = &mut self.stop {
            *since = after;
        }
        self
    }

    /// The same walk through the people whom the plain list may hide.
    #[must_use]
    pub fn through_hidden(&self, query: &[(&str, &str)]) -> Self {
        let mut hidden = Walk { kind: WalkKind::Hidden, ..self.clone() };
        hidden.query.extend(owned(query));
        hidden
    }

    /// Whether it asks for all of this.
    pub fn asks_for(&self, query: &[(&str, &str)]) -> bool {
        query.iter().all(|(name, value)| self.query.iter().any(|(n, v)| n == name && v == value))
    }
}

/// A declared query as a request holds it.
pub fn owned(query: &[(&str, &str)]) -> Vec<(String, String)> {
    query.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_newest_first_and_forward_becomes_oldest_first_and_backward() {
        let walk = |order: &str, direction| {
            Walk::main(owned(&[("sort_order", order), ("name", "desc")]), direction, Until::End)
        };
        for (order, direction, again) in [
            ("desc", Direction::Forward, ("asc", Direction::Backward)),
            ("asc", Direction::Forward, ("asc", Direction::Forward)),
            ("desc", Direction::Backward, ("desc", Direction::Forward)),
        ] {
            let turned = walk(order, direction).other_way_round();
            assert_eq!(turned, Walk { kind: WalkKind::Again, ..walk(again.0, again.1) });
        }
    }

    #[test]
    fn a_walk_asks_for_what_its_query_names_with_that_value() {
        let query = owned(&[("state", "cancelled"), ("page", "1")]);
        let walk = Walk::main(query, Direction::Forward, Until::End);
        assert!(
            walk.asks_for(&[("state", "cancelled")])
                && walk.asks_for(&[("page", "1"), ("state", "cancelled")])
        );
        assert!(
            !walk.asks_for(&[("state", "1")]) && !walk.asks_for(&[("page", "1"), ("other", "cancelled")])
        );
    }
}
