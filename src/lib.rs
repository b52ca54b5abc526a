//! kitmirror.

pub mod cli;
pub mod config;
pub mod error;
pub mod kit;
pub mod model;
pub mod output;
pub mod replication;
pub mod service;
pub mod simulator;
pub mod store;
pub mod telemetry;
