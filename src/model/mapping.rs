//! Record → row: picks the columns of an object out of a JSON record, or says why it cannot.

use serde_json::value::RawValue;
use std::borrow::Cow;
use std::collections::BTreeMap;

use super::record::Record;
use super::row::{Batch, Quarantined, Row, Value};
use super::text::{NotCanonical, canonical, canonical_members, decode, without_lone_surrogates};
use super::{ApiVersion, Column, Endpoint, From, Object, Transform, Type, time};

/// Maps the records of one list.
#[derive(Debug, Clone, Copy)]
pub struct Mapping<'a> {
    object: &'static Object,
    endpoint: &'a Endpoint,
    version: ApiVersion,
    parent: Option<i64>,
}

impl<'a> Mapping<'a> {
    /// For one list of `object`: `partition` is the parent's id, or empty for a whole list.
    pub fn new(
        object: &'static Object,
        endpoint: &'a Endpoint,
        version: ApiVersion,
        partition: &str,
    ) -> Self {
        Mapping { object, endpoint, version, parent: partition.parse().ok() }
    }

    /// Maps every record of a page; what cannot be stored is set aside with its reason.
    pub fn rows<'r>(&self, records: impl Iterator<Item = &'r str>) -> Batch {
        let mut batch = Batch::default();
        for raw in records {
            batch.read += 1;
            self.row(raw, &mut batch);
        }
        batch
    }

    fn row(&self, raw: &str, batch: &mut Batch) {
        let clean = without_lone_surrogates(raw);
        let record = match Record::parse(&clean) {
            Ok(record) => record,
            Err(_) => {
                let reason = "the record is not a JSON object that can be read".to_owned();
                batch.quarantined.push(Quarantined {
                    key: None,
                    raw: raw.to_owned(),
                    reason,
                    row_kept: false,
                });
                return;
            }
        };
        let mut values = Vec::with_capacity(self.object.columns.len());
        let mut doubts: Vec<String> = Vec::new();
        for column in self.object.columns {
            match self.value(column, &record) {
                Ok(value) => values.push(value),
                // A time that is none does not cost the row, as long as the row can do without.
                Err(reason) if column.kind == Type::Time && !column.required => {
                    values.push(Value::Absent);
                    doubts.push(format!("{}: {reason}", column.name));
                }
                Err(reason) => {
                    self.quarantine(&record, raw, format!("{}: {reason}", column.name), false, batch);
                    return;
                }
            }
        }
        let extra = match self.extra(&record) {
            // A stub says nothing of what it leaves out.
            Ok(Value::Null) if self.endpoint.detail.is_some() && self.lacks_a_member(&values) => {
                Value::Absent
            }
            Ok(extra) => extra,
            Err(reason) => {
                self.quarantine(&record, raw, format!("_extra: {reason}"), false, batch);
                return;
            }
        };
        for reason in doubts {
            self.quarantine(&record, raw, reason, true, batch);
        }
        batch.rows.push(Row { values, extra });
    }

    fn quarantine(&self, record: &Record<'_>, raw: &str, reason: String, row_kept: bool, batch: &mut Batch) {
        let ids: Vec<String> = self
            .object
            .key_indexes()
            .filter_map(|index| match self.value(&self.object.columns[index], record) {
                Ok(Value::Int(id)) => Some(id.to_string()),
                _ => None,
            })
            .collect();
        let key = (ids.len() == self.object.key.len()).then(|| ids.join("/"));
        batch.quarantined.push(Quarantined { key, raw: raw.to_owned(), reason, row_kept });
    }

    fn value(&self, column: &Column, record: &Record<'_>) -> Result<Value, String> {
        let raw = match column.from(self.version) {
            From::Nowhere => None,
            From::Parent => {
                return self
                    .parent
                    .map(Value::Int)
                    .ok_or_else(|| "the parent's id is not a number".to_owned());
            }
            From::Member(name) => record.get(name),
            From::Inner(outer, inner) => {
                let Some(outer) = record.get(outer) else { return required(column, Value::Absent) };
                if outer.get() == "null" {
                    return required(column, Value::Null);
                }
                Record::parse(outer.get()).map_err(|_| "not inside an object".to_owned())?.get(inner)
            }
        };
        let value = match raw {
            None => Value::Absent,
            Some(raw) if raw.get() == "null" => Value::Null,
            Some(raw) => typed(column, raw)?,
        };
        required(column, value)
    }

    /// Everything Kit sent for which there is no column, so that nothing it adds is lost.
    fn extra(&self, record: &Record<'_>) -> Result<Value, String> {
        // By name, so that of a repeated one the last is found without looking through all of them for each.
        let mut unknown: BTreeMap<&str, &RawValue> = BTreeMap::new();
        let mut inner_unknown: BTreeMap<&str, Box<RawValue>> = BTreeMap::new();
        for (name, value) in record.members() {
            if self.endpoint.ignored.contains(&name) || self.takes_whole(name) {
                continue;
            }
            if self.takes_part_of(name) {
                match self.rest_of(name, value)? {
                    Some(rest) => drop(inner_unknown.insert(name, rest)),
                    None => drop(inner_unknown.remove(name)),
                }
                continue;
            }
            unknown.insert(name, value);
        }
        unknown.extend(inner_unknown.iter().map(|(name, value)| (*name, value.as_ref())));
        let unknown = unknown.into_iter().map(|(name, value)| (Cow::Borrowed(name), value)).collect();
        let json = canonical_members(unknown).map_err(|error| error.to_string())?;
        Ok(json.map_or(Value::Null, |json| Value::Json(json.into())))
    }

    /// Whether a member is missing that this version of the API has.
    fn lacks_a_member(&self, values: &[Value]) -> bool {
        let mut columns = self.object.columns.iter().zip(values);
        columns.any(|(column, value)| *value == Value::Absent && column.from(self.version) != From::Nowhere)
    }

    fn takes_whole(&self, member: &str) -> bool {
        self.object
            .columns
            .iter()
            .any(|column| matches!(column.from(self.version), From::Member(name) if name == member))
    }

    fn takes_part_of(&self, member: &str) -> bool {
        self.object
            .columns
            .iter()
            .any(|column| matches!(column.from(self.version), From::Inner(outer, _) if outer == member))
    }

    /// What an object holds beyond the members that have columns.
    fn rest_of(&self, outer: &str, value: &RawValue) -> Result<Option<Box<RawValue>>, String> {
        let Ok(record) = Record::parse(value.get()) else { return Ok(None) };
        let unknown: Vec<(Cow<'_, str>, &RawValue)> = record
            .into_sorted()
            .into_iter()
            .filter(|(name, _)| {
                !self
                    .object
                    .columns
                    .iter()
                    .any(|column| matches!(column.from(self.version), From::Inner(o, inner) if o == outer && inner == name))
            })
            .collect();
        let json = canonical_members(unknown).map_err(|error| error.to_string())?;
        json.map(|json| RawValue::from_string(json).map_err(|error| error.to_string())).transpose()
    }
}

