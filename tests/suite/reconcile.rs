//! What a reconcile finds: rows that changed, rows that are gone, rows that are back, and what it leaves alone.

use crate::support::judge::Strictness;
use crate::support::scene::of;
use crate::support::{Api, Binary, Scene, shared};
use chrono::TimeDelta;
use futures_util::future::join_all;
use kitmirror::model::objects;
use kitmirror::replication::{Mode, Whole};
use kitmirror::simulator::{
    AccountPlan, Action, Blank, Fault, Junk, Lag, NewSubscriber, PageFault, Parent, Scope, Simulator, State,
};
use kitmirror::store::Outcome;
use std::time::Duration;

fn plan() -> AccountPlan {
    AccountPlan::new(400).tags(4).tag_sizes([60, 130, 40, 0]).forms(3).sequences(3).broadcasts(8)
}

/// Ids of a table whose rows are marked as gone.
async fn marked(scene: &Scene, sql: &str) -> Vec<i64> {
    let texts = scene.mirror.texts(&format!("{sql} and _deleted_at is not null order by 1")).await;
    texts.iter().map(|text| text.parse().expect("an id")).collect()
}

/// P2. What owners do to forms, sequences, drafts and fields by hand.
#[tokio::test]
async fn a_reconcile_finds_what_is_not_dated() {
    for api in Api::VERSIONS {
        let scene = Scene::loaded(plan(), api).await;
        scene.change(|account| {
            let (form, sequence) = (account.forms()[0].id, account.sequences()[0].id);
            let of_form = account.members(Parent::form(form)).next().expect("a member").subscriber_id;
            let of_sequence = account.members(Parent::sequence(sequence)).next().expect("one").subscriber_id;
            assert!(account.leave_form(form, of_form) && account.leave_sequence(sequence, of_sequence));
            assert!(account.trash_form(account.forms()[1].id));
            let draft = account.broadcasts().iter().find(|one| one.status == "draft").map(|one| one.id);
            let draft = draft.unwrap_or_else(|| account.create_broadcast(Some("Later")));
            assert!(account.schedule_broadcast(draft, account.tomorrow()));
            assert!(account.delete_custom_field(account.custom_fields()[0].id));
        });
        scene.later(TimeDelta::hours(1));
        scene.reconcile().await;
        scene.mirrors_kit().await;
    }
}

/// M37, P2. Somebody leaves the tag whenever it is read: what left before is marked all the same.
#[tokio::test(flavor = "multi_thread")]
async fn a_list_that_shrinks_while_it_is_read_is_reconciled() {
    join_all(Api::VERSIONS.map(|api| async move {
        let (page, members) = match api {
            Api::V3 => (50, "/v3/tags/*/subscriptions"),
            _ => (100, "/v4/tags/*/subscribers"),
        };
        let plan = AccountPlan::new(900).tag_sizes([600]);
        let scene = Scene::new(plan, api).await;
        scene.kit.set_modes(|modes| modes.page_cap = Some(page));
        scene.sync_full().await;
        let tag = scene.change(|account| account.tags()[0].id);
        let leave = move |account: &mut kitmirror::simulator::Account| {
            let mut all = account.tag_members(tag).map(|member| member.subscriber_id);
            let first = all.find(|id| account.state_of(*id) == Some(State::Active)).expect("a member");
            drop(all);
            assert!(account.untag(tag, first));
            first
        };
        let gone = scene.change(|account| [(); 5].map(|()| leave(account)));
        scene.later(TimeDelta::hours(1));
        scene
            .kit
            .every_request(members, if api == Api::V3 { 6 } else { 2 }, move |account| _ = leave(account));
        let report = scene.reconcile().await;
        assert!(report.is_complete(), "{api:?}: {report:#?}");
        let sql = format!("select subscriber_id from tag_subscriptions where tag_id = {tag}");
        let marked = marked(&scene, &sql).await;
        assert!(gone.iter().all(|id| marked.contains(id)), "{api:?}: {marked:?} of {gone:?}");
        scene.kit.clear_churn();
        scene.later(TimeDelta::hours(1));
        scene.reconcile().await;
        scene.mirrors_kit().await;
    }))
    .await;
}

