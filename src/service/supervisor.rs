//! The service from its start to its stop: it opens a session, keeps the schedules for as long as the lease is its own,
//! and makes good what keeps it from doing so.
//!
//! ```text
//!           ┌──────────────────── open: settings, database, lease, account ◄───────────────────┐
//!           │            │                  │               │                 │                │
//!           ▼            ▼                  ▼               ▼                 ▼                │
//!        Working   WaitingForDatabase   WaitingForKit    Standby           Paused              │
//!        (a term)  until it answers     until it does    until the lease   until the           │
//!           │            │                  │            is free           credential changes  │
//!           └────────────┴──────────────────┴───────────────┴─────────────────┴────────────────┘
//! ```
//!
//! Which error leads where is in `remedy`. Every wait ends at once when a stop is asked for, and when the settings are
//! to be read again.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;

use super::pulse::{Phase, Pulse};
use super::remedy::{BackOff, Remedy};
use super::roster::Roster;
use super::session::{Session, place};
use super::standby::stand_by;
use super::term::{Ended, Term};
use super::ticks::Ticks;
use super::watchdog::Watchdog;
use crate::config::{Credential, Settings};
use crate::error::{Error, Kind, Result};
use crate::model::time::now;
use crate::replication::{Observer, Stop};

/// How often a refused credential is compared with the one the settings hold now.
const CREDENTIAL_LOOKED_AT_EVERY: Duration = Duration::from_secs(2);
/// How often a refused credential is tried again all the same.
const CREDENTIAL_TRIED_EVERY: Duration = Duration::from_secs(15 * 60);
/// The longest wait for a Kit that does not say whose account it is.
const LONGEST_WAIT_FOR_KIT: Duration = Duration::from_secs(5 * 60);

/// Reads the settings again, from wherever they came; says what is wrong with them where something is.
pub type ReadSettings = Box<dyn Fn() -> Result<Settings, String> + Send + Sync>;

/// The service, about to run.
pub struct Service {
    /// The settings to begin with.
    pub settings: Settings,
    /// How to read them again, secret files included.
    pub read_settings: ReadSettings,
    /// Asks for it.
    pub reload: Arc<Notify>,
    /// Where it tells what it is doing.
    pub pulse: Pulse,
    /// Who listens to its runs.
    pub observer: Arc<dyn Observer>,
    /// Asks it to stop.
    pub stop: Stop,
}

/// How a wait ended.
#[derive(Debug, PartialEq, Eq)]
enum Woken {
    ByTime,
    ForReload,
    ToStop,
}

/// What keeps the service from working: told once, and again when it becomes something else.
#[derive(Default)]
struct Trouble {
    told: Option<Kind>,
    waits: BackOff,
}

impl Trouble {
    /// Whether this is the first time in a row.
    fn is_news(&mut self, error: &Error) -> bool {
        if self.told == Some(error.kind()) {
            tracing::debug!("Still not: {}", error.one_line());
            return false;
        }
        *self = Trouble { told: Some(error.kind()), waits: BackOff::default() };
        true
    }
}

impl Service {
    /// Runs until it is asked to stop.
    ///
    /// # Errors
    /// What waiting does not help against: settings that are wrong from the beginning, tables that are not what they
    /// should be, a mistake of ours.
    pub async fn run(mut self) -> Result<()> {
        let ticks = Ticks::start().await?;
        let watchdog = Arc::new(Watchdog::before(Arc::clone(&self.observer)));
        self.observer = Arc::<Watchdog>::clone(&watchdog);
        let ended = tokio::select! {
            ended = self.phases(&ticks, &watchdog) => ended,
            () = watchdog.watch() => Ok(()),
        };
        self.pulse.enter(Phase::Stopping);
        ticks.stop().await;
        ended
    }

    async fn phases(&mut self, ticks: &Ticks, watchdog: &Watchdog) -> Result<()> {
        let mut trouble = Trouble::default();
        let mut worked = false;
        loop {
            Roster::new(&self.settings, &BTreeMap::new(), now()).announce(&self.pulse);
            let over = self.stop.within();
            let ended = match Session::open(&self.settings, &over).await {
                Ok(session) => {
                    if trouble.told.take().is_some() {
                        tracing::info!("All is well again");
                    }
                    trouble = Trouble::default();
                    worked = true;
                    greet(&session, &self.settings);
                    let (settings, pulse, observer) = (&self.settings, &self.pulse, &self.observer);
                    let term =
                        Term { settings, pulse, observer, reload: &self.reload, stop: &self.stop, over };
                    let ended = term.serve(session, ticks).await;
                    watchdog.all_ended();
                    ended
                }
                Err(error) => Ended::Because(error),
            };
            if self.stop.is_requested() {
                return Ok(());
            }
            let woken = match ended {
                Ended::Stopped => Woken::ToStop,
                Ended::Reload => Woken::ForReload,
                Ended::Because(error) => self.make_good(error, worked, &mut trouble).await?,
            };
            match woken {
                Woken::ToStop => return Ok(()),
                Woken::ForReload => self.reload(),
                Woken::ByTime => {}
            }
        }
    }

