//! Whether a text, or the bytes of a file, hold somebody's address, however it is written. Pure.
//!
//! `ann@x.org` stands in `joann@x.org` as well, which is somebody else: what is found is told apart by the
//! address of which it is a part.

use aho_corasick::AhoCorasick;
use std::collections::{BTreeSet, HashSet};
use std::io::{self, Read};

use super::people::is_address;
use crate::error::{Error, Kind, Result};

/// Addresses to be looked for.
#[derive(Clone)]
pub(super) struct AddressSearch {
    automaton: AhoCorasick,
    spellings: Vec<String>,
}

/// An address that was found in a text.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found<'t> {
    /// One of those that are looked for.
    Itself,
    /// A longer one, of which one of those is a part.
    Longer(Longer<'t>),
}

/// An address of which one that is looked for is a part.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Longer<'t> {
    whole: &'t [u8],
    /// Bytes of it before that part.
    before: usize,
}

impl AddressSearch {
    /// A search for addresses; none where there is nothing that could be told from other text.
    pub(super) fn of(addresses: &BTreeSet<String>) -> Result<Option<Self>> {
        let addresses = addresses.iter().filter(|address| is_address(address));
        let spellings: BTreeSet<String> = addresses.flat_map(|address| spellings(address)).collect();
        if spellings.is_empty() {
            return Ok(None);
        }
        let spellings: Vec<String> = spellings.into_iter().collect();
        let automaton =
            AhoCorasick::builder().ascii_case_insensitive(true).build(&spellings).map_err(|error| {
                Error::new(Kind::Internal, "could not prepare the search for addresses").because(error)
            })?;
        Ok(Some(AddressSearch { automaton, spellings }))
    }

    /// Everything that is looked for.
    pub(super) fn spellings(&self) -> &[String] {
        &self.spellings
    }

    /// Whether a text holds one of them as a whole.
    pub(super) fn is_in(&self, text: &str) -> bool {
        self.found_in(text).any(|found| found == Found::Itself)
    }

    /// What a text holds of them, one within another included: `o'hara@x.org` must be found where `hara@x.org` is
    /// looked for as well.
    pub(super) fn found_in<'t>(&self, text: &'t str) -> impl Iterator<Item = Found<'t>> {
        let bytes = text.as_bytes();
        self.automaton.find_overlapping_iter(bytes).map(move |part| {
            let (start, end) = (start_of(bytes, part.start()), end_of(bytes, part.end()));
            let whole = &bytes[start..end];
            let is_wanted = |spelling: &String| spelling.as_bytes().eq_ignore_ascii_case(whole);
            if self.spellings.iter().any(is_wanted) {
                Found::Itself
            } else {
                Found::Longer(Longer { whole, before: part.start() - start })
            }
        })
    }

    /// Where, in a stream of bytes, one of them begins and ends.
    pub(super) fn positions_in(&self, bytes: impl Read) -> impl Iterator<Item = io::Result<(u64, u64)>> {
        let found = self.automaton.stream_find_iter(bytes);
        found.map(|part| part.map(|part| (part.start() as u64, part.end() as u64)))
    }
}

/// Addresses of others, of which some that are looked for are a part.
#[derive(Debug, Default, Clone)]
pub(super) struct Others {
    wholes: HashSet<Vec<u8>>,
    /// Bytes before the part and in all, of each of them once.
    extents: BTreeSet<(usize, usize)>,
}

impl Others {
    pub(super) fn add(&mut self, longer: &Longer<'_>) {
        self.wholes.insert(longer.whole.to_ascii_lowercase());
        self.extents.insert((longer.before, longer.whole.len()));
    }

    /// The most bytes that stand before a part, and behind its beginning.
    pub(super) fn reach(&self) -> (usize, usize) {
        let before = self.extents.iter().map(|(before, _)| *before).max().unwrap_or(0);
        let behind = self.extents.iter().map(|(before, all)| all - before).max().unwrap_or(0);
        (before, behind)
    }

    /// Whether what begins at `at` in a piece of a file is a part of one of these.
    pub(super) fn hold(&self, piece: &[u8], at: usize) -> bool {
        self.extents.iter().any(|(before, all)| {
            let whole = at.checked_sub(*before).and_then(|from| piece.get(from..from + all));
            whole.is_some_and(|whole| self.wholes.contains(&whole.to_ascii_lowercase()))
        })
    }
}

