//! Results on stdout: tables for people, JSON for scripts. Progress and messages go to stderr.

mod stream;

pub use stream::{BARS, LogLine, LogLines};

use comfy_table::{
    Attribute, Cell, CellAlignment, ColumnConstraint, ContentArrangement, Table, Width, presets,
};
use serde::Serialize;
use std::io::{self, IsTerminal as _};
use std::sync::atomic::{AtomicBool, Ordering};
use stream::{STDERR, STDOUT};

use crate::error::{Error, Kind};
use crate::model::time;

/// Whether everything on stderr is JSON, messages too.
static FOR_MACHINES: AtomicBool = AtomicBool::new(false);

/// Prints a line of a result, after everything that was said before.
pub fn line(text: impl std::fmt::Display) {
    STDERR.flush();
    STDOUT.tell(format!("{text}\n").as_bytes());
    STDOUT.flush();
}

/// Prints a result as JSON.
pub fn json(value: &impl Serialize) {
    line(serde_json::to_string_pretty(value).unwrap_or_else(|_| "null".to_owned()));
}

/// Prints a message for the person at the terminal.
pub fn note(text: impl std::fmt::Display) {
    if is_for_machines() {
        record(&serde_json::json!({ "level": "INFO", "message": text.to_string() }));
    } else {
        STDERR.tell(format!("{text}\n").as_bytes());
    }
}

/// Prints an error: what failed and why, then what to do about it.
pub fn error(error: &Error) {
    let (what, kind, advice) = (escaped(&error.one_line()), error.kind().name(), error.advice());
    if is_for_machines() {
        record(
            &serde_json::json!({ "level": "ERROR", "message": what, "error.kind": kind, "error.advice": advice }),
        );
    } else {
        note(format_args!("error: {what}\n  {advice}"));
    }
}

/// From now on messages are JSON, one a line, as log lines are then.
pub fn speak_json() {
    FOR_MACHINES.store(true, Ordering::Relaxed);
}

fn is_for_machines() -> bool {
    FOR_MACHINES.load(Ordering::Relaxed)
}

/// Prints a message in the form of a log line.
fn record(fields: &serde_json::Value) {
    let mut line = serde_json::json!({ "timestamp": time::text(chrono::Utc::now()) });
    if let (Some(line), Some(fields)) = (line.as_object_mut(), fields.as_object()) {
        line.extend(fields.clone());
    }
    STDERR.tell(format!("{line}\n").as_bytes());
}

/// Waits until all that was said is written, for a reader that takes nothing a few seconds at most. For the end of
/// the program.
pub fn flush() {
    STDERR.flush();
    STDOUT.flush();
}

/// Why results are not all where they were sent, if they are not; known after [`flush`].
pub fn refused() -> Option<Error> {
    let error = stream::RESULTS_REFUSED.get()?;
    Some(Error::new(Kind::OutputRefused, format!("could not write the result to stdout: {error}")))
}

/// Log lines that were lost because nobody read them, since the start.
pub fn lost_lines() -> u64 {
    STDERR.lost()
}

/// Whether stdout is a terminal that wants colour.
pub fn coloured() -> bool {
    wants_colour(io::stdout().is_terminal())
}

/// Whether stderr is a terminal that wants colour.
pub fn coloured_stderr() -> bool {
    wants_colour(io::stderr().is_terminal())
}

fn wants_colour(terminal: bool) -> bool {
    terminal && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// A table of text; columns in `numbers` are aligned to the right.
pub fn table(header: &[&str], rows: Vec<Vec<String>>, numbers: &[usize]) -> Table {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    let bold = coloured();
    table.set_header(header.iter().map(|title| {
        let cell = Cell::new(title);
        if bold { cell.add_attribute(Attribute::Bold) } else { cell }
    }));
    for row in rows {
        table.add_row(row.into_iter().map(|text| Cell::new(escaped(&text))));
    }
    for index in numbers {
        if let Some(column) = table.column_mut(*index) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    if let Some(width) = width().filter(|width| u64::from(*width) < natural_width(&table)) {
        narrow(&mut table, width);
    }
    table
}

/// Characters in a line of the terminal that stdout is, if it is one and says so.
pub fn width() -> Option<u16> {
    let width = io::stdout().is_terminal().then(|| Table::new().width()).flatten();
    // Serial lines and the like say 0.
    width.filter(|width| *width >= NARROWEST)
}

/// A terminal that is narrower does not know how wide it is.
const NARROWEST: u16 = 40;

/// How wide a table is whose cells are not wrapped.
fn natural_width(table: &Table) -> u64 {
    table.column_max_content_widths().iter().map(|width| u64::from(*width) + 2).sum()
}

/// Wraps cells between words, and never within one.
fn narrow(table: &mut Table, width: u16) {
    table.set_content_arrangement(ContentArrangement::Dynamic).set_width(width);
    let longest_word =
        |text: String| text.split_whitespace().map(|word| word.chars().count()).max().unwrap_or(0);
    let longest: Vec<usize> = table
        .column_iter()
        .map(|column| {
            let cells =
                table.row_iter().chain(table.header()).filter_map(|row| row.cell_iter().nth(column.index));
            cells.map(|cell| longest_word(cell.content())).max().unwrap_or(0)
        })
        .collect();
    for (column, longest) in table.column_iter_mut().zip(longest) {
        column.set_padding((0, 1));
        let least = u16::try_from(longest + 1).unwrap_or(u16::MAX);
        column.set_constraint(ColumnConstraint::LowerBoundary(Width::Fixed(least)));
    }
}

/// Text from elsewhere without what could drive a terminal.
pub fn escaped(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

/// `1234567` → `1,234,567`.
pub fn grouped(number: i64) -> String {
    let digits = number.unsigned_abs().to_string();
    let mut out = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    if number < 0 { format!("-{out}") } else { out }
}

/// `3725` seconds → `1 h 2 min`.
pub fn duration(seconds: i64) -> String {
    match seconds {
        ..0 => "0 s".to_owned(),
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{} min", seconds / 60),
        3600..86_400 => format!("{} h {} min", seconds / 3600, seconds % 3600 / 60),
        _ => format!("{} d {} h", seconds / 86_400, seconds % 86_400 / 3600),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_durations_read_well() {
        assert_eq!([0, 999, 1000, -1_234_567].map(grouped), ["0", "999", "1,000", "-1,234,567"]);
        assert_eq!([5, 65, 3725, 90_000].map(duration), ["5 s", "1 min", "1 h 2 min", "1 d 1 h"]);
    }

    #[test]
    fn a_table_that_is_too_wide_is_wrapped_between_words_only() {
        let rows = vec![vec![
            "cancelled_subscribers".to_owned(),
            "2026-05-01 10:00:00".to_owned(),
            "1,234".to_owned(),
        ]];
        let mut wide = table(&["object", "last complete", "rows"], rows, &[2]);
        assert_eq!(natural_width(&wide), 23 + 21 + 7);
        for width in [44, 20] {
            narrow(&mut wide, width);
            let shown = wide.to_string();
            for word in ["cancelled_subscribers", "2026-05-01", "10:00:00", "1,234"] {
                assert!(shown.contains(word), "{word} at {width}:\n{shown}");
            }
        }
    }

    /// S-19.
    #[test]
    fn text_from_elsewhere_cannot_drive_a_terminal() {
        assert_eq!(escaped("a\u{1b}[2Jb\nc"), "a\u{fffd}[2Jb\u{fffd}c");
    }
}
