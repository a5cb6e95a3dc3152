//! Loader: fills the index, the newest items first, and follows what comes later.

use std::collections::BTreeSet;
use std::collections::btree_map::{BTreeMap, Entry};
use std::ops::Range;
use std::sync::Arc;

use spanspool::{Found, LaneReader, LaneStatus, Result, Signal, SpoolView};

use super::index::LaneSlot;
use super::record::{Record, records};
use super::rejected::RejectedRows;
use super::spool::Spool;

/// Records that are added to the index at once: in between others can read it.
const CHUNK: usize = 4096;

pub struct Loader {
    spool: Arc<Spool>,
    lanes: BTreeMap<String, Followed>,
    /// Of all lanes: one whose journal can't be read may have rejected items, too.
    rejected: BTreeMap<String, LaneReader>,
}

/// The most older items that are read in one go, oldest first.
const MOST_OLDER: u64 = 1 << 15;
/// More items than move into segments at once, unless they are tiny.
pub const MOST_MOVED: u64 = 1 << 16;

/// A lane that is followed.
struct Followed {
    reader: LaneReader,
    slot: LaneSlot,
    signal: Option<Signal>,
    /// The next item of the journal.
    next: u64,
    /// Those before it were in segments, where items stay in their places.
    head: u64,
    /// The parts in segments that were not read yet, oldest first. A segment may have a million items.
    older: Vec<Range<u64>>,
}

/// How far the loader has come.
#[derive(Debug, Default, Clone)]
pub struct Progress {
    /// Everything was read that was there at the beginning.
    pub is_done: bool,
    pub items: u64,
    pub of_items: u64,
    /// Items that were not read for want of memory.
    pub left_out: u64,
    /// Traces that were forgotten for want of memory.
    pub forgotten: u64,
    /// Items that can't be read.
    pub missing: u64,
    /// Lanes of logs and metrics, of which no trace is shown.
    pub other_lanes: u64,
    pub rejected_left_out: u64,
}

impl Loader {
    pub fn new(spool: Arc<Spool>) -> Self {
        Self { spool, lanes: BTreeMap::new(), rejected: BTreeMap::new() }
    }

    /// Reads what is new in each lane, and one part of what is older. Returns whether more is left to be read now.
    pub fn round(&mut self) -> bool {
        let spool = self.spool.clone();
        let (lanes, unreadable) = {
            let watch = spool.watch();
            (watch.lanes().to_vec(), watch.unreadable().to_vec())
        };
        let Ok(view) = spool.view() else { return false };
        let mut other_lanes = 0;
        // The newest lanes first: their ids begin with the time.
        for lane in lanes.iter().rev() {
            match lane.destination.signal() {
                Some(Signal::Logs | Signal::Metrics) => other_lanes += 1,
                // What can't be read now is read another time.
                _ => drop(self.follow(&view, lane)),
            }
        }
        let ids: BTreeSet<&str> = lanes
            .iter()
            .map(|lane| lane.id.as_str())
            .chain(unreadable.iter().map(|it| it.id.as_str()))
            .collect();
        ids.iter().for_each(|id| drop(self.read_rejected(&view, id)));
        self.lanes.retain(|id, _| ids.contains(id.as_str()));
        self.rejected.retain(|id, _| ids.contains(id.as_str()));
        spool.index().keep_lanes(&ids);
        spool.rejected().retain(|id, _| ids.contains(id.as_str()));
        self.read_older();
        let older =
            |followed: &Followed| followed.older.iter().map(|part| part.end - part.start).sum::<u64>();
        let left = self.lanes.values().map(older).sum::<u64>();
        let rejected_left_out = spool.rejected().values().map(|rows| rows.left_out).sum();
        let mut progress = spool.progress();
        progress.of_items = progress.items + left;
        progress.is_done |= left == 0;
        (progress.other_lanes, progress.rejected_left_out) = (other_lanes, rejected_left_out);
        left > 0
    }

