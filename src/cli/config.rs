//! `kitmirror config`: the merged settings and where each came from.

use clap::Args;

use super::{Global, Outcome};
use crate::output;

/// Shows the merged settings and where each came from. Secrets are hidden.
#[derive(Debug, Args)]
pub struct Config {
    /// Print as JSON
    #[arg(long)]
    json: bool,
}

impl Config {
    pub(super) fn run(self, global: &Global) -> Outcome {
        let loaded = global.settings(false)?;
        let shown = loaded.explain();
        if self.json {
            let rows: Vec<_> = shown
                .iter()
                .map(|(key, value, origin)| serde_json::json!({ "key": key, "value": value, "from": origin }))
                .collect();
            output::json(&rows);
        } else {
            let rows = shown
                .iter()
                .map(|(key, value, origin)| vec![(*key).to_owned(), value.clone(), origin.to_string()])
                .collect();
            output::line(output::table(&["setting", "value", "from"], rows, &[]));
        }
        Ok(0)
    }
}
