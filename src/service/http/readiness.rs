//! Ready means fresh, not merely alive: the database answers, and no object is staler than three of its intervals.
//! Pure: what was seen and what time it is go in, the reasons against come out.

use serde::Serialize;
use std::fmt;

use super::mirror::Seen;
use crate::model::{Object, Source, Time, objects};
use crate::output;
use crate::service::pulse::{Beat, Phase, Timetable};
use crate::store::ObjectStatus;

/// So many intervals may pass without a complete run: one that fails, and one that takes long, wake nobody.
const INTERVALS: u64 = 3;

/// Why the service is not ready.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Reason {
    /// The object it is about, if it is about one.
    pub object: Option<&'static str>,
    /// What is the matter, in one line.
    pub what: String,
    /// What to do about it.
    pub advice: Option<String>,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(object) = self.object {
            write!(f, "{object}: ")?;
        }
        write!(f, "{}.", output::escaped(self.what.trim_end_matches('.')))?;
        match &self.advice {
            Some(advice) => write!(f, " {}", output::escaped(advice)),
            None => Ok(()),
        }
    }
}

/// Everything that speaks against being ready; nothing if it is.
///
/// One that stands by is judged as one that works: the mirror is fresh whoever keeps it so, and a rolling update
/// ends the old process only once the new one is ready. One that is paused is not ready even while all is fresh yet,
/// since it will not be for long unless somebody comes; the same update then keeps the old process, whose credential
/// works. One whose Kit does not answer is judged by what it has: nobody else could read more.
pub fn reasons_against(seen: &Seen, beat: &Beat, now: Time) -> Vec<Reason> {
    let of_phase = match &beat.phase {
        Phase::Working | Phase::WaitingForKit { .. } | Phase::Standby { .. } => None,
        Phase::Starting => Some(general("the service is starting", None)),
        Phase::Stopping => Some(general("the service is stopping", None)),
        Phase::WaitingForDatabase { error } => {
            Some(general(format!("the database does not answer or refuses: {error}"), None))
        }
        Phase::Paused { error, advice } => Some(general(format!("paused: {error}"), Some(advice))),
    };
    let waits = matches!(beat.phase, Phase::WaitingForDatabase { .. });
    let of_database = seen.trouble.as_ref().filter(|_| !waits).map(|trouble| {
        general(format!("the mirror cannot be read: {}", trouble.error), Some(&trouble.advice))
    });
    let mut reasons: Vec<Reason> = of_phase.into_iter().chain(of_database).collect();
    if let Some(read) = &seen.read {
        let of_objects = objects::ALL.iter().filter_map(|object| {
            let schedule = schedule_of(beat, object)?;
            let status = read.glance.status.objects.iter().find(|status| status.object == object.name)?;
            of_object(object, status, schedule, lag_seconds(status, read.at, now))
        });
        reasons.extend(of_objects);
    }
    if reasons.is_empty() && beat.schedules.is_empty() {
        reasons.push(general("no schedule is known yet", None));
    }
    reasons
}

fn general(what: impl Into<String>, advice: Option<&String>) -> Reason {
    Reason { object: None, what: what.into(), advice: advice.cloned() }
}

fn of_object(
    object: &Object,
    status: &ObjectStatus,
    schedule: &Timetable,
    lag: Option<i64>,
) -> Option<Reason> {
    let mut what = match (lag, schedule.interval_seconds) {
        (None, _) => "has never been complete".to_owned(),
        (Some(lag), Some(interval)) if lag as u64 > interval.saturating_mul(INTERVALS) => format!(
            "was last complete {} ago, more than {INTERVALS} intervals of {}",
            output::duration(lag),
            output::duration(interval as i64)
        ),
        (Some(_), _) => return None,
    };
    if let Some(error) = &status.last_error {
        what += ". ";
        what += error;
    }
    Some(Reason { object: Some(object.name), what, advice: status.last_error_advice.clone() })
}

/// The schedule an object is replicated by; a view's is that of what it shows. None for one that is left out.
pub fn schedule_of<'b>(beat: &'b Beat, object: &Object) -> Option<&'b Timetable> {
    let name = match object.source {
        Source::ViewOf(shown) if !beat.schedules.contains_key(object.name) => shown.name,
        Source::ViewOf(_) | Source::List(_) | Source::PerParent { .. } => object.name,
    };
    beat.schedules.get(name)
}

/// Seconds since an object was last complete: by the database's clock when it was read, and since then by ours.
pub fn lag_seconds(status: &ObjectStatus, read_at: Time, now: Time) -> Option<i64> {
    lag_then(status.lag_seconds, read_at, now)
}

/// What was so many seconds when it was read.
pub fn lag_then(seconds: Option<i64>, read_at: Time, now: Time) -> Option<i64> {
    let since = (now - read_at).num_seconds().max(0);
    seconds.map(|seconds| seconds.max(0).saturating_add(since))
}

#[cfg(test)]
mod tests {
    use super::super::mirror::{Read, Trouble};
    use super::*;
    use crate::model::time;
    use crate::store::{Glance, MirrorStatus};
    use chrono::TimeDelta;

    fn noon() -> Time {
        time::parse("2024-05-03T12:00:00Z").unwrap()
    }

