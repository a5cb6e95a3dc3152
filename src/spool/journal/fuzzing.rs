//! Fuzzing: what must hold of any journal file. See `crate::fuzzing`.

#![allow(clippy::unwrap_used)]

use std::collections::VecDeque;
use std::os::unix::fs::FileExt;

use super::record::{CarvedRecord, Frame};
use super::*;
use crate::config::Destination;
use crate::config::Validation;
use crate::item::Item;
use crate::spool::checkpoint::Tally;
use crate::spool::queue::batching::{self, BatchLimits};

const RING: u64 = HEADER_BYTES;
const PAGE: usize = 4096;
const LIMITS: BatchLimits = BatchLimits { items: 8, body_bytes: 4096 };

/// The first byte says what the rest is: a journal that was never one, or the life and the end of a true one.
pub fn journal(data: &[u8]) {
    let Some((kind, rest)) = data.split_first() else { return };
    let at = std::env::temp_dir().join(format!("spanspool-fuzz-{}", std::process::id()));
    let path = HeldPath::at(&at).unwrap();
    drop(path.remove_file());
    let mut input = Input(rest);
    match kind % 3 {
        0 => std::fs::write(path.path(), rest).map(|()| visit(&path)).unwrap(),
        1 => forged(&path, &mut input),
        _ => lived(&path, &mut input),
    }
    drop(path.remove_file());
}

/// Bytes to take numbers from; zeros after the end.
struct Input<'a>(&'a [u8]);

impl Input<'_> {
    fn bytes<const N: usize>(&mut self) -> [u8; N] {
        let mut taken = [0; N];
        let (now, later) = self.0.split_at(self.0.len().min(N));
        taken[..now.len()].copy_from_slice(now);
        self.0 = later;
        taken
    }

    fn u8(&mut self) -> u8 {
        self.bytes::<1>()[0]
    }

    fn u16(&mut self) -> u16 {
        u16::from_le_bytes(self.bytes())
    }

    fn u64(&mut self) -> u64 {
        u64::from_le_bytes(self.bytes())
    }

    fn position(&mut self) -> LogPosition {
        LogPosition { pos: self.u64(), chain: self.u16().into(), seq: self.u64(), bytes: self.u64() }
    }
}

/// A file whose every checksum is right, and whose words are whatever the input says.
fn forged(path: &HeldPath, input: &mut Input<'_>) {
    let file = path.open_file(Access::Create).unwrap();
    file.set_len(HEADER_BYTES + RING).unwrap();
    let map = Map::new(&file, RING, true).unwrap();
    header::initialise(&map, 1, 2, 0, &Destination::anybody());
    let mut at = input.position();
    let has_tail = input.u8() != 0;
    let checkpoint = Checkpoint {
        sequence: 1,
        head: at,
        tail: if has_tail { input.position() } else { LogPosition::default() },
        cursor: input.u64(),
        settled_bytes: input.u64(),
        tally: Tally { delivered: input.u64(), ..Tally::default() },
        ..Checkpoint::default()
    };
    header::store_checkpoint(&map, &checkpoint);
    at.pos &= !7;
    while !input.0.is_empty() && at.pos < u64::MAX - 4 * RING {
        let len = u32::from(input.u16()) * u32::from(input.u8() % 3);
        let frame = Frame::after(&at, 2, len, input.u16().into(), input.u8());
        frame.reserve(map.slot(frame.pos));
        match input.u8() % 4 {
            0 => {}
            1 => frame.bury(&map),
            2 => frame.mark_batch(&map, input.u64()),
            _ => frame.commit(map.slot(frame.pos), &[], &vec![b'x'; len as usize]),
        }
        at = frame.skip(&at);
    }
    drop(map);
    visit(path);
}

/// Does with the journal at `path` what is done with one, as far as it can be opened.
fn visit(path: &HeldPath) {
    if let Ok(view) = JournalView::open(path) {
        let head = view.checkpoint().head;
        view.first_accepted_unix_ms(head);
        assert!(view.reason().len() <= 3 * 240);
        assert!(view.records(head).count() as u64 <= RING / 40 + 1);
    }
    let raw = CarvedJournal::open(path).unwrap();
    let from = raw.checkpoint().map_or(0, |checkpoint| checkpoint.head.pos);
    assert!(raw.records(from).unwrap().all(|record| record.is_ok()));
    drop(other_version(path));
    let Ok(journal) = Journal::open(path) else { return };
    read_all(&journal);
    let head = journal.checkpoint().head;
    if let Some(run) = batching::run(&journal, head, LIMITS) {
        let batch = batching::take_run(&journal, "lane", head, &run).batch;
        assert_eq!(batch.len() as u64, run.items);
        batching::regroup(&journal, "lane", head, run.end, LIMITS);
    }
    let before = journal.tail();
    if journal.append(&item(b"{}", ""), None).is_ok() {
        assert_eq!(journal.tail().seq, before.seq + 1);
        journal.sync_to(journal.tail().pos).unwrap();
    }
    journal.release().unwrap();
    journal.prefault();
}

fn item<'a>(json: &'a [u8], key_name: &'a str) -> Item<'a> {
    Item::check(json, key_name, usize::MAX, Validation::None).unwrap()
}

