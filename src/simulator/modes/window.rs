//! What a date filter lets pass, under every reading of Kit's documents.

use chrono::{DateTime, NaiveDate, NaiveTime, TimeDelta, Utc};

use super::{Edge, Granularity, Modes};

impl Modes {
    /// The seconds a date filter lets pass, both ends included; `from` and `to` as the client wrote them.
    pub(in crate::simulator) fn window(
        &self,
        from: Option<&str>,
        to: Option<&str>,
    ) -> Result<Window, BadDate> {
        let mut window = Window::ALL;
        if let Some(text) = from {
            let (first, last) = self.moment(text)?;
            window.from = if self.filter_edge == Edge::Inclusive { first } else { last + 1 };
        }
        if let Some(text) = to {
            let (first, last) = self.moment(text)?;
            window.to = if self.filter_edge == Edge::Inclusive { last } else { first - 1 };
        }
        Ok(window)
    }

    /// The first and last second of the day, or the second, that the text means.
    fn moment(&self, text: &str) -> Result<(i64, i64), BadDate> {
        let zone = TimeDelta::hours(self.filter_zone_hours.into()).num_seconds();
        let day_of = |date: NaiveDate| {
            let first = date.and_time(NaiveTime::MIN).and_utc().timestamp() - zone;
            (first, first + 86_399)
        };
        if let Ok(date) = text.parse::<NaiveDate>() {
            return Ok(day_of(date));
        }
        let time: DateTime<Utc> = text.parse().map_err(|_| BadDate)?;
        Ok(match self.filter_granularity {
            Granularity::Second => (time.timestamp(), time.timestamp()),
            Granularity::Day => day_of((time + TimeDelta::seconds(zone)).date_naive()),
        })
    }
}

/// A date nobody can read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::simulator) struct BadDate;

/// Seconds from one to another, both included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::simulator) struct Window {
    pub(in crate::simulator) from: i64,
    pub(in crate::simulator) to: i64,
}

impl Window {
    pub(in crate::simulator) const ALL: Window = Window { from: i64::MIN, to: i64::MAX };

    pub(in crate::simulator) fn contains(self, time: i64) -> bool {
        self.from <= time && time <= self.to
    }

    pub(in crate::simulator) fn is_all(self) -> bool {
        self == Window::ALL
    }
}
