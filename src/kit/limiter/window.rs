//! When a request may leave: the rolling window, by whatever clock it is asked. Pure.

use std::collections::VecDeque;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::time::Instant;

use super::Memory;

/// Kit's window is 60 s; the spare second covers requests that arrive in another rhythm than they left.
pub(super) const WINDOW: Duration = Duration::from_secs(61);
/// Sends are counted in buckets this wide, so that memory does not grow with the limit.
pub(super) const BUCKET: Duration = Duration::from_millis(100);
/// How long the window is halved after a 429: we keep the limit ourselves, so somebody else uses the key.
pub(super) const NARROWED_FOR: Duration = Duration::from_secs(5 * 60);

/// How late a request may be, for a slow answer or an entry in the ledger, for the next ones to make up for it.
pub(super) const MADE_UP: Duration = Duration::from_secs(1);

/// What was sent, what is expected, and what stands in the way.
#[derive(Debug)]
pub(super) struct State {
    /// Requests in any window: a little less than the limit, the rest is margin for what we cannot see.
    pub(super) cap: u32,
    /// Start of a bucket, requests in it.
    pub(super) window: VecDeque<(Instant, u32)>,
    pub(super) used: u32,
    /// Requests that the jobs under way are expected to need, from the beginning of the last of them.
    pub(super) expected: u64,
    /// Requests that were sent since then.
    pub(super) sent: u64,
    /// The whole window may go at once: the jobs fit into it.
    pub(super) burst: bool,
    pub(super) next_slot: Option<Instant>,
    pub(super) paused_until: Option<Instant>,
    pub(super) narrowed_until: Option<Instant>,
    pub(super) reserved: u32,
}

/// When the requests of a job leave that waits for nothing but the limit, of so many in a window that is empty when it
/// begins.
pub fn departures(per_window: u32, requests: u64) -> impl Iterator<Item = Duration> {
    let begun = Instant::now();
    let (mut state, mut now) = (State::new(per_window.max(1)), begun);
    state.expect(|_| requests, now);
    (0..requests).map(move |_| {
        while let Err(until) = state.take(now) {
            now = until;
        }
        now - begun
    })
}

impl State {
    pub(super) fn new(cap: u32) -> Self {
        State {
            cap,
            window: VecDeque::new(),
            used: 0,
            expected: 0,
            sent: 0,
            burst: false,
            next_slot: None,
            paused_until: None,
            narrowed_until: None,
            reserved: 0,
        }
    }

    /// A job begins or is over.
    pub(super) fn expect(&mut self, change: impl FnOnce(u64) -> u64, now: Instant) {
        self.expected = change(self.expected);
        self.sent = 0;
        self.decide(now);
    }

    /// Whether what is expected fits into what is left of the window.
    pub(super) fn decide(&mut self, now: Instant) {
        self.forget(now);
        let before = u64::from(self.used).saturating_sub(self.sent);
        let fits = self.expected > 0 && before + self.expected <= u64::from(self.cap);
        self.burst = fits && !self.is_narrowed(now);
    }

    /// Whether what the jobs still need fits into what is left of the window.
    fn ends_soon(&self) -> bool {
        let left = self.expected.saturating_sub(self.sent);
        left > 0 && u64::from(self.used) + left <= u64::from(self.cap)
    }

    pub(super) fn narrow(&mut self, now: Instant) {
        self.narrowed_until = Some(now + NARROWED_FOR);
        self.burst = false;
    }

    /// Whether half of the window is left to others.
    fn is_narrowed(&self, now: Instant) -> bool {
        self.narrowed_until.is_some_and(|until| until > now)
    }

    pub(super) fn take(&mut self, now: Instant) -> Result<(), Instant> {
        if let Some(until) = self.paused_until.filter(|until| *until > now) {
            return Err(until);
        }
        self.forget(now);
        let cap = if self.is_narrowed(now) { self.cap.div_ceil(2) } else { self.cap };
        if self.used >= cap {
            let oldest = self.window.front().map_or(now, |(start, _)| *start);
            return Err(oldest + WINDOW + BUCKET);
        }
        // The first half of a window may go at once, the second is spread evenly, but for the end of a job.
        let at_once = self.burst || (self.ends_soon() && !self.is_narrowed(now));
        if !at_once && self.used >= cap / 2 {
            let interval = (WINDOW + BUCKET) / cap;
            let slot = self.next_slot.unwrap_or(now);
            if slot > now {
                return Err(slot);
            }
            let late = now - slot;
            let is_made_up = late < MADE_UP.max(interval);
            self.next_slot = Some(if is_made_up { slot + interval } else { now + interval });
        }
        match self.window.back_mut() {
            Some((start, count)) if now.saturating_duration_since(*start) < BUCKET => *count += 1,
            _ => self.window.push_back((now, 1)),
        }
        self.used += 1;
        self.sent += 1;
        Ok(())
    }

    fn forget(&mut self, now: Instant) {
        while let Some((start, count)) = self.window.front()
            && now.saturating_duration_since(*start) >= WINDOW + BUCKET
        {
            self.used = self.used.saturating_sub(*count);
            self.window.pop_front();
        }
    }

    /// Requests reserved with one entry: at Kit's rates those of five seconds.
    pub(super) fn block(&self) -> u32 {
        (self.cap / 12).max(1)
    }

    /// Takes one of the reserved requests: whether there was one, and whether the next are to be reserved.
    pub(super) fn use_up(&mut self) -> (bool, bool) {
        let left = self.reserved.checked_sub(1);
        self.reserved = left.unwrap_or(0);
        (left.is_some(), self.reserved <= self.block() / 2)
    }

    /// What is written down to reserve more: what is left of the last entry goes on being reserved.
    pub(super) fn next_entry(&mut self, now: Instant, wall: SystemTime) -> Memory {
        let reserved = self.reserved + self.block();
        self.memory(now, wall, reserved)
    }

    pub(super) fn memory(&mut self, now: Instant, wall: SystemTime, reserved: u32) -> Memory {
        self.forget(now);
        let wall = wall.duration_since(UNIX_EPOCH).unwrap_or_default();
        let mut sent: Vec<(u64, u32)> = Vec::new();
        for (start, count) in &self.window {
            let second = wall.saturating_sub(now.saturating_duration_since(*start)).as_secs();
            match sent.last_mut() {
                Some((last, sum)) if *last == second => *sum += count,
                _ => sent.push((second, *count)),
            }
        }
        Memory { sent, reserved }
    }

    pub(super) fn recall(&mut self, memory: &Memory, now: Instant, wall: SystemTime) {
        let wall = wall.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let mut earlier: Vec<(Instant, u32)> = Vec::new();
        for (second, count) in &memory.sent {
            // A second is counted as if all of it had been sent at its end; a time in the future
            // (the clock was set back) as if it had been sent just now.
            let age = Duration::from_secs(wall.saturating_sub(second.saturating_add(1)));
            if age < WINDOW {
                earlier.push((now.checked_sub(age).unwrap_or(now), *count));
            }
        }
        if memory.reserved > 0 {
            earlier.push((now, memory.reserved));
        }
        earlier.extend(self.window.drain(..));
        earlier.sort_by_key(|(start, _)| *start);
        self.used = earlier.iter().fold(0, |used, (_, count)| used.saturating_add(*count));
        self.window = earlier.into();
    }
}
