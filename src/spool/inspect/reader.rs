//! Reader: the items of one lane by their seqs, read in parts, again and again, while its owner may be running.

use std::collections::BTreeMap;
use std::ops::Range;

use crate::error::{Error, ErrorKind, Result};
use crate::spool::checkpoint::LogPosition;
use crate::spool::held_path::HeldPath;
use crate::spool::inspect::view::{SpoolView, destination_of};
use crate::spool::journal::{JournalView, ViewedRecord};
use crate::spool::lane::lock::is_owned;
use crate::spool::pending::journal_of;
use crate::spool::segments::reading;
use crate::spool::segments::{self, Segments};
use crate::spool::set_aside::rejected_files::{RejectedFiles, Stamp};
use crate::spool::set_aside::rejection::RejectedItem;

/// The items of one lane, for a program that looks at them more than once.
///
/// Nothing is changed and no lock is kept. What a reader remembers is where its last reading ended and where the batches
/// of one segment are.
pub struct LaneReader {
    lane: String,
    dir: HeldPath,
    /// How far the journal was read, and its salt.
    position: Option<(u64, LogPosition)>,
    looked: Option<Looked>,
    /// The rejected store as it was when it was read last.
    rejected: Option<Stamp>,
    keys: Keys,
}

/// The names of keys that were met.
enum Keys {
    None,
    One(String),
    Several,
}

/// The segments as they stood when all items before `head` were in them. The one with `seqs` was looked through; what is
/// known of all of them would take too much memory.
struct Looked {
    head: u64,
    seqs: Range<u64>,
    segments: Segments,
}

/// How far a reading came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Found {
    /// The seq to go on at. An item that is still being written, and those after it, are read the next time.
    pub next: u64,
    /// Items that were to be read and can't be read now, or are damaged.
    pub missing: u64,
}

/// Files that a rejected item is looked for in.
const MOST_FILES: usize = 8;

/// Takes an item and its seq; whether to go on.
type Each<'a> = &'a mut dyn FnMut(u64, &[u8]) -> bool;

impl SpoolView {
    /// Reads the items of the lane `id`. Errors: `InvalidArgument` when there is no such lane.
    pub fn reader(&self, id: &str) -> Result<LaneReader> {
        let lane = self.lane_dirs()?.into_iter().find(|(lane, _)| lane == id);
        let unknown = || Error::new(ErrorKind::InvalidArgument, format!("there is no lane '{id}'"));
        lane.map(|(lane, dir)| LaneReader::new(lane, dir)).ok_or_else(unknown)
    }
}

impl Keys {
    fn meet(&mut self, name: &str) {
        match self {
            Self::None => *self = Self::One(name.to_owned()),
            Self::One(known) if known != name => *self = Self::Several,
            Self::One(_) | Self::Several => {}
        }
    }
}

impl LaneReader {
    fn new(lane: String, dir: HeldPath) -> Self {
        Self { lane, dir, position: None, looked: None, rejected: None, keys: Keys::None }
    }

    /// The seqs of what is pending now: a range for each segment, oldest first, and one for the journal, which has no
    /// end. The first range begins with the oldest item that is pending.
    pub fn parts(&self) -> Result<Vec<Range<u64>>> {
        let checkpoint = self.journal()?.checkpoint();
        let (mut next, head) = (checkpoint.cursor, checkpoint.head.seq);
        let mut parts = Vec::new();
        if next < head {
            let segments = self.look()?;
            while next < head {
                let end = segments.next_first(next).unwrap_or(head).min(head);
                parts.push(next..end);
                next = end;
            }
        }
        parts.push(next..u64::MAX);
        Ok(parts)
    }

    /// Whether what was read so far has items of several keys. They are sorted by key when they move from the journal
    /// into a segment, and so get other seqs.
    pub fn has_several_keys(&self) -> bool {
        matches!(self.keys, Keys::Several)
    }

