//! The command line as people and schedulers meet it: exit codes, one clear message with advice, nothing
//! changed by a mistake, and no secret or personal data in any byte of output.

use crate::support::binary::{Ran, listing};
use crate::support::judge::{Judge, Strictness};
use crate::support::scene::{few, people};
use crate::support::{Api, Binary, Mirror, asked, kit};
use base64::Engine as _;
use futures_util::future::join_all;
use kitmirror::simulator::{
    ACCESS_TOKEN, AccountPlan, Action, Blank, Credentials, Fault, Junk, RetryHint, Serving, Simulator,
    V3_SECRET, V4_KEY,
};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Duration;

/// A run that is refused: that code, one error that holds these words, and a folder left as it was.
async fn is_refused(binary: &Binary, folder: &Path, code: i32, words: &[&str]) -> Ran {
    let before = listing(folder);
    let ran = binary.run(&["sync"]).await;
    ran.ended_with(code).says(words);
    ran.tells_one_error();
    assert_eq!(listing(folder), before);
    ran
}

/// A-01, R-04. Every mistake at once, each with its key and what is allowed; nothing is sent or made.
#[tokio::test(flavor = "multi_thread")]
async fn settings_that_are_wrong_are_all_told_at_once() {
    let (sim, serving) = kit(few()).await;
    let mirror = Mirror::new().await;
    let folder = mirror.folder();
    let file = folder.join("mine.toml");
    std::fs::write(
        &file,
        "overlap = \"2 min\"\nobjects = [\"tags\", \"nonsense\"]\nrequests_per_minit = 60\n",
    )
    .expect("the file is written");
    let before = listing(folder);
    let binary = Binary::of(&mirror, &serving, Api::V4);
    let ran = binary.run(&["--config", "mine.toml", "sync"]).await;
    ran.ended_with(2).says(&[
        "3 problems",
        "overlap",
        "nonsense",
        "requests_per_minit",
        "requests_per_minute",
        "allowed:",
    ]);

    let bare = Binary::bare(folder);
    let both = bare.clone().set("KIT_API_KEY", "aaa-key").set("KIT_API_SECRET", "bbb-secret");
    let ran = both.run(&["sync"]).await;
    ran.ended_with(2).says(&["kit_api_key", "kit_api_secret"]);
    assert!(!ran.output().contains("aaa-key") && !ran.output().contains("bbb-secret"));

    bare.run(&["sync"]).await.ended_with(2).says(&["no credential", "kit_api_key"]);
    binary
        .run(&["sync", "--object", "nonsense"])
        .await
        .ended_with(2)
        .says(&["there is no such object", "tags"]);
    binary.run(&["--set", "nonsense=1", "sync"]).await.ended_with(2).says(&["nonsense"]);
    binary.run(&["sync", "--api-key", "x"]).await.ended_with(2).says(&["unexpected argument"]);
    let ran = binary.run(&["--set", "kit_api_key=canary-5ecret", "sync"]).await;
    ran.ended_with(2).says(&["never come from the command line"]);
    assert!(!ran.output().contains("canary-5ecret"));
    let ran =
        bare.clone().set("KIT_API_KEY", "k").set("DATABASE_URL", "postgres://me:canary-5ecret@db.invalid/x");
    let ran = ran.run(&["sync"]).await;
    ran.ended_with(3).says(&["db.invalid"]);
    assert!(!ran.output().contains("canary-5ecret"), "{}", ran.stderr);

    assert_eq!(sim.request_count(), 0);
    assert_eq!(listing(folder), before);
}

/// S-05. Plain http is for this machine only.
#[tokio::test(flavor = "multi_thread")]
async fn plain_http_to_another_machine_is_refused() {
    let mirror = Mirror::new().await;
    let binary = Binary::bare(mirror.folder())
        .set("KIT_API_KEY", "a-key")
        .set("KITMIRROR_KIT_API_URL", "http://api.kit.com/v4");
    binary.run(&["sync"]).await.ended_with(2).says(&["kit_api_url"]);
}

