//! Outcome: how a command ends, and the exit code that says so.

use std::io::{self, Write};
use std::process::ExitCode;

use spanspool::{Error, ErrorKind};

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
    /// The reader of the output is gone, as `head` is when it has enough: exit code 0.
    ClosedPipe,
}

/// For writing to standard output only. An error with another file names that file in its message.
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

/// The exit code of `result`. A failure is written to standard error, after the name of `program`.
pub fn exit(result: Result<Done, Failure>, program: &str) -> ExitCode {
    let (code, message) = match result {
        Ok(Done::All) | Err(Failure::ClosedPipe) => return ExitCode::SUCCESS,
        Ok(Done::SomethingLeft) => return ExitCode::from(1),
        Err(Failure::Failed(message)) => (1, message),
        Err(Failure::Usage(message)) => (2, message),
    };
    // With standard error closed, the exit code still speaks.
    let _ = writeln!(io::stderr(), "{program}: {message}");
    ExitCode::from(code)
}
