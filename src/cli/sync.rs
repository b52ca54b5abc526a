//! `kitmirror sync`: one run, then exit.

use clap::Args;
use std::fmt;

use super::progress::Progress;
use super::signals::Signals;
use super::{Global, INCOMPLETE, Outcome};
use crate::config::Settings;
use crate::error::{Error, Kind, Result};
use crate::model::objects;
use crate::output;
use crate::replication::{Report, Request, Stop, Whole};
use crate::service::{Session, place, stand_by};

/// Brings the mirror up to date, once.
///
/// The first run loads everything; later ones read what is new since. An interrupted run resumes where
/// it stopped. Tables are created and upgraded as needed.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  kitmirror sync                           what is new since the last run
  kitmirror sync --full                    read everything again; resumes one that was cut short
  kitmirror sync --reconcile               the same, and mark what was deleted at Kit
  kitmirror sync --object tags --object tag_subscriptions
  kitmirror sync --json | jq .total        for scripts")]
pub struct Sync {
    /// Read everything again, not only what is new
    #[arg(long)]
    full: bool,
    /// Read everything again, and mark rows that were deleted at Kit by setting their `_deleted_at`
    #[arg(long)]
    reconcile: bool,
    /// With --reconcile: mark them even if that is more than 50 rows and 1 % of a list, or in doubt
    #[arg(long, requires = "reconcile")]
    accept_deletions: bool,
    /// Only this object (and the list its parents are in); may be given more than once
    #[arg(long = "object", value_name = "NAME", value_parser = object_name)]
    objects: Vec<String>,
    /// Wait until no other kitmirror writes to the mirror, instead of exiting with code 75
    ///
    /// `kitmirror run` writes until it is stopped.
    #[arg(long)]
    wait: bool,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

/// Reads the name of an object, in either spelling.
pub(super) fn object_name(text: &str) -> Result<String, String> {
    let snake: String = text.chars().enumerate().fold(String::new(), |mut name, (at, c)| {
        if c.is_ascii_uppercase() && at > 0 {
            name.push('_');
        }
        name.push(c.to_ascii_lowercase());
        name
    });
    match objects::named(&snake) {
        Some(object) => Ok(object.name.to_owned()),
        None => Err(format!("there is no such object; the ten are {}", objects::names().join(", "))),
    }
}

/// What `--full` and `--reconcile` ask for; the latter is more.
pub(super) fn whole(full: bool, reconcile: bool) -> Option<Whole> {
    match (reconcile, full) {
        (true, _) => Some(Whole::Reconcile),
        (false, true) => Some(Whole::Load),
        (false, false) => None,
    }
}

impl Sync {
    pub(super) async fn run(self, global: &Global) -> Outcome {
        let loaded = global.settings(true)?;
        let settings = loaded.settings;
        let wanted = if self.objects.is_empty() { settings.objects.clone() } else { self.objects.clone() };
        let request = Request {
            objects: objects::needed_for(&wanted),
            whole: whole(self.full, self.reconcile),
            accept_deletions: self.accept_deletions,
        };
        let signals = Signals::listen();
        let progress = Progress::new(global.quiet);
        // Its own: that the lease was lost is no signal.
        let stop = signals.stop.within();
        let session = match self.open(&settings, &stop).await {
            Err(error) if error.kind() == Kind::Stopped => {
                output::note("Stopped before anything was read. Run it again.");
                return Ok(signals.code());
            }
            session => session?,
        };
        for step in &session.migrated {
            tracing::debug!("Applied the migration {step}");
        }
        session.announce();
        let report = tokio::select! {
            biased;
            report = session.replicate(&request, &progress, &stop) => Some(report),
            () = signals.overdue() => None,
        };
        progress.finish();
        let Some(report) = report else {
            session.abandon();
            if self.json {
                self.show(&Report { stopped: true, ..Report::default() });
            }
            output::note(
                "Stopped, without waiting for what was still under way. Nothing is lost: `kitmirror sync` resumes where it \
                 stopped.",
            );
            return Ok(signals.code());
        };
        tokio::select! {
            biased;
            () = session.close() => {}
            () = signals.overdue() => {}
        }
        let code = exit_code(&report, signals.code());
        self.show(&report);
        if let Some(error) = &report.ended_by {
            output::error(error);
        } else if report.stopped {
            output::note("Stopped before everything was read. `kitmirror sync` resumes where it stopped.");
        }
        Ok(code)
    }

