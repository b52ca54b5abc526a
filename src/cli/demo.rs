//! `kitmirror demo`: a simulated account mirrored into a SQLite file, and what an analyst would ask it.

use clap::Args;
use std::path::{Path, PathBuf};

use super::progress::Progress;
use super::signals::Signals;
use super::{Global, Outcome};
use crate::config::{Environment, Input, LogFormat, LogLevel, load};
use crate::error::{Error, Kind};
use crate::model::objects;
use crate::output;
use crate::replication::{Report, Request, Stop, Whole};
use crate::service::Session;
use crate::simulator::{AccountPlan, ChangeKind, Serving, Simulator, V4_KEY};
use crate::store::{Access, Place, Store};

/// Mirrors a simulated account into a SQLite file and shows what an analyst would ask it.
///
/// Needs no key and no network: the account is made by rule and served on loopback.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  kitmirror demo
  kitmirror demo --subscribers 100000
  sqlite3 kitmirror-demo.db 'select * from sync_status'")]
pub struct Demo {
    /// Subscribers in the simulated account
    #[arg(long, value_name = "N", default_value_t = 5_000, value_parser = clap::value_parser!(u64).range(10..=10_000_000))]
    subscribers: u64,
    /// The file to make; an earlier demo in it is replaced
    #[arg(long, value_name = "FILE", default_value = "kitmirror-demo.db")]
    file: PathBuf,
}

/// What an analyst would want to see: question and SQL.
const QUESTIONS: [(&str, &str); 6] = [
    (
        "How is the list made up?",
        "select state, count(*) as people from subscribers where _deleted_at is null group by state order by people desc",
    ),
    (
        "How did it grow, month by month?",
        "select substr(created_at, 1, 7) as month, count(*) as joined, sum(count(*)) over (order by substr(created_at, 1, 7)) as total\n\
         from subscribers where _deleted_at is null group by month order by month desc limit 6",
    ),
    (
        "Which forms bring people who stay?",
        "select f.name as form, count(*) as joined, round(100.0 * avg(s.state = 'active'), 1) as active_percent\n\
         from form_subscriptions m join forms f on f.id = m.form_id join subscribers s on s.id = m.subscriber_id\n\
         where m._deleted_at is null group by f.id order by joined desc",
    ),
    (
        "Which tags go together?",
        "select a.tag_name as tag, b.tag_name as and_tag, count(*) as people\n\
         from subscriber_tags a join subscriber_tags b on b.subscriber_id = a.subscriber_id and a.tag_id < b.tag_id\n\
         where a._deleted_at is null and b._deleted_at is null\n\
         group by a.tag_id, b.tag_id order by people desc limit 5",
    ),
    (
        "Who unsubscribed last?",
        "select id, substr(created_at, 1, 10) as joined, substr(cancelled_at, 1, 10) as left_on\n\
         from cancelled_subscribers where _deleted_at is null order by cancelled_at desc limit 5",
    ),
    ("How fresh is all this?", "select object, state, rows, last_complete_at from sync_status"),
];

/// The columns of the answers, as the questions name them.
const COLUMNS: [&[&str]; 6] = [
    &["state", "people"],
    &["month", "joined", "total"],
    &["form", "joined", "active_percent"],
    &["tag", "and_tag", "people"],
    &["id", "joined", "left_on"],
    &["object", "state", "rows", "last_complete_at"],
];

impl Demo {
    pub(super) async fn run(self, global: &Global) -> Outcome {
        global.log_as(Some(LogLevel::Warn), LogFormat::Text);
        if global.database_url.is_some() {
            let what = "the demo makes a SQLite file of its own; --file says where";
            return Err(Error::new(Kind::Usage, what).into());
        }
        self.make_room().await?;
        let kit = Simulator::new(AccountPlan::new(self.subscribers));
        kit.set_limit(None);
        let serving = kit.serve_locally().await.map_err(|error| {
            Error::new(Kind::Internal, "could not start the simulator on loopback").because(error)
        })?;
        let Signals { stop, .. } = Signals::listen();

        output::line(format_args!(
            "A simulated Kit account with {} subscribers, served at {}.\n",
            output::grouped(self.subscribers as i64),
            serving.v4_url()
        ));
        output::line("1. A full load (kitmirror sync --full)\n");
        let report = self.sync(&serving, Some(Whole::Load), global.quiet, &stop).await?;
        show(&report);

        let mut chance = fastrand::Rng::with_seed(7);
        kit.change(|account| {
            account.import_subscribers(25);
            account.cancel_many(0, 10);
            for _ in 0..40 {
                account.random_change_of(ChangeKind::Tag, &mut chance);
            }
        });
        output::line(
            "\n2. Meanwhile at Kit: 25 people join, 10 leave, 40 are tagged. An incremental run (kitmirror sync)\n",
        );
        let report = self.sync(&serving, None, global.quiet, &stop).await?;
        show(&report);
        if !report.is_complete() {
            return Ok(super::sync::exit_code(&report, 130));
        }

        kit.change(|account| {
            for kind in [ChangeKind::Untag, ChangeKind::Rename, ChangeKind::DeleteSubscriber] {
                for _ in 0..5 {
                    account.random_change_of(kind, &mut chance);
                }
            }
        });
        output::line(
            "\n3. Meanwhile at Kit: 5 tags are taken away, 5 names change, 5 people are deleted. A reconcile, which reads\n   \
             everything and marks what is gone (kitmirror sync --reconcile)\n",
        );
        let report = self.sync(&serving, Some(Whole::Reconcile), global.quiet, &stop).await?;
        show(&report);
        serving.stop().await;
        if !report.is_complete() {
            return Ok(super::sync::exit_code(&report, 130));
        }

        output::line("\n4. Now ask it");
        self.tour().await?;
        output::line(format_args!(
            "\nThe mirror is in {0}. Open it with any SQL tool, for example\n\n    sqlite3 {0}\n\n\
             To mirror your own account:\n\n    export KIT_API_KEY=…        # Kit: Settings, Developer, API keys (v4)\n    \
             kitmirror check\n    kitmirror sync --full",
            self.file.display()
        ));
        Ok(0)
    }

