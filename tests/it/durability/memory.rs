//! What is large costs little more memory than it takes: a damaged journal, a long item.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::FileExt;

use testkit::TempDir;
use testkit::client::{arrived, lane_dir, long_item, open_offline};
use testkit::host::{Host, accepting, lane_names, settings};
use testkit::wait::eventually;

/// The most memory that the process `pid` has held, in MiB.
fn peak_mib(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.split_whitespace().next().unwrap().parse::<u64>().unwrap() >> 10
}

#[test]
fn a_damaged_journal_is_recovered_in_little_memory() {
    const JOURNAL_MIB: u64 = 96;
    const ITEMS: u64 = 400;
    let (dir, ingest) = (TempDir::new("memory-damage"), accepting());
    let (program, spool) = (Host::compile(&dir), dir.join("spool"));
    let client = open_offline(&spool, &[("journal_bytes", &*format!("{JOURNAL_MIB} MiB"))]);
    for n in 0..ITEMS {
        client.enqueue(long_item(n, 100 << 10).as_bytes()).unwrap();
    }
    drop(client);
    let journal = OpenOptions::new().write(true).open(lane_dir(&spool).join("journal")).unwrap();
    journal.write_all_at(&[0; 512], 0).unwrap();
    let damaged = lane_names(&spool).remove(0);

    let mut host = Host::start(&program, &settings(&spool, &ingest.url(), &["adopt_interval_ms=50"]));
    eventually("the lane is recovered", || {
        lane_names(&spool) != [&*damaged] && lane_names(&spool).len() == 1
    });
    eventually("all arrive", || arrived(&ingest).len() as u64 == ITEMS);
    let peak = peak_mib(host.pid());
    // Its own journal and segments, and what a program has anyway, are less than the damaged journal.
    assert!(peak < 2 * JOURNAL_MIB, "{peak} MiB for a damaged journal of {JOURNAL_MIB} MiB");
    host.end();
}

#[test]
fn a_long_item_is_there_three_times_at_most_while_it_is_stored() {
    const ITEM_MIB: u64 = 48;
    let dir = TempDir::new("memory-item");
    let more = ["exporter=none", "max_item_bytes=64 MiB"];
    let mut host =
        Host::start(&Host::compile(&dir), &settings(&dir.join("spool"), "http://127.0.0.1:9/", &more));
    let before = peak_mib(host.pid());
    assert_eq!(host.ask(&format!("noise long {}", ITEM_MIB << 20)), "0");
    let added = peak_mib(host.pid()) - before;
    // The caller's own copy is one of them.
    assert!(added < 7 * ITEM_MIB / 2, "{added} MiB for an item of {ITEM_MIB} MiB");
    host.end();
}
