//! A server that goes away, comes back, says nothing, loses a commit, or is in somebody's way: it costs time only.

use crate::ENGINE;
use crate::support::bench::{membership, more, person, tag, tags, text};
use crate::support::judge::Strictness;
use crate::support::proxy::{Cut, Proxy};
use crate::support::scene::{few, people};
use crate::support::{Api, Bench, Binary, Engine, Judge, Mirror, asked, bench, kit};
use kitmirror::error::{Error, Kind};
use kitmirror::model::objects::{FORMS, SUBSCRIBERS, TAG_SUBSCRIPTIONS, TAGS};
use kitmirror::simulator::{AccountPlan, Action, Fault, Simulator};
use kitmirror::store::Commit;
use std::time::{Duration, Instant};

/// What a mirror counts, and its one position.
async fn counted(bench: &Bench) -> Vec<String> {
    let mut all = bench.sees("select count(*), min(id), max(id) from tags").await;
    all.extend(bench.sees("select object, \"rows\", watermark, checkpoint from sync_state").await);
    all.extend(bench.sees("select pages, rows_read, rows_inserted, rows_updated from sync_runs").await);
    all.extend(bench.sees("select epoch, commits from sync_lease").await);
    all
}

/// M30, D-03. Cut before the server heard of it, after it was made, and while nobody knows: once each, and several
/// times in a row. Rows, counts and position are what one commit makes.
#[tokio::test(flavor = "multi_thread")]
async fn a_commit_whose_connection_is_cut_is_made_once() {
    use Cut::{Answered, Before, Unanswered};
    let sequences: [&[Cut]; 7] = [
        &[],
        &[Before],
        &[Answered],
        &[Unanswered],
        &[Before, Before, Answered],
        &[Before, Unanswered],
        &[Before, Answered],
    ];
    let mut undisturbed = None;
    for cuts in sequences {
        let (bench, proxy) = Bench::behind_a_proxy().await;
        bench.write(tags(1..=50)).await;
        proxy.cut_the_next_commits(cuts);
        let commit = bench.commit(&TAGS, tags(31..=120), more(2));
        let written = bench.store.commit_page(commit).await.expect("it is made in the end");
        assert_eq!((written.inserted, written.updated), (70, 0), "{cuts:?}");
        assert_eq!(proxy.cuts(), cuts);
        bench.write(tags(121..=121)).await;
        let counted = counted(&bench).await;
        let expected = undisturbed.get_or_insert_with(|| counted.clone());
        assert_eq!(&counted, expected, "{cuts:?}");
        bench.store.release_lease().await.expect("it is still ours");
    }
    let expected = undisturbed.expect("there was one");
    assert_eq!(expected[..3], ["121|1|121", "tags|121|-|{\"page\":1}", "3|141|121|0"]);
}

/// D-03. A comparison of rows costs no more than time when its connection is ended, and leaves nothing behind.
#[tokio::test(flavor = "multi_thread")]
async fn a_comparison_whose_connection_is_ended_is_made_again() {
    let (bench, proxy) = Bench::behind_a_proxy().await;
    bench.write(tags(1..=50)).await;
    let as_it_was = counted(&bench).await;
    let compared = || async {
        let rows = vec![tag(50, text("other")), tag(51, text("new"))];
        bench.store.compare(&TAGS, rows).await.expect("it is made in the end")
    };
    let expected = compared().await;
    assert_eq!((expected.missing.as_slice(), expected.different.as_slice()), (&[51][..], &[50][..]));
    proxy.close();
    let opening = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        proxy.open();
    };
    assert_eq!(tokio::join!(compared(), opening).0, expected);
    assert_eq!(counted(&bench).await, as_it_was);
}

