//! How a pass is opened: begun by what the state of its partition allows, or gone on with from its checkpoint.

use super::checkpoint::{Checkpoint, Leg, Reading};
use super::{Pass, Position};
#[cfg(feature = "chaos")]
use crate::chaos::{Bug, planted};
use crate::model::{ApiVersion, Endpoint, Object, Time, Watermark, time};
use crate::replication::endless::Endless;
use crate::replication::plan::Mode;
use crate::replication::walk::Walk;
use crate::store::State;

/// An unfinished pass whose cursor is older than this begins again: a stale cursor may be answered with anything.
const CHECKPOINT_LIVES: chrono::TimeDelta = chrono::TimeDelta::minutes(30);

/// What a pass is made of.
#[derive(Debug, Clone, Copy)]
pub struct Terms<'t> {
    /// Whose rows.
    pub object: &'static Object,
    /// The list.
    pub endpoint: &'static Endpoint,
    /// The API.
    pub version: ApiVersion,
    /// Parent's id, or empty.
    pub partition: &'t str,
    /// What the state must have been made under to be gone on from.
    pub fingerprint: &'t str,
    /// How far behind the watermark an incremental pass begins.
    pub overlap: chrono::TimeDelta,
    /// The source's clock now.
    pub now: Time,
    /// Our clock now.
    pub opened_at: Time,
    /// The least that is asked for, even if the state would allow less.
    pub asked: Mode,
    /// Members that Kit counts, where it does.
    pub counted: Option<i64>,
}

impl Pass {
    /// Goes on with an unfinished pass if its checkpoint still fits, else begins one: a full one
    /// when there is nothing to be incremental from.
    pub fn open(terms: &Terms<'_>, state: Option<&State>) -> Self {
        let endpoint = terms.endpoint;
        let whole = Walk::whole(endpoint);
        let fits = |state: &&State| state.fingerprint.as_deref() == Some(terms.fingerprint);
        let usable = state.filter(fits).filter(|_| terms.asked == Mode::Incremental);
        let since =
            usable.and_then(|state| Some((state.watermark?, state.began_at.unwrap_or(state.watermark?))));
        let (mode, plan) = match since {
            Some((watermark, began_at)) if !endpoint.fresh.is_empty() => {
                let day = time::day_before(watermark, terms.overlap);
                let pass_day = time::day_before(began_at, terms.overlap);
                (
                    Mode::Incremental,
                    endpoint.fresh.iter().map(|fresh| Walk::fresh(fresh, day, pass_day)).collect(),
                )
            }
            Some(_) => (Mode::Incremental, vec![whole.clone()]),
            None => (terms.asked.max(Mode::Full), vec![whole.clone()]),
        };
        #[cfg(feature = "chaos")]
        let plan = match since {
            Some((watermark, _)) if planted(Bug::NoOverlap) => {
                plan.into_iter().map(|walk| walk.strictly_after(watermark)).collect()
            }
            _ => plan,
        };
        let shows_column = terms.object.columns.iter().any(|column| {
            column.name == terms.object.watermark.column()
                && terms.version == ApiVersion::V4
                && column.from(terms.version) != crate::model::From::Nowhere
        });
        let mut pass = Pass {
            object: terms.object,
            endpoint,
            path: endpoint.path_for(terms.partition),
            fingerprint: terms.fingerprint.to_owned(),
            mode,
            ceiling: None,
            seen_max: None,
            latest: None,
            walks: plan.clone(),
            next: Position::First,
            leg: Leg::default(),
            legs: 0,
            reading: Reading { opened_at: terms.opened_at, ..Reading::default() },
            resumed: false,
            begun: usable.is_some_and(|state| state.completed_at.is_some()),
            restarts: 0,
            counted: terms.counted,
            plan,
            whole,
            pass_start_counts: matches!(terms.object.watermark, Watermark::ColumnOrPassStart(_))
                && !shows_column,
            endless: Endless::default(),
        };
        if let Some(checkpoint) = state.and_then(|state| state.checkpoint.as_deref()) {
            pass.resume(checkpoint, terms);
        }
        pass
    }

    /// Takes up a checkpoint that was made under the same terms, is young enough, and is not less
    /// than what is asked for now.
    fn resume(&mut self, checkpoint: &str, terms: &Terms<'_>) {
        let Ok(saved) = serde_json::from_str::<Checkpoint>(checkpoint) else { return };
        let fits = saved.fingerprint == self.fingerprint
            && (terms.now - saved.saved_at <= CHECKPOINT_LIVES || !matches!(saved.next, Position::After(_)))
            // What was walked long ago says little about what is there now.
            && (!saved.walks.is_empty()
                || (saved.mode == Mode::Reconcile && terms.now - saved.saved_at <= CHECKPOINT_LIVES))
            && saved.mode >= self.mode;
        if fits {
            self.mode = saved.mode;
            self.ceiling = Some(saved.ceiling);
            self.seen_max = saved.seen_max;
            self.latest = Some(saved.saved_at);
            self.walks = saved.walks;
            self.next = saved.next;
            self.leg = saved.leg;
            self.reading = saved.reading;
            self.resumed = true;
            self.begun = true;
            // Long enough for people to come and go in equal numbers, which the totals do not show.
            self.leg.moved |= terms.now - saved.saved_at > CHECKPOINT_LIVES;
            if saved.mode >= Mode::Full {
                self.plan = vec![self.whole.clone()];
            }
        }
    }
}
