//! The typed settings: one reader per key, and the rules between keys.
//!
//! Each value is read by itself, so that one pass finds every problem; deserialising the whole would stop at
//! the first, and its messages repeat the value.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use chrono_tz::Tz;
use config::Value;

use super::cron::Cron;
use super::database_url::{DatabaseUrl, Engine};
use super::keys::{KEYS, Secrecy};
use super::kit_url::{KitUrl, V3_DEFAULT, V4_DEFAULT, Version};
use super::problem::{Invalid, Problem};
use super::secret::{self, Credential, Secret};
use super::sources::{Gathered, Input};
use super::values::{
    FORMATS, LEVELS, NEVER, OFF, address, heartbeat, integer, object_schedules, objects, one_of, overlap,
    purge_after, schema_name, text, timezone, unless, up_to_a_day,
};
use super::{LogFormat, LogLevel};

/// Every setting, checked. One field per key of the documentation.
#[derive(Clone, Debug)]
pub struct Settings {
    /// None only for commands that do not speak to Kit.
    pub credential: Option<Credential>,
    /// The API's base URL with its version segment and without a slash at the end.
    pub kit_api_url: String,
    /// Requests allowed in any rolling 60 s.
    pub requests_per_minute: u32,
    /// Where the mirror lives.
    pub database_url: DatabaseUrl,
    /// The Postgres schema that holds the tables; none leaves it to the search path.
    pub database_schema: Option<String>,
    /// Which objects are replicated, in the order of running.
    pub objects: Vec<String>,
    /// When the incremental passes are due.
    pub schedule: Cron,
    /// When the reconcile is due; none means never.
    pub reconcile_schedule: Option<Cron>,
    /// When single objects are due, instead of `schedule`.
    pub object_schedules: BTreeMap<String, Cron>,
    /// The time zone the schedules are meant in.
    pub timezone: Tz,
    /// How far behind the watermark an incremental pass begins.
    pub overlap: Duration,
    /// For how long Kit's lists may not show a row that is there.
    pub visibility_lag: Duration,
    /// How long a list of members whose count at Kit does not move may be left unread.
    pub member_recheck: Duration,
    /// Where the status server listens; none means it is off.
    pub listen: Option<SocketAddr>,
    /// What is called after each complete cycle of the service; none means nothing. Often a secret by itself.
    pub heartbeat_url: Option<Secret>,
    /// How long a deleted person's row stays as a tombstone; none means for ever.
    pub purge_after: Option<Duration>,
    /// The least important event that is logged.
    pub log_level: LogLevel,
    /// How log lines are written.
    pub log_format: LogFormat,
}

/// Kit's limit for an API key or secret, in requests per rolling 60 s.
const KEY_LIMIT: u32 = 120;
/// Kit's limit for an OAuth token.
const TOKEN_LIMIT: u32 = 600;
/// A simulator on this machine has no limit to keep; 167 requests a millisecond are more than one answers.
const LOOPBACK_LIMIT: u32 = 10_000_000;

/// The weekly reconcile of v3, whose full passes cost twenty times the requests of v4.
const V3_RECONCILE: &str = "30 3 * * 0";
const V4_RECONCILE: &str = "30 3 * * *";

/// Reads and checks all values. Where there are no settings, at least one problem says why.
pub(super) fn check(gathered: &Gathered, input: &Input<'_>) -> (Option<Settings>, Vec<Problem>) {
    let mut reader = Reader { gathered, problems: Vec::new() };
    let settings = reader.settings(input);
    (settings, reader.problems)
}

struct Reader<'a> {
    gathered: &'a Gathered,
    problems: Vec<Problem>,
}

