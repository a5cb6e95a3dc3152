//! Segments: the ordered folders of a lane that hold what no longer fits in the journal.

pub(super) mod readahead;
pub(super) mod scan;
pub(super) mod writer;

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use crate::error::{Error, ErrorKind, Result};
use crate::os::lock::Unpoison;
use crate::spool::format::stored_batch::StoredBatch;
use crate::spool::fs;
use crate::spool::segments::readahead::{Readahead, ToRead};
use crate::spool::segments::scan::Scan;
use crate::spool::segments::writer::Segment;

/// A lane's segments by their first item; each reaches to the next one's first.
///
/// sled has only the one open that is being written. The others are read from their files, see `scan`.
pub(crate) struct Segments {
    lane: String,
    dir: PathBuf,
    entries: BTreeMap<u64, Entry>,
    readahead: Readahead,
    /// What all segments hold, once something was missing from its place: files may have changed places.
    elsewhere: Option<Scan>,
    /// Something was found where it does not belong: no segment goes before all are settled.
    misplaced: bool,
}

struct Entry {
    /// The database, while it is written.
    open: Option<Arc<Segment>>,
    /// What its files hold, once they were read.
    scan: Option<Arc<Mutex<Scan>>>,
    writing: bool,
    /// Items of it were lost in this life of the lane: it is kept when it is passed.
    damaged: bool,
    /// When it was counted.
    disk_bytes: Option<u64>,
}

/// A segment out of which nothing is needed any more.
pub(crate) struct Passed {
    pub(crate) first: u64,
    pub(crate) path: PathBuf,
    pub(crate) damaged: bool,
}

/// A segment that was emptied while it is written is kept until it is larger than this.
const KEEP_EMPTY_BYTES: u64 = 6 << 20;

/// A file that says that items of the segment were lost.
const MARK: &str = "damaged";
/// A file next to the segments that says that something is not where it belongs.
const MISPLACED: &str = "misplaced";

/// What a segment has at a seq.
pub(crate) enum Found {
    Batch(Box<StoredBatch>),
    /// Items before this seq can't be read any more.
    Gap {
        end: u64,
        why: Error,
    },
}

