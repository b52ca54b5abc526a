//! What follows a page: lists that move, end early, repeat themselves, or hide somebody, and checkpoints of any age.

mod far;

use super::*;
use crate::model::objects::{BROADCASTS, CANCELLED_SUBSCRIBERS, SUBSCRIBERS, TAG_SUBSCRIPTIONS};
use crate::model::{ApiVersion, Mapping, time};
use crate::store::State;
use chrono::TimeDelta;

/// Minutes after the moment at which every pass here begins.
fn at(minutes: i64) -> Time {
    time::parse("2024-05-03T09:00:00Z").expect("a time") + TimeDelta::minutes(minutes)
}

/// A list, and a pass through it.
struct Reader {
    terms: Terms<'static>,
    pass: Pass,
}

impl Reader {
    fn of(object: &'static Object, version: ApiVersion, asked: Mode) -> Self {
        Reader::later(object, version, asked, 0, None)
    }

    fn later(
        object: &'static Object,
        version: ApiVersion,
        asked: Mode,
        minutes: i64,
        state: Option<&State>,
    ) -> Self {
        let terms = Terms {
            object,
            endpoint: object.endpoint(version).expect("it has requests"),
            version,
            partition: if object.parent().is_some() { "42" } else { "" },
            fingerprint: "x",
            overlap: TimeDelta::hours(24),
            now: at(minutes),
            opened_at: at(minutes),
            asked,
            counted: None,
        };
        Reader { terms, pass: Pass::open(&terms, state) }
    }

    /// One that asks for what is new since the moment at which it begins.
    fn of_news(object: &'static Object, version: ApiVersion) -> Self {
        Reader::later(object, version, Mode::Incremental, 0, Some(&complete()))
    }

    /// Takes in a page of rows of these ids and times.
    fn page(&mut self, following: &Following, total: Option<u64>, rows: &[(i64, Time)]) -> Result<Progress> {
        self.shown(following, total, rows, Seen { known: None, others: true })
    }

    fn shown(
        &mut self,
        following: &Following,
        total: Option<u64>,
        rows: &[(i64, Time)],
        seen: Seen,
    ) -> Result<Progress> {
        self.taken_in(End::Near, following, total, rows, seen)
    }

    fn taken_in(
        &mut self,
        end: End,
        following: &Following,
        total: Option<u64>,
        rows: &[(i64, Time)],
        seen: Seen,
    ) -> Result<Progress> {
        let Terms { object, endpoint, version, partition, now, .. } = self.terms;
        let records: Vec<String> = rows.iter().map(|(id, time)| {
            let time = time::text(*time);
            format!(
                r#"{{"id": {id}, "state": "active", "created_at": "{time}", "canceled_at": "{time}", "subscriber": {{"id": {id}, "state": "active"}}}}"#
            )
        }).collect();
        let mut batch =
            Mapping::new(object, endpoint, version, partition).rows(records.iter().map(String::as_str));
        batch.quarantined.clear();
        let turn = Turn { following, total, served_at: now, records: rows.len(), batch: &batch, seen };
        match end {
            End::Near => self.pass.absorb(&turn),
            End::Far => Ok(self.pass.absorb_far(&turn)),
        }
    }

    /// As [`Reader::page`], of rows of an hour ago.
    fn ids(
        &mut self,
        following: &Following,
        total: u64,
        ids: impl IntoIterator<Item = i64>,
    ) -> Result<Progress> {
        let rows: Vec<_> = ids.into_iter().map(|id| (id, at(-60))).collect();
        self.page(following, Some(total), &rows)
    }

    fn asks_for(&self, name: &str, value: &str) -> bool {
        self.pass.request().query.iter().any(|(n, v)| n == name && v == value)
    }
}

/// The state behind a complete pass.
fn complete() -> State {
    State {
        watermark: Some(at(0)),
        began_at: Some(at(0)),
        fingerprint: Some("x".to_owned()),
        ..State::default()
    }
}

