//! View: recovering the records, by the owner after a restart, or read-only by any process.

use std::sync::atomic::Ordering::{Acquire, Relaxed};

use crate::config::Destination;
use crate::error::{Error, ErrorKind, Result};
use crate::spool::checkpoint::{Checkpoint, LogPosition};
use crate::spool::held_path::{Access, HeldPath};
use crate::spool::journal::damage::{self, Gap};
use crate::spool::journal::destination;
use crate::spool::journal::header::{self, HeaderCounter};
use crate::spool::journal::map::Map;
use crate::spool::journal::record::{Frame, MIN_BYTES, State};

/// Maps the journal file `path` and checks its header.
pub(super) fn map_file(path: &HeldPath, writable: bool) -> Result<Map> {
    let whole = || -> std::io::Result<(std::fs::File, u64)> {
        let file = path.open_file(if writable { Access::Write } else { Access::Read })?;
        let bytes = file.metadata()?.len();
        Ok((file, bytes))
    };
    let (file, bytes) = whole().map_err(|e| Error::io(format!("open the journal {path}"), e))?;
    let ring_bytes = header::ring_bytes_of(bytes).ok_or_else(|| {
        Error::new(ErrorKind::Corrupt, format!("journal {path}: {bytes} bytes is no size of a journal"))
    })?;
    let map = Map::new(&file, ring_bytes, writable)
        .map_err(|e| Error::io(format!("map the journal {path} into memory"), e))?;
    header::validate(&map, &path.path())?;
    Ok(map)
}

/// The log position after the newest record, searched from `known` on, and the damaged stretches before it.
///
/// Records that were never committed are buried. Whether the others are whole is seen when they are read.
pub(super) fn recover_tail(
    map: &Map,
    salt: u64,
    known: LogPosition,
    head_pos: u64,
) -> (LogPosition, Vec<Gap>) {
    let at = chain_end(map, salt, known);
    let Some(end) = counted_tail(map, at, head_pos) else { return (at, Vec::new()) };
    let (gaps, end) = damage::survey(map, salt, at, end, |frame| bury_unless_counted(map, frame));
    (chain_end(map, salt, end), gaps)
}

fn chain_end(map: &Map, salt: u64, known: LogPosition) -> LogPosition {
    let mut at = known;
    while let Some(frame) = Frame::load(map, &at, salt) {
        at = if bury_unless_counted(map, &frame) { frame.end(&at) } else { frame.skip(&at) };
        if at.pos - known.pos >= map.ring_bytes() {
            break;
        }
    }
    at
}

/// Buries a record that does not count as an item; returns whether it counts.
///
/// A record that its writer did not live to finish does not count. Nor does one that is not whole and that the header
/// counters do not know of: a power cut left a part of it.
fn bury_unless_counted(map: &Map, frame: &Frame) -> bool {
    let is_known = frame.pos < map.header_word(HeaderCounter::Tail as usize).load(Acquire);
    let counts = match frame.state(map) {
        State::Committed(checksum) => is_known || frame.is_whole(frame.payload(map), checksum),
        State::Damaged => is_known,
        State::Dead | State::Reserved => false,
    };
    if !counts {
        frame.bury(map);
    }
    counts
}

/// The tail as the header counters have it, when it lies after `at`, where the chain ends: what is between is damaged.
/// The counters have no checksum, so what can't be is not believed.
pub(super) fn counted_tail(map: &Map, at: LogPosition, head_pos: u64) -> Option<LogPosition> {
    let counted = |counter: HeaderCounter| map.header_word(counter as usize).load(Acquire);
    let pos = counted(HeaderCounter::Tail);
    if pos <= at.pos || !pos.is_multiple_of(8) || pos - head_pos.min(pos) > map.ring_bytes() {
        return None;
    }
    let (most_items, most_bytes) = ((pos - at.pos) / MIN_BYTES, pos - at.pos);
    let seq = counted(HeaderCounter::Accepted);
    let seq = if (at.seq..=at.seq + most_items).contains(&seq) { seq } else { at.seq + 1 };
    let bytes = counted(HeaderCounter::AcceptedBytes).clamp(at.bytes, at.bytes + most_bytes);
    Some(LogPosition { pos, chain: at.chain, seq, bytes })
}

/// The journal of any lane, read-only, while its owner may be writing.
pub(crate) struct JournalView {
    map: Map,
}

/// A record of a journal that somebody may be writing.
pub(crate) enum ViewedRecord {
    /// A copy of a committed record, checked after it was made.
    Whole { seq: u64, key_name: String, json: Vec<u8> },
    /// Damaged records: seq of the first, how many, and the ring position where they begin.
    Damaged { seq: u64, items: u64, pos: u64 },
}

impl JournalView {
    pub(crate) fn open(path: &HeldPath) -> Result<Self> {
        map_file(path, false).map(|map| Self { map })
    }

