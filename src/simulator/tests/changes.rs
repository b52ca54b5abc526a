//! What changes do to the truth, to lists and to the journal.

use chrono::TimeDelta;

use super::{get, ids, rows_of, still, walk_v4};
use crate::simulator::{
    AccountPlan, ChangeKind, Churn, Lag, NewSubscriber, Parent, Simulator, State, Subject, Version,
};

const TAG: i64 = 23_217_323;

fn someone(simulator: &Simulator, state: State) -> i64 {
    let mut chance = fastrand::Rng::with_seed(3);
    simulator
        .read(|account| account.pick_subscriber_in(&[state], &mut chance))
        .expect("somebody in that state")
}

fn listed(simulator: &Simulator, path: &str) -> Vec<i64> {
    ids(&walk_v4(simulator, path))
}

#[test]
fn a_cancelled_person_moves_from_one_list_to_the_other() {
    let simulator = still(AccountPlan::small());
    let id = someone(&simulator, State::Active);
    assert!(simulator.change(|account| account.cancel(id)));
    assert!(!listed(&simulator, "/v4/subscribers").contains(&id));
    let page =
        get(&simulator, "/v4/subscribers?status=cancelled&include=canceled_at&sort_field=cancelled_at");
    assert_eq!(page["subscribers"][0]["id"], id);
    assert_eq!(page["subscribers"][0]["canceled_at"], "2026-09-15T12:00:00Z");
    assert!(!simulator.change(|account| account.cancel(id)), "nobody is cancelled twice");
}

#[test]
fn a_deleted_person_is_gone_from_everywhere_and_answers_404() {
    let simulator = still(AccountPlan::small());
    let member = simulator.read(|a| a.tag_members(TAG).next()).expect("a member").subscriber_id;
    simulator.change(|account| account.delete_subscriber(member));
    assert_eq!(simulator.ask(&format!("/v4/subscribers/{member}")).0, 404);
    assert!(!listed(&simulator, "/v4/subscribers?status=all").contains(&member));
    assert!(!listed(&simulator, &format!("/v4/tags/{TAG}/subscribers?status=all")).contains(&member));
    simulator.read(|account| {
        assert!(account.subscriber(member).is_none());
        assert!(account.subscriber_existed(member));
        assert!(account.membership_existed(Parent::tag(TAG), member));
        assert!(!account.is_member(Parent::tag(TAG), member));
    });
}

