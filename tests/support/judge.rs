//! The judge: holds every table of a mirror against the simulator's journal of truth.
//!
//! O1 complete: everything a list shows is there. O2 unique: nothing is there twice, nothing that never
//! was. O3 faithful: each column is what the API served.

use super::database::{Database, same_json, shown};
use super::mirror::{Api, Mirror};
use chrono::{DateTime, Utc};
use kitmirror::simulator::{
    Account, Modes, Parent, Scope, SequenceRows, Simulator, TruthMember, TruthSubscriber,
};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// How much of the truth a mirror has to hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Strictness {
    /// Exactly what the lists show now: after a full load of an account at rest.
    Equal,
    /// Everything the lists show now, and nothing that is not at Kit: after a reconcile of an account at rest. Of
    /// people whom the lists of v3 do not show, rows may be there, each as it is or was.
    Mirrored,
    /// Everything the lists show now, each row as it is or was; rows that are gone may still be there.
    /// After incremental runs, which find new rows and not changes or deletions.
    Inserts,
}

/// What it found: one line per difference.
pub struct Judge {
    differences: Vec<String>,
}

type Rows = BTreeMap<Vec<i64>, Map<String, Value>>;

impl Judge {
    /// Compares all tables.
    pub async fn compare(mirror: &Mirror, kit: &Simulator, api: Api, strictness: Strictness) -> Self {
        mirror.asked(async |database| Self::judged(database, kit, api, strictness).await).await
    }

    async fn judged(database: &Database, kit: &Simulator, api: Api, strictness: Strictness) -> Self {
        let modes = kit.modes();
        let mut judge = Judge { differences: Vec::new() };
        let forgotten = database.texts("select subscriber_id from sync_forgotten").await;
        let forgotten: Vec<i64> = forgotten.iter().map(|id| id.parse().expect("an id")).collect();
        for (table, key) in [
            ("tags", &["id"][..]),
            ("forms", &["id"]),
            ("sequences", &["id"]),
            ("broadcasts", &["id"]),
            ("subscribers", &["id"]),
            ("cancelled_subscribers", &["id"]),
            ("tag_subscriptions", &["tag_id", "subscriber_id"]),
            ("form_subscriptions", &["form_id", "subscriber_id"]),
            ("sequence_subscriptions", &["sequence_id", "subscriber_id"]),
            ("subscriber_tags", &["tag_id", "subscriber_id"]),
        ] {
            let stored = judge.stored(database, table, key).await;
            let mut truth = kit.read(|account| truth(account, &modes, table, api));
            if table.contains("subscri") {
                // The person comes last in every key.
                let is_forgotten = |id: &Vec<i64>| id.last().is_some_and(|person| forgotten.contains(person));
                truth.retain(|id, _| !is_forgotten(id));
                for id in stored.keys().filter(|id| is_forgotten(id)) {
                    judge.differences.push(format!("{table} {id:?}: of somebody who was forgotten"));
                }
            }
            judge.table(table, &stored, &truth, strictness, kit, api);
        }
        judge
    }

    /// Panics with the differences, if there are any.
    pub fn agrees(self) {
        let count = self.differences.len();
        let shown: Vec<String> = self.differences.into_iter().take(12).collect();
        assert!(
            count == 0,
            "{count} differences between mirror and truth, among them:\n{}",
            shown.join("\n")
        );
    }

    /// The differences.
    pub fn differences(&self) -> &[String] {
        &self.differences
    }

    async fn stored(&mut self, database: &Database, table: &str, key: &[&str]) -> Rows {
        let sql = format!("select * from {table} where _deleted_at is null");
        let mut stored = Rows::new();
        for cells in database.rows(&sql).await {
            let id: Vec<i64> =
                key.iter().map(|name| cells[*name].as_i64().expect("ids are integers")).collect();
            if stored.insert(id.clone(), cells).is_some() {
                self.differences.push(format!("{table} {id:?}: stored twice"));
            }
        }
        stored
    }

