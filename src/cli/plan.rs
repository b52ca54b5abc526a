//! `kitmirror plan`: requests, minutes and rows that the next run will take. Makes no mirror; where
//! there is one, only what was asked is written down, for the rate limit.

use clap::Args;
use serde::Serialize;

use super::sync::{object_name, whole};
use super::{Global, Outcome};
use crate::config::Settings;
use crate::error::Error;
use crate::kit::{Account, KitClient, Meter, Patience};
use crate::model::{objects, time};
use crate::output;
use crate::replication::Mode;
use crate::replication::cost::{Certainty, Cost, Pace, Survey, Surveyed};
use crate::service;
use crate::store::Store;

/// Says how many requests, minutes and rows the next run will take.
///
/// Planning an incremental run takes one request, since the mirror knows the rest. Planning a full load or
/// a reconcile asks Kit how long the lists are: a few requests with API v4, one per list with v3.
/// No mirror is made; requests are noted in an existing one, to count against the rate limit.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  kitmirror plan                           what `kitmirror sync` would take now
  kitmirror plan --full                    the same for `kitmirror sync --full`
  kitmirror plan --reconcile               the same for `kitmirror sync --reconcile`
  kitmirror plan --object tag_subscriptions
  kitmirror plan --json | jq .total.requests")]
pub struct Plan {
    /// Plan a full load
    #[arg(long)]
    full: bool,
    /// Plan a reconcile; rows that turn out to be missing are asked for on top
    #[arg(long)]
    reconcile: bool,
    /// Only this object (and the list its parents are in); may be given more than once
    #[arg(long = "object", value_name = "NAME", value_parser = object_name)]
    objects: Vec<String>,
    /// Print the plan as JSON
    #[arg(long)]
    json: bool,
}

/// What is shown.
struct Planned {
    account: Account,
    version: &'static str,
    per_minute: u32,
    objects: Vec<Surveyed>,
    total: Cost,
    pace: Pace,
    requests_used: u64,
    answer: std::time::Duration,
}

/// One line: an object, or the account, which every run asks for first.
#[derive(Serialize)]
struct Line<'p> {
    object: &'static str,
    mode: Option<Mode>,
    lists: usize,
    #[serde(flatten)]
    cost: Cost,
    /// Of the time of the whole run.
    seconds: u64,
    notes: &'p [String],
}

impl Plan {
    pub(super) async fn run(self, global: &Global) -> Outcome {
        let settings = global.settings(true)?.settings;
        let kit = service::client(&settings)?;
        // Of the run to come: half of it is left to a kitmirror at work while this one asks.
        let per_minute = kit.limiter().per_minute();
        let store = service::existing(&service::place(&settings)?).await?;
        if let Some(store) = &store {
            service::attach_limiter(&kit, store).await?;
        }
        let planned = self.survey(&settings, &kit, store.as_ref(), per_minute).await;
        if let Err(error) = kit.limiter().settle().await {
            tracing::debug!("Could not write down what was sent: {}", error.one_line());
        }
        if let Some(store) = store {
            store.close().await;
        }
        let planned = planned?;
        if self.json {
            planned.print_json()
        } else {
            planned.print()
        }
        Ok(0)
    }

    async fn survey(
        &self,
        settings: &Settings,
        kit: &KitClient,
        store: Option<&Store>,
        per_minute: u32,
    ) -> Result<Planned, Error> {
        let meter = Meter::default();
        let account = kit.account(Patience::FIRST_CONTACT, &meter).await?;
        let mut lists_show_everybody = false;
        if let Some(store) = store {
            service::refuse_other_account(kit, store, &account).await?;
            lists_show_everybody = service::v3_lists_show_everybody(store).await;
        }
        let wanted = if self.objects.is_empty() { &settings.objects } else { &self.objects };
        let objects = objects::needed_for(wanted);
        let survey = Survey {
            kit,
            store,
            objects: &objects,
            whole: whole(self.full, self.reconcile),
            overlap: time::delta(settings.overlap),
            visibility_lag: time::delta(settings.visibility_lag),
            member_recheck: time::delta(settings.member_recheck),
            lists_show_everybody,
            meter: &meter,
        };
        let objects = survey.run().await?;
        let total = objects.iter().map(|object| object.cost).sum::<Cost>() + ACCOUNT;
        Ok(Planned {
            account,
            version: kit.version().name(),
            per_minute,
            objects,
            total,
            pace: Pace::new(per_minute, total.requests),
            requests_used: meter.requests(),
            answer: meter.mean_answer(),
        })
    }
}

