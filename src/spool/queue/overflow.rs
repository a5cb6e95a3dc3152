//! Overflow: dropping the oldest batch, so that a new item fits, whatever is under way with it.

use crate::spool::checkpoint::{LogPosition, Tally};
use crate::spool::journal::{Journal, Read};
use crate::spool::queue::batching::{self, BatchLimits};
use crate::spool::queue::{Out, Queue, Spilling};
use crate::spool::segments::contents::Survey;

/// What came of the wish to drop the oldest batch.
pub(crate) enum Dropped {
    /// It is gone.
    Items,
    /// There is nothing that can be dropped now.
    Nothing,
    /// Its segment is to be looked through first, without the queue's lock: see `Segments::note_contents`.
    Unknown(Survey),
}

impl Queue {
    /// Drops the oldest batch: of a segment, of the journal, or of what is moving from the one to the other.
    pub(crate) fn drop_oldest(&mut self, journal: &Journal, limits: BatchLimits) -> Dropped {
        let (cursor, head) = (self.checkpoint.cursor, self.checkpoint.head.seq);
        let end = if cursor < head {
            match self.segments.batch_end(cursor, head) {
                Ok(end) => (end, None),
                Err(survey) => return Dropped::Unknown(survey),
            }
        } else {
            match self.oldest_in_journal(journal, limits) {
                Some(end) => (end.seq, Some(end)),
                None => return Dropped::Nothing,
            }
        };
        self.drop_before(journal, end);
        Dropped::Items
    }

    /// Where the oldest batch ends, when all that is pending is in the journal.
    fn oldest_in_journal(&self, journal: &Journal, limits: BatchLimits) -> Option<LogPosition> {
        let at = self.ring_at_cursor()?;
        match &self.spilling {
            // A batch that is moving goes as it will be stored: the cursor must not stand inside it.
            Spilling::Batches(ends) | Spilling::Everything(ends)
                if ends.last().is_some_and(|end| at.seq < *end) =>
            {
                let end = ends.iter().find(|end| at.seq < **end)?;
                position_of(journal, at, *end)
            }
            // What was appended since then has no lasting seqs yet.
            Spilling::Everything(_) => None,
            _ => {
                // A batch may be as large as all that a small ring holds.
                let body_bytes = limits.body_bytes.min(journal.ring_bytes() as usize / 8);
                let run = batching::run(journal, at, BatchLimits { body_bytes, ..limits });
                run.map(|run| run.end).or_else(|| match journal.read(at) {
                    Read::Damaged(end) => Some(end),
                    _ => None,
                })
            }
        }
    }

    /// Where the oldest item stands in the journal. While the committer spills, the head stays, however far the cursor
    /// comes.
    fn ring_at_cursor(&self) -> Option<LogPosition> {
        let places = [Some(self.checkpoint.head), self.settled_ring];
        places.into_iter().flatten().find(|place| place.seq == self.checkpoint.cursor)
    }

    /// Drops all items before `end`; `ring_end` is the same place when they are in the journal.
    fn drop_before(&mut self, journal: &Journal, (mut end, mut ring_end): (u64, Option<LogPosition>)) {
        let mut settled_already = Tally::default();
        while let Some(entry) = self.out.first_entry().filter(|entry| *entry.key() < end) {
            let first = *entry.key();
            let out = entry.remove();
            if out.end > end {
                (end, ring_end) = (out.end, out.ring_end);
            }
            match out.settled {
                Some(tally) => settled_already.add(&tally),
                None => drop(self.dropped_out.insert(first, out.end - first)),
            }
        }
        let items = end - self.checkpoint.cursor;
        let dropped_overflow = items - settled_already.total().min(items);
        let mut tally = Tally { dropped_overflow, ..Tally::default() };
        tally.add(&settled_already);
        self.next = self.next.max(end);
        if let Some(place) = ring_end.filter(|place| place.seq > self.ring.seq) {
            self.ring = place;
        }
        let bytes_end = ring_end.map(|place| place.bytes);
        self.pass(&Out { end, bytes_end, ring_end, settled: None }, &tally);
        self.store(journal);
    }

    /// Whether the batch `first` was dropped while it was in flight.
    pub(crate) fn is_dropped(&self, first: u64) -> bool {
        self.dropped_out.contains_key(&first)
    }
}

/// The log position of the item `seq`, which comes after `at`.
fn position_of(journal: &Journal, mut at: LogPosition, seq: u64) -> Option<LogPosition> {
    while at.seq < seq {
        at = match journal.read(at) {
            Read::Record(record) => record.end,
            Read::Damaged(end) => end,
            Read::Unfinished | Read::End => return None,
        };
    }
    Some(at)
}