fn behind(checkpoint: Progress) -> State {
    match checkpoint {
        Progress::More { checkpoint } => State { checkpoint: Some(checkpoint), ..complete() },
        Progress::Done { .. } => panic!("the pass is complete"),
    }
}

fn cursor(next: &str) -> Following {
    Following::Cursor { next: Some(next.to_owned()) }
}

fn is_done(progress: Result<Progress>) -> bool {
    matches!(progress.expect("the list is in order"), Progress::Done { .. })
}

const LAST: Following = Following::Cursor { next: None };
const OF_TWO: Following = Following::Numbered { total_pages: Some(2) };
const OF_THREE: Following = Following::Numbered { total_pages: Some(3) };
use ApiVersion::{V3, V4};

#[test]
fn a_count_is_asked_for_with_the_first_page_of_a_whole_list_and_that_page_lets_others_go_first() {
    let mut whole = Reader::of(&SUBSCRIBERS, V4, Mode::Full);
    let first = whole.pass.request();
    assert_eq!((first.with_total, first.precedence), (true, Precedence::Beginning));
    whole.ids(&cursor("a"), 9, 1..4).unwrap();
    let second = whole.pass.request();
    assert_eq!((second.with_total, second.precedence), (false, Precedence::Following));
    let news = Reader::of_news(&SUBSCRIBERS, V4).pass.request();
    assert_eq!((news.with_total, news.precedence), (false, Precedence::Following));
}

#[test]
fn a_pass_says_what_it_is_and_how_far_it_is() {
    let mut whole = Reader::of(&SUBSCRIBERS, V4, Mode::Full);
    assert_eq!(whole.pass.reading().opened_at, at(0));
    assert!(!whole.pass.is_resumed() && !whole.pass.asks_for_known() && !whole.pass.reads_hidden());
    whole.ids(&cursor("a"), 9, 1..4).unwrap();
    assert_eq!(whole.pass.extent(), (Some(9), 3));
    assert!(Reader::of_news(&CANCELLED_SUBSCRIBERS, V3).pass.asks_for_known());
}

#[test]
fn a_cursor_is_gone_on_from_for_half_an_hour_and_a_page_number_for_ever() {
    let resumes = |version, following: &Following, minutes| {
        let state = behind(Reader::of(&SUBSCRIBERS, version, Mode::Full).ids(following, 9, 1..4).unwrap());
        Reader::later(&SUBSCRIBERS, version, Mode::Full, minutes, Some(&state)).pass.is_resumed()
    };
    assert!(resumes(V4, &cursor("a"), 30) && !resumes(V4, &cursor("a"), 31));
    assert!(resumes(V3, &OF_THREE, 30) && resumes(V3, &OF_THREE, 31));
}

