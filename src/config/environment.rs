//! The environment variables that concern us, captured once.
//!
//! Everything after this works on a plain map, so that a test needs no process of its own.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fmt;

use super::keys::{FILE_SUFFIX, KEYS, PREFIX};

/// The environment variables that are ours or borrowed. Debug prints names, never values.
#[derive(Clone, Default)]
pub struct Environment {
    variables: BTreeMap<String, String>,
    /// Names of variables whose value is not Unicode.
    unreadable: BTreeSet<String>,
}

impl Environment {
    /// Captures the variables of this process that concern us.
    pub fn from_process() -> Self {
        Environment::capture(std::env::vars_os())
    }

    fn capture(variables: impl Iterator<Item = (OsString, OsString)>) -> Self {
        let mut environment = Environment::default();
        for (name, value) in variables {
            let Ok(name) = name.into_string() else { continue };
            if !concerns_us(&name, &value.to_string_lossy()) {
                continue;
            }
            match value.into_string() {
                Ok(value) => environment.set(name, value),
                Err(_) => drop(environment.unreadable.insert(name)),
            }
        }
        environment
    }

    /// An empty value counts as unset, so that `KITMIRROR_LISTEN= kitmirror run` means what it seems to.
    fn set(&mut self, name: String, value: String) {
        if !value.is_empty() {
            self.variables.insert(name, value);
        }
    }

    /// The value of a variable, if it is set to something.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.variables.get(name).map(String::as_str)
    }

    /// Whether the variable is set to something that is not Unicode.
    pub(super) fn is_unreadable(&self, name: &str) -> bool {
        self.unreadable.contains(name)
    }

    /// The names of all variables with our prefix.
    pub(super) fn ours(&self) -> impl Iterator<Item = &str> {
        let names = self.variables.keys().chain(&self.unreadable);
        names.map(String::as_str).filter(|name| name.starts_with(PREFIX))
    }
}

impl<K: Into<String>, V: Into<String>> FromIterator<(K, V)> for Environment {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(pairs: I) -> Self {
        let mut environment = Environment::default();
        for (name, value) in pairs {
            let (name, value) = (name.into(), value.into());
            if concerns_us(&name, &value) {
                environment.set(name, value);
            }
        }
        environment
    }
}

impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.variables.keys()).entries(&self.unreadable).finish()
    }
}

fn concerns_us(name: &str, value: &str) -> bool {
    (name.starts_with(PREFIX) && !is_kubernetes_link(name, value)) || is_borrowed(name)
}

fn is_borrowed(name: &str) -> bool {
    let name = name.strip_suffix(FILE_SUFFIX).unwrap_or(name);
    KEYS.iter().any(|key| key.borrowed == Some(name))
}

/// Whether Kubernetes made this variable: for a service called `kitmirror` it puts `KITMIRROR_SERVICE_HOST`,
/// `KITMIRROR_PORT=tcp://…`, `KITMIRROR_PORT_9420_TCP_ADDR` and their like into every container of the namespace.
fn is_kubernetes_link(name: &str, value: &str) -> bool {
    let is_number = |(_, rest): (&str, &str)| rest.starts_with(|c: char| c.is_ascii_digit());
    name.ends_with("_SERVICE_HOST")
        || name.contains("_SERVICE_PORT")
        || (name.ends_with("_PORT") && value.contains("://"))
        || name.split_once("_PORT_").is_some_and(is_number)
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::ffi::OsStringExt;

    use super::*;

    #[test]
    fn only_what_concerns_us_is_captured_and_a_value_that_is_not_unicode_is_remembered_by_name() {
        let variables = [
            ("KITMIRROR_LISTEN", "off"),
            ("KITMIRROR_TIMEZONE", "UT\u{1}C"),
            ("DATABASE_URL_FILE", "/run/secrets/db"),
            ("HOME", "/root"),
        ];
        let environment = Environment::capture(variables.into_iter().map(|(name, value)| {
            let bytes = value.bytes().map(|byte| if byte == 1 { 0xff } else { byte }).collect();
            (name.into(), OsString::from_vec(bytes))
        }));
        assert_eq!(environment.get("KITMIRROR_LISTEN"), Some("off"));
        assert_eq!(environment.get("DATABASE_URL_FILE"), Some("/run/secrets/db"));
        assert_eq!(environment.get("HOME"), None);
        assert!(environment.is_unreadable("KITMIRROR_TIMEZONE"));
        assert!(environment.ours().eq(["KITMIRROR_LISTEN", "KITMIRROR_TIMEZONE"]));
    }
}
