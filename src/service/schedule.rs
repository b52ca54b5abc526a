//! Which instants a schedule names, and which of them have come: pure.
//!
//! A schedule is a cron entry and the zone whose clock it is meant by. Neither the scheduler, which freezes a zone's
//! offset when a job is made, nor croner, which in the hour that comes twice answers with times gone by, gets the days
//! right on which clocks are changed. So croner is asked about the clock on the wall only ([`Cron::after`]), and what
//! such a time is as an instant is found here:
//!
//! * A time that is left out when clocks are put forward is meant as if they had not been: 02:30 comes as 03:30.
//! * A time that comes twice when they are put back is meant once, the first time. An entry of every hour is a
//!   distance in time and goes through both.
//!
//! So no day lacks a tick and none has one too many. It is the rule of `java.time` and of JavaScript's `Temporal`.

use chrono::{Days, FixedOffset, NaiveDateTime, Offset as _, SubsecRound as _, TimeDelta, TimeZone as _};
use chrono_tz::Tz;

use crate::config::Cron;
use crate::model::Time;

/// How many ticks are looked at for the longest time between two of them. A minute's schedule has so many in a week.
const TICKS_LOOKED_AT: usize = 10_080;

/// A cron entry in its zone.
#[derive(Debug, Clone, PartialEq)]
pub struct Schedule {
    cron: Cron,
    zone: Tz,
}

impl Schedule {
    /// The entry, meant by the clocks of the zone.
    pub fn new(cron: Cron, zone: Tz) -> Self {
        Schedule { cron, zone }
    }

    /// The first tick after an instant; none when the calendar ends before it.
    pub fn after(&self, instant: Time) -> Option<Time> {
        // Wall times are looked at from the earliest that could stand for a later instant. Where clocks are changed
        // nearby, one that comes later may stand for an earlier instant; everywhere else the first is the answer.
        let instant = instant.trunc_subsecs(0);
        let mut wall = instant.naive_utc().checked_add_offset(self.offsets_around(instant).0)?;
        let mut found: Option<Time> = None;
        while let Some(next) = self.cron.after(wall) {
            wall = next;
            let ticks = self.instants(wall).into_iter().flatten().filter(|tick| *tick > instant);
            found = ticks.chain(found).min();
            if let Some(best) = found {
                let (lowest, highest) = self.offsets_around(best);
                if lowest == highest || best.naive_utc().checked_add_offset(highest)? <= wall {
                    break;
                }
            }
        }
        found
    }

    /// The longest time between two ticks of the week to come: what "up to date" means to this schedule, nights and
    /// weekends that it leaves out included.
    pub fn interval(&self, from: Time) -> Option<TimeDelta> {
        let week = from.checked_add_days(Days::new(8))?;
        let ticks = std::iter::successors(self.after(from), |tick| self.after(*tick));
        let mut longest = None;
        let mut last: Option<Time> = None;
        for tick in ticks.take(TICKS_LOOKED_AT) {
            if let Some(last) = last {
                longest = longest.max(Some(tick - last));
            }
            last = Some(tick);
            if tick > week && longest.is_some() {
                break;
            }
        }
        longest
    }

    /// The instants that a time on the wall stands for.
    fn instants(&self, wall: NaiveDateTime) -> [Option<Time>; 2] {
        let utc = |offset: FixedOffset| wall.checked_sub_offset(offset).map(|naive| naive.and_utc());
        let local = self.zone.offset_from_local_datetime(&wall).map(|offset| offset.fix());
        match (local.earliest(), local.latest()) {
            (Some(first), Some(second)) if first != second => {
                [utc(first), utc(second).filter(|_| self.cron.is_of_every_hour())]
            }
            (Some(only), _) => [utc(only), None],
            // Left out: by the clock as it was the day before.
            (None, _) => {
                let before = wall.checked_sub_days(Days::new(1));
                let before = before.and_then(|day| self.zone.offset_from_local_datetime(&day).latest());
                [before.and_then(|offset| utc(offset.fix())), None]
            }
        }
    }

    /// The lowest and the highest offset of the zone within a day of an instant.
    fn offsets_around(&self, instant: Time) -> (FixedOffset, FixedOffset) {
        let at = |days: i64| {
            let near = instant.checked_add_signed(TimeDelta::days(days)).unwrap_or(instant);
            self.zone.offset_from_utc_datetime(&near.naive_utc()).fix()
        };
        let mut offsets = [at(-1), at(0), at(1)];
        offsets.sort_by_key(FixedOffset::local_minus_utc);
        (offsets[0], offsets[2])
    }
}

