//! A simulated Kit account: base rows by rule, everything that happened since as records over them.
//! This file holds the account and looks things up; changes, lists and truth have files of their own.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};

use super::base::Base;
use super::catalogue::{self, Broadcast, CustomField, Form, Sequence, Tag};
use super::history::History;
use super::members::{Joined, MemberRule, Membership, Parent, ParentKind};
use super::modes::{Lag, Modes};
use super::people::{Person, Who};
use super::plan::AccountPlan;
use super::words;

/// The records of one small list by id.
pub(super) type Catalogue<T> = BTreeMap<i64, History<T>>;

/// The account. Read it through [`super::Simulator::read`], change it through
/// [`super::Simulator::change`].
#[derive(Debug)]
pub struct Account {
    pub(super) id: i64,
    pub(super) name: String,
    pub(super) base: Base,
    pub(super) modes: Modes,
    pub(super) people: BTreeMap<i64, History<Person>>,
    pub(super) members: BTreeMap<Parent, BTreeMap<i64, History<Membership>>>,
    pub(super) rules: BTreeMap<Parent, MemberRule>,
    pub(super) tags: Catalogue<Tag>,
    pub(super) forms: Catalogue<Form>,
    pub(super) sequences: Catalogue<Sequence>,
    pub(super) broadcasts: Catalogue<Broadcast>,
    pub(super) custom_fields: Catalogue<CustomField>,
    pub(super) now: i64,
    pub(super) serial: u64,
    pub(super) next_ids: NextIds,
    pub(super) chance: fastrand::Rng,
}

/// The ids that the next new records get.
#[derive(Debug)]
pub(super) struct NextIds {
    pub(super) subscriber: i64,
    pub(super) membership: i64,
    pub(super) parent: i64,
    pub(super) broadcast: i64,
    pub(super) custom_field: i64,
}

impl Account {
    pub(super) fn new(plan: &AccountPlan) -> Self {
        let base = Base::new(plan);
        let originals = |count: usize| 0..count as u64;
        let tags: Catalogue<Tag> = originals(plan.tags)
            .map(|n| catalogue::tag(plan, n))
            .map(|tag| (tag.id, History::original(tag)))
            .collect();
        let forms: Catalogue<Form> = originals(plan.forms)
            .map(|n| catalogue::form(plan, n))
            .map(|form| (form.id, History::original(form)))
            .collect();
        let sequences: Catalogue<Sequence> = originals(plan.sequences)
            .map(|n| catalogue::sequence(plan, n))
            .map(|sequence| (sequence.id, History::original(sequence)))
            .collect();
        let broadcasts: Catalogue<Broadcast> = originals(plan.broadcasts)
            .map(|n| catalogue::broadcast(plan, n))
            .map(|broadcast| (broadcast.id, History::original(broadcast)))
            .collect();
        let custom_fields: Catalogue<CustomField> = originals(plan.custom_fields)
            .map(catalogue::custom_field)
            .map(|field| (field.id, History::original(field)))
            .collect();
        let parents = (tags.keys().enumerate().map(|(n, id)| (n, Parent::tag(*id))))
            .chain(forms.keys().enumerate().map(|(n, id)| (n, Parent::form(*id))))
            .chain(sequences.keys().enumerate().map(|(n, id)| (n, Parent::sequence(*id))));
        let rules = parents
            .enumerate()
            .map(|(ordinal, (n, parent))| {
                let count = catalogue::member_count(plan, parent.kind, n as u64);
                (parent, MemberRule::new(parent.kind, ordinal as u64, count, plan.subscribers))
            })
            .collect::<BTreeMap<_, _>>();
        let next_ids = NextIds {
            subscriber: base.next_id(),
            membership: 9_100_000_000 + (rules.len() as i64 + 1) * (plan.subscribers as i64 + 1),
            parent: 50_000_000,
            broadcast: 100_000,
            custom_field: 10_000,
        };
        Self {
            id: plan.account_id,
            name: plan.account_name.clone(),
            base,
            modes: Modes::default(),
            people: BTreeMap::new(),
            members: BTreeMap::new(),
            rules,
            tags,
            forms,
            sequences,
            broadcasts,
            custom_fields,
            now: plan.starts_at.timestamp(),
            serial: 0,
            next_ids,
            chance: fastrand::Rng::with_seed(plan.seed),
        }
    }

