//! A backlog of gigabytes, as after a long outage: it costs disk and neither memory nor time to open, and once it is
//! delivered the disk is free again.

use std::fs;
use std::path::Path;
use std::thread;
use std::time::Instant;

use testkit::client::{disk_usage, lanes, segment_dirs};
use testkit::ingest::{Answer, Ingest};
use testkit::wait::PATIENCE;
use testkit::{TempDir, caller, compile_c, have, root, succeed, tool};

const SAMPLE: &str = "tests/fixtures/agents-sdk-sample.ndjson";
const MIB: u64 = 1 << 20;
const MAX_MEMORY_MIB: u64 = 200;
const MAX_DISK_AFTER_MIB: u64 = 20;
const JOURNAL_MIB: u64 = 16;
const OPENINGS: usize = 7;
/// An opening of the full spool may take this many times one of an empty spool.
const MAX_OPENING_RATIO: u64 = 10;

/// JSON in the backlog, in MiB; the environment may ask for less or more.
fn backlog_mib() -> u64 {
    std::env::var("SPANSPOOL_BACKLOG_MIB").map_or(2048, |text| text.parse().unwrap())
}

/// Runs `tests/c/backlog.c` and gives the numbers that it says.
fn run(program: &Path, arguments: &[&str], spool: &Path, url: &str) -> Vec<u64> {
    let mut command = caller(program);
    command.args(arguments).arg(format!("spool_dir={}", spool.display())).arg(format!("endpoint={url}"));
    command.args(["max_spool_bytes=64 GiB", "enqueue_timeout_ms=60000"]);
    if arguments[0] != "drain" {
        command.arg("exporter=none");
    }
    let output = succeed(&mut command);
    String::from_utf8(output.stdout).unwrap().split_whitespace().map(|word| word.parse().unwrap()).collect()
}

/// Takes requests until all `items` items came: the lines of the sample, over and over, byte for byte. What was looked
/// at is not kept.
fn take_all(ingest: &Ingest, items: u64) {
    let sample = fs::read(root().join(SAMPLE)).unwrap();
    let lines: Vec<&[u8]> = sample.strip_suffix(b"\n").unwrap().split(|byte| *byte == b'\n').collect();
    let mut expected = lines.iter().cycle();
    let mut received = 0;
    while received < items {
        assert!(
            ingest.wait_until(Instant::now() + PATIENCE, |requests| !requests.is_empty()),
            "{received} came"
        );
        for request in ingest.take_requests() {
            let mut rest = request.body.strip_prefix(br#"{"data":["#).unwrap();
            while rest != b"]}" {
                rest = rest.strip_prefix(b",").unwrap_or(rest);
                rest = rest
                    .strip_prefix(*expected.next().unwrap())
                    .unwrap_or_else(|| panic!("item {received} is another"));
                received += 1;
            }
        }
    }
    assert_eq!(received, items);
}

fn median(mut numbers: Vec<u64>) -> u64 {
    assert_eq!(numbers.len(), OPENINGS);
    numbers.sort_unstable();
    numbers[OPENINGS / 2]
}

fn opening_us(program: &Path, spool: &Path) -> u64 {
    median(run(program, &["open", &OPENINGS.to_string()], spool, "http://127.0.0.1:9/"))
}

#[test]
fn backlog_of_gigabytes_is_delivered_in_little_memory_and_leaves_no_disk_behind() {
    if !have(&tool("CC", "cc"), "--version", "backlog") {
        return;
    }
    let dir = TempDir::new("backlog");
    let (spool, empty) = (dir.join("spool"), dir.join("empty"));
    let program = compile_c("tests/c/backlog.c", dir.path());
    let bytes = (backlog_mib() * MIB).to_string();
    let sample = root().join(SAMPLE);
    let filled = run(&program, &["fill", &bytes, sample.to_str().unwrap()], &spool, "http://127.0.0.1:9/");
    let [0, items, fill_kib] = filled[..] else { panic!("{filled:?}") };
    assert!(fill_kib < MAX_MEMORY_MIB << 10, "{fill_kib} KiB to fill");
    let full = disk_usage(&spool);
    assert!(!segment_dirs(&spool).is_empty());
    assert!(lanes(&spool)[0].stats.pending_bytes >= backlog_mib() * MIB);

    // Once to make the empty spool: preallocating its journal is no part of opening one.
    opening_us(&program, &empty);
    let (full_us, empty_us) = (opening_us(&program, &spool), opening_us(&program, &empty));

    let ingest = Ingest::start(|_| Answer::status(200)).unwrap();
    let url = ingest.url();
    let drained = thread::scope(|scope| {
        let drain = scope.spawn(|| run(&program, &["drain"], &spool, &url));
        take_all(&ingest, items);
        drain.join().unwrap()
    });
    assert!(ingest.requests().is_empty(), "more than was enqueued arrived");
    let [delivered, accepted, drain_kib] = drained[..] else { panic!("{drained:?}") };
    assert_eq!((delivered, accepted), (items, items));
    assert!(drain_kib < MAX_MEMORY_MIB << 10, "{drain_kib} KiB to drain");
    let left = disk_usage(&spool);
    assert!(left < (MAX_DISK_AFTER_MIB + JOURNAL_MIB) * MIB, "{left} of {full} bytes are left on disk");
    println!(
        "{items} items; disk {} MiB full, {} MiB drained; memory {} MiB filling, {} MiB draining; opening {full_us} us \
         full, {empty_us} us empty",
        full / MIB,
        left / MIB,
        fill_kib >> 10,
        drain_kib >> 10
    );
    assert!(full_us < MAX_OPENING_RATIO * empty_us, "opening: {full_us} us full, {empty_us} us empty");
}
