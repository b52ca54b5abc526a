//! Incremental runs: whatever enters a list is in the mirror after the next run, however late it enters,
//! and a pass that did not see the end of its list never looks finished.

use crate::ENGINE;
use crate::support::judge::Strictness;
use crate::support::scene::{narrow, of, outcome};
use crate::support::{Api, Mirror, Scene, kit};
use chrono::{DateTime, TimeDelta, Utc};
use kitmirror::error::Kind;
use kitmirror::replication::{Mode, Report, Whole};
use kitmirror::simulator::{
    AccountPlan, Bumps, ChangeKind, Fault, Lag, Mutation, NewSubscriber, Parent, StaleCursor, State,
    TimeCursor, Which,
};
use kitmirror::store::Outcome;
use std::collections::BTreeSet;

const TIME_CURSORS: [TimeCursor; 3] =
    [TimeCursor::TieBreaker, TimeCursor::StrictSecond, TimeCursor::RepeatedSecond];

/// Somebody who signed up when the account was young and is in that state.
fn old_subscriber(scene: &Scene, state: &str) -> i64 {
    let found = scene
        .kit
        .read(|account| account.subscribers().find(|person| person.state == state).map(|person| person.id));
    found.expect("somebody in every state")
}

fn first_tag(scene: &Scene) -> i64 {
    scene.kit.read(|account| account.tags()[0].id)
}

fn first_form(scene: &Scene) -> i64 {
    scene.kit.read(|account| account.forms()[0].id)
}

fn first_sequence(scene: &Scene) -> i64 {
    scene.kit.read(|account| account.sequences()[0].id)
}

fn instant(text: &str) -> DateTime<Utc> {
    text.parse().expect("a valid instant")
}

/// Cancels so many people, each in a second of their own.
fn cancel_one_by_one(scene: &Scene, skip: u64, count: usize) {
    for _ in 0..count {
        scene.later(TimeDelta::seconds(1));
        scene.change(|account| account.cancel_many(skip, 1));
    }
}

// --- People who enter a list late -------------------------------------------------------------------

/// M07. The worst trap of a watermark on `created_at`.
#[tokio::test(flavor = "multi_thread")]
async fn an_old_subscriber_who_cancels_today_is_among_the_cancelled_after_the_next_run() {
    for api in Api::VERSIONS {
        let scene = Scene::loaded(AccountPlan::new(300), api).await;
        let person = old_subscriber(&scene, "active");
        assert!(scene.change(|account| account.cancel(person)));
        scene.sync().await;
        let state = format!("select state from cancelled_subscribers where id = {person}");
        assert_eq!(scene.mirror.texts(&state).await, ["cancelled"], "{api:?}");
        scene.holds_everything().await;
    }
}

/// M07. In v3 they enter the list only now, with the day they signed up as `created_at`.
#[tokio::test(flavor = "multi_thread")]
async fn somebody_who_confirms_days_after_signing_up_is_found() {
    for api in Api::VERSIONS {
        let scene = Scene::loaded(AccountPlan::new(300), api).await;
        let waiting = NewSubscriber::new("late@example.com").state(State::Inactive);
        let person = scene.change(|account| account.create_subscriber(waiting));
        scene.sync().await;
        for _ in 0..5 {
            scene.later(TimeDelta::days(1));
            scene.change(|account| account.create_subscriber(NewSubscriber::new("prompt@example.com")));
            scene.sync().await;
        }
        assert!(scene.change(|account| account.confirm(person)));
        scene.sync().await;
        let state = format!("select state from subscribers where id = {person}");
        assert_eq!(scene.mirror.texts(&state).await, ["active"], "{api:?}");
        scene.holds_everything().await;
    }
}

/// M07. Every change of state at ages of 0 to 60 days.
#[tokio::test(flavor = "multi_thread")]
async fn a_change_of_state_is_found_at_any_age() {
    for api in Api::VERSIONS {
        let scene = Scene::loaded(narrow(200), api).await;
        let mut chance = fastrand::Rng::with_seed(7);
        for day in 0..12_u32 {
            scene.change(|account| {
                let waiting = NewSubscriber::new(format!("day{day}@example.com")).state(State::Inactive);
                account.create_subscriber(waiting);
                for kind in
                    [ChangeKind::Confirm, ChangeKind::Cancel, ChangeKind::Reactivate, ChangeKind::Bounce]
                {
                    account.random_change_of(kind, &mut chance);
                }
            });
            scene.sync().await;
            scene.holds_everything().await;
            scene.later(TimeDelta::days(5));
        }
    }
}

