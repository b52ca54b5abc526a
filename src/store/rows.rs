//! Writing rows: one batch of one partition, deduplicated, in the order of keys, in multi-row
//! statements. Written once for every dialect.

use std::collections::{BTreeSet, HashSet};

use super::connection::{Connection, Stored, Then, Upserted, then};
use super::forgotten;
use crate::chaos::{Bug, planted};
use crate::error::Result;
use crate::model::{Object, Person, Quarantined, Row, Time, Value};

/// What a commit did to the table.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Written {
    /// Rows that were not there before.
    pub inserted: u64,
    /// Rows whose content changed.
    pub updated: u64,
    /// Of these, rows that were marked as gone and are back.
    pub revived: u64,
    /// Rows that were marked as gone.
    pub deleted: u64,
    /// Records set aside.
    pub quarantined: u64,
}

impl std::ops::AddAssign for Written {
    fn add_assign(&mut self, step: Written) {
        self.inserted += step.inserted;
        self.updated += step.updated;
        self.revived += step.revived;
        self.deleted += step.deleted;
        self.quarantined += step.quarantined;
    }
}

/// From so many rows on, what lies between their ids is looked at first.
const WORTH_A_LOOK_BETWEEN: usize = 100;

/// The key of a row: one id, or the parent's and the person's.
type Key = (i64, i64);

/// Writes the rows of a batch but those of people who are `left_out`; those equal to what is stored stay
/// untouched. `careful` looks for the row a statement fails on, sets it aside and stores the others; it is only
/// worth it after a failure.
pub(super) async fn write(
    connection: &mut Connection,
    object: &'static Object,
    rows: &[Row],
    left_out: &BTreeSet<i64>,
    now: Time,
    careful: bool,
) -> Result<(Written, Vec<Quarantined>)> {
    let mut rows = latest_of_each_key(object, rows);
    if let Some(person) = object.person_column(Person::Id).and_then(|column| object.column_index(column)) {
        rows.retain(|row| row.id(person).is_none_or(|id| !left_out.contains(&id)));
    }
    if rows.is_empty() {
        return Ok((Written::default(), Vec::new()));
    }
    let mut written = Written::default();
    let mut refused = Vec::new();
    for (present, group) in by_presence(&rows) {
        let (fitting, oversized): (Vec<&Row>, Vec<&Row>) =
            group.into_iter().partition(|row| row.bytes() <= connection.row_bytes());
        refused.extend(oversized.into_iter().map(|row| {
            let limit = connection.row_bytes();
            let reason = format!("the row is larger than the {limit} bytes that this server takes at once");
            set_aside(object, row, reason)
        }));
        for chunk in chunks(connection, &present, &fitting) {
            if careful {
                written += write_carefully(connection, object, &present, chunk, now, &mut refused).await?;
            } else {
                written += store(connection, object, &present, chunk, now, false).await?;
            }
        }
    }
    Ok((written, refused))
}

/// In the order of keys, so that concurrent writers meet rows in one order. Of equal keys in a commit the one with the
/// latest time wins, for Kit may list a person twice who went through a sequence twice; of equal times the last.
fn latest_of_each_key<'r>(object: &Object, rows: &'r [Row]) -> Vec<&'r Row> {
    let positions: Vec<usize> = object.key_indexes().collect();
    let key = |row: &Row| -> Option<Key> {
        let id = |at: usize| row.id(at);
        match positions.as_slice() {
            [only] => Some((0, id(*only)?)),
            [parent, person] => Some((id(*parent)?, id(*person)?)),
            _ => None,
        }
    };
    let time = object.column_index(object.watermark.column());
    let time = |row: &Row| time.and_then(|index| row.time(index));
    let mut keyed: Vec<(Key, Option<Time>, usize)> =
        rows.iter().enumerate().filter_map(|(at, row)| key(row).map(|key| (key, time(row), at))).collect();
    keyed.sort_unstable();
    let mut latest: Vec<&Row> = Vec::with_capacity(keyed.len());
    for (at, (key, _, index)) in keyed.iter().enumerate() {
        if keyed.get(at + 1).is_none_or(|(next, ..)| next != key) || planted(Bug::NoDedupe) {
            latest.push(&rows[*index]);
        }
    }
    latest
}

