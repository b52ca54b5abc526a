//! Body → `Page`. Pure. Anything but the documented envelope is an error and never an empty page:
//! an error page read as "no rows" would end a list early.

use serde::de::{Deserialize, Deserializer, IgnoredAny, SeqAccess, Visitor};
use serde_json::value::RawValue;
use std::fmt;
use std::ops::Range;

use crate::model::record::Record;
use crate::model::{Paging, Time, V3_PER_PAGE};

/// More rows than this in one answer are refused; Kit's largest page is 1,000.
pub const MAX_ROWS: usize = 10_000;
/// A longer cursor is refused.
pub const MAX_CURSOR: usize = 4096;

/// One page of a list.
#[derive(Debug)]
pub struct Page {
    body: String,
    records: Vec<Range<usize>>,
    /// What the page says about what follows it.
    pub following: Following,
    /// How many records the list showed on it, some of which may have been gone when they were looked up.
    pub listed: usize,
    /// The number the page bears, where pages are numbered and it bears one.
    pub number: Option<u32>,
    /// Rows in the whole list, where the source says so.
    pub total: Option<u64>,
    /// The source's clock when it answered.
    pub served_at: Time,
}

/// What a page says about what follows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Following {
    /// The one answer of an unpaged list.
    Whole,
    /// A numbered page.
    Numbered {
        /// How many pages there are, where the list says so.
        total_pages: Option<u64>,
    },
    /// A page with cursors. The end cursor is set on the last page too, so only `next` counts.
    Cursor {
        /// The cursor of the following page; `None` at the end of the list.
        next: Option<String>,
    },
}

/// Why a body is not a page.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotAPage {
    /// Not JSON at all, or cut off.
    #[error("the body is not JSON ({0})")]
    NotJson(String),
    /// JSON, but without what every page of this list has.
    #[error("{0}")]
    Shape(String),
}

impl Page {
    /// The records, each as JSON text.
    pub fn records(&self) -> impl ExactSizeIterator<Item = &str> {
        self.records.iter().map(|range| &self.body[range.clone()])
    }

    /// How many pages the list has beside this first one, where it says so.
    pub fn others(&self) -> u64 {
        match self.following {
            Following::Whole | Following::Cursor { next: None } => 0,
            Following::Numbered { total_pages } => total_pages.unwrap_or(0).saturating_sub(1),
            Following::Cursor { next: Some(_) } => {
                self.total.map_or(1, |total| total.div_ceil(self.listed.max(1) as u64).saturating_sub(1))
            }
        }
    }

    /// A page of records that were fetched one by one.
    #[must_use]
    pub fn with_records(&self, records: Vec<String>) -> Page {
        let mut body = String::new();
        let mut ranges = Vec::with_capacity(records.len());
        for record in records {
            let start = body.len();
            body.push_str(&record);
            ranges.push(start..body.len());
        }
        Page {
            body,
            records: ranges,
            number: self.number,
            listed: self.listed,
            following: self.following.clone(),
            total: self.total,
            served_at: self.served_at,
        }
    }
}

/// A last page without a record: what an error must not be taken for.
#[cfg(feature = "chaos")]
pub(super) fn nothing(paging: Paging, served_at: Time) -> Page {
    let following = match paging {
        Paging::Single => Following::Whole,
        Paging::Numbered { totals } => Following::Numbered { total_pages: totals.then_some(1) },
        Paging::Cursor { .. } => Following::Cursor { next: None },
    };
    Page {
        body: String::new(),
        records: Vec::new(),
        following,
        listed: 0,
        number: None,
        total: None,
        served_at,
    }
}

