//! What v4's query parameters mean, and what it says to those it does not accept.

use super::super::account::Account;
use super::super::answer::{Cursors, Failure};
use super::super::cursor::Style;
use super::super::modes::{TooManyRows, Window};
use super::super::request::Query;
use super::super::rows::Include;
use super::super::run::Key;
use super::super::state::{State, States};
use super::unprocessable;

const USUAL_PAGE: u64 = 500;
const LARGEST_PAGE: u64 = 1_000;

/// Which page is asked for.
#[derive(Debug, Clone)]
pub(super) struct Paging {
    after: Option<String>,
    before: Option<String>,
    pub(super) per_page: u64,
    pub(super) total: bool,
}

impl Paging {
    pub(super) fn of(account: &Account, query: &Query) -> Result<Self, Failure> {
        let asked = match query.get("per_page").filter(|text| !text.is_empty()) {
            None => USUAL_PAGE,
            Some(text) => match text.parse() {
                Ok(rows @ 1..) => rows,
                _ => return Err(unprocessable("The per_page param is invalid")),
            },
        };
        if asked > LARGEST_PAGE && account.modes.too_many_rows == TooManyRows::Refuse {
            return Err(unprocessable("The per_page param must be at most 1000"));
        }
        let cap = account.modes.page_cap.map_or(LARGEST_PAGE, |cap| u64::from(cap).max(1));
        let cursor = |name| query.get(name).filter(|text| !text.is_empty()).map(str::to_string);
        Ok(Self {
            after: cursor("after"),
            before: cursor("before"),
            per_page: asked.min(LARGEST_PAGE).min(cap),
            total: query.is_true("include_total_count"),
        })
    }

    pub(super) fn after(&self) -> Option<&str> {
        self.after.as_deref()
    }

    pub(super) fn before(&self) -> Option<&str> {
        self.before.as_deref()
    }

    /// The envelope of a page whose first and last entry have those keys.
    pub(super) fn cursors(
        &self,
        style: Style,
        ends: Option<(Key, Key)>,
        has_previous: bool,
        has_next: bool,
        total_count: Option<u64>,
    ) -> Cursors {
        let cursor = |key: Option<Key>| key.map_or("null".into(), |key| format!("\"{}\"", style.encode(key)));
        Cursors {
            has_previous_page: Some(has_previous.to_string()),
            has_next_page: Some(has_next.to_string()),
            start_cursor: Some(cursor(ends.map(|(first, _)| first))),
            end_cursor: Some(cursor(ends.map(|(_, last)| last))),
            per_page: self.per_page,
            total_count,
        }
    }
}

/// `status` of people: active unless the client says otherwise.
pub(super) fn states(query: &Query) -> Result<States, Failure> {
    match query.get("status") {
        None => Ok(States::only(State::Active)),
        Some("all") => Ok(States::ALL),
        Some(name) => {
            State::named(name).map(States::only).ok_or_else(|| unprocessable("The status param is invalid"))
        }
    }
}

/// `sort_order`: falling unless the client says otherwise.
pub(super) fn falling(query: &Query) -> Result<bool, Failure> {
    match query.get("sort_order") {
        None | Some("desc") => Ok(true),
        Some("asc") => Ok(false),
        Some(_) => Err(unprocessable("The sort_order param is invalid")),
    }
}

/// `<name>_after` and `<name>_before`.
pub(super) fn window(account: &Account, query: &Query, name: &str) -> Result<Window, Failure> {
    let (after, before) = (format!("{name}_after"), format!("{name}_before"));
    account
        .modes
        .window(query.get(&after), query.get(&before))
        .map_err(|_| unprocessable(&format!("The {name} date params are invalid")))
}

/// `include` and `slim` of `/subscribers`.
pub(super) fn subscriber_include(query: &Query, cancelled_only: bool) -> Result<Include, Failure> {
    let mut include = Include { slim: query.is_true("slim"), ..Include::default() };
    for word in words(query) {
        match word {
            "attribution" => include.attribution = true,
            "tags" => include.tags = true,
            "location" => include.location = true,
            "canceled_at" | "cancelled_at" if !cancelled_only => {
                return Err(unprocessable(
                    "The status param must be `cancelled` if include contains `canceled_at`",
                ));
            }
            "canceled_at" | "cancelled_at" => include.canceled_at = true,
            _ => return Err(unprocessable("The include param is invalid")),
        }
    }
    Ok(include)
}

/// `include=subscriber_count`.
pub(super) fn counts(query: &Query) -> Result<bool, Failure> {
    let mut counted = false;
    for word in words(query) {
        match word {
            "subscriber_count" => counted = true,
            _ => return Err(unprocessable("The include param is invalid")),
        }
    }
    Ok(counted)
}

fn words(query: &Query) -> impl Iterator<Item = &str> {
    query.get("include").unwrap_or_default().split(',').map(str::trim).filter(|word| !word.is_empty())
}
