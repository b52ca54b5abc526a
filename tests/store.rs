//! The door to the database: what a commit does, what it leaves alone, and what happens when it cannot.

use futures_util::future::join_all;
use kitmirror::error::Kind;
use kitmirror::model::objects::{BROADCASTS, FORM_SUBSCRIPTIONS, TAGS};
use kitmirror::model::{Batch, Object, Quarantined, Row, Time, Value, time};
use kitmirror::store::{Access, Commit, Place, Progress, Store, Written};
use sqlx::sqlite::SqlitePool;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// A mirror without a source, whose lease the store holds.
struct Bench {
    _folder: TempDir,
    url: String,
    store: Store,
    run: i64,
}

impl Bench {
    async fn new() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let url = format!("sqlite://{}/mirror.db", folder.path().display());
        let store = Store::open(&Place::of(&url, None).expect("a place"), Access::Create)
            .await
            .expect("the database opens");
        store.migrate().await.expect("the tables are made");
        store.acquire_lease("one").await.expect("the lease can be asked for").expect("and is free");
        let run = store.begin_run(&TAGS, "full").await.expect("a run");
        Bench { _folder: folder, url, store, run }
    }

    fn commit(&self, object: &'static Object, rows: Vec<Row>, progress: Progress) -> Commit {
        let batch = Batch { read: rows.len(), rows, quarantined: Vec::new() };
        Commit {
            object,
            partition: String::new(),
            batch: Arc::new(batch),
            pages: 1,
            progress,
            fingerprint: "shape".to_owned(),
            run: (self.run, 1, 0),
        }
    }

    async fn write(&self, rows: Vec<Row>) -> Written {
        self.store.commit_page(self.commit(&TAGS, rows, more(1))).await.expect("the commit is accepted")
    }

    /// Another connection, as an analyst or another program has it.
    async fn other(&self) -> SqlitePool {
        let options = sqlx::sqlite::SqlitePoolOptions::new().max_connections(1);
        options.connect(&self.url).await.expect("a second connection")
    }

    async fn other_does(&self, sql: &str) {
        let other = self.other().await;
        sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(&other).await.expect(sql);
        other.close().await;
    }

    /// The rows of a query, cells joined by `|`, as another connection sees them.
    async fn sees(&self, sql: &str) -> Vec<String> {
        let other = self.other().await;
        let rows: Vec<(Option<String>,)> =
            sqlx::query_as(sqlx::AssertSqlSafe(sql)).fetch_all(&other).await.expect(sql);
        other.close().await;
        rows.into_iter().map(|(text,)| text.unwrap_or_else(|| "-".to_owned())).collect()
    }

    async fn tags(&self) -> Vec<String> {
        self.sees("select id || '|' || coalesce(name, '-') from tags order by id").await
    }

    async fn positions(&self) -> Vec<String> {
        self.sees("select object || '|' || coalesce(watermark, '-') || '|' || coalesce(checkpoint, '-') from sync_state")
            .await
    }
}

fn more(page: u32) -> Progress {
    Progress::More { checkpoint: format!("{{\"page\":{page}}}") }
}

fn at(text: &str) -> Time {
    time::parse(text).expect("a time")
}

fn done(watermark: Option<&str>) -> Progress {
    Progress::Done { watermark: watermark.map(at), began_at: at("2024-05-03T00:00:00Z") }
}

fn text(text: &str) -> Value {
    Value::Text(text.into())
}

/// A tag of that name; `name` may be null or absent.
fn tag(id: i64, name: Value) -> Row {
    let created_at = Value::Time(at("2024-05-01T00:00:00Z"));
    Row { values: vec![Value::Int(id), name, Value::Absent, created_at], extra: Value::Null }
}

fn tags(ids: impl Iterator<Item = i64>) -> Vec<Row> {
    ids.map(|id| tag(id, text("x"))).collect()
}