impl Reader<'_> {
    fn settings(&mut self, input: &Input<'_>) -> Option<Settings> {
        let known = input.known_objects;
        let credential = self.credential(input.needs_credential);
        let (kit_api_url, version, loopback) = self.kit_api_url(credential.as_ref());
        let requests_per_minute = self.requests_per_minute(credential.as_ref(), loopback);
        let database_url = self.read("database_url", |value| text(value)?.parse::<DatabaseUrl>());
        let database_schema = self.database_schema(database_url.as_ref());
        let objects = self.read("objects", |value| objects(value, known));
        let schedule = self.read("schedule", |value| Cron::parse(text(value)?));
        let reconcile_schedule =
            self.read("reconcile_schedule", |value| unless(NEVER, text(value)?, Cron::parse));
        let object_schedules = self.read("object_schedules", |value| object_schedules(value, known));
        let timezone = self.read("timezone", |value| timezone(text(value)?));
        let overlap = self.read("overlap", |value| overlap(text(value)?));
        let visibility_lag = self.read("visibility_lag", |value| up_to_a_day(text(value)?));
        let member_recheck = self.read("member_recheck", |value| up_to_a_day(text(value)?));
        let listen = self.read("listen", |value| unless(OFF, text(value)?, address));
        let heartbeat_url = self.read("heartbeat_url", |value| heartbeat(text(value)?));
        let purge_after = self.read("purge_after", |value| unless(NEVER, text(value)?, purge_after));
        let log_level = self.read("log_level", |value| one_of(value, &LEVELS));
        let log_format = self.read("log_format", |value| one_of(value, &FORMATS));

        Some(Settings {
            credential,
            kit_api_url,
            requests_per_minute,
            database_url: database_url?,
            database_schema,
            objects: objects.unwrap_or_else(|| known.iter().map(|&name| name.to_owned()).collect()),
            schedule: schedule?,
            reconcile_schedule: match reconcile_schedule {
                Some(schedule) => schedule,
                None => Cron::parse(default_reconcile(version)).ok(),
            },
            object_schedules: object_schedules.unwrap_or_default(),
            timezone: timezone?,
            overlap: overlap?,
            visibility_lag: visibility_lag?,
            member_recheck: member_recheck?,
            listen: listen?,
            heartbeat_url,
            purge_after: purge_after?,
            log_level: log_level?,
            log_format: log_format?,
        })
    }

    /// The value of a key; none if it has none, or one that is wrong, which is then noted.
    fn read<T, E: Into<Vec<Invalid>>>(
        &mut self,
        key: &'static str,
        parse: impl FnOnce(&Value) -> Result<T, E>,
    ) -> Option<T> {
        match parse(self.gathered.get(key)?) {
            Ok(value) => Some(value),
            Err(invalid) => {
                for invalid in invalid.into() {
                    self.problem(key, invalid);
                }
                None
            }
        }
    }

    fn problem(&mut self, key: &'static str, invalid: Invalid) {
        self.problems.push(Problem::new(key, Some(self.gathered.origin(key)), invalid));
    }

    fn is_set(&self, key: &str) -> bool {
        self.gathered.get(key).is_some()
    }

    fn credential(&mut self, needed: bool) -> Option<Credential> {
        let secret =
            self.read("kit_api_secret", |value| secret::parse(text(value)?)).map(Credential::V3Secret);
        let key = self.read("kit_api_key", |value| secret::parse(text(value)?)).map(Credential::V4Key);
        let token =
            self.read("kit_access_token", |value| secret::parse(text(value)?)).map(Credential::AccessToken);

        let names = || KEYS.iter().filter(|key| key.secrecy == Secrecy::Credential).map(|key| key.name);
        let given: Vec<&str> = names().filter(|name| self.is_set(name)).collect();
        match given.as_slice() {
            [_] => return secret.or(key).or(token),
            [] if needed && !names().any(|name| self.gathered.is_out_of_reach(name)) => {
                let invalid = Invalid::new(
                    "there is no credential for Kit",
                    "one of KIT_API_KEY (v4; in Kit: Settings → Developer → API keys), KITMIRROR_KIT_ACCESS_TOKEN (v4, \
                     OAuth) and KIT_API_SECRET (v3); each may end in _FILE and name a file, or stand in the settings \
                     file. Without an account, `kitmirror demo` shows what it does",
                );
                self.problems.push(Problem::new("kit_api_key", None, invalid));
            }
            [] => {}
            several => {
                let places: Vec<String> = several
                    .iter()
                    .map(|name| format!("{name} from {}", self.gathered.origin(name)))
                    .collect();
                let invalid = Invalid::new(
                    format!("there is more than one credential: {}", places.join(", ")),
                    "exactly one; it decides the API version",
                );
                self.problems.push(Problem::new(several.join(", "), None, invalid));
            }
        }
        None
    }

    /// The base URL, its version, and whether it is this machine. With a wrong one, the later checks are spared.
    fn kit_api_url(&mut self, credential: Option<&Credential>) -> (String, Version, bool) {
        let wanted = credential.map(|credential| match credential {
            Credential::V3Secret(_) => Version::V3,
            Credential::V4Key(_) | Credential::AccessToken(_) => Version::V4,
        });
        let version = wanted.unwrap_or(Version::V4);
        let default = match version {
            Version::V3 => V3_DEFAULT,
            Version::V4 => V4_DEFAULT,
        };
        if !self.is_set("kit_api_url") {
            return (default.to_owned(), version, false);
        }
        let fits = |url: KitUrl| match credential {
            Some(credential) if Some(url.version) != wanted => Err(Invalid::new(
                format!("is of another API version than {}", credential.key()),
                format!("a URL that ends with /{}", default.rsplit('/').next().unwrap_or_default()),
            )),
            _ => Ok(url),
        };
        match self.read("kit_api_url", |value| KitUrl::parse(text(value)?).and_then(fits)) {
            Some(url) => (url.text, url.version, url.loopback),
            None => (default.to_owned(), version, true),
        }
    }

    fn requests_per_minute(&mut self, credential: Option<&Credential>, loopback: bool) -> u32 {
        let (default, limit) = match credential {
            Some(Credential::V3Secret(_) | Credential::V4Key(_)) => (KEY_LIMIT, KEY_LIMIT),
            Some(Credential::AccessToken(_)) => (TOKEN_LIMIT, TOKEN_LIMIT),
            None => (KEY_LIMIT, TOKEN_LIMIT),
        };
        let limit = if loopback { LOOPBACK_LIMIT } else { limit };
        let in_range = |number: i64| {
            let fitting = u32::try_from(number).ok().filter(|number| (1..=limit).contains(number));
            fitting.ok_or_else(|| {
                Invalid::value(
                    &number.to_string(),
                    "is out of range",
                    format!("1 to {limit}; Kit allows {KEY_LIMIT} with a key or secret, {TOKEN_LIMIT} with a token"),
                )
            })
        };
        self.read("requests_per_minute", |value| integer(value).and_then(in_range)).unwrap_or(default)
    }

    fn database_schema(&mut self, database: Option<&DatabaseUrl>) -> Option<String> {
        self.read("database_schema", |value| {
            let name = schema_name(text(value)?)?;
            match database.map(DatabaseUrl::engine) {
                None | Some(Engine::Postgres) => Ok(name),
                Some(Engine::Mysql) => Err("the database named in database_url"),
                Some(Engine::Sqlite) => Err("the file named in database_url"),
            }
            .map_err(|instead| {
                Invalid::new("is for Postgres only", format!("nothing; the tables go to {instead}"))
            })
        })
    }
}

