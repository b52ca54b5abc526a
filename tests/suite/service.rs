//! The service: what it does by itself, what it waits for, how several of it get along, and how it stops.

use crate::ENGINE;
use crate::support::binary::Running;
use crate::support::judge::{Judge, Strictness};
use crate::support::scene::{few, people};
use crate::support::{Api, Binary, Engine, Mirror, asked, at_rest, kit};
use futures_util::future::join_all;
use kitmirror::error::{Error, Kind};
use kitmirror::replication::{Silent, Stop};
use kitmirror::service::{Phase, Pulse, Service};
use kitmirror::simulator::{
    AccountPlan, Action, Blank, Credentials, Fault, NewSubscriber, Serving, Simulator,
};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::Notify;
use tokio::task::JoinHandle;

/// Every second, so that a test need not wait long for a tick.
const EVERY_SECOND: &str = "* * * * * *";
/// Not while a test runs.
const NEXT_YEAR: &str = "0 0 1 1 *";

/// A service over a mirror, with a schedule.
fn service(mirror: &Mirror, serving: &Serving, api: Api, schedule: &str) -> Binary {
    let binary = Binary::of(mirror, serving, api).set("KITMIRROR_LISTEN", "off");
    binary.set("KITMIRROR_SCHEDULE", schedule).set("KITMIRROR_RECONCILE_SCHEDULE", "never")
}

/// Somebody new, whom a run that works brings into the mirror.
fn somebody_new(sim: &Simulator) -> i64 {
    let address = format!("new{}@example.org", fastrand::u32(..));
    sim.change(|account| account.create_subscriber(NewSubscriber::new(address)))
}

async fn is_there(mirror: &Mirror, id: i64) -> bool {
    let tables = mirror.relations().await;
    tables.iter().any(|name| name == "subscribers")
        && mirror.number(&format!("select count(*) from subscribers where id = {id}")).await == 1
}

/// As long as a service may wait for the limit: what those who were killed had entered ahead counts as sent for a minute.
const A_WINDOW_LONG: Duration = Duration::from_secs(90);

/// Waits until that person is in the mirror.
async fn arrives(mirror: &Mirror, id: i64) {
    waited_for(Duration::from_secs(30), "the new subscriber is not in the mirror", async || {
        is_there(mirror, id).await
    })
    .await;
}

/// Waits until all objects have been read to their end.
async fn is_loaded(mirror: &Mirror) {
    waited_for(A_WINDOW_LONG, "the mirror is not loaded", async || {
        mirror.relations().await.iter().any(|name| name == "sync_status")
            && mirror.number("select count(*) from sync_status where state = 'ok'").await == 10
    })
    .await;
}

