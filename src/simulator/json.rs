//! JSON written straight into a text: a page of a thousand rows is made without a tree of values.

use chrono::{DateTime, Utc};

use super::quirks::LONE_SURROGATE;

/// Writes `text` as a JSON string.
pub(super) fn string(out: &mut String, text: &str) {
    out.push('"');
    // 0xF4 begins the stand-in for a lone surrogate. One look at the bytes spares most texts the rest.
    if !text.bytes().any(|byte| byte < 0x20 || matches!(byte, b'"' | b'\\' | 0xF4)) {
        out.push_str(text);
        out.push('"');
        return;
    }
    let mut plain_from = 0;
    for (at, c) in text.char_indices() {
        let escape: Option<&str> = match c {
            '"' => Some("\\\""),
            '\\' => Some("\\\\"),
            '\n' => Some("\\n"),
            '\r' => Some("\\r"),
            '\t' => Some("\\t"),
            LONE_SURROGATE => Some("\\ud800"),
            c if (c as u32) < 0x20 => None,
            _ => continue,
        };
        out.push_str(&text[plain_from..at]);
        match escape {
            Some(escape) => out.push_str(escape),
            None => {
                out.push_str("\\u00");
                hex(out, c as u8);
            }
        }
        plain_from = at + c.len_utf8();
    }
    out.push_str(&text[plain_from..]);
    out.push('"');
}

/// Writes a text, or `null`.
pub(super) fn optional(out: &mut String, text: Option<&str>) {
    match text {
        Some(text) => string(out, text),
        None => out.push_str("null"),
    }
}

/// Writes `,"name":`, without the comma behind an opening brace.
pub(super) fn key(out: &mut String, name: &str) {
    if !out.ends_with('{') {
        out.push(',');
    }
    out.push('"');
    out.push_str(name);
    out.push_str("\":");
}

/// Writes a member whose value is a text or `null`.
pub(super) fn text_member(out: &mut String, name: &str, value: Option<&str>) {
    key(out, name);
    optional(out, value);
}

/// Writes a member whose value is a number.
pub(super) fn integer_member(out: &mut String, name: &str, value: i64) {
    key(out, name);
    integer(out, value);
}

/// Writes a member whose value is true or false.
pub(super) fn bool_member(out: &mut String, name: &str, value: bool) {
    key(out, name);
    out.push_str(if value { "true" } else { "false" });
}

/// Writes a member whose value is a time in whole seconds, or `null`.
pub(super) fn time_member(out: &mut String, name: &str, value: Option<i64>) {
    key(out, name);
    match value {
        Some(seconds) => time(out, seconds, None),
        None => out.push_str("null"),
    }
}

/// Writes a member whose value is JSON already.
pub(super) fn raw_member(out: &mut String, name: &str, json: &str) {
    key(out, name);
    out.push_str(json);
}

/// Writes a decimal number.
pub(super) fn integer(out: &mut String, value: i64) {
    let mut digits = [0u8; 20];
    let mut start = digits.len();
    let mut rest = value.unsigned_abs();
    loop {
        start -= 1;
        digits[start] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    if value < 0 {
        out.push('-');
    }
    out.push_str(str::from_utf8(&digits[start..]).expect("digits are ASCII"));
}

/// Writes a quoted UTC time, with the given microseconds if there are any: `.913` or `.999999`.
pub(super) fn time(out: &mut String, seconds: i64, microseconds: Option<u32>) {
    out.push('"');
    let (year, month, day) = civil(seconds.div_euclid(86_400));
    let second = seconds.rem_euclid(86_400);
    if (0..=9999).contains(&year) {
        padded(out, year as u32, 4);
    } else {
        integer(out, year);
    }
    for (mark, part, width) in [
        ('-', month, 2),
        ('-', day, 2),
        ('T', (second / 3600) as u32, 2),
        (':', (second / 60 % 60) as u32, 2),
        (':', (second % 60) as u32, 2),
    ] {
        out.push(mark);
        padded(out, part, width);
    }
    if let Some(microseconds) = microseconds {
        out.push('.');
        match microseconds % 1000 {
            0 => padded(out, microseconds / 1000, 3),
            _ => padded(out, microseconds, 6),
        }
    }
    out.push_str("Z\"");
}

/// The instant of a whole second.
pub(super) fn instant(seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(seconds, 0).unwrap_or_default()
}

fn padded(out: &mut String, value: u32, width: usize) {
    let mut digits = [0u8; 6];
    let mut rest = value;
    for digit in digits[..width].iter_mut().rev() {
        *digit = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
    out.push_str(str::from_utf8(&digits[..width]).expect("digits are ASCII"));
}

fn hex(out: &mut String, byte: u8) {
    for nibble in [byte >> 4, byte & 15] {
        out.push(char::from(b"0123456789abcdef"[nibble as usize]));
    }
}

/// Year, month and day of a day counted from 1970-01-01 (Howard Hinnant's algorithm).
fn civil(days: i64) -> (i64, u32, u32) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_shifted + 2) / 5 + 1;
    let month = if month_shifted < 10 { month_shifted + 3 } else { month_shifted - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month as u32, day as u32)
}
