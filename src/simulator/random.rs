//! Changes by chance, for tests that want a lived-in account: every kind of thing that happens to a real
//! one, with weights, repeatable by seed.

use std::str::FromStr;

use chrono::TimeDelta;
use serde::de::IntoDeserializer as _;
use serde::{Deserialize, Serialize};

use super::account::{Account, Catalogue};
use super::changes::NewSubscriber;
use super::members::{Parent, ParentKind};
use super::state::State;

/// A kind of change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[expect(missing_docs, reason = "the names say it")]
pub enum ChangeKind {
    SignUp,
    SignUpUnconfirmed,
    Rename,
    SetField,
    SetAddress,
    Confirm,
    Cancel,
    Reactivate,
    Bounce,
    Complain,
    Tag,
    Untag,
    JoinForm,
    LeaveForm,
    JoinSequence,
    LeaveSequence,
    CreateTag,
    RenameTag,
    DeleteTag,
    CreateForm,
    RenameForm,
    ArchiveForm,
    DeleteForm,
    CreateSequence,
    RenameSequence,
    DeleteSequence,
    CreateBroadcast,
    EditBroadcast,
    SendBroadcast,
    DeleteBroadcast,
    DeleteSubscriber,
    Recreate,
    SwapAddresses,
    /// Somebody new whose `created_at` lies years back.
    BackdatedSignUp,
    /// Somebody new whose `created_at` lies a year ahead.
    FutureSignUp,
    /// A membership whose time lies years back.
    BackdatedJoin,
    /// Dozens of people within one second.
    Import,
    /// A dozen cancellations within one second.
    CancelMany,
}

impl ChangeKind {
    /// Every kind, and how often it happens relative to the others.
    const WEIGHTS: [(ChangeKind, u32); 38] = {
        use ChangeKind::*;
        [
            (SignUp, 12),
            (SignUpUnconfirmed, 6),
            (Rename, 6),
            (SetField, 6),
            (SetAddress, 3),
            (Confirm, 6),
            (Cancel, 8),
            (Reactivate, 4),
            (Bounce, 2),
            (Complain, 1),
            (Tag, 12),
            (Untag, 6),
            (JoinForm, 8),
            (LeaveForm, 3),
            (JoinSequence, 6),
            (LeaveSequence, 3),
            (CreateTag, 2),
            (RenameTag, 2),
            (DeleteTag, 1),
            (CreateForm, 1),
            (RenameForm, 1),
            (ArchiveForm, 1),
            (DeleteForm, 1),
            (CreateSequence, 1),
            (RenameSequence, 1),
            (DeleteSequence, 1),
            (CreateBroadcast, 2),
            (EditBroadcast, 2),
            (SendBroadcast, 2),
            (DeleteBroadcast, 1),
            (DeleteSubscriber, 5),
            (Recreate, 2),
            (SwapAddresses, 2),
            (BackdatedSignUp, 2),
            (FutureSignUp, 1),
            (BackdatedJoin, 2),
            (Import, 1),
            (CancelMany, 1),
        ]
    };

    /// Every kind.
    pub fn all() -> impl Iterator<Item = ChangeKind> {
        Self::WEIGHTS.into_iter().map(|(kind, _)| kind)
    }

    fn by_weight(chance: &mut fastrand::Rng) -> ChangeKind {
        let mut point = chance.u32(0..Self::WEIGHTS.iter().map(|(_, weight)| weight).sum());
        for (kind, weight) in Self::WEIGHTS {
            match point.checked_sub(weight) {
                Some(rest) => point = rest,
                None => return kind,
            }
        }
        ChangeKind::SignUp
    }
}

impl FromStr for ChangeKind {
    type Err = String;

    /// The kind of that name: `cancel`, `delete-subscriber`, `backdated-join`.
    fn from_str(text: &str) -> Result<Self, String> {
        let text: serde::de::value::StrDeserializer<'_, serde::de::value::Error> = text.into_deserializer();
        ChangeKind::deserialize(text).map_err(|error| error.to_string())
    }
}

/// A change that was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// What happened.
    pub kind: ChangeKind,
    /// To whom.
    pub subscribers: Vec<i64>,
    /// To, or with, which tag, form or sequence.
    pub parent: Option<Parent>,
    /// To which broadcast.
    pub broadcast: Option<i64>,
}

