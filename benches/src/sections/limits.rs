//! Limits: what a limit costs that is not reached, and what one costs that is.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use spanspool::{Batch, BatchTraceProcessor, Outcome, TracingExporter};

use crate::figure::ns;
use crate::latency::Latencies;
use crate::machine::thread_cpu_s;
use crate::ours::{self, PATIENCE};
use crate::sheet::{Reach, Sheet};
use crate::{Result, items};

const ROUNDS: usize = 21;
const BURST_ITEMS: usize = 12_000;
/// Few enough to stay in the CPU's cache: a caller has just made its item.
const ITEMS: usize = 256;
/// How long a full spool is drained.
const DRAIN: Duration = Duration::from_secs(4);
/// CPU time that the committer may take meanwhile.
const DRAIN_CPU_NS: f64 = 0.1e9;

/// Takes its time for each batch.
struct Slow;

impl TracingExporter for Slow {
    fn export(&self, _: &Batch, _: Option<Instant>) -> Outcome {
        std::thread::sleep(Duration::from_millis(5));
        Outcome::Accepted { status: 200 }
    }
}

/// Measures and reports.
pub fn run(sheet: &mut Sheet, dir: &Path) -> Result<()> {
    let spans = items::spans(ITEMS);
    price(sheet, dir, &spans, ("max_queue_size", "1000000"))?;
    price(sheet, dir, &spans, ("order", "newest_first"))?;

    let cpu = committer_cpu_ns(&dir.join("full"), &spans)?;
    let what = "CPU time of the committer while a full spool is drained for 4 s, vs 0.1 s";
    sheet.ratio(what, ns(cpu), ns(DRAIN_CPU_NS), cpu / DRAIN_CPU_NS, Reach::AtMost(1.0));
    Ok(())
}

/// What a setting adds to the price of an item.
fn price(sheet: &mut Sheet, dir: &Path, spans: &[Vec<u8>], (name, value): (&str, &str)) -> Result<()> {
    let with = ours::accepted(&dir.join(name), &[(name, value)])?;
    let without = ours::accepted(&dir.join(format!("no-{name}")), &[])?;
    let burst = |client: &BatchTraceProcessor| -> Result<f64> {
        let latencies = Latencies::of(BURST_ITEMS, |n| client.enqueue(&spans[n % ITEMS]))?;
        client.flush(PATIENCE)?;
        Ok(latencies.at(0.5))
    };
    let mut rounds = Vec::new();
    for _ in 0..ROUNDS {
        rounds.push((burst(&with)?, burst(&without)?));
    }
    sheet.rounds(&format!("enqueue with {name}={value}, p50, vs without"), &rounds, ns, Reach::AtMost(1.1));
    Ok(())
}

fn committer_cpu_ns(spool: &Path, spans: &[Vec<u8>]) -> Result<f64> {
    let settings = [("max_spool_bytes", "128 MiB"), ("enqueue_timeout_ms", "1000")];
    let client = ours::offline(spool, &settings)?;
    while spans.iter().all(|span| client.enqueue(span).is_ok()) {}
    drop(client);
    let client = ours::with_exporter(spool, &settings, Arc::new(Slow))?;
    // A caller that has no patience, either.
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Relaxed) {
                drop(client.enqueue(&spans[0]));
                std::thread::sleep(Duration::from_millis(10));
            }
        });
        std::thread::sleep(Duration::from_millis(500));
        let cpu = thread_cpu_s("spanspool-disk");
        std::thread::sleep(DRAIN);
        let cpu = thread_cpu_s("spanspool-disk") - cpu;
        done.store(true, Relaxed);
        Ok(cpu * 1e9)
    })
}