/// A-01, A-02. A wrong credential, and one of the other API, are told at the first request.
#[tokio::test(flavor = "multi_thread")]
async fn a_credential_that_is_not_accepted_ends_it_at_once() {
    let (sim, serving) = kit(few()).await;
    let cases = [
        (Api::V3, "KITMIRROR_KIT_API_SECRET", "no-such-secret"),
        (Api::V3, "KITMIRROR_KIT_API_SECRET", V4_KEY),
        (Api::V4, "KITMIRROR_KIT_API_KEY", "no-such-key"),
        (Api::V4, "KITMIRROR_KIT_API_KEY", V3_SECRET),
        (Api::Token, "KITMIRROR_KIT_ACCESS_TOKEN", V4_KEY),
    ];
    let before = sim.request_count();
    for (api, name, credential) in cases {
        let mirror = Mirror::new().await;
        let binary = Binary::of(&mirror, &serving, api).set(name, credential);
        let words = ["does not accept the credential", "not interchangeable", "kitmirror check"];
        let ran = is_refused(&binary, mirror.folder(), 2, &words).await;
        assert!(!ran.output().contains(credential));
        assert!(ran.took < Duration::from_secs(5));
    }
    assert_eq!(sim.request_count() - before, cases.len() as u64, "asked once each");

    // Nor is a mirror that is there touched by it.
    let mirror = Mirror::new().await;
    mirror.sync(&serving, Api::V4).await;
    let before = mirror.contents().await;
    let binary = Binary::of(&mirror, &serving, Api::V4).set("KITMIRROR_KIT_API_KEY", "no-such-key");
    binary.run(&["sync", "--full"]).await.ended_with(2);
    assert_eq!(mirror.contents().await, before);
}

/// H-05. A port nobody listens on, a name nobody knows: told after a few tries, within ten seconds.
#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_cannot_be_reached_is_told_soon() {
    let closed =
        std::net::TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr()).expect("a port");
    let urls = [format!("http://{closed}/v4"), "https://no-such-host.invalid/v4".to_owned()];
    join_all(urls.map(|url| async move {
        let mirror = Mirror::new().await;
        let binary = Binary::bare(mirror.folder())
            .set("KIT_API_KEY", "a-key")
            .set("KITMIRROR_KIT_API_URL", url.as_str());
        let ran = binary.set("DATABASE_URL", mirror.url());
        let ran = is_refused(&ran, mirror.folder(), 5, &["could not connect", "nothing was lost"]).await;
        assert!(ran.took < Duration::from_secs(10), "{url}: {:?}", ran.took);
    }))
    .await;
}

/// A-02. A URL at which there is something, but no Kit.
#[tokio::test(flavor = "multi_thread")]
async fn a_url_without_a_kit_api_is_told() {
    let (_sim, serving) = kit(few()).await;
    let mirror = Mirror::new().await;
    let url = format!("http://{}/v4/v4", serving.addr());
    let binary = Binary::of(&mirror, &serving, Api::V4).set("KITMIRROR_KIT_API_URL", url);
    is_refused(&binary, mirror.folder(), 2, &["/v3 or /v4"]).await;
}

/// D-07. A folder that is not there, and a file that is something else, which stays as it is.
#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_cannot_be_opened_is_told_and_left_alone() {
    let (_sim, serving) = kit(few()).await;
    let mirror = Mirror::new().await;
    let url = format!("sqlite://{}/nowhere/mirror.db", mirror.folder().display());
    let binary = Binary::of(&mirror, &serving, Api::V4);
    is_refused(
        &binary.clone().set("KITMIRROR_DATABASE_URL", url),
        mirror.folder(),
        3,
        &["there is no folder"],
    )
    .await;

    let letter = "Dear reader, this is a letter and no database. ".repeat(100);
    std::fs::write(mirror.file(), &letter).expect("the file is written");
    is_refused(&binary, mirror.folder(), 3, &["could not", "database"]).await;
    binary.run(&["status"]).await.ended_with(3);
    binary.run(&["migrate"]).await.ended_with(3);
    assert_eq!(std::fs::read_to_string(mirror.file()).expect("it can be read"), letter);
}

