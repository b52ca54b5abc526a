//! The suite on SQLite, and what only a database in a file can meet.

#[path = "suite/file.rs"]
mod file;
mod suite;
#[expect(dead_code, reason = "a target uses what its engine needs")]
mod support;

/// Where the mirrors of this target live.
const ENGINE: support::Engine = support::Engine::Sqlite;
