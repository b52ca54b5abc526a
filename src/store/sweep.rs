//! Rows that are gone at Kit: found by what a complete pass has not met, marked by `_deleted_at`, never removed here.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Store;
use super::connection::Connection;
use super::met::Met;
use super::state::text;
use crate::error::Result;
use crate::model::{Object, Person, Time, Value, objects};

/// Rows looked at in one go: no transaction is open for longer than that takes.
const ROWS: i64 = 10_000;

/// What is looked for.
#[derive(Debug, Clone)]
pub struct VanishedSearch {
    /// Whose rows.
    pub object: &'static Object,
    /// Parent's id, or empty.
    pub partition: String,
    /// Of a table that the list does not show all of: column and value of the rows it shows.
    pub only: Option<(&'static str, &'static str)>,
    /// Whose memberships, of a list of members.
    pub people: Members,
    /// Only rows that have not changed since; younger ones may not be visible at Kit yet. By our clock.
    pub before: Time,
    /// Only rows with a greater id.
    pub after: i64,
    /// How many ids are wanted. With none, all rows are counted; else the search ends when they are found.
    pub most: usize,
}

/// Members by what is known of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Members {
    /// Everybody.
    Everybody,
    /// Those who are known to be active or cancelled, or gone: no list hides them.
    InSight,
    /// The others, whom the list may hide.
    OutOfSight,
}

impl Members {
    /// Those of whom a list that was read to its end says whether they are there.
    pub fn of_a_list(may_hide_people: bool) -> Self {
        if may_hide_people { Members::InSight } else { Members::Everybody }
    }
}

/// What was found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Vanished {
    /// Live rows that the list should show.
    pub live: u64,
    /// Of these, the ones that were not met.
    pub count: u64,
    /// The first of them, ascending.
    pub ids: Vec<i64>,
}

impl Store {
    /// Looks for live rows that a complete pass has not met. Changes nothing, and holds no transaction for longer than
    /// it takes to look at ten thousand rows.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn vanished(&self, search: VanishedSearch, met: Arc<Met>) -> Result<Vanished> {
        let mut found = Vanished::default();
        let mut rest = Some(search);
        while let Some(search) = rest.take() {
            let (next, met) = (search.clone(), Arc::clone(&met));
            let (more, last) = self
                .read(move |connection| {
                    let (search, met) = (next.clone(), Arc::clone(&met));
                    Box::pin(async move { look(connection, &search, &met).await })
                })
                .await?;
            rest = last.map(|after| VanishedSearch { after, most: search.most - more.ids.len(), ..search });
            found.live += more.live;
            found.count += more.count;
            found.ids.extend(more.ids);
        }
        Ok(found)
    }

    /// How many members Kit counts for a parent, where its row says so (API v4).
    ///
    /// # Errors
    /// Those of the database.
    pub async fn counted(&self, object: &'static Object, partition: &str) -> Result<Option<u64>> {
        let partition = partition.to_owned();
        self.read(move |connection| {
            let partition = partition.clone();
            Box::pin(async move { counted(connection, object, &partition).await })
        })
        .await
    }
}

/// Goes through the next rows: what was found among them, and the id behind which to go on, or nothing at the end.
async fn look(
    connection: &mut Connection,
    search: &VanishedSearch,
    met: &Met,
) -> Result<(Vanished, Option<i64>)> {
    let id = search.object.member_column();
    let mut values = vec![Value::Time(search.before)];
    let mut conditions = String::new();
    if let (Some(column), Ok(parent)) = (search.object.parent_column(), search.partition.parse()) {
        conditions.push_str(&format!(" and \"{column}\" = ?"));
        values.push(Value::Int(parent));
    }
    if let Some((column, value)) = search.only {
        conditions.push_str(&format!(" and \"{column}\" = ?"));
        values.push(text(value));
    }
    values.extend([Value::Int(search.after), Value::Int(ROWS)]);
    let sql = format!(
        "select \"{id}\", _synced_at < ? from {} where _deleted_at is null{conditions} and \"{id}\" > ? order by \"{id}\" limit ?",
        search.object.table
    );
    let rows = connection.rows("look for vanished rows", &sql, &values).await?;
    let unmet: Vec<i64> = rows
        .iter()
        .filter(|row| row.is_true(1))
        .filter_map(|row| row.int(0).filter(|id| !met.contains(*id)))
        .collect();
    let unmet = match (search.object.person_column(Person::Id), search.people) {
        (None, _) | (_, Members::Everybody) => unmet,
        (Some(_), Members::InSight) => in_sight(connection, unmet).await?,
        (Some(_), Members::OutOfSight) => {
            let in_sight = in_sight(connection, unmet.clone()).await?;
            unmet.into_iter().filter(|id| in_sight.binary_search(id).is_err()).collect()
        }
    };
    let (live, count) = (rows.len() as u64, unmet.len() as u64);
    let found = Vanished { live, count, ids: unmet.into_iter().take(search.most).collect() };
    let enough = search.most > 0 && found.ids.len() == search.most;
    let last = rows.last().and_then(|row| row.int(0)).filter(|_| rows.len() as i64 == ROWS && !enough);
    Ok((found, last))
}

