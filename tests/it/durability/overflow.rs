//! With `overflow=drop_oldest` every new item is accepted, and it costs the oldest batch and no more, wherever that is.

use std::path::Path;
use std::thread;

use spanspool::{BatchTraceProcessor, Stats};
use testkit::client::{arrived, assert_ledger, let_go, long_item, open, open_offline, segment_dirs};
use testkit::faults::{Faults, Word};
use testkit::host::{Host, settings, status, total};
use testkit::ingest::{Answer, Ingest};
use testkit::wait::{PATIENCE, eventually};
use testkit::{TempDir, caller, compile_c};

const BATCH: u64 = 16;
const ERR_IO: i32 = 40;

/// Settings that drop the oldest, with small batches, then `more`.
fn dropping<'a>(more: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    let own = [("overflow", "drop_oldest"), ("max_batch_size", "16")];
    own.into_iter().chain(more.iter().copied()).collect()
}

fn stats(client: &BatchTraceProcessor) -> Stats {
    let stats = client.stats().unwrap();
    assert_ledger(&stats);
    stats
}

fn enqueue_long(client: &BatchTraceProcessor, numbers: std::ops::Range<u64>, bytes: usize) {
    for n in numbers {
        client.enqueue(long_item(n, bytes).as_bytes()).unwrap();
    }
}

/// What is left in the spool is delivered: the newest of `accepted` items, those that were not dropped.
fn assert_newest_arrive(spool: &Path, accepted: u64) {
    let ingest = Ingest::start(|_| Answer::status(200)).unwrap();
    let client = open(spool, &ingest.url(), &[]);
    client.flush(PATIENCE).unwrap();
    let stats = stats(&client);
    assert_eq!((stats.accepted, stats.pending, stats.dropped_corrupt), (accepted, 0, 0), "{stats:?}");
    assert_eq!(arrived(&ingest), Vec::from_iter(stats.dropped_overflow..accepted));
}

#[test]
fn one_item_too_many_costs_one_batch_of_a_segment() {
    const MOST: u64 = 5000;
    let dir = TempDir::new("overflow-segment");
    let spool = dir.join("spool");
    let settings = dropping(&[("max_queue_size", "5000"), ("journal_bytes", "256 KiB")]);
    let client = open_offline(&spool, &settings);
    enqueue_long(&client, 0..MOST, 300);
    assert!(!segment_dirs(&spool).is_empty());
    assert_eq!(stats(&client).dropped_overflow, 0);
    for n in MOST..MOST + 100 {
        enqueue_long(&client, n..n + 1, 300);
        assert_eq!(stats(&client).dropped_overflow, (n + 1 - MOST).next_multiple_of(BATCH));
    }
    let_go(client, &spool);
    // Another process does not know yet where the batches of the segments end.
    let client = open_offline(&spool, &settings);
    let before = stats(&client);
    let room = MOST - before.pending;
    enqueue_long(&client, MOST + 100..MOST + 100 + room, 300);
    assert_eq!(stats(&client).dropped_overflow, before.dropped_overflow);
    enqueue_long(&client, MOST + 100 + room..MOST + 101 + room, 300);
    assert_eq!(stats(&client).dropped_overflow, before.dropped_overflow + BATCH);
    let_go(client, &spool);
    assert_newest_arrive(&spool, MOST + 101 + room);
}

#[test]
fn every_item_is_accepted_while_the_journal_moves_into_segments() {
    const MOST: u64 = 300;
    for keys in [1, 3] {
        let dir = TempDir::new("overflow-spill");
        let spool = dir.join("spool");
        let settings = dropping(&[("max_queue_size", "300"), ("journal_bytes", "64 KiB")]);
        let client = open_offline(&spool, &settings);
        for n in 0..20_000 {
            let item = long_item(n, 100 + (n % 7 * 100) as usize);
            match n % keys {
                0 => client.enqueue(item.as_bytes()).unwrap(),
                key => client.enqueue_as(&format!("key{key}"), item.as_bytes()).unwrap(),
            }
            let stats = stats(&client);
            assert!(stats.pending <= MOST, "{stats:?}");
            assert!(n < MOST || stats.pending > MOST - BATCH * keys, "{n} {stats:?}");
        }
        let_go(client, &spool);
        if keys == 1 {
            assert_newest_arrive(&spool, 20_000);
        }
    }
}

#[test]
fn threads_that_find_the_queue_full_drop_no_more_than_they_need() {
    const MOST: u64 = 200;
    let dir = TempDir::new("overflow-threads");
    let client = open_offline(&dir.join("spool"), &dropping(&[("max_queue_size", "200")]));
    thread::scope(|scope| {
        for thread in 0..8 {
            let client = &client;
            scope.spawn(move || enqueue_long(client, thread << 32..(thread << 32) + 2000, 100));
        }
    });
    let stats = stats(&client);
    assert_eq!(stats.accepted, 16_000);
    assert!(stats.pending > MOST - BATCH && stats.pending <= MOST, "{stats:?}");
}

