//! Dead at a place in the code that is named: what the death left is true as far as it goes, and the next run makes it
//! whole. With the real program and the real drivers, on every engine.

use crate::support::judge::Strictness;
use crate::support::scene::people;
use crate::support::{Api, Binary, Judge, Mirror, kit, oracle, round};
use futures_util::StreamExt as _;
use kitmirror::chaos::Failpoint;
use kitmirror::simulator::{AccountPlan, Fault, Mutation, Which};

/// A process that aborts.
const ABORTED: i32 = -6;

/// Places at which a first run writes nothing: there is nothing to set aside, nobody has gone, and nobody is looked for.
const ONLY_LATER: [Failpoint; 3] =
    [Failpoint::QuarantineWritten, Failpoint::TombstonesWritten, Failpoint::MetWritten];

/// K-02, K-01, M11, M30, V-01, O2, O4. At each place, the first time that a first run comes by.
#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_dies_at_any_place_loses_nothing() {
    let all = Failpoint::ALL.iter().enumerate().filter(|(_, place)| !ONLY_LATER.contains(place));
    let deaths = all.map(|(at, place)| (*place, 1, Api::VERSIONS[at % 2]));
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
        let all = Failpoint::ALL.iter().enumerate();
        all.map(move |(at, place)| (*place, later(at), Api::VERSIONS[(at + 1) % 2]))
    });
    futures_util::stream::iter(deaths)
        .for_each_concurrent(3, |(place, nth, api)| async move {
            Box::pin(dead_and_resumed(place, nth, api)).await;
        })
        .await;
}

/// K-02, K-01, M37, O2, O4. A record to be set aside, people who are gone, a reconcile that looks for them: it dies with
/// the first of each written and not committed, and none of it is there; the next one writes it.
#[tokio::test(flavor = "multi_thread")]
async fn a_reconcile_that_dies_with_something_written_leaves_none_of_it() {
    let deaths = ONLY_LATER.into_iter().flat_map(|place| Api::VERSIONS.map(|api| (place, api)));
    futures_util::stream::iter(deaths)
        .for_each_concurrent(3, |(place, api)| async move {
            Box::pin(dead_in_a_reconcile(place, api)).await;
        })
        .await;
}

async fn dead_in_a_reconcile(place: Failpoint, api: Api) {
    let plan = AccountPlan::new(900).tag_sizes([120, 40]).form_sizes([90]).sequence_sizes([60]);
    let (sim, serving) = kit(plan).await;
    sim.set_modes(|modes| modes.page_cap = Some(200));
    let mirror = Mirror::furnished().await;
    let binary = Binary::of(&mirror, &serving, api);
    binary.run(&["sync"]).await.ended_with(0);
    sim.change(|account| {
        for nth in [30, 31, 32] {
            let id = account.base_id(nth);
            assert!(account.delete_subscriber(id));
        }
    });
    // The row stays, without the name.
    let odd = Mutation::Set("first_name".to_owned(), "12".to_owned());
    let odd = sim.faults().add(Fault::rows(Which::Nth(3), odd).on(people(api)));

    let traces = async || {
        let set_aside = mirror.number("select count(*) from sync_quarantine").await;
        let gone = mirror.number("select count(*) from subscribers where _deleted_at is not null").await;
        let met = mirror.number("select count(*) from sync_met").await;
        (set_aside, gone, met)
    };
    let dying = binary.clone().set("CHAOS_FAILPOINT", place.name());
    let ran = dying.run(&["sync", "--reconcile"]).await;
    assert_eq!(ran.code, ABORTED, "nobody came by {} with anything\n{}", place.name(), ran.output());
    oracle::judge_what_was_left(&mirror, &sim, api).await;
    let (set_aside, gone, met) = traces().await;
    match place {
        Failpoint::QuarantineWritten => assert_eq!(set_aside, 0, "{api:?}"),
        Failpoint::TombstonesWritten => assert_eq!(gone, 0, "{api:?}"),
        _ => assert_eq!(met, 0, "{api:?}"),
    }

    // Not complete, for a record is set aside; but to its end.
    binary.run(&["sync", "--reconcile"]).await.ended_with(5).says(&["sync_quarantine"]);
    let (set_aside, gone, met) = traces().await;
    assert!(set_aside > 0, "{api:?} {place:?}");
    assert_eq!((gone, met), (3, 0), "{api:?} {place:?}");
    sim.faults().remove(odd);
    binary.run(&["sync", "--reconcile"]).await.ended_with(0);
    Judge::compare(&mirror, &sim, api, Strictness::Equal).await.agrees();
}

/// How often each place is died at a later time.
fn repeats() -> u64 {
    std::env::var("KITMIRROR_TEST_REPEATS").map_or(1, |text| text.parse().expect("a number"))
}

/// Whether it died there.
async fn dead_and_resumed(place: Failpoint, nth: u64, api: Api) -> bool {
    let plan = AccountPlan::new(2_500).tag_sizes([120, 40]).form_sizes([90]).sequence_sizes([60]);
    let (sim, serving) = kit(plan).await;
    sim.set_modes(|modes| modes.page_cap = Some(200));
    let is_making_tables = matches!(place, Failpoint::StepMade | Failpoint::MigrationRecorded);
    let mirror = if is_making_tables { Mirror::new().await } else { Mirror::furnished().await };
    let binary = Binary::of(&mirror, &serving, api);
    let dying = binary.clone().set("CHAOS_FAILPOINT", format!("{}@{nth}", place.name()));
    let died = dying.run(&["sync"]).await.code == ABORTED;
    oracle::judge_what_was_left(&mirror, &sim, api).await;
    binary.run(&["sync"]).await.ended_with(0);
    Judge::compare(&mirror, &sim, api, Strictness::Equal).await.agrees();
    assert_eq!(mirror.number("select count(*) from sync_state where checkpoint is not null").await, 0);
    died
}
