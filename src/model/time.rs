//! Instants. Kit's times are UTC with zero to nine digits of a second, and its own documents hold
//! misprints; what cannot be read is told apart from what can, and nothing is shifted.

use chrono::{
    DateTime, Datelike, Days, FixedOffset, NaiveDate, NaiveTime, SecondsFormat, TimeDelta, TimeZone, Utc,
};

/// An instant in UTC. Stored with microseconds.
pub type Time = DateTime<Utc>;

/// Our own clock: for bookkeeping, never for watermarks.
pub fn now() -> Time {
    Time::from(crate::chaos::now().unwrap_or_else(std::time::SystemTime::now))
}

/// Years that every engine can store as a date (MySQL begins at 1000).
const YEARS: std::ops::RangeInclusive<i32> = 1000..=9999;

/// Reads `2023-07-17T16:48:20Z` and its relatives: a blank for the `T`, zero to nine digits of a
/// second, `Z`, ` UTC`, an offset, or no zone at all, which means UTC. A leap second becomes the
/// last microsecond of its minute. `None` for anything else, and for years no engine stores.
pub fn parse(text: &str) -> Option<Time> {
    let text = text.trim();
    let (date, rest) = text.split_at_checked(10)?;
    if (date.as_bytes()[4], date.as_bytes()[7]) != (b'-', b'-') {
        return None;
    }
    let year = i32::try_from(two(date, 0)? * 100 + two(date, 2)?).ok()?;
    let date = NaiveDate::from_ymd_opt(year, two(date, 5)?, two(date, 8)?)?;
    let rest = rest.strip_prefix(['T', 't', ' '])?;
    let clock = rest.get(..8)?;
    let (hour, minute, second) = (two(clock, 0)?, two(clock, 3)?, two(clock, 6)?);
    if &clock[2..3] != ":" || &clock[5..6] != ":" {
        return None;
    }
    let mut rest = rest.get(8..)?;
    let mut micros = 0;
    if let Some(after) = rest.strip_prefix('.') {
        let digits = after.len() - after.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        if !(1..=9).contains(&digits) {
            return None;
        }
        let padded = format!("{:0<6}", &after[..digits]);
        micros = padded.get(..6)?.parse().ok()?;
        rest = &after[digits..];
    }
    let (second, micros) = if second == 60 { (59, 999_999) } else { (second, micros) };
    let naive = date.and_time(NaiveTime::from_hms_micro_opt(hour, minute, second, micros)?);
    let time = offset(rest)?.from_local_datetime(&naive).single()?.with_timezone(&Utc);
    YEARS.contains(&time.year()).then_some(time)
}

fn two(text: &str, at: usize) -> Option<u32> {
    let digits = text.get(at..at + 2)?;
    digits.bytes().all(|b| b.is_ascii_digit()).then(|| digits.parse().ok())?
}

/// The zone behind a time; none means UTC, as v3's documents use it.
fn offset(zone: &str) -> Option<FixedOffset> {
    match zone.trim() {
        "" | "Z" | "z" | "UTC" => FixedOffset::east_opt(0),
        signed => {
            let sign = match signed.get(..1)? {
                "+" => 1,
                "-" => -1,
                _ => return None,
            };
            let digits = signed[1..].replace(':', "");
            if digits.len() != 4 {
                return None;
            }
            let (hours, minutes) = (two(&digits, 0)?, two(&digits, 2)?);
            (minutes < 60).then(|| FixedOffset::east_opt(sign * (hours * 3600 + minutes * 60) as i32))?
        }
    }
}

/// Fixed-width UTC text with microseconds: text order is time order.
pub fn text(time: Time) -> String {
    time.to_rfc3339_opts(SecondsFormat::Micros, true)
}

/// The day an incremental pass asks from: the watermark less the overlap, floored to the UTC day,
/// less one more day. The spare day makes it right whether the filter is inclusive or exclusive, knows
/// times or only days, and in whatever zone its day begins (UTC−12 to UTC+14).
pub fn day_before(watermark: Time, overlap: TimeDelta) -> NaiveDate {
    let from = watermark.checked_sub_signed(overlap).unwrap_or(watermark).date_naive();
    from.checked_sub_days(Days::new(1)).unwrap_or(from)
}

