//! Many rows of one second, wherever the edges of pages cut it: none of them is skipped.

use crate::support::scene::narrow;
use crate::support::{Api, Scene, versions};
use chrono::TimeDelta;
use kitmirror::simulator::{AccountPlan, Bumps, Lag, TimeCursor};

/// What the cursor of a list in the order of time may hold of that time.
const TIME_CURSORS: [TimeCursor; 3] =
    [TimeCursor::TieBreaker, TimeCursor::StrictSecond, TimeCursor::RepeatedSecond];

/// A loaded account with pages of 50 in v4, too, and such cursors, in which cancelling changes no other time.
async fn in_fifties(people: u64, api: Api, time_cursor: TimeCursor) -> Scene {
    Scene::loaded_with(narrow(people), api, |modes| {
        modes.page_cap = Some(50);
        modes.bumps = Bumps::NONE;
        modes.time_cursor = time_cursor;
    })
    .await
}

/// Cancels so many people, each in a second of their own.
fn cancel_one_by_one(scene: &Scene, skip: u64, count: usize) {
    for _ in 0..count {
        scene.later(TimeDelta::seconds(1));
        scene.change(|account| account.cancel_many(skip, 1));
    }
}

/// M03. An import crosses the edges of pages: 50 rows in v3, a small page in v4.
#[tokio::test(flavor = "multi_thread")]
async fn an_import_of_one_second_crosses_page_edges_whole() {
    for api in versions() {
        for mode in TIME_CURSORS {
            let scene = Scene::loaded_with(narrow(120), api, |modes| {
                modes.page_cap = Some(50);
                modes.time_cursor = mode;
            })
            .await;
            let people = scene.change(|account| account.import_subscribers(130));
            scene.sync().await;
            scene.holds_ids("subscribers", "id", people).await;
            scene.holds_everything().await;
        }
    }
}

/// M03. The list of cancellations is in the order of time; its cursor may be a bare second.
#[tokio::test(flavor = "multi_thread")]
async fn cancellations_of_one_second_cross_page_edges_whole() {
    for api in versions() {
        for mode in TIME_CURSORS {
            let scene = in_fifties(600, api, mode).await;
            let people = scene.change(|account| account.cancel_many(0, 130));
            scene.sync().await;
            scene.holds_ids("cancelled_subscribers", "id", people).await;
            scene.holds_everything().await;
        }
    }
}

/// M03. More rows in one second than the largest page holds.
#[tokio::test(flavor = "multi_thread")]
async fn fifteen_hundred_cancellations_of_one_second_are_all_found() {
    for mode in TIME_CURSORS {
        let scene = Scene::loaded_with(narrow(2_500), Api::V4, |modes| {
            modes.bumps = Bumps::NONE;
            modes.time_cursor = mode;
        })
        .await;
        let people = scene.change(|account| account.cancel_many(0, 1_500));
        assert_eq!(people.len(), 1_500);
        scene.sync().await;
        scene.holds_ids("cancelled_subscribers", "id", people).await;
    }
    let scene = Scene::loaded(narrow(2_500), Api::V3).await;
    let people = scene.change(|account| account.cancel_many(0, 1_500));
    scene.sync().await;
    scene.holds_ids("cancelled_subscribers", "id", people).await;
}

/// M03. A page may end anywhere within the second: with its first row, its last, or between.
#[tokio::test(flavor = "multi_thread")]
async fn a_second_of_cancellations_may_begin_anywhere_on_a_page() {
    for mode in TIME_CURSORS {
        for newer in [1, 49, 50] {
            let scene = in_fifties(400, Api::V4, mode).await;
            let people = scene.change(|account| account.cancel_many(0, 70));
            cancel_one_by_one(&scene, 150, newer);
            scene.sync().await;
            scene.holds_ids("cancelled_subscribers", "id", people).await;
            scene.holds_everything().await;
        }
    }
}

/// M03. Where pages of cancellations end, nobody is missed; and what it takes to be sure does not depend on how many have
/// ever cancelled.
#[tokio::test(flavor = "multi_thread")]
async fn many_cancellations_of_a_day_are_read_twice_and_not_all_there_ever_were() {
    for mode in TIME_CURSORS {
        let scene = in_fifties(3_000, Api::V4, mode).await;
        cancel_one_by_one(&scene, 0, 77);
        scene.later(TimeDelta::seconds(1));
        let together = scene.change(|account| account.cancel_many(100, 5));
        cancel_one_by_one(&scene, 120, 48);
        scene.kit.clear_requests();
        scene.sync().await;
        scene.holds_ids("cancelled_subscribers", "id", together).await;
        scene.holds_everything().await;
        let asked = scene.kit.requests().iter().filter(|one| one.query.contains("status=cancelled")).count();
        // Three pages and, where one does not go on within a second, five smaller ones; not the nine of the whole list.
        assert!((3..=12).contains(&asked), "{mode:?}: {asked} requests");
    }
}

/// M03. Behind the second there may be nothing that could show that a part of it was skipped.
#[tokio::test(flavor = "multi_thread")]
async fn cancellations_of_one_second_are_found_where_there_are_no_others() {
    for mode in TIME_CURSORS {
        let scene = Scene::new(narrow(400), Api::V4).await;
        scene.kit.set_modes(|modes| {
            modes.page_cap = Some(50);
            modes.bumps = Bumps::NONE;
            modes.time_cursor = mode;
        });
        scene.sync().await;
        scene.later(TimeDelta::hours(1));
        let leavers: Vec<i64> = scene.kit.read(|account| {
            account
                .subscribers()
                .filter(|person| person.state == "cancelled")
                .map(|person| person.id)
                .collect()
        });
        let people = scene.change(|account| {
            leavers.iter().for_each(|id| assert!(account.reactivate(*id)));
            account.cancel_many(100, 70)
        });
        scene.sync().await;
        scene.holds_ids("cancelled_subscribers", "id", people).await;
        scene.holds_everything().await;
    }
}

/// M03.
#[tokio::test(flavor = "multi_thread")]
async fn taggings_of_one_second_cross_page_edges_whole() {
    for api in versions() {
        let scene = Scene::loaded_with(AccountPlan::new(600), api, |modes| modes.page_cap = Some(50)).await;
        let tag = scene.first_tag();
        let people = scene.change(|account| account.tag_many(tag, 0, 130));
        assert_eq!(people.len(), 130);
        scene.sync().await;
        scene.holds_ids("tag_subscriptions", "subscriber_id", people).await;
        scene.holds_everything().await;
    }
}

/// M04. Half of the rows of one second show only after the pass that read that second.
#[tokio::test(flavor = "multi_thread")]
async fn rows_of_one_second_of_which_half_show_later_are_all_found() {
    for api in versions() {
        let scene = Scene::loaded(AccountPlan::small(), api).await;
        let tag = scene.first_tag();
        let mut people = scene.change(|account| account.import_subscribers(25));
        scene.kit.set_modes(|modes| modes.lag = Lag::Seconds(90));
        people.extend(scene.change(|account| account.import_subscribers(25)));
        scene.change(|account| people.iter().for_each(|id| assert!(account.tag(tag, *id))));
        scene.later(TimeDelta::seconds(1));
        scene.sync().await;
        assert_eq!(
            scene.ids("subscribers", "id").await.intersection(&people.iter().copied().collect()).count(),
            25
        );
        scene.later(TimeDelta::minutes(2));
        scene.sync().await;
        scene.holds_ids("subscribers", "id", people.iter().copied()).await;
        scene.holds_ids("tag_subscriptions", "subscriber_id", people).await;
        scene.holds_everything().await;
    }
}
