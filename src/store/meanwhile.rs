//! Who is marked as gone while a page is on its way: the page may still show that person's memberships, and they would
//! come to life again. Only one kitmirror writes, so it is enough that this one remembers.

use parking_lot::Mutex;
use std::sync::Arc;

/// From some moment on, the people who are marked as gone.
#[derive(Debug, Clone, Default)]
pub struct Meanwhile {
    /// Everybody since the database was opened, in the order in which they are marked.
    gone: Arc<Mutex<Vec<i64>>>,
    /// How many of them were before that moment.
    before: usize,
}

impl Meanwhile {
    /// The same from now on.
    pub(super) fn beginning_now(&self) -> Self {
        let before = self.gone.lock().len();
        Meanwhile { gone: Arc::clone(&self.gone), before }
    }

    /// The one that began earlier.
    #[must_use]
    pub fn earlier(self, other: Self) -> Self {
        if other.before < self.before { other } else { self }
    }

    /// These are about to be marked. Whether they were is for the database to say.
    pub(super) fn are_going(&self, ids: &[i64]) {
        self.gone.lock().extend(ids);
    }

    /// Whoever may have been marked since that moment.
    pub(super) fn gone(&self) -> Vec<i64> {
        self.gone.lock()[self.before..].to_vec()
    }
}
