//! Where values come from: defaults, the settings file, the environment, flags, merged in this order.
//!
//! Knows names and places but not what a value means; that is `settings`. A layer replaces the whole value of
//! a lower one, lists and tables included.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs::{File, Metadata};
use std::io::Read;
use std::path::Path;

use config::{ConfigError, FileFormat, Map, Source, Value, ValueKind};
use serde::Serialize;

use super::database_url::DatabaseUrl;
use super::environment::Environment;
use super::keys::{FILE_SUFFIX, KEYS, Key, PREFIX, Secrecy};
use super::problem::{Invalid, Problem, unknown};

/// Where the settings file is looked for when no flag names one.
const DEFAULT_FILE: &str = "config/kitmirror.toml";

/// What [`load`](super::load) works with; nothing else of the process is looked at.
#[derive(Debug)]
pub struct Input<'a> {
    /// The value of `--config`. A file named here must exist.
    pub config_file: Option<&'a Path>,
    /// Where to look for `config/kitmirror.toml` if `config_file` is none.
    pub directory: &'a Path,
    /// The environment.
    pub environment: &'a Environment,
    /// Values of flags by key, spelled as in the environment.
    pub flags: BTreeMap<String, String>,
    /// The objects there are, in the order of running.
    pub known_objects: &'a [&'a str],
    /// Whether the command speaks to Kit.
    pub needs_credential: bool,
}

impl<'a> Input<'a> {
    /// The usual input: the file in its usual place, no flags, a credential needed.
    pub fn new(environment: &'a Environment, known_objects: &'a [&'a str]) -> Self {
        Input {
            config_file: None,
            directory: Path::new("."),
            environment,
            flags: BTreeMap::new(),
            known_objects,
            needs_credential: true,
        }
    }
}

/// Where a value came from, in words: a path, a variable, a flag, or `default`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Origin(String);

impl Origin {
    fn default_value() -> Self {
        Origin("default".to_owned())
    }

    fn file(path: &Path) -> Self {
        Origin(path.display().to_string().escape_debug().to_string())
    }

    fn variable(name: &str) -> Self {
        Origin(name.escape_debug().to_string())
    }

    fn secret_file(variable: &str, path: &str) -> Self {
        Origin(format!("{variable}: {}", path.escape_debug()))
    }

    fn flag(key: &str) -> Self {
        Origin(match key {
            "database_url" => "--database-url".to_owned(),
            other => format!("--set {}", other.escape_debug()),
        })
    }

    /// The words.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The merged values, not yet read, and what went wrong on the way to them.
pub(super) struct Gathered {
    values: Map<String, Value>,
    pub(super) problems: Vec<Problem>,
    pub(super) warnings: Vec<String>,
    /// Keys that have a value somewhere which could not be had. Nobody should be told that they are missing.
    out_of_reach: BTreeSet<&'static str>,
}

impl Gathered {
    pub(super) fn get(&self, key: &str) -> Option<&Value> {
        self.values.get(key)
    }

    pub(super) fn origin(&self, key: &str) -> Origin {
        let origin = self.get(key).and_then(Value::origin);
        origin.map_or_else(Origin::default_value, |origin| Origin(origin.to_owned()))
    }

    pub(super) fn is_out_of_reach(&self, key: &str) -> bool {
        self.out_of_reach.contains(key)
    }
}

/// Collects every source. A source that fails leaves a problem behind and the others are still looked at.
pub(super) fn gather(input: &Input<'_>) -> Gathered {
    let mut gathered = Gathered {
        values: Map::new(),
        problems: Vec::new(),
        warnings: Vec::new(),
        out_of_reach: BTreeSet::new(),
    };
    let layers: Vec<Box<dyn Source + Send + Sync>> = vec![
        Box::new(defaults()),
        Box::new(gathered.file(input)),
        Box::new(gathered.variables(input.environment, |key| key.borrowed.map(str::to_owned))),
        Box::new(gathered.variables(input.environment, |key| Some(key.variable()))),
        Box::new(gathered.flags(&input.flags)),
    ];
    gathered.unknown_variables(input.environment);
    // No layer of ours fails to collect: the one that could, the file, has been read by now.
    gathered.values = layers.collect().unwrap_or_default();
    gathered
}

/// The values of one source, each with its origin.
#[derive(Clone, Default)]
struct Layer(Map<String, Value>);

impl Layer {
    fn set(&mut self, key: &Key, origin: &Origin, value: impl Into<ValueKind>) {
        self.0.insert(key.name.to_owned(), Value::new(Some(&origin.0), value));
    }
}

impl fmt::Debug for Layer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

impl Source for Layer {
    fn clone_into_box(&self) -> Box<dyn Source + Send + Sync> {
        Box::new(self.clone())
    }