    fn table(
        &mut self,
        table: &str,
        stored: &Rows,
        truth: &Rows,
        strictness: Strictness,
        kit: &Simulator,
        api: Api,
    ) {
        for (id, expected) in truth {
            let Some(found) = stored.get(id) else {
                self.differences.push(format!("{table} {id:?}: missing"));
                continue;
            };
            let wrong: Vec<&String> =
                expected.keys().filter(|name| !same(&expected[*name], &found[*name])).collect();
            if wrong.is_empty() {
                continue;
            }
            let once = strictness == Strictness::Inserts
                && kit.read(|account| versions(account, table, id, api)).iter().any(|version| {
                    expected.keys().all(|name| same(version.get(name).unwrap_or(&Value::Null), &found[name]))
                });
            // Incremental runs see some columns change and others not; each must have been true once.
            let piecewise = strictness == Strictness::Inserts && {
                let versions = kit.read(|account| versions(account, table, id, api));
                wrong.iter().all(|name| {
                    versions.iter().any(|v| same(v.get(*name).unwrap_or(&Value::Null), &found[*name]))
                })
            };
            if !once && !piecewise {
                let name = wrong[0];
                self.differences.push(format!(
                    "{table} {id:?}.{name}: {} should be {}",
                    short(&found[name]),
                    short(&expected[name])
                ));
            }
        }
        for id in stored.keys().filter(|id| !truth.contains_key(*id)) {
            let existed = || {
                table == "cancelled_subscribers"
                    || !kit.read(|account| versions(account, table, id, api)).is_empty()
            };
            let may_be_there = match strictness {
                Strictness::Equal => false,
                Strictness::Mirrored => {
                    api == Api::V3 && kit.read(|account| is_out_of_sight(account, table, id)) && existed()
                }
                Strictness::Inserts => existed(),
            };
            if !may_be_there {
                self.differences.push(format!("{table} {id:?}: stored, but not at Kit"));
            }
        }
    }
}

fn short(value: &Value) -> String {
    value.to_string().chars().take(120).collect()
}

/// Equal as an analyst would see it: JSON by meaning, everything else to the letter.
fn same(expected: &Value, found: &Value) -> bool {
    match (expected, found) {
        // Where the engine knows no JSON, a column of it is text.
        (Value::Object(_) | Value::Array(_), Value::String(text)) => {
            serde_json::from_str::<Value>(text).is_ok_and(|found| found == *expected)
        }
        (Value::Object(_) | Value::Array(_), _) => same_json(expected, found),
        _ => expected == found,
    }
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}

fn time(at: DateTime<Utc>) -> Value {
    json!(shown(at))
}

fn maybe(at: Option<DateTime<Utc>>) -> Value {
    at.map_or(Value::Null, time)
}

/// Text as every engine can hold it.
fn text(text: &str) -> Value {
    json!(text.replace('\0', "\u{2400}"))
}

fn texts(value: Option<&str>) -> Value {
    value.map_or(Value::Null, text)
}

fn storable(value: &Value) -> Value {
    match value {
        Value::String(string) => text(string),
        Value::Array(items) => items.iter().map(storable).collect(),
        Value::Object(map) => {
            map.iter().map(|(k, v)| (k.replace('\0', "\u{2400}"), storable(v))).collect::<Map<_, _>>().into()
        }
        other => other.clone(),
    }
}

/// Whether v3's lists show nobody of that row: a person in a state that they leave out, or who was in one when he was
/// deleted; a form in the trash.
fn is_out_of_sight(account: &Account, table: &str, id: &[i64]) -> bool {
    let hidden = |person: &TruthSubscriber| !matches!(person.state.as_str(), "active" | "cancelled");
    match (table, id) {
        ("subscribers", [id]) => account.subscriber_versions(*id).last().is_some_and(hidden),
        ("forms", [id]) => account.forms().iter().any(|form| form.id == *id && form.trashed),
        ("form_subscriptions", [form, _]) => is_out_of_sight(account, "forms", &[*form]),
        _ => false,
    }
}

