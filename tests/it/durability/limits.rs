//! Every limit holds, and the ledger says what each of them cost.

use std::fs;
use std::path::Path;
use std::thread;

use spanspool::{BatchTraceProcessor, ErrorKind};
use testkit::client::{
    arrived, assert_all_delivered, assert_ledger, enqueue, item, lane_dir, let_go, long_item, open,
    open_offline, settled,
};
use testkit::ingest::{Answer, Ingest, items_of};
use testkit::wait::{PATIENCE, eventually};
use testkit::{TempDir, caller, compile_c, have, succeed, tool};

pub fn willing() -> Ingest {
    Ingest::start(|_| Answer::status(200)).unwrap()
}

/// Delivers what the spool holds and gives the numbers of what came.
fn deliver(spool: &Path, settings: &[(&str, &str)]) -> Vec<u64> {
    let ingest = willing();
    let client = open(spool, &ingest.url(), settings);
    client.flush(PATIENCE).unwrap();
    let stats = client.stats().unwrap();
    assert_ledger(&stats);
    assert_eq!(stats.pending, 0);
    arrived(&ingest)
}

/// Says whether the item was accepted; no answer but OK and FULL is allowed.
pub fn takes(client: &BatchTraceProcessor, item: &str) -> bool {
    match client.enqueue(item.as_bytes()) {
        Ok(()) => true,
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::Full, "{error}");
            false
        }
    }
}

#[test]
fn full_queue_refuses_the_newest() {
    let dir = TempDir::new("limits");
    let spool = dir.join("spool");
    let client = open_offline(&spool, &[("max_queue_size", "10")]);
    let accepted = Vec::from_iter((0..20).filter(|n| takes(&client, &item(*n))));
    assert_eq!(accepted, Vec::from_iter(0..10));
    let stats = client.stats().unwrap();
    assert_ledger(&stats);
    assert_eq!((stats.accepted, stats.pending), (10, 10));
    let_go(client, &spool);
    assert_eq!(deliver(&spool, &[("max_queue_size", "10")]), accepted);
}

#[test]
fn full_queue_drops_the_oldest() {
    let dir = TempDir::new("limits");
    let spool = dir.join("spool");
    let settings = [("max_queue_size", "10"), ("overflow", "drop_oldest"), ("max_batch_size", "4")];
    let client = open_offline(&spool, &settings);
    for n in 0..100 {
        enqueue(&client, [n]);
        let stats = client.stats().unwrap();
        assert_ledger(&stats);
        assert!(stats.pending <= 10, "{stats:?}");
    }
    let stats = client.stats().unwrap();
    assert_eq!((stats.accepted, stats.dropped_overflow), (100, 100 - stats.pending));
    assert!(stats.pending >= 6, "no more than a batch goes at once: {stats:?}");
    let_go(client, &spool);
    assert_eq!(deliver(&spool, &settings), Vec::from_iter(stats.dropped_overflow..100));
}

#[test]
fn queue_has_room_again_once_items_are_delivered() {
    let dir = TempDir::new("limits");
    let ingest = willing();
    let client = open(&dir.join("spool"), &ingest.url(), &[("max_queue_size", "10")]);
    for n in 0..200 {
        eventually("room for one more", || takes(&client, &item(n)));
    }
    client.flush(PATIENCE).unwrap();
    assert_eq!(arrived(&ingest), Vec::from_iter(0..200));
    assert_all_delivered(&client, 200);
}

#[test]
fn items_older_than_max_age_are_dropped_and_counted() {
    let dir = TempDir::new("limits");
    let spool = dir.join("spool");
    let settings = [("max_batch_size", "10"), ("max_age_s", "1")];
    let client = open_offline(&spool, &settings);
    enqueue(&client, 0..10);
    eventually("items grow old", || client.stats().unwrap().oldest_pending_age_ms > 1200);
    enqueue(&client, 10..15);
    assert_eq!(client.stats().unwrap().pending, 15);
    let_go(client, &spool);

    let ingest = willing();
    let client = open(&spool, &ingest.url(), &[("max_batch_size", "10"), ("max_age_s", "3600")]);
    client.flush(PATIENCE).unwrap();
    assert_all_delivered(&client, 15);

    let other = dir.join("other");
    let client = open_offline(&other, &settings);
    enqueue(&client, 0..10);
    eventually("items grow old", || client.stats().unwrap().oldest_pending_age_ms > 1200);
    let_go(client, &other);
    let ingest = willing();
    let client = open(&other, &ingest.url(), &settings);
    enqueue(&client, 10..15);
    client.flush(PATIENCE).unwrap();
    let stats = client.stats().unwrap();
    assert_ledger(&stats);
    assert_eq!((stats.accepted, stats.delivered, stats.dropped_expired), (15, 5, 10));
    assert_eq!(arrived(&ingest), [10, 11, 12, 13, 14]);
}

