//! Dead at a place in the code that is named: what the death left is true as far as it goes, and the next run makes it
//! whole. With the real program and the real drivers, on every engine.

use super::resume::{is_true_as_far_as_it_goes, left};
use crate::support::judge::Strictness;
use crate::support::{Api, Binary, Judge, Mirror, kit};
use futures_util::StreamExt as _;
use kitmirror::chaos::Place;
use kitmirror::simulator::AccountPlan;

/// A process that aborts.
const ABORTED: i32 = -6;

/// K-02, K-01, M11, M30, V-01, O2, O4. At each place, the first time that a first run comes by and a later time.
#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_dies_at_any_place_loses_nothing() {
    let later = if repeats() > 1 { 1..=repeats() } else { 1..=1 };
    let deaths = later.flat_map(|round| {
        Place::ALL.iter().enumerate().map(move |(at, place)| {
            let nth = [1, 3][(at + round) % 2] + 4 * (round as u64 - 1);
            let api = Api::VERSIONS[(at / 2 + round) % 2];
            (*place, nth, api)
        })
    });
    futures_util::stream::iter(deaths)
        .for_each_concurrent(3, |(place, nth, api)| Box::pin(dead_and_resumed(place, nth, api)))
        .await;
}

/// How often each place is died at.
fn repeats() -> usize {
    std::env::var("KITMIRROR_TEST_REPEATS").map_or(1, |text| text.parse().expect("a number"))
}

async fn dead_and_resumed(place: Place, nth: u64, api: Api) {
    let name = place.name();
    let plan = AccountPlan::new(180).tag_sizes([120, 40]).form_sizes([90]).sequence_sizes([60]);
    let (sim, serving) = kit(plan).await;
    sim.set_modes(|modes| modes.page_cap = Some(50));
    let mirror = Mirror::new().await;
    let binary = Binary::of(&mirror, &serving, api);
    let dying = |nth| binary.clone().set("CHAOS_FAILPOINT", format!("{name}@{nth}"));
    let ran = dying(nth).run(&["sync"]).await;
    // What happens once in a run cannot be the death of it the third time.
    let died = ran.code == ABORTED || dying(1).run(&["sync", "--full"]).await.code == ABORTED;
    assert!(died || nth > 1, "nobody came by {name}: {ran:?}");
    is_true_as_far_as_it_goes(&left(&mirror).await, &sim, api);
    binary.run(&["sync"]).await.ended_with(0);
    Judge::compare(&mirror, &sim, api, Strictness::Equal).await.agrees();
    assert_eq!(mirror.number("select count(*) from sync_state where checkpoint is not null").await, 0);
}
