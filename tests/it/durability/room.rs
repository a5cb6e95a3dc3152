//! Room: a spool stays below its limit also with items that do not pack.

use testkit::TempDir;
use testkit::client::{disk_usage, long_item, open_offline};

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
