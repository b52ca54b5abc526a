//! The service over simulated days: churn all the time, outages, take-overs. Judged at the end, when all is quiet.

use crate::support::judge::Strictness;
use crate::support::{Api, Binary, Judge, Mirror, kit, round};
use chrono::TimeDelta;
use fastrand::Rng;
use kitmirror::simulator::{AccountPlan, Fault, Simulator};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// What Kit allows in this test, and what the service is told.
const PER_MINUTE: u32 = 2_400;

/// The requests by which a day has gone by.
const DAY: u64 = 24;

/// How long it takes, in seconds; a night has other figures.
fn length() -> Duration {
    let seconds = std::env::var("KITMIRROR_TEST_SOAK_SECONDS").ok().and_then(|text| text.parse().ok());
    Duration::from_secs(seconds.unwrap_or(16))
}

/// After every request of the service something has happened, and an hour has gone by.
fn live(sim: &Simulator) {
    let chance = Arc::new(Mutex::new(Rng::with_seed(0x50a4 + round())));
    let clock = sim.clock().clone();
    sim.every_request("", 1, move |account| {
        let mut chance = chance.lock().expect("nobody panicked with it");
        account.random_change(&mut chance);
        clock.advance(TimeDelta::hours(1));
    });
}

/// Memory that is resident, in KiB.
fn resident(id: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{id}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok()).unwrap_or(0)
}

/// C-01, C-03, H-04, K-01, O1 to O3, O6, R-02: days of service, with an outage of Kit and a take-over every so often,
/// lose no row and ask for no more than they may.
#[tokio::test(flavor = "multi_thread")]
async fn days_of_service_with_outages_and_take_overs_lose_nothing() {
    for api in Api::VERSIONS {
        let (sim, serving) = kit(AccountPlan::new(400).tags(5).forms(3).sequences(2).broadcasts(6)).await;
        sim.set_limit(Some(PER_MINUTE));
        sim.clock().freeze();
        let mut mirror = Mirror::furnished().await;
        mirror.set("KITMIRROR_REQUESTS_PER_MINUTE", &PER_MINUTE.to_string());
        let binary = Binary::of(&mirror, &serving, api)
            .set("KITMIRROR_LISTEN", "off")
            .set("KITMIRROR_SCHEDULE", "* * * * * *")
            .set("KITMIRROR_RECONCILE_SCHEDULE", "*/5 * * * * *");
        live(&sim);
        let (mut working, mut waiting) = (binary.start(&["run"]), binary.start(&["run"]));
        let (until, mut turn, mut largest) = (Instant::now() + length(), 0_u32, 0);
        // A busy machine takes longer for the same days.
        let latest = until + Duration::from_secs(120);
        while Instant::now() < until || sim.request_count() < DAY && Instant::now() < latest {
            tokio::time::sleep(Duration::from_millis(1_700)).await;
            largest = largest.max(resident(working.id())).max(resident(waiting.id()));
            turn += 1;
            match turn % 3 {
                0 => {
                    sim.faults().add(Fault::status(503).chance(0.7).times(8));
                }
                1 => {
                    // The one that was killed comes back, to stand by.
                    std::mem::swap(&mut working, &mut waiting);
                    std::mem::replace(&mut waiting, binary.start(&["run"])).kill().await;
                }
                _ => {}
            }
        }
        sim.clear_churn();
        sim.faults().clear();
        for running in [waiting, working] {
            // One that was started a moment ago does not listen to signals yet.
            while running.said().is_empty() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            running.stop("TERM").await.ended_with(0);
        }
        assert!(turn >= 6, "{turn} turns");
        let refused = sim.requests().iter().filter(|request| request.status == 429).count();
        assert_eq!(refused, 0, "asked for more than it may");
        let hours = sim.request_count();
        assert!(hours >= DAY, "{hours} hours went by");
        assert!(largest < 96 << 10, "{largest} KiB resident");

        mirror.accept_deletions = true;
        let all = kitmirror::model::objects::names();
        let whole = Some(kitmirror::replication::Whole::Reconcile);
        // The first may go on with one that was under way, and lists that were read by then are not read again.
        for _ in 0..2 {
            let report = mirror.run(&serving, api, whole, &all).await.expect("the session opens");
            assert!(report.is_complete(), "{report:#?}");
        }
        Judge::compare(&mirror, &sim, api, Strictness::Mirrored).await.agrees();
    }
}