/// The ways in which an address is written: as it is, within JSON, within an address of the web.
fn spellings(address: &str) -> Vec<String> {
    let json = serde_json::Value::from(address).to_string();
    let json = json.get(1..json.len() - 1).unwrap_or(&json).to_owned();
    vec![address.to_owned(), json, address.replacen('@', "%40", 1)]
}

/// Where the address begins that goes on at `at`. Less than what the standard allows before the `@`, so that
/// nothing is taken for a part of an address that is none, such as `to=ann@x.org`.
fn start_of(text: &[u8], at: usize) -> usize {
    at - text[..at].iter().rev().take_while(|byte| goes_on(byte)).count()
}

/// Whether the name in an address may go on behind this byte.
pub(super) fn goes_on(byte: &u8) -> bool {
    byte.is_ascii_alphanumeric() || b"._-+".contains(byte) || !byte.is_ascii()
}

/// Where the address ends that goes on until `at`: not at a hyphen or a full stop within the name of a host.
fn end_of(text: &[u8], at: usize) -> usize {
    let is_letter = |byte: &u8| byte.is_ascii_alphanumeric() || !byte.is_ascii();
    let mut end = at;
    loop {
        end += text[end..].iter().take_while(|byte| is_letter(byte)).count();
        match &text[end..] {
            [b'-' | b'.', next, ..] if is_letter(next) => end += 1,
            _ => return end,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn search(addresses: &[&str]) -> AddressSearch {
        let addresses = addresses.iter().map(ToString::to_string).collect();
        AddressSearch::of(&addresses).expect("it can be prepared").expect("there is something to look for")
    }

    /// S-17.
    #[test]
    fn an_address_is_found_however_it_is_written() {
        let search = search(&["Ann@x.org", "o'\"hara\"@x.org"]);
        for text in [
            "ann@x.org",
            "ANN@X.ORG",
            r#"{"to":"ann@x.org"}"#,
            "https://y.org/?to=ann@x.org&z=1",
            "https://y.org/?to=ann%40x.org",
            "write to ann@x.org.",
            "<ann@x.org>,",
            r#"{"to":"o'\"hara\"@x.org"}"#,
        ] {
            assert!(search.is_in(text), "{text}");
        }
    }

    #[test]
    fn a_part_of_somebody_elses_address_is_not_it() {
        let search = search(&["ann@x.org"]);
        for text in
            ["joann@x.org", "j.ann@x.org", "ann@x.org.uk", "ann@x.org-y.net", "éann@x.org", "bob@x.org"]
        {
            assert!(!search.is_in(text), "{text}");
        }
        assert!(search.is_in("joann@x.org ann@x.org"));
        // Both are looked for, and one is a part of the other.
        assert!(super::tests::search(&["ann@x.org", "joann@x.org"]).is_in("joann@x.org"));
    }

    /// S-17.
    #[test]
    fn an_address_is_found_although_another_one_that_is_looked_for_is_a_part_of_it() {
        let search = search(&["o'hara@x.com.au", "hara@x.com", "b@x\""]);
        assert!(search.is_in("<o'hara@x.com.au>"));
        assert!(!search.is_in("hara@x.com.au"));
        assert!(search.is_in(r#"{"to":"b@x\""}"#));
    }

    #[test]
    fn what_is_no_address_is_not_looked_for() {
        let nothing = ["", "ann", "@", "ann@"].map(str::to_owned).into();
        assert!(AddressSearch::of(&nothing).expect("nothing to fail").is_none());
    }

    #[test]
    fn a_place_in_a_file_is_explained_by_the_addresses_of_others() {
        let search = search(&["ann@x.org"]);
        let mut others = Others::default();
        for found in search.found_in("joann@x.org, ann@x.org.uk") {
            match found {
                Found::Longer(longer) => others.add(&longer),
                Found::Itself => panic!("neither is it"),
            }
        }
        assert_eq!(others.reach(), (2, 12));
        // As values stand in a row: one behind the other, with a byte of its header before the first.
        for (piece, explained) in [
            ("\u{1}joann@x.orgJo", true),
            ("AJoAnn@x.orgJo", true),
            ("\u{1}ann@x.org.ukAnn", true),
            ("\u{1}ann@x.orgAnn", false),
            ("ann@x.org", false),
            ("Aann@x.org", false),
        ] {
            let at =
                search.positions_in(piece.as_bytes()).next().expect("it is there").expect("it can be read");
            assert_eq!(others.hold(piece.as_bytes(), at.0 as usize), explained, "{piece}");
        }
    }
}
