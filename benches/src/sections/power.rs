//! Power: enqueues that outlive a power cut, of one thread beside a write in place, and of many.

use std::path::Path;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use spanspool::BatchTraceProcessor;

use crate::latency::Latencies;
use crate::ours;
use crate::peers::InPlace;
use crate::report::{Reach, Report, ns, rate};
use crate::{Result, items};

const ROUNDS: usize = 9;
const CALLS: usize = 400;
const TIME: Duration = Duration::from_millis(700);
const THREADS: usize = 32;

/// Measures and reports.
pub fn run(report: &mut Report, dir: &Path) -> Result<()> {
    // So long that nothing has to be moved out of it: like the peer, it writes each item once.
    let client = ours::offline(dir, &[("durability", "power"), ("journal_bytes", "1 GiB")])?;
    let mut in_place = InPlace::new(dir)?;
    let spans = items::spans(CALLS);
    let mut rounds = Vec::new();
    for _ in 0..ROUNDS {
        let ours = Latencies::of(CALLS, |n| client.enqueue(&spans[n]))?;
        let theirs = Latencies::of(CALLS, |n| in_place.enqueue(&spans[n]))?;
        rounds.push((ours.at(0.5), theirs.at(0.5)));
    }
    let what = "durability=power, 1 thread, p50, beside pwrite and fdatasync";
    report.rounds(what, &rounds, ns, Reach::AtMost(1.1));

    let mut rounds = Vec::new();
    for _ in 0..ROUNDS {
        rounds.push((through(&client, THREADS)?, through(&client, 1)?));
    }
    report.rounds("durability=power, 32 threads beside 1", &rounds, rate, Reach::AtLeast(10.0));
    Ok(())
}

/// Items a second of `threads` threads at once.
fn through(client: &BatchTraceProcessor, threads: usize) -> Result<f64> {
    let (taken, refused) = (AtomicU64::new(0), AtomicU64::new(0));
    let begin = Instant::now();
    std::thread::scope(|scope| {
        for n in 0..threads {
            let span = items::span(n as u64);
            let (taken, refused) = (&taken, &refused);
            scope.spawn(move || {
                while begin.elapsed() < TIME {
                    let count = if client.enqueue(&span).is_ok() { taken } else { refused };
                    count.fetch_add(1, Relaxed);
                }
            });
        }
    });
    let seconds = begin.elapsed().as_secs_f64();
    match refused.load(Relaxed) {
        0 => Ok(taken.load(Relaxed) as f64 / seconds),
        n => Err(format!("{n} items were refused").into()),
    }
}
