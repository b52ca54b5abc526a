//! What a run costs while nothing happens.

use crate::support::{Api, Scene};
use chrono::TimeDelta;
use kitmirror::simulator::AccountPlan;

fn plan() -> AccountPlan {
    AccountPlan::new(300).tags(6).tag_sizes([60, 130, 0, 5, 7, 9]).forms(3).sequences(2).broadcasts(5)
}

/// Requests for lists of members since the last look.
fn member_lists(scene: &Scene) -> Vec<String> {
    let requests = scene.kit.requests();
    scene.kit.clear_requests();
    let of_members = |path: &String| path.split('/').count() == 5;
    requests.into_iter().map(|request| request.path).filter(of_members).collect()
}

/// P1: members of a parent whose count did not move are found within a day, the others by the next run.
#[tokio::test]
async fn lists_whose_count_does_not_move_are_left_out_and_those_that_move_are_read() {
    let mut scene = Scene::new(plan(), Api::V4).await;
    scene.mirror.set("KITMIRROR_MEMBER_RECHECK", "24h");
    scene.sync().await;
    member_lists(&scene);
    scene.later(TimeDelta::hours(1));
    let quiet = scene.sync().await.total().requests;
    assert_eq!(member_lists(&scene), Vec::<String>::new());
    // Forms, sequences, tags, broadcasts, cancelled people, and people twice.
    assert_eq!(quiet, 7);
    let tag = scene.change(|account| {
        let tag = account.tags()[3].id;
        let person = account.subscribers().find(|person| {
            person.state == "active" && !account.is_member(kitmirror::simulator::Parent::tag(tag), person.id)
        });
        let person = person.expect("somebody without the tag").id;
        assert!(account.tag(tag, person));
        tag
    });
    scene.later(TimeDelta::hours(1));
    scene.sync().await;
    assert_eq!(member_lists(&scene), [format!("/v4/tags/{tag}/subscribers")]);
    scene.holds_everything().await;
    // A new parent is read at once, and whatever is asked for in full.
    let fresh = scene.change(|account| account.create_tag("fresh"));
    scene.later(TimeDelta::hours(1));
    scene.sync().await;
    assert_eq!(member_lists(&scene), [format!("/v4/tags/{fresh}/subscribers")]);
    scene.sync_full().await;
    assert_eq!(member_lists(&scene).len(), 7 + 3 + 2);
    // A day later each is read although its count has not moved.
    scene.mirror.set("KITMIRROR_MEMBER_RECHECK", "0s");
    scene.sync().await;
    assert_eq!(member_lists(&scene).len(), 7 + 3 + 2);
}

/// A count that is missing, as for sequences with their guaranteed members only, leaves nothing out.
#[tokio::test]
async fn lists_without_a_count_are_always_read() {
    let mut scene = Scene::new(plan(), Api::V4).await;
    scene.kit.set_modes(|modes| modes.sequence_rows = kitmirror::simulator::SequenceRows::Minimal);
    scene.mirror.set("KITMIRROR_MEMBER_RECHECK", "24h");
    scene.sync().await;
    member_lists(&scene);
    scene.sync().await;
    assert_eq!(member_lists(&scene).len(), 2);
}
