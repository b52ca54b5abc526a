//! What Kit's documents leave open, and what a run costs: the mirror is right under every answer to an open
//! question, and no run asks more than it has to.

use crate::support::scene::{narrow, of, outcome};
use crate::support::{Api, Scene, shared, versions};
use chrono::{SubsecRound as _, TimeDelta, Utc};
use kitmirror::replication::Report;
use kitmirror::simulator::{
    Account, AccountPlan, ChangeKind, Edge, Fault, Granularity, Modes, NewSubscriber, Parent, State,
};
use kitmirror::store::Outcome;

/// A full load, a day of changes, an incremental run and a second one.
async fn is_right_under(api: Api, plan: AccountPlan, set: impl FnOnce(&mut Modes)) -> Scene {
    let scene = Scene::loaded_with(plan, api, set).await;
    scene.equals_kit().await;
    let mut chance = fastrand::Rng::with_seed(23);
    for kind in ChangeKind::all() {
        scene.later(TimeDelta::minutes(11));
        if !matches!(kind, ChangeKind::BackdatedSignUp | ChangeKind::BackdatedJoin) {
            scene.change(|account| account.random_change_of(kind, &mut chance));
        }
    }
    scene.sync().await;
    scene.holds_everything().await;
    scene.later(TimeDelta::hours(5));
    scene.change(|account| {
        for kind in [ChangeKind::SignUp, ChangeKind::Tag, ChangeKind::JoinForm, ChangeKind::Cancel] {
            account.random_change_of(kind, &mut chance);
        }
    });
    scene.sync().await;
    scene.holds_everything().await;
    scene
}

/// kit-api §16, each question by itself.
async fn is_right_under_each(api: Api, modes: impl IntoIterator<Item = &str>) {
    for assignment in modes {
        println!("{api:?} under {assignment}");
        is_right_under(api, AccountPlan::new(120).tags(3).forms(3).sequences(2).broadcasts(4), |modes| {
            modes.set(assignment).expect("a mode")
        })
        .await;
    }
}

/// kit-api §16.
#[tokio::test(flavor = "multi_thread")]
async fn the_mirror_is_right_under_every_answer_to_the_open_questions_of_v3() {
    let modes = [
        "filter_edge=exclusive",
        "filter_granularity=day",
        "filter_zone_hours=-12",
        "filter_zone_hours=14",
        "bumps=all",
        "v3_order=asc",
        "beyond_end=404",
        "v3_cancelled_at=true",
        "backdated_bumps=true",
        "retagging_moves=true",
        "gzip=false",
        "etags=false",
    ];
    is_right_under_each(Api::V3, shared(modes)).await;
}

/// kit-api §16.
#[tokio::test(flavor = "multi_thread")]
async fn the_mirror_is_right_under_every_answer_to_the_open_questions_of_v4() {
    let modes = [
        "filter_edge=exclusive",
        "filter_granularity=day",
        "filter_zone_hours=-12",
        "filter_zone_hours=14",
        "time_cursor=tie-breaker",
        "time_cursor=strict-second",
        "time_cursor=repeated-second",
        "tag_cursor=array",
        "tag_cursor=bare",
        "bumps=all",
        "bumps=none",
        "bumps=cancel",
        "backdated_bumps=true",
        "too_many_rows=422",
        "page_cap=50",
        "page_cap=3",
        "count_scope=all",
        "sequence_rows=minimal",
        "retagging_moves=true",
        "gzip=false",
        "etags=false",
    ];
    for (n, assignment) in shared(modes.iter().enumerate()) {
        let api = if n % 4 == 3 { Api::Token } else { Api::V4 };
        is_right_under_each(api, [*assignment]).await;
    }
}

/// kit-api §16.4. v3's plain member lists may hide the cancelled; then they are asked for by themselves.
#[tokio::test(flavor = "multi_thread")]
async fn cancelled_members_are_found_where_plain_lists_show_the_active_only() {
    let scene = Scene::loaded_with(AccountPlan::new(400), Api::V3, |modes| {
        modes.set("v3_subscriptions=active").expect("a mode");
    })
    .await;
    let cancelled = "select count(*) from tag_subscriptions where state = 'cancelled'";
    assert!(scene.mirror.number(cancelled).await > 10);
    scene.equals_kit().await;
    let leavers: Vec<i64> = scene.change(|account| {
        let tag = account.tags()[0].id;
        let people = account.import_subscribers(4);
        people.iter().for_each(|id| assert!(account.tag(tag, *id) && account.cancel(*id)));
        people
    });
    scene.sync().await;
    scene.holds_ids("tag_subscriptions", "subscriber_id", leavers).await;
    scene.holds_everything().await;
    assert!(scene.kit.requests().iter().any(|request| request.query.contains("subscriber_state=cancelled")));
}

