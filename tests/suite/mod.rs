//! What every engine must do. A target per engine includes this suite; [`crate::ENGINE`] says which one its
//! mirrors live on.

mod api_modes;
mod database;
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
