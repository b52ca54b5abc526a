//! The lists of Kit's two APIs as declarations: how they are asked for, paged, and asked for only what is new.

use serde::{Deserialize, Serialize};
use std::fmt;

use super::From;

/// The two APIs of Kit. Both fill the same tables with the same keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ApiVersion {
    /// `api.convertkit.com/v3`: page numbers, 50 rows, credential in the query.
    V3,
    /// `api.kit.com/v4`: cursors, up to 1,000 rows, credential in a header.
    V4,
}

impl ApiVersion {
    /// Both, for checks that walk everything.
    pub const ALL: [ApiVersion; 2] = [ApiVersion::V3, ApiVersion::V4];

    /// `v3` or `v4`, as in URLs and in `sync_account`.
    pub fn name(self) -> &'static str {
        match self {
            ApiVersion::V3 => "v3",
            ApiVersion::V4 => "v4",
        }
    }
}

impl fmt::Display for ApiVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The list of an object in both API versions, side by side.
#[derive(Debug)]
pub struct Endpoints {
    /// The list of API v3.
    pub v3: Endpoint,
    /// The list of API v4.
    pub v4: Endpoint,
}

impl Endpoints {
    /// The one of `version`.
    pub fn of(&self, version: ApiVersion) -> &Endpoint {
        match version {
            ApiVersion::V3 => &self.v3,
            ApiVersion::V4 => &self.v4,
        }
    }
}

/// A list of the API: how it is asked for, paged, and asked for "only what is new".
#[derive(Debug, Clone, Copy)]
pub struct Endpoint {
    /// Path below the version segment; `{parent}` stands for the parent's id.
    pub path: &'static str,
    /// The member of the answer that holds the records.
    pub list: &'static str,
    /// How the list is paged.
    pub paging: Paging,
    /// Sent with every request of the list.
    pub query: &'static [(&'static str, &'static str)],
    /// Sent in addition when the whole list is read, in the order that makes that safe.
    pub whole: &'static [(&'static str, &'static str)],
    /// How to ask for what is new; empty means that every pass reads the whole list.
    pub fresh: &'static [Fresh],
    /// Where the list holds stubs: the request that completes one record.
    pub detail: Option<Detail>,
    /// Set where the list without a state filter may or may not show people of every state
    /// (v3 does not say): the query that asks for the ones that would be hidden, and where a record
    /// holds the state of its person.
    pub hidden: Option<(&'static [(&'static str, &'static str)], From)>,
    /// Members that are known and not stored here (a subscriber inside a membership).
    pub ignored: &'static [&'static str],
    /// Of a table that the list does not show all of: column and value of the rows it shows.
    pub shows_only: Option<(&'static str, &'static str)>,
    /// What proves that a row which a whole reading of the list did not meet is gone at Kit.
    pub gone: Gone,
}

impl Endpoint {
    /// Whether the list may hide people who are not active: until it is known that such lists show everybody.
    pub fn may_hide_people(&self, lists_show_everybody: bool) -> bool {
        self.hidden.is_some() && !lists_show_everybody
    }

    const fn new(path: &'static str, list: &'static str, paging: Paging) -> Self {
        Endpoint {
            path,
            list,
            paging,
            query: &[],
            whole: &[],
            fresh: &[],
            detail: None,
            hidden: None,
            ignored: &[],
            shows_only: None,
            gone: Gone::SecondReading,
        }
    }

    /// A list that comes in one answer (v3).
    pub const fn single(path: &'static str, list: &'static str) -> Self {
        Endpoint::new(path, list, Paging::Single)
    }

    /// A list of numbered pages of 50 with totals (v3).
    pub const fn numbered(path: &'static str, list: &'static str) -> Self {
        Endpoint::new(path, list, Paging::Numbered { totals: true })
    }

    /// A list of numbered pages of 50 that does not say how many there are (v3 broadcasts).
    pub const fn numbered_without_totals(path: &'static str, list: &'static str) -> Self {
        Endpoint::new(path, list, Paging::Numbered { totals: false })
    }

    /// A list with cursors (v4).
    pub const fn cursor(path: &'static str, list: &'static str) -> Self {
        Endpoint::new(path, list, Paging::Cursor { per_page: V4_PER_PAGE })
    }

    /// Asks for another page size than the largest.
    #[must_use]
    pub const fn per_page(mut self, per_page: u16) -> Self {
        self.paging = Paging::Cursor { per_page };
        self
    }

