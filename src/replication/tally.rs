//! What became of an object, counted over its partitions.

use super::extractor::{Brought, Context, Ended};
use super::object::subject;
use super::plan::{Mode, ObjectPlan};
use crate::error::{Error, Kind, Result};
use crate::model::Object;
use crate::store::{Outcome, Swept};

/// So many refused parents, and none that was read, mean that it is the object as a whole; so do as many in a row that
/// are not answered. One alone does not keep the others from being read.
pub(super) const REFUSALS: usize = 3;

/// What the partitions of an object have brought so far.
#[derive(Default)]
pub(super) struct Tally {
    pub(super) brought: Brought,
    pub(super) hidden_left: Vec<String>,
    pub(super) stopped: bool,
    /// Some partitions were not begun.
    pub(super) unread: bool,
    /// Partitions that were read, or read as far as a stop allowed.
    pub(super) read: usize,
    /// Partitions that Kit refuses to this account.
    pub(super) refused: usize,
    /// Partitions in a row that Kit does not answer for, while it answers for the account.
    unanswered: usize,
    /// The first refusal has made somebody ask whether it is the key that Kit refuses.
    key_doubted: bool,
    /// Rows that were not met and left alone.
    pub(super) held: u64,
    /// Partitions that failed.
    pub(super) failed: usize,
    pub(super) first: Option<Error>,
    pub(super) fatal: Option<Error>,
}

impl Tally {
    pub(super) fn take(&mut self, object: &Object, partition: &str, result: Result<(Ended, Brought)>) {
        match result {
            Ok((ended, brought)) => {
                self.brought.pages += brought.pages;
                self.brought.records += brought.records;
                self.brought.written += brought.written;
                self.read += 1;
                self.unanswered = 0;
                if let Some(held) = brought.held {
                    self.held += held.count;
                    self.first.get_or_insert_with(|| held.error().about(subject(object, partition)));
                }
                match ended {
                    Ended::Complete => {}
                    Ended::HiddenLeft => self.hidden_left.push(partition.to_owned()),
                    Ended::Stopped => self.stopped = true,
                }
            }
            Err(error) if error.kind() == Kind::SourceNotFound && object.parent().is_some() => {}
            Err(error) => {
                self.failed += 1;
                self.refused += usize::from(error.kind() == Kind::SourceRefused);
                self.unanswered += usize::from(error.kind() == Kind::SourceListUnavailable);
                if error.kind().policy().others_go_on {
                    self.first.get_or_insert(error);
                } else {
                    self.fatal.get_or_insert(error);
                }
            }
        }
    }

    /// Whether an error may be about more than one list: then somebody has to ask for something else.
    pub(super) fn is_in_doubt(&mut self, error: &Error) -> bool {
        match error.kind() {
            Kind::SourceRefused => !std::mem::replace(&mut self.key_doubted, true),
            Kind::SourceUnavailable => true,
            _ => false,
        }
    }

    /// Whether there is no point in beginning another partition.
    pub(super) fn is_over(&self, cx: &Context<'_>) -> bool {
        let refused = (self.read == 0 && self.refused >= REFUSALS) || self.unanswered >= REFUSALS;
        self.fatal.is_some() || refused || self.stopped || cx.stop.is_requested()
    }

    /// What the run did about vanished rows of all partitions.
    pub(super) fn swept(&self, plan: &ObjectPlan) -> Swept {
        match (plan.reconcile_requested || plan.mode == Mode::Reconcile, self.held) {
            (false, _) => Swept::No,
            (true, 0) => Swept::Clean,
            (true, held) => Swept::Held(held),
        }
    }

    /// What ended the run or, if nothing did, went wrong first.
    pub(super) fn error(&self) -> Option<&Error> {
        self.fatal.as_ref().or(self.first.as_ref())
    }

    pub(super) fn outcome(&self) -> Outcome {
        if self.fatal.is_none() && self.refused > 0 && self.refused == self.failed && self.read == 0 {
            Outcome::Unavailable
        } else if self.fatal.is_some() || self.failed > 0 {
            Outcome::Failed
        } else if self.stopped || self.unread || !self.hidden_left.is_empty() {
            Outcome::Stopped
        } else if self.brought.written.quarantined > 0 || self.held > 0 {
            Outcome::Incomplete
        } else {
            Outcome::Complete
        }
    }
}
