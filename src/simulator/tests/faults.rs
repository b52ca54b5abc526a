//! Faults that show without a network: which requests they hit, what they do to pages and rows.

use serde_json::Value;

use super::{encoded, get, ids, rows_of, still};
use crate::simulator::{
    AccountPlan, Action, Blank, Fault, Junk, Mutation, PageFault, Simulator, Version, Which,
};

const LIST: &str = "/v4/subscribers?status=all&per_page=10";

fn simulator() -> Simulator {
    still(AccountPlan::small())
}

fn statuses(simulator: &Simulator, path: &str, count: usize) -> Vec<u16> {
    (0..count).map(|_| simulator.ask(path).0).collect()
}

fn end_cursor(page: &Value) -> String {
    page["pagination"]["end_cursor"].as_str().expect("a cursor").to_string()
}

fn next(page: &Value) -> String {
    format!("{LIST}&after={}", encoded(&end_cursor(page)))
}

#[test]
fn a_fault_hits_the_requests_it_was_made_for() {
    let simulator = simulator();
    let third = simulator.faults().add(Fault::status(503).on("/v4/subscribers").nth(3));
    assert_eq!(statuses(&simulator, "/v4/tags", 3), [200; 3]);
    assert_eq!(statuses(&simulator, LIST, 4), [200, 200, 503, 200]);
    assert_eq!(simulator.faults().fired(third), Some(1));
    simulator.faults().clear();

    simulator.faults().add(Fault::status(500).on("/v4/tags/*/subscribers").requests(2..=3));
    assert_eq!(statuses(&simulator, "/v4/tags/23217323/subscribers", 4), [200, 500, 500, 200]);
    simulator.faults().clear();

    simulator.faults().add(Fault::status(500).on("subscribers").every(2).times(2));
    assert_eq!(statuses(&simulator, LIST, 7), [200, 500, 200, 500, 200, 200, 200]);
    simulator.faults().clear();

    let v3_only = simulator.faults().add(Fault::status(500).version(Version::V3));
    assert_eq!((simulator.ask("/v3/tags").0, simulator.ask("/v4/tags").0), (500, 200));
    simulator.faults().remove(v3_only);
    assert_eq!(simulator.ask("/v3/tags").0, 200);

    simulator.faults().add(Fault::status(500).chance(0.3));
    let failed = statuses(&simulator, "/v4/tags", 1_000).iter().filter(|status| **status == 500).count();
    assert!((240..=360).contains(&failed), "{failed} of 1000");
}

