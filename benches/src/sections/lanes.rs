//! Lanes: what it costs to look for lanes of dead processes among many, and to adopt many.

use std::fs::{self, File};
use std::path::Path;
use std::time::{Duration, Instant};

use crate::figure::{ns, rate};
use crate::latency::median;
use crate::machine::thread_cpu_s;
use crate::ours::{self, PATIENCE};
use crate::server::{Manners, Server};
use crate::sheet::{Reach, Sheet};
use crate::{Result, items};

const LIVE: u64 = 1_500;
const LOOKS: usize = 20;
/// What one look may take.
const LOOK_NS: f64 = 5e6;
const ORPHANS: usize = 1_000;
const ITEMS: usize = 10;
/// What adopting them all may take.
const ADOPTION_NS: f64 = 2e9;
const ROUNDS: usize = 3;

/// Measures and reports.
pub fn run(sheet: &mut Sheet, dir: &Path) -> Result<()> {
    let look = look_ns(&dir.join("live"))?;
    let what = format!("CPU time of a look for orphans among {LIVE} live lanes vs 5 ms");
    sheet.ratio(&what, ns(look), ns(LOOK_NS), look / LOOK_NS, Reach::AtMost(1.0));

    let server = Server::start(Manners::default())?;
    let mut rounds = Vec::new();
    for round in 0..ROUNDS {
        rounds.push(adoption_ns(&dir.join(format!("dead-{round}")), &server.url())?);
    }
    let took = median(rounds);
    let what =
        format!("{ORPHANS} lanes of dead processes with {ITEMS} items each, delivered and removed, vs 2 s");
    sheet.ratio(&what, ns(took), ns(ADOPTION_NS), took / ADOPTION_NS, Reach::AtMost(1.0));
    let lanes = ORPHANS as f64 / (took / 1e9);
    sheet.figures("adoption", &[("items", rate(lanes * ITEMS as f64))]);
    Ok(())
}

/// What a look takes among `LIVE` lanes. They are empty, and owned as far as their locks say.
fn look_ns(spool: &Path) -> Result<f64> {
    let lanes = spool.join("lanes");
    let mut locks = Vec::new();
    for n in 0..LIVE {
        let lane = lanes.join(format!("{n:016x}"));
        fs::create_dir_all(&lane)?;
        let folder = File::open(&lane)?;
        folder.lock()?;
        locks.push(folder);
    }
    let interval = Duration::from_millis(100);
    let client = ours::accepted(spool, &[("adopt_interval_ms", "100")])?;
    // The first look is over.
    std::thread::sleep(interval * 3);
    let (begin, cpu) = (Instant::now(), thread_cpu_s("spanspool-adopt"));
    std::thread::sleep(interval * LOOKS as u32);
    let cpu = thread_cpu_s("spanspool-adopt") - cpu;
    let looks = (begin.elapsed().as_secs_f64() / interval.as_secs_f64()).max(1.0);
    drop(client);
    Ok(cpu / looks * 1e9)
}

/// How long a client takes to deliver and remove the lanes of `ORPHANS` dead processes.
fn adoption_ns(spool: &Path, url: &str) -> Result<f64> {
    let (lanes, making) = (spool.join("lanes"), spool.join("making"));
    fs::create_dir_all(&lanes)?;
    for n in 0..ORPHANS {
        let client = ours::offline(&making, &[("journal_bytes", "64 KiB")])?;
        for item in 0..ITEMS {
            client.enqueue(&items::span((n * ITEMS + item) as u64))?;
        }
        drop(client);
        // The next one is to make a lane of its own.
        for lane in fs::read_dir(making.join("lanes"))? {
            let lane = lane?;
            fs::rename(lane.path(), lanes.join(lane.file_name()))?;
        }
    }
    let begin = Instant::now();
    let client = ours::online(spool, url, &[])?;
    client.flush(PATIENCE)?;
    while fs::read_dir(&lanes)?.count() > 1 {
        if begin.elapsed() > PATIENCE {
            return Err("some lanes were not adopted".into());
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    let took = begin.elapsed().as_nanos() as f64;
    let stats = client.stats()?;
    if stats.delivered != (ORPHANS * ITEMS) as u64 {
        return Err(format!("{} items were delivered", stats.delivered).into());
    }
    Ok(took)
}