impl Segments {
    /// Finds the segments in `dir`. Those whose items are settled or still in the journal are passed.
    pub(crate) fn open(lane: &str, dir: &Path, cursor: u64, head: u64) -> Result<(Self, Vec<Passed>)> {
        fs::create(dir)?;
        let mut segments = Self::look(lane, dir)?;
        if segments.misplaced && !segments.is_held(cursor, head) {
            drop(std::fs::remove_file(dir.join(MISPLACED)));
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
    pub(crate) fn look(lane: &str, dir: &Path) -> Result<Self> {
        let mut entries = BTreeMap::new();
        for first in fs::names(dir)?.iter().filter_map(|name| fs::seq_of(name)) {
            // Looking into each of them would make opening slow.
            let entry = Entry { open: None, scan: None, writing: false, damaged: false, disk_bytes: None };
            entries.insert(first, entry);
        }
        Ok(Self {
            lane: lane.to_owned(),
            dir: dir.to_path_buf(),
            entries,
            readahead: Readahead::default(),
            elsewhere: None,
            misplaced: dir.join(MISPLACED).exists(),
        })
    }

    pub(crate) fn path(&self, first: u64) -> PathBuf {
        self.dir.join(fs::seq_name(first))
    }

    /// Adds or updates the segment that is being written.
    pub(crate) fn publish(&mut self, first: u64, segment: &Arc<Segment>) {
        let disk_bytes = Some(segment.disk_bytes());
        let damaged = self.entries.get(&first).is_some_and(|entry| entry.damaged);
        let open = Some(segment.clone());
        self.entries.insert(first, Entry { open, scan: None, writing: true, damaged, disk_bytes });
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
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub(crate) fn contains(&self, first: u64) -> bool {
        self.entries.contains_key(&first)
    }

    /// Bytes on disk; what was there when the lane was opened is looked at once.
    pub(crate) fn disk_bytes(&mut self) -> u64 {
        let count = |(first, entry): (&u64, &mut Entry)| {
            // Its other files are small.
            let db = || self.dir.join(fs::seq_name(*first)).join("db");
            *entry.disk_bytes.get_or_insert_with(|| db().metadata().map_or(0, |m| fs::bytes_on_disk(&m)))
        };
        self.entries.iter_mut().map(count).sum()
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

    /// Reads the batch at `seq`; all items before `head` are in segments.
    ///
    /// An error means that it may succeed later.
    pub(crate) fn read(&mut self, seq: u64, head: u64) -> Result<Found> {
        if let Some(stored) = self.readahead.take(seq) {
            return Ok(Found::Batch(stored));
        }
        let end = self.next_first(seq).map_or(head, |next| next.min(head));
        let first = self.first_of(seq);
        let fits = |stored: &StoredBatch| stored.end() <= end;
        if let Some(stored) = first.and_then(|first| self.read_open(first, seq)).filter(fits) {
            return Ok(Found::Batch(Box::new(stored)));
        }
        let mut next = end;
        if let Some(first) = first {
            let scan = self.scan_of(first)?;
            let mut scan = scan.lock().unpoisoned();
            let stored = self.decode(&mut scan, seq)?;
            next = scan.next_id(seq).map_or(next, |id| id.min(next));
            if let Some(stored) = stored.filter(fits) {
                return Ok(Found::Batch(Box::new(stored)));
            }
        }
        let mut scan = self.elsewhere.take().map_or_else(|| self.scan_all(), Ok)?;
        let stored = self.decode(&mut scan, seq)?;
        next = scan.next_id(seq).map_or(next, |id| id.min(next));
        self.elsewhere = Some(scan);
        if let Some(stored) = stored.filter(fits) {
            self.misplaced = true;
            return Ok(Found::Batch(Box::new(stored)));
        }
        let why = format!("lane {}: items {seq} to {} can't be read back", self.lane, next - 1);
        Ok(Found::Gap { end: next, why: Error::new(ErrorKind::Corrupt, why) })
    }

    /// Whether the committer should read ahead of `next`.
    pub(crate) fn wants_readahead(&self, next: u64, head: u64) -> bool {
        self.readahead.is_low() && self.to_read(next, head).is_some()
    }

    /// What to read ahead of `next`, in the segment that is being read.
    pub(crate) fn to_read(&self, next: u64, head: u64) -> Option<ToRead> {
        let seq = self.readahead.wanted(next).filter(|seq| *seq < head)?;
        let scan = self.entries.get(&self.first_of(seq)?)?.scan.clone()?;
        let end = self.next_first(seq).map_or(head, |next| next.min(head));
        Some(ToRead { scan, seq, end })
    }

    pub(crate) fn keep_readahead(&mut self, stored: Box<StoredBatch>, next: u64) {
        self.readahead.keep(stored, next);
    }

    /// The first item of the segment that holds `seq`.
    fn first_of(&self, seq: u64) -> Option<u64> {
        self.entries.range(..=seq).next_back().map(|(first, _)| *first)
    }

    /// What the files of segment `first` hold; it is remembered while nobody writes them.
    fn scan_of(&mut self, first: u64) -> Result<Arc<Mutex<Scan>>> {
        let path = self.path(first);
        let entry = self.entries.get_mut(&first).filter(|entry| !entry.writing);
        if let Some(scan) = entry.as_ref().and_then(|entry| entry.scan.clone()) {
            return Ok(scan);
        }
        let scan = Arc::new(Mutex::new(Scan::of(&[path])?));
        if let Some(entry) = entry {
            entry.scan = Some(scan.clone());
        }
        Ok(scan)
    }

    /// The batch `seq` from the database, when segment `first` is open.
    fn read_open(&self, first: u64, seq: u64) -> Option<StoredBatch> {
        let segment = self.entries.get(&first)?.open.as_ref()?;
        let (id, bytes) = segment.read(seq).ok()??;
        StoredBatch::decode(&self.lane, id, &bytes.ok()?).ok().filter(|_| id == seq)
    }

    fn decode(&self, scan: &mut Scan, seq: u64) -> Result<Option<StoredBatch>> {
        let value = scan.value(seq)?;
        Ok(value.and_then(|value| StoredBatch::decode(&self.lane, seq, &value).ok()))
    }

    /// Looks through the files of all segments, whatever they are called.
    pub(crate) fn scan_all(&self) -> Result<Scan> {
        let mut dirs: Vec<PathBuf> = fs::names(&self.dir)?.iter().map(|name| self.dir.join(name)).collect();
        dirs.retain(|dir| dir.is_dir());
        Scan::of(&dirs)
    }

    /// Whether a segment that is passed may hold what another one is to hold.
    fn is_held(&self, cursor: u64, head: u64) -> bool {
        self.misplaced && cursor < head
    }

    /// Leaves word for the next process if something was found where it does not belong.
    pub(crate) fn leave_word_if_misplaced(&self) {
        let path = self.dir.join(MISPLACED);
        if self.misplaced && !path.exists() {
            // Without it only the next process would not know.
            drop(File::create(path));
        }
    }

    /// Says that items at `seq` were lost: their segment will be kept.
    pub(crate) fn mark_damaged(&mut self, seq: u64) {
        if let Some((first, entry)) = self.entries.range_mut(..=seq).next_back()
            && !std::mem::replace(&mut entry.damaged, true)
        {
            // Without the mark only the next process would not know.
            drop(File::create(self.dir.join(fs::seq_name(*first)).join(MARK)));
        }
    }

    /// `damaged`: items of it were lost in this life of the lane.
    fn as_passed(&self, first: u64, damaged: bool) -> Passed {
        let path = self.path(first);
        Passed { first, damaged: damaged || path.join(MARK).exists(), path }
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
                (entry.open, entry.scan) = (None, None);
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