/// Rows grouped by the columns they have a value for: a member that is absent leaves what is stored.
fn by_presence<'r>(rows: &[&'r Row]) -> Vec<(Vec<usize>, Vec<&'r Row>)> {
    let mut groups: Vec<(u64, Vec<&'r Row>)> = Vec::new();
    for row in rows {
        let mask = row
            .cells()
            .enumerate()
            .fold(0_u64, |mask, (at, value)| if *value == Value::Absent { mask } else { mask | 1 << at });
        match groups.iter_mut().find(|(known, _)| *known == mask) {
            Some((_, group)) => group.push(row),
            None => groups.push((mask, vec![row])),
        }
    }
    groups
        .into_iter()
        .map(|(mask, group)| ((0..64).filter(|at| mask & (1 << at) != 0).collect(), group))
        .collect()
}

/// Cuts a group into statements that stay within the limits of parameters, rows and bytes.
fn chunks<'g, 'r>(connection: &Connection, present: &[usize], group: &'g [&'r Row]) -> Vec<&'g [&'r Row]> {
    let columns = present.len() + 2;
    let dialect = connection.dialect();
    let most = (dialect.parameter_limit() / columns).clamp(1, dialect.rows_per_statement());
    let mut chunks = Vec::new();
    let mut start = 0;
    let mut bytes = 0;
    for (at, row) in group.iter().enumerate() {
        let size = row.bytes();
        if at > start && (at - start == most || bytes + size > connection.statement_bytes()) {
            chunks.push(&group[start..at]);
            start = at;
            bytes = 0;
        }
        bytes += size;
    }
    if start < group.len() {
        chunks.push(&group[start..]);
    }
    chunks
}

/// Stores the rows of one statement. Where none of them is there yet, as in a first load, and there was no failure before,
/// they go a shorter way.
async fn store(
    connection: &mut Connection,
    object: &'static Object,
    present: &[usize],
    rows: &[&Row],
    now: Time,
    careful: bool,
) -> Result<Written> {
    let may_insert = !careful && connection.may_insert_new(object, rows.len());
    let upsert_counts = connection.dialect().upsert_counts();
    let mut stored = None;
    if may_insert || !upsert_counts {
        stored = look_between(connection, object, rows).await?;
    }
    if stored.is_none() && !upsert_counts {
        stored = Some(count_stored(connection, object, rows).await?);
    }
    if may_insert && stored.is_some_and(|stored| stored.known == 0) {
        let inserted = connection.insert_new(object, present, rows, now).await?;
        return Ok(Written { inserted, ..Written::default() });
    }
    let Upserted { inserted, updated, revived } =
        connection.upsert(object, present, rows, now, stored.unwrap_or_default()).await?;
    Ok(Written { inserted, updated, revived, ..Written::default() })
}

/// Halves a failing statement until the rows it fails on are found, and sets those aside.
async fn write_carefully(
    connection: &mut Connection,
    object: &'static Object,
    present: &[usize],
    rows: &[&Row],
    now: Time,
    refused: &mut Vec<Quarantined>,
) -> Result<Written> {
    let mut written = Written::default();
    let mut open = vec![rows];
    while let Some(rows) = open.pop() {
        connection.script("set a savepoint", "savepoint kitmirror_rows").await?;
        match store(connection, object, present, rows, now, true).await {
            Ok(step) => written += step,
            Err(error) if then(&error) == Then::LeaveOutValue => {
                connection.script("go back to a savepoint", "rollback to savepoint kitmirror_rows").await?;
                if let [row] = rows {
                    let reason = format!("the database refused the row: {}", error.one_line());
                    refused.push(set_aside(object, row, reason));
                } else {
                    let (first, second) = rows.split_at(rows.len() / 2);
                    open.extend([second, first]);
                }
            }
            Err(error) => return Err(error),
        }
        connection.script("release a savepoint", "release savepoint kitmirror_rows").await?;
    }
    Ok(written)
}

fn set_aside(object: &Object, row: &Row, reason: String) -> Quarantined {
    let ids: Vec<String> = row.key(object).iter().map(i64::to_string).collect();
    Quarantined { key: Some(ids.join("/")), raw: row.as_json(object), reason, row_kept: false }
}

/// What is stored of the rows, by what is stored from the first to the last of them: most lists come by their ids, so
/// that is those rows or nothing, and one look instead of one for each. Nothing if they are few, or too many others lie
/// between.
async fn look_between(
    connection: &mut Connection,
    object: &'static Object,
    rows: &[&Row],
) -> Result<Option<Stored>> {
    let (parent, ids) = keys(object, rows);
    let (Some(first), Some(last)) = (ids.first(), ids.last()) else { return Ok(None) };
    if ids.len() < WORTH_A_LOOK_BETWEEN {
        return Ok(None);
    }
    let limit = 2 * connection.dialect().statement_size(ids.len());
    let (sql, values) = connection.dialect().stored_between(object, parent, (*first, *last), limit);
    let found = connection.rows("look for stored rows", &sql, &values).await?;
    if found.len() == limit {
        return Ok(None);
    }
    let mut stored = Stored::default();
    for row in found.iter().filter(|row| row.int(0).is_some_and(|id| ids.binary_search(&id).is_ok())) {
        stored.known += 1;
        stored.gone += u64::from(row.value(1) != Value::Null);
    }
    Ok(Some(stored))
}

/// What is stored of the rows.
async fn count_stored(connection: &mut Connection, object: &'static Object, rows: &[&Row]) -> Result<Stored> {
    let (parent, ids) = keys(object, rows);
    let (sql, values) = connection.dialect().count_stored(object, parent, ids.into_iter());
    let found = connection.rows("count stored rows", &sql, &values).await?;
    let count = |at| {
        found.first().and_then(|row| row.int(at)).and_then(|count| u64::try_from(count).ok()).unwrap_or(0)
    };
    Ok(Stored { known: count(0), gone: count(1) })
}

