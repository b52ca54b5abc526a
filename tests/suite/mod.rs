//! What every engine must do. A target per engine includes this suite; [`crate::ENGINE`] says which one its
//! mirrors live on.

mod api_modes;
mod database;
mod faults;
mod full_load;
mod incremental;
mod pagination;
mod payloads;
mod program;
mod queries;
mod regressions;
mod resume;
mod store;
mod watching;
