//! What a date filter means, told from how many rows it lets through. Pure.

use chrono::{NaiveDate, TimeDelta};
use std::collections::BTreeMap;
use std::fmt;

use crate::model::{Time, time};

/// Lists lag behind by minutes: younger rows may be missing from one answer and be in the next.
const SETTLED_AFTER: TimeDelta = TimeDelta::minutes(15);
/// Zones on Earth, in half hours east of UTC.
const ZONES: std::ops::RangeInclusive<i32> = -24..=28;
/// Not to know what happens to the day itself counts for more than not to know its zone.
const MIXED: usize = 4;

/// The times of a list's rows, newest first, with none missing down to `floor`.
#[derive(Debug)]
pub struct Sample {
    times: Vec<Time>,
    /// Whatever is later is in `times`; nothing where all of the list is.
    floor: Option<Time>,
}

impl Sample {
    /// From the first page of a list; `None` when that is neither all of it nor newest first.
    pub fn new(mut times: Vec<Time>, is_whole: bool) -> Option<Self> {
        if is_whole {
            times.sort_unstable_by(|a, b| b.cmp(a));
            return Some(Sample { times, floor: None });
        }
        let floor = *times.last()?;
        times.is_sorted_by(|a, b| a >= b).then_some(Sample { times, floor: Some(floor) })
    }

    /// A row to ask around: alone within three seconds, and old enough.
    pub fn lone(&self, now: Time) -> Option<Time> {
        let near = |a: Time, b: Time| (a - b).abs() <= TimeDelta::seconds(3);
        let is_alone = |time: Time| self.times.iter().filter(|other| near(**other, time)).count() == 1;
        let known =
            self.times.iter().copied().filter(|time| self.floor.is_none_or(|floor| !near(*time, floor)));
        known.filter(|time| now - *time > SETTLED_AFTER).find(|time| is_alone(*time))
    }

    /// The day whose count tells most, if any day's tells anything.
    pub fn telling_day(&self, now: Time) -> Option<NaiveDate> {
        let days = self.times.iter().filter(|time| now - **time > SETTLED_AFTER);
        let days = days.map(|time| time.date_naive()).flat_map(|day| [Some(day), day.succ_opt()]);
        let mut days: Vec<NaiveDate> = days.flatten().collect();
        days.sort_unstable();
        days.dedup();
        let judged = days.into_iter().filter_map(|day| Some((self.doubt(day)?, day)));
        let (least, day) = judged.min()?;
        (least < Reading::all().count().pow(2) * MIXED).then_some(day)
    }

    /// How much the count of a day is likely to leave open: readings that give the same count cannot be
    /// told apart, worst where they differ in what happens to the day itself. `None` where a reading
    /// reaches back to rows that are not in the sample.
    fn doubt(&self, day: NaiveDate) -> Option<usize> {
        let mut alike: BTreeMap<u64, Vec<bool>> = BTreeMap::new();
        for reading in Reading::all() {
            alike.entry(self.count(reading, day)?).or_default().push(reading.inclusive);
        }
        let doubt = |readings: &Vec<bool>| {
            let is_mixed = readings.contains(&true) && readings.contains(&false);
            readings.len().pow(2) * if is_mixed { MIXED } else { 1 }
        };
        Some(alike.values().map(doubt).sum())
    }

    /// The readings under which a filter from `day` lets just `count` rows through.
    pub fn readings(&self, day: NaiveDate, count: u64) -> Readings {
        Readings(Reading::all().filter(|reading| self.count(*reading, day) == Some(count)).collect())
    }

    fn count(&self, reading: Reading, day: NaiveDate) -> Option<u64> {
        let begin = reading.begin(day);
        let is_covered = self.floor.is_none_or(|floor| floor < begin);
        is_covered.then(|| self.times.partition_point(|time| *time >= begin) as u64)
    }
}

/// One way to understand a day in a filter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Reading {
    /// On that day or later; else on the following one or later.
    inclusive: bool,
    /// Where the day begins, in half hours east of UTC.
    zone: i32,
}

impl Reading {
    fn all() -> impl Iterator<Item = Reading> {
        [true, false].into_iter().flat_map(|inclusive| ZONES.map(move |zone| Reading { inclusive, zone }))
    }

    fn begin(self, day: NaiveDate) -> Time {
        let begin = time::start_of(day) - TimeDelta::minutes(30 * i64::from(self.zone));
        if self.inclusive { begin } else { begin + TimeDelta::days(1) }
    }
}

/// What a count leaves possible.
#[derive(Debug, PartialEq, Eq)]
pub struct Readings(Vec<Reading>);

impl Readings {
    /// Whether it is settled if the day itself is let through.
    pub fn is_settled(&self) -> bool {
        self.0.first().is_some_and(|first| self.0.iter().all(|reading| reading.inclusive == first.inclusive))
    }
}