/// H-06, M37. A proxy that answers 404 to everything for a while knows nothing about what is at Kit.
#[tokio::test(flavor = "multi_thread")]
async fn a_404_that_is_not_kits_is_no_proof_of_a_deletion() {
    let cases = [
        (Api::V3, "/v3/tags/*/subscriptions", Blank::Empty),
        (Api::V4, "/v4/tags/*/subscribers", Blank::Html),
    ];
    join_all(cases.map(|(api, members, look)| async move {
        let scene = Scene::loaded(plan(), api).await;
        let gone = scene.change(|account| {
            let gone = account.tags()[2].id;
            assert!(account.delete_tag(gone));
            gone
        });
        scene.later(TimeDelta::hours(1));
        scene.kit.faults().add(Fault::new(Action::Status(404, look)).on(members));
        let run = scene.mirror.run(&scene.serving, api, Some(Whole::Reconcile), &["tags"]).await;
        assert!(!run.expect("a session").is_complete(), "{api:?}");
        assert_eq!(marked(&scene, "select id from tags where id > 0").await, [0; 0], "{api:?}");
        scene.kit.faults().clear();
        scene.reconcile().await;
        assert_eq!(marked(&scene, "select id from tags where id > 0").await, [gone], "{api:?}");
    }))
    .await;
}

/// M37, P2.
#[tokio::test]
async fn a_reconcile_corrects_what_changed_and_marks_what_is_gone() {
    for api in Api::VERSIONS {
        let scene = Scene::loaded(plan(), api).await;
        let (tag, gone, untagged, renamed) = scene.change(|account| {
            let tags: Vec<i64> = account.tags().iter().map(|tag| tag.id).collect();
            let is_active = |id: &i64| account.state_of(*id) == Some(State::Active);
            let members = account.tag_members(tags[0]).map(|member| member.subscriber_id);
            let members: Vec<i64> = members.filter(is_active).collect();
            let (gone, untagged, renamed) = (members[0], members[1], members[2]);
            assert!(account.delete_subscriber(gone) && account.untag(tags[0], untagged));
            assert!(account.rename_subscriber(renamed, Some("Somebody else")));
            let (form, sequence) = (account.forms()[1].id, account.sequences()[1].id);
            let broadcast = account.broadcasts()[2].id;
            assert!(account.delete_tag(tags[2]) && account.delete_form(form));
            assert!(account.delete_sequence(sequence) && account.delete_broadcast(broadcast));
            assert!(account.rename_tag(tags[1], "Renamed"));
            (tags[0], gone, untagged, renamed)
        });
        scene.later(TimeDelta::hours(1));
        let report = scene.reconcile().await;
        assert!(report.objects.iter().all(|one| one.mode == Mode::Reconcile), "{report:#?}");
        scene.mirrors_kit().await;
        assert_eq!(marked(&scene, "select id from subscribers where id > 0").await, [gone]);
        let sql = format!("select subscriber_id from tag_subscriptions where tag_id = {tag}");
        let mut both = vec![gone, untagged];
        both.sort_unstable();
        assert_eq!(marked(&scene, &sql).await, both);
        for table in ["tags", "forms", "sequences", "broadcasts"] {
            let sql = format!("select id from {table} where id > 0");
            assert_eq!(marked(&scene, &sql).await.len(), 1, "{table}");
        }
        let sql = format!("select first_name from subscribers where id = {renamed}");
        assert_eq!(scene.mirror.texts(&sql).await, ["Somebody else"]);
        let sql = "select rows_deleted from sync_runs where object = 'subscribers' order by id desc limit 1";
        assert!(scene.mirror.number(sql).await >= 1);
        // Nothing more to be found, and nothing left behind.
        let again = scene.reconcile().await;
        assert_eq!(again.total().rows_deleted, 0);
        assert_eq!(scene.mirror.number("select count(*) from sync_met").await, 0);
        assert_eq!(
            scene.mirror.number("select count(*) from sync_status where last_reconcile_at is null").await,
            0
        );
    }
}

