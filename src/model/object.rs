//! An object as a declaration: where its rows come from, the table they go to, what tells them apart.

use super::{ApiVersion, Column, Endpoint, Endpoints, From, Person, Type};

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
    /// The columns of each index that `table` has beside its key.
    pub indexes: &'static [&'static [&'static str]],
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
