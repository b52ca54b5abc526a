//! What lets the tests stop the world: places at which a process can be made to die or a line to break, bugs that can
//! be planted, and a day that passes in milliseconds.
//!
//! All of it exists only with the cargo feature `chaos`, which no release can contain: with it, a build without debug
//! assertions does not compile. Without it every function here is an empty one that the compiler removes.
//!
//! * **Places** ([`Failpoint`]) are where the code calls `reach` or `breaks`. In a real process the environment
//!   variable `CHAOS_FAILPOINT` names one (`watermark-written`, or `watermark-written@3` for the third time it is
//!   reached), and the process aborts there. In a simulation an `Order` is asked for instead.
//! * **Bugs** ([`Bug`]) are mistakes of the kind that replicators make. Each can be made to be there, by
//!   `CHAOS_PLANTED` or in a simulation; a suite that does not notice is no proof.
//! * **Haste**: with `CHAOS_HASTE=30` a process waits a thirtieth of the time for locks and for a busy database.
//! * **Simulation** (`simulate`): everything runs on one thread, the clock is tokio's paused one, and the database is
//!   waited for in place, so that a seed always takes the same way.

mod bugs;
mod failpoints;

pub use bugs::Bug;
pub use failpoints::Failpoint;

#[cfg(feature = "chaos")]
mod armed;
#[cfg(feature = "chaos")]
pub use armed::{Days, Order, simulate};
#[cfg(feature = "chaos")]
pub(crate) use armed::{breaks, few, hasty, in_place, now, planted, reach, reach_with};

#[cfg(not(feature = "chaos"))]
mod disarmed;
#[cfg(not(feature = "chaos"))]
pub(crate) use disarmed::{breaks, few, hasty, in_place, now, planted, reach, reach_with};

#[cfg(all(feature = "chaos", not(debug_assertions)))]
compile_error!(
    "the feature `chaos` plants bugs and failpoints: it is for tests, and no release may contain it"
);
