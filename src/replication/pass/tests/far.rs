//! Lists that are read from both ends.

use super::*;

impl Reader {
    /// As [`Reader::ids`], of the far end.
    fn far(&mut self, following: &Following, ids: impl IntoIterator<Item = i64>) -> Progress {
        let rows: Vec<_> = ids.into_iter().map(|id| (id, at(-60))).collect();
        self.taken_in(End::Far, following, None, &rows, Seen::default()).expect("nothing is refused there")
    }

    /// Which ends are asked when nothing is under way, and which beside one request.
    fn wants(&self) -> [[bool; 2]; 2] {
        [0, 1].map(|under_way| [End::Near, End::Far].map(|end| self.pass.wants(end, under_way)))
    }
}

/// A reader of people whose list has so many, and whose first page of ten was read.
fn of_people(total: u64) -> Reader {
    let mut people = Reader::of(&SUBSCRIBERS, V4, Mode::Full);
    assert_eq!(people.wants(), [[true, false], [false, false]], "nobody knows how long it is");
    people.ids(&cursor("near 1"), total, 1..=10).unwrap();
    people
}

const BOTH: [bool; 2] = [true, true];
const NEAR: [bool; 2] = [true, false];
const NEITHER: [bool; 2] = [false, false];

#[test]
fn a_list_by_id_is_read_from_both_ends_until_they_meet_in_as_many_requests_as_it_has_pages() {
    let mut people = of_people(35);
    assert_eq!(people.wants(), [BOTH, BOTH]);
    let far = people.pass.request_at(End::Far);
    assert_eq!(
        (far.position, far.with_total, far.precedence),
        (Position::First, false, Precedence::Following)
    );
    let order = |end| -> Vec<String> {
        people.pass.request_at(end).query.into_iter().map(|(name, value)| format!("{name}={value}")).collect()
    };
    let [near, far] = [End::Near, End::Far].map(order);
    assert!(far.contains(&"sort_order=desc".to_owned()) && near.contains(&"sort_order=asc".to_owned()));
    assert_eq!(near.len(), far.len());
    people.far(&cursor("far 1"), (26..=35).rev());
    assert_eq!(people.pass.extent(), (Some(35), 20));
    assert_eq!(people.pass.request_at(End::Far).position, Position::After("far 1".to_owned()));
    assert_eq!(people.pass.request_at(End::Near).position, Position::After("near 1".to_owned()));
    assert_eq!(people.wants(), [BOTH, BOTH]);
    people.ids(&cursor("near 2"), 35, 11..=20).unwrap();
    assert_eq!(people.wants(), [BOTH, NEITHER], "five are left, which one page shows");
    assert!(is_done(people.ids(&cursor("near 3"), 35, 21..=30)));
}

#[test]
fn the_far_end_may_be_the_one_that_meets_the_other() {
    let mut people = of_people(25);
    people.ids(&cursor("near 2"), 25, 11..=20).unwrap();
    let met = people.far(&cursor("far 1"), (16..=25).rev());
    assert!(matches!(met, Progress::Done { .. }));
}

/// What the ends show before they stand at 10 and 16, and then a page of the near end. The far end is believed if they
/// have met, and the near one goes on by itself if they contradict each other.
#[test]
fn the_ends_have_met_when_one_shows_what_the_other_ended_with_and_before() {
    let cases = [
        ("they meet", vec![11, 12, 13, 14, 15, 16, 17], true),
        ("in one person", vec![11, 12, 13, 14, 15, 16], true),
        ("whoever stood there has left", vec![11, 12, 13, 14, 15, 17, 18], false),
        ("whoever stood before that has left", vec![11, 12, 13, 14, 15, 16, 18], false),
        ("an id beyond it is an error", vec![11, 12, 999], false),
        ("that very id is one", vec![11, 12, 13, 16, 19], false),
    ];
    for (what, ids, is_met) in cases {
        let mut people = of_people(25);
        people.far(&cursor("far 1"), (16..=25).rev());
        let count = ids.len() as u64;
        assert_eq!(is_done(people.ids(&cursor("near 2"), 25, ids)), is_met, "{what}");
        if !is_met {
            assert_eq!(people.pass.extent(), (Some(25), 10 + count), "{what}");
            assert_eq!(people.wants()[0], NEAR, "{what}");
        }
    }
    // The same, seen from the other end: the near one stands at 25 by an error, behind 12.
    let mut people = of_people(35);
    people.ids(&cursor("near 2"), 35, [11, 12, 25]).unwrap();
    assert!(matches!(people.far(&cursor("far 1"), (22..=35).rev()), Progress::More { .. }));
    assert_eq!(people.wants()[0], NEAR);
}

/// G-05. What the far end has shown does not hide that the near one ended too early.
#[test]
fn a_near_end_that_ends_before_the_far_one_is_read_again() {
    let mut people = of_people(45);
    people.far(&cursor("far 1"), (21..=45).rev());
    assert!(!is_done(people.ids(&LAST, 45, 11..=12)), "eight are between them");
    assert_eq!(people.pass.extent(), (None, 0));
    assert_eq!(people.pass.request().position, Position::First);
}

