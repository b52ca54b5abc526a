//! What is shipped beside the program: image, compose file, manifests, unit, alerts, dashboard. The commands, settings,
//! files and metrics that they name must exist. `tests/image` builds the image where there is a container engine.

use crate::support::project::{sources, text};
use crate::support::scene::few;
use crate::support::{Api, Binary, Mirror, kit};
use kitmirror::config::{Environment, Input, load};
use kitmirror::model::objects;
use serde_json::Value as Json;
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// Environment variables by name.
type Variables = BTreeMap<String, String>;

const COMPOSE: &str = "docker-compose.yml";
const ENV_EXAMPLE: &str = ".env.example";
const KUBERNETES: &str = "config/kubernetes.yaml";
const UNIT: &str = "config/kitmirror.service";
const ALERTS: &str = "config/prometheus-alerts.yaml";
const ALERTS_TRIED: &str = "tests/alerts.yaml";
const DASHBOARD: &str = "config/grafana-dashboard.json";
/// Where the program is in the image and for the unit.
const PROGRAM: &str = "/usr/local/bin/kitmirror";

#[test]
fn every_service_of_the_compose_file_has_settings_that_are_understood() {
    let example = assignments(&text(ENV_EXAMPLE), false);
    // The simulator has no settings.
    for (name, service) in mirrors().into_iter().filter(|(_, service)| service["environment"].is_object()) {
        let variables = environment_of(&service, &example);
        is_understood(&variables, None).unwrap_or_else(|problems| panic!("{name}: {problems}"));
        let secrets: BTreeSet<&str> = strings(&service["secrets"]).collect();
        let named = variables.values().filter_map(|value| value.strip_prefix("/run/secrets/"));
        assert_eq!(named.collect::<BTreeSet<_>>(), secrets, "{name}: secrets and variables that name them");
    }
}

#[test]
fn every_setting_can_be_made_in_the_env_file() {
    let passed: BTreeSet<String> = names(&compose()["x-settings"]).collect();
    let variable = |key: &str| format!("KITMIRROR_{}", key.to_uppercase());
    for key in keys().into_iter().filter(|key| *key != "database_url") {
        let spellings = [variable(key), variable(key) + "_FILE"];
        assert!(spellings.iter().any(|name| passed.contains(name)), "{key} does not reach a container");
    }
    let (_, postgres) =
        mirrors().into_iter().find(|(name, _)| name.ends_with("-postgres")).expect("a mirror");
    let shown = assignments(&text(ENV_EXAMPLE), true);
    for (name, value) in shown.iter().filter(|(name, _)| name.starts_with("KITMIRROR_")) {
        assert!(passed.contains(name), "{name} does not reach a container");
        let mut example = assignments(&text(ENV_EXAMPLE), false);
        if value.starts_with("/run/secrets/") {
            example.retain(|_, value| !value.starts_with("/run/secrets/"));
        }
        example.insert(name.clone(), value.clone());
        let variables = environment_of(&postgres, &example);
        is_understood(&variables, None).unwrap_or_else(|problems| panic!("{name}={value}: {problems}"));
    }
}

#[test]
fn the_env_file_and_the_compose_file_name_the_same_variables() {
    let compose = text(COMPOSE);
    let used: BTreeSet<&str> =
        compose.split("${").skip(1).filter_map(|rest| rest.split([':', '}', '-']).next()).collect();
    let shown = assignments(&text(ENV_EXAMPLE), true);
    for name in &used {
        assert!(shown.contains_key(*name), "{name} is not in {ENV_EXAMPLE}");
    }
    let of_compose_itself = ["COMPOSE_PROFILES", "COMPOSE_PROJECT_NAME"];
    for name in shown.keys().filter(|name| !name.starts_with("KITMIRROR_")) {
        assert!(used.contains(&**name) || of_compose_itself.contains(&&**name), "{name} does nothing");
    }
}