#[tokio::test]
async fn what_comes_back_loses_its_mark() {
    for api in Api::VERSIONS {
        let scene = Scene::loaded(plan(), api).await;
        let (tag, person) = scene.change(|account| {
            let tag = account.tags()[1].id;
            let person = account.tag_members(tag).next().expect("a member").subscriber_id;
            account.untag(tag, person);
            (tag, person)
        });
        scene.later(TimeDelta::hours(1));
        scene.reconcile().await;
        let sql = format!("select subscriber_id from tag_subscriptions where tag_id = {tag}");
        assert_eq!(marked(&scene, &sql).await, [person]);
        scene.later(TimeDelta::hours(1));
        assert!(scene.change(|account| account.tag(tag, person)));
        scene.later(TimeDelta::hours(1));
        // An incremental run is enough: the tagging is new.
        scene.sync().await;
        assert_eq!(marked(&scene, &sql).await, Vec::<i64>::new());
        scene.counts_its_rows().await;
        scene.mirrors_kit().await;
    }
}

/// M37: the alarm, and the way past it.
#[tokio::test]
async fn more_than_fifty_rows_and_one_percent_are_left_alone_until_somebody_says_so() {
    for api in Api::VERSIONS {
        let mut scene = Scene::loaded(plan(), api).await;
        let tag = scene.change(|account| {
            let tag = account.tags()[1].id;
            let members: Vec<i64> = account.tag_members(tag).map(|member| member.subscriber_id).collect();
            for person in &members[..60] {
                account.untag(tag, *person);
            }
            tag
        });
        scene.later(TimeDelta::hours(1));
        let report = scene.try_reconcile().await;
        assert!(report.ended_by.is_none() && !report.is_complete(), "{report:#?}");
        let held = of(&report, "tag_subscriptions");
        assert_eq!(held.outcome, Outcome::Incomplete);
        assert!(held.error.as_ref().is_some_and(|error| error.contains("60 rows")), "{held:?}");
        assert!(held.advice.is_some_and(|advice| advice.contains("--accept-deletions")));
        let sql = format!("select subscriber_id from tag_subscriptions where tag_id = {tag}");
        assert_eq!(marked(&scene, &sql).await, Vec::<i64>::new());
        let sql_held = "select held_deletions from sync_status where object = 'tag_subscriptions'";
        assert_eq!(scene.mirror.number(sql_held).await, 60);
        // It is not tried again by every run, and not forgotten either.
        let next = scene.sync().await;
        assert_eq!(of(&next, "tag_subscriptions").mode, Mode::Incremental);
        assert_eq!(scene.mirror.number(sql_held).await, 60);
        scene.mirror.accept_deletions = true;
        scene.reconcile().await;
        assert_eq!(marked(&scene, &sql).await.len(), 60);
        assert_eq!(scene.mirror.lines(sql_held).await, ["-"]);
        scene.mirrors_kit().await;
    }
}

/// M37: whatever a list answers for a while, what is there is not marked.
#[tokio::test]
async fn an_empty_or_halved_or_foreign_answer_marks_nothing() {
    let mut faults = vec![("a page for people", Action::Junk(Junk::Html))];
    for consistent in [false, true] {
        faults.push(("emptied", Action::Page(PageFault::Emptied { consistent })));
        faults.push(("halved", Action::Page(PageFault::Halved { consistent })));
    }
    for api in Api::VERSIONS {
        let members = if api == Api::V3 { "/v3/tags/*/subscriptions" } else { "/v4/tags/*/subscribers" };
        let routes = ["subscribers", members, "tags", "forms"];
        let scene = Scene::loaded(plan(), api).await;
        for ((name, action), route) in
            shared(faults.iter().flat_map(|fault| routes.map(|route| (fault, route))))
        {
            let fault = scene.kit.faults().add(Fault::new(action.clone()).on(route).times(2));
            scene.try_reconcile().await;
            assert!(scene.kit.faults().fired(fault) > Some(0), "{api:?} {name} on {route} did not strike");
            scene.kit.faults().clear();
            for object in objects::tables() {
                let sql = format!("select count(*) from {} where _deleted_at is not null", object.table);
                let marked = scene.mirror.number(&sql).await;
                assert_eq!(marked, 0, "{api:?} {name} on {route}: {}", object.table);
            }
        }
        scene.sync_full().await;
        scene.mirrors_kit().await;
    }
}

