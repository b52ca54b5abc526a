//! Text and JSON as Kit sends them, made storable in every engine and equal where they mean the
//! same. U+0000, which PostgreSQL cannot hold, becomes U+2400; a lone surrogate becomes U+FFFD.

use serde_json::value::RawValue;
use std::borrow::Cow;
use std::fmt::Write as _;

use super::record::Record;

/// How deep a JSON value may be nested before its record is refused. Kit's deepest is four.
pub const MAX_DEPTH: usize = 128;

/// What stands for U+0000.
pub(super) const SYMBOL_FOR_NULL: &str = "\u{2400}";

/// The same without words that could be an e-mail address or a URL, which nothing but the tables may show.
pub fn without_addresses(text: &str) -> String {
    let hides = |word: &str| ["@", "%40", "://"].iter().any(|mark| word.contains(mark));
    text.split(' ').map(|word| if hides(word) { "***" } else { word }).collect::<Vec<_>>().join(" ")
}

/// JSON with U+FFFD for every half of a surrogate pair, which no parser takes for text, in names of members as well.
pub fn without_lone_surrogates(json: &str) -> Cow<'_, str> {
    let half = |at: usize| {
        let digits = json.get(at..at + 6)?.strip_prefix("\\u")?;
        u16::from_str_radix(digits, 16).ok().filter(|unit| (0xd800..0xe000).contains(unit))
    };
    let mut clean = String::new();
    let (mut kept, mut at) = (0, 0);
    while let Some(found) = json[at..].find('\\') {
        at += found;
        at += match (half(at), half(at + 6)) {
            (None, _) => 1 + json[at + 1..].chars().next().map_or(0, char::len_utf8),
            (Some(0xd800..0xdc00), Some(0xdc00..)) => 12,
            (Some(_), _) => {
                clean.push_str(&json[kept..at]);
                clean.push_str("\\ufffd");
                kept = at + 6;
                6
            }
        };
    }
    if kept == 0 {
        return Cow::Borrowed(json);
    }
    clean.push_str(&json[kept..]);
    Cow::Owned(clean)
}

/// Decodes a JSON string token, quotes included, that a JSON parser has accepted as well-formed.
/// `None` if the token is not a string.
pub fn decode(token: &str) -> Option<String> {
    let inner = token.trim().strip_prefix('"')?.strip_suffix('"')?;
    if !inner.contains('\\') {
        return Some(inner.to_owned());
    }
    let mut out = String::with_capacity(inner.len());
    let mut rest = inner;
    while let Some(at) = rest.find('\\') {
        out.push_str(&rest[..at]);
        let escape = rest[at + 1..].chars().next()?;
        rest = &rest[at + 1 + escape.len_utf8()..];
        match escape {
            'n' => out.push('\n'),
            'r' => out.push('\r'),
            't' => out.push('\t'),
            'b' => out.push('\u{8}'),
            'f' => out.push('\u{c}'),
            'u' => {
                let unit = unit(rest)?;
                rest = &rest[4..];
                let pair = match unit {
                    0xD800..=0xDBFF => rest.strip_prefix("\\u").and_then(self::unit),
                    _ => None,
                };
                match pair {
                    Some(low @ 0xDC00..=0xDFFF) => {
                        rest = &rest[6..];
                        let code = 0x10000 + ((unit - 0xD800) << 10) + (low - 0xDC00);
                        out.push(char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER));
                    }
                    _ if unit == 0 => out.push_str(SYMBOL_FOR_NULL),
                    _ => out.push(char::from_u32(unit).unwrap_or(char::REPLACEMENT_CHARACTER)),
                }
            }
            other => out.push(other),
        }
    }
    out.push_str(rest);
    Some(out)
}

/// The UTF-16 unit of four hexadecimal digits.
fn unit(digits: &str) -> Option<u32> {
    digits.get(..4).and_then(|four| u32::from_str_radix(four, 16).ok())
}

