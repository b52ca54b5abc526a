//! Killed without warning, at any moment: what the kill left is true as far as it goes, and the next run
//! makes it whole without reading again what is there.

use crate::support::judge::Strictness;
use crate::support::{Api, Binary, Judge, Mirror, kit, oracle, round};
use futures_util::StreamExt as _;
use kitmirror::simulator::{AccountPlan, Action, Fault, Request, Serving, Simulator};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// Six thousand people, a tag of more than a page, answers slow enough that a run takes a second.
async fn account(api: Api) -> (Simulator, Serving) {
    let plan =
        AccountPlan::new(6_000).tag_sizes([1_400, 900, 300]).form_sizes([1_100, 500]).sequence_sizes([700]);
    let (sim, serving) = kit(plan).await;
    let pause = if api == Api::V3 { 2 } else { 30 };
    sim.faults().add(Fault::new(Action::Delay(Duration::from_millis(pause))));
    (sim, serving)
}

/// How often each list of people was asked as a full load asks it. Lists without anybody do not count:
/// they have nothing to be incremental from, and cost one request either way.
fn full_load(requests: &[Request]) -> BTreeMap<String, usize> {
    const NEWS: [&str; 5] =
        ["created_after", "updated_after", "added_after", "tagged_after", "sort_field=cancelled_at"];
    let mut asked = BTreeMap::new();
    for one in requests.iter().filter(|one| one.path.ends_with("/subscribers") && one.rows != Some(0)) {
        if !NEWS.iter().any(|news| one.query.contains(news)) {
            let kind = if one.query.contains("status=cancelled") { " cancelled" } else { "" };
            *asked.entry(format!("{}{kind}", one.path)).or_insert(0) += 1;
        }
    }
    asked
}

/// Kills a first run after that long, judges what it left, lets a second one go on, and judges again.
async fn killed_and_resumed(api: Api, after: Duration, clean: &BTreeMap<String, usize>) {
    let (sim, serving) = account(api).await;
    let mirror = Mirror::furnished().await;
    let binary = Binary::of(&mirror, &serving, api);
    let running = binary.start(&["sync"]);
    tokio::time::sleep(after).await;
    running.kill().await;
    oracle::judge_what_was_left(&mirror, &sim, api).await;
    binary.run(&["sync"]).await.ended_with(0);
    Judge::compare(&mirror, &sim, api, Strictness::Equal).await.agrees();
    assert_eq!(mirror.number("select count(*) from sync_state where checkpoint is not null").await, 0);
    if api == Api::V4 {
        let asked = full_load(&sim.requests());
        let again: Vec<(&String, usize)> = asked
            .iter()
            .map(|(list, count)| (list, count - clean.get(list).copied().unwrap_or(0)))
            .filter(|(_, more)| *more > 0)
            .collect();
        // Of the lists under way two pages in the hands of a slow database, two that wait for it, and the following one.
        assert!(again.iter().all(|(_, more)| *more <= 5), "killed after {after:?}: read again {again:?}");
        assert!(again.len() <= 10, "killed after {after:?}: read again {again:?}");
    }
}

/// How many kills; `KITMIRROR_TEST_KILLS` makes it more.
fn kills() -> usize {
    std::env::var("KITMIRROR_TEST_KILLS").map_or(25, |text| text.parse().expect("a number of kills"))
}

async fn at_random_moments(api: Api, seed: u64) {
    let (sim, serving) = account(api).await;
    let mirror = Mirror::furnished().await;
    let binary = Binary::of(&mirror, &serving, api);
    // Kills while tables are made have a test of their own.
    binary.run(&["migrate"]).await.ended_with(0);
    let since = Instant::now();
    binary.run(&["sync"]).await.ended_with(0);
    let took = since.elapsed();
    let clean = full_load(&sim.requests());
    let mut chance = fastrand::Rng::with_seed(seed + round());
    // Several run side by side, so each takes longer than the first one did.
    let moments: Vec<Duration> = (0..kills()).map(|_| took.mul_f64(1.5 * chance.f64())).collect();
    futures_util::stream::iter(moments)
        .for_each_concurrent(3, |after| Box::pin(killed_and_resumed(api, after, &clean)))
        .await;
}

