//! Dead at a place in the code that is named: what the death left is true as far as it goes, and the next run makes it
//! whole. With the real program and the real drivers, on every engine.

use crate::support::judge::Strictness;
use crate::support::{Api, Binary, Judge, Mirror, kit, oracle, round};
use futures_util::StreamExt as _;
use kitmirror::chaos::Place;
use kitmirror::simulator::AccountPlan;

/// A process that aborts.
const ABORTED: i32 = -6;

/// K-02, K-01, M11, M30, V-01, O2, O4. At each place, the first time that a first run comes by.
#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_dies_at_any_place_loses_nothing() {
    let deaths = Place::ALL.iter().enumerate().map(|(at, place)| (*place, 1, Api::VERSIONS[at % 2]));
    futures_util::stream::iter(deaths)
        .for_each_concurrent(3, |(place, nth, api)| async move {
            let died = Box::pin(dead_and_resumed(place, nth, api)).await;
            assert!(died, "nobody came by {}", place.name());
        })
        .await;
}

/// K-02, K-01, M11, M30, O2, O4. At each place a later time, as far as a run comes by so often.
#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_dies_later_on_loses_nothing() {
    let deaths = (round()..round() + repeats()).flat_map(|round| {
        let later = move |at: usize| 2 + (at as u64 * 7 + round * 3) % 11;
        let all = Place::ALL.iter().enumerate();
        all.map(move |(at, place)| (*place, later(at), Api::VERSIONS[(at + 1) % 2]))
    });
    futures_util::stream::iter(deaths)
        .for_each_concurrent(3, |(place, nth, api)| async move {
            Box::pin(dead_and_resumed(place, nth, api)).await;
        })
        .await;
}

/// How often each place is died at a later time.
fn repeats() -> u64 {
    std::env::var("KITMIRROR_TEST_REPEATS").map_or(1, |text| text.parse().expect("a number"))
}

/// Whether it died there.
async fn dead_and_resumed(place: Place, nth: u64, api: Api) -> bool {
    let plan = AccountPlan::new(2_500).tag_sizes([120, 40]).form_sizes([90]).sequence_sizes([60]);
    let (sim, serving) = kit(plan).await;
    sim.set_modes(|modes| modes.page_cap = Some(200));
    let mirror = Mirror::new().await;
    let binary = Binary::of(&mirror, &serving, api);
    let dying = binary.clone().set("CHAOS_FAILPOINT", format!("{}@{nth}", place.name()));
    let died = dying.run(&["sync"]).await.code == ABORTED;
    oracle::judge_what_was_left(&mirror, &sim, api).await;
    binary.run(&["sync"]).await.ended_with(0);
    Judge::compare(&mirror, &sim, api, Strictness::Equal).await.agrees();
    assert_eq!(mirror.number("select count(*) from sync_state where checkpoint is not null").await, 0);
    died
}