/// M30. What else is written is not only pages: a run begins once, an error is noted once.
#[tokio::test(flavor = "multi_thread")]
async fn whatever_is_written_is_written_once() {
    for cut in [Cut::Before, Cut::Answered, Cut::Unanswered] {
        let (bench, proxy) = Bench::behind_a_proxy().await;
        let every_commit_once = move |nth: u64| (nth % 2 == 1).then_some(cut);
        proxy.on_commit(every_commit_once);
        bench.store.renew_lease().await.expect("it is ours");
        proxy.on_commit(every_commit_once);
        let run = bench.store.begin_run(&FORMS, "full").await.expect("it begins");
        let runs = "select id, object, outcome from sync_runs order by id desc";
        let seen = bench.sees(runs).await;
        assert_eq!((seen.len(), seen[0].clone()), (2, format!("{run}|forms|running")), "{cut:?}");
        proxy.on_commit(every_commit_once);
        let error = Error::new(Kind::Internal, "odd");
        bench.store.note_error(&TAGS, "", &error, false).await.expect("it is noted");
        assert_eq!(bench.sees("select object, last_error from sync_state").await, ["tags|odd"], "{cut:?}");
        // To take the lease is not done under one: it is taken again by the same owner.
        proxy.on_commit(every_commit_once);
        bench.store.acquire_lease("one").await.expect("the lease can be asked for").expect("and is ours");
        assert_eq!(proxy.cuts(), [cut]);
        bench.write(tags(1..=1)).await;
        proxy.on_commit(every_commit_once);
        bench.store.release_lease().await.expect("it is ours");
        let others = bench.mirror.store(kitmirror::store::Access::Existing).await;
        others.acquire_lease("two").await.expect("the lease can be asked for").expect("and is free");
    }
}

/// How the runs of all objects went.
async fn runs(mirror: &Mirror) -> Vec<String> {
    mirror
        .lines(
            "select object, mode, outcome, pages, rows_read, rows_inserted, rows_updated, rows_quarantined \
             from sync_runs order by object, id",
        )
        .await
}

/// Where all passes stand. To the second, as Kit tells time: what it took us to look at the clock is not meant.
async fn states(mirror: &Mirror) -> Vec<String> {
    let lines = mirror
        .lines(
            "select object, \"partition\", watermark, \"rows\", checkpoint from sync_state order by object, \"partition\"",
        )
        .await;
    let to_the_second = |line: String| match line.split_once('.') {
        Some((before, rest)) => format!("{before}{}", rest.trim_start_matches(|c: char| c.is_ascii_digit())),
        None => line,
    };
    lines.into_iter().map(to_the_second).collect()
}

fn records_served(sim: &Simulator) -> i64 {
    sim.requests().iter().map(|one| one.rows.unwrap_or_default() as i64).sum()
}

/// M30. Every third commit of a whole run is lost in one way or another; then of a run over what changed.
#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_loses_commits_counts_like_one_that_loses_none() {
    for api in Api::VERSIONS {
        let (sim, serving) = kit(AccountPlan::new(400).tags(2).forms(2).sequences(2).broadcasts(3)).await;
        sim.clock().freeze();
        sim.set_modes(|modes| modes.page_cap = Some(50));
        let clean = Mirror::new().await;
        let mut mirror = Mirror::new().await;
        Binary::at(&mirror).run(&["migrate"]).await.ended_with(0);
        let proxy = mirror.behind_a_proxy();
        let mut chance = fastrand::Rng::with_seed(30);
        let mut losses = 0;
        for _ in ["full", "incremental"] {
            clean.sync(&serving, api).await;
            let before = (records_served(&sim), mirror.number(READ).await);
            proxy.on_commit(|nth| match nth % 9 {
                3 => Some(Cut::Before),
                6 => Some(Cut::Answered),
                0 => Some(Cut::Unanswered),
                _ => None,
            });
            mirror.sync(&serving, api).await;
            losses += proxy.cuts().len();
            proxy.on_commit(|_| None);
            let after = (records_served(&sim), mirror.number(READ).await);
            assert_eq!(after.1 - before.1, after.0 - before.0, "{api:?}: records read and records served");
            assert_eq!(runs(&mirror).await, runs(&clean).await, "{api:?}");
            assert_eq!(states(&mirror).await, states(&clean).await, "{api:?}");
            Judge::compare(&mirror, &sim, api, Strictness::Equal).await.agrees();
            sim.clock().advance(chrono::TimeDelta::hours(1));
            sim.change(|account| account.import_subscribers(60 + chance.u64(..60)));
        }
        assert!(losses > 12, "{api:?}: only {losses} commits were lost");
    }
}

const READ: &str = "select coalesce(sum(rows_read), 0) from sync_runs";

