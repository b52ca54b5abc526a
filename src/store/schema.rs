//! The tables as they should be against the tables as they are.

use super::connection::{Cells, Connection};
use super::dialect::Dialect;
use super::tables::{self, Table};
use crate::error::{Error, Kind, Result};
use crate::model::objects;

/// Every relation name that is ours.
pub fn relation_names() -> Vec<&'static str> {
    tables::all().iter().map(|table| table.name).chain(tables::views()).collect()
}

/// One way in which the database is not what it should be.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Difference {
    /// Table or view.
    pub relation: String,
    /// Column, where the difference is in one.
    pub column: Option<String>,
    /// What it should be and what it is.
    pub what: String,
}

impl std::fmt::Display for Difference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.column {
            Some(column) => write!(f, "{}.{column}: {}", self.relation, self.what),
            None => write!(f, "{}: {}", self.relation, self.what),
        }
    }
}

/// Every difference between the declarations and the database. Columns somebody added are not one,
/// unless they cannot be null.
pub(super) async fn differences(connection: &mut Connection) -> Result<Vec<Difference>> {
    let mut found = Vec::new();
    let relations = connection.rows("list tables", connection.dialect().relations(), &[]).await?;
    let mut is_there = |name: &str, expected: &str| {
        let actual = relations.iter().find(|row| row.text(0) == Some(name)).and_then(|row| row.text(1));
        let what = match actual {
            None => format!("the {expected} is missing"),
            Some(actual) if actual != expected => format!("is a {actual}, should be a {expected}"),
            Some(_) => return true,
        };
        found.push(Difference { relation: name.to_owned(), column: None, what });
        false
    };
    let tables: Vec<Table> =
        tables::all().into_iter().filter(|table| is_there(table.name, "table")).collect();
    for view in tables::views() {
        is_there(view, "view");
    }
    // All at once: there may be a sea between us and the server.
    let names: Vec<&str> = tables::all().iter().map(|table| table.name).collect();
    let sql = connection.dialect().columns_of(&names);
    let columns = connection.rows("read columns", &sql, &[]).await?;
    for table in &tables {
        let of_table: Vec<&Cells> = columns.iter().filter(|row| row.text(0) == Some(table.name)).collect();
        compare(connection.dialect(), table, &of_table, &mut found);
    }
    Ok(found)
}

/// The same and what a mirror can do without: indexes that are missing, and columns that a view does not show.
pub(super) async fn all_differences(connection: &mut Connection) -> Result<Vec<Difference>> {
    let mut found = differences(connection).await?;
    let dialect = connection.dialect();
    let is_there = |table: &Table| {
        !found.iter().any(|difference| difference.relation == table.name && difference.column.is_none())
    };
    let tables: Vec<Table> = tables::all().into_iter().filter(is_there).collect();
    let views_tell = found.is_empty();
    let indexes = connection.rows("list indexes", dialect.indexes(), &[]).await?;
    found.extend(tables.iter().flat_map(|table| missing_indexes(dialect, table, &indexes)));
    // A view of tables that are not what they should be may not even tell its columns.
    if views_tell {
        let views = objects::ALL.iter().filter(|object| object.is_view());
        let views: Vec<Table> = views.map(|view| tables::of(view)).collect();
        let names: Vec<&str> = views.iter().map(|view| view.name).collect();
        let columns = connection.rows("read columns", &dialect.columns_of(&names), &[]).await?;
        found.extend(views.iter().flat_map(|view| missing_columns(view, &columns)));
    }
    Ok(found)
}

fn missing_indexes(dialect: Dialect, table: &Table, actual: &[Cells]) -> Vec<Difference> {
    let has =
        |name: &str| actual.iter().any(|row| row.text(0) == Some(table.name) && row.text(1) == Some(name));
    // Made when the first load is complete.
    let comes_by_itself = |columns: &[&str]| dialect == Dialect::Sqlite && tables::is_scattered(columns);
    let of_columns = table.indexes.iter().filter(|columns| !comes_by_itself(columns));
    let of_columns =
        of_columns.map(|columns| (tables::index_name(table, columns), dialect.create_index(table, columns)));
    let has_tombstones = table.fields.iter().any(|field| field.name == "_deleted_at");
    of_columns
        .chain(has_tombstones.then(|| dialect.tombstone_index(table.name)))
        .filter(|(name, _)| !has(name))
        .map(|(name, create)| Difference {
            relation: table.name.to_owned(),
            column: None,
            what: format!("the index {name} is missing: {}", create.trim_end()),
        })
        .collect()
}

fn missing_columns(view: &Table, actual: &[Cells]) -> Vec<Difference> {
    let has =
        |name: &str| actual.iter().any(|row| row.text(0) == Some(view.name) && row.text(1) == Some(name));
    view.fields
        .iter()
        .filter(|field| !has(field.name))
        .map(|field| Difference {
            relation: view.name.to_owned(),
            column: Some(field.name.to_owned()),
            what: "is missing".to_owned(),
        })
        .collect()
}

/// A table's columns as they are against the declared ones.
fn compare(dialect: Dialect, table: &Table, actual: &[&Cells], found: &mut Vec<Difference>) {
    let mut differs = |column: &str, what: String| {
        found.push(Difference { relation: table.name.to_owned(), column: Some(column.to_owned()), what });
    };
    for field in &table.fields {
        let Some(row) = actual.iter().find(|row| row.text(1) == Some(field.name)) else {
            differs(field.name, "is missing".to_owned());
            continue;
        };
        let declared = row.text(2).unwrap_or_default();
        if !dialect.is_type(field.kind, declared) {
            differs(field.name, format!("has type {declared}, should have {}", dialect.type_of(field.kind)));
        }
        if row.is_true(3) != field.required {
            let (is, should) = if field.required {
                ("may be null", "should not")
            } else {
                ("must not be null", "should be allowed to")
            };
            differs(field.name, format!("{is}, {should}"));
        }
    }
    for row in actual.iter().filter(|row| row.is_true(3)) {
        let name = row.text(1).unwrap_or_default();
        if !table.fields.iter().any(|field| field.name == name) {
            differs(name, "was added and must not be null, so no row can be stored".to_owned());
        }
    }
}

/// An error that names the first differences.
pub(super) fn mismatch(differences: &[Difference]) -> Error {
    let shown: Vec<String> = differences.iter().take(3).map(ToString::to_string).collect();
    let more = differences.len().saturating_sub(3);
    let rest = if more > 0 { format!(", and {more} more") } else { String::new() };
    Error::new(
        Kind::SchemaMismatch,
        format!("the tables are not what they should be: {}{rest}", shown.join("; ")),
    )
}
