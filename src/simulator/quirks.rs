//! The odd but storable values of a nasty account: texts, members and numbers that break a careless
//! reader. Poison, which nobody could store, is not here: faults make it on the way out.

/// Stands for a lone surrogate, which a Rust string cannot hold; JSON shows it as `\ud800`.
pub(super) const LONE_SURROGATE: char = '\u{10FFFD}';

/// One row in so many is odd.
const EVERY: u64 = 8;
/// Bytes of the longest name.
const LONGEST_NAME: usize = 1 << 20;

/// What is odd about a base row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Quirk {
    /// Nothing.
    None,
    /// The name is one of [`ODD_TEXTS`].
    OddName(usize),
    /// The name is 1 MiB long.
    LongestName,
    /// The address is an unusual one.
    OddAddress,
    /// Custom fields with keys and values out of the ordinary.
    OddFields,
    /// 140 custom fields.
    ManyFields,
    /// Members that the documents do not mention.
    UnknownMembers,
    /// The members in reverse order.
    Reordered,
    /// A member twice; the last one counts.
    Duplicates,
    /// v3 writes the id as a string.
    IdAsText,
    /// Times with milliseconds.
    Milliseconds,
    /// Times with microseconds.
    Microseconds,
    /// A state nobody has heard of.
    UnknownState,
    /// No custom fields at all.
    NoFields,
}

impl Quirk {
    /// Row 5 has the longest name; of the others every eighth is odd, each kind in turn.
    pub(super) fn by_rule(index: u64) -> Quirk {
        if index == 5 {
            return Quirk::LongestName;
        }
        if index % EVERY != 3 {
            return Quirk::None;
        }
        let turn = index / EVERY;
        match turn % 12 {
            0 => Quirk::OddFields,
            1 => Quirk::UnknownMembers,
            2 => Quirk::Reordered,
            3 => Quirk::Duplicates,
            4 => Quirk::IdAsText,
            5 => Quirk::Milliseconds,
            6 => Quirk::Microseconds,
            7 => Quirk::UnknownState,
            8 => Quirk::NoFields,
            9 => Quirk::OddAddress,
            10 if turn == 10 => Quirk::ManyFields,
            _ => Quirk::OddName((turn / 12 * 2 + turn % 2) as usize % ODD_TEXTS.len()),
        }
    }

    /// The microseconds that its times show beyond the whole second.
    pub(super) fn microseconds(self) -> Option<u32> {
        match self {
            Quirk::Milliseconds => Some(913_000),
            Quirk::Microseconds => Some(999_999),
            _ => None,
        }
    }
}

/// Texts that people, importers and attackers put into names.
pub(super) const ODD_TEXTS: &[&str] = &[
    "",
    "👩‍👩‍👧‍👦 Ana 🎉",
    "Jose\u{301}",
    "José",
    "\u{202e}evil\u{202c}",
    "مرحبا بالعالم",
    "a\u{200b}b\u{200d}c\u{feff}",
    "O'Neil \"Bob\" \\ Back",
    "'; DROP TABLE subscribers; --",
    "line\nbreak",
    "carriage\r\nreturn",
    "tab\there",
    "nul\0inside",
    "\0",
    "lone\u{10FFFD}surrogate",
    "\u{1b}[31mred\u{1b}[0m\u{7}",
    "𝒵𝓊𝓏𝒶𝓃𝓃𝒶",
    "林",
    "null",
    "NULL",
    "true",
    "007",
    " leading and trailing ",
    "%s%n%x {{ subscriber.first_name }} ${jndi:ldap://x}",
    "<script>alert(1)</script>&amp;",
    "=1+1",
    "\\N",
    "a,b;c|d",
    "ﬁ ß İ ı ſ",
    "\u{e000}\u{fffe}",
];

/// Keys of custom fields that are nobody's column names, or too much like somebody's.
pub(super) const ODD_KEYS: &[&str] = &[
    "quo\"te",
    "apo'strophe",
    "do.t",
    "\"; DROP TABLE subscribers; --",
    "with space",
    "Name",
    "name",
    "náme",
    "name ",
    "id",
    "email_address",
    "created_at",
    "_deleted_at",
    "",
    "$.path[0]",
    "back\\slash",
];

/// The 1 MiB name.
pub(super) fn longest_name() -> String {
    "Ünïcødé "
        .chars()
        .cycle()
        .scan(0, |bytes, c| {
            *bytes += c.len_utf8();
            (*bytes <= LONGEST_NAME).then_some(c)
        })
        .collect()
}

/// A key of 300 characters.
pub(super) fn long_key() -> String {
    "k".repeat(300)
}

/// The text as a reader without lone surrogates sees it.
pub(super) fn readable(text: &str) -> String {
    text.replace(LONE_SURROGATE, "\u{FFFD}")
}
