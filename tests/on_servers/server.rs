//! What only a server can do to the program: be somewhere else, refuse it, or cut it off.

use crate::ENGINE;
use crate::support::judge::{Judge, Strictness};
use crate::support::scene::{few, people};
use crate::support::server::{PASSWORD, ROLE};
use crate::support::{Api, Binary, Engine, Mirror, asked, kit};
use kitmirror::simulator::{Action, Fault};
use std::time::Duration;

/// The maintenance database, in which the program's role has no rights but perhaps that to connect.
fn somewhere_else() -> &'static str {
    if *ENGINE == Engine::Postgres { "postgres" } else { "mysql" }
}

/// A server nobody answers for, a password that is wrong, a database that is not there or not ours to fill: one
/// error with advice, nothing asked of Kit that a good start would not ask, and the password in no output.
#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_cannot_be_used_is_told_without_its_password() {
    let (_sim, serving) = kit(few()).await;
    let closed =
        std::net::TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr()).expect("a port");
    let mirror = Mirror::new().await;
    let url = mirror.url();
    let (before, _) = url.rsplit_once('@').expect("a role in the URL");
    let (place, name) = url.rsplit_once('/').expect("a database in the URL");
    let cases = [
        ("nobody listens", format!("{before}@{closed}/{name}")),
        ("a wrong password", url.replace(PASSWORD, "wrong-c4nary")),
        ("a role that is not there", url.replace(ROLE, "nobody_we_know")),
        ("no such database", format!("{place}/km_not_there")),
        ("not ours", format!("{place}/{}", somewhere_else())),
    ];
    for (case, url) in cases {
        let binary = Binary::of(&mirror, &serving, Api::V4).set("KITMIRROR_DATABASE_URL", url);
        for command in [&["-vv", "sync"][..], &["migrate"], &["status"]] {
            let ran = binary.run(command).await;
            assert_eq!(ran.code, 3, "{case}, {command:?}: {}", ran.stderr);
            ran.says(&["error: "]);
            for secret in [PASSWORD, "wrong-c4nary"] {
                assert!(!ran.output().contains(secret), "{case}, {command:?}: {}", ran.output());
            }
            assert!(ran.took < Duration::from_secs(40), "{case}, {command:?}: {:?}", ran.took);
        }
    }
    assert!(mirror.relations().await.is_empty());
}

/// At the highest level of logging, in all the commands that open the database.
#[tokio::test(flavor = "multi_thread")]
async fn the_password_of_the_database_is_told_nowhere() {
    let (_sim, serving) = kit(few()).await;
    let mirror = Mirror::new().await;
    let binary = Binary::of(&mirror, &serving, Api::V4).set("RUST_LOG", "trace");
    for command in [
        &["-vv", "migrate"][..],
        &["-vv", "sync"],
        &["-vv", "status", "--json"],
        &["-vv", "config"],
        &["check"],
    ] {
        let ran = binary.run(command).await;
        ran.ended_with(0);
        assert!(!ran.output().contains(PASSWORD), "{command:?}: {}", ran.output());
    }
    assert!(!mirror.contents().await.concat().contains(PASSWORD));
}

/// An administrator, a restart or a proxy ends its sessions in the middle of a run: it tries again or fails as
/// documented, and the next run makes up for everything.
#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_is_cut_in_the_middle_of_a_run_costs_time_only() {
    for api in Api::VERSIONS {
        for nth in [1, 2, 3] {
            let (sim, serving) = kit(few()).await;
            sim.set_modes(|modes| modes.page_cap = Some(50));
            let slow = Fault::new(Action::Delay(Duration::from_millis(400))).on(people(api)).nth(nth);
            let fault = sim.faults().add(slow);
            let mirror = Mirror::new().await;
            let binary = Binary::of(&mirror, &serving, api);
            let running = binary.start(&["sync"]);
            asked(&sim, people(api)).await;
            let database = mirror.database().await;
            assert!(database.cut_the_program().await > 0, "nobody was connected");
            database.close().await;
            let ran = running.end().await;
            assert!([0, 3, 5].contains(&ran.code), "{api:?} {nth}: {} {}", ran.code, ran.stderr);
            sim.faults().remove(fault);
            binary.run(&["sync"]).await.ended_with(0);
            Judge::compare(&mirror, &sim, api, Strictness::Equal).await.agrees();
        }
    }
}

/// What an analyst does beside it, for hours if he likes: read all of one moment.
#[tokio::test(flavor = "multi_thread")]
async fn an_analyst_who_reads_all_day_holds_nobody_up() {
    let (sim, serving) = kit(few()).await;
    let mirror = Mirror::new().await;
    mirror.sync(&serving, Api::V4).await;
    let analyst = mirror.database().await;
    analyst.execute(ENGINE.begin_to_read()).await;
    let seen = analyst.number("select count(*) from subscribers").await;
    sim.change(|account| account.import_subscribers(30));
    mirror.sync(&serving, Api::V4).await;
    mirror.sync_full(&serving, Api::V4).await;
    assert_eq!(analyst.number("select count(*) from subscribers").await, seen);
    analyst.execute("commit").await;
    assert_eq!(analyst.number("select count(*) from subscribers").await, seen + 30);
    analyst.close().await;
    Judge::compare(&mirror, &sim, Api::V4, Strictness::Equal).await.agrees();
}
