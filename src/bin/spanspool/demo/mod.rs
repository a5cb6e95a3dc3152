//! Demo: an outage and a kill -9 in a few seconds, on this machine only, and what is left of the items: all.

mod child;
mod ingest;
mod items;
mod stage;
mod verdict;

use std::fmt::Display;
use std::fs::{self, DirBuilder};
use std::io::{self, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::cli::args::Args;
use crate::cli::command::{Command, Done, Failure};
use crate::cli::human::age;
use crate::cli::ledger::totals;
use stage::Stage;
use verdict::Verdict;

pub use child::COMMAND as CHILD;

pub const COMMAND: Command = Command {
    name: "demo",
    summary: "an outage and a kill -9 in a few seconds; needs no network and no key",
    help: "Usage: spanspool demo [--keep]

Enqueues real items while the ingest is down, kills the enqueueing process with
SIGKILL, opens its spool from another process, brings the ingest up, and checks
that every item arrived. All of it on this machine, in a temporary folder.

Options:
  --keep    keep the folder and name it
  --help    this text

Exit code: 0 every check holds, 1 one does not; the folder is kept then.",
    options: &["--keep"],
    max_operands: 0,
    run,
};

/// Stands in for the user's real key, which the demo has no business with.
const DEMO_KEY: &str = "demo-key";
/// How many requests the ingest answers 503 before it takes one.
const REFUSALS: usize = 2;

fn run(args: &Args, out: &mut dyn Write) -> Result<Done, Failure> {
    let dir = std::env::temp_dir().join(format!("spanspool-demo-{}", std::process::id()));
    DirBuilder::new().mode(0o700).create(&dir).map_err(|e| failed(format!("create {}", dir.display()), e))?;
    let result = play(&dir, out);
    let worth_keeping = matches!(result, Ok(Done::SomethingLeft) | Err(Failure::Failed(_)));
    if args.has("--keep") || worth_keeping {
        writeln!(out, "\nThe spool is kept in {}", dir.display())?;
    } else {
        fs::remove_dir_all(&dir).map_err(|e| failed(format!("remove {}", dir.display()), e))?;
    }
    result
}

fn failed(what: impl Display, error: io::Error) -> Failure {
    Failure::Failed(format!("cannot {what}: {error}"))
}

fn play(dir: &Path, out: &mut dyn Write) -> Result<Done, Failure> {
    let started = Instant::now();
    let stage = Stage::set(dir)?;
    let acknowledged = stage.offline_and_kill(out)?;
    let processor = stage.restart(out)?;
    let ingest = stage.online(&processor, out)?;
    let stats = totals(&stage.lanes()?);
    heading(out, 5, "VERDICT", "what the program was told, what arrived, and the ledger")?;
    let requests = ingest.requests();
    let holds = Verdict { acknowledged: &acknowledged, requests: &requests, stats: &stats }.write(out)?;
    // All is delivered, or the verdict has said that it is not.
    let _ = processor.shutdown(Duration::ZERO);
    let word = if holds { "Nothing was lost" } else { "NOT EVERYTHING HOLDS" };
    writeln!(out, "\n{word}. It took {}.", age(started.elapsed().as_millis() as u64))?;
    Ok(Done::all_if(holds))
}

fn heading(out: &mut dyn Write, act: u8, title: &str, text: &str) -> io::Result<()> {
    let gap = if act == 1 { "" } else { "\n" };
    writeln!(out, "{gap}{act}  {title:<9} {text}")
}

fn fact(out: &mut dyn Write, name: &str, value: impl Display) -> io::Result<()> {
    writeln!(out, "   {name:<24} {value}")
}