    fn status(object: &str, lag_seconds: Option<i64>) -> ObjectStatus {
        ObjectStatus {
            object: object.to_owned(),
            state: "ok".to_owned(),
            rows: 1,
            newest_row: None,
            last_complete_at: None,
            lag_seconds,
            last_reconcile_at: None,
            reconcile_lag_seconds: None,
            held_deletions: None,
            last_error: None,
            last_error_advice: None,
            last_mode: None,
            last_outcome: None,
            quarantined: 0,
        }
    }

    fn seen(objects: Vec<ObjectStatus>) -> Seen {
        let status = MirrorStatus { account: None, api_version: None, objects };
        let read = Read { glance: Glance { status, runs: Vec::new() }, at: noon() };
        Seen { read: Some(read.into()), trouble: None }
    }

    fn beat(phase: Phase, intervals: &[(&'static str, u64)]) -> Beat {
        let schedule = |interval| Timetable { interval_seconds: Some(interval), ..Timetable::default() };
        let schedules = intervals.iter().map(|(name, interval)| (*name, schedule(*interval))).collect();
        Beat { phase, schedules }
    }

    fn against(seen: &Seen, beat: &Beat, seconds_later: i64) -> Vec<String> {
        let now = noon() + TimeDelta::seconds(seconds_later);
        reasons_against(seen, beat, now).iter().map(ToString::to_string).collect()
    }

    const WORKING: Phase = Phase::Working;

    ///
    #[test]
    fn it_turns_red_when_three_intervals_are_over_and_not_before() {
        let beat = beat(WORKING, &[("tags", 900), ("forms", 3600)]);
        let both = |lag| seen(vec![status("tags", Some(lag)), status("forms", Some(lag))]);
        assert_eq!(against(&both(2700), &beat, 0), [""; 0]);
        assert_eq!(
            against(&both(2701), &beat, 0),
            ["tags: was last complete 45 min ago, more than 3 intervals of 15 min."]
        );
        assert_eq!(against(&both(2700), &beat, 1).len(), 1, "what was read grows old");
        assert_eq!(against(&both(10_801), &beat, 0).len(), 2, "and it says which");
        assert_eq!(against(&both(60), &beat, 0), [""; 0], "it turns green by itself");
    }

    #[test]
    fn one_that_was_never_complete_is_not_ready_and_one_that_is_left_out_does_not_count() {
        let mut refused = status("tags", None);
        refused.last_error = Some("tags: GET /tags: Kit answered 403".to_owned());
        refused.last_error_advice = Some("Leave it out.".to_owned());
        let seen = seen(vec![refused, status("forms", None), status("sequences", Some(5))]);
        let left_out = beat(WORKING, &[("tags", 900), ("sequences", 900)]);
        assert_eq!(
            against(&seen, &left_out, 0),
            ["tags: has never been complete. tags: GET /tags: Kit answered 403. Leave it out."]
        );
    }

    #[test]
    fn a_view_is_as_fresh_as_what_it_shows() {
        let beat = beat(WORKING, &[("tag_subscriptions", 900)]);
        let seen = seen(vec![status("tag_subscriptions", Some(9000)), status("subscriber_tags", Some(9000))]);
        assert_eq!(against(&seen, &beat, 0).len(), 2);
    }

    #[test]
    fn a_failure_alone_does_not_make_it_unready_while_all_is_fresh() {
        let failed = ObjectStatus {
            state: "failed".to_owned(),
            last_error: Some("tags: Kit answered 500".to_owned()),
            ..status("tags", Some(1000))
        };
        assert_eq!(against(&seen(vec![failed]), &beat(WORKING, &[("tags", 900)]), 0), [""; 0]);
    }

    #[test]
    fn a_database_that_does_not_answer_is_a_reason_whatever_was_read_before() {
        let beat = beat(WORKING, &[("tags", 900)]);
        let mut seen = seen(vec![status("tags", Some(5))]);
        seen.trouble =
            Some(Trouble { error: "connection refused".to_owned(), advice: "Check it.".to_owned() });
        assert_eq!(against(&seen, &beat, 0), ["the mirror cannot be read: connection refused. Check it."]);
        assert_eq!(against(&seen, &beat, 5000).len(), 2);
        seen.read = None;
        assert_eq!(against(&seen, &beat, 0).len(), 1);
    }

    #[test]
    fn each_phase_has_its_word() {
        let seen = seen(vec![status("tags", Some(5))]);
        let told = |phase| against(&seen, &beat(phase, &[("tags", 900)]), 0);
        assert_eq!(told(Phase::Working), [""; 0]);
        assert_eq!(told(Phase::Standby { holder: "another".to_owned() }), [""; 0]);
        assert_eq!(told(Phase::Starting), ["the service is starting."]);
        assert_eq!(told(Phase::Stopping), ["the service is stopping."]);
        assert_eq!(
            told(Phase::WaitingForDatabase { error: "refused".to_owned() }),
            ["the database does not answer or refuses: refused."]
        );
        let paused = Phase::Paused { error: "401".to_owned(), advice: "Check the credential.".to_owned() };
        assert_eq!(told(paused), ["paused: 401. Check the credential."]);
    }

    #[test]
    fn without_a_schedule_nothing_can_be_said() {
        let seen = seen(vec![status("tags", Some(5))]);
        assert_eq!(against(&seen, &beat(WORKING, &[]), 0), ["no schedule is known yet."]);
    }
}
