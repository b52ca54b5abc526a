//! The open questions: each answer shows.

use super::{encoded, get, ids, rows_of, still, walk_v4};
use crate::simulator::{AccountPlan, Modes, Simulator};

fn with_modes(plan: AccountPlan, modes: &[&str]) -> Simulator {
    let simulator = still(plan);
    simulator.set_modes(|set| {
        for mode in modes {
            set.set(mode).expect("a mode");
        }
    });
    simulator
}

fn count(simulator: &Simulator, path: &str) -> usize {
    rows_of(&get(simulator, path)).len()
}

#[test]
fn a_date_filter_includes_or_excludes_truncates_or_not_in_any_zone() {
    let plan = || {
        let plan = AccountPlan::empty();
        AccountPlan { starts_at: "2026-09-15T00:00:00Z".parse().expect("a time"), ..plan }
    };
    // One person at each full hour of three days.
    let counts = |modes: &[&str], after: &str| {
        let simulator = with_modes(plan(), modes);
        for hour in 0..72 {
            simulator.change(|account| {
                let new = crate::simulator::NewSubscriber::new(format!("hour{hour}@example.com"));
                account.create_subscriber(new)
            });
            simulator.clock().advance(chrono::TimeDelta::hours(1));
        }
        count(&simulator, &format!("/v4/subscribers?created_after={after}"))
    };
    assert_eq!(counts(&[], "2026-09-16"), 48);
    assert_eq!(counts(&["filter_edge=exclusive"], "2026-09-16"), 24);
    assert_eq!(counts(&[], "2026-09-16T05:00:00Z"), 43);
    assert_eq!(counts(&["filter_edge=exclusive"], "2026-09-16T05:00:00Z"), 42);
    assert_eq!(counts(&["filter_granularity=day"], "2026-09-16T05:00:00Z"), 48);
    let day = ["filter_granularity=day", "filter_edge=exclusive"];
    assert_eq!(counts(&day, "2026-09-16T05:00:00Z"), 24);
    assert_eq!(counts(&["filter_zone_hours=-12"], "2026-09-16"), 36);
    assert_eq!(counts(&["filter_zone_hours=14"], "2026-09-16"), 62);
}

#[test]
fn a_bare_second_as_cursor_skips_or_repeats_ties() {
    let plan = || AccountPlan::new(300).imported_at_once(100);
    let path = "/v4/subscribers?status=all&sort_field=created_at&per_page=40";
    let walked = |mode: &str| ids(&walk_v4(&with_modes(plan(), &[mode]), path)).len();
    assert_eq!(walked("time_cursor=tie-breaker"), 300);
    assert!(walked("time_cursor=strict-second") < 300);
    // More ties than a page holds: the same page for ever.
    let simulator = with_modes(plan(), &["time_cursor=repeated-second"]);
    let mut cursors = Vec::new();
    let mut page = get(&simulator, path);
    for _ in 0..10 {
        let cursor = page["pagination"]["end_cursor"].as_str().expect("a cursor").to_string();
        page = get(&simulator, &format!("{path}&after={}", encoded(&cursor)));
        cursors.push(cursor);
    }
    cursors.dedup();
    assert!(cursors.len() < 10, "a cursor comes again");
}

#[test]
fn which_events_move_updated_at_is_a_mode() {
    let updated = |bumps: &str| {
        let simulator = with_modes(AccountPlan::small(), &[bumps]);
        simulator.clock().advance(chrono::TimeDelta::days(10));
        let ids: Vec<i64> = simulator.read(|a| (20..100).map(|n| a.base_id(n)).collect());
        simulator.change(|account| {
            let tagged = ids.iter().skip(9).find(|id| account.tag(23_217_326, **id)).is_some();
            let cancelled = ids.iter().find(|id| account.cancel(**id)).is_some();
            let renamed = ids.iter().rev().find(|id| account.rename_subscriber(**id, None)).is_some();
            assert!(tagged && cancelled && renamed);
        });
        count(&simulator, "/v4/subscribers?status=all&updated_after=2026-09-20")
    };
    assert_eq!(updated("bumps=none"), 0);
    assert_eq!(updated("bumps=edit"), 1);
    assert_eq!(updated("bumps=edit+cancel"), 2);
    assert_eq!(updated("bumps=edit+cancel+tag"), 2 + 1);
}

