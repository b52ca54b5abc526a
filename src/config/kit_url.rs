//! The base URL of the Kit API: what it may look like, and what it says about version and host.
//!
//! The credential goes wherever this URL points, so it is read strictly: what a lenient parser would repair
//! (`\` for `/`, `127.1` for `127.0.0.1`) is refused here, and cannot mean another host later.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::problem::Invalid;

pub(super) const V3_DEFAULT: &str = "https://api.convertkit.com/v3";
pub(super) const V4_DEFAULT: &str = "https://api.kit.com/v4";

/// A checked base URL.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct KitUrl {
    /// Without a slash at the end.
    pub(super) text: String,
    pub(super) version: Version,
    /// Whether the host is this machine: a simulator, without secrets to protect or limits to keep.
    pub(super) loopback: bool,
}

/// The API version a base URL ends with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Version {
    V3,
    V4,
}

impl KitUrl {
    /// Reads a base URL. The messages do not repeat it: people paste URLs with a key in the query.
    pub(super) fn parse(text: &str) -> Result<Self, Invalid> {
        let invalid = |wrong: &str| {
            Invalid::new(
                wrong,
                format!(
                    "a base URL that ends with /v3 or /v4, such as `{V4_DEFAULT}` or `http://127.0.0.1:8787/v4`"
                ),
            )
        };
        let (scheme, rest) = text.split_once("://").ok_or_else(|| invalid("is not a URL"))?;
        let plain = match scheme.to_ascii_lowercase().as_str() {
            "https" => false,
            "http" => true,
            _ => return Err(invalid("begins with neither https:// nor http://")),
        };
        if rest.contains('@') {
            return Err(invalid("has a user or password before the host"));
        }
        if rest.contains(['?', '#']) {
            return Err(invalid("has a query or fragment"));
        }
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let authority = authority.to_ascii_lowercase();
        let loopback = host(&authority).ok_or_else(|| invalid("has no valid host and port"))?.is_loopback();
        if plain && !loopback {
            return Err(invalid("is plain http, which would send the key readably to another machine"));
        }
        let path = path.trim_end_matches('/');
        if !path.split('/').skip(1).all(is_segment) {
            return Err(invalid("has an odd path"));
        }
        let version = match path.rsplit('/').next() {
            Some("v3") => Version::V3,
            Some("v4") => Version::V4,
            _ => return Err(invalid("does not end with the API version")),
        };
        let scheme = if plain { "http" } else { "https" };
        Ok(KitUrl { text: format!("{scheme}://{authority}{path}"), version, loopback })
    }
}

/// A host in a URL, as far as its kind matters here.
pub(super) enum Host {
    Name(String),
    V4(Ipv4Addr),
    V6(Ipv6Addr),
}

impl Host {
    pub(super) fn is_loopback(&self) -> bool {
        match self {
            Host::Name(name) => name == "localhost",
            Host::V4(address) => address.is_loopback(),
            Host::V6(address) => address.is_loopback(),
        }
    }
}

/// Reads `host`, `host:port`, `[::1]` or `[::1]:port`.
pub(super) fn host(authority: &str) -> Option<Host> {
    let (host, port) = if let Some(rest) = authority.strip_prefix('[') {
        let (address, port) = rest.split_once(']')?;
        (Host::V6(address.parse().ok()?), port)
    } else {
        let (name, port) = authority.split_at(authority.find(':').unwrap_or(authority.len()));
        (name_or_v4(name)?, port)
    };
    if !port.is_empty() {
        let digits = port.strip_prefix(':').filter(|digits| digits.bytes().all(|b| b.is_ascii_digit()))?;
        digits.parse::<u16>().ok().filter(|number| *number > 0)?;
    }
    Some(host)
}

fn name_or_v4(name: &str) -> Option<Host> {
    if let Ok(address) = name.parse() {
        return Some(Host::V4(address));
    }
    let labels_fit = name.split('.').all(|label| {
        !label.is_empty() && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
    });
    // A last label of digits (or 0x…) is another spelling of an address, not a name.
    let last = name.rsplit('.').next()?;
    let is_number = last.starts_with("0x") || last.bytes().all(|b| b.is_ascii_digit());
    (labels_fit && !is_number).then(|| Host::Name(name.to_owned()))
}

fn is_segment(segment: &str) -> bool {
    !matches!(segment, "" | "." | "..")
        && segment.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_' | b'~'))
}
