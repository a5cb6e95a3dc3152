//! Segments: the ordered folders of a lane that hold what no longer fits in the journal.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::dir;
use super::segment::Segment;
use super::stored::StoredBatch;
use crate::error::{Error, ErrorKind, Result};

/// A lane's segments by the number of their first item; each reaches to the next one's first.
///
/// Only the segment that is written and the one that is read are ever open.
pub(crate) struct Segments {
    lane: String,
    dir: PathBuf,
    entries: BTreeMap<u64, Entry>,
}

struct Entry {
    open: Option<Arc<Segment>>,
    writing: bool,
    disk_bytes: u64,
}

/// A segment that was emptied while it is written is kept until it is larger than this.
const KEEP_EMPTY_BYTES: u64 = 6 << 20;

/// What a segment has at a number.
pub(crate) enum Found {
    Batch(Box<StoredBatch>),
    /// Items up to this number can't be read any more.
    Gap {
        end: u64,
        why: Error,
    },
}

impl Segments {
    /// Finds the segments in `dir`, and removes those whose items are settled or still in the journal.
    pub(crate) fn open(lane: &str, dir: &Path, cursor: u64, head: u64) -> Result<Self> {
        dir::create(dir)?;
        let mut firsts: Vec<u64> = dir::names(dir)?.iter().filter_map(|name| dir::number_of(name)).collect();
        firsts.sort_unstable();
        let mut segments = Self { lane: lane.to_owned(), dir: dir.to_path_buf(), entries: BTreeMap::new() };
        for (i, first) in firsts.iter().enumerate() {
            let end = firsts.get(i + 1).map_or(head, |next| head.min(*next));
            let path = segments.path(*first);
            if end <= cursor || *first >= head {
                dir::remove(&path)?;
            } else {
                // Its other files are small, and looking at all of them would make opening slow.
                let disk_bytes = path.join("db").metadata().map_or(0, |m| dir::bytes_on_disk(&m));
                segments.entries.insert(*first, Entry { open: None, writing: false, disk_bytes });
            }
        }
        Ok(segments)
    }

    pub(crate) fn path(&self, first: u64) -> PathBuf {
        self.dir.join(dir::numbered(first))
    }

    /// Adds or updates the segment that is being written.
    pub(crate) fn publish(&mut self, first: u64, segment: &Arc<Segment>) {
        let disk_bytes = segment.disk_bytes();
        self.entries.insert(first, Entry { open: Some(segment.clone()), writing: true, disk_bytes });
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

    pub(crate) fn disk_bytes(&self) -> u64 {
        self.entries.values().map(|entry| entry.disk_bytes).sum()
    }

    /// Whether nothing is needed any more out of the oldest segment, and it is worth removing.
    pub(crate) fn first_is_passed(&self, cursor: u64, head: u64) -> bool {
        self.entries.first_key_value().is_some_and(|(first, entry)| {
            let end = self.next_first(*first).unwrap_or(head);
            end <= cursor && (!entry.writing || entry.disk_bytes > KEEP_EMPTY_BYTES)
        })
    }

    /// The number of the first item of the segment behind the one that holds `number`, if there is one.
    pub(crate) fn next_first(&self, number: u64) -> Option<u64> {
        self.entries.range(number + 1..).next().map(|(first, _)| *first)
    }

    /// Reads the batch at `number`; all items before `head` are in segments.
    ///
    /// An error means that it may succeed later.
    pub(crate) fn read(&mut self, number: u64, head: u64) -> Result<Found> {
        let end = self.next_first(number).map_or(head, |next| next.min(head));
        let Some(first) = self.entries.range(..=number).next_back().map(|(first, _)| *first) else {
            let why =
                Error::new(ErrorKind::Corrupt, format!("lane {}: no segment holds item {number}", self.lane));
            return Ok(Found::Gap { end, why });
        };
        let found = match self.opened(first) {
            Ok(segment) => segment.read(number),
            Err(error) => Err(error),
        };
        match found {
            Ok(Some((id, bytes))) if id < end => {
                let stored = bytes.and_then(|bytes| StoredBatch::decode(&self.lane, id, &bytes));
                Ok(match stored {
                    Ok(stored) if id == number => Found::Batch(Box::new(stored)),
                    Ok(_) => Found::Gap { end: id, why: self.missing(number, id) },
                    Err(why) => Found::Gap { end: self.readable_after(first, id, end), why },
                })
            }
            Ok(_) => Ok(Found::Gap { end, why: self.missing(number, end) }),
            Err(why) if why.kind() == ErrorKind::Corrupt => Ok(Found::Gap { end, why }),
            Err(error) => Err(error),
        }
    }

    /// The segments out of which nothing is needed any more: all before `cursor` that nobody writes. They are closed.
    pub(crate) fn passed(&mut self, cursor: u64, head: u64) -> Vec<(u64, PathBuf)> {
        let firsts: Vec<u64> = self.entries.keys().copied().collect();
        let ends = firsts.iter().skip(1).copied().chain([head]);
        let mut passed = Vec::new();
        for (first, end) in firsts.iter().zip(ends) {
            if let Some(entry) = self.entries.get_mut(first).filter(|entry| end <= cursor && !entry.writing) {
                entry.open = None;
                passed.push((*first, self.dir.join(dir::numbered(*first))));
            }
        }
        passed
    }

    /// The segment `first` was removed.
    pub(crate) fn forget(&mut self, first: u64) {
        self.entries.remove(&first);
    }

    /// Closes what is open for reading.
    pub(crate) fn close(&mut self) {
        self.entries.values_mut().for_each(|entry| entry.open = None);
    }

    fn opened(&mut self, first: u64) -> Result<Arc<Segment>> {
        let path = self.path(first);
        if let Some(Entry { open: Some(segment), .. }) = self.entries.get(&first) {
            return Ok(segment.clone());
        }
        for entry in self.entries.values_mut().filter(|entry| !entry.writing) {
            entry.open = None;
        }
        let segment = Arc::new(Segment::open(&path)?);
        if let Some(entry) = self.entries.get_mut(&first) {
            entry.open = Some(segment.clone());
        }
        Ok(segment)
    }

    /// The next number behind the unreadable batch `id` where a batch begins.
    fn readable_after(&mut self, first: u64, id: u64, end: u64) -> u64 {
        match self.opened(first).and_then(|segment| segment.read(id + 1)) {
            Ok(Some((next, _))) => next.min(end),
            _ => end,
        }
    }

    fn missing(&self, from: u64, to: u64) -> Error {
        Error::new(ErrorKind::Corrupt, format!("lane {}: items {from} to {} are missing", self.lane, to - 1))
    }
}
