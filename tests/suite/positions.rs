//! Positions: a pass that did not see the end of its list never looks finished and is gone on with where it stopped,
//! and no position is taken for that of another account, another version or another table.

use crate::ENGINE;
use crate::support::bench::at;
use crate::support::scene::{narrow, of, outcome, people};
use crate::support::{Api, Mirror, Scene, kit};
use chrono::TimeDelta;
use kitmirror::error::Kind;
use kitmirror::replication::Mode;
use kitmirror::simulator::{AccountPlan, Fault, NewSubscriber, Parent, StaleCursor};
use kitmirror::store::Outcome;
use std::collections::BTreeSet;

// --- Watermarks and checkpoints ---------------------------------------------------------------------

/// M12, M20. A page that cannot be had ends the pass, and the watermark stays where it was.
#[tokio::test(flavor = "multi_thread")]
async fn a_pass_that_fails_in_the_middle_does_not_move_the_watermark() {
    for api in Api::VERSIONS {
        let scene = Scene::new(narrow(700), api).await;
        scene.kit.set_modes(|modes| modes.page_cap = Some(50));
        let fault = scene.kit.faults().add(Fault::status(422).on(people(api)).from_nth(4));
        let report = scene.try_objects(&["subscribers"]).await;
        assert_eq!(outcome(&report, "subscribers"), Outcome::Failed);
        assert_eq!(scene.watermark("subscribers", "").await, "", "{api:?}: the first load is not complete");
        assert!(
            scene.mirror.number("select count(*) from subscribers").await >= 100,
            "what was read is kept"
        );
        scene.kit.faults().remove(fault);
        scene.sync().await;
        scene.equals_kit().await;

        let before = scene.watermark("subscribers", "").await;
        scene.later(TimeDelta::days(1));
        scene.change(|account| account.import_subscribers(300));
        let fault = scene.kit.faults().add(Fault::status(422).on(people(api)).from_nth(3));
        let report = scene.try_objects(&["subscribers"]).await;
        assert_eq!(outcome(&report, "subscribers"), Outcome::Failed);
        assert_eq!(scene.watermark("subscribers", "").await, before, "{api:?}");
        scene.kit.faults().remove(fault);
        scene.sync().await;
        assert!(scene.watermark("subscribers", "").await > before);
        scene.holds_everything().await;
    }
}

/// M12. Wherever a pass is stopped, the watermark is that of the last complete one and nothing is lost.
#[tokio::test(flavor = "multi_thread")]
async fn a_pass_stopped_at_any_page_goes_on_without_losing_a_row() {
    for api in Api::VERSIONS {
        for nth in [1, 2, 5, 9] {
            let scene = Scene::new(narrow(700), api).await;
            scene.kit.set_modes(|modes| modes.page_cap = Some(50));
            scene.sync_stopping_at(&["subscribers"], None, people(api), nth).await;
            assert_eq!(scene.watermark("subscribers", "").await, "", "{api:?}, page {nth}");
            scene.change(|account| {
                account.import_subscribers(70);
                account.cancel_many(0, 30);
            });
            scene.sync().await;
            scene.sync().await;
            scene.holds_everything().await;
        }
    }
}

/// What Kit may make of a cursor that is too old.
const STALE: [StaleCursor; 5] = [
    StaleCursor::BadRequest,
    StaleCursor::NotFound,
    StaleCursor::Unprocessable,
    StaleCursor::FirstPage,
    StaleCursor::Empty,
];

/// M13. Whatever Kit makes of a cursor that is too old, and whether we or Kit forget it first.
#[tokio::test(flavor = "multi_thread")]
async fn a_pass_resumed_after_its_cursor_expired_reads_everything() {
    for answer in STALE {
        for pause in [TimeDelta::minutes(5), TimeDelta::minutes(31)] {
            let scene = Scene::new(narrow(300).tag_sizes([220]), Api::V4).await;
            scene.kit.set_modes(|modes| {
                modes.page_cap = Some(50);
                modes.cursor_ttl_seconds = Some(60);
                modes.stale_cursor = answer;
            });
            let objects = ["subscribers", "tags", "tag_subscriptions"];
            // Alone: what is read beside it may or may not be finished by then.
            let report = scene.sync_stopping_at(&["subscribers"], None, "/v4/subscribers", 4).await;
            let unfinished = scene.mirror.number("select count(checkpoint) from sync_state").await;
            assert_eq!(unfinished, 1, "{answer:?}, {pause}: {report:#?}");
            scene.later(pause);
            scene.sync_stopping_at(&objects, None, "/v4/tags/*/subscribers", 4).await;
            scene.later(pause);
            scene.sync().await;
            scene.equals_kit().await;
        }
    }
}