/// kit-api §16.4, M07. A member whom no list showed and who confirms has a place among the old ones: the next
/// full load finds it.
#[tokio::test(flavor = "multi_thread")]
async fn a_member_who_confirms_late_is_found_by_a_full_load_where_plain_lists_show_the_active_only() {
    let scene = Scene::loaded_with(AccountPlan::new(200), Api::V3, |modes| {
        modes.set("v3_subscriptions=active").expect("a mode");
    })
    .await;
    let mut chance = fastrand::Rng::with_seed(2);
    for kind in ChangeKind::all() {
        scene.later(TimeDelta::minutes(10));
        scene.change(|account| account.random_change_of(kind, &mut chance));
    }
    scene.sync().await;
    let people = scene.kit.read(|account| account.subscribers().map(|person| person.id).collect::<Vec<_>>());
    scene.later(TimeDelta::days(4));
    scene.change(|account| {
        people.iter().for_each(|id| {
            account.confirm(*id);
        })
    });
    scene.sync_full().await;
    scene.holds_everything().await;
}

/// kit-api §16.4. Once a list has shown somebody who left, nobody is looked for a second time.
#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_looked_for_twice_where_plain_lists_show_everybody() {
    let scene = Scene::loaded(AccountPlan::new(400), Api::V3).await;
    scene.sync().await;
    let asked =
        scene.kit.requests().iter().filter(|request| request.query.contains("subscriber_state")).count();
    assert_eq!(asked, 0);
    scene.equals_kit().await;
}

/// kit-api §16.9. A page beyond the end of a list that shrinks is an error or is empty.
#[tokio::test(flavor = "multi_thread")]
async fn a_v3_list_that_shrinks_below_the_page_in_hand_is_read_whole() {
    for answer in ["404", "empty"] {
        for (after, left) in [(1, 500), (2, 500), (5, 500), (2, 100)] {
            let scene = Scene::new(narrow(700), Api::V3).await;
            scene.kit.set_modes(|modes| modes.set(&format!("beyond_end={answer}")).expect("a mode"));
            let mut chance = fastrand::Rng::with_seed(after);
            scene.kit.after_request("/v3/subscribers", after, move |account| {
                for _ in left..700 {
                    account.random_change_of(ChangeKind::DeleteSubscriber, &mut chance);
                }
            });
            scene.sync().await;
            scene.holds_everything().await;
        }
    }
}

/// M05. Inclusive or exclusive, day or second, and days that begin elsewhere: 12 combinations, with rows
/// on both sides of midnight.
#[tokio::test(flavor = "multi_thread")]
async fn a_date_filter_of_any_kind_hides_no_row() {
    let mut filters = Vec::new();
    for zone in [0, -12, 14] {
        for edge in [Edge::Inclusive, Edge::Exclusive] {
            for granularity in [Granularity::Day, Granularity::Second] {
                filters.extend(Api::VERSIONS.map(|api| (api, edge, granularity, zone)));
            }
        }
    }
    for (api, edge, granularity, zone) in shared(filters) {
        println!("{api:?} {edge:?} {granularity:?} {zone}");
        let start = "2026-09-15T23:59:56Z".parse().expect("a valid instant");
        let scene = Scene::new(narrow(60).starting_at(start), api).await;
        scene.kit.set_modes(|modes| {
            modes.filter_edge = edge;
            modes.filter_granularity = granularity;
            modes.filter_zone_hours = zone;
        });
        scene.sync().await;
        for second in 0..8 {
            scene.change(|account| arrive(account, second));
            if second % 4 == 2 {
                scene.sync().await;
            }
            scene.later(TimeDelta::seconds(1));
        }
        for hours in [11, 13] {
            scene.later(TimeDelta::hours(hours));
            scene.change(|account| arrive(account, hours * 100));
            scene.sync().await;
        }
        scene.holds_everything().await;
    }
}

