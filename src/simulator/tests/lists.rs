//! Every list against a plain filter-and-sort over the truth, before and after a lot of change.

use chrono::{DateTime, Utc};
use serde_json::Value;

use super::{get, ids, still, walk_v3, walk_v4};
use crate::simulator::{AccountPlan, Parent, Simulator, TruthMember, TruthSubscriber};

/// Small enough to compare everything, with blocks, tails and parents of every kind.
fn plan() -> AccountPlan {
    AccountPlan::new(1_237).seed(5).tag_sizes([400, 0, 1_000, 50, 1, 130]).imported_at_once(60)
}

fn changed() -> Simulator {
    let simulator = still(plan());
    let mut chance = fastrand::Rng::with_seed(11);
    for _ in 0..300 {
        simulator.clock().advance(chrono::TimeDelta::minutes(7));
        simulator.change(|account| account.random_change(&mut chance));
    }
    simulator
}

fn people(simulator: &Simulator) -> Vec<TruthSubscriber> {
    simulator.read(|account| account.subscribers().collect())
}

fn expected(
    people: &[TruthSubscriber],
    wanted: impl Fn(&TruthSubscriber) -> bool,
    key: impl Fn(&TruthSubscriber) -> (DateTime<Utc>, i64),
) -> Vec<i64> {
    let mut chosen: Vec<_> = people.iter().filter(|person| wanted(person)).collect();
    chosen.sort_by_key(|person| key(person));
    chosen.iter().map(|person| person.id).collect()
}

fn both(check: impl Fn(&Simulator)) {
    check(&still(plan()));
    check(&changed());
}

#[test]
fn v4_subscribers_come_by_falling_id_in_every_status() {
    both(|simulator| {
        for status in ["all", "active", "inactive", "cancelled", "bounced", "complained"] {
            let rows = walk_v4(simulator, &format!("/v4/subscribers?status={status}&per_page=97"));
            let mut wanted = expected(
                &people(simulator),
                |p| status == "all" || p.state == status,
                |p| (p.created_at, p.id),
            );
            wanted.sort_unstable_by_key(|id| std::cmp::Reverse(*id));
            assert_eq!(ids(&rows), wanted, "{status}");
        }
    });
}

#[test]
fn a_rising_list_is_the_falling_one_reversed() {
    both(|simulator| {
        for field in ["id", "created_at"] {
            let path = format!("/v4/subscribers?status=all&sort_field={field}&per_page=100");
            let simulator = simulator.clone();
            simulator.set_modes(|modes| modes.set("time_cursor=tie-breaker").expect("a mode"));
            let falling = ids(&walk_v4(&simulator, &path));
            let mut rising = ids(&walk_v4(&simulator, &format!("{path}&sort_order=asc")));
            rising.reverse();
            assert_eq!(falling, rising, "{field}");
        }
    });
}

#[test]
fn a_time_order_is_by_that_time() {
    both(|simulator| {
        simulator.set_modes(|modes| modes.set("time_cursor=tie-breaker").expect("a mode"));
        let people = people(simulator);
        let rows = walk_v4(
            simulator,
            "/v4/subscribers?status=cancelled&sort_field=cancelled_at&include=canceled_at&per_page=50",
        );
        let cancelled = |person: &TruthSubscriber| person.cancelled_at.map(|at| (at, person.id));
        let mut wanted = expected(&people, |p| p.state == "cancelled", |p| cancelled(p).expect("a time"));
        wanted.reverse();
        assert_eq!(ids(&rows), wanted);

        let rows = walk_v4(simulator, "/v4/subscribers?status=all&sort_field=updated_at&per_page=50");
        assert_eq!(rows.len(), people.len());
    });
}

#[test]
fn date_filters_let_pass_what_they_should_and_nothing_else() {
    both(|simulator| {
        let people = people(simulator);
        let cut: DateTime<Utc> = "2025-06-01T00:00:00Z".parse().expect("a time");
        for status in ["all", "cancelled", "active"] {
            let path = format!("/v4/subscribers?status={status}&per_page=333");
            let fits = |p: &TruthSubscriber| status == "all" || p.state == status;
            let after = walk_v4(simulator, &format!("{path}&created_after=2025-06-01"));
            assert_eq!(after.len(), people.iter().filter(|p| fits(p) && p.created_at >= cut).count());
            let before = walk_v4(simulator, &format!("{path}&created_before=2025-05-31"));
            assert_eq!(before.len(), people.iter().filter(|p| fits(p) && p.created_at < cut).count());
        }
        let path = "/v4/subscribers?status=cancelled&include=canceled_at&sort_field=cancelled_at";
        let rows = walk_v4(simulator, &format!("{path}&created_after=2025-06-01"));
        let wanted = people.iter().filter(|p| p.state == "cancelled" && p.created_at >= cut).count();
        assert_eq!(rows.len(), wanted);
    });
}

