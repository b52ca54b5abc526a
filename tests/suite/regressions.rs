//! Bugs that a review found, each with what it did to a mirror.

use crate::support::scene::{narrow, of, outcome, people};
use crate::support::{Api, Scene};
use chrono::TimeDelta;
use kitmirror::model::objects;
use kitmirror::replication::Whole;
use kitmirror::simulator::{
    Account, AccountPlan, Action, Fault, Junk, NewSubscriber, PageFault, Parent, State,
};
use kitmirror::store::Outcome;
use std::collections::BTreeSet;

/// The list of tags.
fn tags(api: Api) -> &'static str {
    if api == Api::V3 { "/v3/tags" } else { "/v4/tags" }
}

/// The list of members of one tag, or of `*`.
fn members(api: Api, tag: impl std::fmt::Display) -> String {
    if api == Api::V3 {
        format!("/v3/tags/{tag}/subscriptions")
    } else {
        format!("/v4/tags/{tag}/subscribers")
    }
}

fn tag_ids(scene: &Scene) -> Vec<i64> {
    scene.kit.read(|account| account.tags().iter().map(|tag| tag.id).collect())
}

/// The members of a tag who are in that state.
fn members_in(account: &Account, tag: i64, state: State) -> Vec<i64> {
    let all = account.members(Parent::tag(tag)).map(|member| member.subscriber_id);
    all.filter(|id| account.state_of(*id) == Some(state)).collect()
}

/// Lists of several pages in v3 and, with pages of 50, in v4.
async fn several_pages(api: Api, plan: AccountPlan) -> Scene {
    let scene = Scene::new(plan, api).await;
    scene.kit.set_modes(|modes| modes.page_cap = Some(50));
    scene
}

/// The state of an object as an analyst sees it.
async fn state(scene: &Scene, object: &str) -> String {
    let sql = format!("select state from sync_status where object = '{object}'");
    scene.mirror.texts(&sql).await.pop().expect("an object")
}

/// M07. A hidden list that is read a second time shows cancelled people; that is no proof that the plain list
/// does.
#[tokio::test(flavor = "multi_thread")]
async fn a_hidden_list_that_is_read_twice_is_no_proof_that_nobody_is_hidden() {
    let plan = AccountPlan::new(900).tags(4).tag_sizes([300, 280, 260, 240]);
    let scene = Scene::new(plan, Api::V3).await;
    scene.kit.set_modes(|modes| modes.set("v3_subscriptions=active").expect("a mode"));
    let tags = tag_ids(&scene);
    scene.change(|account| {
        for tag in &tags {
            let active = members_in(account, *tag, State::Active);
            active.iter().take(70).for_each(|id| assert!(account.cancel(*id)));
        }
    });
    for tag in &tags {
        let (active, hidden) = scene.kit.read(|account| {
            (
                members_in(account, *tag, State::Active).len(),
                members_in(account, *tag, State::Cancelled).len(),
            )
        });
        assert!(hidden > 50, "{hidden} cancelled members");
        // Right after the first page of the hidden list, behind all pages of the plain one.
        let nth = active.div_ceil(50) as u64 + 1;
        let tag = *tag;
        scene.kit.after_request(&members(Api::V3, tag), nth, move |account| {
            let person = account.create_subscriber(NewSubscriber::new(format!("{tag}@example.com")));
            assert!(account.tag(tag, person) && account.cancel(person));
        });
    }
    scene.sync().await;
    scene.kit.clear_churn();
    let pages = |tag: i64| {
        let asked = scene.kit.requests().into_iter().filter(|one| one.path == members(Api::V3, tag));
        asked.filter(|one| one.query.contains("subscriber_state=cancelled")).count()
    };
    for tag in tags {
        let cancelled = scene.kit.read(|account| members_in(account, tag, State::Cancelled));
        assert!(pages(tag) > cancelled.len().div_ceil(50), "the hidden list of {tag} was not read twice");
        let stored = format!("tag_subscriptions where tag_id = {tag}");
        scene.holds_ids(&stored, "subscriber_id", cancelled).await;
    }
    let findings = scene.mirror.texts("select findings from sync_account").await;
    assert!(!findings[0].contains("true"), "{findings:?}");
    scene.sync().await;
    scene.holds_everything().await;
}