/// H-13. What a container's health check sees: a pass under way is no reason for an alarm, one that never ends is.
#[tokio::test(flavor = "multi_thread")]
async fn a_mirror_that_is_being_read_again_is_still_fresh() {
    let (_sim, serving) = kit(few()).await;
    let mirror = Mirror::new().await;
    mirror.sync(&serving, Api::V4).await;
    let binary = Binary::at(&mirror);
    binary.run(&["status"]).await.ended_with(0);

    let reading = "checkpoint = '{}'";
    let long_ago = "completed_at = '2020-01-01T00:00:00.000000Z'";
    for (change, code) in [(reading, 0), (long_ago, 5), ("completed_at = null", 5)] {
        mirror.execute(&format!("update sync_state set {change} where object = 'tags'")).await;
        let ran = binary.run(&["status"]).await;
        assert!(ran.stdout.contains("syncing"), "{change}: {}", ran.stdout);
        ran.ended_with(code);
    }
}

/// S-01. The settings are shown, the secrets among them are not.
#[tokio::test(flavor = "multi_thread")]
async fn config_shows_everything_but_secrets() {
    let mirror = Mirror::new().await;
    let secret = mirror.folder().join("secret");
    std::fs::write(&secret, "canary-5ecret\n").expect("the file is written");
    std::fs::set_permissions(&secret, std::fs::Permissions::from_mode(0o600)).expect("its mode is set");
    let binary = Binary::bare(mirror.folder())
        .set("KITMIRROR_KIT_API_KEY_FILE", secret.display().to_string())
        .set("DATABASE_URL", "mysql://me:canary-5ecret@db.example/mail");
    for arguments in [&["config"][..], &["config", "--json"]] {
        let ran = binary.run(arguments).await;
        ran.ended_with(0);
        assert!(!ran.output().contains("canary-5ecret"), "{}", ran.output());
        assert!(ran.stdout.contains("***") && ran.stdout.contains("db.example"), "{}", ran.stdout);
        assert!(ran.stdout.contains("KITMIRROR_KIT_API_KEY_FILE"), "{}", ran.stdout);
    }
}

/// S-01. What every user of the machine can read of a process is its command line, and no secret is in it: none of Kit's,
/// from the environment or from a file, nor the database's password.
#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread")]
async fn no_secret_is_in_the_command_line_of_a_process() {
    let (sim, serving) = guarded().await;
    sim.faults().add(Fault::new(Action::Delay(Duration::from_millis(200))));
    for api in ALL {
        let mirror = Mirror::new().await;
        let file = mirror.folder().join("secret");
        std::fs::write(&file, own_canary(api)).expect("the file is written");
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).expect("its mode is set");
        let by_variable = with_canary(&mirror, &serving, api);
        let name = format!("{}_FILE", variable_of(api));
        let by_file = Binary::of(&mirror, &serving, api)
            .without(variable_of(api))
            .set(&name, file.display().to_string());
        for (binary, command) in [(by_variable, "sync"), (by_file, "run")] {
            let before = sim.request_count();
            let running = binary.start(&[command, "--set", "requests_per_minute=600"]);
            while sim.request_count() == before {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            let line = std::fs::read(format!("/proc/{}/cmdline", running.id())).expect("it runs");
            let line = String::from_utf8_lossy(&line).into_owned();
            assert!(line.contains("kitmirror") && line.contains(command), "{line}");
            for secret in all_spellings() {
                assert!(!line.contains(&secret), "{api:?} {command}");
            }
            running.stop("TERM").await;
        }
    }
    // Nor is there a way to put one there.
    let mirror = Mirror::new().await;
    let bare = Binary::bare(mirror.folder());
    let url = "database_url=postgres://me:canary-5ecret@localhost/x";
    for arguments in [&["--set", url, "check"][..], &["--set", "kit_api_secret=canary-5ecret", "check"]] {
        let ran = bare.run(arguments).await;
        ran.ended_with(2);
        assert!(ran.output().contains("never come from the command line"), "{}", ran.output());
        assert!(!ran.output().contains("canary-5ecret"), "{}", ran.output());
    }
}