/// A database that is 20 ms away, there and back, gets the same rows in the same requests.
#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_is_far_away_costs_time_only() {
    for api in Api::VERSIONS {
        let (sim, serving) = kit(few()).await;
        sim.clock().freeze();
        let clean = Mirror::furnished().await;
        let mut far = Mirror::furnished().await;
        let proxy = far.behind_a_proxy();
        proxy.move_away(Duration::from_millis(10));
        let mut requests = Vec::new();
        for mirror in [&clean, &far] {
            sim.clear_requests();
            let began = Instant::now();
            mirror.sync(&serving, api).await;
            requests.push((sim.requests().len(), began.elapsed()));
            Judge::compare(mirror, &sim, api, Strictness::Equal).await.agrees();
        }
        let [(near, quick), (far, slow)] = requests[..] else { unreachable!("two mirrors") };
        assert_eq!(near, far, "{api:?}");
        assert!(
            slow > quick + Duration::from_millis(200),
            "{api:?}: nobody missed the time: {quick:?}, {slow:?}"
        );
    }
}

/// What a database that is far away costs, in the only measure that does not depend on the machine.
#[tokio::test]
async fn a_commit_of_a_page_asks_the_server_few_times() {
    let (bench, proxy) = Bench::behind_a_proxy().await;
    bench.write(tags(1..=1)).await;
    for (page, from) in [(1, 1), (2, 1001), (3, 1), (4, 1)] {
        let people = bench.commit(&SUBSCRIBERS, (from..from + 1000).map(person).collect(), more(page));
        let members = (from..from + 1000).map(|id| membership(&TAG_SUBSCRIPTIONS, 1, id)).collect();
        let members = bench.commit(&TAG_SUBSCRIPTIONS, members, more(page));
        for (commit, most) in [(people, 9), (Commit { partition: "1".to_owned(), ..members }, 10)] {
            let (object, before) = (commit.object.name, proxy.trips());
            bench.store.commit_page(commit).await.expect("the commit is accepted");
            let trips = proxy.trips() - before;
            // The first one of a partition makes the row of its state, and MySQL prepares its statements. Postgres copies the
            // second one, which takes a trip more, as looking in vain does before the third, for which MySQL prepares another.
            let is_one_more = page == 3 || page == 2 && *ENGINE == Engine::Postgres;
            let most = most + u64::from(is_one_more);
            assert!(page == 1 || trips <= most, "page {page} of {object} took {trips} round trips");
        }
    }
}

/// D-02. Nobody listens for three seconds in the middle of a full load, and again in the middle of a run over 200
/// changes: both complete by themselves.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_stopped_and_started_is_waited_for() {
    let both = Api::VERSIONS.map(stopped_and_started);
    futures_util::future::join_all(both).await;
}

async fn stopped_and_started(api: Api) {
    let (sim, serving) = kit(few()).await;
    sim.clock().freeze();
    sim.set_modes(|modes| modes.page_cap = Some(50));
    sim.faults().add(Fault::new(Action::Delay(Duration::from_millis(10))));
    let clean = Mirror::new().await;
    let mut mirror = Mirror::new().await;
    let proxy = mirror.behind_a_proxy();
    let binary = Binary::of(&mirror, &serving, api);
    binary.run(&["migrate"]).await.ended_with(0);
    let mut chance = fastrand::Rng::with_seed(2);
    for (seconds, strictness) in [(3, Strictness::Equal), (2, Strictness::Inserts)] {
        clean.sync(&serving, api).await;
        sim.clear_requests();
        let running = binary.start(&["-v", "sync"]);
        asked(&sim, people(api)).await;
        proxy.close();
        tokio::time::sleep(Duration::from_secs(seconds)).await;
        proxy.open();
        let ran = running.end().await;
        ran.ended_with(0).says(&["trying again"]);
        assert!(ran.took > Duration::from_secs(seconds), "{api:?}: nobody missed the server");
        // What a run over changes cannot see, such as rows with a date of long ago, none of them sees.
        let [ours, undisturbed] = [
            Judge::compare(&mirror, &sim, api, strictness).await,
            Judge::compare(&clean, &sim, api, strictness).await,
        ];
        assert_eq!(ours.differences(), undisturbed.differences(), "{api:?}");
        if strictness == Strictness::Equal {
            ours.agrees();
        }
        for _ in 0..200 {
            sim.clock().advance(chrono::TimeDelta::seconds(chance.i64(0..120)));
            sim.change(|account| account.random_change(&mut chance));
        }
    }
    // Nor does a full load miss anything that is left.
    binary.run(&["sync", "--full"]).await.ended_with(0);
    Judge::compare(&mirror, &sim, api, Strictness::Inserts).await.agrees();
}

