//! An answer of Kit, as far as probes look at it.

use serde_json::Value;

use crate::model::{Time, time};

/// One page of a list.
#[derive(Debug, Clone, Default)]
pub struct List {
    /// The records.
    pub rows: Vec<Value>,
    /// Rows in the whole list, where it says so.
    pub total: Option<u64>,
    /// Numbered pages, where it says so.
    pub pages: Option<u64>,
    /// The page size Kit used.
    pub per_page: Option<u64>,
    /// Where the page ends.
    pub end_cursor: Option<String>,
    /// Whether another page follows.
    pub has_next: bool,
}

impl List {
    /// Reads the envelope; `None` when it is none.
    pub fn read(body: &str, member: &str) -> Option<Self> {
        let mut json: Value = serde_json::from_str(body).ok()?;
        let Value::Array(rows) = json.get_mut(member)?.take() else { return None };
        let paging = &json["pagination"];
        let first = |names: [&Value; 3]| names.into_iter().find_map(Value::as_u64);
        Some(List {
            total: first([&paging["total_count"], &json["total_subscribers"], &json["total_subscriptions"]]),
            pages: json["total_pages"].as_u64(),
            per_page: paging["per_page"].as_u64(),
            end_cursor: paging["end_cursor"].as_str().map(str::to_owned),
            has_next: paging["has_next_page"].as_bool().unwrap_or(false),
            rows,
        })
    }

    /// Whether the page is the whole list.
    pub fn is_whole(&self) -> bool {
        self.total.is_some_and(|total| total == self.rows.len() as u64)
    }

    /// The times in a member of the records, those that have one.
    pub fn times(&self, member: &str) -> Vec<Time> {
        self.rows.iter().filter_map(|row| instant(&row[member])).collect()
    }

    /// The ids of the records.
    pub fn ids(&self) -> Vec<i64> {
        self.rows.iter().filter_map(|row| row["id"].as_i64()).collect()
    }

    /// The id of the record with the greatest `subscriber_count` up to `most`.
    pub fn largest(&self, most: u64) -> Option<(i64, u64)> {
        let sized =
            self.rows.iter().filter_map(|row| Some((row["id"].as_i64()?, row["subscriber_count"].as_u64()?)));
        sized.filter(|(_, count)| (1..=most).contains(count)).max_by_key(|(_, count)| *count)
    }
}

/// The instant a value holds.
pub fn instant(value: &Value) -> Option<Time> {
    value.as_str().and_then(time::parse)
}