async fn waited_for(patience: Duration, otherwise: &str, mut fits: impl AsyncFnMut() -> bool) {
    let until = Instant::now() + patience;
    while !fits().await {
        assert!(Instant::now() < until, "{otherwise}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// The first run comes at once, the others by the schedule, and a stop asked for in between ends it well.
#[tokio::test(flavor = "multi_thread")]
async fn a_service_loads_at_once_and_keeps_up_by_its_schedule() {
    for api in Api::VERSIONS {
        let (sim, serving) = kit(few()).await;
        let mirror = Mirror::new().await;
        let running = service(&mirror, &serving, api, EVERY_SECOND).start(&["run"]);
        is_loaded(&mirror).await;
        let new = somebody_new(&sim);
        arrives(&mirror, new).await;
        let ran = running.stop("TERM").await;
        ran.ended_with(0).says(&["Mirroring the account", "Stopping after the page in hand", "Stopped"]);
        assert_eq!(ran.stdout, "");
        Judge::compare(&mirror, &sim, api, Strictness::Equal).await.agrees();
        let status = "select count(*) from sync_runs where outcome <> 'complete' and outcome <> 'stopped'";
        assert_eq!(mirror.number(status).await, 0);
    }
}

/// T-04, R-05. A start that is not overdue waits for its tick; one that is catches up, a little later than at once.
#[tokio::test(flavor = "multi_thread")]
async fn a_start_catches_up_only_with_what_is_overdue() {
    let (sim, serving) = kit(few()).await;
    let mirror = Mirror::new().await;
    mirror.sync(&serving, Api::V4).await;
    sim.clear_requests();
    let binary = service(&mirror, &serving, Api::V4, NEXT_YEAR);
    let mut running = binary.start(&["run"]);
    running.has_said("Mirroring the account").await;
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    running.stop("TERM").await.ended_with(0);
    assert!(sim.requests().iter().all(|one| one.path == "/v4/account"), "{:?}", sim.requests());

    let long_ago = ENGINE.time("2020-01-01T00:00:00Z".parse().expect("a time"));
    mirror.execute(&format!("update sync_state set completed_at = {long_ago} where object = 'tags'")).await;
    let running = binary.start(&["run"]);
    asked(&sim, "/v4/tags").await;
    waited_for(Duration::from_secs(10), "the run is over", async || {
        mirror.number("select count(*) from sync_runs where outcome = 'running'").await == 0
    })
    .await;
    running.stop("INT").await.ended_with(0);
    let paths = sim.requests();
    assert!(!paths.iter().any(|one| one.path == "/v4/forms" || one.path == people(Api::V4)), "{paths:?}");
}

/// C-01, D08, K-01. The second one takes over as soon as the first is killed, and makes up for what was cut short; `sync`
/// beside them is told who is at work.
#[tokio::test(flavor = "multi_thread")]
async fn a_second_service_stands_by_and_takes_over_when_the_first_is_killed() {
    for api in Api::VERSIONS {
        let (sim, serving) = kit(few()).await;
        let mirror = Mirror::new().await;
        let binary = service(&mirror, &serving, api, EVERY_SECOND);
        let first = binary.start(&["run"]);
        is_loaded(&mirror).await;
        let pid = format!("process {} on ", first.id());
        let mut second = binary.start(&["run"]);
        let mut third = binary.start(&["run"]);
        for standby in [&mut second, &mut third] {
            standby.has_said("Standing by: another kitmirror").await;
            assert!(standby.said().contains(&pid), "{}", standby.said());
        }
        let ran = binary.run(&["sync"]).await;
        ran.ended_with(75).says(&["another kitmirror", &pid]);
        third.stop("TERM").await.ended_with(0);

        assert!(first.kill().await, "it was at work");
        let killed = Instant::now();
        second.has_said("Mirroring the account").await;
        assert!(killed.elapsed() < Duration::from_secs(60), "{:?}", killed.elapsed());
        let new = somebody_new(&sim);
        arrives(&mirror, new).await;
        let ran = second.stop("INT").await;
        assert_eq!(ran.ended_with(0).stderr.matches("Standing by").count(), 1);
        Judge::compare(&mirror, &sim, api, Strictness::Equal).await.agrees();
    }
}

/// C-03, K-04, M29. Paused in the middle of a page and while it has nothing to do; overtaken, woken: it writes nothing
/// more, stands by, and takes over again when its turn comes.
#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_was_overtaken_while_it_slept_stands_by() {
    let cases = [true, false].map(|at_work| async move {
        let (sim, serving) = kit(few()).await;
        let mirror = Mirror::new().await;
        let binary = service(&mirror, &serving, Api::V4, NEXT_YEAR);
        if at_work {
            sim.faults().add(Fault::new(Action::Delay(Duration::from_secs(4))).on("/v4/subscribers").nth(1));
        }
        let mut first = binary.start(&["run"]);
        if at_work {
            asked(&sim, "/v4/subscribers").await;
        } else {
            is_loaded(&mirror).await;
        }
        // Not in the middle of a commit, which would lock a file until it wakes up.
        at_rest(&sim).await;
        first.signal("STOP");
        let long_ago = ENGINE.time("2001-01-01T00:00:00Z".parse().expect("a time"));
        mirror.execute(&format!("update sync_lease set expires_at = {long_ago}")).await;
        let mut second = binary.start(&["run"]);
        second.has_said("Mirroring the account").await;
        is_loaded(&mirror).await;
        let after = mirror.contents().await;
        first.signal("CONT");
        first.has_said("Standing by").await;
        assert_eq!(mirror.contents().await, after);
        second.stop("TERM").await.ended_with(0);
        let again = Instant::now();
        waited_for(Duration::from_secs(10), "it does not take over", async || {
            first.said().matches("Mirroring the account").count() == 2
        })
        .await;
        assert!(again.elapsed() < Duration::from_secs(10));
        first.stop("TERM").await.ended_with(0);
        Judge::compare(&mirror, &sim, Api::V4, Strictness::Equal).await.agrees();
    });
    join_all(cases).await;
}

/// C-02. With `--wait`, a run waits for the service beside it to stop; and can be stopped itself.
#[tokio::test(flavor = "multi_thread")]
async fn sync_waits_for_the_lease_when_asked_to() {
    let (sim, serving) = kit(few()).await;
    let mirror = Mirror::new().await;
    let binary = service(&mirror, &serving, Api::V4, NEXT_YEAR);
    let running = binary.start(&["run"]);
    is_loaded(&mirror).await;
    let mut waiting = binary.start(&["sync", "--wait"]);
    let mut other = binary.start(&["sync", "--wait"]);
    waiting.has_said("Waiting: another kitmirror").await;
    other.has_said("Waiting: another kitmirror").await;
    other.stop("TERM").await.ended_with(143);
    let new = somebody_new(&sim);
    running.stop("TERM").await.ended_with(0);
    let ran = waiting.end().await;
    assert_eq!(ran.ended_with(0).stderr.matches("Waiting").count(), 1);
    assert!(is_there(&mirror, new).await);
}

/// A database that is not there yet, and how it comes to be.
struct Absent {
    mirror: Mirror,
    proxy: Option<crate::support::proxy::Proxy>,
    folder: PathBuf,
}

impl Absent {
    async fn new() -> Self {
        let mut mirror = Mirror::new().await;
        let folder = mirror.folder().join("volume");
        let proxy = match *ENGINE {
            Engine::Sqlite => None,
            _ => {
                let proxy = mirror.behind_a_proxy();
                proxy.close();
                Some(proxy)
            }
        };
        Absent { mirror, proxy, folder }
    }

    fn service(&self, serving: &Serving) -> Binary {
        let binary = service(&self.mirror, serving, Api::V4, EVERY_SECOND);
        match *ENGINE {
            Engine::Sqlite => {
                binary.set("KITMIRROR_DATABASE_URL", format!("sqlite://{}/mirror.db", self.folder.display()))
            }
            _ => binary,
        }
    }

    fn appears(&self) {
        match &self.proxy {
            Some(proxy) => proxy.open(),
            None => std::fs::create_dir(&self.folder).expect("the folder is made"),
        }
    }
}

/// D-01. It says once that it waits, and is at work soon after the database is there.
#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_starts_before_its_database_waits_for_it() {
    let (_sim, serving) = kit(few()).await;
    let absent = Absent::new().await;
    let mut running = absent.service(&serving).start(&["run"]);
    let waits = "waiting until the database answers";
    running.has_said(waits).await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    absent.appears();
    running.has_said("tag_subscriptions: full complete").await;
    let ran = running.stop("TERM").await;
    assert_eq!(ran.ended_with(0).stderr.matches(waits).count(), 1, "{}", ran.stderr);
    ran.says(&["All is well again"]);
}

/// K-03. Whatever it is doing when the signal comes: 0, within five seconds.
#[tokio::test(flavor = "multi_thread")]
async fn a_stop_is_obeyed_in_every_phase() {
    let in_time = |running: Running, signal: &'static str| async move {
        running.stop(signal).await.ended_with(0).says(&["Stopped"]);
    };
    let waiting_for_its_database = async {
        let (_sim, serving) = kit(few()).await;
        let absent = Absent::new().await;
        let mut running = absent.service(&serving).start(&["run"]);
        running.has_said("database").await;
        in_time(running, "TERM").await;
    };
    // A page under way, a wait for another try, an answer that does not come, a credential that is refused.
    let faults = [
        (Fault::new(Action::StallBeforeHeaders).on("/v4/subscribers"), "/v4/subscribers"),
        (Fault::new(Action::Status(503, Blank::Empty)).on("/v4/subscribers"), "/v4/subscribers"),
        (Fault::new(Action::StallBeforeHeaders).on("/v4/account"), "/v4/account"),
        (Fault::new(Action::Status(503, Blank::Empty)).on("/v4/account"), "/v4/account"),
        (Fault::new(Action::Redirect(302, "http://elsewhere.example/".to_owned())), "/v4/account"),
        (Fault::status(401), "/v4/account"),
    ];
    let others = faults.into_iter().zip(["TERM", "INT"].into_iter().cycle()).map(
        |((fault, path), signal)| async move {
            let (sim, serving) = kit(few()).await;
            let mirror = Mirror::new().await;
            sim.faults().add(fault);
            let running = service(&mirror, &serving, Api::V4, EVERY_SECOND).start(&["run"]);
            asked(&sim, path).await;
            tokio::time::sleep(Duration::from_millis(300)).await;
            in_time(running, signal).await;
        },
    );
    tokio::join!(waiting_for_its_database, join_all(others));
}