fn default_reconcile(version: Version) -> &'static str {
    match version {
        Version::V3 => V3_RECONCILE,
        Version::V4 => V4_RECONCILE,
    }
}

impl Settings {
    /// The value of a key as it may be shown to anybody.
    pub(super) fn shown(&self, key: &str) -> String {
        let or = |value: Option<String>, word: &str| value.unwrap_or_else(|| word.to_owned());
        // In hours up to three days, as the documents write them.
        let duration = |value: Duration| match value.as_secs() {
            seconds @ 1..=259_200 if seconds % 3_600 == 0 => format!("{}h", seconds / 3_600),
            _ => humantime::format_duration(value).to_string(),
        };
        match key {
            "kit_api_url" => self.kit_api_url.clone(),
            "requests_per_minute" => self.requests_per_minute.to_string(),
            "database_url" => self.database_url.to_string(),
            "database_schema" => or(self.database_schema.clone(), NOT_SET),
            "objects" => self.objects.join(", "),
            "schedule" => self.schedule.to_string(),
            "reconcile_schedule" => or(self.reconcile_schedule.as_ref().map(Cron::to_string), NEVER),
            "object_schedules" => {
                let entries: Vec<String> =
                    self.object_schedules.iter().map(|(name, entry)| format!("{name}={entry}")).collect();
                or(Some(entries.join("; ")).filter(|entries| !entries.is_empty()), NOT_SET)
            }
            "timezone" => self.timezone.name().to_owned(),
            "overlap" => duration(self.overlap),
            "visibility_lag" => duration(self.visibility_lag),
            "member_recheck" => duration(self.member_recheck),
            "listen" => or(self.listen.map(|address| address.to_string()), OFF),
            "heartbeat_url" => or(self.heartbeat_url.as_ref().map(Secret::to_string), NOT_SET),
            "purge_after" => or(self.purge_after.map(duration), NEVER),
            "log_level" => self.log_level.to_string(),
            "log_format" => self.log_format.to_string(),
            credential => {
                let secret: Option<&Secret> = self
                    .credential
                    .as_ref()
                    .filter(|given| given.key() == credential)
                    .map(Credential::secret);
                or(secret.map(Secret::to_string), NOT_SET)
            }
        }
    }
}

/// What is shown for a key without a value.
const NOT_SET: &str = "not set";