/// S-14.
#[test]
fn no_service_of_the_compose_file_may_do_more_than_it_needs() {
    let compose = compose();
    for (name, service) in compose["services"].as_object().expect("services") {
        assert_eq!(service["read_only"], true, "{name}");
        assert_eq!(service["cap_drop"], serde_json::json!(["ALL"]), "{name}");
        assert_eq!(service["security_opt"], serde_json::json!(["no-new-privileges:true"]), "{name}");
        assert_eq!(service["restart"], "unless-stopped", "{name}");
        assert!(service["profiles"].is_array(), "{name} would always run");
        for port in strings(&service["ports"]) {
            assert!(port.starts_with("127.0.0.1:"), "{name}: {port} is open to other machines");
        }
        for volume in strings(&service["volumes"]) {
            let volume = volume.split(':').next().unwrap_or_default();
            assert!(compose["volumes"].get(volume).is_some(), "{name}: {volume}");
        }
        for secret in strings(&service["secrets"]) {
            let file = compose["secrets"][secret]["file"].as_str().unwrap_or_default();
            assert_eq!(file, format!("./secrets/{secret}"), "{name}");
        }
        for (needed, how) in service["depends_on"].as_object().into_iter().flatten() {
            let health = &compose["services"][needed]["healthcheck"]["test"];
            assert!(how["condition"] != "service_healthy" || health.is_array(), "{needed} has no health");
        }
    }
}

/// S-14. No shell, no root, one place to write to, and a health check that is the program's own.
#[test]
fn the_image_runs_as_nobody_in_a_base_without_a_shell() {
    let dockerfile = text("Dockerfile");
    let instructions: Vec<&str> = dockerfile.lines().map(str::trim_start).collect();
    let last_stage = instructions.iter().rposition(|line| line.starts_with("FROM ")).expect("a stage");
    let (before, shipped) = instructions.split_at(last_stage);
    assert!(before.iter().any(|line| line.starts_with("FROM ")), "it is built in a stage of its own");
    assert!(
        shipped[0].starts_with("FROM gcr.io/distroless/") && shipped[0].ends_with(":nonroot"),
        "{shipped:?}"
    );
    assert!(shipped.contains(&"USER 65532:65532"), "{shipped:?}");
    // There is no shell to run anything with.
    assert!(!shipped.iter().any(|line| line.starts_with("RUN ")), "{shipped:?}");
    let written: Vec<&&str> = shipped.iter().filter(|line| line.contains("--chown")).collect();
    assert_eq!(written, [&"COPY --from=build --chown=65532:65532 /data /data"]);
    assert!(shipped.iter().any(|line| line.starts_with(&format!("CMD [\"{PROGRAM}\""))), "a health check");
}

/// S-23. A crash leaves nothing of its memory on the disk, where what starts the program can say so.
#[test]
fn no_service_may_dump_its_memory() {
    for (name, service) in mirrors() {
        assert_eq!(service["ulimits"]["core"], 0, "{name}");
    }
    assert!(text(UNIT).lines().any(|line| line == "LimitCORE=0"), "{UNIT}");
}

#[test]
fn the_image_is_built_from_what_the_builder_may_see() {
    let (dockerfile, ignored) = (text("Dockerfile"), text(".dockerignore"));
    let seen: BTreeSet<&str> = ignored.lines().filter_map(|line| line.strip_prefix('!')).collect();
    assert!(ignored.lines().any(|line| line == "*"), "all else stays out");
    let copies = dockerfile
        .lines()
        .filter_map(|line| line.strip_prefix("COPY "))
        .filter(|copy| !copy.starts_with("--"));
    for copy in copies {
        let mut words: Vec<&str> = copy.split_whitespace().collect();
        words.pop();
        for word in words {
            assert!(
                seen.iter().any(|glob| word.starts_with(glob.trim_end_matches('*'))),
                "{word} is not seen"
            );
        }
    }
}

/// What the crate is compiled from: its manifest, what the build script watches, where the templates are said to be, and
/// every file that a source takes in.
fn compiled_from() -> BTreeSet<String> {
    let mut needed: BTreeSet<String> =
        ["Cargo.toml", "Cargo.lock", "build.rs", "askama.toml", "src"].map(str::to_owned).into();
    let quoted = |text: &str| text.split('"').nth(1).unwrap_or_default().to_owned();
    let watched = text("build.rs");
    needed.extend(
        watched
            .split("rerun-if-changed=")
            .skip(1)
            .filter_map(|rest| rest.split('"').next().map(str::to_owned)),
    );
    let templates = text("askama.toml");
    needed.extend(templates.lines().filter(|line| line.starts_with("dirs")).map(quoted));
    for (name, source) in sources("src") {
        // What only tests are compiled from stays out.
        let shipped = source.split("\n#[cfg(test)]\nmod tests {").next().unwrap_or_default();
        if name.ends_with("/tests.rs") || name.contains("/tests/") {
            continue;
        }
        let folder = Path::new(&name).parent().expect("a folder");
        needed.extend(shipped.split("embed_migrations!(").skip(1).map(quoted));
        for macro_name in ["include_str!(", "include_bytes!(", "include_dir!(", "include!("] {
            for rest in shipped.split(macro_name).skip(1) {
                let inside = rest.split(')').next().unwrap_or_default();
                let file = match inside.contains("CARGO_MANIFEST_DIR") {
                    true => inside.rsplit('"').nth(1).unwrap_or_default().trim_start_matches('/').to_owned(),
                    false => plain(&folder.join(quoted(inside))),
                };
                needed.insert(file);
            }
        }
    }
    needed
}

