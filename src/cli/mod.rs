//! The command line: one file per command. Arguments and settings in, exit code out.

mod check;
mod completions;
mod config;
mod demo;
mod forget;
mod migrate;
mod plan;
mod probe;
mod progress;
mod run;
mod schema;
mod signals;
mod simulate;
mod status;
mod sync;
mod verify;

use clap::{Args, Parser, Subcommand};
use std::backtrace::{Backtrace, BacktraceStatus};
use std::collections::BTreeMap;
use std::panic::PanicHookInfo;
use std::path::PathBuf;
use std::process::ExitCode;
use tokio::runtime::Builder;

use crate::config::{Environment, Input, Loaded, LogFormat, LogLevel, load};
use crate::error::{Error, Kind, Result};
use crate::model::objects;
use crate::service::{ReadSettings, place_of_a_panic};
use crate::{output, telemetry};

/// A faithful, fresh, queryable copy of a Kit (ConvertKit) account in a SQL database you control.
#[derive(Debug, Parser)]
#[command(name = "kitmirror", version, propagate_version = true, max_term_width = 100, after_help = EXAMPLES)]
struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "\
Examples:
  kitmirror demo                                   see it work, without a key
  KIT_API_KEY=… kitmirror check                    check everything first (writes nothing)
  KIT_API_KEY=… kitmirror sync --full              load everything into ./kitmirror.db
  KIT_API_KEY=… kitmirror sync                     bring it up to date
  KIT_API_KEY=… kitmirror run                      keep it up to date, every 15 minutes
  kitmirror status                                 what is in the mirror, and how fresh it is

Settings come from flags, then the environment (KITMIRROR_DATABASE_URL, KIT_API_KEY, …), then
config/kitmirror.toml. `kitmirror config` shows them all and where each came from.

Exit codes: 0 complete, 1 internal error, 2 wrong settings or credential, 3 database unreachable or
refusing, 4 schema is not what it should be, 5 finished but incomplete, 6 verify found differences,
75 another kitmirror holds the lease, 130/143 stopped by a signal.";

/// What every command understands.
#[derive(Debug, Args)]
#[command(next_help_heading = "Global options")]
struct Global {
    /// Settings file [default: ./config/kitmirror.toml, if there is one]
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Where the mirror is: sqlite://FILE, or a server without a password in the URL
    #[arg(long, global = true, value_name = "URL")]
    database_url: Option<String>,
    /// Any other setting, for example `--set requests_per_minute=60`; no secrets
    #[arg(long, global = true, value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// Log more: -v for debug, -vv for trace
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    verbose: u8,
    /// Log errors only, and show no progress
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    quiet: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Mirror a simulated account into ./kitmirror-demo.db and show what an analyst would ask it
    Demo(demo::Demo),
    /// Check credential, account, limits, database and schema before anything is written
    Check(check::Check),
    /// Say how many requests, minutes and rows the next run will take
    Plan(plan::Plan),
    /// Bring the mirror up to date, once, then exit
    Sync(sync::Sync),
    /// Keep the mirror up to date by schedule until told to stop
    Run(run::Run),
    /// Say what is in the mirror and how fresh it is; reads only the database
    Status(status::Status),
    /// Compare the mirror with the account, and repair what differs
    Verify(verify::Verify),
    /// Erase a person from every table, for good, and prove that nothing is left
    Forget(forget::Forget),
    /// Print the tables as SQL, or compare them with the database
    Schema(schema::Schema),
    /// Create or upgrade the tables (run and sync do it too)
    Migrate(migrate::Migrate),
    /// Show the merged settings and where each came from; secrets are hidden
    Config(config::Config),
    /// Run a local Kit API, v3 and v4, with data by rule and faults on demand
    Simulate(simulate::Simulate),
    /// Print a completion script for a shell
    Completions(completions::Completions),
}

/// Runs the command line of this process.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    // Without a file the runtime is not built. Without a thread its building panics, and would wait for threads that never
    // began if it were unwound.
    std::panic::set_hook(Box::new(|_| cannot_start(refused())));
    let built = Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime = built.unwrap_or_else(|error| cannot_start(refused().because(error)));
    std::panic::set_hook(Box::new(tell_of_panic));
    let code = runtime.block_on(cli.run());
    // Blocking look-ups of names may still be waiting; nobody needs their answers.
    runtime.shutdown_background();
    output::flush();
    let refused = output::refused().map_or(0, |error| told(&error));
    let code = if code == 0 { refused } else { code };
    output::flush();
    ExitCode::from(code)
}

/// The system does not give us what we start with.
fn refused() -> Error {
    Error::new(Kind::SystemRefused, "could not start: the system gives this process no threads or files")
}

/// Tells why and ends the process.
fn cannot_start(error: Error) -> ! {
    let code = told(&error);
    output::flush();
    std::process::exit(code.into())
}