/// K-01, M37: a reconcile that is stopped anywhere goes on, and marks the same.
#[tokio::test]
async fn a_reconcile_that_was_stopped_goes_on_and_marks_the_same() {
    for api in Api::VERSIONS {
        let scene = Scene::loaded(AccountPlan::new(2600).tags(2).tag_sizes([1500, 30]), api).await;
        let mut chance = fastrand::Rng::with_seed(7);
        let mut stops = 0;
        for round in 0..6_u64 {
            scene.change(|account| {
                let tag = account.tags()[0].id;
                for _ in 0..4 {
                    let person = account.pick_member(Parent::tag(tag), &mut chance).expect("a member");
                    account.untag(tag, person);
                    let person = account.pick_subscriber(&mut chance).expect("somebody");
                    account.delete_subscriber(person);
                }
            });
            scene.later(TimeDelta::hours(1));
            let nth = 1 + round % 3;
            let route = if round % 2 == 0 { "subscribers" } else { "tags/" };
            let report = scene.reconcile_stopping_at(route, nth).await;
            stops += u32::from(report.stopped);
            // A run without a wish goes on with the reconcile.
            scene.sync().await;
            scene.mirrors_kit().await;
            assert_eq!(scene.mirror.number("select count(*) from sync_met").await, 0);
        }
        assert!(stops >= 4, "{stops} of 6 were stopped");
    }
}

/// K-01, M37: what is marked is gone, at whatever moment it is looked at.
#[tokio::test]
async fn a_reconcile_killed_at_any_moment_has_marked_nothing_that_is_there() {
    for api in Api::VERSIONS {
        let scene = Scene::loaded(AccountPlan::new(2600).tags(2).tag_sizes([900, 30]), api).await;
        let binary = Binary::of(&scene.mirror, &scene.serving, api);
        let mut chance = fastrand::Rng::with_seed(11);
        let tag = scene.kit.read(|account| account.tags()[0].id);
        let mut killed = 0;
        for _ in 0..8 {
            scene.change(|account| {
                for _ in 0..5 {
                    let person = account.pick_member(Parent::tag(tag), &mut chance).expect("a member");
                    account.untag(tag, person);
                    let person = account.pick_subscriber(&mut chance).expect("somebody");
                    account.delete_subscriber(person);
                }
            });
            scene.later(TimeDelta::hours(1));
            let (sender, mut asked) = tokio::sync::mpsc::unbounded_channel();
            scene.kit.after_request("", chance.u64(2..12), move |_| sender.send(()).expect("somebody waits"));
            let running = binary.start(&["sync", "--reconcile"]);
            asked.recv().await;
            tokio::time::sleep(Duration::from_millis(chance.u64(0..15))).await;
            killed += u32::from(running.kill().await);
            scene.kit.clear_churn();
            for person in marked(&scene, "select id from subscribers where id > 0").await {
                assert!(scene.kit.read(|account| account.state_of(person)).is_none(), "{person} is at Kit");
            }
            for person in
                marked(&scene, &format!("select subscriber_id from tag_subscriptions where tag_id = {tag}"))
                    .await
            {
                let is_member = scene.kit.read(|account| account.is_member(Parent::tag(tag), person));
                assert!(!is_member, "{person} has the tag");
            }
        }
        assert!(killed >= 4, "{killed} of 8 were killed");
        // What the last one left unfinished is gone on with by any run.
        scene.sync().await;
        scene.reconcile().await;
        scene.mirrors_kit().await;
    }
}

/// The counters of the mirrored tables' rows do not move, and neither does the number of requests beyond a full load.
#[tokio::test]
async fn a_reconcile_of_an_unchanged_account_writes_no_row_and_takes_the_requests_of_a_full_load() {
    for api in Api::VERSIONS {
        let scene = Scene::loaded(plan(), api).await;
        let full = scene.sync_full().await.total().requests;
        let before =
            scene.mirror.lines("select id, _synced_at, _deleted_at from subscribers order by id").await;
        let report = scene.reconcile().await.total();
        assert_eq!((report.rows_inserted, report.rows_updated, report.rows_deleted), (0, 0, 0));
        assert_eq!(report.requests, full, "{api:?}");
        let after =
            scene.mirror.lines("select id, _synced_at, _deleted_at from subscribers order by id").await;
        assert_eq!(before, after);
    }
}

