//! The door to the database: what a commit does, what it leaves alone, and what happens when it cannot.

use crate::ENGINE;
use crate::support::bench::{at, membership, more, person, tag, tags, text};
use crate::support::{Bench, Mirror};
use futures_util::future::join_all;
use kitmirror::error::Kind;
use kitmirror::model::objects::{BROADCASTS, SUBSCRIBERS, TAG_SUBSCRIPTIONS, TAGS};
use kitmirror::model::{Batch, Quarantined, Row, Value};
use kitmirror::store::{Access, Commit, Progress, Swept, Whole};
use std::sync::Arc;
use std::time::{Duration, Instant};

fn done(watermark: Option<&str>) -> Progress {
    Progress::Done {
        watermark: watermark.map(at),
        began_at: at("2024-05-03T00:00:00Z"),
        swept: Swept::No,
        counted: None,
    }
}

/// A moment as it stands in a statement.
fn sql(text: &str) -> String {
    ENGINE.time(text.parse().expect("a time"))
}

/// D01, D-07. Repeated after an answer was lost, a commit changes nothing more.
#[tokio::test]
async fn a_page_written_twice_leaves_the_same_rows() {
    let bench = Bench::new().await;
    let first = bench.write(tags(1..=50)).await;
    let before = bench.sees("select id, name, _first_seen_at, _synced_at from tags order by id").await;
    let second = bench.write(tags(1..=50)).await;
    assert_eq!((first.inserted, first.updated), (50, 0));
    assert_eq!((second.inserted, second.updated), (0, 0));
    assert_eq!(bench.sees("select id, name, _first_seen_at, _synced_at from tags order by id").await, before);
    assert_eq!(bench.sees("select \"rows\" from sync_state").await, ["50"]);
}

/// `_synced_at` tells when the content of a row changed, and of no other row.
#[tokio::test]
async fn only_a_row_that_changed_is_written() {
    let bench = Bench::new().await;
    bench.write(tags(1..=3)).await;
    let before = bench.sees("select _synced_at from tags order by id").await;
    tokio::time::sleep(Duration::from_millis(5)).await;
    let written = bench.write(vec![tag(1, text("x")), tag(2, text("y")), tag(3, text("x"))]).await;
    assert_eq!((written.inserted, written.updated), (0, 1));
    let after = bench.sees("select _synced_at from tags order by id").await;
    assert_eq!((&after[0], &after[2]), (&before[0], &before[2]));
    assert!(after[1] > before[1]);
    assert_eq!(bench.sees("select _first_seen_at from tags where id = 2").await, [before[1].clone()]);
}

/// D02. Of equal keys in a batch the last one counts.
#[tokio::test]
async fn of_equal_keys_the_last_wins() {
    let bench = Bench::new().await;
    let names = ["first", "second", "last"];
    let rows = (1..=20).flat_map(|id| names.map(|name| tag(id, text(name)))).collect();
    let written = bench.write(rows).await;
    assert_eq!((written.inserted, written.updated), (20, 0));
    assert_eq!(bench.sees("select distinct name from tags").await, ["last"]);
}

/// M32. Absent leaves what is stored, null does not; both in one batch.
#[tokio::test]
async fn absent_is_not_null() {
    let bench = Bench::new().await;
    bench.write(tags(1..=3)).await;
    let written = bench.write(vec![tag(1, Value::Absent), tag(2, Value::Null), tag(3, text("y"))]).await;
    assert_eq!(written.updated, 2);
    assert_eq!(bench.tags().await, ["1|x", "2|-", "3|y"]);
}

/// A row that comes back is no longer marked as gone.
#[tokio::test]
async fn a_row_that_returns_is_alive_again() {
    let bench = Bench::new().await;
    bench.write(tags(1..=2)).await;
    bench.other_does(&format!("update tags set _deleted_at = {}", sql("2024-05-02T00:00:00Z"))).await;
    bench.write(tags(1..=1)).await;
    assert_eq!(bench.sees("select _deleted_at from tags order by id").await[0], "-");
    assert_eq!(bench.store.ids(&TAGS).await.expect("ids"), [1]);
}

