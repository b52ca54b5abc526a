//! `kitmirror check`: everything that can be wrong, before anything is written.

mod database;
mod rights;

use clap::Args;
use serde::Serialize;

use super::probe::{self, Findings};
use super::{Failed, Global, Outcome};
use crate::config::{Credential, Environment, Settings};
use crate::error::{Error, Kind};
use crate::kit::{Account, KitClient, Meter, Patience};
use crate::model::time::now;
use crate::model::{Time, objects};
use crate::output;
use crate::service;
use crate::store::Store;

/// Kit's clock and ours may differ by this much before it is worth a word.
const CLOCKS_AGREE_WITHIN: chrono::TimeDelta = chrono::TimeDelta::minutes(5);

/// Checks credential, account, limits, database and schema before anything is written.
///
/// Prints one line per point: ok, warning, or failed with what to do about it. Creates and changes nothing;
/// its requests are noted in an existing mirror, so that they count against the limit of the next run.
#[derive(Debug, Args)]
#[command(after_help = "\
Exits with 0 if nothing failed (warnings do not count), else with the code of the first failure:
2 settings, credential or account, 3 database, 4 schema, 5 Kit cannot be reached.

Examples:
  kitmirror check
  kitmirror check --probe                  also find out what Kit's documents leave open; read-only
  kitmirror check --json | jq '.points[] | select(.verdict != \"ok\")'")]
pub struct Check {
    /// Ask Kit, in at most 30 requests that only read, what its documents leave open
    #[arg(long)]
    probe: bool,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

/// How a point turned out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Verdict {
    Ok,
    Warning,
    Failed,
}

/// One thing that was looked at.
#[derive(Debug, Serialize)]
struct Point {
    point: &'static str,
    verdict: Verdict,
    text: String,
    /// What to do about it.
    advice: Option<String>,
    #[serde(skip)]
    exit_code: u8,
}

/// The points so far; for people, each is printed as soon as it is known.
struct Points {
    all: Vec<Point>,
    silent: bool,
}

impl Points {
    fn ok(&mut self, point: &'static str, text: impl Into<String>) {
        self.add(Point { point, verdict: Verdict::Ok, text: text.into(), advice: None, exit_code: 0 });
    }

    fn warning(&mut self, point: &'static str, text: impl Into<String>, advice: impl Into<String>) {
        let advice = Some(advice.into());
        self.add(Point { point, verdict: Verdict::Warning, text: text.into(), advice, exit_code: 0 });
    }

    fn failed(&mut self, point: &'static str, error: &Error) {
        self.failed_with(point, error, error.advice());
    }

    fn failed_with(&mut self, point: &'static str, error: &Error, advice: &str) {
        let exit_code = error.kind().policy().exit_code;
        let (text, advice) = (error.one_line(), Some(advice.to_owned()));
        self.add(Point { point, verdict: Verdict::Failed, text, advice, exit_code });
    }

    fn add(&mut self, point: Point) {
        if !self.silent {
            output::line(format_args!(
                "{}  {:<13}{}",
                painted(point.verdict),
                point.point,
                output::escaped(&point.text)
            ));
            if let Some(advice) = &point.advice {
                output::line(format_args!("{:22}{}", "", output::escaped(advice)));
            }
        }
        self.all.push(point);
    }

    /// The exit code of the first failure.
    fn exit_code(&self) -> u8 {
        self.all.iter().find(|point| point.verdict == Verdict::Failed).map_or(0, |point| point.exit_code)
    }
}

/// A verdict in a column of its own, coloured on a terminal.
fn painted(verdict: Verdict) -> String {
    let (word, colour) = match verdict {
        Verdict::Ok => ("ok     ", 32),
        Verdict::Warning => ("warning", 33),
        Verdict::Failed => ("failed ", 31),
    };
    if output::coloured() { format!("\u{1b}[{colour}m{word}\u{1b}[0m") } else { word.to_owned() }
}

impl Check {
    pub(super) async fn run(self, global: &Global) -> Outcome {
        let mut points = Points { all: Vec::new(), silent: self.json };
        let settings = settings(global, &mut points)?;
        let kit = service::client(&settings)?;
        let store = database::look(&settings, &mut points).await;
        if let Some(store) = &store
            && let Err(error) = service::attach_limiter(&kit, store).await
        {
            points.failed("database", &error);
        }
        let is_let_in = credential(&settings, &kit, store.as_ref(), &mut points).await;
        let findings = match self.probe && is_let_in {
            true => Some(probe::run(&kit).await?),
            false => None,
        };
        if let Err(error) = kit.limiter().settle().await {
            tracing::debug!("Could not write down what was sent: {}", error.one_line());
        }
        if let Some(store) = store {
            store.close().await;
        }
        self.finish(&points, findings.as_ref());
        Ok(points.exit_code())
    }

    fn finish(&self, points: &Points, findings: Option<&Findings>) {
        if self.json {
            output::json(&serde_json::json!({
                "ok": points.exit_code() == 0,
                "points": points.all,
                "probe": findings,
            }));
            return;
        }
        if let Some(findings) = findings {
            findings.print();
        } else if self.probe {
            output::note("Probe skipped: Kit did not accept the credential.");
        }
    }
}

/// Reads the settings. What is wrong with them has been shown when this fails.
fn settings(global: &Global, points: &mut Points) -> Result<Settings, Failed> {
    let environment = Environment::from_process();
    let loaded = global.load(&environment, &objects::names(), true)?;
    global.log_as(Some(loaded.settings.log_level), loaded.settings.log_format);
    points.ok("settings", "complete and valid; `kitmirror config` shows where each comes from");
    for warning in &loaded.warnings {
        points.warning("settings", warning, "It works, but should be changed.");
    }
    Ok(loaded.settings)
}