/// Somebody new who joins everything there is.
fn arrive(account: &mut Account, number: i64) {
    let id = account.create_subscriber(NewSubscriber::new(format!("arrival{number}@example.com")));
    let parents = [
        Parent::tag(account.tags()[0].id),
        Parent::form(account.forms()[0].id),
        Parent::sequence(account.sequences()[0].id),
    ];
    assert!(parents.iter().all(|parent| account.join(*parent, id)));
    account.cancel_many(number.unsigned_abs() % 60, 1);
}

/// M21, T-06. The `Date` header a day beside the truth.
#[tokio::test(flavor = "multi_thread")]
async fn a_date_header_that_is_a_day_wrong_costs_no_row() {
    for api in versions() {
        for skew in [TimeDelta::days(1), -TimeDelta::days(1)] {
            let scene = Scene::new(narrow(100), api).await;
            scene.kit.set_modes(|modes| modes.date_skew_seconds = skew.num_seconds());
            days_of_runs(&scene).await;
        }
    }
}

/// M21, T-06. The `Date` header is right, wrong, and right again.
#[tokio::test(flavor = "multi_thread")]
async fn a_date_header_that_is_wrong_now_and_then_costs_no_row() {
    for api in versions() {
        let scene = Scene::new(narrow(100), api).await;
        let mut number = 0;
        let clock = scene.kit.clock().clone();
        scene.kit.every_request("", 7, move |_| {
            number += 1;
            clock.set_skew(TimeDelta::hours([24, 0, -24][number % 3]));
        });
        days_of_runs(&scene).await;
    }
}

/// M21, T-06. Without the header our own clock has to do.
#[tokio::test(flavor = "multi_thread")]
async fn a_missing_date_header_costs_no_row() {
    for api in versions() {
        let scene = Scene::new(AccountPlan::new(100).starting_at(Utc::now().trunc_subsecs(0)), api).await;
        scene.kit.set_modes(|modes| modes.date_missing = true);
        scene.sync().await;
        for second in 0..3 {
            scene.change(|account| arrive(account, second));
            scene.sync().await;
        }
        scene.holds_everything().await;
    }
}

/// Five days of arrivals and of people who confirm, with a run every few hours.
async fn days_of_runs(scene: &Scene) {
    scene.sync().await;
    let mut waiting = Vec::new();
    for run in 0..12_i64 {
        scene.later(TimeDelta::hours(10));
        scene.change(|account| {
            arrive(account, run);
            let new = NewSubscriber::new(format!("waiting{run}@example.com")).state(State::Inactive);
            waiting.push(account.create_subscriber(new));
            if run >= 6 {
                assert!(account.confirm(waiting[run as usize - 6]));
            }
        });
        scene.sync().await;
    }
    scene.holds_everything().await;
}

// --- What a run costs -------------------------------------------------------------------------------

/// Pages of a list of `rows`; an empty list takes one too.
fn pages(rows: usize, per_page: usize) -> u64 {
    rows.div_ceil(per_page).max(1) as u64
}

/// The requests of a full load of each object, from the truth (kit-api §11.1). The list of the parents
/// counts for the parents.
fn full_load(account: &Account, api: Api) -> Vec<(&'static str, u64)> {
    let per_page = if api == Api::V3 { 50 } else { 1_000 };
    let in_state = |state: &str| account.subscribers().filter(|person| person.state == state).count();
    let listed = if api == Api::V3 { in_state("active") } else { account.subscriber_count() as usize };
    let members = |parents: Vec<Parent>| -> u64 {
        parents.into_iter().map(|parent| pages(account.members(parent).count(), per_page)).sum()
    };
    let broadcasts = account.broadcasts().len();
    let of_broadcasts = match api {
        // One page more shows that there are no more, where the last one is full; then each by itself.
        Api::V3 => (broadcasts / 50 + 1 + broadcasts) as u64,
        Api::V4 | Api::Token => pages(broadcasts, 100),
    };
    let forms = account.forms();
    let shown = forms.iter().filter(|form| api != Api::V3 || !form.trashed);
    vec![
        ("forms", 1),
        ("sequences", 1),
        ("tags", 1),
        ("broadcasts", of_broadcasts),
        ("subscribers", pages(listed, per_page)),
        ("cancelled_subscribers", pages(in_state("cancelled"), per_page)),
        ("form_subscriptions", members(shown.map(|form| Parent::form(form.id)).collect())),
        (
            "sequence_subscriptions",
            members(account.sequences().iter().map(|one| Parent::sequence(one.id)).collect()),
        ),
        ("tag_subscriptions", members(account.tags().iter().map(|tag| Parent::tag(tag.id)).collect())),
    ]
}

