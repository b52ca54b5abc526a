//! Behaviour of kitmirror against the simulated Kit, judged by the simulator's journal of truth.

mod cli;
mod faults;
mod fixtures;
mod full_load;
mod incremental;
mod payloads;
mod store;
mod support;
