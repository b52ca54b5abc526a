//! The settings from outside: files, variables and flags go in, settings or messages come out.
//!
//! One table per rule; a canary stands wherever a secret could, and must never be seen again.

use std::fs;
use std::path::Path;
use std::time::Duration;

use tempfile::TempDir;

use super::keys::Secrecy;
use super::*;

const OBJECTS: [&str; 10] = [
    "forms",
    "sequences",
    "tags",
    "broadcasts",
    "subscribers",
    "cancelled_subscribers",
    "form_subscriptions",
    "sequence_subscriptions",
    "tag_subscriptions",
    "subscriber_tags",
];

/// A secret that must not turn up in anything that is shown.
const CANARY: &str = "canary-5ecret";

/// A place with a settings file, an environment and flags of its own.
struct Scene {
    directory: TempDir,
    variables: Vec<(String, String)>,
    flags: Vec<(String, String)>,
    needs_credential: bool,
}

fn scene() -> Scene {
    let directory = tempfile::tempdir().unwrap();
    Scene { directory, variables: Vec::new(), flags: Vec::new(), needs_credential: true }
}

/// A scene with a v4 key, so that one other thing can be looked at.
fn with_key() -> Scene {
    scene().variable("KITMIRROR_KIT_API_KEY", "kit_0123")
}

impl Scene {
    fn path(&self, name: &str) -> std::path::PathBuf {
        self.directory.path().join(name)
    }

    fn file(self, toml: &str) -> Self {
        fs::create_dir_all(self.path("config")).unwrap();
        fs::write(self.path("config/kitmirror.toml"), toml).unwrap();
        self
    }

    fn variable(mut self, name: &str, value: &str) -> Self {
        self.variables.push((name.to_owned(), value.to_owned()));
        self
    }

    /// A file with this content, named by a variable.
    fn secret_file(self, variable: &str, content: &[u8], mode: u32) -> Self {
        let path = self.path(variable);
        fs::write(&path, content).unwrap();
        restrict(&path, mode);
        self.variable(variable, path.to_str().unwrap())
    }

    fn flag(mut self, key: &str, value: &str) -> Self {
        self.flags.push((key.to_owned(), value.to_owned()));
        self
    }

    fn without_credential(mut self) -> Self {
        self.needs_credential = false;
        self
    }

    fn load(&self) -> Result<Loaded, Problems> {
        let environment: Environment = self.variables.iter().cloned().collect();
        load(Input {
            directory: self.directory.path(),
            flags: self.flags.iter().cloned().collect(),
            needs_credential: self.needs_credential,
            ..Input::new(&environment, &OBJECTS)
        })
    }

    fn settings(&self) -> Settings {
        self.load().unwrap_or_else(|problems| panic!("{problems}")).settings
    }

    fn problems(&self) -> String {
        self.load().expect_err("these settings are wrong").to_string()
    }

    /// The text of the one problem there is.
    fn problem(&self) -> String {
        let problems = self.load().expect_err("these settings are wrong");
        assert_eq!(problems.as_slice().len(), 1, "{problems}");
        problems.as_slice()[0].to_string()
    }
}

