//! Segments: the ordered folders of a lane that hold what no longer fits in the journal.

pub(super) mod contents;
pub(super) mod pool;
mod readahead;
pub(super) mod reading;
pub(super) mod scan;
pub(super) mod writer;

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::sync::{Arc, Weak};

use crate::error::{Error, Result};
use crate::spool::format::seq_name::{seq_name, seq_of};
use crate::spool::format::stored_batch::StoredBatch;
use crate::spool::held_path::{Access, HeldPath, Standing};
use crate::spool::segments::readahead::Readahead;
use crate::spool::segments::reading::{Home, Reading, ScanSlot, folders_in};
use crate::spool::segments::scan::Scan;
use crate::spool::segments::writer::{DATABASE, Segment};

/// A lane's segments by their first item; each reaches to the next one's first.
///
/// sled has only the one open that is being written. The others are read from their files, see `scan`.
pub(crate) struct Segments {
    lane: String,
    /// Their folder: held by the lane's owner, once it is there.
    dir: HeldPath,
    /// What is known to have become of it.
    standing: Standing,
    entries: BTreeMap<u64, Entry>,
    readahead: Readahead,
    /// What all segments hold, once something was missing from its place: files may have changed places.
    elsewhere: ScanSlot,
    /// Segments with items before this seq were deleted with the lane's folder.
    deleted_before: u64,
    /// Lives as long as the reading that delivery waits for.
    reading: Weak<()>,
    /// Something was found where it does not belong: no segment goes before all are settled.
    misplaced: bool,
}

#[derive(Default)]
struct Entry {
    /// The database, while it is written.
    open: Option<Arc<Segment>>,
    /// What its files hold: remembered while nobody writes them.
    scan: ScanSlot,
    writing: bool,
    /// Items of it were lost in this life of the lane: it is kept when it is passed.
    damaged: bool,
    /// When it was counted.
    disk_bytes: Option<u64>,
    /// The first item of each batch, in order; `None`: as a dead owner left it, not looked through yet.
    batches: Option<Vec<u64>>,
}

/// A segment out of which nothing is needed any more.
pub(crate) struct Passed {
    pub(crate) first: u64,
    pub(crate) path: HeldPath,
    pub(crate) damaged: bool,
}

/// The folder of a lane that its segments are in.
pub(crate) const FOLDER: &str = "segments";
/// A segment that was emptied while it is written is kept until it is larger than this.
const KEEP_EMPTY_BYTES: u64 = 6 << 20;

/// A file that says that items of the segment were lost.
const MARK: &str = "damaged";
/// A file next to the segments that says that something is not where it belongs.
const MISPLACED: &str = "misplaced";

impl Segments {
    /// Finds the segments in `dir`. Those whose items are settled or still in the journal are passed.
    pub(crate) fn open(lane: &str, dir: &HeldPath, cursor: u64, head: u64) -> Result<(Self, Vec<Passed>)> {
        if cursor >= head {
            dir.create()?;
        }
        pool::sweep_up(dir);
        let mut segments = Self::look(lane, dir)?;
        match dir.hold() {
            Ok(held) => segments.dir = held,
            // Its items are waited for, and what is made in their place would be in the way when they come back.
            Err(e) if e.kind() == ErrorKind::NotFound => {}
            Err(e) => return Err(Error::io(format!("hold the folder {dir}"), e)),
        }
        if segments.misplaced && !segments.is_held(cursor, head) {
            drop(dir.join(MISPLACED).remove_file());
            segments.misplaced = false;
        }
        let firsts: Vec<u64> = segments.entries.keys().copied().collect();
        let mut passed = Vec::new();
        for (i, first) in firsts.iter().enumerate() {
            let end = firsts.get(i + 1).map_or(head, |next| head.min(*next));
            if (end <= cursor && !segments.is_held(cursor, head)) || *first >= head {
                passed.push(segments.as_passed(*first, false));
                segments.entries.remove(first);
            }
        }
        Ok((segments, passed))
    }

    /// Finds the segments in `dir`, for reading only.
    pub(crate) fn look(lane: &str, dir: &HeldPath) -> Result<Self> {
        let mut segments = Self {
            lane: lane.to_owned(),
            dir: dir.clone(),
            standing: Standing::Here,
            entries: BTreeMap::new(),
            readahead: Readahead::default(),
            elsewhere: ScanSlot::default(),
            deleted_before: 0,
            reading: Weak::new(),
            misplaced: dir.join(MISPLACED).is_file().unwrap_or(true),
        };
        segments.list()?;
        Ok(segments)
    }

