//! Puts client, store and lease together: what every command that talks to both Kit and the database
//! needs before its work and after it. A service is seen from outside by its metrics and its status server.

mod existing;
pub mod http;
mod metrics;
mod pulse;
mod session;

pub use existing::existing;
pub use metrics::Metrics;
pub use pulse::{Beat, Phase, Pulse, Schedule};
pub use session::{Session, attach_limiter, client, place, refuse_other_account, v3_lists_show_everybody};
