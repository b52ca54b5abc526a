//! What holds where nothing is said, and the settings file that is shipped to show it.

use std::time::Duration;

use super::{OBJECTS, scene, with_key};
use crate::config::keys::KEYS;
use crate::config::{Credential, Cron, LogFormat, LogLevel};

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

/// The settings file as it is shipped: settings are commented out by `#` alone, prose by `# `.
const SHIPPED: &str = include_str!("../../../config/kitmirror.toml");

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