/// A path without steps back.
fn plain(path: &Path) -> String {
    let mut steps: Vec<&str> = Vec::new();
    for step in path.to_str().expect("a name").split('/') {
        if step == ".." {
            steps.pop();
        } else {
            steps.push(step);
        }
    }
    steps.join("/")
}

#[test]
fn the_builder_of_the_image_has_all_that_the_crate_is_compiled_from() {
    let (dockerfile, ignored) = (text("Dockerfile"), text(".dockerignore"));
    let seen: Vec<&str> = ignored.lines().filter_map(|line| line.strip_prefix('!')).collect();
    // Up to the build that counts.
    let last_build = dockerfile.rfind("cargo build").expect("it is built");
    let copied: Vec<&str> = dockerfile[..last_build]
        .lines()
        .filter_map(|line| line.strip_prefix("COPY "))
        .flat_map(|copy| {
            let words: Vec<&str> = copy.split_whitespace().collect();
            words[..words.len() - 1].to_vec()
        })
        .collect();
    let needed = compiled_from();
    assert!(needed.contains("migrations") && needed.contains("src/service/http/page.css"), "{needed:?}");
    for file in &needed {
        assert!(crate::support::project::path(file).exists(), "{file} is not there");
        let is_within = |folder: &&str| file == folder || file.starts_with(&format!("{folder}/"));
        assert!(seen.iter().any(&is_within), "{file} is not let through by .dockerignore");
        assert!(copied.iter().any(is_within), "{file} is not copied before the build");
    }
}

/// S-14.
#[test]
fn the_deployment_has_settings_that_are_understood() {
    let manifests = yaml(KUBERNETES);
    let of_kind =
        |kind: &str| manifests.iter().find(|one| one["kind"] == kind).expect("a manifest of the kind");
    let pod = &of_kind("Deployment")["spec"]["template"]["spec"];
    let container = &pod["containers"][0];
    let variables: Variables =
        container["env"].as_array().expect("variables").iter().map(named_value).collect();
    let settings = of_kind("ConfigMap")["data"]["kitmirror.toml"].as_str().expect("settings");
    is_understood(&variables, Some(settings)).unwrap_or_else(|problems| panic!("{problems}"));

    let mounts: BTreeMap<&str, &str> = container["volumeMounts"]
        .as_array()
        .expect("mounts")
        .iter()
        .map(|mount| (mount["name"].as_str().expect("a name"), mount["mountPath"].as_str().expect("a path")))
        .collect();
    let file = strings(&container["args"]).last().expect("arguments");
    assert_eq!(file, format!("{}/kitmirror.toml", mounts["settings"]));
    for value in variables.values() {
        let secret = value.strip_prefix(mounts["secrets"]).and_then(|rest| rest.strip_prefix('/'));
        assert!(keys().contains(&secret.expect("a secret")), "{value}");
    }

    let port = container["ports"][0]["containerPort"].as_u64().expect("a port");
    assert!(settings.contains(&format!("listen = \"0.0.0.0:{port}\"")));
    assert_eq!(container["livenessProbe"]["httpGet"]["path"], "/livez");
    assert_eq!(container["readinessProbe"]["httpGet"]["path"], "/readyz");
    let image = container["image"].as_str().expect("an image");
    assert!(image.ends_with(concat!(":", env!("CARGO_PKG_VERSION"))), "{image}");
    assert_eq!(pod["securityContext"]["runAsNonRoot"], true);
    let container = &container["securityContext"];
    assert_eq!(container["readOnlyRootFilesystem"], true);
    assert_eq!(container["allowPrivilegeEscalation"], false);
    assert_eq!(container["capabilities"]["drop"], serde_json::json!(["ALL"]));
}

