//! Faults of paging and of rows, applied to a page before it is written out.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::value::RawValue;

use crate::simulator::answer::{Cursors, Envelope, Page, Rows};
use crate::simulator::json;
use crate::simulator::request::{Asked, Version};

/// How paging can go wrong. Cursor faults are v4's, page number faults v3's; the others do both.
#[derive(Debug, Clone, PartialEq)]
pub enum PageFault {
    /// `end_cursor` is the cursor that was asked for, and there is always more.
    SameCursor,
    /// Cursors that repeat after so many pages; each shows the first page.
    CursorLoop(u64),
    /// Always a new cursor and always the first page.
    EndlessCursors,
    /// Always a new cursor and never a row.
    EndlessEmptyPages,
    /// A page without rows; the next one shows what this should have.
    EmptyPage,
    /// More pages, but no cursor to them.
    NullCursor,
    /// `has_next_page` is this JSON; nothing leaves it out.
    HasNextPage(Option<String>),
    /// `has_next_page` is the opposite of the truth.
    Contradiction,
    /// No `pagination` at all.
    NoPagination,
    /// Cursors of that many characters, with all that hurts in a URL.
    LongCursors(usize),
    /// `total_pages` is this JSON (v3).
    TotalPages(String),
    /// `total_subscribers` and its like are this JSON (v3), `total_count` too if it is a number (v4).
    Total(String),
    /// The page is shown twice.
    RepeatPage,
    /// The rows in another order.
    Shuffle,
    /// Every row twice.
    DoubleRows,
    /// So many copies of the first row with ids of their own on top.
    ExtraRows(usize),
    /// The list ends with the first half of the page; its totals are the true ones, or those of what is shown.
    Halved {
        /// Whether the totals are those of what is shown.
        consistent: bool,
    },
    /// The list has no rows at all; its totals are the true ones, or nothing.
    Emptied {
        /// Whether the totals are nothing.
        consistent: bool,
    },
    /// The list member is `null`.
    NullList,
    /// The list member is missing.
    NoList,
}

/// Which rows of a page.
#[derive(Debug, Clone, PartialEq)]
pub enum Which {
    /// All.
    All,
    /// The n-th, from 1.
    Nth(usize),
    /// The last.
    Last,
    /// Each with that probability.
    Share(f64),
}

/// What happens to a row. Members are named by paths such as `id` or `subscriber.id`.
#[derive(Debug, Clone, PartialEq)]
pub enum Mutation {
    /// The member is missing.
    Drop(String),
    /// The member is `null`.
    Null(String),
    /// The member is this JSON, added if it is missing.
    Set(String, String),
    /// The row is this text, JSON or not.
    Replace(String),
    /// Every occurrence of the first text in the row's JSON becomes the second.
    Substitute(String, String),
    /// The row is not there.
    Remove,
}

/// Begins a cursor that some fault made up; what follows tells how to go on.
const DISGUISE: &str = "~";
/// Begins a long cursor.
const LONG: &str = "long~";

/// What a cursor made up by a fault stands for: the real one, or the start of the list.
pub(in crate::simulator) fn undisguise(cursor: &str) -> Result<Option<String>, BadDisguise> {
    if let Some(rest) = cursor.strip_prefix(LONG) {
        let (padding, real) = rest.rsplit_once('~').ok_or(BadDisguise)?;
        let intact = padding == padding_of(padding.len());
        return if intact { Ok(Some(real.to_string())) } else { Err(BadDisguise) };
    }
    let text = STANDARD.decode(cursor).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    match text.as_deref().and_then(|text| text.strip_prefix(DISGUISE)) {
        None => Ok(Some(cursor.to_string())),
        Some(rest) => {
            let (_, real) = rest.split_once('~').ok_or(BadDisguise)?;
            Ok((!real.is_empty()).then(|| real.to_string()))
        }
    }
}

/// A made-up cursor that did not come back byte for byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::simulator) struct BadDisguise;

fn disguised(serial: u64, real: &str) -> String {
    let cursor = STANDARD.encode(format!("{DISGUISE}{serial}~{real}"));
    format!("\"{cursor}\"")
}

