//! `kitmirror verify`: the mirror held against the account.

use clap::Args;
use std::collections::BTreeMap;

use super::progress::Progress;
use super::signals::Signals;
use super::sync::{exit_code, object_name};
use super::{Global, INCOMPLETE, Outcome};
use crate::config::Settings;
use crate::error::Error;
use crate::kit::{Meter, Patience};
use crate::model::{Object, objects, time};
use crate::output;
use crate::replication::Stop;
use crate::replication::compare::{Comparison, How, Ids, ListCompared};
use crate::service::{self, Session, mirror, place};

/// The exit code that says that mirror and account differ.
const DIFFERENT: u8 = 6;

/// Compares the mirror with the account.
///
/// By Kit's own totals first, which cost a request per list; where these differ, and everywhere with --deep,
/// row by row. Lists that come in one answer are always compared row by row. Changes nothing unless it is
/// asked to repair, and works beside a kitmirror that is running.
///
/// Rows that changed at Kit since the last run are differences, too: run `kitmirror sync` before.
#[derive(Debug, Args)]
#[command(after_help = "\
Exits with 0 if nothing differs, 6 if something does, 5 if not everything could be compared or
repaired.

Examples:
  kitmirror verify                          totals of all lists, rows where they differ
  kitmirror verify --deep --object subscribers
  kitmirror verify --repair                 re-read only the lists that differ
  kitmirror verify --json | jq '.lists[] | select(.differs)'")]
pub struct Verify {
    /// Compare every row, not only where totals differ: takes the requests of a full load
    #[arg(long)]
    deep: bool,
    /// Re-read the lists that differ, correct their rows, and mark what was deleted
    #[arg(long)]
    repair: bool,
    /// With --repair: mark them even if that is more than 50 rows and 1 % of a list, or in doubt
    #[arg(long, requires = "repair")]
    accept_deletions: bool,
    /// Start no further list after this many requests
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    max_requests: Option<u64>,
    /// Only this object (and the list its parents are in); may be given more than once
    #[arg(long = "object", value_name = "NAME", value_parser = object_name)]
    objects: Vec<String>,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

impl Verify {
    pub(super) async fn run(self, global: &Global) -> Outcome {
        let settings = global.settings(true)?.settings;
        let signals = Signals::listen();
        let stop = signals.stop.clone();
        let meter = Meter::default();
        let lists = self.compare(&settings, &meter, &stop).await?;
        if self.json {
            print_json(&lists, &meter);
        } else {
            print(&lists, &meter);
        }
        if stop.is_requested() {
            output::note("Stopped before everything was compared.");
            return Ok(signals.code());
        }
        let skipped = lists.iter().filter(|list| list.how == How::Skipped).count();
        let refused: Vec<&ListCompared> = lists.iter().filter(|list| list.error.is_some()).collect();
        if skipped > refused.len() {
            let left = skipped - refused.len();
            output::note(format_args!("{left} lists were not compared: --max-requests was reached."));
        }
        // One is told for all of an object.
        for (at, list) in refused.iter().enumerate() {
            if let (Some(error), Some(advice)) = (&list.error, list.advice)
                && refused[..at].iter().all(|other| other.object != list.object)
            {
                let others = refused.iter().filter(|other| other.object == list.object).count() - 1;
                let more = if others > 0 { format!(" (and {others} more)") } else { String::new() };
                output::note(format_args!("not compared: {}{more}\n  {advice}", output::escaped(error)));
            }
        }
        if lists.iter().any(ListCompared::differs) {
            return match self.repair {
                true => match self.mend(&settings, &lists, &signals, global.quiet).await? {
                    0 if skipped > 0 => Ok(INCOMPLETE),
                    code => Ok(code),
                },
                false => {
                    output::note(
                        "`kitmirror verify --repair` reads the lists that differ again; what changed within the last \
                         minutes, the next run finds by itself.",
                    );
                    Ok(DIFFERENT)
                }
            };
        }
        Ok(if skipped > 0 { INCOMPLETE } else { 0 })
    }

    async fn compare(
        &self,
        settings: &Settings,
        meter: &Meter,
        stop: &Stop,
    ) -> Result<Vec<ListCompared>, Error> {
        let kit = service::client(settings)?;
        let store = mirror(&place(settings)?).await?;
        store.check_schema().await?;
        service::attach_limiter(&kit, &store).await?;
        let wanted = if self.objects.is_empty() { &settings.objects } else { &self.objects };
        let objects = objects::needed_for(wanted);
        let compared = async {
            let account = kit.account(Patience::FIRST_CONTACT, meter).await?;
            service::refuse_other_account(&kit, &store, &account).await?;
            let comparison = Comparison {
                kit: &kit,
                store: &store,
                objects: &objects,
                deep: self.deep,
                most_requests: self.max_requests,
                lists_show_everybody: service::v3_lists_show_everybody(&store).await,
                visibility_lag: time::delta(settings.visibility_lag),
                meter,
                stop,
            };
            comparison.run().await
        }
        .await;
        if let Err(error) = kit.limiter().settle().await {
            tracing::debug!("Could not write down what was sent: {}", error.one_line());
        }
        store.close().await;
        compared
    }

