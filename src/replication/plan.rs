//! What a run will do: which partitions, in which mode, from where. Pure.

use serde::{Deserialize, Serialize};
use std::cmp::Reverse;

use crate::model::{ApiVersion, Endpoint, Object, Source, Time};
use crate::store::State;

/// How a pass reads. A greater mode does all that a lesser one does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// What is new since the watermark less the overlap.
    Incremental,
    /// Every page.
    Full,
    /// Every page, and then what was not met is marked as gone.
    Reconcile,
}

impl Mode {
    /// As stored and shown.
    pub fn name(self) -> &'static str {
        match self {
            Mode::Incremental => "incremental",
            Mode::Full => "full",
            Mode::Reconcile => "reconcile",
        }
    }
}

/// The partitions of one object and what each needs.
#[derive(Debug)]
pub struct ObjectPlan {
    /// The object.
    pub object: &'static Object,
    /// Its list.
    pub endpoint: &'static Endpoint,
    /// What state must have been made under to be gone on from.
    pub fingerprint: String,
    /// In the order of reading: those never completed first, then those that waited longest, so that no
    /// parent starves when a cycle takes longer than its schedule. Of those that waited equally long the longest first, so
    /// that it is not the last to end. Those that failed the last time come behind all others, who are not to wait for them.
    pub partitions: Vec<PartitionPlan>,
    /// The greatest mode in which a partition is read.
    pub mode: Mode,
    /// A reconcile was asked for: when all that is left of it is read, it is done.
    pub reconcile_requested: bool,
}

impl ObjectPlan {
    /// How many of its lists are read in this mode.
    pub(super) fn lists_read(&self, mode: Mode) -> u64 {
        self.partitions.iter().filter(|partition| partition.mode(&self.fingerprint) == mode).count() as u64
    }
}

/// One partition.
#[derive(Debug, Clone)]
pub struct PartitionPlan {
    /// Parent's id, or empty.
    pub partition: String,
    /// What is known about it.
    pub state: Option<State>,
    /// The least that is asked for, even if the state would allow less.
    pub asked: Mode,
    /// Members that Kit counts at present, where it does.
    pub counted: Option<i64>,
}

/// A parent, whose id is a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Parent {
    /// Its id.
    pub id: i64,
    /// Members that Kit counted when the parents were last listed, where it does.
    pub counted: Option<i64>,
}

/// What allows to leave out a list whose count has not moved.
#[derive(Debug, Clone, Copy)]
pub struct Stillness {
    /// Our clock now.
    pub now: Time,
    /// For how long a list may not show what its count counts already.
    pub visibility_lag: chrono::TimeDelta,
    /// However still a list lies, it is read after so long: a count may miss one who came and one who went, or people
    /// who are not active.
    pub member_recheck: chrono::TimeDelta,
}

impl PartitionPlan {
    /// What the run of it is: a load of everything, or bringing up to date what was complete before. A list
    /// that was empty has no watermark to ask from, and reading all of it still is bringing it up to date.
    pub fn mode(&self, fingerprint: &str) -> Mode {
        let usable = self.state.as_ref().filter(|state| {
            state.fingerprint.as_deref() == Some(fingerprint) && state.completed_at.is_some()
        });
        self.asked.max(if usable.is_some() { Mode::Incremental } else { Mode::Full })
    }

    /// Whether nothing can be new in it: Kit counts as many members as when it was last read, and it was read once
    /// more after the count had settled.
    fn lies_still(&self, fingerprint: &str, still: Stillness) -> bool {
        let Some(state) = &self.state else { return false };
        let (Some(completed), Some(since)) = (state.completed_at, state.counted_since) else { return false };
        self.mode(fingerprint) == Mode::Incremental
            && state.checkpoint.is_none()
            && self.counted.is_some()
            && self.counted == state.counted
            && completed - since >= still.visibility_lag
            && still.now - completed < still.member_recheck
    }
}

