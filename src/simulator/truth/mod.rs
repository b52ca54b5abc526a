//! The truth about the account, for whoever judges a mirror: what there is, what there ever was, since
//! when lists show it, and the journal of what happened.

mod journal;

use std::collections::BTreeSet;
use std::ops::Deref;

use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;
use serde_json::{Map, Value};

use super::account::{Account, Catalogue};
use super::catalogue::{Broadcast, CustomField, Form, Sequence, Tag};
use super::history::{ALWAYS, Version};
use super::json;
use super::members::{Joined, Parent};
use super::people::{Name, Person, Who};
use super::quirks::{Quirk, readable};
use super::rows;
use super::words;

pub use journal::{JournalEntry, Record, Subject};

/// A record of a small list and since when lists show it as it is.
#[derive(Debug, Clone, Copy)]
pub struct Truth<'a, T> {
    /// The record.
    pub record: &'a T,
    /// Since when lists show this version; nothing if they always did.
    pub visible_from: Option<DateTime<Utc>>,
}

impl<T> Deref for Truth<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.record
    }
}

/// A subscriber as he is. Lone surrogates of odd texts read as U+FFFD; U+0000 stays.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TruthSubscriber {
    /// The id.
    pub id: i64,
    /// The address.
    pub email_address: String,
    /// The first name.
    pub first_name: Option<String>,
    /// The state, as the API spells it.
    pub state: String,
    /// When created, to the precision that the API shows.
    pub created_at: DateTime<Utc>,
    /// When cancelled, if cancelled.
    pub cancelled_at: Option<DateTime<Utc>>,
    /// Custom field values by key; texts or null.
    pub fields: Map<String, Value>,
    /// v4's attribution; null if unknown.
    pub attribution: Value,
    /// v4's location; null if unknown.
    pub location: Value,
    /// Since when lists show this version; nothing if they always did.
    pub visible_from: Option<DateTime<Utc>>,
}

/// A membership as it is.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TruthMember {
    /// Of which tag, form or sequence.
    pub parent: Parent,
    /// Who.
    pub subscriber_id: i64,
    /// When tagged or added.
    pub created_at: DateTime<Utc>,
    /// v3's id of the subscription.
    pub subscription_id: i64,
    /// v3's state of the subscription.
    pub state: String,
    /// v3's source.
    pub source: Option<String>,
    /// v3's referrer, and v4's of form members.
    pub referrer: Option<String>,
    /// v4's campaign of form members: source, medium, campaign, term, content.
    pub utm: [Option<String>; 5],
    /// Since when lists show this version; nothing if they always did.
    pub visible_from: Option<DateTime<Utc>>,
}