/// M10. Broadcasts that are gone when they are looked up make a page shorter, and are not the end of the list.
#[tokio::test(flavor = "multi_thread")]
async fn broadcasts_that_are_gone_at_the_look_up_do_not_end_the_list() {
    let scene = Scene::new(narrow(60).broadcasts(120), Api::V3).await;
    let all: Vec<i64> = scene.kit.read(|account| account.broadcasts().iter().map(|one| one.id).collect());
    let gone = [all[20], all[100]];
    let faults =
        gone.map(|id| scene.kit.faults().add(Fault::status(404).on(&format!("/v3/broadcasts/{id}"))));
    let report = scene.try_sync().await;
    for fault in faults {
        assert!(scene.kit.faults().fired(fault) > Some(0));
    }
    assert_eq!(outcome(&report, "broadcasts"), Outcome::Complete);
    assert_eq!(scene.mirror.number("select count(*) from broadcasts").await, 118);
    scene.holds_ids("broadcasts", "id", all.into_iter().filter(|id| !gone.contains(id))).await;
    scene.kit.faults().clear();
    scene.sync_full().await;
    scene.equals_kit().await;
}

/// M27. A checkpoint is worth nothing once the rows behind it are gone.
#[tokio::test(flavor = "multi_thread")]
async fn people_deleted_from_the_mirror_in_the_middle_of_a_first_load_come_back() {
    for api in Api::VERSIONS {
        let scene = several_pages(api, narrow(500)).await;
        scene.sync_stopping_at(&["subscribers"], None, people(api), 4).await;
        assert!(scene.mirror.number("select count(*) from subscribers").await > 0);
        scene.mirror.execute("delete from subscribers").await;
        scene.sync().await;
        scene.equals_kit().await;
    }
}

/// M27. The same where there was a complete mirror before, and it is an error that cut the load short.
#[tokio::test(flavor = "multi_thread")]
async fn people_deleted_from_the_mirror_in_the_middle_of_a_later_full_load_come_back() {
    for api in Api::VERSIONS {
        let scene = several_pages(api, narrow(500)).await;
        scene.sync().await;
        scene.kit.faults().add(Fault::status(422).on(people(api)).from_nth(4));
        let report = scene.mirror.run(&scene.serving, api, Some(Whole::Load), &objects::names()).await;
        assert_eq!(outcome(&report.expect("the session opens"), "subscribers"), Outcome::Failed);
        scene.kit.faults().clear();
        scene.mirror.execute("delete from subscribers").await;
        scene.sync().await;
        scene.equals_kit().await;
    }
}

/// M27. The lists that were read to their end and the one that never was are both read again.
#[tokio::test(flavor = "multi_thread")]
async fn members_deleted_from_the_mirror_after_a_full_load_that_failed_for_one_tag_come_back() {
    for api in Api::VERSIONS {
        let scene = several_pages(api, AccountPlan::new(300)).await;
        scene.sync().await;
        let failing = tag_ids(&scene)[1];
        scene.kit.faults().add(Fault::status(422).on(&members(api, failing)));
        let report = scene.mirror.run(&scene.serving, api, Some(Whole::Load), &objects::names()).await;
        let report = report.expect("the session opens");
        assert_eq!(outcome(&report, "tag_subscriptions"), Outcome::Failed);
        scene.kit.faults().clear();
        scene.mirror.execute("delete from tag_subscriptions").await;
        scene.sync().await;
        scene.equals_kit().await;
    }
}

