//! Values that must never be shown: they print as `***`, cannot be serialised, and are wiped when dropped.

use std::fmt;

use secrecy::{ExposeSecret, SecretString};

use super::problem::Invalid;

/// A text that prints as `***` and is overwritten in memory when it is dropped.
///
/// It has no `Serialize` on purpose, and must not get one.
#[derive(Clone)]
pub struct Secret(SecretString);

impl Secret {
    /// Takes the value over.
    pub fn new(value: impl Into<String>) -> Self {
        Secret(SecretString::from(value.into()))
    }

    /// The value itself: only for the request header, the query or the connection that needs it.
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// The one credential we speak to Kit with; its kind decides the API version and the rate limit.
#[derive(Clone, Debug)]
pub enum Credential {
    /// `kit_api_secret`: API v3, sent in the query of every request.
    V3Secret(Secret),
    /// `kit_api_key`: API v4, sent in a header.
    V4Key(Secret),
    /// `kit_access_token`: API v4, an OAuth bearer with five times the rate.
    AccessToken(Secret),
}

impl Credential {
    /// The secret, whichever kind it is.
    pub fn secret(&self) -> &Secret {
        match self {
            Credential::V3Secret(secret) | Credential::V4Key(secret) | Credential::AccessToken(secret) => {
                secret
            }
        }
    }

    /// The key of the settings that holds this kind.
    pub fn key(&self) -> &'static str {
        match self {
            Credential::V3Secret(_) => "kit_api_secret",
            Credential::V4Key(_) => "kit_api_key",
            Credential::AccessToken(_) => "kit_access_token",
        }
    }
}

/// Checks what every kind of credential has in common: it travels in a header or a query as it is.
pub(super) fn parse(text: &str) -> Result<Secret, Invalid> {
    let wrong = if text.is_empty() {
        "is empty"
    } else if text.chars().any(char::is_control) {
        "contains a control character, such as a line break"
    } else if text.chars().any(char::is_whitespace) {
        "contains a space"
    } else if text.starts_with('\u{feff}') {
        "begins with a byte-order mark; save the file as plain UTF-8"
    } else if !text.is_ascii() {
        "contains a character outside ASCII"
    } else if ['"', '\''].iter().any(|quote| text.starts_with(*quote) && text.ends_with(*quote)) {
        "is in quotation marks"
    } else if text.split_once('=').is_some_and(|(name, _)| is_name(name)) {
        "is a whole line such as KIT_API_KEY=…, not the value alone"
    } else {
        return Ok(Secret::new(text));
    };
    Err(Invalid::new(wrong, "the value as Kit's account settings show it, without quotes or spaces"))
}

/// Whether this could be the name of a variable of ours.
fn is_name(text: &str) -> bool {
    text.contains("KIT") && text.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_')
}
