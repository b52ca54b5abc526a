//! `kitmirror migrate`: creates or upgrades the tables.

use clap::Args;

use super::{Global, Outcome};
use crate::output;
use crate::service::place;
use crate::store::{Access, Store};

/// Creates or upgrades the tables. `sync` does it too; this is for doing it with other rights or at
/// another time.
#[derive(Debug, Args)]
pub struct Migrate {
    /// Print what was applied as JSON
    #[arg(long)]
    json: bool,
}

impl Migrate {
    pub(super) async fn run(self, global: &Global) -> Outcome {
        let settings = global.settings(false)?.settings;
        let store = Store::open(&place(&settings)?, Access::Create).await?;
        let migrated = store.migrate().await?;
        store.close().await;
        if self.json {
            output::json(&serde_json::json!({ "applied": migrated.applied, "version": migrated.version }));
        } else {
            for step in &migrated.applied {
                output::line(format_args!("applied {step}"));
            }
            let what = if migrated.applied.is_empty() { "already at" } else { "now at" };
            output::line(format_args!("The schema is {what} version {}.", migrated.version));
        }
        Ok(0)
    }
}
