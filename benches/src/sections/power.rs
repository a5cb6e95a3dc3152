//! Power: enqueues that survive a power cut: one thread next to writes in place, and many threads next to one.

use std::path::Path;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use spanspool::BatchTraceProcessor;

use crate::figure::{ns, rate};
use crate::latency::Latencies;
use crate::ours;
use crate::peers::InPlace;
use crate::sheet::{Reach, Sheet};
use crate::{Result, items};

const ROUNDS: usize = 9;
const CALLS: usize = 400;
const TIME: Duration = Duration::from_millis(700);
const THREADS: usize = 32;

/// Measures and reports.
pub fn run(sheet: &mut Sheet, dir: &Path) -> Result<()> {
    // Long enough that nothing spills: like the peer, it writes each item once.
    let client = ours::offline(dir, &[("durability", "power"), ("journal_bytes", "1 GiB")])?;
    let mut in_place = InPlace::new(dir)?;
    let spans = items::spans(CALLS);
    let mut rounds = Vec::new();
    for _ in 0..ROUNDS {
        let ours = Latencies::of(CALLS, |n| client.enqueue(&spans[n]))?;
        let theirs = Latencies::of(CALLS, |n| in_place.enqueue(&spans[n]))?;
        rounds.push((ours.at(0.5), theirs.at(0.5)));
    }
    let what = "durability=power, 1 thread, p50, vs pwrite and fdatasync";
    sheet.rounds(what, &rounds, ns, Reach::AtMost(1.1));

    let mut rounds = Vec::new();
    for _ in 0..ROUNDS {
        rounds.push((throughput(&client, THREADS)?, throughput(&client, 1)?));
    }
    sheet.rounds("durability=power, 32 threads vs 1", &rounds, rate, Reach::AtLeast(10.0));
    Ok(())
}

/// Items a second of `threads` concurrent threads.
fn throughput(client: &BatchTraceProcessor, threads: usize) -> Result<f64> {
    let (accepted, refused) = (AtomicU64::new(0), AtomicU64::new(0));
    let begin = Instant::now();
    std::thread::scope(|scope| {
        for n in 0..threads {
            let span = items::span(n as u64);
            let (accepted, refused) = (&accepted, &refused);
            scope.spawn(move || {
                while begin.elapsed() < TIME {
                    let count = if client.enqueue(&span).is_ok() { accepted } else { refused };
                    count.fetch_add(1, Relaxed);
                }
            });
        }
    });
    let seconds = begin.elapsed().as_secs_f64();
    match refused.load(Relaxed) {
        0 => Ok(accepted.load(Relaxed) as f64 / seconds),
        n => Err(format!("{n} items were refused by durability=power").into()),
    }
}