    /// A session; with `--wait`, once nobody else writes to the mirror.
    async fn open(&self, settings: &Settings, stop: &Stop) -> Result<Session> {
        let mut told = false;
        loop {
            match Session::open(settings, stop).await {
                Err(error) if error.kind() == Kind::LeaseHeld && self.wait => {
                    if !std::mem::replace(&mut told, true) {
                        tracing::info!("Waiting: {}", error.one_line());
                    }
                    stand_by(&place(settings)?, stop, |_| ()).await?;
                    if stop.is_requested() {
                        return Err(Error::new(Kind::Stopped, "stopped while another kitmirror was writing"));
                    }
                }
                opened => return opened,
            }
        }
    }

    fn show(&self, report: &Report) {
        if self.json {
            output::json(&serde_json::json!({
                "complete": report.is_complete(),
                "objects": report.objects,
                "total": report.total(),
                "error": report.ended_by.as_ref().map(Error::one_line),
            }));
            return;
        }
        output::line(table(report));
        let total = report.total();
        output::line(format_args!(
            "\n{} rows read, {} new, {} changed, {} gone, with {} requests.{}",
            output::grouped(total.rows_read as i64),
            output::grouped(total.rows_inserted as i64),
            output::grouped(total.rows_updated as i64),
            output::grouped(total.rows_deleted as i64),
            output::grouped(total.requests as i64),
            if report.is_complete() { " The mirror is complete." } else { " The mirror is NOT complete." }
        ));
        if total.rows_quarantined > 0 {
            output::note(format_args!(
                "{} records could not be stored, or not wholly; they are in the table sync_quarantine with the reasons.",
                total.rows_quarantined
            ));
        }
        // What ended the run is told last, by itself.
        let told_last = report.ended_by.as_ref().map(Error::one_line);
        for one in &report.objects {
            if let (Some(error), Some(advice)) = (&one.error, one.advice)
                && one.error != told_last
            {
                output::note(format_args!("{}\n  {advice}", output::escaped(error)));
            }
        }
    }
}

/// One line per object, for people.
fn table(report: &Report) -> impl fmt::Display {
    let rows: Vec<Vec<String>> = report
        .objects
        .iter()
        .map(|one| {
            vec![
                one.object.to_owned(),
                one.mode.name().to_owned(),
                one.outcome.name().to_owned(),
                output::grouped(one.counts.rows_read as i64),
                output::grouped(one.counts.rows_inserted as i64),
                output::grouped(one.counts.rows_updated as i64),
                output::grouped(one.counts.rows_deleted as i64),
                output::grouped(one.counts.rows_quarantined as i64),
                output::grouped(one.counts.requests as i64),
                format!("{:.1} s", one.duration_ms as f64 / 1000.0),
            ]
        })
        .collect();
    let header =
        ["object", "mode", "outcome", "read", "new", "changed", "gone", "quarantined", "requests", "time"];
    output::table(&header, rows, &[3, 4, 5, 6, 7, 8, 9])
}

/// The exit code of a run: what ended it, else a signal, else whether everything is there.
pub(super) fn exit_code(report: &Report, signal: u8) -> u8 {
    match &report.ended_by {
        Some(error) if error.kind() != Kind::Stopped => error.kind().policy().exit_code,
        _ if report.stopped && signal > 0 => signal,
        _ if report.is_complete() => 0,
        _ => INCOMPLETE,
    }
}