/// Of these people, the ones who are active or cancelled, or gone.
async fn in_sight(connection: &mut Connection, people: Vec<i64>) -> Result<Vec<i64>> {
    if people.is_empty() {
        return Ok(people);
    }
    let (among, values) = connection.dialect().is_among("id", people.iter().copied());
    let sql = format!(
        "select id from subscribers where {among} and (_deleted_at is not null or state in ('active', 'cancelled')) order by id"
    );
    let rows = connection.rows("look at the people of vanished rows", &sql, &values).await?;
    Ok(rows.iter().filter_map(|row| row.int(0)).collect())
}

/// How many members Kit counts for a parent, where its row says so.
async fn counted(connection: &mut Connection, object: &Object, partition: &str) -> Result<Option<u64>> {
    let (Some(parent), Ok(id)) = (object.parent(), partition.parse()) else { return Ok(None) };
    if parent.column_index("subscriber_count").is_none() {
        return Ok(None);
    }
    let sql = format!("select subscriber_count from {} where id = ? and _deleted_at is null", parent.table);
    let rows = connection.rows("read a parent's count", &sql, &[Value::Int(id)]).await?;
    Ok(rows.first().and_then(|row| row.int(0)).and_then(|count| u64::try_from(count).ok()))
}

/// Marks rows of a partition as gone, and with them what cannot be without them: the members of a parent, the
/// memberships of a person. How many rows of the object itself were marked, and how many in all.
pub(super) async fn mark(
    connection: &mut Connection,
    object: &'static Object,
    partition: &str,
    ids: &[i64],
    now: Time,
) -> Result<(u64, u64)> {
    if ids.is_empty() {
        return Ok((0, 0));
    }
    let parent = object.parent_column().and_then(|column| Some((column, partition.parse::<i64>().ok()?)));
    let own = mark_where(connection, object, object.member_column(), ids, parent, now).await?;
    let mut all = own;
    for child in objects::tables().filter(|child| child.parent().is_some_and(|p| p.table == object.table)) {
        let Some(column) = child.parent_column() else { continue };
        all += mark_where(connection, child, column, ids, None, now).await?;
        // A parent that comes back is loaded in full.
        for id in ids {
            let sql = "delete from sync_state where object = ? and \"partition\" = ?";
            connection.run("write sync_state", sql, &[text(child.name), text(&id.to_string())]).await?;
            let sql = "delete from sync_met where object = ? and \"partition\" = ?";
            connection.run("clear sync_met", sql, &[text(child.name), text(&id.to_string())]).await?;
        }
    }
    if object.is_of_people() {
        for child in objects::tables().filter(|child| child.parent().is_some()) {
            let Some(column) = child.person_column(Person::Id) else { continue };
            count_down(connection, child, column, ids).await?;
            all += mark_where(connection, child, column, ids, None, now).await?;
        }
    }
    Ok((own, all))
}

async fn mark_where(
    connection: &mut Connection,
    object: &Object,
    column: &str,
    ids: &[i64],
    parent: Option<(&str, i64)>,
    now: Time,
) -> Result<u64> {
    let (among, values) = connection.dialect().is_among(&format!("\"{column}\""), ids.iter().copied());
    let mut sql = format!(
        "update {} set _deleted_at = ?, _synced_at = ? where _deleted_at is null and {among}",
        object.table
    );
    let mut values: Vec<Value> = [Value::Time(now), Value::Time(now)].into_iter().chain(values).collect();
    if let Some((column, parent)) = parent {
        sql.push_str(&format!(" and \"{column}\" = ?"));
        values.push(Value::Int(parent));
    }
    connection.run("mark vanished rows", &sql, &values).await
}

/// Memberships of these people are about to be marked: their partitions count fewer rows.
async fn count_down(connection: &mut Connection, object: &Object, column: &str, ids: &[i64]) -> Result<()> {
    let Some(parent) = object.parent_column() else { return Ok(()) };
    let (among, values) = connection.dialect().is_among(&format!("\"{column}\""), ids.iter().copied());
    let sql = format!(
        "select \"{parent}\", count(*) from {} where _deleted_at is null and {among} group by \"{parent}\"",
        object.table
    );
    let rows = connection.rows("count rows", &sql, &values).await?;
    let fewer: BTreeMap<i64, i64> = rows.iter().filter_map(|row| Some((row.int(0)?, row.int(1)?))).collect();
    for (parent, count) in fewer {
        let sql = "update sync_state set \"rows\" = \"rows\" - ? where object = ? and \"partition\" = ?";
        let values = [Value::Int(count), text(object.name), text(&parent.to_string())];
        connection.run("write sync_state", sql, &values).await?;
    }
    Ok(())
}
