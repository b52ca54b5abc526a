//! A wish to stop, asked for between pages.

use std::sync::Arc;
use tokio::sync::watch;

/// Shared by whoever may ask for a stop and whoever has to obey.
#[derive(Debug, Clone)]
pub struct Stop {
    sender: Arc<watch::Sender<bool>>,
}

impl Default for Stop {
    fn default() -> Self {
        Stop { sender: Arc::new(watch::Sender::new(false)) }
    }
}

impl Stop {
    /// Asks for it. Work ends after the page in hand.
    pub fn request(&self) {
        self.sender.send_replace(true);
    }

    /// Whether somebody has asked.
    pub fn is_requested(&self) -> bool {
        *self.sender.borrow()
    }

    /// Waits until somebody asks.
    pub async fn requested(&self) {
        let mut receiver = self.sender.subscribe();
        // The sender lives as long as self, so this only ends when the wish is there.
        let _ = receiver.wait_for(|requested| *requested).await;
    }
}