#[test]
fn the_unit_has_settings_that_are_understood() {
    let unit = text(UNIT);
    let lines = |name: &str| -> Vec<&str> {
        let lines = unit.lines().map(|line| line.strip_prefix('#').unwrap_or(line));
        lines.filter_map(|line| line.strip_prefix(name)).collect()
    };
    let mut credentials = BTreeSet::new();
    for credential in lines("LoadCredential=") {
        let (name, file) = credential.split_once(':').expect("a name and a file");
        assert!(keys().contains(&name) && file.ends_with(&format!("/{name}")), "{credential}");
        credentials.insert(name);
    }
    let variables: Variables = lines("Environment=").into_iter().filter_map(assignment).collect();
    let named: BTreeSet<&str> = variables.values().filter_map(|value| value.strip_prefix("%d/")).collect();
    assert_eq!(named, credentials, "credentials and variables that name them");
    is_understood(&variables, None).unwrap_or_else(|problems| panic!("{problems}"));
}

#[tokio::test]
async fn every_command_that_is_run_somewhere_exists() {
    let folder = TempDir::new().expect("a folder");
    let binary = Binary::bare(folder.path());
    for (place, command) in commands() {
        let mut arguments: Vec<&str> = command.iter().map(String::as_str).collect();
        arguments.push("--help");
        let ran = binary.run(&arguments).await;
        assert_eq!(ran.code, 0, "{place}: {command:?}\n{}", ran.stderr);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_metric_that_alerts_and_dashboard_ask_for_exists() {
    let (_sim, serving) = kit(few()).await;
    let mirror = Mirror::new().await;
    let free = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = free.local_addr().expect("its address");
    drop(free);
    let binary = Binary::of(&mirror, &serving, Api::V4).set("KITMIRROR_LISTEN", address.to_string());
    let running = binary.start(&["run"]);
    let metrics = metrics_once_ready(address).await;
    running.signal("TERM");
    running.end().await.ended_with(0);

    let mut known = BTreeSet::new();
    for (name, kind) in metrics.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' ')) {
        let endings: &[&str] = if kind == "histogram" { &["_bucket", "_sum", "_count"] } else { &[""] };
        known.extend(endings.iter().map(|ending| format!("{name}{ending}")));
    }
    for path in [ALERTS, ALERTS_TRIED, DASHBOARD] {
        let text = text(path);
        let words = text.split(|c: char| !(c.is_ascii_lowercase() || c == '_'));
        let asked: BTreeSet<&str> = words.filter(|word| word.starts_with("kitmirror_")).collect();
        assert!(asked.len() > 5, "{path} asks for metrics");
        for name in asked {
            assert!(known.contains(name), "{path}: there is no {name}");
        }
        let text = text.replace("\\\"", "\"");
        for label in ["phase", "state", "object"] {
            let begin = format!("{label}=\"");
            for value in text.split(&begin).skip(1).filter_map(|rest| rest.split('"').next()) {
                assert!(metrics.contains(&format!("{begin}{value}\"")), "{path}: no {label} is ever {value}");
            }
        }
    }
}

/// What `/metrics` answers as soon as everything was complete once.
async fn metrics_once_ready(address: SocketAddr) -> String {
    const PATIENCE: Duration = Duration::from_secs(60);
    let began = Instant::now();
    let mut answer = String::new();
    while !(answer.contains("\nkitmirror_ready 1\n") && answer.contains("kitmirror_runs_total{")) {
        assert!(began.elapsed() < PATIENCE, "never ready: {answer}");
        tokio::time::sleep(Duration::from_millis(50)).await;
        let Ok(mut stream) = TcpStream::connect(address).await else { continue };
        let request = "GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
        stream.write_all(request.as_bytes()).await.expect("the request is sent");
        answer.clear();
        stream.read_to_string(&mut answer).await.expect("an answer");
    }
    answer
}

