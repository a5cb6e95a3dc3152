//! Models: the journal's code in every order that threads and the memory model allow, up to a number of preemptions.
//!
//! `RUSTFLAGS="--cfg loom" cargo test --lib models` runs them, on the ring of `map_model`. LOOM_MAX_PREEMPTIONS=n
//! allows more preemptions than each model asks for.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;

use loom::sync::Arc;
use loom::thread;

use super::*;
use crate::config::Destination;
use crate::config::Validation;
use crate::item::Item;
use crate::spool::queue::batching::{self, BatchLimits};

const LIMITS: BatchLimits = BatchLimits { items: 8, body_bytes: 1 << 20 };
/// The items' bytes, by writer.
const ITEMS: [&[u8]; 4] = [
    br#"{"item":"aaaaaaaaaaaaa"}"#,
    br#"{"item":"bbbbbbbbbbbbb"}"#,
    br#"{"item":"ccccccccccccc"}"#,
    br#"{"item":"ddddddddddddd"}"#,
];
const STATE_OFFSET: u64 = 16;
const COMMITTED: u64 = 1 << 32;

/// Runs `model` in every order with at most `preemptions` threads stopped in the middle; says in how many.
fn check(preemptions: usize, model: impl Fn(Arc<Journal>) + Sync + Send + 'static) {
    static NAMES: AtomicUsize = AtomicUsize::new(0);
    let name = format!("spanspool-model-{}-{}", std::process::id(), NAMES.fetch_add(1, Relaxed));
    // In memory where that is possible: each order makes files.
    let memory = std::path::PathBuf::from("/dev/shm");
    let folder = if memory.is_dir() { memory } else { std::env::temp_dir() };
    let path = HeldPath::at(&folder.join(name)).unwrap();
    let orders = std::sync::Arc::new(AtomicUsize::new(0));
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = builder.preemption_bound.or(Some(preemptions));
    builder.max_branches = 20_000;
    let counted = orders.clone();
    builder.check(move || {
        counted.fetch_add(1, Relaxed);
        drop(path.remove_file());
        let journal = Journal::create(&path, 0, false, &Destination::anybody()).unwrap();
        model(Arc::new(journal));
        // The model may have renewed it.
        drop(path.remove_file());
    });
    let orders = orders.load(Relaxed);
    eprintln!("{orders} orders");
    assert!(orders > 100, "the threads of the model hardly met");
}

fn append(journal: &Journal, json: &[u8]) -> std::result::Result<Appended, Refusal> {
    // The ring of the model is too small for a reserve.
    journal.append_in_reserve(&Item::check(json, "", usize::MAX, Validation::None).unwrap())
}

/// The items of every batch that can be made from `at` on; moves `at` after them.
fn batch_all(journal: &Journal, at: &mut LogPosition) -> Vec<Vec<u8>> {
    let mut items = Vec::new();
    while let Some(run) = batching::run(journal, *at, LIMITS) {
        let stored = batching::take_run(journal, "lane", *at, &run);
        assert_eq!((stored.batch.first(), stored.batch.len() as u64), (at.seq, run.items));
        items.extend(stored.batch.items().map(<[u8]>::to_vec));
        *at = run.end;
    }
    items
}

/// A reader that makes batches while two write never sees an item that is not whole, nor out of order.
#[test]
fn a_reader_sees_whole_items_in_the_order_of_their_numbers() {
    check(4, |journal| {
        let writers = [0, 1].map(|i| {
            let journal = journal.clone();
            thread::spawn(move || append(&journal, ITEMS[i]).unwrap().end_pos)
        });
        let mut at = LogPosition::default();
        let mut items = batch_all(&journal, &mut at);
        let ends = writers.map(|writer| writer.join().unwrap());
        items.extend(batch_all(&journal, &mut at));
        let first = usize::from(ends[0] > ends[1]);
        assert_eq!(items, [ITEMS[first], ITEMS[1 - first]]);
        assert_eq!((at.seq, at.pos), (2, ends[1 - first]));
    });
}

/// A writer that waits for room never writes over a record that was not released, nor into one that is being read.
#[test]
fn nothing_is_written_over_before_it_is_released() {
    check(5, |journal| {
        for item in &ITEMS[..3] {
            append(&journal, item).unwrap();
        }
        assert!(matches!(append(&journal, ITEMS[3]), Err(Refusal::RingFull)));
        let writer = {
            let journal = journal.clone();
            thread::spawn(move || {
                for item in [ITEMS[3], ITEMS[0]] {
                    while append(&journal, item).is_err() {
                        thread::yield_now();
                    }
                }
            })
        };
        for item in &ITEMS[..3] {
            take(&journal, item);
        }
        writer.join().unwrap();
        take(&journal, ITEMS[3]);
        take(&journal, ITEMS[0]);
        assert!(matches!(journal.read(journal.checkpoint().head), Read::End));
    });
}