/// S-01. A secret's file that every user of the machine may read is told, by each command that reads it.
#[tokio::test(flavor = "multi_thread")]
async fn a_secret_that_every_user_may_read_is_told() {
    let (_sim, serving) = kit(few()).await;
    let mirror = Mirror::new().await;
    let file = mirror.folder().join("secret");
    std::fs::write(&file, V4_KEY).expect("the file is written");
    let binary = Binary::of(&mirror, &serving, Api::V4)
        .without(variable_of(Api::V4))
        .set("KITMIRROR_KIT_API_KEY_FILE", file.display().to_string());
    for (mode, told) in [(0o644, true), (0o604, true), (0o640, false), (0o600, false)] {
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(mode)).expect("its mode is set");
        for command in ["sync", "check"] {
            let ran = binary.run(&[command]).await;
            ran.ended_with(0);
            let says = ran.output().contains("every user of this machine may read");
            assert_eq!(says, told, "{command} with {mode:o}: {}", ran.output());
            assert!(!ran.output().contains(V4_KEY));
        }
    }
}

/// What `simulate` is told to change, changes: the demo of the compose file lives by it.
#[tokio::test(flavor = "multi_thread")]
async fn a_simulated_account_changes_while_it_is_read() {
    let mirror = Mirror::new().await;
    let free = std::net::TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr());
    let address = free.expect("a free port").to_string();
    let words =
        ["simulate", "--listen", &address, "--subscribers", "300", "--limit", "off", "--change-every", "1"];
    let serving = Binary::bare(mirror.folder()).start(&words);
    while tokio::net::TcpStream::connect(&address).await.is_err() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let binary = Binary::at(&mirror)
        .set("KIT_API_KEY", V4_KEY)
        .set("KITMIRROR_KIT_API_URL", format!("http://{address}/v4"));
    binary.run(&["sync"]).await;
    let before = mirror.contents().await;
    // Whatever changed in such a small account may be held for somebody to look at.
    binary.run(&["sync", "--reconcile"]).await;
    assert!(mirror.contents().await != before, "nothing has changed");
    serving.kill().await;
}

/// Every command explains itself.
#[tokio::test(flavor = "multi_thread")]
async fn help_of_every_command() {
    let mirror = Mirror::new().await;
    let binary = Binary::bare(mirror.folder());
    let top = binary.run(&["--help"]).await;
    top.ended_with(0);
    insta::assert_snapshot!("help", top.stdout);
    let commands = top.stdout.lines().skip_while(|line| *line != "Commands:").skip(1);
    let commands: Vec<String> = commands
        .take_while(|line| !line.is_empty())
        // A line that begins further in goes on with what the one before says.
        .filter(|line| !line.starts_with("   "))
        .filter_map(|line| line.split_whitespace().next().map(str::to_owned))
        .filter(|name| name != "help")
        .collect();
    assert!(commands.len() >= 6, "{commands:?}");
    for name in commands {
        let ran = binary.run(&[&name, "--help"]).await;
        insta::assert_snapshot!(format!("help_{name}"), ran.ended_with(0).stdout);
    }
    let version = binary.run(&["--version"]).await;
    assert_eq!(version.stdout, concat!("kitmirror ", env!("CARGO_PKG_VERSION"), "\n"));
}

/// Scripts for every shell, for the command that is there.
#[tokio::test(flavor = "multi_thread")]
async fn completions_for_every_shell() {
    let mirror = Mirror::new().await;
    let binary = Binary::bare(mirror.folder());
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let ran = binary.run(&["completions", shell]).await;
        ran.ended_with(0);
        assert!(ran.stdout.contains("kitmirror") && ran.stdout.contains("status"), "{shell}");
    }
    binary.run(&["completions", "tcsh"]).await.ended_with(2);
}

/// Secrets with everything in them that is written differently in a URL.
fn canaries() -> Credentials {
    Credentials {
        v3_secret: "v3-c4nary/5ecret+Ab=&?x%41".to_owned(),
        v3_key: "v3-public-c4nary".to_owned(),
        v4_key: "kit_c4nary/5ecret+Cd=&?x%41".to_owned(),
        access_token: "token-c4nary/5ecret+Ef=&?x%41".to_owned(),
    }
}

