//! What a run that is over leaves to be done: pure.

use std::collections::BTreeSet;
use std::time::Duration;

use super::remedy::{BackOff, Remedy};
use super::roster::Errand;
use crate::error::Error;
use crate::replication::Report;
use crate::store::Outcome;

/// The longest wait between two runs that fail because Kit is out of reach; each is patient by itself, too.
const LONGEST_OUTAGE_WAIT: Duration = Duration::from_secs(5 * 60);

/// What follows from a run.
#[derive(Debug)]
pub(super) enum Next {
    /// What the schedules say.
    Schedules {
        /// Whether this run was complete, and the last run of every other object as well.
        all_complete: bool,
    },
    /// Kit is out of reach: these objects once more, after a while.
    Again {
        /// Objects that were not read to their end.
        unread: BTreeSet<&'static str>,
        /// How long the while is.
        after: Duration,
        /// What came of it this time.
        error: Error,
    },
    /// Nothing, before this is made good.
    Over(Error),
}

/// How the last runs of all objects ended.
#[derive(Debug)]
pub(super) struct Results {
    unfinished: BTreeSet<&'static str>,
    outage: BackOff,
}

impl Results {
    /// Where the last run of these objects was not complete, or there was none.
    pub fn with(unfinished: BTreeSet<&'static str>) -> Self {
        Results { unfinished, outage: BackOff::default() }
    }

    /// Takes note of a run.
    pub fn take(&mut self, errand: &Errand, report: Report) -> Next {
        let ended = |name: &str, fits: fn(Outcome) -> bool| {
            report.objects.iter().any(|one| one.object == name && fits(one.outcome))
        };
        let read = errand.objects.iter().filter(|object| object.filled_by().name == object.name);
        let read: BTreeSet<&'static str> = read.map(|object| object.name).collect();
        for name in &read {
            if ended(name, |outcome| outcome == Outcome::Complete) {
                self.unfinished.remove(name);
            } else {
                self.unfinished.insert(name);
            }
        }
        let unread = read.into_iter().filter(|name| !ended(name, Outcome::is_whole)).collect();
        let complete = report.is_complete();
        match report.ended_by {
            None => {
                self.outage = BackOff::default();
                Next::Schedules { all_complete: complete && self.unfinished.is_empty() }
            }
            Some(error) => match Remedy::of(error.kind(), true) {
                Remedy::AskKit => Next::Again { unread, after: self.outage.next(LONGEST_OUTAGE_WAIT), error },
                Remedy::AskDatabase(_) | Remedy::StandBy | Remedy::Pause | Remedy::End => Next::Over(error),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Kind;
    use crate::model::objects;
    use crate::replication::{Mode, ObjectReport};
    use crate::service::roster::Due;
    use crate::store::Counts;

    fn errand(names: &[&str]) -> Errand {
        let names: Vec<String> = names.iter().map(ToString::to_string).collect();
        Errand { due: Due::Incremental, objects: objects::needed_for(&names) }
    }

    fn report(outcomes: &[(&'static str, Outcome)], ended_by: Option<Kind>) -> Report {
        let one = |(object, outcome): &(&'static str, Outcome)| ObjectReport {
            object,
            mode: Mode::Incremental,
            outcome: *outcome,
            counts: Counts::default(),
            duration_ms: 1,
            error: None,
            advice: None,
            exit_code: 0,
        };
        let ended_by = ended_by.map(|kind| Error::new(kind, "it ended"));
        Report { objects: outcomes.iter().map(one).collect(), ended_by, stopped: false }
    }

    fn all_complete(next: &Next) -> bool {
        matches!(next, Next::Schedules { all_complete: true })
    }

    #[test]
    fn all_is_complete_when_the_last_run_of_every_object_was() {
        let mut results = Results::with(BTreeSet::from(["forms"]));
        let (tags, forms) = (errand(&["tags"]), errand(&["forms"]));
        assert!(!all_complete(&results.take(&tags, report(&[("tags", Outcome::Complete)], None))));
        assert!(all_complete(&results.take(&forms, report(&[("forms", Outcome::Complete)], None))));
        assert!(all_complete(&results.take(&tags, report(&[("tags", Outcome::Complete)], None))));
        assert!(!all_complete(&results.take(&forms, report(&[("forms", Outcome::Unavailable)], None))));
        assert!(!all_complete(&results.take(&tags, report(&[("tags", Outcome::Complete)], None))));
        assert!(!all_complete(&results.take(&forms, report(&[("forms", Outcome::Incomplete)], None))));
        assert!(all_complete(&results.take(&forms, report(&[("forms", Outcome::Complete)], None))));
    }

    /// H-03, H-04.
    #[test]
    fn after_an_outage_what_was_not_read_is_read_again_after_longer_and_longer_waits() {
        let mut results = Results::with(BTreeSet::new());
        let all = errand(&["tags", "forms", "subscriber_tags"]);
        let outcomes = [("forms", Outcome::Incomplete), ("tags", Outcome::Failed)];
        let mut waits = Vec::new();
        for _ in 0..12 {
            match results.take(&all, report(&outcomes, Some(Kind::SourceUnavailable))) {
                Next::Again { unread, after, .. } => {
                    assert_eq!(unread, BTreeSet::from(["tags", "tag_subscriptions"]));
                    waits.push(after);
                }
                next => panic!("{next:?}"),
            }
        }
        assert!(waits[0] <= Duration::from_secs(1) && waits[11] >= LONGEST_OUTAGE_WAIT / 2, "{waits:?}");
        results.take(&all, report(&[], None));
        match results.take(&all, report(&[], Some(Kind::SourceThrottled))) {
            Next::Again { after, .. } => assert!(after <= Duration::from_secs(1)),
            next => panic!("{next:?}"),
        }
    }

    #[test]
    fn what_waiting_for_kit_does_not_help_against_ends_the_term() {
        for kind in
            [Kind::SourceRejectedKey, Kind::LeaseLost, Kind::DatabaseUnavailable, Kind::SchemaMismatch]
        {
            let next = Results::with(BTreeSet::new()).take(&errand(&["tags"]), report(&[], Some(kind)));
            assert!(matches!(&next, Next::Over(error) if error.kind() == kind), "{next:?}");
        }
    }
}
