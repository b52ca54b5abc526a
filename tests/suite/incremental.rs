//! Incremental runs: whatever enters a list is in the mirror after the next run, however late it enters.

use crate::support::judge::Strictness;
use crate::support::scene::{narrow, outcome};
use crate::support::{Api, Scene};
use chrono::TimeDelta;
use kitmirror::simulator::{
    AccountPlan, Bumps, Change, ChangeKind, Fault, Lag, NewSubscriber, Parent, State,
};
use kitmirror::store::Outcome;
use std::collections::BTreeSet;

// --- People who enter a list late -------------------------------------------------------------------

/// M07. The worst trap of a watermark on `created_at`.
#[tokio::test(flavor = "multi_thread")]
async fn an_old_subscriber_who_cancels_today_is_among_the_cancelled_after_the_next_run() {
    for api in Api::VERSIONS {
        let scene = Scene::loaded(AccountPlan::new(300), api).await;
        let person = scene.old_subscriber("active");
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

// --- Memberships ------------------------------------------------------------------------------------

/// M09. v4 orders form and sequence members by subscriber id: an old subscriber stands deep in the list.
#[tokio::test(flavor = "multi_thread")]
async fn an_old_subscriber_who_joins_today_is_found() {
    for api in Api::VERSIONS {
        let plan = AccountPlan::new(600).form_sizes([300]).sequence_sizes([300]);
        let scene = Scene::loaded_with(plan, api, |modes| modes.page_cap = Some(50)).await;
        let (form, sequence, tag) = (scene.first_form(), scene.first_sequence(), scene.first_tag());
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
fn found_late(changes: &[Change]) -> BTreeSet<String> {
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
        let (tag, form, sequence) = (scene.first_tag(), scene.first_form(), scene.first_sequence());
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
