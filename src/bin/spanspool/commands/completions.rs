//! Completions: a script that completes this program's command line in a shell.

use std::io::Write;

use clap::{Args, Command};
use clap_complete::Shell;

use crate::cli::outcome::{Done, Failure};

/// Write a shell's completion script to standard output
///
/// Bash:  spanspool completions bash > ~/.local/share/bash-completion/completions/spanspool
/// Zsh:   spanspool completions zsh > DIR/_spanspool, where DIR is in $fpath
/// Fish:  spanspool completions fish > ~/.config/fish/completions/spanspool.fish
#[derive(Args)]
#[command(verbatim_doc_comment)]
pub struct Completions {
    /// The shell that reads the script
    shell: Shell,
}

impl Completions {
    /// `command` is the whole command line.
    pub fn run(&self, mut command: Command, out: &mut dyn Write) -> Result<Done, Failure> {
        let name = command.get_name().to_owned();
        let mut script = Vec::new();
        // It panics when it can't write, as into a closed pipe; into memory it always can.
        clap_complete::generate(self.shell, &mut command, name, &mut script);
        out.write_all(&script)?;
        Ok(Done::All)
    }
}
