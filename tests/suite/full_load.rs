//! Full loads: everything the API shows is in the mirror, as it was served, with the requests that takes.

use crate::support::judge::{Judge, Strictness};
use crate::support::{Api, Mirror, kit};
use kitmirror::simulator::AccountPlan;

#[tokio::test(flavor = "multi_thread")]
async fn everything_the_api_shows_is_in_the_mirror_as_it_was_served() {
    for api in Api::VERSIONS {
        let (sim, serving) = kit(AccountPlan::new(10_000).nasty()).await;
        let mirror = Mirror::new().await;
        mirror.sync_full(&serving, api).await;
        Judge::compare(&mirror, &sim, api, Strictness::Equal).await.agrees();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_run_changes_nothing() {
    for api in Api::VERSIONS {
        let (sim, serving) = kit(AccountPlan::new(3_000).nasty()).await;
        let mirror = Mirror::new().await;
        mirror.sync_full(&serving, api).await;
        let synced = "select count(distinct _synced_at) from subscribers";
        let before = mirror.number(synced).await;
        let report = mirror.sync(&serving, api).await;
        assert_eq!((report.total().rows_inserted, report.total().rows_updated), (0, 0), "{report:#?}");
        let report = mirror.sync_full(&serving, api).await;
        assert_eq!((report.total().rows_inserted, report.total().rows_updated), (0, 0), "{report:#?}");
        assert_eq!(mirror.number(synced).await, before);
        Judge::compare(&mirror, &sim, api, Strictness::Equal).await.agrees();
    }
}
