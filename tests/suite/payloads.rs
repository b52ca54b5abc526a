//! Odd payloads: one bad record costs that record and no other, and a changed API stops before anything is lost.

use crate::ENGINE;
use crate::support::database::same_json;
use crate::support::judge::{Judge, Strictness};
use crate::support::{Api, Binary, Mirror, kit};
use futures_util::future::join_all;
use kitmirror::error::Kind;
use kitmirror::replication::{ObjectReport, Report};
use kitmirror::simulator::{AccountPlan, Action, Fault, Junk, Mutation, Serving, Simulator, Which};
use kitmirror::store::Outcome;
use tokio::sync::OnceCell;

/// How many people the accounts have in which one record goes wrong.
const PEOPLE: u64 = 25;

/// Nobody but these people.
fn people(count: u64) -> AccountPlan {
    AccountPlan::new(count).tags(0).forms(0).sequences(0).broadcasts(0)
}

fn route(api: Api) -> &'static str {
    if api == Api::V3 { "/v3/subscribers" } else { "/v4/subscribers" }
}

fn set(path: &str, json: &str) -> Mutation {
    Mutation::Set(path.to_owned(), json.to_owned())
}

fn of<'r>(report: &'r Report, object: &str) -> &'r ObjectReport {
    report.objects.iter().find(|one| one.object == object).expect("the object ran")
}

async fn run(mirror: &Mirror, serving: &Serving, api: Api, object: &str) -> ObjectReport {
    let report = mirror.run(serving, api, None, &[object]).await.expect("the session opens");
    of(&report, object).clone()
}

/// Ids of the people of a small account as a clean run stores them, in the order of the list.
async fn everybody(api: Api) -> Vec<String> {
    static KNOWN: [OnceCell<Vec<String>>; 2] = [const { OnceCell::const_new() }; 2];
    let clean = || async {
        let (_sim, serving) = kit(people(PEOPLE)).await;
        let mirror = Mirror::furnished().await;
        run(&mirror, &serving, api, "subscribers").await;
        stored(&mirror).await
    };
    KNOWN[usize::from(api == Api::V3)].get_or_init(clean).await.clone()
}

async fn stored(mirror: &Mirror) -> Vec<String> {
    mirror.texts("select id from subscribers order by id").await
}

/// What became of a page of 25 people whose `nth` one went wrong.
struct Accident {
    report: ObjectReport,
    mirror: Mirror,
    /// Everybody's id, in the order of the list.
    everybody: Vec<String>,
    nth: usize,
}

impl Accident {
    async fn happens(api: Api, nth: usize, mutation: Mutation) -> Self {
        let everybody = everybody(api).await;
        let (sim, serving) = kit(people(PEOPLE)).await;
        sim.faults().add(Fault::rows(Which::Nth(nth), mutation).on(route(api)));
        let mirror = Mirror::furnished().await;
        let report = run(&mirror, &serving, api, "subscribers").await;
        Accident { report, mirror, everybody, nth }
    }

    fn victim(&self) -> &String {
        &self.everybody[self.nth - 1]
    }

    /// The others are stored, the victim is in quarantine and nowhere else; its record and its reason.
    async fn cost_one_row(&self) -> (String, String) {
        assert_eq!(self.report.outcome, Outcome::Incomplete, "{:?}", self.report);
        assert_eq!(self.report.counts.rows_quarantined, 1);
        let others: Vec<&String> = self.everybody.iter().filter(|id| *id != self.victim()).collect();
        assert_eq!(stored(&self.mirror).await.iter().collect::<Vec<_>>(), others);
        self.in_quarantine().await
    }

    async fn in_quarantine(&self) -> (String, String) {
        let notes = self.mirror.lines("select record, reason from sync_quarantine").await;
        let [note] = notes.as_slice() else { panic!("one note, not {notes:?}") };
        let (record, reason) = note.split_once('|').expect("two parts");
        (record.to_owned(), reason.to_owned())
    }

    async fn cost_nothing(&self) {
        assert_eq!(self.report.outcome, Outcome::Complete, "{:?}", self.report);
        assert_eq!(stored(&self.mirror).await.len(), self.everybody.len());
        assert_eq!(self.mirror.number("select count(*) from sync_quarantine").await, 0);
    }

    /// A column of the victim as text.
    async fn value(&self, column: &str) -> String {
        let sql = format!("select {column} from subscribers where id = {}", self.victim());
        self.mirror.texts(&sql).await.remove(0)
    }
}

