//! What a page means for the walk that asked for it: what is asked for next, whether the walk ends here, and whether it
//! can be trusted.

use super::{Pass, Turn};
use crate::chaos::{Bug, planted};
use crate::error::{Error, Kind, Result};
use crate::kit::{Following, Position};
use crate::model::{Fresh, Paging, Time};
use crate::replication::plan::Mode;
use crate::replication::walk::{Direction, Until, WalkKind};

/// Of more edges than this no record is kept, since it is part of each position.
const MOST_EDGES: usize = 100;

/// What follows a page.
pub(super) enum After {
    Page(Position),
    /// The walk may have skipped rows where its pages ended: make it again with pages that end elsewhere.
    OtherEdges,
    /// The walk cannot be trusted to show everything: read the whole list instead.
    Elsewhere,
    End,
}

impl Pass {
    /// A resumed cursor that is answered with the first page again, or with nothing at all.
    pub(super) fn is_stale(&self, turn: &Turn<'_>) -> bool {
        matches!(self.next, Position::After(_))
            && (turn.records == 0
                || (self.leg.first_key.is_some() && self.first_key(turn.batch) == self.leg.first_key))
    }

    /// What follows a page.
    pub(super) fn after(&mut self, turn: &Turn<'_>, times: &[Time]) -> Result<After> {
        match self.within_walk(turn, times)? {
            After::End if self.has_ties() => Ok(self.end_with_ties()),
            after => Ok(after),
        }
    }

    /// The end of a walk whose pages may have ended within a second that the next one did not go on with.
    fn end_with_ties(&self) -> After {
        if self.leg.edges.is_empty() {
            After::End
        } else if self.walk().per_page.is_none() {
            // Twice the pages of what is new, not all there ever were.
            After::OtherEdges
        } else {
            After::Elsewhere
        }
    }

    /// What follows a page within its walk.
    fn within_walk(&mut self, turn: &Turn<'_>, times: &[Time]) -> Result<After> {
        if let Some(early) = self.early_end(turn, times) {
            return Ok(early);
        }
        let walk = self.walk().clone();
        match turn.following {
            Following::Whole | Following::Cursor { next: None } => Ok(After::End),
            Following::Cursor { next: Some(_) }
                if planted(Bug::ShortPageEnds) && turn.records < usize::from(crate::model::V3_PER_PAGE) =>
            {
                Ok(After::End)
            }
            Following::Cursor { next: Some(cursor) } => {
                if self.endless.is_new(cursor) {
                    return Ok(After::Page(Position::After(cursor.clone())));
                }
                // In a time order without a tie-breaker a second with more rows than a page repeats itself.
                if self.has_ties() {
                    return Ok(After::Elsewhere);
                }
                Err(Error::new(
                    Kind::SourcePagination,
                    "the list repeats itself: a cursor came a second time",
                ))
            }
            Following::Numbered { total_pages: None } => {
                // No totals: the end is a page that is not full, or one page three times over (`page` ignored).
                let full = turn.records >= usize::from(crate::model::V3_PER_PAGE);
                let next = self.number() + 1;
                Ok(if full && self.endless.repeated() < 2 {
                    After::Page(Position::Number(next))
                } else {
                    After::End
                })
            }
            Following::Numbered { total_pages: Some(pages) } => {
                let number = self.number();
                let last = u32::try_from(*pages).unwrap_or(u32::MAX);
                Ok(match walk.direction {
                    Direction::Forward if number < last => After::Page(Position::Number(number + 1)),
                    Direction::Backward if self.leg.pages == 1 && last > 1 => {
                        After::Page(Position::Number(last))
                    }
                    // Since then the list may have lost more than the page that was asked for.
                    Direction::Backward if number > 2 && last > 1 => {
                        After::Page(Position::Number(last.min(number - 1)))
                    }
                    Direction::Forward | Direction::Backward => After::End,
                })
            }
        }
    }

    fn number(&self) -> u32 {
        match self.next {
            Position::Number(number) => number,
            Position::First | Position::After(_) => 1,
        }
    }

    fn has_ties(&self) -> bool {
        self.mode == Mode::Incremental
            && matches!(self.walk().stop, Until::Before(_))
            && self.endpoint.fresh.iter().any(|fresh| matches!(fresh, Fresh::NewestFirst { ties: true, .. }))
    }

    /// Whether the walk may end here, or must not be trusted, before its list ends.
    fn early_end(&mut self, turn: &Turn<'_>, times: &[Time]) -> Option<After> {
        let backward = self.walk().direction == Direction::Backward;
        match self.walk().stop {
            Until::End => None,
            // Read backwards, page 1 holds the oldest rows and tells nothing about the newest.
            _ if backward && self.leg.pages == 1 => None,
            Until::Known => (turn.records > 0
                && turn.seen.known == Some(turn.batch.rows.len())
                && turn.batch.quarantined.is_empty())
            .then_some(After::End),
            Until::Before(since) => {
                let mut times = times.to_vec();
                if backward {
                    times.reverse();
                }
                // A cursor that is a bare second skips what is left of the second in which a page ended, and
                // neither page shows it. A page that goes on within that second is proof; so is, later, one that holds
                // all of the second.
                let edge = self.has_ties() && self.leg.pages > 1;
                let (Some(first), Some(last)) = (times.first().copied(), times.last().copied()) else {
                    return edge.then_some(After::Elsewhere);
                };
                let ordered = times.is_sorted_by(|a, b| a >= b)
                    && (backward || self.leg.last_time.is_none_or(|before| before >= first));
                if !ordered {
                    tracing::warn!(
                        object.name = self.object.name,
                        "{} is not in the order it was asked for; reading all of it",
                        self.path
                    );
                    return Some(After::Elsewhere);
                }
                if self.walk().per_page.is_some() {
                    // With something newer before it and older behind, all of a second is on this page.
                    self.leg.edges.retain(|second| !(first > *second && *second > last));
                } else if edge && self.leg.last_time != Some(first) {
                    match self.leg.last_time {
                        Some(second) if self.leg.edges.len() < MOST_EDGES => self.leg.edges.push(second),
                        _ => return Some(After::Elsewhere),
                    }
                }
                self.leg.last_time = Some(last);
                (last < since).then_some(After::End)
            }
        }
    }

    /// How many records a whole list announced and did not show, where that is more than rows coming
    /// and going while it was read explain.
    pub(super) fn gap(&self) -> Option<u64> {
        let total = self.leg.total.filter(|_| self.mode >= Mode::Full)?;
        let missing = total.saturating_sub(self.leg.records);
        (missing > (total / 1000).max(10)).then_some(missing)
    }

    /// A count that disagrees is no error by itself: it may be stale, or count another set. That the list ends
    /// on a full page, for the second time, although it announced more, is.
    pub(super) fn refuse_a_short_list(&self, turn: &Turn<'_>) -> Result<()> {
        // Full is what other pages were: Kit may give fewer than were asked for.
        let full = match self.endpoint.paging {
            Paging::Cursor { per_page } => {
                turn.records >= usize::from(per_page)
                    || (self.leg.pages > 1 && turn.records >= self.leg.largest)
            }
            Paging::Single | Paging::Numbered { .. } => false,
        };
        match self.gap() {
            Some(gap) if full && self.walk().kind == WalkKind::Again => Err(Error::new(
                Kind::SourcePagination,
                format!("the list ends on a full page without {gap} records that it announced"),
            )),
            _ => Ok(()),
        }
    }
}
