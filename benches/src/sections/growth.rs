//! Growth: the same figures for ever more items; they are to stay as they are.

use std::path::Path;
use std::time::Instant;

use crate::child::{Figures, tell};
use crate::latency::Latencies;
use crate::machine::peak_rss_bytes;
use crate::ours::{self, PATIENCE};
use crate::report::{Report, mib, ns, rate};
use crate::server::{self, Server};
use crate::{Result, items};

const COUNTS: [u64; 4] = [10_000, 100_000, 1_000_000, 10_000_000];
/// How many items are prepared; they come again and again.
const ITEMS: usize = 10_000;

/// Measures and reports.
pub fn run(report: &mut Report, dir: &Path) -> Result<()> {
    report
        .figure("\n| items | enqueue p50 | spooled | init | drained | memory, filling | memory, draining |");
    report.figure("|---:|---:|---:|---:|---:|---:|---:|");
    let server = Server::start(0)?;
    for count in COUNTS {
        let spool = dir.join(count.to_string());
        let filled = Figures::of("growth-fill", &spool, &[count])?;
        let drained = Figures::of("growth-drain", &spool, &[server.port])?;
        report.figure(&format!(
            "| {count} | {} | {} | {} | {} | {} | {} |",
            ns(filled.get("p50")),
            rate(filled.get("rate")),
            ns(drained.get("init")),
            rate(drained.get("rate")),
            mib(filled.get("rss") as u64),
            mib(drained.get("rss") as u64),
        ));
        std::fs::remove_dir_all(&spool)?;
    }
    Ok(())
}

/// In a child: enqueues `count` items with no ingest.
pub fn fill(spool: &Path, count: u64) -> Result<()> {
    let spans = items::spans(ITEMS);
    let client = ours::offline(spool, &[])?;
    let begin = Instant::now();
    let latencies = Latencies::of(count as usize, |n| client.enqueue(&spans[n % ITEMS]))?;
    client.sync()?;
    tell("rate", count as f64 / begin.elapsed().as_secs_f64());
    tell("p50", latencies.at(0.5));
    // Four bytes for each latency are not the library's.
    tell("rss", (peak_rss_bytes() - 4 * count) as f64);
    Ok(())
}

/// In a child: opens the spool and delivers all that it has to the server at `port`.
pub fn drain(spool: &Path, port: u64) -> Result<()> {
    let begin = Instant::now();
    let client = ours::online(spool, &server::url(port), &[])?;
    tell("init", begin.elapsed().as_nanos() as f64);
    let count = client.stats()?.accepted;
    client.flush(PATIENCE)?;
    tell("rate", count as f64 / begin.elapsed().as_secs_f64());
    tell("rss", peak_rss_bytes() as f64);
    Ok(())
}
