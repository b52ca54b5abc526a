//! `kitmirror simulate`: a local Kit API to try things against.

use clap::Args;
use std::net::SocketAddr;

use super::signals::asked_to_stop;
use super::{Global, Outcome};
use crate::config::LogFormat;
use crate::error::{Error, Kind};
use crate::output;
use crate::simulator::{ACCESS_TOKEN, AccountPlan, Change, Fault, Simulator, V3_SECRET, V4_KEY};

/// Runs a local Kit API, v3 and v4 on one port, with data by rule and faults on demand.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  kitmirror simulate                                      1,000 people at http://127.0.0.1:8787
  kitmirror simulate --subscribers 1000000 --limit off    a large account, as fast as it goes
  kitmirror simulate --fault 'status=503 on=/v4/subscribers nth=3'
  kitmirror simulate --mode count_scope=active --change-every 10

What can go wrong (--fault), first what, then for which requests:
  status=503 429=30 reset cut=100 delay=1.5s stall drip=1:10s html truncate=100 empty-page
  repeat-page shuffle double-rows same-cursor drop=id null=created_at set=id:\"x\"
  on=/v4/subscribers asking=sort_order=desc version=3 nth=3 from=3 every=10 chance=0.01 times=2

Where Kit's documents are silent (--mode), for example:
  count_scope=active lag=kit filter_edge=exclusive page_cap=100 bumps=edit+cancel gzip=false
An unknown name is answered with all of them.

Then, in another terminal:
  export KIT_API_KEY=kit_sim_v4_key_0d9e42 KITMIRROR_KIT_API_URL=http://127.0.0.1:8787/v4
  kitmirror sync")]
pub struct Simulate {
    /// Where to listen; only this machine can reach the default
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8787")]
    listen: SocketAddr,
    /// Subscribers in the account, up to 10,000,000
    #[arg(long, value_name = "N", default_value_t = 1_000, value_parser = clap::value_parser!(u64).range(0..=10_000_000))]
    subscribers: u64,
    /// Varies names, addresses and everything that looks like chance
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Requests in any rolling minute, or `off` [default: 120, and 600 with a token, as at Kit]
    #[arg(long, value_name = "N|off", value_parser = limit)]
    limit: Option<Limit>,
    /// Put in every odd value that a careless reader breaks on
    #[arg(long)]
    nasty: bool,
    /// A random change after every so many requests
    #[arg(long, value_name = "N")]
    change_every: Option<u64>,
    /// An answer to a question that Kit's documents leave open, as NAME=VALUE; may be given more than once
    #[arg(long = "mode", value_name = "NAME=VALUE")]
    modes: Vec<String>,
    /// Something that goes wrong, and when; may be given more than once
    #[arg(long = "fault", value_name = "WORDS")]
    faults: Vec<Fault>,
}

/// A limit on the command line.
#[derive(Debug, Clone, Copy)]
enum Limit {
    Off,
    PerMinute(u32),
}

fn limit(text: &str) -> Result<Limit, String> {
    match text {
        "off" => Ok(Limit::Off),
        number => number
            .parse()
            .map(Limit::PerMinute)
            .map_err(|_| "a number of requests per minute, or `off`".to_owned()),
    }
}

impl Simulate {
    pub(super) async fn run(self, global: &Global) -> Outcome {
        global.log_as(None, LogFormat::Text);
        let mut plan = AccountPlan::new(self.subscribers).seed(self.seed);
        if self.nasty {
            plan = plan.nasty();
        }
        let kit = Simulator::new(plan);
        match self.limit {
            None => {}
            Some(Limit::Off) => kit.set_limit(None),
            Some(Limit::PerMinute(limit)) => kit.set_limit(Some(limit)),
        }
        let mut wrong = Ok(());
        kit.set_modes(|modes| wrong = self.modes.iter().try_for_each(|mode| modes.set(mode)));
        wrong.map_err(|what| Error::new(Kind::Usage, format!("--mode: {what}")))?;
        for fault in self.faults {
            kit.faults().add(fault);
        }
        if let Some(every) = self.change_every.filter(|every| *every > 0) {
            let mut chance = fastrand::Rng::with_seed(self.seed);
            kit.every_request("", every, move |account| {
                let change: Change = account.random_change(&mut chance);
                tracing::info!("Changed: {change:?}");
            });
        }
        let serving = kit.serve(self.listen).await.map_err(|error| {
            Error::new(Kind::Usage, format!("--listen: could not listen on {}", self.listen)).because(error)
        })?;
        output::line(format_args!(
            "A simulated Kit account with {} subscribers.\n\n\
             API v4   {}   KIT_API_KEY={V4_KEY}\n\
             \x20                                   KITMIRROR_KIT_ACCESS_TOKEN={ACCESS_TOKEN}\n\
             API v3   {}   KIT_API_SECRET={V3_SECRET}\n\n\
             Point kitmirror at it with KITMIRROR_KIT_API_URL. Stop it with Ctrl-C.",
            output::grouped(self.subscribers as i64),
            serving.v4_url(),
            serving.v3_url(),
        ));
        asked_to_stop().await;
        serving.stop().await;
        output::line(format_args!("{} requests were answered.", output::grouped(kit.request_count() as i64)));
        Ok(0)
    }
}