#[test]
fn errors_come_in_every_shape() {
    let simulator = simulator();
    let body = |blank| {
        simulator.faults().clear();
        simulator.faults().add(Fault::new(Action::Status(502, blank)));
        simulator.ask("/v4/tags").1
    };
    assert!(body(Blank::Json).starts_with(r#"{"errors":["#));
    assert_eq!(body(Blank::Empty), "");
    assert!(body(Blank::Html).contains("<html>"));
    let junk = |junk| {
        simulator.faults().clear();
        simulator.faults().add(Fault::new(Action::Junk(junk)));
        simulator.ask("/v4/tags")
    };
    for text in ["{}", "[]", "null", r#"{"subscribers":null}"#] {
        assert_eq!(junk(Junk::Json(text.into())), (200, text.to_string()));
    }
    assert!(junk(Junk::Deep(10_000)).1.len() > 20_000);
    assert!(junk(Junk::EmptyObjects(1_000)).1.len() > 3_000);
}

#[test]
fn cursors_repeat_loop_or_never_end() {
    let simulator = simulator();
    simulator.faults().add(Fault::page(PageFault::SameCursor));
    let first = get(&simulator, LIST);
    let second = get(&simulator, &next(&first));
    assert_eq!(end_cursor(&first), end_cursor(&second));
    simulator.faults().clear();

    simulator.faults().add(Fault::page(PageFault::CursorLoop(3)));
    let mut page = get(&simulator, LIST);
    let mut cursors = vec![end_cursor(&page)];
    for _ in 0..5 {
        page = get(&simulator, &next(&page));
        cursors.push(end_cursor(&page));
    }
    assert_eq!(cursors[..3], cursors[3..]);
    assert_ne!(cursors[0], cursors[1]);
    simulator.faults().clear();

    simulator.faults().add(Fault::page(PageFault::EndlessCursors));
    let mut page = get(&simulator, LIST);
    let mut seen = std::collections::HashSet::new();
    for _ in 0..20 {
        assert!(seen.insert(end_cursor(&page)));
        page = get(&simulator, &next(&page));
    }
    assert_eq!(rows_of(&page).len(), 10, "always the first page");
}

#[test]
fn an_empty_page_in_the_middle_loses_nothing_and_a_repeated_one_repeats() {
    for (fault, rows) in [(PageFault::EmptyPage, 120), (PageFault::RepeatPage, 130)] {
        let simulator = simulator();
        simulator.faults().add(Fault::page(fault.clone()).on("/v4/subscribers").nth(4));
        let rows_walked = super::walk_v4(&simulator, LIST);
        let mut distinct = ids(&rows_walked);
        distinct.sort_unstable();
        distinct.dedup();
        assert_eq!((rows_walked.len(), distinct.len()), (rows, 120), "{fault:?}");
    }
    let simulator = simulator();
    simulator.faults().add(Fault::page(PageFault::RepeatPage).nth(2));
    let page = |n: u64| get(&simulator, &format!("/v3/subscribers?page={n}"));
    let (first, second) = (page(1), page(2));
    assert_eq!(first["subscribers"], second["subscribers"]);
    assert_ne!(first["subscribers"], page(2)["subscribers"]);
}

#[test]
fn long_cursors_must_come_back_byte_for_byte() {
    let simulator = simulator();
    simulator.faults().add(Fault::page(PageFault::LongCursors(4_096)));
    let first = get(&simulator, LIST);
    let cursor = end_cursor(&first);
    assert!(cursor.len() > 4_000 && ["+", "/", "=", "%", "&", "é"].iter().all(|c| cursor.contains(c)));
    assert_ne!(rows_of(&get(&simulator, &next(&first))), rows_of(&first));
    assert_eq!(super::walk_v4(&simulator, LIST).len(), 120);
    let broken = format!("{LIST}&after={}", encoded(&cursor.replace('+', " ")));
    assert_eq!(simulator.ask(&broken).0, 422);
}

#[test]
fn pagination_can_say_anything() {
    let simulator = simulator();
    let page = |fault| {
        simulator.faults().clear();
        simulator.faults().add(Fault::page(fault));
        (get(&simulator, LIST), get(&simulator, "/v3/subscribers"))
    };
    assert!(page(PageFault::HasNextPage(None)).0["pagination"].get("has_next_page").is_none());
    assert_eq!(page(PageFault::HasNextPage(Some("\"yes\"".into()))).0["pagination"]["has_next_page"], "yes");
    assert_eq!(page(PageFault::Contradiction).0["pagination"]["has_next_page"], false);
    assert!(page(PageFault::NoPagination).0.get("pagination").is_none());
    assert!(page(PageFault::NullCursor).0["pagination"]["end_cursor"].is_null());
    assert_eq!(page(PageFault::TotalPages("-1".into())).1["total_pages"], -1);
    assert_eq!(page(PageFault::TotalPages("1000000000".into())).1["total_pages"], 1_000_000_000);
    assert!(page(PageFault::NullList).1["subscribers"].is_null());
    assert!(page(PageFault::NoList).0.get("subscribers").is_none());
    assert_eq!(rows_of(&page(PageFault::DoubleRows).0).len(), 20);
    assert_eq!(rows_of(&page(PageFault::ExtraRows(90)).0).len(), 100);
    let shuffled = ids(&rows_of(&page(PageFault::Shuffle).0));
    simulator.faults().clear();
    let mut right = ids(&rows_of(&get(&simulator, LIST)));
    assert_ne!(shuffled, right);
    right.sort_unstable();
    let mut sorted = shuffled;
    sorted.sort_unstable();
    assert_eq!(sorted, right);
}

#[test]
fn rows_lose_and_gain_members_and_turn_into_poison() {
    let simulator = simulator();
    let row = |mutation| {
        simulator.faults().clear();
        simulator.faults().add(Fault::rows(Which::Nth(2), mutation));
        rows_of(&get(&simulator, LIST))
    };
    let rows = row(Mutation::Drop("id".into()));
    assert!(rows[0].get("id").is_some() && rows[1].get("id").is_none());
    assert!(row(Mutation::Null("email_address".into()))[1]["email_address"].is_null());
    assert_eq!(
        row(Mutation::Set("id".into(), "9223372036854775808".into()))[1]["id"],
        9_223_372_036_854_775_808_u64
    );
    assert_eq!(
        row(Mutation::Set("created_at".into(), "\"0000-00-00\"".into()))[1]["created_at"],
        "0000-00-00"
    );
    assert_eq!(
        row(Mutation::Set("fields.company".into(), "[]".into()))[1]["fields"]["company"],
        Value::Array(vec![])
    );
    assert_eq!(row(Mutation::Replace("17".into()))[1], 17);
    assert_eq!(row(Mutation::Remove).len(), 9);
    simulator.faults().clear();
    simulator.faults().add(Fault::rows(Which::Nth(1), Mutation::Replace("{\"id\":1e400".into())));
    let (status, body) = simulator.ask(LIST);
    assert!(status == 200 && serde_json::from_str::<Value>(&body).is_err(), "even JSON can break");
    simulator.faults().clear();
    simulator.faults().add(Fault::rows(Which::Share(0.5), Mutation::Remove));
    let left = rows_of(&get(&simulator, "/v4/subscribers?status=all")).len();
    assert!((30..90).contains(&left), "{left} of 120");
    simulator.faults().clear();
    simulator
        .faults()
        .add(Fault::rows(Which::All, Mutation::Drop("subscriber.id".into())).version(Version::V3));
    let page = get(&simulator, "/v3/forms/3893419/subscriptions");
    assert!(page["subscriptions"][0]["subscriber"].get("id").is_none());
}

#[test]
fn faults_can_be_written_on_the_command_line() {
    for (text, wanted) in [
        (
            "status=503 on=/v4/subscribers nth=3 times=2",
            Fault::status(503).on("/v4/subscribers").nth(3).times(2),
        ),
        (
            "429=soon every=10",
            Fault::new(Action::TooMany(crate::simulator::RetryHint::Text("soon".into()), Blank::Empty))
                .every(10),
        ),
        (
            "drop=id row=7 version=4",
            Fault::rows(Which::Nth(7), Mutation::Drop("id".into())).version(Version::V4),
        ),
        ("cut=100 from=2 chance=0.5", Fault::new(Action::CutBody { bytes: 100 }).from_nth(2).chance(0.5)),
        ("cursor-loop=3", Fault::page(PageFault::CursorLoop(3))),
        ("delay=1.5s", Fault::new(Action::Delay(std::time::Duration::from_millis(1_500)))),
    ] {
        assert_eq!(text.parse::<Fault>(), Ok(wanted), "{text}");
    }
    for text in ["", "explode", "status=many", "status=500 when=now", "delay=5 row=3", "shuffle on"] {
        assert!(text.parse::<Fault>().is_err(), "{text}");
    }
}