/// Why a JSON value could not be brought into canonical form.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotCanonical {
    /// Nested deeper than [`MAX_DEPTH`].
    #[error("nested deeper than {MAX_DEPTH}")]
    TooDeep,
    /// Not JSON.
    #[error("not JSON")]
    NotJson,
}

/// The one spelling of a JSON value: members sorted by name (the last of a repeated name wins), no
/// white space, text made storable, numbers as they were written. Two answers that mean the same
/// thus store the same bytes, whatever order Kit sent them in.
///
/// # Errors
/// [`NotCanonical`] if the value is nested too deeply or is not JSON.
pub fn canonical(raw: &RawValue) -> Result<String, NotCanonical> {
    let mut out = String::with_capacity(raw.get().len());
    write_canonical(raw.get(), MAX_DEPTH, &mut out)?;
    Ok(out)
}

fn write_canonical(raw: &str, depth: usize, out: &mut String) -> Result<(), NotCanonical> {
    let depth = depth.checked_sub(1).ok_or(NotCanonical::TooDeep)?;
    match raw.as_bytes().first() {
        Some(b'{') => {
            let record = Record::parse(raw).map_err(|_| NotCanonical::NotJson)?;
            write_object(record.into_sorted().iter().map(|(name, value)| (name.as_ref(), *value)), depth, out)
        }
        Some(b'[') => {
            let items: Vec<&RawValue> = serde_json::from_str(raw).map_err(|_| NotCanonical::NotJson)?;
            out.push('[');
            for (at, item) in items.iter().enumerate() {
                if at > 0 {
                    out.push(',');
                }
                write_canonical(item.get(), depth, out)?;
            }
            out.push(']');
            Ok(())
        }
        Some(b'"') => {
            if raw.contains('\\') {
                write_string(&decode(raw).ok_or(NotCanonical::NotJson)?, out);
            } else {
                out.push_str(raw);
            }
            Ok(())
        }
        Some(_) => {
            out.push_str(raw);
            Ok(())
        }
        None => Err(NotCanonical::NotJson),
    }
}

/// Writes an object of members that are already in order, each value canonical.
fn write_object<'a>(
    members: impl Iterator<Item = (&'a str, &'a RawValue)>,
    depth: usize,
    out: &mut String,
) -> Result<(), NotCanonical> {
    out.push('{');
    for (at, (name, value)) in members.enumerate() {
        if at > 0 {
            out.push(',');
        }
        write_string(name, out);
        out.push(':');
        write_canonical(value.get(), depth, out)?;
    }
    out.push('}');
    Ok(())
}

