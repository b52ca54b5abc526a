//! One reading of one partition: where it is, what comes next, when it is complete, and what
//! watermark it has earned. Pure: pages go in, positions come out.
//!
//! A pass is one or more *walks* through the list. Most need one; subscribers are asked twice (what
//! was created, what was updated), and a walk that could have missed something adds another. A pass that
//! reconciles is *walked* before it is complete: what it has not met is looked for in between (`reconcile`).

mod checkpoint;
mod far;
mod open;
mod turn;

use chrono::SubsecRound as _;

use super::endless::Endless;
use super::plan::Mode;
use super::walk::{Direction, Until, Walk, WalkKind, owned};
use crate::chaos::{Bug, planted};
use crate::error::{Error, Kind, Result};
use crate::kit::{Following, PageRequest, Position, Precedence};
use crate::model::{Batch, Endpoint, Object, Paging, Time};
use crate::store::{Progress, Swept};
pub use checkpoint::Reading;
use checkpoint::{Checkpoint, Leg};
use far::Far;
pub use far::{End, requests_to_meet};
pub use open::Terms;
use turn::After;

/// How often one pass may begin again because Kit no longer accepts its place in the list.
const RESTARTS: u32 = 3;
/// Pages of a numbered list that is read until it holds still. In a longer one something always moves, and a row is hardly
/// ever lost to both ways through it; in a short one, that is likelier than it looks, and costs little to prevent.
const SHORT_LIST: u64 = 20;
/// A cursor that is followed later than this, after failed attempts, may have expired. Turns of the limiter do not last
/// so long.
const CURSOR_IN_DOUBT: chrono::TimeDelta = chrono::TimeDelta::minutes(2);

/// So many may leave any list in the minutes between two looks.
const FEW_LEAVE: u64 = 3;

/// How many of so many members may: the last percent, or a few.
pub(super) fn may_leave(members: u64) -> u64 {
    (members / 100).max(FEW_LEAVE)
}

/// What the extractor has found out about a page before the pass takes it in.
#[derive(Debug, Clone, Copy, Default)]
pub struct Seen {
    /// How many of the rows a completed pass has stored; asked for where the walk stops at known rows.
    pub known: Option<usize>,
    /// Whether a record shows somebody who is not active.
    pub others: bool,
}

/// A page as the pass sees it.
#[derive(Debug)]
pub struct Turn<'p> {
    /// What it says about its place.
    pub following: &'p Following,
    /// Rows in the list, where it says so.
    pub total: Option<u64>,
    /// The source's clock.
    pub served_at: Time,
    /// Records on it.
    pub records: usize,
    /// Its rows, in the order in which they came.
    pub batch: &'p Batch,
    /// What was found out about it.
    pub seen: Seen,
}

/// A reading of one partition, under way.
#[derive(Debug)]
pub struct Pass {
    object: &'static Object,
    endpoint: &'static Endpoint,
    path: String,
    fingerprint: String,
    mode: Mode,
    ceiling: Option<Time>,
    seen_max: Option<Time>,
    /// The source's clock at the last page.
    latest: Option<Time>,
    walks: Vec<Walk>,
    next: Position,
    leg: Leg,
    /// How many walks were begun.
    legs: u64,
    reading: Reading,
    /// Resumed from a checkpoint, and no page since.
    resumed: bool,
    /// A page was read, in this life or an earlier one, or the list is known to have been empty.
    begun: bool,
    restarts: u32,
    counted: Option<i64>,
    plan: Vec<Walk>,
    whole: Walk,
    pass_start_counts: bool,
    endless: Endless,
}

impl Pass {
    /// How it reads.
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// Whether it goes on with an unfinished pass.
    pub fn is_resumed(&self) -> bool {
        self.resumed
    }

    /// Whether everything was read and only vanished rows are left to be looked for.
    pub fn is_walked(&self) -> bool {
        self.walks.is_empty()
    }

    /// What is known about the readings of the whole list.
    pub fn reading(&self) -> &Reading {
        &self.reading
    }

    /// The whole list is to be read a second time, before what the first reading did not meet counts as gone.
    pub fn read_again(&mut self) -> Progress {
        self.reading.second = true;
        self.reading.doubt = None;
        self.walks = vec![self.whole.clone()];
        self.next = Position::First;
        self.new_leg();
        self.position()
    }

