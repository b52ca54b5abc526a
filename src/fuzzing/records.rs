//! Records and the times in them.

use chrono::{DateTime, TimeDelta, Timelike as _};
use serde::de::IgnoredAny;
use serde_json::value::RawValue;
use std::collections::HashSet;

use super::Bytes;
use crate::model::record::Record;
use crate::model::text::canonical;
use crate::model::{ApiVersion, Batch, Mapping, Object, Row, Type, Value, objects, time};

/// A record is a row that every engine can store, or is set aside with a reason, and never half of both. What
/// order its members come in makes no difference.
pub fn record_to_row(data: &[u8]) {
    let mut bytes = Bytes::new(data);
    let object = objects::ALL[bytes.below(objects::ALL.len())].filled_by();
    let version = ApiVersion::ALL[bytes.below(2)];
    let partition = if object.parent().is_none() || bytes.one_in(16) { "" } else { "42" };
    let whole = bytes.one_in(2);
    let text = bytes.text();
    let record = if whole { text } else { format!("{{{}{text}}}", needed(object, version)) };
    let Some(endpoint) = object.endpoint(version) else { return };
    let mapping = Mapping::new(object, endpoint, version, partition);
    let batch = mapping.rows(std::iter::once(record.as_str()));
    assert_eq!(batch.read, 1);
    assert_eq!(batch.rows.len() + batch.lost(), 1, "a row, or a record set aside");
    for note in &batch.quarantined {
        assert_eq!(note.raw, record, "it is set aside as it came");
        let column = note.reason.split(':').next().unwrap_or_default();
        assert!(
            object.column_index(column).is_some() || column == "_extra" || note.key.is_none(),
            "{}",
            note.reason
        );
    }
    for row in &batch.rows {
        is_storable(object, row);
    }
    if let Some(other) = other_way_round(&record) {
        let again = mapping.rows(std::iter::once(other.as_str()));
        assert_eq!(rows_of(&batch), rows_of(&again), "the order of members makes a difference: {other}");
    }
}

fn rows_of(batch: &Batch) -> (&[Row], usize) {
    (&batch.rows, batch.quarantined.len())
}

/// The members without which there is no row, so that mutations of the others get that far.
fn needed(object: &Object, version: ApiVersion) -> String {
    let mut members = String::new();
    for column in object.columns.iter().filter(|column| column.required) {
        let value = match column.kind {
            Type::Id | Type::Int => "7",
            Type::Bool => "true",
            Type::Text => "\"active\"",
            Type::Time => "\"2024-05-03T09:00:00Z\"",
            Type::JsonObject => "{}",
            Type::JsonArray => "[]",
        };
        match column.from(version) {
            crate::model::From::Member(name) => members.push_str(&format!("\"{name}\":{value},")),
            crate::model::From::Inner(outer, inner) => {
                members.push_str(&format!("\"{outer}\":{{\"{inner}\":{value}}},"));
            }
            crate::model::From::Nowhere | crate::model::From::Parent => {}
        }
    }
    members
}

/// The same record with its members in the opposite order; none where a repeated name would make it another.
fn other_way_round(record: &str) -> Option<String> {
    let parsed = Record::parse(record).ok()?;
    let members: Vec<(&str, &RawValue)> = parsed.members().collect();
    let names: HashSet<&str> = members.iter().map(|(name, _)| *name).collect();
    (names.len() == members.len()).then(|| {
        let members = members
            .iter()
            .rev()
            .map(|(name, value)| format!(" {} : {} ", serde_json::Value::from(*name), value.get()));
        format!("{{{}}}", members.collect::<Vec<_>>().join(","))
    })
}

fn is_storable(object: &Object, row: &Row) {
    assert_eq!(row.values.len(), object.columns.len());
    assert_eq!(row.key(object).len(), object.key.len(), "a row has its key");
    for (column, value) in object.columns.iter().zip(&row.values) {
        match (column.kind, value) {
            (_, Value::Absent | Value::Null) => assert!(!column.required, "{} is missing", column.name),
            (Type::Id | Type::Int, Value::Int(_)) | (Type::Bool, Value::Bool(_)) => {}
            (Type::Text, Value::Text(text)) => assert!(!text.contains('\0'), "U+0000 in {}", column.name),
            (Type::Time, Value::Time(read)) => is_instant(*read),
            (Type::JsonObject, Value::Json(json)) => is_canonical(json, '{'),
            (Type::JsonArray, Value::Json(json)) => is_canonical(json, '['),
            (kind, value) => panic!("{value:?} in {}, which is {kind:?}", column.name),
        }
    }
    match &row.extra {
        Value::Null => {}
        Value::Absent => assert!(row.values.contains(&Value::Absent), "a whole record, taken for a stub"),
        Value::Json(json) => is_canonical(json, '{'),
        other => panic!("{other:?} beyond the columns"),
    }
    is_json(&row.as_json(object));
}

fn is_json(text: &str) {
    assert!(serde_json::from_str::<IgnoredAny>(text).is_ok(), "not JSON: {text}");
}

fn is_canonical(json: &str, opening: char) {
    assert!(json.starts_with(opening), "{json}");
    // A backslash that is escaped escapes nothing.
    let escapes = json.replace(r"\\", "");
    assert!(!escapes.contains("\\u0000") && !json.contains('\0'), "U+0000 in {json}");
    let raw = RawValue::from_string(json.to_owned()).expect("it is JSON");
    assert_eq!(canonical(&raw).as_deref(), Ok(json), "not the one spelling of it");
}

/// A time is refused, or is an instant that every engine stores, is what the text says, and reads back as itself.
pub fn dates(data: &[u8]) {
    let mut bytes = Bytes::new(data);
    let overlap = TimeDelta::seconds(i64::try_from(bytes.number() >> 28).unwrap_or_default());
    let text = bytes.text();
    let read = time::parse(&text);
    let standard = DateTime::parse_from_rfc3339(text.trim()).ok();
    if let (Some(read), Some(standard)) = (read, standard) {
        // A leap second is the last microsecond of its minute with us, and beyond it with chrono.
        if standard.nanosecond() < 1_000_000_000 {
            assert_eq!(read.timestamp_micros(), standard.timestamp_micros(), "{text:?}");
        }
    }
    let Some(read) = read else { return };
    is_instant(read);
    let shape = text.trim().bytes().take(19).enumerate().all(|(at, byte)| match at {
        4 | 7 => byte == b'-',
        10 => b"Tt ".contains(&byte),
        13 | 16 => byte == b':',
        _ => byte.is_ascii_digit(),
    });
    assert!(shape, "{text:?} is not in the shape of a time");
    let day = time::start_of(time::day_before(read, overlap));
    assert!(day <= read - TimeDelta::hours(24), "asked from {day} for {read}");
    if let Some(from) = read.checked_sub_signed(overlap + TimeDelta::hours(24)) {
        assert!(day <= from, "asked from {day}, which is behind {from}");
    }
}

fn is_instant(read: time::Time) {
    let text = time::text(read);
    assert_eq!(text.len(), "2024-05-03T09:00:00.000000Z".len(), "text order is time order: {text}");
    assert_eq!(time::parse(&text), Some(read), "it reads back as itself");
}