/// M37: a row that Kit's lists do not show yet, because they lag behind, is not taken for gone.
#[tokio::test]
async fn a_young_row_is_not_looked_for() {
    let mut scene = Scene::loaded(plan(), Api::V4).await;
    scene.mirror.set("KITMIRROR_VISIBILITY_LAG", "10m");
    let tag = scene.change(|account| {
        let tag = account.tags()[0].id;
        let member = account.tag_members(tag).next().expect("a member").subscriber_id;
        account.untag(tag, member);
        tag
    });
    scene.later(TimeDelta::hours(1));
    scene.reconcile().await;
    let sql = format!("select subscriber_id from tag_subscriptions where tag_id = {tag}");
    assert_eq!(marked(&scene, &sql).await, Vec::<i64>::new(), "stored seconds ago by our clock");
    scene.mirror.set("KITMIRROR_VISIBILITY_LAG", "0s");
    scene.reconcile().await;
    assert_eq!(marked(&scene, &sql).await.len(), 1);
}

/// People are looked up by id before they are marked: lists may lag behind or hide somebody.
#[tokio::test]
async fn a_person_whom_a_list_does_not_show_but_who_is_there_is_not_marked() {
    // v3 lists nobody who bounced. He is looked up, and what he is now is stored.
    let scene = Scene::loaded(plan(), Api::V3).await;
    let person = scene.change(|account| {
        let mut chance = fastrand::Rng::with_seed(3);
        let person = account.pick_subscriber_in(&[State::Active], &mut chance).expect("somebody active");
        assert!(account.bounce(person));
        person
    });
    scene.later(TimeDelta::hours(1));
    scene.reconcile().await;
    let sql = format!("select state, _deleted_at from subscribers where id = {person}");
    assert_eq!(scene.mirror.lines(&sql).await, ["bounced|-"]);
    scene.mirrors_kit().await;
    // v4's lists show what was created only after a while; the look-up shows it at once.
    let scene = Scene::loaded(plan(), Api::V4).await;
    let person = scene.change(|account| account.create_subscriber(NewSubscriber::new("new@example.org")));
    scene.later(TimeDelta::minutes(1));
    scene.sync().await;
    scene.kit.faults().add(Fault::page(PageFault::Halved { consistent: true }).on("/v4/subscribers"));
    scene.try_reconcile_of(&["subscribers"]).await;
    let sql = format!("select id, _deleted_at from subscribers where id = {person}");
    assert_eq!(scene.mirror.lines(&sql).await, [format!("{person}|-")]);
}

/// A look-up that Kit has no usable answer for concerns one row, and no other.
#[tokio::test]
async fn a_row_that_cannot_be_looked_up_is_left_alone_and_holds_nobody_up() {
    let scene = Scene::loaded(plan(), Api::V4).await;
    let gone = scene.change(|account| {
        let mut chance = fastrand::Rng::with_seed(5);
        let [one, other] = [(); 2].map(|()| account.pick_subscriber(&mut chance).expect("somebody"));
        assert!(one != other && account.delete_subscriber(one) && account.delete_subscriber(other));
        [one, other]
    });
    scene.later(TimeDelta::hours(1));
    scene.kit.faults().add(Fault::status(422).on(&format!("/v4/subscribers/{}", gone[0])));
    let report = scene.try_reconcile().await;
    let people = of(&report, "subscribers");
    assert_eq!((people.outcome, people.counts.rows_deleted > 0), (Outcome::Incomplete, true), "{people:?}");
    assert_eq!(marked(&scene, "select id from subscribers where id > 0").await, [gone[1]]);
    scene.kit.faults().clear();
    scene.sync().await;
    scene.reconcile().await;
    scene.mirrors_kit().await;
}

/// v3's member lists may hide people who are not active: their memberships are not taken for gone.
#[tokio::test]
async fn what_left_a_list_that_hides_people_is_marked_by_the_same_run() {
    let scene = Scene::loaded_with(plan(), Api::V3, |modes| modes.v3_subscriptions = Scope::Active).await;
    let (tag, person) = scene.change(|account| {
        let tag = account.tags()[1].id;
        let is_active = |id: &i64| account.state_of(*id) == Some(State::Active);
        let person = account.tag_members(tag).map(|member| member.subscriber_id).find(is_active);
        let person = person.expect("an active member");
        assert!(account.untag(tag, person));
        (tag, person)
    });
    scene.later(TimeDelta::hours(1));
    scene.reconcile().await;
    let sql = format!("select subscriber_id from tag_subscriptions where tag_id = {tag}");
    assert_eq!(marked(&scene, &sql).await, [person]);
}

