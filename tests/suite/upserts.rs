//! Rows that come again: each is there once, takes on what is told anew, and keeps the rest.

use crate::support::scene::{narrow, of, outcome, people};
use crate::support::{Api, Scene};
use chrono::TimeDelta;
use kitmirror::replication::{Mode, Whole};
use kitmirror::simulator::{AccountPlan, Fault, Mutation, Which};
use kitmirror::store::Outcome;

/// D01. The overlap brings rows again; nothing changes by it.
#[tokio::test(flavor = "multi_thread")]
async fn rows_that_the_overlap_brings_again_stay_untouched() {
    for api in Api::VERSIONS {
        let scene = Scene::loaded(AccountPlan::small(), api).await;
        scene.change(|account| account.import_subscribers(60));
        let report = scene.sync().await;
        assert_eq!(of(&report, "subscribers").counts.rows_inserted, 60);
        for _ in 0..3 {
            scene.later(TimeDelta::hours(1));
            let report = scene.sync().await;
            let counts = of(&report, "subscribers").counts;
            assert!(counts.rows_read >= 60, "{api:?}: the overlap is read");
            assert_eq!((counts.rows_inserted, counts.rows_updated), (0, 0), "{api:?}");
        }
        scene.equals_kit().await;
    }
}

/// D01, D-11. New rows go another way than known ones where a page holds no other. Pages of new rows, of both, of known
/// ones: each row is there once, and those that were there are left alone.
#[tokio::test(flavor = "multi_thread")]
async fn pages_of_new_rows_and_of_known_ones_follow_each_other() {
    for api in Api::VERSIONS {
        let scene = Scene::loaded(narrow(4_300).nasty(), api).await;
        let all = Vec::from_iter(scene.ids("subscribers", "id").await);
        let (first, last) = (all[1_700], all[2_600]);
        let kept = format!("id between {first} and {last} and id % 2 = 0");
        scene.mirror.execute(&format!("delete from subscribers where not ({kept})")).await;
        let untouched = "select id, _first_seen_at, _synced_at from subscribers";
        let before = scene.mirror.lines(&format!("{untouched} order by id")).await;
        let report = scene.sync_full().await;
        let counts = ["subscribers", "cancelled_subscribers"].map(|object| of(&report, object).counts);
        let inserted: u64 = counts.iter().map(|counts| counts.rows_inserted).sum();
        assert_eq!(inserted, (all.len() - before.len()) as u64, "{api:?}");
        assert_eq!(counts[0].rows_updated, 0, "{api:?}");
        assert_eq!(Vec::from_iter(scene.ids("subscribers", "id").await), all, "{api:?}");
        assert_eq!(scene.mirror.lines(&format!("{untouched} where {kept} order by id")).await, before);
        scene.equals_kit().await;
    }
}

/// D01, D-11. People who changed lie far apart in the table, with many who did not between them; some are not there. Each of
/// them is counted as what it is.
#[tokio::test(flavor = "multi_thread")]
async fn known_rows_and_new_ones_are_told_apart_however_far_apart_they_lie() {
    let scene = Scene::loaded(narrow(4_300), Api::V4).await;
    let changed: Vec<i64> = scene.ids("subscribers", "id").await.into_iter().step_by(5).collect();
    scene.change(|account| {
        for id in &changed {
            account.rename_subscriber(*id, Some("Changed"));
        }
    });
    let missing: Vec<String> = changed.iter().step_by(3).map(i64::to_string).collect();
    scene.mirror.execute(&format!("delete from subscribers where id in ({})", missing.join(", "))).await;
    let counts = of(&scene.sync().await, "subscribers").counts;
    let expected = (missing.len() as u64, (changed.len() - missing.len()) as u64);
    assert_eq!((counts.rows_inserted, counts.rows_updated), expected);
    scene.equals_kit().await;
}

/// D01. Rows that are marked as gone are known rows, and each that comes back counts as changed.
#[tokio::test(flavor = "multi_thread")]
async fn rows_that_come_back_by_the_page_are_counted() {
    let scene = Scene::loaded(narrow(2_300), Api::V4).await;
    let all = Vec::from_iter(scene.ids("subscribers", "id").await);
    let (first, last) = (all[900], all[1_299]);
    let stamp = crate::ENGINE.time("2024-05-01T00:00:00Z".parse().expect("a time"));
    let gone = format!("update subscribers set _deleted_at = {stamp} where id between {first} and {last}");
    scene.mirror.execute(&gone).await;
    let counts = of(&scene.sync_full().await, "subscribers").counts;
    assert_eq!((counts.rows_inserted, counts.rows_updated), (0, 400));
    assert_eq!(
        scene.mirror.number("select count(*) from subscribers where _deleted_at is not null").await,
        0
    );
    scene.equals_kit().await;
}

