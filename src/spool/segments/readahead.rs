//! Readahead: the next batches of a segment, read by the committer while the ones before them are in flight.

use std::collections::VecDeque;

use crate::spool::format::stored_batch::StoredBatch;

/// What is read ahead at most: one batch more than this many bytes.
const MOST_BYTES: usize = 256 << 10;

/// Consecutive batches.
#[derive(Default)]
pub(crate) struct Readahead(VecDeque<Box<StoredBatch>>);

impl Readahead {
    /// The batch `seq`, if it was read ahead; what was read before it is of no use any more.
    pub(crate) fn take(&mut self, seq: u64) -> Option<Box<StoredBatch>> {
        while let Some(stored) = self.0.pop_front() {
            if stored.batch.first() == seq {
                return Some(stored);
            }
        }
        None
    }

    /// Whether less than half of what may be read ahead is there.
    pub(crate) fn is_low(&self) -> bool {
        self.bytes() < MOST_BYTES / 2
    }

    /// The batch to read next, unless enough was read; `next` is to be handed out next.
    pub(crate) fn wanted(&self, next: u64) -> Option<u64> {
        (self.bytes() < MOST_BYTES).then(|| self.0.back().map_or(next, |stored| stored.end()))
    }

    /// Keeps `stored` when it is what `wanted` asks for, still.
    pub(crate) fn keep(&mut self, stored: Box<StoredBatch>, next: u64) {
        if self.wanted(next) == Some(stored.batch.first()) {
            self.0.push_back(stored);
        }
    }

    fn bytes(&self) -> usize {
        self.0.iter().map(|stored| stored.batch.body().len()).sum()
    }
}
