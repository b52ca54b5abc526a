//! Faults as text, for the command line: `status=503 on=/v4/subscribers nth=3 times=2`.

use std::str::FromStr;
use std::time::Duration;

use super::{Action, Fault, Junk, Mutation, PageFault, RetryHint, Which};
use crate::simulator::modes::Blank;
use crate::simulator::request::Version;

/// Words separated by blanks: first what goes wrong, then for which requests.
///
/// * `status=503`, `status=503:html`, `429`, `429=30`, `429=soon`, `redirect=https://…`, `html`, `junk={}`
/// * `delay=1.5s`, `stall`, `drip=1:10s`, `reset`, `reset=100`, `cut=100`, `truncate=100`, `endless`,
///   `bomb=1000000000`, `huge=50000000`, `headers=10000`, `huge-header=1048576`, `no-date`
/// * `same-cursor`, `cursor-loop=3`, `endless-cursors`, `empty-page`, `repeat-page`, `shuffle`,
///   `double-rows`, `long-cursors=4096`, `total-pages=-1`, `no-pagination`
/// * `drop=id`, `null=created_at`, `set=created_at:"yesterday"`, each with `row=7` or `share=0.1`
/// * then `on=<route>`, `asking=sort_order=desc`, `version=3|4`, `nth=3`, `from=3`, `every=10`, `chance=0.01`, `times=2`
impl FromStr for Fault {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut words = text.split_whitespace().peekable();
        let first = words.next().ok_or("a fault needs a first word that says what goes wrong")?;
        let (name, value) = first.split_once('=').unwrap_or((first, ""));
        let mut fault = Fault::new(action(name, value)?);
        for word in words {
            let (name, value) = word.split_once('=').ok_or_else(|| format!("`{word}` needs a value"))?;
            fault = match name {
                "on" => fault.on(value),
                "asking" => fault.asking(value),
                "version" => fault.version(match value {
                    "3" | "v3" => Version::V3,
                    "4" | "v4" => Version::V4,
                    _ => return Err(format!("`{value}` is no version")),
                }),
                "nth" => fault.nth(number(value)?),
                "from" => fault.from_nth(number(value)?),
                "every" => fault.every(number(value)?),
                "chance" => fault.chance(number(value)?),
                "times" => fault.times(number(value)?),
                "row" => fault.only_rows(Which::Nth(number(value)?))?,
                "share" => fault.only_rows(Which::Share(number(value)?))?,
                _ => return Err(format!("`{name}` says nothing about requests")),
            };
        }
        Ok(fault)
    }
}

impl Fault {
    fn only_rows(mut self, chosen: Which) -> Result<Self, String> {
        match &mut self.action {
            Action::Rows(which, _) => *which = chosen,
            _ => return Err("row= and share= belong to drop=, null= and set=".into()),
        }
        Ok(self)
    }
}

/// Every first word.
const NAMES: [&str; 33] = [
    "status",
    "429",
    "redirect",
    "html",
    "junk",
    "delay",
    "stall",
    "drip",
    "reset",
    "reset-next",
    "cut",
    "truncate",
    "endless",
    "bomb",
    "huge",
    "headers",
    "huge-header",
    "no-date",
    "same-cursor",
    "cursor-loop",
    "endless-cursors",
    "empty-page",
    "repeat-page",
    "halved",
    "emptied",
    "shuffle",
    "double-rows",
    "long-cursors",
    "total-pages",
    "no-pagination",
    "drop",
    "null",
    "set",
];

fn action(name: &str, value: &str) -> Result<Action, String> {
    Ok(match name {
        "status" => {
            let (status, blank) = value.split_once(':').unwrap_or((value, "json"));
            Action::Status(number(status)?, blank.parse()?)
        }
        "429" => {
            let hint = match (value, value.parse()) {
                ("", _) => RetryHint::Absent,
                (_, Ok(seconds)) => RetryHint::Seconds(seconds),
                (text, Err(_)) => RetryHint::Text(text.into()),
            };
            Action::TooMany(hint, Blank::Empty)
        }
        "redirect" => Action::Redirect(302, value.into()),
        "html" => Action::Junk(Junk::Html),
        "junk" => Action::Junk(Junk::Json(value.into())),
        "delay" => Action::Delay(seconds(value)?),
        "stall" if value.is_empty() => Action::StallBeforeHeaders,
        "stall" => Action::StallBody { after: number(value)? },
        "drip" => {
            let (bytes, pause) = value.split_once(':').unwrap_or((value, "1s"));
            Action::Drip { bytes: number(bytes)?, pause: seconds(pause)? }
        }
        "reset" if value.is_empty() => Action::ResetBeforeHeaders,
        "reset" => Action::ResetInBody { bytes: number(value)? },
        "reset-next" => Action::ResetNextRequest,
        "cut" => Action::CutBody { bytes: number(value)? },
        "truncate" => Action::TruncateBody { bytes: number(value)? },
        "endless" => Action::EndlessBody,
        "bomb" => Action::GzipBomb(number(value)?),
        "huge" => Action::HugeBody(number(value)?),
        "headers" => Action::ManyHeaders(number(value)?),
        "huge-header" => Action::HugeHeader(number(value)?),
        "no-date" => Action::NoDate,
        "same-cursor" => Action::Page(PageFault::SameCursor),
        "cursor-loop" => Action::Page(PageFault::CursorLoop(number(value)?)),
        "endless-cursors" => Action::Page(PageFault::EndlessCursors),
        "empty-page" => Action::Page(PageFault::EmptyPage),
        "repeat-page" => Action::Page(PageFault::RepeatPage),
        "halved" => Action::Page(PageFault::Halved { consistent: value == "consistent" }),
        "emptied" => Action::Page(PageFault::Emptied { consistent: value == "consistent" }),
        "shuffle" => Action::Page(PageFault::Shuffle),
        "double-rows" => Action::Page(PageFault::DoubleRows),
        "long-cursors" => Action::Page(PageFault::LongCursors(number(value)?)),
        "total-pages" => Action::Page(PageFault::TotalPages(value.into())),
        "no-pagination" => Action::Page(PageFault::NoPagination),
        "drop" => Action::Rows(Which::All, Mutation::Drop(value.into())),
        "null" => Action::Rows(Which::All, Mutation::Null(value.into())),
        "set" => {
            let (path, json) = value.split_once(':').ok_or("set= needs member:json")?;
            Action::Rows(Which::All, Mutation::Set(path.into(), json.into()))
        }
        _ => return Err(format!("`{name}` is none of {}", NAMES.join(", "))),
    })
}

fn number<T: FromStr>(text: &str) -> Result<T, String> {
    text.parse().map_err(|_| format!("`{text}` is not a number that fits"))
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = number(text.trim_end_matches('s'))?;
    Duration::try_from_secs_f64(seconds).map_err(|_| format!("`{text}` is no time"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_of_a_fault_is_one() {
        for name in NAMES {
            let refused = action(name, "").err().unwrap_or_default();
            assert!(!refused.contains("is none of status"), "{name}");
        }
        assert!(action("bogus", "").is_err_and(|why| why.contains("no-pagination")));
    }
}