/// Every run asks whose account it is before anything else.
const ACCOUNT: Cost = Cost { requests: 1, rows: 0, certainty: Certainty::Exact };

impl Planned {
    fn lines(&self) -> Vec<Line<'_>> {
        let account = Line { object: "account", mode: None, lists: 0, cost: ACCOUNT, seconds: 0, notes: &[] };
        let mut requests = ACCOUNT.requests;
        let mut lines = vec![account];
        lines.extend(self.objects.iter().map(|object| {
            let before = self.pace.seconds(requests);
            requests += object.cost.requests;
            Line {
                object: object.object,
                mode: object.mode,
                lists: object.lists,
                cost: object.cost,
                seconds: self.pace.seconds(requests) - before,
                notes: &object.notes,
            }
        }));
        lines
    }

    /// As long as the limit takes, or the longest list, each of whose pages names the next, whichever is longer.
    fn seconds(&self) -> u64 {
        let longest = self.objects.iter().map(|object| object.longest).max().unwrap_or(0);
        let one_by_one = self.answer.as_secs_f64() * longest as f64;
        self.pace.seconds(self.total.requests).max(one_by_one as u64)
    }

    fn print_json(&self) {
        output::json(&serde_json::json!({
            "account": self.account.shown(),
            "api_version": self.version,
            "requests_per_minute": self.per_minute,
            "objects": self.lines(),
            "total": {
                "requests": self.total.requests,
                "rows": self.total.rows,
                "rows_are": self.total.certainty,
                "seconds": self.seconds(),
            },
            "requests_used": self.requests_used,
        }));
    }

    fn print(&self) {
        let lines = self.lines();
        let mut rows: Vec<Vec<String>> = lines
            .iter()
            .map(|line| {
                vec![
                    line.object.to_owned(),
                    line.mode.map_or("", Mode::name).to_owned(),
                    if line.lists > 0 { grouped(line.lists as u64) } else { String::new() },
                    grouped(line.cost.requests),
                    if line.lists > 0 { shown(line.cost) } else { String::new() },
                    if line.cost.requests > 0 { time(line.seconds) } else { String::new() },
                ]
            })
            .collect();
        rows.push(vec![
            "total".to_owned(),
            String::new(),
            String::new(),
            grouped(self.total.requests),
            shown(self.total),
            time(self.seconds()),
        ]);
        output::line(format_args!("{} (API {})\n", output::escaped(&self.account.shown()), self.version));
        let header = ["object", "mode", "lists", "requests", "rows", "time"];
        output::line(output::table(&header, rows, &[2, 3, 4, 5]));
        output::line("");
        for line in &lines {
            for note in line.notes {
                output::line(format_args!("{}: {}", line.object, output::escaped(note)));
            }
        }
        output::line(format_args!(
            "About {} at {} requests a minute, if nothing else uses the credential. Asking took {}.",
            if self.seconds() < 60 { "a minute or less".to_owned() } else { time(self.seconds()) },
            self.per_minute,
            if self.requests_used == 1 {
                "1 request".to_owned()
            } else {
                format!("{} requests", grouped(self.requests_used))
            },
        ));
    }
}

fn grouped(number: u64) -> String {
    output::grouped(i64::try_from(number).unwrap_or(i64::MAX))
}

/// `≥` before what is known to come again, `~` before what Kit only counts.
fn shown(cost: Cost) -> String {
    match cost.certainty {
        Certainty::Exact => grouped(cost.rows),
        Certainty::About => format!("~ {}", grouped(cost.rows)),
        Certainty::AtLeast => format!("≥ {}", grouped(cost.rows)),
    }
}

/// Of minutes none that has begun is left out.
fn time(seconds: u64) -> String {
    let seconds = if seconds < 60 { seconds } else { seconds.next_multiple_of(60) };
    output::duration(i64::try_from(seconds).unwrap_or(i64::MAX))
}
