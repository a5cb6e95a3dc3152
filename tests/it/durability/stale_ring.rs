//! What a cut may leave in the ring after its end, made by hand from copies of a journal: whole records of another past,
//! and records of which a part is missing.

use std::fs;
use std::path::{Path, PathBuf};

use spanspool::Stats;
use testkit::TempDir;
use testkit::client::{NEVER_MS, assert_ledger, lane_dir, let_go, open, open_offline};
use testkit::host::accepting;
use testkit::wait::PATIENCE;

/// The journal's header, before the ring.
const HEADER_BYTES: usize = 64 << 10;
/// What each of the items here takes in the ring: a record's header and 7 or 8 bytes.
const RECORD_BYTES: usize = 48;
const SETTINGS: [(&str, &str); 2] = [("journal_bytes", "128 KiB"), ("sync_interval_ms", NEVER_MS)];

/// Enqueues `items` into the spool's lane; gives the journal as it was before and after each of them.
fn journals(spool: &Path, items: &[&str]) -> Vec<Vec<u8>> {
    let client = open_offline(spool, &SETTINGS);
    let read = || fs::read(journal(spool)).unwrap();
    let mut journals = vec![read()];
    for item in items {
        client.enqueue(item.as_bytes()).unwrap();
        journals.push(read());
    }
    journals
}

fn journal(spool: &Path) -> PathBuf {
    lane_dir(spool).join("journal")
}

/// The bytes of a record, by its number.
fn record(n: usize) -> std::ops::Range<usize> {
    let at = HEADER_BYTES + n * RECORD_BYTES;
    at..at + RECORD_BYTES
}

/// Delivers what is in the lane with this journal.
fn deliver(spool: &Path, bytes: &[u8]) -> Stats {
    fs::write(journal(spool), bytes).unwrap();
    let ingest = accepting();
    let client = open(spool, &ingest.url(), &SETTINGS);
    client.flush(PATIENCE).unwrap();
    let stats = client.stats().unwrap();
    assert_ledger(&stats);
    stats
}

#[test]
fn a_whole_record_of_another_past_is_no_item() {
    let dir = TempDir::new("stale");
    let spool = dir.join("spool");
    let first = journals(&spool, &[r#"{"n":1}"#, r#"{"n":2}"#]);
    fs::write(journal(&spool), &first[0]).unwrap();
    // As long a record, with an item of another length: what came after the first one does not follow from it.
    let mut second = journals(&spool, &[r#"{"n":10}"#]).remove(1);
    second[record(1)].copy_from_slice(&first[2][record(1)]);
    let stats = deliver(&spool, &second);
    assert_eq!((stats.accepted, stats.delivered, stats.dropped_corrupt), (1, 1, 0), "{stats:?}");
}

#[test]
fn a_whole_record_after_the_tail_that_the_header_knows_is_an_item() {
    let dir = TempDir::new("unknown");
    let spool = dir.join("spool");
    let all = journals(&spool, &[r#"{"n":1}"#, r#"{"n":2}"#]);
    let mut left = all[1].clone();
    left[record(1)].copy_from_slice(&all[2][record(1)]);
    let stats = deliver(&spool, &left);
    assert_eq!((stats.accepted, stats.delivered, stats.dropped_corrupt), (2, 2, 0), "{stats:?}");
}

#[test]
fn a_torn_record_that_never_had_an_ok_is_no_item() {
    let dir = TempDir::new("torn");
    let spool = dir.join("spool");
    let all = journals(&spool, &[r#"{"n":1}"#, r#"{"n":2}"#]);
    let mut left = all[1].clone();
    left[record(1)].copy_from_slice(&all[2][record(1)]);
    // A part of the item did not reach the disk.
    left[record(1)][40..44].fill(0);
    let stats = deliver(&spool, &left);
    assert_eq!((stats.accepted, stats.delivered, stats.dropped_corrupt), (1, 1, 0), "{stats:?}");
}

/// Writes a checkpoint over both slots of a journal's header: the head at the ring's begin, and `settled` items delivered
/// after it, as while a spill goes on.
fn set_settled(journal: &mut [u8], settled: u64) {
    // Sequence, cursor, settled bytes, four words each of head and tail, five each of the own and the adopted tally.
    let mut words = [0; 21];
    (words[0], words[1], words[2], words[11]) = (1000, settled, settled * 7, settled);
    let bytes: Vec<u8> = words.iter().flat_map(|word: &u64| word.to_ne_bytes()).collect();
    let check = u64::from(crc32fast::hash(&bytes)) | 1 << 63;
    for slot in [576, 832] {
        journal[slot..][..bytes.len()].copy_from_slice(&bytes);
        journal[slot + bytes.len()..][..8].copy_from_slice(&check.to_ne_bytes());
    }
}

#[test]
fn a_damaged_stretch_may_have_settled_items_and_others() {
    let dir = TempDir::new("stretch");
    let spool = dir.join("spool");
    let items: Vec<String> = (1..=4).map(|n| format!(r#"{{"n":{n}}}"#)).collect();
    let items: Vec<&str> = items.iter().map(String::as_str).collect();
    let mut left = journals(&spool, &items).remove(4);
    set_settled(&mut left, 2);
    left[record(1).start..record(2).end].fill(0);
    let stats = deliver(&spool, &left);
    assert_eq!((stats.accepted, stats.delivered, stats.dropped_corrupt), (4, 3, 1), "{stats:?}");
}

#[test]
fn items_that_were_settled_and_are_gone_stay_counted() {
    let dir = TempDir::new("gone");
    let spool = dir.join("spool");
    // Of the header's sectors the one with the checkpoint reached the disk, and nothing else.
    let mut left = journals(&spool, &[]).remove(0);
    set_settled(&mut left, 2);
    fs::write(journal(&spool), &left).unwrap();
    let ingest = accepting();
    let client = open(&spool, &ingest.url(), &SETTINGS);
    client.enqueue(br#"{"n":3}"#).unwrap();
    client.flush(PATIENCE).unwrap();
    let stats = client.stats().unwrap();
    assert_ledger(&stats);
    assert_eq!((stats.accepted, stats.delivered, stats.pending), (3, 3, 0), "{stats:?}");
    assert_eq!(ingest.requests().len(), 1, "the new item arrives");
}

/// Its first record is damaged before the ring is moved into a segment: no segment begins with that item.
#[test]
fn a_damaged_item_at_the_head_of_what_is_spilled_holds_up_no_other() {
    const ITEMS: [&str; 3] = ["{\"n\":0}", "{\"n\":1}", "{\"n\":2}"];
    let dir = TempDir::new("stale-damaged-head");
    let (spool, ingest) = (dir.join("spool"), accepting());
    let mut journals = journals(&spool, &ITEMS);
    let mut journal_bytes = journals.remove(ITEMS.len());
    journal_bytes[record(0)][40..].fill(b'x');
    fs::write(journal(&spool), journal_bytes).unwrap();
    let client = open_offline(&spool, &SETTINGS);
    // Longer than half the ring: it goes into a segment, and all that came before it.
    client.enqueue(format!("{{\"id\":\"long\",\"pad\":\"{}\"}}", "x".repeat(70_000)).as_bytes()).unwrap();
    let_go(client, &spool);
    let client = open(&spool, &ingest.url(), &[("adopt", "any")]);
    client.flush(PATIENCE).unwrap();
    let stats: Stats = client.stats().unwrap();
    assert_ledger(&stats);
    assert_eq!((stats.delivered, stats.dropped_corrupt, stats.pending), (ITEMS.len() as u64, 1, 0));
}