    fn follow(&mut self, view: &SpoolView, lane: &LaneStatus) -> Result<()> {
        let known = self.lanes.contains_key(&lane.id);
        if !known {
            let Some(slot) = self.spool.index().lane(&lane.id) else { return Ok(()) };
            let (reader, signal) = (view.reader(&lane.id)?, lane.destination.signal());
            let mut parts = reader.parts()?;
            let next = parts.pop().map_or(0, |journal| journal.start);
            let older = parts.into_iter().flat_map(in_small_parts).collect();
            let followed = Followed { reader, slot, signal, next, head: next, older };
            self.lanes.insert(lane.id.clone(), followed);
            let mut progress = self.spool.progress();
            progress.of_items += lane.stats.pending;
        }
        let Some(followed) = self.lanes.get_mut(&lane.id) else { return Ok(()) };
        let parts = followed.reader.parts()?;
        let cursor = parts.first().map_or(0, |part| part.start);
        let dropped = [lane.stats.dropped_overflow, lane.stats.dropped_expired, lane.stats.dropped_corrupt]
            .iter()
            .sum::<u64>();
        self.spool.index().set_has_dropped(followed.slot, dropped > 0);
        self.spool.index().set_cursor(followed.slot, cursor);
        followed.older.retain(|part| part.end > cursor);
        let head = parts.last().map_or(0, |journal| journal.start);
        followed.read_moved(&self.spool, cursor, head)?;
        if followed.next < head {
            followed.next = followed.read(&self.spool, followed.next..head, true)?.next;
        }
        if followed.next >= head {
            followed.next = followed.read_journal(&self.spool)?.next;
        }
        Ok(())
    }

    /// Reads the newest part that was not read yet, or gives up all of them when there is no memory for more.
    fn read_older(&mut self) {
        let Some(followed) = self.lanes.values_mut().rev().find(|followed| !followed.older.is_empty()) else {
            return;
        };
        let has_room = !self.spool.index().is_full();
        if let Some(part) = followed.older.pop_if(|_| has_room) {
            let (begin, end) = (part.start, part.end);
            match followed.read(&self.spool, part, false) {
                Ok(found) if found.next < end => followed.older.push(found.next..end),
                Ok(_) => {}
                Err(_) => self.spool.progress().missing += end - begin,
            }
        }
        if self.spool.index().is_full() {
            let older = self.lanes.values_mut().flat_map(|followed| followed.older.drain(..));
            let left_out = older.map(|part| part.end - part.start).sum::<u64>();
            self.spool.progress().left_out += left_out;
        }
    }

    fn read_rejected(&mut self, view: &SpoolView, id: &str) -> Result<()> {
        let reader = match self.rejected.entry(id.to_owned()) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(unknown) => unknown.insert(view.reader(id)?),
        };
        let mut rows = RejectedRows::default();
        let has_changed = reader.rejected_if_changed(&mut |item| {
            let records = records(&item.json, item.destination.signal());
            rows.add(&item, records);
        })?;
        if !has_changed {
            return Ok(());
        }
        let mut index = self.spool.index();
        if let Some(slot) = index.lane(id) {
            index.set_rejected(slot, &rows.records);
        }
        rows.note_traces(|trace_id| index.key(trace_id));
        drop(index);
        self.spool.rejected().insert(id.to_owned(), rows);
        Ok(())
    }
}

fn in_small_parts(part: Range<u64>) -> impl Iterator<Item = Range<u64>> {
    let starts = part.clone().step_by(MOST_OLDER as usize);
    starts.map(move |start| start..part.end.min(start + MOST_OLDER))
}

