//! The program on the engine: what it refuses to touch, what it says about it, and how several of it get along.

use crate::ENGINE;
use crate::support::binary::listing;
use crate::support::judge::{Judge, Strictness};
use crate::support::scene::{few, people};
use crate::support::server::{PLAIN_ROLE, ROLE, let_plain_role_in};
use crate::support::{Api, Binary, Engine, Mirror, asked, at_rest, kit};
use futures_util::future::join_all;
use kitmirror::model::objects;
use kitmirror::simulator::{Action, Blank, Fault, RetryHint};
use std::time::Duration;

/// A-06, M26. The mirror of one account does not take in another.
#[tokio::test(flavor = "multi_thread")]
async fn a_mirror_of_another_account_is_left_alone() {
    for api in Api::VERSIONS {
        let (_sim, serving) = kit(few()).await;
        let (_other, elsewhere) = kit(few().of_account(78, "Somebody Else")).await;
        let mirror = Mirror::new().await;
        mirror.sync(&serving, api).await;
        let before = mirror.contents().await;
        let ran = Binary::of(&mirror, &elsewhere, api).run(&["sync", "--full"]).await;
        ran.ended_with(2).says(&["Alder & Finch Letters", "Somebody Else", "database_url"]);
        ran.tells_one_error();
        assert_eq!(mirror.contents().await, before);
    }
}

/// V-06. Who may not create tables has them made by hand, from what `schema` prints.
#[tokio::test(flavor = "multi_thread")]
async fn tables_made_by_hand_from_what_is_printed_are_used_as_they_are() {
    let (_sim, serving) = kit(few()).await;
    let mirror = Mirror::new().await;
    let dialect = match *ENGINE {
        Engine::Sqlite => "sqlite",
        Engine::Postgres => "postgres",
        Engine::Mysql | Engine::Mariadb => "mysql",
    };
    let printed = Binary::bare(mirror.folder()).run(&["schema", "--dialect", dialect]).await;
    printed.ended_with(0);
    let administrator = match *ENGINE {
        Engine::Sqlite => mirror.made_by_its_role().await,
        _ => mirror.database().await,
    };
    if *ENGINE == Engine::Postgres {
        administrator.execute("create schema kit").await;
    }
    administrator.execute(&printed.stdout).await;
    let (_, name) = mirror.url().rsplit_once('/').map(|(a, b)| (a.to_owned(), b.to_owned())).expect("a name");
    let name = name.split('?').next().unwrap_or_default();
    if *ENGINE != Engine::Sqlite {
        let_plain_role_in(*ENGINE, &administrator, name).await;
    }
    administrator.close().await;

    let url = mirror.url().replace(ROLE, PLAIN_ROLE);
    let binary = Binary::of(&mirror, &serving, Api::V4).set("KITMIRROR_DATABASE_URL", url);
    let migrated = binary.run(&["migrate", "--json"]).await;
    migrated.ended_with(0);
    assert_eq!(migrated.json()["applied"], serde_json::json!([]));
    binary.run(&["schema", "--check"]).await.ended_with(0);
    binary.run(&["check"]).await.ended_with(0);
    binary.run(&["sync"]).await.ended_with(0);
    binary.run(&["status"]).await.ended_with(0);
}

/// V-03. A database that a newer kitmirror has migrated.
#[tokio::test(flavor = "multi_thread")]
async fn a_newer_schema_is_left_alone() {
    let (_sim, serving) = kit(few()).await;
    let mirror = Mirror::new().await;
    mirror.sync(&serving, Api::V4).await;
    let newer = "insert into refinery_schema_history (version, name, applied_on, checksum) \
                 values (999, 'wonders', '2031-01-01T00:00:00Z', '1')";
    mirror.execute(newer).await;
    let before = mirror.contents().await;
    let binary = Binary::of(&mirror, &serving, Api::V4);
    for command in [&["sync"][..], &["migrate"], &["status"], &["schema", "--check"]] {
        let ran = binary.run(command).await;
        ran.ended_with(4).says(&["999", "newer kitmirror", "left untouched"]);
        ran.tells_one_error();
    }
    assert_eq!(mirror.contents().await, before);
}

