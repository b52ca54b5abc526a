//! Settings, from a file and from the environment.

use std::fmt::Write as _;
use std::path::PathBuf;

use super::Bytes;
use crate::config::{self, Environment, Input};
use crate::model::objects;

/// What must be seen nowhere.
const CANARY: &str = "kk_canary_5f2a9c";

/// Variables that the bytes may set; those that name a file name the settings file.
const VARIABLES: [&str; 14] = [
    "KITMIRROR_KIT_API_URL",
    "KITMIRROR_REQUESTS_PER_MINUTE",
    "KITMIRROR_DATABASE_URL",
    "KITMIRROR_DATABASE_SCHEMA",
    "KITMIRROR_OBJECTS",
    "KITMIRROR_SCHEDULE",
    "KITMIRROR_RECONCILE_SCHEDULE",
    "KITMIRROR_OBJECT_SCHEDULES",
    "KITMIRROR_TIMEZONE",
    "KITMIRROR_OVERLAP",
    "KITMIRROR_LISTEN",
    "KITMIRROR_LOG",
    "KITMIRROR_KIT_ACCESS_TOKEN_FILE",
    "KITMIRROR_NO_SUCH_THING",
];

/// Settings are taken or refused, for the same reasons each time, and nothing that is said about them shows a secret.
///
/// The first line of the bytes is the value of a variable, the rest is the file.
pub fn settings(data: &[u8]) {
    let mut bytes = Bytes::new(data);
    let (which, secret) = (bytes.below(VARIABLES.len() + 1), bytes.below(4));
    let all = bytes.text();
    let (value, file) = all.split_once('\n').unwrap_or(("", &all));
    let place = Place::holding(file);
    let path = &place.0;
    let mut variables = Vec::new();
    if let Some(name) = VARIABLES.get(which) {
        let value = if name.ends_with("_FILE") { path.display().to_string() } else { value.to_owned() };
        variables.push(((*name).to_owned(), value));
    }
    variables.push(match secret {
        0 => ("KIT_API_KEY".to_owned(), CANARY.to_owned()),
        1 => ("KITMIRROR_KIT_API_SECRET".to_owned(), format!("{CANARY}{value}")),
        2 => ("DATABASE_URL".to_owned(), format!("postgres://km:{CANARY}@h/{value}")),
        // Somebody's password may hold anything, and not everybody knows how to write it in a URL.
        _ => ("KITMIRROR_DATABASE_URL".to_owned(), format!("mysql://km:{value}{CANARY}@h/km")),
    });
    let environment: Environment = variables.into_iter().collect();
    let once = said(&environment, path);
    // Somebody who writes a secret where no secret belongs has published it already.
    if !all.contains(CANARY) {
        assert!(!once.contains(CANARY), "a secret is shown: {once}");
    }
    assert_eq!(once, said(&environment, path), "the same settings, and something else is said about them");
}

/// Everything that loading says about the settings.
fn said(environment: &Environment, path: &std::path::Path) -> String {
    let names = objects::names();
    let mut said = String::new();
    let written = match config::load(Input { config_file: Some(path), ..Input::new(environment, &names) }) {
        Ok(loaded) => {
            let explained: Vec<String> = loaded
                .explain()
                .iter()
                .map(|(key, value, origin)| format!("{key} {value} {origin}"))
                .collect();
            write!(said, "{explained:?} {:?}", loaded.warnings)
        }
        Err(problems) => {
            assert!(!problems.as_slice().is_empty(), "refused for no reason");
            write!(said, "{problems} {problems:?}")
        }
    };
    written.expect("text takes text");
    said
}

/// The settings file of this thread, until it is dropped.
struct Place(PathBuf);

impl Place {
    fn holding(text: &str) -> Self {
        let name = format!("kitmirror-fuzz-{}-{:?}.toml", std::process::id(), std::thread::current().id());
        let place = Place(std::env::temp_dir().join(name));
        std::fs::write(&place.0, text).expect("a file can be written");
        place
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}
