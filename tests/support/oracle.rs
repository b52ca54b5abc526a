//! What is true of a mirror at every moment, whatever happened before: read from the database as it was left, and held
//! against the simulator's journal.

use super::{Api, Database, Engine, Mirror};
use crate::ENGINE;
use chrono::{DateTime, TimeDelta, Utc};
use kitmirror::simulator::{Account, Parent, Simulator};
use serde_json::Value;
use std::collections::{BTreeMap, HashSet};

/// Rows that show up later than this are found by a reconcile, not by an incremental run (P2).
const OVERLAP: TimeDelta = TimeDelta::hours(24);

/// A row of the truth: its id, its date, and since when it shows as it is.
type Shown = (i64, DateTime<Utc>, Option<DateTime<Utc>>);

/// A row of the database.
type Row = serde_json::Map<String, Value>;

/// The watermark of each partition so far.
pub type Watermarks = BTreeMap<(String, String), DateTime<Utc>>;

/// The database as a death left it, read before any run repairs it: all tables or none, and a sound file. Nothing when
/// the tables were not made yet. What is read from it is of one moment: a server may still be busy with the last words
/// of the one that died.
pub async fn what_was_left(mirror: &Mirror) -> Option<Database> {
    let made = mirror.relations().await;
    let made = ["sync_state", "sync_status"].map(|name| made.iter().any(|one| one == name));
    if ENGINE.makes_tables_all_or_none() {
        assert_eq!(made[0], made[1], "half of the tables");
    }
    if made != [true, true] {
        return None;
    }
    let database = mirror.database().await;
    if *ENGINE == Engine::Sqlite {
        assert_eq!(database.texts("pragma integrity_check").await, ["ok"]);
    }
    database.execute(ENGINE.begin_to_read()).await;
    // Where tables are not made in transactions, the last one may be under way; nothing was stored before it is there.
    let made = database.number("select count(*) from refinery_schema_history").await;
    if made < i64::from(kitmirror::store::latest(mirror.place_of_it().dialect())) {
        database.close().await;
        return None;
    }
    Some(database)
}

/// What is true at any moment is true of what a death left.
pub async fn judge_what_was_left(mirror: &Mirror, sim: &Simulator, api: Api) {
    let Some(database) = what_was_left(mirror).await else { return };
    let judged = at_any_moment(&database, sim, api, &mut Watermarks::new()).await;
    in_step(&database).await;
    database.close().await;
    assert_eq!(judged, Ok(()));
}

/// The records that a first walk claims to have read are the rows that are stored: no half page. Of a source that shows
/// no row twice.
async fn in_step(database: &Database) {
    let states = database.rows("select object, \"partition\", watermark, checkpoint from sync_state").await;
    // People are found by two objects.
    let found_twice = states.iter().any(|row| row["object"] == "cancelled_subscribers");
    for row in states.iter().filter(|row| row["watermark"].is_null()) {
        let (object, partition) = (text(&row["object"]), text(&row["partition"]));
        let checkpoint: Value = match &row["checkpoint"] {
            Value::String(text) => serde_json::from_str(text).expect("JSON"),
            json => json.clone(),
        };
        if object.ends_with("subscribers") && found_twice {
            continue;
        }
        if checkpoint["walks"][0]["kind"] == "Main" && checkpoint["leg"]["pages"].as_u64() > Some(0) {
            let stored = stored(database, &object, &partition).await.len();
            assert_eq!(checkpoint["leg"]["records"], stored, "{object}/{partition}: {checkpoint}");
        }
    }
}