/// K-03. Somebody keeps the database from taking even the end of the work: without a second signal it ends in time all
/// the same, with one at once.
#[tokio::test(flavor = "multi_thread")]
async fn a_stop_does_not_wait_for_a_database_that_does_not_answer() {
    let cases = [false, true].map(|again| async move {
        let (_sim, serving) = kit(few()).await;
        let mirror = Mirror::new().await;
        let mut running = service(&mirror, &serving, Api::V4, NEXT_YEAR).start(&["run"]);
        is_loaded(&mirror).await;
        let other = mirror.database().await;
        other.execute(ENGINE.lock_out_writers()).await;
        if again {
            running.signal("TERM");
            running.has_said("Stopping after the page in hand").await;
            tokio::time::sleep(Duration::from_millis(200)).await;
            let asked_again = Instant::now();
            running.signal("TERM");
            running.end().await.ended_with(143);
            assert!(asked_again.elapsed() < Duration::from_secs(1), "{:?}", asked_again.elapsed());
        } else {
            running.stop("TERM").await.ended_with(0).says(&["ending now"]);
        }
        other.close().await;
    });
    join_all(cases).await;
}

/// A key in a file, and the variable that names it.
fn with_key_in_a_file(mirror: &Mirror, serving: &Serving, key: &str) -> (Binary, PathBuf) {
    let file = mirror.folder().join("key");
    std::fs::write(&file, key).expect("the key is written");
    let binary = service(mirror, serving, Api::V4, EVERY_SECOND).set("KITMIRROR_KIT_API_KEY", "");
    (binary.set("KITMIRROR_KIT_API_KEY_FILE", file.display().to_string()), file)
}

