//! What passes cost: requests, rows, time. Pure: how large lists are comes in, from [`survey`].
//!
//! Counted is what a quiet account takes: rows that arrive, or answers that have to be asked for again,
//! add to it.

mod lists;
mod survey;

pub(super) use lists::Lists;
pub use survey::{Survey, Surveyed};

use serde::Serialize;
use std::iter::Sum;
use std::ops::Add;

use super::pass::requests_to_meet;
use super::walk::Walk;
use crate::kit::departures;
use crate::model::{Endpoint, Fresh, Paging, V3_PER_PAGE};

/// How sure a number of rows is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Certainty {
    /// Kit said so just now.
    #[default]
    Exact,
    /// Kit counts them, perhaps without those who are not active.
    About,
    /// What is known to come again; what is new comes on top.
    AtLeast,
}

/// What reading one list, or several, takes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Cost {
    /// Requests.
    pub requests: u64,
    /// Records that come.
    pub rows: u64,
    /// How sure the number of rows is.
    #[serde(rename = "rows_are")]
    pub certainty: Certainty,
}

impl Add for Cost {
    type Output = Cost;

    fn add(self, other: Cost) -> Cost {
        Cost {
            requests: self.requests + other.requests,
            rows: self.rows + other.rows,
            certainty: self.certainty.max(other.certainty),
        }
    }
}

impl Sum for Cost {
    fn sum<I: Iterator<Item = Cost>>(costs: I) -> Cost {
        costs.fold(Cost::default(), Add::add)
    }
}

/// Requests for all of a list that holds `rows`.
pub fn whole(endpoint: &Endpoint, rows: u64) -> u64 {
    let details = if endpoint.detail.is_some() { rows } else { 0 };
    let to_meet = match Walk::whole(endpoint).turned() {
        Some(_) => requests_to_meet(rows, per_page(endpoint.paging)),
        None => 0,
    };
    pages(endpoint.paging, rows) + details + to_meet
}

/// Requests for what is new in a list that holds `rows`, of which `again` lie within the overlap. Stubs
/// are completed for new rows only, so those met again cost nothing more.
pub fn fresh(endpoint: &Endpoint, rows: u64, again: u64) -> u64 {
    let walk = |fresh: &Fresh| match fresh {
        Fresh::SinceWatermark { .. } => pages(endpoint.paging, again),
        // Nobody can tell how many were changed; on a quiet account they fit on one page.
        Fresh::SincePass { .. } | Fresh::UntilKnown { .. } => 1,
        // Ends on the page that shows the first row behind the overlap, or with the list.
        Fresh::NewestFirst { .. } => {
            (again / per_page(endpoint.paging).max(1) + 1).min(pages(endpoint.paging, rows))
        }
    };
    match endpoint.fresh {
        [] => pages(endpoint.paging, rows),
        walks => walks.iter().map(walk).sum(),
    }
}

/// A list without rows still takes one request.
fn pages(paging: Paging, rows: u64) -> u64 {
    match paging {
        Paging::Single => 1,
        // Without totals the end is a page that is not full.
        Paging::Numbered { totals: false } => rows / per_page(paging) + 1,
        Paging::Numbered { totals: true } | Paging::Cursor { .. } => {
            rows.div_ceil(per_page(paging).max(1)).max(1)
        }
    }
}

fn per_page(paging: Paging) -> u64 {
    match paging {
        Paging::Single => u64::MAX,
        Paging::Numbered { .. } => u64::from(V3_PER_PAGE),
        Paging::Cursor { per_page } => u64::from(per_page),
    }
}

/// How fast the requests of a job leave, by the limiter itself; a test over the whole program holds it against what a
/// load takes.
#[derive(Debug)]
pub struct Pace {
    /// When each of the first of them leaves, in milliseconds.
    left: Vec<u64>,
    /// The milliseconds from one to the next of all others.
    interval: f64,
}

/// Windows that are looked at one request after the other; later ones are as the last.
const WINDOWS: usize = 40;

impl Pace {
    /// Of a job of `requests`, of which so many may leave in a window.
    pub fn new(per_window: u32, requests: u64) -> Self {
        let window = per_window.max(1) as usize;
        let first = departures(per_window, requests).take(WINDOWS * window);
        let left: Vec<u64> = first.map(|left| left.as_millis() as u64).collect();
        let last = left.last().copied().unwrap_or(0);
        let took = left.len().checked_sub(window + 1).map_or(0, |at| last - left[at]);
        Pace { left, interval: took as f64 / window as f64 }
    }

