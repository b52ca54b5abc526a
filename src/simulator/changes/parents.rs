//! Changes of tags, forms, sequences, broadcasts and custom fields.

use chrono::{DateTime, TimeDelta, Utc};

use crate::simulator::account::{Account, Catalogue};
use crate::simulator::catalogue::{Broadcast, CustomField, EVERYBODY, Form, Sequence, Tag};
use crate::simulator::history::{History, Version};

/// Methods that find nothing to do return `false` and change nothing.
impl Account {
    /// Creates a tag and returns its id.
    pub fn create_tag(&mut self, name: &str) -> i64 {
        let id = self.next_parent();
        let version = self.version(Some(Tag { id, name: name.into(), created_at: self.now() }));
        put(&mut self.tags, id, version);
        id
    }

    /// Renames a tag.
    pub fn rename_tag(&mut self, id: i64, name: &str) -> bool {
        let new = edited(&self.tags, id, |tag| tag.name = name.into());
        let version = self.version(new);
        put_if_new(&mut self.tags, id, version)
    }

    /// Deletes a tag with all taggings.
    pub fn delete_tag(&mut self, id: i64) -> bool {
        let version = self.version(None);
        remove(&mut self.tags, id, version)
    }

    /// Creates a form and returns its id.
    pub fn create_form(&mut self, name: &str) -> i64 {
        let id = self.next_parent();
        let uid = format!("{id:010x}");
        let form = Form {
            id,
            name: name.into(),
            created_at: self.now(),
            kind: "embed",
            format: Some("inline"),
            embed_js: format!("https://alder.kit.example/{uid}/index.js"),
            embed_url: format!("https://alder.kit.example/{uid}"),
            archived: false,
            trashed: false,
            uid,
            legacy: None,
        };
        let version = self.version(Some(form));
        put(&mut self.forms, id, version);
        id
    }

    /// Changes a form in any way.
    pub fn edit_form(&mut self, id: i64, edit: impl FnOnce(&mut Form)) -> bool {
        let new = edited(&self.forms, id, edit);
        let version = self.version(new);
        put_if_new(&mut self.forms, id, version)
    }

    /// Renames a form.
    pub fn rename_form(&mut self, id: i64, name: &str) -> bool {
        self.edit_form(id, |form| form.name = name.into())
    }

    /// Archives a form.
    pub fn archive_form(&mut self, id: i64) -> bool {
        self.edit_form(id, |form| form.archived = true)
    }

    /// Puts a form into the trash.
    pub fn trash_form(&mut self, id: i64) -> bool {
        self.edit_form(id, |form| form.trashed = true)
    }

    /// Deletes a form for good.
    pub fn delete_form(&mut self, id: i64) -> bool {
        let version = self.version(None);
        remove(&mut self.forms, id, version)
    }

    /// Creates a sequence and returns its id.
    pub fn create_sequence(&mut self, name: &str) -> i64 {
        let id = self.next_parent();
        let sequence = Sequence {
            id,
            name: name.into(),
            hold: false,
            repeat: false,
            created_at: self.now(),
            updated_at: self.now(),
            email_address: None,
            email_template_id: None,
            email_count: 0,
            send_days: vec!["monday"],
            send_hour: 9,
            time_zone: "Etc/UTC",
            active: true,
        };
        let version = self.version(Some(sequence));
        put(&mut self.sequences, id, version);
        id
    }

    /// Renames a sequence.
    pub fn rename_sequence(&mut self, id: i64, name: &str) -> bool {
        let now = self.now();
        let new = edited(&self.sequences, id, |sequence| {
            sequence.name = name.into();
            sequence.updated_at = now;
        });
        let version = self.version(new);
        put_if_new(&mut self.sequences, id, version)
    }

    /// Deletes a sequence.
    pub fn delete_sequence(&mut self, id: i64) -> bool {
        let version = self.version(None);
        remove(&mut self.sequences, id, version)
    }

    /// Creates a draft and returns its id.
    pub fn create_broadcast(&mut self, subject: Option<&str>) -> i64 {
        self.next_ids.broadcast += 1;
        let id = self.next_ids.broadcast;
        let broadcast = Broadcast {
            id,
            publication_id: 9_000 + id,
            created_at: self.now(),
            subject: subject.map(Into::into),
            preview_text: None,
            description: None,
            content: None,
            public: false,
            published_at: None,
            send_at: None,
            status: "draft",
            thumbnail_alt: None,
            thumbnail_url: None,
            public_url: None,
            email_address: None,
            email_template: (6, "Text Only"),
            subscriber_filter: EVERYBODY,
        };
        let version = self.version(Some(broadcast));
        put(&mut self.broadcasts, id, version);
        id
    }

