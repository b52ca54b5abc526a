//! `kitmirror run`: the service.

use clap::Args;
use std::sync::Arc;

use super::signals::{Signals, reloads};
use super::{Global, Outcome};
use crate::model::objects;
use crate::service::{Metrics, Pulse, Service, end_the_process_on_a_panic, http, place};

/// Keeps the mirror up to date by schedule until told to stop.
///
/// Reads what is new every 15 minutes (`schedule`, `object_schedules`), everything once a day (`reconcile_schedule`),
/// and whatever was never read at once. Waits for a database or a Kit that is away. Of several on one database, one
/// works and the others stand by.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  KIT_API_KEY_FILE=/run/secrets/kit kitmirror run
  kitmirror run --set 'schedule=*/5 * * * *' --set timezone=Europe/Berlin
  kitmirror run --set log_format=json 2>kitmirror.log

Signals:
  SIGTERM, SIGINT   finish the page in hand and exit 0 within five seconds; a second one ends it
                    at once
  SIGHUP            read settings and secret files again

It carries on by itself when the database or Kit is back, when another kitmirror on the same
database is gone, and when a revoked key is replaced in its file. It only exits by itself with
code 1 (internal error), 2 (the settings were wrong from the start) or 4 (the tables are not what
they should be).")]
pub struct Run {}

impl Run {
    pub(super) async fn run(self, global: &Global) -> Outcome {
        let signals = Signals::listen();
        let reload = reloads();
        let settings = global.settings(true)?.settings;
        end_the_process_on_a_panic();
        let pulse = Pulse::default();
        let metrics = Arc::new(Metrics::new(&objects::needed_for(&settings.objects))?);
        let server = match settings.listen {
            Some(listen) => {
                Some(http::serve(listen, place(&settings)?, pulse.clone(), Arc::clone(&metrics)).await?)
            }
            None => None,
        };
        let service = Service {
            settings,
            read_settings: global.reader(),
            reload,
            pulse,
            observer: metrics,
            stop: signals.stop.clone(),
        };
        tokio::select! {
            ended = service.run() => ended?,
            () = signals.overdue() => {
                tracing::warn!("Still busy after 4.5 s; ending now. Nothing is lost.");
            }
        }
        if let Some(server) = server {
            server.stop().await;
        }
        tracing::info!("Stopped");
        Ok(0)
    }
}
