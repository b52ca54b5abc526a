//! A wish to stop, asked for between pages.

use futures_util::future::select_all;
use std::sync::Arc;
use tokio::sync::watch;

/// Shared by whoever may ask for a stop and whoever has to obey.
#[derive(Debug, Clone)]
pub struct Stop {
    own: Arc<watch::Sender<bool>>,
    /// Wishes to stop something wider, which hold for this as well.
    wider: Vec<Arc<watch::Sender<bool>>>,
}

impl Default for Stop {
    fn default() -> Self {
        Stop { own: Arc::new(watch::Sender::new(false)), wider: Vec::new() }
    }
}

impl Stop {
    /// One for a part of the work: it can be stopped by itself, and is when the whole is.
    #[must_use]
    pub fn within(&self) -> Self {
        Stop { wider: self.wishes().cloned().collect(), ..Stop::default() }
    }

    /// Asks for it. Work ends after the page in hand.
    pub fn request(&self) {
        self.own.send_replace(true);
    }

    /// Whether somebody has asked.
    pub fn is_requested(&self) -> bool {
        self.wishes().any(|wish| *wish.borrow())
    }

    /// Waits until somebody asks.
    pub async fn requested(&self) {
        let waits = self.wishes().map(|wish| {
            let mut receiver = wish.subscribe();
            // The sender lives as long as self, so this only ends when the wish is there.
            Box::pin(async move { drop(receiver.wait_for(|requested| *requested).await) })
        });
        select_all(waits).await;
    }

    fn wishes(&self) -> impl Iterator<Item = &Arc<watch::Sender<bool>>> {
        std::iter::once(&self.own).chain(&self.wider)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_part_stops_by_itself_and_with_the_whole() {
        let whole = Stop::default();
        let (one, other) = (whole.within(), whole.within());
        one.request();
        one.requested().await;
        assert!(one.is_requested() && !other.is_requested() && !whole.is_requested());
        whole.request();
        other.requested().await;
        assert!(other.is_requested() && other.within().is_requested());
    }
}
