//! What only a database in a file can meet.

use crate::suite::queries::on_the_front_page;
use crate::support::bench::{more, tags};
use crate::support::scene::{few, people};
use crate::support::{Api, Bench, Binary, Database, Engine, Scene};
use chrono::{TimeDelta, Utc};
use futures_util::future::join_all;
use kitmirror::error::Kind;
use kitmirror::model::objects::{self, TAGS};
use kitmirror::replication::Whole;
use kitmirror::simulator::{AccountPlan, NewSubscriber};
use std::path::Path;
use std::time::{Duration, Instant};

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

/// D-03, C-03. A backup that takes the place of the file holds the lease as well, but not what the work under way goes by: it
/// is not written to before it was looked at anew.
#[tokio::test]
async fn work_under_way_is_not_carried_into_a_backup() {
    let bench = Bench::new().await;
    bench.write(tags(1..=5)).await;
    let (file, backup) = (bench.mirror.file(), bench.mirror.folder().join("backup"));
    bench.other_does(&format!("vacuum into '{}'", backup.display())).await;
    bench.write(tags(6..=9)).await;
    for ending in ["-wal", "-shm"] {
        let _ = std::fs::remove_file(format!("{}{ending}", file.display()));
    }
    std::fs::rename(&backup, &file).expect("the backup takes its place");
    // Looking is allowed.
    assert_eq!(bench.store.ids(&TAGS).await.expect("ids").len(), 5);
    for _ in 0..2 {
        let written = bench.store.commit_page(bench.commit(&TAGS, tags(10..=12), more(2))).await;
        assert_eq!(written.map_err(|error| error.kind()), Err(Kind::DatabaseUnavailable));
    }
    assert_eq!(bench.sees("select max(id) from tags").await, ["5"]);
}

/// D-03. A file that is replaced or removed under a service is noticed: no commit goes to where nobody will ever see it.
#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_replaced_or_removed_under_a_service_is_filled_again() {
    let scene = Scene::new(few(), Api::V4).await;
    scene.sync_full().await;
    let (file, backup) = (scene.mirror.file(), scene.mirror.folder().join("backup"));
    let people = "select count(*) from subscribers";
    let before = scene.mirror.number(people).await;
    scene.mirror.execute(&format!("vacuum into '{}'", backup.display())).await;
    let binary = Binary::of(&scene.mirror, &scene.serving, Api::V4).set("KITMIRROR_SCHEDULE", "* * * * * *");
    let mut running = binary.start(&["run"]);
    running.has_said("Reading what is new").await;
    for (joined, is_replaced) in [(1, true), (2, false)] {
        if is_replaced {
            std::fs::rename(&backup, &file).expect("the backup takes its place");
        } else {
            std::fs::remove_file(&file).expect("the file is removed");
        }
        for ending in ["-wal", "-shm"] {
            let _ = std::fs::remove_file(format!("{}{ending}", file.display()));
        }
        scene
            .change(|account| account.create_subscriber(NewSubscriber::new(format!("{joined}@example.org"))));
        if !is_replaced {
            running.has_said("Brought the tables").await;
        }
        let begun = Instant::now();
        while scene.mirror.number(people).await != before + joined {
            assert!(begun.elapsed() < Duration::from_secs(60), "{joined}: {}", running.said());
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }
    running.stop("TERM").await.ended_with(0);
}

