//! Answers of Kit: the envelope of a page, and when to ask again. A child of `kit`.

use serde::de::IgnoredAny;
use std::time::Duration;

use super::page::{Following, MAX_CURSOR, MAX_ROWS, Page, parse};
use super::retry::{self, Attempts, Failure, Patience, Retry};
use crate::error::Kind;
use crate::fuzzing::Bytes;
use crate::model::{Paging, Time};

/// A body is the documented envelope, or an error and never an empty page; what is taken out of it is what another
/// reader of JSON finds in it.
pub fn page_envelope(data: &[u8]) {
    let body = String::from_utf8_lossy(data).into_owned();
    for paging in [
        Paging::Single,
        Paging::Numbered { totals: true },
        Paging::Numbered { totals: false },
        Paging::Cursor { per_page: 1000 },
    ] {
        if let Ok(page) = parse(body.clone(), "subscribers", paging, Time::UNIX_EPOCH) {
            is_a_page_of(&page, &body, paging);
        }
    }
}

fn is_a_page_of(page: &Page, body: &str, paging: Paging) {
    assert!(is_json(body) && body.trim_start().starts_with('{'), "{body} is taken for a page");
    assert!(page.listed <= MAX_ROWS && page.records().len() == page.listed);
    for record in page.records() {
        assert!(is_json(record), "half a record: {record}");
    }
    match (paging, &page.following) {
        (Paging::Single, Following::Whole)
        | (Paging::Numbered { totals: false }, Following::Numbered { total_pages: None })
        | (Paging::Cursor { .. }, Following::Cursor { next: None }) => {}
        (Paging::Numbered { totals: true }, Following::Numbered { total_pages: Some(pages) }) => {
            assert!(page.total.is_none_or(|total| total.div_ceil(50) <= *pages), "{page:?}");
        }
        (Paging::Cursor { .. }, Following::Cursor { next: Some(next) }) => {
            assert!(!next.is_empty() && next.len() <= MAX_CURSOR);
        }
        (paging, following) => panic!("{following:?} of a list that is paged {paging:?}"),
    }
    let records: Vec<String> = page.records().map(str::to_owned).collect();
    assert!(page.with_records(records).records().eq(page.records()));
    // The other reader refuses some of what is no more than unusual, such as 1e999 or half of a pair of surrogates.
    let Ok(other) = serde_json::from_str::<serde_json::Value>(body) else { return };
    let rows = other["subscribers"].as_array().expect("the list is an array");
    assert_eq!(rows.len(), page.listed);
    for (row, record) in rows.iter().zip(page.records()) {
        assert_eq!(serde_json::from_str::<serde_json::Value>(record).ok().as_ref(), Some(row));
    }
    if let Following::Cursor { next } = &page.following {
        assert_eq!(other["pagination"]["has_next_page"].as_bool(), Some(next.is_some()));
        if let Some(next) = next {
            assert_eq!(other["pagination"]["end_cursor"].as_str(), Some(next.as_str()));
        }
    }
}

fn is_json(text: &str) -> bool {
    serde_json::from_str::<IgnoredAny>(text).is_ok()
}

/// `Retry-After` is seconds, a date, or nothing; and whatever a source answers, each wait has its bounds and there is
/// an end to asking again.
pub fn retry_after(data: &[u8]) {
    let mut bytes = Bytes::new(data);
    let now = bytes.time();
    let answers = bytes.below(32);
    let answers = bytes.take(answers);
    let text = bytes.text();
    let asked = retry::retry_after(&text, now.into());
    if let Ok(seconds) = text.trim().parse() {
        assert_eq!(asked, Some(Duration::from_secs(seconds)));
    }
    if text.trim().is_empty() || text.trim().starts_with('-') {
        assert_eq!(asked, None, "{text:?}");
    }
    ends(answers, asked, Patience::WORKING);
    ends(answers, asked, Patience::FIRST_CONTACT);
}

/// Goes through these failures, and then through the last of them again and again.
fn ends(answers: &[u8], asked: Option<Duration>, patience: Patience) {
    let mut attempts = Attempts::default();
    let mut elapsed = Duration::ZERO;
    for at in 0..10_000 {
        let choice = answers.get(at).or(answers.last()).copied().unwrap_or_default();
        let failure = match choice % 8 {
            0..=2 => Failure::Throttled(asked),
            3 => Failure::Throttled(None),
            4 | 5 => Failure::Unavailable("503".to_owned()),
            6 => Failure::Unexpected("html".to_owned()),
            _ => Failure::Final(Kind::SourceBadRequest, "400".to_owned()),
        };
        let jitter = f64::from(choice / 8) / 31.0;
        match attempts.after(&failure, elapsed, patience, jitter) {
            Retry::GiveUp(_) => return,
            Retry::Again { wait, everybody } => {
                assert!(wait <= Duration::from_secs(15 * 60), "{wait:?} after {failure:?}");
                match &failure {
                    Failure::Throttled(asked) => {
                        let least = asked.unwrap_or_default().min(Duration::from_secs(15 * 60));
                        assert!(everybody && wait >= least.max(Duration::from_millis(500)), "{wait:?}");
                    }
                    Failure::Unavailable(_) => {
                        assert!(wait <= patience.unavailable - elapsed, "beyond patience by {wait:?}");
                    }
                    Failure::Unexpected(_) => assert!(wait >= Duration::from_millis(500)),
                    Failure::Final(..) => panic!("asked again after {failure:?}"),
                }
                elapsed += wait;
            }
        }
    }
    panic!("asked ten thousand times");
}
