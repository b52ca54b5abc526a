//! Who is due, who is busy, and what may begin: pure.
//!
//! An object is reserved by the run that is to read it, from the run's beginning until its own part is over. A tick
//! that finds it reserved is counted and forgotten; so no object runs twice at a time, and a long run keeps nobody
//! waiting but the objects that it still has before it. Everything else that is due begins at once, in a run beside it:
//! a load of tag subscriptions that takes hours does not make the list of tags stale. More than one run at a time does
//! not raise the rate of requests, since they share the limiter, which lets what is short go before what begins a whole list.

use std::collections::{BTreeMap, BTreeSet};

use super::pulse::{self, Pulse};
use super::schedule::{Clock, Schedule};
use crate::config::Settings;
use crate::model::{Object, Time, objects};

/// What an object is due for. The greater includes the lesser.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Due {
    /// What is new.
    Incremental,
    /// Everything, corrected and swept.
    Reconcile,
}

/// A run that may begin: its objects are reserved.
#[derive(Debug)]
pub struct Errand {
    /// What for.
    pub due: Due,
    /// In the order of running, parents of the due ones included.
    pub objects: Vec<&'static Object>,
}

/// When an object was read to its end, according to the mirror.
#[derive(Debug, Clone, Copy, Default)]
pub struct Past {
    /// Whenever everything new was in the table.
    pub completed_at: Option<Time>,
    /// When it was last compared as a whole, where that is known.
    pub reconciled_at: Option<Time>,
}

/// All objects of the settings with their schedules.
#[derive(Debug)]
pub struct Roster {
    entries: Vec<Entry>,
    /// Objects that are part of a run, and whether their part has begun.
    reserved: BTreeMap<&'static str, bool>,
}

#[derive(Debug)]
struct Entry {
    object: &'static Object,
    /// The object whose requests fill it: itself, or the one a view shows.
    source: &'static Object,
    incremental: Clock,
    reconcile: Option<Clock>,
    owed: Option<Due>,
    skipped: u64,
}

impl Roster {
    /// The objects of the settings. One that was never read to its end is due at once, one that is overdue at the
    /// first look.
    pub fn new(settings: &Settings, past: &BTreeMap<&'static str, Past>, now: Time) -> Self {
        let since = |cron, then: Option<Time>| {
            // A time to come was written when the clock was ahead.
            Clock::since(Schedule::new(cron, settings.timezone), then.unwrap_or(now).min(now))
        };
        let chosen = settings.objects.iter().filter_map(|name| objects::named(name));
        let entries = chosen.map(|object| {
            let source = object.filled_by();
            let past = past.get(source.name).copied().unwrap_or_default();
            // What was never reconciled is not put off by each restart: a machine that is off at night would never do it.
            let compared = past.reconciled_at.or(past.completed_at);
            let cron = settings.object_schedules.get(object.name).unwrap_or(&settings.schedule);
            Entry {
                object,
                source,
                incremental: since(cron.clone(), past.completed_at),
                reconcile: settings.reconcile_schedule.clone().map(|cron| since(cron, compared)),
                owed: past.completed_at.is_none().then_some(Due::Incremental),
                skipped: 0,
            }
        });
        Roster { entries: entries.collect(), reserved: BTreeMap::new() }
    }

    /// Whether an object is waiting for its very first run.
    pub fn owes(&self) -> bool {
        self.entries.iter().any(|entry| entry.owed.is_some())
    }

    /// Notes the ticks that have come.
    pub fn look(&mut self, now: Time) {
        for entry in &mut self.entries {
            if entry.incremental.tick(now) {
                if self.reserved.contains_key(entry.source.name) {
                    entry.skipped += 1;
                } else {
                    entry.owed = entry.owed.max(Some(Due::Incremental));
                }
            }
            // Once a day or a week, and too rare to be lost to a run that happens to be under way: it waits.
            if entry.reconcile.as_mut().is_some_and(|clock| clock.tick(now)) {
                entry.owed = Some(Due::Reconcile);
            }
        }
    }

