//! One subscriber: by rule as long as nothing happened to him, by record afterwards.

use super::base::Base;
use super::modes::Bumps;
use super::state::State;
use super::words;

/// A subscriber to whom something happened, or who came while the simulation ran.
#[derive(Debug, Clone)]
pub(super) struct Person {
    pub(super) id: i64,
    /// His place in the base, if he has one; what is not recorded here follows its rule.
    pub(super) index: Option<u64>,
    pub(super) name: Name,
    pub(super) address: Option<Box<str>>,
    pub(super) state: State,
    pub(super) created_at: i64,
    pub(super) cancelled_at: Option<i64>,
    /// Custom fields that were set, by the id of the field.
    pub(super) fields: Vec<(i64, Option<Box<str>>)>,
    pub(super) stamps: Stamps,
}

/// The first name.
#[derive(Debug, Clone)]
pub(super) enum Name {
    /// As the base has it.
    ByRule,
    /// As somebody entered it.
    Given(Option<Box<str>>),
}

/// When each kind of event last happened to a subscriber. Which of them count as an update is a mode.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stamps {
    pub(super) inserted: i64,
    pub(super) edited: i64,
    pub(super) changed_state: i64,
    pub(super) cancelled: i64,
    pub(super) tagged: i64,
    pub(super) joined: i64,
}

impl Stamps {
    pub(super) fn inserted(at: i64) -> Self {
        let never = i64::MIN;
        Self {
            inserted: at,
            edited: never,
            changed_state: never,
            cancelled: never,
            tagged: never,
            joined: never,
        }
    }

    fn latest(&self, bumps: &Bumps) -> i64 {
        [
            (true, self.inserted),
            (bumps.edit, self.edited),
            (bumps.state, self.changed_state),
            (bumps.cancel, self.cancelled),
            (bumps.tag, self.tagged),
            (bumps.join, self.joined),
        ]
        .into_iter()
        .filter_map(|(counts, at)| counts.then_some(at))
        .max()
        .expect("insertion always counts")
    }
}

impl Person {
    /// The base subscriber of that index, as a record to change.
    pub(super) fn of_base(base: &Base, index: u64) -> Self {
        let cancelled_at = base.cancelled_at(index);
        let mut stamps = Stamps::inserted(base.created_at(index));
        if let Some(cancelled_at) = cancelled_at {
            stamps.cancelled = cancelled_at;
        }
        Self {
            id: base.id(index),
            index: Some(index),
            name: Name::ByRule,
            address: None,
            state: State::by_rule(index),
            created_at: base.created_at(index),
            cancelled_at,
            fields: Vec::new(),
            stamps,
        }
    }

    pub(super) fn updated_at(&self, bumps: &Bumps) -> i64 {
        self.stamps.latest(bumps)
    }
}

/// A subscriber, wherever he is kept.
#[derive(Debug, Clone, Copy)]
pub(super) enum Who<'a> {
    /// Untouched, by index.
    Rule(u64),
    /// By record.
    Record(&'a Person),
}

impl<'a> Who<'a> {
    /// His place in the base.
    pub(super) fn index(self) -> Option<u64> {
        match self {
            Who::Rule(index) => Some(index),
            Who::Record(person) => person.index,
        }
    }

    pub(super) fn id(self, base: &Base) -> i64 {
        match self {
            Who::Rule(index) => base.id(index),
            Who::Record(person) => person.id,
        }
    }

    pub(super) fn state(self) -> State {
        match self {
            Who::Rule(index) => State::by_rule(index),
            Who::Record(person) => person.state,
        }
    }

    pub(super) fn created_at(self, base: &Base) -> i64 {
        match self {
            Who::Rule(index) => base.created_at(index),
            Who::Record(person) => person.created_at,
        }
    }

    pub(super) fn cancelled_at(self, base: &Base) -> Option<i64> {
        match self {
            Who::Rule(index) => base.cancelled_at(index),
            Who::Record(person) => person.cancelled_at,
        }
    }

    pub(super) fn updated_at(self, base: &Base, bumps: &Bumps) -> i64 {
        match self {
            Who::Rule(index) => base.updated_at(index, bumps.cancel),
            Who::Record(person) => person.updated_at(bumps),
        }
    }

    /// Appends the address to `out`.
    pub(super) fn write_address(self, base: &Base, out: &mut String) {
        match self {
            Who::Record(Person { address: Some(address), .. }) => out.push_str(address),
            _ => words::write_address(base, self.index().unwrap_or_default(), out),
        }
    }

    pub(super) fn address(self, base: &Base) -> String {
        let mut address = String::new();
        self.write_address(base, &mut address);
        address
    }

    /// What he was once given as value of a custom field; nothing if the rule still holds.
    pub(super) fn given_field(self, field: i64) -> Option<Option<&'a str>> {
        let Who::Record(person) = self else { return None };
        let (_, value) = person.fields.iter().find(|(id, _)| *id == field)?;
        Some(value.as_deref())
    }
}