/// The keys of rows of one parent, if the key has one: the parent's id, and the ids behind it in the order of the rows,
/// which ascends.
fn keys(object: &Object, rows: &[&Row]) -> (Option<i64>, Vec<i64>) {
    let positions: Vec<usize> = object.key_indexes().collect();
    let Some((last, parents)) = positions.split_last() else { return (None, Vec::new()) };
    let parent = parents.first().and_then(|at| rows.first()?.id(*at));
    (parent, rows.iter().filter_map(|row| row.id(*last)).collect())
}

/// Ids of the live rows of a table, ascending.
pub(super) async fn ids(connection: &mut Connection, object: &Object) -> Result<Vec<i64>> {
    Ok(parents(connection, object).await?.into_iter().map(|(id, _)| id).collect())
}

/// Ids of the live rows of a table, ascending, with how many members Kit counts for each.
pub(super) async fn parents(connection: &mut Connection, object: &Object) -> Result<Vec<(i64, Option<i64>)>> {
    let count = if object.column_index("subscriber_count").is_some() { ", subscriber_count" } else { "" };
    let sql = format!("select id{count} from {} where _deleted_at is null order by id", object.table);
    let rows = connection.rows("read parents", &sql, &[]).await?;
    let count = |row: &super::connection::Cells| if count.is_empty() { None } else { row.int(1) };
    Ok(rows.iter().filter_map(|row| Some((row.int(0)?, count(row)))).collect())
}

/// Which of `ids` are there and not marked as gone.
pub(super) async fn live_among(
    connection: &mut Connection,
    object: &Object,
    ids: &[i64],
) -> Result<BTreeSet<i64>> {
    let (among, values) = connection.dialect().is_among("id", ids.iter().copied());
    let sql = format!("select id from {} where {among} and _deleted_at is null", object.table);
    let rows = connection.rows("look for what is there", &sql, &values).await?;
    Ok(rows.iter().filter_map(|row| row.int(0)).collect())
}

/// Whether a table holds any row.
pub(super) async fn has_any(connection: &mut Connection, object: &Object) -> Result<bool> {
    let sql = format!("select 1 from {} limit 1", object.table);
    Ok(!connection.rows("look for rows", &sql, &[]).await?.is_empty())
}

/// Live rows, of one parent or of all, whose watermark lies at or after an instant.
pub(super) async fn count_since(
    connection: &mut Connection,
    object: &Object,
    parent: Option<i64>,
    since: Time,
) -> Result<u64> {
    let mut condition = format!("{} >= ?", object.watermark.column());
    let mut values = vec![Value::Time(since)];
    if let (Some(column), Some(parent)) = (object.parent_column(), parent) {
        condition.push_str(&format!(" and {column} = ?"));
        values.push(Value::Int(parent));
    }
    count(connection, object, &condition, &values).await
}

/// Live rows where a column has a value.
pub(super) async fn count_where(
    connection: &mut Connection,
    object: &Object,
    column: &str,
    value: &str,
) -> Result<u64> {
    count(connection, object, &format!("{column} = ?"), &[Value::Text(value.into())]).await
}

async fn count(
    connection: &mut Connection,
    object: &Object,
    condition: &str,
    values: &[Value],
) -> Result<u64> {
    let sql = format!("select count(*) from {} where {condition} and _deleted_at is null", object.table);
    let rows = connection.rows("count rows", &sql, values).await?;
    Ok(rows.first().and_then(|row| row.int(0)).and_then(|count| u64::try_from(count).ok()).unwrap_or(0))
}

/// Which of `ids` are stored; with `condition`, only those where a column has a value and whose content has not
/// changed since an instant. People who are forgotten count as stored: there is nothing to be read of them.
pub(super) async fn known(
    connection: &mut Connection,
    object: &Object,
    ids: &[i64],
    condition: Option<(&str, &str, Time)>,
) -> Result<HashSet<i64>> {
    let (among, mut values) = connection.dialect().is_among("id", ids.iter().copied());
    let mut sql = format!("select id from {} where {among}", object.table);
    if let Some((column, value, before)) = condition {
        sql.push_str(&format!(" and {column} = ? and _deleted_at is null and _synced_at <= ?"));
        values.extend([Value::Text(value.into()), Value::Time(before)]);
    }
    let rows = connection.rows("look for known rows", &sql, &values).await?;
    let mut known: HashSet<i64> = rows.iter().filter_map(|row| row.int(0)).collect();
    if object.is_of_people() {
        let forgotten = forgotten::everybody(connection).await?;
        known.extend(ids.iter().filter(|id| forgotten.ids.contains(id)));
    }
    Ok(known)
}

#[cfg(test)]
#[path = "rows_model.rs"]
mod model;