/// O5. The stored watermark does not move back, nor does a pass that saw nothing take it away.
#[tokio::test]
async fn the_watermark_never_moves_back() {
    let bench = Bench::new().await;
    for watermark in [Some("2024-05-03T09:00:00Z"), Some("2024-05-01T00:00:00Z"), None] {
        let commit = bench.commit(&TAGS, Vec::new(), done(watermark));
        bench.store.commit_page(commit).await.expect("the commit is accepted");
        assert_eq!(bench.sees("select watermark from sync_state").await, ["2024-05-03T09:00:00.000000Z"]);
    }
    let later = bench.commit(&TAGS, Vec::new(), done(Some("2024-05-03T09:00:00.000001Z")));
    bench.store.commit_page(later).await.expect("the commit is accepted");
    assert_eq!(bench.sees("select watermark from sync_state").await, ["2024-05-03T09:00:00.000001Z"]);
}

/// P2. A page of members that was under way when their tag was marked as gone, or deleted for good even, brings
/// nobody back: no reconcile would look at them any more.
#[tokio::test]
async fn members_of_a_parent_that_is_gone_are_refused() {
    let bench = Bench::new().await;
    bench.write(tags(1..=2)).await;
    bench
        .other_does(&format!("update tags set _deleted_at = {} where id = 2", sql("2024-05-02T00:00:00Z")))
        .await;
    for (tag, is_there) in [(1, true), (2, false), (3, false)] {
        let members = vec![membership(&TAG_SUBSCRIPTIONS, tag, 7)];
        let commit = bench.commit(&TAG_SUBSCRIPTIONS, members, more(1));
        let written = bench.store.commit_page(Commit { partition: tag.to_string(), ..commit }).await;
        assert_eq!(written.is_ok(), is_there, "tag {tag}");
        assert!(written.err().is_none_or(|error| error.kind() == Kind::SourceNotFound));
    }
    assert_eq!(bench.sees("select tag_id from tag_subscriptions").await, ["1"]);
}

/// All that a commit could change.
async fn everything(bench: &Bench) -> Vec<String> {
    let mut all = Vec::new();
    for sql in [
        "select object, \"rows\", checkpoint, last_error from sync_state order by object",
        "select outcome, pages from sync_runs order by id",
        "select count(*) from sync_quarantine",
        "select count(*) from tags",
    ] {
        all.extend(bench.sees(sql).await);
    }
    all
}

/// C-03, M29. Overtaken, it writes neither rows nor position nor quarantine nor how its run went.
#[tokio::test]
async fn without_the_lease_nothing_is_written() {
    let bench = Bench::new().await;
    bench.write(tags(1..=5)).await;
    let overtaker = bench.mirror.store(Access::Existing).await;
    let holder =
        overtaker.acquire_lease("two").await.expect("the lease can be asked for").expect_err("it is held");
    assert_eq!(holder.owner, "one");
    bench.other_does(&format!("update sync_lease set expires_at = {}", sql("2001-01-01T00:00:00Z"))).await;
    overtaker.acquire_lease("two").await.expect("the lease can be asked for").expect("it has expired");
    let before = everything(&bench).await;

    let mut commit = bench.commit(&TAGS, tags(1..=9), more(2));
    let note = Quarantined { key: None, raw: "{}".to_owned(), reason: "odd".to_owned(), row_kept: false };
    commit.batch = Arc::new(Batch { quarantined: vec![note], ..(*commit.batch).clone() });
    let refused = bench.store.commit_page(commit).await.expect_err("overtaken");
    assert_eq!(refused.kind(), Kind::LeaseLost);
    let store = &bench.store;
    let others = [
        store.renew_lease().await,
        store.note_error(&TAGS, "", &refused, false).await,
        store.leave_out(&TAGS, "").await,
        store.complete_object(&TAGS, at("2024-05-03T00:00:00Z"), Swept::No).await,
        store.request(&TAGS, Whole::Load).await,
        store.begin_run(&TAGS, "full").await.map(drop),
        store.end_run(bench.run, "full", kitmirror::store::Outcome::Failed, (1, 0), None).await,
    ];
    for result in others {
        assert_eq!(result.expect_err("overtaken").kind(), Kind::LeaseLost);
    }
    assert_eq!(everything(&bench).await, before);
    // Giving back what is not ours any more takes nothing from the other one.
    store.release_lease().await.expect("nothing to give back");
    overtaker.renew_lease().await.expect("the other one holds it");
    let refused =
        store.commit_page(bench.commit(&TAGS, tags(1..=9), more(2))).await.expect_err("no lease at all");
    assert_eq!((refused.kind(), everything(&bench).await), (Kind::LeaseLost, before));
}

