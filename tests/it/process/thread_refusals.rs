//! A system that lets no thread start for a while: calls return in their time, and the client goes on by itself once
//! threads can be had.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use testkit::host::{Host, accepting, assert_each_once, settings, silent};
use testkit::ingest::Ingest;
use testkit::wait::eventually;
use testkit::{TempDir, caller, compile_shim};

/// Generous: a call that waits for a thread waits for ever.
const IN_TIME: Duration = Duration::from_secs(10);
const FULL: &str = "20";

/// A host with a small journal whose threads are refused while the file that comes with it exists.
fn host(dir: &TempDir, spool: &Path, ingest: &Ingest) -> (Host, PathBuf) {
    let refusals = dir.join("refusals");
    let mut command = caller(Host::compile(dir));
    command.env("LD_PRELOAD", compile_shim("tests/c/threads_shim.c", dir.path()));
    command.env("SPANSPOOL_TEST_THREADS", &refusals);
    let host = Host::run(command.args(settings(
        spool,
        &ingest.url(),
        &["journal_bytes=64KiB", "enqueue_timeout_ms=100"],
    )));
    assert_eq!(host.line(), "ready");
    (host, refusals)
}

fn ask_in_time(host: &mut Host, command: &str) -> String {
    let began = Instant::now();
    let answer = host.ask(command);
    assert!(began.elapsed() < IN_TIME, "{command} took {:?}", began.elapsed());
    answer
}

/// `allowed`: how many threads start before the rest are refused.
fn goes_on_after_refusals(name: &str, allowed: &str) {
    let (dir, ingest) = (TempDir::new(name), accepting());
    let spool = dir.join("spool");
    let (mut host, refusals) = host(&dir, &spool, &ingest);
    fs::write(&refusals, allowed).unwrap();
    let answer = ask_in_time(&mut host, "large oversize 100000");
    assert!(answer.starts_with("40 ") && answer.contains("thread"), "ERR_IO that says why: {answer}");
    // A second try finds what the first one left.
    eventually("each try is answered", || !ask_in_time(&mut host, "large oversize 100000").is_empty());
    fs::remove_file(&refusals).unwrap();
    eventually("an item is stored", || ask_in_time(&mut host, "large stored 100000") == "0");
    assert_eq!(ask_in_time(&mut host, "flush 60000"), "0");
    assert_each_once(&ingest, &[("stored", 1)]);
    host.end();
}

#[test]
fn an_oversize_item_is_refused_and_later_stored_when_no_thread_could_start() {
    goes_on_after_refusals("threads-none", "0");
}

#[test]
fn an_oversize_item_is_refused_and_later_stored_when_the_last_thread_went_to_another() {
    // The first one shows that threads can be had; then sled gets none.
    goes_on_after_refusals("threads-race", "1");
}

#[test]
fn a_full_ring_is_emptied_once_threads_can_start() {
    let (dir, ingest) = (TempDir::new("threads-ring"), silent());
    let spool = dir.join("spool");
    let (mut host, refusals) = host(&dir, &spool, &ingest);
    fs::write(&refusals, "0").unwrap();
    let answer = ask_in_time(&mut host, "enqueue ring 1000 1000");
    assert!(answer.starts_with(FULL), "{answer}");
    fs::remove_file(&refusals).unwrap();
    eventually("there is room", || ask_in_time(&mut host, "enqueue more 100 1000").starts_with("0 "));
    host.end();
}