/// M13. A cursor that expires while Kit does not answer.
#[tokio::test(flavor = "multi_thread")]
async fn a_cursor_that_expires_within_a_pass_begins_the_pass_again() {
    for answer in STALE {
        let scene = Scene::new(AccountPlan::new(500), Api::V4).await;
        scene.kit.set_modes(|modes| {
            modes.page_cap = Some(50);
            modes.cursor_ttl_seconds = Some(60);
            modes.stale_cursor = answer;
        });
        let clock = scene.kit.clock().clone();
        scene.kit.faults().add(Fault::status(503).on("/v4/subscribers").nth(4));
        scene.kit.after_request("/v4/subscribers", 4, move |_| clock.advance(TimeDelta::minutes(3)));
        // Alone: the time that others are told would be taken for that of its pages.
        let report = scene.try_objects(&["subscribers"]).await;
        assert!(report.is_complete(), "{answer:?}: {report:#?}");
        scene.sync().await;
        scene.equals_kit().await;
    }
}

/// M22. One row of the year 2999 must not end replication.
#[tokio::test(flavor = "multi_thread")]
async fn a_row_from_the_future_does_not_carry_the_watermark_along() {
    for api in Api::VERSIONS {
        let scene = Scene::loaded(AccountPlan::small(), api).await;
        let far = at("2999-01-01T00:00:00Z");
        let (tag, form) = (scene.first_tag(), scene.first_form());
        scene.change(|account| {
            let new = NewSubscriber::new("future@example.com").created_at(far);
            let id = account.create_subscriber(new);
            assert!(account.join_at(Parent::tag(tag), id, far));
            assert!(account.join_at(Parent::form(form), id, far));
        });
        for full in [false, true] {
            if full {
                scene.sync_full().await
            } else {
                scene.sync().await
            };
            let beyond =
                format!("select count(*) from sync_state where watermark > {}", ENGINE.time(scene.now()));
            assert_eq!(scene.mirror.number(&beyond).await, 0, "{api:?}");
        }
        for _ in 0..4 {
            scene.later(TimeDelta::days(2));
            scene.change(|account| {
                let id = account.create_subscriber(NewSubscriber::new("next@example.com"));
                account.tag(tag, id);
                account.join_form(form, id);
            });
            scene.sync().await;
            scene.holds_everything().await;
        }
    }
}

/// M25. People come and join while the first load is under way, between any two requests.
#[tokio::test(flavor = "multi_thread")]
async fn rows_created_at_every_moment_of_the_first_load_are_found_by_the_next_run() {
    for api in Api::VERSIONS {
        let scene = Scene::new(AccountPlan::new(700).tag_sizes([250]), api).await;
        scene.kit.set_modes(|modes| modes.page_cap = Some(50));
        let (tag, form) = (scene.first_tag(), scene.first_form());
        let clock = scene.kit.clock().clone();
        let mut number = 0;
        scene.kit.every_request("", 1, move |account| {
            number += 1;
            clock.advance(TimeDelta::seconds(7));
            let id = account.create_subscriber(NewSubscriber::new(format!("during.{number}@example.com")));
            account.tag(tag, id);
            account.join_form(form, id);
            account.cancel_many(number * 13 % 700, 1);
            if number.is_multiple_of(10) {
                account.create_tag(&format!("during {number}"));
            }
        });
        scene.sync().await;
        scene.kit.clear_churn();
        scene.sync().await;
        scene.holds_everything().await;
    }
}

