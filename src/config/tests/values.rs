//! What values each key takes, and what is said of others.

use super::{scene, with_key};

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
