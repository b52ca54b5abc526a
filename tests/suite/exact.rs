//! What is stored is what was said, to the last microsecond and the first zero, whatever zone or type an engine would
//! rather have.

use crate::ENGINE;
use crate::support::bench::{at, tag, text};
use crate::support::scene::{outcome, people};
use crate::support::{Api, Bench, Binary, Engine, Mirror, Scene, kit};
use futures_util::future::join_all;
use kitmirror::replication::{Report, Whole};
use kitmirror::simulator::{AccountPlan, Fault, Mutation, NewSubscriber, Which};
use kitmirror::store::{Outcome, Progress, Swept};

/// A time as Kit may write it, and as it is stored.
const TIMES: [(&str, &str); 10] = [
    ("2024-02-29T23:59:59.999999Z", "2024-02-29T23:59:59.999999Z"),
    ("2023-12-31T23:59:59.999999Z", "2023-12-31T23:59:59.999999Z"),
    // Finer than any engine stores: cut, never rounded into the next second.
    ("2023-12-31T23:59:59.9999999Z", "2023-12-31T23:59:59.999999Z"),
    ("2023-06-30T11:59:59.500Z", "2023-06-30T11:59:59.500000Z"),
    // Hours that clocks in New York, on Lord Howe Island and in Berlin leave out, as UTC and as they say themselves.
    ("2024-03-10T02:30:00Z", "2024-03-10T02:30:00.000000Z"),
    ("2024-03-10T02:30:00-05:00", "2024-03-10T07:30:00.000000Z"),
    ("2024-10-06T02:15:00+10:30", "2024-10-05T15:45:00.000000Z"),
    ("2024-03-31T02:30:00+01:00", "2024-03-31T01:30:00.000000Z"),
    // And one that comes twice.
    ("2024-11-03T01:30:00-04:00", "2024-11-03T05:30:00.000000Z"),
    ("2024-11-03T01:30:00-05:00", "2024-11-03T06:30:00.000000Z"),
];

/// M23, M24. Whatever the zone of the machine, and whatever its clocks do at that hour.
#[tokio::test(flavor = "multi_thread")]
async fn a_time_is_stored_to_the_microsecond_in_every_zone() {
    let zones = ["Australia/Lord_Howe", "America/New_York"];
    join_all(Api::VERSIONS.into_iter().zip(zones).map(|(api, zone)| async move {
        let plan = AccountPlan::new(40).tags(0).forms(0).sequences(0).broadcasts(0);
        let (sim, serving) = kit(plan).await;
        let route = if api == Api::V3 { "/v3/subscribers" } else { "/v4/subscribers" };
        for (nth, (said, _)) in (1..).zip(TIMES) {
            let said = Mutation::Set("created_at".to_owned(), format!("\"{said}\""));
            sim.faults().add(Fault::rows(Which::Nth(nth), said).on(route));
        }
        let mirror = Mirror::furnished().await;
        let binary = Binary::of(&mirror, &serving, api).set("TZ", zone);
        binary.run(&["sync", "--object", "subscribers"]).await.ended_with(0);
        let stored = mirror.texts("select created_at from subscribers").await;
        for (said, expected) in TIMES {
            assert!(stored.iter().any(|one| one == expected), "{api:?} in {zone}: {said} in {stored:#?}");
        }
    }))
    .await;
}

/// M23. The watermark as well: rounded up, it would pass over the rest of its second.
#[tokio::test]
async fn the_last_microsecond_of_a_second_stays_in_it() {
    let bench = Bench::new().await;
    let last = "2024-02-29T23:59:59.999999Z";
    let mut row = tag(1, text("x"));
    row.values[3] = kitmirror::model::Value::Time(at(last));
    let done = Progress::Done {
        watermark: Some(at(last)),
        began_at: at("2024-05-03T00:00:00Z"),
        swept: Swept::No,
        counted: None,
    };
    let commit = bench.commit(&kitmirror::model::objects::TAGS, vec![row], done);
    bench.store.commit_page(commit).await.expect("it is stored");
    assert_eq!(bench.sees("select created_at from tags").await, [last]);
    let watermark = "select watermark from sync_state where object = 'tags'";
    assert_eq!(bench.sees(watermark).await, [last]);
    let state = bench.store.states(&kitmirror::model::objects::TAGS).await.expect("a state");
    assert_eq!(state[0].watermark, Some(at(last)));
}

/// D11. What looks like a number and is text stays text; on SQLite, no table of ours would take it for another type.
#[tokio::test(flavor = "multi_thread")]
async fn text_that_looks_like_a_number_stays_text() {
    let texts = ["007", "1e3", "0x10", "-0", " 1", "1.0", "9223372036854775808"];
    let bench = Bench::new().await;
    bench.write((1..).zip(texts).map(|(id, name)| tag(id, text(name))).collect()).await;
    assert_eq!(bench.sees("select name from tags order by id").await, texts);
    if *ENGINE == Engine::Sqlite {
        let lax = "select name from pragma_table_list where type = 'table' and strict = 0 \
                   and schema = 'main' and name not like 'sqlite_%'";
        // Not ours: where refinery notes which migrations were made.
        assert_eq!(bench.sees(lax).await, ["refinery_schema_history"]);
        assert_eq!(bench.sees("select distinct typeof(name) from tags").await, ["text"]);
        let refused = bench.other().await.try_execute("update tags set id = 'seven'").await;
        assert!(refused.is_err(), "a strict table refuses what is of another type");
    }
}

/// M36.
#[tokio::test(flavor = "multi_thread")]
async fn ids_beyond_32_and_53_bits_are_stored_to_the_last_digit() {
    for api in Api::VERSIONS {
        let ids = [1 << 31, 1 << 32, (1 << 53) + 1, i64::MAX];
        let scene = Scene::loaded(AccountPlan::small(), api).await;
        let tag = scene.first_tag();
        scene.change(|account| {
            for id in ids {
                account.create_subscriber(NewSubscriber::new(format!("{id}@example.com")).id(id));
                assert!(account.tag(tag, id));
            }
        });
        scene.sync().await;
        scene.holds_ids("subscribers", "id", ids).await;
        scene.holds_ids("tag_subscriptions", "subscriber_id", ids).await;
        scene.equals_kit().await;

        let beyond = Mutation::Set("id".to_owned(), "9223372036854775808".to_owned());
        scene.kit.faults().add(Fault::rows(Which::Last, beyond).on(people(api)).times(1));
        let report: Report = scene
            .mirror
            .run(&scene.serving, api, Some(Whole::Load), &["subscribers"])
            .await
            .expect("the session opens");
        assert_eq!(outcome(&report, "subscribers"), Outcome::Incomplete, "{api:?}");
        assert_eq!(scene.mirror.number("select count(*) from sync_quarantine").await, 1);
    }
}
