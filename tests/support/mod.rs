//! What the tests share: a mirror in a folder or a database of its own, and the judge that holds it against the
//! simulator's journal of truth.

pub mod bench;
pub mod binary;
pub mod database;
pub mod engine;
pub mod faults;
pub mod judge;
pub mod mirror;
#[cfg_attr(not(feature = "chaos"), expect(dead_code, reason = "simulated days need all of it"))]
pub mod oracle;
pub mod project;
pub mod proxy;
pub mod scene;
pub mod server;
pub mod tls;
pub mod watch;

pub use bench::Bench;
pub use binary::Binary;
pub use database::Database;
pub use engine::Engine;
pub use judge::Judge;
pub use mirror::{Api, Mirror};
pub use scene::Scene;
pub use watch::Watch;

use crate::ENGINE;
use kitmirror::simulator::{AccountPlan, Serving, Simulator};
use std::time::Duration;

/// Other chances in each round of the long programme.
pub fn round() -> u64 {
    std::env::var("KITMIRROR_TEST_SEED").map_or(0, |text| text.parse().expect("a number"))
}

/// Which third a server gets of what is about Kit and not about the database. SQLite gets everything, and in the long
/// programme everybody does.
fn third() -> Option<usize> {
    let third = match *ENGINE {
        Engine::Sqlite => return None,
        Engine::Postgres => 0,
        Engine::Mariadb => 1,
        Engine::Mysql => 2,
    };
    std::env::var_os("KITMIRROR_TEST_ALL").is_none().then_some(third)
}

/// Variants of what Kit might answer, as far as they are this engine's: all servers together have all of them.
pub fn shared<T>(all: impl IntoIterator<Item = T>) -> impl Iterator<Item = T> {
    let (first, step) = third().map_or((0, 1), |third| (third, 3));
    let all: Vec<T> = all.into_iter().collect();
    assert!(all.len() >= 3, "some server would get none of {}", all.len());
    all.into_iter().skip(first).step_by(step)
}

/// The same of the versions of the API: a server gets one of them.
pub fn versions() -> impl Iterator<Item = Api> {
    let here: &[Api] = match third() {
        None => &Api::VERSIONS,
        Some(1) => &[Api::V3],
        Some(_) => &[Api::V4],
    };
    here.iter().copied()
}

/// A simulator that answers as fast as it can, and where it listens.
pub async fn kit(plan: AccountPlan) -> (Simulator, Serving) {
    let kit = Simulator::new(plan);
    kit.set_limit(None);
    let serving = kit.serve_locally().await.expect("a free port on loopback");
    (kit, serving)
}

/// Waits until somebody has asked for a path.
pub async fn asked(sim: &Simulator, path: &str) {
    for _ in 0..2_000 {
        if sim.requests().iter().any(|one| one.path == path) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("nobody asked for {path}");
}

/// Waits until nobody has asked for anything for a moment: what has been read is written by then.
pub async fn at_rest(sim: &Simulator) {
    let mut before = u64::MAX;
    for _ in 0..100 {
        let now = sim.request_count();
        if now == before {
            return;
        }
        before = now;
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    panic!("there is no rest");
}
