//! One function per kind of value: from a raw value of any source to a checked, typed one.
//!
//! Each knows its own value only; the rules between keys are in `settings`.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::net::SocketAddr;
use std::time::Duration;

use chrono_tz::{TZ_VARIANTS, Tz};
use config::{Value, ValueKind};

use super::cron::Cron;
use super::kit_url;
use super::problem::{Invalid, unknown};
use super::secret::Secret;
use super::{LogFormat, LogLevel};

/// Kit's lists lag up to five minutes behind at the 99th percentile; twice that is the least that is not a
/// mistake.
const MIN_OVERLAP: Duration = Duration::from_secs(10 * 60);
/// Above a year an incremental pass is a full load in disguise; dates stay far from their limits, too.
const MAX_OVERLAP: Duration = Duration::from_secs(366 * 24 * 60 * 60);
/// What waits longer than a day is not what was promised.
const A_DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// A century, which is `never` for most; keeps date arithmetic far from its limits.
const MAX_PURGE_AFTER: Duration = Duration::from_secs(36_525 * 24 * 60 * 60);

/// How a setting is turned off.
pub(super) const NEVER: &str = "never";
pub(super) const OFF: &str = "off";

pub(super) const LEVELS: [LogLevel; 5] =
    [LogLevel::Error, LogLevel::Warn, LogLevel::Info, LogLevel::Debug, LogLevel::Trace];

pub(super) const FORMATS: [LogFormat; 2] = [LogFormat::Text, LogFormat::Json];

/// The text of a value. The message says the kind that was found, not the value: it may be a secret.
pub(super) fn text(value: &Value) -> Result<&str, Invalid> {
    match &value.kind {
        ValueKind::String(text) => Ok(text),
        other => Err(Invalid::new(format!("is {}", kind_name(other)), "text in quotes")),
    }
}

/// A whole number, which in the environment is written as text.
pub(super) fn integer(value: &Value) -> Result<i64, Invalid> {
    match &value.kind {
        ValueKind::I64(number) => Ok(*number),
        ValueKind::String(text) => text
            .trim()
            .parse()
            .map_err(|_| Invalid::value(text, "is not a whole number", "digits, such as `60`")),
        other => Err(Invalid::new(format!("is {}", kind_name(other)), "a whole number, such as `60`")),
    }
}

fn kind_name(kind: &ValueKind) -> &'static str {
    match kind {
        ValueKind::Nil => "nothing",
        ValueKind::Boolean(_) => "true or false",
        ValueKind::I64(_) | ValueKind::I128(_) | ValueKind::U64(_) | ValueKind::U128(_) => "a number",
        ValueKind::Float(_) => "a fraction",
        ValueKind::String(_) => "text",
        ValueKind::Table(_) => "a table",
        ValueKind::Array(_) => "a list",
    }
}

/// None for the word that turns a setting off, else what `parse` makes of it.
pub(super) fn unless<T>(
    word: &str,
    text: &str,
    parse: impl FnOnce(&str) -> Result<T, Invalid>,
) -> Result<Option<T>, Invalid> {
    if text.trim() == word {
        return Ok(None);
    }
    parse(text)
        .map(Some)
        .map_err(|invalid| Invalid::new(invalid.wrong, format!("{}; or `{word}`", invalid.allowed)))
}

pub(super) fn one_of<T: Copy + Display>(value: &Value, choices: &[T]) -> Result<T, Invalid> {
    let text = text(value)?;
    let names: Vec<String> = choices.iter().map(T::to_string).collect();
    match names.iter().position(|name| text.trim().eq_ignore_ascii_case(name)) {
        Some(index) => Ok(choices[index]),
        None => Err(Invalid::value(text, "is unknown", names.join(", "))),
    }
}

