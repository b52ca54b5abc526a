//! The list of keys: names, defaults, and through which doors a value may enter.
//!
//! How a value is read is in `settings`; the sources, the "did you mean" and `explain` walk this list.

/// Prefix of our environment variables.
pub(super) const PREFIX: &str = "KITMIRROR_";

/// Suffix of a variable that names a file holding the value.
pub(super) const FILE_SUFFIX: &str = "_FILE";

/// One key of the settings.
pub(super) struct Key {
    pub(super) name: &'static str,
    /// The default as it would be written in the environment. Keys whose default depends on other keys, or
    /// which are simply off, have none here.
    pub(super) default: Option<&'static str>,
    pub(super) secrecy: Secrecy,
    /// A variable that many people have set already; ours wins over it.
    pub(super) borrowed: Option<&'static str>,
}

/// What a value may reveal, hence where it may come from.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Secrecy {
    /// May come from anywhere and be shown.
    Plain,
    /// From anywhere but the command line, which every user of the machine can read.
    Credential,
    /// No credential for Kit, and as secret as one.
    Secret,
    /// May hold a password: with one it follows the rules of a credential.
    DatabaseUrl,
}

impl Key {
    const fn plain(name: &'static str, default: Option<&'static str>) -> Self {
        Key { name, default, secrecy: Secrecy::Plain, borrowed: None }
    }

    const fn credential(name: &'static str, borrowed: Option<&'static str>) -> Self {
        Key { name, default: None, secrecy: Secrecy::Credential, borrowed }
    }

    /// Our environment variable for this key.
    pub(super) fn variable(&self) -> String {
        format!("{PREFIX}{}", self.name.to_uppercase())
    }

    /// Whether `<variable>_FILE` is read for this key.
    pub(super) fn may_come_from_file(&self) -> bool {
        match self.secrecy {
            Secrecy::Plain => false,
            Secrecy::Credential | Secrecy::Secret | Secrecy::DatabaseUrl => true,
        }
    }
}

/// Every key, in the order of the documentation.
pub(super) const KEYS: [Key; 20] = [
    Key::credential("kit_api_secret", Some("KIT_API_SECRET")),
    Key::credential("kit_api_key", Some("KIT_API_KEY")),
    Key::credential("kit_access_token", None),
    Key::plain("kit_api_url", None),
    Key::plain("requests_per_minute", None),
    Key {
        name: "database_url",
        default: Some("sqlite://kitmirror.db"),
        secrecy: Secrecy::DatabaseUrl,
        borrowed: Some("DATABASE_URL"),
    },
    Key::plain("database_schema", None),
    Key::plain("objects", None),
    Key::plain("schedule", Some("*/15 * * * *")),
    Key::plain("reconcile_schedule", None),
    Key::plain("object_schedules", None),
    Key::plain("timezone", Some("UTC")),
    Key::plain("overlap", Some("24h")),
    Key::plain("visibility_lag", Some("10m")),
    Key::plain("member_recheck", Some("24h")),
    Key::plain("listen", Some("127.0.0.1:9420")),
    Key { name: "heartbeat_url", default: None, secrecy: Secrecy::Secret, borrowed: None },
    Key::plain("purge_after", Some("30d")),
    Key::plain("log_level", Some("info")),
    Key::plain("log_format", Some("text")),
];
