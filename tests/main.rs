//! The tests that see the program from outside, in one target, so that it is compiled once for all engines: each run of
//! it is of one engine, which `KITMIRROR_TEST_ENGINE` names. `tests/run` makes a run for each; see `tests/README.md`.

mod on_files;
mod on_servers;
mod once;
mod suite;
mod support;

use std::sync::LazyLock;
use support::Engine;

/// Where the mirrors of this run live: SQLite, unless told otherwise.
static ENGINE: LazyLock<Engine> = LazyLock::new(|| match std::env::var("KITMIRROR_TEST_ENGINE").as_deref() {
    Err(_) | Ok("sqlite") => Engine::Sqlite,
    Ok("postgres") => Engine::Postgres,
    Ok("mariadb") => Engine::Mariadb,
    Ok("mysql") => Engine::Mysql,
    Ok(other) => panic!("KITMIRROR_TEST_ENGINE is {other:?}, not sqlite, postgres, mariadb or mysql"),
});