/// V-05. Somebody else's table of one of our names: refused, and nothing is changed; not one byte of a file.
#[tokio::test(flavor = "multi_thread")]
async fn a_foreign_table_of_our_name_is_left_alone() {
    let (_sim, serving) = kit(few()).await;
    let mirror = Mirror::new().await;
    // By the same role, so that it is not its rights that keep the program from it.
    let same_role = mirror.made_by_its_role().await;
    same_role.execute("create table tags (name text); insert into tags values ('mine')").await;
    same_role.close().await;
    let before = (mirror.contents().await, std::fs::read(mirror.file()).ok());
    assert_eq!(before.1.is_some(), *ENGINE == Engine::Sqlite);
    let binary = Binary::of(&mirror, &serving, Api::V4);
    let ran = binary.run(&["sync"]).await;
    ran.ended_with(4).says(&["already a table \"tags\"", "left untouched"]);
    ran.tells_one_error();
    binary.run(&["migrate"]).await.ended_with(4);
    assert_eq!(mirror.texts("select name from tags").await, ["mine"]);
    assert_eq!(mirror.relations().await, ["tags"]);
    assert!((mirror.contents().await, std::fs::read(mirror.file()).ok()) == before, "something was changed");
}

/// D-10. What somebody changed in our tables is named, by `sync` and by `schema --check`.
#[tokio::test(flavor = "multi_thread")]
async fn a_changed_table_is_named() {
    // Servers do not drop a table that views show.
    let gone = match *ENGINE {
        Engine::Sqlite => ("drop table tags", "tags: the table is missing"),
        _ => ("drop view subscriber_tags", "subscriber_tags: the view is missing"),
    };
    let changes = [
        ("alter table tags rename column name to title", "tags.name: is missing"),
        ("alter table forms drop column uid", "forms.uid: is missing"),
        ("drop view cancelled_subscribers", "cancelled_subscribers: the view is missing"),
        gone,
        (
            "alter table forms add column mine integer not null default 0",
            "forms.mine: was added and must not be null",
        ),
    ];
    for (change, named) in changes {
        let (_sim, serving) = kit(few()).await;
        let mirror = Mirror::new().await;
        let binary = Binary::of(&mirror, &serving, Api::V4);
        binary.run(&["migrate"]).await.ended_with(0);
        binary.run(&["schema", "--check"]).await.ended_with(0);
        // SQLite keeps a column that a view names from being renamed.
        let pragma = if *ENGINE == Engine::Sqlite { "pragma legacy_alter_table = on;" } else { "" };
        mirror.execute(&format!("{pragma} {change}")).await;
        let ran = binary.run(&["sync"]).await;
        ran.ended_with(4).says(&[named, "schema --check"]);
        ran.tells_one_error();
        let ran = binary.run(&["schema", "--check"]).await;
        ran.ended_with(4);
        assert!(ran.stdout.contains(named), "{}", ran.stdout);
        let differences = binary.run(&["schema", "--check", "--json"]).await;
        assert!(differences.json().as_array().is_some_and(|all| !all.is_empty()));
    }
}

/// D-10. What a mirror can do without does not stop it, and is named by `schema --check`.
#[tokio::test(flavor = "multi_thread")]
async fn a_missing_index_and_a_view_of_somebody_else_are_named_and_stop_nothing() {
    let (_sim, serving) = kit(few()).await;
    let mirror = Mirror::new().await;
    let binary = Binary::of(&mirror, &serving, Api::V4);
    binary.run(&["sync"]).await.ended_with(0);
    let of_table = if matches!(*ENGINE, Engine::Mysql | Engine::Mariadb) { "on subscribers" } else { "" };
    mirror
        .execute(&format!(
            "drop index subscribers_state {of_table}; drop view subscriber_tags; \
             create view subscriber_tags as select tag_id from tag_subscriptions"
        ))
        .await;
    let ran = binary.run(&["schema", "--check"]).await;
    ran.ended_with(4);
    for named in [
        "subscribers: the index subscribers_state is missing: create index",
        "subscriber_tags.tag_name: is missing",
    ] {
        assert!(ran.stdout.contains(named), "{}", ran.stdout);
    }
    binary.run(&["sync"]).await.ended_with(0);
}

