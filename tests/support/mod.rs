//! What the tests share: a mirror in a folder of its own, and the judge that holds it against the
//! simulator's journal of truth.

pub mod binary;
pub mod judge;
pub mod mirror;
pub mod scene;
pub mod tls;

pub use binary::Binary;
pub use judge::Judge;
pub use mirror::{Api, Mirror};
pub use scene::Scene;

use kitmirror::simulator::{AccountPlan, Serving, Simulator};

/// A simulator that answers as fast as it can, and where it listens.
pub async fn kit(plan: AccountPlan) -> (Simulator, Serving) {
    let kit = Simulator::new(plan);
    kit.set_limit(None);
    let serving = kit.serve_locally().await.expect("a free port on loopback");
    (kit, serving)
}
