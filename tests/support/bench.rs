//! A mirror without a source: what is said to its store, and what another connection then sees.

use super::database::Database;
use super::mirror::Mirror;
use super::proxy::Proxy;
use kitmirror::model::objects::{SUBSCRIBERS, TAGS};
use kitmirror::model::{Batch, Object, Row, Time, Value, time};
use kitmirror::store::{Access, Commit, MetStep, Progress, Store, Written};
use std::sync::Arc;

/// A mirror whose tables are made and whose lease the store holds.
pub struct Bench {
    // Before the mirror: its session ends before the database is emptied.
    pub store: Store,
    pub mirror: Mirror,
    pub run: i64,
}

impl Bench {
    pub async fn new() -> Self {
        Self::on(Mirror::furnished().await).await
    }

    /// One whose store comes to its database through a proxy.
    pub async fn behind_a_proxy() -> (Self, Proxy) {
        let mut mirror = Mirror::furnished().await;
        let proxy = mirror.behind_a_proxy();
        (Self::on(mirror).await, proxy)
    }

    async fn on(mirror: Mirror) -> Self {
        let store = mirror.store(Access::Create).await;
        store.migrate().await.expect("the tables are made");
        store.acquire_lease("one").await.expect("the lease can be asked for").expect("and is free");
        let run = store.begin_run(&TAGS, "full").await.expect("a run");
        Bench { mirror, store, run }
    }

    pub fn commit(&self, object: &'static Object, rows: Vec<Row>, progress: Progress) -> Commit {
        let batch = Batch { read: rows.len(), rows, quarantined: Vec::new() };
        Commit {
            object,
            partition: String::new(),
            batch: Arc::new(batch),
            pages: 1,
            progress,
            fingerprint: "shape".to_owned(),
            run: (self.run, 1, 0),
            met: MetStep::None,
            gone: Vec::new(),
            meanwhile: self.store.meanwhile(),
        }
    }

    pub async fn write(&self, rows: Vec<Row>) -> Written {
        self.store.commit_page(self.commit(&TAGS, rows, more(1))).await.expect("the commit is accepted")
    }

    /// Another connection, as an analyst or another program has it.
    pub async fn other(&self) -> Database {
        self.mirror.database().await
    }

    pub async fn other_does(&self, sql: &str) {
        self.mirror.execute(sql).await;
    }

    /// The rows of a query, cells joined by `|`, as another connection sees them.
    pub async fn sees(&self, sql: &str) -> Vec<String> {
        self.mirror.lines(sql).await
    }

    pub async fn tags(&self) -> Vec<String> {
        self.sees("select id, name from tags order by id").await
    }

    pub async fn positions(&self) -> Vec<String> {
        self.sees("select object, watermark, checkpoint from sync_state").await
    }
}

pub fn more(page: u32) -> Progress {
    Progress::More { checkpoint: format!("{{\"page\":{page}}}") }
}

pub fn at(text: &str) -> Time {
    time::parse(text).expect("a time")
}

pub fn text(text: &str) -> Value {
    Value::Text(text.into())
}

/// A tag of that name; `name` may be null or absent.
pub fn tag(id: i64, name: Value) -> Row {
    let created_at = Value::Time(at("2024-05-01T00:00:00Z"));
    Row { values: vec![Value::Int(id), name, Value::Absent, created_at], extra: Value::Null }
}

pub fn tags(ids: impl Iterator<Item = i64>) -> Vec<Row> {
    ids.map(|id| tag(id, text("x"))).collect()
}

/// Somebody.
pub fn person(id: i64) -> Row {
    let values = SUBSCRIBERS.columns.iter().map(|column| match column.name {
        "id" => Value::Int(id),
        "email_address" => text(&format!("person{id}@example.org")),
        "state" => text("active"),
        "created_at" => Value::Time(at("2024-05-01T00:00:00Z")),
        _ => Value::Absent,
    });
    Row { values: values.collect(), extra: Value::Null }
}

/// Somebody in the list of a tag or form.
pub fn membership(object: &Object, parent: i64, person: i64) -> Row {
    let values = object.columns.iter().map(|column| match column.name {
        "tag_id" | "form_id" => Value::Int(parent),
        "subscriber_id" => Value::Int(person),
        "created_at" => Value::Time(at("2024-05-01T00:00:00Z")),
        _ => Value::Absent,
    });
    Row { values: values.collect(), extra: Value::Null }
}
