//! What is done within a transaction.

use parking_lot::Mutex;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use crate::error::{Error, Kind, Result};
use crate::store::connection::Connection;

/// What is done within a transaction. May be done again from its beginning.
pub(in crate::store) type Work<'c, T> = Pin<Box<dyn Future<Output = Result<T>> + Send + 'c>>;

/// Work that leaves its value with whoever asked for it. What runs it does not know of which type that is, and so is
/// compiled once instead of for each of the fifty kinds of work there are.
pub(super) type Deed = Box<dyn for<'c> Fn(&'c mut Connection) -> Work<'c, ()> + Send + Sync>;

/// Where work leaves its value.
pub(super) struct Slot<T>(Arc<Mutex<Option<T>>>);

impl<T: Send + 'static> Slot<T> {
    pub(super) fn new() -> Self {
        Slot(Arc::default())
    }

    /// Another handle to it.
    pub(super) fn again(&self) -> Self {
        Slot(Arc::clone(&self.0))
    }

    /// Work as a deed, and where it leaves its value.
    pub(super) fn of<F>(work: F) -> (Deed, Self)
    where
        F: for<'c> Fn(&'c mut Connection) -> Work<'c, T> + Send + Sync + 'static,
    {
        let slot = Slot::new();
        let left = slot.again();
        let deed: Deed = Box::new(move |connection| {
            let (work, slot) = (work(connection), left.again());
            Box::pin(async move { work.await.map(|value| slot.leave(value)) })
        });
        (deed, slot)
    }

    pub(super) fn leave(&self, value: T) {
        *self.0.lock() = Some(value);
    }

    /// The value of the last time the work was done.
    ///
    /// # Errors
    /// A bug: it was never done.
    pub(super) fn taken(self) -> Result<T> {
        let missing = || Error::new(Kind::Internal, "a transaction ended without having been made");
        self.0.lock().take().ok_or_else(missing)
    }
}