    /// Changes a broadcast in any way.
    pub fn edit_broadcast(&mut self, id: i64, edit: impl FnOnce(&mut Broadcast)) -> bool {
        let new = edited(&self.broadcasts, id, edit);
        let version = self.version(new);
        put_if_new(&mut self.broadcasts, id, version)
    }

    /// Sends a draft or a scheduled broadcast.
    pub fn send_broadcast(&mut self, id: i64) -> bool {
        if !self.is_unsent(id) {
            return false;
        }
        let now = self.now();
        self.edit_broadcast(id, |broadcast| {
            broadcast.status = "completed";
            broadcast.send_at = Some(now);
            broadcast.published_at = Some(now);
            broadcast.email_address = Some("letters@example.org".into());
            broadcast.content.get_or_insert_with(|| "<p>Hi</p>".into());
        })
    }

    /// Plans a draft for a later time.
    pub fn schedule_broadcast(&mut self, id: i64, send_at: DateTime<Utc>) -> bool {
        let send_at = DateTime::from_timestamp(send_at.timestamp(), 0).unwrap_or_default();
        self.edit_broadcast(id, |broadcast| {
            broadcast.status = "scheduled";
            broadcast.send_at = Some(send_at);
        })
    }

    /// Deletes a broadcast.
    pub fn delete_broadcast(&mut self, id: i64) -> bool {
        let version = self.version(None);
        remove(&mut self.broadcasts, id, version)
    }

    /// Creates a custom field and returns its id; nobody has a value for it yet.
    pub fn create_custom_field(&mut self, key: &str, label: &str) -> i64 {
        self.next_ids.custom_field += 1;
        let id = self.next_ids.custom_field;
        let name = format!("ck_field_{id}_{key}");
        let field = CustomField { id, name, key: key.into(), label: label.into(), ordinal: None };
        let version = self.version(Some(field));
        put(&mut self.custom_fields, id, version);
        id
    }

    /// Renames a custom field; as in v4 that changes its key in every subscriber and updates none of them.
    pub fn rename_custom_field(&mut self, id: i64, key: &str, label: &str) -> bool {
        let new = edited(&self.custom_fields, id, |field| {
            (field.key, field.label) = (key.into(), label.into());
        });
        let version = self.version(new);
        put_if_new(&mut self.custom_fields, id, version)
    }

    /// Deletes a custom field and everybody's value of it.
    pub fn delete_custom_field(&mut self, id: i64) -> bool {
        let version = self.version(None);
        remove(&mut self.custom_fields, id, version)
    }

    /// Turns this into another account: another id and name, the same data.
    pub fn become_account(&mut self, id: i64, name: &str) {
        (self.id, self.name) = (id, name.into());
    }

    /// A day from now, for schedules.
    pub fn tomorrow(&self) -> DateTime<Utc> {
        self.now() + TimeDelta::days(1)
    }

    /// Is it a draft, or scheduled?
    pub(in crate::simulator) fn is_unsent(&self, id: i64) -> bool {
        let current = self.broadcasts.get(&id).and_then(History::current);
        current.is_some_and(|broadcast| matches!(broadcast.status, "draft" | "scheduled"))
    }

    fn next_parent(&mut self) -> i64 {
        self.next_ids.parent += 1;
        self.next_ids.parent
    }
}

/// A changed copy of the current record.
fn edited<T: Clone>(list: &Catalogue<T>, id: i64, edit: impl FnOnce(&mut T)) -> Option<T> {
    let mut record = list.get(&id)?.current()?.clone();
    edit(&mut record);
    Some(record)
}

fn put<T>(list: &mut Catalogue<T>, id: i64, version: Version<T>) {
    list.entry(id).or_insert_with(History::absent).push(version);
}

fn put_if_new<T: PartialEq>(list: &mut Catalogue<T>, id: i64, version: Version<T>) -> bool {
    let current = list.get(&id).and_then(History::current);
    let new = version.value.is_some() && version.value.as_ref() != current;
    if new {
        put(list, id, version);
    }
    new
}

fn remove<T>(list: &mut Catalogue<T>, id: i64, version: Version<T>) -> bool {
    let there = list.get(&id).is_some_and(|history| history.current().is_some());
    if there {
        put(list, id, version);
    }
    there
}
