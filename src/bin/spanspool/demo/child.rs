//! Child: the program that the demo kills: it enqueues without end and says the id of each item that it got OK for.

use std::io::{self, Write};
use std::process::{Child, ChildStdout, Command as Process, Stdio};
use std::thread;
use std::time::Duration;

use spanspool::BatchTraceProcessor;

use super::items;
use crate::cli::args::Args;
use crate::cli::command::{Command, Done, Failure};

/// Not listed: the demo starts it as a process of its own.
pub const COMMAND: Command = Command {
    name: "demo-child",
    summary: "",
    help: "Usage: spanspool demo-child --spool-dir DIR --set KEY=VALUE...",
    options: &["--spool-dir=", "--set="],
    max_operands: 0,
    run,
};

pub const THREADS: u32 = 4;

/// A pause behind each item, so that the kill comes in the middle of the work and can be watched.
const PACE: Duration = Duration::from_millis(1);

fn run(args: &Args, _out: &mut dyn Write) -> Result<Done, Failure> {
    let processor = BatchTraceProcessor::open(args.config(&[])?)?;
    thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS)
            .map(|first| {
                scope.spawn({
                    let processor = &processor;
                    move || enqueue_without_end(processor, first)
                })
            })
            .collect();
        for thread in threads {
            thread
                .join()
                .unwrap_or_else(|_| Err(Failure::Failed("a thread of the program has died".into())))?;
        }
        Ok(Done::All)
    })
}

/// Ends when nobody reads the ids any more: the demo is gone.
fn enqueue_without_end(processor: &BatchTraceProcessor, first: u32) -> Result<(), Failure> {
    for round in (first..).step_by(THREADS as usize) {
        for item in items::of_round(round) {
            processor.enqueue(item.as_bytes())?;
            let id = items::id_of(&item).unwrap_or_default();
            // One write a line: the kill can't leave half an id behind.
            io::stdout().write_all(format!("{id}\n").as_bytes())?;
            thread::sleep(PACE);
        }
    }
    Ok(())
}

/// The running program. It is killed when this is dropped.
pub struct Program(Child);

impl Program {
    /// Starts it with `settings`, and the end of the pipe that it says the ids into.
    pub fn start(settings: &[(&str, String)]) -> Result<(Self, ChildStdout), Failure> {
        let fail =
            |error: io::Error| Failure::Failed(format!("cannot start the program to be killed: {error}"));
        let mut process = Process::new(std::env::current_exe().map_err(fail)?);
        process.arg(COMMAND.name);
        for (key, value) in settings {
            process.arg("--set").arg(format!("{key}={value}"));
        }
        process.env("OPENAI_API_KEY", super::DEMO_KEY).stdin(Stdio::null()).stdout(Stdio::piped());
        let mut child = process.spawn().map_err(fail)?;
        let Some(ids) = child.stdout.take() else {
            return Err(Failure::Failed("the program to be killed has no output".into()));
        };
        Ok((Self(child), ids))
    }

    pub fn pid(&self) -> u32 {
        self.0.id()
    }

    /// Sends SIGKILL and waits until the process is gone. Says whether it was SIGKILL that ended it.
    pub fn kill(&mut self) -> io::Result<bool> {
        use std::os::unix::process::ExitStatusExt;
        self.0.kill()?;
        Ok(self.0.wait()?.signal() == Some(SIGKILL))
    }
}

const SIGKILL: i32 = 9;

impl Drop for Program {
    fn drop(&mut self) {
        // It is gone already when all went well.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