#[test]
fn a_checkpoint_of_other_terms_or_of_less_than_is_asked_for_is_not_gone_on_from() {
    let mut state = behind(Reader::of_news(&SUBSCRIBERS, V4).ids(&cursor("a"), 9, 1..4).unwrap());
    let resumes =
        |asked, state: &State| Reader::later(&SUBSCRIBERS, V4, asked, 1, Some(state)).pass.is_resumed();
    assert!(resumes(Mode::Incremental, &state) && !resumes(Mode::Full, &state));
    let other =
        state.checkpoint.take().map(|text| text.replace(r#""fingerprint":"x""#, r#""fingerprint":"y""#));
    assert!(!resumes(Mode::Incremental, &State { checkpoint: other, ..state }));
}

#[test]
fn what_was_walked_is_gone_on_from_for_half_an_hour_by_a_reconcile() {
    let mut reader = Reader::of(&SUBSCRIBERS, V4, Mode::Reconcile);
    let state = behind(reader.ids(&LAST, 3, 1..4).unwrap());
    assert!(reader.pass.is_walked());
    let walked = |minutes| {
        let pass = Reader::later(&SUBSCRIBERS, V4, Mode::Reconcile, minutes, Some(&state)).pass;
        assert_eq!(pass.is_resumed(), pass.is_walked());
        pass.is_walked()
    };
    assert!(walked(30) && !walked(31));
}

#[test]
fn a_resumed_cursor_that_is_answered_with_page_1_or_nothing_begins_again() {
    let state = behind(Reader::of(&SUBSCRIBERS, V4, Mode::Full).ids(&cursor("a"), 9, 1..4).unwrap());
    for (ids, next) in
        [(1..4, Position::First), (4..4, Position::First), (4..7, Position::After("b".to_owned()))]
    {
        let mut resumed = Reader::later(&SUBSCRIBERS, V4, Mode::Full, 1, Some(&state));
        resumed.ids(&cursor("b"), 9, ids.clone()).unwrap();
        assert_eq!(resumed.pass.request().position, next, "{ids:?}");
    }
}

/// M13.
#[test]
fn a_cursor_that_waited_for_more_than_two_minutes_and_brings_nothing_begins_again_three_times() {
    let mut reader = Reader::of(&SUBSCRIBERS, V4, Mode::Full);
    let mut minutes = 0;
    for time in 1..=4 {
        reader.ids(&cursor("a"), 9, 1..4).unwrap();
        minutes += 3;
        reader.terms.now = at(minutes);
        let behind = reader.ids(&LAST, 9, 4..4);
        assert_eq!(behind.is_err(), time == 4, "{time}");
    }
    let mut prompt = Reader::of(&SUBSCRIBERS, V4, Mode::Full);
    prompt.ids(&cursor("a"), 3, 1..4).unwrap();
    prompt.terms.now = at(2);
    assert!(is_done(prompt.ids(&LAST, 3, 4..4)), "an end is an end");
}

/// kit-api §16.9.
#[test]
fn a_list_that_has_become_much_shorter_is_gone_on_with_from_its_new_end() {
    let mut reader = Reader::of(&SUBSCRIBERS, V3, Mode::Full);
    let of = |pages| Following::Numbered { total_pages: Some(pages) };
    reader.ids(&of(400), 20_000, 1..51).unwrap();
    assert_eq!(reader.pass.request().position, Position::Number(400));
    reader.ids(&of(180), 9_000, 0..0).unwrap();
    assert_eq!(reader.pass.request().position, Position::Number(180));
}

#[test]
fn a_short_list_that_does_not_hold_still_is_read_back_again_three_times() {
    let mut reader = Reader::of(&SUBSCRIBERS, V3, Mode::Full);
    let mut total = 100;
    let walks = (1..10).find(|_| {
        reader.ids(&OF_TWO, total, 1..51).unwrap();
        total += 1;
        is_done(reader.ids(&OF_TWO, total, 51..101))
    });
    assert_eq!(walks, Some(5), "there, and again, and three times back");
}

#[test]
fn a_refused_place_begins_the_pass_again_three_times_and_a_refused_beginning_is_an_error() {
    let refused = || Error::new(Kind::SourceBadRequest, "no such place");
    let mut news = Reader::of_news(&SUBSCRIBERS, V4);
    assert!(news.pass.restart(refused()).is_err());
    let whole = behind(Reader::of(&SUBSCRIBERS, V4, Mode::Full).ids(&cursor("a"), 9, 1..4).unwrap());
    let mut reader = Reader::later(&SUBSCRIBERS, V4, Mode::Incremental, 1, Some(&whole));
    for time in 1..=3 {
        reader.pass.restart(refused()).unwrap();
        let request = reader.pass.request();
        assert_eq!(request.position, Position::First);
        assert!(!request.query.iter().any(|(name, _)| name == "created_after"), "of the whole list");
        reader.ids(&cursor("a"), 9, time * 10..time * 10 + 3).unwrap();
    }
    assert!(reader.pass.restart(refused()).is_err());
}

/// Pages 1, 3 and 2: each list is still, but for one thing.
#[test]
fn a_numbered_list_that_moved_is_read_once_more() {
    let whole = |pages: [&[(i64, Time)]; 3], last_total| {
        let mut reader = Reader::of(&SUBSCRIBERS, V3, Mode::Full);
        assert_eq!(reader.pass.request().position, Position::First);
        reader.page(&OF_THREE, Some(6), pages[0]).unwrap();
        assert_eq!(reader.pass.request().position, Position::Number(3));
        reader.page(&OF_THREE, Some(6), pages[1]).unwrap();
        !is_done(reader.page(&OF_THREE, Some(last_total), pages[2]))
    };
    let (old, new) = (at(-60), at(0));
    let [one, two, three] = [[(1, old), (2, old)], [(3, old), (4, old)], [(5, old), (6, old)]];
    assert!(!whole([&one, &three, &two], 6), "still");
    assert!(whole([&one, &three, &two], 7), "another total");
    assert!(whole([&one, &three, &[(4, old), (5, old)]], 6), "a row of the page before");
    assert!(whole([&one, &[(5, old), (6, new)], &two], 6), "somebody who arrived");
    assert!(!whole([&[(1, old), (2, new)], &three, &two], 6), "who was there on page 1 arrived before it");
    assert!(whole([&one, &three, &one], 6), "one page twice");
}

/// Totals do not show who came and went meanwhile.
#[test]
fn a_numbered_list_is_read_once_more_after_a_pause_of_more_than_half_an_hour() {
    let state = behind(Reader::of(&SUBSCRIBERS, V3, Mode::Full).ids(&OF_TWO, 4, 1..3).unwrap());
    let done = |minutes| {
        let mut resumed = Reader::later(&SUBSCRIBERS, V3, Mode::Full, minutes, Some(&state));
        is_done(resumed.ids(&OF_TWO, 4, 3..5))
    };
    assert!(done(30) && !done(31));
}

/// Each list announces a hundred and shows less, twice.
#[test]
fn a_list_that_ends_too_early_is_read_again_and_refused_if_it_then_ends_on_a_full_page() {
    let second = |pages: &[i64], total: u64| {
        let mut reader = Reader::of(&SUBSCRIBERS, V4, Mode::Full);
        assert!(!is_done(reader.ids(&LAST, total, 1..3)), "it is read again");
        let mut last = None;
        for (at, rows) in (0_i64..).zip(pages) {
            let more = at + 1 < pages.len() as i64;
            let following = if more { cursor(&at.to_string()) } else { LAST };
            last = Some(reader.ids(&following, total, at * 10_000..at * 10_000 + rows));
        }
        last.expect("a page").map(|progress| matches!(progress, Progress::Done { .. })).map_err(|e| e.kind())
    };
    assert_eq!(second(&[50], 100), Ok(true), "a page that is not full");
    assert_eq!(second(&[30, 20], 100), Ok(true), "a page smaller than others");
    assert_eq!(second(&[30, 30], 100), Err(Kind::SourcePagination), "a page as large as others");
    assert_eq!(second(&[1000], 2000), Err(Kind::SourcePagination), "as many as were asked for");
}

#[test]
fn ten_records_may_be_missing_of_a_small_list_and_leave_a_doubt() {
    let read = |mode, total| {
        let mut reader = Reader::of(&SUBSCRIBERS, V4, mode);
        let progress = reader.ids(&LAST, total, 1..51).unwrap();
        (
            matches!(progress, Progress::Done { .. }),
            reader.pass.is_walked(),
            reader.pass.reading().doubt.is_some(),
        )
    };
    assert_eq!(read(Mode::Full, 60), (true, true, false));
    assert_eq!(read(Mode::Full, 61), (false, false, false));
    assert_eq!(read(Mode::Reconcile, 50), (false, true, false));
    assert_eq!(read(Mode::Reconcile, 49), (false, true, false));
    assert_eq!(read(Mode::Reconcile, 60), (false, true, true));
}

#[test]
fn of_a_list_of_several_pages_a_few_may_leave_while_it_is_read() {
    let is_doubted = |total| {
        let mut reader = Reader::of(&TAG_SUBSCRIPTIONS, V4, Mode::Reconcile);
        reader.ids(&cursor("a"), total, 1..31).unwrap();
        reader.ids(&LAST, total, 31..51).unwrap();
        reader.pass.reading().doubt.is_some()
    };
    assert_eq!([50, 53, 54].map(is_doubted), [false, false, true]);
    // More of them, if the list has become shorter since it was first read.
    let is_doubted_again = |first, total| {
        let mut reader = Reader::of(&TAG_SUBSCRIPTIONS, V4, Mode::Reconcile);
        reader.ids(&cursor("a"), first, 1..601).unwrap();
        reader.ids(&LAST, first, 601..1_001).unwrap();
        let _ = reader.pass.read_again();
        reader.ids(&cursor("a"), total, 1..601).unwrap();
        reader.ids(&LAST, total, 601..1_001).unwrap();
        reader.pass.reading().doubt.is_some()
    };
    assert_eq!([1_003, 1_009, 1_010].map(|total| is_doubted_again(1_010, total)), [false, false, true]);
}

#[test]
fn people_who_may_be_hidden_are_asked_for_unless_somebody_of_them_was_seen() {
    for others in [true, false] {
        let mut reader = Reader::of(&TAG_SUBSCRIPTIONS, V3, Mode::Full);
        let seen = |others| Seen { known: None, others };
        reader.shown(&OF_TWO, Some(4), &[(1, at(-60)), (2, at(-60))], seen(others)).unwrap();
        let progress = reader.shown(&OF_TWO, Some(4), &[(3, at(-60)), (4, at(-60))], seen(false));
        assert_eq!(is_done(progress), others);
        assert_eq!(reader.pass.only_hidden_left(), !others);
        assert_eq!(reader.pass.reads_hidden(), !others);
        assert_eq!(reader.asks_for("subscriber_state", "cancelled"), !others);
    }
}

#[test]
fn a_list_by_time_ends_behind_the_first_row_from_before_the_day_and_not_with_that_day() {
    let begins = time::parse("2024-05-01T00:00:00Z").unwrap();
    for (last, ends) in [(begins, false), (begins - TimeDelta::seconds(1), true)] {
        let mut reader = Reader::of_news(&BROADCASTS, V4);
        assert_eq!(is_done(reader.page(&cursor("a"), None, &[(2, at(0)), (1, last)])), ends, "{last}");
    }
}

#[test]
fn a_list_by_time_that_goes_back_or_comes_again_is_read_as_a_whole() {
    // The second page, and whether the whole list is asked for behind it.
    let whole = |object, first: &[i64], second: &[i64], next: &str| {
        let page = |minutes: &[i64], id| -> Vec<_> { (id..).zip(minutes.iter().map(|m| at(*m))).collect() };
        let mut reader = Reader::of_news(object, V4);
        let asked = reader.pass.request().query;
        reader.page(&cursor("a"), None, &page(first, 1)).unwrap();
        let progress = reader.page(&cursor(next), None, &page(second, 10));
        progress
            .map(|_| reader.pass.request().position == Position::First)
            .map_err(|error| (error.kind(), asked.len()))
    };
    assert_eq!(whole(&BROADCASTS, &[-1, -2], &[-3, -4], "b"), Ok(false));
    assert_eq!(whole(&BROADCASTS, &[-1, -2], &[-1, -4], "b"), Ok(true), "later than the page before");
    assert!(whole(&BROADCASTS, &[-1, -2], &[-3, -4], "a").is_err(), "a cursor twice");
    let ties = &CANCELLED_SUBSCRIBERS;
    assert_eq!(whole(ties, &[-1, -2], &[-2, -4], "b"), Ok(false), "within the second");
    assert_eq!(
        whole(ties, &[-1, -2], &[-3, -4], "b"),
        Ok(false),
        "what is left of the second is looked for later"
    );
    assert_eq!(whole(ties, &[-1, -2], &[-2, -4], "a"), Ok(true), "a second with more rows than a page");
}

#[test]
fn seconds_in_which_pages_ended_are_looked_for_within_other_pages_and_then_in_the_whole_list() {
    let page = |minutes: &[i64]| -> Vec<_> { (1..).zip(minutes.iter().map(|m| at(*m))).collect() };
    for (second_page, is_found) in [(&[-3, -4, -5], true), (&[-4, -5, -6], false)] {
        let mut reader = Reader::of_news(&CANCELLED_SUBSCRIBERS, V4);
        let asked = reader.pass.request();
        reader.page(&cursor("a"), None, &page(&[-1, -2, -3, -4])).unwrap();
        reader.page(&LAST, None, &page(&[-5, -6])).unwrap();
        let again = reader.pass.request();
        assert_eq!((again.query.clone(), again.position), (asked.query.clone(), Position::First));
        assert_eq!(again.paging, Paging::Cursor { per_page: 2 });
        reader.page(&cursor("b"), None, &page(&[-1, -2])).unwrap();
        // The fourth minute stands between others, or begins the page.
        let end = reader.page(&LAST, None, &page(second_page));
        assert_eq!(is_done(end), is_found, "{second_page:?}");
        assert!(is_found || reader.pass.request().query != asked.query, "then the whole list is read");
    }
}

#[test]
fn a_moved_list_newest_first_is_read_oldest_first_and_page_1_does_not_end_that() {
    let mut reader = Reader::of_news(&TAG_SUBSCRIPTIONS, V3);
    reader.page(&OF_TWO, Some(4), &[(4, at(-1)), (3, at(-2))]).unwrap();
    assert_eq!(reader.pass.request().position, Position::Number(2));
    reader.page(&OF_TWO, Some(5), &[(2, at(-3)), (1, at(-4))]).unwrap();
    assert!(reader.asks_for("sort_order", "asc"), "the other way round");
    let long_ago = at(-60 * 24 * 30);
    reader.page(&OF_THREE, Some(5), &[(1, long_ago), (2, long_ago)]).unwrap();
    assert_eq!(reader.pass.request().position, Position::Number(3));
    assert!(is_done(reader.page(&OF_THREE, Some(5), &[(5, long_ago)])), "nothing newer is before it");
}

#[test]
fn a_list_is_known_when_all_rows_of_a_page_are_and_there_are_some() {
    let ends = |rows: &[(i64, Time)], known| {
        let mut reader = Reader::of_news(&CANCELLED_SUBSCRIBERS, V3);
        is_done(reader.shown(&OF_THREE, Some(6), rows, Seen { known: Some(known), others: true }))
    };
    let rows = [(2, at(-1)), (1, at(-2))];
    assert!(ends(&rows, 2) && !ends(&rows, 1) && !ends(&[], 0));
}

#[test]
fn a_list_without_totals_ends_with_a_page_that_comes_a_third_time() {
    let mut reader = Reader::of(&BROADCASTS, V3, Mode::Full);
    let rows: Vec<_> = (1..=50).map(|id| (id, at(-60))).collect();
    let following = Following::Numbered { total_pages: None };
    let ends: Vec<bool> = (0..3).map(|_| is_done(reader.page(&following, None, &rows))).collect();
    assert_eq!(ends, [false, false, true]);
}

#[test]
fn the_start_of_a_pass_counts_only_where_the_time_of_a_row_is_not_shown() {
    for (object, version, mark) in [
        (&SUBSCRIBERS, V3, at(-60)),
        (&CANCELLED_SUBSCRIBERS, V4, at(-60)),
        (&CANCELLED_SUBSCRIBERS, V3, at(0)),
    ] {
        let mut reader = Reader::of(object, version, Mode::Full);
        let following = if version == V3 { Following::Numbered { total_pages: Some(1) } } else { LAST };
        match reader.ids(&following, 2, 1..3).unwrap() {
            Progress::Done { watermark, .. } => {
                assert_eq!(watermark, Some(mark), "{} {version}", object.name)
            }
            Progress::More { .. } => panic!("there is no other page"),
        }
    }
}