impl Change {
    fn of(kind: ChangeKind) -> Self {
        Self { kind, subscribers: Vec::new(), parent: None, broadcast: None }
    }

    fn to(self, subscriber: i64) -> Self {
        Self { subscribers: vec![subscriber], ..self }
    }

    fn at(self, parent: Parent) -> Self {
        Self { parent: Some(parent), ..self }
    }
}

impl Account {
    /// Makes a change of any kind.
    pub fn random_change(&mut self, chance: &mut fastrand::Rng) -> Change {
        loop {
            let kind = ChangeKind::by_weight(chance);
            if let Some(change) = self.random_change_of(kind, chance) {
                return change;
            }
        }
    }

    /// Makes a change of that kind, if there is anything it could happen to.
    pub fn random_change_of(&mut self, kind: ChangeKind, chance: &mut fastrand::Rng) -> Option<Change> {
        use ChangeKind as K;
        let change = Change::of(kind);
        let number = chance.u32(..);
        let fresh = |prefix: &str| NewSubscriber::new(format!("{prefix}.{number}@random.example"));
        Some(match kind {
            K::SignUp => {
                let name = ["Noor", "Émile", "林", "O'Neil \"Q\"", "🎉"][number as usize % 5];
                change.to(self.create_subscriber(fresh("new").named(name).field("company", "Kite")))
            }
            K::SignUpUnconfirmed => {
                change.to(self.create_subscriber(fresh("waiting").state(State::Inactive)))
            }
            K::BackdatedSignUp => {
                let created_at = self.now() - TimeDelta::days(5 * 365 + i64::from(number % 400));
                change.to(self.create_subscriber(fresh("restored").created_at(created_at)))
            }
            K::FutureSignUp => {
                let created_at = self.now() + TimeDelta::days(365);
                change.to(self.create_subscriber(fresh("future").created_at(created_at)))
            }
            K::Rename => {
                let id = self.pick_subscriber(chance)?;
                let name = format!("Renamed {number}");
                self.rename_subscriber(id, (!number.is_multiple_of(5)).then_some(&name));
                change.to(id)
            }
            K::SetField => {
                let id = self.pick_subscriber(chance)?;
                let fields = self.catalogue_list(&self.custom_fields);
                let key = chance.choice(fields).map(|(_, field)| field.key.clone())?;
                let value = format!("value {number}");
                self.set_field(id, &key, (!number.is_multiple_of(5)).then_some(&value));
                change.to(id)
            }
            K::SetAddress => {
                let id = self.pick_subscriber(chance)?;
                self.set_address(id, &format!("moved.{number}@random.example"));
                change.to(id)
            }
            K::Confirm => self.move_one(change, &[State::Inactive], Account::confirm, chance)?,
            K::Cancel => self.move_one(change, &[State::Active], Account::cancel, chance)?,
            K::Reactivate => self.move_one(change, &[State::Cancelled], Account::reactivate, chance)?,
            K::Bounce => self.move_one(change, &[State::Active], Account::bounce, chance)?,
            K::Complain => self.move_one(change, &[State::Active], Account::complain, chance)?,
            K::DeleteSubscriber => self.move_one(change, &State::ALL, Account::delete_subscriber, chance)?,
            K::Recreate => {
                let old = self.pick_subscriber(chance)?;
                let new = self.recreate_subscriber(old)?;
                Change { subscribers: vec![old, new], ..change }
            }
            K::SwapAddresses => {
                let (one, other) = (self.pick_subscriber(chance)?, self.pick_subscriber(chance)?);
                self.swap_addresses(one, other);
                Change { subscribers: vec![one, other], ..change }
            }
            K::Tag | K::JoinForm | K::JoinSequence | K::BackdatedJoin => {
                let parent = self.pick_parent(kind, chance)?;
                let id = (0..50)
                    .filter_map(|_| self.pick_subscriber(chance))
                    .find(|id| !self.is_member(parent, *id))?;
                let back =
                    if kind == K::BackdatedJoin { TimeDelta::days(4 * 365) } else { TimeDelta::zero() };
                self.join_at(parent, id, self.now() - back);
                change.to(id).at(parent)
            }
            K::Untag | K::LeaveForm | K::LeaveSequence => {
                let (parent, id) = (0..50).find_map(|_| {
                    let parent = self.pick_parent(kind, chance)?;
                    self.pick_member(parent, chance).map(|id| (parent, id))
                })?;
                self.leave(parent, id);
                change.to(id).at(parent)
            }
            K::Import => {
                Change { subscribers: self.import_subscribers(20 + u64::from(number % 40)), ..change }
            }
            K::CancelMany => {
                let skip = chance.u64(0..self.base.count.max(1));
                Change { subscribers: self.cancel_many(skip, 12), ..change }
            }
            K::CreateTag => change.at(Parent::tag(self.create_tag(&format!("tag {number}")))),
            K::CreateForm => change.at(Parent::form(self.create_form(&format!("form {number}")))),
            K::CreateSequence => {
                change.at(Parent::sequence(self.create_sequence(&format!("sequence {number}"))))
            }
            K::RenameTag | K::DeleteTag => {
                let parent = self.pick_parent(kind, chance)?;
                match kind {
                    K::DeleteTag => self.delete_tag(parent.id),
                    _ => self.rename_tag(parent.id, &format!("renamed {number}")),
                };
                change.at(parent)
            }
            K::RenameForm | K::ArchiveForm | K::DeleteForm => {
                let parent = self.pick_parent(kind, chance)?;
                match kind {
                    K::DeleteForm => self.delete_form(parent.id),
                    K::ArchiveForm => self.archive_form(parent.id),
                    _ => self.rename_form(parent.id, &format!("renamed {number}")),
                };
                change.at(parent)
            }
            K::RenameSequence | K::DeleteSequence => {
                let parent = self.pick_parent(kind, chance)?;
                match kind {
                    K::DeleteSequence => self.delete_sequence(parent.id),
                    _ => self.rename_sequence(parent.id, &format!("renamed {number}")),
                };
                change.at(parent)
            }
            K::CreateBroadcast => {
                let subject = format!("letter {number}");
                let id = self.create_broadcast((!number.is_multiple_of(4)).then_some(&subject));
                Change { broadcast: Some(id), ..change }
            }
            K::EditBroadcast | K::SendBroadcast | K::DeleteBroadcast => {
                let mut ids = self.truth_ids(&self.broadcasts);
                if kind == K::SendBroadcast {
                    ids.retain(|id| self.is_unsent(*id));
                }
                let id = chance.choice(ids)?;
                let done = match kind {
                    K::EditBroadcast => self
                        .edit_broadcast(id, |broadcast| broadcast.subject = Some(format!("letter {number}"))),
                    K::SendBroadcast => self.send_broadcast(id),
                    _ => self.delete_broadcast(id),
                };
                done.then_some(Change { broadcast: Some(id), ..change })?
            }
        })
    }