/// Reads the envelope of a page.
///
/// # Errors
/// [`NotAPage`] for anything that is not the documented envelope.
pub fn parse(body: String, list: &str, paging: Paging, served_at: Time) -> Result<Page, NotAPage> {
    let start = body.as_ptr() as usize;
    let envelope: Record<'_> =
        serde_json::from_str(&body).map_err(|error| NotAPage::NotJson(plain(&error)))?;
    let rows =
        envelope.get(list).ok_or_else(|| NotAPage::Shape(format!("the answer has no member \"{list}\"")))?;
    let Rows { kept: rows, count } = serde_json::from_str(rows.get())
        .map_err(|_| NotAPage::Shape(format!("the member \"{list}\" of the answer is not an array")))?;
    if count > MAX_ROWS {
        return Err(NotAPage::Shape(format!("{count} rows in one answer, more than {MAX_ROWS}")));
    }
    let records = rows
        .iter()
        .map(|row| {
            let from = row.get().as_ptr() as usize - start;
            from..from + row.get().len()
        })
        .collect();
    let (following, total) = match paging {
        Paging::Single => (Following::Whole, Some(rows.len() as u64)),
        Paging::Numbered { totals: false } => (Following::Numbered { total_pages: None }, None),
        Paging::Numbered { totals: true } => numbered(&envelope)?,
        Paging::Cursor { .. } => cursor(&envelope)?,
    };
    let number = match paging {
        Paging::Numbered { .. } => envelope.get("page").and_then(|raw| raw.get().parse().ok()),
        Paging::Single | Paging::Cursor { .. } => None,
    };
    Ok(Page { listed: rows.len(), records, following, number, total, served_at, body })
}

/// The items of an array. Those beyond [`MAX_ROWS`] are counted and not kept: ten million empty ones fit
/// into one body, and a list of them would take many times its size.
struct Rows<'a> {
    kept: Vec<&'a RawValue>,
    count: usize,
}

impl<'de> Deserialize<'de> for Rows<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Items;

        impl<'de> Visitor<'de> for Items {
            type Value = Rows<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an array")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self::Value, A::Error> {
                let mut rows = Rows { kept: Vec::new(), count: 0 };
                while rows.count < MAX_ROWS
                    && let Some(row) = items.next_element()?
                {
                    rows.kept.push(row);
                    rows.count += 1;
                }
                while items.next_element::<IgnoredAny>()?.is_some() {
                    rows.count += 1;
                }
                Ok(rows)
            }
        }

        deserializer.deserialize_seq(Items)
    }
}

/// v3: `total_pages` and `total_subscribers` or `total_subscriptions`.
fn numbered(envelope: &Record<'_>) -> Result<(Following, Option<u64>), NotAPage> {
    let number = |name: &str| envelope.get(name).and_then(|raw| raw.get().parse::<u64>().ok());
    let total_pages = number("total_pages")
        .ok_or_else(|| NotAPage::Shape("the answer has no usable \"total_pages\"".to_owned()))?;
    let total = number("total_subscribers").or_else(|| number("total_subscriptions"));
    if let Some(total) = total {
        let pages = total.div_ceil(u64::from(V3_PER_PAGE));
        if !(pages..=pages + 1).contains(&total_pages) {
            return Err(NotAPage::Shape(format!("the answer claims {total_pages} pages for {total} rows")));
        }
    }
    Ok((Following::Numbered { total_pages: Some(total_pages) }, total))
}

/// v4: the `pagination` object.
fn cursor(envelope: &Record<'_>) -> Result<(Following, Option<u64>), NotAPage> {
    let shape = |what: &str| NotAPage::Shape(what.to_owned());
    let pagination =
        envelope.get("pagination").ok_or_else(|| shape("the answer has no member \"pagination\""))?;
    let pagination = Record::parse(pagination.get()).map_err(|_| shape("\"pagination\" is not an object"))?;
    let total = pagination.get("total_count").and_then(|raw| raw.get().parse().ok());
    let more = match pagination.get("has_next_page").map(RawValue::get) {
        Some("true") => true,
        Some("false") => false,
        _ => return Err(shape("\"has_next_page\" is not true or false")),
    };
    if !more {
        return Ok((Following::Cursor { next: None }, total));
    }
    let next: Option<String> = pagination
        .get("end_cursor")
        .and_then(|raw| serde_json::from_str(raw.get()).ok())
        .filter(|cursor: &String| !cursor.is_empty());
    match next {
        Some(cursor) if cursor.len() <= MAX_CURSOR => Ok((Following::Cursor { next: Some(cursor) }, total)),
        Some(_) => Err(shape("the cursor is longer than 4 KiB")),
        None => Err(shape("there is a next page but no \"end_cursor\" to ask for it")),
    }
}