#[test]
fn items_grow_old_in_a_long_outage() {
    let dir = TempDir::new("limits");
    let ingest = Ingest::start(|_| Answer::status(503)).unwrap();
    let client = open(&dir.join("spool"), &ingest.url(), &[("max_age_s", "1")]);
    enqueue(&client, 0..10);
    eventually("all are dropped", || client.stats().unwrap().dropped_expired == 10);
    let stats = client.stats().unwrap();
    assert_ledger(&stats);
    assert_eq!((stats.pending, settled(&stats)), (0, 10));
}

#[test]
fn item_of_15_mib_arrives_in_its_place() {
    let dir = TempDir::new("limits");
    let ingest = willing();
    let client = open(&dir.join("spool"), &ingest.url(), &[]);
    let items: Vec<String> =
        (0..21).map(|n| long_item(n, if n % 10 == 5 { 15 << 20 } else { 100 })).collect();
    for item in &items {
        client.enqueue(item.as_bytes()).unwrap();
    }
    client.flush(PATIENCE).unwrap();
    assert_all_delivered(&client, 21);
    assert!(ingest.requests().iter().flat_map(items_of).eq(items), "not the same items in the same order");
}

#[test]
fn long_item_does_not_overtake_what_its_thread_enqueued_before() {
    if !have(&tool("CC", "cc"), "--version", "overtake") {
        return;
    }
    let dir = TempDir::new("limits");
    let ingest = willing();
    let program = compile_c("tests/c/overtake.c", dir.path());
    succeed(caller(program).arg(dir.join("spool")).arg(ingest.url()));
    assert_eq!(arrived(&ingest), [0, 1, 2]);
}

#[test]
fn item_of_15_mib_that_was_left_behind_is_sent_by_the_next_client() {
    let dir = TempDir::new("limits");
    let spool = dir.join("spool");
    let client = open_offline(&spool, &[]);
    for n in 0..3 {
        client.enqueue(long_item(n, if n == 1 { 15 << 20 } else { 100 }).as_bytes()).unwrap();
    }
    let_go(client, &spool);
    assert_eq!(deliver(&spool, &[]), [0, 1, 2]);
}

#[test]
fn item_without_room_is_refused_and_hurts_no_other() {
    let dir = TempDir::new("limits");
    let spool = dir.join("spool");
    let client = open_offline(&spool, &[("max_spool_bytes", "20 MiB")]);
    assert!(takes(&client, &item(0)));
    assert!(!takes(&client, &long_item(1, 15 << 20)));
    assert!(takes(&client, &item(2)));
    assert_eq!(
        client.enqueue(long_item(3, (16 << 20) + 1).as_bytes()).unwrap_err().kind(),
        ErrorKind::ItemTooLarge
    );
    let stats = client.stats().unwrap();
    assert_ledger(&stats);
    assert_eq!(stats.accepted, 2);
    let_go(client, &spool);
    assert_eq!(deliver(&spool, &[]), [0, 2]);
}

/// Enqueues `each` items from each of 8 threads; gives how many were refused as FULL on the way.
fn from_eight_threads(client: &BatchTraceProcessor, each: u64, bytes: usize) -> u64 {
    thread::scope(|scope| {
        let enqueuers = Vec::from_iter((0..8).map(|thread| {
            scope.spawn(move || {
                let numbers = (0..each).map(|n| thread << 32 | n);
                numbers
                    .map(|n| {
                        let item = long_item(n, bytes);
                        let mut refused = 0;
                        eventually("the item is accepted", || {
                            let accepted = takes(client, &item);
                            refused += u64::from(!accepted);
                            accepted
                        });
                        refused
                    })
                    .sum::<u64>()
            })
        }));
        enqueuers.into_iter().map(|enqueuer| enqueuer.join().unwrap()).sum()
    })
}

