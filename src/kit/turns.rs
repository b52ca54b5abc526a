//! Whose turn it is to ask the limiter.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::{Mutex, MutexGuard};
use tokio::time::Instant;

/// How long the beginning of a list lets others go first: they may be of another run, which takes hours.
const GIVES_WAY_FOR: Duration = Duration::from_secs(60);

/// Which requests go first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Precedence {
    /// Goes in the order of asking.
    Following,
    /// Begins to read a whole list: lets the others go first, for a minute at most.
    Beginning,
}

/// Those who wait, in the order in which they asked within each precedence.
#[derive(Default)]
pub(super) struct Turns {
    turn: Mutex<()>,
    /// How many wait before whom no list is begun.
    following: AtomicUsize,
}

impl Turns {
    /// Waits for a turn, which lasts until what is returned is dropped.
    ///
    /// Whoever begins to read a whole list lets all others go first, for a while. So no more of such lists are under way
    /// than it takes to reach the limit, the longest of them is not the last to end, and cursors do not grow old.
    pub(super) async fn take(&self, precedence: Precedence) -> MutexGuard<'_, ()> {
        let since = Instant::now();
        match precedence {
            Precedence::Following => {
                let _waiting = Waiting::new(&self.following);
                self.turn.lock().await
            }
            Precedence::Beginning => loop {
                let turn = self.turn.lock().await;
                if self.following.load(Ordering::Acquire) == 0 || since.elapsed() >= GIVES_WAY_FOR {
                    return turn;
                }
                // To the end of the queue.
                drop(turn);
                tokio::task::yield_now().await;
            },
        }
    }
}

/// One that waits, until it is dropped: it may be cancelled meanwhile.
struct Waiting<'c>(&'c AtomicUsize);

impl<'c> Waiting<'c> {
    fn new(count: &'c AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::AcqRel);
        Waiting(count)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    /// Behind lists that take hours, of another run, nothing waits for longer than a minute and its turn.
    #[tokio::test(start_paused = true)]
    async fn what_begins_lets_others_go_first_but_not_for_ever() {
        let turns = Arc::new(Turns::default());
        drop(turns.take(Precedence::Beginning).await);
        let asked = Instant::now();
        let long: Vec<_> = (0..3)
            .map(|_| {
                let turns = Arc::clone(&turns);
                tokio::spawn(async move {
                    loop {
                        let _turn = turns.take(Precedence::Following).await;
                        tokio::time::sleep(Duration::from_secs(1)).await;
                    }
                })
            })
            .collect();
        tokio::task::yield_now().await;
        drop(turns.take(Precedence::Beginning).await);
        let waited = asked.elapsed();
        assert!(waited >= GIVES_WAY_FOR, "{waited:?}");
        assert!(waited <= GIVES_WAY_FOR + Duration::from_secs(4), "{waited:?}");
        // Who gave up waiting is not waited for.
        for one in long {
            one.abort();
            drop(one.await);
        }
        assert_eq!(turns.following.load(Ordering::Acquire), 0);
    }
}