/// O2, O4, O5 of a database as it stands. One line for what is wrong.
pub async fn at_any_moment(
    database: &Database,
    sim: &Simulator,
    api: Api,
    before: &mut Watermarks,
) -> Result<(), String> {
    for row in database.rows("select object, \"partition\", watermark, began_at from sync_state").await {
        let (object, partition) = (text(&row["object"]), text(&row["partition"]));
        let (Some(watermark), Some(began_at)) = (time(&row["watermark"]), time(&row["began_at"])) else {
            continue;
        };
        let name = format!("{object}/{partition}");
        match before.insert((object.clone(), partition.clone()), watermark) {
            Some(earlier) if earlier > watermark => {
                return Err(format!("O5: the watermark of {name} fell from {earlier} to {watermark}"));
            }
            _ => {}
        }
        let day = (watermark - OVERLAP).date_naive() - TimeDelta::days(1);
        let bound = day.and_time(chrono::NaiveTime::MIN).and_utc();
        let due = |row: &Shown| row.1 < bound && is_found(row, began_at);
        missing(database, sim, api, (&object, &partition), due)
            .await
            .map_err(|ids| format!("O4: {name} is complete up to {watermark}, but {ids:?} are not there"))?;
    }
    for (table, objects) in [
        ("tags", "'tags'"),
        ("forms", "'forms'"),
        ("sequences", "'sequences'"),
        ("broadcasts", "'broadcasts'"),
        ("subscribers", "'subscribers', 'cancelled_subscribers'"),
        ("tag_subscriptions", "'tag_subscriptions'"),
        ("form_subscriptions", "'form_subscriptions'"),
        ("sequence_subscriptions", "'sequence_subscriptions'"),
    ] {
        let stored = database.number(&format!("select count(*) from {table}")).await;
        let told =
            format!("select coalesce(sum(rows_inserted), 0) from sync_runs where object in ({objects})");
        let told = database.number(&told).await;
        if stored != told {
            return Err(format!(
                "O2: {table} holds {stored} rows, and its runs say that they brought {told}"
            ));
        }
        let live = database.number(&format!("select count(*) from {table} where _deleted_at is null")).await;
        let noted = format!("select coalesce(sum(\"rows\"), 0) from sync_state where object in ({objects})");
        let noted = database.number(&noted).await;
        if live != noted {
            return Err(format!("O2: {table} holds {live} live rows, and its partitions say {noted}"));
        }
    }
    Ok(())
}

/// O1: what a list showed before its last complete pass began is there, and after a complete run every list has one.
pub async fn after_a_complete_run(
    database: &Database,
    sim: &Simulator,
    api: Api,
    with_members: bool,
) -> Result<(), String> {
    let states = database.rows("select object, \"partition\", began_at from sync_state").await;
    let began = |object: &str, partition: &str| -> Result<DateTime<Utc>, String> {
        let is_it = |row: &&Row| row["object"] == object && row["partition"] == partition;
        let began = states.iter().find(is_it).and_then(|row| time(&row["began_at"]));
        began.ok_or_else(|| format!("O1: a run was complete, but {object}/{partition} was never read"))
    };
    let mut lists: Vec<(&str, String)> = ["tags", "forms", "sequences", "broadcasts", "subscribers"]
        .map(|object| (object, String::new()))
        .to_vec();
    if with_members {
        let begun = (began("tags", "")?, began("forms", "")?, began("sequences", "")?);
        sim.read(|account| {
            let shown = |at: Option<DateTime<Utc>>, begun| at.is_none_or(|at| at < begun);
            let tags = account.tags().into_iter().filter(|one| shown(one.visible_from, begun.0));
            lists.extend(tags.map(|one| ("tag_subscriptions", one.id.to_string())));
            let forms =
                account.forms().into_iter().filter(|one| shown(one.visible_from, begun.1) && !one.trashed);
            lists.extend(forms.map(|one| ("form_subscriptions", one.id.to_string())));
            let sequences = account.sequences().into_iter().filter(|one| shown(one.visible_from, begun.2));
            lists.extend(sequences.map(|one| ("sequence_subscriptions", one.id.to_string())));
        });
    }
    for (object, partition) in lists {
        let began = began(object, &partition)?;
        missing(database, sim, api, (object, &partition), |row| is_found(row, began)).await.map_err(|ids| {
            format!("O1: a pass over {object}/{partition} that began at {began} is complete, but {ids:?} are not there")
        })?;
    }
    Ok(())
}