/// M11, O4. A commit that fails half-way leaves neither its rows nor its position.
#[tokio::test]
async fn rows_and_position_are_written_together_or_not_at_all() {
    let bench = Bench::new().await;
    bench.write(tags(1..=5)).await;
    let before = (bench.tags().await, bench.positions().await);
    for table in ["sync_state", "sync_runs"] {
        // What is written last cannot be written: a table that is in the way of the update.
        bench.other_does(&format!("alter table {table} rename to {table}_away")).await;
        let failed = bench.store.commit_page(bench.commit(&TAGS, tags(6..=700), more(2))).await;
        assert_eq!(failed.expect_err("a table is missing").kind(), Kind::SchemaMismatch);
        bench.other_does(&format!("alter table {table}_away rename to {table}")).await;
        assert_eq!((bench.tags().await, bench.positions().await), before);
    }
    bench.write(tags(6..=700)).await;
    assert_eq!(bench.tags().await.len(), 700);
}

/// M17, D-10. The row that the database refuses is found and set aside, wherever it stands; the others,
/// the position and the count of what was lost are written in the same transaction.
#[tokio::test]
async fn a_row_that_the_database_refuses_is_set_aside() {
    for culprits in [vec![1], vec![700], vec![1_200], vec![499, 500, 501, 1_001]] {
        let bench = Bench::new().await;
        let ids: Vec<String> = culprits.iter().map(i64::to_string).collect();
        bench.other_does(&ENGINE.refuse("tags", &ids.join(","))).await;
        let written = bench.write(tags(1..=1_200)).await;
        let count = culprits.len() as u64;
        assert_eq!((written.inserted, written.updated, written.quarantined), (1_200 - count, 0, count));
        assert_eq!(
            bench.sees("select record from sync_quarantine order by length(record), record").await,
            ids
        );
        let reason = bench.sees("select distinct reason from sync_quarantine").await;
        assert!(reason.len() == 1 && reason[0].contains("the database refused the row"), "{reason:?}");
        assert_eq!(bench.sees("select count(*) from tags").await, [(1_200 - count).to_string()]);
        assert_eq!(bench.positions().await, ["tags|-|{\"page\":1}"]);
        assert_eq!(bench.sees("select rows_quarantined from sync_runs").await, [count.to_string()]);
    }
}

/// D-11. Around the limits of rows and of values in a statement, and far beyond them.
#[tokio::test]
async fn a_batch_of_any_size_is_cut_into_statements() {
    for size in [0, 1, 499, 500, 501, 999, 1_000, 1_001, 5_000] {
        let bench = Bench::new().await;
        let written = bench.write(tags(1..=size)).await;
        assert_eq!(written.inserted, size as u64);
        assert_eq!(bench.sees("select count(*) from tags").await, [size.to_string()]);
    }
    // The widest table: 19 columns and three of ours make 22 values a row, so 1,489 rows would be one limit.
    let bench = Bench::new().await;
    let wide = |id: i64| {
        let values = BROADCASTS.columns.iter().map(|column| match column.name {
            "id" => Value::Int(id),
            "created_at" => Value::Time(at("2024-05-01T00:00:00Z")),
            _ => Value::Null,
        });
        Row { values: values.collect(), extra: Value::Null }
    };
    for size in [1_488, 1_489, 1_490, 5_000] {
        let commit = bench.commit(&BROADCASTS, (1..=size).map(wide).collect(), more(1));
        bench.store.commit_page(commit).await.expect("the commit is accepted");
        assert_eq!(bench.sees("select count(*) from broadcasts").await, [size.to_string()]);
    }
}

/// D-11. Rows of megabytes are cut by their size.
#[tokio::test]
async fn a_batch_of_large_rows_is_cut_by_bytes() {
    let bench = Bench::new().await;
    let long = "x".repeat(3 << 20);
    let rows = (1..=9).map(|id| tag(id, text(&long))).collect();
    assert_eq!(bench.write(rows).await.inserted, 9);
    assert_eq!(bench.sees("select distinct length(name) from tags").await, [(3 << 20).to_string()]);
}

