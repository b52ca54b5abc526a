//! Whoever is to be forgotten is: from every table, for good, beside a running load, and provably. What is marked as
//! gone follows when its time has come.

use crate::ENGINE;
use crate::support::bench::{at, membership, more, person, tags};
use crate::support::scene::few;
use crate::support::{Api, Bench, Binary, Engine, Mirror, Scene, asked};
use chrono::{DateTime, TimeDelta, Utc};
use futures_util::future::join_all;
use kitmirror::model::objects::{SUBSCRIBERS, TAG_SUBSCRIPTIONS, TAGS};
use kitmirror::model::{Batch, Quarantined};
use kitmirror::replication::Whole;
use kitmirror::simulator::{AccountPlan, Action, Fault, FaultId, Mutation, NewSubscriber, Simulator, Which};
use kitmirror::store::{Access, Commit, People};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

const OLD: &str = "ann.canary@example.org";
const NEW: &str = "ann.o'canary+\"new\"@example.org";

/// Somebody with memberships of every kind, last in the list of subscribers.
fn sign_up(scene: &Scene, address: &str) -> i64 {
    scene.change(|account| {
        let new = NewSubscriber::new(address).named("Ann").field("company", address);
        let id = account.create_subscriber(new);
        let (tags, forms, sequences) = parents(account);
        assert!(account.tag(tags[0], id) && account.tag(tags[1], id));
        assert!(account.join_form(forms[0], id) && account.join_sequence(sequences[0], id));
        id
    })
}

fn parents(account: &kitmirror::simulator::Account) -> (Vec<i64>, Vec<i64>, Vec<i64>) {
    (
        account.tags().iter().map(|one| one.id).collect(),
        account.forms().iter().map(|one| one.id).collect(),
        account.sequences().iter().map(|one| one.id).collect(),
    )
}

/// Something happens to the last record of the list of subscribers, whenever all of it is read.
fn happens_to_last(sim: &Simulator, api: Api, mutation: Mutation) -> FaultId {
    // v3 reads the first of its pages for the totals, then the last.
    let (path, nth) = if api == Api::V3 { ("/v3/subscribers", 2) } else { ("/v4/subscribers", 1) };
    sim.faults().add(Fault::rows(Which::Last, mutation).on(path).nth(nth))
}

/// A full load in which the last record of the list is broken in a certain way.
async fn load_with(scene: &Scene, mutation: Mutation) {
    let fault = happens_to_last(&scene.kit, scene.api, mutation);
    let report = scene.mirror.run(&scene.serving, scene.api, Some(Whole::Load), &["subscribers"]).await;
    assert!(report.expect("the session opens").ended_by.is_none());
    assert_eq!(scene.kit.faults().fired(fault), Some(1));
    scene.kit.faults().remove(fault);
}

/// No cell of any table and no byte of any file holds one of these texts, in whatever case of letters.
async fn holds_none_of(mirror: &Mirror, texts: &[&str]) {
    let wanted: Vec<String> = texts.iter().map(|text| text.to_ascii_lowercase()).collect();
    for line in mirror.contents().await {
        let line = line.to_ascii_lowercase().replace("\\\"", "\"");
        assert!(!wanted.iter().any(|text| line.contains(text)), "{line}");
    }
    for entry in std::fs::read_dir(mirror.folder()).expect("the folder can be read").flatten() {
        let bytes = std::fs::read(entry.path()).expect("it can be read").to_ascii_lowercase();
        for text in &wanted {
            let found = bytes.windows(text.len()).any(|window| window == text.as_bytes());
            assert!(!found, "{text} is in {}", entry.path().display());
        }
    }
}

async fn has_no_row_of(mirror: &Mirror, ids: &[i64]) {
    let ids = ids.iter().map(i64::to_string).collect::<Vec<_>>().join(", ");
    for (table, column) in [
        ("subscribers", "id"),
        ("tag_subscriptions", "subscriber_id"),
        ("form_subscriptions", "subscriber_id"),
        ("sequence_subscriptions", "subscriber_id"),
    ] {
        let rows = mirror.lines(&format!("select * from {table} where {column} in ({ids})")).await;
        assert_eq!(rows, Vec::<String>::new(), "{table}");
    }
}