/// M27. Two objects write to the table; when the rows of one are back, the other's are still missing.
#[tokio::test(flavor = "multi_thread")]
async fn an_emptied_table_is_loaded_again_by_all_who_write_to_it() {
    for api in Api::VERSIONS {
        let scene = Scene::loaded(AccountPlan::new(400), api).await;
        let cancelled =
            "select count(*) from subscribers where state = 'cancelled' and cancelled_at is not null";
        let before = scene.mirror.number(cancelled).await;
        assert!(api == Api::V3 || before > 0);
        scene.mirror.execute("delete from subscribers").await;
        let report = scene.try_objects(&["subscribers"]).await;
        assert!(report.is_complete(), "{report:#?}");
        scene.sync().await;
        assert_eq!(scene.mirror.number(cancelled).await, before);
        scene.equals_kit().await;
    }
}

/// M15. Without the list of parents nobody knows whose members there are.
#[tokio::test(flavor = "multi_thread")]
async fn members_are_not_complete_while_the_list_of_tags_cannot_be_read() {
    for api in Api::VERSIONS {
        let scene = Scene::new(AccountPlan::small(), api).await;
        scene.kit.faults().add(Fault::status(422).on(tags(api)));
        let report = scene.try_sync().await;
        assert!(!outcome(&report, "tags").is_whole());
        assert!(!outcome(&report, "tag_subscriptions").is_whole(), "{report:#?}");
        let completed = "select count(completed_at) from sync_state \
                             where object = 'tag_subscriptions' and \"partition\" = ''";
        assert_eq!(scene.mirror.number(completed).await, 0);
        assert_ne!(state(&scene, "tag_subscriptions").await, "ok");
        // What does not depend on it is there.
        assert_eq!(outcome(&report, "form_subscriptions"), Outcome::Complete);

        scene.kit.faults().clear();
        scene.sync().await;
        assert_eq!(scene.mirror.number(completed).await, 1);
        scene.equals_kit().await;
    }
}

/// M19. What Kit refuses of one tag says nothing about the others.
#[tokio::test(flavor = "multi_thread")]
async fn a_tag_that_is_refused_does_not_keep_the_others_from_being_read() {
    for api in Api::VERSIONS {
        let scene = Scene::new(AccountPlan::new(300).tags(12), api).await;
        let tags = tag_ids(&scene);
        // The first that is asked for: nothing was read before it.
        let refused = tags[0];
        scene.kit.faults().add(Fault::status(403).on(&members(api, refused)));
        let report = scene.try_sync().await;
        assert_eq!(outcome(&report, "tag_subscriptions"), Outcome::Failed);
        assert_eq!(state(&scene, "tag_subscriptions").await, "failed");
        for tag in &tags[1..] {
            let people: Vec<i64> = scene
                .kit
                .read(|account| account.tag_members(*tag).map(|member| member.subscriber_id).collect());
            let stored = format!("tag_subscriptions where tag_id = {tag}");
            scene.holds_ids(&stored, "subscriber_id", people).await;
        }

        scene.kit.faults().clear();
        scene.sync().await;
        assert_eq!(state(&scene, "tag_subscriptions").await, "ok");
        scene.equals_kit().await;
    }
}

/// M19. Refused for every tag, the object as a whole is; until it no longer is.
#[tokio::test(flavor = "multi_thread")]
async fn an_object_whose_parents_are_all_refused_is_unavailable_until_it_is_not() {
    for api in Api::VERSIONS {
        for count in [1, 2, 12] {
            let scene = Scene::new(AccountPlan::new(200).tags(count), api).await;
            scene.kit.faults().add(Fault::status(403).on(&members(api, '*')));
            let report = scene.try_sync().await;
            assert_eq!(outcome(&report, "tag_subscriptions"), Outcome::Unavailable, "{count} tags");
            assert_eq!(state(&scene, "tag_subscriptions").await, "unavailable");
            assert!(of(&report, "tag_subscriptions").counts.requests < 16);

            scene.kit.faults().clear();
            scene.sync().await;
            assert_eq!(state(&scene, "tag_subscriptions").await, "ok", "{count} tags");
            scene.equals_kit().await;
        }
    }
}

