//! The mirror held against the account, by the program's own command.

use crate::support::{Api, Binary, Scene};
use chrono::TimeDelta;
use kitmirror::simulator::{AccountPlan, Action, Blank, Fault};
use serde_json::{Value, json};

fn plan() -> AccountPlan {
    AccountPlan::new(300).tags(3).tag_sizes([60, 130, 0]).forms(2).sequences(2).broadcasts(5)
}

async fn verified(scene: &Scene, arguments: &[&str], code: i32) -> Value {
    let all: Vec<&str> = ["verify", "--json"].iter().chain(arguments).copied().collect();
    let ran = Binary::of(&scene.mirror, &scene.serving, scene.api).run(&all).await;
    ran.ended_with(code).json()
}

fn list<'v>(report: &'v Value, object: &str, partition: &str) -> &'v Value {
    let lists = report["lists"].as_array().expect("lists");
    let found = lists.iter().find(|list| list["object"] == object && list["partition"] == partition);
    found.unwrap_or_else(|| panic!("no {object}/{partition} in {report:#}"))
}

#[tokio::test]
async fn a_fresh_mirror_is_the_same_by_totals_and_by_rows_and_comparing_writes_nothing() {
    for api in Api::VERSIONS {
        let scene = Scene::loaded(plan(), api).await;
        let before = scene.mirror.contents().await;
        let quick = verified(&scene, &[], 0).await;
        assert_eq!((&quick["same"], &quick["complete"]), (&json!(true), &json!(true)));
        assert_eq!(list(&quick, "subscribers", "")["how"], "total");
        let deep = verified(&scene, &["--deep"], 0).await;
        assert_eq!(list(&deep, "subscribers", "")["how"], "rows");
        assert!(deep["requests"].as_u64() > Some(5));
        assert_eq!(scene.mirror.contents().await, before);
    }
}

#[tokio::test]
async fn what_is_missing_extra_or_different_is_named_and_repaired_by_reading_just_that() {
    for api in Api::VERSIONS {
        let scene = Scene::loaded(plan(), api).await;
        let (tag, other) = scene.kit.read(|account| (account.tags()[0].id, account.tags()[1].id));
        let member = format!("select min(subscriber_id) from tag_subscriptions where tag_id = {tag}");
        let missing = scene.mirror.number(&member).await;
        scene
            .mirror
            .execute(&format!(
                "delete from tag_subscriptions where tag_id = {tag} and subscriber_id = {missing}"
            ))
            .await;
        let stamp = crate::ENGINE.time("2024-05-01T00:00:00Z".parse().expect("a time"));
        let extra = format!(
            "insert into tag_subscriptions (tag_id, subscriber_id, created_at, _first_seen_at, _synced_at) \
             values ({tag}, 77, {stamp}, {stamp}, {stamp})"
        );
        scene.mirror.execute(&extra).await;
        let person = "select min(id) from subscribers where state = 'active'";
        let person = scene.mirror.number(person).await;
        scene
            .mirror
            .execute(&format!("update subscribers set first_name = 'Nobody' where id = {person}"))
            .await;

        let found = verified(&scene, &["--deep"], 6).await;
        let tagged = list(&found, "tag_subscriptions", &tag.to_string());
        assert_eq!(tagged["missing"], json!({ "count": 1, "ids": [missing] }));
        assert_eq!(tagged["extra"], json!({ "count": 1, "ids": [77] }));
        assert_eq!(list(&found, "subscribers", "")["different"], json!({ "count": 1, "ids": [person] }));
        assert_eq!(list(&found, "tag_subscriptions", &other.to_string())["differs"], false);

        scene.kit.clear_requests();
        verified(&scene, &["--deep", "--repair"], 0).await;
        let again = format!("/tags/{other}/");
        let asked = scene.kit.requests().iter().filter(|one| one.path.contains(&again)).count();
        assert!(asked <= 2 + usize::from(api == Api::V3), "{asked} requests for a list that was the same");
        verified(&scene, &["--deep"], 0).await;
        scene.mirrors_kit().await;
    }
}