/// How far a schedule has been followed.
#[derive(Debug, Clone)]
pub struct Clock {
    schedule: Schedule,
    /// The last instant up to which every tick was seen.
    seen: Time,
    /// The first tick after it.
    next: Option<Time>,
    interval: TimeDelta,
}

impl Clock {
    /// From an instant on: ticks up to it are past, those after it are still to come, or come late.
    pub fn since(schedule: Schedule, instant: Time) -> Self {
        let (next, interval) = (schedule.after(instant), schedule.interval(instant).unwrap_or_default());
        Clock { schedule, seen: instant, next, interval }
    }

    /// Whether a tick has come by `now`. However many there were since the last look, after a suspend or because the
    /// clock was put forward, they are one.
    ///
    /// When the machine's clock was put back by less than an interval, the ticks that come again are those seen
    /// already, and pass unnoticed. Put back further it was wrong before, and everything goes by what it says now.
    pub fn tick(&mut self, now: Time) -> bool {
        if now < self.seen {
            if self.seen - now > self.interval {
                self.see(now);
            }
            return false;
        }
        let come = self.next.is_some_and(|next| next <= now);
        if come {
            self.see(now);
        }
        come
    }

    /// The first tick that is still to come.
    pub fn next(&self) -> Option<Time> {
        self.next
    }

    /// The longest time between two ticks.
    pub fn interval(&self) -> TimeDelta {
        self.interval
    }