/// The items of [`from_eight_threads`] arrived once each, those of a thread in order.
fn assert_from_eight_threads(arrived: &[u64], each: u64) {
    assert_eq!(arrived.len() as u64, 8 * each);
    for thread in 0..8 {
        let mine = arrived.iter().filter(|n| **n >> 32 == thread).map(|n| n & 0xffff_ffff);
        assert!(mine.eq(0..each), "thread {thread}");
    }
}

#[test]
fn durability_power_takes_from_eight_threads() {
    let dir = TempDir::new("limits");
    let ingest = willing();
    let client = open(&dir.join("spool"), &ingest.url(), &[("durability", "power")]);
    assert_eq!(from_eight_threads(&client, 100, 200), 0);
    client.flush(PATIENCE).unwrap();
    assert_all_delivered(&client, 800);
    assert_from_eight_threads(&arrived(&ingest), 100);
}

#[test]
fn tiny_journal_that_is_full_refuses_what_it_cannot_hold_and_keeps_the_rest() {
    let dir = TempDir::new("limits");
    let spool = dir.join("spool");
    let client = open_offline(&spool, &[("journal_bytes", "64 KiB"), ("enqueue_timeout_ms", "0")]);
    let refused = from_eight_threads(&client, 500, 1000);
    assert!(refused > 0, "the journal was never full");
    let stats = client.stats().unwrap();
    assert_ledger(&stats);
    assert_eq!((stats.accepted, stats.pending), (4000, 4000));
    let_go(client, &spool);
    assert_from_eight_threads(&deliver(&spool, &[]), 500);
}

#[test]
fn tiny_journal_that_is_full_is_waited_for() {
    let dir = TempDir::new("limits");
    let spool = dir.join("spool");
    let client = open_offline(&spool, &[("journal_bytes", "64 KiB")]);
    assert_eq!(from_eight_threads(&client, 500, 1000), 0);
    let_go(client, &spool);
    assert_from_eight_threads(&deliver(&spool, &[]), 500);
}

/// KiB of the mapped journal that were written and have not reached the disk; `None` where the kernel or the file
/// system does not tell.
fn unsynced_kib(spool: &Path) -> Option<u64> {
    let journal = lane_dir(spool).join("journal");
    let maps = fs::read_to_string("/proc/self/smaps").ok()?;
    let mut mine = false;
    let mut kib = None;
    for line in maps.lines() {
        if line.contains('-') && !line.contains("kB") {
            mine = line.ends_with(journal.to_str()?);
        } else if mine
            && let Some(dirty) = line.strip_prefix("Shared_Dirty:").or(line.strip_prefix("Private_Dirty:"))
        {
            *kib.get_or_insert(0) += dirty.trim().strip_suffix(" kB")?.parse::<u64>().ok()?;
        }
    }
    kib
}

#[test]
fn sync_brings_the_journal_to_the_disk() {
    const WRITTEN_KIB: u64 = 6 << 10;
    // Now and then the pages ahead of the newest item are made ready, and so written to, just after the first look.
    eventually("a sync leaves less that is not on the disk", || {
        let dir = TempDir::new("limits");
        let spool = dir.join("spool");
        let client = open_offline(&spool, &[("sync_interval_ms", "86400000")]);
        for n in 0..WRITTEN_KIB {
            client.enqueue(long_item(n, 1024).as_bytes()).unwrap();
        }
        let before = unsynced_kib(&spool);
        client.sync().unwrap();
        let after = unsynced_kib(&spool);
        before.zip(after).is_none_or(|(before, after)| after + WRITTEN_KIB / 2 <= before)
    });
}

/// In a small spool, items that wait for their batch would take all the room.
#[test]
fn a_small_spool_sends_before_it_is_full() {
    for overflow in ["reject", "drop_oldest"] {
        let (dir, ingest) = (TempDir::new("limits-small"), Ingest::start(|_| Answer::status(200)).unwrap());
        let settings = [
            ("overflow", overflow),
            ("max_spool_bytes", "256 KiB"),
            ("schedule_delay_ms", "86400000"),
            ("max_batch_size", "65536"),
        ];
        let client = open(&dir.join("spool"), &ingest.url(), &settings);
        // As many as it takes: a busy machine may drop more than it sends.
        let mut n = 0;
        eventually("hundreds are sent", || {
            n += u64::from(client.enqueue(long_item(n, 2000).as_bytes()).is_ok());
            n >= 400 && client.stats().unwrap().delivered > 100
        });
    }
}