#[test]
fn a_list_whose_last_page_is_full_is_read_from_both_ends_only_where_a_request_more_is_of_no_account() {
    assert_eq!(of_people(30).wants(), [NEAR, [true, false]]);
    assert_eq!(of_people(990).wants()[0], NEAR);
    assert_eq!(of_people(1_000).wants(), [BOTH, BOTH]);
    let ends = [3_000, 3_001, 100_000].map(|total| of_people(35).pass.ends(total));
    assert_eq!(ends, [1, 2, 2], "of pages of a thousand");
    let extra = [999, 1_000, 1_001, 2_000].map(|total| requests_to_meet(total, 10));
    assert_eq!(extra, [0, 1, 0, 1]);
    let mut people = of_people(1_000);
    people.far(&cursor("far"), (11..=1_000).rev());
    assert_eq!(people.wants(), [NEAR, NEITHER], "one page more tells that nothing is between them");
    assert!(is_done(people.ids(&cursor("near 2"), 1_000, 11..=20)));
}

#[test]
fn a_far_end_that_is_not_as_it_should_be_is_given_up_and_the_near_one_reads_everything() {
    let ascending = (26..=35).collect::<Vec<i64>>();
    let cases: [(&str, Following, Vec<i64>); 6] = [
        ("the order was not heeded", cursor("far 2"), ascending),
        ("the place is forgotten", cursor("far 2"), (36..=45).rev().collect()),
        ("nothing comes", cursor("far 2"), Vec::new()),
        ("it ends before they meet", LAST, (26..=35).rev().collect()),
        ("a row comes twice", cursor("far 2"), vec![35, 34, 34]),
        ("it passes the near end", cursor("far 2"), vec![35, 34, 9]),
    ];
    for (what, following, ids) in cases {
        let mut people = of_people(45);
        people.far(&cursor("far 1"), (36..=45).rev());
        people.far(&following, ids);
        assert_eq!(people.wants(), [NEAR, [true, false]], "{what}");
        assert_eq!(people.pass.extent(), (Some(45), 10), "{what}");
        // What was under way comes, and means nothing.
        people.far(&cursor("far 3"), (26..=35).rev());
        assert_eq!(people.pass.extent(), (Some(45), 10), "{what}");
        people.ids(&cursor("near 2"), 45, 11..=40).unwrap();
        assert!(is_done(people.ids(&LAST, 45, 41..=45)), "{what}");
    }
    let mut people = of_people(45);
    people.far(&cursor("far 1"), (36..=45).rev());
    people.ids(&cursor("near 2"), 45, 5..=20).unwrap();
    assert_eq!(people.wants()[0], NEAR, "nor if the near one is not in order");
    let mut one = Reader::of(&SUBSCRIBERS, V4, Mode::Full);
    one.ids(&cursor("near 1"), 3, [1]).unwrap();
    one.far(&cursor("far 1"), [1]);
    assert_eq!(one.wants()[0], NEAR, "one person is no proof of an order");
}

/// H-13, R-03. Both places are in the checkpoint.
#[test]
fn a_list_that_is_read_from_both_ends_is_gone_on_with_at_both() {
    let mut people = of_people(45);
    let checkpoint = people.far(&cursor("far 1"), (36..=45).rev());
    let mut later = Reader::later(
        &SUBSCRIBERS,
        V4,
        Mode::Incremental,
        29,
        Some(&State { watermark: None, ..behind(checkpoint) }),
    );
    assert_eq!(
        [End::Near, End::Far].map(|end| later.pass.request_at(end).position),
        ["near 1", "far 1"].map(|at| Position::After(at.to_owned()))
    );
    assert_eq!(later.pass.pages_left(), 3);
    later.ids(&cursor("near 2"), 45, 11..=20).unwrap();
    // A cursor that Kit has forgotten.
    later.far(&cursor("far 2"), (36..=45).rev());
    assert_eq!(later.wants()[0], NEAR);
    assert!(is_done(later.ids(&LAST, 45, 21..=45)));
}

#[test]
fn only_a_whole_list_by_id_is_read_from_both_ends() {
    let mut news = Reader::of_news(&SUBSCRIBERS, V4);
    news.ids(&cursor("a"), 95, 1..=10).unwrap();
    assert_eq!(news.wants()[0], NEAR);
    for (object, version) in [(&SUBSCRIBERS, V3), (&TAG_SUBSCRIPTIONS, V4), (&BROADCASTS, V4)] {
        let mut list = Reader::of(object, version, Mode::Full);
        let following = if version == V3 { OF_THREE } else { cursor("a") };
        list.ids(&following, 95, 1..=10).unwrap();
        assert_eq!(list.wants()[0], NEAR, "{} {version}", object.name);
    }
    // What is missing is looked for from one end.
    let mut short = of_people(95);
    short.ids(&LAST, 95, 11..=20).unwrap();
    short.ids(&cursor("near 1"), 95, 1..=10).unwrap();
    assert_eq!(short.wants()[0], NEAR);
}
