//! Whose account it is.

use serde_json::value::RawValue;

use super::{Unreadable, member};
use crate::model::ApiVersion;
use crate::model::text::without_addresses;

/// Which account a credential belongs to.
#[derive(Clone, PartialEq, Eq)]
pub struct Account {
    /// Kit's id of the account; v3 does not give one.
    pub id: Option<i64>,
    /// Its name, which is its owner's choice and may be an address; what may be shown is [`Account::shown`].
    pub name: String,
    /// The owner's address, by which v3 and v4 answers are recognised as one account. Never shown or logged.
    pub primary_email_address: Option<String>,
    /// The plan, as Kit names it.
    pub plan: Option<String>,
}

impl Account {
    /// Its name for logs and messages.
    pub fn shown(&self) -> String {
        shown(&self.name)
    }
}

impl std::fmt::Debug for Account {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Account").field("id", &self.id).finish_non_exhaustive()
    }
}

/// The name of an account without what could be an address or drive a terminal.
pub fn shown(name: &str) -> String {
    without_addresses(name).replace(char::is_control, "\u{fffd}")
}

/// The account of an answer.
pub(super) fn read(version: ApiVersion, body: &str) -> Result<Account, Unreadable> {
    #[derive(serde::Deserialize)]
    struct Wire<'a> {
        #[serde(borrow)]
        id: Option<&'a RawValue>,
        name: Option<String>,
        primary_email_address: Option<String>,
        plan_type: Option<String>,
    }
    let inner = match version {
        ApiVersion::V3 => body.to_owned(),
        ApiVersion::V4 => member(body, "account")?,
    };
    let wire: Wire<'_> = serde_json::from_str(&inner)
        .map_err(|_| Unreadable::Shape("the answer is not an account".to_owned()))?;
    // A number, or its digits as text, as ids in rows.
    let id = wire.id.and_then(|raw| raw.get().trim_matches('"').parse().ok());
    if wire.name.is_none() && id.is_none() {
        return Err(Unreadable::Shape("the answer names no account".to_owned()));
    }
    Ok(Account {
        id,
        name: wire.name.unwrap_or_default(),
        primary_email_address: wire.primary_email_address,
        plan: wire.plan_type,
    })
}
