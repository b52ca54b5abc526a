//! The settings from outside: files, variables and flags go in, settings or messages come out.
//!
//! One table per rule; a canary stands wherever a secret could, and must never be seen again.

mod defaults;
mod secrets;
mod sources;
mod urls;
mod values;

use std::fs;
use std::path::Path;

use tempfile::TempDir;

use super::{Environment, Input, Loaded, Problems, Settings, load};

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