// --- Many rows in one second ------------------------------------------------------------------------

/// M03. An import crosses the edges of pages: 50 rows in v3, a small page in v4.
#[tokio::test(flavor = "multi_thread")]
async fn an_import_of_one_second_crosses_page_edges_whole() {
    for api in Api::VERSIONS {
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
    for api in Api::VERSIONS {
        for mode in TIME_CURSORS {
            let scene = Scene::loaded_with(narrow(600), api, |modes| {
                modes.page_cap = Some(50);
                modes.bumps = Bumps::NONE;
                modes.time_cursor = mode;
            })
            .await;
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
            let scene = Scene::loaded_with(narrow(400), Api::V4, |modes| {
                modes.page_cap = Some(50);
                modes.bumps = Bumps::NONE;
                modes.time_cursor = mode;
            })
            .await;
            let people = scene.change(|account| account.cancel_many(0, 70));
            cancel_one_by_one(&scene, 150, newer);
            scene.sync().await;
            scene.holds_ids("cancelled_subscribers", "id", people).await;
            scene.holds_everything().await;
        }
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
    for api in Api::VERSIONS {
        let scene = Scene::loaded_with(AccountPlan::new(600), api, |modes| modes.page_cap = Some(50)).await;
        let tag = first_tag(&scene);
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
    for api in Api::VERSIONS {
        let scene = Scene::loaded(AccountPlan::small(), api).await;
        let tag = first_tag(&scene);
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

// --- Memberships ------------------------------------------------------------------------------------

/// M09. v4 orders form and sequence members by subscriber id: an old subscriber stands deep in the list.
#[tokio::test(flavor = "multi_thread")]
async fn an_old_subscriber_who_joins_today_is_found() {
    for api in Api::VERSIONS {
        let plan = AccountPlan::new(600).form_sizes([300]).sequence_sizes([300]);
        let scene = Scene::loaded_with(plan, api, |modes| modes.page_cap = Some(50)).await;
        let (form, sequence, tag) = (first_form(&scene), first_sequence(&scene), first_tag(&scene));
        for parent in [Parent::form(form), Parent::sequence(sequence), Parent::tag(tag)] {
            let joined = scene.change(|account| {
                let outsider =
                    (0..600).map(|n| account.base_id(n)).find(|id| !account.is_member(parent, *id));
                let id = outsider.expect("not everybody is a member");
                account.join(parent, id).then_some(id)
            });
            assert!(joined.is_some());
        }
        scene.sync().await;
        scene.holds_everything().await;
    }
}

/// M15.
#[tokio::test(flavor = "multi_thread")]
async fn a_new_parent_is_read_whole_however_old_its_members_are() {
    for api in Api::VERSIONS {
        let scene = Scene::loaded(AccountPlan::new(300), api).await;
        let long_ago = scene.now() - TimeDelta::days(700);
        scene.change(|account| {
            let parents = [
                Parent::tag(account.create_tag("new")),
                Parent::form(account.create_form("new")),
                Parent::sequence(account.create_sequence("new")),
            ];
            for parent in parents {
                for n in 0..60 {
                    let id = account.base_id(n);
                    account.join_at(parent, id, long_ago);
                }
            }
        });
        scene.sync().await;
        scene.holds_everything().await;
    }
}

/// M15. The tag shows ten minutes after its members were tagged.
#[tokio::test(flavor = "multi_thread")]
async fn the_members_of_a_tag_that_shows_late_are_all_found() {
    for api in Api::VERSIONS {
        let scene = Scene::loaded(AccountPlan::new(1_200), api).await;
        scene.kit.set_modes(|modes| modes.lag = Lag::Seconds(600));
        let tag = scene.change(|account| account.create_tag("late"));
        scene.kit.set_modes(|modes| modes.lag = Lag::None);
        let people = scene.change(|account| account.tag_many(tag, 0, 1_000));
        for _ in 0..3 {
            scene.later(TimeDelta::minutes(5));
            scene.sync().await;
        }
        let stored = format!("select count(*) from tag_subscriptions where tag_id = {tag}");
        assert_eq!(scene.mirror.number(&stored).await, people.len() as i64, "{api:?}");
        scene.holds_everything().await;
    }
}

/// M14. A parent that is gone is left out; the others are read.
#[tokio::test(flavor = "multi_thread")]
async fn a_404_on_one_parent_leaves_the_others_complete() {
    for api in Api::VERSIONS {
        let scene = Scene::new(AccountPlan::new(300), api).await;
        let gone = scene.kit.read(|account| account.tags()[2].id);
        let route = if api == Api::V3 { "/v3/tags" } else { "/v4/tags" };
        // Between the list of the tags and the lists of their members.
        scene.kit.after_request(route, 1, move |account| assert!(account.delete_tag(gone)));
        scene.sync().await;
        let members = format!("select count(*) from tag_subscriptions where tag_id = {gone}");
        assert_eq!(scene.mirror.number(&members).await, 0);
        scene.change(|account| account.tag_many(account.tags()[3].id, 0, 5));
        scene.sync().await;
        scene.holds_everything().await;
    }
}

/// M14. A parent that cannot be read keeps its watermark and is read again by the next run.
#[tokio::test(flavor = "multi_thread")]
async fn the_failure_of_one_parent_leaves_only_that_parent_behind() {
    for api in Api::VERSIONS {
        let scene = Scene::loaded(AccountPlan::new(300), api).await;
        let tags: Vec<i64> = scene.kit.read(|account| account.tags().iter().map(|tag| tag.id).collect());
        let before = scene.watermarks("tag_subscriptions").await;
        let fault = scene.kit.faults().add(Fault::status(422).on(&format!("tags/{}/", tags[2])));
        scene.change(|account| {
            let people = account.import_subscribers(3);
            tags.iter().for_each(|tag| people.iter().for_each(|id| assert!(account.tag(*tag, *id))));
        });
        let report = scene.try_sync().await;
        assert_eq!(outcome(&report, "tag_subscriptions"), Outcome::Failed, "{report:#?}");
        assert_eq!(outcome(&report, "form_subscriptions"), Outcome::Complete);
        let after = scene.watermarks("tag_subscriptions").await;
        let moved: Vec<bool> =
            before.iter().zip(&after).filter(|(b, _)| !b.starts_with('|')).map(|(b, a)| b != a).collect();
        assert_eq!(moved.iter().filter(|moved| !**moved).count(), 1, "{before:?} {after:?}");
        scene.kit.faults().remove(fault);
        scene.sync().await;
        scene.holds_everything().await;
    }
}

/// M15. Archived and trashed forms have members too, and v4 hides those forms unless it is asked.
#[tokio::test(flavor = "multi_thread")]
async fn members_of_archived_and_trashed_forms_are_there() {
    let scene = Scene::loaded(AccountPlan::new(300), Api::V4).await;
    scene.change(|account| {
        let forms: Vec<i64> = account.forms().iter().map(|form| form.id).collect();
        account.archive_form(forms[0]);
        for form in forms {
            (0..300).for_each(|n| {
                let id = account.base_id(n);
                account.join_form(form, id);
            });
        }
    });
    let trashed =
        scene.kit.read(|account| account.forms().iter().filter(|f| f.trashed || f.archived).count());
    assert_eq!(trashed, 3);
    scene.sync().await;
    scene.holds_everything().await;
    assert_eq!(scene.mirror.number("select count(*) from form_subscriptions").await, 4 * 300);
}

// --- A lived-in account -----------------------------------------------------------------------------

/// What only the next full load finds, as the judge words it: rows whose time somebody set years back.
fn found_late(changes: &[kitmirror::simulator::Change]) -> BTreeSet<String> {
    let mut late = BTreeSet::new();
    for change in changes {
        match (change.kind, change.parent) {
            (ChangeKind::BackdatedSignUp, _) => {
                late.insert(format!("subscribers [{}]: missing", change.subscribers[0]));
            }
            (ChangeKind::BackdatedJoin, Some(parent)) => {
                let ids = format!("[{}, {}]: missing", parent.id, change.subscribers[0]);
                for table in
                    ["tag_subscriptions", "subscriber_tags", "form_subscriptions", "sequence_subscriptions"]
                {
                    late.insert(format!("{table} {ids}"));
                }
            }
            _ => {}
        }
    }
    late
}

/// M07, M08, D01. Everything that can happen to an account, then one run, then a full load.
async fn two_hundred_changes(api: Api, seeds: std::ops::Range<u64>) {
    for seed in seeds {
        let scene = Scene::loaded(AccountPlan::new(150).seed(seed), api).await;
        let mut chance = fastrand::Rng::with_seed(seed);
        let mut changes = Vec::new();
        for _ in 0..200 {
            scene.later(TimeDelta::seconds(chance.i64(0..120)));
            changes.push(scene.change(|account| account.random_change(&mut chance)));
        }
        scene.sync().await;
        let late = found_late(&changes);
        let judge = scene.judge(Strictness::Inserts).await;
        let wrong: Vec<&String> = judge.differences().iter().filter(|line| !late.contains(*line)).collect();
        assert!(wrong.is_empty(), "{api:?}, seed {seed}: {wrong:#?}");
        scene.sync_full().await;
        scene.holds_everything().await;
    }
}

/// M07, M08, D01.
#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_changes_of_every_kind_are_found_by_one_run_of_v3() {
    two_hundred_changes(Api::V3, 0..6).await;
}

/// M07, M08, D01.
#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_changes_of_every_kind_are_found_by_one_run_of_v4() {
    two_hundred_changes(Api::V4, 0..6).await;
}

/// M06. Changes show as late as Kit says they do, for two days of runs.
async fn two_days_of_lag(api: Api) {
    let scene = Scene::loaded(narrow(200).tags(2), api).await;
    scene.kit.set_modes(|modes| modes.lag = Lag::Kit);
    let mut chance = fastrand::Rng::with_seed(11);
    let end = scene.now() + TimeDelta::days(2);
    let kinds = [
        ChangeKind::SignUp,
        ChangeKind::SignUp,
        ChangeKind::SignUpUnconfirmed,
        ChangeKind::Confirm,
        ChangeKind::Cancel,
        ChangeKind::Tag,
        ChangeKind::JoinForm,
        ChangeKind::JoinSequence,
        ChangeKind::CreateTag,
        ChangeKind::CreateBroadcast,
    ];
    while scene.now() < end {
        // Sometimes a poll a minute after the last one, sometimes after hours.
        for _ in 0..chance.u32(1..6) {
            scene.later(TimeDelta::seconds(chance.i64(0..40)));
            scene.change(|account| {
                kinds.iter().for_each(|kind| {
                    account.random_change_of(*kind, &mut chance);
                })
            });
        }
        scene.later(TimeDelta::seconds([5, 60, 300, 3_600, 4 * 3_600, 8 * 3_600][chance.usize(0..6)]));
        scene.sync().await;
    }
    scene.later(TimeDelta::hours(1));
    assert!(scene.kit.read(|account| account.is_settled_at(scene.now())));
    scene.sync().await;
    scene.holds_everything().await;
}

/// M06.
#[tokio::test(flavor = "multi_thread")]
async fn no_row_is_lost_to_the_lag_of_v3_lists_over_two_days() {
    two_days_of_lag(Api::V3).await;
}

/// M06.
#[tokio::test(flavor = "multi_thread")]
async fn no_row_is_lost_to_the_lag_of_v4_lists_over_two_days() {
    two_days_of_lag(Api::V4).await;
}

/// M06. A mailing makes hundreds leave at once, and each cancellation shows at its own time.
#[tokio::test(flavor = "multi_thread")]
async fn many_cancellations_that_show_one_by_one_are_all_found() {
    for api in Api::VERSIONS {
        let scene = Scene::loaded(narrow(600), api).await;
        scene.kit.set_modes(|modes| modes.lag = Lag::Kit);
        let people = scene.change(|account| account.cancel_many(0, 300));
        for _ in 0..8 {
            scene.later(TimeDelta::seconds(45));
            scene.sync().await;
        }
        scene.later(TimeDelta::hours(1));
        scene.sync().await;
        scene.holds_ids("cancelled_subscribers", "id", people).await;
        scene.holds_everything().await;
    }
}

/// M06. Late enough to stand behind whole pages of newer ones that are stored already. v4 tells when somebody
/// left, so the overlap covers it; v3 does not, but the list has more members then than are stored.
#[tokio::test(flavor = "multi_thread")]
async fn a_cancellation_that_shows_behind_pages_of_newer_ones_is_found() {
    for api in Api::VERSIONS {
        let scene = Scene::loaded_with(narrow(400), api, |modes| {
            modes.page_cap = Some(50);
            modes.bumps = Bumps::NONE;
            modes.lag = Lag::Seconds(600);
        })
        .await;
        let late = scene.change(|account| account.cancel_many(0, 3));
        scene.later(TimeDelta::seconds(1));
        scene.kit.set_modes(|modes| modes.lag = Lag::None);
        scene.change(|account| account.cancel_many(0, 120));
        scene.sync().await;
        scene.later(TimeDelta::minutes(11));
        scene.sync().await;
        scene.holds_ids("cancelled_subscribers", "id", late).await;
        scene.holds_everything().await;
    }
}

/// M08.
#[tokio::test(flavor = "multi_thread")]
async fn back_dated_rows_are_found_by_the_next_full_load() {
    for api in Api::VERSIONS {
        let scene = Scene::loaded(AccountPlan::small(), api).await;
        let back = scene.now() - TimeDelta::days(5 * 365);
        let ahead = scene.now() + TimeDelta::days(365);
        let (tag, form, sequence) = (first_tag(&scene), first_form(&scene), first_sequence(&scene));
        let people: Vec<i64> = scene.change(|account| {
            let mut people = Vec::new();
            for (name, at) in [("back", back), ("ahead", ahead)] {
                let new = NewSubscriber::new(format!("{name}@example.com")).created_at(at);
                let id = account.create_subscriber(new);
                for parent in [Parent::tag(tag), Parent::form(form), Parent::sequence(sequence)] {
                    assert!(account.join_at(parent, id, at));
                }
                people.push(id);
            }
            people
        });
        scene.sync().await;
        scene.holds_ids("subscribers", "id", [people[1]]).await;
        scene.sync_full().await;
        scene.equals_kit().await;
    }
}

// --- Watermarks -------------------------------------------------------------------------------------

/// The route of the list of subscribers.
fn subscribers(api: Api) -> &'static str {
    if api == Api::V3 { "/v3/subscribers" } else { "/v4/subscribers" }
}

/// M12, M20. A page that cannot be had ends the pass, and the watermark stays where it was.
#[tokio::test(flavor = "multi_thread")]
async fn a_pass_that_fails_in_the_middle_does_not_move_the_watermark() {
    for api in Api::VERSIONS {
        let scene = Scene::new(narrow(700), api).await;
        scene.kit.set_modes(|modes| modes.page_cap = Some(50));
        let fault = scene.kit.faults().add(Fault::status(422).on(subscribers(api)).from_nth(4));
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
        let fault = scene.kit.faults().add(Fault::status(422).on(subscribers(api)).from_nth(3));
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
            scene.sync_stopping_at(&["subscribers"], None, subscribers(api), nth).await;
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
        let far = instant("2999-01-01T00:00:00Z");
        let (tag, form) = (first_tag(&scene), first_form(&scene));
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
        let (tag, form) = (first_tag(&scene), first_form(&scene));
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

// --- Duplicates and values --------------------------------------------------------------------------

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

/// D03. A record without its key is set aside; no row without a key is stored.
#[tokio::test(flavor = "multi_thread")]
async fn a_record_without_a_key_is_set_aside_and_found_when_it_has_one() {
    for api in Api::VERSIONS {
        let scene = Scene::new(AccountPlan::small(), api).await;
        let fault = Fault::rows(Which::Nth(3), Mutation::Null("id".to_owned())).on(subscribers(api)).times(1);
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
        let person = old_subscriber(&scene, "active");
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
        scene.sync_stopping_at(&["subscribers"], Some(Whole::Load), subscribers(api), 7).await;
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
        let list = subscribers(api);
        let absent =
            scene.kit.faults().add(Fault::rows(Which::All, Mutation::Drop("fields".to_owned())).on(list));
        scene.sync_full().await;
        assert_eq!(scene.mirror.number(filled).await, before, "{api:?}");
        scene.kit.faults().remove(absent);
        let person = old_subscriber(&scene, "active");
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

/// M36.
#[tokio::test(flavor = "multi_thread")]
async fn ids_beyond_32_and_53_bits_are_stored_to_the_last_digit() {
    for api in Api::VERSIONS {
        let ids = [1 << 31, 1 << 32, (1 << 53) + 1, i64::MAX];
        let scene = Scene::loaded(AccountPlan::small(), api).await;
        let tag = first_tag(&scene);
        scene.change(|account| {
            for id in ids {
                account.create_subscriber(NewSubscriber::new(format!("{id}@example.com")).id(id));
                assert!(account.tag(tag, id));
            }
        });
        scene.sync().await;
        scene.holds_ids("subscribers", "id", ids).await;
        scene.holds_ids("tag_subscriptions", "subscriber_id", ids).await;
        scene.equals_kit().await;

        let beyond = Mutation::Set("id".to_owned(), "9223372036854775808".to_owned());
        scene.kit.faults().add(Fault::rows(Which::Last, beyond).on(subscribers(api)).times(1));
        let report: Report = scene
            .mirror
            .run(&scene.serving, api, Some(Whole::Load), &["subscribers"])
            .await
            .expect("the session opens");
        assert_eq!(outcome(&report, "subscribers"), Outcome::Incomplete, "{api:?}");
        assert_eq!(scene.mirror.number("select count(*) from sync_quarantine").await, 1);
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