    /// Vanished rows were looked for: the pass is complete.
    pub fn finish(&self, swept: Swept) -> Progress {
        match self.done(self.latest.unwrap_or(self.reading.opened_at)) {
            Progress::Done { watermark, began_at, counted, .. } => {
                Progress::Done { watermark, began_at, swept, counted }
            }
            more @ Progress::More { .. } => more,
        }
    }

    /// Something was read that cannot be told apart from what is stored.
    pub fn doubt(&mut self, why: impl FnOnce() -> String) {
        if self.mode == Mode::Reconcile {
            self.reading.doubt.get_or_insert_with(why);
        }
    }

    /// What the position is made under.
    pub fn fingerprint(&self) -> &str {
        &self.fingerprint
    }

    /// Whether the walk under way stops at known rows, so that it must be told how many are.
    pub fn asks_for_known(&self) -> bool {
        self.walk().stop == Until::Known
    }

    /// Whether the walk under way asks for people whom the plain list may hide.
    pub fn reads_hidden(&self) -> bool {
        // By what is asked, not by why: a second way through such a list asks for the same people.
        self.endpoint.hidden.is_some_and(|(query, _)| self.walk().asks_for(query))
    }

    /// Whether only people whom the plain list may hide are left to be read.
    pub fn only_hidden_left(&self) -> bool {
        self.walk().kind == WalkKind::Hidden && self.leg.pages == 0
    }

    /// The plain list is known to hide nobody: what is left to be read need not be.
    pub fn skip_hidden(&mut self, now: Time) -> Progress {
        self.walks.retain(|walk| walk.kind != WalkKind::Hidden);
        self.behind_a_walk(now)
    }

    /// The list's size as its first page said, and the records read so far: for progress bars.
    pub fn extent(&self) -> (Option<u64>, u64) {
        (self.leg.total, self.leg.records)
    }

    /// Whether the next page is the first one of a walk that goes on to the end of its list.
    pub fn shows_its_length(&self) -> bool {
        self.next == Position::First && self.walk().stop == Until::End
    }

    /// Pages that a resumed walk has before it, or very many where nothing is known.
    pub fn pages_left(&self) -> u64 {
        match self.leg.total {
            Some(total) => total.saturating_sub(self.leg.records).div_ceil(self.leg.largest.max(1) as u64),
            None => u64::from(u32::MAX),
        }
    }

    fn walk(&self) -> &Walk {
        self.walks.first().unwrap_or(&self.whole)
    }

    fn query(&self, walk: &Walk) -> Vec<(String, String)> {
        let mut query = owned(self.endpoint.query);
        query.extend(walk.query.iter().cloned());
        query
    }

    /// Which of its walks is under way: what was asked for in another is of no more use.
    pub fn leg_number(&self) -> u64 {
        self.legs
    }

    /// The request for the next page.
    pub fn request(&self) -> PageRequest {
        let walk = self.walk();
        PageRequest {
            path: self.path.clone(),
            list: self.endpoint.list,
            paging: match (walk.per_page, self.endpoint.paging) {
                (Some(per_page), Paging::Cursor { .. }) => Paging::Cursor { per_page },
                (_, paging) => paging,
            },
            query: self.query(walk),
            position: self.next.clone(),
            // A count is slow at Kit; worth it once for a whole list.
            with_total: self.next == Position::First && self.mode >= Mode::Full,
            precedence: if !self.begun && self.mode >= Mode::Full {
                Precedence::Beginning
            } else {
                Precedence::Following
            },
        }
    }

    /// Kit did not accept the place in the list (a stale cursor, a page that is no more): the pass
    /// begins again. The watermark was not touched, so that is always safe.
    ///
    /// # Errors
    /// Gives `error` back when the beginning of a list was refused, or after a few tries.
    pub fn restart(&mut self, error: Error) -> Result<()> {
        if self.next == Position::First || self.restarts >= RESTARTS {
            return Err(error);
        }
        tracing::info!(
            object.name = self.object.name,
            "Kit does not accept the place in {}; the pass begins again",
            self.path
        );
        self.begin_again();
        Ok(())
    }

    fn begin_again(&mut self) {
        self.restarts += 1;
        self.walks = self.plan.clone();
        self.next = Position::First;
        self.new_leg();
        self.resumed = false;
    }

