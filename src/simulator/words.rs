//! Names, addresses and custom field values of base rows, from seed and index alone.

use std::borrow::Cow;

use super::base::Base;
use super::json;
use super::quirks::{self, ODD_TEXTS, Quirk};

const FIRST_NAMES: [&str; 32] = [
    "Ines", "Bart", "Zoë", "Omar", "Lin", "Petra", "Kofi", "Maya", "Jonas", "Aiko", "Luca", "Noor", "Emil",
    "Rosa", "Tariq", "Freya", "Diego", "Hana", "Viktor", "Amara", "Sven", "Priya", "Hugo", "Leila", "Anton",
    "Clara", "Mateo", "Sofia", "Ravi", "Elsa", "Nils", "Tess",
];
const LAST_NAMES: [&str; 16] = [
    "Okafor",
    "Lindqvist",
    "Moreau",
    "Tanaka",
    "Silva",
    "Novak",
    "Haddad",
    "Fischer",
    "Rossi",
    "Larsen",
    "Patel",
    "Costa",
    "Ivanov",
    "Mensah",
    "Quinn",
    "O'Neil",
];
const COMPANIES: [&str; 8] = [
    "Alder & Finch",
    "Northwind",
    "Blue Heron Press",
    "Müller GmbH",
    "Studio 54 \"Annex\"",
    "Kite & Co.",
    "Paper/Scissors",
    "Ferns",
];
const DOMAINS: [&str; 4] = ["example.com", "example.org", "example.net", "mail.example"];

/// The first name; a twelfth of people did not give one.
pub(super) fn first_name(base: &Base, index: u64) -> Option<Cow<'static, str>> {
    match base.quirk(index) {
        Quirk::OddName(which) => return Some(Cow::Borrowed(ODD_TEXTS[which])),
        Quirk::LongestName => return Some(Cow::Owned(quirks::longest_name())),
        _ => {}
    }
    let dice = base.dice(index, 2);
    (!dice.is_multiple_of(12)).then(|| Cow::Borrowed(FIRST_NAMES[(dice >> 8) as usize % FIRST_NAMES.len()]))
}

/// Appends the address: unique, because the index is in it.
pub(super) fn write_address(base: &Base, index: u64, out: &mut String) {
    let dice = base.dice(index, 3) as usize;
    if base.quirk(index) == Quirk::OddAddress {
        out.push_str("o'brien+\"tag\"/用户.");
        json::integer(out, index as i64);
        out.push_str("@bücher.example");
        return;
    }
    for c in FIRST_NAMES[dice % FIRST_NAMES.len()].chars().filter(char::is_ascii) {
        out.push(c.to_ascii_lowercase());
    }
    out.push('.');
    json::integer(out, index as i64);
    out.push('@');
    out.push_str(DOMAINS[(dice >> 8) % DOMAINS.len()]);
}

/// The base row with that address, if the rule still holds for it.
pub(super) fn index_of_address(base: &Base, address: &str) -> Option<u64> {
    let (local, _) = address.rsplit_once('@')?;
    let index: u64 = local.rsplit_once('.')?.1.parse().ok()?;
    if index >= base.count {
        return None;
    }
    let mut expected = String::new();
    write_address(base, index, &mut expected);
    (expected == address).then_some(index)
}

/// The value of the `ordinal`-th custom field; a third of them are not set.
pub(super) fn field_value(base: &Base, index: u64, ordinal: u64) -> Option<Cow<'static, str>> {
    let dice = base.dice(index, 10 + ordinal);
    let pick = (dice >> 8) as usize;
    match (dice % 6, ordinal) {
        (0 | 1, _) => None,
        (2, 1) => Some(Cow::Borrowed("")),
        (_, 0) => Some(Cow::Borrowed(LAST_NAMES[pick % LAST_NAMES.len()])),
        (_, 1) => Some(Cow::Borrowed(COMPANIES[pick % COMPANIES.len()])),
        _ => Some(Cow::Owned((pick % 1000).to_string())),
    }
}
