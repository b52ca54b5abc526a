//! `kitmirror completions`: completion scripts for shells.

use clap::{Args, CommandFactory as _};
use clap_complete::Shell;

use super::Cli;
use crate::output;

/// Prints a completion script for a shell.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  kitmirror completions bash > /etc/bash_completion.d/kitmirror
  kitmirror completions zsh > ~/.zfunc/_kitmirror")]
pub struct Completions {
    /// bash, elvish, fish, powershell or zsh
    shell: Shell,
}

impl Completions {
    pub(super) fn run(self) -> u8 {
        // Not into stdout itself: it panics when the reader is gone.
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut Cli::command(), "kitmirror", &mut script);
        output::line(String::from_utf8_lossy(&script).trim_end());
        0
    }
}
