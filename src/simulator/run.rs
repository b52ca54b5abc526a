//! A filtered, ordered run of base rows with random access: the rows a list takes from the base, found
//! by arithmetic, minus those that have a record of their own.

use std::ops::Range;

use super::base::{Base, partition};
use super::members::{Joined, MemberRule};
use super::modes::{Bumps, Window};
use super::people::Who;
use super::state::{Cycle, Picked, State, States};

/// What a list is ordered by: a time or an id, then a tie-breaker. Unique within a list.
pub(super) type Key = (i64, i64);

/// Which rows a list takes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Filter {
    pub(super) states: States,
    pub(super) created: Window,
    pub(super) updated: Window,
    pub(super) added: Window,
    pub(super) bumps: Bumps,
}

impl Filter {
    pub(super) fn of(states: States) -> Self {
        let all = Window::ALL;
        Self { states, created: all, updated: all, added: all, bumps: Bumps::default() }
    }
}

/// An entry of a list: a subscriber and, in lists of members, how he belongs to the parent.
#[derive(Debug, Clone, Copy)]
pub(super) struct Item<'a> {
    pub(super) who: Who<'a>,
    pub(super) joined: Option<Joined<'a>>,
}

impl Item<'_> {
    pub(super) fn passes(&self, base: &Base, filter: &Filter) -> bool {
        filter.states.contains(self.who.state())
            && filter.created.contains(self.who.created_at(base))
            && (filter.updated.is_all() || filter.updated.contains(self.who.updated_at(base, &filter.bumps)))
            && (filter.added.is_all()
                || self.joined.is_some_and(|joined| filter.added.contains(joined.added_at(base))))
    }

    pub(super) fn key(&self, base: &Base, order: Order) -> Key {
        let id = self.who.id(base);
        match order {
            Order::Id => (id, 0),
            Order::Created => (self.who.created_at(base), id),
            Order::Cancelled => (self.who.cancelled_at(base).unwrap_or_default(), id),
            Order::Added => self.joined.map_or((0, id), |joined| (joined.added_at(base), joined.id())),
        }
    }
}

/// The order of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    /// By subscriber id.
    Id,
    /// By the subscriber's creation.
    Created,
    /// By cancellation; only cancelled people.
    Cancelled,
    /// By the time of joining; only members.
    Added,
}

/// The base rows that a run draws from.
#[derive(Debug, Clone, Copy)]
pub(super) struct Lane<'a> {
    pub(super) base: &'a Base,
    pub(super) members: Option<&'a MemberRule>,
    pub(super) order: Order,
}

impl<'a> Lane<'a> {
    fn cycle(&self) -> Cycle {
        match (self.members, self.order) {
            (Some(rule), Order::Added) => rule.by_time.clone(),
            (Some(rule), _) => rule.by_id.clone(),
            (None, Order::Cancelled) => Cycle::new(vec![State::Cancelled], self.base.cancelled_count()),
            (None, _) => Cycle::stepping(0, 1, self.base.count),
        }
    }

    /// The subscriber at a position, and his number among the members.
    fn place(&self, position: u64) -> (u64, u64) {
        match (self.members, self.order) {
            (Some(rule), Order::Added) => {
                let k = rule.slots.flip(position);
                (rule.index(k), k)
            }
            (Some(rule), _) => (rule.index(position), position),
            (None, Order::Cancelled) => (self.base.index_in_cancel_slot(position), 0),
            (None, _) => (position, 0),
        }
    }

    fn position(&self, index: u64) -> Option<u64> {
        match (self.members, self.order) {
            (Some(rule), Order::Added) => rule.position(index).map(|k| rule.slots.flip(k)),
            (Some(rule), _) => rule.position(index),
            (None, Order::Cancelled) => {
                (State::by_rule(index) == State::Cancelled).then(|| self.base.cancel_slot(index))
            }
            (None, _) => Some(index),
        }
    }

