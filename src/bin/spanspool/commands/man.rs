//! Man: the man pages of this program.

use std::path::PathBuf;

use clap::{Args, Command, ValueHint};

use crate::cli::outcome::{Done, Failure};

/// Write the man pages into a folder
///
/// One page for the program and one for each command: spanspool.1,
/// spanspool-status.1 and so on. Pages that are there are overwritten.
#[derive(Args)]
#[command(verbatim_doc_comment)]
pub struct Man {
    /// The folder, which must exist
    #[arg(value_hint = ValueHint::DirPath)]
    dir: PathBuf,
}

impl Man {
    /// `command` is the whole command line.
    pub fn run(&self, command: Command) -> Result<Done, Failure> {
        let fail = |error| Failure::Failed(format!("cannot write into {}: {error}", self.dir.display()));
        clap_mangen::generate_to(command, &self.dir).map_err(fail)?;
        Ok(Done::All)
    }
}
