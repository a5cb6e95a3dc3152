//! Demo: an outage and a kill -9 in a few seconds, on this machine only; every item arrives all the same.

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

use clap::Args;

use crate::cli::human::duration;
use crate::cli::ledger::totals;
use crate::cli::outcome::{Done, Failure};
use items::Items;
use stage::Stage;
use verdict::Verdict;

pub use child::{CHILD, Child};

/// Show an outage and a kill -9 in a few seconds; needs no network and no key
///
/// Enqueues real items while the ingest is down, kills the enqueueing process with
/// SIGKILL, opens its spool from another process, brings the ingest up, and checks
/// that every item arrived. All of it runs on this machine, in a temporary folder.
///
/// With --otlp the items are export requests of OTLP, and the ingest decodes them.
/// With --keep the spool can be looked at afterwards: spanspool view.
///
/// Exit code: 0 every check holds; 1 one does not, and the folder is kept; 2 wrong usage.
#[derive(Args)]
#[command(verbatim_doc_comment)]
pub struct Demo {
    /// Enqueue spans of OpenTelemetry instead of items of the OpenAI Agents SDK
    #[arg(long)]
    otlp: bool,
    /// Keep the folder and name it
    #[arg(long)]
    keep: bool,
}

/// Stands in for the user's real key, which the demo must not use.
const DEMO_KEY: &str = "demo-key";
/// How many requests the ingest answers 503 before it accepts one.
const REFUSALS: usize = 2;

impl Demo {
    pub fn run(&self, out: &mut dyn Write) -> Result<Done, Failure> {
        let dir = std::env::temp_dir().join(format!("spanspool-demo-{}", std::process::id()));
        let created = DirBuilder::new().mode(0o700).create(&dir);
        created.map_err(|e| failed(format!("create {}", dir.display()), e))?;
        let items = if self.otlp { items::OTLP } else { items::AGENTS_SDK };
        let result = play(&dir, items, out);
        let worth_keeping = matches!(result, Ok(Done::SomethingLeft) | Err(Failure::Failed(_)));
        if self.keep || worth_keeping {
            writeln!(out, "\nThe spool is kept in {}", dir.display())?;
            writeln!(out, "Look at it with: spanspool view --spool-dir {}", dir.display())?;
        } else {
            fs::remove_dir_all(&dir).map_err(|e| failed(format!("remove {}", dir.display()), e))?;
        }
        result
    }
}

fn failed(what: impl Display, error: io::Error) -> Failure {
    Failure::Failed(format!("cannot {what}: {error}"))
}

fn play(dir: &Path, items: Items, out: &mut dyn Write) -> Result<Done, Failure> {
    let started = Instant::now();
    let stage = Stage::set(dir, items)?;
    let acknowledged = stage.offline_and_kill(out)?;
    let processor = stage.restart(out)?;
    let ingest = stage.online(&processor, out)?;
    let stats = totals(&stage.lanes()?);
    heading(out, 5, "VERDICT", "what enqueue acknowledged, what arrived, and the ledger")?;
    let requests = ingest.requests();
    let verdict = Verdict { items, acknowledged: &acknowledged, requests: &requests, stats: &stats };
    let holds = verdict.write(out)?;
    // All is delivered, or the verdict said that it is not.
    let _ = processor.shutdown(Duration::ZERO);
    let word = if holds { "Nothing was lost" } else { "NOT EVERYTHING HOLDS" };
    writeln!(out, "\n{word}. It took {}.", duration(started.elapsed().as_millis() as u64))?;
    Ok(Done::all_if(holds))
}

fn heading(out: &mut dyn Write, act: u8, title: &str, text: &str) -> io::Result<()> {
    let gap = if act == 1 { "" } else { "\n" };
    writeln!(out, "{gap}{act}  {title:<9} {text}")
}

fn fact(out: &mut dyn Write, name: &str, value: impl Display) -> io::Result<()> {
    writeln!(out, "   {name:<24} {value}")
}
