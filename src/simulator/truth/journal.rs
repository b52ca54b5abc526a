//! The journal: every change of every record, in order, with what was there before and after.

use chrono::{DateTime, Utc};
use serde::Serialize;

use super::{TruthMember, TruthSubscriber};
use crate::simulator::account::Account;
use crate::simulator::catalogue::{Broadcast, CustomField, Form, Sequence, Tag};
use crate::simulator::history::{ALWAYS, History};
use crate::simulator::json;
use crate::simulator::members::{Joined, Parent};
use crate::simulator::people::Who;

/// What a journal entry is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Subject {
    Subscriber(i64),
    Member(Parent, i64),
    Tag(i64),
    Form(i64),
    Sequence(i64),
    Broadcast(i64),
    CustomField(i64),
}

/// A record before or after a change.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Record {
    Subscriber(Box<TruthSubscriber>),
    Member(Box<TruthMember>),
    Tag(Tag),
    Form(Box<Form>),
    Sequence(Box<Sequence>),
    Broadcast(Box<Broadcast>),
    CustomField(CustomField),
}

/// One change of one record.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct JournalEntry {
    /// Rises with every change of the account.
    pub serial: u64,
    /// When it happened.
    pub at: DateTime<Utc>,
    /// When lists begin to show it.
    pub visible_from: DateTime<Utc>,
    /// What it happened to.
    pub subject: Subject,
    /// The record before; nothing if it is new.
    pub before: Option<Record>,
    /// The record after; nothing if it is gone.
    pub after: Option<Record>,
}

impl Account {
    /// Everything that happened, in order.
    pub fn journal(&self) -> Vec<JournalEntry> {
        let mut entries = Vec::new();
        for (id, history) in &self.people {
            entries.extend(changes_of(history, Subject::Subscriber(*id), |person| {
                Record::Subscriber(Box::new(self.truth_of(Who::Record(person), None)))
            }));
        }
        for (parent, histories) in &self.members {
            for (id, history) in histories {
                // For the state of the subscription the person as he is, or was last, has to do.
                let last = self.people.get(id);
                let last =
                    last.and_then(|history| history.versions().iter().rev().find_map(|v| v.value.as_ref()));
                let who = last.map(Who::Record).or_else(|| self.base.index_of(*id).map(Who::Rule));
                let Some(who) = who else { continue };
                entries.extend(changes_of(history, Subject::Member(*parent, *id), |membership| {
                    let joined = Joined::Record(membership);
                    Record::Member(Box::new(self.truth_of_member(*parent, who, joined, None)))
                }));
            }
        }
        for (id, history) in &self.tags {
            entries.extend(changes_of(history, Subject::Tag(*id), |tag| Record::Tag(tag.clone())));
        }
        for (id, history) in &self.forms {
            let record = |form: &Form| Record::Form(Box::new(form.clone()));
            entries.extend(changes_of(history, Subject::Form(*id), record));
        }
        for (id, history) in &self.sequences {
            let record = |sequence: &Sequence| Record::Sequence(Box::new(sequence.clone()));
            entries.extend(changes_of(history, Subject::Sequence(*id), record));
        }
        for (id, history) in &self.broadcasts {
            let record = |broadcast: &Broadcast| Record::Broadcast(Box::new(broadcast.clone()));
            entries.extend(changes_of(history, Subject::Broadcast(*id), record));
        }
        for (id, history) in &self.custom_fields {
            let record = |field: &CustomField| Record::CustomField(field.clone());
            entries.extend(changes_of(history, Subject::CustomField(*id), record));
        }
        entries.sort_by_key(|entry| entry.serial);
        entries
    }
}

/// The changes in a history: everything but what was there from the start.
fn changes_of<'a, T>(
    history: &'a History<T>,
    subject: Subject,
    record: impl Fn(&'a T) -> Record + 'a,
) -> impl Iterator<Item = JournalEntry> + 'a {
    let versions = history.versions();
    (0..versions.len()).filter(|n| versions[*n].at != ALWAYS).map(move |n| {
        let version = &versions[n];
        let before = n.checked_sub(1).and_then(|n| versions[n].value.as_ref());
        JournalEntry {
            serial: version.serial,
            at: json::instant(version.at),
            visible_from: json::instant(version.at.max(version.visible_from)),
            subject,
            before: before.map(&record),
            after: version.value.as_ref().map(&record),
        }
    })
}
