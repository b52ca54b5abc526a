//! What goes wrong at Kit, drawn by chance.

use super::Api;
use kitmirror::simulator::{Action, Blank, Fault, Junk, PageFault, RetryHint};

/// What goes wrong on the way, and shows: an answer that lies without any sign of it is not among these.
pub fn fault(chance: &mut fastrand::Rng, api: Api) -> Fault {
    let action = match chance.u8(0..14) {
        0 => Action::Status(500, Blank::Html),
        1 => Action::Status(503, Blank::Empty),
        2 => Action::Status(502, Blank::Json),
        3 => Action::TooMany(RetryHint::Absent, Blank::Empty),
        4 => Action::TooMany(RetryHint::Seconds(chance.i64(-1..90)), Blank::Json),
        5 => {
            Action::Junk([Junk::Html, Junk::Empty, Junk::Plain, Junk::Deep(200)][chance.usize(0..4)].clone())
        }
        6 => Action::TruncateBody { bytes: chance.usize(0..400) },
        7 => Action::ResetBeforeHeaders,
        8 => Action::Junk(Junk::Json(["{}", "[]", "null", "\"\""][chance.usize(0..4)].to_owned())),
        9 => Action::Page(PageFault::NullList),
        10 => Action::Page(PageFault::NoList),
        11 => Action::Page(PageFault::DoubleRows),
        12 if api == Api::V4 => Action::Page(PageFault::EmptyPage),
        13 if api == Api::V4 => Action::Page(PageFault::NoPagination),
        _ => Action::NoDate,
    };
    let routes = ["", "/subscribers", "/tags", "subscri", "/forms", "/sequences", "/broadcasts", "/account"];
    let fault = Fault::new(action).on(routes[chance.usize(0..routes.len())]);
    match chance.u8(0..4) {
        0 => fault.chance(0.1),
        1 => fault.nth(chance.u64(1..12)),
        2 => fault.from_nth(chance.u64(1..12)).times(chance.u64(1..5)),
        // For as long as this life lasts.
        _ => fault.from_nth(chance.u64(1..12)),
    }
}
