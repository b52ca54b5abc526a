//! The simulator against its own truth, and its answers against the shapes the API reference shows.

mod changes;
mod client;
mod faults;
mod lists;
mod modes;
mod shapes;
mod wire;

use serde_json::Value;

use super::{AccountPlan, Simulator};

/// A simulator whose clock stands still and which never refuses.
fn still(plan: AccountPlan) -> Simulator {
    let simulator = Simulator::new(plan);
    simulator.clock().freeze();
    simulator.set_limit(None);
    simulator
}

fn get(simulator: &Simulator, path: &str) -> Value {
    let (status, body) = simulator.ask(path);
    assert_eq!(status, 200, "{path}: {body}");
    serde_json::from_str(&body).unwrap_or_else(|error| panic!("{path}: {error}: {body}"))
}

fn with(path: &str, parameter: &str) -> String {
    format!("{path}{}{parameter}", if path.contains('?') { '&' } else { '?' })
}

/// All rows of a v4 list, page by page.
fn walk_v4(simulator: &Simulator, path: &str) -> Vec<Value> {
    let mut rows = Vec::new();
    let mut cursor: Option<String> = None;
    for _ in 0..10_000 {
        let page = match &cursor {
            None => get(simulator, path),
            Some(cursor) => get(simulator, &with(path, &format!("after={}", encoded(cursor)))),
        };
        rows.extend(rows_of(&page));
        let pagination = &page["pagination"];
        if pagination["has_next_page"] == false {
            return rows;
        }
        cursor = Some(pagination["end_cursor"].as_str().expect("a cursor to the next page").to_string());
    }
    panic!("{path} has no end");
}

/// All rows of a v3 list, page by page.
fn walk_v3(simulator: &Simulator, path: &str) -> Vec<Value> {
    let first = get(simulator, path);
    let total_pages = first["total_pages"].as_u64().expect("a number of pages");
    let pages = (2..=total_pages).map(|page| get(simulator, &with(path, &format!("page={page}"))));
    let mut rows = rows_of(&first);
    rows.extend(pages.flat_map(|page| rows_of(&page)));
    rows
}

fn rows_of(page: &Value) -> Vec<Value> {
    let members = page.as_object().expect("an object");
    members.values().find_map(Value::as_array).expect("a list").clone()
}

fn ids(rows: &[Value]) -> Vec<i64> {
    rows.iter().map(|row| row["id"].as_i64().expect("an id")).collect()
}

fn encoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}
