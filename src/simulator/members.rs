//! Who belongs to a tag, a form or a sequence: base members by an arithmetic rule, others by record.

use serde::Serialize;

use super::base::Base;
use super::slots::Slots;
use super::state::{Cycle, PERIOD};

/// What people can be members of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ParentKind {
    /// A tag.
    Tag,
    /// A form or landing page.
    Form,
    /// A sequence of mails; v3 says course.
    Sequence,
}

/// One tag, form or sequence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Parent {
    /// What it is.
    pub kind: ParentKind,
    /// Its id, unique within its kind.
    pub id: i64,
}

impl Parent {
    /// The tag of that id.
    pub fn tag(id: i64) -> Self {
        Self { kind: ParentKind::Tag, id }
    }

    /// The form of that id.
    pub fn form(id: i64) -> Self {
        Self { kind: ParentKind::Form, id }
    }

    /// The sequence of that id.
    pub fn sequence(id: i64) -> Self {
        Self { kind: ParentKind::Sequence, id }
    }
}

/// A membership that somebody made while the simulation ran.
#[derive(Debug, Clone)]
pub(super) struct Membership {
    /// v3's id of the subscription, and the tie-breaker in the order of v4's tag lists.
    pub(super) id: i64,
    pub(super) added_at: i64,
    pub(super) origin: Origin,
}

/// Where a member came from, as far as the lists tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Origin {
    /// Nothing is known.
    Unknown,
    /// A link with campaign parameters.
    Campaign,
    /// A link without them.
    Link,
    /// Added through the API.
    Api,
}

impl Origin {
    pub(super) fn referrer(self) -> Option<&'static str> {
        match self {
            Origin::Campaign => Some("https://example.com/?utm_source=news&utm_medium=email"),
            Origin::Link => Some("https://blog.example.com/posts/hello"),
            Origin::Unknown | Origin::Api => None,
        }
    }

    /// Source, medium, campaign, term and content of the campaign.
    pub(super) fn utm(self) -> [Option<&'static str>; 5] {
        match self {
            Origin::Campaign => [Some("news"), Some("email"), None, None, None],
            _ => [None; 5],
        }
    }

    /// v3's `source`.
    pub(super) fn source(self) -> Option<&'static str> {
        (self == Origin::Api).then_some("api")
    }
}

/// The base members of one parent: every `step`-th base subscriber from `first` on.
#[derive(Debug, Clone)]
pub(super) struct MemberRule {
    kind: ParentKind,
    first: u64,
    step: u64,
    ids_from: i64,
    pub(super) slots: Slots,
    /// States in the order of subscriber ids.
    pub(super) by_id: Cycle,
    /// States in the order of joining.
    pub(super) by_time: Cycle,
}

impl MemberRule {
    /// `count` members spread over a base of `people`; `ordinal` tells parents apart.
    pub(super) fn new(kind: ParentKind, ordinal: u64, count: u64, people: u64) -> Self {
        let count = count.min(people);
        let mut step = people.checked_div(count).unwrap_or(1).max(1);
        // Without a common divisor with the period every state occurs among the members.
        while step > 1 && (step.is_multiple_of(2) || step.is_multiple_of(5)) {
            step -= 1;
        }
        let reach = count.saturating_sub(1) * step + 1;
        let first = ordinal % people.saturating_sub(reach).saturating_add(1).max(1);
        let by_id = Cycle::stepping(first, step, count);
        // Ids of different parents never meet; those made later begin above all of them.
        let ids_from = 9_000_000_001 + ordinal as i64 * (people as i64 + 1);
        let slots = Slots { count, block: PERIOD };
        Self { kind, first, step, ids_from, slots, by_time: by_id.flipped(), by_id }
    }

    pub(super) fn count(&self) -> u64 {
        self.slots.count
    }

    /// The base subscriber who is member number `k` in the order of ids.
    pub(super) fn index(&self, k: u64) -> u64 {
        self.first + k * self.step
    }

    /// Which member the base subscriber is.
    pub(super) fn position(&self, index: u64) -> Option<u64> {
        let beyond = index.checked_sub(self.first)?;
        (beyond.is_multiple_of(self.step) && beyond / self.step < self.count()).then_some(beyond / self.step)
    }

    pub(super) fn id(&self, k: u64) -> i64 {
        self.ids_from + self.slots.flip(k) as i64
    }

    pub(super) fn added_at(&self, base: &Base, k: u64) -> i64 {
        self.added_in_slot(base, self.slots.flip(k))
    }

    pub(super) fn added_in_slot(&self, base: &Base, slot: u64) -> i64 {
        self.slots.time(slot, base.end(), |k| base.ordinarily_created_at(self.index(k)))
    }

    pub(super) fn origin(&self, k: u64) -> Origin {
        match (self.kind, k % 3) {
            (ParentKind::Form, 0) => Origin::Campaign,
            (ParentKind::Form, 1) => Origin::Link,
            (ParentKind::Sequence, 0) => Origin::Api,
            _ => Origin::Unknown,
        }
    }
}

/// A membership, by rule or by record.
#[derive(Debug, Clone, Copy)]
pub(super) enum Joined<'a> {
    /// Base member number k.
    Rule(&'a MemberRule, u64),
    /// Made while the simulation ran.
    Record(&'a Membership),
}

impl Joined<'_> {
    pub(super) fn id(self) -> i64 {
        match self {
            Joined::Rule(rule, k) => rule.id(k),
            Joined::Record(membership) => membership.id,
        }
    }

    pub(super) fn added_at(self, base: &Base) -> i64 {
        match self {
            Joined::Rule(rule, k) => rule.added_at(base, k),
            Joined::Record(membership) => membership.added_at,
        }
    }

    pub(super) fn origin(self) -> Origin {
        match self {
            Joined::Rule(rule, k) => rule.origin(k),
            Joined::Record(membership) => membership.origin,
        }
    }
}