/// The truth.
impl Account {
    /// Everybody there is, by rising id of the base, then those who came later.
    pub fn subscribers(&self) -> impl Iterator<Item = TruthSubscriber> + '_ {
        let untouched = (0..self.base.count)
            .filter(|index| self.people.is_empty() || !self.people.contains_key(&self.base.id(*index)))
            .map(|index| self.truth_of(Who::Rule(index), None));
        let recorded = self.people.values().filter_map(|history| {
            let visible_from = since(history.versions().last()?);
            history.current().map(|person| self.truth_of(Who::Record(person), visible_from))
        });
        untouched.chain(recorded)
    }

    /// One subscriber as he is.
    pub fn subscriber(&self, id: i64) -> Option<TruthSubscriber> {
        let visible_from = self.people.get(&id).and_then(|history| since(history.versions().last()?));
        self.person(id).map(|who| self.truth_of(who, visible_from))
    }

    /// How many subscribers there are.
    pub fn subscriber_count(&self) -> u64 {
        let gone = self
            .people
            .iter()
            .filter(|(id, history)| history.current().is_none() && self.base.index_of(**id).is_some());
        let added = self
            .people
            .iter()
            .filter(|(id, history)| history.current().is_some() && self.base.index_of(**id).is_none());
        self.base.count - gone.count() as u64 + added.count() as u64
    }

    /// Everything that somebody ever was, oldest first; empty if he never existed.
    pub fn subscriber_versions(&self, id: i64) -> Vec<TruthSubscriber> {
        match self.people.get(&id) {
            Some(history) => {
                let there = history.versions().iter().filter_map(|version| {
                    Some(self.truth_of(Who::Record(version.value.as_ref()?), since(version)))
                });
                there.collect()
            }
            None => self.subscriber(id).into_iter().collect(),
        }
    }

    /// Was there ever a subscriber of that id?
    pub fn subscriber_existed(&self, id: i64) -> bool {
        self.people.contains_key(&id) || self.base.index_of(id).is_some()
    }

    /// The tags there are.
    pub fn tags(&self) -> Vec<Truth<'_, Tag>> {
        truths(&self.tags)
    }

    /// The forms there are, archived and trashed ones included.
    pub fn forms(&self) -> Vec<Truth<'_, Form>> {
        truths(&self.forms)
    }

    /// The sequences there are.
    pub fn sequences(&self) -> Vec<Truth<'_, Sequence>> {
        truths(&self.sequences)
    }

    /// The broadcasts there are.
    pub fn broadcasts(&self) -> Vec<Truth<'_, Broadcast>> {
        truths(&self.broadcasts)
    }

    /// The custom fields there are.
    pub fn custom_fields(&self) -> Vec<Truth<'_, CustomField>> {
        truths(&self.custom_fields)
    }

    /// Every version of a tag, oldest first.
    pub fn tag_versions(&self, id: i64) -> Vec<&Tag> {
        versions(&self.tags, id)
    }

    /// Every version of a form, oldest first.
    pub fn form_versions(&self, id: i64) -> Vec<&Form> {
        versions(&self.forms, id)
    }

    /// Every version of a sequence, oldest first.
    pub fn sequence_versions(&self, id: i64) -> Vec<&Sequence> {
        versions(&self.sequences, id)
    }

    /// Every version of a broadcast, oldest first.
    pub fn broadcast_versions(&self, id: i64) -> Vec<&Broadcast> {
        versions(&self.broadcasts, id)
    }

    /// The members of a tag.
    pub fn tag_members(&self, tag: i64) -> impl Iterator<Item = TruthMember> + '_ {
        self.members(Parent::tag(tag))
    }

    /// The members of a parent; none if it is gone.
    pub fn members(&self, parent: Parent) -> impl Iterator<Item = TruthMember> + '_ {
        self.truth_member_ids(parent).into_iter().filter_map(move |id| self.member(parent, id))
    }

    /// One membership as it is.
    pub fn member(&self, parent: Parent, subscriber: i64) -> Option<TruthMember> {
        let who = self.person(subscriber)?;
        let joined = self.membership(parent, who)?;
        let person = self.people.get(&subscriber).and_then(|history| since(history.versions().last()?));
        let membership =
            self.membership_history(parent, subscriber).and_then(|history| since(history.versions().last()?));
        Some(self.truth_of_member(parent, who, joined, membership.max(person)))
    }

    /// Every version of a membership, oldest first; empty if it never existed.
    pub fn member_versions(&self, parent: Parent, subscriber: i64) -> Vec<TruthMember> {
        let people = self.people.get(&subscriber);
        let last = people.and_then(|history| history.versions().iter().rev().find_map(|v| v.value.as_ref()));
        let who = match last {
            Some(person) => Who::Record(person),
            None => match self.base.index_of(subscriber) {
                Some(index) => Who::Rule(index),
                None => return Vec::new(),
            },
        };
        match self.membership_history(parent, subscriber) {
            Some(history) => {
                let there = history.versions().iter().filter_map(|version| {
                    let joined = Joined::Record(version.value.as_ref()?);
                    Some(self.truth_of_member(parent, who, joined, since(version)))
                });
                there.collect()
            }
            None => {
                let joined = self.membership(parent, who);
                joined.map(|joined| self.truth_of_member(parent, who, joined, None)).into_iter().collect()
            }
        }
    }

    /// Was somebody ever a member?
    pub fn membership_existed(&self, parent: Parent, subscriber: i64) -> bool {
        !self.member_versions(parent, subscriber).is_empty()
    }

    /// Do lists show every change by then?
    pub fn is_settled_at(&self, time: DateTime<Utc>) -> bool {
        fn settled<T>(list: &Catalogue<T>, time: i64) -> bool {
            list.values().all(|history| history.visible_from() <= time)
        }
        let time = time.timestamp();
        settled(&self.people, time)
            && self.members.values().all(|histories| settled(histories, time))
            && settled(&self.tags, time)
            && settled(&self.forms, time)
            && settled(&self.sequences, time)
            && settled(&self.broadcasts, time)
            && settled(&self.custom_fields, time)
    }

    /// The ids of the members of a parent.
    pub(super) fn truth_member_ids(&self, parent: Parent) -> BTreeSet<i64> {
        if !self.has_parent(parent) {
            return BTreeSet::new();
        }
        let by_rule = self
            .rules
            .get(&parent)
            .into_iter()
            .flat_map(|rule| (0..rule.count()).map(|k| self.base.id(rule.index(k))));
        let recorded = self.members.get(&parent).into_iter().flat_map(|m| m.keys().copied());
        let candidates = by_rule.chain(recorded);
        candidates.filter(|id| self.is_member(parent, *id)).collect()
    }

    fn truth_of(&self, who: Who<'_>, visible_from: Option<DateTime<Utc>>) -> TruthSubscriber {
        let base = &self.base;
        let quirk = who.index().map_or(Quirk::None, |index| base.quirk(index));
        let first_name = match (who, who.index()) {
            (Who::Record(Person { name: Name::Given(name), .. }), _) => name.as_deref().map(readable),
            (_, Some(index)) => words::first_name(base, index).map(|name| readable(&name)),
            (_, None) => None,
        };
        let known: Vec<&CustomField> =
            self.custom_fields.values().filter_map(|history| history.listed(self.now)).collect();
        let mut fields = Map::new();
        rows::each_field(self, &known, who, |key, value| {
            fields.insert(readable(key), value.map_or(Value::Null, |value| Value::String(readable(value))));
        });
        let fraction = TimeDelta::microseconds(quirk.microseconds().unwrap_or(0).into());
        let parsed = |text: String| serde_json::from_str(&text).unwrap_or(Value::Null);
        TruthSubscriber {
            id: who.id(base),
            email_address: who.address(base),
            first_name,
            state: rows::shown_state(who, quirk).into(),
            created_at: json::instant(who.created_at(base)) + fraction,
            cancelled_at: who.cancelled_at(base).map(json::instant),
            fields,
            attribution: parsed(rows::attribution(self, who)),
            location: parsed(rows::location(self, who)),
            visible_from,
        }
    }

    fn truth_of_member(
        &self,
        parent: Parent,
        who: Who<'_>,
        joined: Joined<'_>,
        visible_from: Option<DateTime<Utc>>,
    ) -> TruthMember {
        let origin = joined.origin();
        TruthMember {
            parent,
            subscriber_id: who.id(&self.base),
            created_at: json::instant(joined.added_at(&self.base)),
            subscription_id: joined.id(),
            state: rows::subscription_state(who).into(),
            source: origin.source().map(Into::into),
            referrer: origin.referrer().map(Into::into),
            utm: origin.utm().map(|value| value.map(Into::into)),
            visible_from,
        }
    }
}

/// Since when lists show a version; never before it came about.
fn since<T>(version: &Version<T>) -> Option<DateTime<Utc>> {
    (version.at != ALWAYS).then(|| json::instant(version.at.max(version.visible_from)))
}

fn truths<T>(list: &Catalogue<T>) -> Vec<Truth<'_, T>> {
    let there = list.values().filter_map(|history| {
        let visible_from = since(history.versions().last()?);
        history.current().map(|record| Truth { record, visible_from })
    });
    there.collect()
}

fn versions<T>(list: &Catalogue<T>, id: i64) -> Vec<&T> {
    let versions = list.get(&id).into_iter().flat_map(|history| history.versions());
    versions.filter_map(|version| version.value.as_ref()).collect()
}