#[cfg(unix)]
fn restrict(path: &Path, mode: u32) {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

#[cfg(not(unix))]
fn restrict(_: &Path, _: u32) {}

#[test]
fn with_a_key_alone_everything_has_its_documented_default() {
    let loaded = with_key().load().unwrap();
    let settings = &loaded.settings;
    assert!(matches!(&settings.credential, Some(Credential::V4Key(key)) if key.expose() == "kit_0123"));
    assert_eq!(settings.kit_api_url, "https://api.kit.com/v4");
    assert_eq!(settings.requests_per_minute, 120);
    assert_eq!(settings.database_url.expose(), "sqlite://kitmirror.db");
    assert_eq!(settings.database_schema, None);
    assert_eq!(settings.objects, OBJECTS);
    assert_eq!(settings.schedule.as_str(), "*/15 * * * *");
    assert_eq!(settings.reconcile_schedule.as_ref().map(Cron::as_str), Some("30 3 * * *"));
    assert!(settings.object_schedules.is_empty());
    assert_eq!(settings.timezone, chrono_tz::UTC);
    assert!(settings.heartbeat_url.is_none());
    assert_eq!(settings.overlap, Duration::from_secs(24 * 60 * 60));
    assert_eq!(settings.listen, Some("127.0.0.1:9420".parse().unwrap()));
    assert_eq!(settings.purge_after, Some(Duration::from_secs(30 * 24 * 60 * 60)));
    assert_eq!(settings.log_level, LogLevel::Info);
    assert_eq!(settings.log_format, LogFormat::Text);
    assert!(loaded.warnings.is_empty(), "{:?}", loaded.warnings);
}

#[test]
fn the_credential_decides_version_limit_and_reconcile() {
    let table = [
        ("KIT_API_SECRET", "https://api.convertkit.com/v3", 120, "30 3 * * 0"),
        ("KIT_API_KEY", "https://api.kit.com/v4", 120, "30 3 * * *"),
        ("KITMIRROR_KIT_ACCESS_TOKEN", "https://api.kit.com/v4", 600, "30 3 * * *"),
    ];
    for (variable, url, limit, reconcile) in table {
        let settings = scene().variable(variable, "x").settings();
        assert_eq!(settings.kit_api_url, url, "{variable}");
        assert_eq!(settings.requests_per_minute, limit, "{variable}");
        assert_eq!(settings.reconcile_schedule.as_ref().map(Cron::as_str), Some(reconcile), "{variable}");
    }
}

#[test]
fn flags_override_the_environment_which_overrides_the_file_which_overrides_defaults() {
    let file = "schedule = '1 * * * *'\ntimezone = 'Europe/Paris'\noverlap = '3h'\n";
    let scene = with_key()
        .file(file)
        .variable("KITMIRROR_SCHEDULE", "2 * * * *")
        .variable("KITMIRROR_TIMEZONE", "Europe/Rome")
        .flag("schedule", "3 * * * *");
    let loaded = scene.load().unwrap();
    assert_eq!(loaded.settings.schedule.as_str(), "3 * * * *");
    assert_eq!(loaded.settings.timezone, chrono_tz::Europe::Rome);
    assert_eq!(loaded.settings.overlap, Duration::from_secs(3 * 60 * 60));
    let origin = |key| loaded.origins[key].as_str();
    assert_eq!(origin("schedule"), "--set schedule");
    assert_eq!(origin("timezone"), "KITMIRROR_TIMEZONE");
    assert!(origin("overlap").ends_with("config/kitmirror.toml"));
    assert_eq!(origin("listen"), "default");
    assert_eq!(origin("kit_api_key"), "KITMIRROR_KIT_API_KEY");
}

#[test]
fn our_variables_win_over_the_borrowed_ones_which_win_over_the_file() {
    let scene = with_key()
        .file("database_url = 'sqlite://file.db'\n")
        .variable("KIT_API_KEY", "borrowed")
        .variable("DATABASE_URL", "sqlite://borrowed.db");
    let loaded = scene.load().unwrap();
    assert_eq!(loaded.settings.credential.unwrap().secret().expose(), "kit_0123");
    assert_eq!(loaded.settings.database_url.to_string(), "sqlite://borrowed.db");
    assert_eq!(loaded.origins["database_url"].as_str(), "DATABASE_URL");
}

#[test]
fn an_empty_variable_counts_as_unset() {
    let settings = with_key()
        .variable("KITMIRROR_LISTEN", "")
        .variable("KIT_API_SECRET", "")
        .variable("KITMIRROR_X", "")
        .settings();
    assert!(settings.listen.is_some());
}

#[test]
fn a_higher_layer_replaces_lists_and_tables_whole() {
    let scene = with_key()
        .file("objects = ['tags', 'forms']\n[object_schedules]\ntags = '1 * * * *'\nforms = '2 * * * *'\n")
        .variable("KITMIRROR_OBJECTS", "subscribers")
        .variable("KITMIRROR_OBJECT_SCHEDULES", "tags=3 * * * *");
    let loaded = scene.load().unwrap();
    assert_eq!(loaded.settings.objects, ["subscribers"]);
    assert_eq!(loaded.settings.shown("object_schedules"), "tags=3 * * * *");
    assert_eq!(loaded.origins["object_schedules"].as_str(), "KITMIRROR_OBJECT_SCHEDULES");
}

#[test]
fn a_table_from_the_file_keeps_its_origin() {
    let loaded = with_key().file("[object_schedules]\ntags = '1 * * * *'\n").load().unwrap();
    assert!(loaded.origins["object_schedules"].as_str().ends_with("kitmirror.toml"));
}

#[test]
fn the_file_named_by_the_flag_must_exist_and_is_the_only_one_read() {
    let scene = with_key().file("schedule = '1 * * * *'\n");
    fs::write(scene.path("other.toml"), "overlap = '2h'\n").unwrap();
    let environment: Environment = scene.variables.iter().cloned().collect();
    let usual = Input { directory: scene.directory.path(), ..Input::new(&environment, &OBJECTS) };
    let other = scene.path("other.toml");
    let settings = load(Input { config_file: Some(&other), ..usual }).unwrap().settings;
    assert_eq!((settings.schedule.as_str(), settings.overlap.as_secs()), ("*/15 * * * *", 7200));

    let missing = scene.path("missing.toml");
    let input = Input { config_file: Some(&missing), ..Input::new(&environment, &OBJECTS) };
    let problems = load(input).unwrap_err().to_string();
    assert!(problems.contains("missing.toml") && problems.contains("cannot be read"), "{problems}");
}

#[test]
fn values_that_are_allowed_are_read() {
    type Shown = (&'static str, &'static str, &'static str);
    let table: &[Shown] = &[
        ("kit_api_url", "https://proxy.example/kit/v4/", "https://proxy.example/kit/v4"),
        ("kit_api_url", "HTTPS://API.Kit.com:443/v4", "https://api.kit.com:443/v4"),
        ("kit_api_url", "http://127.0.0.1:8787/v4", "http://127.0.0.1:8787/v4"),
        ("kit_api_url", "http://127.255.3.4/v4", "http://127.255.3.4/v4"),
        ("kit_api_url", "http://[::1]:8787/v4//", "http://[::1]:8787/v4"),
        ("kit_api_url", "http://localhost:8787/v4", "http://localhost:8787/v4"),
        ("requests_per_minute", "1", "1"),
        ("requests_per_minute", " 60 ", "60"),
        ("requests_per_minute", "120", "120"),
        ("objects", "tags, FormSubscriptions,subscribers,tags", "tags, subscribers, form_subscriptions"),
        ("objects", "subscriber_tags,Forms", "forms, subscriber_tags"),
        ("schedule", "0 */15 * * * *", "0 */15 * * * *"),
        ("schedule", "  5  4 * *  MON-FRI ", "5 4 * * MON-FRI"),
        ("reconcile_schedule", "never", "never"),
        ("reconcile_schedule", "0 4 * * *", "0 4 * * *"),
        (
            "object_schedules",
            "tags=*/5 * * * *;FormSubscriptions=1 2 * * *;",
            "form_subscriptions=1 2 * * *; tags=*/5 * * * *",
        ),
        ("timezone", "America/Argentina/Buenos_Aires", "America/Argentina/Buenos_Aires"),
        ("timezone", "Etc/GMT+5", "Etc/GMT+5"),
        ("overlap", "10m", "10m"),
        ("overlap", "1d 2h", "26h"),
        ("listen", "off", "off"),
        ("listen", "[::]:9420", "[::]:9420"),
        ("heartbeat_url", "https://hc.example/0b55-canary", "***"),
        ("heartbeat_url", "http://127.0.0.1:8000/ping", "***"),
        ("purge_after", "never", "never"),
        ("purge_after", "0s", "0s"),
        ("log_level", "DEBUG", "debug"),
        ("log_format", "json", "json"),
    ];
    for (key, value, shown) in table {
        let settings = with_key().variable(&format!("KITMIRROR_{}", key.to_uppercase()), value).settings();
        assert_eq!(settings.shown(key), *shown, "{key} = {value}");
    }
}

#[test]
fn values_that_are_not_allowed_are_refused_with_the_key_the_place_and_what_is_allowed() {
    let table = [
        ("requests_per_minute", "0", "1 to 120"),
        ("requests_per_minute", "121", "1 to 120"),
        ("requests_per_minute", "-5", "1 to 120"),
        ("requests_per_minute", "99999999999999", "1 to 120"),
        ("requests_per_minute", "fast", "not a whole number"),
        ("database_schema", "analytics", "for Postgres only"),
        ("objects", "tags,formz", "did you mean `forms`?"),
        ("objects", "invoices", "cancelled_subscribers"),
        ("objects", " , ", "at least one"),
        ("schedule", "* * * *", "has 4 fields"),
        ("schedule", "1 2 3 4 5 6 7", "has 7 fields"),
        ("schedule", "*/15 * * * $", "`$` is no cron field"),
        ("schedule", "never", "five or six"),
        ("schedule", "60 * * * *", "`60` is no cron field for the minute"),
        ("schedule", "0 60 * * * *", "`60` is no cron field for the minute"),
        ("schedule", "0 0 * * MONDAY", "`MONDAY` is no cron field for the day of the week"),
        ("schedule", "0 3 30 2 *", "names a day that no year has"),
        ("reconcile_schedule", "0 25 * * *", "`25` is no cron field for the hour"),
        ("reconcile_schedule", "off", "or `never`"),
        ("object_schedules", "tags", "has no `=`"),
        ("object_schedules", "tagz=* * * * *", "did you mean `tags`?"),
        ("object_schedules", "tags=* * *", "has 3 fields"),
        ("object_schedules", "tags=1 * * * *;Tags=2 * * * *", "is there twice"),
        ("timezone", "Mars; drop", "is no time zone"),
        ("visibility_lag", "25h", "too long"),
        ("member_recheck", "2 days", "too long"),
        ("timezone", "Europe/Atlantis", "is no time zone"),
        ("timezone", "europe/berlin", "did you mean `Europe/Berlin`?"),
        ("overlap", "0s", "too short"),
        ("overlap", "9m 59s", "too short"),
        ("overlap", "1000y", "too long"),
        ("overlap", "24", "with its unit"),
        ("overlap", "-1h", "10 minutes"),
        ("listen", "9420", "an address and a port"),
        ("listen", "localhost:9420", "127.0.0.1:9420"),
        ("listen", "127.0.0.1:99999", "or `off`"),
        ("heartbeat_url", "http://hc.example/canary", "plain http to another machine"),
        ("heartbeat_url", "https://ann:canary@hc.example/", "a user or password"),
        ("heartbeat_url", "ftp://hc.example/canary", "neither https:// nor http://"),
        ("heartbeat_url", "hc.example/canary", "is not a URL"),
        ("heartbeat_url", "https:///canary", "no valid host"),
        ("heartbeat_url", "https://hc.example/can ary", "a blank"),
        ("purge_after", "soon", "or `never`"),
        ("purge_after", "1000y", "too long"),
        ("log_level", "loud", "error, warn, info, debug, trace"),
        ("log_format", "xml", "text, json"),
    ];
    for (key, value, said) in table {
        let variable = format!("KITMIRROR_{}", key.to_uppercase());
        let problem = with_key().variable(&variable, value).problem();
        assert!(problem.starts_with(&format!("{key} ({variable}): ")), "{problem}");
        assert!(problem.contains(said), "{key} = {value} says: {problem}");
        assert!(!problem.contains("canary"), "{problem}");
    }
}

#[test]
fn a_base_url_that_could_carry_the_key_elsewhere_is_refused() {
    let table = [
        ("http://api.kit.com/v4", "plain http"),
        ("http://127.0.0.1.evil.example/v4", "plain http"),
        ("http://localhost.evil.example/v4", "plain http"),
        ("http://128.0.0.1/v4", "plain http"),
        ("http://0.0.0.0/v4", "plain http"),
        ("http://[::ffff:8.8.8.8]/v4", "plain http"),
        ("http://127.1/v4", "no valid host"),
        ("http://0x7f000001/v4", "no valid host"),
        (r"http://127.0.0.1\@evil.example/v4", "user or password"),
        (r"http://127.0.0.1\evil.example/v4", "no valid host"),
        ("https://user:pw@api.kit.com/v4", "user or password"),
        ("https://api.kit.com/v4?api_key=x", "query"),
        ("https://api.kit.com/v4#x", "query or fragment"),
        ("https://kit.example", "API version"),
        ("https://kit.example/v5", "API version"),
        ("https://api.kit.com/v4/tags", "API version"),
        ("https://api.kit.com/../v4", "odd path"),
        ("https://api.kit.com//v4", "odd path"),
        ("https:///v4", "no valid host"),
        ("https://api.kit.com:0/v4", "no valid host"),
        ("https://api.kit.com:+1/v4", "no valid host"),
        ("https://api.kit.com:/v4", "no valid host"),
        ("https://api kit.com/v4", "no valid host"),
        ("https://äpi.kit.com/v4", "no valid host"),
        ("ftp://api.kit.com/v4", "neither https"),
        ("kit.example/v4", "not a URL"),
        ("https://api.convertkit.com/v3", "another API version than kit_api_key"),
    ];
    for (url, said) in table {
        let problem = with_key().variable("KITMIRROR_KIT_API_URL", url).problem();
        assert!(problem.contains(said), "{url} says: {problem}");
        assert!(!problem.contains(url), "URLs are not repeated: {problem}");
    }
    let v3 =
        scene().variable("KIT_API_SECRET", "x").variable("KITMIRROR_KIT_API_URL", "https://api.kit.com/v4");
    assert!(v3.problem().contains("ends with /v3"));
}

#[test]
fn only_a_simulator_on_this_machine_may_be_asked_faster_than_kit_allows() {
    let fast = with_key().variable("KITMIRROR_REQUESTS_PER_MINUTE", "10000000");
    assert!(fast.problem().contains("1 to 120"));
    let fast = fast.variable("KITMIRROR_KIT_API_URL", "http://127.0.0.1:8787/v4");
    assert_eq!(fast.settings().requests_per_minute, 10_000_000);
    let faster = with_key().file("requests_per_minute = 10000001\nkit_api_url = 'http://localhost/v4'\n");
    assert!(faster.problem().contains("1 to 10000000"));
    let token = scene().variable("KITMIRROR_KIT_ACCESS_TOKEN", "x").file("requests_per_minute = 600\n");
    assert_eq!(token.settings().requests_per_minute, 600);
    let token = scene().variable("KITMIRROR_KIT_ACCESS_TOKEN", "x").file("requests_per_minute = 601\n");
    assert!(token.problem().contains("1 to 600"));
}

#[test]
fn a_database_url_is_shown_without_user_password_and_parameters() {
    let table = [
        ("postgres://db.example.com:5432/kit", "postgres://db.example.com:5432/kit", Engine::Postgres),
        ("postgresql://ann:pw@db/kit?sslmode=require", "postgresql://db/kit", Engine::Postgres),
        ("postgres://ann:p@w@[::1]:5432/kit", "postgres://[::1]:5432/kit", Engine::Postgres),
        ("postgres:///kit?host=/run/pg&password=pw", "postgres:///kit", Engine::Postgres),
        ("postgres://db?dbname=kit", "postgres://db/", Engine::Postgres),
        ("postgres://ann:pw@%2Frun%2Fpg/kit", "postgres://%2Frun%2Fpg/kit", Engine::Postgres),
        ("mysql://ann:pw@db:3306/kit", "mysql://db:3306/kit", Engine::Mysql),
        ("mariadb://ann:pw%2F@db/kit", "mariadb://db/kit", Engine::Mysql),
        ("sqlite://kitmirror.db?mode=rwc", "sqlite://kitmirror.db", Engine::Sqlite),
        ("sqlite:///var/lib/kit.db", "sqlite:///var/lib/kit.db", Engine::Sqlite),
        ("sqlite:kit.db", "sqlite://kit.db", Engine::Sqlite),
        ("sqlite::memory:", "sqlite://:memory:", Engine::Sqlite),
    ];
    for (url, shown, engine) in table {
        let parsed: DatabaseUrl = url.parse().unwrap_or_else(|invalid| panic!("{url}: {invalid}"));
        assert_eq!((parsed.to_string().as_str(), parsed.engine()), (shown, engine));
        assert_eq!(parsed.expose(), url);
        assert_eq!(parsed.has_password(), url.contains("pw") || url.contains("p@w"), "{url}");
        assert_eq!(format!("{parsed:?}"), format!("DatabaseUrl({shown})"));
    }
}

#[test]
fn a_database_url_that_hides_a_password_in_the_wrong_place_is_refused_unseen() {
    let table = [
        ("postgres://ann:12/canary-5ecret@db/kit", "after the host"),
        ("postgres://ann:12?canary-5ecret@db/kit", "parameter"),
        ("postgres://ann:12?user=canary-5ecret@db/kit", "after the host"),
        ("postgres://ann:12#canary-5ecret@db/kit", "raw `#`"),
        ("postgres://ann:canary-5ecret/db/kit", "port"),
        ("postgres://db:5432/kit/canary-5ecret", "more than a database"),
        ("postgres://db/kit?passwd=canary-5ecret", "parameter"),
        ("mysql://ann:canary-5ecret@db/", "names no database"),
        ("mysql://ann:canary-5ecret@db/kit?ssl_mode=required", "ssl-mode"),
        ("mysql://ann:canary-5ecret@d b/kit", "space"),
        ("mysql://ann:canary-5ecret@d;b/kit", "host"),
        ("sqlite://ann:canary-5ecret@db/kit", "user and password"),
        ("postgress://ann:canary-5ecret@db/kit", "schemes"),
        ("ann:canary-5ecret@db/kit", "no scheme"),
        ("canary-5ecret", "no scheme"),
        ("host=db password=canary-5ecret", "space"),
    ];
    for (url, said) in table {
        let problem = with_key().variable("DATABASE_URL", url).problem();
        assert!(problem.contains(said), "{url} says: {problem}");
        assert!(!problem.contains(CANARY), "{problem}");
    }
}

#[test]
fn a_bare_file_name_as_database_is_answered_with_its_url() {
    let problem = with_key().file("database_url = 'kitmirror.db'\n").problem();
    assert!(problem.contains("`sqlite://kitmirror.db`"), "{problem}");
    let problem = with_key().file("database_url = '/var/lib/kit.sqlite'\n").problem();
    assert!(problem.contains("`sqlite:///var/lib/kit.sqlite`"), "{problem}");
}

#[test]
fn a_schema_is_for_postgres_and_needs_no_quoting() {
    let postgres = |name: &str| {
        with_key().variable("DATABASE_URL", "postgres://db/kit").variable("KITMIRROR_DATABASE_SCHEMA", name)
    };
    let longest = "a".repeat(31);
    for name in ["kit", "_kit2", longest.as_str()] {
        assert_eq!(postgres(name).settings().database_schema.as_deref(), Some(name));
    }
    let too_long = "a".repeat(32);
    for name in ["Kit", "2kit", "kit;drop", "kit\"", "k it", "kït", too_long.as_str()] {
        assert!(postgres(name).problem().contains("lower-case"), "{name}");
    }
}

#[test]
fn the_file_may_use_numbers_lists_and_tables() {
    let settings = with_key()
        .file("requests_per_minute = 30\nobjects = ['tags', 'Broadcasts']\n[object_schedules]\nTags = '*/5 * * * *'\n")
        .settings();
    assert_eq!(settings.requests_per_minute, 30);
    assert_eq!(settings.objects, ["tags", "broadcasts"]);
    assert_eq!(settings.object_schedules["tags"].as_str(), "*/5 * * * *");
}

#[test]
fn a_value_of_the_wrong_kind_is_told_by_its_kind() {
    let table = [
        ("kit_api_url = 4", "is a number"),
        ("overlap = 24", "text in quotes"),
        ("requests_per_minute = 1.5", "is a fraction"),
        ("requests_per_minute = true", "is true or false"),
        ("objects = { tags = 1 }", "is a table"),
        ("objects = [1]", "is a number"),
        ("object_schedules = ['tags']", "is a list"),
        ("object_schedules = { tags = 5 }", "is a number"),
    ];
    for (toml, said) in table {
        let problem = with_key().file(toml).problem();
        assert!(problem.contains(said), "{toml} says: {problem}");
    }
}

#[test]
fn all_problems_come_at_once_from_all_sources() {
    let scene = scene()
        .file("overlap = '1s'\nshedule = '* * * * *'\n[object_schedules]\ntagz = '* * * * *'\nforms = 'x'\n")
        .variable("KITMIRROR_LISTEN", "nowhere")
        .variable("KITMIRROR_LISTNE", "off")
        .flag("log_level", "loud")
        .flag("colour", "no");
    let problems = scene.load().unwrap_err();
    let keys: Vec<&str> = problems.as_slice().iter().map(|problem| problem.key.as_str()).collect();
    let expected = [
        "shedule",
        "colour",
        "KITMIRROR_LISTNE",
        "kit_api_key",
        "object_schedules",
        "object_schedules",
        "overlap",
        "listen",
        "log_level",
    ];
    assert_eq!(keys, expected, "{problems}");
    let text = problems.to_string();
    for said in [
        "9 problems in the settings:",
        "did you mean `schedule`?",
        "did you mean `KITMIRROR_LISTEN`?",
        "did you mean `tags`?",
        "there is no credential",
        "listen (KITMIRROR_LISTEN)",
        "log_level (--set log_level)",
    ] {
        assert!(text.contains(said), "{said} is not in: {text}");
    }
}

#[test]
fn a_missing_credential_matters_only_to_commands_that_need_one() {
    assert!(scene().problem().contains("there is no credential"));
    let settings = scene().without_credential().settings();
    assert!(settings.credential.is_none());
    let settings = scene().without_credential().file("requests_per_minute = 600\n").settings();
    assert_eq!(settings.requests_per_minute, 600, "it may be right for the token that is not here");
    let settings = scene().without_credential().file("kit_api_url = 'http://localhost/v3'\n").settings();
    assert_eq!(settings.reconcile_schedule.as_ref().map(Cron::as_str), Some("30 3 * * 0"));
}

#[test]
fn two_credentials_are_refused_with_both_places() {
    let problem = with_key().file("kit_api_secret = 'canary-5ecret'\n").problem();
    assert!(problem.contains("kit_api_key from KITMIRROR_KIT_API_KEY"), "{problem}");
    assert!(problem.contains("kit_api_secret from ") && problem.contains("kitmirror.toml"), "{problem}");
    assert!(!problem.contains(CANARY));
}

#[test]
fn a_secret_file_loses_its_last_line_break_and_nothing_else() {
    for content in ["kit_9\n", "kit_9\r\n", "kit_9"] {
        let loaded =
            scene().secret_file("KITMIRROR_KIT_API_KEY_FILE", content.as_bytes(), 0o600).load().unwrap();
        assert_eq!(loaded.settings.credential.unwrap().secret().expose(), "kit_9");
        assert!(loaded.warnings.is_empty());
        assert!(loaded.origins["kit_api_key"].as_str().starts_with("KITMIRROR_KIT_API_KEY_FILE: "));
    }
    let problem = scene().secret_file("KIT_API_KEY_FILE", b"kit 9\n", 0o600).problem();
    assert!(problem.contains("contains a space"), "{problem}");
    for (content, wrong) in [
        ("\"kit_9\"", "is in quotation marks"),
        ("KIT_API_KEY=kit_9", "is a whole line"),
        ("\u{feff}kit_9", "begins with a byte-order mark"),
        ("kit_ü", "contains a character outside ASCII"),
    ] {
        let problem = scene().secret_file("KIT_API_KEY_FILE", content.as_bytes(), 0o600).problem();
        assert!(problem.contains(wrong), "{problem}");
    }
}

#[test]
fn a_database_url_may_come_from_a_file() {
    for variable in ["DATABASE_URL_FILE", "KITMIRROR_DATABASE_URL_FILE"] {
        let settings = with_key().secret_file(variable, b"postgres://ann:pw@db/kit\n", 0o600).settings();
        assert_eq!(settings.database_url.expose(), "postgres://ann:pw@db/kit");
    }
}

#[test]
fn a_secret_file_that_gives_nothing_is_one_problem() {
    let empty = scene().secret_file("KITMIRROR_KIT_API_KEY_FILE", b"\n", 0o600).problem();
    assert!(empty.contains("the file is empty"), "{empty}");
    let binary = scene().secret_file("KITMIRROR_KIT_API_KEY_FILE", b"\xff\xfe", 0o600).problem();
    assert!(binary.contains("cannot be read"), "{binary}");
    let missing = scene().variable("KITMIRROR_KIT_API_KEY_FILE", "/nowhere/key").problem();
    assert!(missing.contains("cannot be read") && missing.contains("/nowhere/key"), "{missing}");
    let huge = scene().secret_file("KITMIRROR_KIT_API_KEY_FILE", &vec![b'x'; 2 << 20], 0o600).problem();
    assert!(huge.contains("1 MiB"), "{huge}");
    let twice = with_key().secret_file("KITMIRROR_KIT_API_KEY_FILE", b"x", 0o600).problem();
    assert!(twice.contains("is set twice"), "{twice}");
}

#[cfg(unix)]
#[test]
fn a_secret_that_every_user_may_read_is_a_warning() {
    use super::sources::is_exposed;

    let loaded = scene().secret_file("KIT_API_KEY_FILE", b"kit_9", 0o644).load().unwrap();
    assert_eq!(loaded.warnings.len(), 1);
    assert!(loaded.warnings[0].contains("KIT_API_KEY_FILE"), "{:?}", loaded.warnings);

    let table = [
        ("kit_api_key = 'kit_9'", 0o644, 1),
        ("kit_api_key = 'kit_9'", 0o640, 0),
        ("database_url = 'mysql://ann:pw@db/kit'", 0o644, 1),
        ("database_url = 'mysql://db/kit'", 0o644, 0),
        ("listen = 'off'", 0o644, 0),
    ];
    for (toml, mode, warnings) in table {
        let scene = scene().without_credential().file(toml);
        restrict(&scene.path("config/kitmirror.toml"), mode);
        assert_eq!(scene.load().unwrap().warnings.len(), warnings, "{toml} {mode:o}");
    }

    // As a container engine lays it there: nobody else is in the container.
    let laid = scene().secret_file("KIT_API_KEY_FILE", b"kit_9", 0o444);
    let metadata = fs::metadata(laid.path("KIT_API_KEY_FILE")).unwrap();
    assert!(is_exposed(Path::new("/etc/kit_api_key"), &metadata));
    assert!(!is_exposed(Path::new("/run/secrets/kit_api_key"), &metadata));
}

#[test]
fn secrets_never_come_from_the_command_line() {
    for key in KEYS.iter().filter(|key| matches!(key.secrecy, Secrecy::Credential | Secrecy::Secret)) {
        let problem = scene().without_credential().flag(key.name, CANARY).problem();
        assert!(problem.contains("never come from the command line"), "{problem}");
        assert!(!problem.contains(CANARY));
    }
    let problem = with_key().flag("database_url", "postgres://ann:canary-5ecret@db/kit").problem();
    assert!(problem.contains("never come from the command line") && !problem.contains(CANARY), "{problem}");
    let settings = with_key().flag("database_url", "sqlite://other.db").settings();
    assert_eq!(settings.database_url.to_string(), "sqlite://other.db");
}

#[test]
fn a_path_to_a_secret_in_the_settings_file_is_sent_to_the_environment() {
    let problem = with_key().file("database_url_file = '/run/secrets/db'\n").problem();
    assert!(problem.contains("KITMIRROR_DATABASE_URL_FILE"), "{problem}");
    let problem = with_key().variable("KITMIRROR_SCHEDULE_FILE", "/x").problem();
    assert!(problem.contains("no such setting"), "{problem}");
}

#[test]
fn variables_that_kubernetes_makes_for_a_service_of_our_name_are_not_ours() {
    let mut scene = with_key();
    for name in
        ["SERVICE_HOST", "SERVICE_PORT", "SERVICE_PORT_HTTP", "PORT", "PORT_9420_TCP", "PORT_9420_TCP_ADDR"]
    {
        scene = scene.variable(&format!("KITMIRROR_{name}"), "tcp://10.0.0.1:9420");
    }
    scene.settings();
    for name in ["KITMIRROR_PORT_NUMBER", "KITMIRROR_LISTEN_PORT"] {
        assert!(with_key().variable(name, "9420").problem().contains("no such setting"));
    }
}

#[test]
fn a_file_that_is_not_toml_names_the_line_and_hides_it() {
    for broken in [
        "overlap = '1h'\nkit_api_secret = \"canary-5ecret",
        "overlap = '1h'\nkit_api_secret = canary-5ecret",
        "overlap = '1h'\nkit_api_secret = 'x' canary-5ecret",
        "overlap = '1h'\ncanary-5ecret",
    ] {
        let problem = scene().file(broken).problem();
        assert!(problem.contains("is not TOML: look at line 2"), "{problem}");
        assert!(!problem.contains(CANARY), "{problem}");
    }
}

/// S-02. Printed in any way, alone or within what holds it, a secret is three stars.
#[test]
fn no_message_debug_or_listing_holds_a_secret() {
    let right = scene()
        .file("database_url = 'postgres://canary-5ecret:canary-5ecret@db/kit?password=canary-5ecret'\n")
        .variable("KIT_API_SECRET", CANARY);
    let environment: Environment = right.variables.iter().cloned().collect();
    let input = Input::new(&environment, &OBJECTS);
    let loaded = right.load().unwrap();
    let mut shown = format!("{input:?} {loaded:?} {environment:?} {:?}", loaded.explain());
    for credential in [Credential::V3Secret, Credential::V4Key, Credential::AccessToken] {
        let credential = credential(Secret::new(CANARY));
        assert_eq!(credential.secret().expose(), CANARY);
        shown += &format!("{credential:?} {0} {0:?}", credential.secret());
    }
    assert!(!shown.contains(CANARY), "{shown}");
    assert!(shown.contains("V3Secret(***)"), "{shown}");

    for wrong in [
        format!("kit_api_secret = '{CANARY} '\nkit_api_key = '{CANARY}'\nkit_access_token = ['{CANARY}']\n"),
        format!("kit_api_secret = {{ x = '{CANARY}' }}\nkit_api_url = 'https://{CANARY}@api.kit.com/v3'\n"),
        format!("kit_api_key = '{CANARY}\\u0007'\nkit_api_url = 'https://api.kit.com/v4?api_key={CANARY}'\n"),
        format!("kit_api_key = '{CANARY}é'\ndatabase_url = ['{CANARY}']\n"),
        format!("kit_api_key = \"{CANARY}\\n\"\ndatabase_url = 'redis://:{CANARY}@db'\n"),
    ] {
        let scene = scene().file(&wrong);
        let problems = scene.load().unwrap_err();
        assert!(!format!("{problems} {problems:?}").contains(CANARY), "{problems}");
    }
}

#[test]
fn names_from_outside_are_escaped_in_messages() {
    let problems = with_key()
        .file("\"a\\u001b[2Jb\" = 1\n")
        .variable("KITMIRROR_A\u{1b}B", "1")
        .variable("KITMIRROR_TIMEZONE", "x\u{1b}[31m\nkit_api_key: fine")
        .problems();
    assert!(!problems.contains('\u{1b}'), "{problems}");
    assert!(problems.contains(r"`x\u{1b}[31m\nkit_api_key: fine`"), "{problems}");
}

#[test]
fn every_key_is_explained_in_order_with_its_origin() {
    let loaded = with_key().load().unwrap();
    let explained = loaded.explain();
    assert_eq!(explained.iter().map(|row| row.0).collect::<Vec<_>>(), KEYS.map(|key| key.name));
    let shown =
        |key| explained.iter().find(|row| row.0 == key).map(|row| (row.1.as_str(), row.2.as_str())).unwrap();
    assert_eq!(shown("kit_api_key"), ("***", "KITMIRROR_KIT_API_KEY"));
    assert_eq!(shown("kit_api_secret"), ("not set", "default"));
    assert_eq!(shown("database_url"), ("sqlite://kitmirror.db", "default"));
    assert_eq!(shown("objects").0, OBJECTS.join(", "));
    assert_eq!((shown("visibility_lag").0, shown("member_recheck").0), ("10m", "24h"));
    for key in KEYS.iter().filter(|key| key.default.is_some()) {
        assert_ne!(shown(key.name).0, "not set", "{}", key.name);
    }
}

/// S-02. Nor can it be written down as JSON, or whatever serialises: that would not compile.
#[test]
fn a_secret_cannot_be_serialised() {
    // Were a type `Serialize`, both implementations would fit and this would not compile.
    trait NotSerialize<Marker> {
        fn holds() {}
    }
    impl<T: ?Sized> NotSerialize<()> for T {}
    impl<T: ?Sized + serde::Serialize> NotSerialize<u8> for T {}
    <Secret as NotSerialize<_>>::holds();
    <Credential as NotSerialize<_>>::holds();
    <DatabaseUrl as NotSerialize<_>>::holds();
    <Settings as NotSerialize<_>>::holds();
}

/// The settings file as it is shipped: settings are commented out by `#` alone, prose by `# `.
const SHIPPED: &str = include_str!("../../config/kitmirror.toml");

#[test]
fn the_shipped_file_names_every_key_and_changes_nothing() {
    let lines: Vec<&str> = SHIPPED.lines().filter(|line| !line.trim().is_empty()).collect();
    assert!(lines.iter().all(|line| line.starts_with('#')), "all of it is commented out");
    for key in &KEYS {
        assert!(SHIPPED.contains(&format!("\n#{} = ", key.name)), "{} is missing", key.name);
    }
    let plain = with_key().load().unwrap();
    let shipped = with_key().file(SHIPPED).load().unwrap();
    assert_eq!(format!("{:?}", shipped.settings), format!("{:?}", plain.settings));
}

#[test]
fn the_shipped_file_shows_the_true_defaults() {
    let examples = ["kit_api_secret", "kit_access_token", "database_schema", "heartbeat_url"];
    let active: String = SHIPPED
        .lines()
        .filter_map(|line| {
            line.strip_prefix('#').filter(|rest| !rest.starts_with([' ', '#']) && !rest.is_empty())
        })
        .filter(|line| !examples.iter().any(|key| line.starts_with(key)))
        .map(|line| format!("{line}\n"))
        .collect();
    let plain = scene().variable("KIT_API_KEY", "kit_0123").load().unwrap();
    let shipped = with_key().file(&active).load().unwrap_or_else(|problems| panic!("{problems}\n{active}"));
    assert_eq!(format!("{:?}", shipped.settings.overlap), format!("{:?}", plain.settings.overlap));
    for (key, value, _) in plain.explain() {
        assert_eq!(shipped.settings.shown(key), value, "{key}");
    }
}
