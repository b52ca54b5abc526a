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
mod tests;