/// Whether an incremental run that began then had to find it.
fn is_found(row: &Shown, began: DateTime<Utc>) -> bool {
    let shown = row.2.unwrap_or(row.1);
    // Kit tells whole seconds.
    shown < began && row.2.is_none_or(|shown| shown - row.1 <= OVERLAP)
}

async fn missing(
    database: &Database,
    sim: &Simulator,
    api: Api,
    (object, partition): (&str, &str),
    due: impl Fn(&Shown) -> bool,
) -> Result<(), Vec<i64>> {
    let stored = stored(database, object, partition).await;
    let parent = id(partition);
    let rows = sim.read(|account| shown(account, object, parent, api));
    let missing: Vec<i64> =
        rows.iter().filter(|row| due(row) && !stored.contains(&row.0)).map(|row| row.0).collect();
    if missing.is_empty() { Ok(()) } else { Err(missing) }
}

/// Ids of the rows of a partition, of members those of the people.
async fn stored(database: &Database, object: &str, partition: &str) -> HashSet<i64> {
    let parent = id(partition);
    let sql = match object {
        "tag_subscriptions" => format!("select subscriber_id from {object} where tag_id = {parent}"),
        "form_subscriptions" => format!("select subscriber_id from {object} where form_id = {parent}"),
        "sequence_subscriptions" => {
            format!("select subscriber_id from {object} where sequence_id = {parent}")
        }
        "cancelled_subscribers" => "select id from subscribers".to_owned(),
        _ => format!("select id from {object}"),
    };
    database.texts(&sql).await.iter().map(|id| id.parse().expect("an id")).collect()
}

/// The parent of a partition; none of them is 0.
fn id(partition: &str) -> i64 {
    partition.parse().unwrap_or_default()
}

fn shown(account: &Account, object: &str, parent: i64, api: Api) -> Vec<Shown> {
    let members = |parent: Parent| -> Vec<Shown> {
        account.members(parent).map(|one| (one.subscriber_id, one.created_at, one.visible_from)).collect()
    };
    match object {
        "tags" => account.tags().iter().map(|one| (one.id, one.created_at, one.visible_from)).collect(),
        "forms" => {
            let forms = account.forms();
            let shown = forms.iter().filter(|one| api != Api::V3 || !one.trashed);
            shown.map(|one| (one.id, one.created_at, one.visible_from)).collect()
        }
        "sequences" => {
            account.sequences().iter().map(|one| (one.id, one.created_at, one.visible_from)).collect()
        }
        "broadcasts" => {
            account.broadcasts().iter().map(|one| (one.id, one.created_at, one.visible_from)).collect()
        }
        "tag_subscriptions" => members(Parent::tag(parent)),
        "form_subscriptions" => members(Parent::form(parent)),
        "sequence_subscriptions" => members(Parent::sequence(parent)),
        people => account
            .subscribers()
            .filter(|person| match people {
                // By the time at which they cancelled, which is another list's business.
                "cancelled_subscribers" => false,
                _ => api != Api::V3 || person.state == "active",
            })
            .map(|person| (person.id, person.created_at, person.visible_from))
            .collect(),
    }
}

/// O6: so many requests in any minute, over all lives.
pub fn rate(arrivals: &[DateTime<Utc>], limit: u32) -> Result<(), String> {
    let mut arrivals = arrivals.to_vec();
    arrivals.sort_unstable();
    for (at, first) in arrivals.iter().enumerate() {
        let within = arrivals[at..].iter().take_while(|one| **one - *first < TimeDelta::seconds(60)).count();
        if within > limit as usize {
            return Err(format!("O6: {within} requests within a minute of {first}, and {limit} are allowed"));
        }
    }
    Ok(())
}

fn text(cell: &Value) -> String {
    cell.as_str().expect("text").to_owned()
}

fn time(cell: &Value) -> Option<DateTime<Utc>> {
    cell.as_str().map(|text| text.parse().expect("a time"))
}
