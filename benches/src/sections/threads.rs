//! Threads: the throughput of several threads next to that of one.

use std::path::Path;
use std::sync::Barrier;
use std::time::Instant;

use spanspool::BatchTraceProcessor;

use crate::figure::rate;
use crate::ours::{self, PATIENCE};
use crate::sheet::{Reach, Sheet};
use crate::{Result, items};

const ROUNDS: usize = 9;
const BURSTS: usize = 20;
/// Of all threads together; they fit in the journal.
const BURST_ITEMS: usize = 24_000;

/// Measures and reports.
pub fn run(sheet: &mut Sheet, dir: &Path) -> Result<()> {
    let client = ours::accepted(dir, &[])?;
    let spans = items::spans(BURST_ITEMS);
    let mut rounds = Vec::new();
    for _ in 0..ROUNDS {
        rounds.push((round(&client, &spans, 4)?, round(&client, &spans, 1)?));
    }
    sheet.rounds("enqueue, 4 threads vs 1", &rounds, rate, Reach::AtLeast(1.0));
    Ok(())
}

/// Items a second of `threads` concurrent threads.
fn round(client: &BatchTraceProcessor, spans: &[Vec<u8>], threads: usize) -> Result<f64> {
    let mut busy_s = 0.0;
    for _ in 0..BURSTS {
        let start = Barrier::new(threads + 1);
        busy_s += std::thread::scope(|scope| {
            let shares = spans.chunks(spans.len() / threads);
            let start = &start;
            let all: Vec<_> = shares
                .map(|share| {
                    scope.spawn(move || {
                        start.wait();
                        let begin = Instant::now();
                        ours::fill(client, share, share.len()).map_err(|e| e.to_string())?;
                        Ok::<_, String>((begin, Instant::now()))
                    })
                })
                .collect();
            start.wait();
            let mut times = Vec::new();
            for thread in all {
                times.push(thread.join().map_err(|_| "a thread panicked")??);
            }
            let begin = times.iter().map(|time| time.0).min();
            let end = times.iter().map(|time| time.1).max();
            let busy = end.zip(begin).map_or(0.0, |(end, begin)| (end - begin).as_secs_f64());
            Ok::<_, Box<dyn std::error::Error>>(busy)
        })?;
        client.flush(PATIENCE)?;
    }
    Ok((BURSTS * spans.len()) as f64 / busy_s)
}
