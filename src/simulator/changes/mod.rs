//! What can happen to an account: to its people and their memberships here, to tags, forms, sequences,
//! broadcasts and custom fields in [`parents`]. Every change is stamped with the clock's time.

mod bulk;
mod parents;

use chrono::{DateTime, Utc};

use super::account::Account;
use super::history::{History, Version};
use super::members::{Membership, Origin, Parent, ParentKind};
use super::people::{Name, Person, Stamps, Who};
use super::state::State;

/// A subscriber to be.
#[derive(Debug, Clone)]
pub struct NewSubscriber {
    address: String,
    first_name: Option<String>,
    state: State,
    created_at: Option<DateTime<Utc>>,
    id: Option<i64>,
    fields: Vec<(String, Option<String>)>,
}

impl NewSubscriber {
    /// Somebody active without a name.
    pub fn new(address: impl Into<String>) -> Self {
        Self {
            address: address.into(),
            first_name: None,
            state: State::Active,
            created_at: None,
            id: None,
            fields: Vec::new(),
        }
    }

    /// With that first name.
    pub fn named(self, name: impl Into<String>) -> Self {
        Self { first_name: Some(name.into()), ..self }
    }

    /// In that state.
    pub fn state(self, state: State) -> Self {
        Self { state, ..self }
    }

    /// As if created then: an import, a restored row, or a wrong clock.
    pub fn created_at(self, created_at: DateTime<Utc>) -> Self {
        Self { created_at: Some(created_at), ..self }
    }

    /// With that id instead of the next one.
    pub fn id(self, id: i64) -> Self {
        Self { id: Some(id), ..self }
    }

    /// With that value of the custom field of that key.
    pub fn field(mut self, key: &str, value: &str) -> Self {
        self.fields.push((key.into(), Some(value.into())));
        self
    }
}

/// People. Methods that find nothing to do return `false` and change nothing.
impl Account {
    /// The time that changes are stamped with.
    pub fn now(&self) -> DateTime<Utc> {
        super::json::instant(self.now)
    }

    /// Signs somebody up and returns his id.
    pub fn create_subscriber(&mut self, new: NewSubscriber) -> i64 {
        let id = new.id.unwrap_or_else(|| {
            self.next_ids.subscriber += 1 + self.chance.i64(0..6);
            self.next_ids.subscriber
        });
        let created_at = new.created_at.map_or(self.now, |time| time.timestamp());
        let inserted = match created_at > self.now || self.modes.backdated_bumps {
            true => self.now,
            false => created_at,
        };
        let fields = new
            .fields
            .into_iter()
            .filter_map(|(key, value)| Some((self.field_by_key(&key)?, value.map(String::into_boxed_str))));
        let person = Person {
            id,
            index: None,
            name: Name::Given(new.first_name.map(String::into_boxed_str)),
            address: Some(new.address.into_boxed_str()),
            state: new.state,
            created_at,
            cancelled_at: (new.state == State::Cancelled).then_some(self.now),
            fields: fields.collect(),
            stamps: Stamps::inserted(inserted),
        };
        let version = self.version(Some(person));
        self.person_history(id).push(version);
        id
    }

    /// Changes the first name.
    pub fn rename_subscriber(&mut self, id: i64, first_name: Option<&str>) -> bool {
        self.edit(id, |person| person.name = Name::Given(first_name.map(Into::into)))
    }

    /// Sets, or empties, a custom field.
    pub fn set_field(&mut self, id: i64, key: &str, value: Option<&str>) -> bool {
        let Some(field) = self.field_by_key(key) else { return false };
        self.edit(id, |person| {
            person.fields.retain(|(known, _)| *known != field);
            person.fields.push((field, value.map(Into::into)));
        })
    }

    /// Changes the address.
    pub fn set_address(&mut self, id: i64, address: &str) -> bool {
        self.edit(id, |person| person.address = Some(address.into()))
    }

