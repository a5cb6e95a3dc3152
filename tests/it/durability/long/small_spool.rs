//! A small spool stays below its limit whatever comes, and puts it to use.

use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::thread;

use spanspool::{BatchTraceProcessor, ErrorKind};
use testkit::TempDir;
use testkit::client::{
    arrived, assert_ledger, disk_usage, lane_dir, let_go, long_item, number_of, open, open_offline,
};
use testkit::ingest::{Answer, Ingest, items_of};
use testkit::wait::PATIENCE;

use crate::durability::limits::{takes, willing};

/// Whether the client takes `item`, however long the disk takes; if not, its spool is at its limit.
fn fits(client: &BatchTraceProcessor, item: &str) -> bool {
    loop {
        match client.enqueue(item.as_bytes()) {
            Ok(()) => return true,
            Err(error) if error.message().contains("max_spool_bytes is") => return false,
            Err(error) => assert_eq!(error.kind(), ErrorKind::Full, "{error}"),
        }
    }
}

/// Runs `work` while another thread measures what the lane takes on disk; gives the most that it saw.
fn most_on_disk(spool: &Path, work: impl FnOnce()) -> u64 {
    let lane = lane_dir(spool);
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let watcher = scope.spawn(|| {
            let mut most = 0;
            while !done.load(Relaxed) {
                most = most.max(disk_usage(&lane));
            }
            most
        });
        // Also when `work` panics: else the scope would wait for ever.
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work));
        done.store(true, Relaxed);
        let most = watcher.join().unwrap();
        outcome.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        most
    })
}

/// Fills a spool of `max_spool_bytes` far beyond its limit, delivers it and gives (accepted, arrived) numbers.
fn overfill(max_spool_bytes: u64, overflow: &str) -> (Vec<u64>, Vec<u64>) {
    let dir = TempDir::new("limits");
    let spool = dir.join("spool");
    let limit = max_spool_bytes.to_string();
    // With drop_oldest, only a disk that is too slow refuses an item.
    let timeout_ms = if overflow == "drop_oldest" { "60000" } else { "5000" };
    let settings = [("max_spool_bytes", &*limit), ("overflow", overflow), ("enqueue_timeout_ms", timeout_ms)];
    let count = 2 * max_spool_bytes / 4000;
    let mut accepted = Vec::new();

    let client = open_offline(&spool, &settings);
    let mut most = most_on_disk(&spool, || {
        let mut refusals = 0;
        for n in 0..count {
            if takes(&client, &long_item(n, 4000)) {
                accepted.push(n);
            } else {
                refusals += 1;
            }
            assert_ledger(&client.stats().unwrap());
            if refusals == 100 {
                break;
            }
        }
    });
    let before = client.stats().unwrap();
    assert_eq!(before.accepted, accepted.len() as u64);
    assert_eq!(before.pending, before.accepted - before.dropped_overflow);
    let_go(client, &spool);

    let ingest = willing();
    let client = open(&spool, &ingest.url(), &settings);
    most = most.max(most_on_disk(&spool, || client.flush(PATIENCE).unwrap()));
    let after = client.stats().unwrap();
    assert_ledger(&after);
    assert_eq!((after.accepted, after.pending), (before.accepted, 0));
    // With drop_oldest the second client may go on making the room that the first had begun to make.
    assert!(after.dropped_overflow == before.dropped_overflow || overflow == "drop_oldest", "{after:?}");
    assert_eq!(after.delivered + after.dropped_overflow, after.accepted);
    assert!(most <= max_spool_bytes, "{most} bytes on disk with max_spool_bytes={max_spool_bytes}");
    // The limit is put to use, not kept by taking nothing.
    assert!(most >= max_spool_bytes / 3, "{most} of {max_spool_bytes}");
    (accepted, arrived(&ingest))
}

