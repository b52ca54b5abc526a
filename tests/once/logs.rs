//! What the program says while it works, and to whom: readers that are slow, stopped or gone, and machines.

use crate::support::binary::Ran;
use crate::support::judge::{Judge, Strictness};
use crate::support::scene::{few, people};
use crate::support::{Api, Binary, Mirror, kit};
use kitmirror::simulator::{Action, Fault, Mutation, NewSubscriber, Which};
use serde_json::Value;
use std::time::Duration;

/// Fills stdout, or with `>&2` stderr, so that the first byte more waits for a reader. A pipe holds 64 KiB.
fn fill(redirection: &str) -> String {
    format!("dd if=/dev/zero bs=65536 count=1 status=none {redirection}")
}

/// K-10. Nobody reads what it says: it works all the same, and ends with what it was asked for on stdout.
#[tokio::test(flavor = "multi_thread")]
async fn a_full_pipe_on_stderr_holds_up_neither_the_work_nor_the_end() {
    for (arguments, format) in [(&["sync", "--json"][..], "text"), (&["-vv", "sync", "--json"], "json")] {
        let (sim, serving) = kit(few()).await;
        let mirror = Mirror::new().await;
        let binary = Binary::of(&mirror, &serving, Api::V4).set("KITMIRROR_LOG_FORMAT", format);
        let ran = binary.start_unheard(&fill(">&2"), arguments).end_unread().await;
        ran.ended_with(0);
        assert_eq!(ran.json()["complete"], true);
        assert!(ran.took < Duration::from_secs(20), "{:?}", ran.took);
        Judge::compare(&mirror, &sim, Api::V4, Strictness::Equal).await.agrees();
    }
}

/// K-10. Nor is there anybody to take the result.
#[tokio::test(flavor = "multi_thread")]
async fn one_full_pipe_for_everything_does_not_keep_it_from_ending() {
    let (sim, serving) = kit(few()).await;
    let mirror = Mirror::new().await;
    let binary = Binary::of(&mirror, &serving, Api::V4);
    let both = format!("exec 2>&1; {}", fill(""));
    binary.start_unheard(&both, &["-v", "sync"]).end_unread().await.ended_with(0);
    Judge::compare(&mirror, &sim, Api::V4, Strictness::Equal).await.agrees();

    sim.faults().add(Fault::status(401));
    binary.start_unheard(&both, &["sync"]).end_unread().await.ended_with(2);
}

/// K-10. Readers that went away are no reason to fail, and none to panic.
#[tokio::test(flavor = "multi_thread")]
async fn a_broken_pipe_is_no_failure() {
    let (sim, serving) = kit(few()).await;
    let mirror = Mirror::new().await;
    let binary = Binary::of(&mirror, &serving, Api::V4);
    for arguments in [&["-vv", "sync"][..], &["status"], &["config"], &["schema"], &["completions", "bash"]] {
        binary.start_unheard(":", arguments).end_closed().await.ended_with(0);
    }
    Judge::compare(&mirror, &sim, Api::V4, Strictness::Equal).await.agrees();
    sim.faults().add(Fault::status(401));
    binary.start_unheard(":", &["sync"]).end_closed().await.ended_with(2);
}

/// K-10. Somebody who reads slowly reads everything; the error comes last and whole.
#[tokio::test(flavor = "multi_thread")]
async fn a_slow_reader_gets_the_error_at_the_end() {
    let (sim, serving) = kit(few()).await;
    sim.faults().add(Fault::status(401).on("/v4/tags"));
    sim.faults().add(Fault::status(401).on("/v4/account").from_nth(2));
    let mirror = Mirror::new().await;
    let binary = Binary::of(&mirror, &serving, Api::V4);
    let ran = binary.start_unheard(&fill(">&2"), &["sync"]).end_heard_after(Duration::from_secs(1)).await;
    ran.ended_with(2);
    let words = ran.stderr.trim_start_matches('\0');
    let told = words.lines().rev().nth(1).expect("an error and its advice");
    assert!(told.starts_with("error: ") && words.contains("Check the credential"), "{words}");
    assert!(words.contains("sequences"), "what came before is there, too: {words}");
}