impl fmt::Display for Readings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(first) = self.0.first() else { return f.write_str("a bare day fits no reading we know") };
        if !self.is_settled() {
            return f.write_str("whether a bare day is let through itself is undecided");
        }
        write!(f, "a bare day is {} itself", if first.inclusive { "let through" } else { "left out" })?;
        let zones = || self.0.iter().map(|reading| reading.zone);
        match (zones().min(), zones().max()) {
            (Some(west), Some(east)) if west == *ZONES.start() && east == *ZONES.end() => {
                f.write_str(", in which zone it begins is undecided")
            }
            (Some(west), Some(east)) if west == east => write!(f, " and begins by {}", Zone(west)),
            (Some(west), Some(east)) => {
                write!(f, " and begins by a zone from {} to {}", Zone(west), Zone(east))
            }
            _ => Ok(()),
        }
    }
}

struct Zone(i32);

impl fmt::Display for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (sign, half_hours) = if self.0 < 0 { ('-', -self.0) } else { ('+', self.0) };
        write!(f, "UTC{sign}{:02}:{:02}", half_hours / 2, half_hours % 2 * 30)
    }
}

/// What a filter does with a time of day, from how many rows it lets through when asked from a second
/// before a lone row, from its second, and from a second after.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OfDay {
    /// The time of day counts, and the very second is let through.
    Inclusive,
    /// The time of day counts, and the very second is left out.
    Exclusive,
    /// Only the day counts.
    Ignored,
    /// The numbers fit none of these: rows came or went meanwhile.
    Unclear,
}

impl OfDay {
    /// Reads the three counts.
    pub fn of(before: u64, at: u64, after: u64) -> Self {
        match (before.checked_sub(at), at.checked_sub(after)) {
            (Some(0), Some(0)) => OfDay::Ignored,
            (Some(0), Some(1)) => OfDay::Inclusive,
            (Some(1), Some(0)) => OfDay::Exclusive,
            _ => OfDay::Unclear,
        }
    }

    /// In words.
    pub fn words(self) -> &'static str {
        match self {
            OfDay::Inclusive => "the time of day counts, that very second included",
            OfDay::Exclusive => "the time of day counts, that very second left out",
            OfDay::Ignored => "a time of day is ignored",
            OfDay::Unclear => "whether a time of day counts is undecided, rows came or went meanwhile",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Time {
        time::parse(text).unwrap()
    }

    fn sample(times: &[&str], is_whole: bool) -> Option<Sample> {
        Sample::new(times.iter().map(|text| at(text)).collect(), is_whole)
    }

    #[test]
    fn three_counts_tell_what_a_time_of_day_does() {
        assert_eq!(OfDay::of(5, 5, 4), OfDay::Inclusive);
        assert_eq!(OfDay::of(5, 4, 4), OfDay::Exclusive);
        assert_eq!(OfDay::of(9, 9, 9), OfDay::Ignored);
        assert_eq!(OfDay::of(5, 6, 5), OfDay::Unclear);
    }

    #[test]
    fn a_row_to_ask_around_is_alone_old_enough_and_not_where_the_page_ends() {
        let times = [
            "2024-05-03T11:59:00Z",
            "2024-05-03T09:00:01Z",
            "2024-05-03T09:00:00Z",
            "2024-05-02T08:00:00Z",
            "2024-05-01T08:00:00Z",
        ];
        let now = at("2024-05-03T12:00:00Z");
        assert_eq!(sample(&times, false).unwrap().lone(now), Some(at("2024-05-02T08:00:00Z")));
        assert_eq!(sample(&times[..4], false).unwrap().lone(now), None);
        assert!(sample(&[times[3], times[0]], false).is_none(), "out of order, and not all of the list");
    }

    #[test]
    fn rows_near_midnight_tell_the_zone_and_rows_at_noon_do_not() {
        let now = at("2024-06-01T00:00:00Z");
        let noon = sample(&["2024-05-05T12:00:00Z", "2024-05-03T12:00:00Z"], true).unwrap();
        let day = noon.telling_day(now).unwrap();
        let counted = noon.count(Reading { inclusive: true, zone: 0 }, day).unwrap();
        assert!(!noon.readings(day, counted).to_string().contains("begins by UTC"));

        let near = sample(
            &["2024-05-05T12:00:00Z", "2024-05-04T00:10:00Z", "2024-05-03T23:40:00Z", "2024-05-01T00:00:00Z"],
            true,
        )
        .unwrap();
        let readings = near.readings(at("2024-05-04T00:00:00Z").date_naive(), 2);
        assert!(
            readings.is_settled()
                && readings.to_string().contains("let through itself and begins by UTC+00:00"),
            "{readings}"
        );
        assert_eq!(
            near.readings(at("2024-05-04T00:00:00Z").date_naive(), 9).to_string(),
            "a bare day fits no reading we know"
        );
    }

    #[test]
    fn a_page_that_ends_within_the_day_decides_nothing_about_it() {
        let times = ["2024-05-03T20:00:00Z", "2024-05-03T14:00:00Z", "2024-05-03T11:00:00Z"];
        assert_eq!(sample(&times, false).unwrap().telling_day(at("2024-06-01T00:00:00Z")), None);
    }
}