/// M16, D10. A run over many parents that is cut short goes on with those it has not reached.
#[tokio::test(flavor = "multi_thread")]
async fn a_run_over_many_parents_goes_on_with_those_it_has_not_reached() {
    for api in Api::VERSIONS {
        let scene = Scene::new(AccountPlan::new(100).tags(60), api).await;
        let list = if api == Api::V3 { "/v3/tags/*/subscriptions" } else { "/v4/tags/*/subscribers" };
        scene.sync_stopping_at(&["tags", "tag_subscriptions"], None, list, 25).await;
        let done = "select \"partition\" from sync_state \
                    where object = 'tag_subscriptions' and \"partition\" <> '' and watermark is not null";
        let reached = scene.mirror.texts(done).await;
        assert!((10..30).contains(&reached.len()), "{api:?}: {}", reached.len());
        scene.kit.clear_requests();
        scene.sync().await;
        scene.equals_kit().await;
        let asked: Vec<String> = scene.kit.requests().into_iter().map(|request| request.path).collect();
        let of_reached = |path: &String| reached.iter().any(|id| path.contains(&format!("/tags/{id}/")));
        let first_reached = asked.iter().position(of_reached).expect("every parent in its turn");
        let unreached: BTreeSet<&String> =
            asked[..first_reached].iter().filter(|path| path.contains("/tags/")).collect();
        // Four are read side by side, so the last of them may be asked for in any order.
        assert!(unreached.len() > 60 - reached.len() - 4, "{api:?}: those not reached come first");
    }
}

// --- Whose state, and of which table ----------------------------------------------------------------

/// M26.
#[tokio::test(flavor = "multi_thread")]
async fn the_credential_of_another_account_is_refused_and_nothing_is_written() {
    for api in Api::VERSIONS {
        let scene = Scene::loaded(AccountPlan::small(), api).await;
        let runs = scene.mirror.number("select count(*) from sync_runs").await;
        scene.change(|account| {
            account.become_account(78, "Another");
            account.import_subscribers(10);
        });
        scene.kit.clear_requests();
        let error = scene
            .mirror
            .run(&scene.serving, api, None, &["subscribers"])
            .await
            .expect_err("another account is refused");
        assert_eq!(error.kind(), Kind::AccountMismatch);
        assert_eq!(scene.mirror.number("select count(*) from sync_runs").await, runs);
        assert!(scene.kit.requests().iter().all(|request| request.path.ends_with("/account")));
        scene.change(|account| account.become_account(77, "Alder & Finch Letters"));
        scene.sync().await;
        scene.holds_everything().await;
    }
}

/// M27.
#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_somebody_emptied_is_loaded_again() {
    for api in Api::VERSIONS {
        for table in ["subscribers", "tags", "broadcasts", "tag_subscriptions"] {
            let scene = Scene::loaded(AccountPlan::small(), api).await;
            scene.mirror.execute(&format!("delete from {table}")).await;
            let report = scene.sync().await;
            assert_eq!(of(&report, table).mode, Mode::Full, "{api:?} {table}");
            scene.equals_kit().await;
        }
    }
}

/// M28, D04. The other version is a full load into the same rows.
#[tokio::test(flavor = "multi_thread")]
async fn changing_the_api_version_neither_loses_nor_doubles_a_row() {
    for (before, after) in [(Api::V3, Api::V4), (Api::V4, Api::V3), (Api::V4, Api::Token)] {
        let mut scene = Scene::loaded(AccountPlan::new(400), before).await;
        let mut chance = fastrand::Rng::with_seed(5);
        scene.change(|account| {
            for _ in 0..60 {
                account.random_change(&mut chance);
            }
        });
        scene.api = after;
        let report = scene.sync().await;
        let expected = if after == Api::Token { Mode::Incremental } else { Mode::Full };
        assert_eq!(of(&report, "subscribers").mode, expected, "{before:?} to {after:?}");
        if after != Api::Token {
            scene.holds_everything().await;
        }
        scene.later(TimeDelta::hours(2));
        scene.change(|account| account.import_subscribers(20));
        scene.sync().await;
        scene.sync_full().await;
        scene.holds_everything().await;
        scene.api = before;
        scene.sync().await;
        scene.sync_full().await;
        scene.holds_everything().await;
    }
}

/// M26. A mirror that is empty has nothing to refuse.
#[tokio::test(flavor = "multi_thread")]
async fn two_accounts_have_two_mirrors() {
    let (_, one) = kit(AccountPlan::small()).await;
    let (_, other) = kit(AccountPlan::small().of_account(5, "Other")).await;
    let (first, second) = (Mirror::new().await, Mirror::new().await);
    first.sync(&one, Api::V4).await;
    second.sync(&other, Api::V4).await;
    for (mirror, serving) in [(&first, &other), (&second, &one)] {
        let refused = mirror.run(serving, Api::V4, None, &["tags"]).await;
        assert_eq!(refused.expect_err("mixed up").kind(), Kind::AccountMismatch);
    }
}
