//! Every question that Kit's documents leave open, as a switch: the mirror has to be right under each
//! answer. The defaults are the likeliest ones.

mod window;

use std::str::FromStr;

use serde::{Deserialize, Serialize};

pub(super) use window::Window;

/// Declares an enum of answers with the names used on the command line.
macro_rules! answers {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $text:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
        pub enum $name {
            $($(#[$variant_doc])* #[serde(rename = $text)] $variant,)+
        }

        impl FromStr for $name {
            type Err = String;

            fn from_str(text: &str) -> Result<Self, String> {
                match text {
                    $($text => Ok($name::$variant),)+
                    _ => Err(format!("`{text}` is none of {}", [$($text),+].join(", "))),
                }
            }
        }
    };
}

answers! {
    /// How a date filter treats a row of exactly that time.
    Edge {
        /// `after` means on or after.
        Inclusive = "inclusive",
        /// `after` means later than.
        Exclusive = "exclusive",
    }
}

answers! {
    /// What a date filter makes of a time of day.
    Granularity {
        /// Compares to the second.
        Second = "second",
        /// Cuts the time off and compares days.
        Day = "day",
    }
}

answers! {
    /// The cursor of subscriber lists in a time order.
    TimeCursor {
        /// Time and id.
        TieBreaker = "tie-breaker",
        /// A bare second; the next page begins strictly after it.
        StrictSecond = "strict-second",
        /// A bare second; the next page begins with it again.
        RepeatedSecond = "repeated-second",
    }
}

answers! {
    /// The cursor of the tag list.
    TagCursor {
        /// `[<id>]`
        Array = "array",
        /// `<id>`
        Bare = "bare",
    }
}

answers! {
    /// What `created_at` of v3's `/subscribers/{id}/tags` is.
    V3TagTime {
        /// When the person was tagged.
        Tagging = "tagging",
        /// When the tag was created.
        Tag = "tag",
    }
}

answers! {
    /// The order of v3's `/subscribers` when nobody asks for one.
    Direction {
        /// Oldest first.
        Ascending = "asc",
        /// Newest first.
        Descending = "desc",
    }
}

answers! {
    /// What a v3 page beyond the last one is.
    BeyondEnd {
        /// An empty page.
        Empty = "empty",
        /// 404.
        NotFound = "404",
    }
}

answers! {
    /// What happens to `per_page` above 1000.
    TooManyRows {
        /// It counts as 1000.
        Clamp = "clamp",
        /// 422.
        Refuse = "422",
    }
}

answers! {
    /// Whom a count or an unfiltered v3 list takes in.
    Scope {
        /// Active people.
        Active = "active",
        /// Everybody.
        All = "all",
    }
}

answers! {
    /// The `Retry-After` header of a 429 that the rate limit causes.
    RetryAfter {
        /// There is none.
        Absent = "absent",
        /// Seconds until a request may succeed.
        Seconds = "seconds",
        /// The same as an HTTP date.
        Date = "date",
    }
}

answers! {
    /// A body that says nothing useful.
    Blank {
        /// In the version's error format.
        Json = "json",
        /// No byte.
        Empty = "empty",
        /// A line of text.
        Plain = "plain",
        /// A page for people.
        Html = "html",
    }
}

answers! {
    /// What a cursor that is too old gets.
    StaleCursor {
        /// 400.
        BadRequest = "400",
        /// 404.
        NotFound = "404",
        /// 422.
        Unprocessable = "422",
        /// The first page.
        FirstPage = "page1",
        /// An empty last page.
        Empty = "empty",
    }
}

answers! {
    /// How much of a sequence v4 shows.
    SequenceRows {
        /// Every member.
        Full = "full",
        /// The five guaranteed ones.
        Minimal = "minimal",
    }
}

/// Which events move a subscriber's `updated_at`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Bumps {
    /// Name, address or a custom field.
    pub edit: bool,
    /// Confirmed, re-activated, bounced, complained.
    pub state: bool,
    /// Unsubscribed.
    pub cancel: bool,
    /// Tagged or untagged.
    pub tag: bool,
    /// Joined or left a form or sequence.
    pub join: bool,
}

