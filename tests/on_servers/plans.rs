//! Plans of all that may go wrong at once, each drawn from a seed: at Kit, on the way to the database, and to the process.

use crate::support::faults::fault;
use crate::support::judge::Strictness;
use crate::support::proxy::Cut;
use crate::support::{Api, Binary, Judge, Mirror, kit, oracle, round};
use chrono::TimeDelta;
use fastrand::Rng;
use futures_util::StreamExt as _;
use kitmirror::simulator::{AccountPlan, Action, Fault};
use std::time::Duration;

/// How many plans; `KITMIRROR_TEST_PLANS` makes it more.
fn plans() -> u64 {
    std::env::var("KITMIRROR_TEST_PLANS").map_or(10, |text| text.parse().expect("a number of plans"))
}

/// What becomes of commits: one in six is lost, before or after it was made.
fn cuts(mut chance: Rng) -> impl FnMut(u64) -> Option<Cut> {
    move |_| match chance.u8(0..18) {
        0 => Some(Cut::Before),
        1 => Some(Cut::Answered),
        2 => Some(Cut::Unanswered),
        _ => None,
    }
}

/// Three short lives in which everything may go wrong, each judged by what it left, and then enough time in which
/// all is well.
async fn carried_out(seed: u64) {
    let mut chance = Rng::with_seed(seed);
    let api = Api::VERSIONS[chance.usize(0..2)];
    let people = chance.u64(100..900);
    let (sim, serving) = kit(AccountPlan::new(people).seed(seed).tag_sizes([people / 2, people / 5])).await;
    sim.set_modes(|modes| modes.page_cap = Some(chance.u32(20..100)));
    let mut mirror = Mirror::furnished().await;
    Binary::at(&mirror).run(&["migrate"]).await.ended_with(0);
    let proxy = mirror.behind_a_proxy();
    let binary = Binary::of(&mirror, &serving, api);
    let mut watermarks = oracle::Watermarks::new();
    for life in 0..3 {
        // Kit takes its time, so that there is something to disturb.
        sim.faults().add(Fault::new(Action::Delay(Duration::from_millis(chance.u64(1..20)))));
        for _ in 0..chance.usize(0..3) {
            sim.faults().add(fault(&mut chance, api));
        }
        let mut changes = chance.fork();
        let every = chance.u64(1..8);
        sim.every_request("", every, move |account| drop(account.random_change(&mut changes)));
        proxy.on_commit(cuts(chance.fork()));
        let words: &[&str] =
            [&["sync"][..], &["sync", "--full"], &["sync", "--reconcile"]][chance.usize(0..3)];
        let running = binary.start(words);
        tokio::time::sleep(Duration::from_millis(chance.u64(50..1_200))).await;
        match chance.u8(0..4) {
            0 => proxy.close(),
            1 => proxy.fall_silent(),
            _ => {}
        }
        tokio::time::sleep(Duration::from_millis(chance.u64(10..600))).await;
        proxy.open();
        tokio::time::sleep(Duration::from_millis(chance.u64(10..600))).await;
        if chance.bool() {
            running.kill().await;
        } else {
            drop(running.stop("TERM").await);
        }
        proxy.on_commit(|_| None);
        sim.faults().clear();
        sim.clear_churn();
        let database = mirror.database().await;
        let judged = oracle::at_any_moment(&database, &sim, api, &mut watermarks).await;
        database.close().await;
        assert_eq!(judged, Ok(()), "plan {seed}, life {life}");
    }
    for words in [&["sync"][..], &["sync", "--reconcile"]] {
        sim.clock().advance(TimeDelta::hours(2));
        let ran = binary.run(words).await;
        // Some may be gone in such numbers that somebody is to look: that is no loss.
        let held = ran.code == 5 && ran.output().contains("are left as they are");
        assert!(ran.code == 0 || held, "plan {seed}: {}", ran.output());
    }
    let judge = Judge::compare(&mirror, &sim, api, Strictness::Mirrored).await;
    assert!(judge.differences().is_empty(), "plan {seed}: {:#?}", judge.differences().first());
}

/// K-01, D-03, H-04, M14, O1 to O5. A plan that fails is told by its number.
#[tokio::test(flavor = "multi_thread")]
async fn no_plan_of_faults_loses_a_row() {
    let first = 1 + round() * plans();
    futures_util::stream::iter(first..first + plans())
        .for_each_concurrent(3, |seed| Box::pin(carried_out(seed)))
        .await;
}