#[test]
fn a_deleted_parent_answers_404_on_its_list() {
    let simulator = still(AccountPlan::small());
    simulator.change(|account| account.delete_tag(TAG));
    let (status, body) = simulator.ask(&format!("/v4/tags/{TAG}/subscribers"));
    assert_eq!((status, body.as_str()), (404, r#"{"errors":["Not Found"]}"#));
    let (status, body) = simulator.ask(&format!("/v3/tags/{TAG}/subscriptions"));
    assert_eq!((status, body.as_str()), (404, r#"{"error":"Tag not found","message":""}"#));
    assert!(!listed(&simulator, "/v4/tags").contains(&TAG));
}

#[test]
fn untagging_and_tagging_again_gives_a_new_time_and_a_new_id() {
    let simulator = still(AccountPlan::small());
    let before = simulator.read(|a| a.tag_members(TAG).next()).expect("a member");
    simulator.clock().advance(TimeDelta::hours(1));
    simulator.change(|account| {
        assert!(account.untag(TAG, before.subscriber_id));
        assert!(account.tag(TAG, before.subscriber_id));
        assert!(!account.tag(TAG, before.subscriber_id), "tagging again does nothing");
    });
    let after = simulator.read(|a| a.member(Parent::tag(TAG), before.subscriber_id)).expect("a member");
    assert!(after.created_at > before.created_at);
    assert!(after.subscription_id > before.subscription_id);
    simulator.set_modes(|modes| modes.retagging_moves = true);
    simulator.clock().advance(TimeDelta::hours(1));
    simulator.change(|account| assert!(account.tag(TAG, before.subscriber_id)));
    let moved = simulator.read(|a| a.member(Parent::tag(TAG), before.subscriber_id)).expect("a member");
    assert!(moved.created_at > after.created_at);
}

#[test]
fn a_late_change_shows_by_id_at_once_and_in_lists_later() {
    let simulator = still(AccountPlan::small());
    simulator.set_modes(|modes| modes.lag = Lag::Seconds(30));
    let id = simulator.change(|account| account.create_subscriber(NewSubscriber::new("late@example.com")));
    let gone = someone(&simulator, State::Active);
    simulator.change(|account| account.delete_subscriber(gone));
    assert_eq!(get(&simulator, &format!("/v4/subscribers/{id}"))["subscriber"]["id"], id);
    assert_eq!(simulator.ask(&format!("/v4/subscribers/{gone}")).0, 404);
    let now = listed(&simulator, "/v4/subscribers?status=all");
    assert!(!now.contains(&id) && now.contains(&gone));
    assert!(!simulator.read(|account| account.is_settled_at(simulator.clock().now())));
    simulator.clock().advance(TimeDelta::seconds(30));
    let later = listed(&simulator, "/v4/subscribers?status=all");
    assert!(later.contains(&id) && !later.contains(&gone));
    assert!(simulator.read(|account| account.is_settled_at(simulator.clock().now())));
}

#[test]
fn kits_lag_has_kits_percentiles() {
    let simulator = still(AccountPlan::empty());
    simulator.set_modes(|modes| modes.lag = Lag::Kit);
    let ids = simulator.change(|account| account.import_subscribers(4_000));
    let now = simulator.clock().now();
    let mut lags: Vec<i64> = simulator.read(|account| {
        let since = ids.iter().filter_map(|id| account.subscriber(*id)?.visible_from);
        since.map(|time| (time - now).num_seconds()).collect()
    });
    lags.sort_unstable();
    let (median, p99) = (lags[2_000], lags[3_960]);
    assert!((24..=36).contains(&median), "median {median}");
    assert!((200..=400).contains(&p99), "99th percentile {p99}");
}

#[test]
fn the_journal_tells_every_change_in_order_with_before_and_after() {
    let simulator = still(AccountPlan::small());
    let id = someone(&simulator, State::Inactive);
    simulator.change(|account| account.untag(TAG, id));
    let start = simulator.read(|account| account.journal().len());
    simulator.change(|account| {
        account.confirm(id);
        account.tag(TAG, id);
        account.rename_tag(TAG, "clients");
        account.delete_subscriber(id);
    });
    let journal = simulator.read(|account| account.journal()).split_off(start);
    let subjects: Vec<Subject> = journal.iter().map(|entry| entry.subject).collect();
    let member = Subject::Member(Parent::tag(TAG), id);
    let wanted = [Subject::Subscriber(id), member, Subject::Tag(TAG), Subject::Subscriber(id)];
    assert_eq!(subjects, wanted);
    assert!(journal[0].before.is_some() && journal[0].after.is_some());
    assert!(journal[1].before.is_none() && journal[1].after.is_some());
    assert!(journal[3].after.is_none());
    assert!(journal.windows(2).all(|pair| pair[0].serial < pair[1].serial));
}

#[test]
fn every_kind_of_random_change_happens_and_leaves_lists_and_truth_equal() {
    let simulator = still(AccountPlan::new(400));
    let mut chance = fastrand::Rng::with_seed(2);
    for kind in ChangeKind::all() {
        let name = serde_json::to_value(kind).expect("a name");
        assert_eq!(name.as_str().map(str::parse), Some(Ok(kind)));
        simulator.clock().advance(TimeDelta::seconds(11));
        let change = simulator.change(|account| account.random_change_of(kind, &mut chance));
        assert!(change.is_some(), "{kind:?}");
    }
    let mut listed = listed(&simulator, "/v4/subscribers?status=all&per_page=100");
    listed.sort_unstable();
    let mut truth: Vec<i64> =
        simulator.read(|account| account.subscribers().map(|person| person.id).collect());
    truth.sort_unstable();
    assert_eq!(listed, truth);
}

#[test]
fn equal_seeds_make_equal_accounts_and_equal_changes() {
    let run = || {
        let simulator = still(AccountPlan::small().seed(9).nasty());
        let mut chance = fastrand::Rng::with_seed(9);
        (0..100).for_each(|_| drop(simulator.change(|account| account.random_change(&mut chance))));
        simulator.read(|account| serde_json::to_string(&account.journal()).expect("a journal"))
    };
    assert_eq!(run(), run());
}

#[test]
fn churn_changes_the_account_between_pages() {
    let simulator = still(AccountPlan::new(400));
    simulator.churn(Churn::every(3, ChangeKind::DeleteSubscriber).on("/v3/subscribers").times(2));
    let (old, new) = (simulator.read(|a| a.base_id(0)), "inserted@example.com");
    simulator.after_request("/v3/subscribers", 5, move |account| {
        account.create_subscriber(NewSubscriber::new(new));
        account.cancel(old);
    });
    let before = simulator.read(crate::simulator::Account::subscriber_count);
    for page in 1..=9 {
        get(&simulator, &format!("/v3/subscribers?page={page}"));
        get(&simulator, "/v3/tags");
    }
    assert_eq!(simulator.read(crate::simulator::Account::subscriber_count), before - 2 + 1);
    assert_eq!(simulator.read(|a| a.state_of(old)), Some(State::Cancelled));
    simulator.clear_churn();
    (0..9).for_each(|_| drop(get(&simulator, "/v3/subscribers")));
    assert_eq!(simulator.read(crate::simulator::Account::subscriber_count), before - 2 + 1);
}

#[test]
fn forward_page_numbers_lose_a_row_when_one_before_them_goes() {
    let simulator = still(AccountPlan::new(200));
    let truth: Vec<i64> = simulator.read(|a| {
        a.subscribers().filter(|person| person.state == "active").map(|person| person.id).collect()
    });
    let first = ids(&rows_of(&get(&simulator, "/v3/subscribers?sort_order=asc&page=1")));
    simulator.change(|account| account.cancel(first[0]));
    let second = ids(&rows_of(&get(&simulator, "/v3/subscribers?sort_order=asc&page=2")));
    assert!(!first.contains(&truth[50]) && !second.contains(&truth[50]), "the row at the boundary is lost");
}

#[test]
fn the_log_keeps_requests_as_they_were_received() {
    let simulator = still(AccountPlan::small());
    get(&simulator, "/v3/subscribers?page=2&from=2020-01-01");
    let request = simulator.requests().pop().expect("a request");
    assert_eq!((request.path.as_str(), request.status, request.rows), ("/v3/subscribers", 200, Some(45)));
    assert!(request.query.starts_with("page=2&from=2020-01-01&api_secret="));
    assert_eq!(request.version, Some(Version::V3));
    simulator.clear_requests();
    assert!(simulator.requests().is_empty() && simulator.request_count() == 1);
}

#[test]
fn a_renamed_custom_field_changes_its_key_in_everybody() {
    let simulator = still(AccountPlan::small());
    simulator.change(|account| account.rename_custom_field(61, "surname", "Surname"));
    let page = get(&simulator, "/v4/subscribers?status=all");
    for row in rows_of(&page) {
        assert!(row["fields"].get("surname").is_some() && row["fields"].get("last_name").is_none());
    }
}
