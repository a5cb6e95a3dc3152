//! Rejected: what a rejected store with many files costs, next to an empty one.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::Mutex;
use std::time::Instant;

use spanspool::{Batch, BatchTraceProcessor, Outcome, TracingExporter};

use crate::figure::{ns, rate};
use crate::latency::median;
use crate::ours::{self, PATIENCE};
use crate::sheet::{Reach, Sheet};
use crate::{Result, items};

const FILES: u64 = 16_000;
const ROUNDS: usize = 15;
/// How long a call that sets a key may take.
const CALL_NS: f64 = 1e6;
/// Items a second that are to go back on their way.
const REQUEUED: f64 = 5_000.0;
/// Seqs from here on are those of items of dead processes: no opening takes them for unsettled.
const ADOPTED_FROM: u64 = 1 << 48;

/// Accepts what is to go under a key that it was told.
#[derive(Default)]
struct Keyring(Mutex<Vec<String>>);

impl Keyring {
    fn has(&self, name: &str) -> bool {
        self.0.lock().is_ok_and(|names| names.iter().any(|known| known == name))
    }
}

impl TracingExporter for Keyring {
    fn export(&self, batch: &Batch, _: Option<Instant>) -> Outcome {
        if self.has(batch.key_name()) { Outcome::Accepted { status: 200 } } else { Outcome::NoKey }
    }

    fn set_named_key(&self, name: &str, _: &str) {
        if let Ok(mut names) = self.0.lock() {
            names.push(name.to_owned());
        }
    }

    fn has_named_key(&self, name: &str) -> bool {
        self.has(name)
    }
}

/// Measures and reports.
pub fn run(sheet: &mut Sheet, dir: &Path) -> Result<()> {
    let (many, empty) = (dir.join("many"), dir.join("empty"));
    for spool in [&many, &empty] {
        set_one_aside(&open(spool)?)?;
    }
    multiply(&many)?;
    for file in files(&empty)? {
        fs::remove_file(file)?;
    }
    let mut rounds = Vec::new();
    for _ in 0..ROUNDS {
        rounds.push((ours::opening_ns(&many)?, ours::opening_ns(&empty)?));
    }
    let what = |what: &str| format!("{what} with {FILES} rejected files vs an empty store");
    sheet.rounds(&what("init"), &rounds, ns, Reach::AtMost(2.0));

    let clients = (open(&many)?, open(&empty)?);
    // The first one waits for the look through the folder.
    set_one_aside(&clients.0)?;
    set_one_aside(&clients.1)?;
    let mut rounds = Vec::new();
    for _ in 0..ROUNDS {
        rounds.push((set_one_aside(&clients.0)?, set_one_aside(&clients.1)?));
    }
    sheet.rounds(&what("one item set aside"), &rounds, ns, Reach::AtMost(2.0));
    let mut calls = Vec::new();
    for n in 0..ROUNDS {
        let begin = Instant::now();
        clients.0.set_named_key(&format!("nobody's-{n}"), "sk-bench")?;
        calls.push(begin.elapsed().as_nanos() as f64);
        // Each call starts a thread: the last one has ended.
        clients.0.flush(PATIENCE)?;
    }
    let begin = Instant::now();
    clients.0.set_named_key("held", "sk-bench")?;
    calls.push(begin.elapsed().as_nanos() as f64);
    let longest = calls.iter().copied().fold(0.0, f64::max);
    let call = median(calls);
    let what = format!("set_named_key with {FILES} rejected files vs 1 ms");
    sheet.ratio(&what, ns(call), ns(CALL_NS), call / CALL_NS, Reach::AtMost(1.0));
    sheet.figures("set_named_key", &[("the longest call", ns(longest))]);
    clients.0.flush(PATIENCE)?;
    let per_second = clients.0.stats()?.delivered as f64 / begin.elapsed().as_secs_f64();
    let what = "items put back on their way by their key, and delivered, vs 5,000 a second";
    sheet.ratio(what, rate(per_second), rate(REQUEUED), per_second / REQUEUED, Reach::AtLeast(1.0));
    drop(clients);

    set_one_aside(&open(&many)?)?;
    multiply(&many)?;
    let client = ours::offline(&many, &[])?;
    let begin = Instant::now();
    let requeued = client.requeue_rejected(&[])? as f64 / begin.elapsed().as_secs_f64();
    let what = "items put back on their way by hand vs 5,000 a second";
    sheet.ratio(what, rate(requeued), rate(REQUEUED), requeued / REQUEUED, Reach::AtLeast(1.0));
    Ok(())
}

fn open(spool: &Path) -> Result<BatchTraceProcessor> {
    ours::with_exporter(spool, &[], Arc::new(Keyring::default()))
}

/// Returns how long it took.
fn set_one_aside(client: &BatchTraceProcessor) -> Result<f64> {
    let begin = Instant::now();
    client.enqueue_as("held", &items::span(1))?;
    client.flush(PATIENCE)?;
    Ok(begin.elapsed().as_nanos() as f64)
}

/// The rejected files of the spool's only lane.
fn files(spool: &Path) -> Result<Vec<PathBuf>> {
    let lane = fs::read_dir(spool.join("lanes"))?.next().ok_or("no lane")??.path();
    Ok(fs::read_dir(lane.join("rejected"))?.map(|entry| Ok(entry?.path())).collect::<std::io::Result<_>>()?)
}

/// Copies the first rejected file until there are `FILES`.
fn multiply(spool: &Path) -> Result<()> {
    let file = files(spool)?.into_iter().next().ok_or("no rejected file")?;
    for n in 0..FILES {
        fs::copy(&file, file.with_file_name(format!("{:020}", ADOPTED_FROM + n)))?;
    }
    Ok(())
}
