//! Command: what every subcommand is, and how it may end.

use std::io::{self, Write};

use spanspool::{Error, ErrorKind};

use crate::cli::args::Args;

/// One subcommand.
pub struct Command {
    pub name: &'static str,
    /// One line for the list of commands.
    pub summary: &'static str,
    pub help: &'static str,
    /// The options it takes besides `--help`; one that ends in `=` takes a value.
    pub options: &'static [&'static str],
    /// How many operands it takes at most.
    pub max_operands: usize,
    pub run: fn(&Args, &mut dyn Write) -> Result<Done, Failure>,
}

/// How a command ended that could do its work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Done {
    /// Exit code 0.
    All,
    /// Exit code 1: something is left or was invalid; the command has said what.
    SomethingLeft,
}

impl Done {
    pub fn all_if(complete: bool) -> Self {
        if complete { Self::All } else { Self::SomethingLeft }
    }
}

/// Why a command could not do its work.
#[derive(Debug)]
pub enum Failure {
    /// Exit code 2: the command line is wrong.
    Usage(String),
    /// Exit code 1.
    Failed(String),
    /// The reader of the output has gone, as `head` does: not a fault, exit code 0.
    ClosedPipe,
}

/// For writing to the output only; other files name themselves in the message.
impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::ClosedPipe,
            _ => Self::Failed(format!("cannot write to standard output: {error}")),
        }
    }
}

impl From<serde_json::Error> for Failure {
    fn from(error: serde_json::Error) -> Self {
        io::Error::from(error).into()
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        match error.kind() {
            ErrorKind::InvalidArgument | ErrorKind::UnknownSetting => Self::Usage(error.message().into()),
            _ => Self::Failed(error.message().into()),
        }
    }
}