/// Plans one object. `parents` are its parents (ignored for a whole list). Lists of parents whose count has not moved
/// are left out where `still` allows it.
pub fn object(
    object: &'static Object,
    version: ApiVersion,
    states: Vec<State>,
    parents: &[Parent],
    still: Option<Stillness>,
) -> Option<ObjectPlan> {
    let endpoint = object.endpoint(version)?;
    let fingerprint = object.shape(version);
    let whole = states.iter().find(|state| state.partition.is_empty());
    let load = whole.and_then(|state| state.full_requested_at);
    let reconcile = whole.and_then(|state| state.reconcile_requested_at);
    let names: Vec<(String, Option<i64>)> = match object.source {
        Source::List(_) | Source::ViewOf(_) => vec![(String::new(), None)],
        Source::PerParent { .. } => {
            parents.iter().map(|parent| (parent.id.to_string(), parent.counted)).collect()
        }
    };
    let mut partitions: Vec<PartitionPlan> = names
        .into_iter()
        .map(|(partition, counted)| {
            let state = states.iter().find(|state| state.partition == partition).cloned();
            let asked = if is_due(state.as_ref(), reconcile) {
                Mode::Reconcile
            } else if is_due(state.as_ref(), load) {
                Mode::Full
            } else {
                Mode::Incremental
            };
            PartitionPlan { partition, state, asked, counted }
        })
        .collect();
    if let Some(still) = still {
        partitions.retain(|partition| !partition.lies_still(&fingerprint, still));
    }
    partitions.sort_by_key(|partition| {
        let completed = partition.state.as_ref().and_then(|state| state.completed_at);
        let failed = partition.state.as_ref().is_some_and(|state| state.failed);
        (failed, completed, Reverse(partition.counted))
    });
    let mode = partitions.iter().map(|partition| partition.mode(&fingerprint)).max();
    let mode = mode.unwrap_or(Mode::Incremental);
    Some(ObjectPlan {
        object,
        endpoint,
        fingerprint,
        partitions,
        mode,
        reconcile_requested: reconcile.is_some(),
    })
}

/// What state per parent is there to prevent: everybody goes on from where the furthest is.
#[cfg(feature = "chaos")]
pub fn share_one_watermark(states: &mut Vec<State>, parents: &[i64]) {
    let Some(furthest) =
        states.iter().filter(|state| state.fingerprint.is_some()).max_by_key(|state| state.watermark)
    else {
        return;
    };
    let shared = State { checkpoint: None, ..furthest.clone() };
    for parent in parents.iter().map(i64::to_string) {
        match states.iter_mut().find(|state| state.partition == parent) {
            Some(state) => {
                (state.watermark, state.began_at) = (shared.watermark, shared.began_at);
                state.fingerprint.clone_from(&shared.fingerprint);
            }
            None => states.push(State { partition: parent, ..shared.clone() }),
        }
    }
}