/// D04. Partitions of one table do not touch each other's rows.
#[tokio::test]
async fn equal_ids_under_different_parents_are_different_rows() {
    let bench = Bench::new().await;
    bench.write(tags(1..=2)).await;
    for tag in [1, 2] {
        let members = (1..=10).map(|id| membership(&TAG_SUBSCRIPTIONS, tag, id)).collect();
        let commit = bench.commit(&TAG_SUBSCRIPTIONS, members, more(1));
        let commit = Commit { partition: tag.to_string(), ..commit };
        let written = bench.store.commit_page(commit).await.expect("the commit is accepted");
        assert_eq!(written.inserted, 10);
    }
    assert_eq!(bench.sees("select count(*) from tag_subscriptions").await, ["20"]);
}

/// M37. A page of members that was on its way when somebody on it was marked as gone does not give him back what went
/// with him; one that is asked for afterwards shows him again.
#[tokio::test]
async fn memberships_of_somebody_who_is_marked_as_gone_meanwhile_do_not_come_back() {
    let bench = Bench::new().await;
    bench.write(tags(1..=1)).await;
    let written = |commit| async { bench.store.commit_page(commit).await.expect("the commit is accepted") };
    written(bench.commit(&SUBSCRIBERS, vec![person(7), person(8)], more(1))).await;
    let page = || Commit {
        partition: "1".to_owned(),
        ..bench.commit(
            &TAG_SUBSCRIPTIONS,
            [7, 8].map(|id| membership(&TAG_SUBSCRIPTIONS, 1, id)).into(),
            more(1),
        )
    };
    written(page()).await;
    let (stale, also_stale) = (page(), page());
    written(Commit { gone: vec![7], ..bench.commit(&SUBSCRIBERS, Vec::new(), more(2)) }).await;
    let live = "select subscriber_id from tag_subscriptions where _deleted_at is null order by 1";
    assert_eq!(bench.sees(live).await, ["8"], "his memberships went with him");
    assert_eq!(written(stale).await.revived, 0);
    assert_eq!(bench.sees(live).await, ["8"]);
    // He is back, so a page from before he went is not wrong about him.
    written(bench.commit(&SUBSCRIBERS, vec![person(7)], more(3))).await;
    assert_eq!(written(also_stale).await.revived, 1);
    assert_eq!(written(page()).await.revived, 0);
    assert_eq!(bench.sees(live).await, ["7", "8"]);
}

/// M37, C-03. A page of members that was on its way when its tag was marked as gone does not bring them back to life.
#[tokio::test]
async fn members_of_a_tag_that_is_gone_are_not_stored() {
    let bench = Bench::new().await;
    bench.write(tags(1..=2)).await;
    let gone = Commit { gone: vec![2], ..bench.commit(&TAGS, Vec::new(), more(2)) };
    bench.store.commit_page(gone).await.expect("the commit is accepted");
    let page = |tag: i64| Commit {
        partition: tag.to_string(),
        ..bench.commit(&TAG_SUBSCRIPTIONS, vec![membership(&TAG_SUBSCRIPTIONS, tag, 7)], more(1))
    };
    bench.store.commit_page(page(1)).await.expect("the tag is there");
    let refused = bench.store.commit_page(page(2)).await.expect_err("the tag is gone");
    assert_eq!(refused.kind(), Kind::SourceNotFound);
    assert_eq!(bench.sees("select tag_id, subscriber_id from tag_subscriptions").await, ["1|7"]);
    assert_eq!(bench.sees("select count(*) from sync_state where \"partition\" = '2'").await, ["0"]);
}

/// D-05. A lock of somebody else is waited for.
#[tokio::test(flavor = "multi_thread")]
async fn a_busy_database_is_waited_for() {
    let bench = Bench::new().await;
    let other = bench.other().await;
    other.execute(ENGINE.lock_out_writers()).await;
    let since = Instant::now();
    let unlock = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        other.execute("commit").await;
    };
    let (written, ()) = tokio::join!(bench.write(tags(1..=5)), unlock);
    assert_eq!(written.inserted, 5);
    assert!(since.elapsed() >= Duration::from_secs(1));
}