/// What the lists of `api` show of a table.
fn truth(account: &Account, modes: &Modes, table: &str, api: Api) -> Rows {
    let single = |id: i64, row: Map<String, Value>| (vec![id], row);
    // Where v3's plain member lists show the active only, the cancelled can be asked for and nobody else.
    let hides = api == Api::V3 && modes.v3_subscriptions == Scope::Active;
    let shown = |account: &Account, member: &TruthMember| {
        let person = account.subscriber(member.subscriber_id);
        !hides || person.is_none_or(|person| matches!(person.state.as_str(), "active" | "cancelled"))
    };
    let guaranteed = |mut row: Map<String, Value>| {
        if modes.sequence_rows == SequenceRows::Minimal {
            row.retain(|name, _| ["id", "name", "hold", "repeat", "created_at"].contains(&name.as_str()));
        }
        row
    };
    match table {
        "tags" => account.tags().iter().map(|tag| single(tag.id, tag_row(tag))).collect(),
        "forms" => account
            .forms()
            .iter()
            .filter(|form| api != Api::V3 || !form.trashed)
            .map(|form| single(form.id, form_row(form, api)))
            .collect(),
        "sequences" => {
            account.sequences().iter().map(|one| single(one.id, guaranteed(sequence_row(one, api)))).collect()
        }
        "broadcasts" => {
            account.broadcasts().iter().map(|one| single(one.id, broadcast_row(one, api))).collect()
        }
        "subscribers" => account
            .subscribers()
            .filter(|person| {
                api != Api::V3 || !matches!(person.state.as_str(), "inactive" | "bounced" | "complained")
            })
            .map(|person| single(person.id, person_row(&person, api)))
            .collect(),
        "cancelled_subscribers" => account
            .subscribers()
            .filter(|person| person.state == "cancelled")
            .map(|person| single(person.id, person_row(&person, api)))
            .collect(),
        _ => {
            let mut rows = Rows::new();
            for parent in parents(account, table, api) {
                for member in account.members(parent).filter(|member| shown(account, member)) {
                    rows.insert(
                        vec![parent.id, member.subscriber_id],
                        member_row(account, table, &member, api),
                    );
                }
            }
            rows
        }
    }
}

fn parents(account: &Account, table: &str, api: Api) -> Vec<Parent> {
    match table {
        "form_subscriptions" => account
            .forms()
            .iter()
            .filter(|form| api != Api::V3 || !form.trashed)
            .map(|form| Parent::form(form.id))
            .collect(),
        "sequence_subscriptions" => account.sequences().iter().map(|one| Parent::sequence(one.id)).collect(),
        _ => account.tags().iter().map(|tag| Parent::tag(tag.id)).collect(),
    }
}

/// Everything a row ever was.
fn versions(account: &Account, table: &str, id: &[i64], api: Api) -> Vec<Map<String, Value>> {
    match (table, id) {
        ("tags", [id]) => account.tag_versions(*id).into_iter().map(tag_row).collect(),
        ("forms", [id]) => account.form_versions(*id).into_iter().map(|form| form_row(form, api)).collect(),
        ("sequences", [id]) => {
            account.sequence_versions(*id).into_iter().map(|one| sequence_row(one, api)).collect()
        }
        ("broadcasts", [id]) => {
            account.broadcast_versions(*id).into_iter().map(|one| broadcast_row(one, api)).collect()
        }
        ("subscribers" | "cancelled_subscribers", [id]) => {
            account.subscriber_versions(*id).iter().map(|person| person_row(person, api)).collect()
        }
        (_, [parent, person]) => {
            let parent = match table {
                "form_subscriptions" => Parent::form(*parent),
                "sequence_subscriptions" => Parent::sequence(*parent),
                _ => Parent::tag(*parent),
            };
            account
                .member_versions(parent, *person)
                .iter()
                .flat_map(|member| with_every_state(account, member))
                .map(|member| member_row(account, table, &member, api))
                .collect()
        }
        _ => Vec::new(),
    }
}

/// A v3 subscription shows whether its person had left when it was served.
fn with_every_state(account: &Account, member: &TruthMember) -> Vec<TruthMember> {
    let of = |person: &TruthSubscriber| if person.state == "cancelled" { "cancelled" } else { "active" };
    let people = account.subscriber_versions(member.subscriber_id);
    let shown = people.iter().map(|person| TruthMember { state: of(person).to_owned(), ..member.clone() });
    shown.collect()
}

fn tag_row(tag: &kitmirror::simulator::Tag) -> Map<String, Value> {
    object(json!({ "id": tag.id, "name": text(&tag.name), "created_at": time(tag.created_at) }))
}

fn form_row(form: &kitmirror::simulator::Form, api: Api) -> Map<String, Value> {
    let without_key = |address: &str| json!(address.split("?api_key=").next());
    let mut row = object(json!({
        "id": form.id, "name": text(&form.name), "created_at": time(form.created_at), "type": form.kind,
        "format": form.format, "embed_js": without_key(&form.embed_js), "embed_url": without_key(&form.embed_url),
    }));
    if let (Api::V3, Some(legacy)) = (api, &form.legacy) {
        row.extend(object(json!({
            "url": legacy.url, "title": legacy.title, "description": legacy.description,
            "sign_up_button_text": legacy.sign_up_button_text, "success_message": legacy.success_message,
        })));
    } else {
        row.extend(object(json!({ "archived": i64::from(form.archived), "uid": form.uid })));
    }
    row
}

