//! Killed without warning, at any moment: what the kill left is true as far as it goes, and the next run
//! makes it whole without reading again what is there.

use crate::ENGINE;
use crate::support::judge::Strictness;
use crate::support::{Api, Binary, Engine, Judge, Mirror, kit};
use chrono::{DateTime, TimeDelta, Utc};
use futures_util::StreamExt as _;
use kitmirror::simulator::{
    Account, AccountPlan, Action, Fault, Parent, Request, Serving, Simulator, TruthMember,
};
use serde_json::Value;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// About three thousand people, a tag of more than a page, answers slow enough that a run takes a second.
async fn account(api: Api) -> (Simulator, Serving) {
    let plan =
        AccountPlan::new(3_000).tag_sizes([1_400, 900, 300]).form_sizes([1_100, 500]).sequence_sizes([700]);
    let (sim, serving) = kit(plan).await;
    let pause = if api == Api::V3 { 2 } else { 30 };
    sim.faults().add(Fault::new(Action::Delay(Duration::from_millis(pause))));
    (sim, serving)
}

/// A partition as the kill left it.
#[derive(Debug)]
pub(super) struct Left {
    object: String,
    partition: String,
    watermark: Option<DateTime<Utc>>,
    rows: i64,
    checkpoint: Option<serde_json::Value>,
    stored: Vec<i64>,
}

/// Everything that is stored, read right after the kill and before any run repairs it. Nothing when the
/// tables were not made yet.
pub(super) async fn left(mirror: &Mirror) -> Vec<Left> {
    let made = mirror.relations().await;
    let made = ["sync_state", "sync_status"].map(|name| made.iter().any(|one| one == name));
    if ENGINE.makes_tables_all_or_none() {
        assert_eq!(made[0], made[1], "half of the tables");
    }
    if made != [true, true] {
        return Vec::new();
    }
    let database = mirror.database().await;
    if *ENGINE == Engine::Sqlite {
        assert_eq!(database.texts("pragma integrity_check").await, ["ok"]);
    }
    // A server may still be busy with the last words of the one that was killed.
    database.execute(ENGINE.begin_to_read()).await;
    let states = "select object, \"partition\", watermark, \"rows\", checkpoint from sync_state";
    let mut all = Vec::new();
    for row in database.rows(states).await {
        let (object, partition) = (text(&row["object"]), text(&row["partition"]));
        let ids = match object.as_str() {
            "cancelled_subscribers" => "select id from subscribers where state = 'cancelled'".to_owned(),
            "form_subscriptions" => {
                format!("select subscriber_id from {object} where form_id = {}", id(&partition))
            }
            "sequence_subscriptions" => {
                format!("select subscriber_id from {object} where sequence_id = {}", id(&partition))
            }
            "tag_subscriptions" => {
                format!("select subscriber_id from {object} where tag_id = {}", id(&partition))
            }
            _ => format!("select id from {object}"),
        };
        let stored = database.texts(&ids).await;
        all.push(Left {
            object,
            partition,
            watermark: row["watermark"].as_str().map(|text| text.parse().expect("a time")),
            rows: row["rows"].as_i64().expect("a number"),
            checkpoint: match &row["checkpoint"] {
                Value::Null => None,
                Value::String(text) => Some(serde_json::from_str(text).expect("JSON")),
                json => Some(json.clone()),
            },
            stored: stored.iter().map(|id| id.parse().expect("an id")).collect(),
        });
    }
    database.close().await;
    all
}

fn text(cell: &Value) -> String {
    cell.as_str().expect("text").to_owned()
}

/// The parent of a partition; none of them is 0.
fn id(partition: &str) -> i64 {
    partition.parse().unwrap_or_default()
}

/// Ids and times of what the list of a partition shows.
fn truth(account: &Account, left: &Left, api: Api) -> Vec<(i64, DateTime<Utc>)> {
    let parent = id(&left.partition);
    let members = |parent: Parent| -> Vec<(i64, DateTime<Utc>)> {
        account.members(parent).map(|one: TruthMember| (one.subscriber_id, one.created_at)).collect()
    };
    match left.object.as_str() {
        "tags" => account.tags().iter().map(|one| (one.id, one.created_at)).collect(),
        "forms" => {
            let shown = account.forms();
            shown
                .iter()
                .filter(|one| api != Api::V3 || !one.trashed)
                .map(|one| (one.id, one.created_at))
                .collect()
        }
        "sequences" => account.sequences().iter().map(|one| (one.id, one.created_at)).collect(),
        "broadcasts" => account.broadcasts().iter().map(|one| (one.id, one.created_at)).collect(),
        "form_subscriptions" => members(Parent::form(parent)),
        "sequence_subscriptions" => members(Parent::sequence(parent)),
        "tag_subscriptions" => members(Parent::tag(parent)),
        people => account
            .subscribers()
            .filter(|person| match (people, api) {
                ("cancelled_subscribers", _) => person.state == "cancelled",
                (_, Api::V3) => person.state == "active",
                _ => true,
            })
            .map(|person| (person.id, person.created_at))
            .collect(),
    }
}