/// D-05. A reader who holds an old snapshot is in nobody's way.
#[tokio::test(flavor = "multi_thread")]
async fn a_long_reader_does_not_hold_up_a_commit() {
    let bench = Bench::new().await;
    bench.write(tags(1..=5)).await;
    let other = bench.other().await;
    other.execute(ENGINE.begin_to_read()).await;
    assert_eq!(other.number("select count(*) from tags").await, 5);
    let since = Instant::now();
    bench.write(tags(1..=50)).await;
    assert!(since.elapsed() < Duration::from_secs(1));
    let seen = other.number("select count(*) from tags").await;
    assert_eq!(seen, 5, "an analyst never sees half of what is going on");
}

/// M31. Whoever waits for a commit may stop waiting at any moment, 200 times: it is then made or not, and no
/// transaction stays open.
#[tokio::test(flavor = "multi_thread")]
async fn a_commit_that_nobody_waits_for_leaves_no_open_transaction() {
    let bench = Bench::new().await;
    let other = bench.other().await;
    let mut chance = fastrand::Rng::with_seed(31);
    let (mut expected, mut given_up) = (0, 0);
    for step in 0..200 {
        let first = expected + 1;
        let commit = bench.commit(&TAGS, tags(first..first + 50), more(step));
        let store = bench.store.clone();
        let caller = tokio::spawn(async move { store.commit_page(commit).await.map(drop) });
        // Finer than the runtime's timers; this thread is not one of its workers.
        let longest = [200, 1_000, 2_500, 6_000][step as usize % 4];
        std::thread::sleep(Duration::from_micros(chance.u64(..longest)));
        caller.abort();
        given_up += usize::from(caller.await.is_err());
        // Ours waits for its turn behind whatever is still under way.
        bench.store.renew_lease().await.expect("the store is in order");
        other.execute(ENGINE.no_writer_is_left()).await;
        if let Some(open) = ENGINE.open_transactions() {
            assert_eq!(other.number(&open).await, 0, "left open in step {step}");
        }
        let stored = other.number("select count(*) from tags").await;
        assert!(stored == expected || stored == expected + 50, "half a commit: {stored} after {expected}");
        expected = stored;
    }
    assert!(given_up > 20, "nobody gave up: {given_up}");
    assert_eq!(bench.write(tags(1..=expected + 1)).await.inserted, 1);
    assert_eq!(bench.sees("select \"rows\" from sync_state").await, [(expected + 1).to_string()]);
}

/// Whoever has begun to wait for a commit and then does something else first keeps nobody from the database.
#[tokio::test(flavor = "multi_thread")]
async fn a_commit_that_is_not_asked_about_keeps_nobody_waiting() {
    let bench = Bench::new().await;
    let other = bench.other().await;
    other.execute(ENGINE.lock_out_writers()).await;
    let mut commits: Vec<_> = [1, 2]
        .map(|page| bench.commit(&TAGS, tags(page.into()..=page.into()), more(page)))
        .into_iter()
        .map(|commit| Box::pin(bench.store.commit_page(commit)))
        .collect();
    // Begun, and then left alone.
    for commit in &mut commits {
        assert!(tokio::time::timeout(Duration::from_millis(50), commit).await.is_err(), "nobody may write");
    }
    other.execute("commit").await;
    let renewed = tokio::time::timeout(Duration::from_secs(20), bench.store.renew_lease()).await;
    renewed.expect("it is not kept waiting").expect("the store is in order");
    for commit in commits {
        commit.await.expect("it is made");
    }
    assert_eq!(bench.sees("select count(*) from tags").await, ["2"]);
    // What was asked for first was made first.
    assert_eq!(bench.positions().await, ["tags|-|{\"page\":2}"]);
}

/// V-02. However many begin at once: one makes the tables, the others find them made.
#[tokio::test(flavor = "multi_thread")]
async fn the_tables_are_made_once() {
    let mirror = Arc::new(Mirror::new().await);
    let all = join_all((0..6).map(|_| {
        let mirror = Arc::clone(&mirror);
        tokio::spawn(async move {
            let store = mirror.store(Access::Create).await;
            let migrated = store.migrate().await.expect("the tables are there");
            store.check_schema().await.expect("as they should be");
            migrated.applied.len()
        })
    }))
    .await;
    let applied: Vec<usize> = all.into_iter().map(|one| one.expect("no panic")).collect();
    assert_eq!(applied.iter().filter(|count| **count > 0).count(), 1, "{applied:?}");
}