fn required(column: &Column, value: Value) -> Result<Value, String> {
    match value {
        Value::Absent if column.required => Err("missing".to_owned()),
        Value::Null if column.required => Err("null".to_owned()),
        value => Ok(value),
    }
}

fn typed(column: &Column, raw: &RawValue) -> Result<Value, String> {
    let text = raw.get();
    match column.kind {
        Type::Id | Type::Int => integer(text).map(Value::Int),
        Type::Bool => match text {
            "true" => Ok(Value::Bool(true)),
            "false" => Ok(Value::Bool(false)),
            _ => Err(format!("{} instead of true or false", what_is(text))),
        },
        Type::Text => {
            let text = decode(text).ok_or_else(|| format!("{} instead of text", what_is(text)))?;
            Ok(Value::Text(transformed(column.transform, text).into()))
        }
        Type::Time => {
            let text = decode(text).ok_or_else(|| format!("{} instead of a time", what_is(text)))?;
            time::parse(&text)
                .map(Value::Time)
                .ok_or_else(|| "not a time between the years 1000 and 9999".to_owned())
        }
        Type::JsonObject if !text.starts_with('{') => Err(format!("{} instead of an object", what_is(text))),
        Type::JsonObject if column.transform == Transform::BlankIsNull => {
            let record = Record::parse(text).map_err(|_| NotCanonical::NotJson.to_string())?;
            if record.members().all(|(_, value)| value.get() == "null") {
                return Ok(Value::Null);
            }
            let json = canonical_members(record.into_sorted()).map_err(|error| error.to_string())?;
            Ok(json.map_or(Value::Null, |json| Value::Json(json.into())))
        }
        Type::JsonArray if !text.starts_with('[') => Err(format!("{} instead of an array", what_is(text))),
        Type::JsonObject | Type::JsonArray => {
            canonical(raw).map(|json| Value::Json(json.into())).map_err(|error| error.to_string())
        }
    }
}