/// The counts that `status` shows are those of the tables.
async fn counts_are_right(mirror: &Mirror) {
    for line in mirror.lines("select object, \"rows\" from sync_status").await {
        let (object, rows) = line.split_once('|').expect("two cells");
        let counted =
            mirror.number(&format!("select count(*) from {object} where _deleted_at is null")).await;
        assert_eq!(rows, counted.to_string(), "{object}");
    }
}

/// S-17. The address was another one before, stands in a custom field and beyond the columns, and in records that
/// could not be stored, with a key and without.
#[tokio::test(flavor = "multi_thread")]
async fn whoever_is_forgotten_is_in_no_table_and_no_byte_and_does_not_come_back() {
    join_all(Api::VERSIONS.map(|api| async move {
        let scene = Scene::loaded(few(), api).await;
        let ann = sign_up(&scene, OLD);
        let beyond =
            |address: &str| Mutation::Set("nickname".to_owned(), serde_json::json!(address).to_string());
        load_with(&scene, beyond(OLD)).await;
        scene.later(TimeDelta::days(1));
        assert!(scene.change(|account| account.set_address(ann, NEW)));
        load_with(&scene, Mutation::Set("first_name".to_owned(), "12".to_owned())).await;
        // JSON, but no record.
        let broken = format!("[\"{}\"]", NEW.to_uppercase().replace('"', "\\u0022"));
        load_with(&scene, Mutation::Replace(broken)).await;
        scene.sync_full().await;
        load_with(&scene, beyond(NEW)).await;
        let notes = scene.mirror.texts("select record from sync_quarantine order by record").await;
        assert!(notes.len() == 2 && notes[0].starts_with('#') && notes[1] == ann.to_string(), "{notes:?}");
        let before = scene.mirror.number("select count(*) from subscribers").await;

        let binary = Binary::at(&scene.mirror);
        let ran = binary.run(&["-vv", "forget", &NEW.to_uppercase(), "--yes", "--json"]).await;
        let done = ran.ended_with(0).says(&["Kit itself still has"]).json();
        assert_eq!(done["ids"], serde_json::json!([ann]));
        let erased = [
            ("subscribers", 1),
            ("tag_subscriptions", 2),
            ("form_subscriptions", 1),
            ("sequence_subscriptions", 1),
            ("sync_quarantine", 2),
        ];
        for (table, rows) in erased {
            assert_eq!(done["erased"][table], rows, "{table}: {done}");
        }
        assert_eq!(done["proof"]["file"].is_object(), *ENGINE == Engine::Sqlite);
        assert!(!ran.output().to_lowercase().contains("canary"), "{}", ran.output());
        holds_none_of(&scene.mirror, &[OLD, NEW, "canary"]).await;
        has_no_row_of(&scene.mirror, &[ann]).await;
        assert_eq!(scene.mirror.number("select count(*) from subscribers").await, before - 1);
        counts_are_right(&scene.mirror).await;

        // By an overlap read, by changes, by a full load, and by records that cannot be stored.
        scene.change(|account| {
            let (tags, ..) = parents(account);
            assert!(account.rename_subscriber(ann, Some("Anna")));
            assert!(account.untag(tags[0], ann) && account.tag(tags[0], ann) && account.cancel(ann));
        });
        scene.later(TimeDelta::minutes(5));
        scene.sync().await;
        scene.sync_full().await;
        load_with(&scene, Mutation::Set("first_name".to_owned(), "12".to_owned())).await;
        holds_none_of(&scene.mirror, &[OLD, NEW, "canary"]).await;
        has_no_row_of(&scene.mirror, &[ann]).await;
        scene.equals_kit().await;
        counts_are_right(&scene.mirror).await;
        // Nor are they a difference: not by Kit's totals, not by a reconcile.
        Binary::of(&scene.mirror, &scene.serving, api).run(&["verify"]).await.ended_with(0);
        Binary::of(&scene.mirror, &scene.serving, api).run(&["sync", "--reconcile"]).await.ended_with(0);
        counts_are_right(&scene.mirror).await;
        holds_none_of(&scene.mirror, &["canary"]).await;

        let again = binary.run(&["forget", &ann.to_string(), "--yes"]).await;
        again.ended_with(0).says(&["forgotten already"]);
    }))
    .await;
}

