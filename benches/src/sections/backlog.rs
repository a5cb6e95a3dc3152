//! Backlog: 10 GiB of undelivered items: opening the spool, memory, and how soon disk space is freed.

use std::path::Path;
use std::time::{Duration, Instant};

use crate::child::{Readings, tell};
use crate::figure::{bytes, count, ns, rate};
use crate::machine::{disk_bytes, peak_rss_bytes};
use crate::server::{self, Manners, Server};
use crate::sheet::{Reach, Sheet};
use crate::{Result, items, ours};

const JSON_BYTES: u64 = 10 << 30;
const OPENINGS: usize = 15;
/// Disk space of a full segment.
const SEGMENT_BYTES: f64 = 32.0 * 1024.0 * 1024.0;
/// Disk space of the journal, which never changes.
const JOURNAL_BYTES: f64 = 16.0 * 1024.0 * 1024.0;
/// Memory that neither filling nor delivering may exceed.
const MEMORY_BYTES: f64 = 100.0 * 1024.0 * 1024.0;

/// Measures and reports.
pub fn run(sheet: &mut Sheet, dir: &Path) -> Result<()> {
    let (full, empty) = (dir.join("full"), dir.join("empty"));
    let filled = Readings::of("backlog-fill", &full, &[JSON_BYTES])?;
    drop(ours::offline(&empty, &[])?);
    let mut rounds = Vec::new();
    for _ in 0..OPENINGS {
        rounds.push((ours::opening_ns(&full)?, ours::opening_ns(&empty)?));
    }
    sheet.rounds("init on 10 GiB vs an empty spool", &rounds, ns, Reach::AtMost(2.0));
    let server = Server::start(Manners::default())?;
    let delivered = Readings::of("backlog-deliver", &full, &[server.port])?;
    let rss = filled.get("rss").max(delivered.get("rss"));
    let what = "peak memory with 10 GiB, filling and delivering, vs 100 MiB";
    sheet.ratio(what, bytes(rss), bytes(MEMORY_BYTES), rss / MEMORY_BYTES, Reach::AtMost(1.0));
    // The segment being delivered is removed with its last item.
    let late = (delivered.get("late") - SEGMENT_BYTES).max(0.0);
    let what = "disk space not yet freed, beyond the segment being delivered, vs a segment";
    sheet.ratio(what, bytes(late), bytes(SEGMENT_BYTES), late / SEGMENT_BYTES, Reach::AtMost(1.0));
    let figures = [
        ("items", count(filled.get("items"))),
        ("filled at", rate(filled.get("rate"))),
        ("memory, filling", bytes(filled.get("rss"))),
        ("on disk", bytes(filled.get("disk"))),
        ("delivered at", rate(delivered.get("rate"))),
        ("memory, delivering", bytes(delivered.get("rss"))),
        ("on disk afterwards", bytes(delivered.get("disk"))),
    ];
    sheet.figures("10 GiB of sample items", &figures);
    Ok(())
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

/// In a child: delivers `spool` to the server at `port` and watches how much disk space is still in use.
pub fn deliver(spool: &Path, port: u64) -> Result<()> {
    let in_segments = || disk_bytes(spool) as f64 - JOURNAL_BYTES;
    let full = in_segments();
    let begin = Instant::now();
    let client = ours::online(spool, &server::url(port), &[])?;
    let before = client.stats()?.pending.max(1) as f64;
    let (mut late, mut rate) = (0.0_f64, 0.0);
    loop {
        // Delivery goes on while the files are counted, so `pending` is read first.
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
