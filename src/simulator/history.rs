//! Everything that a record ever was, and when each version shows in lists and by id.

/// Shows since before the simulation began.
pub(super) const ALWAYS: i64 = i64::MIN;

/// One version of a record; no value means that it did not exist, or no longer does.
#[derive(Debug, Clone)]
pub(super) struct Version<T> {
    /// When it came about.
    pub(super) at: i64,
    /// When lists begin to show it; a lookup by id shows it at once.
    pub(super) visible_from: i64,
    /// Rises with each change of the account, so changes of one second keep their order.
    pub(super) serial: u64,
    pub(super) value: Option<T>,
}

/// All versions of one record, oldest first.
#[derive(Debug, Clone)]
pub(super) struct History<T>(Vec<Version<T>>);

impl<T> History<T> {
    /// A record that exists from the start.
    pub(super) fn original(value: T) -> Self {
        Self(vec![Version { at: ALWAYS, visible_from: ALWAYS, serial: 0, value: Some(value) }])
    }

    /// A record that does not exist yet.
    pub(super) fn absent() -> Self {
        Self(Vec::new())
    }

    pub(super) fn push(&mut self, version: Version<T>) {
        // Most records see few changes, and there may be a hundred thousand of them.
        self.0.reserve_exact(1);
        self.0.push(version);
    }

    /// The record as it is.
    pub(super) fn current(&self) -> Option<&T> {
        self.0.last()?.value.as_ref()
    }

    pub(super) fn current_mut(&mut self) -> Option<&mut T> {
        self.0.last_mut()?.value.as_mut()
    }

    /// The record as lists show it at `now`.
    pub(super) fn listed(&self, now: i64) -> Option<&T> {
        self.0.iter().rev().find(|version| version.visible_from <= now)?.value.as_ref()
    }

    pub(super) fn versions(&self) -> &[Version<T>] {
        &self.0
    }

    /// When the record as it is came to show in lists.
    pub(super) fn visible_from(&self) -> i64 {
        self.0.last().map_or(ALWAYS, |version| version.visible_from)
    }
}