/// D03. A record without its key is set aside; no row without a key is stored.
#[tokio::test(flavor = "multi_thread")]
async fn a_record_without_a_key_is_set_aside_and_found_when_it_has_one() {
    for api in Api::VERSIONS {
        let scene = Scene::new(AccountPlan::small(), api).await;
        let fault = Fault::rows(Which::Nth(3), Mutation::Null("id".to_owned())).on(people(api)).times(1);
        scene.kit.faults().add(fault);
        let report = scene.try_objects(&["subscribers"]).await;
        assert_eq!(outcome(&report, "subscribers"), Outcome::Incomplete, "{api:?}");
        assert_eq!(scene.mirror.number("select count(*) from sync_quarantine").await, 1);
        assert_eq!(scene.mirror.number("select count(*) from subscribers where id is null").await, 0);
        scene.sync_full().await;
        scene.equals_kit().await;
    }
}

/// D07. A row that changes keeps its place and the time it was first seen.
#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_changes_keeps_the_time_it_was_first_seen() {
    for api in Api::VERSIONS {
        let scene = Scene::loaded(AccountPlan::small(), api).await;
        let person = scene.old_subscriber("active");
        let cell = |column: &str| format!("select {column} from subscribers where id = {person}");
        let first = scene.mirror.texts(&cell("_first_seen_at")).await;
        let synced = scene.mirror.texts(&cell("_synced_at")).await;
        let members = scene.mirror.number("select count(*) from tag_subscriptions").await;
        scene.change(|account| account.rename_subscriber(person, Some("Changed")));
        scene.sync().await;
        assert_eq!(scene.mirror.texts(&cell("first_name")).await, ["Changed"]);
        assert_eq!(scene.mirror.texts(&cell("_first_seen_at")).await, first);
        assert!(scene.mirror.texts(&cell("_synced_at")).await > synced);
        assert_eq!(scene.mirror.number("select count(*) from tag_subscriptions").await, members);
    }
}

/// M32. API v3 lists broadcasts as stubs: what only their whole records hold stays, members without a column included.
#[tokio::test]
async fn the_stub_of_a_known_broadcast_empties_nothing() {
    let scene = Scene::loaded(AccountPlan::small(), Api::V3).await;
    scene.mirror.execute("update broadcasts set _extra = '{\"new\":1}'").await;
    let all = "select id, content, _extra, _synced_at from broadcasts order by id";
    let before = scene.mirror.lines(all).await;
    assert!(!before.is_empty());
    scene.sync().await;
    assert_eq!(scene.mirror.lines(all).await, before);
}

/// D10.
#[tokio::test(flavor = "multi_thread")]
async fn full_loads_one_after_the_other_and_one_cut_short_leave_every_row_once() {
    for api in Api::VERSIONS {
        let scene = Scene::new(AccountPlan::new(700), api).await;
        scene.kit.set_modes(|modes| modes.page_cap = Some(50));
        scene.sync_full().await;
        scene.sync_full().await;
        scene.equals_kit().await;
        scene.sync_stopping_at(&["subscribers"], Some(Whole::Load), people(api), 7).await;
        scene.change(|account| account.import_subscribers(5));
        let report = scene.sync_full().await;
        assert_eq!(of(&report, "subscribers").mode, Mode::Full);
        scene.sync().await;
        scene.equals_kit().await;
    }
}

/// M32. A member that is absent leaves what is stored; one that is null empties it.
#[tokio::test(flavor = "multi_thread")]
async fn an_absent_member_leaves_the_value_and_null_empties_it() {
    for api in Api::VERSIONS {
        let scene = Scene::loaded(AccountPlan::small(), api).await;
        let filled = "select count(*) from subscribers where fields is not null";
        let before = scene.mirror.number(filled).await;
        assert!(before > 50);
        let list = people(api);
        let absent =
            scene.kit.faults().add(Fault::rows(Which::All, Mutation::Drop("fields".to_owned())).on(list));
        scene.sync_full().await;
        assert_eq!(scene.mirror.number(filled).await, before, "{api:?}");
        scene.kit.faults().remove(absent);
        let person = scene.old_subscriber("active");
        scene.change(|account| account.rename_subscriber(person, None));
        scene.sync().await;
        let name = format!("select count(*) from subscribers where id = {person} and first_name is null");
        assert_eq!(scene.mirror.number(&name).await, 1);
        scene.equals_kit().await;
    }
}

/// M35. Addresses move between people.
#[tokio::test(flavor = "multi_thread")]
async fn an_address_may_move_to_another_person() {
    for api in Api::VERSIONS {
        let scene = Scene::loaded(AccountPlan::small(), api).await;
        let active: Vec<i64> = scene.kit.read(|account| {
            account.subscribers().filter(|person| person.state == "active").map(|person| person.id).collect()
        });
        let new = scene.change(|account| {
            assert!(account.swap_addresses(active[0], active[1]));
            account.recreate_subscriber(active[2]).expect("he exists")
        });
        scene.sync().await;
        scene.holds_everything().await;
        scene.holds_ids("subscribers", "id", [active[0], active[1], active[2], new]).await;
        scene.change(|account| assert!(account.swap_addresses(active[0], new)));
        scene.sync_full().await;
        scene.holds_everything().await;
    }
}