fn credentials(v4_key: &str) -> Credentials {
    Credentials { v4_key: v4_key.to_owned(), ..Credentials::default() }
}

/// S-22. A revoked key pauses it, without a storm of requests; another one in the file lets it go on, and
/// so does SIGHUP when the key is good again. No key is ever told.
#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_key_pauses_and_a_new_one_resumes() {
    let cases = [true, false].map(|from_the_start| async move {
        let (sim, serving) = kit(few()).await;
        let mirror = Mirror::new().await;
        let (binary, file) = with_key_in_a_file(&mirror, &serving, "first-canary");
        sim.set_credentials(credentials(if from_the_start { "another" } else { "first-canary" }));
        let mut running = binary.start(&["run"]);
        if !from_the_start {
            is_loaded(&mirror).await;
            sim.set_credentials(credentials("another"));
        }
        running.has_said("Paused").await;
        tokio::time::sleep(Duration::from_millis(300)).await;
        let before = sim.request_count();
        tokio::time::sleep(Duration::from_secs(2)).await;
        assert_eq!(sim.request_count(), before, "it asks although it is paused");

        let new = somebody_new(&sim);
        sim.set_credentials(credentials("second-canary"));
        std::fs::write(&file, "second-canary").expect("the key is replaced");
        arrives(&mirror, new).await;

        sim.set_credentials(credentials("another"));
        waited_for(Duration::from_secs(10), "it is not paused again", async || {
            running.said().matches("Paused").count() == 2
        })
        .await;
        let newer = somebody_new(&sim);
        sim.set_credentials(credentials("second-canary"));
        running.signal("HUP");
        arrives(&mirror, newer).await;
        // The first load may have been what the key was revoked in.
        is_loaded(&mirror).await;
        let ran = running.stop("TERM").await;
        ran.ended_with(0).says(&["does not accept the credential", "There is another credential"]);
        assert!(!ran.output().contains("canary"), "{}", ran.stderr);
        Judge::compare(&mirror, &sim, Api::V4, Strictness::Equal).await.agrees();
    });
    join_all(cases).await;
}

