//! Rows that go for good: those of people who are to be forgotten, and tombstones whose time has come. Which tables
//! hold rows of people is what the declarations say.

use std::collections::BTreeMap;

use super::connection::Connection;
use super::people::People;
use super::quarantine;
use super::state::text;
use crate::error::Result;
use crate::model::{Object, Person, Time, Value, objects};

/// Rows of one transaction of a purge, so that nobody waits long for it.
const PURGED_AT_ONCE: usize = 500;

/// What is gone for good.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Erased {
    /// Rows, by table.
    pub rows: BTreeMap<&'static str, u64>,
    /// People among them, with their addresses.
    pub people: People,
}

impl Erased {
    /// Whether nothing was there.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Takes in what a further step did.
    pub fn join(&mut self, step: Erased) {
        for (table, rows) in step.rows {
            self.count(table, rows);
        }
        self.people.join(step.people);
    }

    fn count(&mut self, table: &'static str, rows: u64) {
        if rows > 0 {
            *self.rows.entry(table).or_default() += rows;
        }
    }
}

/// The tables that hold rows of people, with the column that says whose they are.
pub(super) fn tables() -> impl Iterator<Item = (&'static Object, &'static str)> {
    objects::tables().filter_map(|object| Some((object, object.person_column(Person::Id)?)))
}

/// The tables whose rows are people, with the column of their address.
pub(super) fn tables_of_addresses() -> impl Iterator<Item = (&'static Object, &'static str)> {
    objects::tables().filter_map(|object| Some((object, object.person_column(Person::Address)?)))
}

/// Takes away every row of these people, and every record of theirs in quarantine.
pub(super) async fn people(connection: &mut Connection, people: &People) -> Result<Erased> {
    let mut erased = Erased { people: people.clone(), ..Erased::default() };
    for (object, column) in tables_of_addresses() {
        let (among, values) =
            connection.dialect().is_among(&object.key.join(", "), people.ids.iter().copied());
        let sql = format!("select {column} from {} where {among} and {column} is not null", object.table);
        let rows = connection.rows("read addresses", &sql, &values).await?;
        erased.people.addresses.extend(rows.iter().filter_map(|row| row.text(0)).map(str::to_owned));
    }
    // While the addresses are known: some records can only be told by them.
    erased.count("sync_quarantine", quarantine::erase(connection, &erased.people).await?);
    for (object, person) in tables() {
        let (among, values) = connection.dialect().is_among(person, people.ids.iter().copied());
        uncount(connection, object, &among, &values).await?;
        let sql = format!("delete from {} where {among}", object.table);
        erased.count(object.table, connection.run("erase people", &sql, &values).await?);
    }
    Ok(erased)
}

/// Takes live rows that are about to go out of the count that `sync_state` keeps of each partition.
async fn uncount(
    connection: &mut Connection,
    object: &Object,
    condition: &str,
    values: &[Value],
) -> Result<()> {
    let live = format!("from {} where {condition} and _deleted_at is null", object.table);
    if let Some(parent) = object.parent_column() {
        let sql = format!("select {parent}, count(*) {live} group by {parent}");
        for row in connection.rows("count rows", &sql, values).await? {
            let partition = row.int(0).unwrap_or_default().to_string();
            take(connection, object.name, &partition, row.int(1).unwrap_or(0)).await?;
        }
        return Ok(());
    }
    let counted = connection.rows("count rows", &format!("select count(*) {live}"), values).await?;
    let mut left = counted.first().and_then(|row| row.int(0)).unwrap_or(0);
    // Each was counted by the object that found it first, and it is not known which that was.
    for writer in objects::ALL.iter().filter(|writer| writer.table == object.table) {
        let sql = "select \"rows\" from sync_state where object = ? and \"partition\" = ''";
        let counted = connection.rows("read sync_state", sql, &[text(writer.name)]).await?;
        let taken = left.min(counted.first().and_then(|row| row.int(0)).unwrap_or(0));
        take(connection, writer.name, "", taken).await?;
        left -= taken;
    }
    Ok(())
}

async fn take(connection: &mut Connection, object: &str, partition: &str, rows: i64) -> Result<()> {
    let sql = "update sync_state set \"rows\" = \"rows\" - ? where object = ? and \"partition\" = ?";
    let values = [Value::Int(rows), text(object), text(partition)];
    connection.run("write sync_state", sql, &values).await.map(drop)
}

/// Takes away some of what was marked as gone before an instant; a person with everything that is left of him.
/// Nothing, when there is nothing more.
pub(super) async fn tombstones(connection: &mut Connection, before: Time) -> Result<Erased> {
    for object in objects::tables() {
        let keys = object.key.join(", ");
        let sql = format!(
            "select {keys} from {} where _deleted_at < ? order by _deleted_at limit {PURGED_AT_ONCE}",
            object.table
        );
        let marked = connection.rows("look for tombstones", &sql, &[Value::Time(before)]).await?;
        if marked.is_empty() {
            continue;
        }
        if object.is_of_people() {
            let ids = marked.iter().filter_map(|row| row.int(0)).collect();
            return people(connection, &People { ids, ..People::default() }).await;
        }
        let mut erased = Erased::default();
        // Of one parent together; without a parent, all of them.
        let mut by_parent: BTreeMap<Option<i64>, Vec<i64>> = BTreeMap::new();
        let last = object.key.len() - 1;
        for row in &marked {
            let parent = if last > 0 { row.int(0) } else { None };
            by_parent.entry(parent).or_default().extend(row.int(last));
        }
        for (parent, ids) in by_parent {
            let (among, mut values) = connection.dialect().is_among(object.key[last], ids.into_iter());
            let mut sql = format!("delete from {} where {among}", object.table);
            if let Some(parent) = parent {
                sql.push_str(&format!(" and {} = ?", object.key[0]));
                values.push(Value::Int(parent));
            }
            erased.count(object.table, connection.run("purge tombstones", &sql, &values).await?);
        }
        return Ok(erased);
    }
    Ok(Erased::default())
}
