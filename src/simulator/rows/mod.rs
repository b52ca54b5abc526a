//! The JSON of people and their memberships as v3 and v4 write it: which members, in which order, in
//! which format. The records of the small lists are in [`small`].

mod small;

use super::account::Account;
use super::catalogue::CustomField;
use super::json;
use super::members::{Joined, Parent, ParentKind};
use super::people::{Name, Person, Who};
use super::quirks::{self, ODD_KEYS, ODD_TEXTS, Quirk};
use super::request::Version;
use super::state::State;
use super::words;

pub(super) use small::{broadcast, custom_field, form, sequence, tag, v3_broadcast, v3_broadcast_stub};

/// The optional members of a v4 subscriber.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Include {
    pub(super) attribution: bool,
    pub(super) tags: bool,
    pub(super) location: bool,
    pub(super) canceled_at: bool,
    pub(super) slim: bool,
}

#[derive(Clone, Copy)]
enum Member {
    Id,
    FirstName,
    Address,
    State,
    CreatedAt,
    Fields,
}

const MEMBERS: [Member; 6] =
    [Member::Id, Member::FirstName, Member::Address, Member::State, Member::CreatedAt, Member::Fields];

/// Writes the records of one answer.
pub(super) struct Writer<'a> {
    account: &'a Account,
    version: Version,
    fields: Vec<&'a CustomField>,
}

impl<'a> Writer<'a> {
    pub(super) fn new(account: &'a Account, version: Version) -> Self {
        let fields =
            account.catalogue_list(&account.custom_fields).into_iter().map(|(_, field)| field).collect();
        Self { account, version, fields }
    }

    /// A subscriber of `/subscribers`, whole.
    pub(super) fn subscriber(&self, out: &mut String, who: Who<'_>, include: Include) {
        self.open_subscriber(out, who, include.slim);
        if include.attribution {
            json::raw_member(out, "attribution", &attribution(self.account, who));
        }
        if include.tags {
            self.tag_names(out, who);
        }
        if include.location {
            json::raw_member(out, "location", &location(self.account, who));
        }
        if include.canceled_at {
            json::time_member(out, "canceled_at", who.cancelled_at(&self.account.base));
        }
        if self.version == Version::V3 && self.account.modes.v3_cancelled_at {
            json::time_member(out, "cancelled_at", who.cancelled_at(&self.account.base));
        }
        out.push('}');
    }

    /// A row of a v4 member list.
    pub(super) fn member(
        &self,
        out: &mut String,
        parent: Parent,
        who: Who<'_>,
        joined: Joined<'_>,
        slim: bool,
    ) {
        self.open_subscriber(out, who, slim);
        let added_at = joined.added_at(&self.account.base);
        match parent.kind {
            ParentKind::Tag => json::time_member(out, "tagged_at", Some(added_at)),
            ParentKind::Sequence => json::time_member(out, "added_at", Some(added_at)),
            ParentKind::Form => {
                json::time_member(out, "added_at", Some(added_at));
                let origin = joined.origin();
                json::text_member(out, "referrer", origin.referrer());
                json::key(out, "referrer_utm_parameters");
                out.push('{');
                for (name, value) in
                    ["source", "medium", "campaign", "term", "content"].iter().zip(origin.utm())
                {
                    json::text_member(out, name, value);
                }
                out.push('}');
            }
        }
        out.push('}');
    }

    /// A row of a v3 subscription list.
    pub(super) fn subscription(&self, out: &mut String, parent: Parent, who: Who<'_>, joined: Joined<'_>) {
        out.push('{');
        let origin = joined.origin();
        json::integer_member(out, "id", joined.id());
        json::text_member(out, "state", Some(subscription_state(who)));
        json::time_member(out, "created_at", Some(joined.added_at(&self.account.base)));
        json::text_member(out, "source", origin.source());
        json::text_member(out, "referrer", origin.referrer());
        json::integer_member(out, "subscribable_id", parent.id);
        let kind = match parent.kind {
            ParentKind::Tag => "tag",
            ParentKind::Form => "form",
            ParentKind::Sequence => "course",
        };
        json::text_member(out, "subscribable_type", Some(kind));
        json::key(out, "subscriber");
        self.subscriber(out, who, Include::default());
        out.push('}');
    }

    /// Writes `{` and the members every subscriber has; the caller closes the brace.
    fn open_subscriber(&self, out: &mut String, who: Who<'_>, slim: bool) {
        let quirk = who.index().map_or(Quirk::None, |index| self.account.base.quirk(index));
        out.push('{');
        if quirk == Quirk::Duplicates {
            json::text_member(out, "first_name", Some("not this one"));
            json::text_member(out, "email_address", Some("not.this.one@example.com"));
        }
        if quirk == Quirk::Reordered {
            MEMBERS.iter().rev().for_each(|member| self.write_member(out, *member, who, quirk, slim));
        } else {
            MEMBERS.iter().for_each(|member| self.write_member(out, *member, who, quirk, slim));
        }
        if quirk == Quirk::UnknownMembers {
            let unknown =
                r#"{"a":[1,-0.0,0.30000000000000004,1234567890123456789,{"b":null}],"😀":"\ud83d\ude00"}"#;
            json::raw_member(out, "x_unknown", unknown);
            json::raw_member(out, "reputation", "17.5");
        }
    }

