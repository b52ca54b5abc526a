//! Text that is written to do harm: whatever it would be elsewhere, here it is text.

use crate::support::judge::{Judge, Strictness};
use crate::support::{Api, Binary, Mirror, kit};
use futures_util::future::join_all;
use kitmirror::simulator::{AccountPlan, NewSubscriber};

/// A text per line, as JSON: SQL in pieces, quotes, placeholders, escapes, what does not show, what looks the same.
const CORPUS: &str = include_str!("../hostile.jsonl");

fn corpus() -> Vec<String> {
    let texts = CORPUS.lines().map(|line| serde_json::from_str(line).expect("a text in JSON"));
    let texts: Vec<String> = texts.collect();
    assert!(texts.len() >= 200, "{}", texts.len());
    texts
}

/// S-11, S-19, P-05, P-06. As names of people, tags, forms and sequences, as subjects, as addresses, as keys and values of
/// custom fields: all of it comes back to the letter, no table is less or more, and no log tells it.
#[tokio::test(flavor = "multi_thread")]
async fn hostile_text_comes_back_to_the_letter_and_does_nothing_else() {
    let corpus = &corpus();
    join_all(Api::VERSIONS.map(|api| async move {
        let plan = AccountPlan::new(0).tags(0).forms(0).sequences(0).broadcasts(0).custom_fields(0);
        let (sim, serving) = kit(plan).await;
        sim.change(|account| {
            // Keys of custom fields are an account's: each person has them all.
            for text in corpus.iter().step_by(7) {
                account.create_custom_field(text, text);
            }
            for (text, next) in corpus.iter().zip(corpus.iter().cycle().skip(1)) {
                let person = NewSubscriber::new(format!("{text}@example.org")).named(text);
                let person = account.create_subscriber(person);
                for key in corpus.iter().step_by(7).take(5) {
                    account.set_field(person, key, Some(next));
                }
                let tag = account.create_tag(text);
                account.tag(tag, person);
                account.create_form(text);
                account.create_sequence(text);
                account.create_broadcast(Some(text));
            }
        });
        let mirror = Mirror::furnished().await;
        let binary = Binary::of(&mirror, &serving, api).set("RUST_LOG", "trace");
        let ran = binary.run(&["-vv", "sync"]).await;
        ran.ended_with(0);
        for line in ran.stderr.lines() {
            assert!(!line.starts_with("2024-05-01") && !line.contains('\u{1b}'), "forged: {line:?}");
        }
        assert_eq!(mirror.number("select count(*) from sync_quarantine").await, 0);
        Judge::compare(&mirror, &sim, api, Strictness::Equal).await.agrees();
        for (table, column) in [("subscribers", "first_name"), ("tags", "name"), ("broadcasts", "subject")] {
            let mut stored = mirror.texts(&format!("select {column} from {table}")).await;
            let mut said = corpus.clone();
            stored.sort();
            said.sort();
            assert_eq!(stored, said, "{table}");
        }
        // A second time as updates, and the tables are those that there were.
        let before = mirror.relations().await;
        mirror.sync_full(&serving, api).await;
        assert_eq!(mirror.relations().await, before);
        Judge::compare(&mirror, &sim, api, Strictness::Equal).await.agrees();
        Binary::at(&mirror).run(&["schema", "--check"]).await.ended_with(0);
    }))
    .await;
}
