//! The queries of `docs/queries`, as they are shipped: the same question has the same answer on every engine. All
//! targets compare with one snapshot per version of the API.

use crate::ENGINE;
use crate::support::project;
use crate::support::{Api, Engine, Scene};
use chrono::{DateTime, TimeDelta, Utc};
use kitmirror::model::objects;
use kitmirror::simulator::{Account, AccountPlan, NewSubscriber};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::PathBuf;

/// Folders of queries that are one text for all engines, or one of its own for each.
const FOR_ALL: &str = "all";
const FOR_SOME: [&str; 3] = ["sqlite", "postgres", "mysql"];

#[tokio::test]
async fn queries_have_the_same_answers_on_every_engine_through_v4() {
    compare("queries_v4", &answers(Api::V4).await);
}

#[tokio::test]
async fn queries_have_the_same_answers_on_every_engine_through_v3() {
    compare("queries_v3", &answers(Api::V3).await);
}

#[test]
fn every_query_is_written_for_every_engine_and_listed() {
    let listed = std::fs::read_to_string(folder("").join("README.md")).expect("the list of queries");
    let mut texts: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for kind in FOR_SOME.into_iter().chain([FOR_ALL]) {
        for (name, sql) in shipped(kind) {
            assert!(listed.contains(&format!("({kind}/{name}.sql)")), "{kind}/{name} is not listed");
            assert!(sql.starts_with("-- ") && sql.contains("\n--\n-- "), "{kind}/{name} says not what it is");
            texts.entry(name).or_default().push(kind);
        }
    }
    for (name, kinds) in &texts {
        assert!(kinds == &[FOR_ALL] || kinds == &FOR_SOME, "{name} is there for {kinds:?} only");
    }
    let numbers: Vec<&str> = texts.keys().map(|name| &name[..2]).collect();
    let wanted: Vec<String> = (1..=texts.len()).map(|number| format!("{number:02}")).collect();
    assert_eq!(numbers, wanted);
    let links = listed.matches(".sql)").count();
    let files: usize = texts.values().map(Vec::len).sum();
    assert_eq!(links, files, "the list names a query that is not there");
}

#[test]
fn every_query_leaves_out_what_is_gone() {
    let queries = FOR_SOME.into_iter().chain([FOR_ALL]).flat_map(shipped);
    for (name, sql) in queries.chain(on_the_front_page()) {
        let text: String = sql.lines().filter(|line| !line.starts_with("--")).collect::<Vec<_>>().join(" ");
        let words: Vec<&str> =
            text.split([' ', '(', ')', ',', ';']).filter(|word| !word.is_empty()).collect();
        let is_asked =
            |pair: &&[&str]| matches!(pair[0], "from" | "join") && objects::names().contains(&pair[1]);
        let left_out = text.matches("_deleted_at is null").count();
        // Who never had a tag is asked of the tags that were taken away, too; and who had one, of the people who are gone.
        let remembered = usize::from(name.starts_with("09-") || name.starts_with("25-"));
        assert_eq!(words.windows(2).filter(is_asked).count(), left_out + remembered, "{name}: {text}");
    }
}

/// The queries that the README shows, which are for SQLite.
pub fn on_the_front_page() -> Vec<(String, String)> {
    let page = project::text("README.md");
    let blocks = page.split("```sql\n").skip(1).filter_map(|rest| rest.split("```").next());
    let queries = blocks.filter(|sql| sql.starts_with("select ") || sql.starts_with("with "));
    queries.map(|sql| ("README.md".to_owned(), sql.to_owned())).collect()
}

/// Holds answers against the snapshot that all targets share.
fn compare(name: &str, answers: &str) {
    insta::with_settings!({
        snapshot_path => "../snapshots",
        prepend_module_to_snapshot => false,
        omit_expression => true,
    }, {
        insta::assert_snapshot!(name, answers);
    });
}