/// An integer of 64 bits, as a number or as text that looks like one. Never through a float.
fn integer(text: &str) -> Result<i64, String> {
    let digits = match decode(text) {
        Some(inner) => inner,
        None => text.to_owned(),
    };
    let signed = digits.strip_prefix('-').unwrap_or(&digits);
    if signed.is_empty() || !signed.bytes().all(|b| b.is_ascii_digit()) {
        return Err(format!("{} instead of an integer", what_is(text)));
    }
    digits.parse().map_err(|_| "an integer beyond 64 bits".to_owned())
}

fn transformed(transform: Transform, text: String) -> String {
    match transform {
        Transform::None | Transform::BlankIsNull => text,
        Transform::WithoutApiKey => without_api_key(&text),
    }
}

/// Takes `api_key` out of the query of an address.
fn without_api_key(address: &str) -> String {
    let Some((path, query)) = address.split_once('?') else { return address.to_owned() };
    let (query, fragment) = match query.split_once('#') {
        Some((query, fragment)) => (query, Some(fragment)),
        None => (query, None),
    };
    let kept: Vec<&str> =
        query.split('&').filter(|pair| !pair.to_ascii_lowercase().starts_with("api_key")).collect();
    let mut clean = path.to_owned();
    if !kept.is_empty() {
        clean.push('?');
        clean.push_str(&kept.join("&"));
    }
    if let Some(fragment) = fragment {
        clean.push('#');
        clean.push_str(fragment);
    }
    clean
}

