//! Pending: what is pending in a lane, read from outside in its order: segments, then the journal.

use std::ops::Range;

use crate::config::Destination;
use crate::error::{Error, ErrorKind, Result};
use crate::item;
use crate::spool::checkpoint::Checkpoint;
use crate::spool::format::stored_batch::StoredBatch;
use crate::spool::held_path::HeldPath;
use crate::spool::journal::{CarvedJournal, JournalView, Records, ViewedRecord};
use crate::spool::segments::reading::Found;
use crate::spool::segments::{self, Segments};
use crate::spool::set_aside::rejected_files::RejectedFiles;

/// The journal of the lane in `dir`. That is damaged, too, where it says that anybody may have the items, as it does of
/// JSON, and they are of another form: zeros on the disk read like that.
pub(crate) fn journal_of(lane: &str, dir: &HeldPath) -> Result<JournalView> {
    let path = dir.join("journal");
    let journal = JournalView::open(&path)?;
    if journal.destination() == Destination::anybody()
        && let Some(item) = any_item(lane, dir, Some(&journal))?
        && item::signal_of(&item).is_some()
    {
        let what = format!("journal {path}: it does not say any more where its items go");
        return Err(Error::new(ErrorKind::Corrupt, what));
    }
    Ok(journal)
}

/// Some whole item of the lane in `dir`, of what is soonest read: all have the same form. `journal`: absent when its
/// header can't be relied on.
pub(crate) fn any_item(lane: &str, dir: &HeldPath, journal: Option<&JournalView>) -> Result<Option<Vec<u8>>> {
    let in_journal = match journal {
        Some(journal) => journal.records(journal.checkpoint().head).find_map(|record| match record {
            ViewedRecord::Whole { json, .. } => Some(json),
            ViewedRecord::Damaged { .. } => None,
        }),
        None => {
            let carved = CarvedJournal::open(&dir.join("journal"))?.records(0)?.next().transpose()?;
            carved.map(|record| record.json)
        }
    };
    if in_journal.is_some() {
        return Ok(in_journal);
    }
    let rejected = RejectedFiles::new(lane, dir.join("rejected")).any_item()?;
    match (rejected, journal) {
        (Some(item), _) => Ok(Some(item)),
        (None, Some(journal)) => first_in_order(Pending::new(lane, dir, journal)),
        (None, None) => first_of_all(lane, dir),
    }
}

fn first_in_order(pending: Pending<'_>) -> Result<Option<Vec<u8>>> {
    for part in pending {
        match part? {
            Part::Batch(stored) => return Ok(stored.batch.item(0).map(<[u8]>::to_vec)),
            Part::Item { json, .. } => return Ok(Some(json)),
            Part::Unavailable { why, .. } => return Err(why),
            Part::LostInSegments { .. } | Part::LostInJournal { .. } => {}
        }
    }
    Ok(None)
}

/// Some whole item of any segment of the lane in `dir`.
fn first_of_all(lane: &str, dir: &HeldPath) -> Result<Option<Vec<u8>>> {
    let mut scan = Segments::look(lane, &dir.join(segments::FOLDER))?.scan_all()?;
    for first in scan.ids().collect::<Vec<_>>() {
        let stored = scan.value(first)?.and_then(|value| StoredBatch::decode(lane, first, &value).ok());
        if let Some(item) = stored.as_ref().and_then(|stored| stored.batch.item(0)) {
            return Ok(Some(item.to_vec()));
        }
    }
    Ok(None)
}

/// A part of what is pending.
pub(crate) enum Part {
    /// A batch in a segment.
    Batch(Box<StoredBatch>),
    /// An item in the journal.
    Item { seq: u64, key_name: String, json: Vec<u8> },
    /// Items that were not in the segment that is to hold them, and why.
    LostInSegments { seqs: Range<u64>, why: Error },
    /// Items whose segment can't be found or read now, and why.
    Unavailable { seqs: Range<u64>, why: Error },
    /// Items that can't be read from the journal, and the ring position where they begin. Some may be settled.
    LostInJournal { seqs: Range<u64>, pos: u64 },
}

/// The parts, as of the checkpoint that stood when this was made. The lane's owner may be running.
pub(crate) struct Pending<'a> {
    lane: String,
    dir: HeldPath,
    checkpoint: Checkpoint,
    /// The next item to read from a segment.
    next: u64,
    segments: Option<Segments>,
    records: Records<'a>,
}

impl<'a> Pending<'a> {
    /// What is pending in the lane in `dir`, whose journal is `journal`.
    pub(crate) fn new(lane: &str, dir: &HeldPath, journal: &'a JournalView) -> Self {
        let checkpoint = journal.checkpoint();
        Self {
            lane: lane.to_owned(),
            dir: dir.join(segments::FOLDER),
            checkpoint,
            next: checkpoint.cursor,
            segments: None,
            records: journal.records(checkpoint.head),
        }
    }

    pub(crate) fn checkpoint(&self) -> &Checkpoint {
        &self.checkpoint
    }

    fn next_in_segments(&mut self) -> Result<Part> {
        let segments = match &mut self.segments {
            Some(segments) => segments,
            unopened => unopened.insert(Segments::look(&self.lane, &self.dir)?),
        };
        let first = self.next;
        Ok(match segments.reading(first, self.checkpoint.head.seq).read() {
            Found::Batch(stored) | Found::Misplaced(stored) => {
                self.next = stored.end();
                Part::Batch(stored)
            }
            Found::Damaged { end, why } => {
                self.next = end;
                Part::LostInSegments { seqs: first..end, why }
            }
            Found::Unavailable { end, why } => {
                self.next = end;
                Part::Unavailable { seqs: first..end, why }
            }
        })
    }

    fn next_in_journal(&mut self) -> Option<Part> {
        let cursor = self.checkpoint.cursor;
        self.records.find_map(|record| match record {
            // While the owner spills, the head stays, however far the cursor comes.
            ViewedRecord::Whole { seq, .. } if seq < cursor => None,
            ViewedRecord::Whole { seq, key_name, json } => Some(Part::Item { seq, key_name, json }),
            ViewedRecord::Damaged { seq, items, pos } => {
                Some(Part::LostInJournal { seqs: seq..seq + items, pos })
            }
        })
    }
}

impl Iterator for Pending<'_> {
    type Item = Result<Part>;

    /// An error means that the segments can't be listed now; the next call tries it again.
    fn next(&mut self) -> Option<Result<Part>> {
        if self.next < self.checkpoint.head.seq {
            return Some(self.next_in_segments());
        }
        self.next_in_journal().map(Ok)
    }
}
