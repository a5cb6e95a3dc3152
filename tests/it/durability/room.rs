//! Room: a spool stays below its limit also with items that do not pack.

use testkit::TempDir;
use testkit::client::{disk_usage, long_item, open_offline};
use testkit::wait::eventually;

/// A segment takes more room than what is put into it: pieces of a long item leave gaps, and sled has its own books.
#[test]
fn an_item_that_only_just_fits_does_not_take_the_spool_over_its_limit() {
    const MIB: u64 = 1 << 20;
    let mut refused = 0;
    for item_mib in [5, 15] {
        let dir = TempDir::new("room");
        let spool = dir.join("spool");
        let item = long_item(0, (item_mib * MIB) as usize);
        let limit = MIB + item.len() as u64 + (64 << 10);
        let settings = [("journal_bytes", "1 MiB"), ("max_spool_bytes", &*limit.to_string())];
        let client = open_offline(&spool, &settings);
        refused += u64::from(client.enqueue(item.as_bytes()).is_err());
        let used = disk_usage(&spool);
        assert!(used <= limit, "{used} bytes on disk");
    }
    assert_eq!(refused, 2, "there is room for the items alone");
}

/// What is longer than half of the journal goes to the disk during the call, also for callers that wait for no room.
#[test]
fn a_long_item_is_stored_though_its_caller_does_not_wait_for_room() {
    let dir = TempDir::new("room-long");
    let settings = [("journal_bytes", "64 KiB"), ("enqueue_timeout_ms", "0")];
    let client = open_offline(&dir.join("spool"), &settings);
    let item = long_item(0, 1 << 20);
    // Not at the first try where the machine is busy: a refused item is not stored.
    eventually("it is stored", || client.enqueue(item.as_bytes()).is_ok());
    let stats = client.stats().unwrap();
    assert_eq!((stats.accepted, stats.pending), (1, 1));
}