/// M01. As many leave as come, so the totals tell nothing; page 1 is read first and the others backwards.
#[tokio::test(flavor = "multi_thread")]
async fn people_who_come_and_go_in_equal_numbers_take_nobody_with_them() {
    let listed = |account: &Account| -> BTreeSet<i64> {
        account.subscribers().filter(|person| person.state == "active").map(|person| person.id).collect()
    };
    for (nth, place) in [(1, 120), (1, 10), (2, 120), (2, 10), (6, 120), (6, 10), (9, 60), (9, 49)] {
        let scene = Scene::new(narrow(1_000), Api::V3).await;
        let before: Vec<i64> = scene.kit.read(listed).into_iter().collect();
        assert!(before.len() > 600, "{} people", before.len());
        let leaving = before[place];
        scene.kit.after_request(people(Api::V3), nth, move |account| {
            assert!(account.delete_subscriber(leaving));
            account.create_subscriber(NewSubscriber::new("prompt@example.com"));
        });
        let report = scene.try_objects(&["subscribers"]).await;
        assert_eq!(outcome(&report, "subscribers"), Outcome::Complete);
        scene.kit.clear_churn();
        let after = scene.kit.read(listed);
        assert!(!after.contains(&leaving) && after.len() == before.len());
        scene.holds_ids("subscribers", "id", before.into_iter().filter(|id| *id != leaving)).await;
        scene.sync().await;
        scene.holds_ids("subscribers", "id", after).await;
    }
}

/// P-07. The largest number there is does not overflow what is reckoned with it.
#[tokio::test(flavor = "multi_thread")]
async fn a_count_beyond_all_reason_is_survived() {
    let scene = several_pages(Api::V4, narrow(230)).await;
    let fault = Fault::page(PageFault::Total(u64::MAX.to_string())).on("/v4/subscribers").nth(1);
    let fault = scene.kit.faults().add(fault);
    let report = scene.try_objects(&["subscribers"]).await;
    assert_eq!(scene.kit.faults().fired(fault), Some(1));
    assert!(report.ended_by.is_none(), "{report:#?}");
    scene.sync_full().await;
    scene.equals_kit().await;
}

/// P-07. The same on a page that is the whole list.
#[tokio::test(flavor = "multi_thread")]
async fn an_empty_page_with_a_count_beyond_all_reason_is_survived() {
    let body = r#"{"subscribers":[],"pagination":{"has_previous_page":false,"has_next_page":false,
        "start_cursor":null,"end_cursor":null,"per_page":1000,"total_count":18446744073709551615}}"#;
    let scene = Scene::new(AccountPlan::small(), Api::V4).await;
    let junk = Action::Junk(Junk::Json(body.to_owned()));
    let fault = scene.kit.faults().add(Fault::new(junk).on("/v4/subscribers").nth(1));
    scene.try_sync().await;
    assert_eq!(scene.kit.faults().fired(fault), Some(1));
    scene.sync_full().await;
    scene.equals_kit().await;
}

/// G-02. Nobody will ever finish the pass of a tag that is gone.
#[tokio::test(flavor = "multi_thread")]
async fn a_tag_deleted_while_its_pass_is_unfinished_does_not_leave_the_object_syncing() {
    for api in Api::VERSIONS {
        let plan = AccountPlan::new(700).tags(3).tag_sizes([500, 20, 20]);
        let scene = several_pages(api, plan).await;
        let largest = tag_ids(&scene)[0];
        scene.sync_stopping_at(&objects::names(), None, &members(api, largest), 4).await;
        let unfinished = format!(
            "select count(checkpoint) from sync_state \
             where object = 'tag_subscriptions' and \"partition\" = '{largest}'"
        );
        assert_eq!(scene.mirror.number(&unfinished).await, 1);
        assert_eq!(state(&scene, "tag_subscriptions").await, "syncing");
        assert!(scene.change(|account| account.delete_tag(largest)));
        scene.later(TimeDelta::hours(1));
        scene.sync().await;
        assert_eq!(state(&scene, "tag_subscriptions").await, "ok", "{api:?}");
        scene.sync_full().await;
        assert_eq!(state(&scene, "tag_subscriptions").await, "ok", "{api:?}");
    }
}
