//! How a batch becomes statements: any rows, in any order, with any members absent.

use proptest::prelude::*;
use std::cell::RefCell;
use std::sync::Arc;

use super::super::connection::{Access, Place};
use super::*;
use crate::model::objects::{SUBSCRIBERS, TAG_SUBSCRIPTIONS};

/// A row of these ids, without a time; `mark` tells it from others of its key, `absent` says which other columns have no value.
fn row(object: &Object, ids: (i64, i64), mark: usize, absent: u64, text: &Arc<str>) -> Row {
    let key: Vec<usize> = object.key_indexes().collect();
    let value = |at: usize| match key.iter().position(|index| *index == at) {
        Some(0) if key.len() == 2 => Value::Int(ids.0),
        Some(_) => Value::Int(ids.1),
        None if absent >> at & 1 == 1 => Value::Absent,
        None => Value::Text(text.clone()),
    };
    Row { values: (0..object.columns.len()).map(value).collect(), extra: Value::Int(mark as i64) }
}

fn mark(row: &Row) -> usize {
    match row.extra {
        Value::Int(mark) => usize::try_from(mark).expect("a mark"),
        _ => panic!("every row has one"),
    }
}

fn same(ones: &[&Row], others: &[&Row]) -> bool {
    ones.len() == others.len() && ones.iter().zip(others).all(|(one, other)| std::ptr::eq(*one, *other))
}

thread_local! {
    static CONNECTION: RefCell<Option<Connection>> = const { RefCell::new(None) };
}

/// Runs with a connection whose limits are real.
fn with_connection<T>(run: impl FnOnce(&Connection) -> T) -> T {
    CONNECTION.with_borrow_mut(|slot| {
        let connection = slot.get_or_insert_with(|| {
            let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
            let place = Place::of("sqlite::memory:", None).expect("a place");
            runtime.block_on(Connection::open(&place, Access::Create)).expect("it opens")
        });
        run(connection)
    })
}

#[test]
fn what_commits_did_is_summed_by_kind() {
    let mut sum = Written { inserted: 1, updated: 2, revived: 3, deleted: 4, quarantined: 5 };
    sum += Written { inserted: 10, updated: 20, revived: 30, deleted: 40, quarantined: 50 };
    assert_eq!(sum, Written { inserted: 11, updated: 22, revived: 33, deleted: 44, quarantined: 55 });
}

proptest! {
    /// D01, D02: of each key there is one row, the latest, of equal times the last; and keys are in order.
    #[test]
    fn of_each_key_the_latest_row_is_written_and_keys_are_in_order(
        ids in prop::collection::vec((-3..3i64, prop_oneof![-4..4i64, any::<i64>()], 0..4i64), 0..60),
        of_a_tag in any::<bool>(),
    ) {
        let object: &Object = if of_a_tag { &TAG_SUBSCRIPTIONS } else { &SUBSCRIBERS };
        let text: Arc<str> = "".into();
        let time = object.column_index(object.watermark.column()).expect("a column");
        let timed = |(at, (parent, person, day)): (usize, &(i64, i64, i64))| {
            let mut row = row(object, (*parent, *person), at, 0, &text);
            row.values[time] = Value::Time(Time::UNIX_EPOCH + chrono::TimeDelta::days(*day));
            row
        };
        let rows: Vec<Row> = ids.iter().enumerate().map(timed).collect();
        let kept = latest_of_each_key(object, &rows);
        let keys: Vec<Vec<i64>> = kept.iter().map(|row| row.key(object)).collect();
        prop_assert!(keys.is_sorted_by(|one, next| one < next), "{:?}", keys);
        for row in &rows {
            let key = row.key(object);
            let of_its_key = rows.iter().filter(|other| other.key(object) == key);
            let latest = of_its_key.max_by_key(|other| other.time(time)).expect("itself at least");
            let at = keys.binary_search(&key).expect("no key is lost");
            prop_assert_eq!(mark(kept[at]), mark(latest));
        }
    }

    /// M32: a row is written with those of its members that are there, and no row twice.
    #[test]
    fn rows_are_grouped_by_what_they_have_a_value_for(absent in prop::collection::vec(0..16u64, 0..60)) {
        let text: Arc<str> = "".into();
        let rows: Vec<Row> =
            absent.iter().enumerate().map(|(at, absent)| row(&SUBSCRIBERS, (0, at as i64), at, *absent, &text)).collect();
        let all: Vec<&Row> = rows.iter().collect();
        let groups = by_presence(&all);
        let mut seen = Vec::new();
        for (present, group) in &groups {
            prop_assert!(group.iter().map(|row| mark(row)).is_sorted_by(|one, next| one < next));
            for row in group {
                let there: Vec<usize> = (0..=row.values.len()).filter(|at| *row.cell(*at) != Value::Absent).collect();
                prop_assert_eq!(present, &there);
                seen.push(mark(row));
            }
        }
        seen.sort_unstable();
        prop_assert!(seen.into_iter().eq(0..rows.len()));
        let shapes: HashSet<&Vec<usize>> = groups.iter().map(|(present, _)| present).collect();
        prop_assert_eq!(shapes.len(), groups.len(), "one group of each shape");
    }

    /// H-11, S-12: every row is in one statement, in order; no statement is beyond a limit; none ends early.
    #[test]
    fn statements_hold_every_row_within_the_limits(
        pieces in prop::collection::vec(prop_oneof![20 => Just(0..1), 1 => Just(0..16), 1 => Just(0..40)], 0..40),
        repeated in 1..60usize, columns in 1..200usize,
    ) {
        // Large rows share their text: a quarter of a megabyte, so many times.
        let (piece, short): (Arc<str>, Arc<str>) = ("x".repeat(1 << 18).into(), "x".into());
        let rows: Vec<Row> = pieces
            .iter()
            .flat_map(|pieces| std::iter::repeat_n(pieces.clone(), repeated))
            .map(|pieces| {
                let text = if pieces.len() == 1 { &short } else { &piece };
                Row { values: pieces.map(|_| Value::Text(text.clone())).collect(), extra: Value::Null }
            })
            .collect();
        let group: Vec<&Row> = rows.iter().collect();
        let present: Vec<usize> = (0..columns).collect();
        with_connection(|connection| {
            let chunks = chunks(connection, &present, &group);
            assert!(same(&chunks.concat(), &group), "every row, in order");
            let (dialect, bytes) = (connection.dialect(), connection.statement_bytes());
            let fits = |rows: &[&Row]| {
                rows.len() <= dialect.rows_per_statement()
                    && rows.len() * (columns + 2) <= dialect.parameter_limit()
                    && rows.iter().map(|row| row.bytes()).sum::<usize>() <= bytes
            };
            for (at, chunk) in chunks.iter().enumerate() {
                assert!(!chunk.is_empty() && (chunk.len() == 1 || fits(chunk)));
                if let Some(next) = chunks.get(at + 1) {
                    assert!(!fits(&[chunk, &next[..1]].concat()), "the next row had room");
                }
            }
        });
    }
}
