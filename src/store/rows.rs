//! Writing rows: one batch of one partition, deduplicated, in the order of keys, in multi-row
//! statements. Written once for every dialect.

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash as _, Hasher as _};

use super::connection::{Connection, is_about_a_value};
use crate::error::Result;
use crate::model::{Object, Quarantined, Row, Time, Value};

/// Rows per statement: measured flat from 500 up, and a smaller statement needs less memory.
const ROWS_PER_STATEMENT: usize = 500;
/// Bytes of text per statement; a page of huge records is split further.
const BYTES_PER_STATEMENT: usize = 8 << 20;
/// Bytes of a quarantined record that are kept.
const RAW_KEPT: usize = 256 << 10;

/// What a commit did to the table.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Written {
    /// Rows that were not there before.
    pub inserted: u64,
    /// Rows whose content changed.
    pub updated: u64,
    /// Records set aside.
    pub quarantined: u64,
}

/// The key of a row: one id, or the parent's and the person's.
type Key = (i64, i64);

/// Writes the rows of a batch; those equal to what is stored stay untouched. `careful` looks for the
/// row a statement fails on, sets it aside and stores the others; it is only worth it after a failure.
pub(super) async fn write(
    connection: &mut Connection,
    object: &'static Object,
    rows: &[Row],
    now: Time,
    careful: bool,
) -> Result<(Written, Vec<Quarantined>)> {
    let rows = last_of_each_key(object, rows);
    if rows.is_empty() {
        return Ok((Written::default(), Vec::new()));
    }
    let before = count_existing(connection, object, &rows).await?;
    let mut changed = 0;
    let mut refused = Vec::new();
    for (present, group) in by_presence(&rows) {
        for chunk in chunks(connection, &present, &group) {
            if careful {
                changed += write_carefully(connection, object, &present, chunk, now, &mut refused).await?;
            } else {
                changed += upsert(connection, object, &present, chunk, now).await?;
            }
        }
    }
    let inserted = (rows.len() - refused.len()).saturating_sub(before) as u64;
    Ok((Written { inserted, updated: changed.saturating_sub(inserted), quarantined: 0 }, refused))
}

/// In the order of keys, so that concurrent writers meet rows in one order; of equal keys the last wins.
fn last_of_each_key<'r>(object: &Object, rows: &'r [Row]) -> Vec<&'r Row> {
    let positions: Vec<usize> = object.key_indexes().collect();
    let key = |row: &Row| -> Option<Key> {
        let id = |at: usize| match row.values.get(at) {
            Some(Value::Int(id)) => Some(*id),
            _ => None,
        };
        match positions.as_slice() {
            [only] => Some((0, id(*only)?)),
            [parent, person] => Some((id(*parent)?, id(*person)?)),
            _ => None,
        }
    };
    let mut keyed: Vec<(Key, usize)> =
        rows.iter().enumerate().filter_map(|(at, row)| key(row).map(|key| (key, at))).collect();
    keyed.sort_unstable();
    let mut last: Vec<&Row> = Vec::with_capacity(keyed.len());
    for (at, (key, index)) in keyed.iter().enumerate() {
        if keyed.get(at + 1).is_none_or(|(next, _)| next != key) {
            last.push(&rows[*index]);
        }
    }
    last
}