impl Followed {
    /// Reads again what was read from the journal and is in segments by now, before `head`: its order may have changed.
    fn read_moved(&mut self, spool: &Spool, cursor: u64, head: u64) -> Result<()> {
        let Self { reader, slot, signal, .. } = self;
        let moved = self.head..head.min(self.next.saturating_add(MOST_MOVED));
        let was_read = self.head < self.next.min(head);
        if was_read && self.next < moved.end && !reader.has_several_keys() {
            // Items that moved with it may be of another key.
            let rest = self.next..moved.end;
            reader.read(std::slice::from_ref(&rest), &mut |_, _| true)?;
        }
        if was_read && reader.has_several_keys() {
            let mut items = Vec::new();
            let found = reader.read(std::slice::from_ref(&moved), &mut |seq, item| {
                items.push((seq, records(item, *signal)));
                true
            })?;
            if found.missing == 0 {
                spool.index().set_moved(*slot, moved.clone(), cursor, &items);
                spool.progress().count(items.iter().filter(|(seq, _)| *seq >= self.next).count());
                self.next = self.next.max(moved.end);
            }
        }
        self.head = head;
        Ok(())
    }

    /// Adds the items of `seqs`, which are in segments, to the index; unless they are new, as many as it has memory for.
    fn read(&mut self, spool: &Spool, seqs: Range<u64>, is_new: bool) -> Result<Found> {
        self.add_read(spool, is_new, |reader, each| reader.read(&[seqs], each))
    }

    /// Adds the items of the journal that are not in the index yet.
    fn read_journal(&mut self, spool: &Spool) -> Result<Found> {
        let next = self.next;
        self.add_read(spool, true, |reader, each| reader.read_journal_from(next, each))
    }

    fn add_read(
        &mut self,
        spool: &Spool,
        is_new: bool,
        read: impl FnOnce(&mut LaneReader, &mut dyn FnMut(u64, &[u8]) -> bool) -> Result<Found>,
    ) -> Result<Found> {
        let Self { reader, slot, signal, .. } = self;
        let (slot, signal) = (*slot, *signal);
        let (mut chunk, mut count) = (Vec::new(), 0);
        let found = read(reader, &mut |seq, item| {
            let records = records(item, signal);
            count += records.len().max(1);
            chunk.push((seq, records));
            if count < CHUNK {
                return true;
            }
            count = 0;
            add(spool, slot, &mut chunk, is_new)
        });
        add(spool, slot, &mut chunk, is_new);
        spool.progress().missing += found.as_ref().map_or(0, |found| found.missing);
        found
    }
}

/// Adds a chunk to the index. For new items the oldest traces make room first. Returns whether there is room for more.
fn add(spool: &Spool, slot: LaneSlot, chunk: &mut Vec<(u64, Vec<Record>)>, is_new: bool) -> bool {
    let mut index = spool.index();
    let must_make_room = is_new && !chunk.is_empty() && index.is_full();
    let forgotten = if must_make_room { index.forget_oldest() } else { 0 };
    for (seq, records) in chunk.iter() {
        index.add(slot, *seq, records);
    }
    let has_room = !index.is_full();
    drop(index);
    let mut progress = spool.progress();
    progress.count(chunk.len());
    progress.forgotten += forgotten as u64;
    chunk.clear();
    has_room || is_new
}

impl Progress {
    fn count(&mut self, items: usize) {
        self.items += items as u64;
        self.of_items = self.of_items.max(self.items);
    }

    /// What is not loaded, in words; `None` when nothing is left out.
    pub fn note(&self, trouble: Option<&str>) -> Option<String> {
        let mut notes = Vec::new();
        if let Some(trouble) = trouble {
            notes.push(trouble.to_owned());
        }
        let mut say = |n: u64, noun: &str, what: &str| {
            if n > 0 {
                notes.push(format!("{} {what}", crate::cli::human::counted(n, noun)));
            }
        };
        say(self.left_out, "older item", "left out: the list takes all the memory that it may");
        say(self.forgotten, "oldest trace", "left out: the list takes all the memory that it may");
        say(self.missing, "item", "can't be read: 'spanspool check' says more");
        say(self.rejected_left_out, "older rejected item", "left out");
        say(self.other_lanes, "lane", "of logs or metrics, which have no traces");
        Some(notes.join("; ")).filter(|note| !note.is_empty())
    }
}