    fn see(&mut self, now: Time) {
        self.seen = now;
        self.next = self.schedule.after(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::{NaiveTime, Utc};
    use proptest::prelude::*;

    /// Zones whose clocks are changed by an hour in spring and autumn of either hemisphere, by half an hour, and never.
    const ZONES: [&str; 5] =
        ["Europe/Paris", "America/New_York", "Australia/Lord_Howe", "America/Sao_Paulo", "UTC"];

    /// Sunday nights on which clocks are changed in one of them.
    const CHANGES: [&str; 6] = [
        "2027-03-28T01:00:00Z",
        "2027-10-31T01:00:00Z",
        "2027-03-14T07:00:00Z",
        "2027-11-07T06:00:00Z",
        "2027-04-03T15:00:00Z",
        "2027-10-02T15:30:00Z",
    ];

    fn at(text: &str) -> Time {
        text.parse().expect("an instant")
    }

    fn schedule(entry: &str, zone: &str) -> Schedule {
        let environment = [("KIT_API_KEY", "x"), ("KITMIRROR_SCHEDULE", entry), ("KITMIRROR_TIMEZONE", zone)];
        let environment = environment.into_iter().collect();
        let loaded = crate::config::load(crate::config::Input::new(&environment, &["tags"]));
        let settings = loaded.expect("settings").settings;
        Schedule::new(settings.schedule, settings.timezone)
    }

    /// The ticks after one instant up to another, by the clock of the zone.
    fn ticks(entry: &str, zone: &str, from: &str, to: &str) -> Vec<String> {
        let schedule = schedule(entry, zone);
        let shown = |tick: Time| tick.with_timezone(&schedule.zone).format("%d %H:%M %z").to_string();
        let all = std::iter::successors(schedule.after(at(from)), |tick| schedule.after(*tick));
        all.take_while(|tick| *tick <= at(to)).map(shown).collect()
    }

    /// T-02.
    #[test]
    fn a_time_of_day_that_is_left_out_is_kept_an_hour_later() {
        let days = ("2027-03-26T12:00:00Z", "2027-03-30T12:00:00Z");
        assert_eq!(
            ticks("30 2 * * *", "Europe/Paris", days.0, days.1),
            ["27 02:30 +0100", "28 03:30 +0200", "29 02:30 +0200", "30 02:30 +0200"]
        );
        assert_eq!(
            ticks("15 2,3 * * *", "Europe/Paris", "2027-03-28T00:00:00Z", days.1)[..2],
            ["28 03:15 +0200", "29 02:15 +0200"],
            "two that become one are one"
        );
        // A scheduler that freezes the offset is an hour late from here on.
        assert_eq!(ticks("0 12 * * *", "Europe/Paris", days.0, days.1)[1], "28 12:00 +0200");
    }

    /// T-02.
    #[test]
    fn a_time_of_day_that_comes_twice_is_kept_once() {
        assert_eq!(
            ticks("30 2,4 * * *", "Europe/Paris", "2027-10-30T12:00:00Z", "2027-11-01T02:00:00Z"),
            ["31 02:30 +0200", "31 04:30 +0100", "01 02:30 +0100"]
        );
        assert_eq!(
            ticks("45 1 * * *", "Australia/Lord_Howe", "2027-04-02T20:00:00Z", "2027-04-04T20:00:00Z"),
            ["04 01:45 +1100", "05 01:45 +1030"]
        );
    }

    /// T-02.
    #[test]
    fn an_entry_of_every_hour_goes_through_both() {
        let spring = ticks("*/30 * * * *", "Europe/Paris", "2027-03-28T00:00:00Z", "2027-03-28T02:00:00Z");
        assert_eq!(spring, ["28 01:30 +0100", "28 03:00 +0200", "28 03:30 +0200", "28 04:00 +0200"]);
        let autumn = ticks("*/30 * * * *", "Europe/Paris", "2027-10-31T00:00:00Z", "2027-10-31T02:00:00Z");
        assert_eq!(autumn, ["31 02:30 +0200", "31 02:00 +0100", "31 02:30 +0100", "31 03:00 +0100"]);
    }

    /// T-03.
    #[test]
    fn calendars_have_leap_days_and_years_have_ends() {
        assert_eq!(
            ticks("0 6 29 2 *", "UTC", "2026-01-01T00:00:00Z", "2033-01-01T00:00:00Z"),
            ["29 06:00 +0000", "29 06:00 +0000"]
        );
        assert_eq!(
            schedule("0 0 1 1 *", "UTC").after(at("2037-12-31T23:59:59Z")),
            Some(at("2038-01-01T00:00:00Z"))
        );
        assert_eq!(
            schedule("0 3 * * *", "UTC").after(at("2038-01-19T03:14:07Z")),
            Some(at("2038-01-20T03:00:00Z"))
        );
    }

    #[test]
    fn the_longest_time_between_two_ticks_spans_nights_and_weekends() {
        let monday = at("2026-06-01T10:30:00Z");
        let hours = |entry: &str| schedule(entry, "UTC").interval(monday).expect("one").num_minutes();
        assert_eq!(hours("*/15 * * * *"), 15);
        assert_eq!(hours("30 3 * * 0"), 7 * 24 * 60);
        assert_eq!(hours("*/20 9-17 * * MON-FRI"), (2 * 24 + 15) * 60 + 20);
        assert_eq!(hours("0 0 1 * *"), 31 * 24 * 60);
    }

    /// T-04.
    #[test]
    fn after_twelve_hours_of_sleep_there_is_one_tick_to_catch_up_with() {
        let mut clock = Clock::since(schedule("*/15 * * * *", "UTC"), at("2026-06-01T20:01:00Z"));
        let looks =
            ["2026-06-01T20:14:59Z", "2026-06-02T08:07:00Z", "2026-06-02T08:07:01Z", "2026-06-02T08:15:00Z"];
        assert_eq!(looks.map(|look| clock.tick(at(look))), [false, true, false, true]);
    }

    /// T-01.
    #[test]
    fn a_clock_that_is_put_back_brings_no_tick_twice_and_holds_none_up_for_long() {
        let mut daily = Clock::since(schedule("30 3 * * *", "UTC"), at("2026-06-01T12:00:00Z"));
        assert!(daily.tick(at("2026-06-02T03:30:00Z")));
        assert!(!daily.tick(at("2026-06-02T02:30:00Z")), "an hour back");
        assert!(!daily.tick(at("2026-06-02T03:30:00Z")), "it was kept already");
        assert!(daily.tick(at("2026-06-03T03:30:00Z")));

        let mut often = Clock::since(schedule("*/15 * * * *", "UTC"), at("2026-06-02T03:29:00Z"));
        assert!(often.tick(at("2036-06-02T03:30:00Z")), "ten years on");
        assert!(!often.tick(at("2026-06-02T03:30:10Z")), "and back");
        assert!(often.tick(at("2026-06-02T03:45:00Z")));
        assert!(!often.tick(at("1970-01-01T00:00:00Z")));
        assert!(often.tick(at("1970-01-01T00:15:00Z")));
    }

    fn entries() -> impl Strategy<Value = String> {
        let minute =
            prop_oneof![Just("*/15".to_owned()), Just("*".to_owned()), (0..60u8).prop_map(|m| m.to_string())];
        let hour = prop_oneof![
            Just("*".to_owned()),
            Just("*/2".to_owned()),
            Just("1-3".to_owned()),
            (0..24u8).prop_map(|hour| hour.to_string())
        ];
        (minute, hour).prop_map(|(minute, hour)| format!("{minute} {hour} * * *"))
    }

    /// Instants within two days of a change of clocks, and elsewhere.
    fn instants() -> impl Strategy<Value = Time> {
        let near = (0..CHANGES.len(), -172_800..172_800i64)
            .prop_map(|(change, seconds)| at(CHANGES[change]) + TimeDelta::seconds(seconds));
        let anywhere = (1_700_000_000..1_900_000_000i64)
            .prop_map(|seconds| Utc.timestamp_opt(seconds, 0).single().expect("an instant"));
        prop_oneof![4 => near, 1 => anywhere]
    }

    proptest! {
        /// T-02: the ticks are a set of instants, whatever instant they are looked at from.
        #[test]
        fn the_next_tick_is_the_same_from_wherever_it_is_asked_for(
            entry in entries(), zone in 0..ZONES.len(), from in instants(), later in 0..172_800i64,
        ) {
            let schedule = schedule(&entry, ZONES[zone]);
            let next = schedule.after(from).expect("a tick");
            prop_assert!(next > from);
            let between = from + TimeDelta::seconds(later);
            let then = schedule.after(between).expect("a tick");
            if between < next {
                prop_assert_eq!(then, next);
            } else {
                prop_assert!(then > next);
            }
        }

        /// T-02: no day lacks its tick, and none has two.
        #[test]
        fn a_time_of_day_comes_once_on_every_day(
            hour in 0..24u32, minute in 0..60u32, zone in 0..ZONES.len(), from in instants(),
        ) {
            let schedule = schedule(&format!("{minute} {hour} * * *"), ZONES[zone]);
            let zone = schedule.zone;
            let mut day = from.with_timezone(&zone).date_naive();
            let mut tick = schedule.after(from).expect("a tick");
            if tick.with_timezone(&zone).date_naive() != day {
                day = day.succ_opt().expect("a day");
            }
            for _ in 0..6 {
                let shown = tick.with_timezone(&zone).naive_local();
                prop_assert_eq!(shown.date(), day);
                let meant = NaiveTime::from_hms_opt(hour, minute, 0).expect("a time");
                let late = shown.time() - meant;
                prop_assert!(late == TimeDelta::zero() || zone.offset_from_local_datetime(&day.and_time(meant)).earliest().is_none());
                prop_assert!(late <= TimeDelta::hours(1));
                day = day.succ_opt().expect("a day");
                tick = schedule.after(tick).expect("a tick");
            }
        }

        /// T-02: quarters of an hour go on through every change of clocks.
        #[test]
        fn a_distance_in_time_is_kept_through_changes(zone in 0..ZONES.len(), from in instants()) {
            let schedule = schedule("*/15 * * * *", ZONES[zone]);
            let tick = schedule.after(from).expect("a tick");
            prop_assert!(tick - from <= TimeDelta::minutes(15));
            prop_assert_eq!(schedule.after(tick).expect("a tick") - tick, TimeDelta::minutes(15));
        }

        /// T-01, T-04: whatever the clock of the machine does, no tick is taken twice between two settings of it, and
        /// once it goes steadily again, three intervals do not pass without one.
        #[test]
        fn jumps_of_the_clock_neither_double_nor_stop_a_schedule(
            entry in entries(), zone in 0..ZONES.len(), from in instants(),
            steps in prop::collection::vec(prop_oneof![6 => 1..1_200i64, 1 => 1_200..400_000_000i64, 1 => -400_000_000..0i64, 2 => -7_200..0i64], 1..60),
        ) {
            let mut clock = Clock::since(schedule(&entry, ZONES[zone]), from);
            let mut now = from;
            let mut taken = from;
            for step in steps {
                now += TimeDelta::seconds(step);
                if now + clock.interval() < taken {
                    taken = now;
                }
                if clock.tick(now) {
                    let schedule = schedule(&entry, ZONES[zone]);
                    let first = schedule.after(taken).expect("a tick");
                    prop_assert!(first <= now, "nothing new has come by {now} since {taken}");
                    taken = now;
                }
            }
            let end = now + clock.interval() * 3;
            let mut ticked = false;
            while now < end && !ticked {
                now += TimeDelta::seconds(600);
                ticked = clock.tick(now);
            }
            prop_assert!(ticked);
        }
    }
}
