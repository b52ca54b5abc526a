//! The suite on MySQL, and what only a server can do to the program.

#[path = "suite/outages.rs"]
mod outages;
#[path = "suite/server.rs"]
mod server;
mod suite;
#[expect(dead_code, reason = "a target uses what its engine needs")]
mod support;

/// Where the mirrors of this target live.
const ENGINE: support::Engine = support::Engine::Mysql;
