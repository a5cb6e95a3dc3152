//! Footprint: what the library adds to a process.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::figure::{bytes, count, ns};
use crate::latency::median;
use crate::server::{Manners, Server};
use crate::sheet::Sheet;
use crate::{Result, items, machine, ours};

const OPENINGS: usize = 9;
const IDLE: Duration = Duration::from_secs(5);

/// Measures and reports.
pub fn run(sheet: &mut Sheet, dir: &Path) -> Result<()> {
    library(sheet, dir)?;
    let mut cold = Vec::new();
    for n in 0..OPENINGS {
        let begin = Instant::now();
        let client = ours::offline(&dir.join(format!("cold-{n}")), &[])?;
        cold.push(begin.elapsed().as_nanos() as f64);
        drop(client);
    }
    sheet.figures("`init`", &[("of a new spool", ns(median(cold)))]);

    let server = Server::start(Manners::default())?;
    let own = machine::threads().len();
    let client = ours::online(&dir.join("idle"), &server.url(), &[])?;
    client.enqueue(&items::span(1))?;
    client.flush(ours::PATIENCE)?;
    // Let the last sync finish.
    std::thread::sleep(Duration::from_secs(2));
    let (names, slept) = threads_of_the_library();
    std::thread::sleep(IDLE);
    let (_, slept_after) = threads_of_the_library();
    let threads = machine::threads().len() - own;
    let what = format!("idle for {} s", IDLE.as_secs());
    let wakeups = slept_after - slept;
    sheet.figures(&what, &[("threads", count(threads as f64)), ("wake-ups", count(wakeups as f64))]);
    sheet.note(format!("Threads: {}.", names.join(", ")));
    Ok(())
}

/// The names of the library's threads, and how often they went to sleep.
fn threads_of_the_library() -> (Vec<String>, u64) {
    // This program's main thread has a name like theirs.
    let is_ours = |name: &str| name.starts_with("spanspool-") && name != "spanspool-bench";
    let ours = machine::threads().into_iter().filter(|(name, _)| is_ours(name));
    ours.fold((Vec::new(), 0), |(mut names, slept), (name, more)| {
        names.push(name);
        (names, slept + more)
    })
}

/// The shared library as `cargo build --release` left it.
fn library(sheet: &mut Sheet, dir: &Path) -> Result<()> {
    let built = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/release/libspanspool.so");
    if !built.exists() {
        sheet.note("The shared library is not measured: run `cargo build --release` first.");
        return Ok(());
    }
    let stripped = dir.join("libspanspool.so");
    let status = Command::new("strip").arg(&built).arg("-o").arg(&stripped).status();
    if !status.is_ok_and(|status| status.success()) {
        sheet.note("The shared library is not measured: `strip` (binutils) is missing.");
        return Ok(());
    }
    let ldd = Command::new("ldd").arg(&stripped).output()?;
    let needed = String::from_utf8_lossy(&ldd.stdout);
    let needed: Vec<&str> = needed.lines().filter_map(|line| line.trim().split(' ').next()).collect();
    let size = bytes(stripped.metadata()?.len() as f64);
    sheet.figures("`libspanspool.so`, stripped", &[("size", size)]);
    sheet.note(format!("It needs {}.", needed.join(", ")));
    Ok(())
}
