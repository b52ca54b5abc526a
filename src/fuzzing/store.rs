//! Values on their way into a database and back, and the search for somebody's address. A child of `store`.

use std::cell::RefCell;
use std::collections::BTreeSet;
use tokio::runtime::Runtime;

use super::connection::{Access, Connection, Place};
use super::people::is_address;
use super::spelling::{AddressSearch, Found};
use super::{migrate, relation_names, rows};
use crate::fuzzing::Bytes;
use crate::model::{ApiVersion, Mapping, Object, Row, Time, Type, Value, objects};

/// A database in memory, which each thread opens once.
struct Bench {
    runtime: Runtime,
    connection: Connection,
}

impl Bench {
    fn open() -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        let place = Place::of("sqlite::memory:", None).expect("a place");
        let connection = runtime.block_on(async {
            let mut connection = Connection::open(&place, Access::Create).await.expect("it opens");
            migrate::migrate(&mut connection, &relation_names()).await.expect("the tables");
            connection
        });
        Bench { runtime, connection }
    }
}

thread_local! {
    static BENCH: RefCell<Option<Bench>> = const { RefCell::new(None) };
}

/// What is written is read back as it was, in whatever words; a second writing of it changes nothing, and a member
/// that is absent leaves what is stored.
pub fn sql_values(data: &[u8]) {
    let mut bytes = Bytes::new(data);
    let object = objects::ALL[bytes.below(objects::ALL.len())].filled_by();
    let numbers: Vec<i64> = (0..2).map(|_| bytes.number().cast_signed()).collect();
    let time = bytes.time();
    let absent = bytes.number();
    let text = bytes.text();
    let texts: Vec<&str> = text.split('\u{1f}').collect();
    let json = serde_json::json!({ text.clone(): texts, "": numbers }).to_string();
    let value = |at: usize, kind: Type| match kind {
        Type::Id | Type::Int => Value::Int(numbers[at % numbers.len()]),
        Type::Bool => Value::Bool(at.is_multiple_of(2)),
        Type::Text => Value::Text(storable(texts[at % texts.len()])),
        Type::Time => Value::Time(time),
        Type::JsonObject => Value::Json(canonical_of(&json)),
        Type::JsonArray => Value::Json(canonical_of(&format!("[{json}]"))),
    };
    let whole = Row {
        values: object.columns.iter().enumerate().map(|(at, column)| value(at, column.kind)).collect(),
        extra: Value::Json(canonical_of(&json)),
    };
    let mut partial = whole.clone();
    for (at, column) in object.columns.iter().enumerate() {
        if !column.required && !object.key.contains(&column.name) && absent >> at & 1 == 1 {
            partial.values[at] = Value::Absent;
        }
    }
    BENCH.with_borrow_mut(|bench| {
        let Bench { runtime, connection } = bench.get_or_insert_with(Bench::open);
        runtime.block_on(async {
            connection.begin().await.expect("a transaction begins");
            assert_eq!(write(connection, object, &whole).await, (1, 0), "{whole:?}");
            reads_back(connection, object, &whole).await;
            assert_eq!(write(connection, object, &whole).await, (0, 0), "nothing has changed in {whole:?}");
            assert_eq!(write(connection, object, &partial).await, (0, 0), "nothing is known of {partial:?}");
            reads_back(connection, object, &whole).await;
            connection.script("roll back", "rollback").await.expect("a transaction ends");
        });
    });
}

/// Text as a record brings it.
fn storable(text: &str) -> std::sync::Arc<str> {
    let token = serde_json::Value::from(text).to_string();
    let stored = crate::model::text::decode(&token).expect("a string");
    assert_eq!(stored, text.replace('\0', "\u{2400}"));
    stored.into()
}

fn canonical_of(json: &str) -> std::sync::Arc<str> {
    let raw = serde_json::value::RawValue::from_string(json.to_owned()).expect("it is JSON");
    crate::model::text::canonical(&raw).expect("it is not deep").into()
}

/// Rows inserted and updated.
async fn write(connection: &mut Connection, object: &'static Object, row: &Row) -> (u64, u64) {
    let now = Time::UNIX_EPOCH;
    let rows = std::slice::from_ref(row);
    let (written, refused) = rows::write(connection, object, rows, &BTreeSet::new(), now, false)
        .await
        .expect("the database takes it");
    assert!(refused.is_empty(), "{refused:?}");
    (written.inserted, written.updated)
}