    /// Seconds until so many requests of the job have left.
    pub fn seconds(&self, requests: u64) -> u64 {
        let known = requests.min(self.left.len() as u64);
        let Some(at) = known.checked_sub(1) else { return 0 };
        let beyond = ((requests - known) as f64 * self.interval) as u64;
        self.left[at as usize].saturating_add(beyond).div_ceil(1000)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{ApiVersion, objects};

    fn endpoint(name: &str, version: ApiVersion) -> &'static Endpoint {
        objects::named(name).and_then(|object| object.endpoint(version)).unwrap()
    }

    /// The table of the API reference: pages of 50 and of 1,000, of 100 for broadcasts with their contents.
    #[test]
    fn a_full_load_takes_a_request_per_page_and_at_least_one() {
        let cases = [
            ("subscribers", ApiVersion::V3, 101, 3),
            ("subscribers", ApiVersion::V3, 100, 2),
            ("subscribers", ApiVersion::V4, 2000, 2),
            ("subscribers", ApiVersion::V4, 2001, 3),
            ("cancelled_subscribers", ApiVersion::V4, 0, 1),
            ("tag_subscriptions", ApiVersion::V3, 0, 1),
            ("tag_subscriptions", ApiVersion::V4, 1001, 2),
            ("tags", ApiVersion::V3, 700, 1),
            ("broadcasts", ApiVersion::V4, 101, 2),
        ];
        for (name, version, rows, requests) in cases {
            assert_eq!(whole(endpoint(name, version), rows), requests, "{name} {version} {rows}");
        }
    }

    #[test]
    fn broadcasts_of_v3_take_a_request_each_and_a_page_more_when_the_last_one_is_full() {
        let broadcasts = endpoint("broadcasts", ApiVersion::V3);
        assert_eq!([0, 49, 50, 51].map(|rows| whole(broadcasts, rows)), [1, 1 + 49, 2 + 50, 2 + 51]);
        assert_eq!(fresh(broadcasts, 200, 3), 1, "known stubs are not completed again");
    }

    #[test]
    fn what_is_new_takes_a_request_per_walk_and_more_where_the_overlap_is_longer_than_a_page() {
        let subscribers = endpoint("subscribers", ApiVersion::V4);
        assert_eq!([0, 1000, 1001].map(|again| fresh(subscribers, 9000, again)), [2, 2, 3]);
        let tagged = endpoint("tag_subscriptions", ApiVersion::V3);
        assert_eq!([0, 49, 50].map(|again| fresh(tagged, 500, again)), [1, 1, 2]);
        assert_eq!(fresh(tagged, 50, 50), 1, "the list ends before the overlap does");
        assert_eq!(fresh(endpoint("cancelled_subscribers", ApiVersion::V3), 5000, 0), 1);
        assert_eq!(fresh(endpoint("forms", ApiVersion::V4), 1001, 0), 2, "there is no way but all of it");
    }

    #[test]
    fn half_a_window_goes_at_once_and_all_of_a_short_job() {
        let long = Pace::new(117, 1000);
        assert_eq!([0, 59, 60, 117, 118].map(|requests| long.seconds(requests)), [0, 0, 1, 31, 62]);
        assert_eq!(Pace::new(117, 117).seconds(117), 0);
        assert_eq!(Pace::new(0, 5).seconds(5), 245);
        // What a hostile answer may announce takes no longer to plan than anything else.
        let endless = Pace::new(117, u64::MAX);
        assert!((61_000_000..61_200_000).contains(&endless.seconds(117_000_000)));
        assert!(endless.seconds(u64::MAX) > 1_000_000_000);
    }

    #[test]
    fn a_sum_is_as_sure_as_its_least_sure_part() {
        let costs = [Certainty::Exact, Certainty::AtLeast, Certainty::About].map(|certainty| Cost {
            requests: 1,
            rows: 10,
            certainty,
        });
        let sum: Cost = costs.into_iter().sum();
        assert_eq!(sum, Cost { requests: 3, rows: 30, certainty: Certainty::AtLeast });
    }
}
