//! Proof that somebody is gone: every column of every table in which an address could stand is searched for it, and
//! every row that could be his.

use std::collections::BTreeMap;

use super::connection::Connection;
use super::dialect::Dialect;
use super::erase;
use super::people::People;
use super::spelling::{AddressSearch, Found, Others};
use super::state::text;
use super::tables::{self, Content, Field, Table};
use crate::error::Result;
use crate::model::{Type, Value};

/// Rows that are looked at together.
const READ_AT_ONCE: usize = 200;

/// A column in which something of a person still stands.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Trace {
    /// The table.
    pub table: String,
    /// Its column.
    pub column: String,
    /// In how many rows.
    pub rows: u64,
}

/// What was found in the tables: traces, and the addresses of others of which the person's is a part.
#[derive(Debug, Default)]
pub(super) struct Searched {
    pub(super) traces: Vec<Trace>,
    pub(super) others: Others,
}

/// Searches all tables of the mirror.
pub(super) async fn search(connection: &mut Connection, people: &People) -> Result<Searched> {
    let mut searched = Searched::default();
    for (object, person) in erase::tables() {
        let (among, values) = connection.dialect().is_among(person, people.ids.iter().copied());
        let sql = format!("select count(*) from {} where {among}", object.table);
        let counted = connection.rows("search for a person", &sql, &values).await?;
        let rows = counted.first().and_then(|row| row.int(0)).unwrap_or(0);
        searched.add(object.table, person, rows.unsigned_abs());
    }
    let Some(search) = AddressSearch::of(&people.addresses)? else { return Ok(searched) };
    for table in tables::all() {
        search_table(connection, &table, &search, &mut searched).await?;
    }
    if let Some(samples) = connection.dialect().samples() {
        for spelling in search.spellings() {
            let found = connection.rows("search the statistics", samples, &[text(spelling)]).await?;
            for row in found.iter().filter(|row| row.text(2).is_some_and(|samples| search.is_in(samples))) {
                let cell = |at| row.text(at).unwrap_or_default();
                // The server's own, not a table of ours.
                searched.add("pg_stats", &format!("{}.{}", cell(0), cell(1)), 1);
            }
        }
    }
    Ok(searched)
}

impl Searched {
    fn add(&mut self, table: &str, column: &str, rows: u64) {
        if rows > 0 {
            self.traces.push(Trace { table: table.to_owned(), column: column.to_owned(), rows });
        }
    }
}

/// The rows in which the engine finds one of the spellings, looked at one by one: it may be a part of a longer address.
async fn search_table(
    connection: &mut Connection,
    table: &Table,
    search: &AddressSearch,
    searched: &mut Searched,
) -> Result<()> {
    let dialect = connection.dialect();
    let fields: Vec<&Field> = table.fields.iter().filter(|field| is_text(field.kind)).collect();
    if fields.is_empty() {
        return Ok(());
    }
    let select = Select::of(dialect, table, &fields, search.spellings());
    let mut found: BTreeMap<&str, u64> = BTreeMap::new();
    let mut last: Option<Vec<Value>> = None;
    loop {
        let (sql, values) = select.beyond(last.as_deref());
        let rows = connection.rows("search a table", &sql, &values).await?;
        for row in &rows {
            for (at, field) in (table.key.len()..).zip(&fields) {
                let mut holds = false;
                for one in search.found_in(row.text(at).unwrap_or_default()) {
                    match one {
                        Found::Itself => holds = true,
                        Found::Longer(longer) => searched.others.add(&longer),
                    }
                }
                *found.entry(field.name).or_default() += u64::from(holds);
            }
        }
        let Some(row) = rows.last() else { break };
        last = Some((0..table.key.len()).map(|at| row.value(at)).collect());
    }
    for (column, rows) in found {
        searched.add(table.name, column, rows);
    }
    Ok(())
}

/// Whether an address could stand in a column.
fn is_text(kind: Content) -> bool {
    match kind {
        Content::Key(_) | Content::Plain(Type::Text | Type::JsonObject | Type::JsonArray) => true,
        Content::Plain(Type::Id | Type::Int | Type::Bool | Type::Time) => false,
        Content::Count | Content::Flag | Content::Serial | Content::One => false,
    }
}

/// The query for the rows of a table that hold one of some texts, in the order of the key.
struct Select<'s> {
    columns: String,
    table: &'static str,
    condition: String,
    spellings: &'s [String],
    times: usize,
    key: String,
    marks: String,
}

impl<'s> Select<'s> {
    fn of(dialect: Dialect, table: &Table, fields: &[&Field], spellings: &'s [String]) -> Self {
        let quoted = |name: &str| format!("\"{name}\"");
        let key: Vec<String> = table.key.iter().map(|name| quoted(name)).collect();
        let columns: Vec<String> = fields.iter().map(|field| quoted(field.name)).collect();
        let holds = columns.iter().map(|column| vec![dialect.holds(column); spellings.len()].join(" or "));
        Select {
            columns: [&key[..], &columns].concat().join(", "),
            table: table.name,
            condition: holds.collect::<Vec<_>>().join(" or "),
            spellings,
            times: columns.len(),
            key: key.join(", "),
            marks: vec!["?"; key.len()].join(", "),
        }
    }

    /// The rows behind the one with this key.
    fn beyond(&self, last: Option<&[Value]>) -> (String, Vec<Value>) {
        let Select { columns, table, condition, key, marks, .. } = self;
        let beyond = if last.is_some() { format!(" and ({key}) > ({marks})") } else { String::new() };
        let sql = format!(
            "select {columns} from {table} where ({condition}){beyond} order by {key} limit {READ_AT_ONCE}"
        );
        let texts = std::iter::repeat_n(self.spellings, self.times).flatten().map(|spelling| text(spelling));
        (sql, texts.chain(last.into_iter().flatten().cloned()).collect())
    }
}

/// Lets the engine sample the values of people anew that it keeps to plan queries by, where it does.
pub(super) async fn renew_samples(connection: &mut Connection) -> Result<()> {
    let dialect = connection.dialect();
    if dialect == Dialect::Sqlite {
        let sampled = "select 1 from sqlite_master where name = 'sqlite_stat1'";
        if connection.rows("look for statistics", sampled, &[]).await?.is_empty() {
            return Ok(());
        }
    }
    for (object, _) in erase::tables() {
        if let Some(analyze) = dialect.analyze(object.table) {
            connection.script("renew the statistics", &analyze).await?;
        }
    }
    Ok(())
}