/// Key name and item of every record from the head on.
fn read_all(journal: &Journal) -> Vec<(String, Vec<u8>)> {
    let mut found = Vec::new();
    let mut at = journal.checkpoint().head;
    for _ in 0..=journal.ring_bytes() / 40 {
        at = match journal.read(at) {
            Read::Record(record) => {
                found.push((record.key_name.to_owned(), record.json.to_vec()));
                record.end
            }
            Read::Damaged(end) => end,
            Read::Unfinished | Read::End => return found,
        };
    }
    assert!(at.pos >= journal.tail().pos, "there are more records than fit");
    found
}

/// A journal that takes and settles items, and what may become of its file. Whatever comes out of it then was
/// committed, in this order; when nothing was damaged, all of it comes out.
fn lived(path: &HeldPath, input: &mut Input<'_>) {
    let journal = Journal::create(path, HEADER_BYTES + RING, false, &Destination::anybody()).unwrap();
    let mut kept: VecDeque<(String, Vec<u8>)> = VecDeque::new();
    let mut all: Vec<(String, Vec<u8>)> = Vec::new();
    let mut earlier = std::fs::read(path.path()).unwrap();
    let mut reserved = false;
    for _ in 0..200 {
        let (what, much) = (input.u8(), input.u16());
        match what % 8 {
            0 => break,
            1 => settle(&journal, &mut kept, much),
            2 => earlier = std::fs::read(path.path()).unwrap(),
            3 => {
                reserve(&journal, much);
                reserved = true;
            }
            4 => {
                // A sync waits for writers; one that was killed takes its whole process along.
                let end_pos = if reserved { 0 } else { journal.tail().pos };
                journal.sync_to(end_pos).and_then(|()| journal.release()).unwrap();
            }
            _ => {
                let key_name = "k".repeat(usize::from(what >> 3));
                let json = format!("{{\"n\":{},\"x\":\"{}\"}}", all.len(), "y".repeat((much % 9000).into()));
                if journal.append(&item(json.as_bytes(), &key_name), None).is_ok() {
                    kept.push_back((key_name.clone(), json.clone().into_bytes()));
                    all.push((key_name, json.into_bytes()));
                }
            }
        }
    }
    drop(journal);
    let damaged = damage(path, &earlier, input);
    for record in CarvedJournal::open(path).unwrap().records(0).unwrap() {
        let CarvedRecord { key_name, json } = record.unwrap();
        assert!(all.contains(&(key_name, json)), "a scan finds a record that was never committed");
    }
    let Ok(journal) = Journal::open(path) else {
        assert!(damaged);
        return;
    };
    let found = read_all(&journal);
    if !damaged {
        assert_eq!(found, Vec::from(kept));
    }
    let mut committed = all.iter();
    for record in &found {
        assert!(committed.any(|c| c == record), "a record comes out that was never committed, or not there");
    }
    drop(journal);
    visit(path);
}

/// Settles some of the oldest items; their space is free with the next release.
fn settle(journal: &Journal, kept: &mut VecDeque<(String, Vec<u8>)>, items: u16) {
    let mut checkpoint = journal.checkpoint();
    for _ in 0..items % 32 {
        let Read::Record(record) = journal.read(checkpoint.head) else { break };
        journal.mark_batch(&record, 1);
        checkpoint.head = record.end;
        kept.pop_front();
    }
    checkpoint.cursor = checkpoint.head.seq;
    checkpoint.sequence += 1;
    journal.store_checkpoint(&checkpoint);
}

/// A writer that is killed between its reservation and its commit.
fn reserve(journal: &Journal, len: u16) {
    let mut tail = journal.lock_tail();
    let len = u32::from(len) % 9000;
    if tail.at.pos + record::size_of(len as usize) <= journal.released.load(Acquire) + RING {
        let frame = Frame::after(&tail.at, journal.salt, len, now_unix_ms(), 0);
        frame.reserve(journal.map.slot(frame.pos));
        tail.at = frame.skip(&tail.at);
        journal.publish_tail(&tail.at);
    }
}

/// Nothing, a few bytes that changed, or pages that fell back to `earlier`. A CRC sees no more than 4 bytes for sure.
fn damage(path: &HeldPath, earlier: &[u8], input: &mut Input<'_>) -> bool {
    let file = path.open_file(Access::Write).unwrap();
    let mut bytes = std::fs::read(path.path()).unwrap();
    match input.u8() % 3 {
        0 => return false,
        1 => {
            let at = (input.u64() % (bytes.len() as u64 - 4)) as usize;
            for (byte, flip) in bytes[at..at + 4].iter_mut().zip(input.bytes::<4>()) {
                *byte ^= flip;
            }
        }
        _ => {
            let pages = bytes.chunks_mut(PAGE).zip(earlier.chunks(PAGE));
            let flags = u64::from_le_bytes(input.bytes());
            // The header is one page, and 64 KiB of ring are sixteen.
            for (i, (page, before)) in pages.enumerate() {
                let bit = if i == 0 { 0 } else { 1 + i % 16 };
                if flags >> bit & 1 == 1 {
                    page.copy_from_slice(before);
                }
            }
        }
    }
    file.write_all_at(&bytes, 0).unwrap();
    true
}
