//! Servers that are set otherwise than expected, and one that for a while only lets itself be read.

use crate::ENGINE;
use crate::support::bench::tags;
use crate::support::judge::{Judge, Strictness};
use crate::support::scene::few;
use crate::support::server::{ROLE, SCHEMA};
use crate::support::{Api, Bench, Binary, Database, Engine, Mirror, kit};
use std::pin::pin;
use std::time::Duration;

/// D-09. The server has become a replica: what is under way waits, on one connection after the other, until there is one
/// that takes it; then it is made, and once.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_only_lets_itself_be_read_is_waited_for() {
    let bench = Bench::new().await;
    bench.write(tags(1..=10)).await;
    // Each statement that a replica would refuse is refused with its very code.
    let (refuse, accept) = match *ENGINE {
        Engine::Postgres => (
            "create function replica() returns trigger language plpgsql as $$ begin \
             raise exception 'cannot execute UPDATE in a read-only transaction' using errcode = '25006'; end $$; \
             create trigger replica before update on sync_lease for each row execute function replica()",
            "drop trigger replica on sync_lease; drop function replica()",
        ),
        _ => (
            "create trigger replica before update on sync_lease for each row signal sqlstate 'HY000' \
             set mysql_errno = 1290, message_text = 'The server is running with --read-only'",
            "drop trigger replica",
        ),
    };
    bench.other_does(refuse).await;
    let mut writing = pin!(bench.write(tags(11..=20)));
    // However long it is given, it cannot be made yet.
    assert!(tokio::time::timeout(Duration::from_millis(700), &mut writing).await.is_err());
    assert_eq!(bench.sees("select count(*) from tags").await, ["10"]);
    bench.other_does(accept).await;
    assert_eq!(writing.await.inserted, 10);
    assert_eq!(bench.sees("select count(*) from tags").await, ["20"]);
    assert_eq!(bench.sees("select pages, rows_read from sync_runs").await, ["2|20"]);
}

/// PostgreSQL tells before it is tried that a user may not make the tables, and so does `check`.
#[tokio::test(flavor = "multi_thread")]
async fn check_tells_that_the_tables_cannot_be_made() {
    if *ENGINE != Engine::Postgres {
        return;
    }
    let (_sim, serving) = kit(few()).await;
    let mirror = Mirror::new().await;
    let server = mirror.database().await;
    let known = server.texts("select current_database()").await.remove(0);
    // One of its own: other tests go on with the mirror's.
    let barred = format!("{known}_barred");
    server.execute(&format!("create database {barred}")).await;
    server.execute(&format!("grant connect on database {barred} to {ROLE}")).await;
    let url = mirror.url().replace(&format!("/{known}"), &format!("/{barred}"));
    let binary = Binary::of(&mirror, &serving, Api::V4).set("KITMIRROR_DATABASE_URL", &url);
    let ran = binary.run(&["check"]).await;
    let told = ran.ended_with(3).output();
    assert!(told.contains("may not create the schema") && told.contains("README"), "{told}");
    binary.run(&["sync"]).await.ended_with(3).says(&["could not create the schema"]);
    server.execute(&format!("grant create on database {barred} to {ROLE}")).await;
    binary.run(&["check"]).await.ended_with(0);
    server.execute(&format!("drop database {barred} with (force)")).await;
    server.close().await;
}

/// D-12, D-13. A database of another encoding: where tables can say how they are written, every letter is kept; where they
/// cannot, it is told, and nothing is made.
#[tokio::test(flavor = "multi_thread")]
async fn a_database_of_another_encoding_loses_no_letter() {
    let (sim, serving) = kit(few()).await;
    let name = "Zoë 🎉 שלום";
    sim.change(|account| account.create_tag(name));
    let mirror = Mirror::new().await;
    let server = mirror.database().await;
    let binary = Binary::of(&mirror, &serving, Api::V4);
    if *ENGINE == Engine::Postgres {
        let known = server.texts("select current_database()").await.remove(0);
        let bytes = format!("{known}_bytes");
        let encoding = "template template0 encoding 'SQL_ASCII' locale 'C'";
        server.execute(&format!("create database {bytes} {encoding}")).await;
        server.execute(&format!("grant connect, create on database {bytes} to {ROLE}")).await;
        let url = mirror.url().replace(&format!("/{known}"), &format!("/{bytes}"));
        let ran = binary.set("KITMIRROR_DATABASE_URL", &url).run(&["sync"]).await;
        let database = Database::connect(*ENGINE, &url, SCHEMA).await.expect("the role may connect");
        let made = database.relations().await;
        database.close().await;
        server.execute(&format!("drop database {bytes} with (force)")).await;
        ran.ended_with(3).says(&["SQL_ASCII", "encoding 'UTF8'"]).tells_one_error();
        assert!(made.is_empty(), "{made:?}");
    } else {
        let encoding = "select default_character_set_name from information_schema.schemata where schema_name = database()";
        assert_eq!(server.texts(encoding).await, ["latin1"]);
        binary.run(&["sync"]).await.ended_with(0);
        binary.run(&["sync", "--full"]).await.ended_with(0);
        let found = mirror.texts("select name from tags").await;
        assert!(found.iter().any(|found| found == name), "{found:?}");
    }
    server.close().await;
}

/// D-12, D-13, M24. Whatever else the server is set to for everybody: another schema, zone and way to write dates, quotes
/// that mean something else, lenience. Sessions of kitmirror are set by kitmirror.
#[tokio::test(flavor = "multi_thread")]
async fn settings_of_the_server_make_no_difference() {
    for api in Api::VERSIONS {
        let (sim, serving) = kit(few().nasty()).await;
        let mirror = Mirror::new().await;
        let server = mirror.database().await;
        let back = match *ENGINE {
            Engine::Postgres => {
                let name = server.texts("select current_database()").await.remove(0);
                for setting in [
                    "search_path = pg_catalog, public",
                    "timezone = 'America/New_York'",
                    "datestyle = 'SQL, DMY'",
                    "intervalstyle = sql_standard",
                    "standard_conforming_strings = off",
                    "default_transaction_isolation = serializable",
                    "default_transaction_read_only = on",
                    "extra_float_digits = -15",
                    "client_min_messages = debug1",
                    "bytea_output = 'escape'",
                    "statement_timeout = 20000",
                ] {
                    server.execute(&format!("alter database {name} set {setting}")).await;
                }
                format!("alter database {name} reset all")
            }
            _ => {
                let modes = server.texts("select @@global.sql_mode").await.remove(0);
                let zone = server.texts("select @@global.time_zone").await.remove(0);
                server.execute("set global sql_mode = '', global time_zone = '-05:00'").await;
                format!("set global sql_mode = '{modes}', global time_zone = '{zone}'")
            }
        };
        let binary = Binary::of(&mirror, &serving, api);
        let both =
            tokio::spawn(async move { [binary.run(&["sync"]).await, binary.run(&["sync", "--full"]).await] });
        let ran = both.await;
        // Whatever came of it: others are on this server as well.
        server.execute(&back).await;
        server.close().await;
        let ran = ran.expect("both end");
        let aside = mirror.number("select count(*) from sync_quarantine").await;
        for ran in ran {
            assert!(ran.code == 0 || (ran.code == 5 && aside > 0), "{}", ran.stderr);
        }
        Judge::compare(&mirror, &sim, api, Strictness::Equal).await.agrees();
    }
}
