//! Soak: a process that enqueues all the time while the ingest comes, goes, is slow and refuses, takes no more of the
//! machine in the end than in the beginning, and loses nothing.
//!
//! `SPANSPOOL_SOAK_S=1800 cargo test --test campaign_soak -- --nocapture` goes on for half an hour.

#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout)]

mod weather;

use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use testkit::client::{disk_usage, lanes, rejected};
use testkit::footprint::{Footprint, course, growing};
use testkit::run::{LONG, output_of};
use testkit::{TempDir, caller, campaign, compile_c, have, tool};
use weather::{Weather, is_bad, thread_and_number};

const THREADS: usize = 4;
const ITEMS_A_SECOND: u64 = 20_000;
/// The same where no long run was asked for: it must get by on a machine that is busy with other tests.
const FEW_ITEMS_A_SECOND: u64 = 2_000;
/// Items pending that are no backlog: they fit into the journal.
const CALM: u64 = 10_000;
const MAX_IN_FLIGHT: u64 = 4;
/// How long the ingest behaves in one way, on average, where there is time for it.
const MODE_TIME: Duration = Duration::from_secs(10);
/// What is left on disk of a spool without backlog, next to rejected items: the journal, and little more.
const MAX_DISK_AFTER_KIB: u64 = 20 << 10;

/// How long a soak goes on, and how many items a second it enqueues; the environment asks for the long one.
fn extent() -> (Duration, u64) {
    let (seconds, rate) = campaign::number("SPANSPOOL_SOAK_S")
        .map_or((8, FEW_ITEMS_A_SECOND), |seconds| (seconds, ITEMS_A_SECOND));
    (Duration::from_secs(seconds), rate)
}

/// The running `tests/c/soak.c`, killed when dropped.
struct Soaked {
    process: Child,
    spool: PathBuf,
}

/// What it said at its end, in items.
#[derive(Debug, Default)]
struct Report {
    received: Vec<u64>,
    accepted: u64,
    delivered: u64,
    rejected: u64,
    pending: u64,
    dropped: u64,
    full: u64,
}

impl Soaked {
    fn start(dir: &TempDir, url: &str, rate: u64, leak: bool) -> Self {
        let (program, spool) = (compile_c("tests/c/soak.c", dir.path()), dir.join("spool"));
        let mut command = caller(program);
        command.args([THREADS.to_string(), rate.to_string(), u8::from(leak).to_string()]);
        command.arg(format!("spool_dir={}", spool.display())).arg(format!("endpoint={url}"));
        command.arg(format!("max_in_flight={MAX_IN_FLIGHT}"));
        command.args(["schedule_delay_ms=200", "base_delay_ms=50", "max_delay_ms=1000"]);
        command.args(["max_spool_bytes=8 GiB", "enqueue_timeout_ms=1000"]);
        let process = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        Self { process, spool }
    }

    /// Its footprint, and how many items it has pending.
    fn read(&mut self) -> (Footprint, u64) {
        assert_eq!(self.process.try_wait().unwrap(), None, "it ended by itself");
        let (mut disk, mut pending) = (0, 0);
        // There is no lane yet while it starts.
        for lane in if self.spool.join("lanes").exists() { lanes(&self.spool) } else { Vec::new() } {
            disk += lane.stats.disk_bytes >> 10;
            pending += lane.stats.pending;
        }
        (Footprint { disk_kib: disk, ..Footprint::of(self.process.id()).unwrap() }, pending)
    }

    /// Ends it: it takes no more items, delivers what it has and says what became of all.
    fn end(mut self) -> Report {
        drop(self.process.stdin.take());
        let output = output_of(&mut self.process, LONG, "the soak's program");
        let said = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success(), "{}: {said}", output.status);
        let (received, counters) = said.split_once(" of ").unwrap();
        let numbers = |text: &str| text.split_whitespace().map(|n| n.parse().unwrap()).collect::<Vec<u64>>();
        let [accepted, delivered, rejected, pending, dropped, full] = numbers(counters)[..] else {
            panic!("{said}")
        };
        Report { received: numbers(received), accepted, delivered, rejected, pending, dropped, full }
    }
}

