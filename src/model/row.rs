//! A row and the values in it; what could not be stored, and the batches in which both go to the database.

use std::sync::Arc;

use super::Object;
use super::time::{self, Time};

/// A value on its way into a column. Cheap to clone: a page is written again after a conflict.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// The record does not have the member: what is stored stays.
    Absent,
    /// The member is null.
    Null,
    /// Ids and integers.
    Int(i64),
    /// Booleans.
    Bool(bool),
    /// Text, storable in every engine.
    Text(Arc<str>),
    /// An instant.
    Time(Time),
    /// Canonical JSON.
    Json(Arc<str>),
}

/// A row: one value per column of the object, and what Kit sent beyond them.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// In the order of [`Object::columns`].
    pub values: Vec<Value>,
    /// Members without a column, as one canonical JSON object; null as a rule, absent in a stub.
    pub extra: Value,
}

impl Row {
    /// The key of the row, in the order of [`Object::key`]. Key columns are ids in every object.
    pub fn key(&self, object: &Object) -> Vec<i64> {
        object.key_indexes().filter_map(|index| self.id(index)).collect()
    }

    /// All of its values, that of `_extra` last.
    pub fn cells(&self) -> impl Iterator<Item = &Value> {
        self.values.iter().chain([&self.extra])
    }

    /// One of them.
    pub fn cell(&self, at: usize) -> &Value {
        self.values.get(at).unwrap_or(&self.extra)
    }

    /// About how many bytes it has on its way into the database.
    pub fn bytes(&self) -> usize {
        let size = |value: &Value| match value {
            Value::Text(text) | Value::Json(text) => text.len(),
            _ => 8,
        };
        self.cells().map(size).sum()
    }

    /// The row as a JSON object of its columns, without those it has no value for.
    pub fn as_json(&self, object: &Object) -> String {
        let value = |value: &Value| match value {
            Value::Absent => None,
            Value::Null => Some("null".to_owned()),
            Value::Int(number) => Some(number.to_string()),
            Value::Bool(truth) => Some(truth.to_string()),
            Value::Text(text) => Some(serde_json::Value::from(&**text).to_string()),
            Value::Time(time) => Some(format!("\"{}\"", time::text(*time))),
            Value::Json(json) => Some(json.to_string()),
        };
        let names = object.columns.iter().map(|column| column.name).chain(["_extra"]);
        let members: Vec<String> = names
            .zip(self.cells())
            .filter_map(|(name, cell)| Some(format!("\"{name}\":{}", value(cell)?)))
            .collect();
        format!("{{{}}}", members.join(","))
    }

    /// The id in a column, if it holds one.
    pub fn id(&self, index: usize) -> Option<i64> {
        match self.values.get(index) {
            Some(Value::Int(id)) => Some(*id),
            _ => None,
        }
    }

    /// The instant in a column, if it holds one.
    pub fn time(&self, index: usize) -> Option<Time> {
        match self.values.get(index) {
            Some(Value::Time(time)) => Some(*time),
            _ => None,
        }
    }
}

/// A record, or a part of one, that could not be stored.
#[derive(Debug, Clone, PartialEq)]
pub struct Quarantined {
    /// The record's key as text where it could be read, for example `42` or `7/42`.
    pub key: Option<String>,
    /// The record as it came.
    pub raw: String,
    /// Which column, and why.
    pub reason: String,
    /// Whether the rest of the record was stored all the same (an optional time that is none).
    pub row_kept: bool,
}

impl Quarantined {
    /// The last id of the key, where it could be read: that of the row within its partition.
    pub fn id(&self) -> Option<i64> {
        self.key.as_deref()?.rsplit('/').next()?.parse().ok()
    }
}

/// The rows of one or more pages.
#[derive(Debug, Clone, Default)]
pub struct Batch {
    /// Rows in the order in which they came; a key may occur more than once.
    pub rows: Vec<Row>,
    /// What could not be stored.
    pub quarantined: Vec<Quarantined>,
    /// Number of records read.
    pub read: usize,
}

impl Batch {
    /// Takes over the rows of a following page.
    pub fn join(&mut self, next: Batch) {
        if self.rows.is_empty() {
            self.rows = next.rows;
        } else {
            self.rows.extend(next.rows);
        }
        self.quarantined.extend(next.quarantined);
        self.read += next.read;
    }

    /// Ids of the rows within their partition, in their order.
    pub fn ids(&self, object: &Object) -> impl Iterator<Item = i64> {
        self.rows.iter().filter_map(|row| row.key(object).last().copied())
    }

    /// About the memory it takes.
    pub fn bytes(&self) -> usize {
        let set_aside = self.quarantined.iter().map(|note| note.raw.len());
        self.rows.iter().map(Row::bytes).chain(set_aside).sum()
    }

    /// Records lost to quarantine.
    pub fn lost(&self) -> usize {
        self.quarantined.iter().filter(|note| !note.row_kept).count()
    }
}

#[cfg(test)]
mod tests {
    use crate::model::objects::SUBSCRIBERS;
    use crate::model::{ApiVersion, Mapping};

    #[test]
    fn a_row_is_shown_as_json() {
        let endpoint = SUBSCRIBERS.endpoint(ApiVersion::V4).expect("it has requests");
        let record = r#"{"id": 7, "state": "active", "created_at": "2024-05-03T09:00:00Z", "first_name": null,
            "email_address": "\"a\"@b.c", "fields": {"b": 1, "a": "x"}, "new": true}"#;
        let batch = Mapping::new(&SUBSCRIBERS, endpoint, ApiVersion::V4, "").rows(std::iter::once(record));
        assert_eq!(
            batch.rows[0].as_json(&SUBSCRIBERS),
            r#"{"id":7,"email_address":"\"a\"@b.c","first_name":null,"state":"active","created_at":"2024-05-03T09:00:00.000000Z","fields":{"a":"x","b":1},"_extra":{"new":true}}"#
        );
    }
}
