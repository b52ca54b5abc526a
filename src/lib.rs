//! kitmirror.

pub mod config;
pub mod error;
pub mod kit;
pub mod model;
pub mod replication;
pub mod store;
pub mod telemetry;