/// Shows the credential to Kit; whether it was let in. Looks at whatever only its answer can tell.
async fn credential(
    settings: &Settings,
    kit: &KitClient,
    store: Option<&Store>,
    points: &mut Points,
) -> bool {
    let key = settings.credential.as_ref().map_or("", Credential::key);
    let account = match kit.account(Patience::FIRST_CONTACT, &Meter::default()).await {
        Ok(account) => account,
        Err(error) => {
            match (error.kind(), &settings.credential) {
                (Kind::SourceRejectedKey, Some(credential)) => {
                    points.failed_with("credential", &error, mixed_up(credential));
                }
                (kind, _) if kind.policy().exit_code == 3 => points.failed("database", &error),
                _ => points.failed("kit", &error),
            }
            return false;
        }
    };
    points.ok("credential", format!("Kit accepts {key} (API {})", kit.version()));
    let plan = account.plan.as_deref().map_or(String::new(), |plan| format!(", plan {plan}"));
    points.ok("account", format!("{}{plan}", account.shown()));
    if let Some(store) = store {
        mirror_of(kit, store, &account, points).await;
    }
    let ours = now();
    clock(kit.source_clock(), ours, settings.kit_api_url.starts_with("http://"), points);
    points.ok(
        "limit",
        format!(
            "up to {} requests in any minute (requests_per_minute = {})",
            kit.limiter().per_minute(),
            settings.requests_per_minute
        ),
    );
    true
}

/// Whether the mirror belongs to the account the credential opens.
async fn mirror_of(kit: &KitClient, store: &Store, account: &Account, points: &mut Points) {
    let known = match service::refuse_other_account(kit, store, account).await {
        Ok(()) => store.account().await,
        Err(error) => Err(error),
    };
    let version = kit.version().name();
    match known {
        Err(error) => points.failed("mirror", &error),
        Ok(None) => points.ok("mirror", "belongs to no account yet"),
        Ok(Some(known)) => match known.api_version {
            Some(before) if before != version => points.ok(
                "mirror",
                format!("of this account, filled with API {before}: with {version} the next run reads everything once"),
            ),
            _ => points.ok("mirror", "of this account"),
        },
    }
}

/// What is likely when Kit does not know a credential: that it is one of another kind.
fn mixed_up(credential: &Credential) -> &'static str {
    match credential {
        Credential::V3Secret(_) => {
            "kit_api_secret is for API v3 and takes the API Secret, not the API Key shown beside it. A key made for \
             API v4 goes into kit_api_key instead."
        }
        Credential::V4Key(_) => {
            "kit_api_key is for API v4 and takes a key made for v4; the API Secret of v3 goes into kit_api_secret, an \
             OAuth token into kit_access_token. Kit also refuses when the account's trial or plan has lapsed."
        }
        Credential::AccessToken(_) => {
            "kit_access_token takes an OAuth token, which expires after hours or days: get a new one. A key made for \
             API v4 goes into kit_api_key instead."
        }
    }
}

fn clock(source: Option<Time>, ours: Time, is_simulated: bool, points: &mut Points) {
    let Some(source) = source else {
        points.warning(
            "clock",
            "Kit's answers do not tell the time, so the clocks cannot be compared",
            "Something between may take the Date header out; until then keep this machine's clock right.",
        );
        return;
    };
    let ahead = ours - source;
    if ahead.abs() <= CLOCKS_AGREE_WITHIN {
        points.ok("clock", format!("within {} s of Kit's", ahead.abs().num_seconds()));
        return;
    }
    if is_simulated {
        points
            .ok("clock", "not compared: kit_api_url is a simulator on this machine, with a time of its own");
        return;
    }
    let side = if ahead > chrono::TimeDelta::zero() { "ahead of" } else { "behind" };
    points.warning(
        "clock",
        format!("this machine's clock is {} {side} Kit's", output::duration(ahead.abs().num_seconds())),
        "Nothing is lost by it, since passes go by Kit's clock; schedules and the ages in `status` are off. Set it right.",
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    fn points() -> Points {
        Points { all: Vec::new(), silent: true }
    }

    #[test]
    fn the_first_failure_decides_the_exit_code_and_warnings_do_not() {
        let mut points = points();
        points.warning("clock", "late", "set it");
        assert_eq!(points.exit_code(), 0);
        points.failed("database", &Error::new(Kind::DatabaseRefused, "read-only"));
        points.failed("credential", &Error::new(Kind::SourceRejectedKey, "401"));
        assert_eq!(points.exit_code(), 3);
    }

    /// T-01. What a clock that is wrong is first seen by.
    #[test]
    fn clocks_that_differ_by_more_than_five_minutes_are_worth_a_warning() {
        let noon = crate::model::time::parse("2024-05-03T12:00:00Z").unwrap();
        let verdict = |source: Option<Time>| {
            let mut points = points();
            clock(source, noon, false, &mut points);
            points.all.pop().map(|point| (point.verdict, point.text)).unwrap()
        };
        let minutes = chrono::TimeDelta::minutes;
        assert_eq!(verdict(Some(noon + minutes(5))).0, Verdict::Ok);
        assert_eq!(
            verdict(Some(noon - minutes(6))),
            (Verdict::Warning, "this machine's clock is 6 min ahead of Kit's".to_owned())
        );
        assert_eq!(verdict(Some(noon + minutes(70))).1, "this machine's clock is 1 h 10 min behind Kit's");
        assert_eq!(verdict(None).0, Verdict::Warning);
    }
}
