//! The vocabulary of declarations: object, endpoint, column, watermark.

use serde::{Deserialize, Serialize};
use std::fmt;

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

/// One of the ten things that are replicated.
#[derive(Debug)]
pub struct Object {
    /// Relation, setting, metric label and command-line name: one spelling.
    pub name: &'static str,
    /// One sentence for people: what it is. Becomes the comment of the table.
    pub about: &'static str,
    /// Where its rows come from.
    pub source: Source,
    /// The table its rows are written to. Two objects are views and write to another object's table.
    pub table: &'static str,
    /// Columns that identify a row; all are 64-bit ids that both API versions give.
    pub key: &'static [&'static str],
    /// What the watermark of a completed pass is made of.
    pub watermark: Watermark,
    /// The columns of `table`, in order, without the bookkeeping ones (`_first_seen_at` and so on).
    pub columns: &'static [Column],
}

/// Where an object's rows come from.
#[derive(Debug)]
pub enum Source {
    /// One list for the whole account.
    List(Endpoints),
    /// One list for every live row of `parent`'s table.
    PerParent {
        /// The object whose ids are the partitions.
        parent: &'static Object,
        /// The list of one parent; its path holds `{parent}`.
        endpoints: Endpoints,
    },
    /// No requests and no rows of its own: a SQL view over another object's table.
    ViewOf(&'static Object),
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
        /// Whether its cursor may lack a tie-breaker (v4 lists in a time order): a page edge inside
        /// one second then sends us through the whole list by id.
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

/// What the watermark of a completed pass is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Watermark {
    /// The greatest value of this column among the rows read, at most the source's clock at the first page.
    Column(&'static str),
    /// The same where the version shows the column; where it does not (v3), the source's clock at the first page.
    ColumnOrPassStart(&'static str),
}

impl Watermark {
    /// The column it looks at.
    pub fn column(self) -> &'static str {
        match self {
            Watermark::Column(name) | Watermark::ColumnOrPassStart(name) => name,
        }
    }
}

/// A column of an object's table.
#[derive(Debug, Clone, Copy)]
pub struct Column {
    /// Its name.
    pub name: &'static str,
    /// Its logical type.
    pub kind: Type,
    /// Whether a row cannot be stored without it.
    pub required: bool,
    /// Where a v3 record holds it.
    pub v3: From,
    /// Where a v4 record holds it.
    pub v4: From,
    /// What is done to the value on its way, where something is.
    pub transform: Transform,
    /// What it says about whose row it is, where the row is somebody's.
    pub person: Option<Person>,
    /// What it is; becomes the comment of the column.
    pub about: &'static str,
}

/// Logical types; each engine has its own spelling of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Type {
    /// 64-bit identifier.
    Id,
    /// Integer.
    Int,
    /// True or false.
    Bool,
    /// Text as it is.
    Text,
    /// Instant in UTC with microseconds.
    Time,
    /// A JSON object, in canonical form.
    JsonObject,
    /// A JSON array, in canonical form.
    JsonArray,
}

/// Where a record holds the value of a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum From {
    /// This version does not have it.
    Nowhere,
    /// The id of the parent whose list is being read.
    Parent,
    /// A member of the record.
    Member(&'static str),
    /// A member of an object inside the record.
    Inner(&'static str, &'static str),
}

/// What happens to a value between record and row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transform {
    /// Nothing.
    None,
    /// Older v3 forms carry the account's `api_key` in the query of their embed address: it is taken out.
    WithoutApiKey,
    /// An object whose members are all null says nothing, and is stored as null: v4 has ten such members for everybody of
    /// whom it knows nothing.
    BlankIsNull,
}

/// What a column says about the person whose row it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Person {
    /// Kit's id of the person. The row goes when the person is to be forgotten.
    Id,
    /// The person's address.
    Address,
}

impl Column {
    const fn new(name: &'static str, kind: Type, about: &'static str) -> Self {
        Column {
            name,
            kind,
            required: false,
            v3: From::Member(name),
            v4: From::Member(name),
            transform: Transform::None,
            person: None,
            about,
        }
    }

    /// An id, found under its own name unless said otherwise.
    pub const fn id(name: &'static str, about: &'static str) -> Self {
        Column::new(name, Type::Id, about)
    }

    /// An integer.
    pub const fn int(name: &'static str, about: &'static str) -> Self {
        Column::new(name, Type::Int, about)
    }

    /// A boolean.
    pub const fn bool(name: &'static str, about: &'static str) -> Self {
        Column::new(name, Type::Bool, about)
    }

    /// A text.
    pub const fn text(name: &'static str, about: &'static str) -> Self {
        Column::new(name, Type::Text, about)
    }

    /// An instant.
    pub const fn time(name: &'static str, about: &'static str) -> Self {
        Column::new(name, Type::Time, about)
    }

