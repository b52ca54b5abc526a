//! What happens on a day, drawn from a seed: the account, the answers to open questions, and one life of the program
//! after the other with all that goes wrong in it. Plain data, so that a day that failed can be made smaller.

use crate::support::Api;
use crate::support::faults::fault;
use chrono::{TimeDelta, Utc};
use kitmirror::simulator::{
    AccountPlan, BeyondEnd, Blank, Edge, Fault, Granularity, Lag, Modes, RetryAfter, SequenceRows,
    StaleCursor, TagCursor, TimeCursor,
};
use std::time::Duration;

/// When every day begins.
pub const MORNING: &str = "2024-02-28T06:00:00Z";

/// A day.
#[derive(Debug, Clone)]
pub struct Day {
    pub seed: u64,
    pub api: Api,
    pub plan: AccountPlan,
    pub modes: Modes,
    pub requests_per_minute: u32,
    /// Lists of members that lie still are left out.
    pub skips_members: bool,
    pub steps: Vec<Step>,
}

/// A life of the program, and what came before it.
#[derive(Debug, Clone, Default)]
pub struct Step {
    /// Time that goes by first.
    pub wait: TimeDelta,
    /// Random changes in that time.
    pub changes: u32,
    /// One more after every so many requests.
    pub churn: Option<u64>,
    pub faults: Vec<Fault>,
    pub whole: Option<Reads>,
    /// It dies when it comes by a place for the how many-th time.
    pub dies_at: Option<u64>,
    /// It is paused there instead, another life begins and ends, and then it goes on.
    pub is_overtaken: bool,
    /// The line to the database breaks around its n-th commit: before it is made, or before it is answered.
    pub breaks: Option<(u64, bool)>,
    /// How long Kit takes to answer, if that is not to be left to chance.
    pub latency: Option<Duration>,
    /// How long the database takes at most for a commit.
    pub commits_take: Duration,
    pub seed: u64,
}

/// What a life reads, if not just what is new.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reads {
    Everything,
    Reconcile,
}

impl Day {
    pub fn of(seed: u64) -> Self {
        let mut chance = fastrand::Rng::with_seed(seed);
        let api = if chance.bool() { Api::V4 } else { Api::V3 };
        let people = if api == Api::V4 { 60 } else { 180 };
        let mut sizes = |most: u64| -> Vec<u64> {
            let lists = chance.usize(0..=2);
            (0..lists).map(|_| chance.u64(0..=most)).collect()
        };
        let (tags, forms, sequences) = (sizes(people / 2), sizes(people / 2), sizes(people / 3));
        let plan = AccountPlan::new(chance.u64(0..=people))
            .seed(seed)
            .tag_sizes(tags)
            .form_sizes(forms)
            .sequence_sizes(sequences)
            .broadcasts(chance.usize(0..4))
            .custom_fields(chance.usize(0..3))
            .starting_at(MORNING.parse::<chrono::DateTime<Utc>>().expect("a time"));
        let modes = modes(&mut chance);
        let mut steps: Vec<Step> = (0..chance.usize(5..=10)).map(|_| Step::by(&mut chance, api)).collect();
        steps[0].wait = TimeDelta::zero();
        // Came later, as in `modes`.
        let apart = &mut fastrand::Rng::with_seed(!chance.get_seed());
        for step in &mut steps {
            step.commits_take = Duration::from_millis(match apart.u8(0..8) {
                0..4 => 0,
                4..7 => apart.u64(10..4_000),
                _ => apart.u64(4_000..60_000),
            });
        }
        let requests_per_minute = if chance.u8(0..3) == 0 { chance.u32(10..40) } else { 120 };
        Day { seed, api, plan, modes, requests_per_minute, skips_members: chance.bool(), steps }
    }

    /// Days with less in them, the greatest reductions first: for whoever looks for what it takes to fail.
    pub fn smaller(&self) -> Vec<Day> {
        let mut days = Vec::new();
        let with = |steps: Vec<Step>| Day { steps, ..self.clone() };
        let count = self.steps.len();
        if count > 1 {
            days.push(with(self.steps[..count / 2].to_vec()));
            days.push(with(self.steps[count / 2..].to_vec()));
            days.extend((0..count).map(|at| {
                let mut steps = self.steps.clone();
                let gone = steps.remove(at);
                // The time it took still goes by.
                if let Some(next) = steps.get_mut(at) {
                    next.wait += gone.wait;
                }
                with(steps)
            }));
        }
        for at in 0..count {
            let mut change = |less: fn(&mut Step) -> bool| {
                let mut steps = self.steps.clone();
                if less(&mut steps[at]) {
                    days.push(with(steps));
                }
            };
            change(|step| !std::mem::take(&mut step.faults).is_empty());
            change(|step| step.churn.take().is_some());
            change(|step| std::mem::take(&mut step.changes) > 0);
            change(|step| step.breaks.take().is_some());
            change(|step| !std::mem::take(&mut step.commits_take).is_zero());
            change(|step| step.dies_at.take().is_some());
            change(|step| step.whole.take().is_some());
            change(|step| step.faults.len() > 1 && step.faults.pop().is_some());
        }
        days
    }
}