    /// Gives each of two people the other's address.
    pub fn swap_addresses(&mut self, one: i64, other: i64) -> bool {
        let (Some(first), Some(second)) = (self.address_of(one), self.address_of(other)) else {
            return false;
        };
        self.set_address(one, &second) && self.set_address(other, &first)
    }

    /// An inactive person confirms.
    pub fn confirm(&mut self, id: i64) -> bool {
        self.move_state(id, &[State::Inactive], State::Active)
    }

    /// Somebody unsubscribes.
    pub fn cancel(&mut self, id: i64) -> bool {
        self.move_state(id, &[State::Active, State::Inactive], State::Cancelled)
    }

    /// Somebody who had left comes back.
    pub fn reactivate(&mut self, id: i64) -> bool {
        self.move_state(id, &[State::Cancelled, State::Bounced, State::Complained], State::Active)
    }

    /// The address no longer takes mail.
    pub fn bounce(&mut self, id: i64) -> bool {
        self.move_state(id, &[State::Active], State::Bounced)
    }

    /// Somebody marks a mail as spam.
    pub fn complain(&mut self, id: i64) -> bool {
        self.move_state(id, &[State::Active], State::Complained)
    }

    /// Deletes a person with all memberships.
    pub fn delete_subscriber(&mut self, id: i64) -> bool {
        if self.person(id).is_none() {
            return false;
        }
        let version = self.version(None);
        self.person_history(id).push(version);
        true
    }

    /// Deletes a person and signs up another with the same address; returns the new id.
    pub fn recreate_subscriber(&mut self, id: i64) -> Option<i64> {
        let address = self.address_of(id)?;
        self.delete_subscriber(id);
        Some(self.create_subscriber(NewSubscriber::new(address).named("Again")))
    }

    /// The address somebody has.
    pub fn address_of(&self, id: i64) -> Option<String> {
        self.person(id).map(|who| who.address(&self.base))
    }

    /// The state somebody is in.
    pub fn state_of(&self, id: i64) -> Option<State> {
        self.person(id).map(Who::state)
    }

    /// Tags somebody. Tagging a tagged person again does nothing, or moves the time, as the mode says.
    pub fn tag(&mut self, tag: i64, subscriber: i64) -> bool {
        self.join(Parent::tag(tag), subscriber)
    }

    /// Takes a tag off somebody.
    pub fn untag(&mut self, tag: i64, subscriber: i64) -> bool {
        self.leave(Parent::tag(tag), subscriber)
    }

    /// Adds somebody to a form.
    pub fn join_form(&mut self, form: i64, subscriber: i64) -> bool {
        self.join(Parent::form(form), subscriber)
    }

    /// Takes somebody off a form.
    pub fn leave_form(&mut self, form: i64, subscriber: i64) -> bool {
        self.leave(Parent::form(form), subscriber)
    }

    /// Adds somebody to a sequence.
    pub fn join_sequence(&mut self, sequence: i64, subscriber: i64) -> bool {
        self.join(Parent::sequence(sequence), subscriber)
    }

    /// Takes somebody off a sequence.
    pub fn leave_sequence(&mut self, sequence: i64, subscriber: i64) -> bool {
        self.leave(Parent::sequence(sequence), subscriber)
    }

    /// Adds somebody to a parent, now.
    pub fn join(&mut self, parent: Parent, subscriber: i64) -> bool {
        self.join_at(parent, subscriber, self.now())
    }

    /// Adds somebody to a parent with a time that somebody chose: years ago, or to come.
    pub fn join_at(&mut self, parent: Parent, subscriber: i64, added_at: DateTime<Utc>) -> bool {
        let Some(who) = self.person(subscriber).filter(|_| self.has_parent(parent)) else { return false };
        let known = self.membership(parent, who).map(|joined| (joined.id(), joined.origin()));
        let (id, origin) = match known {
            Some(_) if !self.modes.retagging_moves => return false,
            Some(known) => known,
            None => {
                self.next_ids.membership += 1;
                let origin = match (parent.kind, self.next_ids.membership % 3) {
                    (ParentKind::Form, 0) => Origin::Campaign,
                    (ParentKind::Form, 1) => Origin::Link,
                    (ParentKind::Sequence, 0) => Origin::Api,
                    _ => Origin::Unknown,
                };
                (self.next_ids.membership, origin)
            }
        };
        let membership = Membership { id, added_at: added_at.timestamp(), origin };
        self.record_membership(parent, subscriber, Some(membership));
        true
    }