    /// A JSON object.
    pub const fn object(name: &'static str, about: &'static str) -> Self {
        Column::new(name, Type::JsonObject, about)
    }

    /// A JSON array.
    pub const fn array(name: &'static str, about: &'static str) -> Self {
        Column::new(name, Type::JsonArray, about)
    }

    /// A row cannot be without it.
    #[must_use]
    pub const fn required(mut self) -> Self {
        self.required = true;
        self
    }

    /// Elsewhere in v3.
    #[must_use]
    pub const fn v3(mut self, from: From) -> Self {
        self.v3 = from;
        self
    }

    /// Elsewhere in v4.
    #[must_use]
    pub const fn v4(mut self, from: From) -> Self {
        self.v4 = from;
        self
    }

    /// Only v3 has it.
    #[must_use]
    pub const fn only_v3(self) -> Self {
        self.v4(From::Nowhere)
    }

    /// Only v4 has it.
    #[must_use]
    pub const fn only_v4(self) -> Self {
        self.v3(From::Nowhere)
    }

    /// The parent's id.
    #[must_use]
    pub const fn parent(self) -> Self {
        self.v3(From::Parent).v4(From::Parent)
    }

    /// Says something about the person whose row it is.
    #[must_use]
    pub const fn of_person(mut self, person: Person) -> Self {
        self.person = Some(person);
        self
    }

    /// Null where all of its members are.
    #[must_use]
    pub const fn blank_is_null(mut self) -> Self {
        self.transform = Transform::BlankIsNull;
        self
    }

    /// Loses an `api_key` in its query.
    #[must_use]
    pub const fn without_api_key(mut self) -> Self {
        self.transform = Transform::WithoutApiKey;
        self
    }

    /// Where a record of `version` holds it.
    pub fn from(&self, version: ApiVersion) -> From {
        match version {
            ApiVersion::V3 => self.v3,
            ApiVersion::V4 => self.v4,
        }
    }
}

impl Object {
    /// Its endpoint in `version`, if it has requests of its own.
    pub fn endpoint(&self, version: ApiVersion) -> Option<&Endpoint> {
        match &self.source {
            Source::List(endpoints) | Source::PerParent { endpoints, .. } => Some(endpoints.of(version)),
            Source::ViewOf(_) => None,
        }
    }

    /// The object whose rows are this object's partitions.
    pub fn parent(&self) -> Option<&'static Object> {
        match &self.source {
            Source::PerParent { parent, .. } => Some(parent),
            Source::List(_) | Source::ViewOf(_) => None,
        }
    }

    /// The object whose requests fill it: itself, or the one that a view of it shows.
    pub fn filled_by(&'static self) -> &'static Object {
        match &self.source {
            Source::ViewOf(shown) => shown,
            Source::List(_) | Source::PerParent { .. } => self,
        }
    }

    /// The column that holds the parent's id.
    pub fn parent_column(&self) -> Option<&'static str> {
        self.columns.iter().find(|column| column.v4 == From::Parent).map(|column| column.name)
    }

    /// The column that says a certain thing about the person whose row it is; none where rows are nobody's.
    pub fn person_column(&self, person: Person) -> Option<&'static str> {
        self.columns.iter().find(|column| column.person == Some(person)).map(|column| column.name)
    }

    /// Whether its rows are people, rather than something of people's or nobody's.
    pub fn is_of_people(&self) -> bool {
        self.person_column(Person::Id).is_some_and(|column| self.key == [column])
    }

    /// The column of the key that tells the rows of one partition apart.
    pub fn member_column(&self) -> &'static str {
        self.key.iter().find(|name| Some(**name) != self.parent_column()).unwrap_or(&"id")
    }

    /// Position of a column.
    pub fn column_index(&self, name: &str) -> Option<usize> {
        self.columns.iter().position(|column| column.name == name)
    }

    /// Name and type of a column of its rows, [that of `_extra`](super::Row::cells) behind all others.
    pub fn cell(&self, at: usize) -> (&'static str, Type) {
        self.columns.get(at).map_or(("_extra", Type::JsonObject), |column| (column.name, column.kind))
    }

    /// Positions of the key columns.
    pub fn key_indexes(&self) -> impl Iterator<Item = usize> + '_ {
        self.key.iter().filter_map(|name| self.column_index(name))
    }

    /// Whether `name` is a relation that shows another table rather than a table itself.
    pub fn is_view(&self) -> bool {
        self.name != self.table
    }

    /// Text that changes when the same request would mean something else: version, path and
    /// parameters. Part of the fingerprint of a partition's state.
    pub fn shape(&self, version: ApiVersion) -> String {
        match self.endpoint(version) {
            None => String::new(),
            Some(endpoint) => {
                let mut shape = format!("{version}{}", endpoint.path);
                for (name, value) in endpoint.query {
                    shape.push_str(&format!(";{name}={value}"));
                }
                shape
            }
        }
    }
}
