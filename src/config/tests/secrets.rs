//! The credential and other secrets: where they may come from, and that they are never seen again.

use super::{CANARY, OBJECTS, scene, with_key};
use crate::config::keys::{KEYS, Secrecy};
use crate::config::{Credential, Cron, DatabaseUrl, Environment, Input, Secret, Settings};

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
    use std::fs;
    use std::path::Path;

    use super::restrict;
    use crate::config::sources::is_exposed;

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
