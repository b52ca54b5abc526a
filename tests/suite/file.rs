//! What only a database in a file can meet.

use crate::suite::queries::on_the_front_page;
use crate::support::bench::{more, tags};
use crate::support::{Api, Bench, Scene};
use kitmirror::error::Kind;
use kitmirror::model::objects::TAGS;
use kitmirror::simulator::AccountPlan;

/// D-04. No room: told as such, whole afterwards, and gone on with once there is room again.
#[tokio::test]
async fn a_full_disk_refuses_the_commit_and_harms_nothing() {
    let bench = Bench::new().await;
    bench.write(tags(1..=5)).await;
    let before = (bench.tags().await, bench.positions().await);
    let pages =
        bench.store.query("pragma page_count").await.expect("an answer")[0][0].clone().expect("a number");
    let limit = |pages: &str| format!("pragma max_page_count = {pages}");
    bench.store.query(&limit(&pages)).await.expect("the limit is set");
    let failed = bench.store.commit_page(bench.commit(&TAGS, tags(6..=20_000), more(2))).await;
    let failed = failed.expect_err("there is no room");
    assert_eq!(failed.kind(), Kind::DatabaseRefused, "{}", failed.one_line());
    assert!(failed.advice().contains("free space"));
    assert_eq!((bench.tags().await, bench.positions().await), before);
    assert_eq!(bench.sees("pragma integrity_check").await, ["ok"]);

    bench.store.query(&limit("1000000")).await.expect("the limit is lifted");
    assert_eq!(bench.write(tags(6..=20_000)).await.inserted, 19_995);
    assert_eq!(bench.sees("pragma integrity_check").await, ["ok"]);
}

/// The README shows queries for SQLite, and everybody copies them first.
#[tokio::test]
async fn the_queries_of_the_front_page_are_answered() {
    let scene = Scene::new(AccountPlan::new(400), Api::V4).await;
    scene.sync().await;
    let database = scene.mirror.plain_database().await;
    let queries = on_the_front_page();
    assert!(queries.len() > 5, "the front page shows queries");
    for (_, sql) in queries {
        // The head and a row at least.
        assert!(database.table(&sql).await.len() > 1, "nothing for {sql}");
    }
    database.close().await;
}
