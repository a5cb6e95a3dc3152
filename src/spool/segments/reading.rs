//! Reading: a batch of a segment that is read without the queue's lock, however long the disk takes.

use std::sync::{Arc, Mutex};
use std::thread::yield_now;

use crate::error::{Error, ErrorKind, Result};
use crate::os::lock::Unpoison;
use crate::spool::format::stored_batch::StoredBatch;
use crate::spool::held_path::HeldPath;
use crate::spool::segments::scan::Scan;
use crate::spool::segments::writer::{DATABASE, Segment};

/// What some files hold, once they were read.
pub(crate) type ScanSlot = Arc<Mutex<Option<Scan>>>;

/// What a segment has at a seq.
pub(crate) enum Found {
    Batch(Box<StoredBatch>),
    /// The batch was read from another segment than the one that is to hold it.
    Misplaced(Box<StoredBatch>),
    /// What should hold items before this seq was read, and they are not in it.
    Damaged {
        end: u64,
        why: Error,
    },
    /// Items before this seq can't be found or read now. They may be another time.
    Unavailable {
        end: u64,
        why: Error,
    },
}

/// A batch that is to be read.
pub(crate) struct Reading {
    pub(super) lane: String,
    /// The folder of all segments.
    pub(super) dir: HeldPath,
    pub(super) seq: u64,
    /// Where the segment that holds it ends.
    pub(super) end: u64,
    /// The segment that is to hold it.
    pub(super) home: Option<Home>,
    /// What all segments hold, once something was missing from its place: files may have changed places.
    pub(super) elsewhere: ScanSlot,
    /// Its segment was deleted with the lane's folder.
    pub(super) is_deleted: bool,
    /// As long as this lives nobody else reads for delivery.
    pub(super) _token: Option<Arc<()>>,
}

/// A segment, for reading from.
pub(super) struct Home {
    pub(super) path: HeldPath,
    /// The database, while it is written.
    pub(super) open: Option<Arc<Segment>>,
    pub(super) scan: ScanSlot,
}

impl Reading {
    pub(crate) fn seq(&self) -> u64 {
        self.seq
    }

    /// Reads it. Lets others run before it unpacks: on a busy machine the sending thread would have to wait for it after
    /// each answer.
    pub(crate) fn read(&self) -> Found {
        if self.is_deleted {
            return self.damaged(self.end);
        }
        self.find().unwrap_or_else(|why| Found::Unavailable { end: self.end, why })
    }

    /// An error: it can't be found or read now.
    fn find(&self) -> Result<Found> {
        let mut next = self.end;
        if let Some(home) = &self.home {
            if let Some(stored) = home.open.as_ref().and_then(|segment| self.in_database(segment)) {
                return Ok(Found::Batch(stored));
            }
            if let Some(stored) = self.in_scan(&home.scan, || Ok(vec![home.path.clone()]), &mut next)? {
                return Ok(Found::Batch(stored));
            }
        }
        if let Some(stored) = self.in_scan(&self.elsewhere, || folders_in(&self.dir), &mut next)? {
            return Ok(Found::Misplaced(stored));
        }
        self.check_complete()?;
        Ok(self.damaged(next))
    }

    fn damaged(&self, end: u64) -> Found {
        let why = format!("lane {}: items {} to {} can't be read back", self.lane, self.seq, end - 1);
        Found::Damaged { end, why: Error::new(ErrorKind::Corrupt, why) }
    }

    fn in_database(&self, segment: &Segment) -> Option<Box<StoredBatch>> {
        let (id, bytes) = segment.read(self.seq).ok()??;
        self.decode(&bytes.ok()?).ok()?.filter(|_| id == self.seq)
    }

    /// Looks for it in what is remembered of some files, which are read first if that was not done yet.
    fn in_scan(
        &self,
        slot: &ScanSlot,
        dirs: impl Fn() -> Result<Vec<HeldPath>>,
        next: &mut u64,
    ) -> Result<Option<Box<StoredBatch>>> {
        let mut slot = slot.lock().unpoisoned();
        let scan = match &mut *slot {
            Some(scan) => scan,
            empty => empty.insert(Scan::of(&dirs()?)?),
        };
        let value = scan.value(self.seq)?;
        yield_now();
        if let Some(value) = value
            && let Some(stored) = self.decode(&value)?
        {
            return Ok(Some(stored));
        }
        *next = scan.next_id(self.seq).map_or(*next, |id| id.min(*next));
        // What could not be read is read again the next time.
        let outcome = scan.check_whole();
        if outcome.is_err() {
            *slot = None;
        }
        outcome.map(|()| None)
    }

    /// An error: a file that is to hold it is not there, or it is not known which.
    fn check_complete(&self) -> Result<()> {
        let missing = |what: String| Err(Error::new(ErrorKind::Io, format!("lane {}: {what}", self.lane)));
        let Some(home) = &self.home else {
            return missing(format!("the segment with item {} is missing in {}", self.seq, self.dir));
        };
        let database = home.path.join(DATABASE);
        match database.exists() {
            Ok(true) => Ok(()),
            Ok(false) => {
                // What was read while it was not there says nothing once it is back.
                *home.scan.lock().unpoisoned() = None;
                *self.elsewhere.lock().unpoisoned() = None;
                missing(format!("{database} is missing"))
            }
            Err(e) => Err(Error::io(format!("look for {database}"), e)),
        }
    }

    /// `None`: it is damaged. An error: it can't be read now.
    fn decode(&self, value: &[u8]) -> Result<Option<Box<StoredBatch>>> {
        match StoredBatch::decode(&self.lane, self.seq, value) {
            Ok(stored) => Ok((stored.end() <= self.end).then(|| stored.into())),
            Err(why) if why.kind() == ErrorKind::Corrupt => Ok(None),
            Err(why) => Err(why),
        }
    }
}

/// The folders of all segments, whatever they are called.
pub(super) fn folders_in(dir: &HeldPath) -> Result<Vec<HeldPath>> {
    let mut folders: Vec<HeldPath> = dir.names()?.iter().map(|name| dir.join(name)).collect();
    folders.retain(HeldPath::is_folder);
    Ok(folders)
}