/// Rows grouped by the columns they have a value for: a member that is absent leaves what is stored.
fn by_presence<'r>(rows: &[&'r Row]) -> Vec<(Vec<usize>, Vec<&'r Row>)> {
    let mut groups: Vec<(u64, Vec<&'r Row>)> = Vec::new();
    for row in rows {
        let mask = row
            .values
            .iter()
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
    let columns = present.len() + 3;
    let most = (connection.dialect().parameter_limit() / columns).clamp(1, ROWS_PER_STATEMENT);
    let mut chunks = Vec::new();
    let mut start = 0;
    let mut bytes = 0;
    for (at, row) in group.iter().enumerate() {
        let size = bytes_of(row);
        if at > start && (at - start == most || bytes + size > BYTES_PER_STATEMENT) {
            chunks.push(&group[start..at]);
            start = at;
            bytes = 0;
        }
        bytes += size;
    }
    chunks.push(&group[start..]);
    chunks
}

fn bytes_of(row: &Row) -> usize {
    let text = |value: &Value| match value {
        Value::Text(text) | Value::Json(text) => text.len(),
        _ => 8,
    };
    row.values.iter().map(text).sum::<usize>() + text(&row.extra)
}

async fn upsert(
    connection: &mut Connection,
    object: &'static Object,
    present: &[usize],
    rows: &[&Row],
    now: Time,
) -> Result<u64> {
    let sql = connection.dialect().upsert(object, present, rows.len());
    let now = Value::Text(crate::model::time::text(now).into());
    let mut values = Vec::with_capacity(rows.len() * (present.len() + 3));
    for row in rows {
        values.extend(present.iter().map(|at| row.values[*at].clone()));
        values.extend([row.extra.clone(), now.clone(), now.clone()]);
    }
    if rows.len() == ROWS_PER_STATEMENT {
        connection.run("write rows", &sql, &values).await
    } else {
        connection.run_once("write rows", &sql, &values).await
    }
}

/// Halves a failing statement until the rows it fails on are found, and sets those aside.
async fn write_carefully(
    connection: &mut Connection,
    object: &'static Object,
    present: &[usize],
    rows: &[&Row],
    now: Time,
    refused: &mut Vec<Quarantined>,
) -> Result<u64> {
    let mut changed = 0;
    let mut open = vec![rows];
    while let Some(rows) = open.pop() {
        connection.script("set a savepoint", "savepoint kitmirror_rows").await?;
        match upsert(connection, object, present, rows, now).await {
            Ok(count) => changed += count,
            Err(error) if is_about_a_value(&error) => {
                connection.script("go back to a savepoint", "rollback to kitmirror_rows").await?;
                if let [row] = rows {
                    let ids: Vec<String> = row.key(object).iter().map(i64::to_string).collect();
                    refused.push(Quarantined {
                        key: Some(ids.join("/")),
                        raw: format!("{row:?}"),
                        reason: format!("the database refused the row: {}", error.one_line()),
                        row_kept: false,
                    });
                } else {
                    let (first, second) = rows.split_at(rows.len() / 2);
                    open.extend([second, first]);
                }
            }
            Err(error) => return Err(error),
        }
        connection.script("release a savepoint", "release savepoint kitmirror_rows").await?;
    }
    Ok(changed)
}

async fn count_existing(
    connection: &mut Connection,
    object: &'static Object,
    rows: &[&Row],
) -> Result<usize> {
    let dialect = connection.dialect();
    let positions: Vec<usize> = object.key_indexes().collect();
    let Some((last, parents)) = positions.split_last() else { return Ok(0) };
    let mut conditions = Vec::new();
    let mut values = Vec::new();
    if let (Some(parent), Some(first)) = (parents.first(), rows.first()) {
        conditions.push(format!("{} = ?", dialect.quoted(object.columns[*parent].name)));
        values.push(first.values[*parent].clone());
    }
    conditions.push(dialect.is_among(&dialect.quoted(object.columns[*last].name)));
    values.push(ids_as_json(rows.iter().filter_map(|row| match row.values[*last] {
        Value::Int(id) => Some(id),
        _ => None,
    })));
    let sql =
        format!("select count(*) from {} where {}", dialect.quoted(object.table), conditions.join(" and "));
    let found = connection.rows("count stored rows", &sql, &values).await?;
    Ok(found.first().and_then(|row| row.int(0)).unwrap_or(0) as usize)
}

/// Ids as one bound value, whatever their number.
pub(super) fn ids_as_json(ids: impl Iterator<Item = i64>) -> Value {
    let ids: Vec<String> = ids.map(|id| id.to_string()).collect();
    Value::Json(format!("[{}]", ids.join(",")).into())
}

/// Writes down what could not be stored, once per record and reason.
pub(super) async fn quarantine(
    connection: &mut Connection,
    object: &'static Object,
    partition: &str,
    notes: &[Quarantined],
    now: Time,
) -> Result<()> {
    let sql = "insert into sync_quarantine (object, partition, record, reason, raw, first_seen_at, last_seen_at) \
               values (?, ?, ?, ?, ?, ?, ?) \
               on conflict (object, partition, record, reason) do update set raw = excluded.raw, last_seen_at = excluded.last_seen_at";
    for note in notes {
        let record = note.key.clone().unwrap_or_else(|| digest(&note.raw));
        let mut raw = note.raw.replace('\0', "\u{2400}");
        if raw.len() > RAW_KEPT {
            let cut = (0..=RAW_KEPT).rev().find(|at| raw.is_char_boundary(*at)).unwrap_or(0);
            raw.truncate(cut);
        }
        let text = |text: &str| Value::Text(text.into());
        let values = [
            text(object.name),
            text(partition),
            text(&record),
            text(&note.reason),
            text(&raw),
            Value::Time(now),
            Value::Time(now),
        ];
        connection.run("write to quarantine", sql, &values).await?;
    }
    Ok(())
}

/// Tells records without a key apart.
fn digest(raw: &str) -> String {
    let mut hasher = DefaultHasher::new();
    raw.hash(&mut hasher);
    format!("#{:016x}", hasher.finish())
}