    /// Reads what differs again.
    async fn mend(
        &self,
        settings: &Settings,
        lists: &[ListCompared],
        signals: &Signals,
        quiet: bool,
    ) -> Outcome {
        let stop = &signals.stop;
        let mut wanted: BTreeMap<usize, (&'static Object, Vec<String>)> = BTreeMap::new();
        for list in lists.iter().filter(|list| list.differs()) {
            if let Some(at) = objects::ALL.iter().position(|object| object.name == list.object) {
                let lists = wanted.entry(at).or_insert((objects::ALL[at], Vec::new()));
                lists.1.push(list.partition.clone());
            }
        }
        let wanted: Vec<(&'static Object, Vec<String>)> = wanted.into_values().collect();
        let progress = Progress::new(quiet);
        let session = Session::open(settings, stop).await?;
        let report = session.repair(&wanted, self.accept_deletions, &progress, stop).await;
        progress.finish();
        session.close().await;
        for one in &report.objects {
            if let (Some(error), Some(advice)) = (&one.error, one.advice) {
                output::note(format_args!("{}\n  {advice}", output::escaped(error)));
            }
        }
        if let Some(error) = &report.ended_by {
            output::error(error);
        }
        let total = report.total();
        output::note(format_args!(
            "Repaired: {} new, {} changed, {} gone, with {} requests.{}",
            output::grouped(total.rows_inserted as i64),
            output::grouped(total.rows_updated as i64),
            output::grouped(total.rows_deleted as i64),
            output::grouped(total.requests as i64),
            if report.is_complete() { "" } else { " Not everything could be repaired." }
        ));
        Ok(exit_code(&report, signals.code()))
    }
}

fn print(lists: &[ListCompared], meter: &Meter) {
    let mut rows = Vec::new();
    for object in objects::ALL {
        let own: Vec<&ListCompared> = lists.iter().filter(|list| list.object == object.name).collect();
        if own.is_empty() {
            continue;
        }
        let sum = |count: fn(&ListCompared) -> u64| own.iter().map(|list| count(list)).sum::<u64>() as i64;
        let by_rows = own.iter().filter(|list| list.how == How::Rows).count();
        let counted = own.iter().all(|list| list.at_kit.is_some());
        rows.push(vec![
            object.name.to_owned(),
            output::grouped(own.len() as i64),
            output::grouped(by_rows as i64),
            if counted { output::grouped(sum(|list| list.at_kit.unwrap_or(0))) } else { String::new() },
            output::grouped(sum(|list| list.here)),
            output::grouped(sum(|list| list.missing.count)),
            output::grouped(sum(|list| list.extra.count)),
            output::grouped(sum(|list| list.different.count)),
            verdict(&own),
        ]);
    }
    let header = ["object", "lists", "by rows", "at Kit", "here", "missing", "extra", "different", ""];
    output::line(output::table(&header, rows, &[1, 2, 3, 4, 5, 6, 7]));
    for list in lists.iter().filter(|list| list.differs()) {
        let place = if list.partition.is_empty() {
            list.object.to_owned()
        } else {
            format!("{}/{}", list.object, list.partition)
        };
        for (what, ids) in
            [("missing", &list.missing), ("extra", &list.extra), ("different", &list.different)]
        {
            if ids.count > 0 {
                output::line(format_args!(
                    "\n{place}: {} {what}: {}",
                    output::grouped(ids.count as i64),
                    named(ids)
                ));
            }
        }
        if list.how == How::Total {
            output::line(format_args!(
                "\n{place}: Kit counts another number of rows; they were not compared"
            ));
        }
    }
    output::line(format_args!("\nCompared with {} requests.", output::grouped(meter.requests() as i64)));
}

/// In a word.
fn verdict(lists: &[&ListCompared]) -> String {
    let skipped = lists.iter().filter(|list| list.how == How::Skipped).count();
    // Too young to judge, or of people whom the list hides.
    let by_rows = || lists.iter().filter(|list| list.how == How::Rows);
    let shown: u64 = by_rows().filter_map(|list| list.at_kit).sum();
    let here: u64 = by_rows().map(|list| list.here.saturating_sub(list.extra.count)).sum();
    match (lists.iter().any(|list| list.differs()), skipped) {
        (true, _) => "differs".to_owned(),
        (false, skipped) if skipped == lists.len() => "not compared".to_owned(),
        (false, 1..) => "same so far".to_owned(),
        (false, 0) if here > shown => {
            format!("same, but for {} not shown by Kit", output::grouped((here - shown) as i64))
        }
        (false, 0) => "same".to_owned(),
    }
}

fn named(ids: &Ids) -> String {
    let shown: Vec<String> = ids.ids.iter().map(i64::to_string).collect();
    let more = if (ids.ids.len() as u64) < ids.count { ", …" } else { "" };
    format!("{}{more}", shown.join(", "))
}

fn print_json(lists: &[ListCompared], meter: &Meter) {
    #[derive(serde::Serialize)]
    struct Line<'l> {
        #[serde(flatten)]
        list: &'l ListCompared,
        /// Null where it was not compared.
        differs: Option<bool>,
    }
    let differs = |list: &ListCompared| (list.how != How::Skipped).then(|| list.differs());
    let all: Vec<Line<'_>> = lists.iter().map(|list| Line { list, differs: differs(list) }).collect();
    output::json(&serde_json::json!({
        "same": !lists.iter().any(ListCompared::differs),
        "complete": lists.iter().all(|list| list.how != How::Skipped),
        "requests": meter.requests(),
        "lists": all,
    }));
}