/// D01, D-07. Repeated after an answer was lost, a commit changes nothing more.
#[tokio::test]
async fn a_page_written_twice_leaves_the_same_rows() {
    let bench = Bench::new().await;
    let first = bench.write(tags(1..=50)).await;
    let before = bench.sees("select id || name || _first_seen_at || _synced_at from tags").await;
    let second = bench.write(tags(1..=50)).await;
    assert_eq!((first.inserted, first.updated), (50, 0));
    assert_eq!((second.inserted, second.updated), (0, 0));
    assert_eq!(bench.sees("select id || name || _first_seen_at || _synced_at from tags").await, before);
    assert_eq!(bench.sees("select cast(rows as text) from sync_state").await, ["50"]);
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
    bench.other_does("update tags set _deleted_at = '2024-05-02T00:00:00.000000Z'").await;
    bench.write(tags(1..=1)).await;
    assert_eq!(bench.sees("select coalesce(_deleted_at, 'alive') from tags order by id").await[0], "alive");
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

/// C-03, M29. Overtaken, it writes neither rows nor position nor quarantine nor how its run went.
#[tokio::test]
async fn without_the_lease_nothing_is_written() {
    let bench = Bench::new().await;
    bench.write(tags(1..=5)).await;
    let overtaker = Store::open(&Place::of(&bench.url, None).expect("a place"), Access::Existing)
        .await
        .expect("the database opens");
    let holder =
        overtaker.acquire_lease("two").await.expect("the lease can be asked for").expect_err("it is held");
    assert_eq!(holder.owner, "one");
    bench.other_does("update sync_lease set expires_at = '2001-01-01T00:00:00.000000Z'").await;
    overtaker.acquire_lease("two").await.expect("the lease can be asked for").expect("it has expired");
    let all = "select group_concat(object || rows || coalesce(checkpoint, '') || coalesce(last_error, '')) from sync_state \
               union all select group_concat(outcome || pages) from sync_runs \
               union all select count(*) || '' from sync_quarantine union all select count(*) || '' from tags";
    let before = bench.sees(all).await;

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
        store.complete_object(&TAGS, at("2024-05-03T00:00:00Z")).await,
        store.request_full(&TAGS).await,
        store.begin_run(&TAGS, "full").await.map(drop),
        store.end_run(bench.run, "full", kitmirror::store::Outcome::Failed, (1, 0), None).await,
    ];
    for result in others {
        assert_eq!(result.expect_err("overtaken").kind(), Kind::LeaseLost);
    }
    assert_eq!(bench.sees(all).await, before);
    // Giving back what is not ours any more takes nothing from the other one.
    store.release_lease().await.expect("nothing to give back");
    overtaker.renew_lease().await.expect("the other one holds it");
    let refused =
        store.commit_page(bench.commit(&TAGS, tags(1..=9), more(2))).await.expect_err("no lease at all");
    assert_eq!((refused.kind(), bench.sees(all).await), (Kind::LeaseLost, before));
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
        bench
            .other_does(&format!(
                "create trigger poison before insert on tags when new.id in ({}) begin select raise(abort, 'no'); end",
                ids.join(",")
            ))
            .await;
        let written = bench.write(tags(1..=1_200)).await;
        let count = culprits.len() as u64;
        assert_eq!((written.inserted, written.updated, written.quarantined), (1_200 - count, 0, count));
        assert_eq!(
            bench.sees("select record from sync_quarantine order by cast(record as integer)").await,
            ids
        );
        let reason = bench.sees("select distinct reason from sync_quarantine").await;
        assert!(reason.len() == 1 && reason[0].contains("the database refused the row"), "{reason:?}");
        assert_eq!(bench.sees("select count(*) || '' from tags").await, [(1_200 - count).to_string()]);
        assert_eq!(bench.positions().await, ["tags|-|{\"page\":1}"]);
        assert_eq!(bench.sees("select rows_quarantined || '' from sync_runs").await, [count.to_string()]);
    }
}

/// D-11. Around the limits of rows and of values in a statement, and far beyond them.
#[tokio::test]
async fn a_batch_of_any_size_is_cut_into_statements() {
    for size in [0, 1, 499, 500, 501, 999, 1_000, 1_001, 5_000] {
        let bench = Bench::new().await;
        let written = bench.write(tags(1..=size)).await;
        assert_eq!(written.inserted, size as u64);
        assert_eq!(bench.sees("select count(*) || '' from tags").await, [size.to_string()]);
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
        assert_eq!(bench.sees("select count(*) || '' from broadcasts").await, [size.to_string()]);
    }
}