#[tokio::test]
async fn totals_that_differ_send_it_through_the_rows_and_a_budget_ends_it() {
    for api in Api::VERSIONS {
        let scene = Scene::loaded(plan(), api).await;
        scene.change(|account| {
            let tag = account.tags()[0].id;
            let member = account.tag_members(tag).next().expect("a member").subscriber_id;
            account.untag(tag, member)
        });
        scene.later(TimeDelta::hours(1));
        let found = verified(&scene, &[], 6).await;
        let tag = scene.kit.read(|account| account.tags()[0].id).to_string();
        let tagged = list(&found, "tag_subscriptions", &tag);
        assert_eq!((&tagged["how"], &tagged["extra"]["count"]), (&json!("rows"), &json!(1)));
        let cut = verified(&scene, &["--max-requests", "3"], 5).await;
        assert_eq!(cut["complete"], false);
        assert!(cut["requests"].as_u64() <= Some(5), "{}", cut["requests"]);
    }
}

/// the mirror of another account is not compared.
#[tokio::test]
async fn the_mirror_of_another_account_is_not_compared() {
    let scene = Scene::loaded(plan(), Api::V4).await;
    scene.change(|account| account.become_account(4711, "Somebody else's"));
    let ran = Binary::of(&scene.mirror, &scene.serving, scene.api).run(&["verify"]).await;
    ran.ended_with(2).tells_one_error();
}

/// M37. Parents that the mirror does not know yet have members as well: these are told, and loaded with them.
#[tokio::test]
async fn the_members_of_a_tag_that_is_missing_are_missing_too() {
    for api in Api::VERSIONS {
        let scene = Scene::loaded(plan(), api).await;
        let tag = scene.kit.change(|account| account.create_tag("New"));
        let tagged = scene.kit.change(|account| account.tag_many(tag, 0, 40)).len();
        scene.later(TimeDelta::hours(1));
        let found = verified(&scene, &[], 6).await;
        assert_eq!(list(&found, "tags", "")["missing"], json!({ "count": 1, "ids": [tag] }));
        let members = list(&found, "tag_subscriptions", &tag.to_string());
        assert_eq!(members["missing"]["count"], tagged, "{api:?}");
        verified(&scene, &["--repair"], 0).await;
        verified(&scene, &["--deep"], 0).await;
        scene.mirrors_kit().await;
    }
}

/// M37. The same where a tag was marked as gone that is not.
#[tokio::test]
async fn a_tag_that_is_gone_here_only_comes_back_with_its_members() {
    for api in Api::VERSIONS {
        let scene = Scene::loaded(plan(), api).await;
        let tag = scene.kit.read(|account| account.tags()[0].id);
        let stamp = crate::ENGINE.time("2024-05-01T00:00:00Z".parse().expect("a time"));
        for (table, column) in [("tags", "id"), ("tag_subscriptions", "tag_id")] {
            let sql = format!("update {table} set _deleted_at = {stamp} where {column} = {tag}");
            scene.mirror.execute(&sql).await;
        }
        let found = verified(&scene, &["--deep"], 6).await;
        assert_eq!(list(&found, "tag_subscriptions", &tag.to_string())["different"]["count"], 60, "{api:?}");
        verified(&scene, &["--deep", "--repair"], 0).await;
        verified(&scene, &["--deep"], 0).await;
        let gone = "select count(*) from tag_subscriptions where _deleted_at is not null";
        assert_eq!(scene.mirror.number(gone).await, 0, "{api:?}");
    }
}

/// A list that Kit refuses keeps no other from being compared, and is named.
#[tokio::test]
async fn a_list_that_is_refused_is_named_and_the_others_are_compared() {
    for api in Api::VERSIONS {
        let scene = Scene::loaded(plan(), api).await;
        let on = if api == Api::V3 { "/v3/forms" } else { "/v4/forms" };
        scene.kit.faults().add(Fault::new(Action::Status(403, Blank::Json)).on(on));
        let found = verified(&scene, &[], 5).await;
        assert_eq!((&found["same"], &found["complete"]), (&json!(true), &json!(false)));
        let forms = list(&found, "forms", "");
        assert_eq!((&forms["how"], &forms["differs"]), (&json!("skipped"), &json!(null)));
        assert!(forms["error"].as_str().is_some_and(|error| error.contains("403")), "{forms:#}");
        assert_eq!(list(&found, "subscribers", "")["differs"], false);
        assert_eq!(list(&found, "tags", "")["differs"], false);
    }
}