    fn new_leg(&mut self) {
        self.leg = Leg::default();
        self.legs += 1;
        self.endless = Endless::default();
    }

    /// Takes in a page: where the pass is behind it.
    ///
    /// # Errors
    /// `SourcePagination` when the list repeats itself or does not end.
    pub fn absorb(&mut self, turn: &Turn<'_>) -> Result<Progress> {
        let ceiling = *self.ceiling.get_or_insert(turn.served_at);
        let before = self.latest.replace(turn.served_at);
        let late = before.is_some_and(|before| turn.served_at - before > CURSOR_IN_DOUBT);
        self.begun = true;
        if (std::mem::take(&mut self.resumed) || late) && self.is_stale(turn) {
            if self.restarts >= RESTARTS {
                let what =
                    "a place in the list is forgotten by Kit again and again before it can be gone on from";
                return Err(Error::new(Kind::SourcePagination, what));
            }
            tracing::info!(
                object.name = self.object.name,
                "Kit no longer knows the place in {}; the pass begins again",
                self.path
            );
            self.begin_again();
            return Ok(self.position());
        }
        let times = self.times(turn.batch);
        let met = self.meets_far(turn);
        self.take_in(turn, turn.records.saturating_sub(met.unwrap_or(0)), &times);
        self.leg.last_total = turn.total.or(self.leg.last_total);
        if self.leg.pages == 1 {
            self.leg.total = turn.total;
            self.leg.first_key = self.first_key(turn.batch);
        } else if turn.total.is_some() && turn.total != self.leg.total {
            self.leg.moved = true;
        }
        let keys: Vec<Vec<i64>> = turn.batch.rows.iter().map(|row| row.key(self.object)).collect();
        if matches!(turn.following, Following::Numbered { total_pages: Some(_) }) {
            let slid = keys.iter().any(|key| self.leg.last_page.contains(key));
            // Somebody who arrived since page 1 was read, while the total may be what it was: then somebody
            // left, and what he left on page 1 to slide there was not seen.
            // Kit tells whole seconds.
            let begun = ceiling.trunc_subsecs(0);
            let arrived = self.leg.pages > 1 && times.iter().any(|time| *time >= begun);
            self.leg.moved |= (slid || arrived) && self.walk().direction == Direction::Backward;
            self.leg.last_page.clone_from(&keys);
        }
        let again =
            self.endless.page(turn.following, &keys, turn.records, (self.leg.records, self.leg.total))?;
        // Where one numbered page is shown twice, another may not have been shown at all.
        self.leg.moved |= again && matches!(turn.following, Following::Numbered { total_pages: Some(_) });
        let after = if met.is_some() { After::End } else { self.after(turn, &times)? };
        match after {
            After::Page(next) => {
                self.next = next;
                Ok(self.position())
            }
            After::OtherEdges => {
                let open = std::mem::take(&mut self.leg.edges);
                self.walk_instead(self.walk().with_other_edges(self.leg.largest));
                self.leg.edges = open;
                Ok(self.position())
            }
            After::Elsewhere => {
                // What this walk may have missed, the whole list in a safe order will not.
                self.walk_instead(self.whole.clone());
                Ok(self.position())
            }
            After::End => {
                if met.is_none() && matches!(self.leg.far, Far::Read { .. }) {
                    // It has not come to where the far end is, so nobody knows what lies between them.
                    self.give_up_far();
                }
                self.refuse_a_short_list(turn)?;
                Ok(self.finish_walk(ceiling))
            }
        }
    }

    /// What a page adds to the walk, of whose records so many are new to it.
    fn take_in(&mut self, turn: &Turn<'_>, new: usize, times: &[Time]) {
        self.seen_max = self.seen_max.max(times.iter().copied().max());
        self.leg.pages += 1;
        self.leg.records += new as u64;
        self.leg.saw_others |= turn.seen.others;
        self.leg.largest = self.leg.largest.max(turn.records);
    }

    /// Another walk takes the place of the one under way.
    fn walk_instead(&mut self, walk: Walk) {
        self.walks[0] = walk;
        self.next = Position::First;
        self.new_leg();
    }

    fn first_key(&self, batch: &Batch) -> Option<Vec<i64>> {
        batch.rows.first().map(|row| row.key(self.object))
    }

