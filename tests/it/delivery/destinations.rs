//! Destinations: what a process left goes where that process sent, also when other programs share the spool.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Output;

use serde_json::Value;
use testkit::cli::spanspool;
use testkit::faults::{Faults, Word};
use testkit::host::{Host, accepting, assert_each_once, settings, status};
use testkit::ingest::{Answer, Ingest};
use testkit::wait::eventually;
use testkit::{TempDir, caller, succeed};

/// Nothing is sent before the process is killed.
const LATER: &str = "schedule_delay_ms=86400000";
/// Looks around often, and does not wait long.
const QUICK: &[&str] = &["adopt_interval_ms=50", "base_delay_ms=10", "max_delay_ms=100"];
/// Small, so that most items go into segments.
const SMALL: [&str; 2] = ["journal_bytes=64KiB", "max_batch_size=64"];

struct Spool {
    dir: TempDir,
    program: PathBuf,
}

impl Spool {
    fn new(name: &str) -> Self {
        let dir = TempDir::new(name);
        let program = Host::compile(&dir);
        Self { dir, program }
    }

    fn path(&self) -> PathBuf {
        self.dir.join("spool")
    }

    fn start(&self, endpoint: &str, more: &[&str]) -> Host {
        Host::start(&self.program, &settings(&self.path(), endpoint, &[QUICK, more].concat()))
    }

    /// Ten items called `name` of a process that was killed before it sent them to `endpoint`.
    fn leave(&self, name: &str, endpoint: &str, more: &[&str]) {
        let mut host = self.start(endpoint, &[&[LATER, "adopt_interval_ms=86400000"], more].concat());
        assert_eq!(host.ask(&format!("enqueue {name} 10")), "0 10");
        host.kill();
    }

    /// What is pending for `destination`.
    fn pending_for(&self, destination: &str) -> u64 {
        let status = status(&self.path());
        let lanes = status["lanes"].as_array().unwrap().iter();
        lanes.filter(|lane| lane["destination"] == destination).map(pending).sum()
    }

    fn drain(&self, more: &[&str]) -> Output {
        let spool = self.path();
        let fixed = ["drain", "--spool-dir", spool.to_str().unwrap(), "--timeout-ms", "60000"];
        spanspool(&[&fixed, more].concat()).output().unwrap()
    }

    fn journal(&self) -> PathBuf {
        let lane = std::fs::read_dir(self.path().join("lanes")).unwrap().next().unwrap().unwrap().path();
        lane.join("journal")
    }
}

fn pending(lane: &Value) -> u64 {
    lane["pending"].as_u64().unwrap()
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&[&output.stdout[..], &output.stderr].concat()).into_owned()
}

fn ingest_destination(ingest: &Ingest) -> String {
    format!("backend {}", ingest.url())
}

#[test]
fn what_production_left_does_not_go_to_staging() {
    for more in [&["max_in_flight=1"][..], &["max_in_flight=8"]] {
        let spool = Spool::new("destinations");
        let (production, staging) = (accepting(), accepting());
        spool.leave("production", &production.url(), more);
        let mut other = spool.start(&staging.url(), more);
        assert_eq!(other.ask("enqueue staging 10"), "0 10");
        assert_eq!(other.ask("flush 60000"), "0");
        // By now its adopter has looked around: it delivered what is anybody's.
        spool.leave("anybody", "http://127.0.0.1:9/", &["exporter=none"]);
        eventually("what is anybody's is delivered", || spool.pending_for("") == 0);
        assert_eq!(spool.pending_for(&ingest_destination(&production)), 10);
        other.end();
        let mut same = spool.start(&production.url(), more);
        assert_eq!(same.ask("flush 60000"), "0");
        same.end();
        assert_each_once(&production, &[("production", 10)]);
        assert_each_once(&staging, &[("staging", 10), ("anybody", 10)]);
    }
}

#[test]
fn a_look_with_the_console_exporter_takes_nothing_from_an_ingest() {
    let (spool, ingest) = (Spool::new("destinations-console"), accepting());
    spool.leave("kept", &ingest.url(), &[]);
    let console = spool.drain(&["--set", "exporter=console"]);
    assert_eq!(console.status.code(), Some(1), "{}", text(&console));
    let said = format!("goes to {}", ingest_destination(&ingest));
    assert!(text(&console).contains(&said), "{}", text(&console));
    assert_eq!(spool.pending_for(&ingest_destination(&ingest)), 10);
    let drained = spool.drain(&[]);
    assert_eq!(drained.status.code(), Some(0), "{}", text(&drained));
    assert_each_once(&ingest, &[("kept", 10)]);
}

#[test]
fn a_client_that_adopts_any_lane_delivers_all_to_its_own_ingest() {
    let (spool, old, new) = (Spool::new("destinations-any"), accepting(), accepting());
    spool.leave("one", &old.url(), &[]);
    spool.leave("two", "http://127.0.0.1:9/elsewhere", &[]);
    let mut host = spool.start(&new.url(), &["adopt=any"]);
    eventually("all is delivered", || status(&spool.path())["pending"] == 0);
    host.end();
    assert_each_once(&new, &[("one", 10), ("two", 10)]);
    assert!(old.requests().is_empty());
}