    /// Removes the file of an earlier demo, and nothing else.
    async fn make_room(&self) -> Result<(), Error> {
        if !self.file.exists() {
            return Ok(());
        }
        let ours = match Store::open(&Place::of(&self.url(), None)?, Access::Existing).await {
            Ok(store) => {
                let account =
                    if store.is_ready().await.unwrap_or(false) { store.account().await? } else { None };
                let name = account.and_then(|account| account.name);
                store.close().await;
                name.as_deref() == Some(AccountPlan::new(1).account_name.as_str())
            }
            Err(_) => false,
        };
        if !ours {
            let what = format!(
                "{} is there already and is not a demo of kitmirror; it was left untouched",
                self.file.display()
            );
            return Err(Error::new(Kind::Usage, what));
        }
        for ending in ["", "-wal", "-shm"] {
            let mut name = self.file.clone().into_os_string();
            name.push(ending);
            let path = Path::new(&name);
            if path.exists() {
                std::fs::remove_file(path).map_err(|error| {
                    Error::new(Kind::DatabaseRefused, format!("could not replace {}", path.display()))
                        .because(error)
                })?;
            }
        }
        Ok(())
    }

    fn url(&self) -> String {
        let raw = [("%", "%25"), (" ", "%20"), ("?", "%3F"), ("#", "%23")];
        let path = self.file.to_string_lossy().into_owned();
        format!("sqlite://{}", raw.iter().fold(path, |path, (raw, escaped)| path.replace(raw, escaped)))
    }

    async fn sync(
        &self,
        kit: &Serving,
        whole: Option<Whole>,
        quiet: bool,
        stop: &Stop,
    ) -> Result<Report, super::Failed> {
        let environment: Environment = [
            ("KITMIRROR_KIT_API_KEY".to_owned(), V4_KEY.to_owned()),
            ("KITMIRROR_KIT_API_URL".to_owned(), kit.v4_url()),
            ("KITMIRROR_DATABASE_URL".to_owned(), self.url()),
            ("KITMIRROR_REQUESTS_PER_MINUTE".to_owned(), "1000000".to_owned()),
            // What happens within seconds here takes days elsewhere.
            ("KITMIRROR_VISIBILITY_LAG".to_owned(), "0s".to_owned()),
        ]
        .into_iter()
        .collect();
        let known = objects::names();
        let mut input = Input::new(&environment, &known);
        // The demo is about itself: a settings file that happens to lie here is not meant.
        let nowhere = PathBuf::from("/nonexistent");
        input.directory = &nowhere;
        let settings = load(input)
            .map_err(|problems| {
                output::note(format_args!("{problems}"));
                super::Failed::Told(1)
            })?
            .settings;
        let progress = Progress::new(quiet);
        let session = Session::open(&settings, stop).await?;
        let request = Request { whole, ..Request::of(objects::ALL.to_vec()) };
        let report = session.replicate(&request, &progress, stop).await;
        progress.finish();
        session.close().await;
        if let Some(error) = report.ended_by {
            return Err(error.into());
        }
        Ok(report)
    }

    async fn tour(&self) -> Result<(), Error> {
        let store = Store::open(&Place::of(&self.url(), None)?, Access::Existing).await?;
        for ((question, sql), columns) in QUESTIONS.iter().zip(COLUMNS) {
            output::line(format_args!("\n{question}\n"));
            for line in sql.lines() {
                output::line(format_args!("    {line}"));
            }
            let rows = store.query(sql).await?;
            let rows = rows
                .into_iter()
                .map(|row| row.into_iter().map(Option::unwrap_or_default).collect())
                .collect();
            let numbers: Vec<usize> =
                (1..columns.len()).filter(|at| !columns[*at].ends_with("tag")).collect();
            output::line(format_args!("\n{}", output::table(columns, rows, &numbers)));
        }
        store.close().await;
        Ok(())
    }
}

/// The result of a run in two or three lines.
fn show(report: &Report) {
    let total = report.total();
    let took: u64 = report.objects.iter().map(|one| one.duration_ms).sum();
    output::line(format_args!(
        "   {} rows read with {} requests in {:.1} s: {} new, {} changed, {} gone.{}",
        output::grouped(total.rows_read as i64),
        output::grouped(total.requests as i64),
        took as f64 / 1000.0,
        output::grouped(total.rows_inserted as i64),
        output::grouped(total.rows_updated as i64),
        output::grouped(total.rows_deleted as i64),
        if report.is_complete() { "" } else { " Not complete." }
    ));
}