    fn item(&self, position: u64) -> Item<'a> {
        let (index, k) = self.place(position);
        Item { who: Who::Rule(index), joined: self.members.map(|rule| Joined::Rule(rule, k)) }
    }

    /// Positions outside of the first range do not pass the filter's times, those inside of the second
    /// do; between the two each has to be looked at.
    fn bounds(&self, count: u64, filter: &Filter) -> (Range<u64>, Range<u64>) {
        let (mut outer, mut inner) = (0..count, 0..count);
        let mut narrow = |window: Window, first: &dyn Fn(i64) -> (u64, u64)| {
            if window.from != i64::MIN {
                let (none, all) = first(window.from);
                outer.start = outer.start.max(none);
                inner.start = inner.start.max(all);
            }
            if window.to != i64::MAX {
                let (none, all) = first(window.to + 1);
                outer.end = outer.end.min(all);
                inner.end = inner.end.min(none);
            }
        };
        narrow(filter.created, &|time| self.created_from(count, time));
        narrow(filter.updated, &|time| self.updated_from(count, time, filter.bumps.cancel));
        narrow(filter.added, &|time| self.added_from(count, time));
        if outer.is_empty() {
            return (0..0, 0..0);
        }
        let inner = inner.start.max(outer.start)..inner.end.min(outer.end);
        (outer.clone(), if inner.is_empty() { outer.end..outer.end } else { inner })
    }

    /// Up to the first position nothing was created at or after `time`, from the second on everything.
    fn created_from(&self, count: u64, time: i64) -> (u64, u64) {
        let created = |position| self.base.created_at(self.place(position).0);
        match (self.members, self.order) {
            (None, Order::Cancelled) => (0, count),
            (Some(rule), Order::Added) => {
                let k = partition(count, |k| self.base.created_at(rule.index(k)) < time);
                around_block(rule, count, k)
            }
            _ => twice(partition(count, |position| created(position) < time)),
        }
    }

    fn updated_from(&self, count: u64, time: i64, cancelling_counts: bool) -> (u64, u64) {
        match (self.members, self.order) {
            (None, Order::Cancelled) if cancelling_counts => {
                twice(partition(count, |slot| self.base.cancelled_in_slot(slot) < time))
            }
            (None, Order::Id | Order::Created) => self.base.updated_from(time, cancelling_counts),
            _ => (0, count),
        }
    }

    fn added_from(&self, count: u64, time: i64) -> (u64, u64) {
        let Some(rule) = self.members else { return (0, count) };
        let slot = partition(count, |slot| rule.added_in_slot(self.base, slot) < time);
        match self.order {
            Order::Added => twice(slot),
            _ => around_block(rule, count, slot),
        }
    }
}

fn twice(position: u64) -> (u64, u64) {
    (position, position)
}

/// Within its block a position says nothing about the other order; at a block's start it does.
fn around_block(rule: &MemberRule, count: u64, position: u64) -> (u64, u64) {
    match position < count && rule.slots.block_start(position) != position {
        true => (rule.slots.block_start(position), rule.slots.block_end(position)),
        false => twice(position),
    }
}

/// The rows of a [`Lane`] that pass a filter, in its order.
#[derive(Debug, Clone)]
pub(super) struct Run<'a> {
    lane: Lane<'a>,
    picked: Picked,
    /// Positions before the body, each looked at.
    head: Vec<u64>,
    /// Ranks among the picked rows.
    body: Range<u64>,
    /// Positions after the body, each looked at.
    tail: Vec<u64>,
    /// Places of the run that do not count, because the row has a record of its own; sorted.
    holes: Vec<u64>,
}

impl<'a> Run<'a> {
    /// The run of `lane` under `filter`, without the base rows in `recorded`.
    pub(super) fn new(lane: Lane<'a>, filter: &Filter, recorded: impl Iterator<Item = u64>) -> Self {
        let cycle = lane.cycle();
        let picked = cycle.pick(filter.states);
        let (outer, inner) = lane.bounds(cycle.len(), filter);
        let passing = |range: Range<u64>| -> Vec<u64> {
            (picked.before(range.start)..picked.before(range.end))
                .map(|rank| picked.nth(rank))
                .filter(|position| lane.item(*position).passes(lane.base, filter))
                .collect()
        };
        let head = passing(outer.start..inner.start);
        let tail = passing(inner.end..outer.end);
        let body = picked.before(inner.start)..picked.before(inner.end);
        let mut run = Self { lane, picked, head, body, tail, holes: Vec::new() };
        run.holes = recorded.filter_map(|index| run.place_of(lane.position(index)?)).collect();
        run.holes.sort_unstable();
        run.holes.dedup();
        run
    }

    pub(super) fn len(&self) -> u64 {
        self.full_len() - self.holes.len() as u64
    }

    pub(super) fn key(&self, rank: u64) -> Key {
        self.item(rank).key(self.lane.base, self.lane.order)
    }

    pub(super) fn item(&self, rank: u64) -> Item<'a> {
        let before = partition(self.holes.len() as u64, |n| self.holes[n as usize] - n <= rank);
        self.lane.item(self.position_at(rank + before))
    }

    fn full_len(&self) -> u64 {
        self.head.len() as u64 + (self.body.end - self.body.start) + self.tail.len() as u64
    }

    fn position_at(&self, place: u64) -> u64 {
        let Some(beyond_head) = place.checked_sub(self.head.len() as u64) else {
            return self.head[place as usize];
        };
        let body = self.body.end - self.body.start;
        match beyond_head.checked_sub(body) {
            None => self.picked.nth(self.body.start + beyond_head),
            Some(beyond_body) => self.tail[beyond_body as usize],
        }
    }

    /// The place of a position in the run, holes counted.
    fn place_of(&self, position: u64) -> Option<u64> {
        let head = self.head.len() as u64;
        if let Ok(place) = self.head.binary_search(&position) {
            return Some(place as u64);
        }
        if let Ok(place) = self.tail.binary_search(&position) {
            return Some(head + (self.body.end - self.body.start) + place as u64);
        }
        let rank = self.picked.before(position);
        let belongs = self.body.contains(&rank) && self.picked.nth(rank) == position;
        belongs.then(|| head + rank - self.body.start)
    }
}