/// A parser's message without the text it stumbled over.
fn plain(error: &serde_json::Error) -> String {
    format!("line {}, column {}", error.line(), error.column())
}

#[cfg(test)]
mod tests {
    use super::*;

    const CURSOR: Paging = Paging::Cursor { per_page: 1000 };
    const NUMBERED: Paging = Paging::Numbered { totals: true };

    fn read(body: &str, paging: Paging) -> Result<Page, NotAPage> {
        parse(body.to_owned(), "subscribers", paging, Time::UNIX_EPOCH)
    }

    #[test]
    fn a_page_of_v4_gives_its_records_and_its_cursor() {
        let body = r#"{"subscribers": [{"id": 1}, {"id":2 }],
            "pagination": {"has_next_page": true, "end_cursor": "WzJd", "total_count": 3}}"#;
        let page = read(body, CURSOR).unwrap();
        assert_eq!(page.records().collect::<Vec<_>>(), [r#"{"id": 1}"#, r#"{"id":2 }"#]);
        assert_eq!(page.following, Following::Cursor { next: Some("WzJd".to_owned()) });
        assert_eq!((page.total, page.others()), (Some(3), 1));
    }

    #[test]
    fn the_end_cursor_of_a_last_page_is_not_followed() {
        let body = r#"{"subscribers":[],"pagination":{"has_next_page":false,"end_cursor":"WzJd"}}"#;
        assert_eq!(read(body, CURSOR).unwrap().following, Following::Cursor { next: None });
    }

    #[test]
    fn a_page_of_v3_says_how_many_there_are() {
        let page =
            read(r#"{"total_subscribers":51,"page":1,"total_pages":2,"subscribers":[]}"#, NUMBERED).unwrap();
        assert_eq!((page.following, page.total), (Following::Numbered { total_pages: Some(2) }, Some(51)));
    }

    /// M18, H-09, G-03, G-05, G-06.
    #[test]
    fn what_is_not_a_page_is_an_error_and_never_an_empty_page() {
        for body in [
            "",
            "<html>busy</html>",
            "{}",
            "[]",
            "null",
            r#"{"subscribers":null}"#,
            r#"{"subscribers":{}}"#,
            r#"{"subscribers":[]}"#,
            r#"{"subscribers":[],"pagination":null}"#,
            r#"{"subscribers":[],"pagination":{}}"#,
            r#"{"subscribers":[],"pagination":{"has_next_page":"true"}}"#,
            r#"{"subscribers":[],"pagination":{"has_next_page":true,"end_cursor":null}}"#,
            r#"{"subscribers":[{"id":1}],"pagination":{"has_next_page":false}"#,
        ] {
            assert!(read(body, CURSOR).is_err(), "{body}");
        }
        for pages in ["-1", "null", "\"2\"", "1e3", "0", "1000000000"] {
            let body =
                format!(r#"{{"subscribers":[],"total_subscribers":1,"page":1,"total_pages":{pages}}}"#);
            assert!(read(&body, NUMBERED).is_err(), "{body}");
        }
        assert!(read(r#"{"subscribers":[]}"#, NUMBERED).is_err());
    }

    #[test]
    fn ten_thousand_rows_are_a_page_and_one_more_is_none() {
        let read = |rows: usize| {
            let rows = vec!["1"; rows].join(",");
            read(&format!(r#"{{"subscribers":[{rows}],"pagination":{{"has_next_page":false}}}}"#), CURSOR)
        };
        assert_eq!(read(MAX_ROWS).unwrap().listed, MAX_ROWS);
        let refused = read(MAX_ROWS + 1).unwrap_err();
        assert_eq!(refused.to_string(), "10001 rows in one answer, more than 10000");
    }

    #[test]
    fn what_is_not_json_is_told_by_its_place_and_not_quoted() {
        let refused = read("{\n  ann@example.com", CURSOR).unwrap_err();
        assert_eq!(refused.to_string(), "the body is not JSON (line 2, column 3)");
    }

    proptest::proptest! {
        #[test]
        fn any_body_is_a_page_or_an_error_without_a_panic(body in "\\PC{0,200}") {
            let _ = read(&body, CURSOR);
            let _ = read(&body, NUMBERED);
        }
    }
}