    /// Calls `each` with the pending items of `seqs`, which are in order and apart from each other, until it returns
    /// false. What is settled already is passed over.
    pub fn read(&mut self, seqs: &[Range<u64>], each: Each<'_>) -> Result<Found> {
        let mut found = Found { next: seqs.first().map_or(0, |first| first.start), missing: 0 };
        loop {
            let journal = self.journal()?;
            let checkpoint = journal.checkpoint();
            found.next = found.next.max(checkpoint.cursor);
            let more = self.read_segments(&journal, seqs, &mut found, each)?
                && self.read_journal(&journal, seqs, &mut found, each);
            // What was spilled meanwhile is in a segment now.
            let is_spilled = journal.checkpoint().head.seq > found.next;
            if !more || !is_spilled || next_of(seqs, found.next).is_none() {
                return Ok(found);
            }
        }
    }

    /// Calls `each` with the items of the journal from `next` on, as `read` does. What has moved into a segment since `parts`
    /// is not read: it may have other seqs there.
    pub fn read_journal_from(&mut self, next: u64, each: Each<'_>) -> Result<Found> {
        let journal = self.journal()?;
        let mut found = Found { next: next.max(journal.checkpoint().cursor), missing: 0 };
        self.read_journal(&journal, std::slice::from_ref(&(next..u64::MAX)), &mut found, each);
        Ok(found)
    }

    /// Reads what is in segments. Returns whether to go on.
    fn read_segments(
        &mut self,
        journal: &JournalView,
        seqs: &[Range<u64>],
        found: &mut Found,
        each: Each<'_>,
    ) -> Result<bool> {
        let head = journal.checkpoint().head.seq;
        let mut tried = None;
        while let Some(seq) = next_of(seqs, found.next).filter(|seq| *seq < head) {
            let segments = self.segments_for(seq, head)?;
            let first = segments.batch_with(seq)?.unwrap_or(seq);
            let mut batch = segments.reading(first, head).read();
            if matches!(&batch, reading::Found::Batch(stored) if stored.end() <= seq) {
                batch = segments.reading(seq, head).read();
            }
            match batch {
                reading::Found::Batch(stored) | reading::Found::Misplaced(stored) => {
                    self.keys.meet(stored.batch.key_name());
                    for (at, item) in (stored.batch.first()..).zip(stored.batch.items()) {
                        if next_of(seqs, at.max(seq)) == Some(at) && !each(at, item) {
                            found.next = at + 1;
                            return Ok(false);
                        }
                    }
                    found.next = stored.end().max(seq + 1);
                }
                // A segment that is being written has changed since it was looked through.
                reading::Found::Damaged { .. } | reading::Found::Unavailable { .. } if tried != Some(seq) => {
                    (tried, self.looked) = (Some(seq), None);
                }
                reading::Found::Damaged { end, .. } | reading::Found::Unavailable { end, .. } => {
                    // Its owner may have settled it and removed the segment.
                    let from = seq.max(journal.checkpoint().cursor);
                    found.next = end.max(seq + 1);
                    found.missing += count_of(seqs, from..found.next);
                }
            }
        }
        Ok(true)
    }

    /// Reads what is in the journal. Returns whether to go on.
    fn read_journal(
        &mut self,
        journal: &JournalView,
        seqs: &[Range<u64>],
        found: &mut Found,
        each: Each<'_>,
    ) -> bool {
        let Some(seq) = next_of(seqs, found.next) else { return true };
        let (head, salt) = (journal.checkpoint().head, journal.salt());
        // It was spilled since the segments were read.
        if head.seq > seq {
            return true;
        }
        let known = self.position.filter(|(of, at)| *of == salt && at.pos >= head.pos && at.seq <= seq);
        let from = known.map_or(head, |(_, at)| at);
        // A dead owner finishes nothing: what it has not finished is no item.
        let mut records = journal.finished_records(from, is_owned(&self.dir));
        let mut more = true;
        for record in &mut records {
            let (ViewedRecord::Whole { seq, .. } | ViewedRecord::Damaged { seq, .. }) = &record;
            // What stood there was spilled and overwritten: what was read instead may have another seq.
            if journal.checkpoint().head.seq > *seq {
                self.position = None;
                return true;
            }
            match record {
                ViewedRecord::Whole { seq, key_name, json } => {
                    self.keys.meet(&key_name);
                    more = next_of(seqs, found.next.max(seq)) != Some(seq) || each(seq, &json);
                    found.next = found.next.max(seq + 1);
                }
                ViewedRecord::Damaged { seq, items, .. } => {
                    found.missing += count_of(seqs, found.next.max(seq)..seq + items);
                    found.next = found.next.max(seq + items);
                }
            }
            if !more || next_of(seqs, found.next).is_none() {
                break;
            }
        }
        let at = records.position();
        if self.position.is_none_or(|(of, before)| of != salt || before.pos < at.pos) {
            self.position = Some((salt, at));
        }
        more
    }

