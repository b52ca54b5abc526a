//! The lists of subscribers and members that both faces serve, at one moment, in one order, filtered.

use std::collections::BTreeSet;

use super::account::{Account, Catalogue};
use super::listing::Listing;
use super::members::Parent;
use super::modes::Scope;
use super::people::Who;
use super::run::{Filter, Item, Lane, Order, Run};
use super::state::{State, States};

/// The order of a subscriber list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PeopleOrder {
    Id,
    Created,
    Updated,
    Cancelled,
}

impl Account {
    /// Subscribers, as lists show them.
    pub(super) fn subscriber_list(&self, order: PeopleOrder, filter: Filter) -> Listing<'_> {
        let cancelled = States::only(State::Cancelled);
        let lane = |order| Lane { base: &self.base, members: None, order };
        let part = |order, states| {
            let filter = Filter { states, ..filter };
            Run::new(
                lane(order),
                &filter,
                self.people.values().filter_map(|history| self.base_index(history)),
            )
        };
        let runs = match order {
            PeopleOrder::Id => vec![part(Order::Id, filter.states)],
            PeopleOrder::Created => vec![part(Order::Created, filter.states)],
            PeopleOrder::Cancelled => vec![part(Order::Cancelled, filter.states.and(cancelled))],
            PeopleOrder::Updated if filter.bumps.cancel => vec![
                part(Order::Created, filter.states.without(State::Cancelled)),
                part(Order::Cancelled, filter.states.and(cancelled)),
            ],
            PeopleOrder::Updated => vec![part(Order::Created, filter.states)],
        };
        let states =
            if order == PeopleOrder::Cancelled { filter.states.and(cancelled) } else { filter.states };
        let filter = Filter { states, ..filter };
        let recorded = self.people.values().filter_map(|history| {
            let who = Who::Record(history.listed(self.now)?);
            let item = Item { who, joined: None };
            let key = match order {
                PeopleOrder::Id => item.key(&self.base, Order::Id),
                PeopleOrder::Created => item.key(&self.base, Order::Created),
                PeopleOrder::Cancelled => item.key(&self.base, Order::Cancelled),
                PeopleOrder::Updated => (who.updated_at(&self.base, &filter.bumps), who.id(&self.base)),
            };
            item.passes(&self.base, &filter).then_some((key, item))
        });
        Listing::new(runs, recorded.collect())
    }

    /// Members of a parent, as lists show them: by subscriber id, or by the time of joining.
    pub(super) fn member_list(&self, parent: Parent, order: Order, filter: Filter) -> Listing<'_> {
        let memberships = self.members.get(&parent);
        let ids: BTreeSet<i64> = self
            .people
            .keys()
            .copied()
            .chain(memberships.into_iter().flat_map(|m| m.keys().copied()))
            .collect();
        let runs = self.rules.get(&parent).map(|rule| {
            let lane = Lane { base: &self.base, members: Some(rule), order };
            Run::new(lane, &filter, ids.iter().filter_map(|id| self.base.index_of(*id)))
        });
        let recorded = ids.iter().filter_map(|id| {
            let who = self.listed_person(*id, self.now)?;
            let joined = self.listed_membership(parent, who, self.now)?;
            let item = Item { who, joined: Some(joined) };
            item.passes(&self.base, &filter).then(|| (item.key(&self.base, order), item))
        });
        Listing::new(runs.into_iter().collect(), recorded.collect())
    }

    /// What `subscriber_count` says of a parent.
    pub(super) fn member_count(&self, parent: Parent) -> u64 {
        let states = match self.modes.count_scope {
            Scope::Active => States::only(State::Active),
            Scope::All => States::ALL,
        };
        self.member_list(parent, Order::Id, Filter::of(states)).len()
    }

    /// The records of a small list, as lists show them, by rising id.
    pub(super) fn catalogue_list<'a, T>(&self, list: &'a Catalogue<T>) -> Vec<(i64, &'a T)> {
        let now = self.now;
        list.iter().filter_map(|(id, history)| history.listed(now).map(|record| (*id, record))).collect()
    }

    /// The index of the base row that a history took over.
    fn base_index(&self, history: &super::history::History<super::people::Person>) -> Option<u64> {
        history.versions().iter().find_map(|version| version.value.as_ref()).and_then(|person| person.index)
    }
}
