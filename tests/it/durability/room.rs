//! Room: a spool stays below its limit also with items that do not pack, and sees when others make room in it.

use std::time::{Duration, Instant};

use spanspool::{BatchTraceProcessor, ErrorKind};
use testkit::cli::spanspool;
use testkit::client::{assert_all_delivered, disk_usage, enqueue, lane_dir, long_item, open, open_offline};
use testkit::ingest::{Answer, Ingest};
use testkit::wait::{PATIENCE, eventually, until};
use testkit::{TempDir, succeed};

/// A segment takes more room than what is put into it: pieces of a long item leave gaps, and sled has its own books.
#[test]
fn an_item_that_only_just_fits_does_not_take_the_spool_over_its_limit() {
    const MIB: u64 = 1 << 20;
    for item_mib in [5, 15, 29] {
        let item = long_item(0, (item_mib * MIB) as usize);
        let takes = |more_kib: u64| {
            let dir = TempDir::new("room");
            let spool = dir.join("spool");
            let limit = MIB + item.len() as u64 + (64 << 10) + (more_kib << 10);
            // No room is kept for refused items.
            let settings = [
                ("journal_bytes", "1 MiB"),
                ("max_spool_bytes", &*limit.to_string()),
                ("max_rejected_bytes", "0"),
                ("max_item_bytes", "64 MiB"),
            ];
            let is_taken = open_offline(&spool, &settings).enqueue(item.as_bytes()).is_ok();
            let used = disk_usage(&spool);
            assert!(used <= limit, "{used} bytes on disk of {limit}, with one item of {}", item.len());
            is_taken
        };
        assert!(!takes(0), "there is room for the item alone");
        let least = (1..).map(|n| n * 256).find(|more_kib| takes(*more_kib)).unwrap();
        assert!(least <= 5 << 10, "{least} KiB more than the item and the journal");
    }
}

/// Enqueues items until one is refused.
fn fill(client: &BatchTraceProcessor) {
    let refused = (0..u64::MAX).find_map(|n| client.enqueue(long_item(n, 4000).as_bytes()).err());
    assert_eq!(refused.unwrap().kind(), ErrorKind::Full);
}

#[test]
fn a_full_spool_notices_within_a_second_that_another_process_made_room() {
    let dir = TempDir::new("room-made");
    let spool = dir.join("spool");
    let ingest = Ingest::start(|request| {
        Answer::status(if request.body.windows(6).any(|seen| seen == br#""n":7,"#) { 400 } else { 200 })
    });
    let ingest = ingest.unwrap();
    let settings =
        [("journal_bytes", "64 KiB"), ("max_spool_bytes", "32 MiB"), ("enqueue_timeout_ms", "1000")];
    let client = open(&spool, &ingest.url(), &settings);
    // Two that are refused, and one that proves that the ingest accepts others.
    for n in [7, 7, 1] {
        client.enqueue(long_item(n, if n == 7 { 5 << 20 } else { 100 }).as_bytes()).unwrap();
    }
    client.flush(PATIENCE).unwrap();
    assert_eq!(client.stats().unwrap().rejected, 2);
    drop(ingest);

    for purge in [true, false] {
        let quarantine = lane_dir(&spool).join("quarantine");
        std::fs::create_dir_all(&quarantine).unwrap();
        if !purge {
            std::fs::write(quarantine.join("kept"), vec![7; 4 << 20]).unwrap();
        }
        fill(&client);
        if purge {
            succeed(&mut spanspool(&["rejected", "purge", "--all", "--spool-dir", spool.to_str().unwrap()]));
        } else {
            std::fs::remove_file(quarantine.join("kept")).unwrap();
        }
        let deadline = Instant::now() + Duration::from_secs(10);
        until(deadline, "room is noticed", || client.enqueue(long_item(0, 4000).as_bytes()).ok());
    }
}

#[test]
fn limits_at_their_largest_are_none() {
    const MOST: &str = "18446744073709551615";
    for overflow in ["reject", "drop_oldest"] {
        let dir = TempDir::new("room-largest");
        let ingest = Ingest::start(|_| Answer::status(200)).unwrap();
        let settings = [
            ("overflow", overflow),
            ("journal_bytes", "64 KiB"),
            ("max_queue_size", MOST),
            ("max_spool_bytes", MOST),
            ("max_rejected_bytes", MOST),
            ("max_age_s", "3153600000"),
            ("schedule_delay_ms", "86400000"),
            ("sync_interval_ms", "86400000"),
            ("enqueue_timeout_ms", "86400000"),
            ("adopt_interval_ms", "86400000"),
        ];
        let client = open(&dir.join("spool"), &ingest.url(), &settings);
        enqueue(&client, 0..5000);
        eventually("all is delivered", || client.flush(Duration::MAX).is_ok());
        assert_all_delivered(&client, 5000);
    }
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