#[test]
fn drain_without_an_endpoint_delivers_each_lane_to_its_own() {
    let spool = Spool::new("destinations-drain");
    let ingests = [accepting(), accepting(), accepting()];
    for (n, ingest) in ingests.iter().enumerate() {
        spool.leave(&format!("for{n}"), &ingest.url(), &[]);
        spool.leave(&format!("too{n}"), &ingest.url(), &[]);
    }
    // With one, only what goes there is delivered, and it ends all the same.
    let one = spool.drain(&["--set", &format!("endpoint={}", ingests[0].url())]);
    assert_eq!(one.status.code(), Some(1), "{}", text(&one));
    assert_each_once(&ingests[0], &[("for0", 10), ("too0", 10)]);
    assert!(ingests[1].requests().is_empty() && ingests[2].requests().is_empty());
    let all = spool.drain(&[]);
    assert_eq!(all.status.code(), Some(0), "{}", text(&all));
    for (n, ingest) in ingests.iter().enumerate() {
        assert_each_once(ingest, &[(&format!("for{n}"), 10), (&format!("too{n}"), 10)]);
    }
}

#[test]
fn an_orphan_that_gets_no_further_gives_way_to_the_others() {
    let (spool, ingest) = (Spool::new("destinations-stuck"), accepting());
    let mut stuck = spool.start(&ingest.url(), &[&[LATER, "exporter=none"], &SMALL[..]].concat());
    assert_eq!(stuck.ask("enqueue stuck 3000 100"), "0 3000");
    let segments = spool.journal().with_file_name("segments");
    let faults = Faults::below(&segments, &spool.dir.join("faults"));
    faults.set(Word::ReadError, libc::EIO as u64);
    let mut command = caller(&spool.program);
    command.args(settings(&spool.path(), &ingest.url(), QUICK));
    faults.load(&Faults::compile(spool.dir.path()), &mut command);
    let mut host = Host::run(&mut command);
    assert_eq!(host.line(), "ready");
    let [mut next, mut last] = ["next", "last"].map(|name| {
        let mut host = spool.start(&ingest.url(), &["exporter=none"]);
        assert_eq!(host.ask(&format!("enqueue {name} 10")), "0 10");
        host
    });
    stuck.kill();
    eventually("it is adopted", || host.ask("stats").ends_with(" 1"));
    next.kill();
    last.kill();
    eventually("the others are delivered", || spool.pending_for("") == 3000);
    faults.set(Word::ReadError, 0);
    eventually("it goes on", || status(&spool.path())["pending"] == 0);
    host.end();
    assert_each_once(&ingest, &[("stuck", 3000), ("next", 10), ("last", 10)]);
}

#[test]
fn a_repaired_lane_keeps_its_destination() {
    // Where the newest checkpoint stands in the journal's header.
    const CHECKPOINTS: std::ops::Range<u64> = 576..1088;
    let (spool, ingest) = (Spool::new("destinations-repair"), accepting());
    spool.leave("kept", &ingest.url(), &[]);
    damage(&spool.journal(), CHECKPOINTS);
    let spool_dir = spool.path();
    let check =
        spanspool(&["check", "--repair", "--spool-dir", spool_dir.to_str().unwrap()]).output().unwrap();
    assert!(text(&check).contains("10"), "{}", text(&check));
    assert_eq!(spool.pending_for(&ingest_destination(&ingest)), 10);
}

#[test]
fn a_damaged_destination_sends_nothing_astray_and_loses_nothing() {
    // Where the destination stands in the journal's header.
    const DESTINATION: std::ops::Range<u64> = 4104..4120;
    let (spool, ingest) = (Spool::new("destinations-damaged"), accepting());
    spool.leave("kept", &ingest.url(), &[]);
    damage(&spool.journal(), DESTINATION);
    let mut host = spool.start(&ingest.url(), &[]);
    eventually("it is recovered", || status(&spool.path())["unreadable"].as_array().unwrap().is_empty());
    assert_eq!(host.ask("flush 60000"), "0");
    host.end();
    assert_each_once(&ingest, &[("kept", 10)]);
}

fn damage(journal: &Path, range: std::ops::Range<u64>) {
    let file = File::options().write(true).open(journal).unwrap();
    file.write_all_at(&vec![0x5a; (range.end - range.start) as usize], range.start).unwrap();
}

#[test]
fn status_shows_what_waits_for_whom_and_no_secret() {
    let spool = Spool::new("destinations-status");
    let ingest = Ingest::start(|_| Answer::status(503)).unwrap();
    let url = format!("{}?token=hidden", ingest.url());
    spool.leave("kept", &url, &[]);
    let spool_dir = spool.path();
    let shown = succeed(&mut spanspool(&["status", "--spool-dir", spool_dir.to_str().unwrap()]));
    let shown = String::from_utf8(shown.stdout).unwrap();
    assert!(shown.contains(&format!("10 pending for {}", ingest_destination(&ingest))), "{shown}");
    assert!(!shown.contains("hidden"), "{shown}");
}
