//! Pages that were asked for and are on their way: one from each end of the list at most.
//!
//! One that is not polled may keep the limiter from everybody else. So nothing but the database is waited for between
//! two calls of [`Asked::next`], and what is of no more use is forgotten at once.

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use std::task::Poll;

use super::fetch::Answer;
use super::pass::{End, Pass};
use crate::store::Meanwhile;

/// A page that is on its way, and from before it was asked for.
type UnderWay<'r> = (BoxFuture<'r, Answer>, Meanwhile);

/// What came back.
pub(super) struct Answered {
    pub(super) end: End,
    pub(super) answer: Answer,
    /// From before it was asked for.
    pub(super) meanwhile: Meanwhile,
}

/// Pages that are on their way.
#[derive(Default)]
pub(super) struct Asked<'r> {
    near: Option<UnderWay<'r>>,
    far: Option<UnderWay<'r>>,
    /// The walk that they are of.
    leg: u64,
}

impl<'r> Asked<'r> {
    fn at(&mut self, end: End) -> &mut Option<UnderWay<'r>> {
        match end {
            End::Near => &mut self.near,
            End::Far => &mut self.far,
        }
    }

    /// Forgets all of them.
    pub(super) fn forget(&mut self) {
        (self.near, self.far) = (None, None);
    }

    /// Forgets what the pass has no more use for: pages of another walk than that under way, and of a far end that was
    /// given up.
    pub(super) fn only_for(&mut self, pass: &Pass) {
        if self.leg != pass.leg_number() {
            self.forget();
            self.leg = pass.leg_number();
        }
        if pass.is_far_given_up() {
            self.far = None;
        }
    }

    /// How many there are.
    pub(super) fn count(&self) -> usize {
        usize::from(self.near.is_some()) + usize::from(self.far.is_some())
    }

    /// Whether one is on its way from that end.
    pub(super) fn is_at(&self, end: End) -> bool {
        match end {
            End::Near => self.near.is_some(),
            End::Far => self.far.is_some(),
        }
    }

    /// Another one, from an end from which none is on its way.
    pub(super) fn begin(&mut self, end: End, page: BoxFuture<'r, Answer>, meanwhile: Meanwhile) {
        *self.at(end) = Some((page, meanwhile));
    }

    /// The next that comes; waits for ever when there is none. May be dropped and called again.
    pub(super) async fn next(&mut self) -> Answered {
        std::future::poll_fn(|cx| {
            for end in [End::Near, End::Far] {
                let slot = self.at(end);
                if let Some((page, _)) = slot
                    && let Poll::Ready(answer) = page.poll_unpin(cx)
                    && let Some((_, meanwhile)) = slot.take()
                {
                    return Poll::Ready(Answered { end, answer, meanwhile });
                }
            }
            Poll::Pending
        })
        .await
    }
}
