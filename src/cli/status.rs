//! `kitmirror status`: what is in the mirror and how fresh it is. Reads only the database.

use clap::Args;

use super::{Global, INCOMPLETE, Outcome};
use crate::error::Kind;
use crate::output;
use crate::service::{mirror, place};
use crate::store::{MirrorStatus, ObjectStatus};

/// Says what is in the mirror and how fresh it is; reads only the database.
///
/// The same can be had in SQL: `select * from sync_status`.
#[derive(Debug, Args)]
#[command(after_help = "\
Exits with 0 if every object was complete within 25 hours and nothing has failed since, else with 5;
a pass under way does not count. Needs no credential: usable as a container health check.

Examples:
  kitmirror status
  kitmirror status --json | jq '.objects[] | select(.state != \"ok\")'")]
pub struct Status {
    /// Print as JSON
    #[arg(long)]
    json: bool,
}

impl Status {
    pub(super) async fn run(self, global: &Global) -> Outcome {
        let settings = global.settings(false)?.settings;
        let store = mirror(&place(&settings)?).await?;
        let status = store.status().await?;
        store.close().await;
        if self.json {
            output::json(&status);
        } else {
            show(&status, &settings.objects);
        }
        let wanted = |name: &str| settings.objects.iter().any(|object| object == name);
        let fine = status.objects.iter().filter(|object| wanted(&object.object)).all(ObjectStatus::is_fresh);
        Ok(if fine { 0 } else { INCOMPLETE })
    }
}

/// Columns for wide terminals.
const WIDE: u16 = 120;

fn show(status: &MirrorStatus, wanted: &[String]) {
    if let (Some(account), Some(version)) = (&status.account, &status.api_version) {
        output::line(format_args!("{} (API {version})\n", output::escaped(account)));
    }
    let rows: Vec<Vec<String>> = status
        .objects
        .iter()
        .map(|object| {
            vec![
                object.object.clone(),
                if is_left_out(object, wanted) { "left out".to_owned() } else { object.state.clone() },
                output::grouped(object.rows),
                object.lag_seconds.map_or(String::new(), output::duration),
                object.reconcile_lag_seconds.map_or(String::new(), output::duration),
                if object.quarantined > 0 { output::grouped(object.quarantined) } else { String::new() },
                object.last_complete_at.as_deref().map_or(String::new(), to_seconds),
                object.newest_row.as_deref().map_or(String::new(), to_seconds),
            ]
        })
        .collect();
    let header = [
        "object",
        "state",
        "rows",
        "complete, ago",
        "reconciled, ago",
        "quarantined",
        "last complete",
        "newest row",
    ];
    let shown = if output::width().is_some_and(|width| width < WIDE) { 6 } else { header.len() };
    let rows = rows.into_iter().map(|row| row.into_iter().take(shown).collect()).collect();
    output::line(output::table(&header[..shown], rows, &[2, 3, 4, 5]));
    for object in &status.objects {
        if let Some(held) = object.held_deletions {
            output::line(format_args!(
                "\n{}: the last reconcile did not find {} rows at Kit and left them as they are\n  {}",
                object.object,
                output::grouped(held),
                Kind::DeletionsHeld.policy().advice
            ));
        }
    }
    for object in &status.objects {
        if let Some(error) = &object.last_error {
            // An error of one list names it, and with it the object.
            let subject =
                if error.starts_with(&object.object) { "" } else { &format!("{}: ", object.object) };
            output::line(format_args!(
                "\n{subject}{}\n  {}",
                output::escaped(error),
                object.last_error_advice.as_deref().unwrap_or_default()
            ));
        }
    }
}

/// Whether an object is not mirrored, by the settings, and never was.
fn is_left_out(object: &ObjectStatus, wanted: &[String]) -> bool {
    object.last_complete_at.is_none() && !wanted.contains(&object.object)
}

/// `2024-05-03T09:00:00.000000Z` → `2024-05-03 09:00:00`.
fn to_seconds(time: &str) -> String {
    time.get(..19).unwrap_or(time).replace('T', " ")
}