fn padding_of(length: usize) -> String {
    "+/=%&?#é \"\\<>"
        .chars()
        .cycle()
        .scan(0, |bytes, c| {
            *bytes += c.len_utf8();
            (*bytes <= length).then_some(c)
        })
        .collect()
}

impl PageFault {
    /// Changes the page. `serial` says how often the fault has struck, `asked` the cursor or page as the
    /// client sent it.
    pub(in crate::simulator) fn apply(
        &self,
        page: &mut Page,
        asked: &Asked,
        serial: u64,
        chance: &mut fastrand::Rng,
    ) {
        let after = asked.query.get("after").unwrap_or_default();
        match self {
            PageFault::Shuffle => {
                let mut rows: Vec<String> = page.rows.iter().map(str::to_string).collect();
                chance.shuffle(&mut rows);
                page.rows = rows.into_iter().collect();
            }
            PageFault::DoubleRows => {
                let twice = page.rows.iter().flat_map(|row| [row.to_string(), row.to_string()]);
                page.rows = twice.collect();
            }
            PageFault::ExtraRows(count) => {
                let first = page.rows.iter().next().map(str::to_string);
                let extra = first.iter().flat_map(|row| {
                    (0..*count).filter_map(|n| Mutation::Set("id".into(), (n + 1).to_string()).of(row))
                });
                page.rows = page.rows.iter().map(str::to_string).chain(extra).collect();
            }
            PageFault::EmptyPage | PageFault::EndlessEmptyPages => page.rows = Rows::default(),
            PageFault::Halved { consistent } => end_with(page, page.rows.len() / 2, *consistent),
            PageFault::Emptied { consistent } => end_with(page, 0, *consistent),
            PageFault::NullList => page.list = ListMember::Null,
            PageFault::NoList => page.list = ListMember::Missing,
            PageFault::NoPagination => page.envelope = Envelope::Stripped,
            _ => {}
        }
        match &mut page.envelope {
            Envelope::Cursors(cursors) => self.apply_to_cursors(cursors, after, serial),
            Envelope::Numbers { total, total_pages, .. } => match self {
                PageFault::TotalPages(json) => total_pages.clone_from(json),
                PageFault::Total(json) => total.clone_from(json),
                _ => {}
            },
            Envelope::Bare | Envelope::Stripped => {}
        }
    }

    fn apply_to_cursors(&self, cursors: &mut Cursors, after: &str, serial: u64) {
        let more = Some("true".to_string());
        match self {
            PageFault::SameCursor => {
                let same = if after.is_empty() { cursors.start_cursor.clone() } else { Some(quoted(after)) };
                (cursors.has_next_page, cursors.end_cursor) = (more, same);
            }
            PageFault::CursorLoop(length) => {
                let turn = serial % (*length).max(1);
                (cursors.has_next_page, cursors.end_cursor) = (more, Some(disguised(turn, "")));
            }
            PageFault::EndlessCursors | PageFault::EndlessEmptyPages => {
                (cursors.has_next_page, cursors.end_cursor) = (more, Some(disguised(serial, "")));
            }
            PageFault::EmptyPage | PageFault::RepeatPage => {
                (cursors.has_next_page, cursors.end_cursor) = (more, Some(disguised(serial, after)));
            }
            PageFault::NullCursor => {
                (cursors.has_next_page, cursors.end_cursor) = (more, Some("null".into()));
            }
            PageFault::HasNextPage(json) => cursors.has_next_page.clone_from(json),
            PageFault::Contradiction => {
                let truth = cursors.has_next_page.as_deref() == Some("true");
                cursors.has_next_page = Some((!truth).to_string());
            }
            PageFault::LongCursors(length) => {
                for cursor in [&mut cursors.start_cursor, &mut cursors.end_cursor] {
                    let real = cursor.as_deref().unwrap_or_default().trim_matches('"').to_string();
                    if real != "null" {
                        *cursor = Some(quoted(&format!("{LONG}{}~{real}", padding_of(*length))));
                    }
                }
            }
            PageFault::Total(json) => {
                cursors.total_count = json.parse().ok().or(cursors.total_count);
            }
            _ => {}
        }
    }
}

