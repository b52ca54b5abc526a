//! Times for rows that enter a list in another order than they were created in: members of a tag,
//! cancelled people. Positions are reversed block by block, so rank, time and position stay arithmetic.

/// `count` positions, reversed within blocks of `block`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Slots {
    pub(super) count: u64,
    pub(super) block: u64,
}

impl Slots {
    /// The slot in time order of a position in creation order, and the reverse: it is its own inverse.
    pub(super) fn flip(self, position: u64) -> u64 {
        let start = position - position % self.block;
        start + self.length_from(start) - 1 - (position - start)
    }

    /// The first position of the block that holds `position`.
    pub(super) fn block_start(self, position: u64) -> u64 {
        position - position % self.block
    }

    /// The first position after the block that holds `position`.
    pub(super) fn block_end(self, position: u64) -> u64 {
        let start = self.block_start(position);
        start + self.length_from(start)
    }

    /// The second at which `slot` is taken. It rises with the slot and is never before the creation of
    /// any row of its block; `created` tells when the row at a position was created.
    pub(super) fn time(self, slot: u64, end: i64, created: impl Fn(u64) -> i64) -> i64 {
        let start = self.block_start(slot);
        let length = self.length_from(start);
        let opens = created(start + length - 1);
        let next = start + length;
        let closes = match next < self.count {
            true => created(next + self.length_from(next) - 1),
            false => end,
        };
        opens + 1 + (slot - start) as i64 * (closes - opens) / length as i64
    }

    fn length_from(self, start: u64) -> u64 {
        self.block.min(self.count - start)
    }
}