/// Tells of a panic in the way of all other messages, which a full pipe does not hold up.
fn tell_of_panic(panic: &PanicHookInfo<'_>) {
    let thread = std::thread::current();
    let (name, place) = (thread.name().unwrap_or("unnamed"), place_of_a_panic(panic));
    let what = format!("thread \"{name}\" panicked at {place}");
    output::error(&Error::new(Kind::Internal, what));
    let backtrace = Backtrace::capture();
    if backtrace.status() == BacktraceStatus::Captured {
        output::note(backtrace);
    }
}

impl Cli {
    async fn run(self) -> u8 {
        let Cli { global, command } = self;
        let result = match command {
            Command::Demo(command) => command.run(&global).await,
            Command::Simulate(command) => command.run(&global).await,
            Command::Check(command) => command.run(&global).await,
            Command::Plan(command) => command.run(&global).await,
            Command::Sync(command) => command.run(&global).await,
            Command::Run(command) => command.run(&global).await,
            Command::Status(command) => command.run(&global).await,
            Command::Verify(command) => command.run(&global).await,
            Command::Forget(command) => command.run(&global).await,
            Command::Schema(command) => command.run(&global).await,
            Command::Migrate(command) => command.run(&global).await,
            Command::Config(command) => command.run(&global),
            Command::Completions(command) => Ok(command.run()),
        };
        match result {
            Ok(code) => code,
            Err(Failed::Told(code)) => code,
            Err(Failed::Error(error)) => told(&error),
        }
    }
}

/// Shows what ended a command; with the exit code that says so.
fn told(error: &Error) -> u8 {
    output::error(error);
    error.kind().policy().exit_code
}

/// Why a command ended early.
enum Failed {
    /// An error that is still to be shown.
    Error(Error),
    /// Something that has been shown already.
    Told(u8),
}

impl From<Error> for Failed {
    fn from(error: Error) -> Self {
        Failed::Error(error)
    }
}

/// A command's exit code, or why there is none.
type Outcome = Result<u8, Failed>;

/// Exit code of what was done, and not all of it.
const INCOMPLETE: u8 = 5;

impl Global {
    /// The settings of this call. Starts logging, since only they say how.
    fn settings(&self, needs_credential: bool) -> Result<Loaded, Failed> {
        let environment = Environment::from_process();
        let known = objects::names();
        let loaded = self.load(&environment, &known, needs_credential)?;
        self.log_as(Some(loaded.settings.log_level), loaded.settings.log_format);
        for warning in &loaded.warnings {
            tracing::warn!("{warning}");
        }
        Ok(loaded)
    }

    fn load(
        &self,
        environment: &Environment,
        known: &[&str],
        needs_credential: bool,
    ) -> Result<Loaded, Failed> {
        let mut input = Input::new(environment, known);
        input.config_file = self.config.as_deref();
        input.needs_credential = needs_credential;
        input.flags = self.flags()?;
        load(input).map_err(|problems| {
            if self.wants_json(environment) {
                output::speak_json();
                output::error(&Error::new(Kind::Settings, problems.one_line()));
            } else {
                output::note(format_args!("{problems}"));
            }
            Failed::Told(Kind::Settings.policy().exit_code)
        })
    }

    /// How a service reads its settings again: from the same places, flags included.
    fn reader(&self) -> ReadSettings {
        let (file, flags) = (self.config.clone(), self.flags().unwrap_or_default());
        Box::new(move || {
            let (environment, known) = (Environment::from_process(), objects::names());
            let mut input = Input::new(&environment, &known);
            input.config_file = file.as_deref();
            input.flags = flags.clone();
            load(input).map(|loaded| loaded.settings).map_err(|problems| problems.one_line())
        })
    }

    /// Whether messages are to be JSON, as far as that can be known when the settings cannot be read.
    fn wants_json(&self, environment: &Environment) -> bool {
        let flags = self.flags().unwrap_or_default();
        let flag = flags.get("log_format").map(|value| value.trim());
        flag.or_else(|| environment.get("KITMIRROR_LOG_FORMAT")) == Some("json")
    }

    fn flags(&self) -> Result<BTreeMap<String, String>, Failed> {
        let mut flags = BTreeMap::new();
        for pair in &self.set {
            let (key, value) = pair.split_once('=').ok_or_else(|| {
                Error::new(Kind::Usage, "--set takes KEY=VALUE, for example --set requests_per_minute=60")
            })?;
            flags.insert(key.trim().to_owned(), value.to_owned());
        }
        if let Some(url) = &self.database_url {
            flags.insert("database_url".to_owned(), url.clone());
        }
        Ok(flags)
    }

    /// Starts logging to stderr, beside the progress bars.
    fn log_as(&self, level: Option<LogLevel>, format: LogFormat) {
        let level = match (self.quiet, self.verbose) {
            (true, _) => LogLevel::Error,
            (false, 0) => level.unwrap_or(LogLevel::Info),
            (false, 1) => LogLevel::Debug,
            (false, _) => LogLevel::Trace,
        };
        if format == LogFormat::Json {
            output::speak_json();
        }
        // Only the first call counts; a second one in a process is none of its business.
        let _ = telemetry::init(level.as_str(), format, output::coloured_stderr(), output::LogLines);
    }
}