    /// Finds segments that are not known yet.
    pub(crate) fn list(&mut self) -> Result<()> {
        for first in self.dir.names()?.iter().filter_map(|name| seq_of(name)) {
            // Looking into each of them would make opening slow.
            self.entries.entry(first).or_default();
        }
        Ok(())
    }

    pub(crate) fn path(&self, first: u64) -> HeldPath {
        self.dir.join(seq_name(first))
    }

    /// Adds or updates the segment that is being written. `appended`: the batches that it holds besides those of before.
    pub(crate) fn publish(&mut self, first: u64, segment: &Arc<Segment>, appended: &[(u64, Vec<u8>)]) {
        let entry = self.entries.entry(first).or_default();
        entry.open = Some(segment.clone());
        entry.scan = ScanSlot::default();
        entry.writing = true;
        entry.disk_bytes = Some(segment.disk_bytes());
        entry.batches.get_or_insert_default().extend(appended.iter().map(|(batch, _)| batch));
    }

    /// Says that no segment is written any more.
    pub(crate) fn retire_all(&mut self) {
        let writing: Vec<u64> =
            self.entries.iter().filter(|(_, e)| e.writing).map(|(first, _)| *first).collect();
        writing.into_iter().for_each(|first| self.retire(first));
    }

    /// Says that segment `first` is not written any more.
    pub(crate) fn retire(&mut self, first: u64) {
        if let Some(entry) = self.entries.get_mut(&first) {
            entry.writing = false;
            entry.open = None;
            entry.scan = ScanSlot::default();
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(crate) fn contains(&self, first: u64) -> bool {
        self.entries.contains_key(&first)
    }

    /// Bytes on disk; what was there when the lane was opened is looked at once.
    pub(crate) fn disk_bytes(&mut self) -> u64 {
        let firsts: Vec<u64> = self.entries.keys().copied().collect();
        firsts.into_iter().map(|first| self.disk_bytes_of(first)).sum()
    }

    fn disk_bytes_of(&mut self, first: u64) -> u64 {
        let Some(entry) = self.entries.get_mut(&first) else { return 0 };
        // Its other files are small.
        let db = || self.dir.join(seq_name(first)).join(DATABASE);
        *entry.disk_bytes.get_or_insert_with(|| db().bytes_on_disk())
    }

    /// Whether nothing is needed any more out of the oldest segment, and it is worth removing.
    pub(crate) fn first_is_passed(&self, cursor: u64, head: u64) -> bool {
        !self.is_held(cursor, head)
            && self.entries.first_key_value().is_some_and(|(first, entry)| {
                let end = self.next_first(*first).unwrap_or(head);
                end <= cursor && (!entry.writing || entry.disk_bytes > Some(KEEP_EMPTY_BYTES))
            })
    }

    /// The first item of the segment after the one that holds `seq`, if there is one.
    pub(crate) fn next_first(&self, seq: u64) -> Option<u64> {
        self.entries.range(seq + 1..).next().map(|(first, _)| *first)
    }

    /// The batch at `seq`, if it was read ahead.
    pub(crate) fn take_read(&mut self, seq: u64) -> Option<Box<StoredBatch>> {
        self.readahead.take(seq)
    }

    /// What to read for delivery, which waits for the batch at `seq`; all items before `head` are in segments. `None`: it
    /// is being read.
    pub(crate) fn begin_reading(&mut self, seq: u64, head: u64) -> Option<Reading> {
        if self.reading.strong_count() > 0 {
            return None;
        }
        let token = Arc::new(());
        self.reading = Arc::downgrade(&token);
        Some(Reading { _token: Some(token), ..self.reading(seq, head) })
    }

    /// What to read for the batch at `seq`; all items before `head` are in segments.
    pub(crate) fn reading(&self, seq: u64, head: u64) -> Reading {
        Reading {
            lane: self.lane.clone(),
            dir: self.dir.clone(),
            seq,
            end: self.next_first(seq).map_or(head, |next| next.min(head)),
            home: self.entries.range(..=seq).next_back().map(|(first, entry)| Home {
                path: self.path(*first),
                open: entry.open.clone(),
                // While it is written, what its files hold is not remembered.
                scan: if entry.writing { ScanSlot::default() } else { entry.scan.clone() },
            }),
            elsewhere: self.elsewhere.clone(),
            is_deleted: seq < self.deleted_before,
            _token: None,
        }
    }

    /// Whether the committer should read ahead of `next`.
    pub(crate) fn wants_readahead(&self, next: u64, head: u64) -> bool {
        self.readahead.is_low() && self.readable_ahead(next, head).is_some()
    }

    /// What to read ahead of `next`, in the segment that is being read.
    pub(crate) fn to_read(&self, next: u64, head: u64) -> Option<Reading> {
        self.readable_ahead(next, head).map(|seq| self.reading(seq, head))
    }

    /// The batch to read ahead of `next`, if its segment was looked through.
    fn readable_ahead(&self, next: u64, head: u64) -> Option<u64> {
        let seq = self.readahead.wanted(next).filter(|seq| *seq < head)?;
        let (_, entry) = self.entries.range(..=seq).next_back()?;
        // Delivery looks through the files itself: it finds out what is wrong with them.
        let is_read = entry.scan.try_lock().is_ok_and(|scan| scan.is_some());
        is_read.then_some(seq)
    }

    pub(crate) fn keep_read(&mut self, stored: Box<StoredBatch>, next: u64) {
        self.readahead.keep(stored, next);
    }

    /// Looks through the files of all segments, whatever they are called.
    pub(crate) fn scan_all(&self) -> Result<Scan> {
        Scan::of(&folders_in(&self.dir)?)
    }

    /// What became of the folder, and whether that is news. One that was not there is held once it is.
    pub(crate) fn look_after_folder(&mut self) -> (Standing, bool) {
        if !self.dir.is_held() {
            self.dir = self.dir.hold().unwrap_or_else(|_| self.dir.clone());
            return (Standing::Here, false);
        }
        let standing = self.dir.standing();
        (standing, std::mem::replace(&mut self.standing, standing) != standing)
    }

    /// All segments, whose items are before `end`, were deleted with their folder. `dir` is in its place.
    pub(crate) fn note_deleted(&mut self, end: u64, dir: HeldPath) {
        self.entries.clear();
        self.elsewhere = ScanSlot::default();
        self.deleted_before = end;
        (self.dir, self.standing) = (dir, Standing::Here);
    }

    /// Something was found where it does not belong. Leaves word of it for the next process.
    pub(crate) fn note_misplaced(&mut self) {
        self.misplaced = true;
        let path = self.dir.join(MISPLACED);
        if !path.is_file().unwrap_or(false) {
            // Without it only the next process would not know.
            drop(path.open_file(Access::CreateOrOpen));
        }
    }

    /// Whether a segment that is passed may hold what another one is to hold.
    fn is_held(&self, cursor: u64, head: u64) -> bool {
        self.misplaced && cursor < head
    }

    /// Says that items at `seq` were lost: their segment will be kept.
    pub(crate) fn mark_damaged(&mut self, seq: u64) {
        if let Some((first, entry)) = self.entries.range_mut(..=seq).next_back()
            && !std::mem::replace(&mut entry.damaged, true)
        {
            // Without the mark only the next process would not know.
            drop(self.dir.join(seq_name(*first)).join(MARK).open_file(Access::CreateOrOpen));
        }
    }

    /// `damaged`: items of it were lost in this life of the lane.
    fn as_passed(&self, first: u64, damaged: bool) -> Passed {
        let path = self.path(first);
        Passed { first, damaged: damaged || path.join(MARK).is_file().unwrap_or(true), path }
    }

    /// The segments out of which nothing is needed any more: all before `cursor` that nobody writes. They are closed.
    pub(crate) fn passed(&mut self, cursor: u64, head: u64) -> Vec<Passed> {
        let firsts: Vec<u64> = self.entries.keys().copied().collect();
        let ends = firsts.iter().skip(1).copied().chain([head]);
        let mut passed = Vec::new();
        if self.is_held(cursor, head) {
            return passed;
        }
        for (first, end) in firsts.iter().zip(ends) {
            if let Some(entry) = self.entries.get_mut(first).filter(|entry| end <= cursor && !entry.writing) {
                (entry.open, entry.scan) = (None, ScanSlot::default());
                let damaged = entry.damaged;
                passed.push(self.as_passed(*first, damaged));
            }
        }
        passed
    }

    /// The segment `first` was removed.
    pub(crate) fn forget(&mut self, first: u64) {
        self.entries.remove(&first);
    }
}