    /// Reserves what is owed and free for a run. A child whose parents are being read waits for them, and so do
    /// subscribers for the cancelled ones, which are rows of the same table.
    pub fn take(&mut self) -> Option<Errand> {
        [Due::Reconcile, Due::Incremental].into_iter().find_map(|due| self.take_for(due))
    }

    fn take_for(&mut self, due: Due) -> Option<Errand> {
        let mut names = Vec::new();
        for entry in self.entries.iter_mut().filter(|entry| entry.owed == Some(due)) {
            let name = entry.object.name.to_owned();
            let needed = objects::needed_for(std::slice::from_ref(&name));
            if !needed.iter().any(|object| is_written(&self.reserved, object)) {
                entry.owed = None;
                names.push(name);
            }
        }
        let objects = objects::needed_for(&names);
        // A view has no part in a run.
        let read = objects.iter().filter(|object| object.filled_by().name == object.name);
        self.reserved.extend(read.map(|object| (object.name, false)));
        (!objects.is_empty()).then_some(Errand { due, objects })
    }

    /// The part of an object in its run begins.
    pub fn begun(&mut self, object: &str) {
        if let Some(begun) = self.reserved.get_mut(object) {
            *begun = true;
        }
    }

    /// The part of an object in its run is over, or will not come.
    pub fn done(&mut self, object: &str) {
        self.reserved.remove(object);
    }

    /// What was not read, or not to its end, is to be begun again without waiting for a tick.
    pub fn owe(&mut self, unread: &BTreeSet<&'static str>, due: Due) {
        for entry in self.entries.iter_mut().filter(|entry| unread.contains(entry.source.name)) {
            entry.owed = entry.owed.max(Some(due));
        }
    }

    /// Tells what is replicated and how often, before anything is open: one that stands by is judged by it, too.
    pub fn announce(&self, pulse: &Pulse) {
        pulse.replicates(self.entries.iter().map(|entry| {
            let interval_seconds = entry.incremental.interval().num_seconds().try_into().ok();
            (entry.object.name, pulse::Timetable { interval_seconds, ..pulse::Timetable::default() })
        }));
    }

    /// Tells how things stand.
    pub fn tell(&self, pulse: &Pulse) {
        for entry in &self.entries {
            let reconcile = entry.reconcile.as_ref().and_then(Clock::next);
            pulse.schedule(entry.object.name, |schedule| {
                schedule.running = self.reserved.get(entry.source.name).copied().unwrap_or(false);
                schedule.next = entry.incremental.next().into_iter().chain(reconcile).min();
                schedule.interval_seconds = entry.incremental.interval().num_seconds().try_into().ok();
                schedule.skipped = entry.skipped;
            });
        }
    }
}