/// D-02. A server that is there and says nothing, in the middle of work and to whoever connects, is given up after
/// a while, and another connection tried.
#[tokio::test]
async fn a_server_that_says_nothing_is_not_waited_for_for_ever() {
    let (bench, proxy) = Bench::behind_a_proxy().await;
    bench.write(tags(1..=5)).await;
    proxy.fall_silent();
    let known = proxy.connections();
    let commit = bench.commit(&TAGS, tags(6..=10), more(2));
    let store = bench.store.clone();
    let writing = tokio::spawn(async move { store.commit_page(commit).await });
    tokio::time::sleep(Duration::from_millis(100)).await;
    // Minutes go by, to the program's timers.
    let minutes_go_by = async || {
        tokio::time::pause();
        tokio::time::advance(Duration::from_secs(181)).await;
        tokio::time::resume();
        tokio::time::sleep(Duration::from_millis(400)).await;
    };
    minutes_go_by().await;
    assert_eq!(proxy.connections(), known + 1, "another connection");
    minutes_go_by().await;
    assert_eq!(proxy.connections(), known + 2, "and another one");
    proxy.open();
    let written = tokio::time::timeout(Duration::from_secs(10), writing).await;
    let written = written.expect("it goes on").expect("without a panic").expect("it is made");
    assert_eq!(written.inserted, 5);
    assert_eq!(bench.sees("select pages, rows_read from sync_runs").await, ["2|10"]);
}