/// The requests of a run that finds nothing new.
fn quiet_run(account: &Account, api: Api) -> Vec<(&'static str, u64)> {
    let forms = account.forms();
    let shown = forms.iter().filter(|form| api != Api::V3 || !form.trashed).count();
    vec![
        ("forms", 1),
        ("sequences", 1),
        ("tags", 1),
        ("broadcasts", 1),
        // Who was created, who was updated.
        ("subscribers", 2),
        ("cancelled_subscribers", 1),
        ("form_subscriptions", shown as u64),
        ("sequence_subscriptions", account.sequences().len() as u64),
        ("tag_subscriptions", account.tags().len() as u64),
    ]
}

fn requests(report: &Report) -> Vec<(&'static str, u64)> {
    report.objects.iter().map(|one| (one.object, one.counts.requests)).collect()
}

/// kit-api §11.1.
#[tokio::test(flavor = "multi_thread")]
async fn a_full_load_takes_the_requests_it_has_to_and_one_for_the_account() {
    for api in [Api::V3, Api::V4, Api::Token] {
        for plan in [
            AccountPlan::new(2_100),
            AccountPlan::new(1_000).broadcasts(50),
            AccountPlan::new(60).tags(0).broadcasts(0),
        ] {
            let scene = Scene::new(plan, api).await;
            let expected = scene.kit.read(|account| full_load(account, api));
            for _ in 0..2 {
                let before = scene.kit.request_count();
                let report = scene.sync_full().await;
                assert_eq!(requests(&report), expected, "{api:?}");
                let sum: u64 = expected.iter().map(|(_, requests)| requests).sum();
                assert_eq!(scene.kit.request_count() - before, sum + 1, "{api:?}: one for the account");
            }
            let written = scene.mirror.number("select sum(requests) from sync_runs").await as u64;
            assert_eq!(written, 2 * expected.iter().map(|(_, requests)| requests).sum::<u64>());
        }
    }
}

/// kit-api §11.1.
#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_finds_nothing_new_takes_the_fewest_requests() {
    for api in versions() {
        let plan = AccountPlan::new(2_100).spanning(TimeDelta::days(4_000));
        let scene = Scene::loaded(plan, api).await;
        scene.later(TimeDelta::days(10));
        let expected = scene.kit.read(|account| quiet_run(account, api));
        for _ in 0..3 {
            let report = scene.sync().await;
            assert_eq!(requests(&report), expected, "{api:?}");
            assert_eq!(report.total().rows_inserted + report.total().rows_updated, 0);
            scene.later(TimeDelta::hours(1));
        }
    }
}

/// H-02. Kit's own limit, our own pacing: three runs in a row of a small account are never refused.
#[tokio::test(flavor = "multi_thread")]
async fn runs_of_a_small_account_are_never_refused_for_too_many_requests() {
    for api in versions() {
        let mut scene = Scene::new(AccountPlan::new(100).tags(3).broadcasts(2), api).await;
        scene.mirror.settings = vec![("KITMIRROR_REQUESTS_PER_MINUTE".to_owned(), "120".to_owned())];
        scene.kit.set_usual_limit();
        for _ in 0..3 {
            scene.sync().await;
        }
        let asked = scene.kit.requests();
        assert!(asked.len() < 100, "{api:?}: {}", asked.len());
        assert!(asked.iter().all(|request| request.status == 200), "{api:?}");
        scene.equals_kit().await;
    }
}

/// M19, A-04. One object that is refused is unavailable; the others go on.
#[tokio::test(flavor = "multi_thread")]
async fn an_object_that_kit_refuses_is_unavailable_and_the_others_go_on() {
    for api in versions() {
        for status in [401, 402, 403] {
            let scene = Scene::new(AccountPlan::small(), api).await;
            let fault = scene.kit.faults().add(Fault::status(status).on("broadcasts"));
            let report = scene.try_sync().await;
            assert_eq!(outcome(&report, "broadcasts"), Outcome::Unavailable, "{api:?} {status}");
            assert_eq!(scene.watermark("broadcasts", "").await, "");
            assert!(report.objects.iter().filter(|one| one.outcome != Outcome::Complete).count() == 1);
            scene.kit.faults().remove(fault);
            let report = scene.sync().await;
            assert_eq!(of(&report, "broadcasts").outcome, Outcome::Complete);
            scene.equals_kit().await;
        }
    }
}