    /// Sent with every request.
    #[must_use]
    pub const fn query(mut self, query: &'static [(&'static str, &'static str)]) -> Self {
        self.query = query;
        self
    }

    /// Sent when the whole list is read.
    #[must_use]
    pub const fn whole(mut self, query: &'static [(&'static str, &'static str)]) -> Self {
        self.whole = query;
        self
    }

    /// How to ask for what is new.
    #[must_use]
    pub const fn fresh(mut self, fresh: &'static [Fresh]) -> Self {
        self.fresh = fresh;
        self
    }

    /// Completes stubs.
    #[must_use]
    pub const fn detail(mut self, path: &'static str, member: &'static str) -> Self {
        self.detail = Some(Detail { path, member });
        self
    }

    /// The query for people whom the plain list may hide, and where a record says a person's state.
    #[must_use]
    pub const fn hidden(mut self, query: &'static [(&'static str, &'static str)], state: From) -> Self {
        self.hidden = Some((query, state));
        self
    }

    /// Members that are known and not stored here.
    #[must_use]
    pub const fn ignored(mut self, members: &'static [&'static str]) -> Self {
        self.ignored = members;
        self
    }

    /// Of a table that the list does not show all of: the rows it shows.
    #[must_use]
    pub const fn shows_only(mut self, column: &'static str, value: &'static str) -> Self {
        self.shows_only = Some((column, value));
        self
    }

    /// What proves that a row is gone.
    #[must_use]
    pub const fn gone(mut self, gone: Gone) -> Self {
        self.gone = gone;
        self
    }

    /// The path for one partition.
    pub fn path_for(&self, partition: &str) -> String {
        self.path.replace("{parent}", partition)
    }
}

/// The largest page v4 gives.
pub const V4_PER_PAGE: u16 = 1000;
/// The only page size v3 knows.
pub const V3_PER_PAGE: u16 = 50;

/// How a list is paged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Paging {
    /// One answer.
    Single,
    /// `page=1`, `page=2`, … of 50 records; with or without `total_pages`.
    Numbered {
        /// Whether each answer says how many records and pages there are.
        totals: bool,
    },
    /// `after=<cursor>`.
    Cursor {
        /// Page size asked for; halved by the client when an answer is too large.
        per_page: u16,
    },
}

/// Completes one stub record: `GET {path}` answers `{ "<member>": { … } }`.
#[derive(Debug, Clone, Copy)]
pub struct Detail {
    /// Path with `{id}`.
    pub path: &'static str,
    /// The member that holds the record.
    pub member: &'static str,
}

/// What proves that a row which a whole reading of a list did not meet is gone at Kit. Kit's lists lag behind by
/// minutes and can be wrong for a moment; look-ups by id are always right (kit-api.md §6).
#[derive(Debug, Clone, Copy)]
pub enum Gone {
    /// That its record is not found (404). One that is found is stored instead: it is only not in the list.
    Record(Detail),
    /// That a list of its own is not found: path with `{id}`.
    OwnList(&'static str),
    /// That a second whole reading does not meet it either; there is nothing to be looked up.
    SecondReading,
}

/// One way to ask a list for only what is new.
#[derive(Debug, Clone, Copy)]
pub enum Fresh {
    /// A date filter on the watermark's column, asked with a day before the watermark: zone,
    /// precision and inclusiveness of the filter then do not matter.
    SinceWatermark {
        /// The filter's parameter.
        param: &'static str,
        /// The order that makes paging safe.
        order: &'static [(&'static str, &'static str)],
    },
    /// A date filter on a time we are never shown: asked with a day before the moment the
    /// previous completed pass began.
    SincePass {
        /// The filter's parameter.
        param: &'static str,
        /// The order that makes paging safe.
        order: &'static [(&'static str, &'static str)],
    },
    /// No filter, but the list can be had newest first by the watermark's column: stop behind the
    /// watermark, as long as the rows really come in that order.
    NewestFirst {
        /// The query that asks for that order.
        order: &'static [(&'static str, &'static str)],
        /// Whether its cursor may lack a tie-breaker (v4 lists in a time order): where a page may have ended inside
        /// one second, the pages are then read again with other edges or, if that shows nothing, the whole list by id.
        ties: bool,
    },
    /// Newest first by a time we are not shown: stop after a page of rows that an earlier,
    /// completed pass has stored.
    UntilKnown {
        /// The query that asks for that order.
        order: &'static [(&'static str, &'static str)],
        /// Column and value that make a stored row a known member of this list.
        known: (&'static str, &'static str),
    },
}