#[test]
fn page_sizes_clamp_or_fail_or_shrink() {
    let plan = || AccountPlan::new(2_000);
    let path = "/v4/subscribers?status=all&per_page=5000";
    assert_eq!(count(&with_modes(plan(), &[]), path), 1_000);
    assert_eq!(with_modes(plan(), &["too_many_rows=422"]).ask(path).0, 422);
    let capped = with_modes(plan(), &["page_cap=100"]);
    assert_eq!(count(&capped, path), 100);
    assert_eq!(get(&capped, path)["pagination"]["per_page"], 100);
    assert_eq!(count(&with_modes(plan(), &[]), "/v4/subscribers?status=all"), 500);
}

#[test]
fn an_old_cursor_gets_what_the_mode_says() {
    let path = "/v4/subscribers?status=all&per_page=50";
    for (mode, status, rows) in
        [("400", 400, 0), ("404", 404, 0), ("422", 422, 0), ("page1", 200, 50), ("empty", 200, 0)]
    {
        let stale = format!("stale_cursor={mode}");
        let simulator = with_modes(AccountPlan::small(), &["cursor_ttl_seconds=60", &stale]);
        let first = get(&simulator, path);
        let cursor = encoded(first["pagination"]["end_cursor"].as_str().expect("a cursor"));
        let next = format!("{path}&after={cursor}");
        assert_ne!(get(&simulator, &next), first);
        simulator.clock().advance(chrono::TimeDelta::seconds(61));
        let (got, body) = simulator.ask(&next);
        assert_eq!(got, status, "{mode}");
        if got == 200 {
            let page: serde_json::Value = serde_json::from_str(&body).expect("a page");
            assert_eq!(rows_of(&page).len(), rows, "{mode}");
        }
    }
}

#[test]
fn v3_answers_its_open_questions_either_way() {
    let plan = AccountPlan::small;
    let beyond = "/v3/subscribers?page=99";
    assert_eq!(count(&with_modes(plan(), &[]), beyond), 0);
    assert_eq!(with_modes(plan(), &["beyond_end=404"]).ask(beyond).0, 404);
    let newest = with_modes(plan(), &[]);
    let oldest = with_modes(plan(), &["v3_order=asc"]);
    let first = |simulator: &Simulator| get(simulator, "/v3/subscribers")["subscribers"][0]["id"].clone();
    assert_ne!(first(&newest), first(&oldest));
    let form = "/v3/forms/3893419/subscriptions";
    let total = |modes: &[&str]| get(&with_modes(plan(), modes), form)["total_subscriptions"].clone();
    assert_ne!(total(&[]), total(&["v3_subscriptions=active"]));
    let cancelled = "/v3/subscribers?sort_field=cancelled_at";
    let row = |modes: &[&str]| get(&with_modes(plan(), modes), cancelled)["subscribers"][0].clone();
    assert!(row(&[]).get("cancelled_at").is_none());
    assert!(row(&["v3_cancelled_at=true"])["cancelled_at"].is_string());
}

#[test]
fn counts_take_in_active_people_or_all() {
    let count = |mode: &str| {
        let simulator = with_modes(AccountPlan::small(), &[mode]);
        get(&simulator, "/v4/tags?include=subscriber_count")["tags"][5]["subscriber_count"].clone()
    };
    assert_eq!(count("count_scope=all"), 40);
    assert!(count("count_scope=active").as_u64() < Some(40));
}

#[test]
fn every_mode_can_be_set_by_name_and_survives_json() {
    let mut modes = Modes::default();
    for assignment in [
        "filter_edge=exclusive",
        "filter_granularity=day",
        "filter_zone_hours=14",
        "time_cursor=tie-breaker",
        "tag_cursor=array",
        "bumps=all",
        "backdated_bumps=true",
        "v3_subscriptions=active",
        "v3_tag_time=tag",
        "v3_order=asc",
        "beyond_end=404",
        "v3_cancelled_at=true",
        "too_many_rows=422",
        "page_cap=100",
        "count_scope=all",
        "sequence_rows=minimal",
        "retagging_moves=true",
        "limit_retry_after=date",
        "limit_body=html",
        "cursor_ttl_seconds=1800",
        "stale_cursor=page1",
        "date_skew_seconds=-86400",
        "date_missing=true",
        "lag=kit",
        "gzip=false",
        "etags=false",
    ] {
        let before = modes.clone();
        modes.set(assignment).expect(assignment);
        assert_ne!(before, modes, "{assignment} changes something");
    }
    for name in Modes::NAMES {
        assert!(modes.clone().set(&format!("{name}=?")).is_err(), "{name} checks its value");
    }
    let json = serde_json::to_string(&modes).expect("json");
    assert_eq!(serde_json::from_str::<Modes>(&json).expect("modes"), modes);
    assert!(modes.set("lag=soon").is_err() && modes.set("colour=red").is_err() && modes.set("lag").is_err());
}