    fn collect(&self) -> Result<Map<String, Value>, ConfigError> {
        Ok(self.0.clone())
    }

    /// Replaces whole values. The trait's own way would merge tables entry by entry and lose their origin.
    fn collect_to(&self, cache: &mut Value) -> Result<(), ConfigError> {
        if let ValueKind::Table(values) = &mut cache.kind {
            values.extend(self.0.clone());
        }
        Ok(())
    }
}

fn defaults() -> Layer {
    let mut layer = Layer::default();
    for key in &KEYS {
        if let Some(default) = key.default {
            layer.set(key, &Origin::default_value(), default);
        }
    }
    layer
}

impl Gathered {
    fn problem(&mut self, key: &str, origin: Origin, invalid: Invalid) {
        self.problems.push(Problem::new(key, Some(origin), invalid));
    }

    fn file(&mut self, input: &Input<'_>) -> Layer {
        let usual = input.directory.join(DEFAULT_FILE);
        let path = match input.config_file {
            Some(path) => path,
            None if matches!(usual.try_exists(), Ok(false)) => return Layer::default(),
            // Also when that cannot be told: settings that are there must not be passed over.
            None => &usual,
        };
        let origin = Origin::file(path);
        let parsed =
            read(path).map_err(unreadable).and_then(|(text, metadata)| Ok((parse(&text)?, metadata)));
        let (values, metadata) = match parsed {
            Ok(parsed) => parsed,
            Err(invalid) => {
                self.out_of_reach.extend(KEYS.iter().map(|key| key.name));
                self.problem("settings file", origin, invalid);
                return Layer::default();
            }
        };
        let mut layer = Layer::default();
        for (name, value) in values {
            match KEYS.iter().find(|key| key.name == name) {
                Some(key) => layer.set(key, &origin, value.kind),
                None => self.problem(&name, origin.clone(), unknown_key(&name)),
            }
        }
        if is_world_readable(&metadata)
            && KEYS.iter().any(|key| layer.0.get(key.name).is_some_and(|v| holds_secret(key, v)))
        {
            self.warnings.push(format!("{origin} holds a secret and every user of this machine may read it"));
        }
        // HashMap order is random; people should see the same list twice.
        self.problems.sort_by(|a, b| a.key.cmp(&b.key));
        layer
    }

    /// One layer of environment variables: `name_of` says which variable a key has in it.
    fn variables(&mut self, environment: &Environment, name_of: impl Fn(&Key) -> Option<String>) -> Layer {
        let mut layer = Layer::default();
        for key in &KEYS {
            let Some(name) = name_of(key) else { continue };
            let file_name = format!("{name}{FILE_SUFFIX}");
            for name in [&name, &file_name].into_iter().filter(|name| environment.is_unreadable(name)) {
                self.out_of_reach.insert(key.name);
                self.problem(key.name, Origin::variable(name), Invalid::new("is not Unicode text", "UTF-8"));
            }
            let path = environment.get(&file_name).filter(|_| key.may_come_from_file());
            match (environment.get(&name), path) {
                (None, None) => {}
                (Some(value), None) => layer.set(key, &Origin::variable(&name), value),
                (None, Some(path)) => self.secret_file(&mut layer, key, &file_name, path),
                (Some(_), Some(_)) => {
                    self.out_of_reach.insert(key.name);
                    let invalid =
                        Invalid::new(format!("is set twice, by {name} and by {file_name}"), "one of them");
                    self.problem(key.name, Origin::variable(&file_name), invalid);
                }
            }
        }
        layer
    }

    fn secret_file(&mut self, layer: &mut Layer, key: &Key, variable: &str, path: &str) {
        let origin = Origin::secret_file(variable, path);
        match read(Path::new(path)) {
            Ok((text, metadata)) => {
                if is_exposed(Path::new(path), &metadata) {
                    self.warnings.push(format!("every user of this machine may read {origin}"));
                }
                // Editors and `echo` end a file with a line break that is no part of the secret.
                let value = text.trim_end_matches(['\r', '\n']);
                if !value.is_empty() {
                    return layer.set(key, &origin, value);
                }
                self.problem(
                    key.name,
                    origin,
                    Invalid::new("the file is empty", "a file with the value alone in it"),
                );
            }
            Err(error) => self.problem(key.name, origin, unreadable(error)),
        }
        self.out_of_reach.insert(key.name);
    }