/// Whether a run under way writes the rows of an object.
fn is_written(reserved: &BTreeMap<&'static str, bool>, object: &Object) -> bool {
    reserved.keys().filter_map(|name| objects::named(name)).any(|busy| busy.table == object.table)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Environment, Input, load};
    use proptest::prelude::*;

    fn at(time: &str) -> Time {
        format!("2026-06-01T{time}Z").parse().expect("an instant")
    }

    fn settings(more: &[(&str, &str)]) -> Settings {
        let mut variables = vec![("KIT_API_KEY", "x")];
        variables.extend(more);
        let environment: Environment = variables.into_iter().collect();
        load(Input::new(&environment, &objects::names())).expect("settings").settings
    }

    /// A mirror that was complete at a time, or never.
    fn roster(completed: Option<&str>, now: &str, more: &[(&str, &str)]) -> Roster {
        let past = Past { completed_at: completed.map(at), reconciled_at: None };
        let past = objects::ALL.iter().map(|object| (object.name, past)).collect();
        Roster::new(&settings(more), &past, at(now))
    }

    fn names(errand: Option<Errand>) -> Vec<&'static str> {
        errand.map(|errand| errand.objects.iter().map(|object| object.name).collect()).unwrap_or_default()
    }

    fn skipped(roster: &Roster, object: &str) -> u64 {
        let pulse = Pulse::default();
        roster.tell(&pulse);
        pulse.now().schedules[object].skipped
    }

    #[test]
    fn what_was_never_complete_is_due_at_once_and_all_of_it_in_one_run() {
        let mut roster = roster(None, "10:01:00", &[]);
        assert_eq!(names(roster.take()), objects::names());
        assert!(roster.take().is_none());
    }

    #[test]
    fn what_is_overdue_is_due_at_the_first_look_and_what_is_not_waits_for_its_tick() {
        let mut overdue = roster(Some("09:44:00"), "10:01:00", &[]);
        overdue.look(at("10:01:00"));
        assert_eq!(names(overdue.take()).len(), 10);
        let mut fresh = roster(Some("10:00:30"), "10:01:00", &[]);
        for (look, runs) in
            [("10:01:00", false), ("10:14:59", false), ("10:15:00", true), ("10:15:01", false)]
        {
            fresh.look(at(look));
            assert_eq!(fresh.take().is_some(), runs, "{look}");
        }
    }

    /// T-05.
    #[test]
    fn a_tick_that_finds_its_object_busy_is_counted_and_forgotten() {
        let mut roster = roster(None, "10:01:00", &[("KITMIRROR_OBJECTS", "tags,forms")]);
        assert_eq!(names(roster.take()), ["forms", "tags"]);
        roster.look(at("10:15:00"));
        roster.done("forms");
        roster.look(at("10:30:00"));
        assert_eq!(names(roster.take()), ["forms"], "whose part is over");
        roster.done("tags");
        assert!(roster.take().is_none());
        assert_eq!((skipped(&roster, "forms"), skipped(&roster, "tags")), (1, 2));
    }

    /// Both write the rows of people.
    #[test]
    fn subscribers_wait_for_cancelled_ones_that_are_being_read() {
        let chosen = [
            ("KITMIRROR_OBJECTS", "subscribers,cancelled_subscribers"),
            ("KITMIRROR_RECONCILE_SCHEDULE", "never"),
        ];
        let mut roster = roster(None, "10:01:00", &chosen);
        assert_eq!(names(roster.take()), ["subscribers", "cancelled_subscribers"]);
        roster.done("subscribers");
        roster.look(at("10:15:00"));
        assert_eq!(names(roster.take()), [""; 0]);
        roster.done("cancelled_subscribers");
        assert_eq!(names(roster.take()), ["subscribers"]);
    }

    #[test]
    fn a_child_brings_its_parent_and_waits_for_it_where_it_is_being_read() {
        let schedules = [
            ("KITMIRROR_OBJECTS", "tags,tag_subscriptions"),
            ("KITMIRROR_OBJECT_SCHEDULES", "tags=*/5 * * * *"),
            ("KITMIRROR_RECONCILE_SCHEDULE", "never"),
        ];
        let mut roster = roster(Some("10:00:30"), "10:01:00", &schedules);
        roster.look(at("10:05:00"));
        assert_eq!(names(roster.take()), ["tags"]);
        roster.look(at("10:15:00"));
        assert_eq!(names(roster.take()), [""; 0]);
        roster.done("tags");
        assert_eq!(names(roster.take()), ["tags", "tag_subscriptions"]);
    }

    #[test]
    fn a_view_is_due_by_its_own_schedule_and_read_by_the_object_it_shows() {
        let schedules = [
            ("KITMIRROR_OBJECTS", "subscriber_tags"),
            ("KITMIRROR_OBJECT_SCHEDULES", "subscriber_tags=0 * * * *"),
        ];
        let mut roster = roster(Some("10:00:30"), "10:01:00", &schedules);
        roster.look(at("11:00:00"));
        assert_eq!(names(roster.take()), ["tags", "tag_subscriptions", "subscriber_tags"]);
        roster.look(at("12:00:00"));
        assert_eq!(skipped(&roster, "subscriber_tags"), 1);
    }

    #[test]
    fn a_reconcile_takes_the_place_of_an_incremental_run_and_waits_for_one_under_way() {
        let schedules =
            [("KITMIRROR_OBJECTS", "tags,forms"), ("KITMIRROR_RECONCILE_SCHEDULE", "30 10 * * *")];
        let mut roster = roster(Some("10:00:30"), "10:01:00", &schedules);
        roster.look(at("10:15:00"));
        assert_eq!(roster.take().map(|errand| errand.due), Some(Due::Incremental));
        roster.done("forms");
        roster.look(at("10:30:00"));
        let errand = roster.take().expect("forms are free");
        assert_eq!((errand.due, names(Some(errand))), (Due::Reconcile, vec!["forms"]));
        roster.done("tags");
        let errand = roster.take().expect("and now tags");
        assert_eq!((errand.due, names(Some(errand))), (Due::Reconcile, vec!["tags"]));
    }

    #[test]
    fn a_reconcile_that_was_slept_through_is_made_up_for() {
        let schedules = [("KITMIRROR_OBJECTS", "tags"), ("KITMIRROR_RECONCILE_SCHEDULE", "30 3 * * *")];
        for (reconciled, due) in [(None, Due::Reconcile), (Some("03:31:00"), Due::Incremental)] {
            let past = Past { completed_at: Some(at("01:00:30")), reconciled_at: reconciled.map(at) };
            let past = BTreeMap::from([("tags", past)]);
            let mut roster = Roster::new(&settings(&schedules), &past, at("08:01:00"));
            roster.look(at("08:01:00"));
            assert_eq!(roster.take().map(|errand| errand.due), Some(due));
        }
    }

    #[test]
    fn what_was_not_read_to_its_end_is_owed_without_a_tick() {
        let mut roster = roster(Some("10:00:30"), "10:01:00", &[("KITMIRROR_OBJECTS", "tags,forms")]);
        roster.look(at("10:15:00"));
        let errand = roster.take().expect("both are due");
        errand.objects.iter().for_each(|object| roster.done(object.name));
        roster.owe(&BTreeSet::from(["forms"]), errand.due);
        assert_eq!(names(roster.take()), ["forms"]);
    }

    proptest! {
        /// T-05: whatever is due, and however long it takes, no object is in two runs and nothing is left out for ever.
        #[test]
        fn no_object_is_ever_in_two_runs(
            steps in prop::collection::vec((0..40u32, 0..6usize), 1..80),
        ) {
            let mut roster = roster(None, "00:00:00", &[("KITMIRROR_OBJECT_SCHEDULES", "tags=*/2 * * * *;forms=*/7 * * * *")]);
            let mut now = at("00:00:00");
            let mut under_way: Vec<Vec<&'static str>> = Vec::new();
            for (minutes, ending) in steps {
                now += chrono::TimeDelta::minutes(i64::from(minutes));
                roster.look(now);
                while let Some(errand) = roster.take() {
                    let mut run = names(Some(errand));
                    // A view has no part in it.
                    run.retain(|name| *name != "subscriber_tags");
                    for object in &run {
                        prop_assert!(!under_way.iter().flatten().any(|busy| busy == object), "{object} is busy");
                    }
                    under_way.push(run);
                }
                // The next part of a run is over, in its order.
                if let Some(run) = under_way.get_mut(ending) {
                    roster.done(run.remove(0));
                }
                under_way.retain(|run| !run.is_empty());
            }
            under_way.iter().flatten().for_each(|object| roster.done(object));
            roster.look(now + chrono::TimeDelta::hours(1));
            let due: BTreeSet<&str> = std::iter::from_fn(|| roster.take()).flat_map(|errand| names(Some(errand))).collect();
            prop_assert_eq!(due.len(), objects::ALL.len());
        }
    }
}
