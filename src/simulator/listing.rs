//! A list as Kit would serve it: runs of base rows and rows with records, merged by key. It can be
//! entered at a rank, which v3's page numbers need, and at a key, which v4's cursors need.

use std::ops::Range;

use super::base::partition;
use super::run::{Item, Key, Run};

/// One ordered list at one moment.
#[derive(Debug, Clone)]
pub(super) struct Listing<'a> {
    pub(super) runs: Vec<Run<'a>>,
    /// Rows with records, by key.
    pub(super) recorded: Vec<(Key, Item<'a>)>,
}

impl<'a> Listing<'a> {
    pub(super) fn new(runs: Vec<Run<'a>>, mut recorded: Vec<(Key, Item<'a>)>) -> Self {
        recorded.sort_unstable_by_key(|(key, _)| *key);
        Self { runs, recorded }
    }

    pub(super) fn len(&self) -> u64 {
        (0..self.sources()).map(|source| self.source_len(source)).sum()
    }

    /// How many entries have a key below `key`.
    pub(super) fn rank(&self, key: Key) -> u64 {
        let below = |source| partition(self.source_len(source), |n| self.source_key(source, n) < key);
        (0..self.sources()).map(below).sum()
    }

    /// How many entries have a key of at most `key`.
    pub(super) fn rank_after(&self, key: Key) -> u64 {
        let up_to = |source| partition(self.source_len(source), |n| self.source_key(source, n) <= key);
        (0..self.sources()).map(up_to).sum()
    }

    /// The entries of those ranks with their keys, in rising order.
    pub(super) fn slice(&self, ranks: Range<u64>) -> Vec<(Key, Item<'a>)> {
        let wanted = ranks.end.min(self.len()).saturating_sub(ranks.start) as usize;
        let mut entries = Vec::with_capacity(wanted);
        if wanted == 0 {
            return entries;
        }
        let filled: Vec<usize> = (0..self.sources()).filter(|source| self.source_len(*source) > 0).collect();
        if let [source] = filled[..] {
            entries.extend((ranks.start..).take(wanted).map(|n| self.entry(source, n)));
            return entries;
        }
        let mut heads: Vec<(usize, u64)> = filled
            .into_iter()
            .map(|source| {
                let first = |n| self.rank(self.source_key(source, n)) < ranks.start;
                (source, partition(self.source_len(source), first))
            })
            .collect();
        while entries.len() < wanted {
            let next = heads
                .iter_mut()
                .filter(|(source, n)| *n < self.source_len(*source))
                .min_by_key(|(source, n)| self.source_key(*source, *n));
            let Some((source, n)) = next else { break };
            entries.push(self.entry(*source, *n));
            *n += 1;
        }
        entries
    }

    fn sources(&self) -> usize {
        self.runs.len() + 1
    }

    fn source_len(&self, source: usize) -> u64 {
        self.runs.get(source).map_or(self.recorded.len() as u64, Run::len)
    }

    fn source_key(&self, source: usize, n: u64) -> Key {
        match self.runs.get(source) {
            Some(run) => run.key(n),
            None => self.recorded[n as usize].0,
        }
    }

    fn entry(&self, source: usize, n: u64) -> (Key, Item<'a>) {
        match self.runs.get(source) {
            Some(run) => (run.key(n), run.item(n)),
            None => self.recorded[n as usize],
        }
    }
}
