//! How fast it goes when Kit's limit is all there is to wait for, by a clock that jumps.

use super::day::{Day, Reads, Step};
use super::life::{Ended, World, live};
use super::{Api, Scene};
use chrono::{DateTime, TimeDelta, Utc};
use kitmirror::replication::cost::Pace;
use kitmirror::simulator::{AccountPlan, Modes};
use std::sync::Arc;
use std::time::Duration;

/// How a life ended, and when by its own clock.
pub(super) fn lived(scene: &Scene, step: &Step, now: DateTime<Utc>) -> (Ended, DateTime<Utc>) {
    let contents = || scene.contents();
    let world = World {
        sim: &scene.sim,
        settings: &scene.settings,
        bug: None,
        arrivals: Arc::clone(&scene.arrivals),
        contents: &contents,
    };
    live(&world, step, now)
}

/// When the requests of a life that is complete arrived, and when it ended, by its own clock.
fn paced(scene: &Scene, step: &Step, now: DateTime<Utc>) -> (Vec<DateTime<Utc>>, DateTime<Utc>) {
    scene.arrivals.lock().expect("nobody panics").clear();
    let (ended, later) = lived(scene, step, now);
    assert!(matches!(ended, Ended::Ran(Ok(report)) if report.is_complete()));
    (scene.arrivals.lock().expect("nobody panics").clone(), later)
}

/// An account of as many lists as usual, in pages so small that a load of it takes minutes at the limit.
pub(super) fn many_pages(api: Api, requests_per_minute: u32, people: u64, tags: usize) -> Scene {
    let plan = AccountPlan::new(people)
        .tags(tags)
        .tag_sizes(vec![people / 12; tags])
        .form_sizes(vec![people / 12; 10])
        .sequence_sizes(vec![people / 5; 4]);
    small_pages(api, requests_per_minute, plan)
}

fn small_pages(api: Api, requests_per_minute: u32, plan: AccountPlan) -> Scene {
    Scene::of(
        &Day {
            seed: 1,
            api,
            plan: plan.starting_at(super::day::MORNING.parse::<DateTime<Utc>>().expect("a time")),
            modes: Modes { page_cap: (api != Api::V3).then_some(10), ..Modes::default() },
            requests_per_minute,
            skips_members: true,
            steps: Vec::new(),
        },
        None,
    )
}

/// A load uses 95 % of what the limit allows, however long Kit takes to answer, up to a second, and the database to make
/// something durable: as many requests are under way as that needs, and nobody waits for a commit to ask. And never more
/// than the limit arrive within a minute.
#[test]
fn a_long_load_goes_at_the_pace_of_the_limit() {
    for (api, limit, latency, commit, people, tags) in [
        (Api::Token, 600, 500, 400, 6_000, 120),
        (Api::Token, 600, 900, 0, 6_000, 120),
        (Api::V4, 120, 1_000, 400, 2_400, 60),
        (Api::V3, 120, 500, 400, 15_000, 120),
    ] {
        let scene = many_pages(api, limit, people, tags);
        let now = scene.sim.clock().now();
        let step = Step {
            latency: Some(Duration::from_millis(latency)),
            commits_take: Duration::from_millis(commit),
            whole: Some(Reads::Everything),
            ..Step::default()
        };
        let (arrivals, _) = paced(&scene, &step, now);
        super::oracle::rate(&arrivals, limit).expect("the limit is kept");
        // The last pages of the last lists are read with nothing beside them.
        let most = arrivals.len() * 97 / 100;
        let took = arrivals[most] - arrivals[0];
        let share = most as f64 / (took.as_seconds_f64() / 60.0) / f64::from(limit);
        println!(
            "{api:?}, {limit} a minute, {latency} ms, commits {commit} ms: {} requests, {:.1} %",
            arrivals.len(),
            share * 100.0
        );
        assert!(
            share >= 0.95,
            "{api:?}, {latency} ms, commits {commit} ms: {:.1} % of the limit",
            share * 100.0
        );
        // And `plan` would have said how long, within 5 %.
        let planned =
            Pace::new(limit - limit.div_ceil(48), arrivals.len() as u64).seconds(most as u64) as f64;
        let off = planned / took.as_seconds_f64() - 1.0;
        assert!(off.abs() <= 0.05, "{api:?}: {planned} s planned, {took} taken");
    }
}

/// A load that fits into what is left of the window is not held back, although it does not know at first how long it is.
#[test]
fn a_load_that_fits_into_a_minute_goes_at_once() {
    for api in [Api::V4, Api::V3] {
        let scene = many_pages(api, 120, 240, 8);
        let step = Step {
            latency: Some(Duration::from_millis(100)),
            whole: Some(Reads::Everything),
            ..Step::default()
        };
        let (arrivals, _) = paced(&scene, &step, scene.sim.clock().now());
        assert!((30..110).contains(&arrivals.len()), "{api:?}: {} requests", arrivals.len());
        let took = *arrivals.last().expect("there are some") - arrivals[0];
        assert!(took < TimeDelta::seconds(12), "{api:?}: {} requests in {took}", arrivals.len());
    }
}

/// What fits into a minute's limit is not held back at all.
#[test]
fn a_quiet_cycle_takes_as_long_as_kit_takes_to_answer() {
    let scene = many_pages(Api::V4, 120, 60, 40);
    let first = Step { whole: Some(Reads::Everything), ..Step::default() };
    let (_, now) = paced(&scene, &first, scene.sim.clock().now());
    let later = Step { latency: Some(Duration::from_millis(500)), ..Step::default() };
    let began = now + TimeDelta::hours(2);
    let (arrivals, ended) = paced(&scene, &later, began);
    println!("{} requests in {}", arrivals.len(), ended - began);
    let in_turns = TimeDelta::milliseconds(500) * arrivals.len() as i32;
    assert!(arrivals.len() > 40, "{} requests", arrivals.len());
    assert!((ended - began) * 3 < in_turns, "{} requests in {}", arrivals.len(), ended - began);
}

/// An account that is all one list goes twice as fast as Kit answers, since it is read from both ends.
#[test]
fn a_single_list_is_read_from_both_ends() {
    let plan = AccountPlan::new(2_995).tags(0).forms(0).sequences(0).broadcasts(0);
    let scene = small_pages(Api::Token, 600, plan);
    let step =
        Step { latency: Some(Duration::from_millis(500)), whole: Some(Reads::Everything), ..Step::default() };
    let (arrivals, _) = paced(&scene, &step, scene.sim.clock().now());
    let took = *arrivals.last().expect("there are some") - arrivals[0];
    println!("{} requests in {took}", arrivals.len());
    let in_turns = TimeDelta::milliseconds(500) * arrivals.len() as i32;
    assert!(arrivals.len() > 300, "{} requests", arrivals.len());
    assert!(took * 10 < in_turns * 6, "{} requests in {took}", arrivals.len());
}
