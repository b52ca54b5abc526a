//! The tables as they should be against the tables as they are.

use super::connection::Connection;
use super::dialect::BOOKKEEPING;
use super::state::text;
use crate::error::{Error, Kind, Result};
use crate::model::{Object, objects};

/// The relations of the mirror beside those of the objects.
pub const BOOKKEEPING_RELATIONS: [&str; 6] =
    ["sync_state", "sync_runs", "sync_quarantine", "sync_lease", "sync_account", "sync_status"];

/// Every relation name that is ours.
pub fn relation_names() -> Vec<&'static str> {
    objects::names().into_iter().chain(BOOKKEEPING_RELATIONS).collect()
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
    let dialect = connection.dialect();
    let relations = connection.rows("list tables", dialect.relations(), &[]).await?;
    for name in relation_names() {
        let expected = if objects::named(name).is_some_and(Object::is_view) || name == "sync_status" {
            "view"
        } else {
            "table"
        };
        let actual = relations.iter().find(|row| row.text(0) == Some(name)).and_then(|row| row.text(1));
        match actual {
            None => found.push(Difference {
                relation: name.to_owned(),
                column: None,
                what: format!("the {expected} is missing"),
            }),
            Some(actual) if actual != expected => {
                found.push(Difference {
                    relation: name.to_owned(),
                    column: None,
                    what: format!("is a {actual}, should be a {expected}"),
                });
            }
            Some(_) => {
                if let Some(object) = objects::named(name) {
                    columns(connection, object, &mut found).await?;
                }
            }
        }
    }
    Ok(found)
}

async fn columns(
    connection: &mut Connection,
    object: &'static Object,
    found: &mut Vec<Difference>,
) -> Result<()> {
    let dialect = connection.dialect();
    let actual = connection.rows("read columns", dialect.columns_of_relation(), &[text(object.name)]).await?;
    let expected = object.columns.iter().map(|column| (column.name, column.kind, column.required));
    let expected: Vec<_> =
        expected.chain(BOOKKEEPING.map(|(name, kind, required, _)| (name, kind, required))).collect();
    let mut differs = |column: &str, what: String| {
        found.push(Difference { relation: object.name.to_owned(), column: Some(column.to_owned()), what });
    };
    for (name, kind, required) in &expected {
        let Some(row) = actual.iter().find(|row| row.text(0) == Some(name)) else {
            differs(name, "is missing".to_owned());
            continue;
        };
        if object.is_view() {
            continue;
        }
        let (declared, wanted) = (row.text(1).unwrap_or_default(), dialect.type_name(*kind));
        if declared != wanted {
            differs(name, format!("has type {declared}, should have {wanted}"));
        }
        if (row.int(2) == Some(1)) != *required {
            differs(
                name,
                if *required {
                    "may be null, should not".to_owned()
                } else {
                    "must not be null, should be allowed to".to_owned()
                },
            );
        }
    }
    for row in &actual {
        let name = row.text(0).unwrap_or_default();
        if !object.is_view()
            && row.int(2) == Some(1)
            && !expected.iter().any(|(expected, ..)| *expected == name)
        {
            differs(name, "was added and must not be null, so no row can be stored".to_owned());
        }
    }
    Ok(())
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