    /// Waits for what the error says is missing, or gives it back where there is nothing to wait for.
    async fn make_good(&mut self, error: Error, worked: bool, trouble: &mut Trouble) -> Result<Woken> {
        match Remedy::of(error.kind(), worked) {
            Remedy::End => Err(error),
            Remedy::StandBy => Ok(self.stand_by().await),
            Remedy::Pause => Ok(self.pause(&error, trouble).await),
            Remedy::AskDatabase(longest) => {
                self.pulse.enter(Phase::WaitingForDatabase { error: error.one_line() });
                if trouble.is_news(&error) {
                    match error.kind() {
                        Kind::DatabaseRefused => tracing::error!(
                            "{}. {} It is asked again, at least once a minute.",
                            error.one_line(),
                            error.advice()
                        ),
                        _ => tracing::warn!("{}; waiting until the database answers", error.one_line()),
                    }
                }
                let woken = self.wait(trouble.waits.next(longest)).await;
                if woken == Woken::ByTime && error.kind() == Kind::DatabaseRefused {
                    // A password that was replaced in its file.
                    self.refresh();
                }
                Ok(woken)
            }
            Remedy::AskKit => {
                self.pulse.enter(Phase::WaitingForKit { error: error.one_line() });
                if trouble.is_news(&error) {
                    tracing::warn!("{}; waiting until Kit answers", error.one_line());
                }
                Ok(self.wait(trouble.waits.next(LONGEST_WAIT_FOR_KIT)).await)
            }
        }
    }

    async fn wait(&self, time: Duration) -> Woken {
        tokio::select! {
            biased;
            () = self.stop.requested() => Woken::ToStop,
            () = self.reload.notified() => Woken::ForReload,
            () = tokio::time::sleep(time) => Woken::ByTime,
        }
    }

    /// Until the lease is free. What goes wrong meanwhile, opening will meet as well, and tell.
    async fn stand_by(&self) -> Woken {
        let mut told = None;
        let told = |holder: &crate::store::Holder| {
            if told.as_ref() != Some(&holder.owner) {
                tracing::info!(
                    lease.owner = %holder.owner,
                    "Standing by: another kitmirror ({}) has been writing to this mirror since {}; this one takes \
                     over when that one is gone",
                    holder.shown(),
                    holder.since
                );
                self.pulse.enter(Phase::Standby { holder: holder.shown() });
                told = Some(holder.owner.clone());
            }
        };
        self.pulse.enter(Phase::Starting);
        let standing = async {
            match place(&self.settings) {
                Ok(place) => stand_by(&place, &self.stop, told).await,
                Err(error) => Err(error),
            }
        };
        tokio::select! {
            biased;
            () = self.stop.requested() => Woken::ToStop,
            () = self.reload.notified() => Woken::ForReload,
            stood = standing => {
                if let Err(error) = stood {
                    tracing::debug!("Standing by: {}", error.one_line());
                }
                Woken::ByTime
            }
        }
    }

    /// Until the settings hold another credential than the refused one, or it is time to try that one again.
    async fn pause(&mut self, error: &Error, trouble: &mut Trouble) -> Woken {
        if self.has_another_credential() {
            return Woken::ByTime;
        }
        self.pulse.enter(Phase::Paused { error: error.one_line(), advice: error.advice().to_owned() });
        if trouble.is_news(error) {
            tracing::error!(
                "{}. {} Paused: going on as soon as the settings or the secret's file hold another credential; \
                 this one is tried again every 15 minutes.",
                error.one_line(),
                error.advice()
            );
        }
        let tried_again = tokio::time::Instant::now() + CREDENTIAL_TRIED_EVERY;
        while tokio::time::Instant::now() < tried_again {
            match self.wait(CREDENTIAL_LOOKED_AT_EVERY).await {
                Woken::ByTime if self.has_another_credential() => return Woken::ByTime,
                Woken::ByTime => {}
                woken => return woken,
            }
        }
        Woken::ByTime
    }

    /// Takes the settings over as they are now, and tells whether they hold another credential.
    fn has_another_credential(&mut self) -> bool {
        let refused = self.settings.credential.clone();
        self.refresh();
        let is_another = !is_same(&refused, &self.settings.credential);
        if is_another {
            tracing::info!("There is another credential; trying it");
        }
        is_another
    }

    /// Reads the settings again, if they can be read: a file may be in the middle of being replaced.
    fn refresh(&mut self) {
        match (self.read_settings)() {
            Ok(settings) => self.settings = settings,
            Err(problems) => tracing::debug!("Could not read the settings: {problems}"),
        }
    }

    /// Reads the settings again because somebody asked for it.
    fn reload(&mut self) {
        match (self.read_settings)() {
            Ok(settings) => {
                tracing::info!("Read the settings again");
                self.settings = settings;
            }
            Err(problems) => {
                tracing::error!("The settings stay as they were, since the new ones are wrong: {problems}");
            }
        }
    }
}

fn greet(session: &Session, settings: &Settings) {
    if let Some(last) = session.migrated.last() {
        tracing::info!("Brought the tables to {last}");
    }
    session.announce();
    let (schedule, zone) = (&settings.schedule, settings.timezone);
    match &settings.reconcile_schedule {
        Some(whole) => {
            tracing::info!("Reading what is new at `{schedule}`, everything at `{whole}`, times in {zone}")
        }
        None => tracing::info!(
            "Reading what is new at `{schedule}`, times in {zone}. Nothing is read again (reconcile_schedule = never), so \
             deletions at Kit will not be noticed"
        ),
    }
}

fn is_same(one: &Option<Credential>, other: &Option<Credential>) -> bool {
    let text = |credential: &Option<Credential>| {
        credential.as_ref().map(|credential| (credential.key(), credential.secret().expose().to_owned()))
    };
    text(one) == text(other)
}