    fn move_one(
        &mut self,
        change: Change,
        states: &[State],
        act: impl FnOnce(&mut Account, i64) -> bool,
        chance: &mut fastrand::Rng,
    ) -> Option<Change> {
        let id = self.pick_subscriber_in(states, chance)?;
        act(self, id).then(|| change.to(id))
    }

    fn pick_parent(&self, kind: ChangeKind, chance: &mut fastrand::Rng) -> Option<Parent> {
        use ChangeKind as K;
        let kind = match kind {
            K::Tag | K::Untag | K::RenameTag | K::DeleteTag => ParentKind::Tag,
            K::BackdatedJoin => *chance.choice(&[ParentKind::Tag, ParentKind::Form, ParentKind::Sequence])?,
            K::JoinSequence | K::LeaveSequence | K::RenameSequence | K::DeleteSequence => {
                ParentKind::Sequence
            }
            _ => ParentKind::Form,
        };
        let ids = match kind {
            ParentKind::Tag => self.truth_ids(&self.tags),
            ParentKind::Form => self.truth_ids(&self.forms),
            ParentKind::Sequence => self.truth_ids(&self.sequences),
        };
        chance.choice(ids).map(|id| Parent { kind, id })
    }

    fn truth_ids<T>(&self, list: &Catalogue<T>) -> Vec<i64> {
        list.iter().filter(|(_, history)| history.current().is_some()).map(|(id, _)| *id).collect()
    }
}