/// The same for those whom it hides.
#[tokio::test]
async fn memberships_of_people_whom_a_list_hides_are_not_marked() {
    let scene = Scene::loaded_with(plan(), Api::V3, |modes| modes.v3_subscriptions = Scope::Active).await;
    let (tag, person) = scene.change(|account| {
        let tag = account.tags()[1].id;
        let member = account.tag_members(tag).find(|member| {
            account.subscriber(member.subscriber_id).is_some_and(|person| person.state == "active")
        });
        let person = member.expect("an active member").subscriber_id;
        assert!(account.bounce(person));
        (tag, person)
    });
    scene.later(TimeDelta::hours(1));
    scene.reconcile().await;
    let sql = format!(
        "select _deleted_at from tag_subscriptions where tag_id = {tag} and subscriber_id = {person}"
    );
    assert_eq!(scene.mirror.lines(&sql).await, ["-"]);
}

/// M37, P2, O1 to O3: changes of every kind, reconciles in between, faults on top.
#[tokio::test]
async fn after_random_changes_and_reconciles_the_mirror_is_what_is_at_kit() {
    let rounds: u64 =
        std::env::var("KITMIRROR_TEST_CHANGES").ok().and_then(|n| n.parse().ok()).unwrap_or(900) / 150;
    let all = Api::VERSIONS.into_iter().flat_map(|api| [(api, Lag::None), (api, Lag::Kit)]);
    for (api, lag) in shared(all) {
        let mut scene = Scene::loaded_with(plan(), api, |modes| modes.lag = lag).await;
        scene.mirror.accept_deletions = true;
        let mut chance = fastrand::Rng::with_seed(rounds ^ 0x5eed);
        let mut stored = 0;
        for round in 0..rounds {
            for _ in 0..150 {
                scene.change(|account| account.random_change(&mut chance));
                scene.later(TimeDelta::seconds(chance.i64(1..120)));
            }
            disturb(&scene.kit, &mut chance);
            if round % 2 == 0 {
                scene.try_sync().await;
            } else {
                scene.try_reconcile().await;
            }
            scene.kit.faults().clear();
            // A row that is gone at Kit is marked, not removed.
            let before = std::mem::replace(&mut stored, all_rows(&scene).await);
            assert!(stored >= before, "{stored} rows of {before}");
        }
        scene.later(TimeDelta::days(1));
        scene.reconcile().await;
        scene.mirrors_kit().await;
        let sql = "select count(*) from subscribers where _deleted_at is not null";
        assert!(scene.mirror.number(sql).await > 0, "nobody was deleted");
    }
}

/// Rows of all tables, those marked as gone included.
async fn all_rows(scene: &Scene) -> i64 {
    let tables: Vec<String> =
        objects::tables().map(|object| format!("(select count(*) from {})", object.table)).collect();
    scene.mirror.number(&format!("select {}", tables.join(" + "))).await
}

/// A fault or two that a run survives or does not.
fn disturb(kit: &Simulator, chance: &mut fastrand::Rng) {
    let faults = [
        Fault::status(503).chance(0.05).times(6),
        Fault::new(Action::ResetInBody { bytes: 900 }).chance(0.03).times(4),
        Fault::new(Action::TruncateBody { bytes: 500 }).chance(0.03).times(4),
        Fault::new(Action::Junk(Junk::Html)).chance(0.03).times(4),
        Fault::status(404).on("/v4/tags/*/subscribers").nth(2),
    ];
    for fault in chance.choose_multiple(faults.iter(), 2) {
        kit.faults().add(fault.clone());
    }
}

/// A full load that was asked for does not stand in for a reconcile, and a reconcile does for a full load.
#[tokio::test]
async fn a_full_load_marks_nothing() {
    let scene = Scene::loaded(plan(), Api::V4).await;
    scene.change(|account| account.delete_tag(account.tags()[0].id));
    scene.later(TimeDelta::hours(1));
    let report = scene.mirror.run(&scene.serving, scene.api, Some(Whole::Load), &objects::names()).await;
    assert_eq!(report.expect("the session opens").total().rows_deleted, 0);
    scene.judge(Strictness::Inserts).await.agrees();
}