impl Bumps {
    /// Everything does.
    pub const ALL: Bumps = Bumps { edit: true, state: true, cancel: true, tag: true, join: true };
    /// Only creation does.
    pub const NONE: Bumps = Bumps { edit: false, state: false, cancel: false, tag: false, join: false };
}

impl Default for Bumps {
    fn default() -> Self {
        Bumps { edit: true, state: true, cancel: true, tag: false, join: false }
    }
}

impl FromStr for Bumps {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        text.split('+').try_fold(Bumps::NONE, |mut bumps, word| {
            match word {
                "all" => bumps = Bumps::ALL,
                "none" => bumps = Bumps::NONE,
                "edit" => bumps.edit = true,
                "state" => bumps.state = true,
                "cancel" => bumps.cancel = true,
                "tag" => bumps.tag = true,
                "join" => bumps.join = true,
                _ => return Err(format!("`{word}` is none of all, none, edit, state, cancel, tag, join")),
            }
            Ok(bumps)
        })
    }
}

/// How long a change stays out of lists. Lookups by id show it at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Lag {
    /// It shows at once.
    #[default]
    None,
    /// So many seconds.
    Seconds(u32),
    /// As Kit documents it: half of the changes within 30 s, 99 % within 5 minutes; at most an hour.
    Kit,
}

impl FromStr for Lag {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "none" => Ok(Lag::None),
            "kit" => Ok(Lag::Kit),
            seconds => seconds
                .trim_end_matches('s')
                .parse()
                .map(Lag::Seconds)
                .map_err(|_| format!("`{text}` is none of none, kit, or a number of seconds")),
        }
    }
}

/// How the simulated Kit behaves where the documents are silent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Modes {
    /// Date filters: is the given time itself included?
    pub filter_edge: Edge,
    /// Date filters: do times of day count?
    pub filter_granularity: Granularity,
    /// Date filters: a day begins so many hours east of UTC (`-12` to `14`).
    pub filter_zone_hours: i32,
    /// v4 subscribers in a time order.
    pub time_cursor: TimeCursor,
    /// v4 tags.
    pub tag_cursor: TagCursor,
    /// Which events move `updated_at`.
    pub bumps: Bumps,
    /// Does a row inserted with a `created_at` long ago get an `updated_at` of now?
    pub backdated_bumps: bool,
    /// v3 subscriptions without `subscriber_state`.
    pub v3_subscriptions: Scope,
    /// v3 `/subscribers/{id}/tags`.
    pub v3_tag_time: V3TagTime,
    /// v3 `/subscribers` without `sort_order`.
    pub v3_order: Direction,
    /// v3 pages beyond the last.
    pub beyond_end: BeyondEnd,
    /// Does a v3 subscriber show `cancelled_at`?
    pub v3_cancelled_at: bool,
    /// v4 `per_page` above 1000.
    pub too_many_rows: TooManyRows,
    /// v4 never gives more rows than this, whatever is asked.
    pub page_cap: Option<u32>,
    /// v4 `subscriber_count`.
    pub count_scope: Scope,
    /// Has v4 the optional members of sequences?
    pub sequence_rows: SequenceRows,
    /// Does tagging a tagged person again move `tagged_at`?
    pub retagging_moves: bool,
    /// Header of a 429 by the rate limit.
    pub limit_retry_after: RetryAfter,
    /// Body of a 429 by the rate limit.
    pub limit_body: Blank,
    /// v4 cursors live so many seconds.
    pub cursor_ttl_seconds: Option<i64>,
    /// What an older cursor gets.
    pub stale_cursor: StaleCursor,
    /// The `Date` header: so many seconds beside the truth.
    pub date_skew_seconds: i64,
    /// No `Date` header at all.
    pub date_missing: bool,
    /// How late changes show in lists.
    pub lag: Lag,
    /// Compress answers for clients that accept it.
    pub gzip: bool,
    /// Answer 304 to a matching `If-None-Match`.
    pub etags: bool,
}