/// K-01, M11, M12, M14, O2, O4.
#[tokio::test(flavor = "multi_thread")]
async fn a_v3_run_killed_at_any_moment_loses_nothing() {
    at_random_moments(Api::V3, 31).await;
}

/// K-01, M11, M12, M14, O2, O4. Nor does it read again more than what was in flight.
#[tokio::test(flavor = "multi_thread")]
async fn a_v4_run_killed_at_any_moment_loses_nothing() {
    at_random_moments(Api::V4, 41).await;
}

/// K-08, O6. What one life has sent, the next one remembers: together they stay within Kit's limit.
#[tokio::test(flavor = "multi_thread")]
async fn a_crash_loop_stays_within_the_rate_limit() {
    for api in Api::VERSIONS {
        let (sim, serving) = kit(AccountPlan::new(3_000)).await;
        sim.set_usual_limit();
        let mirror = Mirror::new().await;
        let binary = Binary::of(&mirror, &serving, api).set("KITMIRROR_REQUESTS_PER_MINUTE", "120");
        // What it is given to do in so short a life is reading, not the making of tables.
        binary.run(&["migrate"]).await.ended_with(0);
        for life in 0..30 {
            let running = binary.start(&["sync"]);
            // Some live long enough to get somewhere on a slow machine.
            let lived = if life % 10 == 9 { 1_500 } else { 80 + life % 5 * 10 };
            tokio::time::sleep(Duration::from_millis(lived)).await;
            running.kill().await;
        }
        let statuses: Vec<u16> = sim.requests().iter().map(|one| one.status).collect();
        assert!(!statuses.contains(&429), "after {} requests", statuses.len());
        assert!((10..=120).contains(&statuses.len()), "{} requests", statuses.len());
        oracle::judge_what_was_left(&mirror, &sim, api).await;
        assert!(mirror.number("select count(*) from forms").await > 0, "some progress was made");
    }
}

/// V-01. Killed while it makes the tables: there are all of them or none where the engine can do that, and in
/// any case the next start has them all.
#[tokio::test(flavor = "multi_thread")]
async fn a_migration_killed_at_any_moment_is_completed_by_the_next_start() {
    let whole = {
        let mirror = Mirror::new().await;
        let since = Instant::now();
        Binary::at(&mirror).run(&["migrate"]).await.ended_with(0);
        since.elapsed()
    };
    for step in 0..30 {
        let mirror = Mirror::new().await;
        let binary = Binary::at(&mirror);
        let running = binary.start(&["migrate"]);
        tokio::time::sleep(whole.mul_f64(f64::from(step) / 30.0)).await;
        running.kill().await;
        oracle::what_was_left(&mirror).await;
        binary.run(&["migrate"]).await.ended_with(0);
        binary.run(&["schema", "--check"]).await.ended_with(0);
        let history = "select count(*) from refinery_schema_history";
        assert_eq!(
            mirror.number(history).await,
            mirror.number("select max(version) from refinery_schema_history").await
        );
    }
}

/// V-02, C-01. Two first runs begin at once: both find or make the tables, one writes, the other is told.
#[tokio::test(flavor = "multi_thread")]
async fn two_that_begin_at_once_do_not_disturb_each_other() {
    for api in Api::VERSIONS {
        let (sim, serving) = kit(AccountPlan::new(300)).await;
        sim.faults().add(Fault::new(Action::Delay(Duration::from_millis(100))));
        let mirror = Mirror::new().await;
        let binary = Binary::of(&mirror, &serving, api);
        let (one, other) = tokio::join!(binary.run(&["sync"]), binary.run(&["sync"]));
        let mut codes = [one.code, other.code];
        codes.sort_unstable();
        assert_eq!(codes, [0, 75], "{}\n{}", one.stderr, other.stderr);
        Judge::compare(&mirror, &sim, api, Strictness::Equal).await.agrees();
        let (one, other) = tokio::join!(binary.run(&["migrate"]), binary.run(&["migrate"]));
        assert_eq!((one.code, other.code), (0, 0), "{}\n{}", one.stderr, other.stderr);
    }
}