/// O2, O4: what is below a watermark is there; rows and position are from one and the same commit.
pub(super) fn is_true_as_far_as_it_goes(all: &[Left], sim: &Simulator, api: Api) {
    for left in all {
        let name = format!("{}/{}", left.object, left.partition);
        if let Some(watermark) = left.watermark {
            let day = (watermark - TimeDelta::hours(24)).date_naive() - TimeDelta::days(1);
            let bound = day.and_time(chrono::NaiveTime::MIN).and_utc();
            let stored: std::collections::HashSet<i64> = left.stored.iter().copied().collect();
            let missing: Vec<i64> = sim.read(|account| {
                let below =
                    truth(account, left, api).into_iter().filter(|(_, created_at)| *created_at < bound);
                below.map(|(id, _)| id).filter(|id| !stored.contains(id)).collect()
            });
            assert!(
                missing.is_empty(),
                "{name}: {} rows below {bound} are missing, {missing:?}",
                missing.len()
            );
        }
        // People are found by two objects, and counted by the one that found them first.
        let counted: i64 = match left.object.as_str() {
            "subscribers" | "cancelled_subscribers" => continue,
            _ => left.rows,
        };
        let child = left.object.ends_with("_subscriptions");
        if !(child && left.partition.is_empty()) {
            assert_eq!(counted, left.stored.len() as i64, "{name}: rows without a position, or the reverse");
        }
        in_step(left, &name);
    }
    let people: Vec<&Left> = all.iter().filter(|one| one.object.ends_with("subscribers")).collect();
    if let Some(everybody) = people.iter().find(|one| one.object == "subscribers") {
        let counted: i64 = people.iter().map(|one| one.rows).sum();
        assert_eq!(counted, everybody.stored.len() as i64, "people without a position, or the reverse");
        if people.len() == 1 {
            in_step(everybody, "subscribers");
        }
    }
}

/// The records that a first walk claims to have read are the rows that are stored: no half page.
fn in_step(left: &Left, name: &str) {
    let Some(checkpoint) = left.checkpoint.as_ref().filter(|_| left.watermark.is_none()) else { return };
    if checkpoint["walks"][0]["kind"] == "Main" && checkpoint["leg"]["pages"].as_u64() > Some(0) {
        assert_eq!(checkpoint["leg"]["records"], left.stored.len(), "{name}: {checkpoint}");
    }
}

/// How often each list of people was asked as a full load asks it. Lists without anybody do not count:
/// they have nothing to be incremental from, and cost one request either way.
fn full_load(requests: &[Request]) -> BTreeMap<String, usize> {
    const NEWS: [&str; 5] =
        ["created_after", "updated_after", "added_after", "tagged_after", "sort_field=cancelled_at"];
    let mut asked = BTreeMap::new();
    for one in requests.iter().filter(|one| one.path.ends_with("/subscribers") && one.rows != Some(0)) {
        if !NEWS.iter().any(|news| one.query.contains(news)) {
            let kind = if one.query.contains("status=cancelled") { " cancelled" } else { "" };
            *asked.entry(format!("{}{kind}", one.path)).or_insert(0) += 1;
        }
    }
    asked
}

/// Kills a first run after that long, judges what it left, lets a second one go on, and judges again.
async fn killed_and_resumed(api: Api, after: Duration, clean: &BTreeMap<String, usize>) {
    let (sim, serving) = account(api).await;
    let mirror = Mirror::new().await;
    let binary = Binary::of(&mirror, &serving, api);
    let running = binary.start(&["sync"]);
    tokio::time::sleep(after).await;
    running.kill().await;
    is_true_as_far_as_it_goes(&left(&mirror).await, &sim, api);
    binary.run(&["sync"]).await.ended_with(0);
    Judge::compare(&mirror, &sim, api, Strictness::Equal).await.agrees();
    assert_eq!(mirror.number("select count(*) from sync_state where checkpoint is not null").await, 0);
    if api == Api::V4 {
        let asked = full_load(&sim.requests());
        let again: Vec<(&String, usize)> = asked
            .iter()
            .map(|(list, count)| (list, count - clean.get(list).copied().unwrap_or(0)))
            .filter(|(_, more)| *more > 0)
            .collect();
        // One page in the hands of the database, and the following one on its way.
        assert!(again.iter().all(|(_, more)| *more <= 2), "killed after {after:?}: read again {again:?}");
        assert!(again.len() <= 4, "killed after {after:?}: read again {again:?}");
    }
}

/// How many kills; `KITMIRROR_TEST_KILLS` makes it more.
fn kills() -> usize {
    std::env::var("KITMIRROR_TEST_KILLS").map_or(25, |text| text.parse().expect("a number of kills"))
}