    /// Calls `each` with every rejected item, oldest first, if any came or went since this was last called. Returns
    /// whether that was so.
    pub fn rejected_if_changed(&mut self, each: &mut dyn FnMut(RejectedItem)) -> Result<bool> {
        let files = self.rejected_files();
        let (stamp, _) = files.stamp()?;
        if self.rejected == Some(stamp) {
            return Ok(false);
        }
        let destination = destination_of(&files);
        let mut all_read = true;
        for first in files.firsts()? {
            let group = files.read(first);
            all_read &= group.is_ok();
            let items = group.ok().flatten().map(|group| group.into_items(&self.lane, &destination));
            items.into_iter().flatten().for_each(&mut *each);
        }
        self.rejected = Some(stamp).filter(|stamp| all_read && stamp.is_certain());
        Ok(true)
    }

    /// Calls `each` with those of the rejected items `<lane>-<seq>` that are there; `seqs` are in order.
    pub fn rejected(&self, seqs: &[u64], each: &mut dyn FnMut(u64, RejectedItem)) -> Result<()> {
        let files = self.rejected_files();
        let (firsts, destination) = (files.firsts()?, destination_of(&files));
        let mut group: BTreeMap<String, RejectedItem> = BTreeMap::new();
        let mut read = None;
        for seq in seqs {
            let id = format!("{}-{seq}", self.lane);
            // Items that were set aside together may have others between them, which are in files of their own.
            let before = firsts[..firsts.partition_point(|first| first <= seq)].iter().rev();
            for first in before.take(MOST_FILES) {
                if read != Some(*first) {
                    let items = files.read(*first)?.map(|group| group.into_items(&self.lane, &destination));
                    group = items.into_iter().flatten().map(|item| (item.id.clone(), item)).collect();
                    read = Some(*first);
                }
                if let Some(item) = group.remove(&id) {
                    each(*seq, item);
                    break;
                }
            }
        }
        Ok(())
    }

    fn rejected_files(&self) -> RejectedFiles {
        RejectedFiles::new(&self.lane, self.dir.join("rejected"))
    }

    fn journal(&self) -> Result<JournalView> {
        journal_of(&self.lane, &self.dir)
    }

    fn look(&self) -> Result<Segments> {
        Segments::look(&self.lane, &self.dir.join(segments::FOLDER))
    }

    /// The segments, for reading the one with `seq`; all items before `head` are in them.
    fn segments_for(&mut self, seq: u64, head: u64) -> Result<&Segments> {
        let known = self.looked.take().filter(|looked| looked.head == head && looked.seqs.contains(&seq));
        let looked = match known {
            Some(looked) => looked,
            None => {
                let segments = self.look()?;
                let end = segments.next_first(seq).unwrap_or(head);
                Looked { head, seqs: seq..end, segments }
            }
        };
        Ok(&self.looked.insert(looked).segments)
    }
}

/// The first of `seqs` from `from` on.
fn next_of(seqs: &[Range<u64>], from: u64) -> Option<u64> {
    let at = seqs.partition_point(|range| range.end <= from);
    seqs.get(at).map(|range| range.start.max(from))
}

/// How many of `seqs` are in `range`.
fn count_of(seqs: &[Range<u64>], range: Range<u64>) -> u64 {
    let within = |it: &Range<u64>| it.end.min(range.end).saturating_sub(it.start.max(range.start));
    seqs.iter().map(within).sum()
}