    /// How many may have left a list since its length was told. Numbered pages tell it with each; cursors with the first,
    /// and that more than a few leave shows in a length that is less than at the reading before.
    fn may_have_left(&self) -> u64 {
        let told_once = matches!(self.endpoint.paging, Paging::Cursor { .. }) && self.leg.pages > 1;
        let shrinks = self.reading.second && self.reading.announced > self.leg.total;
        match (told_once, shrinks) {
            (false, _) => 0,
            (true, false) => FEW_LEAVE,
            (true, true) => may_leave(self.leg.records),
        }
    }

    fn times(&self, batch: &Batch) -> Vec<Time> {
        match self.object.column_index(self.object.watermark.column()) {
            Some(index) => batch.rows.iter().filter_map(|row| row.time(index)).collect(),
            None => Vec::new(),
        }
    }

    /// A walk is at its end: on to the next one, or the pass is complete.
    fn finish_walk(&mut self, ceiling: Time) -> Progress {
        let walk = self.walks.remove(0);
        let mut add = Vec::new();
        let numbered = matches!(self.endpoint.paging, Paging::Numbered { totals: true });
        let moved = numbered && self.leg.moved && !planted(Bug::PageNumbers);
        let gap = self.gap();
        if !self.reading.second {
            self.reading.announced = self.leg.total;
        }
        if let Some(gap) = gap {
            tracing::warn!(
                object.name = self.object.name,
                "{} announced {gap} more records than it showed{}",
                self.path,
                if walk.kind == WalkKind::Again { "" } else { "; reading it once more" }
            );
        }
        if (moved || gap.is_some()) && walk.kind != WalkKind::Again {
            add.push(walk.other_way_round());
        } else if moved && walk.may_go_back() && self.leg.pages <= SHORT_LIST {
            add.push(walk.back_again());
        } else if let Some(total) =
            self.leg.last_total.filter(|total| *total > self.leg.records + self.may_have_left())
        {
            let shown = self.leg.records;
            self.doubt(|| format!("Kit announced {total} records and showed {shown}"));
        }
        if let Some((query, _)) = self.endpoint.hidden
            && walk.kind == WalkKind::Main
            && !self.leg.saw_others
        {
            add.push(walk.through_hidden(query));
        }
        // A second way through comes at once, people who may be hidden come last.
        for (at, extra) in add.into_iter().enumerate() {
            match extra.kind {
                WalkKind::Hidden => self.walks.push(extra),
                WalkKind::Again | WalkKind::Main => self.walks.insert(at, extra),
            }
        }
        self.next = Position::First;
        self.new_leg();
        self.behind_a_walk(ceiling)
    }

    fn behind_a_walk(&self, ceiling: Time) -> Progress {
        if self.walks.is_empty() && self.mode < Mode::Reconcile {
            self.done(ceiling)
        } else {
            self.position()
        }
    }

    /// Where it is.
    pub fn position(&self) -> Progress {
        let checkpoint = Checkpoint {
            fingerprint: self.fingerprint.clone(),
            mode: self.mode,
            saved_at: self.latest.or(self.ceiling).unwrap_or_default(),
            ceiling: self.ceiling.unwrap_or_default(),
            seen_max: self.seen_max,
            walks: self.walks.clone(),
            next: self.next.clone(),
            leg: self.leg.clone(),
            reading: self.reading.clone(),
        };
        Progress::More { checkpoint: serde_json::to_string(&checkpoint).unwrap_or_default() }
    }

    fn done(&self, ceiling: Time) -> Progress {
        let ceiling = self.ceiling.unwrap_or(ceiling);
        let earned = if self.pass_start_counts { Some(ceiling) } else { self.seen_max };
        let watermark = promote(earned, ceiling);
        Progress::Done { watermark, began_at: ceiling, swept: Swept::No, counted: self.counted }
    }
}

/// What a complete pass has earned: the greatest time it saw, but never beyond the source's clock at its
/// first page. Lists are not always ordered by the time we filter on: without this ceiling, a row created
/// during the pass on a page already read would be left behind for good, and one row dated 2999 would end
/// replication. That the stored watermark never moves back is the store's part.
pub fn promote(seen_max: Option<Time>, ceiling: Time) -> Option<Time> {
    seen_max.map(|seen| seen.min(ceiling))
}

#[cfg(test)]
mod tests;
