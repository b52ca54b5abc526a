//! The columns of the tables as declarations: their types, where records hold their values, and what is done to these.

use super::ApiVersion;

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