    /// Opens the journal so that `add_counter` works.
    pub(crate) fn open_for_counting(path: &HeldPath) -> Result<Self> {
        map_file(path, true).map(|map| Self { map })
    }

    pub(crate) fn checkpoint(&self) -> Checkpoint {
        header::load_checkpoint(&self.map).unwrap_or_default()
    }

    pub(crate) fn counter(&self, counter: HeaderCounter) -> u64 {
        self.map.header_word(counter as usize).load(Relaxed)
    }

    pub(crate) fn add_counter(&self, counter: HeaderCounter, more: u64) {
        self.map.header_word(counter as usize).fetch_add(more, Relaxed);
    }

    /// Where the items go.
    pub(crate) fn destination(&self) -> Destination {
        destination::of(&self.map)
    }

    pub(crate) fn reason(&self) -> String {
        header::load_reason(&self.map)
    }

    /// When the record at `head` was accepted; 0 when there is none.
    pub(crate) fn first_accepted_unix_ms(&self, head: LogPosition) -> u64 {
        Frame::load(&self.map, &head, header::salt(&self.map)).map_or(0, |frame| frame.accepted_unix_ms)
    }

    /// What stands from `from` on, until the end.
    ///
    /// The owner may overwrite what is being read: that reads as damaged, until the checkpoint is looked at again.
    pub(crate) fn records(&self, from: LogPosition) -> Records<'_> {
        Records { view: self, from_pos: from.pos, at: from, unfinished: () }
    }

    /// The same. As long as the journal `is_owned` it ends at the first record that is still being written: the seqs of
    /// those after it are not known before.
    pub(crate) fn finished_records(&self, from: LogPosition, is_owned: bool) -> Records<'_, bool> {
        Records { view: self, from_pos: from.pos, at: from, unfinished: is_owned }
    }

    /// A number that no other journal has: positions in another one mean nothing in this.
    pub(crate) fn salt(&self) -> u64 {
        header::salt(&self.map)
    }

    /// The log position after the damaged stretch at `at`; `None` when nothing comes after it.
    fn after_damage(&self, at: LogPosition, head_pos: u64) -> Option<LogPosition> {
        // The header counters may be damaged as well. Up to its own tail the checkpoint vouches for what was there.
        let synced = self.checkpoint().tail;
        let end = if at.pos < synced.pos { synced } else { counted_tail(&self.map, at, head_pos)? };
        let counts = |frame: &Frame| matches!(frame.state(&self.map), State::Committed(_) | State::Damaged);
        let (gaps, _) = damage::survey(&self.map, header::salt(&self.map), at, end, counts);
        gaps.first().map(|gap| gap.to)
    }
}

/// The records of a journal, in order.
pub(crate) struct Records<'a, U = ()> {
    view: &'a JournalView,
    from_pos: u64,
    at: LogPosition,
    unfinished: U,
}

/// Whether a record that is still being written is the end of what is read. Otherwise it is passed over.
pub(crate) trait Unfinished {
    fn is_end(&self) -> bool;
}

impl Unfinished for () {
    fn is_end(&self) -> bool {
        false
    }
}

impl Unfinished for bool {
    fn is_end(&self) -> bool {
        *self
    }
}

impl<U> Records<'_, U> {
    /// The log position after what was read.
    pub(crate) fn position(&self) -> LogPosition {
        self.at
    }
}

impl<U: Unfinished> Iterator for Records<'_, U> {
    type Item = ViewedRecord;

    fn next(&mut self) -> Option<ViewedRecord> {
        let map = &self.view.map;
        let salt = header::salt(map);
        while self.at.pos - self.from_pos < map.ring_bytes() {
            let at = self.at;
            let Some(frame) = Frame::load(map, &at, salt) else {
                let after = self.view.after_damage(at, self.from_pos).filter(|after| *after != at)?;
                self.at = after;
                let items = after.seq - at.seq;
                if items > 0 {
                    return Some(ViewedRecord::Damaged { seq: at.seq, items, pos: at.pos });
                }
                continue;
            };
            let payload = frame.payload(map).to_vec();
            let state = frame.state(map);
            if self.unfinished.is_end() && matches!(state, State::Reserved) {
                return None;
            }
            if matches!(state, State::Dead | State::Reserved) {
                self.at = frame.skip(&at);
                continue;
            }
            self.at = frame.end(&at);
            return Some(match state {
                State::Committed(checksum) if frame.is_whole(&payload, checksum) => {
                    let (name, json) = payload.split_at(payload.len().min(frame.key_name_len.into()));
                    let key_name = String::from_utf8_lossy(name).into_owned();
                    ViewedRecord::Whole { seq: at.seq, key_name, json: json.to_vec() }
                }
                _ => ViewedRecord::Damaged { seq: at.seq, items: 1, pos: at.pos },
            });
        }
        None
    }
}
