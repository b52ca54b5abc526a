//! What a run will do: which partitions, in which mode, from where. Pure.

use serde::{Deserialize, Serialize};

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
    /// parent starves when a cycle takes longer than its schedule.
    pub partitions: Vec<PartitionPlan>,
    /// The greatest mode in which a partition is read.
    pub mode: Mode,
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
}

/// Plans one object. `parents` are the ids of its parents (ignored for a whole list).
pub fn object(
    object: &'static Object,
    version: ApiVersion,
    states: Vec<State>,
    parents: &[i64],
) -> Option<ObjectPlan> {
    let endpoint = object.endpoint(version)?;
    let fingerprint = object.shape(version);
    let whole = states.iter().find(|state| state.partition.is_empty());
    let load = whole.and_then(|state| state.full_requested_at);
    let reconcile = whole.and_then(|state| state.reconcile_requested_at);
    let names: Vec<String> = match object.source {
        Source::List(_) | Source::ViewOf(_) => vec![String::new()],
        Source::PerParent { .. } => parents.iter().map(i64::to_string).collect(),
    };
    let mut partitions: Vec<PartitionPlan> = names
        .into_iter()
        .map(|partition| {
            let state = states.iter().find(|state| state.partition == partition).cloned();
            let asked = if is_due(state.as_ref(), reconcile) {
                Mode::Reconcile
            } else if is_due(state.as_ref(), load) {
                Mode::Full
            } else {
                Mode::Incremental
            };
            PartitionPlan { partition, state, asked }
        })
        .collect();
    partitions.sort_by_key(|partition| partition.state.as_ref().and_then(|state| state.completed_at));
    let mode = partitions.iter().map(|partition| partition.mode(&fingerprint)).max();
    let mode = mode.unwrap_or(Mode::Incremental);
    Some(ObjectPlan { object, endpoint, fingerprint, partitions, mode })
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

    /// M15, M16.
    #[test]
    fn new_parents_are_read_in_full_and_first_then_those_that_waited_longest() {
        let states = vec![state("1", Some("2024-05-02T00:00:00Z")), state("2", Some("2024-05-01T00:00:00Z"))];
        let plan = object(&objects::TAG_SUBSCRIPTIONS, ApiVersion::V4, states, &[1, 2, 3]).unwrap();
        assert_eq!(order(&plan), [("3", Mode::Full), ("2", Mode::Incremental), ("1", Mode::Incremental)]);
        assert_eq!(plan.mode, Mode::Full);
    }

    /// D10: a full load that was cut short goes on with the partitions it has not reached.
    #[test]
    fn a_full_load_goes_on_with_what_it_has_not_completed() {
        let mut states =
            vec![state("1", Some("2024-05-02T00:00:00Z")), state("2", Some("2024-05-01T00:00:00Z"))];
        states.push(State { full_requested_at: time::parse("2024-05-01T12:00:00Z"), ..state("", None) });
        let plan = object(&objects::TAG_SUBSCRIPTIONS, ApiVersion::V4, states, &[1, 2]).unwrap();
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
        let plan = object(&objects::TAG_SUBSCRIPTIONS, ApiVersion::V4, states, &[1, 2]).unwrap();
        assert_eq!(order(&plan), [("2", Mode::Reconcile), ("1", Mode::Incremental)]);
        assert_eq!(plan.mode, Mode::Reconcile);
    }

    /// M26, M28.
    #[test]
    fn state_made_under_another_api_version_is_not_gone_on_from() {
        let states = vec![state("1", Some("2024-05-02T00:00:00Z"))];
        let plan = object(&objects::TAG_SUBSCRIPTIONS, ApiVersion::V3, states, &[1]).unwrap();
        assert_eq!(order(&plan), [("1", Mode::Full)]);
    }

    #[test]
    fn a_view_has_nothing_to_plan() {
        assert!(object(&objects::SUBSCRIBER_TAGS, ApiVersion::V4, Vec::new(), &[]).is_none());
    }
}