#[test]
fn full_disk_allowance_refuses_the_newest() {
    for mib in [1, 32] {
        let (accepted, arrived) = overfill(mib << 20, "reject");
        assert!(
            !accepted.is_empty() && accepted.len() < ((2 * mib) << 20) as usize / 4000,
            "{}",
            accepted.len()
        );
        assert!(arrived == accepted, "{} arrived, {} accepted", arrived.len(), accepted.len());
    }
}

#[test]
fn a_small_spool_is_put_to_use_whatever_its_journal() {
    const ITEM_BYTES: usize = 1000;
    for (kib, journal) in [
        (256, "16 MiB"),
        (1 << 10, "64 KiB"),
        (3 << 10, "64 KiB"),
        (4 << 10, "64 KiB"),
        (4 << 10, "16 MiB"),
        (8 << 10, "64 KiB"),
        (16 << 10, "16 MiB"),
    ] {
        let (dir, ingest, limit) = (TempDir::new("limits-small"), willing(), kib << 10);
        let (spool, bytes) = (dir.join("spool"), format!("{kib} KiB"));
        let settings =
            [("max_spool_bytes", &*bytes), ("journal_bytes", journal), ("enqueue_timeout_ms", "1000")];
        let client = open_offline(&spool, &settings);
        let mut accepted = Vec::new();
        let most = most_on_disk(&spool, || {
            accepted = (0..).take_while(|n| fits(&client, &long_item(*n, ITEM_BYTES))).collect();
        });
        assert!(most <= limit, "{most} bytes on disk of {bytes}");
        let share = (accepted.len() * ITEM_BYTES) as f64 / limit as f64;
        println!("{bytes} with a journal of {journal}: {share:.2} of it holds items");
        // Of the smallest one, a quarter is the header of the journal.
        let least = if kib == 256 { 0.4 } else { 0.55 };
        assert!(share > least, "{share} of {bytes} with a journal of {journal} holds items");
        let_go(client, &spool);
        let client = open(&spool, &ingest.url(), &settings);
        client.flush(PATIENCE).unwrap();
        assert!(arrived(&ingest) == accepted);
    }
}

#[test]
fn a_small_spool_stays_below_its_limit_when_half_of_it_is_refused() {
    for (kib, item_bytes) in [(256, 500), (1 << 10, 1000), (4 << 10, 12_000)] {
        let (dir, limit) = (TempDir::new("limits-small-refused"), kib << 10);
        let ingest = Ingest::start(|request| {
            Answer::status(if items_of(request).iter().any(|item| number_of(item) % 2 == 1) {
                400
            } else {
                200
            })
        });
        let (ingest, spool, bytes) = (ingest.unwrap(), dir.join("spool"), format!("{kib} KiB"));
        let settings =
            [("max_spool_bytes", &*bytes), ("journal_bytes", "64 KiB"), ("enqueue_timeout_ms", "1000")];
        let client = open_offline(&spool, &settings);
        let accepted = (0..).take_while(|n| fits(&client, &long_item(*n, item_bytes))).count() as u64;
        let_go(client, &spool);
        let client = open(&spool, &ingest.url(), &settings);
        let most = most_on_disk(&spool, || client.flush(PATIENCE).unwrap());
        let stats = client.stats().unwrap();
        println!("{bytes}: {most} bytes on disk, {stats:?}");
        assert_eq!(stats.delivered, accepted.div_ceil(2));
        assert!(most <= limit, "{most} bytes on disk of {bytes}");
    }
}

#[test]
fn full_disk_allowance_drops_the_oldest() {
    for mib in [1, 32] {
        let (accepted, arrived) = overfill(mib << 20, "drop_oldest");
        assert_eq!(accepted.len() as u64, 2 * (mib << 20) / 4000, "every item is accepted");
        let dropped = accepted.len() - arrived.len();
        assert!(dropped > 0, "{} arrived", arrived.len());
        assert!(
            arrived.len() as u64 >= (mib << 20) / 4000 / 8,
            "only {} of the newest are left",
            arrived.len()
        );
        assert!(arrived == accepted[dropped..], "it is the oldest that were dropped");
    }
}
