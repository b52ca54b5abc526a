//! A cron entry: which seconds of which days it names, by a clock on the wall. Where that clock hangs is another
//! setting, and what becomes of an entry when the clock is put forward or back is decided in `service::schedule`.

use std::fmt;

use chrono::NaiveDateTime;
use croner::parser::{CronParser, Seconds, Year};

use super::problem::Invalid;

/// A checked cron entry of five fields, or of six with the seconds first. As with classic cron, a day matches when
/// either the day of the month or the day of the week does, if both are given.
#[derive(Clone, Debug, PartialEq)]
pub struct Cron {
    text: String,
    entry: croner::Cron,
}

/// What the fields are called, last ones first: an entry may lack the first.
const FIELDS: [&str; 6] = ["day of the week", "month", "day of the month", "hour", "minute", "second"];

impl Cron {
    /// Reads an entry, and finds the field that is wrong.
    pub(super) fn parse(text: &str) -> Result<Self, Invalid> {
        let allowed = "five or six cron fields, such as `*/15 * * * *` (every 15 minutes)";
        let fields: Vec<&str> = text.split_whitespace().collect();
        if !(5..=6).contains(&fields.len()) {
            let wrong = match fields.len() {
                0 | 1 => "is not a cron entry".to_owned(),
                count => format!("has {count} fields"),
            };
            return Err(Invalid::value(text, &wrong, allowed));
        }
        for (at, field) in fields.iter().enumerate() {
            let mut alone = vec!["*"; fields.len()];
            alone[at] = field;
            if !field.chars().all(fits) || read(&alone.join(" ")).is_none() {
                let wrong = format!("is no cron field for the {}", FIELDS[fields.len() - 1 - at]);
                return Err(Invalid::value(field, &wrong, allowed));
            }
        }
        let text = fields.join(" ");
        let cron = read(&text).map(|entry| Cron { text: text.clone(), entry });
        // A leap year is among the eight that follow any day.
        let some_day = chrono::DateTime::UNIX_EPOCH.naive_utc();
        match cron.filter(|cron| cron.after(some_day).is_some()) {
            Some(cron) => Ok(cron),
            None => Err(Invalid::value(&text, "names a day that no year has", allowed)),
        }
    }

    /// The first time after `wall` that the entry names, by the same clock.
    pub fn after(&self, wall: NaiveDateTime) -> Option<NaiveDateTime> {
        // As if the clock hung in Greenwich: croner's own idea of other zones gives, in the hour that comes twice,
        // times that lie before the one it was asked for.
        self.entry.find_next_occurrence(&wall.and_utc(), false).ok().map(|time| time.naive_utc())
    }

    /// Whether it names every hour, so that it is a distance in time rather than a time of day.
    pub fn is_of_every_hour(&self) -> bool {
        (0..24).all(|hour| self.entry.pattern.hour_match(hour).unwrap_or(false))
    }

    /// The entry as it was written, with one blank between fields.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl fmt::Display for Cron {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// The characters of the fields that the documentation names; croner has more of its own.
fn fits(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '*' | '/' | ',' | '-' | '?' | '#')
}

fn read(text: &str) -> Option<croner::Cron> {
    let parser = CronParser::builder().seconds(Seconds::Optional).year(Year::Disallowed).build();
    parser.parse(text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(entry: &str, wall: &str) -> String {
        let cron = Cron::parse(entry).expect("an entry");
        cron.after(wall.parse().expect("a time")).expect("a next one").to_string()
    }

    #[test]
    fn five_fields_begin_with_the_minute_and_six_with_the_second() {
        assert_eq!(after("30 3 * * *", "2026-02-01T03:30:00"), "2026-02-02 03:30:00");
        assert_eq!(after("10 30 3 * * *", "2026-02-01T03:30:00"), "2026-02-01 03:30:10");
        assert_eq!(after("* * * * *", "2026-02-01T03:30:59"), "2026-02-01 03:31:00");
    }

    #[test]
    fn days_of_the_month_and_of_the_week_are_alternatives() {
        // 1 February 2026 is a Sunday.
        assert_eq!(after("0 6 15 * MON", "2026-02-01T12:00:00"), "2026-02-02 06:00:00");
        assert_eq!(after("0 6 15 * MON", "2026-02-09T12:00:00"), "2026-02-15 06:00:00");
        assert_eq!(after("0 6 * * 7", "2026-02-02T12:00:00"), "2026-02-08 06:00:00");
        assert_eq!(after("0 6 29 2 *", "2026-02-02T12:00:00"), "2028-02-29 06:00:00");
    }

    #[test]
    fn an_entry_of_every_hour_is_told_from_one_of_some() {
        for entry in ["*/15 * * * *", "5 * * * *", "5 */1 * * MON", "0 5 0-23 * * *"] {
            assert!(Cron::parse(entry).expect("an entry").is_of_every_hour(), "{entry}");
        }
        for entry in ["0 */2 * * *", "30 3 * * *", "0 9-17 * * *", "0 1-23 * * *"] {
            assert!(!Cron::parse(entry).expect("an entry").is_of_every_hour(), "{entry}");
        }
    }
}
