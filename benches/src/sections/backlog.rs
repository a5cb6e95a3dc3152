//! Backlog: 10 GiB of items that nobody took yet: opening, memory, and the room that comes back.

use std::path::Path;
use std::time::{Duration, Instant};

use crate::child::{Figures, tell};
use crate::machine::{disk_bytes, peak_rss_bytes};
use crate::ours;
use crate::report::{Reach, Report, mib, ns, rate};
use crate::server::{self, Server};
use crate::{Result, items};

const JSON_BYTES: u64 = 10 << 30;
const OPENINGS: usize = 15;
/// What a segment that is full takes, and what the journal always takes.
const SEGMENT_BYTES: f64 = 32.0 * 1024.0 * 1024.0;
const JOURNAL_BYTES: f64 = 16.0 * 1024.0 * 1024.0;

/// Measures and reports.
pub fn run(report: &mut Report, dir: &Path) -> Result<()> {
    let (full, empty) = (dir.join("full"), dir.join("empty"));
    let filled = Figures::of("backlog-fill", &full, &[JSON_BYTES])?;
    drop(ours::offline(&empty, &[])?);
    let mut rounds = Vec::new();
    for _ in 0..OPENINGS {
        rounds.push((opening_ns(&full)?, opening_ns(&empty)?));
    }
    report.rounds("init on 10 GiB beside an empty spool", &rounds, ns, Reach::AtMost(2.0));
    let server = Server::start(0)?;
    let drained = Figures::of("backlog-drain", &full, &[server.port])?;
    let rss = filled.get("rss").max(drained.get("rss"));
    let rss_ratio = rss / f64::from(100 << 20);
    let what = "peak memory at 10 GiB, filling and draining, beside 100 MiB";
    report.ratio(what, mib(rss as u64), mib(100 << 20), rss_ratio, Reach::AtMost(1.0));
    // The segment that is being delivered goes when its last item was taken.
    let late = (drained.get("late") - SEGMENT_BYTES).max(0.0);
    let what = "room not given back behind the segment being delivered, beside a segment";
    report.ratio(what, mib(late as u64), mib(SEGMENT_BYTES as u64), late / SEGMENT_BYTES, Reach::AtMost(1.0));
    report.figure(&format!(
        "- 10 GiB are {} items of real runs: filled at {} with {} of memory, {} on disk, drained at {} with {}, {} on disk after.",
        filled.get("items"),
        rate(filled.get("rate")),
        mib(filled.get("rss") as u64),
        mib(filled.get("disk") as u64),
        rate(drained.get("rate")),
        mib(drained.get("rss") as u64),
        mib(drained.get("disk") as u64),
    ));
    Ok(())
}

fn opening_ns(spool: &Path) -> Result<f64> {
    let begin = Instant::now();
    let client = ours::offline(spool, &[])?;
    let ns = begin.elapsed().as_nanos() as f64;
    drop(client);
    Ok(ns)
}

/// In a child: fills `spool` with `json_bytes` bytes.
pub fn fill(spool: &Path, json_bytes: u64) -> Result<()> {
    let sample = items::sample();
    let client = ours::offline(spool, &[])?;
    let begin = Instant::now();
    let (mut bytes, mut count) = (0, 0_u32);
    for json in sample.iter().cycle() {
        if bytes >= json_bytes {
            break;
        }
        client.enqueue(json)?;
        bytes += json.len() as u64;
        count += 1;
    }
    client.sync()?;
    tell("items", count.into());
    tell("rate", f64::from(count) / begin.elapsed().as_secs_f64());
    drop(client);
    tell("rss", peak_rss_bytes() as f64);
    tell("disk", disk_bytes(spool) as f64);
    Ok(())
}

/// In a child: drains `spool` to the server at `port`, and looks at how much of its room is still taken.
pub fn drain(spool: &Path, port: u64) -> Result<()> {
    let in_segments = || disk_bytes(spool) as f64 - JOURNAL_BYTES;
    let full = in_segments();
    let begin = Instant::now();
    let client = ours::online(spool, &server::url(port), &[])?;
    let before = client.stats()?.pending.max(1) as f64;
    let (mut late, mut rate) = (0.0_f64, 0.0);
    loop {
        // Items go on being delivered while the files are counted, so what was pending before is held against them.
        let pending = client.stats()?.pending as f64;
        late = late.max(in_segments() - full * pending / before);
        if pending == 0.0 {
            break;
        }
        rate = before / begin.elapsed().as_secs_f64();
        std::thread::sleep(Duration::from_millis(20));
    }
    client.shutdown(ours::PATIENCE)?;
    drop(client);
    tell("rate", rate);
    tell("late", late);
    tell("rss", peak_rss_bytes() as f64);
    tell("disk", disk_bytes(spool) as f64);
    Ok(())
}