/// P-02, M17. The one without an id is told by a digest of it.
#[tokio::test(flavor = "multi_thread")]
async fn one_bad_record_at_any_place_of_a_page_costs_itself_only() {
    for api in Api::VERSIONS {
        let count = everybody(api).await.len();
        join_all((1..=count).map(|nth| async move {
            let accident = Accident::happens(api, nth, Mutation::Drop("id".to_owned())).await;
            let (record, reason) = accident.cost_one_row().await;
            assert!(record.starts_with('#') && reason == "id: missing", "{record} {reason}");
            let raw = accident.mirror.texts("select raw from sync_quarantine").await.remove(0);
            assert!(raw.contains("email_address"), "the record as it came: {raw}");
        }))
        .await;
    }
}

/// P-02, P-03, P-04, P-07, M36. Every member of a person, with everything that can be wrong about it.
#[tokio::test(flavor = "multi_thread")]
async fn a_member_of_a_wrong_kind_is_named_and_costs_its_row() {
    let cases = [
        ("id", "null", "id: null"),
        ("id", "1.5", "id: a number instead of an integer"),
        ("id", "1e400", "id: a number instead of an integer"),
        ("id", "\"abc\"", "id: text instead of an integer"),
        ("id", "true", "id: a boolean instead of an integer"),
        ("id", "[]", "id: an array instead of an integer"),
        ("id", "9223372036854775808", "id: an integer beyond 64 bits"),
        ("state", "null", "state: null"),
        ("state", "{}", "state: an object instead of text"),
        ("first_name", "5", "first_name: a number instead of text"),
        ("first_name", "{}", "first_name: an object instead of text"),
        ("email_address", "false", "email_address: a boolean instead of text"),
        ("created_at", "null", "created_at: null"),
        ("created_at", "1700000000", "created_at: a number instead of a time"),
        ("created_at", "\"\"", "created_at: not a time between the years 1000 and 9999"),
        ("created_at", "\"0000-00-00\"", "created_at: not a time between the years 1000 and 9999"),
        ("created_at", "\"2017-04-12T11:11:566Z\"", "created_at: not a time between the years 1000 and 9999"),
        ("created_at", "\"10000-01-01T00:00:00Z\"", "created_at: not a time between the years 1000 and 9999"),
        ("fields", "[]", "fields: an array instead of an object"),
        ("fields", "\"x\"", "fields: text instead of an object"),
    ];
    let all = Api::VERSIONS.into_iter().flat_map(|api| {
        cases.map(|(member, json, expected)| {
            Box::pin(async move {
                let accident = Accident::happens(api, 7, set(member, json)).await;
                let (record, reason) = accident.cost_one_row().await;
                assert_eq!(reason, expected, "{api:?} {member} = {json}");
                if member == "id" {
                    assert!(record.starts_with('#'), "{record}");
                } else {
                    assert_eq!(&record, accident.victim());
                }
            })
        })
    });
    join_all(all).await;
}

/// P-02, M32. What a record can do without is null, whether it is said to be or not said at all.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_missing_and_not_needed_is_null() {
    let cases = Api::VERSIONS.into_iter().flat_map(|api| {
        ["first_name", "email_address", "fields"].into_iter().flat_map(move |member| {
            [Mutation::Drop(member.to_owned()), Mutation::Null(member.to_owned())].map(
                move |mutation| async move {
                    let accident = Accident::happens(api, 3, mutation).await;
                    accident.cost_nothing().await;
                    assert_eq!(accident.value(member).await, "");
                },
            )
        })
    });
    join_all(cases).await;
}

/// M32. Absent is not null: the first leaves what is stored, the second does not.
#[tokio::test(flavor = "multi_thread")]
async fn an_absent_member_leaves_what_is_stored_and_null_does_not() {
    for api in Api::VERSIONS {
        let (sim, serving) = kit(people(PEOPLE)).await;
        let mirror = Mirror::furnished().await;
        let all = Fault::rows(Which::All, set("first_name", "\"Ada\"")).on(route(api));
        let fault = sim.faults().add(all);
        mirror.sync_full(&serving, api).await;
        let named = "select count(*) from subscribers where first_name = 'Ada'";
        let everybody = mirror.number("select count(*) from subscribers").await;
        assert_eq!(mirror.number(named).await, everybody);
        sim.faults().remove(fault);

        let dropped = Fault::rows(Which::All, Mutation::Drop("first_name".to_owned())).on(route(api));
        let fault = sim.faults().add(dropped);
        mirror.sync_full(&serving, api).await;
        assert_eq!(mirror.number(named).await, everybody);
        sim.faults().remove(fault);

        let null = Fault::rows(Which::All, Mutation::Null("first_name".to_owned())).on(route(api));
        sim.faults().add(null);
        mirror.sync_full(&serving, api).await;
        assert_eq!(mirror.number(named).await, 0);
    }
}