/// Waits until a session of somebody else waits for a lock.
async fn somebody_waits(bench: &Bench) {
    let (mine, waits) = match *ENGINE {
        Engine::Postgres => ("datname = current_database()", "wait_event_type = 'Lock'"),
        Engine::Mysql => (
            "db = database() and id <> connection_id()",
            "(state like '%lock%' or (command in ('Execute', 'Query') and time >= 1))",
        ),
        _ => (
            "db = database() and id <> connection_id()",
            "(state like '%lock%' or (command in ('Execute', 'Query') and time_ms > 150))",
        ),
    };
    let waiting = format!("select count(*) from {} where {mine} and {waits}", ENGINE.sessions());
    let looking = bench.other().await;
    for _ in 0..300 {
        if looking.number(&waiting).await > 0 {
            return looking.close().await;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("nobody waits for a lock");
}

/// D-06. Two transactions want what the other one has: whichever the server picks to fail, ours is made in the end,
/// and once.
#[tokio::test(flavor = "multi_thread")]
async fn a_deadlock_is_got_over() {
    for ours_is_to_fail in [true, false] {
        let bench = Bench::new().await;
        bench.write(tags(1..=5)).await;
        bench.other_does("create table scratch (id bigint primary key)").await;
        let other = bench.other().await;
        other.execute("begin").await;
        if ours_is_to_fail && *ENGINE != Engine::Postgres {
            // The one that has changed less is the one that fails.
            let many: Vec<String> = (1..=3_000).map(|id| format!("({id})")).collect();
            other.execute(&format!("insert into scratch values {}", many.join(","))).await;
        }
        other.execute("select object from sync_state where object = 'tags' for update").await;
        let others = async {
            somebody_waits(&bench).await;
            if !ours_is_to_fail && *ENGINE == Engine::Postgres {
                // The one whose second of waiting ends while both wait is the one that fails.
                tokio::time::sleep(Duration::from_millis(1_200)).await;
            }
            let taken = other.try_execute("select epoch from sync_lease where id = 1 for update").await;
            other.execute("rollback").await;
            taken
        };
        let (written, taken) = tokio::join!(bench.write(tags(4..=60)), others);
        assert_eq!(taken.is_ok(), ours_is_to_fail, "{taken:?}");
        assert_eq!((written.inserted, written.updated), (55, 0));
        assert_eq!(bench.sees("select \"rows\" from sync_state").await, ["60"]);
        assert_eq!(bench.sees("select pages, rows_read, rows_inserted from sync_runs").await, ["2|62|60"]);
    }
}

/// D-05. A row or a whole table that somebody else has locked is waited for.
#[tokio::test(flavor = "multi_thread")]
async fn a_lock_of_somebody_else_is_waited_for() {
    let table = match *ENGINE {
        Engine::Postgres => ("begin; lock table tags in access exclusive mode", "commit"),
        _ => ("lock tables tags write", "unlock tables"),
    };
    let row = ("begin; select id from tags where id = 3 for update", "commit");
    let bench = Bench::new().await;
    bench.write(tags(1..=5)).await;
    for (step, (lock, unlock)) in [row, table].into_iter().enumerate() {
        let other = bench.other().await;
        other.execute(lock).await;
        let since = Instant::now();
        let unlocking = async {
            tokio::time::sleep(Duration::from_secs(2)).await;
            other.execute(unlock).await;
        };
        let changed = vec![bench::tag(3, text(&format!("name {step}")))];
        let (written, ()) = tokio::join!(bench.write(changed), unlocking);
        assert_eq!(written.updated, 1);
        assert!(since.elapsed() >= Duration::from_secs(2), "it was not waited for");
        other.close().await;
    }
    assert_eq!(bench.sees("select pages, rows_read, rows_updated from sync_runs").await, ["3|7|2"]);
}

/// D-03. An administrator ends our session: between two commits, and within one.
#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_is_ended_by_the_administrator_is_replaced() {
    let bench = Bench::new().await;
    let admin = bench.other().await;
    for round in 0..3 {
        bench.write(tags(round * 10 + 1..=round * 10 + 10)).await;
        assert!(admin.cut_the_program().await > 0, "our session was there");
    }
    admin.execute("begin; select object from sync_state where object = 'tags' for update").await;
    let ending = async {
        somebody_waits(&bench).await;
        assert!(admin.cut_the_program().await > 0, "our session was there");
        admin.execute("commit").await;
    };
    let (written, ()) = tokio::join!(bench.write(tags(21..=50)), ending);
    assert_eq!(written.inserted, 20);
    assert_eq!(bench.sees("select \"rows\" from sync_state").await, ["50"]);
    assert_eq!(bench.sees("select pages, rows_read, rows_inserted from sync_runs").await, ["4|60|50"]);
}

/// M30, M31. The server is not there when nobody waits for the commit any more: it is made nevertheless, or not,
/// and the next one is stored.
#[tokio::test(flavor = "multi_thread")]
async fn a_commit_that_nobody_waits_for_survives_a_cut() {
    let (bench, proxy) = Bench::behind_a_proxy().await;
    let proxy: &Proxy = &proxy;
    let mut chance = fastrand::Rng::with_seed(31);
    for step in 0..30_i64 {
        proxy.cut_the_next_commits(&[*chance
            .choice(&[Cut::Before, Cut::Answered, Cut::Unanswered])
            .expect("one")]);
        let first = step * 20 + 1;
        let commit = bench.commit(&TAGS, tags(first..first + 20), more(1));
        let waited = Duration::from_micros(chance.u64(..15_000));
        let _ = tokio::time::timeout(waited, bench.store.commit_page(commit)).await;
        bench.store.renew_lease().await.expect("the store is in order");
    }
    bench.write(tags(1..=620)).await;
    // A commit begun is made, whoever waits: all pages but those that were given up before their turn.
    let pages = bench.sees("select pages, rows_read - 620 from sync_runs").await;
    let numbers: Vec<i64> = pages[0].split('|').map(|number| number.parse().expect("a number")).collect();
    assert_eq!(numbers[1], (numbers[0] - 1) * 20, "each was counted once");
    assert_eq!(bench.sees("select \"rows\" from sync_state").await, ["620"]);
}

/// D-02, D-03. Over many runs a service has one connection, and another one when that is lost.
#[tokio::test(flavor = "multi_thread")]
async fn a_service_has_one_connection_however_long_it_runs() {
    let (sim, serving) = kit(few()).await;
    let mut mirror = Mirror::new().await;
    let proxy = mirror.behind_a_proxy();
    let binary = Binary::of(&mirror, &serving, Api::V4).set("KITMIRROR_SCHEDULE", "* * * * * *");
    let mut running = binary.set("KITMIRROR_LISTEN", "off").start(&["run"]);
    let until_run = async |nth: usize| {
        while sim.requests().iter().filter(|one| one.path == "/v4/subscribers").count() < 2 * nth {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    until_run(6).await;
    // One to see whether there are tables, and one since then.
    let before = proxy.connections();
    assert!(before <= 2, "{before}");
    proxy.close();
    tokio::time::sleep(Duration::from_millis(500)).await;
    proxy.open();
    running.has_said("The database works again").await;
    until_run(10).await;
    assert_eq!(proxy.connections(), before + 1);
    running.stop("TERM").await.ended_with(0);
    Judge::compare(&mirror, &sim, Api::V4, Strictness::Equal).await.agrees();
}
