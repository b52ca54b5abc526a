//! Behaviour of kitmirror against the simulated Kit, judged by the simulator's journal of truth.

mod api_modes;
mod cli;
mod faults;
mod fixtures;
mod full_load;
mod incremental;
mod pagination;
mod payloads;
mod regressions;
mod resume;
mod store;
mod support;
