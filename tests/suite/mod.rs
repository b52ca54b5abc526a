//! What every engine must do. [`crate::ENGINE`] says on which one the mirrors live.

mod api_modes;
mod database;
#[cfg(feature = "chaos")]
mod failpoints;
mod faults;
mod forget;
mod full_load;
mod incremental;
mod pagination;
mod payloads;
mod program;
pub mod queries;
mod quiet;
mod reconcile;
mod regressions;
mod resume;
mod service;
mod soak;
mod store;
mod verify;
mod watching;
