//! What is the same on every engine, tried on SQLite: the command line, the logs, the fixtures, and what is shipped beside
//! the program.

mod cli;
mod fixtures;
mod logs;
mod packaging;
#[expect(dead_code, unused_imports, reason = "a target uses what its engine needs")]
mod support;

/// Where the mirrors of this target live.
const ENGINE: support::Engine = support::Engine::Sqlite;
