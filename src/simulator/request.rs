//! A request taken apart: version, path, query, and who is asking.

use super::answer::Failure;
use super::plan::Credentials;

/// The two faces of the API.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Version {
    /// Page numbers, secrets in the query.
    V3,
    /// Cursors, secrets in headers.
    V4,
}

/// How a request proved who it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Credential {
    /// v3 `api_secret`.
    V3Secret,
    /// v3 `api_key`.
    V3Key,
    /// v4 `X-Kit-Api-Key`.
    V4Key,
    /// v4 bearer token.
    Token,
    /// It did not.
    None,
}

impl Credential {
    /// Requests in any rolling minute that Kit allows.
    pub fn usual_limit(self) -> u32 {
        if self == Credential::Token { 600 } else { 120 }
    }
}

/// What a face has to answer.
#[derive(Debug, Clone)]
pub(super) struct Asked {
    pub(super) version: Version,
    /// Behind the version: `subscribers`, `tags/17/subscribers`.
    pub(super) path: String,
    pub(super) query: Query,
    pub(super) credential: Credential,
}

impl Asked {
    /// Takes a path with its query apart; nothing if it belongs to neither version.
    pub(super) fn parse(path: &str, query: &str) -> Option<Self> {
        let path = path.trim_start_matches('/');
        let (version, rest) = path.split_once('/').unwrap_or((path, ""));
        let version = match version {
            "v3" => Version::V3,
            "v4" => Version::V4,
            _ => return None,
        };
        let path = decoded(rest.trim_end_matches('/'));
        Some(Self { version, path, query: Query::parse(query), credential: Credential::None })
    }
}

/// The parameters of a query, decoded; the last of equal names counts.
#[derive(Debug, Clone, Default)]
pub(super) struct Query(Vec<(String, String)>);

impl Query {
    pub(super) fn parse(query: &str) -> Self {
        let pairs = query.split('&').filter(|pair| !pair.is_empty()).map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decoded(name), decoded(value))
        });
        Self(pairs.collect())
    }

    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().rev().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    pub(super) fn is_true(&self, name: &str) -> bool {
        matches!(self.get(name), Some("true" | "1"))
    }

    pub(super) fn set(&mut self, name: &str, value: Option<String>) {
        self.0.retain(|(key, _)| key != name);
        self.0.extend(value.map(|value| (name.to_string(), value)));
    }
}

/// Percent-decodes; `+` is a space, as in every form encoding.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let escaped = after.get(..2).filter(|_| *first == b'%');
        let byte = escaped.and_then(|hex| u8::from_str_radix(std::str::from_utf8(hex).ok()?, 16).ok());
        rest = if byte.is_some() { &after[2..] } else { after };
        bytes.push(byte.unwrap_or(if *first == b'+' { b' ' } else { *first }));
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Who is asking, judged by what v3 puts into the query and v4 into headers.
pub(super) fn authenticate<'h>(
    asked: &Asked,
    accepted: &Credentials,
    header: impl Fn(&str) -> Option<&'h str>,
) -> Result<Credential, Failure> {
    match asked.version {
        Version::V3 => authenticate_v3(asked, accepted),
        Version::V4 => {
            let bearer = header("authorization").and_then(|value| value.strip_prefix("Bearer "));
            match (header("x-kit-api-key"), bearer) {
                (Some(key), _) if key == accepted.v4_key => Ok(Credential::V4Key),
                (_, Some(token)) if token == accepted.access_token => Ok(Credential::Token),
                (None, None) => Err(Failure::v4(401, "Authentication Failed")),
                _ => Err(Failure::v4(401, "The access token is invalid")),
            }
        }
    }
}

fn authenticate_v3(asked: &Asked, accepted: &Credentials) -> Result<Credential, Failure> {
    let refused = |message| Err(Failure::v3(401, "Authorization Failed", message));
    let (secret, key) = (asked.query.get("api_secret"), asked.query.get("api_key"));
    match (secret, key) {
        (None | Some(""), None | Some("")) => refused("API Key not present"),
        (Some(secret), _) if secret == accepted.v3_secret => Ok(Credential::V3Secret),
        (_, Some(key)) if key == accepted.v3_key => match key_is_enough(&asked.path) {
            true => Ok(Credential::V3Key),
            false => refused("You do not have sufficient permissions to access this resource"),
        },
        _ => refused("API Key not valid"),
    }
}

/// v3 lists that show nothing personal.
fn key_is_enough(path: &str) -> bool {
    matches!(path, "forms" | "sequences" | "courses" | "tags" | "custom_fields")
        || path.starts_with("subscribers/") && path.ends_with("/tags")
}