/// A secret in all the ways in which it may turn up.
fn spellings(secret: &str) -> Vec<String> {
    let percent = |upper: bool| -> String {
        let encoded = secret.bytes().map(|byte| match byte {
            b'-' | b'_' | b'.' | b'~' => char::from(byte).to_string(),
            byte if byte.is_ascii_alphanumeric() => char::from(byte).to_string(),
            byte if upper => format!("%{byte:02X}"),
            byte => format!("%{byte:02x}"),
        });
        encoded.collect()
    };
    let base64 = |prefix: &str| {
        let text = base64::engine::general_purpose::STANDARD_NO_PAD.encode(format!("{prefix}{secret}"));
        text[..text.len() - 2].to_owned()
    };
    vec![secret.to_owned(), percent(true), percent(false), base64(""), base64("Bearer "), base64(":")]
}

fn all_spellings() -> Vec<String> {
    let Credentials { v3_secret, v3_key, v4_key, access_token } = canaries();
    [v3_secret, v3_key, v4_key, access_token].iter().flat_map(|secret| spellings(secret)).collect()
}

/// An account guarded by canaries, whose people's addresses are canaries as well.
async fn guarded() -> (Simulator, Serving) {
    let (sim, serving) = kit(few().nasty().guarded_by(canaries())).await;
    sim.set_modes(|modes| modes.page_cap = Some(50));
    (sim, serving)
}

fn own_canary(api: Api) -> String {
    let Credentials { v3_secret, v4_key, access_token, .. } = canaries();
    match api {
        Api::V3 => v3_secret,
        Api::V4 => v4_key,
        Api::Token => access_token,
    }
}

fn variable_of(api: Api) -> &'static str {
    match api {
        Api::V3 => "KITMIRROR_KIT_API_SECRET",
        Api::V4 => "KITMIRROR_KIT_API_KEY",
        Api::Token => "KITMIRROR_KIT_ACCESS_TOKEN",
    }
}

fn with_canary(mirror: &Mirror, serving: &Serving, api: Api) -> Binary {
    Binary::of(mirror, serving, api).set(variable_of(api), own_canary(api)).set("RUST_LOG", "trace")
}

/// No spelling of any secret, and nobody's address, in any byte of output.
#[track_caller]
fn keeps_quiet(ran: &Ran, sim: &Simulator) {
    let output = ran.output();
    for secret in all_spellings() {
        assert!(!output.contains(&secret), "{secret} in\n{output}");
    }
    let addresses: Vec<String> =
        sim.read(|account| account.subscribers().map(|person| person.email_address).collect());
    for address in
        addresses.iter().map(String::as_str).chain(["owner77@example.org"]).filter(|one| one.len() > 3)
    {
        assert!(!output.contains(address), "{address} in\n{output}");
    }
}

/// Nor in any table.
async fn holds_no_secret(mirror: &Mirror) {
    let everything =
        mirror.contents().await.concat() + &mirror.texts("select owner from sync_lease").await.concat();
    for secret in all_spellings() {
        assert!(!everything.contains(&secret), "{secret} is in the database");
    }
}

const ALL: [Api; 3] = [Api::V3, Api::V4, Api::Token];

/// S-03, S-04, S-10, S-16, O7. When all goes well, at the highest level of logging, in both formats.
#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_goes_well_tells_no_secret() {
    join_all(ALL.map(|api| async move {
        let (sim, serving) = guarded().await;
        let mirror = Mirror::new().await;
        let binary = with_canary(&mirror, &serving, api);
        for format in ["text", "json"] {
            let binary = binary.clone().set("KITMIRROR_LOG_FORMAT", format);
            for command in
                [&["-vv", "sync"][..], &["-vv", "sync", "--full", "--json"], &["-vv", "status"], &["config"]]
            {
                let ran = binary.run(command).await;
                assert!(ran.code == 0 || ran.code == 5, "{}", ran.stderr);
                keeps_quiet(&ran, &sim);
            }
        }
        holds_no_secret(&mirror).await;
    }))
    .await;
}

/// S-03, H-12, O7. When everything goes wrong, and when Kit itself says the secret in answers and headers.
#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_goes_wrong_tells_no_secret() {
    tells_no_secret_in(&[0, 1, 2, 3, 4]).await;
}

/// S-03, H-12, O7. When Kit refuses with the secret in its own words, and when it never stops talking.
#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_that_quotes_the_secret_is_told_without_it() {
    tells_no_secret_in(&[5, 6, 7, 8, 9]).await;
}

