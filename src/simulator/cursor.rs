//! v4's cursors: what they encode, and which ranks of a list a cursor and a page size mean.

use std::ops::Range;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, NaiveDateTime, Utc};

use super::listing::Listing;
use super::modes::TimeCursor;
use super::run::Key;

/// What a list's cursors look like inside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Style {
    /// `[4300000012]`
    Id,
    /// `4300000012`
    BareId,
    /// `["2026-09-09T03:47:42.000Z",700000001]`
    TimeAndId,
    /// `2026-09-08 22:10:00 UTC`; the next page begins after that second.
    Second,
    /// The same, but the next page begins with that second again.
    RepeatedSecond,
}

impl Style {
    pub(super) fn of_time_order(mode: TimeCursor) -> Self {
        match mode {
            TimeCursor::TieBreaker => Style::TimeAndId,
            TimeCursor::StrictSecond => Style::Second,
            TimeCursor::RepeatedSecond => Style::RepeatedSecond,
        }
    }

    /// The cursor of an entry.
    pub(super) fn encode(self, (first, second): Key) -> String {
        let time =
            |format: &str| DateTime::from_timestamp(first, 0).unwrap_or_default().format(format).to_string();
        STANDARD.encode(match self {
            Style::Id => format!("[{first}]"),
            Style::BareId => first.to_string(),
            Style::TimeAndId => format!("[\"{}\",{second}]", time("%Y-%m-%dT%H:%M:%S.000Z")),
            Style::Second | Style::RepeatedSecond => time("%Y-%m-%d %H:%M:%S UTC"),
        })
    }

    /// A falling list goes on below the first key, a rising one above the second.
    fn decode(self, cursor: &str) -> Option<(Key, Key)> {
        let text = String::from_utf8(STANDARD.decode(cursor).ok()?).ok()?;
        match self {
            Style::Id | Style::BareId => {
                let id: i64 = text.trim_start_matches('[').trim_end_matches(']').parse().ok()?;
                Some(((id, i64::MIN), (id, i64::MAX)))
            }
            Style::TimeAndId => {
                let (time, id): (String, i64) = serde_json::from_str(&text).ok()?;
                let time: DateTime<Utc> = time.parse().ok()?;
                let key = (time.timestamp(), id);
                Some((key, key))
            }
            Style::Second | Style::RepeatedSecond => {
                let time = NaiveDateTime::parse_from_str(&text, "%Y-%m-%d %H:%M:%S UTC").ok()?;
                let second = time.and_utc().timestamp();
                Some(match self {
                    Style::RepeatedSecond => ((second + 1, i64::MIN), (second - 1, i64::MAX)),
                    _ => ((second, i64::MIN), (second, i64::MAX)),
                })
            }
        }
    }
}

/// Something ordered that knows how many entries lie below a key.
pub(super) trait Ranked {
    /// How many entries there are.
    fn len(&self) -> u64;
    /// How many have a lower key.
    fn rank(&self, key: Key) -> u64;
    /// How many have at most this key.
    fn rank_after(&self, key: Key) -> u64;
}

impl Ranked for Listing<'_> {
    fn len(&self) -> u64 {
        self.len()
    }

    fn rank(&self, key: Key) -> u64 {
        self.rank(key)
    }

    fn rank_after(&self, key: Key) -> u64 {
        self.rank_after(key)
    }
}

impl<T> Ranked for [(i64, T)] {
    fn len(&self) -> u64 {
        self.len() as u64
    }

    fn rank(&self, key: Key) -> u64 {
        self.partition_point(|(id, _)| (*id, 0) < key) as u64
    }

    fn rank_after(&self, key: Key) -> u64 {
        self.partition_point(|(id, _)| (*id, 0) <= key) as u64
    }
}

/// Where a page lies in its list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Reach {
    /// Ranks in rising order of keys.
    pub(super) ranks: Range<u64>,
    pub(super) has_previous: bool,
    pub(super) has_next: bool,
}

/// A cursor nobody issued for this list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct BadCursor;

/// The page of `per_page` rows behind `after`, or in front of `before`, or at the start.
pub(super) fn reach(
    list: &(impl Ranked + ?Sized),
    style: Style,
    falling: bool,
    per_page: u64,
    after: Option<&str>,
    before: Option<&str>,
) -> Result<Reach, BadCursor> {
    let all = list.len();
    let ranks = match (after, before, falling) {
        (Some(cursor), _, true) => {
            let end = list.rank(style.decode(cursor).ok_or(BadCursor)?.0);
            end.saturating_sub(per_page)..end
        }
        (Some(cursor), _, false) => {
            let start = list.rank_after(style.decode(cursor).ok_or(BadCursor)?.1);
            start..(start + per_page).min(all)
        }
        (None, Some(cursor), true) => {
            let start = list.rank_after(style.decode(cursor).ok_or(BadCursor)?.1);
            start..(start + per_page).min(all)
        }
        (None, Some(cursor), false) => {
            let end = list.rank(style.decode(cursor).ok_or(BadCursor)?.0);
            end.saturating_sub(per_page)..end
        }
        (None, None, true) => all.saturating_sub(per_page)..all,
        (None, None, false) => 0..per_page.min(all),
    };
    let (below, above) = (ranks.start > 0, ranks.end < all);
    let (has_previous, has_next) = if falling { (above, below) } else { (below, above) };
    Ok(Reach { ranks, has_previous, has_next })
}