/// The kind of a JSON value, never the value itself: reasons are shown, records are not.
fn what_is(text: &str) -> &'static str {
    match text.as_bytes().first() {
        Some(b'"') => "text",
        Some(b'{') => "an object",
        Some(b'[') => "an array",
        Some(b't' | b'f') => "a boolean",
        Some(b'n') => "null",
        _ => "a number",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::objects::{BROADCASTS, FORM_SUBSCRIPTIONS, FORMS, SUBSCRIBERS, TAG_SUBSCRIPTIONS};
    use proptest::prelude::*;

    fn map(object: &'static Object, version: ApiVersion, partition: &str, record: &str) -> Batch {
        let endpoint = object.endpoint(version).expect("it has requests");
        Mapping::new(object, endpoint, version, partition).rows(std::iter::once(record))
    }

    fn person(members: &str) -> Batch {
        map(&SUBSCRIBERS, ApiVersion::V4, "", &format!("{{{members}}}"))
    }

    fn value(object: &Object, batch: &Batch, column: &str) -> Value {
        batch.rows[0].values[object.column_index(column).expect("a column")].clone()
    }

    fn text(text: &str) -> Value {
        Value::Text(text.into())
    }

    const WHOLE: &str = r#""id": 7, "state": "active", "created_at": "2024-05-03T09:00:00Z""#;

    /// M32: an absent member leaves what is stored alone, null empties it.
    #[test]
    fn absent_is_not_null() {
        let batch = person(&format!(r#"{WHOLE}, "first_name": null"#));
        assert_eq!(value(&SUBSCRIBERS, &batch, "first_name"), Value::Null);
        assert_eq!(value(&SUBSCRIBERS, &batch, "fields"), Value::Absent);
    }

    /// Kit sends ten nulls for everybody of whom it knows nothing.
    #[test]
    fn an_object_of_nulls_is_null_where_that_is_all_it_can_mean() {
        let unknown = r#""attribution": {"referrer": null, "utm_source": null}, "location": {"city": "Bern"}, "fields": {"a": null}"#;
        let batch = person(&format!("{WHOLE}, {unknown}"));
        assert_eq!(value(&SUBSCRIBERS, &batch, "attribution"), Value::Null);
        assert_eq!(value(&SUBSCRIBERS, &batch, "location"), Value::Json(r#"{"city":"Bern"}"#.into()));
        assert_eq!(value(&SUBSCRIBERS, &batch, "fields"), Value::Json(r#"{"a":null}"#.into()));
    }

    /// M32: what a stub does not show, members without a column among them, is not known to be empty.
    #[test]
    fn a_stub_empties_nothing() {
        let stub = r#"{"id": 7, "created_at": "2024-05-03T09:00:00Z", "subject": "Hello"}"#;
        assert_eq!(map(&BROADCASTS, ApiVersion::V3, "", stub).rows[0].extra, Value::Absent);
        let more = r#"{"id": 7, "created_at": "2024-05-03T09:00:00Z", "subject": "Hello", "new": 1}"#;
        assert_eq!(
            map(&BROADCASTS, ApiVersion::V3, "", more).rows[0].extra,
            Value::Json(r#"{"new":1}"#.into())
        );
        // Where there are no stubs, a member that is missing is no sign of one.
        let person = person(WHOLE);
        assert_eq!(
            (&value(&SUBSCRIBERS, &person, "fields"), &person.rows[0].extra),
            (&Value::Absent, &Value::Null)
        );
    }

    /// M36, P-03, P-07.
    #[test]
    fn ids_are_64_bit_integers_and_never_pass_through_a_float() {
        for (id, expected) in [
            ("9223372036854775807", Ok(i64::MAX)),
            ("9007199254740993", Ok(9_007_199_254_740_993)),
            ("4294967296", Ok(4_294_967_296)),
            (r#""4287675149""#, Ok(4_287_675_149)),
            ("9223372036854775808", Err("id: an integer beyond 64 bits")),
            ("1.5", Err("id: a number instead of an integer")),
            ("1e3", Err("id: a number instead of an integer")),
            (r#""x""#, Err("id: text instead of an integer")),
            ("null", Err("id: null")),
            ("[1]", Err("id: an array instead of an integer")),
        ] {
            let batch =
                person(&format!(r#""id": {id}, "state": "active", "created_at": "2024-05-03T09:00:00Z""#));
            match expected {
                Ok(id) => assert_eq!(value(&SUBSCRIBERS, &batch, "id"), Value::Int(id)),
                Err(reason) => assert_eq!(batch.quarantined[0].reason, reason),
            }
        }
    }

    /// P-02, P-03.
    #[test]
    fn a_record_that_lacks_what_a_row_needs_is_set_aside_with_its_key_and_reason() {
        let batch = person(r#""id": 7, "state": "active""#);
        assert_eq!(batch.rows.len(), 0);
        assert_eq!(batch.lost(), 1);
        assert_eq!(batch.quarantined[0].key.as_deref(), Some("7"));
        assert_eq!(batch.quarantined[0].reason, "created_at: missing");
        let batch = person(&format!(r#"{WHOLE}, "first_name": 12"#));
        assert_eq!(batch.quarantined[0].reason, "first_name: a number instead of text");
        let batch = person(&format!(r#"{WHOLE}, "fields": []"#));
        assert_eq!(batch.quarantined[0].reason, "fields: an array instead of an object");
        let member = map(&TAG_SUBSCRIPTIONS, ApiVersion::V4, "42", r#"{"id": 7, "tagged_at": "soon"}"#);
        assert_eq!(member.quarantined[0].key.as_deref(), Some("42/7"));
    }

    /// P-04: the row is kept, the time is not, and the record as it came stands in quarantine.
    #[test]
    fn a_time_that_is_none_costs_the_row_only_where_the_row_needs_it() {
        let record = r#"{"id": 1, "created_at": "2024-05-03T09:00:00Z", "send_at": "2017-04-12T11:11:566Z"}"#;
        let batch = map(&BROADCASTS, ApiVersion::V4, "", record);
        assert_eq!(value(&BROADCASTS, &batch, "send_at"), Value::Absent);
        assert!(batch.quarantined[0].row_kept);
        assert_eq!(batch.lost(), 0);
    }

    #[test]
    fn what_kit_adds_is_kept_beyond_the_columns() {
        let batch = person(&format!(r#"{WHOLE}, "zeta": [1], "alpha": {{"b": 1, "a": 2}}, "zeta": [2]"#));
        assert_eq!(batch.rows[0].extra, Value::Json(r#"{"alpha":{"a":2,"b":1},"zeta":[2]}"#.into()));
        let record = r#"{"id": 1, "created_at": "2024-05-03T09:00:00Z", "email_template": {"id": 6, "name": "Plain", "new": true}}"#;
        let batch = map(&BROADCASTS, ApiVersion::V4, "", record);
        assert_eq!(value(&BROADCASTS, &batch, "email_template_name"), text("Plain"));
        assert_eq!(batch.rows[0].extra, Value::Json(r#"{"email_template":{"new":true}}"#.into()));
        let repeated = record.replacen('}', "}, \"email_template\": null", 1);
        assert_eq!(map(&BROADCASTS, ApiVersion::V4, "", &repeated).rows[0].extra, Value::Null);
    }

    /// P-06, P-08: a record that could hold up everything else takes no longer than its length explains.
    #[test]
    fn a_hundred_thousand_unknown_members_are_kept_without_comparing_each_with_each() {
        let members: Vec<String> = (0..100_000).map(|at| format!("\"member_{at:05}\": {at}")).collect();
        let begun = std::time::Instant::now();
        let batch = person(&format!("{WHOLE}, {}", members.join(", ")));
        assert!(begun.elapsed() < std::time::Duration::from_secs(5), "{:?}", begun.elapsed());
        let Value::Json(extra) = &batch.rows[0].extra else { panic!("{:?}", batch.quarantined) };
        assert_eq!(extra.matches("member_").count(), 100_000);
    }

    #[test]
    fn a_membership_takes_its_parent_from_the_list_and_its_time_from_the_membership() {
        let v4 = r#"{"id": 7, "created_at": "2020-01-01T00:00:00Z", "added_at": "2024-05-03T09:00:00Z", "email_address": "a@b.c",
            "referrer_utm_parameters": {"source": "news", "medium": null}}"#;
        let batch = map(&FORM_SUBSCRIPTIONS, ApiVersion::V4, "42", v4);
        assert_eq!(batch.rows[0].key(&FORM_SUBSCRIPTIONS), [42, 7]);
        assert_eq!(
            value(&FORM_SUBSCRIPTIONS, &batch, "created_at"),
            Value::Time(time::parse("2024-05-03T09:00:00Z").unwrap())
        );
        assert_eq!(value(&FORM_SUBSCRIPTIONS, &batch, "utm_source"), text("news"));
        assert_eq!(value(&FORM_SUBSCRIPTIONS, &batch, "utm_medium"), Value::Null);
        assert_eq!(value(&FORM_SUBSCRIPTIONS, &batch, "utm_term"), Value::Absent);
        let v3 = r#"{"id": 9, "created_at": "2024-05-03T09:00:00Z", "state": "active", "subscriber": {"id": 7, "state": "cancelled"}}"#;
        let batch = map(&FORM_SUBSCRIPTIONS, ApiVersion::V3, "42", v3);
        assert_eq!(batch.rows[0].key(&FORM_SUBSCRIPTIONS), [42, 7]);
        assert_eq!(value(&FORM_SUBSCRIPTIONS, &batch, "subscription_id"), Value::Int(9));
        assert_eq!(value(&FORM_SUBSCRIPTIONS, &batch, "state"), text("active"));
    }

    #[test]
    fn the_key_of_the_account_is_taken_out_of_embed_addresses() {
        for (address, clean) in [
            ("https://h/f.js?api_key=SECRET", "https://h/f.js"),
            ("https://h/f.js?a=1&api_key=SECRET&b=2#top", "https://h/f.js?a=1&b=2#top"),
            ("https://h/f.js", "https://h/f.js"),
        ] {
            let record =
                format!(r#"{{"id": 1, "created_at": "2024-05-03T09:00:00Z", "embed_js": "{address}"}}"#);
            assert_eq!(value(&FORMS, &map(&FORMS, ApiVersion::V3, "", &record), "embed_js"), text(clean));
        }
    }

    proptest! {
        #[test]
        fn any_record_becomes_a_row_or_goes_to_quarantine_without_a_panic(record in "\\PC{0,120}", json in any::<i64>()) {
            for raw in [record.clone(), format!(r#"{{"id": {json}, "state": "{record}"}}"#)] {
                let batch = map(&SUBSCRIBERS, ApiVersion::V3, "", &raw);
                prop_assert_eq!(batch.read, 1);
                prop_assert_eq!(batch.rows.len() + batch.lost(), 1);
            }
        }
    }
}