/// A mirror that is not there yet is not made by looking at it.
#[tokio::test(flavor = "multi_thread")]
async fn looking_at_a_mirror_that_is_not_there_makes_none() {
    let mirror = Mirror::new().await;
    let binary = Binary::at(&mirror);
    for command in [&["status"][..], &["status", "--json"], &["schema", "--check"]] {
        let ran = binary.run(command).await;
        ran.ended_with(3).says(&["there is no mirror yet", "kitmirror sync"]);
        ran.tells_one_error();
    }
    assert_eq!(listing(mirror.folder()), []);
    assert!(mirror.relations().await.is_empty());
}

/// What scripts read: the report of a run, and the state of a mirror.
#[tokio::test(flavor = "multi_thread")]
async fn sync_and_status_speak_json() {
    for api in Api::VERSIONS {
        let (_sim, serving) = kit(few()).await;
        let mirror = Mirror::new().await;
        let binary = Binary::of(&mirror, &serving, api);
        let report = binary.run(&["sync", "--json"]).await;
        let report = report.ended_with(0).json();
        assert_eq!((&report["complete"], &report["error"]), (&true.into(), &serde_json::Value::Null));
        let runs = report["objects"].as_array().expect("a list");
        assert_eq!(runs.len(), 9, "the tenth is a view");
        let fields = [
            "object",
            "mode",
            "outcome",
            "requests",
            "retries",
            "pages",
            "rows_read",
            "rows_inserted",
            "rows_updated",
            "rows_quarantined",
            "duration_ms",
            "error",
            "advice",
        ];
        for run in runs {
            assert!(fields.iter().all(|field| run.get(field).is_some()), "{run}");
            assert_eq!((&run["mode"], &run["outcome"]), (&"full".into(), &"complete".into()));
        }
        let sum: u64 = runs.iter().filter_map(|run| run["rows_inserted"].as_u64()).sum();
        assert_eq!(report["total"]["rows_inserted"], sum);

        let status = binary.run(&["status", "--json"]).await;
        let status = status.ended_with(0).json();
        let version = if api == Api::V3 { "v3" } else { "v4" };
        assert_eq!(
            (&status["account"], &status["api_version"]),
            (&"Alder & Finch Letters".into(), &version.into())
        );
        let shown = status["objects"].as_array().expect("a list");
        let names: Vec<&str> = shown.iter().filter_map(|one| one["object"].as_str()).collect();
        assert_eq!(names, objects::names());
        for one in shown {
            let rows = mirror
                .number(&format!("select count(*) from {}", one["object"].as_str().expect("a name")))
                .await;
            assert_eq!((&one["state"], &one["rows"]), (&"ok".into(), &rows.into()), "{one}");
            assert!(
                one["last_complete_at"].is_string()
                    && one["lag_seconds"].as_i64().is_some_and(|lag| lag < 60)
            );
        }
        binary.run(&["status"]).await.ended_with(0);
    }
}

/// C-01, C-02, D08. One writes, the other is told who does.
#[tokio::test(flavor = "multi_thread")]
async fn a_second_kitmirror_is_told_who_is_at_work() {
    let (sim, serving) = kit(few()).await;
    let stall = sim.faults().add(Fault::new(Action::StallBeforeHeaders).on("/v4/subscribers"));
    let mirror = Mirror::new().await;
    let binary = Binary::of(&mirror, &serving, Api::V4);
    let first = binary.start(&["sync"]);
    asked(&sim, "/v4/subscribers").await;
    // What the first asks for beside the list that stalls is its own business; whoever is new begins with the account.
    let starts = || sim.requests().iter().filter(|one| one.path == "/v4/account").count();
    let before = starts();
    let pid = format!("process {} on ", first.id());
    for command in [&["sync"][..], &["sync", "--full"]] {
        let ran = binary.run(command).await;
        ran.ended_with(75).says(&["another kitmirror", &pid, "Only one kitmirror writes"]);
        ran.tells_one_error();
    }
    assert_eq!(starts(), before, "nothing was asked for nothing");
    binary.run(&["status"]).await.ended_with(5);

    // Killed without warning, it leaves a lease that need not be waited for.
    first.kill().await;
    sim.faults().remove(stall);
    binary.run(&["sync"]).await.ended_with(0);
    Judge::compare(&mirror, &sim, Api::V4, Strictness::Equal).await.agrees();
}