    /// Tells the account the time; changes are stamped with it.
    pub(super) fn set_now(&mut self, now: DateTime<Utc>) {
        self.now = now.timestamp();
    }

    /// The owner's address: it differs between accounts, as the id does.
    pub(super) fn primary_address(&self) -> String {
        format!("owner{}@example.org", self.id)
    }

    /// When a change made now shows in lists.
    pub(super) fn visible_from(&mut self) -> i64 {
        let lag = match self.modes.lag {
            Lag::None => return i64::MIN,
            Lag::Seconds(seconds) => i64::from(seconds),
            Lag::Kit => kit_lag(&mut self.chance),
        };
        self.now + lag
    }

    /// The subscriber as a lookup by id sees him.
    pub(super) fn person(&self, id: i64) -> Option<Who<'_>> {
        match self.people.get(&id) {
            Some(history) => history.current().map(Who::Record),
            None => self.base.index_of(id).map(Who::Rule),
        }
    }

    /// The subscriber as lists show him at `now`.
    pub(super) fn listed_person(&self, id: i64, now: i64) -> Option<Who<'_>> {
        match self.people.get(&id) {
            Some(history) => history.listed(now).map(Who::Record),
            None => self.base.index_of(id).map(Who::Rule),
        }
    }

    /// The membership as it is.
    pub(super) fn membership(&self, parent: Parent, who: Who<'_>) -> Option<Joined<'_>> {
        match self.membership_history(parent, who.id(&self.base)) {
            Some(history) => history.current().map(Joined::Record),
            None => self.membership_by_rule(parent, who),
        }
    }

    /// The membership as lists show it at `now`.
    pub(super) fn listed_membership(&self, parent: Parent, who: Who<'_>, now: i64) -> Option<Joined<'_>> {
        match self.membership_history(parent, who.id(&self.base)) {
            Some(history) => history.listed(now).map(Joined::Record),
            None => self.membership_by_rule(parent, who),
        }
    }

    pub(super) fn membership_history(&self, parent: Parent, id: i64) -> Option<&History<Membership>> {
        self.members.get(&parent)?.get(&id)
    }

    fn membership_by_rule(&self, parent: Parent, who: Who<'_>) -> Option<Joined<'_>> {
        let rule = self.rules.get(&parent)?;
        rule.position(who.index()?).map(|k| Joined::Rule(rule, k))
    }

    /// Everybody who has that address at the moment; it should be one, but Kit does not promise it.
    pub(super) fn ids_with_address(&self, address: &str, now: i64) -> Vec<i64> {
        let recorded = self.people.iter().filter_map(|(id, history)| {
            let person = history.listed(now)?;
            (Who::Record(person).address(&self.base) == address).then_some(*id)
        });
        let by_rule = words::index_of_address(&self.base, address)
            .map(|index| self.base.id(index))
            .filter(|id| !self.people.contains_key(id));
        recorded.chain(by_rule).collect()
    }

    /// Is there such a parent, as a lookup by id sees it?
    pub(super) fn has_parent(&self, parent: Parent) -> bool {
        fn there<T>(list: &Catalogue<T>, id: i64) -> bool {
            list.get(&id).is_some_and(|history| history.current().is_some())
        }
        match parent.kind {
            ParentKind::Tag => there(&self.tags, parent.id),
            ParentKind::Form => there(&self.forms, parent.id),
            ParentKind::Sequence => there(&self.sequences, parent.id),
        }
    }
}

/// Seconds from Kit's published percentiles: median 30 s, 99th percentile 5 minutes, log-normal between
/// and beyond, at most an hour.
fn kit_lag(chance: &mut fastrand::Rng) -> i64 {
    // Twelve uniform numbers add up to a normal one; ln(300/30) / 2.326 is the spread.
    let normal: f64 = (0..12).map(|_| chance.f64()).sum::<f64>() - 6.0;
    (30.0 * (normal * 0.99).exp()).min(3_600.0) as i64
}
