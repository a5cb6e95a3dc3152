//! Power: enqueues that outlive a power cut, of one thread beside a write in place, and of many.

use std::path::Path;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use spanspool::BatchTraceProcessor;

use crate::latency::{Latencies, median};
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
        let mut refused = Ok(());
        let ours = Latencies::of(CALLS, |n| refused = client.enqueue(&spans[n])).at(0.5);
        refused?;
        let mut failed = Ok(());
        let theirs = Latencies::of(CALLS, |n| failed = in_place.enqueue(&spans[n])).at(0.5);
        failed?;
        rounds.push((ours, theirs));
    }
    let texts = (median(rounds.iter().map(|r| r.0)), median(rounds.iter().map(|r| r.1)));
    let ratio = median(rounds.iter().map(|(ours, theirs)| ours / theirs));
    let what = "durability=power, 1 thread, p50, beside pwrite and fdatasync";
    report.ratio(what, ns(texts.0), ns(texts.1), ratio, Reach::AtMost(1.1));

    let mut rounds = Vec::new();
    for _ in 0..ROUNDS {
        rounds.push((through(&client, THREADS)?, through(&client, 1)?));
    }
    let texts = (median(rounds.iter().map(|r| r.0)), median(rounds.iter().map(|r| r.1)));
    let ratio = median(rounds.iter().map(|(many, one)| many / one));
    let what = "durability=power, 32 threads beside 1";
    report.ratio(what, rate(texts.0), rate(texts.1), ratio, Reach::AtLeast(10.0));
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
