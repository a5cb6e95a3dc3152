//! Child: the program that the demo kills. It enqueues without end and prints the id of each item that was accepted.

use std::ffi::OsString;
use std::io::{self, Write};
use std::process::{self, ChildStdout, Stdio};
use std::thread;
use std::time::Duration;

use clap::Parser;
use spanspool::BatchTraceProcessor;

use super::items::{self, Items};
use crate::cli::outcome::{Done, Failure};
use crate::cli::spool::Spool;

/// The first argument of the program that the demo kills. Not a subcommand: those are in the help and in completions.
pub const CHILD: &str = "demo-child";

#[derive(Parser)]
#[command(name = CHILD)]
pub struct Child {
    #[command(flatten)]
    spool: Spool,
}

pub const THREADS: u32 = 4;

/// A pause after each item, so that the kill comes in the middle of the work.
const PACE: Duration = Duration::from_millis(1);

impl Child {
    pub fn run(&self) -> Result<Done, Failure> {
        let config = self.spool.config(&[])?;
        let items = if config.destination().signal().is_some() { items::OTLP } else { items::AGENTS_SDK };
        let processor = BatchTraceProcessor::open(config)?;
        thread::scope(|scope| {
            let enqueue = |first| {
                let processor = &processor;
                scope.spawn(move || enqueue_without_end(processor, items, first))
            };
            let threads: Vec<_> = (0..THREADS).map(enqueue).collect();
            for thread in threads {
                let died = |_| Err(Failure::Failed("a thread of the program died".into()));
                thread.join().unwrap_or_else(died)?;
            }
            Ok(Done::All)
        })
    }
}

/// Ends when the pipe's reader is gone, and with it the demo.
fn enqueue_without_end(processor: &BatchTraceProcessor, items: Items, first: u32) -> Result<(), Failure> {
    for round in (first..).step_by(THREADS as usize) {
        for item in items.of_round(round) {
            processor.enqueue(&item)?;
            let id = items.id_of(&item);
            // One write a line: the kill can't cut an id in two.
            io::stdout().write_all(format!("{id}\n").as_bytes())?;
            thread::sleep(PACE);
        }
    }
    Ok(())
}

/// The running program. Dropping it kills it.
pub struct Program(process::Child);

impl Program {
    /// Starts it with `settings`. Returns it with the pipe that it prints the ids into.
    pub fn start(settings: &[(&str, OsString)]) -> Result<(Self, ChildStdout), Failure> {
        let fail =
            |error: io::Error| Failure::Failed(format!("cannot start the program to be killed: {error}"));
        let mut command = process::Command::new(std::env::current_exe().map_err(fail)?);
        command.arg(CHILD);
        for (key, value) in settings {
            let mut setting = OsString::from(format!("{key}="));
            setting.push(value);
            command.arg("--set").arg(setting);
        }
        command.env("OPENAI_API_KEY", super::DEMO_KEY).stdin(Stdio::null()).stdout(Stdio::piped());
        let mut child = command.spawn().map_err(fail)?;
        let Some(ids) = child.stdout.take() else {
            return Err(Failure::Failed("the program to be killed has no output".into()));
        };
        Ok((Self(child), ids))
    }

    pub fn pid(&self) -> u32 {
        self.0.id()
    }

    /// Sends SIGKILL and waits for the end of the process. Says whether SIGKILL ended it.
    pub fn kill(&mut self) -> io::Result<bool> {
        use std::os::unix::process::ExitStatusExt;
        self.0.kill()?;
        Ok(self.0.wait()?.signal() == Some(libc::SIGKILL))
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // It is dead already when all went well.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
