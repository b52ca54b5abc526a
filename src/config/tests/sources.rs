//! Where values come from: which of several places has the last word, what each may say, and how mistakes in all of
//! them are told at once.

use std::fs;
use std::time::Duration;

use super::{CANARY, OBJECTS, scene, with_key};
use crate::config::keys::KEYS;
use crate::config::{Environment, Input, load};

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
