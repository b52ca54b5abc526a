//! A program that may do less than it is used to, and what it does not do although it could.

use crate::ENGINE;
use crate::support::binary::listing;
use crate::support::judge::{Judge, Strictness};
use crate::support::scene::{few, people};
use crate::support::{Api, Binary, Engine, Mirror, kit};
use futures_util::future::join_all;
use kitmirror::simulator::{Fault, Mutation, Which};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::net::TcpListener;

/// K-09. No folder to work in, none for temporary files, no home: nothing is written but the mirror.
#[tokio::test(flavor = "multi_thread")]
async fn it_needs_no_place_to_write_to_but_its_database() {
    join_all(Api::VERSIONS.map(|api| async move {
        let (sim, serving) = kit(few()).await;
        let mirror = Mirror::new().await;
        let binary =
            Binary::of(&mirror, &serving, api).set("TMPDIR", "/nowhere/at/all").set("HOME", "/nowhere");
        // A folder that is no more cannot be written to, not even by root.
        let nowhere = "mkdir gone; cd gone; rmdir ../gone";
        for arguments in [&["sync"][..], &["sync", "--full"], &["status"]] {
            binary.start_after(nowhere, arguments).end().await.ended_with(0);
        }
        Judge::compare(&mirror, &sim, api, Strictness::Equal).await.agrees();
        let left: Vec<String> = listing(mirror.folder()).into_iter().map(|(name, _)| name).collect();
        if *ENGINE == Engine::Sqlite {
            assert!(left.iter().all(|name| name.starts_with("mirror.db")), "{left:?}");
        } else {
            assert!(left.is_empty(), "{left:?}");
        }
    }))
    .await;
}

/// K-05. Few files to open, few threads, little memory: it works, or it says what it lacks, or it dies; nothing is lost,
/// and the next run makes up for it.
#[tokio::test(flavor = "multi_thread")]
async fn too_little_of_everything_costs_a_run_and_no_row() {
    // Descriptors, and KiB of address space; a program that starts takes about 9 of the ones, and more of the others.
    let limits = ["ulimit -n 8", "ulimit -n 10", "ulimit -n 12", "ulimit -n 16", "ulimit -n 64"];
    let memory = [20_000, 26_000, 28_000, 30_000, 32_000, 60_000, 90_000, 110_000, 200_000];
    let memory = memory.map(|kib| format!("ulimit -v {kib}"));
    join_all(limits.map(str::to_owned).into_iter().chain(memory).map(|limit| async move {
        let (sim, serving) = kit(few()).await;
        let mirror = Mirror::new().await;
        let binary = Binary::of(&mirror, &serving, Api::V4);
        let ran = binary.start_after(&limit, &["sync"]).end().await;
        let died = ran.code < 0 || ran.code > 100;
        assert!(ran.code == 0 || died || !ran.stderr.is_empty(), "{limit}: {}", ran.code);
        assert!(!ran.stderr.contains("a bug in kitmirror"), "{limit}: {}", ran.stderr);
        if ran.code == 0 {
            Judge::compare(&mirror, &sim, Api::V4, Strictness::Equal).await.agrees();
        }
        assert!(limit != "ulimit -n 64" || ran.code == 0, "64 files are enough: {}", ran.stderr);
        binary.run(&["sync"]).await.ended_with(0);
        Judge::compare(&mirror, &sim, Api::V4, Strictness::Equal).await.agrees();
    }))
    .await;
}

/// S-20. Addresses in what Kit sends are text: nobody goes there, and Kit itself is asked for its lists only.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_that_a_payload_names_is_fetched() {
    for api in Api::VERSIONS {
        let (sim, serving) = kit(few()).await;
        let elsewhere = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}/picture.png", elsewhere.local_addr().expect("its address"));
        let visits = Arc::new(AtomicUsize::new(0));
        let seen = Arc::clone(&visits);
        let listening = tokio::spawn(async move {
            while elsewhere.accept().await.is_ok() {
                seen.fetch_add(1, Ordering::SeqCst);
            }
        });
        let lists = match api {
            Api::V3 => ["/v3/forms", "/v3/broadcasts/*", "/v3/subscribers", "/v3/tags"],
            _ => ["/v4/forms", "/v4/broadcasts", "/v4/subscribers", "/v4/tags"],
        };
        // Members that Kit has, and some that it may come to have.
        for member in ["embed_js", "embed_url", "thumbnail_url", "public_url", "avatar_url", "href", "next"] {
            for list in lists {
                let set = Mutation::Set(member.to_owned(), format!("\"{url}\""));
                sim.faults().add(Fault::rows(Which::All, set).on(list));
            }
        }
        let image = format!("\"<img src='{url}'><link rel='preload' href='{url}'>\"");
        for list in lists {
            let content = Mutation::Set("content".to_owned(), image.clone());
            sim.faults().add(Fault::rows(Which::All, content).on(list));
        }
        let mirror = Mirror::new().await;
        let binary = Binary::of(&mirror, &serving, api);
        for command in [&["sync"][..], &["sync", "--full"], &["sync", "--reconcile"], &["verify"], &["check"]]
        {
            let ran = binary.run(command).await;
            assert!(ran.code >= 0, "{command:?}: {}", ran.stderr);
        }
        let stored = mirror.number(&format!("select count(*) from forms where embed_js = '{url}'")).await;
        assert!(stored > 0, "the address is stored as it came");
        let version = people(api).trim_end_matches("subscribers");
        for request in sim.requests() {
            assert!(request.path.starts_with(version), "{}", request.path);
            assert!(!request.path.contains("picture") && !request.query.contains("picture"), "{request:?}");
        }
        assert_eq!(visits.load(Ordering::SeqCst), 0, "{api:?}");
        listening.abort();
    }
}

/// Runs are noted for 90 days, records set aside for 30 days after they were last met.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_noted_is_dropped_when_its_time_has_come() {
    let (sim, serving) = kit(few()).await;
    let bad = sim.faults().add(Fault::rows(Which::Nth(3), Mutation::Drop("id".to_owned())).on("/v4/tags"));
    let worse = sim.faults().add(Fault::rows(Which::Nth(2), Mutation::Drop("id".to_owned())).on("/v4/tags"));
    let mirror = Mirror::new().await;
    let names = kitmirror::model::objects::names();
    mirror.run(&serving, Api::V4, None, &names).await.expect("the session opens");
    sim.faults().remove(bad);
    sim.faults().remove(worse);
    let runs = mirror.number("select count(*) from sync_runs").await;
    let aside = mirror.number("select count(*) from sync_quarantine").await;
    assert!(runs >= 9 && aside >= 1, "{runs} {aside}");
    let ago = |days| ENGINE.time(chrono::Utc::now() - chrono::TimeDelta::days(days));
    let last_met = |days| format!("update sync_quarantine set last_seen_at = {}", ago(days));
    let began =
        |days, object| format!("update sync_runs set started_at = {} where object = '{object}'", ago(days));
    let noted = "select count(*) from sync_runs where object = 'forms'";

    for (days_of_runs, days_aside, kept) in [(89, 29, true), (91, 31, false)] {
        mirror.execute(&began(days_of_runs, "forms")).await;
        mirror.execute(&last_met(days_aside)).await;
        // Any start cleans up; this one reads nothing else.
        mirror.run(&serving, Api::V4, None, &["sequences"]).await.expect("the session opens");
        assert_eq!(mirror.number(noted).await, i64::from(kept));
        assert_eq!(mirror.number("select count(*) from sync_quarantine").await, if kept { aside } else { 0 });
    }
}