/// A key that has become another account's writes nothing, whenever that is found out.
#[tokio::test(flavor = "multi_thread")]
async fn a_key_of_another_account_pauses_it_and_writes_nothing() {
    let (sim, serving) = kit(few()).await;
    let mirror = Mirror::new().await;
    let mut running = service(&mirror, &serving, Api::V4, NEXT_YEAR).start(&["run"]);
    is_loaded(&mirror).await;
    let before = mirror.contents().await;
    sim.change(|account| account.become_account(78, "Somebody Else"));
    running.signal("HUP");
    running.has_said("Paused").await;
    assert_eq!(mirror.contents().await, before);
    sim.change(|account| account.become_account(77, "Alder & Finch Letters"));
    running.signal("HUP");
    waited_for(Duration::from_secs(10), "it does not go on", async || {
        running.said().contains("All is well again")
    })
    .await;
    running.stop("TERM").await.ended_with(0).says(&["Somebody Else"]);
}

/// What no waiting helps against ends it at once, with the exit code of `sync`.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_from_the_beginning_ends_it() {
    let (_sim, serving) = kit(few()).await;
    let (_other, elsewhere) = kit(few().of_account(78, "Somebody Else")).await;
    let mirror = Mirror::new().await;
    mirror.sync(&serving, Api::V4).await;
    let binary = service(&mirror, &serving, Api::V4, EVERY_SECOND);
    let wrong =
        binary.clone().set("KITMIRROR_SCHEDULE", "61 * * * *").set("KITMIRROR_TIMEZONE", "Mars/Olympus");
    wrong.run(&["run"]).await.ended_with(2).says(&["2 problems", "`61` is no cron field", "Mars/Olympus"]);
    let ran = service(&mirror, &elsewhere, Api::V4, EVERY_SECOND).run(&["run"]).await;
    ran.ended_with(2).says(&["Somebody Else", "database_url"]);
    ran.tells_one_error();
    mirror.execute("drop view cancelled_subscribers").await;
    let ran = binary.run(&["run"]).await;
    ran.ended_with(4).says(&["cancelled_subscribers: the view is missing"]);
    ran.tells_one_error();
}

/// A-08, S-22. SIGHUP reads the settings again; wrong ones are told and change nothing.
#[tokio::test(flavor = "multi_thread")]
async fn settings_are_read_again_when_asked() {
    let (sim, serving) = kit(few()).await;
    let mirror = Mirror::new().await;
    let file = mirror.folder().join("mine.toml");
    let write = |schedule: &str| {
        std::fs::write(&file, format!("schedule = '{schedule}'\n")).expect("the file is written");
    };
    write(NEXT_YEAR);
    let binary = service(&mirror, &serving, Api::V4, "").set("KITMIRROR_CONFIG", "");
    let mut running = binary.start(&["--config", "mine.toml", "run"]);
    is_loaded(&mirror).await;
    write("every now and then");
    running.signal("HUP");
    running.has_said("The settings stay as they were").await;
    let new = somebody_new(&sim);
    write(EVERY_SECOND);
    running.signal("HUP");
    arrives(&mirror, new).await;
    running.stop("TERM").await.ended_with(0).says(&["Read the settings again"]);
}

/// K-08. Twenty lives, some ended well and some by a kill: Kit never has to refuse one for its rate, each that lives
/// long enough gets further, and the last one finishes.
#[tokio::test(flavor = "multi_thread")]
async fn twenty_restarts_keep_the_rate_and_make_progress() {
    let (sim, serving) = kit(AccountPlan::new(6_000).tags(2).forms(2).sequences(2).broadcasts(3)).await;
    sim.set_usual_limit();
    let mut mirror = Mirror::new().await;
    mirror.settings = vec![("KITMIRROR_REQUESTS_PER_MINUTE".to_owned(), "600".to_owned())];
    let binary = service(&mirror, &serving, Api::Token, NEXT_YEAR);
    // The tables are there, however slow the machine is.
    binary.run(&["migrate"]).await.ended_with(0);
    // Slow enough for a life to end in the middle.
    sim.faults().add(Fault::new(Action::Delay(Duration::from_millis(40))));
    let mut further = 0;
    for life in 0..20 {
        let running = binary.start(&["run"]);
        asked_again(&sim, "/v4/account").await;
        tokio::time::sleep(Duration::from_millis(150 + life % 4 * 50)).await;
        if life % 2 == 0 {
            assert!(running.kill().await);
        } else {
            running.stop("TERM").await.ended_with(0);
        }
        let pages = mirror.number("select coalesce(sum(pages), 0) from sync_runs").await;
        further += u32::from(pages > 0);
    }
    sim.faults().clear();
    let running = binary.start(&["run"]);
    is_loaded(&mirror).await;
    running.stop("TERM").await.ended_with(0);
    assert!(further > 10, "{further}");
    let refused = sim.requests().iter().filter(|one| one.status == 429).count();
    assert_eq!(refused, 0);
    let full = mirror.number("select count(*) from sync_runs where object = 'subscribers' and mode = 'full' and outcome = 'complete'");
    // None where the life that read the last page was ended before it could say so.
    assert!(full.await <= 1, "it was loaded more than once");
    Judge::compare(&mirror, &sim, Api::V4, Strictness::Equal).await.agrees();
}

