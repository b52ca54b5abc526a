//! What must hold whatever is sent to us: one function for each way in, which takes any bytes and panics when
//! something does not hold. `fuzz/` lets libFuzzer look for such bytes; the tests below play what it found
//! before, and mutations of it. Not in what is shipped.
//!
//! A function stands here where what it needs is public, else in a file that is a child of the module it looks into.

mod bytes;
mod records;
mod settings;

pub(crate) use bytes::Bytes;

pub use crate::kit::fuzzing::{page_envelope, retry_after};
pub use crate::replication::fuzzing::pagination;
pub use crate::store::fuzzing::{address_search, sql_values};
pub use records::{dates, record_to_row};
pub use settings::settings;

/// A target and its name, which is that of its folder in `fuzz/corpus`.
pub type Target = (&'static str, fn(&[u8]));

/// All of them.
pub const TARGETS: [Target; 8] = [
    ("page_envelope", page_envelope),
    ("record_to_row", record_to_row),
    ("dates", dates),
    ("pagination", pagination),
    ("retry_after", retry_after),
    ("settings", settings),
    ("sql_values", sql_values),
    ("address_search", address_search),
];

/// No input may take longer. One that seems to is tried twice more: the machine may have been busy.
const LONGEST: std::time::Duration = std::time::Duration::from_millis(100);

/// As the fuzzer calls a target: it must hold, and in time.
pub fn in_time(target: fn(&[u8]), data: &[u8]) {
    let is_slow = || {
        let begun = std::time::Instant::now();
        target(data);
        begun.elapsed() > LONGEST
    };
    assert!(!(is_slow() && is_slow() && is_slow()), "three times longer than {LONGEST:?}");
}

#[cfg(test)]
mod replay;
