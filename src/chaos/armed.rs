//! What the tests get.

use std::cell::RefCell;
use std::future::Future;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;
use std::time::{Duration, SystemTime};

use tokio::time::Instant;

use super::{Bug, Failpoint};

/// What is to happen at a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// Nothing.
    Go,
    /// It takes so long: only where no database is waited for in place.
    Wait(Duration),
    /// The process dies: whoever comes here never comes back.
    Die,
    /// The line to the database breaks, where there is one.
    Break,
}

/// The clock of a simulation: what it shows when the runtime's paused clock shows `since`.
#[derive(Debug, Clone, Copy)]
pub struct Days {
    /// What a clock on the wall shows.
    pub shown: SystemTime,
    /// What the runtime's clock shows at the same moment.
    pub since: Instant,
}

type Asked = Box<dyn FnMut(Failpoint) -> Order>;

struct Simulation {
    days: Days,
    ask: Asked,
    bug: Option<Bug>,
    dead: bool,
}

thread_local! {
    static SIMULATION: RefCell<Option<Simulation>> = const { RefCell::new(None) };
}

/// Runs `life` in a simulation, as long as it is polled on this thread: `ask` decides what happens at each place.
pub async fn simulate<T>(
    days: Days,
    bug: Option<Bug>,
    ask: impl FnMut(Failpoint) -> Order + 'static,
    life: impl Future<Output = T>,
) -> T {
    struct Ended;
    impl Drop for Ended {
        fn drop(&mut self) {
            SIMULATION.with_borrow_mut(Option::take);
        }
    }
    SIMULATION.set(Some(Simulation { days, ask: Box::new(ask), bug, dead: false }));
    let _ended = Ended;
    life.await
}

/// The process dies here, if it is to.
pub(crate) async fn reach(place: Failpoint) {
    reach_with(place, true).await;
}

/// The same where something may have been written or not: a process dies here only when something was.
pub(crate) async fn reach_with(place: Failpoint, something: bool) {
    match order(place, something) {
        Order::Go | Order::Break => {}
        Order::Wait(time) => tokio::time::sleep(time).await,
        Order::Die => std::future::pending().await,
    }
}

/// The line to the database breaks here, if it is to.
///
/// # Errors
/// A connection that was reset.
pub(crate) async fn breaks(place: Failpoint) -> io::Result<()> {
    match order(place, true) {
        Order::Go | Order::Wait(_) => Ok(()),
        Order::Die => std::future::pending().await,
        Order::Break => Err(io::ErrorKind::ConnectionReset.into()),
    }
}

fn order(place: Failpoint, counts: bool) -> Order {
    let simulated = SIMULATION.with_borrow_mut(|one| {
        one.as_mut().map(|one| {
            let order = if one.dead { Order::Die } else { (one.ask)(place) };
            one.dead |= order == Order::Die;
            order
        })
    });
    simulated.unwrap_or_else(|| {
        if let Some((name, nth, seen)) = &*FAILPOINT
            && counts
            && name == place.name()
            && seen.fetch_add(1, Ordering::Relaxed) + 1 == *nth
        {
            std::process::abort();
        }
        Order::Go
    })
}

/// The place at which this process is to die, the how many-th time, and how often it came by.
static FAILPOINT: LazyLock<Option<(String, u64, AtomicU64)>> = LazyLock::new(|| {
    let named = std::env::var("CHAOS_FAILPOINT").ok()?;
    let (name, nth) = named.split_once('@').unwrap_or((&named, "1"));
    let known = Failpoint::ALL.iter().any(|place| place.name() == name);
    assert!(known, "CHAOS_FAILPOINT names no place");
    Some((name.to_owned(), nth.parse().expect("CHAOS_FAILPOINT has a number behind @"), AtomicU64::new(0)))
});

/// Whether a bug is there.
pub(crate) fn planted(bug: Bug) -> bool {
    let simulated = SIMULATION.with_borrow(|one| one.as_ref().map(|one| one.bug));
    simulated.unwrap_or(*PLANTED) == Some(bug)
}

static PLANTED: LazyLock<Option<Bug>> = LazyLock::new(|| {
    let number: isize = std::env::var("CHAOS_PLANTED").ok()?.parse().expect("CHAOS_PLANTED is a number");
    Some(*Bug::ALL.iter().find(|bug| **bug as isize == number).expect("CHAOS_PLANTED is the number of a bug"))
});

/// A number that matters only for speed: small in a simulation, so that what it bounds happens there.
pub(crate) fn few(usual: usize, simulated: usize) -> usize {
    if is_simulated() { simulated } else { usual }
}

/// How long a database's locks are waited for, and a database that is busy: in a process that was told to make haste, the
/// so many-th part.
pub(crate) fn hasty(usual: Duration) -> Duration {
    usual / *HASTE
}

static HASTE: LazyLock<u32> = LazyLock::new(|| {
    std::env::var("CHAOS_HASTE").map_or(1, |text| text.parse().expect("CHAOS_HASTE is a number"))
});

/// What the clock on the wall shows in a simulation.
pub(crate) fn now() -> Option<SystemTime> {
    SIMULATION.with_borrow(|one| one.as_ref().map(|one| one.days.shown + one.days.since.elapsed()))
}

fn is_simulated() -> bool {
    SIMULATION.with_borrow(Option::is_some)
}

/// Waits for a database: in a simulation in place, so that nothing else runs meanwhile and no time passes, and it does
/// not matter how long it takes. Not when the process has died on the way.
pub(crate) async fn in_place<T>(work: impl Future<Output = T>) -> T {
    if !is_simulated() {
        return work.await;
    }
    struct Parked(Thread);
    impl Wake for Parked {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(Parked(std::thread::current())));
    let mut work = std::pin::pin!(work);
    std::future::poll_fn(|_| {
        loop {
            if let Poll::Ready(value) = work.as_mut().poll(&mut Context::from_waker(&waker)) {
                return Poll::Ready(value);
            }
            if SIMULATION.with_borrow(|one| one.as_ref().is_none_or(|one| one.dead)) {
                return Poll::Pending;
            }
            std::thread::park_timeout(Duration::from_secs(1));
        }
    })
    .await
}