/// A canonical object of the given members, sorted here; `None` when there are none.
///
/// # Errors
/// As [`canonical`].
pub fn canonical_members(
    mut members: Vec<(Cow<'_, str>, &RawValue)>,
) -> Result<Option<String>, NotCanonical> {
    if members.is_empty() {
        return Ok(None);
    }
    members.sort_by(|a, b| a.0.cmp(&b.0));
    let mut out = String::new();
    write_object(members.iter().map(|(name, value)| (name.as_ref(), *value)), MAX_DEPTH, &mut out)?;
    Ok(Some(out))
}

/// Writes `text` as a JSON string: only what JSON demands is escaped, so equal text has equal bytes.
fn write_string(text: &str, out: &mut String) {
    out.push('"');
    if !text.bytes().any(|byte| byte < 0x20 || byte == b'"' || byte == b'\\') {
        out.push_str(text);
        out.push('"');
        return;
    }
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\0' => out.push_str(SYMBOL_FOR_NULL),
            c if u32::from(c) < 0x20 => {
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lone_surrogate_is_replaced_wherever_it_stands() {
        for (json, clean) in [
            (r#"{"a\ud800":1}"#, r#"{"a\ufffd":1}"#),
            (
                r#"["\udc00x","\uD83C\uDF89","\ud83c\ud83c\udf89"]"#,
                r#"["\ufffdx","\uD83C\uDF89","\ufffd\ud83c\udf89"]"#,
            ),
            (r#""\\ud800""#, r#""\\ud800""#),
            (r#""\ud8""#, r#""\ud8""#),
            ("\"ü\\", "\"ü\\"),
            ("", ""),
        ] {
            assert_eq!(without_lone_surrogates(json), clean);
        }
    }

    use proptest::prelude::*;

    fn canonical_of(json: &str) -> Result<String, NotCanonical> {
        canonical(&RawValue::from_string(json.to_owned()).expect("well-formed"))
    }

    /// P-05.
    #[test]
    fn text_that_an_engine_cannot_hold_is_replaced_and_the_rest_stays() {
        let cases = [
            (r#""plain""#, "plain"),
            (r#""a\u0000b""#, "a\u{2400}b"),
            (r#""\ud800""#, "\u{fffd}"),
            (r#""\ud800x\udc00""#, "\u{fffd}x\u{fffd}"),
            (r#""\ud83c\udf89""#, "🎉"),
            (r#""\ud83c\u0041""#, "\u{fffd}A"),
            (r#""line\r\n\t\"q\" \\ \/""#, "line\r\n\t\"q\" \\ /"),
            (r#""שלום é 林""#, "שלום é 林"),
        ];
        for (token, text) in cases {
            assert_eq!(decode(token).as_deref(), Some(text), "{token}");
        }
    }

    #[test]
    fn json_that_means_the_same_has_the_same_bytes() {
        let one = canonical_of(r#"{ "b": [1, {"y": null, "x": "\u00e9"}], "a": 0.10 }"#).unwrap();
        let other = canonical_of(r#"{"a":0.10,"b":[1,{"x":"é","y":null}]}"#).unwrap();
        assert_eq!(one, other);
        assert_eq!(one, r#"{"a":0.10,"b":[1,{"x":"é","y":null}]}"#);
    }

    /// P-01.
    #[test]
    fn the_last_of_a_repeated_member_wins() {
        assert_eq!(canonical_of(r#"{"a":1,"b":2,"a":3}"#).unwrap(), r#"{"a":3,"b":2}"#);
    }

    /// P-08.
    #[test]
    fn a_value_nested_beyond_reason_is_refused_without_touching_the_stack() {
        let deep = format!("{}{}", "[".repeat(10_000), "]".repeat(10_000));
        assert_eq!(canonical_of(&deep), Err(NotCanonical::TooDeep));
    }

    proptest! {
        #[test]
        fn any_text_comes_back_as_it_went_in(text in any::<String>()) {
            let token = serde_json::to_string(&text).unwrap();
            prop_assert_eq!(decode(&token), Some(text.replace('\0', "\u{2400}")));
        }

        /// S-10: wherever it stands, and whatever stands around it.
        #[test]
        fn no_address_survives_and_no_other_word_is_lost(
            before in any::<String>(), after in any::<String>(), name in "[a-zA-Z0-9.+_'-]{1,20}", host in "[a-z0-9.-]{1,20}",
            at in prop_oneof![Just("@"), Just("%40")], glue in prop_oneof![Just(" "), Just("\n"), Just("<"), Just("")],
        ) {
            let address = format!("{name}{at}{host}");
            let text = format!("{before}{glue}{address}{glue}{after}");
            let safe = without_addresses(&text);
            prop_assert!(!safe.contains(&address) && !safe.contains('@') && !safe.contains("://"), "{}", safe);
            let kept = text.split(' ').filter(|word| !["@", "%40", "://"].iter().any(|mark| word.contains(mark)));
            prop_assert!(kept.eq(safe.split(' ').filter(|word| *word != "***")) || text.contains("***"));
        }

        #[test]
        fn canonical_form_is_a_fixed_point(text in any::<String>(), number in any::<i64>()) {
            let json = serde_json::json!({"t": text, "n": number, "l": [number, text]}).to_string();
            let once = canonical_of(&json).unwrap();
            prop_assert_eq!(canonical_of(&once).unwrap(), once);
        }
    }
}