/// A pass over everything that was asked for reads a partition unless one over it has been complete since.
fn is_due(state: Option<&State>, requested: Option<Time>) -> bool {
    let Some(requested) = requested else { return false };
    state.and_then(|state| state.completed_at).is_none_or(|completed| completed < requested)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{objects, time};

    fn state(partition: &str, completed: Option<&str>) -> State {
        State {
            partition: partition.to_owned(),
            watermark: completed.and_then(time::parse),
            completed_at: completed.and_then(time::parse),
            fingerprint: Some(objects::TAG_SUBSCRIPTIONS.shape(ApiVersion::V4)),
            ..State::default()
        }
    }

    fn order(plan: &ObjectPlan) -> Vec<(&str, Mode)> {
        plan.partitions.iter().map(|p| (p.partition.as_str(), p.mode(&plan.fingerprint))).collect()
    }

    fn parents(ids: &[i64]) -> Vec<Parent> {
        ids.iter().map(|id| Parent { id: *id, counted: None }).collect()
    }

    #[test]
    fn a_list_is_left_out_while_its_count_stays_and_read_once_a_day_all_the_same() {
        let at = |text: &str| time::parse(text).unwrap();
        let counted = |since: &str| State {
            counted: Some(5),
            counted_since: time::parse(since),
            ..state("1", Some("2024-05-02T12:00:00Z"))
        };
        let planned = |state: State, count, now: &str| {
            let still = Stillness {
                now: at(now),
                visibility_lag: chrono::TimeDelta::minutes(10),
                member_recheck: chrono::TimeDelta::hours(24),
            };
            let parents = [Parent { id: 1, counted: count }];
            let plan =
                object(&objects::TAG_SUBSCRIPTIONS, ApiVersion::V4, vec![state], &parents, Some(still));
            plan.unwrap().partitions.len()
        };
        let settled = "2024-05-02T11:45:00Z";
        assert_eq!(planned(counted(settled), Some(5), "2024-05-02T12:15:00Z"), 0);
        assert_eq!(planned(counted(settled), Some(6), "2024-05-02T12:15:00Z"), 1, "the count moved");
        assert_eq!(planned(counted(settled), None, "2024-05-02T12:15:00Z"), 1, "no count");
        assert_eq!(planned(counted(settled), Some(5), "2024-05-03T12:00:00Z"), 1, "a day later");
        let moved = "2024-05-02T12:00:00Z";
        assert_eq!(
            planned(counted(moved), Some(5), "2024-05-02T12:15:00Z"),
            1,
            "once more, for what came late"
        );
        let unfinished = State { checkpoint: Some("{}".into()), ..counted(settled) };
        assert_eq!(planned(unfinished, Some(5), "2024-05-02T12:15:00Z"), 1);
        let other = State { fingerprint: Some("another".into()), ..counted(settled) };
        assert_eq!(planned(other, Some(5), "2024-05-02T12:15:00Z"), 1);
    }

    /// M15, M16.
    #[test]
    fn new_parents_are_read_in_full_and_first_then_those_that_waited_longest() {
        let states = vec![state("1", Some("2024-05-02T00:00:00Z")), state("2", Some("2024-05-01T00:00:00Z"))];
        let plan =
            object(&objects::TAG_SUBSCRIPTIONS, ApiVersion::V4, states, &parents(&[1, 2, 3]), None).unwrap();
        assert_eq!(order(&plan), [("3", Mode::Full), ("2", Mode::Incremental), ("1", Mode::Incremental)]);
        assert_eq!(plan.mode, Mode::Full);
    }

    /// D10: a full load that was cut short goes on with the partitions it has not reached.
    #[test]
    fn a_full_load_goes_on_with_what_it_has_not_completed() {
        let mut states =
            vec![state("1", Some("2024-05-02T00:00:00Z")), state("2", Some("2024-05-01T00:00:00Z"))];
        states.push(State { full_requested_at: time::parse("2024-05-01T12:00:00Z"), ..state("", None) });
        let plan =
            object(&objects::TAG_SUBSCRIPTIONS, ApiVersion::V4, states, &parents(&[1, 2]), None).unwrap();
        assert_eq!(order(&plan), [("2", Mode::Full), ("1", Mode::Incremental)]);
    }

    #[test]
    fn a_reconcile_goes_on_with_what_it_has_not_completed_and_is_more_than_a_full_load() {
        let mut states =
            vec![state("1", Some("2024-05-02T00:00:00Z")), state("2", Some("2024-05-01T00:00:00Z"))];
        let requested = time::parse("2024-05-01T12:00:00Z");
        let both =
            State { full_requested_at: requested, reconcile_requested_at: requested, ..state("", None) };
        states.push(both);
        let plan =
            object(&objects::TAG_SUBSCRIPTIONS, ApiVersion::V4, states, &parents(&[1, 2]), None).unwrap();
        assert_eq!(order(&plan), [("2", Mode::Reconcile), ("1", Mode::Incremental)]);
        assert_eq!(plan.mode, Mode::Reconcile);
    }

    /// M26, M28.
    #[test]
    fn state_made_under_another_api_version_is_not_gone_on_from() {
        let states = vec![state("1", Some("2024-05-02T00:00:00Z"))];
        let plan = object(&objects::TAG_SUBSCRIPTIONS, ApiVersion::V3, states, &parents(&[1]), None).unwrap();
        assert_eq!(order(&plan), [("1", Mode::Full)]);
    }

    #[test]
    fn a_view_has_nothing_to_plan() {
        assert!(object(&objects::SUBSCRIBER_TAGS, ApiVersion::V4, Vec::new(), &[], None).is_none());
    }
}