fn column_is_json(column: &str) -> bool {
    matches!(column, "fields" | "_extra")
}

/// P-01, P-03, P-10, M36. Odd, and good enough: a number as text, a state nobody knows, members twice.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_odd_but_clear_is_stored() {
    let cases = Api::VERSIONS.into_iter().flat_map(|api| {
        [
            (set("state", "\"on_holiday\""), "state", "on_holiday"),
            (set("created_at", "\"2023-02-10 00:00:00 UTC\""), "created_at", "2023-02-10T00:00:00.000000Z"),
            (set("created_at", "\"2038-01-19T03:14:08+01:00\""), "created_at", "2038-01-19T02:14:08.000000Z"),
            (
                set("created_at", "\"1969-12-31T23:59:59.9999999Z\""),
                "created_at",
                "1969-12-31T23:59:59.999999Z",
            ),
            (set("created_at", "\"2016-12-31T23:59:60Z\""), "created_at", "2016-12-31T23:59:59.999999Z"),
            (
                set("shoe_size", r#"{"eu":44.50,"a":[1,2]}"#),
                "_extra",
                r#"{"shoe_size":{"a":[1,2],"eu":44.50}}"#,
            ),
            (
                set("fields", r#"{"b":-0,"a":0.1,"n":1234567890123456789}"#),
                "fields",
                r#"{"a":0.1,"b":-0,"n":1234567890123456789}"#,
            ),
            (
                Mutation::Substitute("\"state\":".to_owned(), "\"state\":\"first\",\"state\":".to_owned()),
                "state",
                "active",
            ),
        ]
        .map(|(mutation, column, expected)| async move {
            let accident = Accident::happens(api, 2, mutation.clone()).await;
            accident.cost_nothing().await;
            let stored = accident.value(column).await;
            if column_is_json(column) && !ENGINE.keeps_json_to_the_letter() {
                let [stored, expected] =
                    [stored.as_str(), expected].map(|text| serde_json::from_str(text).expect("JSON"));
                assert!(same_json(&stored, &expected), "{api:?} {mutation:?}: {stored}");
            } else {
                assert_eq!(stored, expected, "{api:?} {mutation:?}");
            }
        })
    });
    join_all(cases).await;
}

/// P-03, M36. Ids to the limit of 64 bits, as numbers or as text, and never through a float.
#[tokio::test(flavor = "multi_thread")]
async fn large_ids_are_kept_to_the_last_digit() {
    let cases = Api::VERSIONS.into_iter().flat_map(|api| {
        ["2147483648", "4294967296", "9007199254740993", "9223372036854775807"].into_iter().flat_map(
            move |id| {
                [id.to_owned(), format!("\"{id}\"")].map(move |json| async move {
                    let accident = Accident::happens(api, 1, set("id", &json)).await;
                    accident.cost_nothing().await;
                    assert!(
                        stored(&accident.mirror).await.iter().any(|stored| stored == id),
                        "{api:?} {json}"
                    );
                })
            },
        )
    });
    join_all(cases).await;
}

/// P-05. Text of every kind comes out as it went in; what no engine holds is replaced.
#[tokio::test(flavor = "multi_thread")]
async fn any_text_is_kept() {
    let long = "n".repeat(1 << 20);
    let texts: [(&str, &str); 8] = [
        (r"\ud83c\udf89 e\u0301 \u200bשלום", "🎉 e\u{301} \u{200b}שלום"),
        (r"a\u0000b", "a\u{2400}b"),
        (r"\ud800", "\u{fffd}"),
        (r"\udc00\ud800x", "\u{fffd}\u{fffd}x"),
        (r"line\r\nbreak\ttab", "line\r\nbreak\ttab"),
        (r"\u001b[2J\u0007", "\u{1b}[2J\u{7}"),
        (
            r#"Robert'); DROP TABLE subscribers;--\" ? :1 $1 %s {}"#,
            "Robert'); DROP TABLE subscribers;--\" ? :1 $1 %s {}",
        ),
        (&long, &long),
    ];
    let cases = Api::VERSIONS.into_iter().flat_map(|api| {
        texts.map(|(escaped, expected)| async move {
            let accident = Accident::happens(api, 4, set("first_name", &format!("\"{escaped}\""))).await;
            accident.cost_nothing().await;
            assert_eq!(accident.value("first_name").await, expected);
        })
    });
    join_all(cases).await;
}

/// P-06, S-11, D06. Names of custom fields are data, whatever they look like and however many they are.
#[tokio::test(flavor = "multi_thread")]
async fn names_of_custom_fields_are_never_sql() {
    let mut fields = serde_json::Map::new();
    let long = "k".repeat(300);
    for name in [
        "\"; DROP TABLE subscribers;--",
        "a.b",
        "Name",
        "name",
        "náme",
        "name ",
        "id",
        "_synced_at",
        "'",
        "?",
        "",
        &long,
    ] {
        fields.insert(name.to_owned(), serde_json::json!(format!("value of {name}")));
    }
    for n in 0..1_000 {
        fields.insert(format!("field_{n}"), serde_json::json!(n.to_string()));
    }
    let fields = serde_json::Value::Object(fields);
    join_all(Api::VERSIONS.map(|api| {
        let fields = &fields;
        async move {
            let accident = Accident::happens(api, 5, set("fields", &fields.to_string())).await;
            accident.cost_nothing().await;
            let stored: serde_json::Value =
                serde_json::from_str(&accident.value("fields").await).expect("JSON");
            assert_eq!(&stored, fields);
        }
    }))
    .await;
}

/// P-08, S-18. Depth and number of rows have their limits; neither stack nor memory suffers.
#[tokio::test(flavor = "multi_thread")]
async fn a_record_nested_beyond_reason_is_set_aside() {
    join_all(Api::VERSIONS.map(|api| async move {
        let deep = format!(r#"{{"x":{}{}}}"#, "[".repeat(10_000), "]".repeat(10_000));
        let accident = Accident::happens(api, 6, set("fields", &deep)).await;
        let (record, reason) = accident.cost_one_row().await;
        assert_eq!((&record, reason.as_str()), (accident.victim(), "fields: nested deeper than 128"));
    }))
    .await;
}

/// P-08, S-18, O8. An array of ten million empties is refused within the memory that is promised.
#[tokio::test(flavor = "multi_thread")]
async fn an_answer_of_ten_million_rows_is_refused_in_little_memory() {
    join_all(Api::VERSIONS.map(|api| async move {
        let (sim, serving) = kit(people(PEOPLE)).await;
        let fault = Fault::new(Action::Junk(Junk::EmptyObjects(10_000_000))).on(route(api)).nth(1);
        let fault = sim.faults().add(fault);
        let mirror = Mirror::furnished().await;
        let running = Binary::of(&mirror, &serving, api).start(&["sync"]);
        let (ran, peak) = running.end_with_peak().await;
        ran.ended_with(0);
        assert_eq!(sim.faults().fired(fault), Some(1));
        assert!((1..=128 << 10).contains(&peak), "{peak} KiB");
        Judge::compare(&mirror, &sim, api, Strictness::Equal).await.agrees();
    }))
    .await;
}

/// P-04. A time that is none, where the row can do without: the row is kept, and the doubt is on record.
#[tokio::test(flavor = "multi_thread")]
async fn a_broken_time_that_is_not_needed_costs_the_time_only() {
    join_all(Api::VERSIONS.map(|api| async move {
        let (sim, serving) = kit(AccountPlan::new(0).tags(0).forms(0).sequences(0).broadcasts(9)).await;
        let (list, path) = match api {
            Api::V3 => ("/v3/broadcasts/*", "broadcast.send_at"),
            _ => ("/v4/broadcasts", "send_at"),
        };
        // A record by itself is not a page of rows: in v3 the text of the answer is changed instead.
        let fault = match api {
            Api::V3 => {
                let id = sim.read(|account| account.broadcasts()[0].id);
                let (_, body) = sim.ask(&format!("/v3/broadcasts/{id}"));
                let mut json: serde_json::Value = serde_json::from_str(&body).expect("JSON");
                json["broadcast"]["send_at"] = serde_json::json!("24:00 tomorrow");
                Fault::new(Action::Junk(Junk::Json(json.to_string()))).on(&format!("/v3/broadcasts/{id}"))
            }
            _ => Fault::rows(Which::Nth(1), set(path, "\"24:00 tomorrow\"")).on(list),
        };
        sim.faults().add(fault);
        let mirror = Mirror::furnished().await;
        let report = run(&mirror, &serving, api, "broadcasts").await;
        assert_eq!(report.outcome, Outcome::Incomplete, "{report:?}");
        assert_eq!(mirror.number("select count(*) from broadcasts").await, 9);
        let notes = mirror.texts("select reason from sync_quarantine").await;
        assert_eq!(notes, ["send_at: not a time between the years 1000 and 9999"]);
        let doubtful = mirror.number("select record from sync_quarantine").await;
        let sent = format!("select send_at from broadcasts where id = {doubtful}");
        assert_eq!(mirror.texts(&sent).await, [""]);
    }))
    .await;
}

/// M17. Exit code 5 until the record is well again; on record once, however often it was met.
#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_stays_bad_is_on_record_once() {
    join_all(Api::VERSIONS.map(|api| async move {
        let (sim, serving) = kit(AccountPlan::new(30)).await;
        let tags = if api == Api::V3 { "/v3/tags" } else { "/v4/tags" };
        let fault = sim.faults().add(Fault::rows(Which::Nth(2), set("created_at", "\"soon\"")).on(tags));
        let mirror = Mirror::furnished().await;
        let binary = Binary::of(&mirror, &serving, api);
        binary.run(&["sync"]).await.ended_with(5).says(&["sync_quarantine"]);
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        binary.run(&["sync"]).await.ended_with(5);
        assert_eq!(mirror.number("select count(*) from sync_quarantine").await, 1);
        let seen =
            "select count(*) from sync_quarantine where first_seen_at < last_seen_at and object = 'tags'";
        assert_eq!(mirror.number(seen).await, 1);

        sim.faults().remove(fault);
        binary.run(&["sync"]).await.ended_with(0);
        Judge::compare(&mirror, &sim, api, Strictness::Equal).await.agrees();
    }))
    .await;
}

/// P-09. The API changes in the middle of a run: the pass stops, and its watermark stays where it was.
#[tokio::test(flavor = "multi_thread")]
async fn a_changed_api_stops_the_pass_before_its_watermark_moves() {
    let changes = [
        (Which::All, set("id", "\"usr_1\"")),
        (Which::All, set("created_at", "1700000000")),
        (Which::Share(0.4), Mutation::Drop("state".to_owned())),
    ];
    let cases = Api::VERSIONS.into_iter().flat_map(|api| {
        changes.clone().map(|(which, mutation)| async move {
            let (sim, serving) = kit(people(300)).await;
            sim.set_modes(|modes| modes.page_cap = Some(50));
            let mirror = Mirror::furnished().await;
            let fault = sim.faults().add(Fault::rows(which, mutation).on(route(api)).from_nth(3));
            let report = run(&mirror, &serving, api, "subscribers").await;
            drifted(&report);
            assert_eq!(mirror.number("select count(*) from sync_state where watermark is not null").await, 0);

            sim.faults().remove(fault);
            mirror.sync(&serving, api).await;
            let marks = "select object, watermark, completed_at from sync_state order by object";
            let before = mirror.lines(marks).await;
            let changed = sim.faults().add(Fault::rows(Which::All, set("id", "\"usr_1\"")).on(route(api)));
            mirror_runs_into_drift(&mirror, &sim, &serving, api).await;
            assert_eq!(mirror.lines(marks).await, before);

            sim.faults().remove(changed);
            mirror.sync(&serving, api).await;
            Judge::compare(&mirror, &sim, api, Strictness::Equal).await.agrees();
        })
    });
    join_all(cases).await;
}

/// New people, all of whom arrive in a shape that is not the documented one.
async fn mirror_runs_into_drift(mirror: &Mirror, sim: &Simulator, serving: &Serving, api: Api) {
    sim.change(|account| account.import_subscribers(40));
    drifted(&run(mirror, serving, api, "subscribers").await);
}

fn drifted(report: &ObjectReport) {
    assert_eq!(report.outcome, Outcome::Failed, "{report:?}");
    assert_eq!(report.advice, Some(Kind::SchemaDrift.policy().advice));
    assert!(
        report.error.as_ref().is_some_and(|error| error.contains("records of a page could not be stored"))
    );
}

/// P-09. The advice of such a failure says where to look; the reasons are there.
#[tokio::test(flavor = "multi_thread")]
async fn the_reasons_of_a_drift_are_where_its_advice_says() {
    assert!(Kind::SchemaDrift.policy().advice.contains("sync_quarantine"));
    join_all(Api::VERSIONS.map(|api| async move {
        let (sim, serving) = kit(people(60)).await;
        sim.faults().add(Fault::rows(Which::All, set("created_at", "1700000000")).on(route(api)));
        let mirror = Mirror::furnished().await;
        drifted(&run(&mirror, &serving, api, "subscribers").await);
        let reasons =
            mirror.texts("select distinct reason from sync_quarantine where object = 'subscribers'").await;
        assert_eq!(reasons, ["created_at: a number instead of a time"]);
    }))
    .await;
}