/// What all queries answer on the mirror of one odd account.
async fn answers(api: Api) -> String {
    let plan = AccountPlan::new(400).nasty().seed(11).forms(4).sequences(3).broadcasts(9);
    let plan = plan.tags(5).tag_sizes([130, 40, 25, 8, 0]).sequence_sizes([150, 0, 40]);
    let scene = Scene::new(plan, api).await;
    scene.change(happen);
    scene.sync().await;
    mark_as_gone(&scene).await;
    let database = scene.mirror.plain_database().await;
    let mut all = String::new();
    for (name, sql) in queries() {
        let table = database.table(&sql).await;
        write!(all, "## {name}\n{}\n\n", table.join("\n")).expect("a text takes more");
    }
    database.close().await;
    all
}

/// What the rules of an account do not bring: people who sign up just before or after a month begins in Berlin,
/// addresses that differ in case only, emoji, custom fields with odd keys, fresh taggings.
fn happen(account: &mut Account) {
    let moments = [
        "2023-12-31T22:59:59Z",
        "2023-12-31T23:00:00Z",
        "2024-03-31T00:59:59Z",
        "2024-03-31T21:59:59Z",
        "2024-03-31T22:00:00Z",
        "2024-05-31T21:59:59Z",
        "2024-05-31T22:00:00Z",
        "2024-10-31T22:59:59Z",
        "2024-10-31T23:00:00Z",
        "2025-03-30T23:30:00Z",
        "2026-02-28T22:59:59Z",
        "2026-02-28T23:00:00Z",
    ];
    for (number, moment) in moments.iter().enumerate() {
        let created_at: DateTime<Utc> = moment.parse().expect("a moment");
        let address = format!("berlin.{number}@example.org");
        account.create_subscriber(NewSubscriber::new(address).named("Grüße 🎉").created_at(created_at));
    }
    for key in ["with space", "do.t", "Name", "name", "quo\"te", "back\\slash", "náme 🎉"] {
        account.create_custom_field(key, key);
    }
    let then = account.now() - TimeDelta::days(40);
    let twins = [("Twin@Example.org", "🎉"), ("twin@example.org", "👩‍👩‍👧‍👦"), ("TWIN@EXAMPLE.ORG", "林")];
    for (number, (address, value)) in twins.into_iter().enumerate() {
        let twin = NewSubscriber::new(address).named(value).field("with space", value);
        let twin = twin.field("do.t", "null").field("Name", "N").field("name", "n").field("quo\"te", "q\"q");
        let twin = twin.field("back\\slash", "\\").field("náme 🎉", "ß");
        let id = account.create_subscriber(twin.created_at(then + TimeDelta::seconds(number as i64)));
        for place in 0..=number {
            account.tag(23_217_323 + 3 * place as i64, id);
        }
        account.join_form(3_893_419, id);
        account.join_sequence(880_011, id);
    }
}

/// Somebody, and somebody else's tag, were found gone.
async fn mark_as_gone(scene: &Scene) {
    let gone = ENGINE.time(scene.now());
    for (table, column) in [("subscribers", "id"), ("tag_subscriptions", "subscriber_id")] {
        let ids =
            scene.mirror.texts(&format!("select distinct {column} from {table} order by 1 limit 40")).await;
        for id in ids.iter().step_by(13) {
            let sql = format!("update {table} set _deleted_at = {gone} where {column} = {id}");
            scene.mirror.execute(&sql).await;
        }
    }
}

/// The queries for the engine of the target, by name.
fn queries() -> BTreeMap<String, String> {
    let kind = match *ENGINE {
        Engine::Sqlite => "sqlite",
        Engine::Postgres => "postgres",
        Engine::Mariadb | Engine::Mysql => "mysql",
    };
    shipped(FOR_ALL).into_iter().chain(shipped(kind)).collect()
}

/// The files in a folder of queries, by name, with what is in them.
fn shipped(kind: &str) -> BTreeMap<String, String> {
    let files = std::fs::read_dir(folder(kind)).expect("a folder of queries");
    let query = |path: PathBuf| {
        let name = path.file_name().and_then(|name| name.to_str()).and_then(|name| name.strip_suffix(".sql"));
        let name = name.unwrap_or_else(|| panic!("{} is no query", path.display())).to_owned();
        (name, std::fs::read_to_string(&path).expect("a query is text"))
    };
    files.map(|file| query(file.expect("a file").path())).collect()
}

fn folder(kind: &str) -> PathBuf {
    project::path("docs/queries").join(kind)
}