impl Step {
    fn by(chance: &mut fastrand::Rng, api: Api) -> Self {
        let wait = match chance.u8(0..6) {
            0 => TimeDelta::zero(),
            1 => TimeDelta::seconds(chance.i64(1..90)),
            2..5 => TimeDelta::minutes(chance.i64(5..90)),
            // Beyond a day's overlap, and a list of members is due by time alone.
            _ => TimeDelta::hours(chance.i64(2..30)),
        };
        let one_in = |chance: &mut fastrand::Rng, n: u8| chance.u8(0..n) == 0;
        let faults = if one_in(chance, 2) {
            (0..chance.usize(1..=3)).map(|_| fault(chance, api)).collect()
        } else {
            Vec::new()
        };
        let dies_at = one_in(chance, 2).then(|| {
            let most = if chance.bool() { 60 } else { 500 };
            chance.u64(1..most)
        });
        Step {
            wait,
            changes: if chance.bool() { chance.u32(1..30) } else { 0 },
            churn: one_in(chance, 2).then(|| chance.u64(1..6)),
            faults,
            whole: match chance.u8(0..8) {
                0 => Some(Reads::Everything),
                1 | 2 => Some(Reads::Reconcile),
                _ => None,
            },
            dies_at,
            is_overtaken: one_in(chance, 4),
            breaks: one_in(chance, 3).then(|| (chance.u64(1..20), chance.bool())),
            latency: None,
            commits_take: Duration::ZERO,
            seed: chance.u64(..),
        }
    }
}

fn modes(chance: &mut fastrand::Rng) -> Modes {
    let yes = |chance: &mut fastrand::Rng| chance.bool();
    // Came later: drawn apart, so that what other numbers mean stays.
    let apart = &mut fastrand::Rng::with_seed(!chance.get_seed());
    let (edge, granularity) = (yes(chance), yes(chance));
    Modes {
        filter_edge: if edge { Edge::Inclusive } else { Edge::Exclusive },
        filter_granularity: if granularity { Granularity::Second } else { Granularity::Day },
        filter_zone_hours: [-12, 0, 0, 0, 14][chance.usize(0..5)],
        time_cursor: [TimeCursor::TieBreaker, TimeCursor::StrictSecond, TimeCursor::RepeatedSecond]
            [chance.usize(0..3)],
        tag_cursor: [TagCursor::Array, TagCursor::Bare][chance.usize(0..2)],
        beyond_end: [BeyondEnd::Empty, BeyondEnd::NotFound][chance.usize(0..2)],
        page_cap: (!one_in_four(chance)).then(|| chance.u32(4..25)),
        retagging_moves: yes(chance),
        cursor_ttl_seconds: one_in_four(chance).then(|| chance.i64(30..3_600)),
        stale_cursor: [
            StaleCursor::BadRequest,
            StaleCursor::NotFound,
            StaleCursor::Unprocessable,
            StaleCursor::FirstPage,
            StaleCursor::Empty,
        ][chance.usize(0..5)],
        date_missing: one_in_four(chance) && one_in_four(chance),
        sequence_rows: if yes(apart) { SequenceRows::Full } else { SequenceRows::Minimal },
        limit_retry_after: [RetryAfter::Absent, RetryAfter::Seconds, RetryAfter::Date][apart.usize(0..3)],
        limit_body: [Blank::Json, Blank::Html, Blank::Empty][apart.usize(0..3)],
        gzip: yes(apart),
        lag: match chance.u8(0..4) {
            0 => Lag::Seconds(chance.u32(1..300)),
            1 => Lag::Kit,
            _ => Lag::None,
        },
        ..Modes::default()
    }
}

fn one_in_four(chance: &mut fastrand::Rng) -> bool {
    chance.u8(0..4) == 0
}