/// The name of a zone, as the IANA database spells it.
pub(super) fn timezone(text: &str) -> Result<Tz, Invalid> {
    let name = text.trim();
    name.parse().map_err(|_| {
        // A known name in other letters is what people mistype most.
        let meant = TZ_VARIANTS.iter().find(|zone| zone.name().eq_ignore_ascii_case(name));
        let wrong = meant.map_or("is no time zone".to_owned(), |zone| {
            format!("is no time zone; did you mean `{}`?", zone.name())
        });
        Invalid::value(text, &wrong, "`UTC`, or a name such as `Europe/Berlin`")
    })
}

/// An address to be called by GET. The messages do not repeat it: its path is often a secret.
pub(super) fn heartbeat(text: &str) -> Result<Secret, Invalid> {
    let allowed = "an https:// URL, or an http:// URL on this machine";
    let invalid = |wrong: &str| Invalid::new(wrong, allowed);
    if text.chars().any(|c| c.is_control() || c.is_whitespace()) {
        return Err(invalid("has a blank or a control character in it"));
    }
    let (scheme, rest) = text.split_once("://").ok_or_else(|| invalid("is not a URL"))?;
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default().to_ascii_lowercase();
    if authority.contains('@') {
        return Err(invalid("has a user or password before the host"));
    }
    let host = kit_url::host(&authority).ok_or_else(|| invalid("has no valid host and port"))?;
    let scheme = scheme.to_ascii_lowercase();
    match scheme.as_str() {
        "https" => Ok(Secret::new(format!("{scheme}://{rest}"))),
        "http" if host.is_loopback() => Ok(Secret::new(format!("{scheme}://{rest}"))),
        "http" => Err(invalid("is plain http to another machine")),
        _ => Err(invalid("begins with neither https:// nor http://")),
    }
}

fn duration(text: &str, allowed: &str) -> Result<Duration, Invalid> {
    let parsed = humantime::parse_duration(text.trim());
    parsed.map_err(|_| Invalid::value(text, "is not a duration with its unit", allowed))
}

pub(super) fn overlap(text: &str) -> Result<Duration, Invalid> {
    let allowed = "10 minutes to 366 days, such as `24h`";
    match duration(text, allowed)? {
        short if short < MIN_OVERLAP => {
            Err(Invalid::value(text, "is too short: Kit shows some rows only minutes later", allowed))
        }
        long if long > MAX_OVERLAP => Err(Invalid::value(text, "is too long", allowed)),
        fitting => Ok(fitting),
    }
}

pub(super) fn up_to_a_day(text: &str) -> Result<Duration, Invalid> {
    let allowed = "a duration up to a day, such as `10m`";
    match duration(text, allowed)? {
        long if long > A_DAY => Err(Invalid::value(text, "is too long", allowed)),
        fitting => Ok(fitting),
    }
}

pub(super) fn purge_after(text: &str) -> Result<Duration, Invalid> {
    let allowed = "a duration up to 36525 days, such as `30d`";
    match duration(text, allowed)? {
        long if long > MAX_PURGE_AFTER => Err(Invalid::value(text, "is too long", allowed)),
        fitting => Ok(fitting),
    }
}

pub(super) fn address(text: &str) -> Result<SocketAddr, Invalid> {
    text.trim().parse().map_err(|_| {
        let allowed = "an address and a port, such as `127.0.0.1:9420` or `[::]:9420`";
        Invalid::value(text, "is not an address with a port", allowed)
    })
}

/// A schema's name stands in SQL as it is, so only what needs no quoting is allowed.
pub(super) fn schema_name(text: &str) -> Result<String, Invalid> {
    /// Postgres allows 63 bytes; half of it leaves room for prefixes and is enough for people.
    const MAX_BYTES: usize = 31;
    let starts = text.starts_with(|c: char| c.is_ascii_lowercase() || c == '_');
    let fits = text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
    if starts && fits && text.len() <= MAX_BYTES {
        return Ok(text.to_owned());
    }
    let allowed = "lower-case letters, digits and `_`, not a digit first, up to 31 characters";
    Err(Invalid::value(text, "is no schema name we accept", allowed))
}

