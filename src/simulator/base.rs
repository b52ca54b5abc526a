//! The base rows of an account: pure functions of seed and index, never stored. Ids and creation times
//! rise with the index, so a cursor, a day or a page number is found by arithmetic or a short search.

use std::ops::Range;

use super::plan::AccountPlan;
use super::quirks::Quirk;
use super::slots::Slots;
use super::state::{Cycle, Picked, State, States};

/// Distance between neighbouring ids; within it an id varies, so that ids have gaps.
const ID_STRIDE: i64 = 7;
/// 1969-07-20T20:17:40Z, before the epoch.
const BEFORE_THE_EPOCH: i64 = -14_182_940;
/// 2038-01-19T03:14:08Z, one second more than 32 bits hold.
const BEYOND_32_BITS: i64 = 2_147_483_648;

/// Rules for the subscribers an account starts with.
#[derive(Debug, Clone)]
pub(super) struct Base {
    pub(super) count: u64,
    pub(super) seed: u64,
    pub(super) nasty: bool,
    first_id: i64,
    start: i64,
    end: i64,
    /// Rows created in one and the same second, as an import does.
    imported: Range<u64>,
    cancelled: Picked,
    cancellations: Slots,
}

impl Base {
    pub(super) fn new(plan: &AccountPlan) -> Self {
        let count = plan.subscribers;
        let end = plan.starts_at.timestamp();
        let import_start = count * 2 / 5;
        let cancelled = Cycle::stepping(0, 1, count).pick(States::only(State::Cancelled));
        let cancellations = Slots { count: cancelled.len(), block: (cancelled.len() / 8).clamp(1, 100) };
        Self {
            count,
            seed: plan.seed,
            nasty: plan.nasty,
            first_id: plan.first_subscriber_id,
            start: end - plan.span.num_seconds().max(1),
            end,
            imported: import_start..(import_start + plan.imported()).min(count),
            cancelled,
            cancellations,
        }
    }

    /// When the base ends: the start of the simulation.
    pub(super) fn end(&self) -> i64 {
        self.end
    }

    /// The first id that no base row has (huge ids of nasty rows aside).
    pub(super) fn next_id(&self) -> i64 {
        self.first_id + self.count as i64 * ID_STRIDE
    }

    pub(super) fn id(&self, index: u64) -> i64 {
        if self.nasty {
            match self.count - index {
                1 if self.count > 20 => return i64::MAX,
                2 if self.count > 20 => return (1 << 53) + 1,
                _ => {}
            }
        }
        let gap = (self.dice(index, 1) % ID_STRIDE as u64) as i64;
        self.first_id + index as i64 * ID_STRIDE + gap
    }

    /// The base row of that id.
    pub(super) fn index_of(&self, id: i64) -> Option<u64> {
        let by_rule = id.checked_sub(self.first_id).filter(|n| *n >= 0).map(|n| (n / ID_STRIDE) as u64);
        let last = [self.count.checked_sub(1), self.count.checked_sub(2)];
        [by_rule, last[0], last[1]]
            .into_iter()
            .flatten()
            .find(|index| *index < self.count && self.id(*index) == id)
    }

    /// When the row was created. Rises with the index.
    pub(super) fn created_at(&self, index: u64) -> i64 {
        if self.nasty && self.count > 20 {
            if index == 0 {
                return BEFORE_THE_EPOCH;
            }
            if index + 1 == self.count && State::by_rule(index) != State::Cancelled {
                return BEYOND_32_BITS;
            }
        }
        self.ordinarily_created_at(index)
    }

    /// As [`Self::created_at`], without the odd dates of nasty accounts.
    pub(super) fn ordinarily_created_at(&self, index: u64) -> i64 {
        let index = if self.imported.contains(&index) { self.imported.start } else { index };
        self.start + (self.end - self.start) * index as i64 / self.count.max(1) as i64
    }

    /// The first index whose row was created at or after `time`.
    pub(super) fn first_created_from(&self, time: i64) -> u64 {
        partition(self.count, |index| self.created_at(index) < time)
    }

    pub(super) fn cancelled_at(&self, index: u64) -> Option<i64> {
        (State::by_rule(index) == State::Cancelled).then(|| self.cancelled_in_slot(self.cancel_slot(index)))
    }

    /// How many base rows are cancelled.
    pub(super) fn cancelled_count(&self) -> u64 {
        self.cancelled.len()
    }

    /// The place of a cancelled row in the order of cancellations.
    pub(super) fn cancel_slot(&self, index: u64) -> u64 {
        self.cancellations.flip(self.cancelled.before(index))
    }

    /// The row that was the `slot`-th to be cancelled.
    pub(super) fn index_in_cancel_slot(&self, slot: u64) -> u64 {
        self.cancelled.nth(self.cancellations.flip(slot))
    }

    pub(super) fn cancelled_in_slot(&self, slot: u64) -> i64 {
        let created = |position| self.ordinarily_created_at(self.cancelled.nth(position));
        self.cancellations.time(slot, self.end, created)
    }

    /// When the row was last updated, if cancelling counts as an update.
    pub(super) fn updated_at(&self, index: u64, cancelling_counts: bool) -> i64 {
        match self.cancelled_at(index) {
            Some(cancelled) if cancelling_counts => cancelled,
            _ => self.created_at(index),
        }
    }

    /// Of the rows updated at or after `time`: an index before which there are none, and one from which
    /// on every row is.
    pub(super) fn updated_from(&self, time: i64, cancelling_counts: bool) -> (u64, u64) {
        let all = self.first_created_from(time);
        if !cancelling_counts {
            return (all, all);
        }
        let slot = partition(self.cancelled.len(), |slot| self.cancelled_in_slot(slot) < time);
        let none = match slot < self.cancelled.len() {
            true => self.cancelled.nth(self.cancellations.block_start(slot)),
            false => self.count,
        };
        (none.min(all), all)
    }

    /// What is odd about the row; nothing unless the account is nasty.
    pub(super) fn quirk(&self, index: u64) -> Quirk {
        if self.nasty { Quirk::by_rule(index) } else { Quirk::None }
    }

    /// A number that depends on nothing but seed, index and `salt`.
    pub(super) fn dice(&self, index: u64, salt: u64) -> u64 {
        mix(self.seed ^ mix(index.wrapping_add(salt.wrapping_mul(0x9E37_79B9_7F4A_7C15))))
    }
}

/// The first of `count` positions at which `before` is false, given that it is true, then false.
pub(super) fn partition(count: u64, before: impl Fn(u64) -> bool) -> u64 {
    let (mut low, mut high) = (0, count);
    while low < high {
        let middle = low + (high - low) / 2;
        if before(middle) { low = middle + 1 } else { high = middle }
    }
    low
}

/// The finaliser of SplitMix64.
pub(super) fn mix(mut value: u64) -> u64 {
    value = (value ^ (value >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    value = (value ^ (value >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    value ^ (value >> 31)
}
