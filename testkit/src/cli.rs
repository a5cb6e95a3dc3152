//! Runs the program as a user would.
use std::io::Write;
use std::process::{Command, Output, Stdio};

use crate::run::{output_of, output_within};
use crate::scratch::program;
use crate::tools::caller;
use crate::wait::PATIENCE;

/// A command that runs the program without input and without the machine's OpenAI settings.
pub fn spanspool(arguments: &[&str]) -> Command {
    let mut command = caller(program());
    command.args(arguments).stdin(Stdio::null());
    command
}

/// How one call ended.
pub struct Ended {
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

impl From<Output> for Ended {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code(),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

impl Ended {
    /// Stops the test, with all that was said, unless the exit code is `code`.
    #[track_caller]
    pub fn with(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "\nstdout: {}\nstderr: {}", self.out, self.err);
        self
    }

    /// The one JSON object on stdout.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.out).unwrap()
    }
}

pub fn run(args: &[&str]) -> Ended {
    output_within(PATIENCE, &mut spanspool(args), &format!("spanspool {args:?}")).into()
}

pub fn run_with_input(args: &[&str], input: &[u8]) -> Ended {
    let mut child =
        spanspool(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // A program that stops early does not read all; that is for the test to judge.
    let _ = child.stdin.take().unwrap().write_all(input);
    output_of(&mut child, PATIENCE, &format!("spanspool {args:?}")).into()
}