#[test]
fn an_untouched_row_was_updated_when_it_was_created_or_cancelled() {
    let simulator = still(plan());
    let people = people(&simulator);
    for day in ["2023-12-01", "2025-06-01", "2026-08-30", "2026-09-15"] {
        let cut: DateTime<Utc> = format!("{day}T00:00:00Z").parse().expect("a time");
        let updated = |p: &&TruthSubscriber| p.cancelled_at.unwrap_or(p.created_at) >= cut;
        let rows =
            walk_v4(&simulator, &format!("/v4/subscribers?status=all&updated_after={day}&per_page=100"));
        assert_eq!(rows.len(), people.iter().filter(updated).count(), "{day}");
    }
}

#[test]
fn members_of_a_tag_come_newest_tagging_first_and_others_by_falling_id() {
    both(|simulator| {
        for parent in parents(simulator) {
            let wanted = members(simulator, parent);
            let rows = walk_v4(simulator, &format!("{}?status=all&per_page=37", v4_path(parent)));
            assert_eq!(rows.len(), wanted.len(), "{parent:?}");
            let got: Vec<i64> = ids(&rows);
            let mut wanted_ids: Vec<i64> = wanted.iter().map(|member| member.subscriber_id).collect();
            if parent.kind == crate::simulator::ParentKind::Tag {
                assert_eq!(got, wanted_ids, "{parent:?}");
            } else {
                wanted_ids.sort_unstable_by_key(|id| std::cmp::Reverse(*id));
                assert_eq!(got, wanted_ids, "{parent:?}");
            }
        }
    });
}

#[test]
fn member_filters_are_by_the_time_of_joining() {
    both(|simulator| {
        let cut: DateTime<Utc> = "2025-03-01T00:00:00Z".parse().expect("a time");
        for parent in parents(simulator) {
            let word = if parent.kind == crate::simulator::ParentKind::Tag { "tagged" } else { "added" };
            let path = format!("{}?status=all&per_page=100", v4_path(parent));
            let wanted = members(simulator, parent);
            let rows = walk_v4(simulator, &format!("{path}&{word}_after=2025-03-01"));
            assert_eq!(rows.len(), wanted.iter().filter(|m| m.created_at >= cut).count(), "{parent:?}");
            let rows = walk_v4(simulator, &format!("{path}&{word}_before=2025-02-28"));
            assert_eq!(rows.len(), wanted.iter().filter(|m| m.created_at < cut).count(), "{parent:?}");
            let rows = walk_v4(simulator, &format!("{path}&created_after=2025-03-01"));
            let created = |m: &&TruthMember| {
                simulator.read(|a| a.subscriber(m.subscriber_id)).is_some_and(|p| p.created_at >= cut)
            };
            assert_eq!(rows.len(), wanted.iter().filter(created).count(), "{parent:?}");
        }
    });
}

#[test]
fn v3_subscriptions_come_in_the_order_of_joining_and_pages_fit_together() {
    both(|simulator| {
        for parent in parents(simulator) {
            let mut wanted: Vec<i64> =
                members(simulator, parent).iter().map(|member| member.subscription_id).collect();
            assert_eq!(ids(&walk_v3(simulator, &format!("{}?sort_order=desc", v3_path(parent)))), wanted);
            wanted.reverse();
            assert_eq!(ids(&walk_v3(simulator, &v3_path(parent))), wanted, "{parent:?}");
        }
    });
}

