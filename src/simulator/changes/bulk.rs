//! Many changes in one second, as imports and automations make them, and whom to pick for a change.

use std::ops::Range;

use super::NewSubscriber;
use crate::simulator::account::Account;
use crate::simulator::members::{MemberRule, Parent};
use crate::simulator::state::State;

impl Account {
    /// Signs up `count` people within one second and returns their ids.
    pub fn import_subscribers(&mut self, count: u64) -> Vec<i64> {
        let batch = self.serial;
        let addresses = (0..count).map(|n| format!("import.{batch}.{n}@bulk.example"));
        addresses
            .map(|address| self.create_subscriber(NewSubscriber::new(address).named("Imported")))
            .collect()
    }

    /// Tags up to `count` people who do not have the tag, from the `skip`-th base subscriber on.
    pub fn tag_many(&mut self, tag: i64, skip: u64, count: usize) -> Vec<i64> {
        self.base_ids(skip..self.base.count).filter(|id| self.tag(tag, *id)).take(count).collect()
    }

    /// Unsubscribes up to `count` people, from the `skip`-th base subscriber on.
    pub fn cancel_many(&mut self, skip: u64, count: usize) -> Vec<i64> {
        self.base_ids(skip..self.base.count).filter(|id| self.cancel(*id)).take(count).collect()
    }

    /// The id of the n-th subscriber the account began with, whatever has become of him.
    pub fn base_id(&self, n: u64) -> i64 {
        self.base.id(n)
    }

    /// Any living subscriber, all with equal chance.
    pub fn pick_subscriber(&self, chance: &mut fastrand::Rng) -> Option<i64> {
        self.pick_subscriber_in(&State::ALL, chance)
    }

    /// Any subscriber in one of those states, all with equal chance.
    pub fn pick_subscriber_in(&self, states: &[State], chance: &mut fastrand::Rng) -> Option<i64> {
        let added: Vec<i64> =
            self.people.keys().copied().filter(|id| self.base.index_of(*id).is_none()).collect();
        let all = self.base.count + added.len() as u64;
        let at = |n: u64| match n < self.base.count {
            true => self.base.id(n),
            false => added[(n - self.base.count) as usize],
        };
        let fits = |id: &i64| self.state_of(*id).is_some_and(|state| states.contains(&state));
        if all == 0 {
            return None;
        }
        // A lucky dip nearly always works; if not, the next one from a random place on.
        let dip = (0..200).map(|_| at(chance.u64(0..all))).find(fits);
        let start = chance.u64(0..all);
        dip.or_else(|| (start..all).chain(0..start).map(at).find(fits))
    }

    /// Any member of a parent, all with nearly equal chance.
    pub fn pick_member(&self, parent: Parent, chance: &mut fastrand::Rng) -> Option<i64> {
        let by_rule = self.rules.get(&parent).map_or(0, MemberRule::count);
        let joined: Vec<i64> =
            self.members.get(&parent).into_iter().flat_map(|m| m.keys().copied()).collect();
        let all = by_rule + joined.len() as u64;
        if all == 0 {
            return None;
        }
        let at = |n: u64| match (self.rules.get(&parent), n.checked_sub(by_rule)) {
            (Some(rule), None) => self.base.id(rule.index(n)),
            (_, n) => joined[n.unwrap_or_default() as usize],
        };
        let start = chance.u64(0..all);
        (start..all).chain(0..start).map(at).find(|id| self.is_member(parent, *id))
    }

    fn base_ids(&self, range: Range<u64>) -> impl Iterator<Item = i64> + use<> {
        let base = self.base.clone();
        range.map(move |index| base.id(index))
    }
}