/// S-17. People on pages that are committed, on pages that were read and wait to be, and on pages yet to come; by
/// the real program, twice at once, at any moment.
#[tokio::test(flavor = "multi_thread")]
async fn people_who_are_forgotten_during_a_load_are_not_in_what_it_brings() {
    let cases = Api::VERSIONS.into_iter().flat_map(|api| [0, 150, 600].map(|wait| (api, wait)));
    join_all(cases.map(|(api, wait)| async move {
        let scene = Scene::new(AccountPlan::new(700).tags(2).forms(2).sequences(1), api).await;
        scene.kit.set_modes(|modes| modes.page_cap = Some(50));
        let path = if api == Api::V3 { "/v3/subscribers" } else { "/v4/subscribers" };
        scene.kit.faults().add(Fault::new(Action::Delay(Duration::from_millis(120))).on(path));
        let everybody: Vec<i64> = scene.kit.read(|account| account.subscribers().map(|one| one.id).collect());
        // On the first page, on the last, and between.
        let chosen: Vec<i64> = [0, 1, 30, 49, 50, 350, 698, 699].map(|at| everybody[at]).to_vec();

        let running = Binary::of(&scene.mirror, &scene.serving, api).start(&["sync", "--full"]);
        asked(&scene.kit, path).await;
        tokio::time::sleep(Duration::from_millis(wait)).await;
        let binary = Binary::at(&scene.mirror);
        let (one, other) = chosen.split_at(4);
        let forget = |ids: Vec<i64>| {
            let binary = binary.clone();
            async move {
                for id in ids {
                    binary.run(&["forget", &id.to_string(), "--yes"]).await.ended_with(0);
                }
            }
        };
        tokio::join!(forget(one.to_vec()), forget(other.to_vec()));
        running.end().await.ended_with(0);
        has_no_row_of(&scene.mirror, &chosen).await;
        scene.equals_kit().await;
        counts_are_right(&scene.mirror).await;
        assert_eq!(scene.mirror.number("select count(*) from sync_forgotten").await, chosen.len() as i64);
    }))
    .await;
}

fn somebody(ids: impl IntoIterator<Item = i64>) -> People {
    People { ids: ids.into_iter().collect(), ..People::default() }
}

/// S-17. However commits and erasures fall between each other, nobody is written after he was forgotten.
#[tokio::test(flavor = "multi_thread")]
async fn no_commit_slips_past_an_erasure() {
    let bench = Bench::new().await;
    let other = bench.mirror.store(Access::Existing).await;
    let mut chance = fastrand::Rng::with_seed(17);
    let mut order: Vec<i64> = (1..=60).collect();
    chance.shuffle(&mut order);
    let writer = async {
        for step in 0..120 {
            let commit = bench.commit(&SUBSCRIBERS, (1..=60).map(person).collect(), more(step));
            bench.store.commit_page(commit).await.expect("the commit is accepted");
        }
    };
    let eraser = async {
        for id in order {
            let erased = other.forget(&somebody([id])).await.expect("nothing is in its way");
            assert!(erased.rows.values().sum::<u64>() <= 1, "{erased:?}");
            tokio::time::sleep(Duration::from_micros(chance.u64(..3_000))).await;
        }
    };
    tokio::join!(writer, eraser);
    assert_eq!(bench.sees("select count(*) from subscribers").await, ["0"]);
    assert_eq!(bench.sees("select count(*) from sync_forgotten").await, ["60"]);
    assert_eq!(bench.sees("select \"rows\" from sync_state where object = 'subscribers'").await, ["0"]);
    // Let in again by hand, a person is written as any other.
    bench.other_does("delete from sync_forgotten where subscriber_id = 7").await;
    let commit = bench.commit(&SUBSCRIBERS, (1..=60).map(person).collect(), more(200));
    assert_eq!(bench.store.commit_page(commit).await.expect("the commit is accepted").inserted, 1);
}