/// All command lines of kitmirror, without its name, and where they are.
fn commands() -> Vec<(String, Vec<String>)> {
    let mut commands = Vec::new();
    let mut add = |place: &str, words: Vec<String>| commands.push((place.to_owned(), words));
    let dockerfile = text("Dockerfile");
    let instruction = |name: &str| {
        let lines = dockerfile.lines().filter_map(|line| line.trim_start().strip_prefix(name));
        lines
            .map(|words| serde_json::from_str(words).expect("words in brackets"))
            .collect::<Vec<Vec<String>>>()
    };
    assert_eq!(instruction("ENTRYPOINT "), [[PROGRAM]]);
    for mut words in instruction("CMD ") {
        words.retain(|word| word != PROGRAM);
        add("Dockerfile", words);
    }
    for (name, service) in mirrors() {
        add(&name, strings(&service["command"]).map(str::to_owned).collect());
    }
    for manifest in yaml(KUBERNETES) {
        for container in manifest["spec"]["template"]["spec"]["containers"].as_array().into_iter().flatten() {
            add(KUBERNETES, strings(&container["args"]).map(str::to_owned).collect());
        }
    }
    for line in text(UNIT).lines().filter_map(|line| line.strip_prefix("ExecStart=")) {
        let words = line.strip_prefix(PROGRAM).expect("the program").split_whitespace();
        add(UNIT, words.map(str::to_owned).collect());
    }
    commands
}

/// Every key of the settings.
fn keys() -> Vec<&'static str> {
    let (nowhere, environment, known) =
        (TempDir::new().expect("a folder"), Environment::default(), objects::names());
    let mut input = Input::new(&environment, &known);
    input.directory = nowhere.path();
    input.needs_credential = false;
    load(input).expect("the defaults are right").origins.into_keys().collect()
}

/// Whether the program would start with that, once every secret that is named is there.
fn is_understood(variables: &Variables, settings: Option<&str>) -> Result<(), String> {
    let folder = TempDir::new().expect("a folder");
    let mut laid = variables.clone();
    for (name, value) in laid.iter_mut().filter(|(name, _)| name.ends_with("_FILE")) {
        let secret = if name.contains("DATABASE_URL") {
            "postgres://kitmirror:pw@postgres/kitmirror"
        } else {
            "kit_0"
        };
        let path = folder.path().join(name);
        write_secret(&path, secret);
        *value = path.display().to_string();
    }
    let environment: Environment = laid.into_iter().collect();
    let known = objects::names();
    let mut input = Input::new(&environment, &known);
    input.directory = folder.path();
    let file = folder.path().join("kitmirror.toml");
    if let Some(settings) = settings {
        std::fs::write(&file, settings).expect("the file is written");
        input.config_file = Some(&file);
    }
    let loaded = load(input).map_err(|problems| problems.to_string())?;
    if loaded.warnings.is_empty() { Ok(()) } else { Err(loaded.warnings.join("\n")) }
}

fn write_secret(path: &Path, secret: &str) {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::write(path, secret).expect("the secret is written");
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).expect("and guarded");
}

/// The services of the compose file that run kitmirror, by name.
fn mirrors() -> Vec<(String, Json)> {
    let compose = compose();
    let services = compose["services"].as_object().expect("services").clone();
    services.into_iter().filter(|(_, service)| service["build"] == ".").collect()
}

/// The variables of a service. One without a value is that of the env file, or none at all.
fn environment_of(service: &Json, example: &Variables) -> Variables {
    let environment = service["environment"].as_object().cloned().unwrap_or_default();
    let value = |(name, value): (String, Json)| match value {
        Json::Null => example.get(&name).cloned().map(|value| (name, value)),
        Json::String(value) => Some((name, value)),
        other => panic!("{name} is {other}"),
    };
    environment.into_iter().filter_map(value).collect()
}

/// The lines `NAME=value` of an env file; with those that are commented out, if `all`.
fn assignments(text: &str, all: bool) -> Variables {
    let lines = text.lines().map(|line| if all { line.strip_prefix('#').unwrap_or(line) } else { line });
    lines.filter_map(assignment).collect()
}

fn assignment(line: &str) -> Option<(String, String)> {
    let (name, value) = line.split_once('=')?;
    let fits = !name.is_empty() && name.bytes().all(|b| b.is_ascii_uppercase() || b == b'_');
    fits.then(|| (name.to_owned(), value.to_owned()))
}

fn named_value(variable: &Json) -> (String, String) {
    let text = |key: &str| variable[key].as_str().expect("a text").to_owned();
    (text("name"), text("value"))
}

fn strings(list: &Json) -> impl Iterator<Item = &str> {
    list.as_array().into_iter().flatten().map(|one| one.as_str().expect("a text"))
}

fn names(map: &Json) -> impl Iterator<Item = String> {
    map.as_object().expect("a map").keys().cloned()
}

fn compose() -> Json {
    yaml(COMPOSE).remove(0)
}

/// The documents of a YAML file, merge keys resolved.
fn yaml(path: &str) -> Vec<Json> {
    serde_saphyr::from_multiple(&text(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}
