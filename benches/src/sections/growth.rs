//! Growth: the same figures for more and more items. They should not change.

use std::path::Path;
use std::time::Instant;

use crate::child::{Readings, tell};
use crate::figure::{bytes, ns, rate};
use crate::latency::Latencies;
use crate::machine::peak_rss_bytes;
use crate::ours::{self, PATIENCE};
use crate::server::{self, Manners, Server};
use crate::sheet::Sheet;
use crate::{Result, items};

const COUNTS: [u64; 4] = [10_000, 100_000, 1_000_000, 10_000_000];
/// How many items are prepared. They are enqueued over and over.
const ITEMS: usize = 10_000;

/// Measures and reports.
pub fn run(sheet: &mut Sheet, dir: &Path) -> Result<()> {
    let server = Server::start(Manners::default())?;
    for count in COUNTS {
        let spool = dir.join(count.to_string());
        let filled = Readings::of("growth-fill", &spool, &[count])?;
        let delivered = Readings::of("growth-deliver", &spool, &[server.port])?;
        let figures = [
            ("enqueue p50", ns(filled.get("p50"))),
            ("spooled", rate(filled.get("rate"))),
            ("init", ns(delivered.get("init"))),
            ("delivered", rate(delivered.get("rate"))),
            ("memory, filling", bytes(filled.get("rss"))),
            ("memory, delivering", bytes(delivered.get("rss"))),
        ];
        sheet.figures(&format!("{count} items"), &figures);
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
    // The four bytes for each latency are not the library's.
    tell("rss", (peak_rss_bytes() - 4 * count) as f64);
    Ok(())
}

/// In a child: opens the spool and delivers all of it to the server at `port`.
pub fn deliver(spool: &Path, port: u64) -> Result<()> {
    let begin = Instant::now();
    let client = ours::online(spool, &server::url(port), &[])?;
    tell("init", begin.elapsed().as_nanos() as f64);
    let count = client.stats()?.accepted;
    client.flush(PATIENCE)?;
    tell("rate", count as f64 / begin.elapsed().as_secs_f64());
    tell("rss", peak_rss_bytes() as f64);
    Ok(())
}