/// The records of others stay, those of the person go, by key or, without one, by what stands in them.
#[tokio::test]
async fn of_the_records_in_quarantine_only_the_persons_go() {
    let bench = Bench::new().await;
    let note = |key: Option<&str>, raw: &str| Quarantined {
        key: key.map(str::to_owned),
        raw: raw.to_owned(),
        reason: "odd".to_owned(),
        row_kept: false,
    };
    let set_aside = async |object, partition: &str, notes: &[Quarantined]| {
        bench.store.set_aside(object, partition, notes.to_vec()).await.expect("it is written");
    };
    let of_people = [
        note(Some("7"), r#"{"id": 7}"#),
        note(Some("77"), r#"{"id": 77, "friend": 7}"#),
        note(Some("78"), r#"{"id": 78, "friend": "x <PERSON7@example.org>"}"#),
        note(Some("79"), r#"{"id": 79, "email_address": "bigperson7@example.org"}"#),
        note(None, r#"{"id": "7", "state": "#),
        note(None, r#"{"id": 77, "state": "#),
        note(None, r#"{"mail": "person7\u0040example.org"#),
    ];
    let of_members = [note(Some("7/8"), "{}"), note(Some("8/7"), "{}")];
    let of_tags = [note(Some("7"), "{}"), note(None, r#"{"id": 7"#)];
    let write_all = async || {
        set_aside(&SUBSCRIBERS, "", &of_people).await;
        set_aside(&TAG_SUBSCRIPTIONS, "7", &of_members[..1]).await;
        set_aside(&TAG_SUBSCRIPTIONS, "8", &of_members[1..]).await;
        set_aside(&TAGS, "", &of_tags).await;
    };
    write_all().await;
    let people = People { addresses: ["Person7@example.org".to_owned()].into(), ..somebody([7]) };
    let erased = bench.store.forget(&people).await.expect("nothing is in its way");
    assert_eq!(erased.rows["sync_quarantine"], 5);
    let left = "select object, record from sync_quarantine order by object, raw";
    let kept =
        ["subscribers|#", "subscribers|77", "subscribers|79", "tag_subscriptions|7/8", "tags|#", "tags|7"];
    let shown = |lines: Vec<String>| -> BTreeSet<String> {
        lines.iter().map(|line| line.split_inclusive('#').next().unwrap_or_default().to_owned()).collect()
    };
    assert_eq!(shown(bench.sees(left).await), kept.map(str::to_owned).into());

    // What comes later can only be told by the number.
    write_all().await;
    let later = bench.sees("select count(*) from sync_quarantine where object <> 'tags'").await;
    assert_eq!(later, ["5"], "the one by address comes again: nobody knows it any more");
    let commit = bench.commit(&SUBSCRIBERS, Vec::new(), more(1));
    let batch = Batch { quarantined: of_people.to_vec(), read: 7, ..Batch::default() };
    let written = bench.store.commit_page(Commit { batch: Arc::new(batch), ..commit }).await;
    assert_eq!(written.expect("the commit is accepted").quarantined, 4);
}

/// Who has the same address is not the person; whose address only ends like it is nobody to worry about.
#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_others_have_as_well_is_told() {
    for api in Api::VERSIONS {
        let scene = Scene::loaded(few(), api).await;
        let ann = sign_up(&scene, "ann@canary.example.org");
        for other in ["joann@canary.example.org", "ann@canary.example.org.uk", "j.ann@canary.example.org"] {
            scene.change(|account| account.create_subscriber(NewSubscriber::new(other)));
        }
        scene.sync_full().await;
        let binary = Binary::at(&scene.mirror);
        binary.run(&["forget", &ann.to_string(), "--yes"]).await.ended_with(0);
        let left = "select count(*) from subscribers where email_address like '%canary%'";
        assert_eq!(scene.mirror.number(left).await, 3);

        let (one, other) = scene.change(|account| {
            let one = account.create_subscriber(NewSubscriber::new("Bob@canary.example.org"));
            (one, account.create_subscriber(NewSubscriber::new("bob@canary.example.org")))
        });
        scene.later(TimeDelta::hours(1));
        scene.sync_full().await;
        let ran = binary.run(&["forget", &one.to_string(), "--yes"]).await;
        ran.ended_with(5).says(&["subscribers.email_address still holds it, in 1 rows", "forget EMAIL"]);
        let ran = binary.run(&["forget", "BOB@canary.example.org", "--yes", "--json"]).await;
        assert_eq!(ran.ended_with(0).json()["ids"], serde_json::json!([other]));
        has_no_row_of(&scene.mirror, &[ann, one, other]).await;
        assert_eq!(scene.mirror.number(left).await, 3);
        scene.equals_kit().await;
    }
}

/// Nothing is erased that nobody said yes to; somebody who is not here is kept from coming.
#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_forgotten_by_mistake() {
    let scene = Scene::loaded(few(), Api::V4).await;
    let known: i64 = scene.mirror.number("select min(id) from subscribers").await;
    let before = scene.mirror.contents().await;
    let binary = Binary::at(&scene.mirror);
    let ran = binary.run(&["forget", &known.to_string()]).await;
    ran.ended_with(2).says(&["1 row of subscribers", "--yes"]);
    binary.run(&["forget", "nobody", "--yes"]).await.ended_with(2).says(&["neither Kit's id"]);
    let ran = binary.run(&["forget", "nobody.canary@example.org", "--yes"]).await;
    assert!(ran.ended_with(0).stdout.contains("Nobody in the mirror has this address"), "{}", ran.stdout);
    assert!(!ran.output().contains("canary"), "{}", ran.output());
    assert!(scene.mirror.contents().await == before, "something was changed");

    let newcomer =
        scene.kit.read(|account| account.subscribers().map(|one| one.id).max()).expect("people") + 1000;
    let ran = binary.run(&["forget", &newcomer.to_string(), "--yes"]).await;
    assert!(ran.ended_with(0).stdout.contains("Kept from coming back"), "{}", ran.stdout);
    scene.change(|account| account.create_subscriber(NewSubscriber::new("late@example.org").id(newcomer)));
    scene.sync().await;
    has_no_row_of(&scene.mirror, &[newcomer]).await;
    scene.equals_kit().await;

    let nowhere = Mirror::new().await;
    Binary::at(&nowhere).run(&["forget", "7", "--yes"]).await.ended_with(3).says(&["there is no mirror yet"]);
}

/// S-17. People who are forgotten are no reason to read a whole list again and again (v3 shows no time by which
/// it could be told where what is known begins).
#[tokio::test(flavor = "multi_thread")]
async fn somebody_forgotten_costs_no_requests() {
    let plan = AccountPlan::new(1_500).tags(1).forms(1).sequences(1);
    let scene = Scene::loaded(plan, Api::V3).await;
    let cancelled: Vec<i64> = scene.kit.read(|account| {
        account.subscribers().filter(|one| one.state == "cancelled").map(|one| one.id).collect()
    });
    assert!(cancelled.len() > 60, "the list has more than one page");
    let requests = async || {
        scene.kit.clear_requests();
        scene.later(TimeDelta::hours(1));
        let report = scene.sync().await;
        report
            .objects
            .iter()
            .find(|one| one.object == "cancelled_subscribers")
            .expect("it ran")
            .counts
            .requests
    };
    assert_eq!(requests().await, 1);
    let chosen = [cancelled[0], cancelled[cancelled.len() / 2], cancelled[cancelled.len() - 1]];
    let store = scene.mirror.store(Access::Existing).await;
    store.forget(&somebody(chosen)).await.expect("nothing is in its way");
    store.close().await;
    assert_eq!(requests().await, 1);
    // Whoever is new is found all the same.
    let late = scene.change(|account| {
        let active =
            account.subscribers().find(|one| one.state == "active").map(|one| one.id).expect("somebody");
        assert!(account.cancel(active));
        active
    });
    requests().await;
    assert_eq!(
        scene.mirror.texts(&format!("select state from subscribers where id = {late}")).await,
        ["cancelled"]
    );
    has_no_row_of(&scene.mirror, &chosen).await;
}

/// Marks a person as a reconcile would.
async fn mark(scene: &Scene, table: &str, condition: &str, at: DateTime<Utc>) {
    let at = ENGINE.time(at);
    scene.mirror.execute(&format!("update {table} set _deleted_at = {at} where {condition}")).await;
}

/// S-17. After the period a person goes with memberships and records in quarantine, a tag or a membership by
/// itself; what was marked later stays, and everything else does.
#[tokio::test(flavor = "multi_thread")]
async fn a_tombstone_is_purged_when_its_time_has_come_and_nothing_else_is() {
    join_all(Api::VERSIONS.map(|api| async move {
        let mut scene = Scene::loaded(few(), api).await;
        let (gone, younger) = (sign_up(&scene, OLD), sign_up(&scene, "later@example.org"));
        scene.sync_full().await;
        let (tags, ..) = scene.kit.read(parents);
        scene.change(|account| assert!(account.delete_subscriber(gone) && account.delete_subscriber(younger)));
        let note = "insert into sync_quarantine (object, \"partition\", record, reason, raw, first_seen_at, last_seen_at)";
        let now = ENGINE.time(Utc::now());
        let notes = [format!("'{gone}', 'a', '{{}}'"), format!("'{younger}', 'a', '{{}}'"), format!("'#1', 'a', '{OLD}'")];
        for values in notes {
            scene.mirror.execute(&format!("{note} values ('subscribers', '', {values}, {now}, {now})")).await;
        }
        let days = |days| Utc::now() - TimeDelta::days(days);
        mark(&scene, "subscribers", &format!("id = {gone}"), days(31)).await;
        mark(&scene, "subscribers", &format!("id = {younger}"), days(29)).await;
        mark(&scene, "tag_subscriptions", &format!("subscriber_id = {younger} and tag_id = {}", tags[0]), days(31)).await;
        mark(&scene, "form_subscriptions", &format!("subscriber_id = {younger}"), days(29)).await;
        mark(&scene, "broadcasts", "id = (select * from (select min(id) from broadcasts) b)", days(31)).await;
        let everything = async || {
            let tables = ["subscribers", "tag_subscriptions", "form_subscriptions", "sequence_subscriptions", "broadcasts", "tags"];
            let mut all = Vec::new();
            for table in tables {
                all.push(scene.mirror.number(&format!("select count(*) from {table}")).await);
            }
            all.push(scene.mirror.number("select count(*) from sync_quarantine").await);
            all
        };
        let [subscribers, tagged, joined, sequenced, broadcasts, all_tags, noted] = everything().await[..] else {
            panic!("seven counts")
        };
        let binary = |after: &str| Binary::of(&scene.mirror, &scene.serving, api).set("KITMIRROR_PURGE_AFTER", after);
        // Marked rows that are there come to life again by being read, so nothing but tags is.
        binary("never").run(&["sync", "--object", "tags"]).await.ended_with(0);
        assert_eq!(everything().await, [subscribers, tagged, joined, sequenced, broadcasts, all_tags, noted]);
        let ran = binary("30d").run(&["sync", "--object", "tags"]).await;
        ran.ended_with(0).says(&["Purged what had been gone at Kit", "1 of subscribers", "3 of tag_subscriptions"]);
        assert_eq!(
            everything().await,
            [subscribers - 1, tagged - 3, joined - 1, sequenced - 1, broadcasts - 1, all_tags, noted - 2]
        );
        has_no_row_of(&scene.mirror, &[gone]).await;
        holds_none_of(&scene.mirror, &[OLD]).await;
        assert_eq!(scene.mirror.number("select count(*) from sync_forgotten").await, 0);
        let quiet = binary("30d").run(&["sync", "--object", "tags"]).await;
        assert!(!quiet.ended_with(0).stderr.contains("Purged"), "{}", quiet.stderr);

        scene.mirror.settings.push(("KITMIRROR_PURGE_AFTER".to_owned(), "0s".to_owned()));
        scene.mirror.run(&scene.serving, api, None, &["tags"]).await.expect("the session opens");
        has_no_row_of(&scene.mirror, &[gone, younger]).await;
    }))
    .await;
}

/// So many tombstones take several transactions, none of them long.
#[tokio::test]
async fn a_purge_is_made_of_small_steps() {
    let bench = Bench::new().await;
    bench.write(tags(42..=42)).await;
    let tagged = bench.commit(
        &TAG_SUBSCRIPTIONS,
        (1..=1_200).map(|id| membership(&TAG_SUBSCRIPTIONS, 42, id)).collect(),
        more(1),
    );
    let tagged = Commit { partition: "42".to_owned(), ..tagged };
    bench.store.commit_page(tagged).await.expect("the commit is accepted");
    let people = bench.commit(&SUBSCRIBERS, (1..=1_200).map(person).collect(), more(1));
    bench.store.commit_page(people).await.expect("the commit is accepted");
    let long_ago = ENGINE.time("2024-06-01T00:00:00Z".parse().expect("a time"));
    bench.other_does(&format!("update subscribers set _deleted_at = {long_ago} where id <= 1100")).await;
    let mut steps = Vec::new();
    loop {
        let step = bench.store.purge(at("2024-07-01T00:00:00Z")).await.expect("nothing is in its way");
        if step.is_empty() {
            break;
        }
        steps.push((step.rows["subscribers"], step.rows["tag_subscriptions"]));
    }
    assert_eq!(steps, [(500, 500), (500, 500), (100, 100)]);
    assert_eq!(bench.sees("select count(*) from subscribers").await, ["100"]);
    assert_eq!(bench.sees("select \"rows\" from sync_state where \"partition\" = '42'").await, ["100"]);
    assert!(bench.store.purge(at("2024-06-01T00:00:00Z")).await.expect("nothing is in its way").is_empty());
}