#[test]
fn v3_lists_active_people_by_creation_and_cancelled_ones_by_cancellation() {
    both(|simulator| {
        let people = people(simulator);
        let wanted = expected(&people, |p| p.state == "active", |p| (p.created_at, p.id));
        assert_eq!(ids(&walk_v3(simulator, "/v3/subscribers?sort_order=asc")), wanted);
        let wanted = expected(
            &people,
            |p| p.state == "cancelled",
            |p| (p.cancelled_at.expect("a cancelled row has its time"), p.id),
        );
        assert_eq!(
            ids(&walk_v3(simulator, "/v3/subscribers?sort_field=cancelled_at&sort_order=asc")),
            wanted
        );
        let from = walk_v3(simulator, "/v3/subscribers?from=2025-06-01&to=2025-12-31&sort_order=asc");
        let (first, last): (DateTime<Utc>, DateTime<Utc>) = (
            "2025-06-01T00:00:00Z".parse().expect("a time"),
            "2026-01-01T00:00:00Z".parse().expect("a time"),
        );
        let within =
            |p: &TruthSubscriber| p.state == "active" && first <= p.created_at && p.created_at < last;
        assert_eq!(ids(&from), expected(&people, within, |p| (p.created_at, p.id)));
    });
}

#[test]
fn counts_and_totals_are_those_of_the_lists() {
    both(|simulator| {
        let page = get(simulator, "/v4/subscribers?status=all&per_page=1&include_total_count=true");
        let count = simulator.read(crate::simulator::Account::subscriber_count);
        assert_eq!(page["pagination"]["total_count"], count);
        assert_eq!(people(simulator).len() as u64, count);
        simulator.set_modes(|modes| modes.set("count_scope=all").expect("a mode"));
        for (list, row) in
            ["/v4/tags?include=subscriber_count", "/v4/forms?status=all&include=subscriber_count"]
                .iter()
                .flat_map(|list| walk_v4(simulator, list).into_iter().map(move |row| (list, row)))
        {
            let id = row["id"].as_i64().expect("an id");
            let parent = if list.contains("tags") { Parent::tag(id) } else { Parent::form(id) };
            assert_eq!(row["subscriber_count"], members(simulator, parent).len(), "{parent:?}");
        }
    });
}

#[test]
fn before_goes_back_where_after_came_from() {
    let simulator = still(plan());
    let first = get(&simulator, "/v4/subscribers?status=all&per_page=10");
    let end = first["pagination"]["end_cursor"].as_str().expect("a cursor").to_string();
    let second =
        get(&simulator, &format!("/v4/subscribers?status=all&per_page=10&after={}", super::encoded(&end)));
    let start = second["pagination"]["start_cursor"].as_str().expect("a cursor").to_string();
    let back =
        get(&simulator, &format!("/v4/subscribers?status=all&per_page=10&before={}", super::encoded(&start)));
    assert_eq!(back["subscribers"], first["subscribers"]);
    assert_eq!(back["pagination"]["has_previous_page"], false);
}

#[test]
fn an_address_finds_its_owner_even_after_it_changed_hands() {
    let simulator = still(plan());
    let (one, other) = (simulator.read(|a| a.base_id(30)), simulator.read(|a| a.base_id(31)));
    let address = simulator.read(|a| a.address_of(one)).expect("an address");
    let found = |address: &str| {
        let path = format!("/v4/subscribers?status=all&email_address={}", super::encoded(address));
        ids(&super::rows_of(&get(&simulator, &path)))
    };
    assert_eq!(found(&address), [one]);
    simulator.change(|account| account.swap_addresses(one, other));
    assert_eq!(found(&address), [other]);
}

fn parents(simulator: &Simulator) -> Vec<Parent> {
    simulator.read(|account| {
        let tags = account.tags().into_iter().map(|tag| Parent::tag(tag.id)).collect::<Vec<_>>();
        let forms = account.forms().into_iter().map(|form| Parent::form(form.id)).collect::<Vec<_>>();
        let sequences = account.sequences().into_iter().map(|s| Parent::sequence(s.id)).collect();
        [tags, forms, sequences].concat()
    })
}

/// The truth, newest first.
fn members(simulator: &Simulator, parent: Parent) -> Vec<TruthMember> {
    let mut members: Vec<_> = simulator.read(|account| account.members(parent).collect());
    members.sort_by_key(|member| std::cmp::Reverse((member.created_at, member.subscription_id)));
    members
}

fn v4_path(parent: Parent) -> String {
    let Value::String(kind) = serde_json::to_value(parent.kind).expect("a kind") else {
        unreachable!("a text")
    };
    format!("/v4/{kind}s/{}/subscribers", parent.id)
}

fn v3_path(parent: Parent) -> String {
    v4_path(parent).replace("/v4/", "/v3/").replace("/subscribers", "/subscriptions")
}