/// D-11. Rows of megabytes are cut by their size.
#[tokio::test]
async fn a_batch_of_large_rows_is_cut_by_bytes() {
    let bench = Bench::new().await;
    let long = "x".repeat(3 << 20);
    let rows = (1..=9).map(|id| tag(id, text(&long))).collect();
    assert_eq!(bench.write(rows).await.inserted, 9);
    assert_eq!(bench.sees("select distinct length(name) || '' from tags").await, [(3 << 20).to_string()]);
}

/// D04. Partitions of one table do not touch each other's rows.
#[tokio::test]
async fn equal_ids_under_different_parents_are_different_rows() {
    let bench = Bench::new().await;
    for form in [1, 2] {
        let member = |id: i64| {
            let values = FORM_SUBSCRIPTIONS.columns.iter().map(|column| match column.name {
                "form_id" => Value::Int(form),
                "subscriber_id" => Value::Int(id),
                "created_at" => Value::Time(at("2024-05-01T00:00:00Z")),
                _ => Value::Absent,
            });
            Row { values: values.collect(), extra: Value::Null }
        };
        let commit = Commit {
            partition: form.to_string(),
            ..bench.commit(&FORM_SUBSCRIPTIONS, (1..=10).map(member).collect(), more(1))
        };
        let written = bench.store.commit_page(commit).await.expect("the commit is accepted");
        assert_eq!(written.inserted, 10);
    }
    assert_eq!(bench.sees("select count(*) || '' from form_subscriptions").await, ["20"]);
}

/// D-05. A write lock of somebody else is waited for.
#[tokio::test(flavor = "multi_thread")]
async fn a_busy_database_is_waited_for() {
    let bench = Bench::new().await;
    let other = bench.other().await;
    let mut connection = other.acquire().await.expect("a connection");
    sqlx::raw_sql("begin immediate").execute(&mut *connection).await.expect("the lock");
    let since = Instant::now();
    let unlock = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        sqlx::raw_sql("commit").execute(&mut *connection).await.expect("unlocked");
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
    let mut reader = other.acquire().await.expect("a connection");
    sqlx::raw_sql("begin; select * from tags").execute(&mut *reader).await.expect("a snapshot");
    let since = Instant::now();
    bench.write(tags(1..=50)).await;
    assert!(since.elapsed() < Duration::from_secs(1));
    let (seen,): (i64,) =
        sqlx::query_as("select count(*) from tags").fetch_one(&mut *reader).await.expect("a count");
    assert_eq!(seen, 5, "an analyst never sees half of what is going on");
}

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

/// M31. Whoever waits for a commit may stop waiting at any moment: it is then made or not, and no
/// transaction stays open.
#[tokio::test(flavor = "multi_thread")]
async fn a_commit_that_nobody_waits_for_leaves_no_open_transaction() {
    let bench = Bench::new().await;
    let mut expected = 0;
    for step in 0..40_u64 {
        let first = expected + 1;
        let commit = bench.commit(&TAGS, tags(first..first + 300), more(step as u32));
        let waited = Duration::from_micros(step * 250);
        let _ = tokio::time::timeout(waited, bench.store.commit_page(commit)).await;
        // Ours waits for its turn behind whatever is still under way.
        bench.store.renew_lease().await.expect("the store is in order");
        let other = bench.other().await;
        sqlx::raw_sql("begin immediate; commit").execute(&other).await.expect("nobody holds a lock");
        other.close().await;
        let stored = bench.tags().await.len() as i64;
        assert!(stored == expected || stored == expected + 300, "half a commit: {stored} after {expected}");
        expected = stored;
    }
    assert_eq!(bench.write(tags(1..=expected + 1)).await.inserted, 1);
}

/// V-02. However many begin at once: one makes the tables, the others find them made.
#[tokio::test(flavor = "multi_thread")]
async fn the_tables_are_made_once() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let url = format!("sqlite://{}/mirror.db", folder.path().display());
    let all = join_all((0..6).map(|_| {
        let url = url.clone();
        tokio::spawn(async move {
            let store = Store::open(&Place::of(&url, None).expect("a place"), Access::Create)
                .await
                .expect("the database opens");
            let migrated = store.migrate().await.expect("the tables are there");
            store.check_schema().await.expect("as they should be");
            migrated.applied.len()
        })
    }))
    .await;
    let applied: Vec<usize> = all.into_iter().map(|one| one.expect("no panic")).collect();
    assert_eq!(applied.iter().filter(|count| **count > 0).count(), 1, "{applied:?}");
}
