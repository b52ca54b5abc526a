//! What every engine must do. [`crate::ENGINE`] says on which one the mirrors live.

mod api_modes;
mod confined;
mod database;
mod exact;
#[cfg(feature = "chaos")]
mod failpoints;
mod faults;
mod forget;
mod full_load;
mod hostile;
mod incremental;
mod one_second;
mod pagination;
mod payloads;
mod positions;
mod program;
pub mod queries;
mod quiet;
mod reconcile;
mod regressions;
mod resume;
mod separation;
mod service;
mod soak;
mod store;
mod upserts;
mod verify;
mod watching;
