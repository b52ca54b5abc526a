//! Behaviour of kitmirror against the simulated Kit, judged by the simulator's journal of truth.

mod full_load;
mod support;
