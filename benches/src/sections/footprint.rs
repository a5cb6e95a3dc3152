//! Footprint: what the library brings into a process.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::latency::median;
use crate::report::{Report, mib, ns};
use crate::server::Server;
use crate::{Result, items, machine, ours};

const OPENINGS: usize = 9;
const IDLE: Duration = Duration::from_secs(5);

/// Measures and reports.
pub fn run(report: &mut Report, dir: &Path) -> Result<()> {
    report.figure("");
    library(report, dir)?;
    let mut cold = Vec::new();
    for n in 0..OPENINGS {
        let begin = Instant::now();
        let client = ours::offline(&dir.join(format!("cold-{n}")), &[])?;
        cold.push(begin.elapsed().as_nanos() as f64);
        drop(client);
    }
    report.figure(&format!("- `init` that makes a new spool: {}.", ns(median(cold))));

    let server = Server::start(0)?;
    let own = machine::threads().len();
    let client = ours::online(&dir.join("idle"), &server.url(), &[])?;
    client.enqueue(&items::span(1))?;
    client.flush(ours::PATIENCE)?;
    // The last sync has to be over.
    std::thread::sleep(Duration::from_secs(2));
    let (threads, slept) = ours_now();
    std::thread::sleep(IDLE);
    let (_, slept_after) = ours_now();
    let more = machine::threads().len() - own;
    report.figure(&format!(
        "- {more} threads ({}), {} wake-ups in {} s of nothing to do.",
        threads.join(", "),
        slept_after - slept,
        IDLE.as_secs(),
    ));
    Ok(())
}

/// The names of the library's threads, and how often they went to sleep.
fn ours_now() -> (Vec<String>, u64) {
    let threads = machine::threads();
    // This program's own first thread has a name like theirs.
    let is_ours = |name: &str| name.starts_with("spanspool-") && name != "spanspool-bench";
    let ours = threads.into_iter().filter(|(name, _)| is_ours(name));
    ours.fold((Vec::new(), 0), |(mut names, slept), (name, more)| {
        names.push(name);
        (names, slept + more)
    })
}

/// The shared library, as `cargo build --release` has left it.
fn library(report: &mut Report, dir: &Path) -> Result<()> {
    let built = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/release/libspanspool.so");
    if !built.exists() {
        report.figure("- The shared library is not built here; `cargo build --release` makes it.");
        return Ok(());
    }
    let stripped = dir.join("libspanspool.so");
    let status = Command::new("strip").arg(&built).arg("-o").arg(&stripped).status();
    if !status.is_ok_and(|status| status.success()) {
        report.figure("- The shared library is not measured: `strip`, of binutils, is missing.");
        return Ok(());
    }
    let ldd = Command::new("ldd").arg(&stripped).output()?;
    let needed = String::from_utf8_lossy(&ldd.stdout);
    let needed: Vec<&str> = needed.lines().filter_map(|line| line.trim().split(' ').next()).collect();
    report.figure(&format!(
        "- `libspanspool.so`, stripped: {}; it needs {}.",
        mib(stripped.metadata()?.len()),
        needed.join(", ")
    ));
    Ok(())
}