impl Default for Modes {
    fn default() -> Self {
        Self {
            filter_edge: Edge::Inclusive,
            filter_granularity: Granularity::Second,
            filter_zone_hours: 0,
            time_cursor: TimeCursor::StrictSecond,
            tag_cursor: TagCursor::Bare,
            bumps: Bumps::default(),
            backdated_bumps: false,
            v3_subscriptions: Scope::All,
            v3_tag_time: V3TagTime::Tagging,
            v3_order: Direction::Descending,
            beyond_end: BeyondEnd::Empty,
            v3_cancelled_at: false,
            too_many_rows: TooManyRows::Clamp,
            page_cap: None,
            count_scope: Scope::Active,
            sequence_rows: SequenceRows::Full,
            retagging_moves: false,
            limit_retry_after: RetryAfter::Absent,
            limit_body: Blank::Empty,
            cursor_ttl_seconds: None,
            stale_cursor: StaleCursor::Unprocessable,
            date_skew_seconds: 0,
            date_missing: false,
            lag: Lag::None,
            gzip: true,
            etags: true,
        }
    }
}

impl Modes {
    /// The names that [`Modes::set`] knows.
    pub const NAMES: [&str; 26] = [
        "filter_edge",
        "filter_granularity",
        "filter_zone_hours",
        "time_cursor",
        "tag_cursor",
        "bumps",
        "backdated_bumps",
        "v3_subscriptions",
        "v3_tag_time",
        "v3_order",
        "beyond_end",
        "v3_cancelled_at",
        "too_many_rows",
        "page_cap",
        "count_scope",
        "sequence_rows",
        "retagging_moves",
        "limit_retry_after",
        "limit_body",
        "cursor_ttl_seconds",
        "stale_cursor",
        "date_skew_seconds",
        "date_missing",
        "lag",
        "gzip",
        "etags",
    ];

    /// Sets one mode from `name=value`, as on the command line: `filter_edge=exclusive`, `lag=kit`,
    /// `bumps=edit+cancel`, `page_cap=100`.
    pub fn set(&mut self, assignment: &str) -> Result<(), String> {
        let (name, value) = assignment.split_once('=').ok_or("a mode is given as name=value")?;
        match name {
            "filter_edge" => self.filter_edge = value.parse()?,
            "filter_granularity" => self.filter_granularity = value.parse()?,
            "filter_zone_hours" => self.filter_zone_hours = number(value)?,
            "time_cursor" => self.time_cursor = value.parse()?,
            "tag_cursor" => self.tag_cursor = value.parse()?,
            "bumps" => self.bumps = value.parse()?,
            "backdated_bumps" => self.backdated_bumps = number(value)?,
            "v3_subscriptions" => self.v3_subscriptions = value.parse()?,
            "v3_tag_time" => self.v3_tag_time = value.parse()?,
            "v3_order" => self.v3_order = value.parse()?,
            "beyond_end" => self.beyond_end = value.parse()?,
            "v3_cancelled_at" => self.v3_cancelled_at = number(value)?,
            "too_many_rows" => self.too_many_rows = value.parse()?,
            "page_cap" => self.page_cap = unless_off(value)?,
            "count_scope" => self.count_scope = value.parse()?,
            "sequence_rows" => self.sequence_rows = value.parse()?,
            "retagging_moves" => self.retagging_moves = number(value)?,
            "limit_retry_after" => self.limit_retry_after = value.parse()?,
            "limit_body" => self.limit_body = value.parse()?,
            "cursor_ttl_seconds" => self.cursor_ttl_seconds = unless_off(value)?,
            "stale_cursor" => self.stale_cursor = value.parse()?,
            "date_skew_seconds" => self.date_skew_seconds = number(value)?,
            "date_missing" => self.date_missing = number(value)?,
            "lag" => self.lag = value.parse()?,
            "gzip" => self.gzip = number(value)?,
            "etags" => self.etags = number(value)?,
            _ => return Err(format!("`{name}` is none of {}", Self::NAMES.join(", "))),
        }
        Ok(())
    }
}

fn number<T: FromStr>(value: &str) -> Result<T, String> {
    value.parse().map_err(|_| format!("`{value}` is not allowed"))
}

fn unless_off<T: FromStr>(value: &str) -> Result<Option<T>, String> {
    if value == "off" { Ok(None) } else { number(value).map(Some) }
}