fn sequence_row(one: &kitmirror::simulator::Sequence, api: Api) -> Map<String, Value> {
    let mut row = object(json!({
        "id": one.id, "name": text(&one.name), "hold": i64::from(one.hold), "repeat": i64::from(one.repeat),
        "created_at": time(one.created_at),
    }));
    if api != Api::V3 {
        row.extend(object(json!({
            "updated_at": time(one.updated_at), "email_address": one.email_address,
            "email_template_id": one.email_template_id, "email_count": one.email_count, "send_days": one.send_days,
            "send_hour": one.send_hour, "time_zone": one.time_zone, "active": i64::from(one.active),
        })));
    }
    row
}

fn broadcast_row(one: &kitmirror::simulator::Broadcast, api: Api) -> Map<String, Value> {
    let mut row = object(json!({
        "id": one.id, "created_at": time(one.created_at), "subject": texts(one.subject.as_deref()),
        "description": texts(one.description.as_deref()), "content": texts(one.content.as_deref()),
        "public": i64::from(one.public), "published_at": maybe(one.published_at), "send_at": maybe(one.send_at),
        "thumbnail_alt": texts(one.thumbnail_alt.as_deref()), "thumbnail_url": texts(one.thumbnail_url.as_deref()),
        "email_address": texts(one.email_address.as_deref()),
    }));
    if api == Api::V3 {
        row.extend(object(json!({ "email_layout_template": one.email_template.1 })));
    } else {
        let filter: Value = serde_json::from_str(one.subscriber_filter).expect("a filter is JSON");
        row.extend(object(json!({
            "publication_id": one.publication_id, "preview_text": texts(one.preview_text.as_deref()),
            "status": one.status, "public_url": texts(one.public_url.as_deref()),
            "email_template_id": one.email_template.0, "email_template_name": one.email_template.1,
            "subscriber_filter": filter,
        })));
    }
    row
}

fn person_row(person: &TruthSubscriber, api: Api) -> Map<String, Value> {
    let mut row = object(json!({
        "id": person.id, "email_address": text(&person.email_address), "first_name": texts(person.first_name.as_deref()),
        "state": text(&person.state), "created_at": time(person.created_at),
        "fields": storable(&Value::Object(person.fields.clone())),
    }));
    if api != Api::V3 {
        row.insert("attribution".to_owned(), known(&person.attribution));
        row.insert("location".to_owned(), known(&person.location));
    }
    if api != Api::V3 && person.state == "cancelled" {
        row.insert("cancelled_at".to_owned(), maybe(person.cancelled_at));
    }
    row
}

/// An object of nulls says as much as null.
fn known(value: &Value) -> Value {
    match value {
        Value::Object(members) if members.values().all(Value::is_null) => Value::Null,
        value => storable(value),
    }
}

fn member_row(account: &Account, table: &str, member: &TruthMember, api: Api) -> Map<String, Value> {
    let mut row =
        object(json!({ "subscriber_id": member.subscriber_id, "created_at": time(member.created_at) }));
    let parent = match table {
        "form_subscriptions" => "form_id",
        "sequence_subscriptions" => "sequence_id",
        _ => "tag_id",
    };
    row.insert(parent.to_owned(), json!(member.parent.id));
    if table == "subscriber_tags" {
        let tag = account
            .tags()
            .iter()
            .find(|tag| tag.id == member.parent.id)
            .map(|tag| (tag.name.clone(), tag.created_at));
        if let Some((name, created_at)) = tag {
            row.insert("tag_name".to_owned(), text(&name));
            row.insert("tag_created_at".to_owned(), time(created_at));
        }
        return row;
    }
    if api == Api::V3 {
        row.extend(object(json!({
            "subscription_id": member.subscription_id, "state": member.state, "source": texts(member.source.as_deref()),
            "referrer": texts(member.referrer.as_deref()),
        })));
    } else if table == "form_subscriptions" {
        row.insert("referrer".to_owned(), texts(member.referrer.as_deref()));
        for (name, value) in
            ["utm_source", "utm_medium", "utm_campaign", "utm_term", "utm_content"].iter().zip(&member.utm)
        {
            row.insert((*name).to_owned(), texts(value.as_deref()));
        }
    }
    row
}