/// Each line for machines is JSON, the last words among them; each is within its object, partition and page.
#[tokio::test(flavor = "multi_thread")]
async fn machines_get_json_and_nothing_else() {
    for api in Api::VERSIONS {
        let (sim, serving) = kit(few()).await;
        let mirror = Mirror::new().await;
        let binary = Binary::of(&mirror, &serving, api).set("KITMIRROR_LOG_FORMAT", "json");
        let ran = binary.run(&["-v", "sync"]).await;
        let lines = json_lines(ran.ended_with(0));
        let asked: Vec<&Value> = lines.iter().filter(|line| line["http.status"] == 200).collect();
        assert!(asked.len() >= 10, "{asked:?}");
        let within = |line: &Value, name: &str| {
            let spans = line["spans"].as_array().cloned().unwrap_or_default();
            spans.iter().find_map(|span| span.get(name).cloned())
        };
        for line in asked.iter().filter(|line| line["http.path"] != "/account") {
            let object = within(line, "object").expect("an object");
            let partition = within(line, "partition").expect("a partition");
            let path = line["http.path"].as_str().expect("a path");
            assert!(within(line, "page").is_some_and(|page| page.as_u64() >= Some(1)), "{line}");
            assert!(
                partition.as_str().is_some_and(|parent| path.contains(parent)),
                "{object} {partition} {path}"
            );
            assert!(line["message"].as_str().is_some_and(|text| text.starts_with("GET /")), "{line}");
        }
        let second = lines.iter().find(|line| within(line, "page") == Some(2.into()));
        assert!(second.is_some() || api == Api::V4, "v3 has pages of fifty");

        sim.faults().add(Fault::status(401));
        let ran = binary.run(&["sync"]).await;
        let last = json_lines(ran.ended_with(2)).pop().expect("an error");
        assert_eq!((&last["level"], &last["error.kind"]), (&"ERROR".into(), &"source_rejected_key".into()));
        assert!(last["error.advice"].as_str().is_some_and(|advice| advice.contains("kit_api_key")), "{last}");
    }
}

/// For people a line is one plain sentence; what it is within comes with `-v`.
#[tokio::test(flavor = "multi_thread")]
async fn people_get_a_line_per_object_and_the_rest_on_request() {
    let (sim, serving) = kit(few()).await;
    sim.faults().add(Fault::status(503).on(people(Api::V4)).nth(1));
    let mirror = Mirror::new().await;
    let binary = Binary::of(&mirror, &serving, Api::V4);
    let ran = binary.run(&["sync"]).await;
    let runs = ran.stderr.lines().filter(|line| line.contains(" complete, ")).count();
    assert_eq!(runs, 9, "{}", ran.stderr);
    assert!(
        !ran.stderr.contains("object=") && ran.stderr.contains("WARN GET /subscribers: "),
        "{}",
        ran.stderr
    );
    let ran = binary.run(&["-v", "sync"]).await;
    assert!(ran.stderr.contains("object=subscribers partition= page=1"), "{}", ran.stderr);
}

/// S-16. At the highest level, over a load, over records that cannot be stored and over what an error quotes: no name, no
/// address, no value of a custom field. Ids are all that a line tells of people.
#[tokio::test(flavor = "multi_thread")]
async fn no_line_tells_anything_about_anybody() {
    const TOLD: [&str; 4] = ["N4me-of", "ad-dress-of", "v4lue-of", "K3y-of"];
    for (api, format) in Api::VERSIONS.into_iter().zip(["text", "json"]) {
        let (sim, serving) = kit(few()).await;
        sim.change(|account| {
            for nth in 0..60 {
                let person = NewSubscriber::new(format!("ad-dress-of-{nth}@alder.example"));
                let person =
                    person.named(format!("N4me-of-{nth}")).field("K3y-of", &format!("v4lue-of-{nth}"));
                account.create_subscriber(person);
            }
        });
        let mirror = Mirror::new().await;
        let binary = Binary::of(&mirror, &serving, api).set("KITMIRROR_LOG_FORMAT", format);
        let binary = binary.set("RUST_LOG", "trace");
        let mut said = binary.run(&["-vv", "sync"]).await.ended_with(0).output();
        // One that lacks what it needs, one whose name is no text, and an answer that breaks off within somebody.
        let mutations = [
            Mutation::Drop("created_at".to_owned()),
            Mutation::Set("first_name".to_owned(), "[1]".to_owned()),
        ];
        for (nth, mutation) in (1..).zip(mutations) {
            sim.faults().add(Fault::rows(Which::Nth(nth), mutation).on(people(api)));
        }
        sim.faults().add(Fault::new(Action::TruncateBody { bytes: 9_000 }).on(people(api)).nth(1));
        said += &binary.run(&["-vv", "sync", "--full"]).await.ended_with(5).output();
        // The database refuses somebody, and says why in its own words.
        sim.faults().clear();
        mirror
            .execute(
                "create trigger no before update on subscribers begin \
                 select raise(abort, 'no'); end; update sync_state set watermark = null",
            )
            .await;
        sim.change(|account| {
            let all: Vec<i64> = account.subscribers().map(|person| person.id).collect();
            for id in all {
                account.rename_subscriber(id, Some("N4me-of-somebody-else"));
            }
        });
        said += &binary.run(&["-vv", "sync", "--full"]).await.output();
        said += &binary.run(&["status"]).await.output();
        let stored = mirror.number("select count(*) from subscribers where first_name like 'N4me-of%'").await;
        assert!(stored > 20, "they are there: {stored}");
        assert!(mirror.number("select count(*) from sync_quarantine").await > 2);
        for told in TOLD {
            let line = said.lines().find(|line| line.contains(told));
            assert!(line.is_none(), "{api:?}: {line:?}");
        }
    }
}

fn json_lines(ran: &Ran) -> Vec<Value> {
    let parse = |line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
    ran.stderr.lines().map(parse).collect()
}
