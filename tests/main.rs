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
static ENGINE: LazyLock<Engine> = LazyLock::new(|| {
    let named = std::env::var("KITMIRROR_TEST_ENGINE").unwrap_or_else(|_| "sqlite".to_owned());
    let engine = Engine::ALL.into_iter().find(|engine| engine.name() == named);
    engine.unwrap_or_else(|| {
        panic!("KITMIRROR_TEST_ENGINE is {named:?}, not sqlite, postgres, mariadb or mysql")
    })
});