    fn flags(&mut self, flags: &BTreeMap<String, String>) -> Layer {
        let mut layer = Layer::default();
        for (name, text) in flags {
            let origin = Origin::flag(name);
            let Some(key) = KEYS.iter().find(|key| key.name == name) else {
                self.problem(name, origin, unknown_key(name));
                continue;
            };
            let value = Value::new(Some(&origin.0), text.as_str());
            if holds_secret(key, &value) {
                self.out_of_reach.insert(key.name);
                let allowed = format!("{0}, {0}{FILE_SUFFIX}, or the settings file", key.variable());
                let invalid =
                    Invalid::new("secrets never come from the command line, where others see them", allowed);
                self.problem(key.name, origin, invalid);
            } else {
                layer.set(key, &origin, value.kind);
            }
        }
        layer
    }

    fn unknown_variables(&mut self, environment: &Environment) {
        let known: Vec<String> = KEYS
            .iter()
            .flat_map(|key| {
                let file = key.may_come_from_file().then(|| key.variable() + FILE_SUFFIX);
                [Some(key.variable()), file].into_iter().flatten()
            })
            .collect();
        let known: Vec<&str> = known.iter().map(String::as_str).collect();
        for name in environment.ours().filter(|name| !known.contains(name)) {
            let wrong = unknown("there is no such setting", name, &known);
            let allowed =
                format!("{PREFIX} and a key in capitals, such as {}; see `kitmirror config`", known[0]);
            self.problem(name, Origin("environment".to_owned()), Invalid::new(wrong, allowed));
        }
    }
}

fn unknown_key(name: &str) -> Invalid {
    let is_path = |key: &&Key| key.may_come_from_file() && name.strip_suffix("_file") == Some(key.name);
    if let Some(key) = KEYS.iter().find(is_path) {
        let allowed = format!("the variable {}{FILE_SUFFIX}", key.variable());
        return Invalid::new("a path to a secret comes from the environment only", allowed);
    }
    let names = KEYS.map(|key| key.name);
    Invalid::new(unknown("there is no such setting", name, &names), names.join(", "))
}

/// Whether this value of this key is one that others must not see.
fn holds_secret(key: &Key, value: &Value) -> bool {
    match (key.secrecy, &value.kind) {
        (Secrecy::Plain, _) => false,
        (Secrecy::Credential | Secrecy::Secret, _) => true,
        // A URL that cannot be read may hold anything.
        (Secrecy::DatabaseUrl, ValueKind::String(text)) => {
            text.parse().map_or(text.contains('@'), |url: DatabaseUrl| url.has_password())
        }
        (Secrecy::DatabaseUrl, _) => false,
    }
}

/// Reads a small text file, with what the file system says about it.
fn read(path: &Path) -> std::io::Result<(String, Metadata)> {
    /// Far beyond any credential or settings file; keeps a wrong path (a device, a database) out of memory.
    const MAX_BYTES: u64 = 1024 * 1024;
    let file = File::open(path)?;
    let metadata = file.metadata()?;
    let mut text = String::new();
    if file.take(MAX_BYTES + 1).read_to_string(&mut text)? as u64 > MAX_BYTES {
        return Err(std::io::Error::other("it is larger than 1 MiB"));
    }
    Ok((text, metadata))
}

fn unreadable(error: std::io::Error) -> Invalid {
    Invalid::new(format!("the file cannot be read: {error}"), "a readable text file")
}

fn parse(text: &str) -> Result<Map<String, Value>, Invalid> {
    config::File::from_str(text, FileFormat::Toml).collect().map_err(|error| {
        let cause = match &error {
            ConfigError::FileParse { cause, .. } => cause.to_string(),
            _ => String::new(),
        };
        Invalid::new(
            format!("is not TOML{}", place_of(&cause)),
            "lines such as `schedule = \"*/15 * * * *\"`",
        )
    })
}

/// Line and column of a parser's message. The rest of it quotes the line, which may hold a secret.
fn place_of(cause: &str) -> String {
    let first = cause.lines().next().unwrap_or_default();
    match first.split_once(" at line ") {
        Some((_, place)) => format!(": look at line {place}"),
        None => String::new(),
    }
}

/// Whether a secret lies open to users whom it does not concern.
pub(super) fn is_exposed(path: &Path, metadata: &Metadata) -> bool {
    /// Where Docker lays the secrets of a container, which has one user; it lets all of them read by default.
    const OF_A_CONTAINER: &str = "/run/secrets";
    is_world_readable(metadata) && !path.starts_with(OF_A_CONTAINER)
}

#[cfg(unix)]
fn is_world_readable(metadata: &Metadata) -> bool {
    use std::os::unix::fs::PermissionsExt;
    /// Permission bit "read" of users who are neither the owner nor in the group.
    const OTHERS_READ: u32 = 0o004;
    metadata.permissions().mode() & OTHERS_READ != 0
}

#[cfg(not(unix))]
fn is_world_readable(_: &Metadata) -> bool {
    false
}
