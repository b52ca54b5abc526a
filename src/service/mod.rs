//! Puts client, store and lease together: what every command that talks to both Kit and the database
//! needs before its work and after it.

mod existing;
mod pulse;
mod purge;
mod session;

pub use existing::existing;
pub use pulse::{Beat, Phase, Pulse, Schedule};
pub use session::{Session, attach_limiter, client, place, refuse_other_account, v3_lists_show_everybody};