async fn reads_back(connection: &mut Connection, object: &'static Object, row: &Row) {
    let names: Vec<String> = object.columns.iter().map(|column| format!("\"{}\"", column.name)).collect();
    let key: Vec<String> = object.key.iter().map(|name| format!("\"{name}\" = ?")).collect();
    let ids: Vec<Value> = row.key(object).into_iter().map(Value::Int).collect();
    let sql =
        format!("select {}, _extra from {} where {}", names.join(", "), object.table, key.join(" and "));
    let found = connection.rows("read it back", &sql, &ids).await.expect("it can be read");
    let [found] = found.as_slice() else { panic!("{} rows of one key", found.len()) };
    for (at, value) in row.values.iter().chain([&row.extra]).enumerate() {
        let same = match value {
            Value::Absent | Value::Null => found.value(at) == Value::Null,
            Value::Int(number) => found.int(at) == Some(*number),
            Value::Bool(truth) => found.is_true(at) == *truth,
            Value::Time(time) => found.time(at) == Some(*time),
            Value::Text(text) | Value::Json(text) => found.text(at) == Some(text),
        };
        assert!(same, "{value:?} came back as {:?}", found.value(at));
    }
    // And a record of what was read makes the row again, where the record's shape is that of the row.
    let json = row.as_json(object);
    let endpoint = object.endpoint(ApiVersion::V4).expect("it has requests");
    let batch = Mapping::new(object, endpoint, ApiVersion::V4, "42").rows(std::iter::once(json.as_str()));
    assert_eq!(batch.rows.len() + batch.lost(), 1);
}

/// An address is found wherever it stands as a whole, in any case of letters and any of its spellings, and is not
/// found as a part of another one.
///
/// The lines of the bytes are addresses; what comes behind an empty line is the text.
pub fn address_search(data: &[u8]) {
    let all = String::from_utf8_lossy(data);
    let (addresses, text) = all.split_once("\n\n").unwrap_or((&all, &all));
    let addresses: BTreeSet<String> = addresses.lines().take(8).map(str::to_owned).collect();
    let search = AddressSearch::of(&addresses).expect("it can be prepared");
    let Some(search) = search else {
        return assert!(!addresses.iter().any(|address| is_address(address)), "{addresses:?}");
    };
    for address in addresses.iter().filter(|address| is_address(address)) {
        for spelling in [address.to_ascii_uppercase(), address.replacen('@', "%40", 1)] {
            assert!(search.is_in(&format!("({spelling})")), "{spelling} by itself");
        }
        let json = serde_json::json!({ "to": address }).to_string();
        assert!(search.is_in(&json), "{address} in {json}");
    }
    let (found, stands) = (search.is_in(text), search.spellings().iter().any(|one| stands_in(text, one)));
    assert!(found || !stands, "one of {addresses:?} stands in {text:?} and is not found");
    assert_eq!(found, search.found_in(text).any(|found| found == Found::Itself));
    // What is found in a file is found in its text too, in pieces of whatever size.
    for place in search.positions_in(text.as_bytes()) {
        let (from, to) = place.expect("bytes in memory can be read");
        let part = &text.as_bytes()[from as usize..to as usize];
        assert!(search.spellings().iter().any(|one| one.as_bytes().eq_ignore_ascii_case(part)));
    }
}

/// Whether a text holds this with nothing before or behind it that an address could go on with.
fn stands_in(text: &str, wanted: &str) -> bool {
    let (text, wanted) = (text.as_bytes(), wanted.as_bytes());
    let goes_on = |byte: Option<&u8>| {
        byte.is_some_and(|byte| byte.is_ascii_alphanumeric() || b"._-+".contains(byte) || !byte.is_ascii())
    };
    text.windows(wanted.len()).enumerate().any(|(at, piece)| {
        piece.eq_ignore_ascii_case(wanted)
            && !goes_on(at.checked_sub(1).and_then(|before| text.get(before)))
            && !goes_on(text.get(at + wanted.len()))
    })
}
