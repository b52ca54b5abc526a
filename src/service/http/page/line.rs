//! One object on the page: its state in a word, how fresh it is, what is the matter with it, and its last runs.

use super::runs::Runs;
use super::{Notice, ahead, sentence};
use crate::error::Kind;
use crate::model::Object;
use crate::output;
use crate::service::http::View;
use crate::service::http::readiness::{lag_seconds, schedule_of};
use crate::service::pulse::Timetable;
use crate::store::{ObjectStatus, Run};

/// One object.
pub(super) struct Line {
    pub(super) name: &'static str,
    pub(super) mark: Mark,
    pub(super) rows: String,
    pub(super) fresh: Option<(String, String)>,
    pub(super) next: Option<String>,
    pub(super) quarantined: Option<String>,
    pub(super) error: Option<Notice>,
    pub(super) held: Option<Notice>,
    pub(super) runs: Runs,
}

impl Line {
    /// What the page says of `object`, if it is scheduled and was read.
    pub(super) fn of(view: &View, object: &'static Object) -> Option<Self> {
        let schedule = schedule_of(&view.beat, object)?;
        let read = view.seen.read.as_ref()?;
        let status = read.glance.status.objects.iter().find(|status| status.object == object.name)?;
        let is_stale = view.reasons.iter().any(|reason| reason.object == Some(object.name));
        let fresh = lag_seconds(status, read.at, view.now).map(|lag| {
            let at = status.last_complete_at.clone().unwrap_or_default();
            (format!("{} ago", output::duration(lag)), at)
        });
        let filled_by = object.filled_by().name;
        let runs: Vec<&Run> = read.glance.runs.iter().filter(|run| run.object == filled_by).collect();
        Some(Line {
            name: object.name,
            mark: Mark::of(status, schedule, is_stale),
            rows: output::grouped(status.rows),
            fresh,
            next: match (schedule.running, schedule.next) {
                (true, _) => Some("now".to_owned()),
                (false, next) => next.map(|next| ahead(next, view.now)),
            },
            quarantined: (status.quarantined > 0).then(|| output::grouped(status.quarantined)),
            error: status
                .last_error
                .as_ref()
                .map(|error| Notice { what: sentence(error), advice: status.last_error_advice.clone() }),
            held: status.held_deletions.map(|held| Notice {
                what: format!(
                    "The last reconcile did not find {} rows at Kit and left them as they are.",
                    output::grouped(held)
                ),
                advice: Some(Kind::DeletionsHeld.policy().advice.to_owned()),
            }),
            runs: Runs::of(&runs, view.now),
        })
    }

    pub(super) fn needs_attention(&self) -> bool {
        self.mark.needs_attention() || self.held.is_some()
    }

    /// What is told below the row, and its class in the style.
    pub(super) fn told(&self) -> Vec<(&Notice, &'static str)> {
        let error = self.error.as_ref().map(|error| (error, "error"));
        error.into_iter().chain(self.held.as_ref().map(|held| (held, "held"))).collect()
    }
}

/// The state of an object in a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mark {
    Ok,
    Syncing,
    Pending,
    Stale,
    Failed,
    Unavailable,
}

impl Mark {
    fn of(status: &ObjectStatus, schedule: &Timetable, is_stale: bool) -> Self {
        match status.state.as_str() {
            "unavailable" => Mark::Unavailable,
            "failed" => Mark::Failed,
            _ if schedule.running => Mark::Syncing,
            _ if status.last_complete_at.is_none() => Mark::Pending,
            _ if is_stale => Mark::Stale,
            "syncing" => Mark::Syncing,
            // Stale in SQL means a day; here it means the object's own intervals, unless there are none.
            "stale" if schedule.interval_seconds.is_none() => Mark::Stale,
            _ => Mark::Ok,
        }
    }

    pub(super) fn word(self) -> &'static str {
        match self {
            Mark::Ok => "ok",
            Mark::Syncing => "syncing",
            Mark::Pending => "not loaded yet",
            Mark::Stale => "stale",
            Mark::Failed => "failed",
            Mark::Unavailable => "unavailable",
        }
    }

    /// The class in the style, and the symbol.
    pub(super) fn name(self) -> &'static str {
        match self {
            Mark::Ok => "ok",
            Mark::Syncing => "syncing",
            Mark::Pending => "pending",
            Mark::Stale => "stale",
            Mark::Failed => "failed",
            Mark::Unavailable => "unavailable",
        }
    }

    fn needs_attention(self) -> bool {
        matches!(self, Mark::Stale | Mark::Failed | Mark::Unavailable)
    }
}