async fn tells_no_secret_in(chosen: &[usize]) {
    join_all(ALL.map(|api| async move {
        let troubles = troubles(&own_canary(api));
        for actions in chosen.iter().map(|at| troubles[*at].clone()) {
            let (sim, serving) = guarded().await;
            for action in actions {
                sim.faults().add(Fault::new(action).on(people(api)).nth(2));
            }
            let mirror = Mirror::new().await;
            let ran = with_canary(&mirror, &serving, api).run(&["-vv", "sync"]).await;
            assert!(ran.code == 0 || ran.code == 5, "{}", ran.stderr);
            keeps_quiet(&ran, &sim);
            holds_no_secret(&mirror).await;
        }
    }))
    .await;
}

/// Several things that go wrong at once, with the secret in every place where Kit could put it.
fn troubles(secret: &str) -> Vec<Vec<Action>> {
    // The second one is where a long message is cut.
    let words = [format!("bad key {secret}"), format!("{} {secret}", "x".repeat(185))];
    let said = words.map(|words| {
        let body = serde_json::json!({ "errors": [words], "error": "no", "message": words });
        Action::Junk(Junk::Json(body.to_string()))
    });
    let [short, long] = said;
    vec![
        vec![Action::Header("x-echo".to_owned(), secret.to_owned()), Action::ResetInBody { bytes: 50 }],
        vec![Action::Status(503, Blank::Html), Action::Header("x-echo".to_owned(), secret.to_owned())],
        vec![Action::TooMany(RetryHint::Text(secret.to_owned()), Blank::Json), Action::HugeHeader(1 << 20)],
        vec![Action::Junk(Junk::Html), Action::ContentType(format!("text/{secret}"))],
        vec![Action::Redirect(302, format!("http://127.0.0.1:9/{secret}"))],
        vec![short.clone(), Action::AnswerWith(422)],
        vec![short.clone(), Action::AnswerWith(403)],
        vec![long, Action::AnswerWith(401)],
        vec![short],
        vec![Action::HugeBody(40 << 20)],
    ]
}

/// S-03, A-02, O7. When the credential is refused, by an answer that repeats it, and when nobody answers.
#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_cannot_begin_tells_no_secret() {
    join_all(ALL.map(|api| {
        let echo = format!(r#"{{"errors":["{} is wrong"]}}"#, own_canary(api));
        async move {
            let (sim, serving) = guarded().await;
            let mirror = Mirror::new().await;
            let binary = with_canary(&mirror, &serving, api);
            sim.faults().add(Fault::new(Action::Junk(Junk::Json(echo))).on("account").nth(1));
            sim.faults().add(Fault::new(Action::AnswerWith(401)).on("account").nth(1));
            let ran = binary.run(&["-vv", "sync"]).await;
            keeps_quiet(ran.ended_with(2), &sim);
            serving.stop().await;
            let ran = binary.run(&["-vv", "sync"]).await;
            keeps_quiet(ran.ended_with(5), &sim);
        }
    }))
    .await;
}

/// H-15, S-07. A proxy that the environment names sees no credential.
#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_in_the_environment_sees_no_credential() {
    join_all(ALL.map(|api| async move {
        let (_sim, serving) = guarded().await;
        let (proxy, listening) = kit(few()).await;
        let mirror = Mirror::new().await;
        let address = format!("http://{}", listening.addr());
        let binary = with_canary(&mirror, &serving, api).set("HTTP_PROXY", address.as_str());
        let binary = binary.set("http_proxy", address.as_str()).set("ALL_PROXY", address.as_str());
        let ran = binary.run(&["sync"]).await;
        assert!(ran.code == 0 || ran.code == 5, "{}", ran.stderr);
        assert_eq!(proxy.request_count(), 0, "{:?}", proxy.requests().first());
    }))
    .await;
}