/// C-03, M29. Paused, overtaken and woken: it writes nothing more, and what the other one did stands.
#[tokio::test(flavor = "multi_thread")]
async fn a_kitmirror_that_was_overtaken_while_it_slept_writes_nothing() {
    for api in Api::VERSIONS {
        let (sim, serving) = kit(few()).await;
        sim.faults().add(Fault::new(Action::Delay(Duration::from_secs(4))).on(people(api)).nth(1));
        let mirror = Mirror::new().await;
        let binary = Binary::of(&mirror, &serving, api);
        let first = binary.start(&["sync"]);
        asked(&sim, people(api)).await;
        // Not in the middle of a commit, which would lock a file until it wakes up.
        at_rest(&sim).await;
        first.signal("STOP");
        let long_ago = ENGINE.time("2001-01-01T00:00:00Z".parse().expect("a time"));
        mirror.execute(&format!("update sync_lease set expires_at = {long_ago}")).await;
        binary.run(&["sync"]).await.ended_with(0);
        let after = mirror.contents().await;
        first.signal("CONT");
        first.end().await.ended_with(75).says(&["another kitmirror has taken over"]);
        assert_eq!(mirror.contents().await, after);
        binary.run(&["status"]).await.ended_with(0);
        Judge::compare(&mirror, &sim, api, Strictness::Equal).await.agrees();
    }
}

/// K-03. Asked to stop in the middle of a request, while it waits for another try, and before it has
/// even begun: it ends within five seconds, says so by its code, and the next run makes up for it.
#[tokio::test(flavor = "multi_thread")]
async fn a_signal_ends_it_soon_and_nothing_is_lost() {
    let waits = [
        (Action::StallBeforeHeaders, false),
        (Action::StallBody { after: 10 }, false),
        (Action::TooMany(RetryHint::Seconds(600), Blank::Empty), false),
        (Action::Status(503, Blank::Empty), false),
        (Action::StallBeforeHeaders, true),
        (Action::TooMany(RetryHint::Seconds(60), Blank::Empty), true),
    ];
    let cases = Api::VERSIONS.into_iter().flat_map(|api| {
        waits.clone().into_iter().zip([("TERM", 143), ("INT", 130)].into_iter().cycle()).map(
            move |((action, at_first), (signal, code))| async move {
                let (sim, serving) = kit(few()).await;
                let mirror = Mirror::new().await;
                let binary = Binary::of(&mirror, &serving, api);
                let path = match (at_first, api) {
                    (false, _) => people(api),
                    (true, Api::V3) => "/v3/account",
                    (true, _) => "/v4/account",
                };
                let fault = sim.faults().add(Fault::new(action.clone()).on(path));
                let running = binary.start(&["sync"]);
                asked(&sim, path).await;
                tokio::time::sleep(Duration::from_millis(100)).await;
                running.signal(signal);
                let asked_at = std::time::Instant::now();
                let ran = running.end().await;
                ran.ended_with(code).says(&["Stopped before"]);
                assert!(asked_at.elapsed() < Duration::from_secs(5), "{action:?}: {:?}", asked_at.elapsed());
                sim.faults().remove(fault);
                binary.run(&["sync"]).await.ended_with(0);
                Judge::compare(&mirror, &sim, api, Strictness::Equal).await.agrees();
            },
        )
    });
    join_all(cases).await;
}
