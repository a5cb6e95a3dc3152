//! `max_age_s` goes by the time that passed: a step of the wall clock drops nothing.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;

use testkit::clock::Clock;
use testkit::host::{Host, settings, status, total};
use testkit::ingest::{Answer, Ingest};
use testkit::wait::eventually;
use testkit::{TempDir, caller, compile_c};

const DAY: i64 = 86_400;
const YEAR: i64 = 365 * DAY;

/// A host with `clock` whose items are older than `max_age_s` after `age` seconds.
fn start(dir: &TempDir, clock: &Clock, endpoint: &str, age: u64) -> Host {
    let mut command = caller(compile_c("tests/c/host.c", dir.path()));
    let age = format!("max_age_s={age}");
    let own = ["journal_bytes=64KiB", "schedule_delay_ms=10", "base_delay_ms=10", "max_delay_ms=20", &age];
    command.args(settings(&dir.join("spool"), endpoint, &own));
    clock.load(&mut command);
    let host = Host::run(&mut command);
    assert_eq!(host.line(), "ready");
    host
}

/// An ingest that is down until it is told otherwise.
fn ingest() -> (Ingest, Arc<AtomicBool>) {
    let is_up = Arc::new(AtomicBool::new(false));
    let seen = is_up.clone();
    (Ingest::start(move |_| Answer::status(if seen.load(Relaxed) { 200 } else { 503 })).unwrap(), is_up)
}

/// Waits until batches were looked at again and again.
fn wait_for_attempts(spool: &Path) {
    let before = total(&status(spool), "retries");
    eventually("some attempts", || total(&status(spool), "retries") > before + 3);
}

#[test]
fn a_step_of_the_wall_clock_drops_nothing() {
    let dir = TempDir::new("clock-step");
    let (spool, clock) = (dir.join("spool"), Clock::compile(dir.path()));
    let (ingest, is_up) = ingest();
    let mut host = start(&dir, &clock, &ingest.url(), 600);
    // Most of them in segments.
    assert_eq!(host.ask("enqueue old 1000 200"), "0 1000");
    for (name, seconds) in [("fast", DAY), ("late", -DAY), ("far", 300 * YEAR), ("back", 0)] {
        clock.shift(seconds);
        wait_for_attempts(&spool);
        assert_eq!(host.ask(&format!("enqueue {name} 10")), "0 10");
        let seen = status(&spool);
        assert_eq!(total(&seen, "dropped_expired"), 0, "{name} {seen}");
        // Of an age that was counted, not of a clock.
        assert!(total(&seen, "oldest_pending_age_ms") < 500_000, "{name} {seen}");
    }
    is_up.store(true, Relaxed);
    assert_eq!(host.ask("flush 60000"), "0");
    assert_eq!(host.ask("stats"), "1040 1040 0 0 0");
    host.end();
}

#[test]
fn a_clock_that_is_set_after_the_start_drops_nothing_then_or_after_the_next_start() {
    let dir = TempDir::new("clock-unset");
    let (spool, clock) = (dir.join("spool"), Clock::compile(dir.path()));
    let (ingest, is_up) = ingest();
    clock.unset();
    let mut host = start(&dir, &clock, &ingest.url(), 600);
    assert_eq!(host.ask("enqueue unset 1000 200"), "0 1000");
    host.kill();
    let mut host = start(&dir, &clock, &ingest.url(), 600);
    clock.shift(0);
    wait_for_attempts(&spool);
    assert_eq!(host.ask("enqueue set 10"), "0 10");
    host.kill();
    // A day too far, at a start.
    clock.shift(DAY);
    let mut host = start(&dir, &clock, &ingest.url(), 600);
    wait_for_attempts(&spool);
    clock.shift(0);
    is_up.store(true, Relaxed);
    assert_eq!(host.ask("flush 60000"), "0");
    assert_eq!(host.ask("stats"), "1010 1010 0 0 0");
    host.end();
}

#[test]
fn time_passes_also_for_a_clock_that_is_set_back() {
    let dir = TempDir::new("clock-passes");
    let (spool, clock) = (dir.join("spool"), Clock::compile(dir.path()));
    let (ingest, _) = ingest();
    let mut host = start(&dir, &clock, &ingest.url(), 1);
    assert_eq!(host.ask("enqueue old 10"), "0 10");
    clock.shift(-DAY);
    eventually("they are too old", || total(&status(&spool), "dropped_expired") == 10);

    // The same while no process is there.
    assert_eq!(host.ask("enqueue left 10"), "0 10");
    host.kill();
    eventually("they are too old", || total(&status(&spool), "oldest_pending_age_ms") > 1100);
    clock.unset();
    let host = start(&dir, &clock, &ingest.url(), 1);
    eventually("they are dropped", || total(&status(&spool), "dropped_expired") == 20);
    drop(host);
}