    /// Takes somebody off a parent.
    pub fn leave(&mut self, parent: Parent, subscriber: i64) -> bool {
        let member = self.person(subscriber).is_some_and(|who| self.membership(parent, who).is_some());
        if member {
            self.record_membership(parent, subscriber, None);
        }
        member
    }

    /// Is somebody a member at the moment?
    pub fn is_member(&self, parent: Parent, subscriber: i64) -> bool {
        self.has_parent(parent)
            && self.person(subscriber).is_some_and(|who| self.membership(parent, who).is_some())
    }

    /// A new version of something, stamped.
    pub(super) fn version<T>(&mut self, value: Option<T>) -> Version<T> {
        self.serial += 1;
        Version { at: self.now, visible_from: self.visible_from(), serial: self.serial, value }
    }

    fn field_by_key(&self, key: &str) -> Option<i64> {
        let mut fields = self.custom_fields.iter();
        fields.find(|(_, field)| field.current().is_some_and(|field| field.key == key)).map(|(id, _)| *id)
    }

    fn edit(&mut self, id: i64, edit: impl FnOnce(&mut Person)) -> bool {
        let now = self.now;
        self.rewrite(id, |person| {
            edit(person);
            person.stamps.edited = now;
        })
    }

    fn move_state(&mut self, id: i64, from: &[State], to: State) -> bool {
        if !self.state_of(id).is_some_and(|state| from.contains(&state)) {
            return false;
        }
        let now = self.now;
        self.rewrite(id, |person| {
            person.state = to;
            match to {
                State::Cancelled => person.stamps.cancelled = now,
                _ => person.stamps.changed_state = now,
            }
            person.cancelled_at = (to == State::Cancelled).then_some(now);
        })
    }

    /// Adds a version of a person.
    fn rewrite(&mut self, id: i64, change: impl FnOnce(&mut Person)) -> bool {
        let mut person = match self.person(id) {
            None => return false,
            Some(Who::Rule(index)) => Person::of_base(&self.base, index),
            Some(Who::Record(person)) => person.clone(),
        };
        change(&mut person);
        let version = self.version(Some(person));
        self.person_history(id).push(version);
        true
    }

    /// The history of a person, which begins with the base row if he has one.
    fn person_history(&mut self, id: i64) -> &mut History<Person> {
        let base = &self.base;
        self.people.entry(id).or_insert_with(|| match base.index_of(id) {
            Some(index) => History::original(Person::of_base(base, index)),
            None => History::absent(),
        })
    }

    fn record_membership(&mut self, parent: Parent, subscriber: i64, membership: Option<Membership>) {
        let tagging = parent.kind == ParentKind::Tag;
        let known = self.membership_history(parent, subscriber).is_some();
        let original = match self.person(subscriber).filter(|_| !known) {
            Some(who) => self.membership(parent, who).map(|joined| Membership {
                id: joined.id(),
                added_at: joined.added_at(&self.base),
                origin: joined.origin(),
            }),
            None => None,
        };
        let version = self.version(membership);
        let histories = self.members.entry(parent).or_default();
        histories
            .entry(subscriber)
            .or_insert_with(|| original.map_or_else(History::absent, History::original))
            .push(version);
        // Not a version of its own: what a subscriber shows stays as it was.
        let now = self.now;
        let counts = if tagging { self.modes.bumps.tag } else { self.modes.bumps.join };
        if counts && let Some(person) = self.person_history(subscriber).current_mut() {
            let stamp = if tagging { &mut person.stamps.tagged } else { &mut person.stamps.joined };
            *stamp = now;
        }
    }
}
