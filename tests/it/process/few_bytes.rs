//! Limits of the system on memory and on the length of files: an error in place of the process's death, and the client
//! goes on once the limit is gone.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::Duration;

use testkit::host::{Host, accepting, assert_each_once, lane_names, settings, silent};
use testkit::wait::eventually;
use testkit::{TempDir, caller, succeed};

/// Sets the limit `name` of a living process, as `prlimit` does.
fn limit(host: &Host, name: &str, value: &str) {
    succeed(Command::new("prlimit").args(["--pid", &host.pid().to_string(), &format!("--{name}={value}")]));
}

/// Limits the address space of a living process to 1 MiB more than it has.
fn leave_a_mebibyte(host: &Host) {
    let pages = fs::read_to_string(format!("/proc/{}/statm", host.pid())).unwrap();
    let bytes = pages.split(' ').next().unwrap().parse::<u64>().unwrap() * 4096;
    limit(host, "as", &format!("{}:", bytes + (1 << 20)));
}

#[test]
fn a_client_without_memory_refuses_items_and_goes_on_once_there_is_some() {
    let (dir, ingest) = (TempDir::new("few-bytes-memory"), accepting());
    let spool = dir.join("spool");
    let more = ["journal_bytes=256KiB", "schedule_delay_ms=1", "enqueue_timeout_ms=1000"];
    let mut host = Host::start(&Host::compile(&dir), &settings(&spool, &ingest.url(), &more));
    assert_eq!(host.ask("enqueue before 100 100"), "0 100");
    assert_eq!(host.ask("flush 60000"), "0");
    leave_a_mebibyte(&host);
    // What was found out about memory before counts for two milliseconds.
    thread::sleep(Duration::from_millis(50));
    let answer = host.ask("enqueue short 1000 1000");
    let (status, taken) = answer.split_once(' ').unwrap();
    assert_eq!(status, "20", "ERR_FULL: {answer}");
    // The host itself needs memory for the item.
    leave_a_mebibyte(&host);
    let answer = host.ask("large refused 800000");
    assert!(answer.starts_with("40 ") && answer.contains("Cannot allocate memory"), "{answer}");
    assert_eq!(host.ask("flush 2000"), "21");
    limit(&host, "as", "unlimited:");
    eventually("it is taken", || host.ask("large stored 800000") == "0");
    assert_eq!(host.ask("flush 60000"), "0");
    host.end();
    assert_each_once(&ingest, &[("before", 100), ("short", taken.parse().unwrap()), ("stored", 1)]);
}

/// Runs a host after `ulimit -f`, in units of 1 KiB, as the shell counts.
fn host_with_file_limit(program: &Path, kib: &str, settings: &[String]) -> Command {
    let mut command = caller("bash");
    command.args(["-c", "ulimit -f $0; exec \"$@\"", kib]).arg(program).args(settings);
    command
}

#[test]
fn a_journal_longer_than_files_may_be_is_an_error_that_names_both() {
    let (dir, ingest) = (TempDir::new("few-bytes-journal"), silent());
    let (program, spool) = (Host::compile(&dir), dir.join("spool"));
    let of_spool = settings(&spool, &ingest.url(), &["journal_bytes=1MiB"]);
    let output = host_with_file_limit(&program, "512", &of_spool).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "{text}");
    let why = "it takes 1048576 bytes, and a file of this process at most 524288 (RLIMIT_FSIZE, ulimit -f)";
    assert!(text.contains("journal") && text.contains(why), "{text}");
    assert_eq!(lane_names(&spool), [""; 0]);
}

#[test]
fn a_segment_longer_than_files_may_be_is_an_error_and_no_signal() {
    let (dir, ingest) = (TempDir::new("few-bytes-segment"), accepting());
    let (program, spool) = (Host::compile(&dir), dir.join("spool"));
    let of_spool = settings(&spool, &ingest.url(), &["journal_bytes=64KiB"]);
    let mut host = Host::run(&mut host_with_file_limit(&program, "256", &of_spool));
    assert_eq!(host.line(), "ready");
    assert_eq!(host.ask("enqueue small 10"), "0 10");
    // What does not compress does not fit into 256 KiB.
    let answer = host.ask("noise noise 900000");
    assert!(answer.starts_with("40 ") && answer.contains("File too large"), "{answer}");
    assert_eq!(host.ask("flush 60000"), "0");
    host.end();
    assert_each_once(&ingest, &[("small", 10)]);
}