/// The list ends with so many rows of this page.
fn end_with(page: &mut Page, kept: usize, consistent: bool) {
    page.rows = page.rows.iter().take(kept).map(str::to_string).collect();
    match &mut page.envelope {
        Envelope::Cursors(cursors) => {
            cursors.has_next_page = Some("false".to_string());
            if consistent {
                cursors.total_count = cursors.total_count.map(|_| kept as u64);
            }
        }
        Envelope::Numbers { total, total_pages, .. } if consistent => {
            (*total, *total_pages) = (kept.to_string(), "1".to_string());
        }
        Envelope::Numbers { .. } | Envelope::Bare | Envelope::Stripped => {}
    }
}

fn quoted(text: &str) -> String {
    let mut json = String::new();
    json::string(&mut json, text);
    json
}

/// How the member that holds the rows appears.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(in crate::simulator) enum ListMember {
    /// As an array.
    #[default]
    Rows,
    /// As `null`.
    Null,
    /// Not at all.
    Missing,
}

/// v3 shows a page twice by counting pages one short.
pub(in crate::simulator) fn turn_back(asked: &mut Asked) {
    let page: Option<u64> = asked.query.get("page").and_then(|text| text.parse().ok());
    if let (Version::V3, Some(page @ 2..)) = (asked.version, page) {
        asked.query.set("page", Some((page - 1).to_string()));
    }
}

/// Changes the rows that `which` chooses.
pub(in crate::simulator) fn mutate(
    rows: &mut Rows,
    which: &Which,
    mutation: &Mutation,
    chance: &mut fastrand::Rng,
) {
    let last = rows.len();
    let changed = rows.iter().enumerate().filter_map(|(n, row)| {
        let chosen = match which {
            Which::All => true,
            Which::Nth(nth) => n + 1 == *nth,
            Which::Last => n + 1 == last,
            Which::Share(share) => chance.f64() < *share,
        };
        if chosen { mutation.of(row) } else { Some(row.to_string()) }
    });
    *rows = changed.collect();
}

impl Mutation {
    /// The row as it is after the mutation; nothing if it is gone.
    fn of(&self, row: &str) -> Option<String> {
        match self {
            Mutation::Drop(path) => Some(with_member(row, path, &|_| None)),
            Mutation::Null(path) => Some(with_member(row, path, &|_| Some("null".into()))),
            Mutation::Set(path, json) => Some(with_member(row, path, &|_| Some(json.clone()))),
            Mutation::Replace(text) => Some(text.clone()),
            Mutation::Substitute(from, to) => Some(row.replace(from, to)),
            Mutation::Remove => None,
        }
    }
}

/// The object with the member at `path` changed, dropped or added; order and all else stay.
fn with_member(object: &str, path: &str, change: &dyn Fn(&str) -> Option<String>) -> String {
    let (name, deeper) = match path.split_once('.') {
        Some((name, rest)) => (name, Some(rest)),
        None => (path, None),
    };
    let Some(members) = members(object) else { return object.to_string() };
    let mut out = String::from("{");
    let mut write = |name: &str, value: &str| {
        if !out.ends_with('{') {
            out.push(',');
        }
        json::string(&mut out, name);
        out.push(':');
        out.push_str(value);
    };
    let mut found = false;
    for (key, value) in &members {
        if key != name {
            write(key, value);
            continue;
        }
        found = true;
        match deeper {
            Some(rest) => write(key, &with_member(value, rest, change)),
            None => {
                if let Some(changed) = change(value) {
                    write(key, &changed);
                }
            }
        }
    }
    if !found
        && deeper.is_none()
        && let Some(added) = change("null")
    {
        write(name, &added);
    }
    out.push('}');
    out
}

/// Names and raw values of an object's members, in order, doubles included.
fn members(object: &str) -> Option<Vec<(String, String)>> {
    struct Visitor;
    impl<'de> serde::de::Visitor<'de> for Visitor {
        type Value = Vec<(String, String)>;

        fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            formatter.write_str("an object")
        }

        fn visit_map<A: serde::de::MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut members = Vec::new();
            while let Some((key, value)) = map.next_entry::<String, Box<RawValue>>()? {
                members.push((key, value.get().to_string()));
            }
            Ok(members)
        }
    }
    let mut deserializer = serde_json::Deserializer::from_str(object);
    serde::Deserializer::deserialize_map(&mut deserializer, Visitor).ok()
}