/// A list of objects, or their names with commas between, in the order of running and each once.
pub(super) fn objects(value: &Value, known: &[&str]) -> Result<Vec<String>, Vec<Invalid>> {
    let names: Vec<&str> = match &value.kind {
        ValueKind::Array(values) => values.iter().map(text).collect::<Result<_, _>>()?,
        ValueKind::String(list) => list.split(',').map(str::trim).filter(|name| !name.is_empty()).collect(),
        other => {
            let wrong = format!("is {}", kind_name(other));
            return Err(Invalid::new(wrong, "a list of names, such as `[\"tags\", \"forms\"]`").into());
        }
    };
    if names.is_empty() {
        return Err(Invalid::new("is empty", "at least one object; leave the key out for all").into());
    }
    let (chosen, unknown) = partition(names.into_iter().map(|name| object_name(name, known)));
    if !unknown.is_empty() {
        return Err(unknown);
    }
    Ok(known.iter().filter(|name| chosen.contains(name)).map(|&name| name.to_owned()).collect())
}

/// A table of cron entries by object, or `tags=*/5 * * * *;forms=…`.
pub(super) fn object_schedules(
    value: &Value,
    known: &[&str],
) -> Result<BTreeMap<String, Cron>, Vec<Invalid>> {
    let allowed = "an object and its cron entry, such as `tags = \"*/5 * * * *\"`";
    let entries: Vec<Result<(&str, &str), Invalid>> = match &value.kind {
        ValueKind::Table(table) => {
            table.iter().map(|(name, entry)| Ok((name.as_str(), text(entry)?))).collect()
        }
        ValueKind::String(list) => list
            .split(';')
            .filter(|entry| !entry.trim().is_empty())
            .map(|entry| {
                entry.split_once('=').ok_or_else(|| Invalid::value(entry.trim(), "has no `=`", allowed))
            })
            .collect(),
        other => return Err(Invalid::new(format!("is {}", kind_name(other)), allowed).into()),
    };
    let (entries, mut invalid) = partition(entries.into_iter());
    let mut schedules = BTreeMap::new();
    for (name, entry) in entries {
        let (name, entry) = match (object_name(name.trim(), known), Cron::parse(entry)) {
            (Ok(name), Ok(entry)) => (name, entry),
            (name, entry) => {
                invalid.extend(name.err().into_iter().chain(entry.err()));
                continue;
            }
        };
        if schedules.insert(name.to_owned(), entry).is_some() {
            invalid.push(Invalid::value(name, "is there twice", "one cron entry per object"));
        }
    }
    // A table comes in no certain order; people should see the same list twice.
    invalid.sort_by(|a, b| a.wrong.cmp(&b.wrong));
    if invalid.is_empty() { Ok(schedules) } else { Err(invalid) }
}

/// Finds an object by our name (`form_subscriptions`) or by Kit's (`FormSubscriptions`).
fn object_name<'k>(name: &str, known: &[&'k str]) -> Result<&'k str, Invalid> {
    let ours = snake_case(name);
    let found = known.iter().find(|known| **known == ours).copied();
    found.ok_or_else(|| Invalid::value(name, &unknown("is no object", &ours, known), known.join(", ")))
}

fn snake_case(name: &str) -> String {
    let mut snake = String::new();
    for c in name.chars() {
        if c.is_ascii_uppercase() && !snake.is_empty() {
            snake.push('_');
        }
        snake.push(c.to_ascii_lowercase());
    }
    snake
}

fn partition<T, E>(results: impl Iterator<Item = Result<T, E>>) -> (Vec<T>, Vec<E>) {
    let (mut good, mut bad) = (Vec::new(), Vec::new());
    for result in results {
        match result {
            Ok(value) => good.push(value),
            Err(error) => bad.push(error),
        }
    }
    (good, bad)
}