impl Drop for Soaked {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The footprints of a soak while no backlog stood, and the most items that were pending.
fn watch(soaked: &mut Soaked, weather: &mut Weather, time: Duration) -> (Vec<Option<Footprint>>, u64) {
    let interval = Duration::from_secs(1).min(time / 60);
    let (start, mut run, mut max_pending) = (Instant::now(), Vec::new(), 0);
    while start.elapsed() < time {
        thread::sleep(interval);
        weather.go_on(start.elapsed());
        let (footprint, pending) = soaked.read();
        run.push((pending <= CALM).then_some(footprint));
        max_pending = max_pending.max(pending);
    }
    (run, max_pending)
}

/// Asserts that every item of `report` is where the ledger says, and no other.
fn assert_nothing_lost(report: &Report, weather: &Weather, spool: &Path) {
    let aside: Vec<(usize, u64)> =
        rejected(spool).iter().map(|r| thread_and_number(std::str::from_utf8(&r.json).unwrap())).collect();
    let received = weather.received();
    let all = || (0..THREADS).flat_map(|t| (0..report.received[t]).map(move |n| (t, n)));
    let lost: Vec<_> = all().filter(|item| !received.has(*item) && !aside.contains(item)).collect();
    assert!(lost.is_empty(), "{} lost: {:.300}", lost.len(), format!("{lost:?}"));
    let bad = all().filter(|item| is_bad(*item)).count() as u64;
    assert!(aside.iter().all(|item| is_bad(*item)) && aside.len() as u64 == bad, "{aside:?}");
    let total: u64 = report.received.iter().sum();
    assert_eq!(received.items, total - bad, "items that nobody enqueued arrived");
    assert_eq!(
        (report.accepted, report.delivered, report.rejected, report.pending, report.dropped),
        (total, total - bad, bad, 0, 0),
        "{report:?}"
    );
    assert_eq!((received.in_two_batches, received.changed_batches), (0, 0));
    let bound = received.lost_answers + weather.stops() * MAX_IN_FLIGHT;
    assert!(received.resent_batches <= bound, "{} batches came again, not {bound}", received.resent_batches);
}

#[test]
fn a_long_run_through_all_weathers_is_flat_and_loses_nothing() {
    if !have(&tool("CC", "cc"), "--version", "campaign_soak") {
        return;
    }
    let (seed, dir) = (campaign::seed("campaign soak"), TempDir::new("soak"));
    let (time, rate) = extent();
    let mut weather = Weather::new(seed, MODE_TIME.min(time / 60));
    let mut soaked = Soaked::start(&dir, &weather.url(), rate, false);
    let spool = soaked.spool.clone();
    let (run, max_pending) = watch(&mut soaked, &mut weather, time);
    weather.clear_up();
    let report = soaked.end();
    let received = weather.received();
    println!(
        "soak: {} s, {} items, {} delivered, {} rejected, {} lost answers, {} stops, {} batches came again, {} FULL, \
         at most {max_pending} pending; second fifth -> last: {}; seed {seed}",
        time.as_secs(),
        report.accepted,
        report.delivered,
        report.rejected,
        received.lost_answers,
        weather.stops(),
        received.resent_batches,
        report.full,
        course(&run),
    );
    drop(received);
    assert_nothing_lost(&report, &weather, &spool);
    assert_eq!(growing(&run), [""; 0], "seed {seed}: {}", course(&run));
    let left_kib = (disk_usage(&spool) - disk_usage_of_rejected(&spool)) >> 10;
    assert!(left_kib < MAX_DISK_AFTER_KIB, "{left_kib} KiB are left on disk");
}

fn disk_usage_of_rejected(spool: &Path) -> u64 {
    disk_usage(&testkit::client::lane_dir(spool).join("rejected"))
}

#[test]
fn control_a_descriptor_lost_each_second_is_seen() {
    if !have(&tool("CC", "cc"), "--version", "campaign_soak") {
        return;
    }
    let (time, dir) = (Duration::from_secs(10), TempDir::new("soak"));
    let mut weather = Weather::new(1, time * 2);
    let mut soaked = Soaked::start(&dir, &weather.url(), 100, true);
    let (run, _) = watch(&mut soaked, &mut weather, time);
    assert_eq!(growing(&run), ["fds"], "{}", course(&run));
    println!("control: {}", course(&run));
}