/// Reads the oldest record, which is `item`, and releases it.
fn take(journal: &Journal, item: &[u8]) {
    let mut checkpoint = journal.checkpoint();
    let Read::Record(record) = journal.read(checkpoint.head) else { panic!("no record") };
    assert_eq!(record.json, item);
    checkpoint.head = record.end;
    checkpoint.sequence += 1;
    journal.store_checkpoint(&checkpoint);
    assert_eq!(record.json, item, "it was written over before it was released");
    journal.release().unwrap();
}

/// Appends and syncs an item; when the answer is OK, the record must be on stable storage.
fn enqueue_durably(journal: &Journal, item: &[u8]) {
    let end_pos = append(journal, item).unwrap().end_pos;
    journal.sync_to(end_pos).unwrap();
    assert_stable(journal, item, end_pos);
}

/// The record of `item`, which ends at `end_pos`, is on stable storage.
fn assert_stable(journal: &Journal, item: &[u8], end_pos: u64) {
    let state = journal.map.stable_word(end_pos - record::size_of(item.len()) + STATE_OFFSET);
    assert_eq!(state & COMMITTED, COMMITTED, "OK came before the record was on stable storage");
}

/// Group commit: a caller that hears OK finds its record in what a sync wrote that began after the commit.
fn callers_share_syncs(callers: usize, preemptions: usize) {
    check(preemptions, move |journal| {
        let others = ITEMS[1..callers].iter().map(|item| {
            let journal = journal.clone();
            thread::spawn(move || enqueue_durably(&journal, item))
        });
        let others: Vec<_> = others.collect();
        enqueue_durably(&journal, ITEMS[0]);
        others.into_iter().for_each(|other| other.join().unwrap());
        assert!((1..=callers).contains(&journal.map.syncs.load(Relaxed)));
    });
}

#[test]
fn ok_comes_after_a_sync_that_covers_the_record_of_two() {
    callers_share_syncs(2, 5);
}

#[test]
fn ok_comes_after_a_sync_that_covers_the_record_of_three() {
    callers_share_syncs(3, 2);
}

/// Nobody hears OK after a sync failed, and no other one is tried.
#[test]
fn a_failed_sync_fails_for_all_and_for_good() {
    check(5, |journal| {
        journal.map.fails_once.store(true, Relaxed);
        let other = {
            let journal = journal.clone();
            thread::spawn(move || journal.sync_to(append(&journal, ITEMS[1]).unwrap().end_pos).is_err())
        };
        assert!(journal.sync_to(append(&journal, ITEMS[0]).unwrap().end_pos).is_err());
        assert!(other.join().unwrap());
        assert!(journal.sync_to(journal.tail().pos).is_err());
        assert_eq!(journal.map.syncs.load(Relaxed), 1, "a failed sync was tried again");
    });
}

/// The journal is renewed after a failed sync: a caller that waited for that sync and runs only now tries again, a
/// caller that hears OK finds its record on stable storage, and later syncs are made.
fn syncs_go_on_after_a_renewal(preemptions: usize, others: &'static [fn(&Journal)]) {
    check(preemptions, |journal| {
        journal.map.fails_once.store(true, Relaxed);
        let others = others.iter().map(|other| {
            let journal = journal.clone();
            thread::spawn(move || other(&journal))
        });
        let others: Vec<_> = others.collect();
        let end_pos = append(&journal, ITEMS[0]).unwrap().end_pos;
        if journal.sync_to(end_pos).is_err() {
            journal.renew(|| ()).unwrap();
        }
        assert_stable(&journal, ITEMS[0], end_pos);
        others.into_iter().for_each(|other| other.join().unwrap());
        enqueue_durably(&journal, ITEMS[2]);
    });
}

/// A release, which does not say up to where it wants the journal synced.
fn wants_a_turn(journal: &Journal) {
    drop(journal.sync_header());
}

fn wants_its_record_synced(journal: &Journal) {
    let end_pos = append(journal, ITEMS[1]).unwrap().end_pos;
    if journal.sync_to(end_pos).is_ok() {
        assert_stable(journal, ITEMS[1], end_pos);
    }
}

#[test]
fn a_follower_of_a_failed_sync_tries_again_after_a_renewal() {
    syncs_go_on_after_a_renewal(
        4,
        &[|journal| {
            wants_a_turn(journal);
            wants_its_record_synced(journal);
        }],
    );
}

#[test]
fn two_followers_of_a_failed_sync_try_again_after_a_renewal() {
    syncs_go_on_after_a_renewal(3, &[wants_a_turn, wants_its_record_synced]);
}