/// Waits until somebody asks for a path once more.
async fn asked_again(sim: &Simulator, path: &str) {
    let count = || sim.requests().iter().filter(|one| one.path == path).count();
    let before = count();
    waited_for(A_WINDOW_LONG, "nobody asks", async || count() > before).await;
}

/// A monitor on loopback that counts the calls it gets and answers with a status.
async fn monitor(status: u16) -> (String, Arc<std::sync::Mutex<Vec<String>>>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let url = format!("http://{}/ping/canary-0b55", listener.local_addr().expect("its address"));
    let calls: Arc<std::sync::Mutex<Vec<String>>> = Arc::default();
    let heard = Arc::clone(&calls);
    tokio::spawn(async move {
        while let Ok((mut caller, _)) = listener.accept().await {
            let mut request = [0; 1024];
            let count = caller.read(&mut request).await.unwrap_or(0);
            let line =
                String::from_utf8_lossy(&request[..count]).lines().next().unwrap_or_default().to_owned();
            heard.lock().expect("no panic").push(line);
            let answer = format!("HTTP/1.1 {status} So\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
            let _ = caller.write_all(answer.as_bytes()).await;
        }
    });
    (url, calls)
}

/// The heartbeat is heard after complete cycles only, and one that is not heard fails nothing and tells no address.
#[tokio::test(flavor = "multi_thread")]
async fn a_monitor_hears_of_complete_cycles_only() {
    let (sim, serving) = kit(few()).await;
    let mirror = Mirror::new().await;
    let (url, calls) = monitor(200).await;
    let count = || calls.lock().expect("no panic").len();
    let refused = sim.faults().add(Fault::status(403).on("/v4/broadcasts"));
    let binary = service(&mirror, &serving, Api::V4, EVERY_SECOND);
    let mut running = binary.clone().set("KITMIRROR_HEARTBEAT_URL", url).start(&["run"]);
    running.has_said("broadcasts: full unavailable").await;
    running.has_said("tag_subscriptions: incremental complete").await;
    assert_eq!(count(), 0, "broadcasts are not complete");
    sim.faults().remove(refused);
    waited_for(Duration::from_secs(10), "no heartbeat is heard", async || count() > 0).await;
    running.stop("TERM").await.ended_with(0);
    assert!(calls.lock().expect("no panic").iter().all(|call| call == "GET /ping/canary-0b55 HTTP/1.1"));

    let (url, _calls) = monitor(500).await;
    let mut running = binary.set("KITMIRROR_HEARTBEAT_URL", url).start(&["run"]);
    running.has_said("The heartbeat was not heard: it answered 500").await;
    let ran = running.stop("TERM").await;
    assert!(!ran.ended_with(0).output().contains("canary"), "{}", ran.stderr);
}

/// A service in this process, whose pulse can be felt.
struct Felt {
    pulse: Pulse,
    stop: Stop,
    ended: JoinHandle<Result<(), Error>>,
}

impl Felt {
    fn start(mut mirror: Mirror, serving: &Serving, schedule: &str) -> (Self, Mirror) {
        let schedules = [("KITMIRROR_SCHEDULE", schedule), ("KITMIRROR_RECONCILE_SCHEDULE", "never")];
        mirror.settings.extend(schedules.map(|(name, value)| (name.to_owned(), value.to_owned())));
        let settings = mirror.load(serving, Api::V4);
        let (pulse, stop) = (Pulse::default(), Stop::default());
        let again = settings.clone();
        let service = Service {
            settings,
            read_settings: Box::new(move || Ok(again.clone())),
            reload: Arc::new(Notify::new()),
            pulse: pulse.clone(),
            observer: Arc::new(Silent),
            stop: stop.clone(),
        };
        (Felt { pulse, stop, ended: tokio::spawn(service.run()) }, mirror)
    }

    async fn is(&self, what: &str, fits: fn(&Phase) -> bool) {
        waited_for(Duration::from_secs(30), what, async || fits(&self.pulse.now().phase)).await;
    }

    async fn stop(self) -> Result<(), Error> {
        self.stop.request();
        self.ended.await.expect("no panic")
    }
}

/// T-05. A list that takes long keeps neither its ticks waiting nor the other lists: those that find it busy are
/// counted, and the others are read as often as before.
#[tokio::test(flavor = "multi_thread")]
async fn ticks_that_find_an_object_busy_are_counted_and_the_others_go_on() {
    let (sim, serving) = kit(few()).await;
    let mirror = Mirror::new().await;
    mirror.sync(&serving, Api::V4).await;
    sim.clear_requests();
    let slow = sim.faults().add(Fault::new(Action::StallBeforeHeaders).on("/v4/subscribers").from_nth(1));
    let (service, mirror) = Felt::start(mirror, &serving, EVERY_SECOND);
    waited_for(Duration::from_secs(30), "no tick is counted", async || {
        service.pulse.now().schedules.get("subscribers").is_some_and(|one| one.skipped >= 3)
    })
    .await;
    let schedules = service.pulse.now().schedules;
    assert!(schedules["subscribers"].running);
    assert!(schedules["forms"].skipped < 3 && schedules["forms"].next.is_some());
    assert_eq!(schedules["forms"].interval_seconds, Some(1));
    let forms = sim.requests().iter().filter(|one| one.path == "/v4/forms").count();
    assert!(forms >= 3, "{forms}");
    assert_eq!(mirror.number("select count(*) from sync_runs where object = 'subscribers'").await, 2);
    sim.faults().remove(slow);
    service.stop().await.expect("it stops");
}

/// What the status server tells: waiting, working, standing by, paused, stopping.
#[tokio::test(flavor = "multi_thread")]
async fn the_pulse_tells_each_phase() {
    let (sim, serving) = kit(few()).await;
    let away = sim.faults().add(Fault::new(Action::Redirect(302, "http://elsewhere.example/".to_owned())));
    let (first, mirror) = Felt::start(Mirror::new().await, &serving, EVERY_SECOND);
    first.is("waiting for Kit", |phase| matches!(phase, Phase::WaitingForKit { .. })).await;
    sim.faults().remove(away);
    first.is("working", |phase| *phase == Phase::Working).await;
    is_loaded(&mirror).await;

    // The process holds the lease already, so whoever stands by must be another one.
    let binary = service(&mirror, &serving, Api::V4, EVERY_SECOND);
    let mut other = binary.start(&["run"]);
    other.has_said("Standing by").await;
    first.stop().await.expect("it stops");
    other.has_said("Mirroring the account").await;
    let (second, mirror) = Felt::start(mirror, &serving, EVERY_SECOND);
    let is_standby = |phase: &Phase| matches!(phase, Phase::Standby { holder } if holder.contains("process"));
    second.is("standing by", is_standby).await;
    assert!(second.pulse.now().schedules.values().all(|one| one.next.is_none() && !one.running));
    other.stop("TERM").await.ended_with(0);
    second.is("working", |phase| *phase == Phase::Working).await;
    sim.faults().add(Fault::status(401));
    let is_paused =
        |phase: &Phase| matches!(phase, Phase::Paused { advice, .. } if advice.contains("credential"));
    second.is("paused", is_paused).await;
    let pulse = second.pulse.clone();
    second.stop().await.expect("it stops");
    assert_eq!(pulse.now().phase, Phase::Stopping);
    drop(mirror);
}

/// Tables that are not what they should be end it with the error that says so, also in the middle of its work.
#[tokio::test(flavor = "multi_thread")]
async fn tables_that_change_under_its_hands_end_it() {
    let (_sim, serving) = kit(few()).await;
    let (service, mirror) = Felt::start(Mirror::new().await, &serving, EVERY_SECOND);
    is_loaded(&mirror).await;
    mirror.execute("drop view subscriber_tags; drop view sync_status; drop table sync_quarantine").await;
    let ended = service.ended.await.expect("no panic");
    assert_eq!(ended.map_err(|error| error.kind()), Err(Kind::SchemaMismatch));
}