/// S-19. What others may choose cannot drive a terminal or forge a line.
#[tokio::test(flavor = "multi_thread")]
async fn names_from_kit_cannot_drive_a_terminal() {
    let name = "Letters\u{1b}[2J\u{7}\r\nerror: all is lost";
    for api in Api::VERSIONS {
        let (_sim, serving) = kit(few().of_account(77, name)).await;
        let mirror = Mirror::new().await;
        let binary = Binary::of(&mirror, &serving, api);
        let (_other, elsewhere) = kit(few().of_account(78, &name.repeat(2))).await;
        let refused = Binary::of(&mirror, &elsewhere, api);
        for (binary, command) in
            [(&binary, &["-v", "sync"][..]), (&binary, &["status"]), (&refused, &["sync"])]
        {
            let output = binary.run(command).await.output();
            assert!(!output.contains(['\u{1b}', '\u{7}', '\r']), "{output:?}");
            assert!(!output.lines().any(|line| line.starts_with("error: all is lost")), "{output}");
        }
    }
}

/// S-15. The file and those beside it are for their owner only, whatever the umask.
#[tokio::test(flavor = "multi_thread")]
async fn a_mirror_is_readable_for_its_owner_only() {
    let (sim, serving) = kit(few()).await;
    sim.faults().add(Fault::new(Action::StallBeforeHeaders).on("/v4/subscribers"));
    let mirror = Mirror::new().await;
    let running = Binary::of(&mirror, &serving, Api::V4).start_after("umask 000", &["sync"]);
    asked(&sim, "/v4/subscribers").await;
    let mut names: Vec<String> = Vec::new();
    for entry in std::fs::read_dir(mirror.folder()).expect("the folder can be read").flatten() {
        let mode = entry.metadata().expect("its data").permissions().mode() & 0o777;
        assert_eq!(mode, 0o600, "{}", entry.path().display());
        names.push(entry.file_name().display().to_string());
    }
    names.sort();
    assert_eq!(names, ["mirror.db", "mirror.db-shm", "mirror.db-wal"]);
    running.kill().await;
}

/// D-04. No more room for the file: told as such, the database is whole, and the next run goes on.
#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_is_told_and_made_up_for() {
    join_all(Api::VERSIONS.map(|api| async move {
        let (sim, serving) = kit(AccountPlan::new(2_000)).await;
        let mirror = Mirror::new().await;
        let binary = Binary::of(&mirror, &serving, api);
        // The largest file allowed, in blocks of 512 bytes; the signal that would kill is ignored.
        let ran = binary.start_after("trap '' XFSZ; ulimit -f 600", &["sync"]).end().await;
        ran.ended_with(3).says(&["free space"]);
        assert_eq!(mirror.texts("pragma integrity_check").await, ["ok"]);
        binary.run(&["sync"]).await.ended_with(0);
        Judge::compare(&mirror, &sim, api, Strictness::Equal).await.agrees();
    }))
    .await;
}

/// A-02. A token works as a key does, with its own limit.
#[tokio::test(flavor = "multi_thread")]
async fn a_token_opens_v4() {
    let (sim, serving) = kit(few()).await;
    let mirror = Mirror::new().await;
    Binary::of(&mirror, &serving, Api::Token).run(&["sync"]).await.ended_with(0);
    let bearer = format!("Bearer {ACCESS_TOKEN}");
    assert!(sim.requests().iter().all(|one| one.header("authorization") == Some(&bearer)));
    Judge::compare(&mirror, &sim, Api::Token, Strictness::Equal).await.agrees();
}

/// What is printed and does not arrive is told, and in the exit code.
#[cfg(target_os = "linux")]
#[test]
fn a_result_that_nobody_takes_is_an_error_and_a_reader_that_leaves_is_none() {
    let run = |out: std::fs::File| {
        let program =
            std::process::Command::new(env!("CARGO_BIN_EXE_kitmirror")).arg("schema").stdout(out).output();
        program.expect("it runs")
    };
    let full = run(std::fs::OpenOptions::new().write(true).open("/dev/full").expect("a full device"));
    let said = String::from_utf8_lossy(&full.stderr).into_owned();
    assert_eq!(full.status.code(), Some(1), "{said}");
    assert!(said.contains("could not write the result") && said.contains("Make room"), "{said}");
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    let left = run(std::os::fd::OwnedFd::from(writer).into());
    assert_eq!((left.status.code(), left.stderr.len()), (Some(0), 0));
}
