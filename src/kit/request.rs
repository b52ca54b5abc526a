//! `PageRequest` → method, URL, headers, per API version. Pure: sending is the client's.

use secrecy::ExposeSecret as _;
use secrecy::SecretString;
use std::fmt;

use super::turns::Precedence;
use crate::model::{ApiVersion, Paging};

/// How we show who we are. v3 wants the secret in the query, so a URL is a secret too.
#[derive(Clone)]
pub enum Auth {
    /// v3 `api_secret`.
    V3Secret(SecretString),
    /// v4 API key.
    V4Key(SecretString),
    /// v4 OAuth bearer token.
    AccessToken(SecretString),
}

impl Auth {
    /// The API this credential opens.
    pub fn version(&self) -> ApiVersion {
        match self {
            Auth::V3Secret(_) => ApiVersion::V3,
            Auth::V4Key(_) | Auth::AccessToken(_) => ApiVersion::V4,
        }
    }
}

impl Auth {
    /// The credential as text, to be taken out of what others say.
    pub(super) fn secret(&self) -> &str {
        match self {
            Auth::V3Secret(secret) | Auth::V4Key(secret) | Auth::AccessToken(secret) => {
                secret.expose_secret()
            }
        }
    }
}

impl fmt::Debug for Auth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Auth::V3Secret(_) => "V3Secret(***)",
            Auth::V4Key(_) => "V4Key(***)",
            Auth::AccessToken(_) => "AccessToken(***)",
        })
    }
}

/// Where in a list a page stands.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Position {
    /// The beginning, or the one answer of an unpaged list.
    First,
    /// A numbered page, from 1.
    Number(u32),
    /// Behind this cursor. Opaque.
    After(String),
}

/// One page of one list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PageRequest {
    /// Path below the version segment.
    pub path: String,
    /// The member of the answer that holds the records.
    pub list: &'static str,
    /// How the list is paged.
    pub paging: Paging,
    /// Filters and order.
    pub query: Vec<(String, String)>,
    /// Which page.
    pub position: Position,
    /// Whether to ask v4 for the number of rows in the whole list; slow at Kit, so on first pages only.
    pub with_total: bool,
    /// Whether others go first.
    pub precedence: Precedence,
}

/// What is put on the wire. Its `Debug` shows the path only.
pub struct HttpRequest {
    /// Full URL. A secret in v3: never log it.
    pub url: String,
    /// Authentication header, where the version uses one.
    pub header: Option<(&'static str, SecretString)>,
}

impl fmt::Debug for HttpRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HttpRequest({})", self.url.split('?').next().unwrap_or_default())
    }
}

/// Builds the request for a page; `per_page` is what the client asks for at present.
pub fn page(base: &str, auth: &Auth, request: &PageRequest, per_page: Option<u16>) -> HttpRequest {
    let mut query: Vec<(&str, String)> =
        request.query.iter().map(|(name, value)| (name.as_str(), value.clone())).collect();
    if let Some(per_page) = per_page {
        query.push(("per_page", per_page.to_string()));
    }
    match (&request.position, request.paging) {
        (Position::Number(number), _) => query.push(("page", number.to_string())),
        (Position::First, Paging::Numbered { .. }) => query.push(("page", "1".to_owned())),
        (Position::After(cursor), _) => query.push(("after", cursor.clone())),
        (Position::First, Paging::Single | Paging::Cursor { .. }) => {}
    }
    if request.with_total && matches!(request.paging, Paging::Cursor { .. }) {
        query.push(("include_total_count", "true".to_owned()));
    }
    get(base, auth, &request.path, &query)
}

/// Builds a request for anything else that is read.
pub fn get(base: &str, auth: &Auth, path: &str, query: &[(&str, String)]) -> HttpRequest {
    let mut url = format!("{base}{path}");
    let mut separator = '?';
    let mut push = |name: &str, value: &str| {
        url.push(separator);
        separator = '&';
        url.push_str(name);
        url.push('=');
        encode(value, &mut url);
    };
    for (name, value) in query {
        push(name, value);
    }
    let header = match auth {
        Auth::V3Secret(secret) => {
            push("api_secret", secret.expose_secret());
            None
        }
        Auth::V4Key(key) => Some(("X-Kit-Api-Key", key.clone())),
        Auth::AccessToken(token) => {
            Some(("Authorization", SecretString::from(format!("Bearer {}", token.expose_secret()))))
        }
    };
    HttpRequest { url, header }
}

/// Percent-encodes everything but RFC 3986's unreserved characters: cursors hold `+`, `/` and `=`.
fn encode(value: &str, url: &mut String) {
    for byte in value.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            url.push(char::from(byte));
        } else {
            url.push_str(&format!("%{byte:02X}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(paging: Paging, position: Position) -> PageRequest {
        PageRequest {
            path: "/tags/42/subscribers".to_owned(),
            list: "subscribers",
            paging,
            query: vec![
                ("status".to_owned(), "all".to_owned()),
                ("tagged_after".to_owned(), "2024-05-01".to_owned()),
            ],
            position,
            with_total: true,
            precedence: Precedence::Following,
        }
    }

    #[test]
    fn a_page_of_v4_carries_its_key_in_a_header_and_repeats_every_filter_with_the_cursor() {
        let auth = Auth::V4Key("kit_key".to_owned().into());
        let paging = Paging::Cursor { per_page: 1000 };
        let built = page(
            "https://api.kit.com/v4",
            &auth,
            &request(paging, Position::After("a+/=%".to_owned())),
            Some(1000),
        );
        assert_eq!(
            built.url,
            "https://api.kit.com/v4/tags/42/subscribers?status=all&tagged_after=2024-05-01&per_page=1000\
             &after=a%2B%2F%3D%25&include_total_count=true"
        );
        let (name, value) = built.header.expect("a header");
        assert_eq!((name, value.expose_secret()), ("X-Kit-Api-Key", "kit_key"));
    }

    #[test]
    fn a_credential_knows_what_is_to_be_taken_out_and_shows_nothing_of_it() {
        let secret = || "s&cret".to_owned().into();
        for (auth, shown) in [
            (Auth::V3Secret(secret()), "V3Secret(***)"),
            (Auth::V4Key(secret()), "V4Key(***)"),
            (Auth::AccessToken(secret()), "AccessToken(***)"),
        ] {
            assert_eq!((auth.secret(), format!("{auth:?}").as_str()), ("s&cret", shown));
        }
    }

    #[test]
    fn a_page_of_v3_carries_its_secret_in_the_query_and_never_shows_it() {
        let auth = Auth::V3Secret("s&cret".to_owned().into());
        let built = page(
            "https://api.convertkit.com/v3",
            &auth,
            &request(Paging::Numbered { totals: true }, Position::First),
            None,
        );
        assert!(built.url.ends_with("&page=1&api_secret=s%26cret"), "{}", built.url);
        assert!(!format!("{built:?} {auth:?}").contains("cret\""));
        assert_eq!(format!("{built:?}"), "HttpRequest(https://api.convertkit.com/v3/tags/42/subscribers)");
    }
}
