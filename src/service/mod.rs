//! The service, and what every command that talks to both Kit and the database needs: a session, which puts client,
//! store and lease together.
//!
//! | | |
//! |---|---|
//! | `session` | credential, database, account and lease, opened and closed in good order |
//! | `supervisor` | the service from start to stop; `remedy` is what it makes of errors |
//! | `term` | as long as the lease is ours: runs beside each other, the heartbeat, the hourly check; `results` is what runs leave to be done |
//! | `ticks`, `schedule`, `roster` | when to look; what has come; who is due, who is busy, what may begin |
//! | `standby` | waiting for the lease |
//! | `pulse` | what it is doing, for whoever asks |
//! | `http`, `metrics` | the service seen from outside |
//! | `watchdog` | says so when a run does not come on |
//! | `purge` | what was gone for long enough |

mod existing;
pub mod http;
mod metrics;
mod panics;
mod pulse;
mod purge;
mod remedy;
mod results;
mod roster;
mod schedule;
mod session;
mod standby;
mod supervisor;
mod term;
mod ticks;
mod watchdog;

pub use existing::{existing, mirror};
pub use metrics::Metrics;
pub use panics::{end_the_process as end_the_process_on_a_panic, place as place_of_a_panic};
pub use pulse::{Beat, Phase, Pulse, Timetable};
pub use session::{Session, attach_limiter, client, place, refuse_other_account, v3_lists_show_everybody};
pub use standby::stand_by;
pub use supervisor::{ReadSettings, Service};