#[test]
fn a_full_spool_drops_batches_and_not_segments() {
    for (journal, spool_bytes) in [("1 MiB", "48 MiB"), ("1 MiB", "4 MiB")] {
        let dir = TempDir::new("overflow-spool");
        let spool = dir.join("spool");
        let client =
            open_offline(&spool, &dropping(&[("journal_bytes", journal), ("max_spool_bytes", spool_bytes)]));
        let (mut dropped, mut most, mut n) = (0, 0, 0);
        while dropped < 2000 {
            enqueue_long(&client, n..n + 1, 4000);
            n += 1;
            let now = stats(&client).dropped_overflow;
            most = most.max(now - dropped);
            dropped = now;
        }
        // A segment takes somewhat more room than the batches that it holds; the smallest one holds eight.
        assert!(most <= 6 * BATCH, "{most} items for one with {spool_bytes}");
        let_go(client, &spool);
        assert_newest_arrive(&spool, n);
    }
}

#[test]
fn an_oversize_item_costs_what_it_needs() {
    let dir = TempDir::new("overflow-oversize");
    let spool = dir.join("spool");
    let settings =
        dropping(&[("journal_bytes", "8 MiB"), ("max_spool_bytes", "18 MiB"), ("max_rejected_bytes", "0")]);
    let client = open_offline(&spool, &settings);
    enqueue_long(&client, 0..900, 4000);
    assert_eq!(stats(&client).dropped_overflow, 0);
    client.enqueue(long_item(900, 6 << 20).as_bytes()).unwrap();
    let after = stats(&client);
    let dropped = after.dropped_overflow;
    // Of the ten MiB that segments have, the item and a segment's overhead leave 2.5.
    assert!((270..310).contains(&dropped), "{after:?}");
    // One that never fits costs nothing.
    assert!(client.enqueue(long_item(901, 15 << 20).as_bytes()).is_err());
    assert_eq!(stats(&client).dropped_overflow, dropped);
    let_go(client, &spool);
    assert_newest_arrive(&spool, 901);

    let client =
        open_offline(&dir.join("queue"), &dropping(&[("max_queue_size", "50"), ("journal_bytes", "64 KiB")]));
    enqueue_long(&client, 0..50, 100);
    client.enqueue(long_item(50, 100_000).as_bytes()).unwrap();
    assert_eq!(stats(&client).dropped_overflow, BATCH);
}

/// A host in `dir` with a journal of 64 KiB whose items go nowhere.
fn start(dir: &TempDir, faults: &Faults, more: &str) -> Host {
    let mut command = caller(compile_c("tests/c/host.c", dir.path()));
    let own = ["exporter=none", "journal_bytes=64KiB", "overflow=drop_oldest", "max_batch_size=16", more];
    command.args(settings(&dir.join("spool"), "http://127.0.0.1:9/", &own));
    faults.load(&Faults::compile(dir.path()), &mut command);
    let host = Host::run(&mut command);
    assert_eq!(host.line(), "ready");
    host
}

#[test]
fn old_items_are_dropped_while_a_slow_disk_takes_them() {
    let dir = TempDir::new("overflow-slow");
    let spool = dir.join("spool");
    let faults = Faults::below(&spool.join("lanes"), &dir.join("faults"));
    let mut host = start(&dir, &faults, "max_queue_size=150");
    faults.set(Word::SyncUs, 500_000);
    assert_eq!(host.ask("enqueue some 140 256"), "0 140");
    // Half the journal is on its way into one now. The other half has room for these.
    eventually("a segment is made", || !segment_dirs(&spool).is_empty());
    assert_eq!(host.ask("enqueue more 30 256"), "0 30");
    faults.set(Word::SyncUs, 0);
    assert_eq!(host.ask("sync"), "0");
    assert_eq!(total(&status(&spool), "dropped_overflow"), 32);
    host.end();
}

#[test]
fn a_full_disk_drops_batches() {
    let dir = TempDir::new("overflow-disk");
    let spool = dir.join("spool");
    let faults = Faults::below(&spool.join("lanes"), &dir.join("faults"));
    let mut host = start(&dir, &faults, "enqueue_timeout_ms=10000");
    // All of it fits in the journal.
    faults.set(Word::Full, 1);
    assert_eq!(host.ask("enqueue old 120 400"), "0 120");
    assert_eq!(total(&status(&spool), "dropped_overflow"), 0);
    assert_eq!(host.ask("enqueue one 10 400"), "0 10");
    let dropped = total(&status(&spool), "dropped_overflow");
    assert_eq!(dropped, BATCH);
    assert_eq!(host.ask("enqueue more 3000 400"), "0 3000");
    let dropped = total(&status(&spool), "dropped_overflow");
    assert!(total(&status(&spool), "pending") > 100, "{}", status(&spool));

    // Once there is room, nothing more is dropped.
    faults.set(Word::Full, 0);
    eventually("the disk is tried again", || !segment_dirs(&spool).is_empty());
    let before = total(&status(&spool), "dropped_overflow");
    assert!(before <= dropped + BATCH);
    assert_eq!(host.ask("enqueue late 3000 400"), "0 3000");
    assert_eq!(total(&status(&spool), "dropped_overflow"), before);

    // Now the oldest are in a segment.
    faults.set(Word::Full, 1);
    assert_eq!(host.ask("enqueue last 3000 400"), "0 3000");
    assert!(total(&status(&spool), "dropped_overflow") > before + 2500);
    // A long item has no place but on the disk.
    assert_eq!(host.ask("enqueue big 1 40000"), format!("{ERR_IO} 0"));
    host.end();
}