    fn write_member(&self, out: &mut String, member: Member, who: Who<'_>, quirk: Quirk, slim: bool) {
        let base = &self.account.base;
        match member {
            Member::Id => {
                let id = who.id(base);
                json::key(out, "id");
                if quirk == Quirk::IdAsText && self.version == Version::V3 {
                    json::string(out, &id.to_string());
                } else {
                    json::integer(out, id);
                }
            }
            Member::FirstName => {
                json::key(out, "first_name");
                match (who, who.index()) {
                    (Who::Record(Person { name: Name::Given(name), .. }), _) => {
                        json::optional(out, name.as_deref());
                    }
                    (_, Some(index)) => json::optional(out, words::first_name(base, index).as_deref()),
                    (_, None) => json::optional(out, None),
                }
            }
            Member::Address => {
                json::key(out, "email_address");
                if matches!(who, Who::Rule(_)) && quirk == Quirk::None {
                    // Plain by rule: nothing to escape.
                    out.push('"');
                    who.write_address(base, out);
                    out.push('"');
                } else {
                    json::string(out, &who.address(base));
                }
            }
            Member::State => json::text_member(out, "state", Some(shown_state(who, quirk))),
            Member::CreatedAt => {
                json::key(out, "created_at");
                json::time(out, who.created_at(base), quirk.microseconds());
            }
            Member::Fields if slim => {}
            Member::Fields => {
                json::key(out, "fields");
                out.push('{');
                each_field(self.account, &self.fields, who, |key, value| {
                    if !out.ends_with('{') {
                        out.push(',');
                    }
                    json::string(out, key);
                    out.push(':');
                    json::optional(out, value);
                });
                out.push('}');
            }
        }
    }

    fn tag_names(&self, out: &mut String, who: Who<'_>) {
        json::key(out, "tags");
        out.push('[');
        for (id, tag) in self.account.catalogue_list(&self.account.tags) {
            if self.account.listed_membership(Parent::tag(id), who, self.account.now).is_some() {
                if !out.ends_with('[') {
                    out.push(',');
                }
                out.push('{');
                json::integer_member(out, "id", id);
                json::text_member(out, "name", Some(&tag.name));
                out.push('}');
            }
        }
        out.push(']');
    }
}

/// The state a row shows.
pub(super) fn shown_state(who: Who<'_>, quirk: Quirk) -> &'static str {
    match (who.state(), quirk) {
        (State::Active, Quirk::UnknownState) => "snoozed",
        (state, _) => state.as_str(),
    }
}

/// The state of v3's subscription itself.
pub(super) fn subscription_state(who: Who<'_>) -> &'static str {
    if who.state() == State::Cancelled { "cancelled" } else { "active" }
}

/// Calls `each` with key and value of every custom field a subscriber shows.
pub(super) fn each_field(
    account: &Account,
    fields: &[&CustomField],
    who: Who<'_>,
    mut each: impl FnMut(&str, Option<&str>),
) {
    let base = &account.base;
    let quirk = who.index().map_or(Quirk::None, |index| base.quirk(index));
    if quirk == Quirk::NoFields && matches!(who, Who::Rule(_)) {
        return;
    }
    for field in fields {
        match (who.given_field(field.id), who.index(), field.ordinal) {
            (Some(given), _, _) => each(&field.key, given),
            (None, Some(index), Some(ordinal)) => {
                each(&field.key, words::field_value(base, index, ordinal).as_deref());
            }
            _ => each(&field.key, None),
        }
    }
    let index = who.index().unwrap_or_default() as usize;
    match quirk {
        Quirk::OddFields => {
            for (n, key) in ODD_KEYS.iter().enumerate() {
                each(key, Some(ODD_TEXTS[(index + n) % ODD_TEXTS.len()]));
            }
            each(&quirks::long_key(), Some(&"v".repeat(300)));
        }
        Quirk::ManyFields => {
            for n in fields.len()..140 {
                each(&format!("wide_{n}"), Some(&"wide ".repeat(n % 50)));
            }
        }
        _ => {}
    }
}

/// v4's `attribution`, as JSON: known, all null, or null.
pub(super) fn attribution(account: &Account, who: Who<'_>) -> String {
    let Some(index) = who.index() else { return "null".into() };
    match account.base.dice(index, 4) % 4 {
        0 => "null".into(),
        1 => concat!(
            r#"{"referrer":null,"utm_source":null,"utm_medium":null,"utm_campaign":null,"utm_term":null,"#,
            r#""utm_content":null,"source_type":null,"source_name":null,"source_mechanism":null,"#,
            r#""source_mechanism_id":null}"#
        )
        .into(),
        n => format!(
            concat!(
                r#"{{"referrer":"https://t.example/abc","utm_source":"news","utm_medium":"email","#,
                r#""utm_campaign":null,"utm_term":null,"utm_content":null,"source_type":"form_subscription","#,
                r#""source_name":"Newsletter","source_mechanism":"landing_page","source_mechanism_id":{}}}"#
            ),
            if n == 2 { "null".to_string() } else { (3_893_419 + index % 4).to_string() }
        ),
    }
}

/// A place of which nothing is known.
pub(super) const NOWHERE: &str =
    r#"{"city":null,"state":null,"country":null,"latitude":null,"longitude":null,"timezone":null}"#;

/// v4's `location`, as JSON: known, all null, or null.
pub(super) fn location(account: &Account, who: Who<'_>) -> String {
    let Some(index) = who.index() else { return "null".into() };
    match account.base.dice(index, 5) % 4 {
        0 => "null".into(),
        1 => NOWHERE.into(),
        2 => concat!(
            r#"{"city":"Boise","state":"ID","country":"US","latitude":43.62,"longitude":-116.2,"#,
            r#""timezone":"America/Denver"}"#
        )
        .into(),
        _ => concat!(
            r#"{"city":"São Paulo","state":"SP","country":"BR","latitude":-23.55,"longitude":-46.63,"#,
            r#""timezone":"America/Sao_Paulo"}"#
        )
        .into(),
    }
}
