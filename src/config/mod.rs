//! Settings: gathered from defaults, a file, the environment and flags, then checked all at once.
//!
//! Every value remembers where it came from, secrets print as `***`, and nothing is used before all of it is
//! known to be right. What a cron field means, whether a key works or a database answers is for others to find.

mod cron;
mod database_url;
mod environment;
mod keys;
mod kit_url;
mod problem;
mod secret;
mod settings;
mod sources;
mod values;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;

pub use self::cron::Cron;
pub use self::database_url::{DatabaseUrl, Engine};
pub use self::environment::Environment;
use self::keys::KEYS;
pub use self::problem::{Invalid, Problem, Problems};
pub use self::secret::{Credential, Secret};
pub use self::settings::Settings;
pub use self::sources::{Input, Origin};

/// How log lines are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// One readable line per event.
    Text,
    /// One JSON object per event.
    Json,
}

impl fmt::Display for LogFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            LogFormat::Text => "text",
            LogFormat::Json => "json",
        })
    }
}

/// The least important event that is still written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LogLevel {
    /// Only what stopped.
    Error,
    /// And what needs a look.
    Warn,
    /// And what was done.
    Info,
    /// And how.
    Debug,
    /// And everything else.
    Trace,
}

impl LogLevel {
    /// The name, as the settings and the log filter spell it.
    pub fn as_str(self) -> &'static str {
        match self {
            LogLevel::Error => "error",
            LogLevel::Warn => "warn",
            LogLevel::Info => "info",
            LogLevel::Debug => "debug",
            LogLevel::Trace => "trace",
        }
    }
}

impl fmt::Display for LogLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Settings that passed every check, and how they came to be.
#[derive(Debug)]
pub struct Loaded {
    /// The merged and checked values.
    pub settings: Settings,
    /// Where each key's value came from; every key is present.
    pub origins: BTreeMap<&'static str, Origin>,
    /// What works but should be changed, one sentence each.
    pub warnings: Vec<String>,
}

impl Loaded {
    /// Every key with its value as it may be shown and where it came from, in the order of the documentation.
    pub fn explain(&self) -> Vec<(&'static str, String, &Origin)> {
        KEYS.iter().map(|key| (key.name, self.settings.shown(key.name), &self.origins[key.name])).collect()
    }
}

/// Gathers the settings from all sources and checks them.
///
/// Reads the settings file and the secret files; changes nothing. May be called again while the program runs,
/// to pick up rotated secrets.
///
/// # Errors
/// All problems of all sources together. They hold no secret values and no database passwords.
pub fn load(input: Input<'_>) -> Result<Loaded, Problems> {
    let gathered = sources::gather(&input);
    let origins = KEYS.iter().map(|key| (key.name, gathered.origin(key.name))).collect();
    let (settings, problems) = settings::check(&gathered, &input);
    match settings {
        Some(settings) if problems.is_empty() && gathered.problems.is_empty() => {
            Ok(Loaded { settings, origins, warnings: gathered.warnings })
        }
        _ => Err(Problems::new(gathered.problems.into_iter().chain(problems).collect())),
    }
}
