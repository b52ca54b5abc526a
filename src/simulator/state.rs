//! The states a subscriber can be in, sets of them, and the periodic pattern by which the base rows
//! of an account get theirs. The pattern makes "the 4,711th active row" a division, not a scan.

use serde::{Deserialize, Serialize};

/// What Kit says a subscriber is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Confirmed; gets mail.
    Active,
    /// Signed up, not confirmed yet.
    Inactive,
    /// Unsubscribed.
    Cancelled,
    /// The address does not take mail.
    Bounced,
    /// Marked a mail as spam.
    Complained,
}

impl State {
    /// Every state.
    pub const ALL: [State; 5] =
        [State::Active, State::Inactive, State::Cancelled, State::Bounced, State::Complained];

    /// The word Kit uses.
    pub fn as_str(self) -> &'static str {
        match self {
            State::Active => "active",
            State::Inactive => "inactive",
            State::Cancelled => "cancelled",
            State::Bounced => "bounced",
            State::Complained => "complained",
        }
    }

    /// The state of that name.
    pub fn named(name: &str) -> Option<State> {
        State::ALL.into_iter().find(|state| state.as_str() == name)
    }

    /// The state of a base row by its index: 80 of 100 active, 6 inactive, 10 cancelled, 3 bounced, 1
    /// complained, and every state among the first ten rows.
    pub(super) fn by_rule(index: u64) -> State {
        match index % PERIOD {
            2 | 23 | 41 | 57 | 73 | 89 => State::Inactive,
            4 | 14 | 27 | 34 | 46 | 55 | 64 | 78 | 85 | 94 => State::Cancelled,
            6 | 37 | 66 => State::Bounced,
            8 => State::Complained,
            _ => State::Active,
        }
    }
}

/// After so many base rows the states repeat.
pub(super) const PERIOD: u64 = 100;

/// A set of states.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct States(u8);

impl States {
    pub(super) const ALL: States = States(0b1_1111);

    pub(super) fn only(state: State) -> Self {
        States(1 << state as u8)
    }

    pub(super) fn without(self, state: State) -> Self {
        States(self.0 & !(1 << state as u8))
    }

    pub(super) fn and(self, other: States) -> Self {
        States(self.0 & other.0)
    }

    pub(super) fn contains(self, state: State) -> bool {
        self.0 & (1 << state as u8) != 0
    }
}

/// The states of a sequence of base rows: a block that repeats, then what is left of one.
#[derive(Debug, Clone)]
pub(super) struct Cycle {
    block: Vec<State>,
    blocks: u64,
    tail: Vec<State>,
}

impl Cycle {
    /// `count` rows whose states repeat after `block.len()` rows.
    pub(super) fn new(block: Vec<State>, count: u64) -> Self {
        let length = block.len() as u64;
        let tail = block[..(count % length) as usize].to_vec();
        Self { block, blocks: count / length, tail }
    }

    /// The states of `count` rows of which the k-th is base row `first + k * step`.
    pub(super) fn stepping(first: u64, step: u64, count: u64) -> Self {
        let block = (0..PERIOD).map(|k| State::by_rule(first + k * step)).collect();
        Self::new(block, count)
    }

    /// The same rows with each block, and the rest, in reverse order.
    pub(super) fn flipped(&self) -> Self {
        let reversed = |states: &[State]| states.iter().rev().copied().collect();
        Self { block: reversed(&self.block), blocks: self.blocks, tail: reversed(&self.tail) }
    }

    pub(super) fn len(&self) -> u64 {
        self.blocks * self.block.len() as u64 + self.tail.len() as u64
    }

    /// Those rows whose state is in `states`.
    pub(super) fn pick(&self, states: States) -> Picked {
        Picked {
            length: self.block.len() as u64,
            blocks: self.blocks,
            block: Part::of(&self.block, states),
            tail: Part::of(&self.tail, states),
        }
    }
}

/// A subsequence of a [`Cycle`]: which positions belong to it, and how many come before one.
#[derive(Debug, Clone)]
pub(super) struct Picked {
    length: u64,
    blocks: u64,
    block: Part,
    tail: Part,
}

#[derive(Debug, Clone)]
struct Part {
    /// Offsets of the chosen rows.
    chosen: Vec<u16>,
    /// How many are chosen before each offset; one longer than the part.
    before: Vec<u16>,
}

impl Part {
    fn of(states: &[State], wanted: States) -> Self {
        let mut chosen = Vec::new();
        let mut before = Vec::with_capacity(states.len() + 1);
        for (offset, state) in states.iter().enumerate() {
            before.push(chosen.len() as u16);
            if wanted.contains(*state) {
                chosen.push(offset as u16);
            }
        }
        before.push(chosen.len() as u16);
        Self { chosen, before }
    }

    fn len(&self) -> u64 {
        self.chosen.len() as u64
    }
}

impl Picked {
    pub(super) fn len(&self) -> u64 {
        self.blocks * self.block.len() + self.tail.len()
    }

    /// How many picked rows lie before `position`.
    pub(super) fn before(&self, position: u64) -> u64 {
        let (block, offset) = (position / self.length, position % self.length);
        if block < self.blocks {
            return block * self.block.len() + u64::from(self.block.before[offset as usize]);
        }
        let offset = (position - self.blocks * self.length).min(self.tail.before.len() as u64 - 1);
        self.blocks * self.block.len() + u64::from(self.tail.before[offset as usize])
    }

    /// The position of the picked row of that rank.
    pub(super) fn nth(&self, rank: u64) -> u64 {
        let in_blocks = self.blocks * self.block.len();
        if rank < in_blocks {
            let per_block = self.block.len();
            let offset = self.block.chosen[(rank % per_block) as usize];
            return rank / per_block * self.length + u64::from(offset);
        }
        self.blocks * self.length + u64::from(self.tail.chosen[(rank - in_blocks) as usize])
    }
}