/// Other moments in each round of the long programme.
fn round() -> u64 {
    std::env::var("KITMIRROR_TEST_SEED").map_or(0, |text| text.parse().expect("a number"))
}

async fn at_random_moments(api: Api, seed: u64) {
    let (sim, serving) = account(api).await;
    let mirror = Mirror::new().await;
    let since = Instant::now();
    Binary::of(&mirror, &serving, api).run(&["sync"]).await.ended_with(0);
    let took = since.elapsed();
    let clean = full_load(&sim.requests());
    let mut chance = fastrand::Rng::with_seed(seed + round());
    // Several run side by side, so each takes longer than the first one did.
    let moments: Vec<Duration> = (0..kills()).map(|_| took.mul_f64(1.5 * chance.f64())).collect();
    futures_util::stream::iter(moments)
        .for_each_concurrent(3, |after| Box::pin(killed_and_resumed(api, after, &clean)))
        .await;
}

/// K-01, M11, M12, M14, O2, O4.
#[tokio::test(flavor = "multi_thread")]
async fn a_v3_run_killed_at_any_moment_loses_nothing() {
    at_random_moments(Api::V3, 31).await;
}

/// K-01, M11, M12, M14, O2, O4. Nor does it read again more than what was in flight.
#[tokio::test(flavor = "multi_thread")]
async fn a_v4_run_killed_at_any_moment_loses_nothing() {
    at_random_moments(Api::V4, 41).await;
}

/// K-08, O6. What one life has sent, the next one remembers: together they stay within Kit's limit.
#[tokio::test(flavor = "multi_thread")]
async fn a_crash_loop_stays_within_the_rate_limit() {
    for api in Api::VERSIONS {
        let (sim, serving) = kit(AccountPlan::new(3_000)).await;
        sim.set_usual_limit();
        let mirror = Mirror::new().await;
        let binary = Binary::of(&mirror, &serving, api).set("KITMIRROR_REQUESTS_PER_MINUTE", "120");
        // What it is given to do in so short a life is reading, not the making of tables.
        binary.run(&["migrate"]).await.ended_with(0);
        for life in 0..30 {
            let running = binary.start(&["sync"]);
            // Some live long enough to get somewhere on a slow machine.
            let lived = if life % 10 == 9 { 1_500 } else { 80 + life % 5 * 10 };
            tokio::time::sleep(Duration::from_millis(lived)).await;
            running.kill().await;
        }
        let statuses: Vec<u16> = sim.requests().iter().map(|one| one.status).collect();
        assert!(!statuses.contains(&429), "after {} requests", statuses.len());
        assert!((10..=120).contains(&statuses.len()), "{} requests", statuses.len());
        is_true_as_far_as_it_goes(&left(&mirror).await, &sim, api);
        assert!(mirror.number("select count(*) from forms").await > 0, "some progress was made");
    }
}

/// V-01. Killed while it makes the tables: there are all of them or none where the engine can do that, and in
/// any case the next start has them all.
#[tokio::test(flavor = "multi_thread")]
async fn a_migration_killed_at_any_moment_is_completed_by_the_next_start() {
    let whole = {
        let mirror = Mirror::new().await;
        let since = Instant::now();
        Binary::at(&mirror).run(&["migrate"]).await.ended_with(0);
        since.elapsed()
    };
    for step in 0..30 {
        let mirror = Mirror::new().await;
        let binary = Binary::at(&mirror);
        let running = binary.start(&["migrate"]);
        tokio::time::sleep(whole.mul_f64(f64::from(step) / 30.0)).await;
        running.kill().await;
        left(&mirror).await;
        binary.run(&["migrate"]).await.ended_with(0);
        binary.run(&["schema", "--check"]).await.ended_with(0);
        let history = "select count(*) from refinery_schema_history";
        assert_eq!(
            mirror.number(history).await,
            mirror.number("select max(version) from refinery_schema_history").await
        );
    }
}

/// V-02, C-01. Two first runs begin at once: both find or make the tables, one writes, the other is told.
#[tokio::test(flavor = "multi_thread")]
async fn two_that_begin_at_once_do_not_disturb_each_other() {
    for api in Api::VERSIONS {
        let (sim, serving) = kit(AccountPlan::new(300)).await;
        sim.faults().add(Fault::new(Action::Delay(Duration::from_millis(20))));
        let mirror = Mirror::new().await;
        let binary = Binary::of(&mirror, &serving, api);
        let (one, other) = tokio::join!(binary.run(&["sync"]), binary.run(&["sync"]));
        let mut codes = [one.code, other.code];
        codes.sort_unstable();
        assert_eq!(codes, [0, 75], "{}\n{}", one.stderr, other.stderr);
        Judge::compare(&mirror, &sim, api, Strictness::Equal).await.agrees();
        let (one, other) = tokio::join!(binary.run(&["migrate"]), binary.run(&["migrate"]));
        assert_eq!((one.code, other.code), (0, 0), "{}\n{}", one.stderr, other.stderr);
    }
}
