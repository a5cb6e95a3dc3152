//! Memory: what a damaged journal and a long item cost, next to their size.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::child::{Readings, tell};
use crate::figure::bytes;
use crate::machine::peak_rss_bytes;
use crate::ours::{self, PATIENCE};
use crate::sheet::{Reach, Sheet};
use crate::{Result, items};

const JOURNAL_BYTES: u64 = 256 << 20;
const ITEM_BYTES: u64 = 128 << 20;

/// Measures and reports.
pub fn run(sheet: &mut Sheet, dir: &Path) -> Result<()> {
    let damaged = dir.join("damaged");
    Readings::of("memory-damage", &damaged, &[JOURNAL_BYTES])?;
    let peak = Readings::of("memory-recover", &damaged, &[])?.get("rss");
    let most = JOURNAL_BYTES as f64;
    sheet.ratio(
        "peak memory, recovering a damaged journal, vs its size",
        bytes(peak),
        bytes(most),
        peak / most,
        Reach::AtMost(1.5),
    );
    let long = dir.join("long");
    let more = Readings::of("memory-item", &long, &[ITEM_BYTES])?.get("more");
    let size = ITEM_BYTES as f64;
    sheet.ratio(
        "memory added by storing a long item vs its size",
        bytes(more),
        bytes(size),
        more / size,
        Reach::AtMost(2.5),
    );
    let more = Readings::of("memory-send", &long, &[])?.get("more");
    sheet.ratio(
        "memory added by sending it vs its size",
        bytes(more),
        bytes(size),
        more / size,
        Reach::AtMost(2.5),
    );
    Ok(())
}

/// In a child: leaves a lane with a journal of `journal_bytes`, as full as it gets, whose header is damaged.
pub fn damage(spool: &Path, journal_bytes: u64) -> Result<()> {
    let journal = journal_bytes.to_string();
    let client = ours::offline(spool, &[("journal_bytes", &*journal)])?;
    let spans = items::spans(256);
    let count = journal_bytes / 2 / (items::SPAN_BYTES as u64 + 64);
    ours::fill(&client, &spans, count as usize)?;
    drop(client);
    let lane = fs::read_dir(spool.join("lanes"))?.next().ok_or("no lane")??.path();
    OpenOptions::new().write(true).open(lane.join("journal"))?.write_all_at(&[0; 512], 0)?;
    Ok(())
}

/// In a child: recovers the lane.
pub fn recover(spool: &Path) -> Result<()> {
    let client = ours::accepted(spool, &[])?;
    let begin = Instant::now();
    while client.stats()?.accepted == 0 || fs::read_dir(spool.join("lanes"))?.count() > 1 {
        if begin.elapsed() > PATIENCE {
            return Err("the lane was not recovered".into());
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    client.flush(PATIENCE)?;
    tell("rss", peak_rss_bytes() as f64);
    Ok(())
}

const LONG: [(&str, &str); 3] =
    [("max_item_bytes", "256 MiB"), ("validation", "none"), ("enqueue_timeout_ms", "60000")];

/// In a child: stores an item of `item_bytes` that does not compress.
pub fn item(spool: &Path, item_bytes: u64) -> Result<()> {
    let client = ours::offline(spool, &LONG)?;
    let mut item = Vec::with_capacity(item_bytes as usize);
    let mut state = 1_u64;
    while (item.len() as u64) < item_bytes {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        item.extend(state.to_be_bytes().map(|byte| b'0' + (byte & 63)));
    }
    let before = peak_rss_bytes();
    client.enqueue(&item)?;
    tell("more", (peak_rss_bytes() - before) as f64);
    Ok(())
}

/// In a child: sends it.
pub fn send(spool: &Path) -> Result<()> {
    let before = peak_rss_bytes();
    let client = ours::accepted(spool, &LONG)?;
    client.flush(PATIENCE)?;
    tell("more", (peak_rss_bytes() - before) as f64);
    Ok(())
}