/// A setting as what can be taken from a time. Longer than a hundred years is a hundred years.
pub fn delta(setting: std::time::Duration) -> TimeDelta {
    TimeDelta::from_std(setting).unwrap_or(TimeDelta::MAX).min(TimeDelta::days(36_525))
}

/// The first instant of a UTC day.
pub fn start_of(day: NaiveDate) -> Time {
    day.and_time(NaiveTime::MIN).and_utc()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(input: &str) -> Option<String> {
        parse(input).map(text)
    }

    /// P-04, T-03.
    #[test]
    fn times_are_read_as_kit_writes_them_and_never_shifted() {
        let cases = [
            ("2023-07-17T16:48:20Z", "2023-07-17T16:48:20.000000Z"),
            ("2014-02-13T21:45:16.000Z", "2014-02-13T21:45:16.000000Z"),
            ("2018-02-15T19:40:24.913Z", "2018-02-15T19:40:24.913000Z"),
            ("2018-02-15T19:40:24.9131234Z", "2018-02-15T19:40:24.913123Z"),
            ("2018-02-15T19:40:24.999999999Z", "2018-02-15T19:40:24.999999Z"),
            ("2018-03-17 11:28:04", "2018-03-17T11:28:04.000000Z"),
            ("2023-01-27 11:43:55 UTC", "2023-01-27T11:43:55.000000Z"),
            ("2023-02-10T00:00:00-05:00", "2023-02-10T05:00:00.000000Z"),
            ("2023-02-10T00:00:00+0530", "2023-02-09T18:30:00.000000Z"),
            ("1969-12-31T23:59:59Z", "1969-12-31T23:59:59.000000Z"),
            ("2038-01-19T03:14:08Z", "2038-01-19T03:14:08.000000Z"),
            ("2024-02-29T00:00:00Z", "2024-02-29T00:00:00.000000Z"),
            ("2016-12-31T23:59:60Z", "2016-12-31T23:59:59.999999Z"),
            ("2023-03-26T01:30:00Z", "2023-03-26T01:30:00.000000Z"),
        ];
        for (input, expected) in cases {
            assert_eq!(shown(input).as_deref(), Some(expected), "{input}");
        }
    }

    /// P-04.
    #[test]
    fn what_is_not_a_time_is_refused() {
        let long = "2".repeat(40);
        for input in [
            "",
            "0000-00-00",
            "0000-00-00T00:00:00Z",
            "2017-04-12T11:11:566Z",
            "10000-01-01T00:00:00Z",
            "-001-01-01T00:00:00Z",
            "2023-02-30T00:00:00Z",
            "2014-02-29T00:00:00Z",
            "2023-01-01T24:00:00Z",
            "2023-01-01T00:60:00Z",
            "2023-01-01",
            "0999-01-01T00:00:00Z",
            "2023-01-01T00:00:00.Z",
            "2023-01-01T00:00:00+25:00",
            "2023-01-01T00:00:00+05:60",
            "2023-01-01T00:00:00 CET",
            "yesterday",
            "２０２３-01-01T00:00:00Z",
            "2023-01-01T+1:00:00Z",
            "+2023-1-01T00:00:00Z",
            "2023- 1- 1T00:00:00Z",
            &long,
        ] {
            assert_eq!(parse(input), None, "{input}");
        }
    }

    /// M05.
    #[test]
    fn an_incremental_pass_asks_from_a_whole_day_before_the_overlap() {
        let watermark = parse("2024-05-03T09:00:00Z").unwrap();
        let day = day_before(watermark, TimeDelta::hours(24));
        assert_eq!(day.to_string(), "2024-05-01");
        assert!(start_of(day) <= watermark - TimeDelta::hours(24 + 24));
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_read_or_refused_without_a_panic(input in "\\PC{0,40}") {
            let _ = parse(&input);
        }

        #[test]
        fn stored_text_reads_back_as_the_same_instant(micros in -30_000_000_000_000_000_i64..250_000_000_000_000_000) {
            let time = DateTime::from_timestamp_micros(micros).unwrap();
            proptest::prop_assert_eq!(parse(&text(time)), Some(time));
        }
    }
}