/// The index whose entries come in no order is put off until the first load is complete, also of one that was stopped in
/// between, and of a table that somebody has emptied. Where there are rows, it stays.
#[tokio::test]
async fn the_index_on_addresses_is_made_when_the_first_load_is_complete() {
    for api in Api::VERSIONS {
        let scene = Scene::new(AccountPlan::new(6_000).tags(1), api).await;
        let is_indexed = async |expected: i64, when: &str| {
            let sql = "select count(*) from sqlite_schema where type = 'index' and name = 'subscribers_email_address'";
            assert_eq!(scene.mirror.number(sql).await, expected, "{api:?}, {when}");
        };
        let wanted = objects::names();
        for when in ["the first load", "a table that was emptied"] {
            scene.sync_stopping_at(&wanted, None, people(api), 4).await;
            is_indexed(0, when).await;
            assert!(scene.mirror.number("select count(*) from subscribers").await > 0, "{api:?}, {when}");
            scene.sync().await;
            is_indexed(1, when).await;
            scene.equals_kit().await;
            scene.sync_stopping_at(&wanted, Some(Whole::Load), people(api), 4).await;
            is_indexed(1, "a full load of what is there").await;
            scene.sync().await;
            scene.mirror.execute("delete from subscribers").await;
        }
    }
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

/// How many of these texts stand in the bytes of a folder.
fn in_the_bytes_of(folder: &Path, texts: &[String]) -> usize {
    let files = std::fs::read_dir(folder).expect("the folder can be read").flatten();
    let all: Vec<u8> = files.flat_map(|entry| std::fs::read(entry.path()).expect("it can be read")).collect();
    let is_there = |text: &&String| all.windows(text.len()).any(|window| window == text.as_bytes());
    texts.iter().filter(is_there).count()
}

/// S-17. What an older program left in unused parts of the file, and samples of values that an analyst had made.
#[tokio::test(flavor = "multi_thread")]
async fn what_the_file_held_before_is_gone_with_the_person() {
    let scene = Scene::loaded(few(), Api::V4).await;
    let everybody =
        scene.mirror.texts("select email_address from subscribers where email_address like '%_@_%'").await;
    let [kept, before @ ..] = everybody.as_slice() else { panic!("nobody") };
    // As if all of them had had another address once, and had been sampled with it.
    let careless = "pragma secure_delete = off; analyze; \
                    update subscribers set email_address = 'new-' || id || '@example.org'";
    scene.mirror.execute(&format!("{careless} where email_address <> '{}'", kept.replace('\'', "''"))).await;
    assert!(in_the_bytes_of(scene.mirror.folder(), before) > 10);
    let id = scene.mirror.texts("select id from subscribers where email_address like 'new-%' limit 1").await;
    let ran = Binary::at(&scene.mirror).run(&["forget", &id[0], "--yes"]).await;
    assert!(ran.ended_with(0).stdout.contains("bytes of the file holds the address"), "{}", ran.stdout);
    assert_eq!(in_the_bytes_of(scene.mirror.folder(), before), 0);
    assert_eq!(in_the_bytes_of(scene.mirror.folder(), &[format!("new-{}@", id[0])]), 0);
    assert_eq!(in_the_bytes_of(scene.mirror.folder(), std::slice::from_ref(kept)), 1);
    assert_eq!(scene.mirror.texts("pragma integrity_check").await, ["ok"]);
}

/// S-17. While somebody reads an older state, the file holds it: that is told, and what to do about it.
#[tokio::test(flavor = "multi_thread")]
async fn a_reader_who_keeps_an_older_state_is_told_of() {
    let scene = Scene::loaded(few(), Api::V4).await;
    let address = scene
        .mirror
        .texts("select email_address from subscribers where email_address like '%_@_%' limit 1")
        .await;
    let reader = scene.mirror.database().await;
    reader.execute("begin").await;
    reader.number("select count(*) from subscribers").await;
    let binary = Binary::at(&scene.mirror);
    let ran = binary.run(&["forget", &address[0], "--yes", "--json"]).await;
    ran.ended_with(5).says(&["Somebody reads an older state", "run this again"]);
    assert_eq!(
        (&ran.json()["is_clean"], &ran.json()["proof"]["traces"]),
        (&false.into(), &serde_json::json!([]))
    );
    assert_eq!(in_the_bytes_of(scene.mirror.folder(), &address), 1);
    reader.execute("commit").await;
    binary.run(&["forget", &address[0]]).await.ended_with(0);
    assert_eq!(in_the_bytes_of(scene.mirror.folder(), &address), 0);
    reader.close().await;
}

/// S-17. Of those whose time has come, no address stays in the file either.
#[tokio::test(flavor = "multi_thread")]
async fn a_purge_leaves_no_byte_of_an_address() {
    join_all(Api::VERSIONS.map(|api| async move {
        let scene = Scene::loaded(AccountPlan::new(3_000).tags(1).forms(1).sequences(1), api).await;
        let everybody = scene.mirror.lines("select id, email_address from subscribers order by id").await;
        let everybody = everybody.iter().filter_map(|line| line.split_once('|'));
        let (ids, addresses): (Vec<&str>, Vec<String>) =
            everybody.step_by(10).map(|(id, address)| (id, address.to_owned())).unzip();
        let marked = format!("'{}'", (Utc::now() - TimeDelta::days(31)).format("%FT%T%.6fZ"));
        let mark = format!("update subscribers set _deleted_at = {marked} where id in ({})", ids.join(", "));
        scene.mirror.execute(&mark).await;
        let ran = Binary::of(&scene.mirror, &scene.serving, api).run(&["sync", "--object", "tags"]).await;
        ran.ended_with(0).says(&["Purged"]);
        assert_eq!(in_the_bytes_of(scene.mirror.folder(), &addresses), 0);
    }))
    .await;
}

/// K-06. Power fails: of what was written last, any part of the log is on the disk, and what comes behind it is anything.
/// Rows and position are of one commit all the same.
#[tokio::test]
async fn a_log_that_ends_anywhere_gives_whole_commits() {
    const COMMITS: i64 = 40;
    let bench = Bench::new().await;
    for nth in 1..=COMMITS {
        let page = more(u32::try_from(nth).expect("a page"));
        let commit = bench.commit(&TAGS, tags((nth - 1) * 10 + 1..=nth * 10), page);
        bench.store.commit_page(commit).await.expect("the commit is accepted");
    }
    assert_eq!(bench.store.query("pragma synchronous").await.expect("an answer")[0][0].as_deref(), Some("2"));
    let file = bench.mirror.file();
    let log = std::fs::read(file.with_extension("db-wal")).expect("there is a log");
    let mut chance = fastrand::Rng::with_seed(6);
    let mut met = std::collections::BTreeSet::new();
    for _ in 0..60 {
        let folder = tempfile::tempdir().expect("a folder");
        let copy = folder.path().join("mirror.db");
        std::fs::copy(&file, &copy).expect("a copy");
        let mut rest = log[..chance.usize(..=log.len())].to_vec();
        let behind = 4_096 * usize::from(chance.u8(..3));
        rest.extend(std::iter::repeat_with(|| chance.u8(..)).take(behind));
        std::fs::write(copy.with_extension("db-wal"), rest).expect("a log");
        let database = Database::connect(Engine::Sqlite, &format!("sqlite://{}", copy.display()), "").await;
        let database = database.expect("it opens");
        assert_eq!(database.texts("pragma integrity_check").await, ["ok"]);
        if database.tables().await.iter().any(|table| table == "sync_state") {
            let rows = database.number("select count(*) from tags").await;
            let page = format!("{{\"page\":{}}}", rows / 10);
            let expected = if rows == 0 { Vec::new() } else { vec![page] };
            assert_eq!(database.texts("select checkpoint from sync_state").await, expected);
            let counted = database.texts("select coalesce(sum(pages), 0) from sync_runs").await;
            assert_eq!(counted, [(rows / 10).to_string()]);
            met.insert(rows);
        }
        database.close().await;
    }
    assert!(met.len() > 10, "the log was cut in many commits: {met:?}");
}
